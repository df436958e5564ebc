/*
 * base_image.c
 *		A block of memory that never changes, in one place for all connections.
 *
 * What is copied from all-visible pages is true for every snapshot and refers to
 * nothing but itself, so one copy serves all: whoever makes it writes it to a
 * temporary file of the server, and every connection maps that file, to read
 * only.  Needs no preloading, no shared memory of a fixed size and no setting
 * of the kernel; what is not being read the kernel may take away and fetch
 * again.
 *
 * A file is written under a name that nobody reads, and renamed: so a file that
 * is there is whole.  There is one for each kind of image in a database, for
 * one table's file; another one takes its place, and the old one lives as long
 * as it is mapped anywhere.  The server removes temporary files when it starts,
 * also after a crash (RemovePgTempFiles, fd.c), unless it is told to keep them
 * (remove_temp_files_after_crash): LSNs that were lost in the crash are given
 * out again, so an image says which run of the server it is of.  Base backups
 * leave temporary files out.
 *
 * Where anything does not work, a full disk for one, there is no shared image,
 * and the connection keeps its own.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/parallel.h"
#include "common/file_utils.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/lock.h"
#include "storage/pg_shmem.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base_image.h"
#include "broken.h"

#define FOLDER "base/" PG_TEMP_FILES_DIR
#define WRITE_AT_ONCE (4 * 1024 * 1024)

/* Moved with every change of what images hold. */
#define IMAGE_FORMAT UINT64CONST(0x0002617373657472)

/* Third field of an advisory lock; those of users have 1 and 2. */
#define LOCK_KIND 3

const char	image_too_large[] = "the graph is larger than assetreg.graph_cache";

typedef struct Mapping
{
	MemoryContextCallback unmap;
	void	   *address;
	Size		size;
} Mapping;

/* Another one whenever shared memory is made anew, as after a crash. */
static uint64
server_run(void)
{
	return (uint64) PgStartTime ^ ((uint64) ((PGShmemHeader *) UsedShmemSegAddr)->dsm_control << 32);
}

static void
image_path(char *path, const char *name, const char *ending)
{
	snprintf(path, MAXPGPATH, "%s/%s_assetreg.%u.%s%s", FOLDER, PG_TEMP_FILE_PREFIX, MyDatabaseId, name, ending);
}

/*
 * Memory for an image of a table, in the current memory context, with its head
 * filled in and all else 0.  What connections need beside it counts for their
 * limits.
 */
BaseImage *
base_image_make(Size size, Size beside, Relation table)
{
	BaseImage  *image = palloc_extended(size, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);

	image->format = IMAGE_FORMAT;
	image->server = server_run();
	image->file = table->rd_locator;
	image->size = size;
	image->beside = beside;
	image->made_at = GetCurrentTimestamp();
	image->generation = (uint64) image->made_at ^ ((uint64) MyProcPid << 48);
	return image;
}

static void
unmap(void *arg)
{
	Mapping    *mapping = arg;

	if (mapping->address != MAP_FAILED)
		munmap(mapping->address, mapping->size);
}

/* Maps a whole file until the current memory context is gone; NULL where the system will not. */
static BaseImage *
map(int fd, Size size)
{
	Mapping    *mapping = palloc(sizeof(Mapping));

	mapping->address = MAP_FAILED;
	mapping->size = size;
	mapping->unmap.func = unmap;
	mapping->unmap.arg = mapping;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &mapping->unmap);
	mapping->address = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	return mapping->address == MAP_FAILED ? NULL : mapping->address;
}

/* Can be cancelled. */
static bool
write_all(int fd, const char *data, Size size)
{
	while (size > 0)
	{
		ssize_t		written = write(fd, data, Min(size, WRITE_AT_ONCE));

		CHECK_FOR_INTERRUPTS();
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return false;
		data += written;
		size -= written;
	}
	return true;
}

/* Who has the file mapped learns that there is another now. */
static void
supersede(const char *path)
{
	int			fd = OpenTransientFile(path, O_RDWR | PG_BINARY);
	uint32		yes = 1;

	if (fd < 0)
		return;
	if (pwrite(fd, &yes, sizeof(yes), offsetof(BaseImage, superseded)) != sizeof(yes))
		ereport(DEBUG1, (errmsg_internal("could not write file \"%s\": %m", path)));
	CloseTransientFile(fd);
}

/*
 * Puts an image where all connections find it under its name, in place of the
 * one that is there.  Gives the shared one, mapped until the current memory
 * context is gone, or NULL where that is not to be had.  The caller has the
 * lock.  Can be cancelled, and then leaves at most a file that the next one
 * writes over.
 */
