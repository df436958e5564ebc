/*
 * model_file.c
 *		What the registry measures of a file or a directory of the server.
 *
 * The path is opened once, and everything is read from what was opened.  That a
 * file cannot be read is an answer, not an error: who registers a file that only
 * others see declares it.  Errors are what nobody may register.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_collation.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "args.h"
#include "checksum.h"
#include "compat.h"
#include "gguf.h"
#include "model_file.h"
#include "safetensors.h"
#include "server_files.h"

PG_FUNCTION_INFO_V1(assetreg_measure_file);

/* So many files may be in a directory that is measured. */
#define MAX_DIRECTORY_FILES 1000000

/* ---- headers ---- */

/* The surroundings of a header's reader. */
typedef struct HeaderReading
{
	ServerFile *file;
	StringInfoData metadata;	/* the JSON text of an object, without its end */
} HeaderReading;

static void *
resize(void *arg, void *old, size_t size)
{
	return old == NULL ? MemoryContextAllocHuge(CurrentMemoryContext, size) : repalloc_huge(old, size);
}

static void
read_file(void *arg, uint64_t offset, void *to, size_t size)
{
	checksum_read(((HeaderReading *) arg)->file, offset, to, size);
}

static void
put_text(StringInfo json, HeaderText text)
{
	char	   *string = pnstrdup(text.data, text.size);
	char	   *converted = pg_any_to_server(string, text.size, PG_UTF8);

	escape_json(json, converted);
	if (converted != string)
		pfree(converted);
	pfree(string);
}

/* JSON has no word for what is no finite number: that becomes a string. */
static void
put_real(StringInfo json, const HeaderValue *value)
{
	Datum		digits = value->kind == HEADER_FLOAT
		? DirectFunctionCall1(float4out, Float4GetDatum((float4) value->real))
		: DirectFunctionCall1(float8out, Float8GetDatum(value->real));

	appendStringInfo(json, isfinite(value->real) ? "%s" : "\"%s\"", DatumGetCString(digits));
}

static void
put_value(StringInfo json, const HeaderValue *value)
{
	switch (value->kind)
	{
		case HEADER_TEXT:
			put_text(json, value->text);
			break;
		case HEADER_BOOL:
			appendStringInfoString(json, value->number != 0 ? "true" : "false");
			break;
		case HEADER_UNSIGNED:
			appendStringInfo(json, UINT64_FORMAT, (uint64) value->number);
			break;
		case HEADER_SIGNED:
			appendStringInfo(json, INT64_FORMAT, (int64) value->number);
			break;
		case HEADER_FLOAT:
		case HEADER_DOUBLE:
			put_real(json, value);
			break;
		case HEADER_SUMMARY:
			appendStringInfo(json, "{\"type\": \"%.*s\", \"length\": " UINT64_FORMAT "}",
							 (int) value->text.size, value->text.data, (uint64) value->number);
	}
}

static void
put_entry(void *arg, HeaderText key, const HeaderValue *value)
{
	HeaderReading *reading = arg;

	CHECK_FOR_INTERRUPTS();
	appendStringInfoString(&reading->metadata, reading->metadata.len > 0 ? ", " : "{");
	put_text(&reading->metadata, key);
	appendStringInfoString(&reading->metadata, ": ");
	put_value(&reading->metadata, value);
}

static Datum
json_to_jsonb(StringInfo json)
{
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json->data));
}

static Datum
describe_tensors(const Header *header)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfo(&json, "{\"count\": " UINT64_FORMAT ", \"dtypes\": {", (uint64) header->tensors);
	for (int i = 0; i < header->ntypes; i++)
		appendStringInfo(&json, "%s\"%s\": " UINT64_FORMAT, i > 0 ? ", " : "",
						 header->types[i].name, (uint64) header->types[i].tensors);
	appendStringInfoString(&json, "}}");
	return json_to_jsonb(&json);
}

static bool
has_suffix(const char *path, const char *suffix)
{
	size_t		length = strlen(path);

	return length >= strlen(suffix) && pg_strcasecmp(path + length - strlen(suffix), suffix) == 0;
}

/* What the registry knows of a file's format. */
typedef struct FileFormat
{
	const char *name;			/* NULL: not known */
	Header		header;
	Datum		metadata;
	Datum		tensors;
} FileFormat;

