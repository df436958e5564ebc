/*
 * tracking_direct.c
 *		What a statement changed in tracked rows, written to the graph without SQL.
 *
 * Does what _apply_entities() in 80_tracking.sql does, to the same rows, under
 * the same locks and with a new snapshot after each wait for them.  What is rare
 * is left to the functions there: keys that move, entities that others need,
 * references in words, and those that wait for what they mean.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "attribution.h"
#include "compat.h"
#include "own_query.h"
#include "row_tables.h"
#include "tracking.h"

#define MAX_KEY_SIZE 2000

typedef struct IdPair
{
	int64		dependency;
	int64		dependent;
} IdPair;

typedef struct IdPairs
{
	IdPair	   *pairs;
	int			n;
	int			size;
} IdPairs;

/* An entity as a look-up found it. */
typedef struct Found
{
	int64		id;
	ItemPointerData tid;
	int			number;			/* of the row or target */
} Found;

typedef struct Writing
{
	Batch	   *batch;
	Role	   *role;
	RowWriter  *entities;
	RowWriter  *edges;
	RowWriter  *references;
	RowWriter  *stats;
	RowWriter  *changes;
	Oid			entity_ids;		/* sequences */
	Oid			change_ids;
	Found	   *rows;			/* the entities of the batch's rows; id 0: none */
	bool	   *inserted;		/* were these made here? */
	bool	   *held;			/* does this transaction hold them already? */
	bool		changed;		/* were any made or changed? */
	int64	   *targets;		/* the entities that references mean; 0: none */
	Found	   *own;			/* room for the edges of one that goes */
	int			nown;
	IdPairs		came;
	IdPairs		went;
	Datum		edge[EDGE_COLUMNS];
} Writing;

static void
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

/*
 * From now on what has been done here, and what others have committed, is seen.
 */
static void
new_snapshot(Writing *writing)
{
	row_look_again(writing->entities);
	row_look_again(writing->edges);
	row_look_again(writing->references);
	row_look_again(writing->stats);
	PopActiveSnapshot();
	CommandCounterIncrement();
	PushActiveSnapshot(GetLatestSnapshot());
}

static int
compare_found(const void *a, const void *b)
{
	int64		x = ((const Found *) a)->id;
	int64		y = ((const Found *) b)->id;

	return x < y ? -1 : x > y;
}

static bool
find_entity(Writing *writing, Datum kind, Datum key, Found *found)
{
	TupleTableSlot *row = row_find(writing->entities, ENTITY_BY_KEY, kind, key);

	if (row == NULL)
		return false;
	found->id = DatumGetInt64(row_value(writing->entities, row, ENTITY_ID, NULL));
	found->tid = row->tts_tid;
	return true;
}

/* --- entities whose rows are gone --------------------------------------------------------------- */

static int
compare_texts(const void *a, const void *b)
{
	text	   *x = DatumGetTextPP(*(const Datum *) a);
	text	   *y = DatumGetTextPP(*(const Datum *) b);
	Size		size = VARSIZE_ANY_EXHDR(x);

	if (size != VARSIZE_ANY_EXHDR(y))
		return size < VARSIZE_ANY_EXHDR(y) ? -1 : 1;
	return memcmp(VARDATA_ANY(x), VARDATA_ANY(y), size);
}

/*
 * The entities of keys that no row of the batch has any more, in the order of
 * their ids.
 */
static int
find_gone(Writing *writing, Found *gone)
{
	Batch	   *batch = writing->batch;
	Datum	   *kept = palloc_extended(batch->keys.n * sizeof(Datum), MCXT_ALLOC_HUGE);
	int			nkept = 0;
	int			n = 0;

	for (int i = 0; i < batch->keys.n; i++)
		if (!batch->keys.nulls[i])
			kept[nkept++] = batch->keys.values[i];
	qsort(kept, nkept, sizeof(Datum), compare_texts);
	for (int i = 0; i < batch->keys.n; i++)
		if (batch->keys.nulls[i] && !batch->old_keys.nulls[i]
			&& bsearch(&batch->old_keys.values[i], kept, nkept, sizeof(Datum), compare_texts) == NULL
			&& find_entity(writing, writing->role->kind, batch->old_keys.values[i], &gone[n]))
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
delete_entity(Writing *writing, Found *gone)
{
	Datum		id = Int64GetDatum(gone->id);
	TupleTableSlot *row;
	int			nedges = 0;

	for (row = row_find(writing->edges, EDGE_BY_DEPENDENT, id, 0); row != NULL; row = row_next(writing->edges, EDGE_BY_DEPENDENT))
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
	if (row_find(writing->edges, EDGE_BY_DEPENDENCY, id, 0) != NULL)
		return false;
	for (int i = 0; i < nedges; i++)
		if (row_delete(writing->edges, &writing->own[i].tid))
			add_pair(&writing->went, writing->own[i].id, gone->id);
	for (row = row_find(writing->references, REFERENCE_BY_DEPENDENT, id, 0); row != NULL;
		 row = row_next(writing->references, REFERENCE_BY_DEPENDENT))
		row_delete(writing->references, &row->tts_tid);
	row_delete(writing->entities, &gone->tid);
	return true;
}

static void
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
		if (!delete_entity(writing, &gone[i]))
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

/* --- entities of rows --------------------------------------------------------------------------- */

static void
check_key(Writing *writing, Datum key)
{
	Size		size = VARSIZE_ANY_EXHDR(DatumGetPointer(key));

	if (size < 1 || size > MAX_KEY_SIZE)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the key of a row of tracked table \"%s\" is empty or longer than 2000 bytes",
						TextDatumGetCString(writing->role->source)),
				 errhint("Track the table by other key columns.")));
}

