/*
 * guard.c
 *		Delete protection: assets that production needs are not removed unasked.
 *
 * A foreign key cannot do this: what counts is whether anything active depends
 * on an asset through any number of others.  Against a dependent that another
 * session adds or activates meanwhile, everything that was walked is locked,
 * and the walk repeated under a fresh snapshot until it finds nothing new: the
 * foreign keys of a new edge, and an update of an entity, wait for these locks.
 *
 * A confirmation by token goes the same way, as it is one for what was shown;
 * any other confirms whatever there is, and nothing is walked.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

#include "args.h"
#include "assetreg.h"
#include "compat.h"
#include "delete_token.h"
#include "graph.h"
#include "sql_rows.h"

PG_FUNCTION_INFO_V1(assetreg_change_asset);
PG_FUNCTION_INFO_V1(assetreg_delete_preview);
PG_FUNCTION_INFO_V1(assetreg_guard_trigger);
PG_FUNCTION_INFO_V1(assetreg_has_dependents_now);

/* The detail names so many; the others are counted. */
#define MAX_NAMED 10

/* A set of ids and the same in order. */
typedef struct IdList
{
	IdSet	   *set;
	Frontier	ids;
} IdList;

typedef struct GuardWalk
{
	Entities   *entities;
	KindFilter	asset_types;	/* dependents of these kinds do not protect */
	bool		may_name;		/* the user sees entities by himself, too */
	const DeleteToken *token;	/* confirms what it has seen; or NULL */
	IdList		walked;			/* the assets and what depends on them */
	int64		ndependents;
	IdList		active;			/* those that protect */
	ShownEntities shown;		/* the same */
	int64		nrefused;		/* those that nobody confirmed */
	int			nnamed;
	StringInfoData names;		/* the nearest of them */
} GuardWalk;

/* What the caller of delete_asset() or set_asset_status() confirms, for this asset alone. */
typedef struct Confirmation
{
	int64		asset;
	Oid			user;
	bool		all;
	const DeleteToken *token;	/* or NULL */
} Confirmation;

/* That of the statement that runs; NULL: one that the user wrote himself. */
static const Confirmation *confirmation = NULL;

static const Confirmation *
confirmation_for(const int64 *assets, int nassets)
{
	return confirmation != NULL && nassets == 1 && assets[0] == confirmation->asset ? confirmation : NULL;
}

static void
init_list(IdList *list)
{
	list->set = idset_create();
	frontier_init(&list->ids, list->set);
}

static void
check_called_right(FunctionCallInfo fcinfo, TriggerData *trigger)
{
	if (!CALLED_AS_TRIGGER(fcinfo)
		|| !TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event)
		|| TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("_guard_trigger must be fired for each statement of UPDATE, DELETE or TRUNCATE")));

	/* it runs as its owner: on another table it would tell and lock what its user may not */
	if (RelationGetRelid(trigger->tg_relation) != get_relname_relid("assets", get_namespace_oid("assetreg", true)))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger function serves table \"assetreg.assets\" only")));
}

static void
add_id(void *arg, HeapTuple row, TupleDesc desc)
{
	IdList	   *list = arg;
	bool		isnull;

	idset_add(list->set, &list->ids, DatumGetInt64(SPI_getbinval(row, desc, 1, &isnull)));
}

/*
 * The assets that the statement takes away.
 */
static void
removed_assets(TriggerData *trigger, IdList *removed)
{
	static SqlRowsQuery deleted = {"SELECT o.id FROM old_rows o"};
	static SqlRowsQuery updated = {
		/* no join: the plan is kept, and may have been made for a single row */
		"SELECT n.id FROM new_rows n WHERE n.status OPERATOR(pg_catalog.=) 'removed'"
		" EXCEPT SELECT o.id FROM old_rows o WHERE o.status OPERATOR(pg_catalog.=) 'removed'"
	};
	static SqlRowsQuery truncated = {"SELECT a.id FROM assetreg.assets a"};

	init_list(removed);
	if (SPI_register_trigger_data(trigger) < 0)
		elog(ERROR, "could not register transition tables");
	sql_rows_all(TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? &updated
				 : TRIGGER_FIRED_BY_DELETE(trigger->tg_event) ? &deleted : &truncated,
				 add_id, removed);
}