/*
 * A file is of a format if its name or its beginning says so; then its header
 * must be right.
 */
static void
read_format(ServerFile *file, bool strict, FileFormat *format)
{
	HeaderReading reading = {file};
	HeaderHost	host = {&reading, resize, read_file, put_entry};
	int64		size = file->stat.st_size;
	unsigned char start[16];
	Size		start_size = Min(sizeof(start), size);
	bool		right;

	initStringInfo(&reading.metadata);
	checksum_read(file, 0, start, start_size);
	if (has_suffix(file->path, ".safetensors") || safetensors_looks_like(start, start_size, size))
	{
		format->name = "safetensors";
		right = safetensors_read(&host, size, &format->header);
	}
	else if (has_suffix(file->path, ".gguf") || gguf_looks_like(start, start_size))
	{
		format->name = "gguf";
		right = gguf_read(&host, size, &format->header);
	}
	else
		return;

	if (!right && strict)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("file \"%s\" has an invalid %s header", file->path, format->name),
				 errdetail("At byte " UINT64_FORMAT ": %s.", (uint64) format->header.problem_at, format->header.problem)));
	if (!right)
	{
		format->name = NULL;
		return;
	}
	appendStringInfoString(&reading.metadata, reading.metadata.len > 0 ? "}" : "{}");
	format->metadata = json_to_jsonb(&reading.metadata);
	format->tensors = describe_tensors(&format->header);
}

/* ---- files ---- */

static void
measure_regular(ServerFile *file, bool strict, Measurement *measured)
{
	FileFormat	format = {NULL};
	bool		is_safetensors;

	if (file->stat.st_size == 0 && strict)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("file \"%s\" is empty", file->path),
				 errdetail("The hash of nothing identifies no asset.")));
	read_format(file, strict, &format);
	is_safetensors = format.name != NULL && strcmp(format.name, "safetensors") == 0;
	checksum_file(file, is_safetensors ? (int64) format.header.data_start : -1, &measured->sums);
	measured->size = file->stat.st_size;
	measured->format = format.name;
	measured->metadata = format.metadata;
	measured->tensors = format.tensors;
}

/* ---- directories ---- */

typedef struct DirectoryFiles
{
	ServerFile *directory;
	const char **paths;
	Size		npaths;
	Size		capacity;
} DirectoryFiles;

static void
add_path(void *arg, const char *path, const struct stat *stat, const char *problem)
{
	DirectoryFiles *files = arg;

	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("could not read \"%s\" in directory \"%s\"", path, files->directory->path),
				 errdetail_internal("%s.", problem)));
	if (!S_ISREG(stat->st_mode))
		return;
	if (files->npaths == MAX_DIRECTORY_FILES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("directory \"%s\" has more than %d files", files->directory->path, MAX_DIRECTORY_FILES)));
	if (files->npaths == files->capacity)
	{
		files->capacity *= 2;
		files->paths = repalloc(files->paths, files->capacity * sizeof(char *));
	}
	files->paths[files->npaths++] = pstrdup(path);
}

static int
compare_paths(const void *a, const void *b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* Adds the line of a file to the text whose hash is the directory's. */
static int64
put_line(StringInfo lines, ServerFile *directory, const char *path)
{
	ServerFile *file = server_file_open_below(directory, path);
	Checksums	sums;
	int64		size;

	if (file->state != SERVER_FILE_OPEN)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("could not read \"%s\" in directory \"%s\"", path, directory->path),
				 file->detail != NULL ? errdetail_internal("%s.", file->detail) : 0));
	checksum_file(file, -1, &sums);
	size = file->stat.st_size;
	appendStringInfo(lines, "%s " INT64_FORMAT " %s", sums.sha256, size, path);
	appendStringInfoChar(lines, '\0');
	server_file_close(file);
	return size;
}

/*
 * The hash of a directory is SHA-256 over one line for each regular file, in the
 * order of the bytes of their paths,
 *		SHA-256 of the file, space, size, space, path below the directory, NUL
 * without what is called .git or __pycache__, at every depth.  Symbolic links
 * are left out, too.  The same, in a shell that is in the directory:
 *		find . \( -name .git -o -name __pycache__ \) -prune -o -type f -printf '%P\0' | LC_ALL=C sort -z |
 *		while IFS= read -r -d '' f; do
 *			printf '%s %s %s\0' "$(sha256sum <"$f" | cut -c 1-64)" "$(stat -c %s "./$f")" "$f"
 *		done | sha256sum
 */
