/*
 * workflow_nodes.c
 *		Reads the nodes of a ComfyUI workflow out of jsonb.
 *
 * Two formats are told apart.  What the editor saves (UI format) has an array of
 * nodes, and may define subgraphs, under definitions.subgraphs, and group nodes,
 * under extra.groupNodes; a node whose type names such a definition stands for
 * the nodes in there, and a definition that no node names does not run.  What the
 * server is sent (API format) is one object of nodes by id, or has it as member
 * "prompt".  The formats are those of ComfyUI's frontend 1.x (workflow 0.4 and 1)
 * and of its POST /prompt.
 *
 * Nothing here recurses into values: a document may be as deep as jsonb lets it.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "workflow.h"

#define MAX_NODES 100000		/* with those of subgraphs once for each use */

typedef struct Subgraph
{
	Span		id;
	JsonbContainer *graph;
} Subgraph;

typedef struct Reader
{
	NodeSink	sink;
	void	   *arg;
	JsonbContainer *groups;		/* extra.groupNodes */
	Subgraph   *subgraphs;		/* by id */
	int			nsubgraphs;
	int			size;
	int			nnodes;
} Reader;

/* A graph that is being read, and what its nodes have from the node that stands for it. */
typedef struct Scope
{
	const struct Scope *parent;
	JsonbContainer *graph;
	const char *prefix;			/* of the ids */
	NodeMode	mode;
	bool		is_group;		/* ids are positions */
	JsonbContainer *values;		/* of all its nodes, one after the other; NULL: each has its own */
	uint32		next_value;
} Scope;

static void read_graph(Reader *reader, Scope *scope);

/*
 * The array or object that is an object's member; NULL where it is something else.
 */
JsonbContainer *
json_member(JsonbContainer *object, const char *key, bool is_array)
{
	JsonbValue	buffer;
	JsonbValue *value = object == NULL ? NULL : getKeyJsonValueFromContainer(object, key, strlen(key), &buffer);

	if (value == NULL || value->type != jbvBinary || JsonContainerIsArray(value->val.binary.data) != is_array)
		return NULL;
	return value->val.binary.data;
}

/*
 * The string that is an object's member; no text where it is something else.
 */
Span
json_text(JsonbContainer *object, const char *key)
{
	JsonbValue	buffer;
	JsonbValue *value = object == NULL ? NULL : getKeyJsonValueFromContainer(object, key, strlen(key), &buffer);

	if (value == NULL || value->type != jbvString)
		return (Span) {NULL, 0};
	return (Span) {value->val.string.val, value->val.string.len};
}

/*
 * The next element of an array, or key and value of an object; arrays and objects
 * in it come as they are.
 */
bool
json_next(JsonbIterator **it, JsonbValue *key, JsonbValue *value)
{
	for (;;)
		switch (JsonbIteratorNext(it, value, true))
		{
			case WJB_KEY:
				*key = *value;
				break;
			case WJB_ELEM:
			case WJB_VALUE:
				return true;
			case WJB_BEGIN_ARRAY:
			case WJB_BEGIN_OBJECT:
				break;
			default:
				return false;
		}
}

static char *
clipped(Span span)
{
	return pnstrdup(span.text, pg_mbcliplen(span.text, span.len, 100));
}

/* errdetail() is the caller's, as it knows what is wrong. */
#define invalid_workflow(...) \
	ereport(ERROR, \
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid workflow"), errdetail(__VA_ARGS__)))

static const char *
type_of_root(Jsonb *workflow)
{
	JsonbValue	scalar;

	if (JB_ROOT_IS_SCALAR(workflow) && JsonbExtractScalar(&workflow->root, &scalar))
		return JsonbTypeName(&scalar);
	return "array";
}

static const char *
join_id(const char *prefix, const char *id, int len)
{
	return psprintf("%s%.*s", prefix, len, id);
}

/*
 * An integer or a string.  Within a group node there are none: there ComfyUI
 * counts.
 */
static const char *
node_id(const Scope *scope, JsonbContainer *node, int position)
{
	JsonbValue	buffer;
	JsonbValue *id;

	if (scope->is_group)
		return psprintf("%s%d", scope->prefix, position);
	id = getKeyJsonValueFromContainer(node, "id", 2, &buffer);
	if (id == NULL)
		invalid_workflow("The node at position %d has no id.", position + 1);
	if (id->type == jbvString && id->val.string.len > 0 && id->val.string.len <= MAX_WORKFLOW_NAME)
		return join_id(scope->prefix, id->val.string.val, id->val.string.len);
	if (id->type == jbvNumeric)
	{
		char	   *digits = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(id->val.numeric)));
		int			len = strlen(digits);

		if (len <= 20 && strspn(digits, "-0123456789") == len)
			return join_id(scope->prefix, digits, len);
	}
	invalid_workflow("The id of the node at position %d is neither an integer nor a string of 1 to %d bytes.",
					 position + 1, MAX_WORKFLOW_NAME);
}

