/*
 * gguf.c
 *		The header of a GGUF file, versions 2 and 3; no PostgreSQL in here.
 *
 * "GGUF", the version, the numbers of tensors and of metadata entries; then the
 * entries (key, type, value) and the tensors (name, dimensions, type, offset);
 * then, aligned, the tensors' bytes.  All numbers are little-endian, each string
 * and array says its length first.  Nothing is believed: a length must fit into
 * the file, and the header into HEADER_MAX_SIZE, before a byte is read.
 *
 * Of arrays (a tokenizer's words fill megabytes) only type and length are kept,
 * and of strings that do not fit into the buffer.  Memory: the buffer, and the
 * keys.
 */
#include <string.h>

#include "gguf.h"

#define BUFFER_SIZE 1048576
#define MAX_KEY_SIZE 65535
#define MAX_DIMENSIONS 8		/* the format says 4; weights of video models come with 5 */
#define DEFAULT_ALIGNMENT 32
#define MAX_ALIGNMENT 1048576

typedef enum ValueType
{
	GGUF_UINT8,
	GGUF_INT8,
	GGUF_UINT16,
	GGUF_INT16,
	GGUF_UINT32,
	GGUF_INT32,
	GGUF_FLOAT32,
	GGUF_BOOL,
	GGUF_STRING,
	GGUF_ARRAY,
	GGUF_UINT64,
	GGUF_INT64,
	GGUF_FLOAT64
} ValueType;

#define NVALUE_TYPES (GGUF_FLOAT64 + 1)

static const struct
{
	const char *name;
	size_t		size;			/* in bytes; 0: it says itself */
} value_types[NVALUE_TYPES] = {
	{"uint8", 1}, {"int8", 1}, {"uint16", 2}, {"int16", 2}, {"uint32", 4}, {"int32", 4}, {"float32", 4},
	{"bool", 1}, {"string", 0}, {"array", 0}, {"uint64", 8}, {"int64", 8}, {"float64", 8}
};

typedef struct TensorType
{
	const char *name;
	unsigned	elements;		/* of a block; 0: not known, then the size is not checked */
	unsigned	bytes;
} TensorType;

/* By number; some were given up, and new ones come faster than this list grows. */
static const TensorType tensor_types[] = {
	{"F32", 1, 4}, {"F16", 1, 2}, {"Q4_0", 32, 18}, {"Q4_1", 32, 20}, {NULL}, {NULL}, {"Q5_0", 32, 22}, {"Q5_1", 32, 24},
	{"Q8_0", 32, 34}, {"Q8_1", 32, 36}, {"Q2_K", 256, 84}, {"Q3_K", 256, 110}, {"Q4_K", 256, 144}, {"Q5_K", 256, 176},
	{"Q6_K", 256, 210}, {"Q8_K", 256, 292}, {"IQ2_XXS", 256, 66}, {"IQ2_XS", 256, 74}, {"IQ3_XXS", 256, 98},
	{"IQ1_S", 256, 50}, {"IQ4_NL", 32, 18}, {"IQ3_S", 256, 110}, {"IQ2_S", 256, 82}, {"IQ4_XS", 256, 136}, {"I8", 1, 1},
	{"I16", 1, 2}, {"I32", 1, 4}, {"I64", 1, 8}, {"F64", 1, 8}, {"IQ1_M", 256, 56}, {"BF16", 1, 2}, {NULL}, {NULL}, {NULL},
	{"TQ1_0", 256, 54}, {"TQ2_0", 256, 66}, {NULL}, {NULL}, {NULL}, {"MXFP4", 32, 17}
};

typedef struct Reader
{
	HeaderHost *host;
	Header	   *header;
	uint64_t	file_size;
	uint64_t	at;				/* the next byte of the file */
	unsigned char *buffer;
	uint64_t	buffer_start;	/* its place in the file */
	size_t		buffered;
	uint64_t	alignment;
	HeaderText *names;			/* keys, then tensors */
	size_t		nnames;
	size_t		names_capacity;
	uint64_t	data_end;		/* the largest offset where a tensor ends, from where the data starts */
} Reader;

