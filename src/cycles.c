/*
 * cycles.c
 *		SQL-callable search for circles in the graph.
 *
 * A registry is nearly free of circles, so first everything is peeled off that
 * nothing needs or that needs nothing, a bit an entity; what is left goes
 * through Tarjan's algorithm for strongly connected components (SIAM J.
 * Comput. 1, 1972), with a stack of its own in place of recursion.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"

#include "args.h"
#include "compat.h"
#include "idset.h"

PG_FUNCTION_INFO_V1(assetreg_dependency_cycles);

/* Entities that may be in a circle: a set and the same ids in order. */
typedef struct Candidates
{
	IdSet	   *set;
	Frontier	ids;
} Candidates;

typedef struct Peeling
{
	const Candidates *inside;	/* NULL: everything */
	IdSet	   *needed;			/* has a dependent inside */
	Candidates	left;			/* and needs something inside */
	Frontier	needing;
	IdSet	   *needing_set;
} Peeling;

static void
note_edges(void *arg, int64 id, const int64 *neighbours, int nneighbours)
{
	Peeling    *peeling = arg;

	for (int i = 0; i < nneighbours; i++)
	{
		if (peeling->inside != NULL && !idset_contains(peeling->inside->set, neighbours[i]))
			continue;
		idset_add(peeling->needed, NULL, id);
		idset_add(peeling->needing_set, &peeling->needing, neighbours[i]);
	}
}

/*
 * The entities that need something inside and are needed by something inside.
 */
static Candidates
peel(Adjacency *adjacency, Candidates *inside)
{
	Peeling		peeling = {.inside = inside, .needed = idset_create(), .needing_set = idset_create()};
	KeySet	   *keys;
	int64		id;

	frontier_init(&peeling.needing, peeling.needing_set);
	adjacency_expand(adjacency, inside == NULL ? all_keys() : frontier_keys(&inside->ids), note_edges, &peeling);

	peeling.left.set = idset_create();
	frontier_init(&peeling.left.ids, peeling.left.set);
	keys = frontier_keys(&peeling.needing);
	for (bool more = keys->seek(keys, PG_INT64_MIN, &id); more; more = keyset_after(keys, id, &id))
		if (idset_contains(peeling.needed, id))
			idset_add(peeling.left.set, &peeling.left.ids, id);
	idset_free(peeling.needed);
	idset_free(peeling.needing_set);
	return peeling.left;
}

/*
 * Peels as long as it takes a tenth off: a long chain would come off one by one.
 */
static Candidates
find_candidates(Adjacency *adjacency)
{
	Candidates	left = peel(adjacency, NULL);
	int64		before;

	do
	{
		Candidates	inside = left;

		before = inside.ids.nids;
		left = peel(adjacency, &inside);
		idset_free(inside.set);
	} while (left.ids.nids > 0 && left.ids.nids < before - before / 10);
	return left;
}

/* The candidates and the edges among them, numbered from 0. */
typedef struct Component
{
	IdSet	   *memory;			/* bounds and frees what is below */
	const Candidates *candidates;
	int64	   *ids;			/* by number, ascending */
	int			n;
	int			nread;			/* numbers whose edges have begun */
	int64	   *first_edge;		/* by number, and one past the last */
	int		   *edges;
	int64		nedges;
	int64		size;

	/* Tarjan's */
	int		   *order;			/* 0: not visited */
	int		   *low;			/* in the end: 0 for what is in a component */
	int		   *stack;
	int		   *path;			/* the entities that are being visited */
	int64	   *next_edge;
	int		   *component;		/* the smallest number in it, or -1 */
} Component;

