/*
 * tracking.c
 *		The studio's own tables: what their rows say becomes entities and edges.
 *
 * A tracked table has one or more roles (_tracking_of() in 80_tracking.sql):
 * its rows are entities with edges to what their columns name, or, for a join
 * table, its rows are edges.  Either way a row becomes facts: a key, a label,
 * active or not, and references, all computed by one query with the rights of
 * whoever writes.  What a statement changed in them goes as arrays to
 * _apply_entities() or _apply_links(), which run as the owner of the registry.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "catalog.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(assetreg_tracking_trigger);
PG_FUNCTION_INFO_V1(assetreg_take_table);
PG_FUNCTION_INFO_V1(assetreg_stated);
PG_FUNCTION_INFO_V1(assetreg_quiet);

#define FETCH_ROWS 10000
#define BATCH_ROWS 100000

/* the columns of the query of facts; references follow, each text or text[] */
enum
{
	FACT_KEY, FACT_LABEL, FACT_ACTIVE, FACT_REFERENCES
};

typedef struct Role
{
	bool		link;			/* rows are edges, not entities */
	Datum		source;			/* text: whose edges they are */
	Datum		kind;			/* text: of the entities, or of the edges' dependents */
	char	   *fields;			/* the select list of the facts */
	int			nreferences;
	Datum	   *kinds;			/* of what each reference is to; NULL: an asset */
	Datum	   *relations;		/* the name of each edge */
	SPIPlanPtr	old_facts;
	SPIPlanPtr	new_facts;
} Role;

typedef struct Tracked
{
	Oid			relid;			/* hash key: the table that the statement named */
	bool		valid;
	int			in_use;			/* triggers that run with it */
	MemoryContext context;
	int			nroles;
	Role	   *roles;
} Tracked;

static SPIPlanPtr
prepare(const char *query, int nargs, Oid *argtypes)
{
	SPIPlanPtr	plan = SPI_prepare(query, nargs, argtypes);

	if (plan == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", query, SPI_result_code_string(SPI_result));
	SPI_keepplan(plan);
	return plan;
}

/* A query of the registry, prepared once a session. */
typedef struct OwnQuery
{
	const char *text;
	int			nargs;
	Oid			argtypes[14];
	SPIPlanPtr	plan;
} OwnQuery;

/*
 * Runs a query as the owner of the registry: who writes to the studio's tables
 * need not be able to read the registry's, or write to them.
 */
static void
run_as_owner(OwnQuery *query, Datum *args)
{
	Relation	entities = catalog_open("entities");
	Oid			user;
	int			security;

	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(entities->rd_rel->relowner, security | SECURITY_LOCAL_USERID_CHANGE);
	if (query->plan == NULL)
		query->plan = prepare(query->text, query->nargs, query->argtypes);
	SPI_execute_plan(query->plan, args, NULL, false, 0);
	SetUserIdAndSecContext(user, security);
	table_close(entities, NoLock);
}

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


static Tracked *
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

/* --- from rows to arrays ------------------------------------------------------------------------ */

typedef struct TextArray
{
	Datum	   *values;
	bool	   *nulls;
	int			n;
	int			size;
} TextArray;

typedef struct IntArray
{
	Datum	   *values;
	int			n;
	int			size;
} IntArray;

/* What a statement changed, for one role. */
typedef struct Batch
{
	Role	   *role;
	MemoryContext context;
	TextArray	old_keys;		/* NULL: a new row */
	TextArray	keys;			/* NULL: the row is gone */
	TextArray	labels;
	TextArray	actives;		/* "t" or "f" */
	IntArray	relinked;		/* row numbers whose edges are to be made anew, from 1 */
	IntArray	first_edges;	/* of each of these, and one past the last */
	IntArray	edge_rows;		/* ascending */
	IntArray	edge_targets;	/* numbers of targets, from 1 */
	TextArray	edge_relations;
	HTAB	   *target_numbers;
	TextArray	target_kinds;
	TextArray	target_references;
	bool		moves;			/* a key changed */
} Batch;

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
		array->size = Max(64, array->size * 2);
		array->values = array->values ? repalloc_huge(array->values, array->size * sizeof(Datum))
			: palloc(array->size * sizeof(Datum));
		array->nulls = array->nulls ? repalloc(array->nulls, array->size * sizeof(bool)) : palloc(array->size * sizeof(bool));
	}
	array->nulls[array->n] = isnull;
	array->values[array->n++] = isnull ? (Datum) 0 : datumCopy(value, false, -1);
}

