/*
 * dense_found.c
 *		The walk inside memory that tells how each entity was found.
 *
 * As graph.c does it where each find is told: every start has a part of each
 * level, parts are expanded in order of starts and ids, and who comes first to
 * an entity is its predecessor.  A find is a number and its predecessor's in one
 * word, so that sorting a part by the former carries the latter along.
 *
 * Nothing is told before the walk is done, so that it can be given up.
 */
#include "postgres.h"

#include "graph.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "dense_found.h"
#include "dense_walk.h"

#define OFFSETS_AHEAD 8

/* So many are told ahead. */
#define FAR 12
#define NEAR 6

/* Fewer are sorted by comparing; digits of this size take little memory. */
#define LEAST_BY_DIGITS 2048
#define DIGIT_BITS 11
#define DIGITS (1 << DIGIT_BITS)

typedef uint64 Find;

#define find_of(number, via) ((Find) (number) << 32 | (via))
#define find_number(find) ((uint32) ((find) >> 32))
#define find_via(find) ((uint32) (find))

typedef struct FoundState
{
	EdgeQuestion *question;
	const EdgeBase *base;
	uint64	   *seen;
	Find	   *finds;			/* the starts, and what was found, with a place to spare */
	uint32	   *starts;			/* of each, its number among the starts; NULL where there is one */
	Find	   *scratch;		/* as large; or NULL */
	uint32		nfinds;
	uint32		size;
	uint32	   *levels;			/* where each begins */
	uint32		nlevels;
	uint32		levels_size;
	Size		limit;			/* bytes */
} FoundState;

/* With scratch, and the order of several parts. */
static Size
bytes_of(const FoundState *state, Size size)
{
	return size * (state->starts != NULL ? 3 * sizeof(Find) + sizeof(uint32) : 2 * sizeof(Find));
}

/* Room for so many more; there are never more than there are numbers. */
static bool
reserve(FoundState *state, uint32 more)
{
	Size		most = (Size) state->base->nnumbers + 1;
	Size		wanted = Min((Size) state->nfinds + more + 1, most);
	Size		size = state->size;

	if (wanted <= size)
		return true;
	while (size < wanted)
		size *= 2;
	size = Min(size, most);
	if (bytes_of(state, size) > state->limit)
		return false;
	state->finds = repalloc_huge(state->finds, size * sizeof(Find));
	if (state->starts != NULL)
		state->starts = repalloc_huge(state->starts, size * sizeof(uint32));
	if (state->scratch != NULL)
		pfree(state->scratch);
	state->scratch = NULL;
	state->size = size;
	return true;
}

static inline void
visit(FoundState *state, uint32 number, uint32 via)
{
	uint64	   *word = &state->seen[number / 64];
	uint32		is_new = ~(*word >> (number % 64)) & 1;

	*word |= UINT64CONST(1) << (number % 64);
	state->finds[state->nfinds] = find_of(number, via);
	state->nfinds += is_new;
}

static void
visit_ids(void *arg, int64 id, const int64 *neighbours, int nneighbours)
{
	FoundState *state = arg;
	uint64		first_id = state->base->first_id;

	for (int i = 0; i < nneighbours; i++)
		visit(state, (uint64) neighbours[i] - first_id, (uint64) id - first_id);
}

