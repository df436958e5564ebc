/*
 * recommend.c
 *		What is used together with some entities, counted over their users.
 *
 * A user is an entity whose needs are counted: an active scene type or
 * template.  What it needs directly or through others is used by it.
 *
 * The graph below all users is read once, level by level, into arrays; what
 * lies above them, scenes and segments, is never touched.  Then each user's
 * needs are walked in memory, which counts how many users each node has and
 * how many of the given entities the user needs; those who need most of them
 * are walked again.
 *
 * Edges are counted with the set's memory, up to work_mem *
 * hash_mem_multiplier.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"

#include "args.h"
#include "compat.h"
#include "idset.h"

PG_FUNCTION_INFO_V1(assetreg_used_together);

/* the 97.5 % quantile of the normal distribution: bounds of 95 % */
#define WILSON_Z 1.959963984540054

/* The numbers of 64 neighbouring ids: ids are dense, so all of them stay in the processor's cache. */
#define CHUNK_SHIFT 6
#define CHUNK_IDS (1 << CHUNK_SHIFT)
#define NO_NUMBER PG_UINT32_MAX

typedef struct NumberChunk
{
	int64		chunk;			/* id >> CHUNK_SHIFT */
	uint32		numbers[CHUNK_IDS];
	char		status;
} NumberChunk;

#define SH_PREFIX numbers
#define SH_ELEMENT_TYPE NumberChunk
#define SH_KEY_TYPE int64
#define SH_KEY chunk
#define SH_HASH_KEY(tb, key) ((uint32) (((uint64) (key) * UINT64CONST(0x9E3779B97F4A7C15)) >> 32))
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

typedef struct NeededNode
{
	int64		id;
	uint32		first;			/* its edges */
	uint32		nedges;
	uint32		seen;			/* by the last walk that came here */
	uint32		users;
	uint32		together;		/* users among those that need most of the given */
	bool		given;
	bool		wanted;			/* of the kind that is asked for */
} NeededNode;

typedef struct Needs
{
	IdSet	   *set;
	Frontier	frontiers[2];
	Frontier   *next;
	numbers_hash *numbers;
	NeededNode	   *nodes;
	uint32		nnodes;
	uint32		nodes_size;
	uint32	   *edges;			/* numbers of nodes */
	uint32		nedges;
	uint32		edges_size;
	uint32	   *stack;
	uint32		walks;
} Needs;

static uint32
node_number(Needs *needs, int64 id)
{
	bool		found;
	NumberChunk *chunk = numbers_insert(needs->numbers, id >> CHUNK_SHIFT, &found);
	uint32	   *number = &chunk->numbers[id & (CHUNK_IDS - 1)];

	if (!found)
		memset(chunk->numbers, 0xff, sizeof(chunk->numbers));
	if (*number != NO_NUMBER)
		return *number;
	if (needs->nnodes == needs->nodes_size)
	{
		needs->nodes_size *= 2;
		needs->nodes = idset_reserve(needs->set, needs->nodes, needs->nodes_size * sizeof(NeededNode));
	}
	needs->nodes[needs->nnodes] = (NeededNode) {.id = id};
	idset_add(needs->set, needs->next, id);
	return *number = needs->nnodes++;
}

/* An entity may come in several calls, one right after the other. */
static void
add_edges(void *arg, int64 id, const int64 *neighbours, int nneighbours)
{
	Needs	   *needs = arg;
	uint32		from = node_number(needs, id);

	if (needs->edges_size - needs->nedges < nneighbours)
	{
		if (needs->edges_size > PG_UINT32_MAX / 2 - nneighbours)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("too many dependencies to count what is used together")));
		needs->edges_size = needs->edges_size * 2 + nneighbours;
		needs->edges = idset_reserve(needs->set, needs->edges, (Size) needs->edges_size * sizeof(uint32));
	}
	if (needs->nodes[from].nedges == 0)
		needs->nodes[from].first = needs->nedges;
	needs->nodes[from].nedges += nneighbours;
	for (int i = 0; i < nneighbours; i++)
		needs->edges[needs->nedges++] = node_number(needs, neighbours[i]);
}

