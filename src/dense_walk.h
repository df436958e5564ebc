/*
 * dense_walk.h
 *		The walk inside memory, where entities are numbers: what is found, level by level.
 */
#ifndef ASSETREG_DENSE_WALK_H
#define ASSETREG_DENSE_WALK_H

#include "edge_base.h"

/* The numbers (ids less the base's first) found at one depth: a list, or the bits of now that were not set before. */
typedef struct DenseLevel
{
	int			depth;
	int64		first_id;
	const uint32 *list;			/* NULL: bits */
	const uint64 *now;
	const uint64 *before;
	uint32		size;			/* of the list, or words */
	uint32		pos;
} DenseLevel;

/* Must not walk, nor keep what it was given. */
typedef void (*DenseSink) (void *arg, DenseLevel *level);

typedef struct DenseWalk
{
	EdgeQuestion *question;
	const int64 *starts;		/* without duplicates; not among what is found */
	int			nstarts;
	int			max_depth;
	DenseSink	level;			/* or NULL */
	bool		sorted;			/* levels are wanted in order of ids */
	void	   *arg;
	int64		nfound;			/* the result */
} DenseWalk;

extern bool dense_walk(DenseWalk *walk);
extern bool dense_ids_fit(const EdgeQuestion *question, const int64 *starts, int nstarts);
extern Size dense_seen_words(const EdgeQuestion *question);
extern uint64 *dense_seen_begin(EdgeQuestion *question);
extern void dense_seen_end(EdgeQuestion *question, bool clear);

/*
 * The next of the level's numbers: those of word * 64 + i for which bit i is
 * set; false at the end.  No number comes twice, but a word may.
 */
static inline bool
dense_level_next(DenseLevel *level, uint32 *word, uint64 *bits)
{
	if (level->list == NULL)
	{
		while (level->pos < level->size)
		{
			*word = level->pos++;
			if ((*bits = level->now[*word] ^ level->before[*word]) != 0)
				return true;
		}
		return false;
	}
	if (level->pos == level->size)
		return false;
	*word = level->list[level->pos] / 64;
	*bits = 0;
	do
		*bits |= UINT64CONST(1) << (level->list[level->pos++] % 64);
	while (level->pos < level->size && level->list[level->pos] / 64 == *word);
	return true;
}

#endif							/* ASSETREG_DENSE_WALK_H */
