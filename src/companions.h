/*
 * companions.h
 *		What may be recommended with some assets, best first.
 */
#ifndef ASSETREG_COMPANIONS_H
#define ASSETREG_COMPANIONS_H

#include "needs.h"
#include "outcomes.h"

typedef struct Companion
{
	double		score;			/* the most that it can be, until it is known */
	uint32		number;			/* in the needs */
	int			step;			/* how much has been looked up; negative: the score is known */
	Outcome    *outcome;		/* that counts; NULL: nothing was recorded */
	bool		of_pair;		/* is that of it with a given asset? */
} Companion;

typedef struct Companions
{
	const Needs *needs;			/* counted */
	const bool *wanted;			/* of the needs' nodes, which may be recommended; NULL: all */
	const int64 *given;
	int			ngiven;
	double		most;			/* no outcome's bound is larger */

	/* ours */
	Outcomes   *outcomes;
	struct binaryheap *heap;
	double	   *shares;			/* lower bounds, by the count of users; 0: not known yet */
} Companions;

extern void companions_begin(Companions *companions);
extern Companion *companions_next(Companions *companions);
extern double companion_lift(const Companions *companions, const Companion *companion);
extern void companions_end(Companions *companions);

#endif							/* ASSETREG_COMPANIONS_H */
