/*
 * workflow.c
 *		What a ComfyUI workflow needs: model files, LoRAs and custom nodes.
 *
 * The editor saves the values of a node's widgets without their names, and many
 * loaders are nobody's but their author's.  So any value that ends as model files
 * do is the name of one; the names of inputs, where they are known, and the class
 * of the node tell a LoRA from another model.  Prompts name further files, as
 * <lora:name:weight> and embedding:name.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "args.h"
#include "workflow.h"

PG_FUNCTION_INFO_V1(assetreg_workflow_references);
PG_FUNCTION_INFO_V1(assetreg_workflow_nodes);

#define MAX_VALUE_DEPTH 100

/* in the order of their names */
typedef enum ReferenceType
{
	CUSTOM_NODE,
	LORA,
	MODEL
} ReferenceType;

static const char *const type_names[] = {"custom_node", "lora", "model"};
static const char *const relation_names[] = {"uses", "bypassed", "muted"};
static const char *const mode_names[] = {"active", "bypassed", "muted"};

typedef struct Reference
{
	int			node;			/* its number, in the order of the document */
	ReferenceType type;
	const char *text;
	NodeMode	mode;
	const char *hash;			/* algorithm:hex, NULL where none is stated */
	const char *node_id;		/* NULL: the workflow as a whole states it */
	Span		node_class;
} Reference;

typedef struct References
{
	Reference  *items;
	int			nitems;
	int			size;
	int			nnodes;
	WorkflowNode node;			/* whose references are being collected */
	JsonbContainer *versions;	/* of packs, as far as the document states them in one place */
} References;

typedef struct Pack
{
	Span		name;			/* no text: the node does not tell */
	Span		version;
} Pack;

static bool
is_node(const WorkflowNode *node, const char *const *names, int nnames)
{
	for (int i = 0; i < nnames; i++)
		if (span_is(node->class_type, names[i]))
			return true;
	return false;
}

/* Text for people. */
static bool
is_note(const WorkflowNode *node)
{
	static const char *const notes[] = {"Note", "MarkdownNote"};

	return is_node(node, notes, lengthof(notes));
}

/* What the editor resolves before anything runs, whoever brings it. */
static bool
is_wire(const WorkflowNode *node)
{
	static const char *const wires[] = {"Reroute", "PrimitiveNode", "GetNode", "SetNode"};

	return node->is_group || is_node(node, wires, lengthof(wires));
}

static Reference *
add_reference(References *refs, ReferenceType type, const char *text, NodeMode mode)
{
	if (refs->nitems == refs->size)
	{
		refs->size *= 2;
		refs->items = repalloc_array(refs->items, Reference, refs->size);
	}
	refs->items[refs->nitems] = (Reference) {
		.node = refs->nnodes, .type = type, .text = text, .mode = mode,
		.node_id = refs->node.id, .node_class = refs->node.class_type
	};
	return &refs->items[refs->nitems++];
}

/* Windows writes paths with backslashes. */
static char *
file_name(Span span)
{
	char	   *name = pnstrdup(span.text, span.len);

	for (char *pos = name; *pos != '\0'; pos++)
		if (*pos == '\\')
			*pos = '/';
	return name;
}

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

/*
 * A name on one line that ends as the files of models do.
 */
