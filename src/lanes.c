/*
 * lanes.c
 *		Many walks in one: each has a lane, a bit of every entity that is found.
 *
 * Breadth first, level by level, as graph.c does it, but all walks at once, so
 * an edge that several of them come by is read once for all that come by it on
 * the same level.  Knows no SQL and no tables.
 *
 * An entity takes three bits a lane, so the memory, which is bounded as that of
 * any walk is, may not do for all of them together; fewer lanes may have room.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "lanes.h"

#define MAX_WORDS (MAX_LANES / 64)

typedef struct Vertex
{
	int64		id;
	uint32		slot;			/* of its bits */
	char		status;
} Vertex;

/* Neighbouring ids spread by Fibonacci hashing. */
#define SH_PREFIX vertices
#define SH_ELEMENT_TYPE Vertex
#define SH_KEY_TYPE int64
#define SH_KEY id
#define SH_HASH_KEY(tb, key) ((uint32) (((uint64) (key) * UINT64CONST(0x9E3779B97F4A7C15)) >> 32))
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

typedef struct IdArray
{
	int64	   *ids;
	uint32		nids;
	uint32		size;
} IdArray;

struct Lanes
{
	MemoryContext context;
	Size		limit;			/* bytes */
	bool		full;			/* it does not do */
	int			nwords;			/* of 64 lanes each */
	vertices_hash *vertices;
	uint64	   *bits;			/* of each slot: the lanes that have been there, are there now, will be there next */
	uint32		nslots;
	uint32		size;
	IdArray		level;			/* where some lane is now */
	IdArray		next;
	IdArray		found;
	ArrayKeys	keys;
};

#define slot_bits(lanes, slot) (&(lanes)->bits[(Size) (slot) * 3 * (lanes)->nwords])

static bool
room_for(Lanes *lanes, Size more)
{
	if (MemoryContextMemAllocated(lanes->context, true) + more > lanes->limit)
		lanes->full = true;
	return !lanes->full;
}

static bool
add_id(Lanes *lanes, IdArray *array, int64 id)
{
	if (array->nids == array->size)
	{
		uint32		size = Max(1024, array->size * 2);

		if (!room_for(lanes, size * sizeof(int64)))
			return false;
		array->ids = array->ids == NULL ? MemoryContextAllocHuge(lanes->context, size * sizeof(int64))
			: repalloc_huge(array->ids, size * sizeof(int64));
		array->size = size;
	}
	array->ids[array->nids++] = id;
	return true;
}

/*
 * The bits of an entity, valid until the next call; NULL if there is no room.
 */
static uint64 *
vertex_bits(Lanes *lanes, int64 id)
{
	Vertex	   *vertex = vertices_lookup(lanes->vertices, id);
	Size		slot_size = 3 * lanes->nwords * sizeof(uint64);
	bool		found;

	if (vertex != NULL)
		return slot_bits(lanes, vertex->slot);

	if (lanes->nslots == lanes->size)
	{
		uint32		size = Max(256, lanes->size * 2);

		if (!room_for(lanes, size * slot_size))
			return NULL;
		lanes->bits = lanes->bits == NULL ? MemoryContextAllocHuge(lanes->context, size * slot_size)
			: repalloc_huge(lanes->bits, size * slot_size);
		lanes->size = size;
	}
	if (lanes->vertices->members >= lanes->vertices->grow_threshold
		&& !room_for(lanes, sizeof(Vertex) * 2 * lanes->vertices->size))
		return NULL;
	vertex = vertices_insert(lanes->vertices, id, &found);
	vertex->slot = lanes->nslots++;
	return memset(slot_bits(lanes, vertex->slot), 0, slot_size);
}

static void
add_neighbours(void *arg, int64 id, const int64 *neighbours, int nneighbours)
{
	Lanes	   *lanes = arg;
	int			nwords = lanes->nwords;
	uint64		here[MAX_WORDS];

	if (lanes->full)
		return;
	memcpy(here, vertex_bits(lanes, id) + nwords, nwords * sizeof(uint64));
	for (int i = 0; i < nneighbours; i++)
	{
		uint64	   *seen = vertex_bits(lanes, neighbours[i]);
		uint64	   *next;
		uint64		waiting = 0;
		uint64		new = 0;

		if (seen == NULL)
			return;
		next = seen + 2 * nwords;
		for (int w = 0; w < nwords; w++)
		{
			uint64		come = here[w] & ~seen[w];

			waiting |= next[w];
			new |= come;
			seen[w] |= come;
			next[w] |= come;
		}
		if (new != 0 && waiting == 0 && !add_id(lanes, &lanes->next, neighbours[i]))
			return;
	}
}