static void
append_int(IntArray *array, int value)
{
	if (array->n == array->size)
	{
		array->size = Max(64, array->size * 2);
		array->values = array->values ? repalloc_huge(array->values, array->size * sizeof(Datum))
			: palloc(array->size * sizeof(Datum));
	}
	array->values[array->n++] = Int32GetDatum(value);
}

static Datum
text_array(TextArray *array)
{
	int			lower = 1;

	return PointerGetDatum(construct_md_array(array->values, array->nulls, 1, &array->n, &lower, TEXTOID, -1, false, TYPALIGN_INT));
}

static Datum
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

static bool
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

static void
batch_begin(Batch *batch, Role *role)
{
	HASHCTL		info = {.keysize = sizeof(TargetKey), .entrysize = sizeof(Target), .hash = target_hash, .match = target_compare};

	memset(batch, 0, sizeof(Batch));
	batch->role = role;
	batch->context = AllocSetContextCreate(CurrentMemoryContext, "assetreg tracked rows", ALLOCSET_DEFAULT_SIZES);
	info.hcxt = batch->context;
	batch->target_numbers = hash_create("assetreg targets", 1024, &info, HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
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

typedef void (*ReferenceSink) (void *arg, int reference, Datum value);

static void
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
static void
add_row(Batch *batch, HeapTuple old_row, HeapTuple new_row, TupleDesc desc, bool relink)
{
	MemoryContext caller = MemoryContextSwitchTo(batch->context);
	HeapTuple	row = new_row != NULL ? new_row : old_row;
	bool		key_null,
				label_null,
				active_null;
	Datum		key = SPI_getbinval(row, desc, FACT_KEY + 1, &key_null);
	Datum		label = SPI_getbinval(row, desc, FACT_LABEL + 1, &label_null);
	bool		active = DatumGetBool(SPI_getbinval(row, desc, FACT_ACTIVE + 1, &active_null));
	bool		old_null = true;
	Datum		old_key = old_row != NULL ? SPI_getbinval(old_row, desc, FACT_KEY + 1, &old_null) : (Datum) 0;

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

/* --- writing without triggers ------------------------------------------------------------------- */

/* May triggers be left out just now, and what to go back to? */
static bool quiet_allowed = false;
static int	usual_role;

/*
 * Are all triggers of a table the registry's own, its foreign keys included?
 * Somebody else's must not be left out.
 */
static bool
only_own_triggers(const char *relname)
{
	Relation	rel = catalog_open(relname);
	Oid			own = RelationGetNamespace(rel);
	bool		result = true;

	for (int i = 0; result && rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		Trigger    *trigger = &rel->trigdesc->triggers[i];

		result = trigger->tgisinternal && OidIsValid(trigger->tgconstrrelid) ? get_rel_namespace(trigger->tgconstrrelid) == own
			: get_func_namespace(trigger->tgfoid) == own;
	}
	table_close(rel, NoLock);
	return result;
}

/*
 * Above READ COMMITTED only the foreign keys' own triggers see what others
 * committed since the transaction's snapshot.
 */
static bool
may_be_quiet(void)
{
	return !IsolationUsesXactSnapshot() && only_own_triggers("entities") && only_own_triggers("asset_dependencies")
		&& only_own_triggers("unresolved_references");
}

/*
 * assetreg._quiet(quiet boolean): from now on statements fire no triggers, or
 * again they do.  False where that may not be: then all fire, and whoever asked
 * need not do their work.  Only inside of apply(), which also goes back after an
 * error.  It is what session_replication_role = replica does, without throwing
 * away the plans of the session, as setting it would.
 */
Datum
assetreg_quiet(PG_FUNCTION_ARGS)
{
	if (!quiet_allowed)
		PG_RETURN_BOOL(false);
	SessionReplicationRole = PG_GETARG_BOOL(0) ? SESSION_REPLICATION_ROLE_REPLICA : usual_role;
	PG_RETURN_BOOL(true);
}

static void
run_quietly(OwnQuery *query, Datum *args)
{
	usual_role = SessionReplicationRole;
	quiet_allowed = may_be_quiet();
	PG_TRY();
	{
		run_as_owner(query, args);
	}
	PG_FINALLY();
	{
		quiet_allowed = false;
		SessionReplicationRole = usual_role;
	}
	PG_END_TRY();
}

/*
 * Writes what a batch holds, and forgets it.
 */
static void
apply(Batch *batch)
{
#define ARGUMENTS "($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
#define ARGUMENT_TYPES {TEXTOID, TEXTOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, BOOLOID, INT4ARRAYOID, \
	INT4ARRAYOID, INT4ARRAYOID, INT4ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID}
	static OwnQuery entities = {"SELECT assetreg._apply_entities" ARGUMENTS, 14, ARGUMENT_TYPES};
	static OwnQuery links = {"SELECT assetreg._apply_links" ARGUMENTS, 14, ARGUMENT_TYPES};
	Role	   *role = batch->role;
	MemoryContext caller;
	Datum		args[14];

	if (batch->keys.n == 0)
		return;
	caller = MemoryContextSwitchTo(batch->context);
	args[0] = role->source;
	args[1] = role->kind;
	args[2] = text_array(&batch->old_keys);
	args[3] = text_array(&batch->keys);
	args[4] = text_array(&batch->labels);
	args[5] = text_array(&batch->actives);
	args[6] = BoolGetDatum(batch->moves);
	args[7] = int_array(&batch->relinked);
	append_int(&batch->first_edges, batch->edge_rows.n + 1);
	args[8] = int_array(&batch->first_edges);
	args[9] = int_array(&batch->edge_rows);
	args[10] = int_array(&batch->edge_targets);
	args[11] = text_array(&batch->edge_relations);
	args[12] = text_array(&batch->target_kinds);
	args[13] = text_array(&batch->target_references);
	MemoryContextSwitchTo(caller);

	run_quietly(role->link ? &links : &entities, args);
	MemoryContextDelete(batch->context);
	batch_begin(batch, role);
}

/* --- the rows of a statement -------------------------------------------------------------------- */

typedef struct FactRows
{
	Portal		portal;			/* NULL: there are none */
	SPITupleTable *rows;
	uint64		n;
	uint64		next;
} FactRows;

static void
facts_begin(FactRows *facts, SPIPlanPtr *plan, const Role *role, const char *relation)
{
	memset(facts, 0, sizeof(FactRows));
	if (*plan == NULL)
		*plan = prepare(psprintf("SELECT %s FROM %s t", role->fields, relation), 0, NULL);
	facts->portal = SPI_cursor_open(NULL, *plan, NULL, NULL, false);
}

static HeapTuple
facts_next(FactRows *facts)
{
	if (facts->portal == NULL)
		return NULL;
	if (facts->next == facts->n)
	{
		CHECK_FOR_INTERRUPTS();
		SPI_freetuptable(facts->rows);
		SPI_cursor_fetch(facts->portal, true, FETCH_ROWS);
		facts->rows = SPI_tuptable;
		facts->n = SPI_processed;
		facts->next = 0;
		if (facts->n == 0)
			return NULL;
	}
	return facts->rows->vals[facts->next++];
}

static TupleDesc
facts_desc(const FactRows *facts)
{
	return facts->portal->tupDesc;
}

static void
facts_end(FactRows *facts)
{
	if (facts->portal == NULL)
		return;
	SPI_freetuptable(facts->rows);
	SPI_cursor_close(facts->portal);
}

/*
 * Are some of two rows' facts different, from a column on?
 */
static bool
facts_differ(HeapTuple old_row, HeapTuple new_row, TupleDesc desc, int from, int to)
{
	for (int column = from; column < to; column++)
	{
		bool		old_null,
					new_null;
		Datum		old_value = SPI_getbinval(old_row, desc, column + 1, &old_null);
		Datum		new_value = SPI_getbinval(new_row, desc, column + 1, &new_null);
		Form_pg_attribute attribute = TupleDescAttr(desc, column);

		if (old_null != new_null
			|| (!old_null && !datum_image_eq(old_value, new_value, attribute->attbyval, attribute->attlen)))
			return true;
	}
	return false;
}

static bool
has_key(HeapTuple row, TupleDesc desc)
{
	bool		isnull = true;

	if (row != NULL)
		SPI_getbinval(row, desc, FACT_KEY + 1, &isnull);
	return !isnull;
}

/*
 * One row of a statement; for an update the old and the new one.  A row of a
 * join table is its edge, so it goes and comes.
 */
static void
add_change(Batch *batch, HeapTuple old_row, HeapTuple new_row, TupleDesc desc)
{
	bool		same_row = old_row != NULL && new_row != NULL;

	if (same_row && !facts_differ(old_row, new_row, desc, 0, desc->natts))
		return;
	if (batch->role->link)
	{
		if (has_key(old_row, desc))
			add_row(batch, old_row, NULL, desc, true);
		if (has_key(new_row, desc))
			add_row(batch, NULL, new_row, desc, true);
	}
	else
		add_row(batch, old_row, new_row, desc,
				new_row != NULL && (!same_row
									|| facts_differ(old_row, new_row, desc, FACT_KEY, FACT_KEY + 1)	/* another's entity, perhaps */
									|| facts_differ(old_row, new_row, desc, FACT_REFERENCES, desc->natts)));
}

/*
 * The rows of an UPDATE come in pairs: the executor adds the old and the new
 * one to the transition tables together.  Where a trigger kept a row from its
 * new partition there are more old ones, and no telling which is whose.
 */
static void
take_statement(TriggerData *trigger, Role *role)
{
	FactRows	old_facts = {0};
	FactRows	new_facts = {0};
	Batch		batch;
	TupleDesc	desc;
	bool		pairs = trigger->tg_oldtable != NULL && trigger->tg_newtable != NULL
		&& tuplestore_tuple_count(trigger->tg_oldtable) == tuplestore_tuple_count(trigger->tg_newtable);

	if (trigger->tg_oldtable != NULL)
		facts_begin(&old_facts, &role->old_facts, role, "old_rows");
	if (trigger->tg_newtable != NULL)
		facts_begin(&new_facts, &role->new_facts, role, "new_rows");
	desc = facts_desc(old_facts.portal != NULL ? &old_facts : &new_facts);

	batch_begin(&batch, role);
	for (;;)
	{
		HeapTuple	old_row = facts_next(&old_facts);
		HeapTuple	new_row = pairs || old_row == NULL ? facts_next(&new_facts) : NULL;

		if (old_row == NULL && new_row == NULL)
			break;
		add_change(&batch, old_row, new_row, desc);
		/* keys that move may follow each other: all at once */
		if (batch.keys.n >= BATCH_ROWS && !batch.moves)
			apply(&batch);
	}
	facts_end(&old_facts);
	facts_end(&new_facts);
	apply(&batch);
	MemoryContextDelete(batch.context);
}

/*
 * After TRUNCATE of a table, or of one partition, what has no row any more goes.
 */
static void
take_truncate(Oid relid)
{
	static OwnQuery query = {"SELECT assetreg._remove_surplus(t.root) FROM assetreg._tracking_of($1) t GROUP BY t.root", 1, {OIDOID}};
	Datum		args[] = {ObjectIdGetDatum(relid)};

	run_as_owner(&query, args);
}

/*
 * The statement trigger of tracked tables, their partitions and children:
 * after INSERT, UPDATE, DELETE with transition tables old_rows and new_rows, and
 * after TRUNCATE.  Computes with the rights of whoever writes, under the
 * statement's own new snapshots, in memory that grows with what changed; writes
 * as the owner of the registry.  Locks the entities that it changes, in no
 * particular order, and shares of those that edges lead to.  Raises what the
 * condition active_when raises, and 54000 for a key that is too long.  A table
 * that is not tracked any more is left alone.
 */
Datum
assetreg_tracking_trigger(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	Tracked    *tracked;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigger->tg_event) || !TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("_tracking_trigger must be fired after a statement")));
	if (SPI_connect() != SPI_OK_CONNECT || SPI_register_trigger_data(trigger) != SPI_OK_TD_REGISTER)
		elog(ERROR, "could not connect to SPI");

	if (TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event))
		take_truncate(RelationGetRelid(trigger->tg_relation));
	else
	{
		tracked = tracked_for(RelationGetRelid(trigger->tg_relation));
		tracked->in_use++;
		PG_TRY();
		{
			int			nroles = tracked->nroles;
			Role	   *roles = tracked->roles;

			for (int i = 0; i < nroles; i++)
				take_statement(trigger, &roles[i]);
		}
		PG_FINALLY();
		{
			tracked->in_use--;
		}
		PG_END_TRY();
	}
	SPI_finish();
	PG_RETURN_POINTER(NULL);
}