static bool
fail(Reader *reader, const char *problem)
{
	return header_fail(reader->header, reader->at, problem);
}

static bool
check_left(Reader *reader, uint64_t size)
{
	if (size > reader->file_size - reader->at)
		return fail(reader, "the file ends within its header");
	if (size > HEADER_MAX_SIZE - reader->at)
		return fail(reader, "the header is longer than 100,000,000 bytes");
	return true;
}

static bool
skip(Reader *reader, uint64_t size)
{
	if (!check_left(reader, size))
		return false;
	reader->at += size;
	return true;
}

/* The next bytes, at most as many as the buffer holds; until the next call. */
static const unsigned char *
take(Reader *reader, size_t size)
{
	const unsigned char *taken;

	if (!check_left(reader, size))
		return NULL;
	if (reader->at < reader->buffer_start || reader->at + size > reader->buffer_start + reader->buffered)
	{
		uint64_t	left = reader->file_size - reader->at;

		reader->buffer_start = reader->at;
		reader->buffered = left < BUFFER_SIZE ? left : BUFFER_SIZE;
		reader->host->read(reader->host->arg, reader->at, reader->buffer, reader->buffered);
	}
	taken = reader->buffer + (reader->at - reader->buffer_start);
	reader->at += size;
	return taken;
}

static bool
read_number(Reader *reader, size_t size, uint64_t *number)
{
	const unsigned char *bytes = take(reader, size);

	*number = 0;
	if (bytes == NULL)
		return false;
	for (size_t i = size; i-- > 0;)
		*number = *number << 8 | bytes[i];
	return true;
}

/* Reads a key or a name, which stays, and notes it. */
static bool
read_name(Reader *reader)
{
	uint64_t	size;
	const unsigned char *bytes;
	char	   *copy;

	if (!read_number(reader, 8, &size))
		return false;
	if (size == 0 || size > MAX_KEY_SIZE)
		return fail(reader, "a key or name is empty or too long");
	bytes = take(reader, size);
	if (bytes == NULL)
		return false;
	if (!header_is_text((const char *) bytes, size))
		return fail(reader, "a key or name is not valid UTF-8");
	copy = reader->host->resize(reader->host->arg, NULL, size);
	memcpy(copy, bytes, size);
	reader->names = header_grow(reader->host, reader->names, &reader->names_capacity, reader->nnames + 1, sizeof(HeaderText));
	reader->names[reader->nnames].data = copy;
	reader->names[reader->nnames++].size = size;
	return true;
}

static bool
check_names(Reader *reader, const char *problem)
{
	if (!header_names_differ(reader->names, reader->nnames))
		return fail(reader, problem);
	reader->nnames = 0;
	return true;
}

static HeaderValue
summary(const char *type, uint64_t length)
{
	HeaderValue value = {HEADER_SUMMARY, {type, strlen(type)}, length};

	return value;
}

static bool
read_string(Reader *reader, HeaderValue *value)
{
	uint64_t	size;
	const unsigned char *bytes;

	if (!read_number(reader, 8, &size))
		return false;
	if (size > BUFFER_SIZE)
	{
		*value = summary("string", size);
		return skip(reader, size);
	}
	bytes = take(reader, size);
	if (bytes == NULL)
		return false;
	if (!header_is_text((const char *) bytes, size))
		return fail(reader, "a string is not valid UTF-8");
	value->kind = HEADER_TEXT;
	value->text.data = (const char *) bytes;
	value->text.size = size;
	return true;
}

static bool
skip_array(Reader *reader, HeaderValue *value)
{
	uint64_t	type;
	uint64_t	length;
	uint64_t	size;

	if (!read_number(reader, 4, &type) || !read_number(reader, 8, &length))
		return false;
	if (type >= NVALUE_TYPES || type == GGUF_ARRAY)
		return fail(reader, "an array has elements of an unknown type");
	*value = summary(value_types[type].name, length);
	if (type != GGUF_STRING)
		return length > HEADER_MAX_SIZE ? fail(reader, "an array does not fit into the header")
			: skip(reader, length * value_types[type].size);
	/* each takes bytes, so the file's end stops this */
	for (uint64_t i = 0; i < length; i++)
		if (!read_number(reader, 8, &size) || !skip(reader, size))
			return false;
	return true;
}

