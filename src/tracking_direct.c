/*
 * tracking_direct.c
 *		What a statement changed in tracked rows, written to the graph without SQL.
 *
 * Does what _apply_entities() in 79_tracked_rows.sql does, to the same rows, under
 * the same locks and with a new snapshot after each wait for them.  What is rare
 * is left to the functions there: keys that move, entities that others need,
 * references in words, and those that wait for what they mean.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "own_query.h"
#include "tracking_writing.h"

#define MAX_KEY_SIZE 2000

/*
 * From now on what has been done here, and what others have committed, is seen.
 */
void
new_snapshot(Writing *writing)
{
	RowWriter  *const writers[] = {writing->entities, writing->edges, writing->references, writing->stats};

	for (int i = 0; i < lengthof(writers); i++)
		if (writers[i] != NULL)
			row_look_again(writers[i]);
	PopActiveSnapshot();
	CommandCounterIncrement();
	PushActiveSnapshot(GetLatestSnapshot());
}

int
compare_found(const void *a, const void *b)
{
	int64		x = ((const Found *) a)->id;
	int64		y = ((const Found *) b)->id;

	return x < y ? -1 : x > y;
}

/*
 * By their bytes, which is about the order that an index has, whatever its
 * collation.
 */
int
compare_texts(const void *a, const void *b)
{
	text	   *x = DatumGetTextPP(*(const Datum *) a);
	text	   *y = DatumGetTextPP(*(const Datum *) b);
	Size		x_size = VARSIZE_ANY_EXHDR(x);
	Size		y_size = VARSIZE_ANY_EXHDR(y);
	int			result = memcmp(VARDATA_ANY(x), VARDATA_ANY(y), Min(x_size, y_size));

	return result != 0 ? result : x_size < y_size ? -1 : x_size > y_size;
}

