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
#include "safetensors.h"
#include "server_files.h"

PG_FUNCTION_INFO_V1(assetreg_measure_file);
PG_FUNCTION_INFO_V1(assetreg_measure_directory);
PG_FUNCTION_INFO_V1(assetreg_list_files);

/* So many files may be in a directory that is measured. */
#define MAX_DIRECTORY_FILES 1000000

static const char *const state_names[] = {
	[SERVER_FILE_OPEN] = "measured",
	[SERVER_FILE_DIRECTORY] = "directory",
	[SERVER_FILE_IRREGULAR] = "irregular",
	[SERVER_FILE_MISSING] = "missing",
	[SERVER_FILE_UNREACHABLE] = "unreachable",
	[SERVER_FILE_OUTSIDE] = "outside"
};

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

#define MEASURE_COLUMNS 9

typedef struct Row
{
	Datum		values[MEASURE_COLUMNS];
	bool		nulls[MEASURE_COLUMNS];
} Row;

static void
put_text_column(Row *row, int column, const char *value)
{
	row->nulls[column] = value == NULL || *value == '\0';
	if (!row->nulls[column])
		row->values[column] = CStringGetTextDatum(value);
}

static void
measure(ServerFile *file, bool strict, Row *row)
{
	Checksums	sums;
	FileFormat	format = {NULL};
	bool		is_safetensors;

	if (file->stat.st_size == 0 && strict)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("file \"%s\" is empty", file->path),
				 errdetail("The hash of nothing identifies no asset.")));
	read_format(file, strict, &format);
	is_safetensors = format.name != NULL && strcmp(format.name, "safetensors") == 0;
	checksum_file(file, is_safetensors ? (int64) format.header.data_start : -1, &sums);

	row->values[2] = Int64GetDatum(file->stat.st_size);
	row->nulls[2] = false;
	put_text_column(row, 3, sums.sha256);
	put_text_column(row, 4, sums.autov1);
	put_text_column(row, 5, sums.autov3);
	put_text_column(row, 6, format.name);
	row->values[7] = format.metadata;
	row->values[8] = format.tensors;
	row->nulls[7] = row->nulls[8] = format.name == NULL;
}

/* Puts the row of an answer, and closes the file. */
static void
put_answer(FunctionCallInfo fcinfo, ServerFile *file, const char *state, Row *row)
{
	put_text_column(row, 0, state);
	put_text_column(row, 1, file->detail);
	server_file_close(file);
	put_row(fcinfo, row->values, row->nulls);
}

/*
 * assetreg._measure_file(path text, strict boolean): one row with the state of
 * the file, why it is not measured where there is more to say, and, if it is
 * measured, its size, hashes, format, and what its header says.  Strict: raises
 * 22023 for an empty file and a header that is not right; otherwise these are
 * measured as files of no known format.
 */
Datum
assetreg_measure_file(PG_FUNCTION_ARGS)
{
	const char *path = arg_word(fcinfo, 0, "path");
	bool		strict = arg_flag(fcinfo, 1, "strict");
	Row			row;
	ServerFile *file;

	memset(&row, 0, sizeof(row));
	memset(row.nulls, true, sizeof(row.nulls));
	InitMaterializedSRF(fcinfo, 0);
	file = server_file_open(path);
	if (file->state == SERVER_FILE_OPEN)
		measure(file, strict, &row);
	put_answer(fcinfo, file, state_names[file->state], &row);
	return (Datum) 0;
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

static void
measure_directory(ServerFile *directory, Row *row)
{
	static const char *const left_out[] = {".git", "__pycache__", NULL};
	DirectoryFiles files = {directory, palloc(1024 * sizeof(char *)), 0, 1024};
	StringInfoData lines;
	char		sha256[SHA256_HEX_SIZE + 1];
	int64		size = 0;

	server_files_walk(directory, true, left_out, add_path, &files);
	if (files.npaths == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("directory \"%s\" has no files", directory->path),
				 errdetail("The hash of nothing identifies no asset.")));
	qsort(files.paths, files.npaths, sizeof(char *), compare_paths);
	initStringInfo(&lines);
	for (Size i = 0; i < files.npaths; i++)
		size += put_line(&lines, directory, files.paths[i]);
	checksum_bytes(lines.data, lines.len, sha256);

	row->values[2] = Int64GetDatum(size);
	row->values[3] = Int64GetDatum(files.npaths);
	row->nulls[2] = row->nulls[3] = false;
	put_text_column(row, 4, sha256);
}

/*
 * assetreg._measure_directory(path text): one row with the state of the
 * directory and, if it is measured, the size of its files, their number and a
 * hash of them all: SHA-256 over one line for each regular file, in the order of
 * the bytes of their paths,
 *		SHA-256 of the file, space, size, space, path below the directory, NUL
 * without what is called .git or __pycache__, at every depth.  Symbolic links
 * are left out, too.  The same, in a shell that is in the directory:
 *		find . \( -name .git -o -name __pycache__ \) -prune -o -type f -printf '%P\0' | LC_ALL=C sort -z |
 *		while IFS= read -r -d '' f; do
 *			printf '%s %s %s\0' "$(sha256sum <"$f" | cut -c 1-64)" "$(stat -c %s "./$f")" "$f"
 *		done | sha256sum
 * Raises 22023 for a directory without files, and 55000 where one of them cannot
 * be read.
 */
