/*
 * where_used.c
 *		SQL-callable walks: where_used, dependencies_of, dependents, dependent_count.
 *
 * All run under the snapshot of the calling statement, with the caller's
 * rights; the walk's memory is bounded, and rows go to a tuplestore, which
 * spills to disk.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"

#include "args.h"
#include "compat.h"
#include "graph.h"

PG_FUNCTION_INFO_V1(assetreg_dependencies_of);
PG_FUNCTION_INFO_V1(assetreg_dependent_count);
PG_FUNCTION_INFO_V1(assetreg_dependents);
PG_FUNCTION_INFO_V1(assetreg_where_used);

/* Entities are looked up many at once: sorted, they share pages. */
#define MAX_BATCH_SIZE (1024 * 1024)

typedef struct FoundEntity
{
	int64		id;
	int64		via;
	int64		start;
} FoundEntity;

typedef struct RowWalk
{
	FunctionCallInfo fcinfo;
	Entities   *entities;
	KindFilter	kinds;
	bool		active_only;
	int			depth;			/* of what is found now */

	FoundEntity *batch;
	int64	   *ids;
	int			nbatch;
	int			size;
	int			max_size;
	int			pos;			/* in the batch, while it is written */
} RowWalk;

static void
put_entity(void *arg, const Entity *entity)
{
	RowWalk    *rows = arg;
	const FoundEntity *found;
	Datum		values[8];
	bool		nulls[8] = {false};

	while (rows->batch[rows->pos].id != entity->id)
		rows->pos++;
	if ((rows->active_only && !entity->active) || !kind_passes(&rows->kinds, entity->kind))
		return;

	found = &rows->batch[rows->pos];
	values[0] = Int64GetDatum(entity->id);
	values[1] = entity->kind;
	values[2] = entity->key;
	values[3] = entity->label;
	nulls[3] = entity->label_isnull;
	values[4] = BoolGetDatum(entity->active);
	values[5] = Int32GetDatum(rows->depth);
	values[6] = Int64GetDatum(found->via);
	values[7] = Int64GetDatum(found->start);
	put_row(rows->fcinfo, values, nulls);
}

#define ST_SORT sort_found
#define ST_ELEMENT_TYPE FoundEntity
#define ST_COMPARE(a, b) (((a)->id > (b)->id) - ((a)->id < (b)->id))
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

static void
put_batch(RowWalk *rows)
{
	ArrayKeys	keys;

	sort_found(rows->batch, rows->nbatch);
	for (int i = 0; i < rows->nbatch; i++)
		rows->ids[i] = rows->batch[i].id;
	rows->pos = 0;
	entities_read(rows->entities, array_keys_init(&keys, rows->ids, rows->nbatch), put_entity, rows);
	rows->nbatch = 0;
}

static void
found_entity(void *arg, int64 id, int64 via, int64 start)
{
	RowWalk    *rows = arg;

	if (rows->nbatch == rows->max_size)
		put_batch(rows);
	if (rows->nbatch == rows->size)
	{
		rows->size = Min(rows->size * 2, rows->max_size);
		rows->batch = repalloc(rows->batch, rows->size * sizeof(FoundEntity));
		rows->ids = repalloc(rows->ids, rows->size * sizeof(int64));
	}
	rows->batch[rows->nbatch++] = (FoundEntity) {id, via, start};
}

static bool
found_level(void *arg, int depth, Frontier *frontier)
{
	RowWalk    *rows = arg;

	if (rows->nbatch > 0)
		put_batch(rows);
	rows->depth = depth + 1;
	return true;
}

static void
walk_rows(RowWalk *rows, EdgeDirection direction, int64 id, bool all_versions, int max_depth)
{
	GraphWalk	walk = {.max_depth = max_depth, .found = found_entity, .level = found_level, .arg = rows};

	/* a quarter of what the walk may take, beside it */
	rows->max_size = Max(64, Min(MAX_BATCH_SIZE, get_hash_memory_limit() / 4 / (sizeof(FoundEntity) + sizeof(int64))));
	rows->depth = 1;
	rows->size = 64;
	rows->batch = palloc(rows->size * sizeof(FoundEntity));
	rows->ids = palloc(rows->size * sizeof(int64));

	walk.adjacency = adjacency_begin(direction);
	rows->entities = entities_begin(true);
	walk.starts = walk_starts(rows->entities, id, all_versions, &walk.nstarts);
	graph_walk(&walk);
	entities_end(rows->entities);
	adjacency_end(walk.adjacency);
}

