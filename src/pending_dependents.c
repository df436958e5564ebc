/*
 * pending_dependents.c
 *		What is written down of an asset's edges, counted by who reads.
 *
 * Lists ask for each asset that they show, and most have nothing written down.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "catalog.h"
#include "compat.h"
#include "pending_dependents.h"

PG_FUNCTION_INFO_V1(assetreg_pending_dependents);

/* --- pairs -------------------------------------------------------------------------------------- */

void
pending_add(PendingPairs *pending, Datum dependents, int32 change)
{
	ArrayType  *array = DatumGetArrayTypeP(dependents);
	int64	   *ids = (int64 *) ARR_DATA_PTR(array);
	int			n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));

	if (pending->n + n > pending->size)
	{
		pending->size = Max(pending->n + n, 2 * pending->size);
		pending->pairs = pending->pairs == NULL ? palloc_extended(pending->size * sizeof(PendingPair), MCXT_ALLOC_HUGE)
			: repalloc_huge(pending->pairs, pending->size * sizeof(PendingPair));
	}
	for (int i = 0; i < n; i++)
		pending->pairs[pending->n++] = (PendingPair) {ids[i], change};
}

#define ST_SORT sort_pairs
#define ST_ELEMENT_TYPE PendingPair
#define ST_COMPARE(a, b) ((a)->dependent < (b)->dependent ? -1 : (a)->dependent > (b)->dependent)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/*
 * Sums the pairs up, in the order of the dependents; what came and went again is
 * left out.
 */
void
pending_sum(PendingPairs *pending)
{
	PendingPair *pairs = pending->pairs;
	int			n = 0;

	sort_pairs(pairs, pending->n);
	for (int i = 0, next; i < pending->n; i = next)
	{
		PendingPair pair = pairs[i];

		for (next = i + 1; next < pending->n && pairs[next].dependent == pair.dependent; next++)
			pair.change += pairs[next].change;
		if (pair.change != 0)
			pairs[n++] = pair;
	}
	pending->n = n;
}

/* --- reading ------------------------------------------------------------------------------------ */

/* A table, and an index that begins with two of its columns. */
typedef struct Source
{
	Relation	table;
	Relation	index;			/* NULL: there is none */
	IndexScanDesc scan;
	TupleTableSlot *row;
} Source;

static bool
open_source(Source *source, const char *relname, const char *column1, const char *column2, int nkeys)
{
	AttrNumber	columns[2];

	source->table = catalog_open(relname);
	columns[0] = catalog_attnum(source->table, column1);
	columns[1] = catalog_attnum(source->table, column2);
	if (source->table->rd_rel->relkind == RELKIND_RELATION && !source->table->rd_rel->relhassubclass)
		source->index = catalog_open_index(source->table, columns, 2);
	if (source->index == NULL)
		return false;
	source->scan = index_beginscan(source->table, source->index, GetActiveSnapshot(), NULL, nkeys, 0);
	source->row = table_slot_create(source->table, NULL);
	return true;
}

static void
close_source(Source *source)
{
	if (source->index != NULL)
	{
		index_endscan(source->scan);
		ExecDropSingleTupleTableSlot(source->row);
		index_close(source->index, NoLock);
	}
	table_close(source->table, NoLock);
}

static bool
next_row(Source *source)
{
	return index_getnext_slot(source->scan, ForwardScanDirection, source->row);
}

static void
read_changes(Source *changes, int64 asset, PendingPairs *pending)
{
	AttrNumber	dependents = catalog_attnum(changes->table, "dependent_ids");
	AttrNumber	change = catalog_attnum(changes->table, "change");
	ScanKeyData key;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(asset));
	index_rescan(changes->scan, &key, 1, NULL, 0);
	while (next_row(changes))
	{
		bool		isnull;

		pending_add(pending, slot_getattr(changes->row, dependents, &isnull), DatumGetInt32(slot_getattr(changes->row, change, &isnull)));
	}
	pending_sum(pending);
}

static int64
count_edges(Source *edges, int64 asset, int64 dependent)
{
	ScanKeyData keys[2];
	int64		n = 0;

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(asset));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(dependent));
	index_rescan(edges->scan, keys, 2, NULL, 0);
	while (next_row(edges))
		n++;
	return n;
}

/* False: there is no index for the edges. */
static bool
count_pending(const PendingPairs *pending, int64 asset, int64 *dependents)
{
	Source		edges = {0};
	bool		found = open_source(&edges, "asset_dependencies", "dependency_id", "dependent_id", 2);

	for (int i = 0; found && i < pending->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		*dependents += pending_difference(count_edges(&edges, asset, pending->pairs[i].dependent), pending->pairs[i].change);
	}
	close_source(&edges);
	return found;
}

/*
 * assetreg._pending_dependents(asset_id bigint): what is to be added to
 * asset_stats.dependents of an asset, under the active snapshot.  Who may see
 * the number sees it whole, so neither rights nor row security of the tables
 * matter.  Memory grows with what is written down of the asset.  Raises 55000
 * where a table is missing.  NULL: the tables are not those of setup(), and
 * _count_pending() tells.
 */
Datum
assetreg_pending_dependents(PG_FUNCTION_ARGS)
{
	int64		asset = PG_GETARG_INT64(0);
	Source		changes = {0};
	PendingPairs pending = {0};
	int64		dependents = 0;
	bool		known = open_source(&changes, "asset_dependent_changes", "asset_id", "id", 1);

	if (known)
		read_changes(&changes, asset, &pending);
	close_source(&changes);
	if (pending.n > 0)
		known = count_pending(&pending, asset, &dependents);
	if (pending.pairs != NULL)
		pfree(pending.pairs);
	if (!known)
		PG_RETURN_NULL();
	PG_RETURN_INT64(dependents);
}
