/*
 * needs.c
 *		What some entities, the users, need directly or through others, counted.
 *
 * Each user's needs are walked; what lies above the users, scenes and segments,
 * is never touched.  Where the graph is in memory, they are walked there.  Else
 * what is below all users is read once, level by level, into arrays, with nodes
 * numbered as they come.  Of a node a walk knows one bit, and who needs nothing
 * itself is marked in the edges that lead to it, so that most of it stays in the
 * processor's cache.
 *
 * All of this counts with the set's memory, up to work_mem *
 * hash_mem_multiplier.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "adjacency.h"
#include "compat.h"
#include "dense_walk.h"
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
		if (needs->edges_size > PG_UINT32_MAX / 2 - nneighbours || needs->nnodes > PG_INT32_MAX / 2)
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

/* Room for walks that find so much. */
static void
reserve_walk(Needs *needs, Size size)
{
	needs->walk_size = Max(size, 2 * (Size) needs->walk_size);
	needs->found = idset_reserve(needs->set, needs->found, needs->walk_size * sizeof(uint32));
	needs->waiting = idset_reserve(needs->set, needs->waiting, needs->walk_size * sizeof(uint32));
}

static void
prepare_to_count(Needs *needs)
{
	Size		nnodes = Max(needs->nnodes, 1);

	needs->counts = idset_reserve(needs->set, NULL, nnodes * sizeof(NeedCount));
	memset(needs->counts, 0, nnodes * sizeof(NeedCount));
	reserve_walk(needs, 1024);
}

/*
 * What the users need, to be walked where it is in memory.  False: something
 * has no number there, or it takes more than may be had.
 */
static bool
use_memory(Needs *needs, EdgeQuestion *question, const int64 *users, int nusers)
{
	const EdgeBase *base = question->base;
	Size		limit = get_hash_memory_limit();

	/* with room for what a walk finds */
	if (!dense_ids_fit(question, users, nusers)
		|| base->nnumbers * sizeof(NeedCount) + nusers * sizeof(uint32) > limit - limit / 8)
		return false;
	needs->question = question;
	needs->first_id = base->first_id;
	needs->changed = question->gone.nedges + question->added.nedges > 0;
	needs->nnodes = base->nnumbers;
	for (int i = 0; i < nusers; i++)
		needs->users[i] = (uint64) users[i] - (uint64) base->first_id;
	return true;
}

/* Who needs nothing is marked where it is needed. */
static void
mark_leaves(Needs *needs)
{
	for (uint32 i = 0; i < needs->nedges; i++)
		if (needs->node_edges[needs->edges[i]].n == 0)
			needs->edges[i] |= CSR_LEAF;
}

static void
read_edges(Needs *needs, Adjacency *adjacency, const int64 *users, int nusers)
{
	int			level = 0;
	Size		nwords;

	needs->numbers = numbers_create(CurrentMemoryContext, 1024, NULL);
	reserve_nodes(needs, Max(nusers, 1024));
	needs->edges_size = 4096;
	needs->edges = idset_reserve(needs->set, NULL, needs->edges_size * sizeof(uint32));
	frontier_init(&needs->frontiers[0], needs->set);
	frontier_init(&needs->frontiers[1], needs->set);
	needs->next = &needs->frontiers[0];
	for (int i = 0; i < nusers; i++)
		needs->users[i] = node_number(needs, users[i]);

	while (needs->frontiers[level].nids > 0)
	{
		needs->next = &needs->frontiers[1 - level];
		frontier_clear(needs->next);
		adjacency_expand(adjacency, frontier_keys(&needs->frontiers[level]), add_edges, needs);
		level = 1 - level;
	}
	mark_leaves(needs);
	nwords = (Size) needs->nnodes / 64 + 1;
	needs->seen = idset_reserve(needs->set, NULL, nwords * sizeof(uint64));
	memset(needs->seen, 0, nwords * sizeof(uint64));
}

/*
 * Prepares to count what the users, sorted and each once, need.  The adjacency
 * is one of EDGES_TO_DEPENDENCIES, and stays until that is done.  Raises 53400
 * past the limit of memory, 54000 past that of numbers.
 */
Needs *
needs_read(Adjacency *adjacency, const int64 *users, int nusers)
{
	Needs	   *needs = palloc0(sizeof(Needs));
	EdgeQuestion *question = adjacency_memory(adjacency);

	needs->set = idset_create();
	needs->users = idset_reserve(needs->set, NULL, Max(nusers, 1) * sizeof(uint32));
	needs->nusers = nusers;
	if (question == NULL || !use_memory(needs, question, users, nusers))
		read_edges(needs, adjacency, users, nusers);
	prepare_to_count(needs);
	return needs;
}

/*
 * The number of an entity, NO_NEED if no user can need it or be it.
 */
uint32
needs_find(const Needs *needs, int64 id)
{
	NumberChunk *chunk;

	if (needs->ids == NULL)
	{
		uint64		number = (uint64) id - (uint64) needs->first_id;

		return number < needs->nnodes ? number : NO_NEED;
	}
	chunk = numbers_lookup(needs->numbers, id >> CHUNK_SHIFT);
	return chunk == NULL ? NO_NEED : chunk->numbers[id & (CHUNK_IDS - 1)];
}

