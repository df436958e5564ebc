/*
 * tracking_relink.c
 *		The edges of tracked rows, made exactly those that the rows state.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "attribution.h"
#include "compat.h"
#include "own_query.h"
#include "tracking_writing.h"

/* --- what references mean ----------------------------------------------------------------------- */

/* The id that a reference to an asset is, or 0. */
static int64
reference_id(Datum reference)
{
	const char *digits = VARDATA_ANY(DatumGetPointer(reference));
	int			n = VARSIZE_ANY_EXHDR(DatumGetPointer(reference));
	int64		id = 0;

	if (n > 18)
		return 0;
	for (int i = 0; i < n; i++)
	{
		if (digits[i] < '0' || digits[i] > '9')
			return 0;
		id = 10 * id + (digits[i] - '0');
	}
	return id;
}

/*
 * An asset has its numbers and its entity; what it leaves of these when it is
 * deleted is not both.
 */
static bool
find_asset(Writing *writing, int64 id, Found *found)
{
	TupleTableSlot *row;

	if (row_find(writing->stats, STAT_BY_ASSET, Int64GetDatum(id), 0) == NULL)
		return false;
	row = row_find(writing->entities, ENTITY_BY_ID, Int64GetDatum(id), 0);
	if (row == NULL)
		return false;
	found->id = id;
	found->tid = row->tts_tid;
	return true;
}

/*
 * What others are found by: a name, a hash.
 */
static void
find_in_words(Writing *writing, Found *found, int *nfound)
{
	static OwnQuery query = {"SELECT assetreg._targets($1, $2)", 2, {TEXTARRAYOID, TEXTARRAYOID}};
	Batch	   *batch = writing->batch;
	Datum		args[] = {text_array(&batch->target_kinds), text_array(&batch->target_references)};
	bool		isnull;
	Datum	   *ids;
	int			nids;

	run_as_owner(&query, args);
	deconstruct_array(DatumGetArrayTypeP(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull)),
					  INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &ids, NULL, &nids);
	*nfound = 0;
	for (int t = 0; t < nids; t++)
	{
		TupleTableSlot *row = row_find(writing->entities, ENTITY_BY_ID, ids[t], 0);

		if (row != NULL)
			found[(*nfound)++] = (Found) {DatumGetInt64(ids[t]), row->tts_tid, t};
	}
}

static void
find_targets(Writing *writing, Found *found, int *nfound)
{
	Batch	   *batch = writing->batch;

	*nfound = 0;
	for (int t = 0; t < batch->target_references.n; t++)
	{
		Datum		reference = batch->target_references.values[t];
		int64		id;

		found[*nfound].number = t;
		if (!batch->target_kinds.nulls[t])
		{
			if (find_entity(writing, row_find, batch->target_kinds.values[t], reference, &found[*nfound]))
				(*nfound)++;
		}
		else if ((id = reference_id(reference)) == 0)
		{
			find_in_words(writing, found, nfound);
			return;
		}
		else if (find_asset(writing, id, &found[*nfound]))
			(*nfound)++;
	}
}

/*
 * As a foreign key would: what is found here nobody deletes before this
 * transaction ends; who was faster has left nothing to find.
 */
