/*
 * tracking_gone.c
 *		The entities of tracked rows that are gone, deleted without SQL.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "compat.h"
#include "own_query.h"
#include "tracking_writing.h"

/*
 * The entities of keys that no row of the batch has any more, in the order of
 * their ids.
 */
static int
find_gone(Writing *writing, Found *gone)
{
	Batch	   *batch = writing->batch;
	Datum	   *kept = palloc_extended(batch->keys.n * sizeof(Datum), MCXT_ALLOC_HUGE);
	Datum	   *left = palloc_extended(batch->keys.n * sizeof(Datum), MCXT_ALLOC_HUGE);
	RowFind		find;
	int			nkept = 0;
	int			nleft = 0;
	int			n = 0;

	for (int i = 0; i < batch->keys.n; i++)
		if (!batch->keys.nulls[i])
			kept[nkept++] = batch->keys.values[i];
	qsort(kept, nkept, sizeof(Datum), compare_texts);
	for (int i = 0; i < batch->keys.n; i++)
		if (batch->keys.nulls[i] && !batch->old_keys.nulls[i]
			&& bsearch(&batch->old_keys.values[i], kept, nkept, sizeof(Datum), compare_texts) == NULL)
			left[nleft++] = batch->old_keys.values[i];
	find = row_find_many(writing->entities, nleft);
	if (find == row_find_onward)
		qsort(left, nleft, sizeof(Datum), compare_texts);
	for (int i = 0; i < nleft; i++)
		if (find_entity(writing, find, writing->role->kind, left[i], &gone[n]))
			n++;
	qsort(gone, n, sizeof(Found), compare_found);
	return n;
}

static bool
is_declared(RowWriter *edges, TupleTableSlot *edge)
{
	text	   *source = DatumGetTextPP(row_value(edges, edge, EDGE_SOURCE, NULL));

	return VARSIZE_ANY_EXHDR(source) == strlen("declared") && memcmp(VARDATA_ANY(source), "declared", strlen("declared")) == 0;
}

/*
 * Deletes a locked entity with its edges.  False: others need it, or people
 * have declared what it needs, which has events.
 */
static bool
delete_entity(Writing *writing, Found *gone, RowFind find)
{
	Datum		id = Int64GetDatum(gone->id);
	TupleTableSlot *row;
	int			nedges = 0;

	for (row = find(writing->edges, EDGE_BY_DEPENDENT, id, 0); row != NULL; row = row_next(writing->edges, EDGE_BY_DEPENDENT))
	{
		if (is_declared(writing->edges, row))
			return false;
		if (nedges == writing->nown)
		{
			writing->nown = Max(16, 2 * writing->nown);
			writing->own = writing->own ? repalloc_huge(writing->own, writing->nown * sizeof(Found))
				: palloc(writing->nown * sizeof(Found));
		}
		writing->own[nedges].id = DatumGetInt64(row_value(writing->edges, row, EDGE_DEPENDENCY, NULL));
		writing->own[nedges++].tid = row->tts_tid;
	}
	if (find(writing->edges, EDGE_BY_DEPENDENCY, id, 0) != NULL)
		return false;
	for (int i = 0; i < nedges; i++)
		if (row_delete(writing->edges, &writing->own[i].tid))
			add_pair(&writing->went, writing->own[i].id, gone->id);
	for (row = find(writing->references, REFERENCE_BY_DEPENDENT, id, 0); row != NULL;
		 row = row_next(writing->references, REFERENCE_BY_DEPENDENT))
		row_delete(writing->references, &row->tts_tid);
	row_delete(writing->entities, &gone->tid);
	return true;
}

void
delete_gone(Writing *writing)
{
	static OwnQuery query = {"SELECT assetreg._delete_entities($1)", 1, {INT8ARRAYOID}};
	Found	   *gone = palloc_extended(writing->batch->keys.n * sizeof(Found), MCXT_ALLOC_HUGE);
	int			ngone = find_gone(writing, gone);
	int			nlocked = 0;
	ArrayBuildState *left = NULL;

	if (ngone == 0)
		return;

	/* who is about to add an edge holds a share of this lock */
	for (int i = 0; i < ngone; i++)
	{
		TupleTableSlot *locked = row_lock(writing->entities, &gone[i].tid, LockTupleExclusive);

		if (locked == NULL)
			continue;
		gone[nlocked] = gone[i];
		gone[nlocked++].tid = locked->tts_tid;
	}
	new_snapshot(writing);
	for (int i = 0; i < nlocked; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!delete_entity(writing, &gone[i], nlocked < ROWS_ONWARD ? row_find : row_find_onward))
			left = accumArrayResult(left, Int64GetDatum(gone[i].id), false, INT8OID, CurrentMemoryContext);
	}
	new_snapshot(writing);
	if (left != NULL)
	{
		Datum		args[] = {makeArrayResult(left, CurrentMemoryContext)};

		run_quietly(&query, args);
		new_snapshot(writing);
	}
}
