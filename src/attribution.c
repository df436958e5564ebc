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
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "assetreg.h"
#include "attribution.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(assetreg_act_as);
PG_FUNCTION_INFO_V1(assetreg_actor_name);
PG_FUNCTION_INFO_V1(assetreg_attribution_trigger);
PG_FUNCTION_INFO_V1(assetreg_everyone_edits_notes);

#define MAX_ACTOR_SIZE 200

/* Control characters, and the marks that turn the direction of text: what names of assets may not contain either. */
static bool
has_control_character(const char *text)
{
	bool		utf8 = GetDatabaseEncoding() == PG_UTF8;

	for (const unsigned char *c = (const unsigned char *) text; *c; c++)
		if (*c < ' ' || *c == 0x7f
			|| (utf8 && c[0] == 0xc2 && c[1] < 0xa0)
			|| (utf8 && c[0] == 0xe2 && c[1] == 0x80 && c[2] >= 0xaa && c[2] <= 0xae)
			|| (utf8 && c[0] == 0xe2 && c[1] == 0x81 && c[2] >= 0xa6 && c[2] <= 0xa9))
			return true;
	return false;
}

/*
 * check_hook of assetreg.actor: a name that can be shown, or nothing.
 */
bool
attribution_check_actor(char **newval, void **extra, GucSource source)
{
	const char *actor = *newval;

	if (strlen(actor) > MAX_ACTOR_SIZE)
		GUC_check_errdetail("An actor has at most %d bytes.", MAX_ACTOR_SIZE);
	else if (!pg_verifymbstr(actor, (int) strlen(actor), true))
		GUC_check_errdetail("The bytes are not valid in the encoding of the database.");
	else if (has_control_character(actor))
		GUC_check_errdetail("An actor contains no control characters.");
	else if (actor[0] != '\0' && strspn(actor, " ") == strlen(actor))
		GUC_check_errdetail("An actor is not blank.");
	else
		return true;
	return false;
}

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

/*
 * assetreg._actor(): the same for SQL. The setting itself could be a placeholder
 * that anybody set before the library was loaded.
 */
Datum
assetreg_actor_name(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(attribution_actor()));
}

/*
 * assetreg._everyone_edits_notes(): what assetreg.notes_editable_by says.  For
 * policies: the setting read by SQL could be a placeholder that anybody set
 * before the library was loaded.
 */
Datum
assetreg_everyone_edits_notes(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(assetreg_notes_editable_by == NOTES_EDITABLE_BY_EVERYONE);
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

/*
 * act_as(actor): sets assetreg.actor until the transaction ends, with the right
 * to do so.  Nobody becomes nobody by mistake, so NULL and the empty string are
 * errors.
 */
Datum
assetreg_act_as(PG_FUNCTION_ARGS)
{
	char	   *actor;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("actor must not be null")));
	actor = text_to_cstring(PG_GETARG_TEXT_PP(0));
	/* what is still too long is enough to be refused and shown */
	actor[pg_mbcliplen(actor, (int) strlen(actor), 2 * MAX_ACTOR_SIZE)] = '\0';
	if (actor[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("actor must not be empty")));
	if (!IsTransactionBlock())
		ereport(ERROR,
				(errcode(ERRCODE_NO_ACTIVE_SQL_TRANSACTION),
				 errmsg("act_as() must be called in a transaction block"),
				 errdetail("It holds for the transaction, which ends with this statement."),
				 errhint("Begin with BEGIN.")));
	(void) set_config_option("assetreg.actor", actor, superuser() ? PGC_SUSET : PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_LOCAL, true, 0, false);
	PG_RETURN_VOID();
}