static Span
class_type_of(JsonbContainer *node, const char *key, const char *id)
{
	Span		class_type = json_text(node, key);

	if (class_type.len == 0)
		invalid_workflow("Node \"%s\" has no %s, a string.", clipped((Span) {id, strlen(id)}), key);
	if (class_type.len > MAX_WORKFLOW_NAME)
		invalid_workflow("The %s of node \"%s\" has more than %d bytes.", key, clipped((Span) {id, strlen(id)}),
						 MAX_WORKFLOW_NAME);
	return class_type;
}

static NodeMode
node_mode(JsonbContainer *node)
{
	JsonbValue	buffer;
	JsonbValue *mode = getKeyJsonValueFromContainer(node, "mode", 4, &buffer);
	char	   *digits;

	if (mode == NULL || mode->type != jbvNumeric)
		return NODE_ACTIVE;
	digits = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(mode->val.numeric)));
	return strcmp(digits, "2") == 0 ? NODE_MUTED : strcmp(digits, "4") == 0 ? NODE_BYPASSED : NODE_ACTIVE;
}

static int
compare_subgraphs(const void *left, const void *right)
{
	const Span *a = &((const Subgraph *) left)->id;
	const Span *b = &((const Subgraph *) right)->id;
	int			order = memcmp(a->text, b->text, Min(a->len, b->len));

	return order != 0 ? order : a->len - b->len;
}

/*
 * Subgraphs may bring definitions of their own; their ids are unique all the same.
 */
static void
collect_subgraphs(Reader *reader, JsonbContainer *graph)
{
	JsonbContainer *definitions = json_member(json_member(graph, "definitions", false), "subgraphs", true);
	JsonbIterator *it;
	JsonbValue	key;
	JsonbValue	value;

	check_stack_depth();
	if (definitions == NULL)
		return;
	it = JsonbIteratorInit(definitions);
	while (json_next(&it, &key, &value))
	{
		Span		id;

		if (value.type != jbvBinary || !JsonContainerIsObject(value.val.binary.data))
			invalid_workflow("A subgraph is not a JSON object.");
		id = json_text(value.val.binary.data, "id");
		if (id.len == 0)
			invalid_workflow("A subgraph has no id, a string.");
		if (reader->nsubgraphs == reader->size)
		{
			reader->size = Max(16, reader->size * 2);
			reader->subgraphs = reader->nsubgraphs == 0 ? palloc_array(Subgraph, reader->size)
				: repalloc_array(reader->subgraphs, Subgraph, reader->size);
		}
		reader->subgraphs[reader->nsubgraphs++] = (Subgraph) {id, value.val.binary.data};
		collect_subgraphs(reader, value.val.binary.data);
	}
}

/*
 * The graph that a node of this type stands for, NULL for an ordinary node.
 */
static JsonbContainer *
definition_of(Reader *reader, Span class_type, bool *is_group)
{
	Subgraph	wanted = {class_type, NULL};
	Subgraph   *found;

	*is_group = class_type.len > 9
		&& (memcmp(class_type.text, "workflow/", 9) == 0 || memcmp(class_type.text, "workflow>", 9) == 0);
	if (*is_group)
		return json_member(reader->groups, pnstrdup(class_type.text + 9, class_type.len - 9), false);
	if (reader->nsubgraphs == 0)
		return NULL;
	found = bsearch(&wanted, reader->subgraphs, reader->nsubgraphs, sizeof(Subgraph), compare_subgraphs);
	return found == NULL ? NULL : found->graph;
}

static uint32
count_values(JsonbContainer *node)
{
	JsonbContainer *values = json_member(node, "widgets_values", true);

	return values == NULL ? 0 : JsonContainerSize(values);
}

/*
 * The values that a group node shows are those of its nodes, one after the other:
 * what was chosen there goes before what the definition says.
 */
static JsonbContainer *
values_of_group(JsonbContainer *instance, JsonbContainer *graph)
{
	JsonbContainer *nodes = json_member(graph, "nodes", true);
	JsonbContainer *values = json_member(instance, "widgets_values", true);
	JsonbIterator *it;
	JsonbValue	key;
	JsonbValue	value;
	uint64		nvalues = 0;

	if (nodes == NULL || values == NULL)
		return NULL;
	it = JsonbIteratorInit(nodes);
	while (json_next(&it, &key, &value))
		if (value.type == jbvBinary && JsonContainerIsObject(value.val.binary.data))
			nvalues += count_values(value.val.binary.data);
	return nvalues == JsonContainerSize(values) ? values : NULL;
}

static void
put_node(Reader *reader, const WorkflowNode *node)
{
	CHECK_FOR_INTERRUPTS();
	if (++reader->nnodes > MAX_NODES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("workflow has more than %d nodes", MAX_NODES),
				 errdetail("The nodes of a subgraph count once for each node that stands for it.")));
	reader->sink(reader->arg, node);
}