static int64_t
sign_extended(uint64_t number, size_t size)
{
	uint64_t	sign = UINT64_C(1) << (size * 8 - 1);

	return (int64_t) ((number ^ sign) - sign);
}

static bool
read_scalar(Reader *reader, ValueType type, HeaderValue *value)
{
	size_t		size = value_types[type].size;
	float		real;
	uint32_t	bits;

	if (!read_number(reader, size, &value->number))
		return false;
	switch (type)
	{
		case GGUF_BOOL:
			if (value->number > 1)
				return fail(reader, "a bool is neither 0 nor 1");
			value->kind = HEADER_BOOL;
			break;
		case GGUF_INT8:
		case GGUF_INT16:
		case GGUF_INT32:
		case GGUF_INT64:
			value->kind = HEADER_SIGNED;
			value->number = (uint64_t) sign_extended(value->number, size);
			break;
		case GGUF_FLOAT32:
			value->kind = HEADER_FLOAT;
			bits = value->number;
			memcpy(&real, &bits, sizeof(real));
			value->real = real;
			break;
		case GGUF_FLOAT64:
			value->kind = HEADER_DOUBLE;
			memcpy(&value->real, &value->number, sizeof(value->real));
			break;
		default:
			value->kind = HEADER_UNSIGNED;
	}
	return true;
}

static bool
set_alignment(Reader *reader, uint64_t type, uint64_t number)
{
	if (type != GGUF_UINT32 || number < 8 || number > MAX_ALIGNMENT || (number & (number - 1)) != 0)
		return fail(reader, "general.alignment is not a power of two from 8 on");
	reader->alignment = number;
	return true;
}

static bool
read_entry(Reader *reader)
{
	HeaderText	key;
	uint64_t	type;
	HeaderValue value = {HEADER_TEXT};
	bool		fine;

	if (!read_name(reader) || !read_number(reader, 4, &type))
		return false;
	key = reader->names[reader->nnames - 1];
	if (type >= NVALUE_TYPES)
		return fail(reader, "a value has an unknown type");
	fine = type == GGUF_STRING ? read_string(reader, &value)
		: type == GGUF_ARRAY ? skip_array(reader, &value) : read_scalar(reader, type, &value);
	if (!fine)
		return false;
	if (key.size == strlen("general.alignment") && memcmp(key.data, "general.alignment", key.size) == 0
		&& !set_alignment(reader, type, value.number))
		return false;
	reader->host->entry(reader->host->arg, key, &value);
	return true;
}

static bool
count_tensor_type(Reader *reader, const TensorType *known, uint64_t type)
{
	char		name[16] = "type ";
	size_t		at = strlen(name);

	if (known != NULL)
		return header_count_type(reader->header, known->name, strlen(known->name));
	if (type > 999)
		return false;
	if (type >= 100)
		name[at++] = '0' + type / 100;
	name[at++] = '0' + type / 10 % 10;
	name[at++] = '0' + type % 10;
	return header_count_type(reader->header, name, at);
}

/* Where a tensor ends, from where the data starts; its beginning, if its type is not known. */
static bool
tensor_end(Reader *reader, const TensorType *type, uint64_t elements, uint64_t offset, uint64_t *end)
{
	uint64_t	size = 0;

	*end = offset;
	if (offset % reader->alignment != 0)
		return fail(reader, "a tensor is not aligned");
	if (type != NULL)
	{
		if (elements % type->elements != 0)
			return fail(reader, "a tensor does not consist of whole blocks");
		if (elements / type->elements > UINT64_MAX / type->bytes)
			return fail(reader, "a tensor is too large");
		size = elements / type->elements * type->bytes;
	}
	*end += size;
	return *end >= offset || fail(reader, "a tensor is too large");
}

