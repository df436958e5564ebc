/*
 * dense_walk.c
 *		The walk inside memory, where entities are numbers.
 *
 * Breadth first, as graph.c does it, with a bit for each number and a queue.
 * What waits for the memory bus is fetched a few entities ahead.  The bits
 * belong to the base and are left clear, so that a small walk does not pay for
 * the size of the graph.
 */
#include "postgres.h"

#include "graph.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "dense_walk.h"

#define OFFSETS_AHEAD 8
#define NEIGHBOURS_AHEAD 4

typedef struct DenseState
{
	const EdgeBase *base;
	uint64	   *seen;
	uint32	   *queue;			/* everything found so far, with a place to spare */
	uint32		nqueue;
	uint32		size;
	Size		limit;			/* bytes */
} DenseState;

/* Room for so many more; there are never more than there are numbers. */
static bool
reserve(DenseState *state, uint32 more)
{
	Size		wanted = Min((Size) state->nqueue + more, state->base->nnumbers) + 1;
	Size		size = state->size;

	if (wanted <= size)
		return true;
	while (size < wanted)
		size = Max(1024, size * 2);
	if (size * sizeof(uint32) > state->limit)
		return false;
	state->queue = state->queue == NULL ? palloc_extended(size * sizeof(uint32), MCXT_ALLOC_HUGE)
		: repalloc_huge(state->queue, size * sizeof(uint32));
	state->size = size;
	return true;
}

static inline void
visit(DenseState *state, uint32 number)
{
	uint64	   *word = &state->seen[number / 64];
	uint64		bit = UINT64CONST(1) << (number % 64);

	/* written in any case, kept if it is new: no branch to guess */
	state->queue[state->nqueue] = number;
	state->nqueue += (*word & bit) == 0;
	*word |= bit;
}

static void
visit_ids(void *arg, int64 id, const int64 *neighbours, int nneighbours)
{
	DenseState *state = arg;

	for (int i = 0; i < nneighbours; i++)
		visit(state, (uint64) neighbours[i] - (uint64) state->base->first_id);
}

/* The neighbours of an entity that has others than the base says, or may have. */
static bool
expand_changed(DenseState *state, EdgeQuestion *question, uint32 number, uint32 degree)
{
	if (!reserve(state, degree + question->added.nedges))
		return false;
	edge_question_expand_one(question, state->base->first_id + number, visit_ids, state);
	return true;
}

static bool
expand_level(DenseState *state, EdgeQuestion *question, uint32 begin, uint32 end)
{
	const Csr	csr = state->base->csr[question->direction];
	uint32		nids = state->base->nids;
	bool		changed = question->gone.nedges + question->added.nedges > 0;

	for (uint32 i = begin; i < end; i++)
	{
		uint32		number = state->queue[i];
		uint32		degree = number < nids ? csr.offsets[number + 1] - csr.offsets[number] : 0;
		const uint32 *neighbours = degree > 0 ? csr.neighbours + csr.offsets[number] : NULL;

		if (i + OFFSETS_AHEAD < end && state->queue[i + OFFSETS_AHEAD] < nids)
			__builtin_prefetch(&csr.offsets[state->queue[i + OFFSETS_AHEAD]]);
		if (i + NEIGHBOURS_AHEAD < end && state->queue[i + NEIGHBOURS_AHEAD] < nids)
			__builtin_prefetch(&csr.neighbours[csr.offsets[state->queue[i + NEIGHBOURS_AHEAD]]]);
		if (i % 4096 == 0)
			CHECK_FOR_INTERRUPTS();

		if (changed && id_filter_has(&question->filter, state->base->first_id + number))
		{
			if (!expand_changed(state, question, number, degree))
				return false;
			continue;
		}
		if (!reserve(state, degree))
			return false;
		for (uint32 n = 0; n < degree; n++)
			visit(state, neighbours[n]);
	}
	return true;
}

/* Does every id that may come up have a number? */
static bool
ids_fit(const DenseWalk *walk)
{
	const EdgeBase *base = walk->question->base;
	const EdgeList *added = &walk->question->added;

	for (int i = 0; i < walk->nstarts; i++)
		if ((uint64) walk->starts[i] - (uint64) base->first_id >= base->nnumbers)
			return false;
	for (uint32 i = 0; i < added->nedges; i++)
		if ((uint64) added->edges[i].neighbour - (uint64) base->first_id >= base->nnumbers)
			return false;
	return true;
}

static bool
walk_levels(DenseWalk *walk, DenseState *state)
{
	uint32		begin = 0;

	if (!reserve(state, walk->nstarts))
		return false;
	visit_ids(state, 0, walk->starts, walk->nstarts);
	for (int depth = 1; begin < state->nqueue && (walk->max_depth == NO_MAX_DEPTH || depth <= walk->max_depth); depth++)
	{
		uint32		end = state->nqueue;

		if (!expand_level(state, walk->question, begin, end))
			return false;
		if (walk->level != NULL && state->nqueue > end)
			walk->level(walk->arg, depth, state->base->first_id, state->queue + end, state->nqueue - end);
		begin = end;
	}
	walk->nfound = state->nqueue - walk->nstarts;
	return true;
}

/*
 * Walks until nothing is left or max_depth is reached; false where that takes
 * more than work_mem * hash_mem_multiplier, or an id has no number: then what
 * the callback was given is void, and graph_walk() has to do it.
 */
bool
dense_walk(DenseWalk *walk)
{
	DenseSeen  *seen = walk->question->seen;
	Size		nwords = (Size) walk->question->base->nnumbers / 64 + 1;
	DenseState	state = {.base = walk->question->base, .seen = seen->words};
	bool		done;

	state.limit = get_hash_memory_limit();
	if (!ids_fit(walk) || nwords * sizeof(uint64) > state.limit)
		return false;
	state.limit -= nwords * sizeof(uint64);
	if (seen->used)
		memset(seen->words, 0, nwords * sizeof(uint64));	/* an error came in between */
	seen->used = true;
	done = walk_levels(walk, &state);
	if (state.nqueue > nwords / 8)
		memset(seen->words, 0, nwords * sizeof(uint64));
	else
		for (uint32 i = 0; i < state.nqueue; i++)
			seen->words[state.queue[i] / 64] = 0;
	seen->used = false;
	if (state.queue != NULL)
		pfree(state.queue);
	return done;
}
