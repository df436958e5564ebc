/*
 * attribution.c
 *		Who did it and when: filled by the server, not stated by the client.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "assetreg.h"
#include "attribution.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(assetreg_attribution_trigger);

/*
 * The person on whose behalf the statement runs.
 */
const char *
attribution_actor(void)
{
	if (assetreg_actor != NULL && assetreg_actor[0] != '\0')
		return assetreg_actor;
	return GetUserNameFromId(GetSessionUserId(), false);
}

/* the trigger's arguments */
enum
{
	WHO, WHEN, CHANGED
};

static void
check_called_right(FunctionCallInfo fcinfo, TriggerData *trigger)
{
	if (!CALLED_AS_TRIGGER(fcinfo)
		|| !TRIGGER_FIRED_BEFORE(trigger->tg_event)
		|| !TRIGGER_FIRED_FOR_ROW(trigger->tg_event)
		|| TRIGGER_FIRED_BY_DELETE(trigger->tg_event)
		|| trigger->tg_trigger->tgnargs < 2 || trigger->tg_trigger->tgnargs > 3)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("_attribution_trigger must be fired for each row before INSERT or UPDATE, with two or three arguments")));
}

static int
column_number(Relation table, const char *name)
{
	int			number = SPI_fnumber(RelationGetDescr(table), name);

	if (number <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of table \"%s\" does not exist", name, RelationGetRelationName(table))));
	return number;
}

/* Who owns the table may state what happened elsewhere: an import, a repair. */
static bool
may_state(Relation table)
{
	return has_privs_of_role(GetUserId(), table->rd_rel->relowner);
}

/*
 * assetreg._attribution_trigger(who, when [, changed]): sets all on INSERT, and
 * on UPDATE keeps who and when, unless the table's owner states others; sets
 * changed on UPDATE whatever anybody states.
 */
Datum
assetreg_attribution_trigger(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	Relation	table;
	TupleDesc	desc;
	HeapTuple	row;
	bool		insert;
	bool		stated;
	int			columns[3];
	Datum		values[3];
	bool		nulls[3] = {false};
	int			n = 0;

	check_called_right(fcinfo, trigger);
	table = trigger->tg_relation;
	desc = RelationGetDescr(table);
	insert = TRIGGER_FIRED_BY_INSERT(trigger->tg_event);
	row = insert ? trigger->tg_trigtuple : trigger->tg_newtuple;
	stated = may_state(table);

	for (int i = 0; i < trigger->tg_trigger->tgnargs; i++)
	{
		columns[n] = column_number(table, trigger->tg_trigger->tgargs[i]);
		if (stated && !heap_attisnull(row, columns[n], desc) && (insert || i != CHANGED))
			continue;
		if (i == WHO && insert)
			values[n] = CStringGetTextDatum(attribution_actor());
		else if (i == CHANGED || insert)
			values[n] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
		else
			values[n] = heap_getattr(trigger->tg_trigtuple, columns[n], desc, &nulls[n]);
		n++;
	}
	if (n > 0)
		row = heap_modify_tuple_by_cols(row, RelationGetDescr(table), n, columns, values, nulls);
	return PointerGetDatum(row);
}