static bool
entity_says(Writing *writing, TupleTableSlot *row, Datum label, bool label_null, bool active)
{
	bool		isnull;
	Datum		old_label = row_value(writing->entities, row, ENTITY_LABEL, &isnull);

	if (DatumGetBool(row_value(writing->entities, row, ENTITY_ACTIVE, NULL)) != active || isnull != label_null)
		return false;
	if (isnull)
		return true;
	old_label = PointerGetDatum(PG_DETOAST_DATUM_PACKED(old_label));
	return compare_texts(&old_label, &label) == 0;
}

/*
 * Makes or changes the entity of a row.
 */
static void
put_entity(Writing *writing, int i)
{
	static const int columns[] = {ENTITY_LABEL, ENTITY_ACTIVE};
	Batch	   *batch = writing->batch;
	Datum		key = batch->keys.values[i];
	bool		active = *VARDATA_ANY(DatumGetPointer(batch->actives.values[i])) == 't';
	Datum		values[ENTITY_COLUMNS] = {0, writing->role->kind, key, batch->labels.values[i], BoolGetDatum(active)};
	bool		nulls[ENTITY_COLUMNS] = {false, false, false, batch->labels.nulls[i], false};

	for (;;)
	{
		TupleTableSlot *row = row_find(writing->entities, ENTITY_BY_KEY, writing->role->kind, key);

		if (row == NULL)
		{
			writing->rows[i].id = nextval_internal(writing->entity_ids, false);
			values[ENTITY_ID] = Int64GetDatum(writing->rows[i].id);
			writing->inserted[i] = writing->held[i] = row_insert(writing->entities, values, nulls);
		}
		else
		{
			writing->rows[i].id = DatumGetInt64(row_value(writing->entities, row, ENTITY_ID, NULL));
			writing->rows[i].tid = row->tts_tid;
			if (entity_says(writing, row, values[ENTITY_LABEL], nulls[ENTITY_LABEL], active))
				return;
			writing->held[i] = row_update(writing->entities, row, 2, columns, &values[ENTITY_LABEL], &nulls[ENTITY_LABEL]);
		}
		if (writing->held[i])
			break;
		/* somebody made, changed or deleted it meanwhile, or the batch has the key twice */
		CHECK_FOR_INTERRUPTS();
		new_snapshot(writing);
	}
	writing->changed = true;
}

static void
put_entities(Writing *writing)
{
	static OwnQuery query = {"SELECT assetreg._resolve_keys($1, $2)", 2, {TEXTOID, TEXTARRAYOID}};
	Batch	   *batch = writing->batch;

	for (int i = 0; i < batch->keys.n; i++)
		if (!batch->keys.nulls[i])
		{
			CHECK_FOR_INTERRUPTS();
			check_key(writing, batch->keys.values[i]);
			put_entity(writing, i);
		}
	if (!writing->changed)
		return;
	new_snapshot(writing);
	if (row_find(writing->references, REFERENCE_BY_TYPE, writing->role->kind, 0) != NULL)
	{
		Datum		args[] = {writing->role->kind, text_array(&batch->keys)};

		run_as_owner(&query, args);
		new_snapshot(writing);
	}
}

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
			if (find_entity(writing, batch->target_kinds.values[t], reference, &found[*nfound]))
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
	TupleTableSlot *row;

	for (row = row_find(writing->edges, EDGE_BY_DEPENDENT, Int64GetDatum(dependent), 0); row != NULL;
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
	for (row = row_find(writing->references, REFERENCE_BY_DEPENDENT, Int64GetDatum(dependent), 0); row != NULL;
		 row = row_next(writing->references, REFERENCE_BY_DEPENDENT))
		if (has_text(writing->references, row, REFERENCE_SOURCE, writing->role->source))
			row_delete(writing->references, &row->tts_tid);
	return true;
}

