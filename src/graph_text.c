/*
 * graph_text.c
 *		SQL-callable pictures of the graph: json, dot, mermaid, and a tree in text.
 *
 * For people and their screens, so of bounded size: each says where it was cut
 * short.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/memutils.h"

#include "args.h"
#include "compat.h"
#include "graph.h"

PG_FUNCTION_INFO_V1(assetreg_dependency_graph);
PG_FUNCTION_INFO_V1(assetreg_dependency_tree);

/* More children of one entity than these are counted, not shown. */
#define TREE_MAX_CHILDREN 100

typedef struct GraphNode
{
	int64		id;
	int			depth;
	char	   *kind;
	char	   *key;
	char	   *label;			/* or NULL */
	bool		active;
} GraphNode;

typedef struct GraphEdge
{
	int64		dependent;
	int64		dependency;
} GraphEdge;

typedef struct Picture
{
	EdgeDirection direction;
	int			max_depth;
	int			max_nodes;
	GraphNode	   *nodes;			/* by (depth, id) until sort_nodes() */
	int			nnodes;
	int			size;
	GraphEdge   *edges;
	int			nedges;
	int			edges_size;
	int			pos;			/* while entities are read */
	IdSet	   *shown;
	const char *cut_by;			/* NULL: the picture is whole */
	StringInfoData out;
} Picture;

/* ----------
 * What is shown
 * ----------
 */

static void
add_node(Picture *picture, int64 id, int depth)
{
	if (picture->nnodes == picture->size)
	{
		picture->size *= 2;
		picture->nodes = repalloc_huge(picture->nodes, picture->size * sizeof(GraphNode));
	}
	picture->nodes[picture->nnodes++] = (GraphNode) {id, depth};
	idset_add(picture->shown, NULL, id);
}

static bool
add_level(void *arg, int depth, Frontier *frontier)
{
	Picture    *picture = arg;
	KeySet	   *keys = frontier_keys(frontier);
	int64		id;

	if (picture->max_depth != NO_MAX_DEPTH && depth > picture->max_depth)
	{
		picture->cut_by = "max_depth";
		return false;
	}
	for (bool more = keys->seek(keys, PG_INT64_MIN, &id); more; more = keyset_after(keys, id, &id))
	{
		if (picture->nnodes == picture->max_nodes)
		{
			picture->cut_by = "max_nodes";
			return false;
		}
		add_node(picture, id, depth);
	}
	return true;
}

static void
add_edges(void *arg, int64 id, const int64 *neighbours, int nneighbours)
{
	Picture    *picture = arg;
	bool		up = picture->direction == EDGES_TO_DEPENDENTS;

	for (int i = 0; i < nneighbours; i++)
	{
		if (!idset_contains(picture->shown, neighbours[i]))
			continue;
		if (picture->nedges == picture->edges_size)
		{
			picture->edges_size = Max(64, picture->edges_size * 2);
			picture->edges = idset_reserve(picture->shown, picture->edges, picture->edges_size * sizeof(GraphEdge));
		}
		picture->edges[picture->nedges++] = up ? (GraphEdge) {neighbours[i], id} : (GraphEdge) {id, neighbours[i]};
	}
}

static int
compare_nodes(const void *a, const void *b)
{
	int64		left = ((const GraphNode *) a)->id;
	int64		right = ((const GraphNode *) b)->id;

	return (left > right) - (left < right);
}

static int
compare_edges(const void *a, const void *b)
{
	const GraphEdge *left = a;
	const GraphEdge *right = b;

	if (left->dependency != right->dependency)
		return left->dependency < right->dependency ? -1 : 1;
	return (left->dependent > right->dependent) - (left->dependent < right->dependent);
}

static void
name_node(void *arg, const Entity *entity)
{
	Picture    *picture = arg;
	GraphNode	   *node;

	while (picture->nodes[picture->pos].id != entity->id)
		picture->pos++;
	node = &picture->nodes[picture->pos];
	node->kind = TextDatumGetCString(entity->kind);
	node->key = TextDatumGetCString(entity->key);
	node->label = entity->label_isnull ? NULL : TextDatumGetCString(entity->label);
	node->active = entity->active;
}

/*
 * Collects nodes, names and edges.  Walks one level further than is shown, to
 * know whether there is more.
 */
