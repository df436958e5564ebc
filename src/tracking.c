/*
 * tracking.c
 *		The studio's own tables: what their rows say becomes entities and edges.
 *
 * A tracked table has one or more roles (_tracking_of() in 78_tracked.sql):
 * its rows are entities with edges to what their columns name, or, for a join
 * table, its rows are edges.  Either way a row becomes facts: a key, a label,
 * active or not, and references, all computed by one query with the rights of
 * whoever writes.  What a statement changed in them goes as arrays to
 * _apply_entities() or _apply_links(), which run as the owner of the registry.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "compat.h"
#include "own_query.h"
#include "tracking.h"

PG_FUNCTION_INFO_V1(assetreg_tracking_trigger);
PG_FUNCTION_INFO_V1(assetreg_take_table);
PG_FUNCTION_INFO_V1(assetreg_stated);

#define BATCH_ROWS 100000

/* --- the rows of a statement ------------------------------------------------------------------- */

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
			batch_add_row(batch, old_row, NULL, desc, true);
		if (has_key(new_row, desc))
			batch_add_row(batch, NULL, new_row, desc, true);
	}
	else
		batch_add_row(batch, old_row, new_row, desc,
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
		facts_begin(&old_facts, &role->old_facts, role, "old_rows", trigger->tg_oldtable);
	if (trigger->tg_newtable != NULL)
		facts_begin(&new_facts, &role->new_facts, role, "new_rows", trigger->tg_newtable);
	desc = facts_desc(trigger->tg_oldtable != NULL ? &old_facts : &new_facts);

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
			batch_write(&batch);
	}
	facts_end(&old_facts);
	facts_end(&new_facts);
	batch_write(&batch);
}

/*
 * The same where what is evaluated is not the server's own, or shows values as
 * the session has them: by queries, with settings that are always the same.
 */
static void
take_statement_by_query(TriggerData *trigger, Role *role)
{
	int			level = facts_pin_settings();

	if (trigger->tg_oldtable != NULL || trigger->tg_newtable != NULL)
		SPI_register_trigger_data(trigger);
	take_statement(trigger, role);
	AtEOXact_GUC(true, level);
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
	if (SPI_connect() != SPI_OK_CONNECT)
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
				if (roles[i].facts != NULL)
					take_statement(trigger, &roles[i]);
				else
					take_statement_by_query(trigger, &roles[i]);
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
		facts_begin(&facts, &plan, role, name, NULL);
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
	batch_add_row(&taking->batch, taking->anew && !role->link ? row : NULL, row, desc, true);
	if (++taking->taken % BATCH_ROWS == 0)
	{
		batch_write(&taking->batch);
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
		batch_write(&taking.batch);
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