static bool
expand(FoundState *state, uint32 begin, uint32 end)
{
	EdgeQuestion *question = state->question;
	const Csr	csr = state->base->csr[question->direction];
	uint32		nids = state->base->nids;
	bool		changed = question->gone.nedges + question->added.nedges > 0;

	for (uint32 i = begin; i < end; i++)
	{
		uint32		number = find_number(state->finds[i]);
		uint32		degree = number < nids ? csr.offsets[number + 1] - csr.offsets[number] : 0;
		const uint32 *neighbours = degree > 0 ? csr.neighbours + csr.offsets[number] : NULL;

		if (i + OFFSETS_AHEAD < end && find_number(state->finds[i + OFFSETS_AHEAD]) < nids)
			__builtin_prefetch(&csr.offsets[find_number(state->finds[i + OFFSETS_AHEAD])]);
		if (i % 4096 == 0)
			CHECK_FOR_INTERRUPTS();
		if (changed && id_filter_has(&question->filter, state->base->first_id + number))
		{
			if (!reserve(state, degree + question->added.nedges))
				return false;
			edge_question_expand_one(question, state->base->first_id + number, visit_ids, state);
			continue;
		}
		if (!reserve(state, degree))
			return false;
		for (uint32 n = 0; n < degree; n++)
			visit(state, csr_number(neighbours[n]), number);
	}
	return true;
}

#define ST_SORT sort_finds
#define ST_ELEMENT_TYPE Find
#define ST_COMPARE(a, b) ((*(a) > *(b)) - (*(a) < *(b)))
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* By one digit of the number, those of one digit as they were. */
static void
sort_by_digit(const Find *from, Find *to, uint32 n, int shift)
{
	uint32		places[DIGITS + 1] = {0};

	for (uint32 i = 0; i < n; i++)
		places[(find_number(from[i]) >> shift) % DIGITS + 1]++;
	for (int digit = 1; digit < DIGITS; digit++)
		places[digit] += places[digit - 1];
	for (uint32 i = 0; i < n; i++)
		to[places[(find_number(from[i]) >> shift) % DIGITS]++] = from[i];
}

/* Sorts finds by number; there is scratch for as many as there are in all. */
static void
sort(FoundState *state, Find *finds, uint32 n)
{
	uint32		all = 0;
	bool		sorted = true;
	Find	   *from = finds;
	Find	   *to;

	for (uint32 i = 0; i < n; i++)
	{
		all |= find_number(finds[i]);
		sorted &= i == 0 || finds[i - 1] < finds[i];
	}
	if (sorted)
		return;
	if (n < LEAST_BY_DIGITS)
	{
		sort_finds(finds, n);
		return;
	}
	if (state->scratch == NULL)
		state->scratch = palloc_extended(state->size * sizeof(Find), MCXT_ALLOC_HUGE);
	to = state->scratch;
	for (int shift = 0; shift < 32 && all >> shift != 0; shift += DIGIT_BITS)
	{
		Find	   *done = from;

		sort_by_digit(from, to, n, shift);
		from = to;
		to = done;
	}
	if (from != finds)
		memcpy(finds, from, n * sizeof(Find));
}

static void
begin_level(FoundState *state)
{
	if (state->nlevels == state->levels_size)
	{
		state->levels_size *= 2;
		state->levels = repalloc_huge(state->levels, state->levels_size * sizeof(uint32));
	}
	state->levels[state->nlevels++] = state->nfinds;
}

/*
 * Expands a level, whose parts end where it is said, and puts the ends of the
 * next one's there.
 */
static bool
expand_level(FoundState *state, const DenseFound *walk, uint32 *ends)
{
	uint32		begin = state->levels[state->nlevels - 2];

	for (int start = 0; start < walk->nstarts; start++)
	{
		uint32		end = ends[start];
		uint32		nfinds = state->nfinds;

		if (!expand(state, begin, end))
			return false;
		sort(state, state->finds + nfinds, state->nfinds - nfinds);
		if (state->starts != NULL)
			for (uint32 i = nfinds; i < state->nfinds; i++)
				state->starts[i] = start;
		begin = end;
		ends[start] = state->nfinds;
	}
	return true;
}

static bool
walk_levels(FoundState *state, const DenseFound *walk)
{
	uint32	   *ends = palloc(Max(walk->nstarts, 1) * sizeof(uint32));

	begin_level(state);
	if (!reserve(state, walk->nstarts))
		return false;
	visit_ids(state, state->base->first_id, walk->starts, walk->nstarts);
	for (int start = 0; start < walk->nstarts; start++)
		ends[start] = start + 1;
	begin_level(state);
	for (int depth = 1; walk->max_depth == NO_MAX_DEPTH || depth <= walk->max_depth; depth++)
	{
		if (!expand_level(state, walk, ends))
			return false;
		if (state->nfinds == state->levels[state->nlevels - 1])
			break;
		begin_level(state);
	}
	pfree(ends);
	return true;
}

