/*
 * row_tables.c
 *		The registry's tables that are written without SQL.
 */
#include "postgres.h"

#include "row_tables.h"

const RowTable entity_rows = {
	.name = "entities",
	.ncolumns = ENTITY_COLUMNS,
	.columns = {"id", "kind", "key", "label", "active"},
	.nlookups = 2,
	.lookups = {{1, {ENTITY_ID}}, {2, {ENTITY_KIND, ENTITY_KEY}}},
	.unique = {2, {ENTITY_KIND, ENTITY_KEY}}
};

const RowTable edge_rows = {
	.name = "asset_dependencies",
	.ncolumns = EDGE_COLUMNS,
	.columns = {"dependent_id", "dependency_id", "source", "relation", "requires", "added_by", "added_at"},
	.nlookups = 3,
	.lookups = {{1, {EDGE_DEPENDENT}}, {1, {EDGE_DEPENDENCY}}, {2, {EDGE_DEPENDENCY, EDGE_DEPENDENT}}},
	.unique = {3, {EDGE_DEPENDENCY, EDGE_DEPENDENT, EDGE_SOURCE}}
};

const RowTable reference_rows = {
	.name = "unresolved_references",
	.ncolumns = REFERENCE_COLUMNS,
	.columns = {"dependent_id", "reference", "type", "candidates", "seen_at", "source", "relation", "requires", "names", "type_key"},
	.nlookups = 2,
	.lookups = {{1, {REFERENCE_DEPENDENT}}, {1, {REFERENCE_TYPE}}}
};

/* of the numbers only dependents is written, on which no generated column depends */
const RowTable stat_rows = {
	.name = "asset_stats",
	.ncolumns = 12,
	.columns = {"asset_id", "dependents", "predecessor_id", "stars_1", "stars_2", "stars_3", "stars_4", "stars_5", "prior",
	"rating_count", "rating_average", "rating_score"},
	.nlookups = 1,
	.lookups = {{1, {STAT_ASSET}}}
};

const RowTable change_rows = {
	.name = "asset_dependent_changes",
	.ncolumns = CHANGE_COLUMNS,
	.columns = {"asset_id", "id", "dependent_ids", "change"},
	.nlookups = 1,
	.lookups = {{1, {CHANGE_ASSET}}},
	.fires = true
};
