/*
 * outcomes.c
 *		How generations with an asset, or with two of them, ended.
 *
 * Rows of assetreg.asset_outcomes by their key, under the active snapshot: from
 * the index where the table may be read so (catalog.c), else by SQL.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"

#include "catalog.h"
#include "compat.h"
#include "outcomes.h"
#include "own_query.h"
#include "sql_rows.h"

enum
{
	COLUMN_ASSET, COLUMN_OTHER, COLUMN_SUCCESSES, COLUMN_TRIES, COLUMN_BOUND,
	NCOLUMNS
};

struct Outcomes
{
	Relation	table;
	Relation	index;			/* NULL: the source is SQL */
	Snapshot	snapshot;
	IndexScanDesc scan;
	TupleTableSlot *row;
	AttrNumber	columns[NCOLUMNS];
};

/* Has the table these columns as setup() makes them? */
static bool
find_columns(Outcomes *outcomes)
{
	static const char *const names[NCOLUMNS] = {"asset_id", "other_asset_id", "successes", "tries", "success_bound"};
	static const Oid types[NCOLUMNS] = {INT8OID, INT8OID, INT8OID, INT8OID, FLOAT8OID};
	bool		as_made = true;

	for (int i = 0; i < NCOLUMNS; i++)
	{
		outcomes->columns[i] = catalog_attnum(outcomes->table, names[i]);
		as_made = as_made && TupleDescAttr(RelationGetDescr(outcomes->table), outcomes->columns[i] - 1)->atttypid == types[i];
	}
	return as_made;
}

/*
 * Begins to look up under the active snapshot, which must stay active; the same
 * rules as for adjacency_begin().
 */
Outcomes *
outcomes_begin(void)
{
	Outcomes   *outcomes = palloc0(sizeof(Outcomes));

	outcomes->table = catalog_open("asset_outcomes");
	if (find_columns(outcomes) && catalog_pages_readable(outcomes->table))
		outcomes->index = catalog_open_index(outcomes->table, outcomes->columns, 2);
	if (outcomes->index == NULL)
	{
		sql_rows_begin();
		return outcomes;
	}
	outcomes->snapshot = RegisterSnapshot(GetActiveSnapshot());
	outcomes->scan = index_beginscan(outcomes->table, outcomes->index, outcomes->snapshot, NULL, 2, 0);
	outcomes->row = table_slot_create(outcomes->table, NULL);
	return outcomes;
}

void
outcomes_end(Outcomes *outcomes)
{
	if (outcomes->index == NULL)
		sql_rows_end();
	else
	{
		index_endscan(outcomes->scan);
		ExecDropSingleTupleTableSlot(outcomes->row);
		UnregisterSnapshot(outcomes->snapshot);
		index_close(outcomes->index, NoLock);
	}
	table_close(outcomes->table, NoLock);
	pfree(outcomes);
}

static bool
find_by_index(Outcomes *outcomes, int64 id, int64 other, Outcome *outcome)
{
	ScanKeyData keys[2];
	bool		isnull;

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(id));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(other));
	index_rescan(outcomes->scan, keys, 2, NULL, 0);
	if (!index_getnext_slot(outcomes->scan, ForwardScanDirection, outcomes->row))
		return false;
	outcome->successes = DatumGetInt64(slot_getattr(outcomes->row, outcomes->columns[COLUMN_SUCCESSES], &isnull));
	outcome->tries = DatumGetInt64(slot_getattr(outcomes->row, outcomes->columns[COLUMN_TRIES], &isnull));
	outcome->bound = DatumGetFloat8(slot_getattr(outcomes->row, outcomes->columns[COLUMN_BOUND], &isnull));
	return true;
}

static bool
find_by_sql(int64 id, int64 other, Outcome *outcome)
{
	static SPIPlanPtr plan = NULL;
	Datum		args[2] = {Int64GetDatum(id), Int64GetDatum(other)};
	MemoryContext context = CurrentMemoryContext;
	bool		found;
	bool		isnull;

	if (plan == NULL)
		plan = prepare_kept("SELECT o.successes::pg_catalog.int8, o.tries::pg_catalog.int8, o.success_bound::pg_catalog.float8 FROM assetreg.asset_outcomes o"
							" WHERE o.asset_id OPERATOR(pg_catalog.=) $1 AND o.other_asset_id OPERATOR(pg_catalog.=) $2",
							2, (Oid[]) {INT8OID, INT8OID});
	SPI_execute_plan(plan, args, NULL, true, 1);
	found = SPI_processed > 0;
	if (found)
	{
		HeapTuple	row = SPI_tuptable->vals[0];

		outcome->successes = DatumGetInt64(SPI_getbinval(row, SPI_tuptable->tupdesc, 1, &isnull));
		outcome->tries = DatumGetInt64(SPI_getbinval(row, SPI_tuptable->tupdesc, 2, &isnull));
		outcome->bound = DatumGetFloat8(SPI_getbinval(row, SPI_tuptable->tupdesc, 3, &isnull));
	}
	SPI_freetuptable(SPI_tuptable);
	MemoryContextSwitchTo(context);
	return found;
}

/*
 * What was recorded of an asset (twice the same id) or of a pair, in any order;
 * false if nothing was, or nothing that the caller may see.
 */
bool
outcomes_find(Outcomes *outcomes, int64 id, int64 other, Outcome *outcome)
{
	int64		smaller = Min(id, other);
	int64		larger = Max(id, other);

	if (outcomes->index == NULL)
		return find_by_sql(smaller, larger, outcome);
	return find_by_index(outcomes, smaller, larger, outcome);
}