static bool
is_model_file(Span span)
{
	static const char *const endings[] = {".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".onnx", ".sft"};

	if (span.len > MAX_WORKFLOW_NAME)
		return false;
	for (int i = 0; i < span.len; i++)
		if ((unsigned char) span.text[i] < ' ' || span.text[i] == '\x7f')
			return false;
	for (int i = 0; i < lengthof(endings); i++)
	{
		int			len = strlen(endings[i]);

		if (span.len > len && pg_strncasecmp(span.text + span.len - len, endings[i], len) == 0)
			return !strchr("/\\", span.text[span.len - len - 1]);
	}
	return false;
}

/* lora_name, Power Lora Loader, LoRA_1, but not FloralPattern. */
static bool
says_lora(Span span)
{
	for (int i = 0; i + 4 <= span.len; i++)
		if (pg_strncasecmp(span.text + i, "lora", 4) == 0
			&& (span.text[i] == 'L' || i == 0 || !isalpha((unsigned char) span.text[i - 1])))
			return true;
	return false;
}

/* The beginnings of the names by which nodes take other models. */
static bool
says_model(Span span)
{
	static const char *const inputs[] = {"ckpt_", "vae_name", "unet_name", "clip_name", "control_net_", "style_model_",
	"gligen_", "model_name"};

	for (int i = 0; i < lengthof(inputs); i++)
		if (span.len >= (int) strlen(inputs[i]) && memcmp(span.text, inputs[i], strlen(inputs[i])) == 0)
			return true;
	return false;
}

static ReferenceType
file_type(const References *refs, Span input)
{
	return says_lora(input) || (!says_model(input) && says_lora(refs->node.class_type)) ? LORA : MODEL;
}

/*
 * What a text mentions between a beginning and any of some ends.  The place to go
 * on from; NULL when there is no more.
 */
static const char *
next_mention(const char *pos, const char *end, const char *beginning, const char *ends, Span *name)
{
	int			len = strlen(beginning);

	for (; end - pos > len; pos++)
	{
		if (memcmp(pos, beginning, len) != 0)
			continue;
		name->text = pos += len;
		while (pos < end && (unsigned char) *pos >= ' ' && strchr(ends, *pos) == NULL)
			pos++;
		name->len = pos - name->text;
		return pos;
	}
	return NULL;
}

static bool
is_closed(const char *pos, const char *end)
{
	while (pos < end && (unsigned char) *pos >= ' ' && *pos != '<' && *pos != '>')
		pos++;
	return pos < end && *pos == '>';
}

/*
 * <lora:name:weight> and <lora:name:weight:weight>; embedding:name, where a weight
 * may follow: (embedding:name:1.2).  A sentence may end behind the name.
 */
static void
add_prompt(References *refs, Span prompt, NodeMode mode)
{
	const char *end = prompt.text + prompt.len;
	Span		name;

	for (const char *pos = prompt.text; (pos = next_mention(pos, end, "<lora:", ":<>", &name)) != NULL;)
		if (name.len > 0 && name.len <= MAX_WORKFLOW_NAME && is_closed(pos, end))
			add_reference(refs, LORA, file_name(name), mode);
	for (const char *pos = prompt.text; (pos = next_mention(pos, end, "embedding:", " ,:()<>[]{}|", &name)) != NULL;)
	{
		while (name.len > 0 && name.text[name.len - 1] == '.')
			name.len--;
		if (name.len > 0 && name.len <= MAX_WORKFLOW_NAME)
			add_reference(refs, MODEL, file_name(name), mode);
	}
}

static bool
mentions_files(Span text)
{
	const char *end = text.text + text.len;
	Span		name;

	return next_mention(text.text, end, "<lora:", "", &name) != NULL
		|| next_mention(text.text, end, "embedding:", "", &name) != NULL;
}

static void
add_value(References *refs, Span input, JsonbValue *value, NodeMode mode, int depth)
{
	JsonbContainer *container;
	JsonbIterator *it;
	JsonbValue	key;
	JsonbValue	buffer;
	JsonbValue *on;

	if (value->type == jbvString)
	{
		Span		text = {value->val.string.val, value->val.string.len};

		if (mentions_files(text))
			add_prompt(refs, text, mode);
		else if (is_model_file(text))
			add_reference(refs, file_type(refs, input), file_name(text), mode);
	}
	if (value->type != jbvBinary)
		return;
	if (depth == MAX_VALUE_DEPTH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid workflow"),
				 errdetail("The values of a node are nested more than %d deep.", MAX_VALUE_DEPTH)));
	container = value->val.binary.data;
	if (JsonContainerIsObject(container) && mode == NODE_ACTIVE)
	{
		/* one of several that a loader offers, switched off */
		on = getKeyJsonValueFromContainer(container, "on", 2, &buffer);
		if (on != NULL && on->type == jbvBool && !on->val.boolean)
			mode = NODE_BYPASSED;
	}
	it = JsonbIteratorInit(container);
	while (json_next(&it, &key, &buffer))
		add_value(refs, JsonContainerIsObject(container) ? (Span) {key.val.string.val, key.val.string.len} : input,
				  &buffer, mode, depth + 1);
}

