/*
 * updates.c
 *		SQL-callable: what updates affect, counted for many at once, and what one does to each entity.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/builtins.h"

#include "lanes.h"
#include "walk_rows.h"

PG_FUNCTION_INFO_V1(assetreg_count_affected);
PG_FUNCTION_INFO_V1(assetreg_impact_rows);

/* --- counting --------------------------------------------------------------- */

/* One of the updates: its number, and where its walk starts, sorted. */
typedef struct Counted
{
	int64		number;
	Lane		walk;
	int			lane;			/* updates that start at the same assets share one */
} Counted;

typedef struct Counts
{
	int64		affected;
	int64		scene_types;
	int64		active_scenes;
	int64		segments;
	int64		others;
} Counts;

typedef struct CountWalk
{
	Adjacency  *adjacency;
	Entities   *entities;
	Lane	   *walks;
	int			nwalks;
	Counts	   *counts;			/* of each walk */
	Lanes	   *lanes;			/* those that are counted now */
	int			first;			/* the walk of the first of them */
	Datum		scene_type;
	Datum		scene;
	Datum		segment;
} CountWalk;

/* What an entity counts as, beside affected. */
static Size
counted_as(const CountWalk *count, const Entity *entity)
{
	if (same_text(entity->kind, count->segment))
		return offsetof(Counts, segments);
	if (same_text(entity->kind, count->scene) && entity->active)
		return offsetof(Counts, active_scenes);
	if (same_text(entity->kind, count->scene_type))
		return offsetof(Counts, scene_types);
	return offsetof(Counts, others);
}

static inline void
add_entity(Counts *counts, Size as)
{
	counts->affected++;
	(*(int64 *) ((char *) counts + as))++;
}

static void
count_in_lanes(void *arg, const Entity *entity)
{
	CountWalk  *count = arg;
	const uint64 *words = lanes_of(count->lanes, entity->id);
	Size		as = counted_as(count, entity);

	for (int w = 0; w < lanes_words(count->lanes); w++)
		for (uint64 rest = words[w]; rest != 0; rest &= rest - 1)
			add_entity(&count->counts[count->first + w * 64 + pg_rightmost_one_pos64(rest)], as);
}

static void
count_alone(void *arg, const Entity *entity)
{
	CountWalk  *count = arg;

	add_entity(&count->counts[count->first], counted_as(count, entity));
}

static bool
count_level(void *arg, int depth, Frontier *frontier)
{
	CountWalk  *count = arg;

	entities_read(count->entities, frontier_keys(frontier), count_alone, count);
	return true;
}

static void
walk_alone(CountWalk *count)
{
	GraphWalk	walk = {
		.adjacency = count->adjacency, .max_depth = NO_MAX_DEPTH, .level = count_level, .arg = count,
		.starts = count->walks[count->first].starts, .nstarts = count->walks[count->first].nstarts
	};

	graph_walk(&walk);
}

/*
 * Counts all walks, as many in one pass as memory allows.  Where it does not do
 * for 64, the next 64 are walked one by one, which takes a bit an entity.
 */
static void
count_walks(CountWalk *count)
{
	int			width = MAX_LANES;
	int			alone = 0;

	while (count->first < count->nwalks)
	{
		int			n = alone > 0 ? 1 : Min(width, count->nwalks - count->first);

		CHECK_FOR_INTERRUPTS();
		if (n == 1)
		{
			walk_alone(count);
			alone = Max(alone - 1, 0);
		}
		else if ((count->lanes = lanes_walk(count->adjacency, &count->walks[count->first], n)) != NULL)
		{
			entities_read(count->entities, lanes_keys(count->lanes), count_in_lanes, count);
			lanes_free(count->lanes);
			width = Min(width + 16, MAX_LANES);
		}
		else
		{
			width = Max(n / 4, 64);
			alone = n <= 64 ? n : 0;
			continue;
		}
		count->first += n;
	}
}

typedef struct NumberedStart
{
	int64		number;
	int64		start;
} NumberedStart;

static int
compare_starts(const void *a, const void *b)
{
	const NumberedStart *left = a;
	const NumberedStart *right = b;

	if (left->number != right->number)
		return left->number < right->number ? -1 : 1;
	return (left->start > right->start) - (left->start < right->start);
}

static int
compare_groups(const void *a, const void *b)
{
	const Lane *left = &((const Counted *) a)->walk;
	const Lane *right = &((const Counted *) b)->walk;

	for (int i = 0; i < left->nstarts && i < right->nstarts; i++)
		if (left->starts[i] != right->starts[i])
			return left->starts[i] < right->starts[i] ? -1 : 1;
	return left->nstarts - right->nstarts;
}

static int64 *
array_values(FunctionCallInfo fcinfo, int argno, int *n)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(argno);

	*n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	if (array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("numbers and starts must not contain nulls")));
	return (int64 *) ARR_DATA_PTR(array);
}

/*
 * The pairs of two arrays by number; neighbours among the groups have
 * neighbours as starts, so that a pass reads few pages.
 */
