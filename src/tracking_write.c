/*
 * tracking_write.c
 *		What a statement changed in tracked rows, written to the graph.
 *
 * By _apply_entities() and _apply_links(), which run as the owner of the
 * registry, and where they may without triggers, whose work they do for all rows
 * at once.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "catalog.h"
#include "compat.h"
#include "own_query.h"
#include "tracking.h"

PG_FUNCTION_INFO_V1(assetreg_quiet);

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

void
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
void
batch_write(Batch *batch)
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
	append_int(&batch->first_edges, batch->edge_rows.n + 1);
	if (batch_write_directly(batch))
	{
		MemoryContextSwitchTo(caller);
		batch_forget(batch);
		return;
	}
	args[0] = role->source;
	args[1] = role->kind;
	args[2] = text_array(&batch->old_keys);
	args[3] = text_array(&batch->keys);
	args[4] = text_array(&batch->labels);
	args[5] = text_array(&batch->actives);
	args[6] = BoolGetDatum(batch->moves);
	args[7] = int_array(&batch->relinked);
	args[8] = int_array(&batch->first_edges);
	args[9] = int_array(&batch->edge_rows);
	args[10] = int_array(&batch->edge_targets);
	args[11] = text_array(&batch->edge_relations);
	args[12] = text_array(&batch->target_kinds);
	args[13] = text_array(&batch->target_references);
	MemoryContextSwitchTo(caller);

	run_quietly(role->link ? &links : &entities, args);
	batch_forget(batch);
}
