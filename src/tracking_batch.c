/*
 * tracking_batch.c
 *		The rows that a statement changed, as arrays.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/memutils.h"

#include "compat.h"
#include "tracking.h"

typedef struct TargetKey
{
	Datum		kind;			/* text, or 0 */
	Datum		reference;		/* text */
} TargetKey;

typedef struct Target
{
	TargetKey	key;
	int			number;
} Target;

static void
append_text(TextArray *array, Datum value, bool isnull)
{
	if (array->n == array->size)
	{
		array->size = Max(8, array->size * 2);
		array->values = array->values ? repalloc_huge(array->values, array->size * sizeof(Datum))
			: palloc(array->size * sizeof(Datum));
		array->nulls = array->nulls ? repalloc(array->nulls, array->size * sizeof(bool)) : palloc(array->size * sizeof(bool));
	}
	array->nulls[array->n] = isnull;
	array->values[array->n++] = isnull ? (Datum) 0 : datumCopy(PointerGetDatum(PG_DETOAST_DATUM_PACKED(value)), false, -1);
}

void
append_int(IntArray *array, int value)
{
	if (array->n == array->size)
	{
		array->size = Max(8, array->size * 2);
		array->values = array->values ? repalloc_huge(array->values, array->size * sizeof(Datum))
			: palloc(array->size * sizeof(Datum));
	}
	array->values[array->n++] = Int32GetDatum(value);
}

Datum
text_array(TextArray *array)
{
	int			lower = 1;

	return PointerGetDatum(construct_md_array(array->values, array->nulls, 1, &array->n, &lower, TEXTOID, -1, false, TYPALIGN_INT));
}

Datum
int_array(IntArray *array)
{
	return PointerGetDatum(construct_array(array->values, array->n, INT4OID, sizeof(int32), true, TYPALIGN_INT));
}

static uint32
target_hash(const void *key, Size keysize)
{
	text	   *reference = DatumGetTextPP(((const TargetKey *) key)->reference);

	return hash_bytes((unsigned char *) VARDATA_ANY(reference), VARSIZE_ANY_EXHDR(reference));
}

bool
same_text(Datum a, Datum b)
{
	return a == b || (a != 0 && b != 0 && datum_image_eq(a, b, false, -1));
}

static int
target_compare(const void *a, const void *b, Size keysize)
{
	const TargetKey *x = a;
	const TargetKey *y = b;

	return !(same_text(x->kind, y->kind) && same_text(x->reference, y->reference));
}

/*
 * Rows are kept in a context below the current one, made when the first comes.
 */
void
batch_begin(Batch *batch, Role *role)
{
	memset(batch, 0, sizeof(Batch));
	batch->role = role;
	batch->parent = CurrentMemoryContext;
}

void
batch_forget(Batch *batch)
{
	Role	   *role = batch->role;
	MemoryContext parent = batch->parent;

	if (batch->context != NULL)
		MemoryContextDelete(batch->context);
	memset(batch, 0, sizeof(Batch));
	batch->role = role;
	batch->parent = parent;
}

static void
make_target_numbers(Batch *batch)
{
	HASHCTL		info = {.keysize = sizeof(TargetKey), .entrysize = sizeof(Target), .hash = target_hash, .match = target_compare,
	.hcxt = batch->context};

	batch->target_numbers = hash_create("assetreg targets", 32, &info, HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
}

static void
add_edge(void *arg, int reference, Datum value)
{
	Batch	   *batch = arg;
	TargetKey	key = {batch->role->kinds[reference], PointerGetDatum(PG_DETOAST_DATUM_PACKED(value))};
	Target	   *target;
	bool		found;

	if (VARSIZE_ANY_EXHDR(DatumGetPointer(key.reference)) == 0)
		return;					/* an empty text names nothing */
	if (batch->target_numbers == NULL)
		make_target_numbers(batch);
	target = hash_search(batch->target_numbers, &key, HASH_ENTER, &found);
	if (!found)
	{
		append_text(&batch->target_kinds, key.kind, key.kind == 0);
		append_text(&batch->target_references, key.reference, false);
		target->key.reference = batch->target_references.values[batch->target_references.n - 1];
		target->number = batch->target_references.n;
	}
	append_int(&batch->edge_rows, batch->keys.n);
	append_int(&batch->edge_targets, target->number);
	append_text(&batch->edge_relations, batch->role->relations[reference], false);
}

void
each_reference(const Role *role, HeapTuple row, TupleDesc desc, ReferenceSink sink, void *arg)
{
	for (int i = 0; i < role->nreferences; i++)
	{
		bool		isnull;
		Datum		value = SPI_getbinval(row, desc, FACT_REFERENCES + i + 1, &isnull);
		Datum	   *elements;
		bool	   *nulls;
		int			n;

		if (isnull)
			continue;
		if (SPI_gettypeid(desc, FACT_REFERENCES + i + 1) == TEXTOID)
		{
			sink(arg, i, value);
			continue;
		}
		deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &n);
		for (int e = 0; e < n; e++)
			if (!nulls[e])
				sink(arg, i, elements[e]);
	}
}

/*
 * A row's old and new facts; one of them may be missing.
 */
void
batch_add_row(Batch *batch, HeapTuple old_row, HeapTuple new_row, TupleDesc desc, bool relink)
{
	MemoryContext caller;
	HeapTuple	row = new_row != NULL ? new_row : old_row;
	bool		key_null,
				label_null,
				active_null;
	Datum		key = SPI_getbinval(row, desc, FACT_KEY + 1, &key_null);
	Datum		label = SPI_getbinval(row, desc, FACT_LABEL + 1, &label_null);
	bool		active = DatumGetBool(SPI_getbinval(row, desc, FACT_ACTIVE + 1, &active_null));
	bool		old_null = true;
	Datum		old_key = old_row != NULL ? SPI_getbinval(old_row, desc, FACT_KEY + 1, &old_null) : (Datum) 0;

	if (batch->context == NULL)
		batch->context = AllocSetContextCreate(batch->parent, "assetreg tracked rows", ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(batch->context);
	append_text(&batch->old_keys, old_key, old_null);
	append_text(&batch->keys, key, key_null || new_row == NULL);
	append_text(&batch->labels, label, label_null);
	append_text(&batch->actives, PointerGetDatum(cstring_to_text(active ? "t" : "f")), false);
	if (old_row != NULL && new_row != NULL && !same_text(old_key, key))
		batch->moves = true;
	if (relink)
	{
		append_int(&batch->relinked, batch->keys.n);
		append_int(&batch->first_edges, batch->edge_rows.n + 1);
		each_reference(batch->role, row, desc, add_edge, batch);
	}
	MemoryContextSwitchTo(caller);
}
