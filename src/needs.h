/*
 * needs.h
 *		What some entities, the users, need directly or through others, counted.
 */
#ifndef ASSETREG_NEEDS_H
#define ASSETREG_NEEDS_H

#include "adjacency.h"
#include "idset.h"

typedef struct numbers_hash NeedNumbers;

/* Of a node, beside what is kept of it while counting. */
typedef struct NeedCount
{
	uint32		users;			/* how many need it */
	uint32		together;		/* of those that need most of the given entities */
} NeedCount;

typedef struct NeedEdges
{
	uint32		first;			/* in edges */
	uint32		n;
} NeedEdges;

typedef struct Needs
{
	/* nodes have numbers, the users the first, in the order of their ids */
	int64	   *ids;
	NeedCount  *counts;
	uint32		nnodes;
	uint32		nusers;
	uint32		nmatching;		/* users that need most of the given entities, if any */

	IdSet	   *set;			/* what all memory counts with */
	NeedNumbers *numbers;
	uint32		nodes_size;
	NeedEdges  *node_edges;
	uint32	   *edges;			/* numbers of nodes */
	uint32		nedges;
	uint32		edges_size;
	Frontier	frontiers[2];
	Frontier   *next;
	uint8	   *marks;
	uint32	   *found;			/* by the walk that is going on */
	uint32	   *waiting;
} Needs;

#define NO_NEED PG_UINT32_MAX

extern Needs *needs_read(Adjacency *adjacency, const int64 *users, int nusers);
extern uint32 needs_find(const Needs *needs, int64 id);
extern void needs_count(Needs *needs, const int64 *given, int ngiven);
extern void needs_free(Needs *needs);

#endif							/* ASSETREG_NEEDS_H */