bool
find_entity(Writing *writing, RowFind find, Datum kind, Datum key, Found *found)
{
	TupleTableSlot *row = find(writing->entities, ENTITY_BY_KEY, kind, key);

	if (row == NULL)
		return false;
	found->id = DatumGetInt64(row_value(writing->entities, row, ENTITY_ID, NULL));
	found->tid = row->tts_tid;
	return true;
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

static bool
open_for_new(Writing *writing)
{
	if (writing->references == NULL)
		writing->references = row_writer_open(&reference_rows);
	if (!OidIsValid(writing->entity_ids))
		writing->entity_ids = get_relname_relid("entities_id_seq", get_namespace_oid("assetreg", false));
	return writing->references != NULL && row_writer_own_triggers_only(writing->references) && OidIsValid(writing->entity_ids);
}

static TupleTableSlot *
entity_of(Writing *writing, int i)
{
	return row_find(writing->entities, ENTITY_BY_KEY, writing->role->kind, writing->batch->keys.values[i]);
}

static void
entity_values(Writing *writing, int i, Datum *values, bool *nulls)
{
	Batch	   *batch = writing->batch;

	values[ENTITY_KIND] = writing->role->kind;
	values[ENTITY_KEY] = batch->keys.values[i];
	values[ENTITY_LABEL] = batch->labels.values[i];
	nulls[ENTITY_LABEL] = batch->labels.nulls[i];
	values[ENTITY_ACTIVE] = BoolGetDatum(*VARDATA_ANY(DatumGetPointer(batch->actives.values[i])) == 't');
}

static void
new_id(Writing *writing, int i, Datum *values)
{
	writing->rows[i].id = nextval_internal(writing->entity_ids, false);
	values[ENTITY_ID] = Int64GetDatum(writing->rows[i].id);
}

/*
 * Makes or changes the entity of a row, which the last look-up has found or not.
 */
static void
put_entity(Writing *writing, int i, TupleTableSlot *row)
{
	static const int columns[] = {ENTITY_LABEL, ENTITY_ACTIVE};
	Datum		values[ENTITY_COLUMNS];
	bool		nulls[ENTITY_COLUMNS] = {false};

	entity_values(writing, i, values, nulls);
	for (;; row = entity_of(writing, i))
	{
		if (row == NULL)
		{
			new_id(writing, i, values);
			writing->inserted[i] = writing->held[i] = row_insert_unless_there(writing->entities, values, nulls);
		}
		else
		{
			writing->rows[i].id = DatumGetInt64(row_value(writing->entities, row, ENTITY_ID, NULL));
			writing->rows[i].tid = row->tts_tid;
			if (entity_says(writing, row, values[ENTITY_LABEL], nulls[ENTITY_LABEL], DatumGetBool(values[ENTITY_ACTIVE])))
				return;
			writing->held[i] = row_update(writing->entities, row, 2, columns, &values[ENTITY_LABEL], &nulls[ENTITY_LABEL]);
		}
		if (writing->held[i])
			break;
		/* it was there unseen; or somebody made, changed or deleted it meanwhile, or the batch has the key twice */
		writing->role->keys_met = true;
		CHECK_FOR_INTERRUPTS();
		new_snapshot(writing);
	}
	writing->changed = true;
	writing->made |= writing->inserted[i];
}

typedef struct Missing
{
	Writing    *writing;
	int		   *rows;			/* of the batch, whose keys no entity has */
	int			n;
	bool		guessed;		/* nobody has looked */
} Missing;

static void
missing_entity(void *arg, int n, Datum *values, bool *nulls)
{
	Missing    *missing = arg;

	new_id(missing->writing, missing->rows[n], values);
	entity_values(missing->writing, missing->rows[n], values, nulls);
}

/*
 * Of rows that have just been inserted it is not worth while to look for the
 * keys first, until once one of them was there.
 */
static bool
can_guess(Writing *writing)
{
	Batch	   *batch = writing->batch;

	if (writing->role->keys_met)
		return false;
	for (int i = 0; i < batch->keys.n; i++)
		if (batch->keys.nulls[i] || !batch->old_keys.nulls[i])
			return false;
	return true;
}

static void
make_entities(Writing *writing, Missing *missing)
{
	bool		many = missing->n >= ROWS_AT_ONCE;

	if (many && row_insert_many(writing->entities, missing->n, missing_entity, missing))
	{
		for (int i = 0; i < missing->n; i++)
			writing->inserted[missing->rows[i]] = writing->held[missing->rows[i]] = true;
		writing->changed = writing->made = true;
		return;
	}
	writing->role->keys_met |= many && missing->guessed;
	for (int i = 0; i < missing->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		put_entity(writing, missing->rows[i], many && missing->guessed ? entity_of(writing, missing->rows[i]) : NULL);
	}
}

static int
compare_rows(const void *a, const void *b, void *keys)
{
	const Datum *values = keys;

	return compare_texts(&values[*(const int *) a], &values[*(const int *) b]);
}

static int
compare_numbers(const void *a, const void *b)
{
	return *(const int *) a - *(const int *) b;
}

/*
 * Changes the entities that are there, in the order of their keys where that is
 * how to find them, and leaves the rows without one, in their order.
 */
static void
change_entities(Writing *writing, Missing *missing)
{
	Batch	   *batch = writing->batch;
	int			n = missing->n;
	bool		dense = row_find_many(writing->entities, n) == row_find_onward;

	missing->n = 0;
	if (dense)
		qsort_arg(missing->rows, n, sizeof(int), compare_rows, batch->keys.values);
	for (int m = 0; m < n; m++)
	{
		int			i = missing->rows[m];
		TupleTableSlot *row = (dense ? row_find_onward : row_find) (writing->entities, ENTITY_BY_KEY, writing->role->kind, batch->keys.values[i]);

		CHECK_FOR_INTERRUPTS();
		if (row != NULL)
			put_entity(writing, i, row);
		else
			missing->rows[missing->n++] = i;
	}
	if (dense)
		qsort(missing->rows, missing->n, sizeof(int), compare_numbers);
}

/*
 * False: new ones are for SQL to make; what was changed is as it would leave it.
 */
static bool
put_entities(Writing *writing)
{
	Batch	   *batch = writing->batch;
	Missing		missing = {writing, palloc_extended(batch->keys.n * sizeof(int), MCXT_ALLOC_HUGE)};

	for (int i = 0; i < batch->keys.n; i++)
	{
		if (batch->keys.nulls[i])
			continue;
		check_key(writing, batch->keys.values[i]);
		missing.rows[missing.n++] = i;
	}
	missing.guessed = can_guess(writing);
	if (!missing.guessed)
		change_entities(writing, &missing);
	if (missing.n > 0 && !open_for_new(writing))
		return false;
	make_entities(writing, &missing);
	return true;
}

/*
 * A new entity may be what references wait for.
 */
static void
resolve_new(Writing *writing)
{
	static OwnQuery query = {"SELECT assetreg._resolve_keys($1, $2)", 2, {TEXTOID, TEXTARRAYOID}};
	Datum		args[] = {writing->role->kind, 0};

	if (!writing->changed)
		return;
	new_snapshot(writing);
	if (!writing->made || row_find(writing->references, REFERENCE_BY_TYPE, writing->role->kind, 0) == NULL)
		return;
	args[1] = text_array(&writing->batch->keys);
	run_as_owner(&query, args);
	new_snapshot(writing);
}

/* --- all together ------------------------------------------------------------------------------- */

static bool
open_own(RowWriter **writer, const RowTable *table)
{
	*writer = row_writer_open(table);
	return *writer != NULL && row_writer_own_triggers_only(*writer);
}

/*
 * Opens what the batch needs.  Where rows are and stay there, and state what
 * they stated, that is their entities; should one be missing all the same,
 * open_for_new() opens what it takes to make it.
 */
static bool
open_tables(Writing *writing)
{
	Batch	   *batch = writing->batch;
	bool		gone = false;

	for (int i = 0; !gone && i < batch->keys.n; i++)
		gone = batch->keys.nulls[i];
	if (!open_own(&writing->entities, &entity_rows))
		return false;
	if (batch->relinked.n == 0 && !gone)
		return true;
	if (!open_own(&writing->edges, &edge_rows) || !open_for_new(writing))
		return false;
	writing->stats = row_writer_open(&stat_rows);
	writing->changes = row_writer_open(&change_rows);
	writing->change_ids = get_relname_relid("asset_dependent_changes_id_seq", get_namespace_oid("assetreg", false));
	return writing->stats != NULL && writing->changes != NULL && OidIsValid(writing->change_ids);
}

static bool
write_batch(Writing *writing)
{
	Batch	   *batch = writing->batch;

	writing->rows = palloc_extended(batch->keys.n * sizeof(Found), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	writing->inserted = palloc_extended(batch->keys.n * sizeof(bool), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	writing->held = palloc_extended(batch->keys.n * sizeof(bool), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	delete_gone(writing);
	if (!put_entities(writing))
		return false;
	resolve_new(writing);
	relink(writing);
	count_dependents(writing);
	return true;
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
		done = open_tables(writing) && write_batch(writing);
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
