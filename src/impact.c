/*
 * impact.c
 *		SQL-callable impact analysis.
 */
#include "postgres.h"

#include "catalog/pg_collation_d.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "args.h"
#include "compat.h"
#include "graph.h"

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
	graph_walk(&walk);
	put_counts(&impact, fcinfo);
	entities_end(impact.entities);
	adjacency_end(walk.adjacency);
	return (Datum) 0;
}
