/*
 * idset.c
 *		Sets of ids, made for ids that are dense: one sequence numbers all entities.
 *
 * A set is a hash table of chunks of 256 neighbouring ids, a bit each, so ten
 * million dense ids take three megabytes and stay in the processor's cache; an
 * id far from all others takes about a hundred bytes.  All memory of a set and
 * its frontiers is bounded by work_mem * hash_mem_multiplier.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/memutils.h"

#include "idset.h"

typedef struct IdChunk
{
	int64		number;
	uint64		words[ID_CHUNK_WORDS];
	uint32		tag;			/* the frontier that has the chunk at slot */
	uint32		slot;
	char		status;
} IdChunk;

/* Neighbouring numbers spread by Fibonacci hashing. */
#define SH_PREFIX chunks
#define SH_ELEMENT_TYPE IdChunk
#define SH_KEY_TYPE int64
#define SH_KEY number
#define SH_HASH_KEY(tb, key) ((uint32) (((uint64) (key) * UINT64CONST(0x9E3779B97F4A7C15)) >> 32))
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct IdSet
{
	MemoryContext context;		/* holds the frontiers, too */
	Size		limit;			/* bytes */
	chunks_hash *chunks;
	IdChunk    *last;			/* where the last id was: the next is often there */
	uint32		tags;			/* frontiers begun so far */
};

#define chunk_number(id) ((id) >> ID_CHUNK_SHIFT)
#define chunk_word(id) (((id) >> 6) & (ID_CHUNK_WORDS - 1))
#define chunk_bit(id) (UINT64CONST(1) << ((id) & 63))

/*
 * Makes an empty set in the current memory context.  The limit is that of a
 * hash table of the executor.
 */
IdSet *
idset_create(void)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "assetreg id set", ALLOCSET_DEFAULT_SIZES);
	IdSet	   *set = MemoryContextAllocZero(context, sizeof(IdSet));

	set->context = context;
	set->limit = get_hash_memory_limit();
	set->chunks = chunks_create(context, 16, NULL);
	return set;
}

void
idset_free(IdSet *set)
{
	MemoryContextDelete(set->context);
}

static void
check_limit(IdSet *set, Size more)
{
	if (MemoryContextMemAllocated(set->context, true) + more > set->limit)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("dependency walk exceeds the memory limit of %zu kB", set->limit / 1024),
				 errdetail("The limit is \"work_mem\" times \"hash_mem_multiplier\"."),
				 errhint("Increase \"work_mem\" or \"hash_mem_multiplier\", or limit the depth of the walk.")));
}

/*
 * Allocates (old NULL) or enlarges memory that counts with the set's and is
 * freed with it.  Raises 53400 past the limit.
 */
void *
idset_reserve(IdSet *set, void *old, Size size)
{
	check_limit(set, size);
	return old == NULL ? MemoryContextAllocHuge(set->context, size) : repalloc_huge(old, size);
}

static inline IdChunk *
find_chunk(IdSet *set, int64 number)
{
	if (set->last == NULL || set->last->number != number)
		set->last = chunks_lookup(set->chunks, number);
	return set->last;
}

static IdChunk *
make_chunk(IdSet *set, int64 number)
{
	IdChunk    *chunk;
	bool		found;

	if (set->chunks->members >= set->chunks->grow_threshold)
		check_limit(set, sizeof(IdChunk) * 2 * set->chunks->size);
	chunk = chunks_insert(set->chunks, number, &found);
	if (!found)
	{
		memset(chunk->words, 0, sizeof(chunk->words));
		chunk->tag = 0;
	}
	return set->last = chunk;
}

bool
idset_contains(IdSet *set, int64 id)
{
	IdChunk    *chunk = find_chunk(set, chunk_number(id));

	return chunk != NULL && (chunk->words[chunk_word(id)] & chunk_bit(id)) != 0;
}

/* The frontier's copy of a chunk, which comes into being with its first id. */
static IdBits *
frontier_chunk(Frontier *frontier, IdChunk *chunk)
{
	IdBits	   *bits;

	if (chunk->tag == frontier->tag)
		return &frontier->chunks[chunk->slot];

	if (frontier->nchunks == frontier->size)
	{
		frontier->size = Max(16, frontier->size * 2);
		frontier->chunks = idset_reserve(frontier->set, frontier->chunks, frontier->size * sizeof(IdBits));
	}
	chunk->tag = frontier->tag;
	chunk->slot = frontier->nchunks++;
	bits = &frontier->chunks[chunk->slot];
	memset(bits, 0, sizeof(IdBits));
	bits->number = chunk->number;
	return bits;
}