static void
read_instance(Reader *reader, Scope *scope, WorkflowNode *node, JsonbContainer *graph, bool is_group)
{
	Scope		inner = {.parent = scope, .graph = graph, .mode = node->mode, .is_group = is_group};

	check_stack_depth();
	if (strlen(node->id) > MAX_WORKFLOW_NAME)
		invalid_workflow("The id of a node within subgraphs has more than %d bytes.", MAX_WORKFLOW_NAME);
	for (const Scope *outer = scope; outer != NULL; outer = outer->parent)
		if (outer->graph == graph)
			invalid_workflow("Subgraph \"%s\" contains itself.", clipped(node->class_type));
	inner.prefix = psprintf("%s:", node->id);
	if (is_group)
		inner.values = values_of_group(node->object, graph);
	if (inner.values != NULL)
		node->values = NULL;
	node->is_group = true;
	put_node(reader, node);
	read_graph(reader, &inner);
}

static void
read_ui_node(Reader *reader, Scope *scope, JsonbContainer *object, int position)
{
	WorkflowNode node = {.object = object};
	JsonbContainer *graph;
	bool		is_group;

	node.id = node_id(scope, object, position);
	node.class_type = class_type_of(object, "type", node.id);
	node.mode = scope->mode != NODE_ACTIVE ? scope->mode : node_mode(object);
	node.nvalues = count_values(object);
	if (scope->values != NULL)
	{
		node.values = scope->values;
		node.first_value = scope->next_value;
		scope->next_value += node.nvalues;
	}
	else if ((node.values = json_member(object, "widgets_values", true)) == NULL)
		node.values = json_member(object, "widgets_values", false);
	graph = definition_of(reader, node.class_type, &is_group);
	if (graph != NULL)
		read_instance(reader, scope, &node, graph, is_group);
	else
		put_node(reader, &node);
}

static void
read_graph(Reader *reader, Scope *scope)
{
	JsonbContainer *nodes = json_member(scope->graph, "nodes", true);
	JsonbIterator *it;
	JsonbValue	key;
	JsonbValue	value;

	if (nodes == NULL)
		invalid_workflow("The nodes of a graph are not a JSON array.");
	it = JsonbIteratorInit(nodes);
	for (int position = 0; json_next(&it, &key, &value); position++)
	{
		if (value.type != jbvBinary || !JsonContainerIsObject(value.val.binary.data))
			invalid_workflow("The node at position %d is not a JSON object.", position + 1);
		read_ui_node(reader, scope, value.val.binary.data, position);
	}
}

static void
read_api_nodes(Reader *reader, JsonbContainer *nodes)
{
	JsonbIterator *it = JsonbIteratorInit(nodes);
	JsonbValue	key = {.type = jbvNull};
	JsonbValue	value;

	if (JsonContainerSize(nodes) == 0)
		invalid_workflow("It has no nodes.");
	while (json_next(&it, &key, &value))
	{
		Span		id = {key.val.string.val, key.val.string.len};
		WorkflowNode node = {0};

		if (id.len == 0 || id.len > MAX_WORKFLOW_NAME)
			invalid_workflow("The id of a node does not have 1 to %d bytes.", MAX_WORKFLOW_NAME);
		if (value.type != jbvBinary || !JsonContainerIsObject(value.val.binary.data))
			invalid_workflow("Node \"%s\" is not a JSON object.", clipped(id));
		node.id = pnstrdup(id.text, id.len);
		node.class_type = class_type_of(value.val.binary.data, "class_type", node.id);
		node.values = json_member(value.val.binary.data, "inputs", false);
		put_node(reader, &node);
	}
}

/*
 * Calls the sink for each node, in the order of the document, a node that stands
 * for others before those.  The node is the sink's for the time of the call; its
 * id and what it points to in the document stay.  A document that is none raises
 * invalid_parameter_value, one that unfolds without end program_limit_exceeded.
 */
void
workflow_each_node(Jsonb *workflow, NodeSink sink, void *arg)
{
	Reader		reader = {.sink = sink, .arg = arg};
	JsonbContainer *root = &workflow->root;
	JsonbContainer *prompt;
	Scope		scope = {.prefix = ""};

	if (!JB_ROOT_IS_OBJECT(workflow))
		invalid_workflow("It is of type %s, not a JSON object.", type_of_root(workflow));
	if (getKeyJsonValueFromContainer(root, "nodes", 5, &(JsonbValue) {0}) == NULL)
	{
		prompt = json_member(root, "prompt", false);
		if (prompt != NULL && json_text(prompt, "class_type").text == NULL)
			root = prompt;
		read_api_nodes(&reader, root);
		return;
	}
	reader.groups = json_member(json_member(root, "extra", false), "groupNodes", false);
	collect_subgraphs(&reader, root);
	if (reader.nsubgraphs > 0)
		qsort(reader.subgraphs, reader.nsubgraphs, sizeof(Subgraph), compare_subgraphs);
	scope.graph = root;
	read_graph(&reader, &scope);
}
