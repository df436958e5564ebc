/*
 * server_files.c
 *		Files of the server that the registry may read: opening and listing.
 *
 * A role needs the right (server_files_may_read()), and a file lies below one of
 * the directories of assetreg.asset_roots.  The latter is decided on the resolved
 * path: all symbolic links are resolved first, and what comes out is opened from
 * its root downwards without following a link any more.  So links may lead from
 * root to root but nowhere else, and who exchanges a part of the path meanwhile
 * gains nothing.  A hard link cannot be told from the file itself: who may make
 * those below a root decides what is read there.
 *
 * Only regular files are read, and nothing is opened in a way that waits for a
 * writer, a device or a terminal.
 */
#include "postgres.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifdef SYS_openat2
#include <linux/openat2.h>
#endif

#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "assetreg.h"
#include "compat.h"
#include "server_files.h"

#ifndef O_PATH
#define O_PATH O_RDONLY
#endif

#define OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

/* So often a path may change between being resolved and being opened. */
#define MAX_TRIES 100

/* ---- settings and rights ---- */

/*
 * check_hook of assetreg.asset_roots: absolute directories, separated by commas.
 */
bool
server_files_check_roots(char **newval, void **extra, GucSource source)
{
	char	   *copy = pstrdup(*newval);
	List	   *roots = NIL;
	ListCell   *cell;
	bool		valid = SplitDirectoriesString(copy, ',', &roots);

	if (!valid)
		GUC_check_errdetail("List syntax is invalid.");
	foreach(cell, roots)
		if (valid && !is_absolute_path((char *) lfirst(cell)))
		{
			GUC_check_errdetail("\"%s\" is not an absolute path.", (char *) lfirst(cell));
			valid = false;
		}
	list_free_deep(roots);
	pfree(copy);
	return valid;
}

/* The caller frees nothing: it all goes with the current memory context. */
static List *
asset_roots(void)
{
	List	   *roots;

	SplitDirectoriesString(pstrdup(assetreg_asset_roots), ',', &roots);
	return roots;
}

/* Whether the current user may call what measures a file. */
static bool
may_call_measure_file(void)
{
	Oid			types[] = {TEXTOID, BOOLOID};
	Oid			function = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum("_measure_file"),
										   PointerGetDatum(buildoidvector(types, lengthof(types))),
										   ObjectIdGetDatum(get_namespace_oid("assetreg", true)));

	return OidIsValid(function) &&
		DatumGetBool(DirectFunctionCall3(has_function_privilege_id_id, ObjectIdGetDatum(GetUserId()),
										 ObjectIdGetDatum(function), CStringGetTextDatum("EXECUTE")));
}

/*
 * Whether the current user may read files below the roots: a role with the
 * privileges of pg_read_server_files, or one that may call
 * assetreg._measure_file(), which nobody may whom nobody granted it.
 */
bool
server_files_may_read(void)
{
	return has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES) || may_call_measure_file();
}

/* Raises 42501, whatever the path, where the current user may not read files. */
static void
check_right(void)
{
	if (!server_files_may_read())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to read files of the server"),
				 errdetail("Only roles with privileges of the \"%s\" role, or with the right to execute assetreg._measure_file(), may read files.",
						   "pg_read_server_files")));
}

/* ---- where a path leads ---- */

/* The part of a path that is below a root, "." for the root itself; NULL: it is elsewhere. */
static const char *
path_below(const char *root, const char *path)
{
	size_t		length = strlen(root);

	if (strcmp(root, "/") == 0)
		length = 0;
	if (strncmp(root, path, length) != 0 || (path[length] != '/' && path[length] != '\0'))
		return NULL;
	while (path[length] == '/')
		length++;
	return path[length] == '\0' ? "." : path + length;
}

/* Whether the path as it is written lies below a root as it is written. */
static bool
written_below_root(const char *path)
{
	char	   *canonical = pstrdup(path);
	ListCell   *cell;

	canonicalize_path(canonical);
	foreach(cell, asset_roots())
		if (path_below(lfirst(cell), canonical) != NULL)
			return true;
	return false;
}

/* Opens the root that a resolved path is below of, to open the rest from there; -1: there is none. */
static int
open_root(const char *resolved, const char **rest)
{
	char		root[PATH_MAX];
	ListCell   *cell;

	foreach(cell, asset_roots())
		if (realpath(lfirst(cell), root) != NULL && (*rest = path_below(root, resolved)) != NULL)
			return open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	errno = EXDEV;
	return -1;
}

