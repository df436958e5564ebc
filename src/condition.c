/*
 * condition.c
 *		A condition on one row of a table, given as text: checked, and made to
 *		mean the same for everybody.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_clause.h"
#include "parser/parse_collate.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

PG_FUNCTION_INFO_V1(assetreg_row_condition);

static bool
has_subquery(Node *node, void *context)
{
	if (node == NULL)
		return false;
	return IsA(node, SubLink) || raw_expression_tree_walker(node, has_subquery, context);
}

/*
 * The one expression that a text is, as the grammar sees it.
 */
static Node *
parse_expression(const char *condition)
{
	List	   *statements = raw_parser(condition, RAW_PARSE_PLPGSQL_EXPR);
	SelectStmt *select = castNode(SelectStmt, linitial_node(RawStmt, statements)->stmt);
	ResTarget  *target;

	if (select->op != SETOP_NONE || list_length(select->targetList) != 1 || select->distinctClause || select->fromClause
		|| select->whereClause || select->groupClause || select->havingClause || select->windowClause || select->sortClause
		|| select->limitOffset || select->limitCount || select->lockingClause)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("active_when is not one expression"),
				 errdetail("It is a condition on the columns of a row, such as status <> 'archived'.")));
	target = linitial_node(ResTarget, select->targetList);
	if (has_subquery(target->val, NULL))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("active_when must not contain a subquery"),
				 errdetail("It is evaluated when the row itself changes, and not when another one does.")));
	return target->val;
}

/*
 * Values that transition tables do not have, and what changes without the row.
 */
static void
check_expression(Node *expression)
{
	Bitmapset  *columns = NULL;

	pull_varattnos(expression, 1, &columns);
	for (int column = -1; (column = bms_next_member(columns, column)) >= 0;)
		if (column + FirstLowInvalidHeapAttributeNumber <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("active_when must not use system columns or the row as a whole")));
	if (contain_mutable_functions((Node *) expression_planner((Expr *) expression)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("functions in active_when must be marked IMMUTABLE"),
				 errdetail("It is evaluated when the row changes; what depends on the time or on settings would be out of date.")));
}

/*
 * The parser's errors point into the condition, not into the statement that gave it.
 */
static void
point_into_condition(void *condition)
{
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(condition);
	}
	errcontext("active_when");
}

/*
 * assetreg._row_condition(relation regclass, condition text): checks that a
 * text is a boolean expression on the columns of one row, without subqueries,
 * aggregates and mutable functions, and returns it with every name outside
 * pg_catalog qualified.  Names are looked up as the caller sees them.  Raises
 * what the parser raises; 0A000 and 42P17 for what is not allowed.
 */
Datum
assetreg_row_condition(PG_FUNCTION_ARGS)
{
	Relation	rel = table_open(PG_GETARG_OID(0), AccessShareLock);
	char	   *condition = text_to_cstring(PG_GETARG_TEXT_PP(1));
	ParseState *pstate = make_parsestate(NULL);
	ParseNamespaceItem *item = addRangeTableEntryForRelation(pstate, rel, AccessShareLock, NULL, false, true);
	Node	   *expression;
	char	   *qualified;
	int			level;
	ErrorContextCallback context = {.callback = point_into_condition, .arg = condition, .previous = error_context_stack};

	error_context_stack = &context;
	pstate->p_sourcetext = condition;
	addNSItemToQuery(pstate, item, true, true, true);
	expression = transformWhereClause(pstate, parse_expression(condition), EXPR_KIND_CHECK_CONSTRAINT, "active_when");
	assign_expr_collations(pstate, expression);
	check_expression(expression);
	error_context_stack = context.previous;

	level = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	qualified = deparse_expression(expression, deparse_context_for(RelationGetRelationName(rel), RelationGetRelid(rel)), false, false);
	AtEOXact_GUC(true, level);
	free_parsestate(pstate);
	table_close(rel, NoLock);
	PG_RETURN_TEXT_P(cstring_to_text(qualified));
}
