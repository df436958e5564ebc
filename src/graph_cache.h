/*
 * graph_cache.h
 *		The graph in this connection's memory: when it is built, used and given up.
 */
#ifndef ASSETREG_GRAPH_CACHE_H
#define ASSETREG_GRAPH_CACHE_H

#include "entity_base.h"

extern char *assetreg_graph_cache;

extern void graph_cache_init(void);
extern EdgeQuestion *graph_cache_edges(EdgeDirection direction);
extern EntityQuestion *graph_cache_entities(EdgeQuestion *question);
extern void graph_cache_add_entity(void);
extern void graph_cache_done(EdgeQuestion *question);
extern void graph_cache_add_work(Size read);

#endif							/* ASSETREG_GRAPH_CACHE_H */
