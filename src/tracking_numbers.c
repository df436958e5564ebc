/*
 * tracking_numbers.c
 *		Which assets gained or lost a direct dependent while tracked rows were
 *		written without SQL.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "compat.h"
#include "tracking_writing.h"

void
add_pair(IdPairs *pairs, int64 dependency, int64 dependent)
{
	if (pairs->n == pairs->size)
	{
		pairs->size = Max(16, 2 * pairs->size);
		pairs->pairs = pairs->pairs ? repalloc_huge(pairs->pairs, pairs->size * sizeof(IdPair))
			: palloc(pairs->size * sizeof(IdPair));
	}
	pairs->pairs[pairs->n++] = (IdPair) {dependency, dependent};
}

static int
compare_pairs(const void *a, const void *b)
{
	const IdPair *x = a;
	const IdPair *y = b;

	if (x->dependency != y->dependency)
		return x->dependency < y->dependency ? -1 : 1;
	return x->dependent < y->dependent ? -1 : x->dependent > y->dependent;
}

/*
 * Writes down which assets gained or lost a direct dependent.
 */
static void
count_pairs(Writing *writing, IdPairs *pairs, int change)
{
	Datum	   *assets = palloc_extended((pairs->n + 1) * sizeof(Datum), MCXT_ALLOC_HUGE);
	Datum	   *others = palloc_extended((pairs->n + 1) * sizeof(Datum), MCXT_ALLOC_HUGE);
	Datum		values[CHANGE_COLUMNS] = {
		Int64GetDatum((int64) U64FromFullTransactionId(GetTopFullTransactionId())), 0, CStringGetTextDatum("dependents"), 0, 0,
		Int32GetDatum(change)
	};
	bool		asset = false;
	int			n = 0;

	qsort(pairs->pairs, pairs->n, sizeof(IdPair), compare_pairs);
	for (int i = 0; i < pairs->n; i++)
	{
		Datum		dependency = Int64GetDatum(pairs->pairs[i].dependency);

		if (i == 0 || pairs->pairs[i].dependency != pairs->pairs[i - 1].dependency)
			asset = row_find(writing->stats, STAT_BY_ASSET, dependency, 0) != NULL;
		if (!asset)
			continue;
		assets[n] = dependency;
		others[n++] = Int64GetDatum(pairs->pairs[i].dependent);
	}
	if (n == 0)
		return;
	values[CHANGE_ID] = Int64GetDatum(nextval_internal(writing->change_ids, false));
	values[CHANGE_ASSETS] = PointerGetDatum(construct_array(assets, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	values[CHANGE_OTHERS] = PointerGetDatum(construct_array(others, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	row_insert(writing->changes, values, NULL);
}

void
count_dependents(Writing *writing)
{
	EState	   *estate;

	if (writing->came.n + writing->went.n == 0)
		return;
	AfterTriggerBeginQuery();
	count_pairs(writing, &writing->came, 1);
	count_pairs(writing, &writing->went, -1);
	estate = CreateExecutorState();
	AfterTriggerEndQuery(estate);	/* the trigger is deferred, unless somebody made it immediate */
	ExecCloseResultRelations(estate);
	FreeExecutorState(estate);
}
