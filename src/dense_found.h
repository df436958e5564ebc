/*
 * dense_found.h
 *		The walk inside memory that tells how each entity was found.
 */
#ifndef ASSETREG_DENSE_FOUND_H
#define ASSETREG_DENSE_FOUND_H

#include "edge_base.h"

/* As GraphFound (graph.h), with the depth; comes by depth and id. */
typedef void (*DenseFoundSink) (void *arg, int depth, int64 id, int64 via, int64 start);

/* Tells the sink what it will get a little later, far first and then near. */
typedef void (*DenseFoundAhead) (void *arg, int64 id, bool near);

typedef struct DenseFound
{
	EdgeQuestion *question;
	const int64 *starts;		/* sorted, without duplicates; not among what is found */
	int			nstarts;
	int			max_depth;
	DenseFoundSink found;
	DenseFoundAhead ahead;
	void	   *arg;
} DenseFound;

extern bool dense_found(const DenseFound *walk);

#endif							/* ASSETREG_DENSE_FOUND_H */