static void
add_type(void *arg, HeapTuple row, TupleDesc desc)
{
	KindFilter *types = arg;
	bool		isnull;

	types->kinds = types->kinds == NULL ? palloc(sizeof(text *))
		: repalloc(types->kinds, (types->nkinds + 1) * sizeof(text *));
	types->kinds[types->nkinds++] = DatumGetTextPCopy(SPI_getbinval(row, desc, 1, &isnull));
}

/*
 * The trigger runs as the tables' owner and sees everything; names of entities
 * are given to those only who may read them all.
 */
static bool
user_reads_entities(void)
{
	Oid			relid = get_relname_relid("entities", get_namespace_oid("assetreg", false));

	return pg_class_aclcheck(relid, GetOuterUserId(), ACL_SELECT) == ACLCHECK_OK
		&& check_enable_rls(relid, GetOuterUserId(), true) != RLS_ENABLED;
}

/*
 * A removal is as final as a deletion, so it is confirmed by those only who may
 * delete.  Who deletes or truncates may.
 */
static bool
user_confirms(bool update)
{
	Oid			relid = get_relname_relid("assets", get_namespace_oid("assetreg", false));
	Oid			user = confirmation != NULL ? confirmation->user : GetOuterUserId();

	return !update || pg_class_aclcheck(relid, user, ACL_DELETE) == ACLCHECK_OK;
}

static void
note_walked(void *arg, const Entity *entity)
{
	GuardWalk  *guard = arg;

	idset_add(guard->walked.set, &guard->walked.ids, entity->id);
}

static void
note_dependent(void *arg, const Entity *entity)
{
	GuardWalk  *guard = arg;

	note_walked(guard, entity);
	if (!entity->active || kind_passes(&guard->asset_types, entity->kind))
		return;
	idset_add(guard->active.set, &guard->active.ids, entity->id);
	shown_add(&guard->shown, entity->id);
	if (guard->token != NULL && (guard->token->ids == NULL || idset_contains(guard->token->ids, entity->id)))
		return;
	guard->nrefused++;
	if (!guard->may_name || guard->nnamed == MAX_NAMED)
		return;
	appendStringInfo(&guard->names, "%s%s \"%s\"", guard->nnamed > 0 ? ", " : "", one_line(TextDatumGetCString(entity->kind)),
					 one_line(TextDatumGetCString(entity->label_isnull ? entity->key : entity->label)));
	guard->nnamed++;
}

static bool
note_level(void *arg, int depth, Frontier *frontier)
{
	GuardWalk  *guard = arg;

	entities_read(guard->entities, frontier_keys(frontier), note_dependent, guard);
	return true;
}

static int64 *
list_ids(IdList *list, int *nids)
{
	KeySet	   *keys = frontier_keys(&list->ids);
	int64	   *ids = palloc_extended(Max(list->ids.nids, 1) * sizeof(int64), MCXT_ALLOC_HUGE);
	int64		id;

	*nids = 0;
	for (bool more = keys->seek(keys, PG_INT64_MIN, &id); more; more = keyset_after(keys, id, &id))
		ids[(*nids)++] = id;
	return ids;
}

static void
begin_guard(GuardWalk *guard)
{
	static SqlRowsQuery types = {"SELECT t.name FROM assetreg.asset_types t"};

	sql_rows_all(&types, add_type, &guard->asset_types);
	initStringInfo(&guard->names);
}

/*
 * Walks everything that depends on the assets, by the active snapshot.
 */
