/*
 * impact.c
 *		SQL-callable impact analysis.
 */
#include "postgres.h"

#include "catalog/pg_collation_d.h"
#include "fmgr.h"
#include "funcapi.h"
#include "port/pg_bitutils.h"
#include "utils/builtins.h"

#include "args.h"
#include "compat.h"
#include "dense_walk.h"
#include "graph.h"
#include "graph_cache.h"

PG_FUNCTION_INFO_V1(assetreg_impact);

typedef struct KindCount
{
	Datum		kind;
	int64		affected;
	int64		active;
	int			min_depth;
	int			max_depth;
} KindCount;

typedef struct ImpactWalk
{
	MemoryContext context;
	Entities   *entities;
	int			depth;
	KindCount  *counts;
	int			ncounts;
	int			size;
	int			last;			/* neighbours are often of one kind */
} ImpactWalk;

static KindCount *
kind_count(ImpactWalk *impact, Datum kind)
{
	KindCount  *count;

	if (impact->ncounts > 0 && same_text(impact->counts[impact->last].kind, kind))
		return &impact->counts[impact->last];
	for (int i = 0; i < impact->ncounts; i++)
		if (same_text(impact->counts[i].kind, kind))
			return &impact->counts[impact->last = i];

	if (impact->ncounts == impact->size)
	{
		impact->size *= 2;
		impact->counts = repalloc(impact->counts, impact->size * sizeof(KindCount));
	}
	count = &impact->counts[impact->last = impact->ncounts++];
	memset(count, 0, sizeof(KindCount));
	count->min_depth = impact->depth;
	count->kind = PointerGetDatum(MemoryContextAlloc(impact->context, VARSIZE_ANY(DatumGetPointer(kind))));
	memcpy(DatumGetPointer(count->kind), DatumGetPointer(kind), VARSIZE_ANY(DatumGetPointer(kind)));
	return count;
}

static void
count_entity(void *arg, const Entity *entity)
{
	ImpactWalk *impact = arg;
	KindCount  *count = kind_count(impact, entity->kind);

	graph_cache_add_entity();
	count->affected++;
	count->active += entity->active;
	count->max_depth = impact->depth;
}

static bool
count_level(void *arg, int depth, Frontier *frontier)
{
	ImpactWalk *impact = arg;

	impact->depth = depth;
	entities_read(impact->entities, frontier_keys(frontier), count_entity, impact);
	return true;
}

typedef struct DenseImpact
{
	ImpactWalk *impact;
	EntityQuestion *entities;
	int64	   *affected;		/* of a level, by state */
} DenseImpact;

static void
count_states(DenseImpact *dense, DenseLevel *level)
{
	const EntityQuestion *entities = dense->entities;
	const EntityState *states = entities->base->states;
	uint64		from = (uint64) level->first_id - (uint64) entities->base->first_id;
	uint32		nids = entities->base->nids;
	bool		changed = entities->nchanged > 0;
	int64	   *affected = dense->affected;
	uint32		word;
	uint64		bits;

	while (dense_level_next(level, &word, &bits))
	{
		uint64		first = from + (uint64) word * 64;

		if (!changed && first < nids && first + 63 < nids)
			for (; bits != 0; bits &= bits - 1)
				affected[states[first + pg_rightmost_one_pos64(bits)]]++;
		else
			for (int64 id = level->first_id + (int64) word * 64; bits != 0; bits &= bits - 1)
				affected[entity_question_state(entities, id + pg_rightmost_one_pos64(bits))]++;
	}
}

static void
count_numbers(void *arg, DenseLevel *level)
{
	DenseImpact *dense = arg;
	ImpactWalk *impact = dense->impact;
	int			nstates = state_of(dense->entities->kinds.nkinds, false);

	impact->depth = level->depth;
	count_states(dense, level);
	for (int state = 1; state < nstates; state++)
		if (dense->affected[state] > 0)
		{
			KindCount  *count = kind_count(impact, dense->entities->kinds.names[state_kind(state)]);

			count->affected += dense->affected[state];
			count->active += state_active(state) ? dense->affected[state] : 0;
			count->max_depth = level->depth;
			dense->affected[state] = 0;
		}
}

/* Memory knows the kinds of whole levels. */
static bool
count_in_memory(ImpactWalk *impact, const GraphWalk *walk)
{
	EdgeQuestion *edges = adjacency_memory(walk->adjacency);
	DenseImpact dense = {impact, edges == NULL ? NULL : graph_cache_entities(edges)};
	DenseWalk	numbers = {edges, walk->starts, walk->nstarts, walk->max_depth, count_numbers, .arg = &dense};
	bool		done;

	if (dense.entities == NULL)
		return false;
	dense.affected = palloc0(state_of(dense.entities->kinds.nkinds, false) * sizeof(int64));
	done = dense_walk(&numbers);
	if (!done)
		impact->ncounts = impact->last = 0;
	pfree(dense.affected);
	return done;
}

/* Most affected first. */
static int
compare_counts(const void *a, const void *b)
{
	const KindCount *left = a;
	const KindCount *right = b;

	if (left->affected != right->affected)
		return left->affected < right->affected ? 1 : -1;
	return DatumGetInt32(DirectFunctionCall2Coll(bttextcmp, C_COLLATION_OID, left->kind, right->kind));
}

static void
put_counts(ImpactWalk *impact, FunctionCallInfo fcinfo)
{
	bool		nulls[5] = {false};

	qsort(impact->counts, impact->ncounts, sizeof(KindCount), compare_counts);
	for (int i = 0; i < impact->ncounts; i++)
	{
		const KindCount *count = &impact->counts[i];
		Datum		values[5] = {
			count->kind, Int64GetDatum(count->affected), Int64GetDatum(count->active),
			Int32GetDatum(count->min_depth), Int32GetDatum(count->max_depth)
		};

		put_row(fcinfo, values, nulls);
	}
}

/*
 * impact(id, all_versions): what needs an entity, directly or through others,
 * counted by kind.  Counts while it walks, so memory does not grow with what
 * is affected beyond the walk's own.
 */
Datum
assetreg_impact(PG_FUNCTION_ARGS)
{
	ImpactWalk	impact = {.context = CurrentMemoryContext, .size = 16};
	GraphWalk	walk = {.max_depth = NO_MAX_DEPTH, .level = count_level, .arg = &impact};
	int64		id = arg_id(fcinfo, 0, "id");
	bool		all_versions = arg_flag(fcinfo, 1, "all_versions");

	InitMaterializedSRF(fcinfo, 0);
	impact.counts = palloc(impact.size * sizeof(KindCount));
	walk.adjacency = adjacency_begin(EDGES_TO_DEPENDENTS);
	impact.entities = entities_begin(false);
	walk.starts = walk_starts(impact.entities, id, all_versions, &walk.nstarts);
	if (!count_in_memory(&impact, &walk))
		graph_walk(&walk);
	put_counts(&impact, fcinfo);
	entities_end(impact.entities);
	adjacency_end(walk.adjacency);
	return (Datum) 0;
}