/* Does by steps what openat2() does at once, for kernels that do not have it. */
static int
open_by_steps(int dirfd, const char *path, int flags)
{
	char		steps[PATH_MAX];
	int			fd = dirfd;

	if (strlcpy(steps, path, sizeof(steps)) >= sizeof(steps))
	{
		errno = ENAMETOOLONG;
		return -1;
	}
	for (char *step = steps, *slash; step != NULL && fd >= 0; step = slash)
	{
		int			from = fd;
		int			save_errno;

		slash = strchr(step, '/');
		if (slash != NULL)
			*slash++ = '\0';
		fd = openat(from, step, (slash != NULL ? O_PATH | O_DIRECTORY | O_CLOEXEC : flags) | O_NOFOLLOW);
		save_errno = errno;
		if (from != dirfd)
			close(from);
		errno = save_errno;
	}
	return fd;
}

/* Opens what is below a directory, following no link; the path has no "..". */
static int
open_below(int dirfd, const char *path, int flags)
{
#ifdef SYS_openat2
	struct open_how how = {.flags = flags,.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS};
	int			fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));

	/* containers of old refuse system calls that they do not know */
	if (fd >= 0 || (errno != ENOSYS && errno != EPERM))
		return fd;
#endif
	return open_by_steps(dirfd, path, flags);
}

/* ---- opening ---- */

static void
close_file(void *arg)
{
	ServerFile *file = arg;

	if (file->dir != NULL)
		closedir(file->dir);
	else if (file->fd >= 0)
		close(file->fd);
	ReleaseExternalFD();
}

/* A file that is not open yet, with a descriptor reserved for it, both until its memory goes. */
static ServerFile *
make_file(const char *path)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "assetreg file", ALLOCSET_SMALL_SIZES);
	ServerFile *file = MemoryContextAllocZero(context, sizeof(ServerFile));
	MemoryContextCallback *callback = MemoryContextAlloc(context, sizeof(MemoryContextCallback));

	file->context = context;
	file->path = MemoryContextStrdup(context, path);
	file->fd = -1;
	callback->func = close_file;
	callback->arg = file;
	if (!AcquireExternalFD())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not reserve a file descriptor: %m")));
	MemoryContextRegisterResetCallback(context, callback);
	return file;
}

/*
 * Closes a file; what raises an error need not.
 */
void
server_file_close(ServerFile *file)
{
	MemoryContextDelete(file->context);
}

/* Says what the open file is, and gives up what may not be read. */
static void
examine(ServerFile *file)
{
	if (fstat(file->fd, &file->stat) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not stat file \"%s\": %m", file->path)));
	if (S_ISREG(file->stat.st_mode))
		file->state = SERVER_FILE_OPEN;
	else if (S_ISDIR(file->stat.st_mode))
		file->state = SERVER_FILE_DIRECTORY;
	else
	{
		close(file->fd);
		file->fd = -1;
		file->state = SERVER_FILE_IRREGULAR;
	}
}

/* What errno of an open that failed says; false: that the path has just been changed. */
static bool
explain_open(ServerFile *file)
{
	switch (errno)
	{
		case ELOOP:
		case ENOENT:
		case ENOTDIR:
		case EXDEV:
		case EAGAIN:
			return false;
		case ENXIO:
			file->state = SERVER_FILE_IRREGULAR;	/* a socket */
			break;
		case EMFILE:
		case ENFILE:
		case ENOMEM:
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not open file \"%s\": %m", file->path)));
			break;
		default:
			file->state = SERVER_FILE_UNREACHABLE;
			file->detail = MemoryContextStrdup(file->context, strerror(errno));
	}
	return true;
}

/* Whether the directory of a path that leads nowhere is there, below a root. */
static bool
directory_is_there(const char *path)
{
	char		resolved[PATH_MAX];
	char	   *directory = pstrdup(path);
	char	   *slash = strrchr(directory, '/');
	const char *rest;
	int			rootfd;
	int			fd;

	slash[slash == directory ? 1 : 0] = '\0';
	if (realpath(directory, resolved) == NULL || (rootfd = open_root(resolved, &rest)) < 0)
		return false;
	fd = open_below(rootfd, rest, O_PATH | O_DIRECTORY | O_CLOEXEC);
	close(rootfd);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* What errno of a path that could not be resolved says. */
static void
explain_unresolved(ServerFile *file, const char *path)
{
	int			save_errno = errno;

	if (save_errno == ENOENT && directory_is_there(path))
	{
		file->state = SERVER_FILE_MISSING;
		return;
	}
	file->state = written_below_root(path) ? SERVER_FILE_UNREACHABLE : SERVER_FILE_OUTSIDE;
	if (file->state == SERVER_FILE_OUTSIDE)
		return;
	if (save_errno == ENAMETOOLONG)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("file path is too long"),
				 errdetail("It has %zu bytes, or a part of it has more than a file name may have.", strlen(path))));
	file->detail = MemoryContextStrdup(file->context, strerror(save_errno));
}

