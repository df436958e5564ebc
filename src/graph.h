/*
 * graph.h
 *		The walk: breadth first, level by level.
 */
#ifndef ASSETREG_GRAPH_H
#define ASSETREG_GRAPH_H

#include "adjacency.h"
#include "idset.h"

#define NO_MAX_DEPTH (-1)

/*
 * Called for each entity when it is first found, with the smallest of the
 * predecessors that lead to it on a shortest path, and the start of that path.
 */
typedef void (*GraphFound) (void *arg, int64 id, int64 via, int64 start);

/*
 * Called when all entities of a depth have been found, once for each start
 * that found some; false ends the walk.  The frontier's keys may be read.
 */
typedef bool (*GraphLevel) (void *arg, int depth, Frontier *frontier);

typedef struct GraphWalk
{
	Adjacency  *adjacency;
	const int64 *starts;		/* sorted, without duplicates; not among what is found */
	int			nstarts;
	int			max_depth;
	GraphFound	found;			/* or NULL */
	GraphLevel	level;			/* or NULL */
	void	   *arg;
} GraphWalk;

extern int64 graph_walk(const GraphWalk *walk);

#endif							/* ASSETREG_GRAPH_H */