typedef struct Widget
{
	Span		name;
	bool		linked;			/* its value comes from another node */
} Widget;

/*
 * Newer editors write down which of a node's inputs are widgets, in the order of
 * the values.  A primitive node has one, by the name of what it is connected to.
 */
static Widget *
read_widgets(const WorkflowNode *node, uint32 *nwidgets)
{
	bool		is_primitive = span_is(node->class_type, "PrimitiveNode");
	JsonbContainer *slots = json_member(node->object, is_primitive ? "outputs" : "inputs", true);
	Widget	   *widgets;
	JsonbIterator *it;
	JsonbValue	key;
	JsonbValue	slot;

	*nwidgets = 0;
	if (slots == NULL)
		return NULL;
	widgets = palloc_array(Widget, JsonContainerSize(slots) + 1);
	it = JsonbIteratorInit(slots);
	while (json_next(&it, &key, &slot))
	{
		JsonbContainer *object = slot.type == jbvBinary && JsonContainerIsObject(slot.val.binary.data)
			? slot.val.binary.data : NULL;
		JsonbContainer *widget = json_member(object, "widget", false);
		JsonbValue	buffer;
		JsonbValue *link;

		if (widget == NULL)
			continue;
		link = is_primitive ? NULL : getKeyJsonValueFromContainer(object, "link", 4, &buffer);
		widgets[(*nwidgets)++] = (Widget) {json_text(widget, "name"), link != NULL && link->type == jbvNumeric};
	}
	return widgets;
}

/* What the editor adds behind a number: how it changes from run to run. */
static bool
is_control(const JsonbValue *value)
{
	static const char *const controls[] = {"fixed", "increment", "decrement", "randomize"};

	for (int i = 0; value->type == jbvString && i < lengthof(controls); i++)
		if (span_is((Span) {value->val.string.val, value->val.string.len}, controls[i]))
			return true;
	return false;
}

/*
 * The values of an array, with the widgets they are of where there are as many.
 * A primitive node's are one value and how it changes.
 */
static void
add_values(References *refs, const WorkflowNode *node)
{
	JsonbValue *values = palloc_array(JsonbValue, node->nvalues + 1);
	uint32		nvalues = 0;
	uint32		nwidgets;
	Widget	   *widgets = read_widgets(node, &nwidgets);

	for (uint32 i = 0; i < node->nvalues; i++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer(node->values, node->first_value + i);

		if (!(nvalues > 0 && values[nvalues - 1].type == jbvNumeric && is_control(value)))
			values[nvalues++] = *value;
	}
	for (uint32 i = 0; i < nvalues; i++)
	{
		Widget		widget = {{NULL, 0}, false};

		if (nwidgets == nvalues)
			widget = widgets[i];
		else if (nwidgets > 0 && span_is(node->class_type, "PrimitiveNode"))
			widget = widgets[0];
		if (!widget.linked)
			add_value(refs, widget.name, &values[i], node->mode, 0);
	}
}

/*
 * Of a pack the registry's id goes before the repository; where the node states no
 * version, the document may.
 */
static Pack
read_pack(const WorkflowNode *node, JsonbContainer *versions)
{
	JsonbContainer *properties = json_member(node->object, "properties", false);
	Pack		pack = {json_text(properties, "cnr_id"), json_text(properties, "ver")};

	if (pack.name.len == 0)
		pack.name = json_text(properties, "aux_id");
	if (pack.name.len == 0 || pack.name.len > MAX_WORKFLOW_NAME - 100)
		return (Pack) {{NULL, 0}, {NULL, 0}};
	if (pack.version.len == 0)
		pack.version = json_text(versions, pnstrdup(pack.name.text, pack.name.len));
	if (pack.version.len > 80 || (pack.version.len > 0
		&& (memchr(pack.version.text, '@', pack.version.len) || memchr(pack.version.text, '/', pack.version.len))))
		pack.version = (Span) {NULL, 0};	/* no version of an asset is written so */
	return pack;
}