static int
number_of(const Component *graph, int64 id)
{
	int			low = 0;
	int			high = graph->n - 1;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (graph->ids[middle] < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void
keep_edges(void *arg, int64 id, const int64 *neighbours, int nneighbours)
{
	Component  *graph = arg;

	while (graph->nread < graph->n && graph->ids[graph->nread] <= id)
		graph->first_edge[graph->nread++] = graph->nedges;
	for (int i = 0; i < nneighbours; i++)
	{
		if (!idset_contains(graph->candidates->set, neighbours[i]))
			continue;
		if (graph->nedges == graph->size)
		{
			graph->size = Max(64, graph->size * 2);
			graph->edges = idset_reserve(graph->memory, graph->edges, graph->size * sizeof(int));
		}
		graph->edges[graph->nedges++] = number_of(graph, neighbours[i]);
	}
}

static void
load_graph(Component *graph, Adjacency *adjacency)
{
	KeySet	   *keys = frontier_keys((Frontier *) &graph->candidates->ids);
	int64		id;

	if (graph->candidates->ids.nids > PG_INT32_MAX - 1)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many entities may be in circles")));
	graph->n = graph->candidates->ids.nids;
	graph->ids = idset_reserve(graph->memory, NULL, graph->n * sizeof(int64));
	graph->first_edge = idset_reserve(graph->memory, NULL, (graph->n + 1) * sizeof(int64));
	for (bool more = keys->seek(keys, PG_INT64_MIN, &id); more; more = keyset_after(keys, id, &id))
		graph->ids[graph->nread++] = id;

	graph->nread = 0;
	adjacency_expand(adjacency, frontier_keys((Frontier *) &graph->candidates->ids), keep_edges, graph);
	while (graph->nread <= graph->n)
		graph->first_edge[graph->nread++] = graph->nedges;
}

static int *
reserve_numbers(Component *graph)
{
	int		   *numbers = idset_reserve(graph->memory, NULL, graph->n * sizeof(int));

	memset(numbers, 0, graph->n * sizeof(int));
	return numbers;
}

/*
 * Takes the component off the stack whose root is the entity on top of the
 * path; one of a single entity is no circle, as no edge leads to itself.
 */
static int
pop_component(Component *graph, int root, int nstack)
{
	int			bottom = nstack - 1;
	int			smallest = root;

	while (graph->stack[bottom] != root)
		bottom--;
	for (int i = bottom; i < nstack; i++)
		smallest = Min(smallest, graph->stack[i]);
	for (int i = bottom; i < nstack; i++)
	{
		graph->component[graph->stack[i]] = nstack - bottom > 1 ? smallest : -1;
		graph->low[graph->stack[i]] = 0;
	}
	return bottom;
}

/*
 * Visits everything that can be reached from an entity and was not yet.
 */
static void
visit(Component *graph, int start, int *visited)
{
	int			npath = 0;
	int			nstack = 0;
	int			entity = start;

	for (;;)
	{
		if (graph->order[entity] == 0)
		{
			CHECK_FOR_INTERRUPTS();
			graph->order[entity] = graph->low[entity] = ++*visited;
			graph->next_edge[entity] = graph->first_edge[entity];
			graph->stack[nstack++] = entity;
			graph->path[npath++] = entity;
		}
		if (graph->next_edge[entity] < graph->first_edge[entity + 1])
		{
			int			neighbour = graph->edges[graph->next_edge[entity]++];

			if (graph->order[neighbour] == 0)
				entity = neighbour;
			else if (graph->low[neighbour] > 0) /* on the stack */
				graph->low[entity] = Min(graph->low[entity], graph->order[neighbour]);
			continue;
		}

		if (graph->low[entity] == graph->order[entity])
			nstack = pop_component(graph, entity, nstack);
		if (--npath == 0)
			return;
		if (graph->low[entity] > 0)
			graph->low[graph->path[npath - 1]] = Min(graph->low[graph->path[npath - 1]], graph->low[entity]);
		entity = graph->path[npath - 1];
	}
}

static void
find_components(Component *graph)
{
	int			visited = 0;

	graph->order = reserve_numbers(graph);
	graph->low = reserve_numbers(graph);
	graph->stack = reserve_numbers(graph);
	graph->path = reserve_numbers(graph);
	graph->component = reserve_numbers(graph);
	graph->next_edge = idset_reserve(graph->memory, NULL, graph->n * sizeof(int64));
	for (int i = 0; i < graph->n; i++)
		if (graph->order[i] == 0)
			visit(graph, i, &visited);
}

/*
 * Writes the circles in order of their smallest ids.  The arrays of the visit
 * are free for it: low takes each circle's number by its smallest member, and
 * path and stack a list of the members of each.
 */
static void
put_cycles(Component *graph, FunctionCallInfo fcinfo)
{
	int		   *next_member = graph->path;
	int		   *last_member = graph->stack;
	bool		nulls[2] = {false};
	int			cycle = 0;

	for (int i = 0; i < graph->n; i++)
	{
		int			smallest = graph->component[i];

		next_member[i] = -1;
		if (smallest >= 0 && smallest != i)
			next_member[last_member[smallest]] = i;
		if (smallest >= 0)
			last_member[smallest] = i;
	}
	for (int i = 0; i < graph->n; i++)
		if (graph->component[i] == i)
		{
			cycle++;
			for (int member = i; member >= 0; member = next_member[member])
			{
				Datum		values[2] = {Int32GetDatum(cycle), Int64GetDatum(graph->ids[member])};

				put_row(fcinfo, values, nulls);
			}
		}
}

/*
 * dependency_cycles(): the strongly connected components of two entities or
 * more.  Reads the whole graph under the statement's snapshot; memory is
 * bounded as a walk's is.
 */
Datum
assetreg_dependency_cycles(PG_FUNCTION_ARGS)
{
	Adjacency  *adjacency;
	Candidates	candidates;

	InitMaterializedSRF(fcinfo, 0);
	adjacency = adjacency_begin(EDGES_TO_DEPENDENTS);
	candidates = find_candidates(adjacency);
	if (candidates.ids.nids > 0)
	{
		Component	graph = {.memory = idset_create(), .candidates = &candidates};

		load_graph(&graph, adjacency);
		find_components(&graph);
		put_cycles(&graph, fcinfo);
		idset_free(graph.memory);
	}
	idset_free(candidates.set);
	adjacency_end(adjacency);
	return (Datum) 0;
}