/*
 * where_used(id, max_depth, kinds, active_only, all_versions): every entity
 * that needs the one given, each once, by depth.  via_id is the smallest id
 * among its predecessors on shortest paths.
 */
Datum
assetreg_where_used(PG_FUNCTION_ARGS)
{
	RowWalk		rows = {.fcinfo = fcinfo};
	int64		id = arg_id(fcinfo, 0, "id");
	int			max_depth = arg_max_depth(fcinfo, 1);
	bool		all_versions = arg_flag(fcinfo, 4, "all_versions");

	rows.kinds = arg_kinds(fcinfo, 2);
	rows.active_only = arg_flag(fcinfo, 3, "active_only");
	InitMaterializedSRF(fcinfo, 0);
	walk_rows(&rows, EDGES_TO_DEPENDENTS, id, all_versions, max_depth);
	return (Datum) 0;
}

/*
 * dependencies_of(id, max_depth, kinds): every entity that the one given
 * needs, each once, by depth.
 */
Datum
assetreg_dependencies_of(PG_FUNCTION_ARGS)
{
	RowWalk		rows = {.fcinfo = fcinfo};
	int64		id = arg_id(fcinfo, 0, "id");
	int			max_depth = arg_max_depth(fcinfo, 1);

	rows.kinds = arg_kinds(fcinfo, 2);
	InitMaterializedSRF(fcinfo, 0);
	walk_rows(&rows, EDGES_TO_DEPENDENCIES, id, false, max_depth);
	return (Datum) 0;
}

static bool
put_level(void *arg, int depth, Frontier *frontier)
{
	KeySet	   *keys = frontier_keys(frontier);
	Datum		values[2] = {0, Int32GetDatum(depth)};
	bool		nulls[2] = {false};
	int64		id;

	for (bool more = keys->seek(keys, PG_INT64_MIN, &id); more; more = keyset_after(keys, id, &id))
	{
		values[0] = Int64GetDatum(id);
		put_row(arg, values, nulls);
	}
	return true;
}

/*
 * dependents(ids, max_depth): the ids and depths of all entities that need one
 * of those given, which are left out themselves; one walk for all.
 */
Datum
assetreg_dependents(PG_FUNCTION_ARGS)
{
	GraphWalk	walk = {.level = put_level, .arg = fcinfo};
	Entities   *entities;

	walk.starts = arg_ids(fcinfo, 0, "ids", &walk.nstarts);
	walk.max_depth = arg_max_depth(fcinfo, 1);
	InitMaterializedSRF(fcinfo, 0);

	entities = entities_begin(false);
	entities_check_exist(entities, walk.starts, walk.nstarts);
	entities_end(entities);
	walk.adjacency = adjacency_begin(EDGES_TO_DEPENDENTS);
	graph_walk(&walk);
	adjacency_end(walk.adjacency);
	return (Datum) 0;
}

/*
 * dependent_count(id, transitive, all_versions): how many entities need the one
 * given; direct ones only, unless transitive.
 */
Datum
assetreg_dependent_count(PG_FUNCTION_ARGS)
{
	int64		id = arg_id(fcinfo, 0, "id");
	bool		transitive = arg_flag(fcinfo, 1, "transitive");
	bool		all_versions = arg_flag(fcinfo, 2, "all_versions");
	GraphWalk	walk = {.max_depth = transitive ? NO_MAX_DEPTH : 1};
	Entities   *entities = entities_begin(false);
	int64		count;

	walk.starts = walk_starts(entities, id, all_versions, &walk.nstarts);
	entities_end(entities);
	walk.adjacency = adjacency_begin(EDGES_TO_DEPENDENTS);
	count = graph_walk(&walk);
	adjacency_end(walk.adjacency);
	PG_RETURN_INT64(count);
}