static void
lock_targets(Writing *writing)
{
	int			ntargets = writing->batch->target_references.n;
	Found	   *found = palloc_extended((ntargets + 1) * sizeof(Found), MCXT_ALLOC_HUGE);
	int			nfound;

	writing->targets = palloc_extended((ntargets + 1) * sizeof(int64), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	find_targets(writing, found, &nfound);
	qsort(found, nfound, sizeof(Found), compare_found);
	for (int i = 0; i < nfound; i++)
		if (row_lock(writing->entities, &found[i].tid, LockTupleKeyShare) != NULL)
			writing->targets[found[i].number] = found[i].id;
}

/*
 * Likewise the dependents that this transaction has not written.
 */
static void
lock_dependents(Writing *writing)
{
	IntArray   *relinked = &writing->batch->relinked;
	Found	   *found = palloc_extended(relinked->n * sizeof(Found), MCXT_ALLOC_HUGE);
	int			nfound = 0;

	for (int i = 0; i < relinked->n; i++)
	{
		int			row = DatumGetInt32(relinked->values[i]) - 1;

		if (!writing->held[row] && writing->rows[row].id != 0)
		{
			found[nfound] = writing->rows[row];
			found[nfound++].number = row;
		}
	}
	qsort(found, nfound, sizeof(Found), compare_found);
	for (int i = 0; i < nfound; i++)
		if (row_lock(writing->entities, &found[i].tid, LockTupleKeyShare) == NULL)
			writing->rows[found[i].number].id = 0;
}

/* --- edges -------------------------------------------------------------------------------------- */

/* An edge that a row states. */
typedef struct Stated
{
	int64		target;
	int			number;			/* in the batch */
	bool		there;
} Stated;

static int
compare_stated(const void *a, const void *b)
{
	const Stated *x = a;
	const Stated *y = b;

	if (x->target != y->target)
		return x->target < y->target ? -1 : 1;
	return x->number - y->number;
}

static int
compare_targets(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = ((const Stated *) b)->target;

	return x < y ? -1 : x > y;
}

/*
 * What a row states, in the order of the targets; of two edges to the same one
 * the first.
 */
static Stated *
stated_edges(Writing *writing, int relinked, int64 dependent, int *nstated)
{
	Batch	   *batch = writing->batch;
	int			first = DatumGetInt32(batch->first_edges.values[relinked]) - 1;
	int			end = relinked + 1 < batch->relinked.n ? DatumGetInt32(batch->first_edges.values[relinked + 1]) - 1 : batch->edge_rows.n;
	Stated	   *stated = palloc((end - first + 1) * sizeof(Stated));
	int			n = 0;
	int			kept = 0;

	for (int e = first; e < end; e++)
	{
		int64		target = writing->targets[DatumGetInt32(batch->edge_targets.values[e]) - 1];

		if (target != 0 && target != dependent)
			stated[n++] = (Stated) {target, e, false};
	}
	qsort(stated, n, sizeof(Stated), compare_stated);
	for (int i = 0; i < n; i++)
		if (i == 0 || stated[i].target != stated[i - 1].target)
			stated[kept++] = stated[i];
	*nstated = kept;
	return stated;
}

static bool
has_text(RowWriter *writer, TupleTableSlot *row, int column, Datum value)
{
	Datum		there = PointerGetDatum(PG_DETOAST_DATUM_PACKED(row_value(writer, row, column, NULL)));

	return compare_texts(&there, &value) == 0;
}

/*
 * Removes the edges of a dependent that its row does not state any more, and
 * all it waits for.  False: somebody else is changing them.
 */
static bool
unlink_row(Writing *writing, int64 dependent, Stated *stated, int nstated)
{
	static const int relation[] = {EDGE_RELATION};
	Batch	   *batch = writing->batch;
	RowFind		find = writing->ascending ? row_find_onward : row_find;
	TupleTableSlot *row;

	for (row = find(writing->edges, EDGE_BY_DEPENDENT, Int64GetDatum(dependent), 0); row != NULL;
		 row = row_next(writing->edges, EDGE_BY_DEPENDENT))
	{
		int64		target = DatumGetInt64(row_value(writing->edges, row, EDGE_DEPENDENCY, NULL));
		Stated	   *same;

		if (!has_text(writing->edges, row, EDGE_SOURCE, writing->role->source))
			continue;
		same = bsearch(&target, stated, nstated, sizeof(Stated), compare_targets);
		if (same == NULL)
		{
			if (row_delete(writing->edges, &row->tts_tid))
				add_pair(&writing->went, target, dependent);
			continue;
		}
		same->there = true;
		if (!has_text(writing->edges, row, EDGE_RELATION, batch->edge_relations.values[same->number])
			&& !row_update(writing->edges, row, 1, relation, &batch->edge_relations.values[same->number], NULL))
			return false;
	}
	for (row = find(writing->references, REFERENCE_BY_DEPENDENT, Int64GetDatum(dependent), 0); row != NULL;
		 row = row_next(writing->references, REFERENCE_BY_DEPENDENT))
		if (has_text(writing->references, row, REFERENCE_SOURCE, writing->role->source)
			&& !row_delete(writing->references, &row->tts_tid))
			return false;		/* and has perhaps made an edge of it */
	return true;
}

static void
edge_values(Writing *writing, int64 dependent, const Stated *stated, Datum *values)
{
	values[EDGE_DEPENDENT] = Int64GetDatum(dependent);
	values[EDGE_DEPENDENCY] = Int64GetDatum(stated->target);
	values[EDGE_RELATION] = writing->batch->edge_relations.values[stated->number];
	values[EDGE_SOURCE] = writing->role->source;
	values[EDGE_REQUIRES] = writing->requires;
	values[EDGE_ADDED_BY] = writing->added_by;
	values[EDGE_ADDED_AT] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
}

/*
 * Inserts the edges that are not there.  Of an entity that has just been made
 * nobody else can have any.
 */
static bool
link_row(Writing *writing, int64 dependent, bool is_new, Stated *stated, int nstated)
{
	Datum		values[EDGE_COLUMNS];

	for (int i = 0; i < nstated; i++)
	{
		if (stated[i].there)
			continue;
		edge_values(writing, dependent, &stated[i], values);
		if (is_new)
			row_insert(writing->edges, values, NULL);
		else if (!row_insert_unless_there(writing->edges, values, NULL))
			return false;
		stated[i].there = true;
		add_pair(&writing->came, stated[i].target, dependent);
	}
	return true;
}

/*
 * The edges of a row become exactly those that it states.
 */
static void
relink_row(Writing *writing, int relinked)
{
	int			row = DatumGetInt32(writing->batch->relinked.values[relinked]) - 1;
	int64		dependent = writing->rows[row].id;
	int			nstated;
	Stated	   *stated;

	if (dependent == 0)
		return;
	stated = stated_edges(writing, relinked, dependent, &nstated);
	while (!((writing->inserted[row] || unlink_row(writing, dependent, stated, nstated))
			 && link_row(writing, dependent, writing->inserted[row], stated, nstated)))
	{
		/* an edge that waited for its target has just been made, or what waited is gone */
		CHECK_FOR_INTERRUPTS();
		writing->inserted[row] = false;
		new_snapshot(writing);
	}
	pfree(stated);
}

/* --- edges of many rows at once ----------------------------------------------------------------- */

typedef struct NewEdge
{
	Stated		stated;
	int64		dependent;
} NewEdge;

typedef struct NewEdges
{
	Writing    *writing;
	NewEdge    *edges;
	int			n;
	int			size;
} NewEdges;

static void
new_edge(void *arg, int n, Datum *values, bool *nulls)
{
	NewEdges   *new = arg;

	edge_values(new->writing, new->edges[n].dependent, &new->edges[n].stated, values);
}

/*
 * Removes what a row does not state any more, and keeps in mind what to insert.
 * False: somebody else is changing its edges.
 */
static bool
gather_row(Writing *writing, int relinked, NewEdges *new)
{
	int			row = DatumGetInt32(writing->batch->relinked.values[relinked]) - 1;
	int64		dependent = writing->rows[row].id;
	int			nstated;
	Stated	   *stated;

	if (dependent == 0)
		return true;
	stated = stated_edges(writing, relinked, dependent, &nstated);
	if (!writing->inserted[row] && !unlink_row(writing, dependent, stated, nstated))
		return false;
	if (new->n + nstated > new->size)
	{
		new->size = Max(2 * new->size, new->n + nstated + 1024);
		new->edges = new->edges ? repalloc_huge(new->edges, new->size * sizeof(NewEdge)) : palloc(new->size * sizeof(NewEdge));
	}
	for (int i = 0; i < nstated; i++)
		if (!stated[i].there)
			new->edges[new->n++] = (NewEdge) {stated[i], dependent};
	pfree(stated);
	return true;
}

/*
 * False: not all edges are as they should be, and each row is to be seen to.
 */
static bool
relink_at_once(Writing *writing)
{
	NewEdges	new = {writing};
	bool		done = true;

	for (int i = 0; done && i < writing->batch->relinked.n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		done = gather_row(writing, i, &new);
	}
	if (done && new.n > 0)
		done = row_insert_many(writing->edges, new.n, new_edge, &new);
	if (!done)
	{
		new_snapshot(writing);
		return false;
	}
	for (int i = 0; i < new.n; i++)
		add_pair(&writing->came, new.edges[i].stated.target, new.edges[i].dependent);
	return true;
}

/*
 * References that mean nothing wait until they do.
 */
static void
note_waiting(Writing *writing)
{
	static OwnQuery query = {
		"SELECT assetreg._note_waiting($1, $2, $3, $4, $5, $6, $7, $8)", 8,
		{TEXTOID, INT8ARRAYOID, INT4ARRAYOID, INT4ARRAYOID, TEXTARRAYOID, INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID}
	};
	Batch	   *batch = writing->batch;
	int			ntargets = batch->target_references.n;
	Datum	   *ids;
	Datum	   *targets;
	bool		waiting = false;

	for (int t = 0; t < ntargets; t++)
		waiting |= writing->targets[t] == 0;
	if (!waiting)
		return;
	ids = palloc_extended(batch->keys.n * sizeof(Datum), MCXT_ALLOC_HUGE);
	targets = palloc_extended(ntargets * sizeof(Datum), MCXT_ALLOC_HUGE);
	for (int i = 0; i < batch->keys.n; i++)
		ids[i] = Int64GetDatum(writing->rows[i].id);
	for (int t = 0; t < ntargets; t++)
		targets[t] = Int64GetDatum(writing->targets[t]);
	{
		Datum		args[] = {
			writing->role->source,
			PointerGetDatum(construct_array(ids, batch->keys.n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE)),
			int_array(&batch->edge_rows), int_array(&batch->edge_targets), text_array(&batch->edge_relations),
			PointerGetDatum(construct_array(targets, ntargets, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE)),
			text_array(&batch->target_kinds), text_array(&batch->target_references)
		};

		run_as_owner(&query, args);
	}
}

/*
 * Are the dependents many, and in the order of their ids?  They are where rows
 * lie as they were inserted.
 */
static bool
dependents_ascend(Writing *writing)
{
	IntArray   *relinked = &writing->batch->relinked;
	int64		last = PG_INT64_MIN;

	for (int i = 0; i < relinked->n; i++)
	{
		int64		id = writing->rows[DatumGetInt32(relinked->values[i]) - 1].id;

		if (id < last)
			return false;
		last = id;
	}
	return relinked->n >= ROWS_ONWARD;
}

void
relink(Writing *writing)
{
	if (writing->batch->relinked.n == 0)
		return;
	lock_targets(writing);
	lock_dependents(writing);
	new_snapshot(writing);
	writing->requires = PointerGetDatum(construct_empty_array(TEXTOID));
	writing->added_by = CStringGetTextDatum(attribution_actor());
	writing->ascending = dependents_ascend(writing);
	if (writing->batch->relinked.n < ROWS_AT_ONCE || !relink_at_once(writing))
		for (int i = 0; i < writing->batch->relinked.n; i++)
		{
			CHECK_FOR_INTERRUPTS();
			relink_row(writing, i);
		}
	note_waiting(writing);
}
