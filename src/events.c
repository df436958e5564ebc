/*
 * events.c
 *		What of events is not SQL: notifications, the partition of an event, and
 *		the names of what this transaction has deleted.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/async.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/json.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "assetreg.h"
#include "compat.h"
#include "events.h"

PG_FUNCTION_INFO_V1(assetreg_event_partition);
PG_FUNCTION_INFO_V1(assetreg_former_subject);
PG_FUNCTION_INFO_V1(assetreg_notify_trigger);

#define MAX_QUEUE_USAGE 0.9

/* The channels, and the types of events that each is for; NULL: all. */
static const char *const regression_types[] = {"update.opened", "update.testing", NULL};
static const char *const staleness_types[] = {
	"asset.version_released", "asset.file_changed", "asset.status_changed", "asset.deleted", NULL
};

static const struct
{
	const char *name;
	const char *const *types;
}			channels[] = {
	{"assetreg_events", NULL},
	{"assetreg_regression", regression_types},
	{"assetreg_staleness", staleness_types}
};

/*
 * What the current statement has sent: for each channel the level of the
 * subtransaction that did, 0 for none.  A subtransaction that is rolled back
 * takes its notifications along.
 */
static struct
{
	FullTransactionId transaction;
	TimestampTz statement;
	int			levels[lengthof(channels)];
}			sent;

static void
subtransaction_ended(SubXactEvent event, SubTransactionId id, SubTransactionId parent_id, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	for (int i = 0; i < lengthof(channels); i++)
	{
		if (event == SUBXACT_EVENT_ABORT_SUB && sent.levels[i] >= level)
			sent.levels[i] = 0;
		else if (event == SUBXACT_EVENT_COMMIT_SUB && sent.levels[i] == level)
			sent.levels[i] = level - 1;
	}
}

void
events_init(void)
{
	RegisterSubXactCallback(subtransaction_ended, NULL);
}

static bool
is_for(int channel, const char *type)
{
	const char *const *types = channels[channel].types;

	if (types == NULL)
		return true;
	for (; *types != NULL; types++)
		if (strcmp(*types, type) == 0)
			return true;
	return false;
}

/* A statement that a client sent, with all that it leads to. */
static void
begin_statement(void)
{
	FullTransactionId transaction = GetTopFullTransactionId();
	TimestampTz statement = GetCurrentStatementStartTimestamp();

	if (FullTransactionIdEquals(sent.transaction, transaction) && sent.statement == statement)
		return;
	memset(&sent, 0, sizeof(sent));
	sent.transaction = transaction;
	sent.statement = statement;
}

/*
 * A full queue fails the commit, and nothing can be done about that then: so a
 * queue that is nearly full is left alone.  To ask also frees what everybody
 * has read.
 */
static bool
queue_has_room(void)
{
	double		usage = DatumGetFloat8(OidFunctionCall0(F_PG_NOTIFICATION_QUEUE_USAGE));

	if (usage < MAX_QUEUE_USAGE)
		return true;
	ereport(WARNING,
			(errmsg("events are not notified, because the queue of notifications is %d%% full", (int) (usage * 100)),
			 errdetail("Consumers find them when they look."),
			 errhint("A session that listens and stays in a transaction holds the queue: see pg_stat_activity.")));
	return false;
}

/* A CloudEvents stub: ids, no names. */
static char *
stub(HeapTuple row, TupleDesc desc, const char *type)
{
	StringInfoData text;
	char	   *entity_id = SPI_getvalue(row, desc, SPI_fnumber(desc, "entity_id"));

	initStringInfo(&text);
	appendStringInfo(&text, "{\"specversion\":\"1.0\",\"id\":\"%s\",\"source\":\"/assetreg\",\"type\":",
					 SPI_getvalue(row, desc, SPI_fnumber(desc, "event_id")));
	escape_json(&text, type);
	if (entity_id != NULL)
		appendStringInfo(&text, ",\"subject\":\"%s\"", entity_id);
	appendStringInfoChar(&text, '}');
	return text.data;
}

static void
check_called_right(FunctionCallInfo fcinfo, TriggerData *trigger)
{
	if (!CALLED_AS_TRIGGER(fcinfo)
		|| !TRIGGER_FIRED_BEFORE(trigger->tg_event)
		|| !TRIGGER_FIRED_FOR_ROW(trigger->tg_event)
		|| !TRIGGER_FIRED_BY_INSERT(trigger->tg_event)
		|| SPI_fnumber(RelationGetDescr(trigger->tg_relation), "type") <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("_notify_trigger must be fired for each row before INSERT into the table of events")));
}

/*
 * assetreg._notify_trigger(): the first event of a statement that a channel is
 * for is its notification; the others cost a glance.
 */
Datum
assetreg_notify_trigger(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	char	   *type = NULL;

	check_called_right(fcinfo, trigger);
	if (!assetreg_notify)
		return PointerGetDatum(trigger->tg_trigtuple);

	desc = RelationGetDescr(trigger->tg_relation);
	begin_statement();
	for (int i = 0; i < lengthof(channels); i++)
	{
		if (sent.levels[i] > 0)
			continue;
		if (type == NULL)
			type = SPI_getvalue(trigger->tg_trigtuple, desc, SPI_fnumber(desc, "type"));
		if (type == NULL || !is_for(i, type))
			continue;
		sent.levels[i] = GetCurrentTransactionNestLevel();
		if (queue_has_room())
			Async_Notify(channels[i].name, stub(trigger->tg_trigtuple, desc, type));
	}
	return PointerGetDatum(trigger->tg_trigtuple);
}

/*
 * assetreg._event_partition(entity_id, partitions): the same on every platform
 * and version, as positions outlive both; the mixing is that of MurmurHash3.
 * What is about no entity is in partition 0.
 */
Datum
assetreg_event_partition(PG_FUNCTION_ARGS)
{
	uint64		hash;

	if (PG_ARGISNULL(0))
		PG_RETURN_INT32(0);
	hash = (uint64) PG_GETARG_INT64(0);
	hash = (hash ^ hash >> 33) * UINT64CONST(0xff51afd7ed558ccd);
	hash = (hash ^ hash >> 33) * UINT64CONST(0xc4ceb9fe1a85ec53);
	PG_RETURN_INT32((int32) ((hash ^ hash >> 33) % (uint64) Max(PG_GETARG_INT32(1), 1)));
}

/*
 * assetreg._former_subject(id): rows that this transaction has deleted are
 * there for a snapshot of its beginning.
 */
Datum
assetreg_former_subject(PG_FUNCTION_ARGS)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[] = {INT8OID};
	Datum		values[] = {PG_GETARG_DATUM(0)};
	char	   *subject = NULL;
	text	   *result = NULL;
	MemoryContext caller = CurrentMemoryContext;

	SPI_connect();
	if (plan == NULL)
	{
		plan = SPI_prepare("SELECT e.kind OPERATOR(pg_catalog.||) '/' OPERATOR(pg_catalog.||) e.key"
						   " FROM assetreg.entities e WHERE e.id OPERATOR(pg_catalog.=) $1", 1, types);
		SPI_keepplan(plan);
	}
	PushCopiedSnapshot(GetTransactionSnapshot());
	GetActiveSnapshot()->curcid = FirstCommandId;
	if (SPI_execute_plan(plan, values, NULL, true, 1) == SPI_OK_SELECT && SPI_processed > 0)
		subject = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	PopActiveSnapshot();
	if (subject != NULL)
	{
		MemoryContextSwitchTo(caller);
		result = cstring_to_text(subject);
	}
	SPI_finish();
	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(result);
}