static void
collect_picture(Picture *picture, int64 id)
{
	Adjacency  *adjacency = adjacency_begin(picture->direction);
	Entities   *entities = entities_begin(true);
	GraphWalk	walk = {adjacency, &id, 1, NO_MAX_DEPTH, NULL, add_level, picture};
	ArrayKeys	keys;
	int64	   *ids;

	if (picture->max_depth != NO_MAX_DEPTH)
		walk.max_depth = Min(picture->max_depth, PG_INT32_MAX - 1) + 1;
	entities_check_exist(entities, &id, 1);
	picture->size = 64;
	picture->nodes = palloc(picture->size * sizeof(GraphNode));
	picture->shown = idset_create();
	add_node(picture, id, 0);
	graph_walk(&walk);

	qsort(picture->nodes, picture->nnodes, sizeof(GraphNode), compare_nodes);
	ids = palloc_extended(picture->nnodes * sizeof(int64), MCXT_ALLOC_HUGE);
	for (int i = 0; i < picture->nnodes; i++)
		ids[i] = picture->nodes[i].id;
	entities_read(entities, array_keys_init(&keys, ids, picture->nnodes), name_node, picture);
	adjacency_expand(adjacency, array_keys_init(&keys, ids, picture->nnodes), add_edges, picture);
	qsort(picture->edges, picture->nedges, sizeof(GraphEdge), compare_edges);
	entities_end(entities);
	adjacency_end(adjacency);
}

/* ----------
 * Formats
 * ----------
 */

/* What people call it, on one line; a node that the caller may not see has only its id. */
static const char *
node_title(const GraphNode *node)
{
	if (node->kind == NULL)
		return psprintf("%lld", (long long) node->id);
	return one_line(psprintf("%s %s", node->kind, node->label ? node->label : node->key));
}

static void
append_json_member(StringInfo out, const char *name, const char *value)
{
	appendStringInfo(out, ", \"%s\": ", name);
	if (value == NULL)
		appendStringInfoString(out, "null");
	else
		escape_json(out, value);
}

static void
write_json(Picture *picture, int64 root)
{
	StringInfo	out = &picture->out;

	appendStringInfo(out, "{\"root\": %lld, \"direction\": \"%s\", \"nodes\": [", (long long) root,
					 picture->direction == EDGES_TO_DEPENDENTS ? "dependents" : "dependencies");
	for (int i = 0; i < picture->nnodes; i++)
	{
		const GraphNode *node = &picture->nodes[i];

		appendStringInfo(out, "%s{\"id\": %lld", i > 0 ? ", " : "", (long long) node->id);
		append_json_member(out, "kind", node->kind);
		append_json_member(out, "key", node->key);
		append_json_member(out, "label", node->label);
		appendStringInfo(out, ", \"active\": %s, \"depth\": %d}",
						 node->kind == NULL ? "null" : node->active ? "true" : "false", node->depth);
	}
	appendStringInfoString(out, "], \"edges\": [");
	for (int i = 0; i < picture->nedges; i++)
		appendStringInfo(out, "%s{\"dependent_id\": %lld, \"dependency_id\": %lld}", i > 0 ? ", " : "",
						 (long long) picture->edges[i].dependent, (long long) picture->edges[i].dependency);
	appendStringInfo(out, "], \"truncated\": %s", picture->cut_by ? "true" : "false");
	append_json_member(out, "truncated_by", picture->cut_by);
	appendStringInfoChar(out, '}');
}

/* A name that dot and mermaid take without quotes, for negative ids, too. */
static const char *
node_name(int64 id)
{
	return id < 0 ? psprintf("n_%llu", -(unsigned long long) id) : psprintf("n%llu", (unsigned long long) id);
}

/* A quoted string of dot: only quotes and backslashes mean something in it. */
static void
append_dot_string(StringInfo out, const char *text)
{
	appendStringInfoChar(out, '"');
	for (const char *c = text; *c; c++)
	{
		if (*c == '"' || *c == '\\')
			appendStringInfoChar(out, '\\');
		appendStringInfoChar(out, *c);
	}
	appendStringInfoChar(out, '"');
}

static void
write_dot(Picture *picture, int64 root)
{
	StringInfo	out = &picture->out;

	appendStringInfoString(out, "digraph dependencies {\n\trankdir = LR;\n\tnode [shape = box];\n");
	for (int i = 0; i < picture->nnodes; i++)
	{
		const GraphNode *node = &picture->nodes[i];

		appendStringInfo(out, "\t%s [label = ", node_name(node->id));
		append_dot_string(out, node_title(node));
		if (node->id == root)
			appendStringInfoString(out, ", penwidth = 3");
		if (!node->active)
			appendStringInfoString(out, ", style = dashed");
		appendStringInfoString(out, "];\n");
	}
	for (int i = 0; i < picture->nedges; i++)
		appendStringInfo(out, "\t%s -> %s;\n",
						 node_name(picture->edges[i].dependent), node_name(picture->edges[i].dependency));
	if (picture->cut_by)
		appendStringInfo(out, "\tcut [label = \"cut short by %s\", shape = plaintext];\n", picture->cut_by);
	appendStringInfoString(out, "}\n");
}

