/*
 * tracked_tables.c
 *		What is tracked of a table, kept for the session.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/inval.h"
#include "utils/memutils.h"

#include "compat.h"
#include "own_query.h"
#include "tracking.h"

static HTAB *tracked_tables = NULL;

static void
forget(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS scan;
	Tracked    *tracked;

	hash_seq_init(&scan, tracked_tables);
	while ((tracked = hash_seq_search(&scan)) != NULL)
		if (relid == InvalidOid || relid == tracked->relid)
			tracked->valid = false;
}

static Datum
copy_text(HeapTuple row, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(row, desc, column, &isnull);

	return isnull ? (Datum) 0 : datumCopy(value, false, -1);
}

static Datum *
copy_texts(HeapTuple row, TupleDesc desc, int column, int *n)
{
	bool		isnull;
	Datum		array = SPI_getbinval(row, desc, column, &isnull);
	Datum	   *values;
	bool	   *nulls;

	/* in the current context, as the elements are */
	deconstruct_array(DatumGetArrayTypePCopy(array), TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, n);
	for (int i = 0; i < *n; i++)
		if (nulls[i])
			values[i] = (Datum) 0;
	return values;
}

static void
load_roles(Tracked *tracked)
{
	static OwnQuery query = {"SELECT link, source, kind, fields, kinds, relations FROM assetreg._tracking_of($1)", 1, {OIDOID}};
	Datum		args[] = {ObjectIdGetDatum(tracked->relid)};
	MemoryContext caller;

	run_as_owner(&query, args);
	caller = MemoryContextSwitchTo(tracked->context);
	tracked->roles = palloc0(SPI_processed * sizeof(Role));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		Role	   *role = &tracked->roles[i];
		bool		isnull;
		int			n;

		role->link = DatumGetBool(SPI_getbinval(row, desc, 1, &isnull));
		role->source = copy_text(row, desc, 2);
		role->kind = copy_text(row, desc, 3);
		role->fields = TextDatumGetCString(SPI_getbinval(row, desc, 4, &isnull));
		role->kinds = copy_texts(row, desc, 5, &role->nreferences);
		role->relations = copy_texts(row, desc, 6, &n);
		Assert(n == role->nreferences);
	}
	tracked->nroles = SPI_processed;
	for (int i = 0; i < tracked->nroles; i++)
		tracked->roles[i].facts = facts_prepare(tracked->relid, tracked->roles[i].fields);
	MemoryContextSwitchTo(caller);
}

/*
 * What is tracked of a table, kept for the session until its definition
 * changes.  What was loaded for an older one is given back, unless a trigger
 * further out still runs with it.
 */
static void
forget_roles(Tracked *tracked)
{
	for (int i = 0; i < tracked->nroles; i++)
	{
		if (tracked->roles[i].old_facts != NULL)
			SPI_freeplan(tracked->roles[i].old_facts);
		if (tracked->roles[i].new_facts != NULL)
			SPI_freeplan(tracked->roles[i].new_facts);
	}
	MemoryContextDelete(tracked->context);
}


Tracked *
tracked_for(Oid relid)
{
	Tracked    *tracked;
	bool		found;

	if (tracked_tables == NULL)
	{
		HASHCTL		info = {.keysize = sizeof(Oid), .entrysize = sizeof(Tracked), .hcxt = TopMemoryContext};

		tracked_tables = hash_create("assetreg tracked tables", 16, &info, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
		CacheRegisterRelcacheCallback(forget, (Datum) 0);
	}
	tracked = hash_search(tracked_tables, &relid, HASH_ENTER, &found);
	if (!found)
		memset((char *) tracked + sizeof(Oid), 0, sizeof(Tracked) - sizeof(Oid));
	if (!tracked->valid)
	{
		if (tracked->context != NULL && tracked->in_use == 0)
			forget_roles(tracked);
		tracked->nroles = 0;
		tracked->context = AllocSetContextCreate(TopMemoryContext, "assetreg tracked table", ALLOCSET_SMALL_SIZES);
		tracked->valid = true;	/* unless it changes while it is read */
		PG_TRY();
		{
			load_roles(tracked);
		}
		PG_CATCH();
		{
			tracked->valid = false;
			PG_RE_THROW();
		}
		PG_END_TRY();
	}
	return tracked;
}
