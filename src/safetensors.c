/*
 * safetensors.c
 *		The header of a safetensors file, read strictly; no PostgreSQL in here.
 *
 * Eight bytes say, little-endian, how long the header is: a JSON object that may
 * be padded with spaces, and in which every member is a tensor
 *		"name": {"dtype": "F16", "shape": [2, 3], "data_offsets": [begin, end]}
 * but for "__metadata__", an object of strings.  As nothing else is allowed, no
 * general JSON is read, and nothing nests.  Together the tensors cover the rest
 * of the file, without holes or overlaps; so the file has the size that the
 * header says, or it is not taken.
 *
 * Strings are decoded in place, where they never get longer.  Memory: the
 * header, and 32 bytes for each tensor in it.
 */
#include <stdlib.h>
#include <string.h>

#include "safetensors.h"

#define LENGTH_SIZE 8

typedef struct Extent
{
	uint64_t	begin;
	uint64_t	end;
} Extent;

typedef struct Reader
{
	HeaderHost *host;
	Header	   *header;
	char	   *start;			/* of the JSON text */
	char	   *at;
	char	   *end;
	HeaderText *names;
	size_t		nnames;
	size_t		names_capacity;
	Extent	   *extents;
	size_t		nextents;
	size_t		extents_capacity;
} Reader;

typedef struct ElementType
{
	const char *name;
	unsigned	bits;
} ElementType;

static const ElementType element_types[] = {
	{"F16", 16}, {"BF16", 16}, {"F32", 32}, {"F64", 64},
	{"F8_E4M3", 8}, {"F8_E5M2", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8},
	{"F4", 4}, {"F6_E2M3", 6}, {"F6_E3M2", 6},
	{"BOOL", 8}, {"U8", 8}, {"I8", 8}, {"U16", 16}, {"I16", 16},
	{"U32", 32}, {"I32", 32}, {"U64", 64}, {"I64", 64}, {"C64", 64}
};

static bool
fail(Reader *reader, const char *problem)
{
	return header_fail(reader->header, LENGTH_SIZE + (reader->at - reader->start), problem);
}

static bool
text_is(HeaderText text, const char *word)
{
	return text.size == strlen(word) && memcmp(text.data, word, text.size) == 0;
}

static void
skip_space(Reader *reader)
{
	while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\n' || *reader->at == '\r' || *reader->at == '\t'))
		reader->at++;
}

/* Takes a character, and the white space before it, if it is the next one. */
static bool
take(Reader *reader, char wanted)
{
	skip_space(reader);
	if (reader->at == reader->end || *reader->at != wanted)
		return false;
	reader->at++;
	return true;
}

static bool
expect(Reader *reader, char wanted, const char *problem)
{
	return take(reader, wanted) || fail(reader, problem);
}