static void
add_custom_node(References *refs, const WorkflowNode *node)
{
	Pack		pack = read_pack(node, refs->versions);

	if (pack.name.len == 0)
	{
		if (!is_core_node(node->class_type))
			add_reference(refs, CUSTOM_NODE, pnstrdup(node->class_type.text, node->class_type.len), node->mode);
	}
	else if (!span_is(pack.name, "comfy-core"))
		add_reference(refs, CUSTOM_NODE,
					  psprintf("custom_node/%.*s%s%.*s", pack.name.len, pack.name.text,
							   pack.version.len > 0 ? "@" : "", pack.version.len, pack.version.text),
					  node->mode);
}

/* NULL for what is no hash. */
static const char *
stated_hash(JsonbContainer *model)
{
	Span		kind = json_text(model, "hash_type");
	Span		hex = json_text(model, "hash");
	char	   *hash;

	if (kind.len == 0 || kind.len > 20 || hex.len < 8 || hex.len > 128)
		return NULL;
	hash = psprintf("%.*s:%.*s", kind.len, kind.text, hex.len, hex.text);
	for (char *pos = hash; *pos != '\0'; pos++)
		*pos = pg_ascii_tolower(*pos);
	if (strspn(hash + kind.len + 1, "0123456789abcdef") != hex.len
		|| strspn(hash, "abcdefghijklmnopqrstuvwxyz0123456789") != kind.len)
		return NULL;
	return hash;
}

/*
 * The files that a node, or the document, says it was made with.  They tell more
 * of those that its widgets name; what the widgets do not name, someone chose
 * another file for, unless the widgets name none at all.
 */
static void
add_models(References *refs, JsonbContainer *models, int first, bool all)
{
	int			last = refs->nitems;
	bool		has_files = false;
	JsonbIterator *it;
	JsonbValue	key;
	JsonbValue	value;

	if (models == NULL)
		return;
	for (int i = first; i < last; i++)
		has_files = has_files || refs->items[i].type != CUSTOM_NODE;
	it = JsonbIteratorInit(models);
	while (json_next(&it, &key, &value))
	{
		JsonbContainer *model = value.type == jbvBinary && JsonContainerIsObject(value.val.binary.data)
			? value.val.binary.data : NULL;
		Span		name = json_text(model, "name");
		bool		is_lora = span_is(json_text(model, "directory"), "loras");
		bool		named = false;
		char	   *file;

		if (name.len == 0 || name.len > MAX_WORKFLOW_NAME)
			continue;
		file = file_name(name);
		for (int i = first; i < last; i++)
		{
			Reference  *item = &refs->items[i];

			CHECK_FOR_INTERRUPTS();
			if (item->type == CUSTOM_NODE || strcmp(base_name(item->text), base_name(file)) != 0)
				continue;
			named = true;
			if (item->hash == NULL)
				item->hash = stated_hash(model);
			if (is_lora)
				item->type = LORA;
		}
		if (!named && (all || !has_files))
			add_reference(refs, is_lora ? LORA : MODEL, file, refs->node.mode)->hash = stated_hash(model);
	}
}

static void
collect_references(void *arg, const WorkflowNode *node)
{
	References *refs = arg;
	int			first = refs->nitems;

	refs->node = *node;
	refs->nnodes++;
	if (is_note(node))
		return;
	if (!is_wire(node))
		add_custom_node(refs, node);
	if (node->values != NULL && JsonContainerIsArray(node->values))
		add_values(refs, node);
	else if (node->values != NULL)
	{
		JsonbValue	values = {.type = jbvBinary};

		values.val.binary.data = node->values;
		add_value(refs, (Span) {NULL, 0}, &values, node->mode, 0);
	}
	add_models(refs, json_member(json_member(node->object, "properties", false), "models", true), first, false);
}

/* By node, type and text; the one that counts most first. */
static int
compare_references(const void *left, const void *right)
{
	const Reference *a = left;
	const Reference *b = right;
	int			order;

	if (a->node != b->node)
		return a->node < b->node ? -1 : 1;
	if (a->type != b->type)
		return (int) a->type - (int) b->type;
	if ((order = strcmp(a->text, b->text)) != 0)
		return order;
	if (a->mode != b->mode)
		return (int) a->mode - (int) b->mode;
	return (a->hash == NULL) - (b->hash == NULL);
}