/* A quoted string of mermaid: character codes stand for what means something in it. */
static void
append_mermaid_string(StringInfo out, const char *text)
{
	appendStringInfoChar(out, '"');
	for (const char *c = text; *c; c++)
		if (strchr("\"#&<>;`\\", *c) != NULL)
			appendStringInfo(out, "#%d;", *c);
		else
			appendStringInfoChar(out, *c);
	appendStringInfoChar(out, '"');
}

static void
write_mermaid(Picture *picture, int64 root)
{
	StringInfo	out = &picture->out;

	appendStringInfoString(out, "flowchart LR\n");
	for (int i = 0; i < picture->nnodes; i++)
	{
		const GraphNode *node = &picture->nodes[i];

		appendStringInfo(out, "\t%s[", node_name(node->id));
		append_mermaid_string(out, node_title(node));
		appendStringInfo(out, "]%s\n", node->id == root ? ":::root" : !node->active ? ":::inactive" : "");
	}
	for (int i = 0; i < picture->nedges; i++)
		appendStringInfo(out, "\t%s --> %s\n",
						 node_name(picture->edges[i].dependent), node_name(picture->edges[i].dependency));
	if (picture->cut_by)
		appendStringInfo(out, "\tcut[\"cut short by %s\"]\n", picture->cut_by);
	appendStringInfoString(out, "\tclassDef root stroke-width:3px\n\tclassDef inactive stroke-dasharray:4\n");
}

/* Edges that several sources state are drawn once. */
static void
drop_double_edges(Picture *picture)
{
	int			n = 0;

	for (int i = 0; i < picture->nedges; i++)
		if (n == 0 || compare_edges(&picture->edges[n - 1], &picture->edges[i]) != 0)
			picture->edges[n++] = picture->edges[i];
	picture->nedges = n;
}

/*
 * dependency_graph(id, format, direction, max_depth, max_nodes): an entity and
 * what is around it, as text in one of three formats; arrows point from the
 * dependent to the dependency.
 */
Datum
assetreg_dependency_graph(PG_FUNCTION_ARGS)
{
	static const struct
	{
		const char *name;
		void		(*write) (Picture *picture, int64 root);
	}			formats[] = {{"json", write_json}, {"dot", write_dot}, {"mermaid", write_mermaid}};
	Picture		picture = {0};
	int64		id = arg_id(fcinfo, 0, "id");
	const char *format = arg_word(fcinfo, 1, "format");

	picture.direction = arg_direction(fcinfo, 2);
	picture.max_depth = arg_max_depth(fcinfo, 3);
	picture.max_nodes = arg_positive(fcinfo, 4, "max_nodes");
	for (int i = 0; i < lengthof(formats); i++)
		if (strcmp(format, formats[i].name) == 0)
		{
			collect_picture(&picture, id);
			drop_double_edges(&picture);
			initStringInfo(&picture.out);
			formats[i].write(&picture, id);
			PG_RETURN_TEXT_P(cstring_to_text_with_len(picture.out.data, picture.out.len));
		}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized format: \"%s\"", format),
			 errhint("Use \"json\", \"dot\" or \"mermaid\".")));
}

/* ----------
 * Tree
 * ----------
 */

/* The children of an entity on the way down. */
typedef struct Branch
{
	MemoryContext context;		/* holds the children */
	GraphNode	   *children;
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
	return order != 0 ? order : compare_nodes(left, right);
}

/*
 * Keeps the first children by kind and title, sorted, and counts the others.
 */
static void
add_child(void *arg, const Entity *entity)
{
	Branch	   *branch = arg;
	GraphNode		child = {.id = entity->id, .active = entity->active};
	int			place = branch->nchildren;

	child.kind = TextDatumGetCString(entity->kind);
	child.key = TextDatumGetCString(entity->key);
	child.label = entity->label_isnull ? NULL : TextDatumGetCString(entity->label);
	while (place > 0 && compare_titles(&child, &branch->children[place - 1]) < 0)
		place--;

	if (branch->nchildren == TREE_MAX_CHILDREN)
	{
		GraphNode	   *last = &branch->children[TREE_MAX_CHILDREN - 1];
		GraphNode	   *dropped = place == TREE_MAX_CHILDREN ? &child : last;

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
	appendStringInfo(&text, "%s%s", node_title(child), child->active ? "" : " (inactive)");
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
