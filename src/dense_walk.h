/*
 * dense_walk.h
 *		The walk inside memory, where entities are numbers.
 */
#ifndef ASSETREG_DENSE_WALK_H
#define ASSETREG_DENSE_WALK_H

#include "edge_base.h"

/* Gets the ids, less the base's first, that were found at a depth, in no order. */
typedef void (*DenseLevel) (void *arg, int depth, int64 first_id, const uint32 *numbers, uint32 nnumbers);

typedef struct DenseWalk
{
	EdgeQuestion *question;
	const int64 *starts;		/* without duplicates; not among what is found */
	int			nstarts;
	int			max_depth;
	DenseLevel	level;			/* or NULL; must not walk, nor keep what it was given */
	void	   *arg;
	int64		nfound;			/* the result */
} DenseWalk;

extern bool dense_walk(DenseWalk *walk);

#endif							/* ASSETREG_DENSE_WALK_H */