static void
walk_dependents(GuardWalk *guard, const int64 *assets, int nassets)
{
	GraphWalk	walk = {.starts = assets, .nstarts = nassets, .max_depth = NO_MAX_DEPTH, .level = note_level, .arg = guard};
	ArrayKeys	keys;

	init_list(&guard->walked);
	init_list(&guard->active);
	guard->shown = (ShownEntities) {0};
	guard->nrefused = 0;
	walk.adjacency = adjacency_begin(EDGES_TO_DEPENDENTS);
	guard->entities = entities_begin(guard->may_name);
	entities_read(guard->entities, array_keys_init(&keys, assets, nassets), note_walked, guard);
	guard->ndependents = graph_walk(&walk);
	entities_end(guard->entities);
	adjacency_end(walk.adjacency);

	/* a token of very many knows no single one */
	if (guard->token != NULL && guard->token->ids == NULL
		&& (guard->token->shown.n != guard->shown.n || guard->token->shown.digest != guard->shown.digest))
		guard->nrefused = guard->shown.n;
}

static void
walk_dependents_now(GuardWalk *guard, const int64 *assets, int nassets)
{
	CommandCounterIncrement();
	PushActiveSnapshot(GetLatestSnapshot());
	walk_dependents(guard, assets, nassets);
	PopActiveSnapshot();
}

static void
keep_reference(void *arg, const Entity *entity)
{
	const char **reference = arg;

	*reference = psprintf("%s/%s", TextDatumGetCString(entity->kind), TextDatumGetCString(entity->key));
}

/* "asset lora/film-grain@1.2" or "12 assets"; an asset's entity outlives it until the statement's end. */
static const char *
describe_assets(const int64 *assets, int nassets)
{
	const char *reference = NULL;
	Entities   *entities;
	ArrayKeys	keys;

	if (nassets != 1)
		return psprintf("%d assets", nassets);
	PushActiveSnapshot(GetLatestSnapshot());
	entities = entities_begin(true);
	entities_read(entities, array_keys_init(&keys, assets, 1), keep_reference, &reference);
	entities_end(entities);
	PopActiveSnapshot();
	return psprintf("asset %s", reference ? reference : "that is gone");
}

static void
refuse_unconfirmed(GuardWalk *guard, bool update, const int64 *assets, int nassets)
{
	const char *them = nassets == 1 ? "it" : "them";

	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 update
			 ? errmsg("cannot set %s to removed because active entities depend on %s", describe_assets(assets, nassets), them)
			 : errmsg("cannot delete %s because active entities depend on %s", describe_assets(assets, nassets), them),
			 guard->nnamed == 0
			 ? errdetail_plural("%lld active entity depends on %s, directly or through others.",
								"%lld active entities depend on %s, directly or through others.",
								guard->nrefused, (long long) guard->nrefused, them)
			 : guard->nrefused > guard->nnamed
			 ? errdetail("Depending on %s, directly or through others: %s and %lld more.",
						 them, guard->names.data, (long long) (guard->nrefused - guard->nnamed))
			 : errdetail("Depending on %s, directly or through others: %s.", them, guard->names.data),
			 !user_confirms(update)
			 ? errhint("Move the dependents to another asset, or let somebody confirm it who may delete assets.")
			 : confirmation_for(assets, nassets) != NULL
			 ? errhint("Move the dependents to another asset, or confirm with the token of assetreg.delete_preview() or with confirm => true.")
			 : errhint("Move the dependents to another asset, or confirm with SET LOCAL assetreg.confirm_delete = on.")));
}

