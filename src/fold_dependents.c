/*
 * fold_dependents.c
 *		What is written down of assets' edges, added to the numbers of their direct
 *		dependents.
 *
 * Done by one transaction for many, when it commits; without SQL, as it pays for
 * all of them.  Above READ COMMITTED _fold_dependents() in 56_stats.sql does it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "pending_dependents.h"
#include "row_tables.h"

PG_FUNCTION_INFO_V1(assetreg_fold_dependents);

typedef struct Fold
{
	RowWriter  *changes;
	RowWriter  *stats;
	RowWriter  *edges;
	int64	   *assets;			/* with changes, in the order of their ids */
	int			nassets;
	int			assets_size;
	PendingPairs pending;		/* those of one asset */
	ItemPointerData *rows;		/* that they are of */
	int			nrows;
	int			rows_size;
} Fold;

#define MAKE_ROOM(array, n, size) \
	do { \
		if ((n) > (size)) \
		{ \
			(size) = Max((n), 2 * (size) + 64); \
			(array) = (array) == NULL ? palloc_extended((size) * sizeof(*(array)), MCXT_ALLOC_HUGE) \
				: repalloc_huge((array), (size) * sizeof(*(array))); \
		} \
	} while (0)

/* --- the assets --------------------------------------------------------------------------------- */

static void
add_asset(void *arg, TupleTableSlot *row)
{
	Fold	   *fold = arg;
	int64		asset = DatumGetInt64(row_value(fold->changes, row, CHANGE_ASSET, NULL));

	if (fold->nassets > 0 && fold->assets[fold->nassets - 1] == asset)
		return;
	MAKE_ROOM(fold->assets, fold->nassets + 1, fold->assets_size);
	fold->assets[fold->nassets++] = asset;
}

/* --- the changes of one ------------------------------------------------------------------------- */

static void
add_row(Fold *fold, TupleTableSlot *row)
{
	pending_add(&fold->pending, row_value(fold->changes, row, CHANGE_DEPENDENTS, NULL),
				DatumGetInt32(row_value(fold->changes, row, CHANGE_CHANGE, NULL)));
	MAKE_ROOM(fold->rows, fold->nrows + 1, fold->rows_size);
	fold->rows[fold->nrows++] = row->tts_tid;
}

static int64
count_edges(Fold *fold, int64 asset, int64 dependent)
{
	RowFind		find = fold->pending.n < ROWS_ONWARD ? row_find : row_find_onward;
	int64		n = 0;

	for (TupleTableSlot *row = find(fold->edges, EDGE_BY_PAIR, Int64GetDatum(asset), Int64GetDatum(dependent)); row != NULL;
		 row = row_next(fold->edges, EDGE_BY_PAIR))
		n++;
	return n;
}

/*
 * Adds what is written down for an asset, as the active snapshot has it.  Who
 * gets to write its row, as the snapshot has that, too, is the only one to do
 * so; it is written even where the number stays.  Where somebody else holds it,
 * or has written it since, all is left as it is for whoever comes next.
 */
static void
fold_asset(Fold *fold, int64 asset)
{
	static const int column[] = {STAT_DEPENDENTS};
	TupleTableSlot *stat = row_find(fold->stats, STAT_BY_ASSET, Int64GetDatum(asset), 0);
	int64		dependents = stat == NULL ? 0 : DatumGetInt64(row_value(fold->stats, stat, STAT_DEPENDENTS, NULL));
	Datum		value[1];

	fold->pending.n = fold->nrows = 0;
	for (TupleTableSlot *row = row_find(fold->changes, CHANGE_BY_ASSET, Int64GetDatum(asset), 0); row != NULL;
		 row = row_next(fold->changes, CHANGE_BY_ASSET))
		add_row(fold, row);
	pending_sum(&fold->pending);
	/* without a row: who deleted the asset under an older snapshot did not see these */
	for (int i = 0; stat != NULL && i < fold->pending.n; i++)
	{
		PendingPair *pair = &fold->pending.pairs[i];

		CHECK_FOR_INTERRUPTS();
		dependents += pending_difference(count_edges(fold, asset, pair->dependent), pair->change);
	}
	value[0] = Int64GetDatum(dependents);
	if (stat == NULL || row_update_unless_held(fold->stats, stat, 1, column, value, NULL))
		for (int i = 0; i < fold->nrows; i++)
			row_delete(fold->changes, &fold->rows[i]);
}

/* --- all together ------------------------------------------------------------------------------- */

static RowWriter *
open_quiet(const RowTable *table)
{
	RowWriter  *writer = row_writer_open(table);

	if (writer == NULL || row_writer_own_triggers_only(writer))
		return writer;
	row_writer_close(writer);
	return NULL;
}

static bool
open_tables(Fold *fold)
{
	fold->changes = open_quiet(&change_rows);
	fold->stats = open_quiet(&stat_rows);
	fold->edges = row_writer_open(&edge_rows);
	return fold->changes != NULL && fold->stats != NULL && fold->edges != NULL;
}

static bool
fold_all(Fold *fold)
{
	bool		done;

	PG_TRY();
	{
		done = open_tables(fold);
		if (done)
			row_each(fold->changes, CHANGE_BY_ASSET, add_asset, fold);
		for (int i = 0; i < fold->nassets; i++)
			fold_asset(fold, fold->assets[i]);
	}
	PG_CATCH();
	{
		row_writer_abandon(fold->changes);
		row_writer_abandon(fold->stats);
		row_writer_abandon(fold->edges);
		PG_RE_THROW();
	}
	PG_END_TRY();
	row_writer_close(fold->changes);
	row_writer_close(fold->stats);
	row_writer_close(fold->edges);
	return done;
}

/*
 * assetreg._fold_dependents_directly(): adds all that is written down in
 * asset_dependent_changes to asset_stats.dependents, but for assets whose row
 * another transaction holds.  To be called as the owner of the registry.  Locks
 * the rows that it writes to the end of the transaction, and waits for nobody
 * but who locks whole tables.  Memory grows with what is written down of one
 * asset.  False: it did nothing, as the tables are not those of setup(), or the
 * transaction has a snapshot of its own.
 */
Datum
assetreg_fold_dependents(PG_FUNCTION_ARGS)
{
	Fold		fold = {0};
	MemoryContext context;
	MemoryContext caller;
	bool		done;

	if (IsolationUsesXactSnapshot())
		PG_RETURN_BOOL(false);
	context = AllocSetContextCreate(CurrentMemoryContext, "assetreg dependents", ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(context);
	CommandCounterIncrement();
	PushActiveSnapshot(GetLatestSnapshot());
	done = fold_all(&fold);
	PopActiveSnapshot();
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	PG_RETURN_BOOL(done);
}
