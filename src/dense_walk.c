/*
 * dense_walk.c
 *		The walk inside memory, where entities are numbers: what is found, level by level.
 *
 * Breadth first, as graph.c does it, with a bit for each number and a queue.
 * What waits for the memory bus is fetched a few entities ahead.
 *
 * Levels are walked in one of two ways.  A narrow one puts all that it finds
 * into the queue, so that a small walk does not pay for the size of the graph.
 * A wide one puts there only what has neighbours: most of a registry's entities
 * have none.  What it found are the bits that were not set before it.  The few
 * that have none in the base, but for this snapshot, are looked for after it.
 *
 * The bits belong to the base and are left clear.
 */
#include "postgres.h"

#include "graph.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/memutils.h"

#include "dense_walk.h"

#define OFFSETS_AHEAD 8
#define NEIGHBOURS_AHEAD 4

/* A level is wide from so many edges on, and from one edge on for so many words of bits; tests have small graphs. */
#ifdef USE_ASSERT_CHECKING
#define WIDE_EDGES 16
#else
#define WIDE_EDGES 256
#endif
#define WIDE_WORDS 16

typedef struct DenseState
{
	const EdgeBase *base;
	Csr			csr;
	const IdFilter *changed;	/* entities whose edges the base does not know; NULL: none */
	uint32	   *leaves;			/* of these, those without edges in the base, not found so far; from the first wide level on */
	uint32		nleaves;
	uint64	   *seen;
	Size		nwords;
	uint64	   *before;			/* the bits before a wide level; or NULL */
	uint64	   *order;			/* clear; or NULL */
	bool		wide;			/* is this level? */
	bool		any_wide;
	uint32	   *queue;			/* what is to be expanded, with a place to spare */
	uint32		nqueue;
	uint32		size;
	uint32		nfound;
	Size		limit;			/* bytes */
} DenseState;

/*
 * Does every id that may come up in a walk have a number?
 */
bool
dense_ids_fit(const EdgeQuestion *question, const int64 *starts, int nstarts)
{
	const EdgeBase *base = question->base;
	const EdgeList *added = &question->added;

	for (int i = 0; i < nstarts; i++)
		if ((uint64) starts[i] - (uint64) base->first_id >= base->nnumbers)
			return false;
	for (uint32 i = 0; i < added->nedges; i++)
		if ((uint64) added->edges[i].neighbour - (uint64) base->first_id >= base->nnumbers)
			return false;
	return true;
}

Size
dense_seen_words(const EdgeQuestion *question)
{
	return (Size) question->base->nnumbers / 64 + 1;
}

/*
 * Takes the base's bits for a walk; they are clear, also if an error came in
 * between the last time.
 */
uint64 *
dense_seen_begin(EdgeQuestion *question)
{
	DenseSeen  *seen = question->seen;

	if (seen->used)
		memset(seen->words, 0, dense_seen_words(question) * sizeof(uint64));
	seen->used = true;
	return seen->words;
}

/*
 * Gives the bits back, which the walk has cleared, or all are to be.
 */
void
dense_seen_end(EdgeQuestion *question, bool clear)
{
	if (clear)
		memset(question->seen->words, 0, dense_seen_words(question) * sizeof(uint64));
	question->seen->used = false;
}

/* Room for so many more; there are never more than there are numbers. */
static bool
reserve(DenseState *state, uint32 more)
{
	Size		most = (Size) state->base->nnumbers + 1;
	Size		wanted = Min((Size) state->nqueue + more + 1, most);
	Size		size = state->size;

	if (wanted <= size)
		return true;
	while (size < wanted)
		size = Max(1024, size * 2);
	size = Min(size, most);
	if (size * sizeof(uint32) > state->limit)
		return false;
	state->queue = state->queue == NULL ? palloc_extended(size * sizeof(uint32), MCXT_ALLOC_HUGE)
		: repalloc_huge(state->queue, size * sizeof(uint32));
	state->size = size;
	return true;
}

/* What a loop finds, in registers as nobody else is given its address. */
typedef struct DenseFound
{
	uint64	   *seen;
	uint32	   *queue;
	uint32		nqueue;
	uint32		nfound;
} DenseFound;