/*
 * Adds an id to the set, and to the frontier (or NULL) if it is new; says
 * whether it was.
 */
bool
idset_add(IdSet *set, Frontier *frontier, int64 id)
{
	IdChunk    *chunk = find_chunk(set, chunk_number(id));

	if (chunk == NULL)
		chunk = make_chunk(set, chunk_number(id));
	if (chunk->words[chunk_word(id)] & chunk_bit(id))
		return false;
	chunk->words[chunk_word(id)] |= chunk_bit(id);
	if (frontier != NULL)
	{
		frontier_chunk(frontier, chunk)->words[chunk_word(id)] |= chunk_bit(id);
		frontier->nids++;
	}
	return true;
}

/* The first id of a chunk that is not less than from; false if there is none. */
static bool
first_id(const IdBits *chunk, int64 from, int64 *id)
{
	int64		base = (int64) ((uint64) chunk->number << ID_CHUNK_SHIFT);
	int			word = 0;
	uint64		mask = ~UINT64CONST(0);

	if (from > base)
	{
		word = chunk_word(from);
		mask <<= from & 63;
	}
	for (; word < ID_CHUNK_WORDS; word++, mask = ~UINT64CONST(0))
		if (chunk->words[word] & mask)
		{
			*id = base + word * 64 + pg_rightmost_one_pos64(chunk->words[word] & mask);
			return true;
		}
	return false;
}

static bool
frontier_seek(KeySet *keys, int64 from, int64 *key)
{
	Frontier   *frontier = (Frontier *) keys;
	int64		number = chunk_number(from);
	uint32		step = 1;

	/* leap to the last chunk before, then walk */
	while (frontier->pos + step < frontier->nchunks && frontier->chunks[frontier->pos + step].number < number)
	{
		frontier->pos += step;
		step *= 2;
	}
	for (; step > 0; step /= 2)
		if (frontier->pos + step < frontier->nchunks && frontier->chunks[frontier->pos + step].number < number)
			frontier->pos += step;

	for (; frontier->pos < frontier->nchunks; frontier->pos++)
	{
		const IdBits *chunk = &frontier->chunks[frontier->pos];

		if (chunk->number >= number && first_id(chunk, from, key))
			return true;
	}
	return false;
}

/*
 * Begins a frontier of a set; its memory is the set's.
 */
void
frontier_init(Frontier *frontier, IdSet *set)
{
	memset(frontier, 0, sizeof(Frontier));
	frontier->keys.seek = frontier_seek;
	frontier->set = set;
	frontier->tag = ++set->tags;
}

/*
 * Empties a frontier for the next level; keeps its memory.
 */
void
frontier_clear(Frontier *frontier)
{
	frontier->nchunks = 0;
	frontier->nids = 0;
	frontier->tag = ++frontier->set->tags;
}

#define ST_SORT sort_chunks
#define ST_ELEMENT_TYPE IdBits
#define ST_COMPARE(a, b) (((a)->number > (b)->number) - ((a)->number < (b)->number))
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/*
 * The frontier's ids as keys, from the start.  Nothing may be added after.
 */
KeySet *
frontier_keys(Frontier *frontier)
{
	bool		sorted = true;

	for (uint32 i = 1; i < frontier->nchunks && sorted; i++)
		sorted = frontier->chunks[i - 1].number < frontier->chunks[i].number;
	if (!sorted)
	{
		sort_chunks(frontier->chunks, frontier->nchunks);
		/* the set's slots point elsewhere now */
		frontier->tag = ++frontier->set->tags;
	}
	frontier->pos = 0;
	return &frontier->keys;
}

static bool
array_seek(KeySet *keys, int64 from, int64 *key)
{
	ArrayKeys  *array = (ArrayKeys *) keys;

	while (array->pos < array->nids && array->ids[array->pos] < from)
		array->pos++;
	if (array->pos == array->nids)
		return false;
	*key = array->ids[array->pos];
	return true;
}

/*
 * Makes keys of sorted ids, which the caller keeps.
 */
KeySet *
array_keys_init(ArrayKeys *array, const int64 *ids, int nids)
{
	array->keys.seek = array_seek;
	array->ids = ids;
	array->nids = nids;
	array->pos = 0;
	return &array->keys;
}

static bool
all_seek(KeySet *keys, int64 from, int64 *key)
{
	*key = from;
	return true;
}

KeySet *
all_keys(void)
{
	static KeySet keys = {all_seek};

	return &keys;
}
