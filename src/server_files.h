/*
 * server_files.h
 *		Files of the server that the registry may read: opening and listing.
 */
#ifndef ASSETREG_SERVER_FILES_H
#define ASSETREG_SERVER_FILES_H

#include <dirent.h>
#include <sys/stat.h>

#include "utils/guc.h"
#include "utils/palloc.h"

typedef enum ServerFileState
{
	SERVER_FILE_OPEN,			/* a regular file, open for reading */
	SERVER_FILE_DIRECTORY,		/* open for server_files_walk() */
	SERVER_FILE_IRREGULAR,		/* a FIFO, a device, a socket */
	SERVER_FILE_MISSING,		/* its directory is there, and it is not */
	SERVER_FILE_UNREACHABLE,	/* cannot be told now */
	SERVER_FILE_OUTSIDE			/* not below a directory of assetreg.asset_roots */
} ServerFileState;

typedef struct ServerFile
{
	MemoryContext context;		/* closes the file when it goes */
	const char *path;			/* as it was given */
	ServerFileState state;
	const char *detail;			/* why it is not open, where there is more to say than the state does */
	int			fd;
	DIR		   *dir;
	struct stat stat;
} ServerFile;

/* What a walk finds: the path below the walked directory, and what is wrong with it, or NULL. */
typedef void (*ServerFileVisitor) (void *arg, const char *path, const struct stat *stat, const char *problem);

extern bool server_files_check_roots(char **newval, void **extra, GucSource source);
extern bool server_files_may_read(void);
extern ServerFile *server_file_open(const char *path);
extern ServerFile *server_file_open_below(ServerFile *directory, const char *path);
extern void server_file_close(ServerFile *file);
extern void server_files_walk(ServerFile *directory, bool recursive, const char *const *left_out,
							  ServerFileVisitor visitor, void *arg);

#endif							/* ASSETREG_SERVER_FILES_H */
