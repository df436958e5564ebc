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

static inline int
compare_pairs(const IdPair *a, const IdPair *b)
{
	if (a->dependency != b->dependency)
		return a->dependency < b->dependency ? -1 : 1;
	return a->dependent < b->dependent ? -1 : a->dependent > b->dependent;
}

#define ST_SORT sort_pairs
#define ST_ELEMENT_TYPE IdPair
#define ST_COMPARE(a, b) compare_pairs(a, b)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/*
 * Writes down which dependents an asset gained or lost; the pairs are its own.
 */
static void
count_asset(Writing *writing, const IdPair *pairs, int n, int change)
{
	Datum	   *dependents = palloc_extended(n * sizeof(Datum), MCXT_ALLOC_HUGE);
	Datum		values[CHANGE_COLUMNS];

	for (int i = 0; i < n; i++)
		dependents[i] = Int64GetDatum(pairs[i].dependent);
	values[CHANGE_ASSET] = Int64GetDatum(pairs->dependency);
	values[CHANGE_ID] = Int64GetDatum(nextval_internal(writing->change_ids, false));
	values[CHANGE_DEPENDENTS] = PointerGetDatum(construct_array(dependents, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	values[CHANGE_CHANGE] = Int32GetDatum(change);
	row_insert(writing->changes, values, NULL);
	pfree(DatumGetPointer(values[CHANGE_DEPENDENTS]));
	pfree(dependents);
}

static void
count_pairs(Writing *writing, IdPairs *pairs, int change)
{
	sort_pairs(pairs->pairs, pairs->n);
	for (int i = 0, next; i < pairs->n; i = next)
	{
		int64		dependency = pairs->pairs[i].dependency;

		for (next = i + 1; next < pairs->n && pairs->pairs[next].dependency == dependency; next++)
			;
		if (row_find(writing->stats, STAT_BY_ASSET, Int64GetDatum(dependency), 0) != NULL)
			count_asset(writing, &pairs->pairs[i], next - i, change);
	}
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