/*
 * Reads all that the users need; they are the first nodes, in their order.
 */
static void
read_needs(Needs *needs, const int64 *users, int nusers)
{
	Adjacency  *adjacency = adjacency_begin(EDGES_TO_DEPENDENCIES);
	int			level = 0;

	needs->set = idset_create();
	needs->numbers = numbers_create(CurrentMemoryContext, 1024, NULL);
	needs->nodes_size = Max(nusers, 1024);
	needs->nodes = idset_reserve(needs->set, NULL, needs->nodes_size * sizeof(NeededNode));
	needs->edges_size = 4096;
	needs->edges = idset_reserve(needs->set, NULL, needs->edges_size * sizeof(uint32));
	frontier_init(&needs->frontiers[0], needs->set);
	frontier_init(&needs->frontiers[1], needs->set);
	needs->next = &needs->frontiers[0];
	for (int i = 0; i < nusers; i++)
		node_number(needs, users[i]);

	while (needs->frontiers[level].nids > 0)
	{
		needs->next = &needs->frontiers[1 - level];
		frontier_clear(needs->next);
		adjacency_expand(adjacency, frontier_keys(&needs->frontiers[level]), add_edges, needs);
		level = 1 - level;
	}
	adjacency_end(adjacency);
	needs->stack = idset_reserve(needs->set, NULL, Max(needs->nnodes, 1) * sizeof(uint32));
}

static inline void
visit(Needs *needs, uint32 number, uint32 *depth, bool together, int *ngiven)
{
	NeededNode	   *node = &needs->nodes[number];

	if (node->seen == needs->walks)
		return;
	node->seen = needs->walks;
	if (together)
		node->together++;
	else
		node->users++;
	*ngiven += node->given;
	if (node->nedges > 0)
		needs->stack[(*depth)++] = number;
}

/*
 * Counts a user at everything that it needs; gives the number of the given
 * entities among that.
 */
static int
count_needs(Needs *needs, uint32 user, bool together)
{
	uint32		depth = 0;
	int			ngiven = 0;

	CHECK_FOR_INTERRUPTS();
	needs->walks++;
	visit(needs, user, &depth, together, &ngiven);
	while (depth > 0)
	{
		const NeededNode *node = &needs->nodes[needs->stack[--depth]];

		for (uint32 i = 0; i < node->nedges; i++)
			visit(needs, needs->edges[node->first + i], &depth, together, &ngiven);
	}
	return ngiven;
}

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

typedef struct Companion
{
	int64		id;
	int64		together;
	double		lift;
	double		bound;
} Companion;

typedef struct KindMark
{
	Needs	   *needs;
	Datum		kind;
} KindMark;

static void
mark_wanted(void *arg, const Entity *entity)
{
	KindMark   *mark = arg;

	mark->needs->nodes[node_number(mark->needs, entity->id)].wanted = same_text(entity->kind, mark->kind);
}

#define ST_SORT sort_ids
#define ST_ELEMENT_TYPE int64
#define ST_COMPARE(a, b) ((*(a) > *(b)) - (*(a) < *(b)))
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/*
 * Marks what the matching users need and is of the kind.
 */
static void
find_wanted(Needs *needs, Datum kind)
{
	KindMark	mark = {needs, kind};
	int64	   *ids = palloc_extended((Size) Max(needs->nnodes, 1) * sizeof(int64), MCXT_ALLOC_HUGE);
	int			nids = 0;
	ArrayKeys	keys;
	Entities   *entities;

	for (uint32 i = 0; i < needs->nnodes; i++)
		if (needs->nodes[i].together > 0)
			ids[nids++] = needs->nodes[i].id;
	sort_ids(ids, nids);
	entities = entities_begin(false);
	entities_read(entities, array_keys_init(&keys, ids, nids), mark_wanted, &mark);
	entities_end(entities);
	pfree(ids);
}

