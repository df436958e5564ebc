/*
 * lanes.h
 *		Many walks in one: each has a lane, a bit of every entity that is found.
 */
#ifndef ASSETREG_LANES_H
#define ASSETREG_LANES_H

#include "adjacency.h"

#define MAX_LANES 512

typedef struct Lane
{
	const int64 *starts;
	int			nstarts;
} Lane;

typedef struct Lanes Lanes;

extern Lanes *lanes_walk(Adjacency *adjacency, const Lane *lanes, int nlanes);
extern KeySet *lanes_keys(Lanes *lanes);
extern const uint64 *lanes_of(Lanes *lanes, int64 id);
extern int	lanes_words(const Lanes *lanes);
extern void lanes_free(Lanes *lanes);

#endif							/* ASSETREG_LANES_H */