static inline void
tell_ahead(const DenseFound *walk, const Find *finds, uint32 i, uint32 end)
{
	int64		first_id = walk->question->base->first_id;

	if (i + FAR < end)
		walk->ahead(walk->arg, first_id + find_number(finds[i + FAR]), false);
	if (i + NEAR < end)
		walk->ahead(walk->arg, first_id + find_number(finds[i + NEAR]), true);
}

/* Several starts' parts, in order of ids. */
static void
tell_parts(FoundState *state, const DenseFound *walk, int depth, uint32 begin, uint32 end)
{
	int64		first_id = state->base->first_id;
	Find	   *order = palloc_extended((Size) (end - begin) * sizeof(Find), MCXT_ALLOC_HUGE);

	for (uint32 i = begin; i < end; i++)
		order[i - begin] = find_of(find_number(state->finds[i]), i);
	sort(state, order, end - begin);
	for (uint32 i = 0; i < end - begin; i++)
	{
		uint32		place = find_via(order[i]);

		tell_ahead(walk, order, i, end - begin);
		walk->found(walk->arg, depth, first_id + find_number(order[i]), first_id + find_via(state->finds[place]),
					walk->starts[state->starts[place]]);
	}
	pfree(order);
}

static void
tell(FoundState *state, const DenseFound *walk)
{
	int64		first_id = state->base->first_id;

	for (uint32 depth = 1; depth < state->nlevels - 1; depth++)
	{
		uint32		begin = state->levels[depth];
		uint32		end = state->levels[depth + 1];

		if (state->starts != NULL)
			tell_parts(state, walk, depth, begin, end);
		else
			for (uint32 i = begin; i < end; i++)
			{
				tell_ahead(walk, state->finds, i, end);
				walk->found(walk->arg, depth, first_id + find_number(state->finds[i]),
							first_id + find_via(state->finds[i]), walk->starts[0]);
			}
	}
}

/* The bits are the base's, and are left clear. */
static void
clear_seen(FoundState *state)
{
	bool		all = state->nfinds > dense_seen_words(state->question) / 8;

	if (!all)
		for (uint32 i = 0; i < state->nfinds; i++)
			state->seen[find_number(state->finds[i]) / 64] = 0;
	dense_seen_end(state->question, all);
}

/*
 * Walks, and tells what was found; false, and nothing is told, where that takes
 * more than work_mem * hash_mem_multiplier, or an id has no number.  The sink
 * may raise errors.
 */
bool
dense_found(const DenseFound *walk)
{
	EdgeQuestion *question = walk->question;
	FoundState	state = {.question = question, .base = question->base, .size = 1024, .levels_size = 16};
	Size		seen_bytes = dense_seen_words(question) * sizeof(uint64);
	MemoryContext context;
	MemoryContext caller;
	bool		done;

	state.limit = get_hash_memory_limit();
	if (!dense_ids_fit(question, walk->starts, walk->nstarts) || seen_bytes > state.limit)
		return false;
	state.limit -= seen_bytes;
	context = AllocSetContextCreate(CurrentMemoryContext, "assetreg finds", ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(context);
	state.finds = palloc(state.size * sizeof(Find));
	state.starts = walk->nstarts > 1 ? palloc(state.size * sizeof(uint32)) : NULL;
	state.levels = palloc(state.levels_size * sizeof(uint32));
	state.seen = dense_seen_begin(question);
	done = walk_levels(&state, walk);
	clear_seen(&state);
	MemoryContextSwitchTo(caller);
	if (done)
		tell(&state, walk);
	MemoryContextDelete(context);
	return done;
}
