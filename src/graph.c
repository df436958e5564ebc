/*
 * graph.c
 *		The walk: breadth first, level by level.
 *
 * Knows no SQL and no tables: neighbours come from adjacency.c, and what is
 * found goes to callbacks.  Memory is that of idset.c: a bit for each entity
 * that was found, and one for each in the level that is being walked and the
 * next.  Every entity is expanded once, so cycles end the walk like any other
 * way back.
 */
#include "postgres.h"

#include "dense_walk.h"
#include "graph.h"

typedef struct WalkState
{
	const GraphWalk *walk;
	IdSet	   *seen;
	Frontier   *next;			/* where what is found goes */
	int64		start;			/* of the frontier that is expanded */
} WalkState;

static void
add_neighbours(void *arg, int64 id, const int64 *neighbours, int nneighbours)
{
	WalkState  *state = arg;
	const GraphWalk *walk = state->walk;

	for (int i = 0; i < nneighbours; i++)
		if (idset_add(state->seen, state->next, neighbours[i]) && walk->found != NULL)
			walk->found(walk->arg, neighbours[i], id, state->start);
}

/* Memory counts faster than it tells one by one. */
static bool
count_in_memory(const GraphWalk *walk, int64 *nfound)
{
	DenseWalk	dense = {adjacency_memory(walk->adjacency), walk->starts, walk->nstarts, walk->max_depth};

	if (dense.question == NULL || walk->found != NULL || walk->level != NULL || !dense_walk(&dense))
		return false;
	*nfound = dense.nfound;
	return true;
}

/*
 * Walks until nothing is left, max_depth is reached or the level callback has
 * enough; gives the number of entities found.  Who wants to know each one's
 * start (walk->found) has a frontier a start; everyone else has one in all.
 * Runs in the current memory context and leaves nothing there.  Raises 53400
 * past the memory limit, and whatever the callbacks raise.
 */
int64
graph_walk(const GraphWalk *walk)
{
	WalkState	state = {walk};
	int			nfrontiers = walk->found != NULL ? walk->nstarts : Min(walk->nstarts, 1);
	Frontier   *level = palloc(Max(nfrontiers, 1) * sizeof(Frontier));
	Frontier   *next = palloc(Max(nfrontiers, 1) * sizeof(Frontier));
	int64		nfound = 0;
	bool		more = nfrontiers > 0;

	if (count_in_memory(walk, &nfound))
		return nfound;
	state.seen = idset_create();
	for (int i = 0; i < nfrontiers; i++)
	{
		frontier_init(&level[i], state.seen);
		frontier_init(&next[i], state.seen);
	}
	for (int i = 0; i < walk->nstarts; i++)
		idset_add(state.seen, &level[Min(i, nfrontiers - 1)], walk->starts[i]);

	for (int depth = 1; more && (walk->max_depth == NO_MAX_DEPTH || depth <= walk->max_depth); depth++)
	{
		Frontier   *done = level;
		bool		enough = false;

		more = false;
		for (int i = 0; i < nfrontiers; i++)
		{
			state.next = &next[i];
			state.start = walk->starts[i];
			frontier_clear(&next[i]);
			if (level[i].nids > 0)
				adjacency_expand(walk->adjacency, frontier_keys(&level[i]), add_neighbours, &state);
		}
		for (int i = 0; i < nfrontiers; i++)
			if (next[i].nids > 0)
			{
				nfound += next[i].nids;
				more = true;
				if (walk->level != NULL && !enough)
					enough = !walk->level(walk->arg, depth, &next[i]);
			}
		more = more && !enough;
		level = next;
		next = done;
	}

	pfree(level);
	pfree(next);
	idset_free(state.seen);
	return nfound;
}
