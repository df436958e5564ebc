/*
 * adjacency.h
 *		The neighbours of a set of entities: one interface, several sources.
 */
#ifndef ASSETREG_ADJACENCY_H
#define ASSETREG_ADJACENCY_H

#include "keyset.h"

typedef enum EdgeDirection
{
	EDGES_TO_DEPENDENTS,		/* against the arrows: who needs it */
	EDGES_TO_DEPENDENCIES		/* along the arrows: what it needs */
} EdgeDirection;

/*
 * Gets neighbours of one entity; entities come ascending, one may come in
 * several calls, and a neighbour twice where two sources state the same edge.
 */
typedef void (*EdgeSink) (void *arg, int64 id, const int64 *neighbours, int nneighbours);

typedef struct Adjacency Adjacency;

extern Adjacency *adjacency_begin(EdgeDirection direction);
extern void adjacency_expand(Adjacency *adjacency, KeySet *ids, EdgeSink sink, void *arg);
extern struct EdgeQuestion *adjacency_memory(Adjacency *adjacency);
extern void adjacency_end(Adjacency *adjacency);

#endif							/* ASSETREG_ADJACENCY_H */