static void
refuse_token(GuardWalk *guard, bool update, int64 asset)
{
	const char *reference = describe_assets(&asset, 1);

	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 update
			 ? errmsg("cannot set %s to removed because its active dependents are not those of its preview", reference)
			 : errmsg("cannot delete %s because its active dependents are not those of its preview", reference),
			 guard->token->ids == NULL
			 ? errdetail("The preview showed %lld, and there are %lld now; of so many a token cannot tell which are new.",
						 (long long) guard->token->shown.n, (long long) guard->shown.n)
			 : guard->nnamed == 0
			 ? errdetail_plural("%lld is new since then.", "%lld are new since then.", guard->nrefused, (long long) guard->nrefused)
			 : guard->nrefused > guard->nnamed
			 ? errdetail("New since then: %s and %lld more.", guard->names.data, (long long) (guard->nrefused - guard->nnamed))
			 : errdetail("New since then: %s.", guard->names.data),
			 errhint("Look at assetreg.delete_preview() again and confirm with its new token.")));
}

/*
 * Locks the rows of entities, in order of ids.  One that was there and is gone
 * is looked for again by the next walk; a transaction with a snapshot of its
 * own cannot lock what that does not show.
 */
static void
lock_entities(IdList *walked, IdList *locked)
{
	static SqlRowsQuery query = {
		"SELECT e.id FROM assetreg.entities e WHERE e.id OPERATOR(pg_catalog.=) ANY ($1) ORDER BY e.id FOR UPDATE",
		.locks = true
	};

	init_list(locked);
	sql_rows_for_ids(&query, frontier_keys(&walked->ids), add_id, locked);
	if (IsolationUsesXactSnapshot() && locked->ids.nids < walked->ids.nids)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent changes of the dependency graph"),
				 errhint("Retry the transaction.")));
}

/* Is everything that was walked locked? */
static bool
all_locked(IdList *walked, IdList *locked)
{
	KeySet	   *keys = frontier_keys(&walked->ids);
	int64		id;

	for (bool more = keys->seek(keys, PG_INT64_MIN, &id); more; more = keyset_after(keys, id, &id))
		if (!idset_contains(locked->set, id))
			return false;
	return true;
}

static void
guard_assets(bool update, const int64 *assets, int nassets, const DeleteToken *token)
{
	GuardWalk	guard = {.may_name = user_reads_entities(), .token = token};
	IdList		locked;

	begin_guard(&guard);
	init_list(&locked);
	for (;;)
	{
		walk_dependents_now(&guard, assets, nassets);
		if (guard.nrefused > 0 && token == NULL)
			refuse_unconfirmed(&guard, update, assets, nassets);
		if (guard.nrefused > 0)
			refuse_token(&guard, update, assets[0]);
		if (all_locked(&guard.walked, &locked))
			break;
		idset_free(locked.set);
		lock_entities(&guard.walked, &locked);
		idset_free(guard.walked.set);
		idset_free(guard.active.set);
	}
}

/*
 * assetreg._guard_trigger(): refuses with 2BP01 a statement that deletes
 * assets, or sets them to removed, while an active entity that is no asset
 * depends on one of them.  A token lets it pass that saw all of these, even
 * where the setting would, too; else assetreg.confirm_delete and confirm do;
 * none of them by a user who may set the status but not delete.
 * Locks, until the transaction ends, the entities of the assets and of what
 * depends on them.
 */
Datum
assetreg_guard_trigger(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	IdList		removed;
	bool		confirms;

	check_called_right(fcinfo, trigger);
	confirms = user_confirms(TRIGGER_FIRED_BY_UPDATE(trigger->tg_event));
	if (confirms && assetreg_confirm_delete && confirmation == NULL)
		return PointerGetDatum(NULL);

	sql_rows_begin();
	removed_assets(trigger, &removed);
	if (removed.ids.nids > 0)
	{
		int			nassets;
		int64	   *assets = list_ids(&removed, &nassets);
		const Confirmation *given = confirmation_for(assets, nassets);
		const DeleteToken *token = given != NULL && confirms ? given->token : NULL;

		if (!confirms || token != NULL || !(assetreg_confirm_delete || (given != NULL && given->all)))
			guard_assets(TRIGGER_FIRED_BY_UPDATE(trigger->tg_event), assets, nassets, token);
	}
	sql_rows_end();
	return PointerGetDatum(NULL);
}