static BaseImage *
publish(const char *name, BaseImage *image)
{
	char		path[MAXPGPATH];
	char		new[MAXPGPATH];
	BaseImage  *shared = NULL;
	int			fd;

	image_path(path, name, "");
	image_path(new, name, ".new");
	(void) MakePGDirectory(FOLDER);
	fd = OpenTransientFile(new, O_RDWR | O_CREAT | O_TRUNC | PG_BINARY);
	if (fd >= 0 && write_all(fd, (char *) image, image->size))
		shared = map(fd, image->size);
	if (shared != NULL)
	{
		supersede(path);
		if (rename(new, path) != 0)
			shared = NULL;
	}
	if (shared == NULL)
	{
		ereport(DEBUG1, (errmsg_internal("dependency graph is not shared: file \"%s\": %m", path)));
		(void) unlink(new);
	}
	if (fd >= 0)
		CloseTransientFile(fd);
	return shared;
}

static bool
is_wanted(const BaseImage *head, const ImageRequest *request)
{
	return head->format == IMAGE_FORMAT && head->server == server_run()
		&& (RelFileLocatorEquals(head->file, request->table->rd_locator) || BROKEN(FILE))
		&& head->generation != request->outdated && head->size + head->beside <= request->limit;
}

/* The image that is there, mapped until the current memory context is gone; NULL where there is none that is wanted. */
static BaseImage *
attach(const ImageRequest *request)
{
	char		path[MAXPGPATH];
	BaseImage	head;
	BaseImage  *image = NULL;
	struct stat status;
	int			fd;

	image_path(path, request->name, "");
	fd = OpenTransientFile(path, O_RDONLY | PG_BINARY);
	if (fd < 0)
		return NULL;
	if (pread(fd, &head, sizeof(head), 0) == sizeof(head) && is_wanted(&head, request)
		&& fstat(fd, &status) == 0 && status.st_size == head.size)
		image = map(fd, head.size);
	CloseTransientFile(fd);
	return image;
}

/* Makes the image, and keeps it in the current memory context where it cannot be shared. */
static BaseImage *
make(ImageRequest *request, bool share)
{
	MemoryContext context = CurrentMemoryContext;
	MemoryContext own = AllocSetContextCreate(context, "assetreg graph image", ALLOCSET_DEFAULT_SIZES);
	BaseImage  *image;
	BaseImage  *shared = NULL;

	MemoryContextSwitchTo(own);
	image = request->maker(request->table, request->limit, &request->refused);
	MemoryContextSwitchTo(context);
	if (image != NULL && share)
		shared = publish(request->name, image);
	request->tried = true;
	request->made = image != NULL;
	request->shared = shared != NULL;
	if (image != NULL)
		ereport(DEBUG1, (errmsg_internal("%s of the dependency graph taken into memory: %zu kB, %s", request->name, image->size / 1024,
										 shared != NULL ? "shared" : "of this connection")));
	if (image == NULL || shared != NULL)
		MemoryContextDelete(own);
	return shared != NULL ? shared : image;
}

/* One connection of a database makes images at a time; until unlocked, or the end of the transaction. */
static bool
lock_making(LOCKTAG *tag)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, 0, 0, LOCK_KIND);
	return LockAcquire(tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

/*
 * The image of a table: the one that another connection has made, or a new one,
 * which lives, or is mapped, until the current memory context is gone.  NULL,
 * and the reason in the request, where there is none: none that is wanted and
 * none to be made, another connection at work on it, or too large.  The table
 * is locked.  Can be cancelled.
 */
const BaseImage *
base_image_obtain(ImageRequest *request)
{
	BaseImage  *image = request->share ? attach(request) : NULL;
	LOCKTAG		tag;
	bool		locked;

	request->tried = request->made = false;
	request->shared = image != NULL;
	request->refused = NULL;
	if (image != NULL)
	{
		ereport(DEBUG1, (errmsg_internal("%s of the dependency graph that another connection has made: %zu kB",
										 request->name, image->size / 1024)));
		return image;
	}
	if (!request->make)
		return NULL;
	/* what a parallel worker makes is gone with it in a moment */
	locked = request->share && !IsParallelWorker() && lock_making(&tag);
	if (request->share && !locked && request->wait)
	{
		request->refused = "another connection is taking it into memory";
		return NULL;
	}
	/* it may have been made after the look above */
	if (locked)
		image = attach(request);
	if (image != NULL)
		request->shared = true;
	else
		image = make(request, locked);
	if (locked)
		LockRelease(&tag, ExclusiveLock, false);
	return image;
}