/* --- all rows of a table ------------------------------------------------------------------------ */

typedef void (*RowSink) (void *arg, const Role *role, HeapTuple row, TupleDesc desc);

/*
 * Reads the facts of all rows of a tracked table for one of its roles, with the
 * rights of the table's owner: what is evaluated is the owner's, and must not
 * run as somebody mightier.
 */
static void
read_table(Oid relid, text *source, RowSink sink, void *arg)
{
	Relation	rel = table_open(relid, AccessShareLock);
	char	   *name = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)), RelationGetRelationName(rel));
	Tracked    *tracked = tracked_for(relid);

	for (int i = 0; i < tracked->nroles; i++)
	{
		Role	   *role = &tracked->roles[i];
		SPIPlanPtr	plan = NULL;
		FactRows	facts;
		Oid			user;
		int			security;
		HeapTuple	row;

		if (!same_text(role->source, PointerGetDatum(source)))
			continue;
		GetUserIdAndSecContext(&user, &security);
		SetUserIdAndSecContext(rel->rd_rel->relowner, security | SECURITY_RESTRICTED_OPERATION);
		facts_begin(&facts, &plan, role, name);
		while ((row = facts_next(&facts)) != NULL)
		{
			SetUserIdAndSecContext(user, security);
			if (has_key(row, facts_desc(&facts)))
				sink(arg, role, row, facts_desc(&facts));
			SetUserIdAndSecContext(rel->rd_rel->relowner, security | SECURITY_RESTRICTED_OPERATION);
		}
		facts_end(&facts);
		SetUserIdAndSecContext(user, security);
		SPI_freeplan(plan);
		break;
	}
	table_close(rel, NoLock);
}