static bool
link_row(Writing *writing, int64 dependent, Stated *stated, int nstated)
{
	for (int i = 0; i < nstated; i++)
	{
		if (stated[i].there)
			continue;
		writing->edge[EDGE_DEPENDENT] = Int64GetDatum(dependent);
		writing->edge[EDGE_DEPENDENCY] = Int64GetDatum(stated[i].target);
		writing->edge[EDGE_RELATION] = writing->batch->edge_relations.values[stated[i].number];
		if (!row_insert(writing->edges, writing->edge, NULL))
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
			 && link_row(writing, dependent, stated, nstated)))
	{
		/* an edge that waited for its target has just been made */
		CHECK_FOR_INTERRUPTS();
		writing->inserted[row] = false;
		new_snapshot(writing);
	}
	pfree(stated);
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

static void
relink(Writing *writing)
{
	if (writing->batch->relinked.n == 0)
		return;
	lock_targets(writing);
	lock_dependents(writing);
	new_snapshot(writing);
	writing->edge[EDGE_SOURCE] = writing->role->source;
	writing->edge[EDGE_REQUIRES] = PointerGetDatum(construct_empty_array(TEXTOID));
	writing->edge[EDGE_ADDED_BY] = CStringGetTextDatum(attribution_actor());
	writing->edge[EDGE_ADDED_AT] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
	for (int i = 0; i < writing->batch->relinked.n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		relink_row(writing, i);
	}
	note_waiting(writing);
}

/* --- the numbers of dependents ------------------------------------------------------------------ */

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

static void
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

/* --- all together ------------------------------------------------------------------------------- */

static bool
open_tables(Writing *writing)
{
	Oid			schema = get_namespace_oid("assetreg", false);

	writing->entities = row_writer_open(&entity_rows);
	writing->edges = row_writer_open(&edge_rows);
	writing->references = row_writer_open(&reference_rows);
	writing->stats = row_writer_open(&stat_rows);
	writing->changes = row_writer_open(&change_rows);
	writing->entity_ids = get_relname_relid("entities_id_seq", schema);
	writing->change_ids = get_relname_relid("asset_stat_changes_id_seq", schema);
	return writing->entities != NULL && row_writer_own_triggers_only(writing->entities)
		&& writing->edges != NULL && row_writer_own_triggers_only(writing->edges)
		&& writing->references != NULL && row_writer_own_triggers_only(writing->references)
		&& writing->stats != NULL && writing->changes != NULL
		&& OidIsValid(writing->entity_ids) && OidIsValid(writing->change_ids);
}

static void
write_batch(Writing *writing)
{
	Batch	   *batch = writing->batch;

	writing->rows = palloc_extended(batch->keys.n * sizeof(Found), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	writing->inserted = palloc_extended(batch->keys.n * sizeof(bool), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	writing->held = palloc_extended(batch->keys.n * sizeof(bool), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	delete_gone(writing);
	put_entities(writing);
	relink(writing);
	count_dependents(writing);
}

/*
 * Writes what a batch holds.  False: nothing was done, as SQL has to do it.
 * Allocates in the current memory context, which is to go with the batch.
 */
bool
batch_write_directly(Batch *batch)
{
	Writing    *writing;
	OwnerSwitch before;
	volatile bool done = false;

	/* above READ COMMITTED only foreign keys see what others committed since the transaction's snapshot */
	if (batch->role->link || batch->moves || IsolationUsesXactSnapshot())
		return false;
	writing = palloc0(sizeof(Writing));
	writing->batch = batch;
	writing->role = batch->role;
	become_owner(&before);
	CommandCounterIncrement();
	PushActiveSnapshot(GetLatestSnapshot());
	PG_TRY();
	{
		done = open_tables(writing);
		if (done)
			write_batch(writing);
	}
	PG_CATCH();
	{
		row_writer_abandon(writing->entities);
		row_writer_abandon(writing->edges);
		row_writer_abandon(writing->references);
		row_writer_abandon(writing->stats);
		row_writer_abandon(writing->changes);
		PG_RE_THROW();
	}
	PG_END_TRY();
	row_writer_close(writing->entities);
	row_writer_close(writing->edges);
	row_writer_close(writing->references);
	row_writer_close(writing->stats);
	row_writer_close(writing->changes);
	PopActiveSnapshot();
	become_user(&before);
	return done;
}
