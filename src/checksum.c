/*
 * checksum.c
 *		Hashes of an open file, all in one pass.
 *
 * SHA-256 of the whole file is its identity.  The field's short hashes are
 * SHA-256 too, cut off: AutoV1 over 64 kB from the second megabyte on, AutoV3
 * over what follows the header of a safetensors file; AutoV2, the beginning of
 * the SHA-256, needs no hashing.
 *
 * AutoV3 hashes nearly every byte a second time, and reading takes its time, too.
 * So for a file of some size a thread does one of the two long hashes while the
 * backend reads and does the other.  PostgreSQL knows no threads: this one gets
 * bytes and an OpenSSL context, touches nothing else, takes no signals, and is
 * joined before its memory goes, whatever ends the backend's work.  Where no
 * thread can be had the backend does it all.
 */
#include "postgres.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "checksum.h"
#include "compat.h"

/* Large enough for few system calls, small enough to stay in the processor's cache. */
#define BLOCK_SIZE (512 * 1024)

/* So many blocks the thread may be behind: waking it takes time, which it makes up for. */
#define NBLOCKS 4

/* Below that a thread costs more than it gains. */
#define MIN_SIZE_FOR_THREAD (4 * 1024 * 1024)

#define AUTOV1_START 0x100000
#define AUTOV1_SIZE 0x10000

/* A hash of the bytes [start, end) of the file; no context: not wanted. */
typedef struct Stream
{
	EVP_MD_CTX *context;
	int64		start;
	int64		end;
	bool		failed;
} Stream;

typedef enum StreamName
{
	WHOLE,
	AUTOV1,
	AUTOV3,
	NSTREAMS
} StreamName;

/* A thread that hashes the blocks that the backend has read. */
typedef struct Helper
{
	bool		runs;
	pthread_t	thread;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	Stream	   *stream;
	int64		nread;			/* blocks */
	int64		nhashed;
	bool		stop;			/* when all are hashed */
} Helper;

typedef struct Work
{
	int64		size;
	char	   *blocks[NBLOCKS];	/* the file's blocks take turns in them */
	Stream		streams[NSTREAMS];
	Helper		helper;
} Work;

/* ---- streams ---- */

static Size
block_size(Work *work, int64 block)
{
	return Min(BLOCK_SIZE, work->size - block * BLOCK_SIZE);
}

/* Hashes what the stream wants of a block; runs in the thread, too. */
static void
update_stream(Work *work, Stream *stream, int64 block)
{
	int64		offset = block * BLOCK_SIZE;
	int64		from = Max(stream->start, offset);
	int64		to = Min(stream->end, offset + (int64) block_size(work, block));

	if (from < to && EVP_DigestUpdate(stream->context, work->blocks[block % NBLOCKS] + (from - offset), to - from) != 1)
		stream->failed = true;
}

static void
begin_stream(Stream *stream, int64 start, int64 end)
{
	stream->start = start;
	stream->end = end;
	stream->context = EVP_MD_CTX_new();
	if (stream->context == NULL || EVP_DigestInit_ex(stream->context, EVP_sha256(), NULL) != 1)
		elog(ERROR, "could not begin a SHA-256 hash");
}

static void
put_hex(const unsigned char *digest, char *hex, int ndigits)
{
	for (int i = 0; i < ndigits; i++)
		hex[i] = "0123456789abcdef"[i % 2 == 0 ? digest[i / 2] >> 4 : digest[i / 2] & 15];
	hex[ndigits] = '\0';
}

static void
end_stream(Stream *stream, char *hex, int ndigits)
{
	unsigned char digest[EVP_MAX_MD_SIZE];

	if (stream->failed || EVP_DigestFinal_ex(stream->context, digest, NULL) != 1)
		elog(ERROR, "could not compute a SHA-256 hash");
	put_hex(digest, hex, ndigits);
}

/* ---- the thread ---- */

static void *
help(void *arg)
{
	Work	   *work = arg;
	Helper	   *helper = &work->helper;

	pthread_mutex_lock(&helper->mutex);
	for (;;)
	{
		while (helper->nhashed == helper->nread && !helper->stop)
			pthread_cond_wait(&helper->changed, &helper->mutex);
		if (helper->nhashed == helper->nread)
			break;
		pthread_mutex_unlock(&helper->mutex);
		update_stream(work, helper->stream, helper->nhashed);
		pthread_mutex_lock(&helper->mutex);
		helper->nhashed++;
		pthread_cond_signal(&helper->changed);
	}
	pthread_mutex_unlock(&helper->mutex);
	return NULL;
}