static bool
read_shape(Reader *reader, uint64_t *elements)
{
	uint64_t	ndimensions;
	uint64_t	length;

	*elements = 1;
	if (!read_number(reader, 4, &ndimensions))
		return false;
	if (ndimensions > MAX_DIMENSIONS)
		return fail(reader, "a tensor has too many dimensions");
	for (uint64_t i = 0; i < ndimensions; i++)
	{
		if (!read_number(reader, 8, &length))
			return false;
		if (length != 0 && *elements > UINT64_MAX / length)
			return fail(reader, "a tensor is too large");
		*elements *= length;
	}
	return true;
}

static bool
read_tensor(Reader *reader)
{
	const TensorType *known = NULL;
	uint64_t	elements;
	uint64_t	type;
	uint64_t	offset;
	uint64_t	end;

	if (!read_name(reader) || !read_shape(reader, &elements) || !read_number(reader, 4, &type) || !read_number(reader, 8, &offset))
		return false;
	if (type < sizeof(tensor_types) / sizeof(tensor_types[0]) && tensor_types[type].name != NULL)
		known = &tensor_types[type];
	if (!count_tensor_type(reader, known, type))
		return fail(reader, "a tensor has an impossible type");
	if (!tensor_end(reader, known, elements, offset, &end))
		return false;
	if (end > reader->data_end)
		reader->data_end = end;
	return true;
}

static bool
check_data(Reader *reader)
{
	uint64_t	start = (reader->at + reader->alignment - 1) / reader->alignment * reader->alignment;

	reader->header->data_start = start;
	if (reader->data_end > 0 && (start > reader->file_size || reader->data_end > reader->file_size - start))
		return fail(reader, "the file is shorter than its tensors need");
	return true;
}

static bool
read_version(Reader *reader)
{
	uint64_t	version;

	if (!skip(reader, 4) || !read_number(reader, 4, &version))
		return false;
	if (version == UINT64_C(0x02000000) || version == UINT64_C(0x03000000))
		return fail(reader, "big-endian files are not read");
	return version == 2 || version == 3 || fail(reader, "the version is neither 2 nor 3");
}

/*
 * Whether a file that begins so is meant to be GGUF, right or wrong.
 */
bool
gguf_looks_like(const unsigned char *start, size_t size)
{
	return size >= 4 && memcmp(start, "GGUF", 4) == 0;
}

/*
 * Reads the header of a file; false, with header->problem, where anything about
 * it is not as it should be.  Entries may have been handed over by then.
 */
bool
gguf_read(HeaderHost *host, uint64_t file_size, Header *header)
{
	Reader		reader = {.host = host, .header = header, .file_size = file_size, .alignment = DEFAULT_ALIGNMENT};
	const unsigned char *magic;
	uint64_t	ntensors;
	uint64_t	nentries;

	memset(header, 0, sizeof(Header));
	reader.buffer = host->resize(host->arg, NULL, file_size < BUFFER_SIZE ? file_size + 1 : BUFFER_SIZE);
	magic = take(&reader, 4);
	if (magic == NULL)
		return false;
	reader.at = 0;
	if (!gguf_looks_like(magic, 4))
		return fail(&reader, "the file does not begin with GGUF");
	if (!read_version(&reader) || !read_number(&reader, 8, &ntensors) || !read_number(&reader, 8, &nentries))
		return false;
	if (nentries > HEADER_MAX_VALUES)
		return fail(&reader, "there are too many metadata entries");
	for (uint64_t i = 0; i < nentries; i++)
		if (!read_entry(&reader))
			return false;
	if (!check_names(&reader, "a key is there twice"))
		return false;
	/* each takes bytes, so the header's end stops this */
	for (uint64_t i = 0; i < ntensors; i++)
		if (!read_tensor(&reader))
			return false;
	return check_names(&reader, "a name is there twice") && check_data(&reader);
}
