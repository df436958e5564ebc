/*
 * needs.c
 *		What some entities, the users, need directly or through others, counted.
 *
 * The graph below all users is read once, level by level, into arrays; what
 * lies above them, scenes and segments, is never touched.  Then each user's
 * needs are walked there.  What is seen of a node while walking is two bits,
 * and nodes are numbered as they come, those that many need among the first, so
 * that most of it stays in the processor's cache.
 *
 * Nodes and edges count with the set's memory, up to work_mem *
 * hash_mem_multiplier.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "adjacency.h"
#include "compat.h"
#include "needs.h"

/* The numbers of 256 neighbouring ids: ids are dense, so there are few of these. */
#define CHUNK_SHIFT 8
#define CHUNK_IDS (1 << CHUNK_SHIFT)

typedef struct NumberChunk
{
	int64		chunk;			/* id >> CHUNK_SHIFT */
	uint32	   *numbers;
	char		status;
} NumberChunk;

#define SH_PREFIX numbers
#define SH_ELEMENT_TYPE NumberChunk
#define SH_KEY_TYPE int64
#define SH_KEY chunk
#define SH_HASH_KEY(tb, key) ((uint32) (((uint64) (key) * UINT64CONST(0x9E3779B97F4A7C15)) >> 32))
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* Of a node: does it need anything; has it been found by the walk that is going on? */
#define MARK_INNER 1
#define MARK_SEEN 2

static void
reserve_nodes(Needs *needs, uint32 size)
{
	needs->nodes_size = size;
	needs->ids = idset_reserve(needs->set, needs->ids, size * sizeof(int64));
	needs->node_edges = idset_reserve(needs->set, needs->node_edges, size * sizeof(NeedEdges));
}

static NumberChunk *
new_chunk(Needs *needs, int64 number)
{
	bool		found;
	NumberChunk *chunk = numbers_insert(needs->numbers, number, &found);

	chunk->numbers = idset_reserve(needs->set, NULL, CHUNK_IDS * sizeof(uint32));
	memset(chunk->numbers, 0xff, CHUNK_IDS * sizeof(uint32));
	return chunk;
}

static inline uint32
node_number(Needs *needs, int64 id)
{
	NumberChunk *chunk = numbers_lookup(needs->numbers, id >> CHUNK_SHIFT);
	uint32	   *number;

	if (chunk == NULL)
		chunk = new_chunk(needs, id >> CHUNK_SHIFT);
	number = &chunk->numbers[id & (CHUNK_IDS - 1)];
	if (*number != NO_NEED)
		return *number;
	if (needs->nnodes == needs->nodes_size)
		reserve_nodes(needs, needs->nodes_size * 2);
	needs->ids[needs->nnodes] = id;
	needs->node_edges[needs->nnodes] = (NeedEdges) {0};
	idset_add(needs->set, needs->next, id);
	return *number = needs->nnodes++;
}

/* An entity may come in several calls, one right after the other. */
static void
add_edges(void *arg, int64 id, const int64 *neighbours, int nneighbours)
{
	Needs	   *needs = arg;
	uint32		from = node_number(needs, id);

	if (needs->edges_size - needs->nedges < nneighbours)
	{
		if (needs->edges_size > PG_UINT32_MAX / 2 - nneighbours)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("too many dependencies to count what is used together")));
		needs->edges_size = needs->edges_size * 2 + nneighbours;
		needs->edges = idset_reserve(needs->set, needs->edges, (Size) needs->edges_size * sizeof(uint32));
	}
	if (needs->node_edges[from].n == 0)
		needs->node_edges[from].first = needs->nedges;
	needs->node_edges[from].n += nneighbours;
	for (int i = 0; i < nneighbours; i++)
		needs->edges[needs->nedges++] = node_number(needs, neighbours[i]);
}

static void
prepare_to_count(Needs *needs)
{
	Size		nnodes = needs->nnodes;

	needs->counts = idset_reserve(needs->set, NULL, Max(nnodes, 1) * sizeof(NeedCount));
	memset(needs->counts, 0, nnodes * sizeof(NeedCount));
	needs->marks = idset_reserve(needs->set, NULL, Max(nnodes, 1));
	for (uint32 i = 0; i < nnodes; i++)
		needs->marks[i] = needs->node_edges[i].n > 0 ? MARK_INNER : 0;
	/* with a place to spare */
	needs->found = idset_reserve(needs->set, NULL, (nnodes + 1) * sizeof(uint32));
	needs->waiting = idset_reserve(needs->set, NULL, (nnodes + 1) * sizeof(uint32));
}

/*
 * Reads all that the users, sorted and each once, need.  The adjacency is one
 * of EDGES_TO_DEPENDENCIES.  Raises 53400 past the limit of memory, 54000 past
 * that of numbers.
 */
