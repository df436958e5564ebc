/*
 * header_fuzzer.c
 *		libFuzzer target for the readers of model files' headers.
 *
 * READER chooses the reader: safetensors or gguf.  What the fuzzer gives is a
 * whole file.  Sanitizers watch what the reader does with memory; beyond that,
 * what it hands over must be what it promises, and a file that it takes must be
 * one that it takes again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gguf.h"
#include "safetensors.h"

#define CAT_(a, b) a##b
#define CAT(a, b) CAT_(a, b)
#define READ CAT(READER, _read)

#define MUST(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

/* All memory given is in a list, to be freed afterwards as PostgreSQL does. */
typedef struct Chunk
{
	struct Chunk *next;
	struct Chunk *before;
} Chunk;

typedef struct File
{
	const uint8_t *bytes;
	size_t		size;
	size_t		given;			/* bytes of memory */
	uint64_t	entries;
	Chunk		chunks;			/* head of the ring */
} File;

static void *
resize(void *arg, void *old, size_t size)
{
	File	   *file = arg;
	Chunk	   *chunk = old == NULL ? NULL : (Chunk *) old - 1;

	if (chunk != NULL)
	{
		chunk->before->next = chunk->next;
		chunk->next->before = chunk->before;
	}
	chunk = realloc(chunk, sizeof(Chunk) + size);
	MUST(chunk != NULL);
	chunk->next = file->chunks.next;
	chunk->before = &file->chunks;
	chunk->next->before = chunk->before->next = chunk;
	file->given += size;
	return chunk + 1;
}

static void
read_bytes(void *arg, uint64_t offset, void *to, size_t size)
{
	File	   *file = arg;

	MUST(offset <= file->size && size <= file->size - offset);
	memcpy(to, file->bytes + offset, size);
}

static void
check_text(HeaderText text)
{
	MUST(header_is_text(text.data, text.size));
	MUST(memchr(text.data, 0, text.size) == NULL);
}

static void
take_entry(void *arg, HeaderText key, const HeaderValue *value)
{
	check_text(key);
	if (value->kind == HEADER_TEXT || value->kind == HEADER_SUMMARY)
		check_text(value->text);
	if (value->kind == HEADER_BOOL)
		MUST(value->number <= 1);
	((File *) arg)->entries++;
}

/* Reads the file; its memory must stay in proportion to it. */
static bool
read_file(const uint8_t *bytes, size_t size, Header *header, uint64_t *entries)
{
	File		file = {.bytes = bytes,.size = size};
	HeaderHost	host = {&file, resize, read_bytes, take_entry};
	bool		right;

	file.chunks.next = file.chunks.before = &file.chunks;
	right = READ(&host, size, header);
	MUST(file.given <= 1048576 + 65536 + size * 16);
	while (file.chunks.next != &file.chunks)
	{
		Chunk	   *chunk = file.chunks.next;

		file.chunks.next = chunk->next;
		free(chunk);
	}
	*entries = file.entries;
	return right;
}

int			LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	Header		header;
	Header		again;
	uint64_t	entries;
	uint64_t	entries_again;
	uint64_t	tensors = 0;

	if (!read_file(bytes, size, &header, &entries))
	{
		MUST(header.problem != NULL && header.problem_at <= size);
		return 0;
	}
	MUST(header.problem == NULL);
	for (int i = 0; i < header.ntypes; i++)
		tensors += header.types[i].tensors;
	MUST(tensors == header.tensors && (tensors == 0) == (header.ntypes == 0));
	MUST(READ == gguf_read || header.data_start <= size);
	MUST(read_file(bytes, size, &again, &entries_again));
	MUST(entries == entries_again && memcmp(&header, &again, sizeof(header)) == 0);
	return 0;
}