/* Written into the queue in any case, kept there if it is wanted: no branch to guess. */
static pg_attribute_always_inline void
visit(DenseFound *found, uint32 number, bool wanted)
{
	uint64		word = found->seen[number / 64];
	uint32		is_new = ~(word >> (number % 64)) & 1;

	found->seen[number / 64] = word | UINT64CONST(1) << (number % 64);
	found->queue[found->nqueue] = number;
	found->nqueue += is_new & wanted;
	found->nfound += is_new;
}

static inline uint32
degree_of(const DenseState *state, uint32 number)
{
	return number < state->base->nids ? state->csr.offsets[number + 1] - state->csr.offsets[number] : 0;
}

static void
visit_ids(void *arg, int64 id, const int64 *neighbours, int nneighbours)
{
	DenseState *state = arg;
	DenseFound	found = {state->seen, state->queue, state->nqueue, state->nfound};

	for (int i = 0; i < nneighbours; i++)
	{
		uint32		number = (uint64) neighbours[i] - (uint64) state->base->first_id;

		visit(&found, number, !state->wide || degree_of(state, number) > 0);
	}
	state->nqueue = found.nqueue;
	state->nfound = found.nfound;
}

static bool
is_wide(const DenseState *state, uint32 begin, uint32 end)
{
	Size		wide = Max(WIDE_EDGES, state->nwords / WIDE_WORDS);
	Size		edges = 0;

	for (uint32 i = begin; i < end && edges < wide; i++)
		edges += degree_of(state, state->queue[i]);
	return edges >= wide;
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

static inline void
prefetch(const DenseState *state, uint32 i, uint32 end)
{
	uint32		nids = state->base->nids;

	if (i + OFFSETS_AHEAD < end && state->queue[i + OFFSETS_AHEAD] < nids)
		__builtin_prefetch(&state->csr.offsets[state->queue[i + OFFSETS_AHEAD]]);
	if (i + NEIGHBOURS_AHEAD < end && state->queue[i + NEIGHBOURS_AHEAD] < nids)
		__builtin_prefetch(&state->csr.neighbours[state->csr.offsets[state->queue[i + NEIGHBOURS_AHEAD]]]);
}

/* One body for four kinds of levels, each compiled on its own. */
static pg_attribute_always_inline bool
expand(DenseState *state, EdgeQuestion *question, uint32 begin, uint32 end, const bool wide, const bool changed)
{
	int64		first_id = state->base->first_id;

	for (uint32 i = begin; i < end; i++)
	{
		uint32		number = state->queue[i];
		uint32		degree = degree_of(state, number);
		const uint32 *neighbours = degree > 0 ? state->csr.neighbours + state->csr.offsets[number] : NULL;
		DenseFound	found;

		prefetch(state, i, end);
		if (i % 4096 == 0)
			CHECK_FOR_INTERRUPTS();
		if (changed && id_filter_has(state->changed, first_id + number))
		{
			if (!expand_changed(state, question, number, degree))
				return false;
			continue;
		}
		if (!reserve(state, degree))
			return false;
		found = (DenseFound) {state->seen, state->queue, state->nqueue, state->nfound};
		for (uint32 n = 0; n < degree; n++)
			visit(&found, csr_number(neighbours[n]), !wide || !csr_leaf(neighbours[n]));
		state->nqueue = found.nqueue;
		state->nfound = found.nfound;
	}
	return true;
}

static bool
expand_level(DenseState *state, EdgeQuestion *question, uint32 begin, uint32 end)
{
	if (state->changed != NULL)
		return state->wide ? expand(state, question, begin, end, true, true) : expand(state, question, begin, end, false, true);
	return state->wide ? expand(state, question, begin, end, true, false) : expand(state, question, begin, end, false, false);
}

/* Keeps the bits of now, to tell what a level adds to them. */
static bool
keep_bits(DenseState *state)
{
	Size		bytes = state->nwords * sizeof(uint64);

	if (state->before == NULL)
	{
		if (state->size * sizeof(uint32) + bytes > state->limit)
			return false;
		state->limit -= bytes;
		state->before = palloc_extended(bytes, MCXT_ALLOC_HUGE);
	}
	memcpy(state->before, state->seen, bytes);
	return true;
}

#define ST_SORT sort_numbers
#define ST_ELEMENT_TYPE uint32
#define ST_COMPARE(a, b) ((*(a) > *(b)) - (*(a) < *(b)))
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

static void
tell(const DenseWalk *walk, DenseState *state, int depth, uint32 end)
{
	DenseLevel	level = {.depth = depth, .first_id = state->base->first_id};

	if (state->wide)
	{
		level.now = state->seen;
		level.before = state->before;
		level.size = state->nwords;
	}
	else
	{
		if (walk->sorted)
			sort_numbers(state->queue + end, state->nqueue - end);
		level.list = state->queue + end;
		level.size = state->nqueue - end;
	}
	walk->level(walk->arg, &level);
}

/*
 * What is many is expanded in order of numbers, so that its edges are read
 * almost one after the other.  Where there is no room, as it came.
 */
static void
put_in_order(DenseState *state, uint32 begin, uint32 end)
{
	Size		bytes = state->nwords * sizeof(uint64);

	if (end - begin < state->nwords)
		return;
	if (state->order == NULL)
	{
		if (state->size * sizeof(uint32) + bytes > state->limit)
			return;
		state->limit -= bytes;
		state->order = palloc_extended(bytes, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	}
	for (uint32 i = begin; i < end; i++)
		state->order[state->queue[i] / 64] |= UINT64CONST(1) << (state->queue[i] % 64);
	for (Size word = 0; word < state->nwords; word++)
	{
		for (uint64 bits = state->order[word]; bits != 0; bits &= bits - 1)
			state->queue[begin++] = word * 64 + pg_rightmost_one_pos64(bits);
		state->order[word] = 0;
	}
}

static inline bool
is_seen(const DenseState *state, uint32 number)
{
	return (state->seen[number / 64] >> (number % 64) & 1) != 0;
}

/* Who has edges that were added, and none in the base, and has not been found. */
static void
note_leaves(DenseState *state, const EdgeList *added)
{
	state->leaves = palloc_extended(added->nedges * sizeof(uint32), MCXT_ALLOC_HUGE);
	for (uint32 i = 0; i < added->nedges; i++)
	{
		uint64		number = (uint64) added->edges[i].id - (uint64) state->base->first_id;

		if (number < state->base->nnumbers && degree_of(state, number) == 0 && !is_seen(state, number)
			&& (state->nleaves == 0 || state->leaves[state->nleaves - 1] != number))
			state->leaves[state->nleaves++] = number;
	}
}

/* Puts those of them into the queue that a wide level has found; a narrow one has done so. */
static bool
queue_leaves(DenseState *state)
{
	if (!reserve(state, state->nleaves))
		return false;
	for (uint32 i = 0; i < state->nleaves;)
	{
		uint32		number = state->leaves[i];

		if (!is_seen(state, number))
		{
			i++;
			continue;
		}
		if (state->wide)
			state->queue[state->nqueue++] = number;
		state->leaves[i] = state->leaves[--state->nleaves];
	}
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
		uint32		nfound = state->nfound;

		state->wide = is_wide(state, begin, end);
		state->any_wide |= state->wide;
		if (state->wide && walk->level != NULL && !keep_bits(state))
			return false;
		if (state->wide)
			put_in_order(state, begin, end);
		if (state->wide && state->changed != NULL && state->leaves == NULL)
			note_leaves(state, &walk->question->added);
		if (!expand_level(state, walk->question, begin, end) || !queue_leaves(state))
			return false;
		if (walk->level != NULL && state->nfound > nfound)
			tell(walk, state, depth, end);
		begin = end;
	}
	walk->nfound = state->nfound - walk->nstarts;
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
	EdgeQuestion *question = walk->question;
	DenseState	state = {.base = question->base, .csr = question->base->csr[question->direction]};
	bool		done;

	state.nwords = dense_seen_words(question);
	state.limit = get_hash_memory_limit();
	if (!dense_ids_fit(question, walk->starts, walk->nstarts) || state.nwords * sizeof(uint64) > state.limit)
		return false;
	state.limit -= state.nwords * sizeof(uint64);
	if (question->gone.nedges + question->added.nedges > 0)
		state.changed = &question->filter;
	state.seen = dense_seen_begin(question);
	done = walk_levels(walk, &state);
	if (!state.any_wide)
		for (uint32 i = 0; i < state.nqueue; i++)
			state.seen[state.queue[i] / 64] = 0;
	dense_seen_end(question, state.any_wide);
	if (state.leaves != NULL)
		pfree(state.leaves);
	if (state.queue != NULL)
		pfree(state.queue);
	if (state.before != NULL)
		pfree(state.before);
	if (state.order != NULL)
		pfree(state.order);
	return done;
}
