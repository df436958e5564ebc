/*
 * graph_text.h
 *		How an entity is shown in pictures and trees.
 */
#ifndef ASSETREG_GRAPH_TEXT_H
#define ASSETREG_GRAPH_TEXT_H

#include "entities.h"

typedef struct GraphNode
{
	int64		id;
	int			depth;
	char	   *kind;
	char	   *key;
	char	   *label;			/* or NULL */
	bool		active;
} GraphNode;

extern void graph_node_name(GraphNode *node, const Entity *entity);
extern const char *graph_node_title(const GraphNode *node);

#endif							/* ASSETREG_GRAPH_TEXT_H */