/* What a walk has found, and what waits to be expanded; kept apart from the needs so that it stays in registers. */
typedef struct NeedWalk
{
	Needs	   *needs;
	uint64	   *seen;
	uint32	   *found;
	uint32	   *waiting;
	uint32		nfound;
	uint32		nwaiting;
} NeedWalk;

/* Room for so many more. */
static inline void
reserve_more(NeedWalk *walk, Size more)
{
	Needs	   *needs = walk->needs;

	if (unlikely(needs->walk_size <= walk->nfound + more))
	{
		reserve_walk(needs, walk->nfound + more + 1);
		walk->found = needs->found;
		walk->waiting = needs->waiting;
	}
}

/*
 * Finds nodes.  Each is written, and kept if it is new: no branch to guess.
 * What was a leaf in the base may need something since.
 */
static pg_attribute_always_inline void
visit(NeedWalk *walk, const uint32 *edges, uint32 n, const IdFilter *changed, int64 first_id)
{
	NeedWalk	w = *walk;

	for (uint32 i = 0; i < n; i++)
	{
		uint32		number = csr_number(edges[i]);
		uint64		bits = w.seen[number / 64];
		uint32		is_new = ~(bits >> (number % 64)) & 1;

		w.seen[number / 64] = bits | UINT64CONST(1) << (number % 64);
		w.found[w.nfound] = number;
		w.nfound += is_new;
		if (csr_leaf(edges[i]) && (changed == NULL || !id_filter_has(changed, first_id + number)))
			continue;
		w.waiting[w.nwaiting] = number;
		w.nwaiting += is_new;
	}
	*walk = w;
}

static void
visit_ids(void *arg, int64 id, const int64 *neighbours, int nneighbours)
{
	NeedWalk   *walk = arg;

	reserve_more(walk, nneighbours);
	for (int i = 0; i < nneighbours; i++)
	{
		uint32		number = (uint64) neighbours[i] - (uint64) walk->needs->first_id;

		visit(walk, &number, 1, NULL, 0);
	}
}

/* What a node needs directly. */
static inline const uint32 *
out_edges(const Needs *needs, uint32 number, uint32 *n)
{
	const Csr  *csr;

	if (needs->question == NULL)
	{
		*n = needs->node_edges[number].n;
		return needs->edges + needs->node_edges[number].first;
	}
	csr = &needs->question->base->csr[EDGES_TO_DEPENDENCIES];
	*n = 0;
	if (number >= needs->question->base->nids)
		return NULL;
	*n = csr->offsets[number + 1] - csr->offsets[number];
	return csr->neighbours + csr->offsets[number];
}

/*
 * Finds a user and everything that it needs; how many these are.  Their bits
 * are set.
 */
static uint32
walk_user(Needs *needs, uint32 user)
{
	const IdFilter *changed = needs->changed ? &needs->question->filter : NULL;
	int64		first_id = needs->first_id;
	NeedWalk	walk = {needs, needs->seen, needs->found, needs->waiting};

	visit(&walk, &user, 1, NULL, 0);
	while (walk.nwaiting > 0)
	{
		uint32		number = walk.waiting[--walk.nwaiting];
		const uint32 *edges;
		uint32		n;

		if (changed != NULL && id_filter_has(changed, first_id + number))
		{
			edge_question_expand_one(needs->question, first_id + number, visit_ids, &walk);
			continue;
		}
		if (walk.nwaiting > 1)
			__builtin_prefetch(out_edges(needs, walk.waiting[walk.nwaiting - 2], &n));
		edges = out_edges(needs, number, &n);
		reserve_more(&walk, n);
		if (changed == NULL)
			visit(&walk, edges, n, NULL, 0);
		else
			visit(&walk, edges, n, changed, first_id);
	}
	return walk.nfound;
}

/* Forgets what the walk saw, and counts the user at it. */
static void
count_found(Needs *needs, uint32 nfound, bool together)
{
	NeedCount  *counts = needs->counts;
	const uint32 *found = needs->found;

	uint64	   *seen = needs->seen;

	for (uint32 i = 0; i < nfound; i++)
	{
		counts[found[i]].users++;
		counts[found[i]].together += together;
		seen[found[i] / 64] = 0;
	}
}

/* How many of the given nodes has the walk found? */
static int
count_given(const Needs *needs, const uint32 *given, int ngiven)
{
	int			n = 0;

	for (int i = 0; i < ngiven; i++)
		n += needs->seen[given[i] / 64] >> (given[i] % 64) & 1;
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

	if (needs->question != NULL)
		needs->seen = dense_seen_begin(needs->question);
	for (int i = 0; i < ngiven; i++)
		if ((numbers[n] = needs_find(needs, given[i])) != NO_NEED)
			n++;
	for (uint32 user = 0; user < needs->nusers; user++)
	{
		uint32		nfound = walk_user(needs, needs->users[user]);
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
	if (needs->question != NULL)
		dense_seen_end(needs->question, false);
	needs->question = NULL;
	pfree(numbers);
}

void
needs_free(Needs *needs)
{
	if (needs->numbers != NULL)
		numbers_destroy(needs->numbers);
	idset_free(needs->set);
	pfree(needs);
}