static Counted *
read_groups(FunctionCallInfo fcinfo, int *ngroups)
{
	int			n;
	int			nstarts;
	int64	   *numbers = array_values(fcinfo, 0, &n);
	int64	   *starts = array_values(fcinfo, 1, &nstarts);
	NumberedStart *pairs = palloc(Max(n, 1) * sizeof(NumberedStart));
	int64	   *sorted = palloc(Max(n, 1) * sizeof(int64));
	Counted	   *groups = palloc(Max(n, 1) * sizeof(Counted));
	Counted	   *group = NULL;

	if (n != nstarts)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("numbers and starts must have the same length")));
	for (int i = 0; i < n; i++)
		pairs[i] = (NumberedStart) {numbers[i], starts[i]};
	qsort(pairs, n, sizeof(NumberedStart), compare_starts);

	*ngroups = 0;
	for (int i = 0; i < n; i++)
	{
		if (i > 0 && compare_starts(&pairs[i - 1], &pairs[i]) == 0)
			continue;
		if (group == NULL || group->number != pairs[i].number)
		{
			group = &groups[(*ngroups)++];
			*group = (Counted) {.number = pairs[i].number, .walk = {sorted, 0}};
		}
		group->walk.nstarts++;
		*sorted++ = pairs[i].start;
	}
	pfree(pairs);
	qsort(groups, *ngroups, sizeof(Counted), compare_groups);
	return groups;
}

/*
 * _count_affected(numbers, starts): for each number that has dependents, what
 * the assets that stand beside it in the other array affect together.
 */
Datum
assetreg_count_affected(PG_FUNCTION_ARGS)
{
	CountWalk	count = {
		.scene_type = CStringGetTextDatum("scene_type"), .scene = CStringGetTextDatum("scene"),
		.segment = CStringGetTextDatum("segment")
	};
	int			ngroups;
	Counted	   *groups = read_groups(fcinfo, &ngroups);
	bool		nulls[5] = {false};

	InitMaterializedSRF(fcinfo, 0);
	count.walks = palloc(Max(ngroups, 1) * sizeof(Lane));
	for (int i = 0; i < ngroups; i++)
	{
		if (i == 0 || compare_groups(&groups[i - 1], &groups[i]) != 0)
			count.walks[count.nwalks++] = groups[i].walk;
		groups[i].lane = count.nwalks - 1;
	}
	count.counts = palloc0(Max(count.nwalks, 1) * sizeof(Counts));

	count.adjacency = adjacency_begin(EDGES_TO_DEPENDENTS);
	count.entities = entities_begin(false);
	count_walks(&count);
	entities_end(count.entities);
	adjacency_end(count.adjacency);

	for (int i = 0; i < ngroups; i++)
	{
		const Counts *counts = &count.counts[groups[i].lane];
		Datum		values[5] = {
			Int64GetDatum(groups[i].number), Int64GetDatum(counts->affected), Int64GetDatum(counts->scene_types),
			Int64GetDatum(counts->active_scenes), Int64GetDatum(counts->segments)
		};

		if (counts->affected > 0)
			put_row(fcinfo, values, nulls);
	}
	return (Datum) 0;
}

/* --- impact ----------------------------------------------------------------- */

typedef struct Verdicts
{
	IdSet	   *broken;
	IdSet	   *affected;		/* NULL: whatever is not broken */
	Datum		breaks;
	Datum		affects;
	Datum		safe;
} Verdicts;

static Datum
verdict(void *arg, int64 id)
{
	Verdicts   *verdicts = arg;

	if (idset_contains(verdicts->broken, id))
		return verdicts->breaks;
	return verdicts->affected == NULL || idset_contains(verdicts->affected, id) ? verdicts->affects : verdicts->safe;
}

static bool
add_affected(void *arg, int depth, Frontier *frontier)
{
	Verdicts   *verdicts = arg;
	KeySet	   *keys = frontier_keys(frontier);
	int64		id;

	for (bool more = keys->seek(keys, PG_INT64_MIN, &id); more; more = keyset_after(keys, id, &id))
		idset_add(verdicts->affected, NULL, id);
	return true;
}

static IdSet *
set_of(const int64 *ids, int nids)
{
	IdSet	   *set = idset_create();

	for (int i = 0; i < nids; i++)
		idset_add(set, NULL, ids[i]);
	return set;
}

/*
 * _impact_rows(starts, broken, struck): the rows of where_used() from several
 * starts at once, with a verdict: what is broken breaks, what is struck (the
 * broken are among them) or depends on something struck is affected, anything
 * else is safe.  Where struck is NULL nothing is safe.
 */
Datum
assetreg_impact_rows(PG_FUNCTION_ARGS)
{
	GraphWalk	walk = {.max_depth = NO_MAX_DEPTH};
	GraphWalk	strike = {.max_depth = NO_MAX_DEPTH, .level = add_affected};
	Verdicts	verdicts = {
		.breaks = CStringGetTextDatum("breaks"), .affects = CStringGetTextDatum("affected"), .safe = CStringGetTextDatum("safe")
	};
	WalkRows	rows = {.fcinfo = fcinfo, .kinds = {-1, NULL}, .mark = verdict, .arg = &verdicts};
	int			nbroken;
	int64	   *broken = arg_ids(fcinfo, 1, "broken", &nbroken);

	InitMaterializedSRF(fcinfo, 0);
	verdicts.broken = set_of(broken, nbroken);
	walk.starts = arg_ids(fcinfo, 0, "starts", &walk.nstarts);
	walk.adjacency = adjacency_begin(EDGES_TO_DEPENDENTS);
	if (!PG_ARGISNULL(2))
	{
		strike.starts = arg_ids(fcinfo, 2, "struck", &strike.nstarts);
		strike.adjacency = walk.adjacency;
		strike.arg = &verdicts;
		verdicts.affected = set_of(strike.starts, strike.nstarts);
		graph_walk(&strike);
	}
	rows.entities = entities_begin(true);
	walk_rows(&rows, walk);
	entities_end(rows.entities);
	adjacency_end(walk.adjacency);
	return (Datum) 0;
}
