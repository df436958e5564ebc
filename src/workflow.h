/*
 * workflow.h
 *		The nodes of a ComfyUI workflow, whichever way it is written.
 */
#ifndef ASSETREG_WORKFLOW_H
#define ASSETREG_WORKFLOW_H

#include "utils/jsonb.h"

#include "compat.h"

#define MAX_WORKFLOW_NAME 1000	/* bytes of a class type, a node id or a file name */

/* What becomes of a node when the workflow runs. */
typedef enum NodeMode
{
	NODE_ACTIVE,
	NODE_BYPASSED,				/* its input goes to its output */
	NODE_MUTED					/* it and what needs it do not run */
} NodeMode;

/* Some bytes of the document: they are not terminated. */
typedef struct Span
{
	const char *text;
	int			len;
} Span;

typedef struct WorkflowNode
{
	const char *id;				/* of a node within subgraphs 7:3, as ComfyUI itself calls it */
	Span		class_type;		/* byte for byte */
	NodeMode	mode;
	bool		is_group;		/* an instance of a subgraph or a group node, not itself run */
	JsonbContainer *object;		/* the node in the UI format, else NULL */
	JsonbContainer *values;		/* array (UI format) or object; NULL: none */
	uint32		first_value;	/* of an array, the part that is the node's own */
	uint32		nvalues;
} WorkflowNode;

typedef void (*NodeSink) (void *arg, const WorkflowNode *node);

extern void workflow_each_node(Jsonb *workflow, NodeSink sink, void *arg);
extern bool is_core_node(Span class_type);

extern JsonbContainer *json_member(JsonbContainer *object, const char *key, bool is_array);
extern Span json_text(JsonbContainer *object, const char *key);
extern bool json_next(JsonbIterator **it, JsonbValue *key, JsonbValue *value);

static inline bool
span_is(Span span, const char *text)
{
	return span.len == (int) strlen(text) && memcmp(span.text, text, span.len) == 0;
}

#endif							/* ASSETREG_WORKFLOW_H */