Datum
assetreg_measure_directory(PG_FUNCTION_ARGS)
{
	const char *path = arg_word(fcinfo, 0, "path");
	Row			row;
	ServerFile *file;

	memset(&row, 0, sizeof(row));
	memset(row.nulls, true, sizeof(row.nulls));
	InitMaterializedSRF(fcinfo, 0);
	file = server_file_open(path);
	if (file->state == SERVER_FILE_DIRECTORY)
		measure_directory(file, &row);
	put_answer(fcinfo, file, file->state == SERVER_FILE_DIRECTORY ? "measured"
			   : file->state == SERVER_FILE_OPEN ? "file" : state_names[file->state], &row);
	return (Datum) 0;
}

/* ---- lists ---- */

typedef struct Listing
{
	FunctionCallInfo fcinfo;
	const char *directory;
	Datum		pattern;		/* of LIKE, for the file's name */
	MemoryContext context;		/* emptied after each row */
} Listing;

/* The pattern of LIKE that a pattern of file names is: * and ? stand for others. */
static Datum
like_pattern(const char *pattern)
{
	StringInfoData like;

	initStringInfo(&like);
	for (; *pattern != '\0'; pattern++)
	{
		if (*pattern == '%' || *pattern == '_' || *pattern == '\\')
			appendStringInfoChar(&like, '\\');
		appendStringInfoChar(&like, *pattern == '*' ? '%' : *pattern == '?' ? '_' : *pattern);
	}
	return CStringGetTextDatum(like.data);
}

static bool
name_matches(const Listing *listing, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;

	return DatumGetBool(DirectFunctionCall2Coll(textlike, C_COLLATION_OID, CStringGetTextDatum(name), listing->pattern));
}

/* A name that no text can hold, so that a person can find the file. */
static char *
printable_path(const char *path)
{
	StringInfoData printable;

	initStringInfo(&printable);
	for (; *path != '\0'; path++)
		appendStringInfo(&printable, IS_HIGHBIT_SET(*path) ? "\\x%02x" : "%c", (unsigned char) *path);
	return printable.data;
}

/* A link to a file that may be read is listed like the file. */
static const char *
link_problem(const char *path, int64 *size)
{
	ServerFile *file = server_file_open(path);
	const char *problem = NULL;

	if (file->state == SERVER_FILE_OPEN)
		*size = file->stat.st_size;
	else
		problem = psprintf("symbolic link: %s", state_names[file->state]);
	server_file_close(file);
	return problem;
}

static void
list_entry(Listing *listing, const char *below, const struct stat *stat, const char *problem)
{
	bool		valid = pg_verifymbstr(below, strlen(below), true);
	char	   *path = strcmp(below, ".") == 0 ? pstrdup(listing->directory) : psprintf("%s/%s", listing->directory, below);
	int64		size = 0;
	Datum		values[3];
	bool		nulls[3] = {false, false, false};

	if (problem == NULL && valid && !name_matches(listing, below))
		return;
	if (!valid)
		problem = "name is not valid in the encoding of the database";
	else if (problem == NULL && S_ISLNK(stat->st_mode))
		problem = link_problem(path, &size);
	else if (problem == NULL && !S_ISREG(stat->st_mode))
		problem = "not a regular file";
	else if (problem == NULL)
		size = stat->st_size;

	nulls[1] = problem != NULL;
	nulls[2] = problem == NULL;
	values[0] = CStringGetTextDatum(valid ? path : printable_path(path));
	values[1] = Int64GetDatum(size);
	values[2] = CStringGetTextDatum(problem != NULL ? problem : "");
	put_row(listing->fcinfo, values, nulls);
}

static void
put_file(void *arg, const char *below, const struct stat *stat, const char *problem)
{
	Listing    *listing = arg;
	MemoryContext caller = MemoryContextSwitchTo(listing->context);

	list_entry(listing, below, stat, problem);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(listing->context);
}

static Size
length_without_slashes(const char *path)
{
	Size		length = strlen(path);

	while (length > 0 && path[length - 1] == '/')
		length--;
	return length;
}

/*
 * assetreg._list_files(path text, pattern text, recursive boolean): the files
 * in a directory whose names match, in no order; with a problem instead of a
 * size those that cannot be registered.  Raises 22023 where the directory is not
 * one that may be read.
 */
Datum
assetreg_list_files(PG_FUNCTION_ARGS)
{
	const char *path = arg_word(fcinfo, 0, "path");
	const char *pattern = arg_word(fcinfo, 1, "pattern");
	bool		recursive = arg_flag(fcinfo, 2, "recursive");
	Listing		listing = {fcinfo};
	ServerFile *directory;

	InitMaterializedSRF(fcinfo, 0);
	directory = server_file_open(path);
	if (directory->state != SERVER_FILE_DIRECTORY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("could not open directory \"%s\"", path),
				 errdetail("State: %s%s%s.", directory->state == SERVER_FILE_OPEN ? "file" : state_names[directory->state],
						   directory->detail != NULL ? ": " : "", directory->detail != NULL ? directory->detail : ""),
				 errhint("A directory must be one of those in \"assetreg.asset_roots\", or below one of them.")));
	listing.directory = pnstrdup(path, length_without_slashes(path));
	listing.pattern = like_pattern(pattern);
	listing.context = AllocSetContextCreate(CurrentMemoryContext, "assetreg listing", ALLOCSET_DEFAULT_SIZES);
	server_files_walk(directory, recursive, NULL, put_file, &listing);
	server_file_close(directory);
	return (Datum) 0;
}