/* The backend's signals stay the backend's: a thread inherits what is blocked. */
static void
start_helper(Work *work, Stream *stream)
{
	Helper	   *helper = &work->helper;
	sigset_t	all;
	sigset_t	before;

	helper->stream = stream;
	pthread_mutex_init(&helper->mutex, NULL);
	pthread_cond_init(&helper->changed, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	helper->runs = pthread_create(&helper->thread, NULL, help, work) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Waits until the place of the next block is free. */
static void
wait_for_place(Helper *helper)
{
	pthread_mutex_lock(&helper->mutex);
	while (helper->nread - helper->nhashed == NBLOCKS)
		pthread_cond_wait(&helper->changed, &helper->mutex);
	pthread_mutex_unlock(&helper->mutex);
}

static void
hand_over(Helper *helper)
{
	pthread_mutex_lock(&helper->mutex);
	helper->nread++;
	pthread_cond_signal(&helper->changed);
	pthread_mutex_unlock(&helper->mutex);
}

/* Lets the thread finish what it has got, and waits for its end. */
static void
stop_helper(Helper *helper)
{
	if (!helper->runs)
		return;
	pthread_mutex_lock(&helper->mutex);
	helper->stop = true;
	pthread_cond_signal(&helper->changed);
	pthread_mutex_unlock(&helper->mutex);
	pthread_join(helper->thread, NULL);
	helper->runs = false;
}

/* ---- the pass ---- */

static void
clean_up(void *arg)
{
	Work	   *work = arg;

	stop_helper(&work->helper);
	for (int i = 0; i < NSTREAMS; i++)
		EVP_MD_CTX_free(work->streams[i].context);
}

static Work *
make_work(ServerFile *file)
{
	Work	   *work = MemoryContextAllocZero(file->context, sizeof(Work));
	MemoryContextCallback *callback = MemoryContextAlloc(file->context, sizeof(MemoryContextCallback));

	work->size = file->stat.st_size;
	for (int i = 0; i < NBLOCKS && i * BLOCK_SIZE < work->size; i++)
		work->blocks[i] = MemoryContextAlloc(file->context, block_size(work, i));
	callback->func = clean_up;
	callback->arg = work;
	MemoryContextRegisterResetCallback(file->context, callback);
	return work;
}

static void
raise_changed(ServerFile *file, const char *how)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("file \"%s\" was changed while it was read", file->path),
			 errdetail_internal("%s", how),
			 errhint("Try again when nobody writes to it.")));
}

/*
 * Reads bytes that the file had when it was opened; an error if it has them no
 * more.
 */
void
checksum_read(ServerFile *file, int64 offset, void *to, Size size)
{
	while (size > 0)
	{
		ssize_t		nread = pread(file->fd, to, size, offset);

		CHECK_FOR_INTERRUPTS();
		if (nread < 0 && errno == EINTR)
			continue;
		if (nread < 0)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not read file \"%s\": %m", file->path)));
		if (nread == 0)
			raise_changed(file, "It is shorter than it was.");
		to = (char *) to + nread;
		offset += nread;
		size -= nread;
	}
}

static void
check_unchanged(ServerFile *file)
{
	struct stat now;

	if (fstat(file->fd, &now) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not stat file \"%s\": %m", file->path)));
	if (now.st_nlink == 0)
		raise_changed(file, "It was removed, or another file was put in its place.");
	/* not st_mtim, which writers set, and which says nothing of a file that was moved away */
	if (now.st_size != file->stat.st_size
		|| now.st_ctim.tv_sec != file->stat.st_ctim.tv_sec || now.st_ctim.tv_nsec != file->stat.st_ctim.tv_nsec)
		raise_changed(file, "Its size or the time of its last change is another one.");
}

/* Reads the file once; each stream gets every block, one of them in the thread. */
static void
pass(ServerFile *file, Work *work, Stream *helped)
{
	Helper	   *helper = &work->helper;

	if (work->size >= MIN_SIZE_FOR_THREAD)
		start_helper(work, helped);
	posix_fadvise(file->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	for (int64 block = 0; block * BLOCK_SIZE < work->size; block++)
	{
		if (helper->runs)
			wait_for_place(helper);
		checksum_read(file, block * BLOCK_SIZE, work->blocks[block % NBLOCKS], block_size(work, block));
		if (helper->runs)
			hand_over(helper);
		for (Stream *stream = work->streams; stream < work->streams + NSTREAMS; stream++)
			if (stream->context != NULL && !(helper->runs && stream == helped))
				update_stream(work, stream, block);
	}
	stop_helper(helper);
}

/*
 * Hashes an open regular file; AutoV3 where it is told where the tensors start
 * (-1: not) and there are any.  Memory is constant.  Raises 55006 where the
 * file changes meanwhile; then, and when it is cancelled, the file can only be
 * closed.
 */
void
checksum_file(ServerFile *file, int64 tensors_start, Checksums *sums)
{
	Work	   *work = make_work(file);
	Stream	   *streams = work->streams;
	int64		size = work->size;

	Assert(file->state == SERVER_FILE_OPEN);
	memset(sums, 0, sizeof(Checksums));
	begin_stream(&streams[WHOLE], 0, size);
	if (size >= AUTOV1_START + AUTOV1_SIZE)
		begin_stream(&streams[AUTOV1], AUTOV1_START, AUTOV1_START + AUTOV1_SIZE);
	if (tensors_start >= 0 && tensors_start < size)
		begin_stream(&streams[AUTOV3], tensors_start, size);
	pass(file, work, &streams[streams[AUTOV3].context != NULL ? AUTOV3 : WHOLE]);
	check_unchanged(file);

	end_stream(&streams[WHOLE], sums->sha256, SHA256_HEX_SIZE);
	if (streams[AUTOV1].context != NULL)
		end_stream(&streams[AUTOV1], sums->autov1, AUTOV1_HEX_SIZE);
	if (streams[AUTOV3].context != NULL)
		end_stream(&streams[AUTOV3], sums->autov3, AUTOV3_HEX_SIZE);
}

/*
 * SHA-256 of bytes in memory; hex has room for SHA256_HEX_SIZE digits and NUL.
 */
void
checksum_bytes(const void *bytes, Size size, char *hex)
{
	unsigned char digest[EVP_MAX_MD_SIZE];

	if (EVP_Digest(bytes, size, digest, NULL, EVP_sha256(), NULL) != 1)
		elog(ERROR, "could not compute a SHA-256 hash");
	put_hex(digest, hex, SHA256_HEX_SIZE);
}
