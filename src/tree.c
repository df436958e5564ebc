/*
 * tree.c
 *		SQL-callable tree of what is around an entity, for people in psql.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "args.h"
#include "compat.h"
#include "graph.h"
#include "graph_text.h"

PG_FUNCTION_INFO_V1(assetreg_dependency_tree);

/* More children of one entity than these are counted, not shown. */
#define TREE_MAX_CHILDREN 100

/* The children of an entity on the way down. */
typedef struct Branch
{
	MemoryContext context;		/* holds the children */
	GraphNode  *children;
	int			nchildren;		/* those shown */
	int64		nmore;			/* those that are not */
	int			next;
} Branch;

typedef struct Tree
{
	FunctionCallInfo fcinfo;
	Adjacency  *adjacency;
	Entities   *entities;
	IdSet	   *expanded;		/* their children have been shown */
	IdSet	   *parents;		/* and there were some */
	Branch	   *branches;
	int			nbranches;
	int			size;

	/* while children are collected */
	IdSet	   *found;
	Frontier	ids;
} Tree;

static void
add_children(void *arg, int64 id, const int64 *neighbours, int nneighbours)
{
	Tree	   *tree = arg;

	for (int i = 0; i < nneighbours; i++)
		idset_add(tree->found, &tree->ids, neighbours[i]);
}

static int
compare_titles(const GraphNode *left, const GraphNode *right)
{
	int			order = strcmp(left->kind, right->kind);

	if (order == 0)
		order = strcmp(left->label ? left->label : left->key, right->label ? right->label : right->key);
	if (order == 0)
		order = (left->id > right->id) - (left->id < right->id);
	return order;
}

/*
 * Keeps the first children by kind and title, sorted, and counts the others.
 */
static void
add_child(void *arg, const Entity *entity)
{
	Branch	   *branch = arg;
	GraphNode	child = {.id = entity->id};
	int			place = branch->nchildren;

	graph_node_name(&child, entity);
	while (place > 0 && compare_titles(&child, &branch->children[place - 1]) < 0)
		place--;

	if (branch->nchildren == TREE_MAX_CHILDREN)
	{
		GraphNode  *last = &branch->children[TREE_MAX_CHILDREN - 1];
		GraphNode  *dropped = place == TREE_MAX_CHILDREN ? &child : last;

		branch->nmore++;
		pfree(dropped->kind);
		pfree(dropped->key);
		if (dropped->label)
			pfree(dropped->label);
		if (place == TREE_MAX_CHILDREN)
			return;
		branch->nchildren--;
	}
	memmove(&branch->children[place + 1], &branch->children[place], (branch->nchildren - place) * sizeof(GraphNode));
	branch->children[place] = child;
	branch->nchildren++;
}

static Branch *
new_branch(Tree *tree)
{
	Branch	   *branch;

	if (tree->nbranches == tree->size)
	{
		tree->size *= 2;
		tree->branches = repalloc(tree->branches, tree->size * sizeof(Branch));
	}
	branch = &tree->branches[tree->nbranches++];
	memset(branch, 0, sizeof(Branch));
	branch->context = AllocSetContextCreate(CurrentMemoryContext, "assetreg branch", ALLOCSET_SMALL_SIZES);
	branch->children = MemoryContextAlloc(branch->context, TREE_MAX_CHILDREN * sizeof(GraphNode));
	return branch;
}

/* Collects the ids of an entity's children in tree->ids; the caller frees tree->found. */
static void
find_children(Tree *tree, int64 id)
{
	ArrayKeys	keys;

	tree->found = idset_create();
	frontier_init(&tree->ids, tree->found);
	adjacency_expand(tree->adjacency, array_keys_init(&keys, &id, 1), add_children, tree);
}

static bool
has_children(Tree *tree, int64 id)
{
	bool		found;

	find_children(tree, id);
	found = tree->ids.nids > 0;
	idset_free(tree->found);
	return found;
}

static void
push_branch(Tree *tree, int64 id)
{
	Branch	   *branch = new_branch(tree);
	MemoryContext old = MemoryContextSwitchTo(branch->context);

	find_children(tree, id);
	entities_read(tree->entities, frontier_keys(&tree->ids), add_child, branch);
	idset_free(tree->found);
	idset_add(tree->expanded, NULL, id);
	if (branch->nchildren > 0)
		idset_add(tree->parents, NULL, id);
	MemoryContextSwitchTo(old);
}

