/*
 * dense_found.h
 *		The walk inside memory that tells how each entity was found.
 */
#ifndef ASSETREG_DENSE_FOUND_H
#define ASSETREG_DENSE_FOUND_H

#include "edge_base.h"

/* As GraphFound (graph.h), with the depth; comes by depth and id. */
typedef void (*DenseFoundSink) (void *arg, int depth, int64 id, int64 via, int64 start);

typedef struct DenseFound
{
	EdgeQuestion *question;
	const int64 *starts;		/* sorted, without duplicates; not among what is found */
	int			nstarts;
	int			max_depth;
	DenseFoundSink found;
	void	   *arg;
} DenseFound;

extern bool dense_found(const DenseFound *walk);

#endif							/* ASSETREG_DENSE_FOUND_H */
