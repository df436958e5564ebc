/*
 * paths.c
 *		SQL-callable shortest paths between two entities.
 *
 * Searches from the dependent along the arrows: what one entity needs is few,
 * what needs a base model is many.  The levels of that search hold all shortest
 * paths; a second pass, back from the dependency, keeps the edges that lie on
 * one.
 */
#include "postgres.h"

#include "common/int.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"

#include "args.h"
#include "compat.h"
#include "graph.h"

PG_FUNCTION_INFO_V1(assetreg_dependency_paths);

/* A step towards the dependent; npaths: how many paths go on from there. */
typedef struct PathEdge
{
	int64		from;
	int64		to;
	int64		npaths;
} PathEdge;

/* The entities at one distance from the dependent, and the steps from there. */
typedef struct PathLevel
{
	int64	   *ids;			/* all of them, sorted */
	int			nids;
	PathEdge   *edges;			/* those on a shortest path, by (from, to) */
	int			nedges;
	int			size;
} PathLevel;

typedef struct PathSearch
{
	int64		from_id;
	IdSet	   *memory;			/* bounds and frees what is below */
	PathLevel  *levels;
	int			nlevels;		/* distance of the dependency, once it was reached */
	int			size;
	bool		reached;

	IdSet	   *wanted;			/* the ends that edges are kept for */
	PathLevel  *edge_level;
} PathSearch;

static bool
keep_level(void *arg, int depth, Frontier *frontier)
{
	PathSearch *search = arg;
	KeySet	   *keys = frontier_keys(frontier);
	PathLevel  *level;
	int64		id;

	if (depth == search->size)
	{
		search->size *= 2;
		search->levels = idset_reserve(search->memory, search->levels, search->size * sizeof(PathLevel));
	}
	level = &search->levels[depth];
	memset(level, 0, sizeof(PathLevel));
	level->ids = idset_reserve(search->memory, NULL, frontier->nids * sizeof(int64));
	for (bool more = keys->seek(keys, PG_INT64_MIN, &id); more; more = keyset_after(keys, id, &id))
	{
		level->ids[level->nids++] = id;
		search->reached |= id == search->from_id;
	}
	search->nlevels = depth;
	return !search->reached;
}

static void
keep_edges(void *arg, int64 id, const int64 *neighbours, int nneighbours)
{
	PathSearch *search = arg;
	PathLevel  *level = search->edge_level;

	for (int i = 0; i < nneighbours; i++)
	{
		if (!idset_contains(search->wanted, neighbours[i]))
			continue;
		if (level->nedges == level->size)
		{
			level->size = Max(16, level->size * 2);
			level->edges = idset_reserve(search->memory, level->edges, level->size * sizeof(PathEdge));
		}
		level->edges[level->nedges++] = (PathEdge) {neighbours[i], id, 0};
	}
}

static int
compare_edges(const void *a, const void *b)
{
	const PathEdge *left = a;
	const PathEdge *right = b;

	if (left->from != right->from)
		return left->from < right->from ? -1 : 1;
	return (left->to > right->to) - (left->to < right->to);
}

/* Two sources may state one edge. */
static void
sort_edges(PathLevel *level)
{
	int			n = 0;

	qsort(level->edges, level->nedges, sizeof(PathEdge), compare_edges);
	for (int i = 0; i < level->nedges; i++)
		if (n == 0 || compare_edges(&level->edges[n - 1], &level->edges[i]) != 0)
			level->edges[n++] = level->edges[i];
	level->nedges = n;
}

