/*
 * fold_stats.c
 *		What a transaction changed in the numbers of assets, added when it commits.
 *
 * Most transactions only bring or take direct dependents; that is done here
 * without SQL, as each of them pays for it.  All else, and all above READ
 * COMMITTED, _fold_stats() in 56_stats.sql does, which says what the locks are
 * for.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "catalog.h"
#include "compat.h"
#include "own_query.h"
#include "row_tables.h"

PG_FUNCTION_INFO_V1(assetreg_fold_stats_trigger);

typedef struct Pair
{
	int64		asset;
	int64		dependent;
	int32		change;			/* edges that came, or went */
} Pair;

typedef struct Fold
{
	RowWriter  *changes;
	RowWriter  *stats;
	RowWriter  *edges;
	Pair	   *pairs;
	int			npairs;
	int			size;
} Fold;

static void
check_called_right(FunctionCallInfo fcinfo)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo)
		|| RelationGetRelid(trigger->tg_relation) != get_relname_relid("asset_stat_changes", get_namespace_oid("assetreg", true)))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger function serves table \"assetreg.asset_stat_changes\" only")));
}

/* --- the pairs of a transaction ----------------------------------------------------------------- */

static void
add_pairs(Fold *fold, Datum assets, Datum dependents, int32 change)
{
	ArrayType  *array = DatumGetArrayTypeP(assets);
	ArrayType  *others = DatumGetArrayTypeP(dependents);
	int			n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	int64	   *ids = (int64 *) ARR_DATA_PTR(array);
	int64	   *other_ids = (int64 *) ARR_DATA_PTR(others);

	if (fold->npairs + n > fold->size)
	{
		fold->size = Max(fold->npairs + n, 2 * fold->size);
		fold->pairs = fold->pairs == NULL ? palloc_extended(fold->size * sizeof(Pair), MCXT_ALLOC_HUGE)
			: repalloc_huge(fold->pairs, fold->size * sizeof(Pair));
	}
	for (int i = 0; i < n; i++)
		fold->pairs[fold->npairs++] = (Pair) {ids[i], other_ids[i], change};
}

/*
 * False: something else than dependents has changed.
 */
static bool
read_changes(Fold *fold, Datum transaction)
{
	for (TupleTableSlot *row = row_find(fold->changes, CHANGE_BY_TRANSACTION, transaction, 0); row != NULL;
		 row = row_next(fold->changes, CHANGE_BY_TRANSACTION))
	{
		text	   *what = DatumGetTextPP(row_value(fold->changes, row, CHANGE_WHAT, NULL));

		if (VARSIZE_ANY_EXHDR(what) != strlen("dependents") || memcmp(VARDATA_ANY(what), "dependents", strlen("dependents")) != 0)
			return false;
		add_pairs(fold, row_value(fold->changes, row, CHANGE_ASSETS, NULL), row_value(fold->changes, row, CHANGE_OTHERS, NULL),
				  DatumGetInt32(row_value(fold->changes, row, CHANGE_CHANGE, NULL)));
	}
	return true;
}

static int
compare_pairs(const void *a, const void *b)
{
	const Pair *x = a;
	const Pair *y = b;

	if (x->asset != y->asset)
		return x->asset < y->asset ? -1 : 1;
	return x->dependent < y->dependent ? -1 : x->dependent > y->dependent;
}

/*
 * Sorts the pairs and sums them up; what came and went again is left out.
 */
static void
sum_pairs(Fold *fold)
{
	int			n = 0;

	qsort(fold->pairs, fold->npairs, sizeof(Pair), compare_pairs);
	for (int i = 0, next; i < fold->npairs; i = next)
	{
		Pair		pair = fold->pairs[i];

		for (next = i + 1; next < fold->npairs && compare_pairs(&pair, &fold->pairs[next]) == 0; next++)
			pair.change += fold->pairs[next].change;
		if (pair.change != 0)
			fold->pairs[n++] = pair;
	}
	fold->npairs = n;
}

/* --- their assets' numbers ---------------------------------------------------------------------- */

static int
next_asset(const Fold *fold, int i)
{
	int64		asset = fold->pairs[i].asset;

	while (i < fold->npairs && fold->pairs[i].asset == asset)
		i++;
	return i;
}

static void
lock_stats(Fold *fold, int from)
{
	for (int i = from; i < fold->npairs; i = next_asset(fold, i))
	{
		TupleTableSlot *row = row_find(fold->stats, STAT_BY_ASSET, Int64GetDatum(fold->pairs[i].asset), 0);

		if (row != NULL)
			row_lock(fold->stats, &row->tts_tid, LockTupleExclusive);
	}
}

static int64
count_edges(Fold *fold, const Pair *pair, RowFind find)
{
	int64		n = 0;

	for (TupleTableSlot *row = find(fold->edges, EDGE_BY_PAIR, Int64GetDatum(pair->asset), Int64GetDatum(pair->dependent)); row != NULL;
		 row = row_next(fold->edges, EDGE_BY_PAIR))
		n++;
	return n;
}

