/*
 * tracking_facts.c
 *		What the rows of a tracked table say: a key, a label, active or not, and
 *		references.
 *
 * Most select lists are columns, casts and comparisons of the server's own.
 * They are computed here from the rows of a transition table; a query for one
 * row would take longer to begin and to end than to run.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_collate.h"
#include "parser/parse_relation.h"
#include "parser/parse_target.h"
#include "parser/parser.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "compat.h"
#include "tracking.h"

#define FETCH_ROWS 10000

struct Facts
{
	TupleDesc	rows;			/* of the table */
	ExprContext *econtext;
	ProjectionInfo *projection;
};

/* --- a select list, made ready ------------------------------------------------------------------ */

/*
 * What the text of values and the meaning of names depends on.  Until
 * AtEOXact_GUC(true, level).
 */
int
facts_pin_settings(void)
{
	static const char *const settings[][2] = {
		{"search_path", "pg_catalog, pg_temp"}, {"datestyle", "ISO, YMD"}, {"timezone", "UTC"}, {"intervalstyle", "postgres"},
		{"extra_float_digits", "1"}, {"bytea_output", "hex"}
	};
	int			level = NewGUCNestLevel();

	for (int i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	return level;
}

static bool
not_of_server(Oid function, void *context)
{
	return function >= FirstNormalObjectId;
}

/* Types whose text is the same whatever the session's settings are. */
static bool
has_one_text(Oid type)
{
	switch (type)
	{
		case BOOLOID:
		case CHAROID:
		case NAMEOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case OIDOID:
		case NUMERICOID:
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case UUIDOID:
		case JSONBOID:
			return true;
		default:
			return type_is_enum(type);
	}
}

static bool
is_not_plain(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (check_functions_in_node(node, not_of_server, NULL)
		|| (IsA(node, CoerceViaIO) && !has_one_text(exprType((Node *) ((CoerceViaIO *) node)->arg)))
		|| IsA(node, CoerceToDomain) || IsA(node, SubLink))
		return true;
	return expression_tree_walker(node, is_not_plain, context);
}

static List *
parse_fields(Relation rel, const char *fields)
{
	List	   *statements = raw_parser(psprintf("SELECT %s", fields), RAW_PARSE_DEFAULT);
	SelectStmt *select = castNode(SelectStmt, linitial_node(RawStmt, statements)->stmt);
	ParseState *pstate = make_parsestate(NULL);
	ParseNamespaceItem *item = addRangeTableEntryForRelation(pstate, rel, AccessShareLock, makeAlias("t", NIL), false, true);
	List	   *targets;

	addNSItemToQuery(pstate, item, true, true, true);
	targets = transformTargetList(pstate, select->targetList, EXPR_KIND_SELECT_TARGET);
	assign_list_collations(pstate, targets);
	free_parsestate(pstate);
	return targets;
}

static void
plan_targets(List *targets)
{
	ListCell   *cell;

	foreach(cell, targets)
	{
		TargetEntry *target = lfirst_node(TargetEntry, cell);

		target->expr = expression_planner(target->expr);
	}
}

/*
 * Makes a select list on the rows of a table ready for the session, in the
 * current memory context; NULL where it is not plain.
 */
struct Facts *
facts_prepare(Oid relid, const char *fields)
{
	Relation	rel = table_open(relid, AccessShareLock);
	int			level = facts_pin_settings();
	List	   *targets = parse_fields(rel, fields);
	struct Facts *facts = NULL;

	if (!is_not_plain((Node *) targets, NULL))
	{
		plan_targets(targets);
		facts = palloc(sizeof(struct Facts));
		facts->rows = CreateTupleDescCopyConstr(RelationGetDescr(rel));
		facts->econtext = CreateStandaloneExprContext();
		facts->projection = ExecBuildProjectionInfo(targets, facts->econtext,
													MakeSingleTupleTableSlot(ExecTypeFromTL(targets), &TTSOpsVirtual),
													NULL, facts->rows);
	}
	AtEOXact_GUC(true, level);
	table_close(rel, NoLock);
	return facts;
}

/* --- rows --------------------------------------------------------------------------------------- */

/*
 * Begins to compute the facts of the rows of a transition table; or of a table,
 * which takes a query, with the plan that is kept for it.
 */
void
facts_begin(FactRows *facts, SPIPlanPtr *plan, const Role *role, const char *relation, Tuplestorestate *store)
{
	memset(facts, 0, sizeof(FactRows));
	if (store != NULL && role->facts != NULL)
	{
		facts->facts = role->facts;
		facts->store = store;
		tuplestore_rescan(store);
		facts->slot = MakeSingleTupleTableSlot(role->facts->rows, &TTSOpsMinimalTuple);
		facts->row_context = AllocSetContextCreate(CurrentMemoryContext, "assetreg facts", ALLOCSET_SMALL_SIZES);
		return;
	}
	if (*plan == NULL)
		*plan = prepare_kept(psprintf("SELECT %s FROM %s t", role->fields, relation), 0, NULL);
	facts->portal = SPI_cursor_open(NULL, *plan, NULL, NULL, false);
}

static HeapTuple
computed_next(FactRows *facts)
{
	struct Facts *how = facts->facts;
	MemoryContext caller;
	TupleTableSlot *result;
	HeapTuple	row;

	MemoryContextReset(facts->row_context);
	caller = MemoryContextSwitchTo(facts->row_context);
	if (!tuplestore_gettupleslot(facts->store, true, false, facts->slot))
	{
		MemoryContextSwitchTo(caller);
		return NULL;
	}
	ResetExprContext(how->econtext);
	how->econtext->ecxt_scantuple = facts->slot;
	result = ExecProject(how->projection);
	row = heap_form_tuple(result->tts_tupleDescriptor, result->tts_values, result->tts_isnull);
	ExecClearTuple(facts->slot);
	MemoryContextSwitchTo(caller);
	return row;
}

/*
 * The next row's facts, valid until the next call.
 */
HeapTuple
facts_next(FactRows *facts)
{
	if (facts->facts != NULL)
		return computed_next(facts);
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

TupleDesc
facts_desc(const FactRows *facts)
{
	return facts->facts != NULL ? facts->facts->projection->pi_state.resultslot->tts_tupleDescriptor : facts->portal->tupDesc;
}

void
facts_end(FactRows *facts)
{
	if (facts->facts != NULL)
	{
		ExecDropSingleTupleTableSlot(facts->slot);
		MemoryContextDelete(facts->row_context);
	}
	if (facts->portal == NULL)
		return;
	SPI_freetuptable(facts->rows);
	SPI_cursor_close(facts->portal);
}
