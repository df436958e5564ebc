/*
 * companions.c
 *		What may be recommended with some assets, best first.
 *
 * The score of a companion is the lower bound of its lift times that of its
 * success.  The former is known of all from the counts; of the latter only what
 * it can be at most, and to look it up for all would cost more than the counts.
 * So they wait in a heap by the most that their scores can be: who comes up is
 * looked up and put back, who comes up with its score known is the next best,
 * as nobody else can reach it.
 */
#include "postgres.h"

#include <math.h>

#include "lib/binaryheap.h"
#include "miscadmin.h"

#include "companions.h"

/* the 97.5 % quantile of the normal distribution: bounds of 95 % */
#define WILSON_Z 1.959963984540054

/* Wilson's bound of one success and one failure: of what nobody has tried */
#define UNTRIED_BOUND 0.0945312057342307

#define SCORE_KNOWN (-1)

/*
 * The lower bound of a share of which so many in so many were observed
 * (Wilson 1927, without continuity correction).
 */
static double
wilson_lower_bound(double successes, double tries)
{
	double		zz = WILSON_Z * WILSON_Z;
	double		share = successes / tries;

	return (share + zz / (2 * tries) - WILSON_Z * sqrt((share * (1 - share) + zz / (4 * tries)) / tries)) / (1 + zz / tries);
}

/* The lower bound of the lift. */
static double
lift_bound(Companions *companions, uint32 number)
{
	const Needs *needs = companions->needs;
	NeedCount	count = needs->counts[number];
	double	   *share = &companions->shares[count.together];

	if (*share == 0)
		*share = wilson_lower_bound(count.together, needs->nmatching);
	return needs->nusers * *share / count.users;
}

/* Who comes first; at equal scores what is known comes last, and then in the order of ids. */
static int
compare_companions(Datum a, Datum b, void *arg)
{
	const Needs *needs = ((Companions *) arg)->needs;
	const Companion *left = (const Companion *) DatumGetPointer(a);
	const Companion *right = (const Companion *) DatumGetPointer(b);

	if (left->score != right->score)
		return left->score > right->score ? 1 : -1;
	if ((left->step == SCORE_KNOWN) != (right->step == SCORE_KNOWN))
		return left->step == SCORE_KNOWN ? -1 : 1;
	return needs_id(needs, left->number) < needs_id(needs, right->number) ? 1 : -1;
}

static bool
is_companion(const Companions *companions, uint32 number)
{
	return companions->needs->counts[number].together > 0 && (companions->wanted == NULL || companions->wanted[number]);
}

/*
 * Begins to look for companions: what the matching users need and is neither a
 * user nor given.  Reads outcomes, for which the rules of adjacency_begin() hold.
 */
void
companions_begin(Companions *companions)
{
	const Needs *needs = companions->needs;
	uint32	   *numbers = palloc_extended(Max(needs->nnodes, 1) * sizeof(uint32), MCXT_ALLOC_HUGE);
	bool	   *left_out = palloc_extended(Max(needs->nnodes, 1), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	uint32		n = 0;
	Companion  *all;

	companions->outcomes = outcomes_begin();
	companions->shares = palloc0((needs->nmatching + (Size) 1) * sizeof(double));
	for (uint32 i = 0; i < needs->nusers; i++)
		left_out[needs->users[i]] = true;
	for (int i = 0; i < companions->ngiven; i++)
	{
		uint32		number = needs_find(needs, companions->given[i]);

		if (number != NO_NEED)
			left_out[number] = true;
	}
	for (uint32 number = 0; number < needs->nnodes; number++)
		if (is_companion(companions, number) && !left_out[number])
			numbers[n++] = number;
	all = palloc_extended(Max((Size) n, 1) * sizeof(Companion), MCXT_ALLOC_HUGE);
	companions->heap = binaryheap_allocate(Max(n, 1), compare_companions, companions);
	for (uint32 i = 0; i < n; i++)
	{
		all[i] = (Companion) {.score = lift_bound(companions, numbers[i]) * companions->most, .number = numbers[i]};
		binaryheap_add_unordered(companions->heap, PointerGetDatum(&all[i]));
	}
	binaryheap_build(companions->heap);
	pfree(left_out);
	pfree(numbers);
}

/*
 * Asks one thing more: first what was recorded of it, then with each given
 * asset, where nothing counts if nothing was recorded of it.
 */
static void
look_up(Companions *companions, Companion *companion)
{
	int64		id = needs_id(companions->needs, companion->number);
	int64		other = companion->step == 0 ? id : companions->given[companion->step - 1];
	double		lift = lift_bound(companions, companion->number);
	Outcome		outcome;

	if (!outcomes_find(companions->outcomes, id, other, &outcome))
	{
		if (companion->step == 0)
		{
			companion->score = lift * UNTRIED_BOUND;
			companion->step = SCORE_KNOWN;
			return;
		}
	}
	else if (companion->step == 0)
	{
		companion->outcome = palloc(sizeof(Outcome));
		*companion->outcome = outcome;
	}
	else if (!companion->of_pair || outcome.bound < companion->outcome->bound
			 || (outcome.bound == companion->outcome->bound && outcome.tries > companion->outcome->tries))
	{
		*companion->outcome = outcome;
		companion->of_pair = true;
		companion->score = lift * outcome.bound;
	}
	if (companion->step++ == companions->ngiven)
	{
		companion->score = lift * companion->outcome->bound;
		companion->step = SCORE_KNOWN;
	}
}

/*
 * The next best; NULL if there is no other.
 */
Companion *
companions_next(Companions *companions)
{
	while (!binaryheap_empty(companions->heap))
	{
		Companion  *companion = (Companion *) DatumGetPointer(binaryheap_first(companions->heap));

		CHECK_FOR_INTERRUPTS();
		if (companion->step == SCORE_KNOWN)
		{
			(void) binaryheap_remove_first(companions->heap);
			return companion;
		}
		look_up(companions, companion);
		binaryheap_replace_first(companions->heap, PointerGetDatum(companion));
	}
	return NULL;
}

/*
 * How much oftener it is used by the matching users than by all.
 */
double
companion_lift(const Companions *companions, const Companion *companion)
{
	const Needs *needs = companions->needs;
	NeedCount	count = needs->counts[companion->number];

	return (double) needs->nusers * count.together / ((double) needs->nmatching * count.users);
}

void
companions_end(Companions *companions)
{
	outcomes_end(companions->outcomes);
	binaryheap_free(companions->heap);
}
