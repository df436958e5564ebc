/*
 * where_used.c
 *		SQL-callable walks: where_used, dependencies_of, dependents, dependent_count.
 *
 * All run under the snapshot of the calling statement, with the caller's
 * rights; the walk's memory is bounded, and rows go to a tuplestore, which
 * spills to disk.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"

#include "dense_walk.h"
#include "walk_rows.h"

PG_FUNCTION_INFO_V1(assetreg_dependencies_of);
PG_FUNCTION_INFO_V1(assetreg_dependent_count);
PG_FUNCTION_INFO_V1(assetreg_dependents);
PG_FUNCTION_INFO_V1(assetreg_where_used);

static void
put_walk(WalkRows *rows, EdgeDirection direction, int64 id, bool all_versions, int max_depth)
{
	GraphWalk	walk = {.max_depth = max_depth};

	walk.adjacency = adjacency_begin(direction);
	rows->entities = entities_begin(true);
	walk.starts = walk_starts(rows->entities, id, all_versions, &walk.nstarts);
	walk_rows(rows, walk);
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
	WalkRows	rows = {.fcinfo = fcinfo};
	int64		id = arg_id(fcinfo, 0, "id");
	int			max_depth = arg_max_depth(fcinfo, 1);
	bool		all_versions = arg_flag(fcinfo, 4, "all_versions");

	rows.kinds = arg_kinds(fcinfo, 2);
	rows.active_only = arg_flag(fcinfo, 3, "active_only");
	InitMaterializedSRF(fcinfo, 0);
	put_walk(&rows, EDGES_TO_DEPENDENTS, id, all_versions, max_depth);
	return (Datum) 0;
}

/*
 * dependencies_of(id, max_depth, kinds): every entity that the one given
 * needs, each once, by depth.
 */
Datum
assetreg_dependencies_of(PG_FUNCTION_ARGS)
{
	WalkRows	rows = {.fcinfo = fcinfo};
	int64		id = arg_id(fcinfo, 0, "id");
	int			max_depth = arg_max_depth(fcinfo, 1);

	rows.kinds = arg_kinds(fcinfo, 2);
	InitMaterializedSRF(fcinfo, 0);
	put_walk(&rows, EDGES_TO_DEPENDENCIES, id, false, max_depth);
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

typedef struct NumberRows
{
	Tuplestorestate *store;
	HeapTupleData row;			/* of an id and a depth */
} NumberRows;

static void
put_numbers(void *arg, DenseLevel *level)
{
	NumberRows *rows = arg;
	char	   *id = (char *) rows->row.t_data + rows->row.t_data->t_hoff;
	uint32		word;
	uint64		bits;

	memcpy(id + sizeof(int64), &level->depth, sizeof(int32));
	while (dense_level_next(level, &word, &bits))
	{
		CHECK_FOR_INTERRUPTS();
		for (int64 first = level->first_id + (int64) word * 64; bits != 0; bits &= bits - 1)
		{
			int64		found = first + pg_rightmost_one_pos64(bits);

			memcpy(id, &found, sizeof(int64));
			tuplestore_puttuple(rows->store, &rows->row);
		}
	}
}

/* Memory knows what a level found as numbers: one row is written over and over. */
static bool
put_dependents_in_memory(FunctionCallInfo fcinfo, const GraphWalk *walk)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		values[2] = {Int64GetDatum(0), Int32GetDatum(0)};
	bool		nulls[2] = {false};
	NumberRows	rows = {.store = result->setResult};
	DenseWalk	numbers = {
		adjacency_memory(walk->adjacency), walk->starts, walk->nstarts, walk->max_depth,
		.level = put_numbers, .sorted = true, .arg = &rows
	};

	if (numbers.question == NULL)
		return false;
	rows.row = *heap_form_tuple(result->setDesc, values, nulls);
	if (dense_walk(&numbers))
		return true;
	/* what was put is void */
	tuplestore_clear(rows.store);
	return false;
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
	if (!put_dependents_in_memory(fcinfo, &walk))
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
