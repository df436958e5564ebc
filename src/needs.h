/*
 * needs.h
 *		What some entities, the users, need directly or through others, counted.
 */
#ifndef ASSETREG_NEEDS_H
#define ASSETREG_NEEDS_H

#include "adjacency.h"
#include "edge_base.h"
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
	/* nodes have numbers; by these */
	NeedCount  *counts;
	uint32		nnodes;
	uint32	   *users;			/* their numbers */
	uint32		nusers;
	uint32		nmatching;		/* users that need most of the given entities, if any */

	IdSet	   *set;			/* what all memory counts with */
	uint64	   *seen;			/* a bit for each node: found by the walk that is going on */
	uint32	   *found;			/* by that walk, with a place to spare */
	uint32	   *waiting;
	uint32		walk_size;

	/* in memory numbers are those of the base */
	EdgeQuestion *question;		/* until all is counted; NULL: elsewhere */
	int64		first_id;
	bool		changed;		/* does it know edges that the base does not? */

	/* elsewhere nodes are numbered as they come, the users first */
	int64	   *ids;			/* or NULL */
	NeedNumbers *numbers;
	uint32		nodes_size;
	NeedEdges  *node_edges;
	uint32	   *edges;			/* numbers of nodes, marked as those of a Csr */
	uint32		nedges;
	uint32		edges_size;
	Frontier	frontiers[2];
	Frontier   *next;
} Needs;

#define NO_NEED PG_UINT32_MAX

/* The entity that has a number. */
static inline int64
needs_id(const Needs *needs, uint32 number)
{
	return needs->ids == NULL ? needs->first_id + number : needs->ids[number];
}

extern Needs *needs_read(Adjacency *adjacency, const int64 *users, int nusers);
extern uint32 needs_find(const Needs *needs, int64 id);
extern void needs_count(Needs *needs, const int64 *given, int ngiven);
extern void needs_free(Needs *needs);

#endif							/* ASSETREG_NEEDS_H */