static bool
same_reference(const Reference *a, const Reference *b)
{
	return a->node == b->node && a->type == b->type && strcmp(a->text, b->text) == 0;
}

static void
put_reference(FunctionCallInfo fcinfo, const Reference *reference)
{
	Datum		values[6];
	bool		nulls[6] = {false};

	values[0] = CStringGetTextDatum(type_names[reference->type]);
	values[1] = CStringGetTextDatum(reference->text);
	nulls[2] = nulls[3] = reference->node_id == NULL;
	if (reference->node_id != NULL)
	{
		values[2] = PointerGetDatum(cstring_to_text_with_len(reference->node_class.text, reference->node_class.len));
		values[3] = CStringGetTextDatum(reference->node_id);
	}
	values[4] = CStringGetTextDatum(relation_names[reference->mode]);
	nulls[5] = reference->hash == NULL;
	if (reference->hash != NULL)
		values[5] = CStringGetTextDatum(reference->hash);
	put_row(fcinfo, values, nulls);
}

/*
 * workflow_references(workflow jsonb) RETURNS TABLE (type, reference, node_class, node_id)
 *
 * One row for each thing that a node needs, in the order of the document's nodes;
 * node_class and node_id are NULL for a file that only the document as a whole
 * lists.  As _workflow_needs() it tells the edge's relation and the stated hash
 * too.  Reads no table, takes no lock, and holds what it found in the memory of
 * the call.  A document that is no workflow raises invalid_parameter_value, one
 * that unfolds to more nodes than are read program_limit_exceeded.
 */
Datum
assetreg_workflow_references(PG_FUNCTION_ARGS)
{
	Jsonb	   *workflow = PG_GETARG_JSONB_P(0);
	References	refs = {.size = 64};

	InitMaterializedSRF(fcinfo, 0);
	refs.items = palloc_array(Reference, refs.size);
	if (JB_ROOT_IS_OBJECT(workflow))
		refs.versions = json_member(json_member(&workflow->root, "extra", false), "node_versions", false);
	workflow_each_node(workflow, collect_references, &refs);
	refs.node = (WorkflowNode) {0};
	refs.nnodes++;
	add_models(&refs, json_member(&workflow->root, "models", true), 0, true);
	qsort(refs.items, refs.nitems, sizeof(Reference), compare_references);
	for (int i = 0; i < refs.nitems; i++)
		if (i == 0 || !same_reference(&refs.items[i - 1], &refs.items[i]))
			put_reference(fcinfo, &refs.items[i]);
	return (Datum) 0;
}

typedef struct NodeRows
{
	FunctionCallInfo fcinfo;
	JsonbContainer *versions;
} NodeRows;

static Datum
span_datum(Span span, bool *isnull)
{
	*isnull = span.len == 0;
	return *isnull ? (Datum) 0 : PointerGetDatum(cstring_to_text_with_len(span.text, span.len));
}

static void
put_workflow_node(void *arg, const WorkflowNode *node)
{
	NodeRows   *rows = arg;
	Pack		pack = read_pack(node, rows->versions);
	Datum		values[5];
	bool		nulls[5] = {false};

	values[0] = CStringGetTextDatum(node->id);
	values[1] = span_datum(node->class_type, &nulls[1]);
	values[2] = CStringGetTextDatum(mode_names[node->mode]);
	values[3] = span_datum(pack.name, &nulls[3]);
	values[4] = span_datum(pack.version, &nulls[4]);
	put_row(rows->fcinfo, values, nulls);
}

/*
 * workflow_nodes(workflow jsonb) RETURNS TABLE (node_id, node_class, mode, pack, version)
 *
 * Every node of the document, those of subgraphs once for each node that stands
 * for them; errors and memory as above.
 */
Datum
assetreg_workflow_nodes(PG_FUNCTION_ARGS)
{
	Jsonb	   *workflow = PG_GETARG_JSONB_P(0);
	NodeRows	rows = {.fcinfo = fcinfo};

	InitMaterializedSRF(fcinfo, 0);
	if (JB_ROOT_IS_OBJECT(workflow))
		rows.versions = json_member(json_member(&workflow->root, "extra", false), "node_versions", false);
	workflow_each_node(workflow, put_workflow_node, &rows);
	return (Datum) 0;
}