/* False: the path was changed between being resolved and being opened. */
static bool
try_open(ServerFile *file, const char *path)
{
	char		resolved[PATH_MAX];
	const char *rest;
	int			rootfd;
	bool		too_long = strlen(path) >= PATH_MAX;

	if (too_long)
		errno = ENAMETOOLONG;
	if (too_long || realpath(path, resolved) == NULL)
	{
		explain_unresolved(file, path);
		return true;
	}
	rootfd = open_root(resolved, &rest);
	if (rootfd < 0 && errno == EXDEV)
	{
		file->state = SERVER_FILE_OUTSIDE;
		return true;
	}
	if (rootfd >= 0)
	{
		int			save_errno;

		file->fd = open_below(rootfd, rest, OPEN_FLAGS);
		save_errno = errno;
		close(rootfd);
		errno = save_errno;
	}
	if (file->fd < 0)
		return explain_open(file);
	examine(file);
	return true;
}

/*
 * Opens a regular file or a directory below a root, or says why not.  It stays
 * open until server_file_close(), or until the current memory context goes.
 * Raises 42501 where the current user may not read files, 22023 where no file
 * can have such a path, and 55006 where the path does not stay the same for as
 * long as it takes to open it.
 */
ServerFile *
server_file_open(const char *path)
{
	ServerFile *file;

	check_right();
	file = make_file(path);
	if (!is_absolute_path(path))
	{
		file->state = SERVER_FILE_OUTSIDE;
		return file;
	}
	for (int i = 0; i < MAX_TRIES; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (try_open(file, path))
			return file;
	}
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("file \"%s\" is being exchanged", path),
			 errhint("Try again when nobody writes there.")));
}

/*
 * Opens what a walk through a directory has found; no link is followed.
 */
ServerFile *
server_file_open_below(ServerFile *directory, const char *path)
{
	ServerFile *file = make_file(path);

	file->fd = open_below(directory->fd, path, OPEN_FLAGS);
	if (file->fd >= 0)
		examine(file);
	else if (!explain_open(file))
	{
		file->state = SERVER_FILE_MISSING;
		file->detail = MemoryContextStrdup(file->context, strerror(errno));
	}
	return file;
}

/* ---- listing ---- */

typedef struct Walk
{
	ServerFile *top;
	bool		recursive;
	const char *const *left_out;
	ServerFileVisitor visitor;
	void	   *arg;
	List	   *directories;	/* still to be read: paths below the top */
} Walk;

static bool
is_left_out(Walk *walk, const char *name)
{
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return true;
	for (const char *const *other = walk->left_out; other != NULL && *other != NULL; other++)
		if (strcmp(name, *other) == 0)
			return true;
	return false;
}

static void
visit(Walk *walk, ServerFile *directory, const char *below, const char *name)
{
	char	   *path = strcmp(below, ".") == 0 ? pstrdup(name) : psprintf("%s/%s", below, name);
	struct stat stat;

	if (fstatat(dirfd(directory->dir), name, &stat, AT_SYMLINK_NOFOLLOW) != 0)
		walk->visitor(walk->arg, path, NULL, strerror(errno));
	else if (!S_ISDIR(stat.st_mode))
		walk->visitor(walk->arg, path, &stat, NULL);
	else if (walk->recursive)
	{
		walk->directories = lappend(walk->directories, path);
		return;
	}
	pfree(path);
}

static void
read_directory(Walk *walk, const char *below)
{
	ServerFile *directory = server_file_open_below(walk->top, below);
	struct dirent *entry;

	if (directory->state != SERVER_FILE_DIRECTORY)
	{
		walk->visitor(walk->arg, below, NULL, directory->detail != NULL ? directory->detail : "It is no directory any more");
		server_file_close(directory);
		return;
	}
	directory->dir = fdopendir(directory->fd);
	if (directory->dir == NULL)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open directory \"%s\": %m", below)));
	while (errno = 0, (entry = readdir(directory->dir)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (!is_left_out(walk, entry->d_name))
			visit(walk, directory, below, entry->d_name);
	}
	if (errno != 0)
		walk->visitor(walk->arg, below, NULL, strerror(errno));
	server_file_close(directory);
}

/*
 * Shows the visitor everything in an open directory that is no directory itself,
 * in no order, and with a problem what cannot be looked at; names that are left
 * out (NULL ends them, NULL: none) at every depth.  Links are shown, not
 * followed.  One directory is open at a time; memory is for the names of those
 * still to be read.
 */
void
server_files_walk(ServerFile *directory, bool recursive, const char *const *left_out, ServerFileVisitor visitor, void *arg)
{
	Walk		walk = {directory, recursive, left_out, visitor, arg};

	Assert(directory->state == SERVER_FILE_DIRECTORY);
	walk.directories = list_make1(pstrdup("."));
	while (walk.directories != NIL)
	{
		char	   *below = llast(walk.directories);

		walk.directories = list_delete_last(walk.directories);
		read_directory(&walk, below);
		pfree(below);
	}
}