static void
measure_directory(ServerFile *directory, bool strict, Measurement *measured)
{
	static const char *const left_out[] = {".git", "__pycache__", NULL};
	DirectoryFiles files = {directory, palloc(1024 * sizeof(char *)), 0, 1024};
	StringInfoData lines;

	server_files_walk(directory, true, left_out, add_path, &files);
	if (files.npaths == 0 && strict)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("directory \"%s\" has no files", directory->path),
				 errdetail("The hash of nothing identifies no asset.")));
	qsort(files.paths, files.npaths, sizeof(char *), compare_paths);
	initStringInfo(&lines);
	for (Size i = 0; i < files.npaths; i++)
		measured->size += put_line(&lines, directory, files.paths[i]);
	checksum_bytes(lines.data, lines.len, measured->sums.sha256);
	measured->files = files.npaths;
}

/*
 * Measures a file or a directory of the server, in the current memory context;
 * a state other than open says why it was not measured.  Strict: raises 22023
 * for an empty file, a directory without files and a header that is not right;
 * otherwise these are measured as files of no known format.  Raises what
 * server_file_open() does, 55000 where a file of a directory cannot be read, and
 * 55006 for a file that changes meanwhile.
 */
void
model_file_measure(const char *path, bool strict, Measurement *measured)
{
	ServerFile *file = server_file_open(path);

	memset(measured, 0, sizeof(Measurement));
	measured->state = file->state;
	measured->detail = file->detail == NULL ? NULL : pstrdup(file->detail);
	if (file->state == SERVER_FILE_OPEN)
		measure_regular(file, strict, measured);
	else if (file->state == SERVER_FILE_DIRECTORY)
		measure_directory(file, strict, measured);
	server_file_close(file);
}

/*
 * The word for a state, as SQL shows it.
 */
const char *
model_file_state(ServerFileState state)
{
	switch (state)
	{
		case SERVER_FILE_OPEN:
		case SERVER_FILE_DIRECTORY:
			return "measured";
		case SERVER_FILE_IRREGULAR:
			return "irregular";
		case SERVER_FILE_MISSING:
			return "missing";
		case SERVER_FILE_UNREACHABLE:
			return "unreachable";
		case SERVER_FILE_OUTSIDE:
			return "outside";
	}
	pg_unreachable();
}

#define MEASURE_COLUMNS 10

static void
put_text_column(Datum *values, bool *nulls, int column, const char *value)
{
	nulls[column] = value == NULL || *value == '\0';
	if (!nulls[column])
		values[column] = CStringGetTextDatum(value);
}

/*
 * assetreg._measure_file(path text, strict boolean): one row with the state of
 * a file or directory, why it is not measured where there is more to say, and, if
 * it is measured, its size, hashes, format, what its header says, and the number
 * of a directory's files.  Raises what model_file_measure() does.
 */
Datum
assetreg_measure_file(PG_FUNCTION_ARGS)
{
	const char *path = arg_word(fcinfo, 0, "path");
	bool		strict = arg_flag(fcinfo, 1, "strict");
	Measurement measured;
	Datum		values[MEASURE_COLUMNS];
	bool		nulls[MEASURE_COLUMNS];

	InitMaterializedSRF(fcinfo, 0);
	model_file_measure(path, strict, &measured);
	put_text_column(values, nulls, 0, model_file_state(measured.state));
	put_text_column(values, nulls, 1, measured.detail);
	values[2] = Int64GetDatum(measured.size);
	nulls[2] = measured.sums.sha256[0] == '\0';
	put_text_column(values, nulls, 3, measured.sums.sha256);
	put_text_column(values, nulls, 4, measured.sums.autov1);
	put_text_column(values, nulls, 5, measured.sums.autov3);
	put_text_column(values, nulls, 6, measured.format);
	values[7] = measured.metadata;
	values[8] = measured.tensors;
	nulls[7] = nulls[8] = measured.format == NULL;
	values[9] = Int64GetDatum(measured.files);
	nulls[9] = measured.state != SERVER_FILE_DIRECTORY;
	put_row(fcinfo, values, nulls);
	return (Datum) 0;
}