typedef struct Taking
{
	Batch		batch;
	bool		begun;
	bool		anew;
	int64		taken;
	Oid			relid;
} Taking;

static void
take_row(void *arg, const Role *role, HeapTuple row, TupleDesc desc)
{
	Taking	   *taking = arg;

	if (!taking->begun)
		batch_begin(&taking->batch, unconstify(Role *, role));
	taking->begun = true;
	add_row(&taking->batch, taking->anew && !role->link ? row : NULL, row, desc, true);
	if (++taking->taken % BATCH_ROWS == 0)
	{
		apply(&taking->batch);
		ereport(NOTICE,
				(errmsg("%lld rows of %s taken in", (long long) taking->taken, get_rel_name(taking->relid))));
	}
}

/*
 * assetreg._take_table(root regclass, source text, anew boolean): takes in all
 * rows of a tracked table for one of its roles; anew: what its rows say
 * replaces what the graph has.  In batches, with a NOTICE for each.  Returns the
 * number of rows.
 */
Datum
assetreg_take_table(PG_FUNCTION_ARGS)
{
	Taking		taking = {.relid = PG_GETARG_OID(0), .anew = PG_GETARG_BOOL(2)};

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	read_table(taking.relid, PG_GETARG_TEXT_PP(1), take_row, &taking);
	if (taking.begun)
		apply(&taking.batch);
	SPI_finish();
	PG_RETURN_INT64(taking.taken);
}