/* The first edge of a level that leads from an entity. */
static int
first_edge(const PathLevel *level, int64 from)
{
	int			low = 0;
	int			high = level->nedges;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (level->edges[middle].from < from)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* How many paths lead on from an entity of a level; stays at the largest number. */
static int64
count_paths(const PathLevel *level, int64 from)
{
	int64		npaths = 0;

	for (int i = first_edge(level, from); i < level->nedges && level->edges[i].from == from; i++)
		if (pg_add_s64_overflow(npaths, level->edges[i].npaths, &npaths))
			return PG_INT64_MAX;
	return npaths;
}

/*
 * Keeps, level by level from the dependency on, the edges that lie on a
 * shortest path, then counts the paths.
 */
static void
find_edges(PathSearch *search, Adjacency *adjacency)
{
	search->wanted = idset_create();
	idset_add(search->wanted, NULL, search->from_id);
	for (int i = search->nlevels; i > 0; i--)
	{
		PathLevel  *level = &search->levels[i];
		const PathLevel *nearer = &search->levels[i - 1];
		ArrayKeys	keys;

		search->edge_level = level;
		adjacency_expand(adjacency, array_keys_init(&keys, nearer->ids, nearer->nids), keep_edges, search);
		sort_edges(level);

		idset_free(search->wanted);
		search->wanted = idset_create();
		for (int j = 0; j < level->nedges; j++)
			idset_add(search->wanted, NULL, level->edges[j].to);
	}
	idset_free(search->wanted);

	for (int i = 1; i <= search->nlevels; i++)
		for (int j = 0; j < search->levels[i].nedges; j++)
		{
			PathEdge   *edge = &search->levels[i].edges[j];

			edge->npaths = i == 1 ? 1 : count_paths(&search->levels[i - 1], edge->to);
		}
}

typedef struct PathStep
{
	int64		id;
	int			step;
	Datum		texts[3];		/* kind, key, label */
	bool		nulls[3];
} PathStep;

typedef struct PathOutput
{
	FunctionCallInfo fcinfo;
	Entities   *entities;
	MemoryContext context;		/* of one path's texts */
	PathStep   *steps;
	int64	   *ids;
	int			nsteps;
	int			pos;			/* while texts are read */
	bool		complete;
} PathOutput;

static void
keep_texts(void *arg, const Entity *entity)
{
	PathOutput *output = arg;
	Datum		texts[3] = {entity->kind, entity->key, entity->label};
	PathStep   *step;

	while (output->steps[output->pos].id != entity->id)
		output->pos++;
	step = &output->steps[output->pos];
	step->nulls[0] = step->nulls[1] = false;
	step->nulls[2] = entity->label_isnull;
	for (int i = 0; i < 3; i++)
		if (!step->nulls[i])
			step->texts[i] = PointerGetDatum(PG_DETOAST_DATUM_COPY(texts[i]));
}

static int
compare_step_ids(const void *a, const void *b)
{
	int64		left = ((const PathStep *) a)->id;
	int64		right = ((const PathStep *) b)->id;

	return (left > right) - (left < right);
}

static int
compare_steps(const void *a, const void *b)
{
	return ((const PathStep *) a)->step - ((const PathStep *) b)->step;
}

/*
 * Writes the path whose ids are in output->ids.  An entity that the caller may
 * not see has an id, as its edges do, and nothing else.
 */
static void
put_path(PathOutput *output, int path)
{
	MemoryContext old = MemoryContextSwitchTo(output->context);
	ArrayKeys	keys;

	for (int i = 0; i < output->nsteps; i++)
		output->steps[i] = (PathStep) {output->ids[i], i, {0}, {true, true, true}};
	qsort(output->steps, output->nsteps, sizeof(PathStep), compare_step_ids);
	for (int i = 0; i < output->nsteps; i++)
		output->ids[i] = output->steps[i].id;
	output->pos = 0;
	entities_read(output->entities, array_keys_init(&keys, output->ids, output->nsteps), keep_texts, output);
	qsort(output->steps, output->nsteps, sizeof(PathStep), compare_steps);

	for (int i = 0; i < output->nsteps; i++)
	{
		const PathStep *step = &output->steps[i];
		Datum		values[7] = {
			Int32GetDatum(path), Int32GetDatum(step->step), Int64GetDatum(step->id),
			step->texts[0], step->texts[1], step->texts[2], BoolGetDatum(output->complete)
		};
		bool		nulls[7] = {false, false, false, step->nulls[0], step->nulls[1], step->nulls[2], false};

		put_row(output->fcinfo, values, nulls);
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(output->context);
}

/*
 * Writes the first paths, smallest ids first: a counter whose digits are the
 * edges taken at each level.
 */
static void
put_paths(PathSearch *search, PathOutput *output, int max_paths)
{
	int			nlevels = search->nlevels;
	int		   *taken = palloc((nlevels + 1) * sizeof(int));
	int			level = nlevels;	/* the digits below are to be set anew */
	int64		from = search->from_id;

	for (int path = 1; path <= max_paths; path++)
	{
		CHECK_FOR_INTERRUPTS();
		for (; level > 0; level--)
		{
			taken[level] = first_edge(&search->levels[level], from);
			from = search->levels[level].edges[taken[level]].to;
		}
		output->ids[0] = search->from_id;
		for (int i = nlevels; i > 0; i--)
			output->ids[nlevels - i + 1] = search->levels[i].edges[taken[i]].to;
		put_path(output, path);

		/* the nearest digit to the dependent that can be counted up */
		for (level = 1; level <= nlevels; level++)
		{
			const PathLevel *digit = &search->levels[level];

			if (taken[level] + 1 < digit->nedges
				&& digit->edges[taken[level] + 1].from == digit->edges[taken[level]].from)
				break;
		}
		if (level > nlevels)
			break;
		from = search->levels[level].edges[++taken[level]].to;
		level--;
	}
	pfree(taken);
}

static void
search_paths(PathSearch *search, Adjacency *adjacency, int64 *to_id)
{
	GraphWalk	walk = {adjacency, to_id, 1, NO_MAX_DEPTH, NULL, keep_level, search};

	search->memory = idset_create();
	search->size = 16;
	search->levels = idset_reserve(search->memory, NULL, search->size * sizeof(PathLevel));
	search->levels[0] = (PathLevel) {to_id, 1};
	search->reached = search->from_id == *to_id;
	if (!search->reached)
		graph_walk(&walk);
	if (search->reached)
		find_edges(search, adjacency);
}

/*
 * dependency_paths(from_id, to_id, max_paths): shortest paths from a dependency
 * to a dependent, in order of their ids; complete is false where there are more
 * than max_paths.  No rows where there is none.  Memory is bounded as a walk's
 * is, whatever the number of paths.
 */
Datum
assetreg_dependency_paths(PG_FUNCTION_ARGS)
{
	PathSearch	search = {.from_id = arg_id(fcinfo, 0, "from_id")};
	PathOutput	output = {.fcinfo = fcinfo};
	int64		to_id = arg_id(fcinfo, 1, "to_id");
	int			max_paths = arg_positive(fcinfo, 2, "max_paths");
	Adjacency  *adjacency;

	InitMaterializedSRF(fcinfo, 0);
	adjacency = adjacency_begin(EDGES_TO_DEPENDENCIES);
	output.entities = entities_begin(true);
	entities_check_exist(output.entities, &search.from_id, 1);
	entities_check_exist(output.entities, &to_id, 1);

	search_paths(&search, adjacency, &to_id);
	if (search.reached)
	{
		output.nsteps = search.nlevels + 1;
		output.steps = idset_reserve(search.memory, NULL, output.nsteps * sizeof(PathStep));
		output.ids = idset_reserve(search.memory, NULL, output.nsteps * sizeof(int64));
		output.complete = search.nlevels == 0
			|| count_paths(&search.levels[search.nlevels], search.from_id) <= max_paths;
		output.context = AllocSetContextCreate(CurrentMemoryContext, "assetreg path", ALLOCSET_DEFAULT_SIZES);
		put_paths(&search, &output, max_paths);
	}
	idset_free(search.memory);
	entities_end(output.entities);
	adjacency_end(adjacency);
	return (Datum) 0;
}