#define ST_SORT sort_ids
#define ST_ELEMENT_TYPE int64
#define ST_COMPARE(a, b) ((*(a) > *(b)) - (*(a) < *(b)))
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* What is next becomes what is now. */
static void
next_level(Lanes *lanes)
{
	IdArray		done = lanes->level;
	Size		size = lanes->nwords * sizeof(uint64);

	for (uint32 i = 0; i < done.nids; i++)
		memset(vertex_bits(lanes, done.ids[i]) + lanes->nwords, 0, size);
	for (uint32 i = 0; i < lanes->next.nids; i++)
	{
		uint64	   *now = vertex_bits(lanes, lanes->next.ids[i]) + lanes->nwords;

		memcpy(now, now + lanes->nwords, size);
		memset(now + lanes->nwords, 0, size);
	}
	lanes->level = lanes->next;
	lanes->next = done;
	lanes->next.nids = 0;
	sort_ids(lanes->level.ids, lanes->level.nids);
}

static bool
begin(Lanes *lanes, const Lane *walks, int nwalks)
{
	for (int i = 0; i < nwalks; i++)
		for (int j = 0; j < walks[i].nstarts; j++)
		{
			uint64	   *seen = vertex_bits(lanes, walks[i].starts[j]);
			uint64		waiting = 0;

			if (seen == NULL)
				return false;
			for (int w = 0; w < lanes->nwords; w++)
				waiting |= seen[w];
			seen[i / 64] |= UINT64CONST(1) << (i % 64);
			seen[2 * lanes->nwords + i / 64] |= UINT64CONST(1) << (i % 64);
			if (waiting == 0 && !add_id(lanes, &lanes->next, walks[i].starts[j]))
				return false;
		}
	return true;
}

/* A walk does not find its own starts, and what is left is in order. */
static bool
finish(Lanes *lanes, const Lane *walks, int nwalks)
{
	vertices_iterator iterator;
	Vertex	   *vertex;

	for (int i = 0; i < nwalks; i++)
		for (int j = 0; j < walks[i].nstarts; j++)
			vertex_bits(lanes, walks[i].starts[j])[i / 64] &= ~(UINT64CONST(1) << (i % 64));

	vertices_start_iterate(lanes->vertices, &iterator);
	while ((vertex = vertices_iterate(lanes->vertices, &iterator)) != NULL)
		if (!add_id(lanes, &lanes->found, vertex->id))
			return false;
	sort_ids(lanes->found.ids, lanes->found.nids);
	return true;
}

/*
 * Walks from the starts of up to MAX_LANES lanes to everything that is to be
 * found; NULL where work_mem times hash_mem_multiplier does not do for that.
 * The result is allocated in the current memory context.
 */
Lanes *
lanes_walk(Adjacency *adjacency, const Lane *walks, int nwalks)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "assetreg lanes", ALLOCSET_DEFAULT_SIZES);
	Lanes	   *lanes = MemoryContextAllocZero(context, sizeof(Lanes));

	Assert(nwalks > 0 && nwalks <= MAX_LANES);
	lanes->context = context;
	lanes->limit = get_hash_memory_limit();
	lanes->nwords = (nwalks + 63) / 64;
	lanes->vertices = vertices_create(context, 256, NULL);

	if (begin(lanes, walks, nwalks))
		for (next_level(lanes); lanes->level.nids > 0; next_level(lanes))
		{
			adjacency_expand(adjacency, array_keys_init(&lanes->keys, lanes->level.ids, lanes->level.nids), add_neighbours, lanes);
			if (lanes->full)
				break;
		}
	if (lanes->full || !finish(lanes, walks, nwalks))
	{
		lanes_free(lanes);
		return NULL;
	}
	return lanes;
}

/*
 * The ids that any lane found, and some starts, in order.
 */
KeySet *
lanes_keys(Lanes *lanes)
{
	return array_keys_init(&lanes->keys, lanes->found.ids, lanes->found.nids);
}

/*
 * The lanes that found one of these ids: bit i % 64 of word i / 64.
 */
const uint64 *
lanes_of(Lanes *lanes, int64 id)
{
	return slot_bits(lanes, vertices_lookup(lanes->vertices, id)->slot);
}

int
lanes_words(const Lanes *lanes)
{
	return lanes->nwords;
}

void
lanes_free(Lanes *lanes)
{
	MemoryContextDelete(lanes->context);
}
