/*
 * file_list.c
 *		The files in a directory of the server.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "args.h"
#include "compat.h"
#include "model_file.h"

PG_FUNCTION_INFO_V1(assetreg_list_files);

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
		problem = psprintf("symbolic link: %s", file->state == SERVER_FILE_DIRECTORY ? "directory" : model_file_state(file->state));
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
				 errdetail("State: %s%s%s.", directory->state == SERVER_FILE_OPEN ? "file" : model_file_state(directory->state),
						   directory->detail != NULL ? ": " : "", directory->detail != NULL ? directory->detail : ""),
				 errhint("A directory must be one of those in \"assetreg.asset_roots\", or below one of them.")));
	listing.directory = pnstrdup(path, length_without_slashes(path));
	listing.pattern = like_pattern(pattern);
	listing.context = AllocSetContextCreate(CurrentMemoryContext, "assetreg listing", ALLOCSET_DEFAULT_SIZES);
	server_files_walk(directory, recursive, NULL, put_file, &listing);
	server_file_close(directory);
	return (Datum) 0;
}
