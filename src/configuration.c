/*
 * configuration.c
 *		What a configuration consists of.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"

#include "args.h"
#include "compat.h"
#include "graph.h"

PG_FUNCTION_INFO_V1(assetreg_needed);

static void
put_id(FunctionCallInfo fcinfo, int64 id)
{
	Datum		value = Int64GetDatum(id);
	bool		isnull = false;

	put_row(fcinfo, &value, &isnull);
}

static bool
put_level(void *arg, int depth, Frontier *frontier)
{
	KeySet	   *keys = frontier_keys(frontier);
	int64		id;

	for (bool more = keys->seek(keys, PG_INT64_MIN, &id); more; more = keyset_after(keys, id, &id))
		put_id(arg, id);
	return true;
}

/*
 * assetreg._needed(ids): the entities given and everything that they need,
 * directly or through others, each once; one walk for all.
 */
Datum
assetreg_needed(PG_FUNCTION_ARGS)
{
	GraphWalk	walk = {.max_depth = NO_MAX_DEPTH, .level = put_level, .arg = fcinfo};

	walk.starts = arg_ids(fcinfo, 0, "ids", &walk.nstarts);
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	for (int i = 0; i < walk.nstarts; i++)
		put_id(fcinfo, walk.starts[i]);
	walk.adjacency = adjacency_begin(EDGES_TO_DEPENDENCIES);
	graph_walk(&walk);
	adjacency_end(walk.adjacency);
	return (Datum) 0;
}