/*
 * assetreg._delete_preview(asset_id): the token, and how many active dependents
 * and dependents it stands for, as the current user sees them.
 */
Datum
assetreg_delete_preview(PG_FUNCTION_ARGS)
{
	int64		asset = PG_GETARG_INT64(0);
	GuardWalk	guard = {0};
	Datum		values[3];
	bool		nulls[3] = {false};
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	sql_rows_begin();
	begin_guard(&guard);
	walk_dependents(&guard, &asset, 1);
	sql_rows_end();

	values[0] = CStringGetTextDatum(delete_token_write(asset, &guard.shown, frontier_keys(&guard.active.ids)));
	values[1] = Int64GetDatum(guard.shown.n);
	values[2] = Int64GetDatum(guard.ndependents);
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

/* Deletes the asset, or sets its status; says whether there was something to change. */
static bool
run_change(FunctionCallInfo fcinfo)
{
	static const char *const delete = "DELETE FROM assetreg.assets a WHERE a.id = $1";
	static const char *const update = "UPDATE assetreg.assets a SET status = $2, replaced_by = $3 WHERE a.id = $1"
		" AND (a.status <> $2 OR a.replaced_by IS DISTINCT FROM $3)";
	bool		deletes = PG_ARGISNULL(1);
	Oid			types[] = {INT8OID, TEXTOID, INT8OID};
	Datum		values[] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1), PG_GETARG_DATUM(2)};
	char		nulls[] = {' ', ' ', PG_ARGISNULL(2) ? 'n' : ' '};
	int			status = SPI_execute_with_args(deletes ? delete : update, deletes ? 1 : 3, types, values, nulls, false, 0);

	if (status != (deletes ? SPI_OK_DELETE : SPI_OK_UPDATE))
		elog(ERROR, "could not change asset: %s", SPI_result_code_string(status));
	return SPI_processed > 0;
}

/*
 * assetreg._change_asset(asset_id, status, replaced_by, confirm, token):
 * deletes an asset, where status is NULL, or sets its status; the statement
 * runs with the current user's rights and, for this asset, with the
 * confirmation that is given here.
 */
Datum
assetreg_change_asset(PG_FUNCTION_ARGS)
{
	const Confirmation *outer = confirmation;
	Confirmation given = {.asset = PG_GETARG_INT64(0), .user = GetUserId(), .all = arg_flag(fcinfo, 3, "confirm")};
	bool		changed;

	if (!PG_ARGISNULL(4))
		given.token = delete_token_read(text_to_cstring(PG_GETARG_TEXT_PP(4)), given.asset);
	sql_rows_begin();
	confirmation = &given;
	PG_TRY();
	{
		changed = run_change(fcinfo);
	}
	PG_FINALLY();
	{
		confirmation = outer;
	}
	PG_END_TRY();
	sql_rows_end();
	PG_RETURN_BOOL(changed);
}

/*
 * assetreg._has_dependents_now(id): for a rule that must hold whatever the
 * transaction's snapshot shows; the caller has locked the entity, so that
 * nobody adds a dependent any more.  Reads with the current user's rights.
 */
Datum
assetreg_has_dependents_now(PG_FUNCTION_ARGS)
{
	int64		id = PG_GETARG_INT64(0);
	GraphWalk	walk = {.starts = &id, .nstarts = 1, .max_depth = 1};
	bool		found;

	CommandCounterIncrement();
	PushActiveSnapshot(GetLatestSnapshot());
	walk.adjacency = adjacency_begin(EDGES_TO_DEPENDENTS);
	found = graph_walk(&walk) > 0;
	adjacency_end(walk.adjacency);
	PopActiveSnapshot();
	PG_RETURN_BOOL(found);
}