static bool
read_hex4(Reader *reader, uint32_t *code)
{
	*code = 0;
	if (reader->end - reader->at < 4)
		return fail(reader, "an escape in a string is cut off");
	for (int i = 0; i < 4; i++, reader->at++)
	{
		char		c = *reader->at;

		if (c >= '0' && c <= '9')
			*code = *code << 4 | (c - '0');
		else if (c >= 'a' && c <= 'f')
			*code = *code << 4 | (c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			*code = *code << 4 | (c - 'A' + 10);
		else
			return fail(reader, "an escape in a string is not valid");
	}
	return true;
}

static char *
put_utf8(char *to, uint32_t code)
{
	if (code < 0x80)
		*to++ = code;
	else if (code < 0x800)
	{
		*to++ = 0xC0 | code >> 6;
		*to++ = 0x80 | (code & 0x3F);
	}
	else
	{
		if (code < 0x10000)
			*to++ = 0xE0 | code >> 12;
		else
		{
			*to++ = 0xF0 | code >> 18;
			*to++ = 0x80 | (code >> 12 & 0x3F);
		}
		*to++ = 0x80 | (code >> 6 & 0x3F);
		*to++ = 0x80 | (code & 0x3F);
	}
	return to;
}

/* What follows \u: four digits, or a surrogate pair of them. */
static bool
read_code(Reader *reader, uint32_t *code)
{
	uint32_t	low;

	if (!read_hex4(reader, code))
		return false;
	if (*code == 0)
		return fail(reader, "a string contains NUL");
	if (*code < 0xD800 || *code > 0xDFFF)
		return true;
	if (*code > 0xDBFF || reader->end - reader->at < 2 || reader->at[0] != '\\' || reader->at[1] != 'u')
		return fail(reader, "a string contains half of a surrogate pair");
	reader->at += 2;
	if (!read_hex4(reader, &low))
		return false;
	if (low < 0xDC00 || low > 0xDFFF)
		return fail(reader, "a string contains half of a surrogate pair");
	*code = 0x10000 + ((*code - 0xD800) << 10) + (low - 0xDC00);
	return true;
}

/* What follows a backslash. */
static bool
read_escape(Reader *reader, char **to)
{
	static const char from[] = "\"\\/bfnrt";
	static const char into[] = "\"\\/\b\f\n\r\t";
	const char *found;
	uint32_t	code;

	if (reader->at == reader->end)
		return fail(reader, "an escape in a string is cut off");
	if (*reader->at == 'u')
	{
		reader->at++;
		if (!read_code(reader, &code))
			return false;
		*to = put_utf8(*to, code);
		return true;
	}
	found = *reader->at == '\0' ? NULL : strchr(from, *reader->at);
	if (found == NULL)
		return fail(reader, "an escape in a string is not valid");
	reader->at++;
	*(*to)++ = into[found - from];
	return true;
}

static bool
read_string(Reader *reader, HeaderText *string)
{
	char	   *to;

	if (!expect(reader, '"', "a string was expected"))
		return false;
	string->data = to = reader->at;
	while (reader->at < reader->end && *reader->at != '"')
	{
		if (*reader->at == '\\')
		{
			reader->at++;
			if (!read_escape(reader, &to))
				return false;
		}
		else
		{
			size_t		length = header_utf8_length(reader->at, reader->end - reader->at);

			if (length == 0)
				return fail(reader, "a string is not valid UTF-8");
			if ((unsigned char) *reader->at < 0x20)
				return fail(reader, "a string contains a control character");
			memmove(to, reader->at, length);
			to += length;
			reader->at += length;
		}
	}
	string->size = to - string->data;
	return expect(reader, '"', "a string has no end");
}

/* A number as JSON writes it, but neither negative nor with a fraction. */
static bool
read_number(Reader *reader, uint64_t *number)
{
	const char *first;

	skip_space(reader);
	first = reader->at;
	*number = 0;
	for (; reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9'; reader->at++)
	{
		unsigned	digit = *reader->at - '0';

		if (*number > (UINT64_MAX - digit) / 10)
			return fail(reader, "a number is too large");
		*number = *number * 10 + digit;
	}
	if (reader->at == first || (*first == '0' && reader->at - first > 1))
		return fail(reader, "a whole number was expected");
	return true;
}

/* How many elements a tensor of the shape has; overflow is an error. */
static bool
read_shape(Reader *reader, uint64_t *elements)
{
	uint64_t	length;

	*elements = 1;
	if (!expect(reader, '[', "a shape must be an array"))
		return false;
	if (take(reader, ']'))
		return true;
	do
	{
		if (!read_number(reader, &length))
			return false;
		if (length != 0 && *elements > UINT64_MAX / length)
			return fail(reader, "a tensor is too large");
		*elements *= length;
	} while (take(reader, ','));
	return expect(reader, ']', "a shape has no end");
}

static bool
read_offsets(Reader *reader, Extent *extent)
{
	return expect(reader, '[', "data_offsets must be an array")
		&& read_number(reader, &extent->begin)
		&& expect(reader, ',', "data_offsets must be two numbers")
		&& read_number(reader, &extent->end)
		&& expect(reader, ']', "data_offsets must be two numbers");
}

static const ElementType *
find_element_type(HeaderText name)
{
	for (size_t i = 0; i < sizeof(element_types) / sizeof(element_types[0]); i++)
		if (text_is(name, element_types[i].name))
			return &element_types[i];
	return NULL;
}

static bool
check_tensor(Reader *reader, HeaderText dtype, uint64_t elements, Extent extent)
{
	const ElementType *type = find_element_type(dtype);

	if (type == NULL)
		return fail(reader, "a tensor has an unknown dtype");
	if (elements > UINT64_MAX / type->bits)
		return fail(reader, "a tensor is too large");
	if (extent.begin > extent.end || elements * type->bits % 8 != 0
		|| elements * type->bits / 8 != extent.end - extent.begin)
		return fail(reader, "data_offsets of a tensor do not fit its dtype and shape");
	return header_count_type(reader->header, dtype.data, dtype.size) || fail(reader, "there are too many dtypes");
}

static bool
read_tensor(Reader *reader)
{
	HeaderText	key;
	HeaderText	dtype = {NULL, 0};
	uint64_t	elements = 0;
	Extent		extent = {0, 0};
	int			ndtypes = 0;
	int			nshapes = 0;
	int			noffsets = 0;

	if (!expect(reader, '{', "a tensor must be an object"))
		return false;
	do
	{
		bool		fine;

		if (!read_string(reader, &key) || !expect(reader, ':', "a colon was expected"))
			return false;
		if (text_is(key, "dtype"))
			fine = read_string(reader, &dtype) && ++ndtypes;
		else if (text_is(key, "shape"))
			fine = read_shape(reader, &elements) && ++nshapes;
		else if (text_is(key, "data_offsets"))
			fine = read_offsets(reader, &extent) && ++noffsets;
		else
			fine = fail(reader, "a tensor has a member that is none of dtype, shape and data_offsets");
		if (!fine)
			return false;
	} while (take(reader, ','));
	if (!expect(reader, '}', "a tensor has no end"))
		return false;
	if (ndtypes != 1 || nshapes != 1 || noffsets != 1)
		return fail(reader, "a tensor must have dtype, shape and data_offsets once each");

	reader->extents = header_grow(reader->host, reader->extents, &reader->extents_capacity, reader->nextents + 1, sizeof(Extent));
	reader->extents[reader->nextents++] = extent;
	return check_tensor(reader, dtype, elements, extent);
}

static bool
read_metadata(Reader *reader)
{
	HeaderText *keys = NULL;
	size_t		nkeys = 0;
	size_t		capacity = 0;

	if (!expect(reader, '{', "__metadata__ must be an object"))
		return false;
	if (take(reader, '}'))
		return true;
	do
	{
		HeaderText	key;
		HeaderValue value = {HEADER_TEXT};

		if (!read_string(reader, &key) || !expect(reader, ':', "a colon was expected") || !read_string(reader, &value.text))
			return false;
		if (nkeys == HEADER_MAX_VALUES)
			return fail(reader, "__metadata__ has too many members");
		keys = header_grow(reader->host, keys, &capacity, nkeys + 1, sizeof(HeaderText));
		keys[nkeys++] = key;
		reader->host->entry(reader->host->arg, key, &value);
	} while (take(reader, ','));
	return expect(reader, '}', "__metadata__ has no end")
		&& (header_names_differ(keys, nkeys) || fail(reader, "__metadata__ has a key twice"));
}

static bool
read_member(Reader *reader)
{
	HeaderText	name;

	if (!read_string(reader, &name) || !expect(reader, ':', "a colon was expected"))
		return false;
	reader->names = header_grow(reader->host, reader->names, &reader->names_capacity, reader->nnames + 1, sizeof(HeaderText));
	reader->names[reader->nnames++] = name;
	return text_is(name, "__metadata__") ? read_metadata(reader) : read_tensor(reader);
}

static int
compare_extents(const void *a, const void *b)
{
	const Extent *left = a;
	const Extent *right = b;

	if (left->begin != right->begin)
		return left->begin < right->begin ? -1 : 1;
	return (left->end > right->end) - (left->end < right->end);
}

static bool
check_cover(Reader *reader, uint64_t data_size)
{
	uint64_t	covered = 0;

	if (reader->nextents > 0)
		qsort(reader->extents, reader->nextents, sizeof(Extent), compare_extents);
	for (size_t i = 0; i < reader->nextents; i++)
	{
		if (reader->extents[i].begin != covered)
			return fail(reader, "the tensors leave a hole or overlap");
		covered = reader->extents[i].end;
	}
	return covered == data_size || fail(reader, "the file does not have the size that its tensors need");
}

static bool
read_header(Reader *reader, uint64_t data_size)
{
	if (*reader->start != '{')
		return fail(reader, "the header does not begin with a brace");
	reader->at++;
	if (!take(reader, '}'))
	{
		do
		{
			if (!read_member(reader))
				return false;
		} while (take(reader, ','));
		if (!expect(reader, '}', "the header has no end"))
			return false;
	}
	for (; reader->at < reader->end; reader->at++)
		if (*reader->at != ' ')
			return fail(reader, "something other than spaces follows the header");
	if (!header_names_differ(reader->names, reader->nnames))
		return fail(reader, "a name is there twice");
	return check_cover(reader, data_size);
}

static uint64_t
header_length(const unsigned char *start)
{
	uint64_t	length = 0;

	for (int i = LENGTH_SIZE - 1; i >= 0; i--)
		length = length << 8 | start[i];
	return length;
}

/*
 * Whether a file that begins so is meant to be safetensors, right or wrong.
 */
bool
safetensors_looks_like(const unsigned char *start, size_t size, uint64_t file_size)
{
	return size > LENGTH_SIZE && start[LENGTH_SIZE] == '{' && header_length(start) <= HEADER_MAX_SIZE
		&& header_length(start) <= file_size - LENGTH_SIZE;
}

/*
 * Reads the header of a file; false, with header->problem, where anything about
 * it is not as it should be.  Entries may have been handed over by then.
 */
bool
safetensors_read(HeaderHost *host, uint64_t file_size, Header *header)
{
	Reader		reader = {.host = host, .header = header};
	unsigned char start[LENGTH_SIZE];
	uint64_t	length;

	memset(header, 0, sizeof(Header));
	if (file_size < LENGTH_SIZE)
		return header_fail(header, 0, "the file is too short");
	host->read(host->arg, 0, start, LENGTH_SIZE);
	length = header_length(start);
	if (length > HEADER_MAX_SIZE)
		return header_fail(header, 0, "the header is longer than 100,000,000 bytes");
	if (length == 0 || length > file_size - LENGTH_SIZE)
		return header_fail(header, 0, "the header does not fit into the file");

	reader.start = reader.at = host->resize(host->arg, NULL, length);
	reader.end = reader.start + length;
	host->read(host->arg, LENGTH_SIZE, reader.start, length);
	header->data_start = LENGTH_SIZE + length;
	return read_header(&reader, file_size - header->data_start);
}