static void
new_snapshot(Fold *fold)
{
	row_look_again(fold->changes);
	row_look_again(fold->stats);
	row_look_again(fold->edges);
	PopActiveSnapshot();
	CommandCounterIncrement();
	PushActiveSnapshot(GetLatestSnapshot());
}

/*
 * Adds what one asset gained and lost, to its row as the active snapshot has it.
 * The row is written even where the number stays: who has an older snapshot
 * must not count by that.  False: somebody else has written it since.
 */
static bool
add_to_asset(Fold *fold, int from, int to)
{
	static const int column[] = {STAT_DEPENDENTS};
	TupleTableSlot *row = row_find(fold->stats, STAT_BY_ASSET, Int64GetDatum(fold->pairs[from].asset), 0);
	Datum		value[1];
	int64		dependents = 0;

	if (row == NULL)
		return true;
	for (int p = from; p < to; p++)
	{
		int64		edges = count_edges(fold, &fold->pairs[p], to - from < ROWS_ONWARD ? row_find : row_find_onward);

		dependents += (edges > 0) - (edges - fold->pairs[p].change > 0);
	}
	value[0] = Int64GetDatum(DatumGetInt64(row_value(fold->stats, row, STAT_DEPENDENTS, NULL)) + dependents);
	return row_update(fold->stats, row, 1, column, value, NULL);
}

/*
 * As whoever folds writes the row, one that is as the snapshot has it says that
 * the snapshot has all edges of those who folded, too.  Where one is not, this
 * one and all that follow are locked first.
 */
static void
add_dependents(Fold *fold)
{
	bool		locked = false;

	for (int i = 0, next; i < fold->npairs; i = next)
	{
		CHECK_FOR_INTERRUPTS();
		next = next_asset(fold, i);
		while (!add_to_asset(fold, i, next))
		{
			if (locked)
				elog(ERROR, "asset_stats of asset %lld changed under its lock", (long long) fold->pairs[i].asset);
			lock_stats(fold, i);
			new_snapshot(fold);
			locked = true;
		}
	}
}

static void
delete_changes(Fold *fold, Datum transaction)
{
	for (TupleTableSlot *row = row_find(fold->changes, CHANGE_BY_TRANSACTION, transaction, 0); row != NULL;
		 row = row_next(fold->changes, CHANGE_BY_TRANSACTION))
		row_delete(fold->changes, &row->tts_tid);
}

/*
 * False: this is for SQL to do.
 */
static bool
fold_dependents(Fold *fold)
{
	Datum		transaction = Int64GetDatum((int64) U64FromFullTransactionId(GetTopFullTransactionId()));

	if (!read_changes(fold, transaction))
		return false;
	if (fold->npairs == 0)
		return true;			/* an earlier firing has dealt with all */
	/* not before: who only rates must not wait for who truncates the edges */
	fold->stats = row_writer_open(&stat_rows);
	fold->edges = row_writer_open(&edge_rows);
	if (fold->stats == NULL || fold->edges == NULL || !row_writer_own_triggers_only(fold->stats))
		return false;
	sum_pairs(fold);
	add_dependents(fold);
	delete_changes(fold, transaction);
	return true;
}

static bool
fold_without_sql(void)
{
	volatile Fold fold = {0};
	volatile bool done = false;

	if (IsolationUsesXactSnapshot())
		return false;
	CommandCounterIncrement();	/* what an earlier firing has deleted is gone */
	PushActiveSnapshot(GetLatestSnapshot());
	PG_TRY();
	{
		fold.changes = row_writer_open(&change_rows);
		done = fold.changes != NULL && row_writer_own_triggers_only(fold.changes) && fold_dependents((Fold *) &fold);
	}
	PG_CATCH();
	{
		row_writer_abandon(fold.changes);
		row_writer_abandon(fold.stats);
		row_writer_abandon(fold.edges);
		PG_RE_THROW();
	}
	PG_END_TRY();
	row_writer_close(fold.changes);
	row_writer_close(fold.stats);
	row_writer_close(fold.edges);
	PopActiveSnapshot();
	return done;
}

/*
 * The deferred trigger of asset_stat_changes.  Runs as the owner of the
 * registry.  Locks rows of asset_stats, in the order of their ids, to the end of
 * the transaction, which is near.
 */
Datum
assetreg_fold_stats_trigger(PG_FUNCTION_ARGS)
{
	static OwnQuery query = {"SELECT assetreg._fold_stats()"};
	OwnerSwitch before;
	MemoryContext context;
	MemoryContext caller;
	bool		done;

	check_called_right(fcinfo);
	context = AllocSetContextCreate(CurrentMemoryContext, "assetreg numbers", ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(context);
	become_owner(&before);
	done = fold_without_sql();
	become_user(&before);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);

	if (!done)
	{
		if (SPI_connect() != SPI_OK_CONNECT)
			elog(ERROR, "could not connect to SPI");
		run_as_owner(&query, NULL);
		SPI_finish();
	}
	PG_RETURN_POINTER(NULL);
}