Needs *
needs_read(Adjacency *adjacency, const int64 *users, int nusers)
{
	Needs	   *needs = palloc0(sizeof(Needs));
	int			level = 0;

	needs->set = idset_create();
	needs->numbers = numbers_create(CurrentMemoryContext, 1024, NULL);
	reserve_nodes(needs, Max(nusers, 1024));
	needs->edges_size = 4096;
	needs->edges = idset_reserve(needs->set, NULL, needs->edges_size * sizeof(uint32));
	frontier_init(&needs->frontiers[0], needs->set);
	frontier_init(&needs->frontiers[1], needs->set);
	needs->next = &needs->frontiers[0];
	for (int i = 0; i < nusers; i++)
		node_number(needs, users[i]);
	needs->nusers = nusers;

	while (needs->frontiers[level].nids > 0)
	{
		needs->next = &needs->frontiers[1 - level];
		frontier_clear(needs->next);
		adjacency_expand(adjacency, frontier_keys(&needs->frontiers[level]), add_edges, needs);
		level = 1 - level;
	}
	prepare_to_count(needs);
	return needs;
}

/*
 * The number of an entity, NO_NEED if no user needs it or is it.
 */
uint32
needs_find(const Needs *needs, int64 id)
{
	NumberChunk *chunk = numbers_lookup(needs->numbers, id >> CHUNK_SHIFT);

	return chunk == NULL ? NO_NEED : chunk->numbers[id & (CHUNK_IDS - 1)];
}

/*
 * Finds a user and everything that it needs; how many these are.  Their bits
 * are set.
 */
static uint32
walk(Needs *needs, uint32 user)
{
	uint32	   *found = needs->found;
	uint32	   *waiting = needs->waiting;
	uint8	   *marks = needs->marks;
	uint32		nfound = 1;
	uint32		depth = 0;

	found[0] = user;
	waiting[depth++] = user;
	marks[user] |= MARK_SEEN;
	while (depth > 0)
	{
		NeedEdges	out = needs->node_edges[waiting[--depth]];
		const uint32 *edge = needs->edges + out.first;

		if (depth > 1)
			__builtin_prefetch(needs->edges + needs->node_edges[waiting[depth - 2]].first);
		for (uint32 i = 0; i < out.n; i++)
		{
			uint32		number = edge[i];
			uint8		mark = marks[number];

			/* written in any case, kept if it is new: no branch to guess */
			marks[number] = mark | MARK_SEEN;
			found[nfound] = number;
			nfound += (mark & MARK_SEEN) == 0;
			waiting[depth] = number;
			depth += mark == MARK_INNER;
		}
	}
	return nfound;
}

/* Forgets what the walk saw, and counts the user at it. */
static void
count_found(Needs *needs, uint32 nfound, bool together)
{
	NeedCount  *counts = needs->counts;
	const uint32 *found = needs->found;

	if (together)
		for (uint32 i = 0; i < nfound; i++)
		{
			counts[found[i]].users++;
			counts[found[i]].together++;
			needs->marks[found[i]] &= ~MARK_SEEN;
		}
	else
		for (uint32 i = 0; i < nfound; i++)
		{
			counts[found[i]].users++;
			needs->marks[found[i]] &= ~MARK_SEEN;
		}
}

/* How many of the given nodes has the walk found? */
static int
count_given(const Needs *needs, const uint32 *given, int ngiven)
{
	int			n = 0;

	for (int i = 0; i < ngiven; i++)
		n += (needs->marks[given[i]] & MARK_SEEN) != 0;
	return n;
}

/*
 * Counts for each node how many users need it, and how many of those that need
 * most of the given entities, which come sorted and each once: none if no user
 * needs any; all, if none are given.  Can be cancelled.
 */
void
needs_count(Needs *needs, const int64 *given, int ngiven)
{
	uint32	   *numbers = palloc(Max(ngiven, 1) * sizeof(uint32));
	int			n = 0;
	int			most = ngiven > 0 ? 1 : 0;

	for (int i = 0; i < ngiven; i++)
		if ((numbers[n] = needs_find(needs, given[i])) != NO_NEED)
			n++;
	for (uint32 user = 0; user < needs->nusers; user++)
	{
		uint32		nfound = walk(needs, user);
		int			matches = count_given(needs, numbers, n);

		CHECK_FOR_INTERRUPTS();
		if (matches > most)
		{
			/* so those before did not need most */
			for (uint32 i = 0; i < needs->nnodes; i++)
				needs->counts[i].together = 0;
			needs->nmatching = 0;
			most = matches;
		}
		needs->nmatching += matches == most;
		count_found(needs, nfound, matches == most);
	}
	pfree(numbers);
}

void
needs_free(Needs *needs)
{
	idset_free(needs->set);
	numbers_destroy(needs->numbers);
	pfree(needs);
}