typedef struct Stating
{
	ReturnSetInfo *result;
	const Role *role;
	Datum		key;
} Stating;

static void
state_reference(void *arg, int reference, Datum value)
{
	Stating    *stating = arg;
	Datum		kind = stating->role->kinds[reference];
	Datum		values[] = {stating->key, (Datum) 0, (Datum) 0, kind, value};
	bool		nulls[] = {false, true, true, kind == 0, false};

	if (VARSIZE_ANY_EXHDR(PG_DETOAST_DATUM_PACKED(value)) > 0)
		tuplestore_putvalues(stating->result->setResult, stating->result->setDesc, values, nulls);
}

static void
state_row(void *arg, const Role *role, HeapTuple row, TupleDesc desc)
{
	Stating    *stating = arg;
	Datum		values[5] = {0};
	bool		nulls[5] = {false, false, false, true, true};

	for (int i = FACT_KEY; i <= FACT_ACTIVE; i++)
		values[i] = SPI_getbinval(row, desc, i + 1, &nulls[i]);
	tuplestore_putvalues(stating->result->setResult, stating->result->setDesc, values, nulls);
	stating->role = role;
	stating->key = values[FACT_KEY];
	each_reference(role, row, desc, state_reference, stating);
}

/*
 * assetreg._stated(root regclass, source text): what the rows of a tracked table
 * say, for one of its roles: (key, label, active) for each row, and (key, kind,
 * ref) for each reference in it.
 */
Datum
assetreg_stated(PG_FUNCTION_ARGS)
{
	Stating		stating = {.result = (ReturnSetInfo *) fcinfo->resultinfo};

	InitMaterializedSRF(fcinfo, 0);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	read_table(PG_GETARG_OID(0), PG_GETARG_TEXT_PP(1), state_row, &stating);
	SPI_finish();
	PG_RETURN_NULL();
}
