/*
 * pending_dependents.h
 *		What is written down of an asset's edges, and not in asset_stats yet.
 */
#ifndef ASSETREG_PENDING_DEPENDENTS_H
#define ASSETREG_PENDING_DEPENDENTS_H

typedef struct PendingPair
{
	int64		dependent;
	int32		change;			/* edges that came, or went */
} PendingPair;

/* Those of one asset. */
typedef struct PendingPairs
{
	PendingPair *pairs;
	int			n;
	int			size;
} PendingPairs;

extern void pending_add(PendingPairs *pending, Datum dependents, int32 change);
extern void pending_sum(PendingPairs *pending);

/*
 * Is it a dependent more, or less?  Of a pair that has so many edges now; what
 * is written down it did not have before.
 */
static inline int
pending_difference(int64 edges, int32 change)
{
	return (edges > 0) - (edges - change > 0);
}

#endif							/* ASSETREG_PENDING_DEPENDENTS_H */