#define ST_SORT sort_companions
#define ST_ELEMENT_TYPE Companion
#define ST_COMPARE(a, b) ((a)->bound != (b)->bound ? ((a)->bound < (b)->bound ? 1 : -1) : ((a)->id > (b)->id) - ((a)->id < (b)->id))
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/*
 * What the matching users need, strongest first.
 */
static Companion *
companions_of(const Needs *needs, bool all_kinds, int nusers, int nmatching, int *ncompanions)
{
	Companion  *companions = palloc_extended((Size) Max(needs->nnodes, 1) * sizeof(Companion), MCXT_ALLOC_HUGE);
	int			n = 0;

	for (uint32 i = nusers; i < needs->nnodes; i++)
	{
		const NeededNode *node = &needs->nodes[i];

		if (node->together > 0 && !node->given && (all_kinds || node->wanted))
			companions[n++] = (Companion) {
				node->id, node->together,
				(double) nusers * node->together / ((double) nmatching * node->users),
				nusers * wilson_lower_bound(node->together, nmatching) / node->users
			};
	}
	sort_companions(companions, n);
	*ncompanions = n;
	return companions;
}

/*
 * A row of four arrays: what many rows would cost is more than the walk.
 */
static Datum
companion_arrays(FunctionCallInfo fcinfo, const Companion *companions, int n)
{
	static const Oid types[4] = {INT8OID, INT8OID, FLOAT8OID, FLOAT8OID};
	Datum	   *columns[4];
	Datum		values[4];
	bool		nulls[4] = {false};
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	for (int c = 0; c < 4; c++)
		columns[c] = palloc_extended((Size) Max(n, 1) * sizeof(Datum), MCXT_ALLOC_HUGE);
	for (int i = 0; i < n; i++)
	{
		columns[0][i] = Int64GetDatum(companions[i].id);
		columns[1][i] = Int64GetDatum(companions[i].together);
		columns[2][i] = Float8GetDatum(companions[i].lift);
		columns[3][i] = Float8GetDatum(companions[i].bound);
	}
	for (int c = 0; c < 4; c++)
		values[c] = PointerGetDatum(construct_array(columns[c], n, types[c], 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/*
 * assetreg._used_together(users, given, kind): what the users that need most of
 * the given entities need besides, other than users and of the kind, if that is
 * not NULL, strongest first.  Nothing
 * where no user needs any; with none given all users count.
 */
Datum
assetreg_used_together(PG_FUNCTION_ARGS)
{
	Needs		needs = {0};
	int			nusers;
	int			ngiven;
	int64	   *users = arg_ids(fcinfo, 0, "users", &nusers);
	int64	   *given = arg_ids(fcinfo, 1, "given", &ngiven);
	int		   *matches = palloc(Max(nusers, 1) * sizeof(int));
	int			most = 0;
	int			nmatching = 0;
	int			n = 0;
	Companion  *companions = NULL;

	read_needs(&needs, users, nusers);
	for (int i = 0; i < ngiven; i++)
	{
		NumberChunk *chunk = numbers_lookup(needs.numbers, given[i] >> CHUNK_SHIFT);
		uint32		number = chunk != NULL ? chunk->numbers[given[i] & (CHUNK_IDS - 1)] : NO_NUMBER;

		if (number != NO_NUMBER)
			needs.nodes[number].given = true;
	}
	for (int i = 0; i < nusers; i++)
	{
		matches[i] = count_needs(&needs, i, false);
		most = Max(most, matches[i]);
	}
	if (most > 0 || ngiven == 0)
	{
		for (int i = 0; i < nusers; i++)
			if (matches[i] == most)
			{
				count_needs(&needs, i, true);
				nmatching++;
			}
		if (!PG_ARGISNULL(2))
			find_wanted(&needs, PG_GETARG_DATUM(2));
		companions = companions_of(&needs, PG_ARGISNULL(2), nusers, nmatching, &n);
	}
	idset_free(needs.set);
	return companion_arrays(fcinfo, companions, n);
}
