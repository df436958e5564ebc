/*
 * graph_text.c
 *		SQL-callable pictures of the graph: json, dot, mermaid.
 *
 * For people and their screens, so of bounded size: each says where it was cut
 * short.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/json.h"

#include "args.h"
#include "compat.h"
#include "graph.h"
#include "graph_text.h"

PG_FUNCTION_INFO_V1(assetreg_dependency_graph);

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
	GraphNode  *nodes;			/* by (depth, id), in the end by id */
	int			nnodes;
	int			size;
	GraphEdge  *edges;
	int			nedges;
	int			edges_size;
	int			pos;			/* while entities are read */
	IdSet	   *shown;
	const char *cut_by;			/* NULL: the picture is whole */
	StringInfoData out;
} Picture;

static void
add_node(Picture *picture, int64 id, int depth)
{
	if (picture->nnodes == picture->size)
	{
		picture->size = Max(64, picture->size * 2);
		picture->nodes = idset_reserve(picture->shown, picture->nodes, picture->size * sizeof(GraphNode));
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

/*
 * Copies an entity's names into a node, in the current memory context.
 */
void
graph_node_name(GraphNode *node, const Entity *entity)
{
	node->kind = TextDatumGetCString(entity->kind);
	node->key = TextDatumGetCString(entity->key);
	node->label = entity->label_isnull ? NULL : TextDatumGetCString(entity->label);
	node->active = entity->active;
}

static void
name_node(void *arg, const Entity *entity)
{
	Picture    *picture = arg;

	while (picture->nodes[picture->pos].id != entity->id)
		picture->pos++;
	graph_node_name(&picture->nodes[picture->pos], entity);
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
	picture->shown = idset_create();
	add_node(picture, id, 0);
	graph_walk(&walk);

	qsort(picture->nodes, picture->nnodes, sizeof(GraphNode), compare_nodes);
	ids = idset_reserve(picture->shown, NULL, picture->nnodes * sizeof(int64));
	for (int i = 0; i < picture->nnodes; i++)
		ids[i] = picture->nodes[i].id;
	entities_read(entities, array_keys_init(&keys, ids, picture->nnodes), name_node, picture);
	adjacency_expand(adjacency, array_keys_init(&keys, ids, picture->nnodes), add_edges, picture);
	qsort(picture->edges, picture->nedges, sizeof(GraphEdge), compare_edges);
	entities_end(entities);
	adjacency_end(adjacency);
}

/* What people call it, on one line; a node that the caller may not see has only its id. */
const char *
graph_node_title(const GraphNode *node)
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
		append_dot_string(out, graph_node_title(node));
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
		append_mermaid_string(out, graph_node_title(node));
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
			 errmsg("unrecognized format: \"%.*s\"", pg_mbcliplen(format, (int) strlen(format), 200), format),
			 errhint("Use \"json\", \"dot\" or \"mermaid\".")));
}