/* Lines and corners, in ASCII where the database's encoding has no others. */
typedef struct TreeGlyphs
{
	const char *bar;
	const char *fork;
	const char *corner;
	const char *ellipsis;
} TreeGlyphs;

static const TreeGlyphs *
tree_glyphs(void)
{
	static const TreeGlyphs utf8 = {"│   ", "├── ", "└── ", "…"};
	static const TreeGlyphs ascii = {"|   ", "|-- ", "`-- ", "..."};

	return GetDatabaseEncoding() == PG_UTF8 ? &utf8 : &ascii;
}

static void
put_line(Tree *tree, const char *text, bool last)
{
	const TreeGlyphs *glyphs = tree_glyphs();
	StringInfoData line;
	Datum		value;
	bool		isnull = false;

	initStringInfo(&line);
	for (int i = 1; i < tree->nbranches - 1; i++)
	{
		const Branch *branch = &tree->branches[i];

		appendStringInfoString(&line, branch->next < branch->nchildren || branch->nmore > 0 ? glyphs->bar : "    ");
	}
	if (tree->nbranches > 1)
		appendStringInfoString(&line, last ? glyphs->corner : glyphs->fork);
	appendStringInfoString(&line, text);
	value = PointerGetDatum(cstring_to_text_with_len(line.data, line.len));
	put_row(tree->fcinfo, &value, &isnull);
	pfree(line.data);
	pfree(DatumGetPointer(value));
}

/*
 * The line of a branch's next child; says whether its own children come next,
 * or why they do not.
 */
static bool
put_child(Tree *tree, Branch *branch, int max_depth)
{
	const GraphNode *child = &branch->children[branch->next++];
	bool		shown = idset_contains(tree->expanded, child->id);
	bool		too_deep = max_depth != NO_MAX_DEPTH && tree->nbranches - 1 >= max_depth;
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "%s%s", graph_node_title(child), child->active ? "" : " (inactive)");
	if (idset_contains(tree->parents, child->id))
		appendStringInfoString(&text, " (see above)");
	else if (!shown && too_deep && has_children(tree, child->id))
		appendStringInfo(&text, " %s", tree_glyphs()->ellipsis);
	put_line(tree, text.data, branch->next == branch->nchildren && branch->nmore == 0);
	pfree(text.data);
	return !shown && !too_deep;
}

/*
 * Writes the branches depth first.  An entity's children are shown where it
 * comes first, so circles end and nothing is shown twice.
 */
static void
put_tree(Tree *tree, int max_depth)
{
	while (tree->nbranches > 0)
	{
		Branch	   *branch = &tree->branches[tree->nbranches - 1];

		CHECK_FOR_INTERRUPTS();
		if (branch->next < branch->nchildren)
		{
			int64		child = branch->children[branch->next].id;

			if (put_child(tree, branch, max_depth))
				push_branch(tree, child);
		}
		else
		{
			if (branch->nmore > 0)
				put_line(tree, psprintf("%s %lld more", tree_glyphs()->ellipsis, (long long) branch->nmore), true);
			MemoryContextDelete(branch->context);
			tree->nbranches--;
		}
	}
}

/*
 * dependency_tree(id, direction, max_depth): an entity and what is below it, a
 * line each, children by kind and label.
 */
Datum
assetreg_dependency_tree(PG_FUNCTION_ARGS)
{
	Tree		tree = {.fcinfo = fcinfo, .size = 16};
	int64		id = arg_id(fcinfo, 0, "id");
	EdgeDirection direction = arg_direction(fcinfo, 1);
	int			max_depth = arg_max_depth(fcinfo, 2);
	ArrayKeys	keys;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	tree.adjacency = adjacency_begin(direction);
	tree.entities = entities_begin(true);
	entities_check_exist(tree.entities, &id, 1);
	tree.expanded = idset_create();
	tree.parents = idset_create();
	tree.branches = palloc(tree.size * sizeof(Branch));

	new_branch(&tree);
	entities_read(tree.entities, array_keys_init(&keys, &id, 1), add_child, &tree.branches[0]);
	put_tree(&tree, max_depth);
	entities_end(tree.entities);
	adjacency_end(tree.adjacency);
	return (Datum) 0;
}
