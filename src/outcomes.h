/*
 * outcomes.h
 *		How generations with an asset, or with two of them, ended.
 */
#ifndef ASSETREG_OUTCOMES_H
#define ASSETREG_OUTCOMES_H

typedef struct Outcome
{
	int64		successes;
	int64		tries;
	double		bound;			/* of the share that succeeds, as the table has it */
} Outcome;

typedef struct Outcomes Outcomes;

extern Outcomes *outcomes_begin(void);
extern bool outcomes_find(Outcomes *outcomes, int64 id, int64 other, Outcome *outcome);
extern void outcomes_end(Outcomes *outcomes);

#endif							/* ASSETREG_OUTCOMES_H */
