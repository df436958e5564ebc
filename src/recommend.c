/*
 * recommend.c
 *		SQL-callable recommendations: what goes well with some assets.
 *
 * Users are active scene types and templates; what they need is counted
 * (needs.c), and comes best first (companions.c).  Whether it may be recommended
 * SQL says, of a few at a time.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"

#include "args.h"
#include "companions.h"
#include "graph_cache.h"
#include "own_query.h"
#include "sql_rows.h"

PG_FUNCTION_INFO_V1(assetreg_recommend);

/* So many are looked at together, unless fewer are wanted. */
#define MAX_BATCH 1000

#define ST_SORT sort_ids
#define ST_ELEMENT_TYPE int64
#define ST_COMPARE(a, b) ((*(a) > *(b)) - (*(a) < *(b)))
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

typedef struct Recommending
{
	FunctionCallInfo fcinfo;
	Companions	companions;
	int			nwanted;		/* rows */
	Companion **batch;
	int			nbatch;
	bool	   *fits;			/* of the batch */
	int64	   *ids;			/* room for a batch's */
} Recommending;

/* --- users --------------------------------------------------------------------------------------- */

static bool
is_user_kind(Datum kind)
{
	text	   *name = DatumGetTextPP(kind);
	Size		size = VARSIZE_ANY_EXHDR(name);

	return (size == strlen("scene_type") && memcmp(VARDATA_ANY(name), "scene_type", size) == 0)
		|| (size == strlen("template") && memcmp(VARDATA_ANY(name), "template", size) == 0);
}

static int64 *
users_in_memory(const EntityQuestion *question, int *nusers)
{
	const EntityBase *base = question->base;
	bool	   *is_user = palloc0(state_of(question->kinds.nkinds, false) * sizeof(bool));
	int			size = 1024;
	int64	   *users = palloc(size * sizeof(int64));

	*nusers = 0;
	for (int kind = 0; kind < question->kinds.nkinds; kind++)
		is_user[state_of(kind, true)] = is_user_kind(question->kinds.names[kind]);
	for (uint32 i = 0; i < base->nids + question->nchanged; i++)
	{
		/* behind the base's come those that it has no place for */
		int64		id = i < base->nids ? base->first_id + i : question->changed[i - base->nids].id;

		if (i >= base->nids && (uint64) id - (uint64) base->first_id < base->nids)
			continue;
		if (!is_user[entity_question_state(question, id)])
			continue;
		if (*nusers == size)
			users = repalloc_huge(users, (Size) (size *= 2) * sizeof(int64));
		users[(*nusers)++] = id;
	}
	sort_ids(users, *nusers);
	return users;
}

static int64 *
users_by_sql(int *nusers)
{
	static SPIPlanPtr plan = NULL;
	MemoryContext context = CurrentMemoryContext;
	ArrayType  *array;
	int64	   *users;
	bool		isnull;

	sql_rows_begin();
	if (plan == NULL)
		plan = prepare_kept("SELECT ARRAY(SELECT e.id FROM assetreg.entities e"
							" WHERE e.kind OPERATOR(pg_catalog.=) ANY ('{scene_type,template}') AND e.active)", 0, NULL);
	SPI_execute_plan(plan, NULL, NULL, true, 1);
	MemoryContextSwitchTo(context);
	array = DatumGetArrayTypeP(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	*nusers = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	users = palloc_extended(Max((Size) *nusers, 1) * sizeof(int64), MCXT_ALLOC_HUGE);
	memcpy(users, ARR_DATA_PTR(array), *nusers * sizeof(int64));
	sql_rows_end();
	sort_ids(users, *nusers);
	for (int i = 0; i < *nusers; i++)
		graph_cache_add_entity();
	return users;
}

/* --- what may be recommended --------------------------------------------------------------------- */

typedef struct KindMark
{
	const Needs *needs;
	bool	   *wanted;
	Datum		kind;
} KindMark;

static void
mark_wanted(void *arg, const Entity *entity)
{
	KindMark   *mark = arg;

	graph_cache_add_entity();
	mark->wanted[needs_find(mark->needs, entity->id)] = same_text(entity->kind, mark->kind);
}

/*
 * Which of the nodes that the matching users need are of a kind.
 */
static bool *
wanted_nodes(const Needs *needs, Datum kind, const EntityQuestion *question)
{
	KindMark	mark = {needs, palloc_extended(Max(needs->nnodes, 1), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO), kind};
	IdSet	   *set;
	Frontier	ids;
	Entities   *entities;

	if (question != NULL)
	{
		for (uint32 i = 0; i < needs->nnodes; i++)
		{
			EntityState state = needs->counts[i].together > 0 ? entity_question_state(question, needs_id(needs, i)) : 0;

			mark.wanted[i] = state != 0 && same_text(question->kinds.names[state_kind(state)], kind);
		}
		return mark.wanted;
	}
	set = idset_create();
	frontier_init(&ids, set);
	for (uint32 i = 0; i < needs->nnodes; i++)
		if (needs->counts[i].together > 0)
			idset_add(set, &ids, needs_id(needs, i));
	entities = entities_begin(false);
	entities_read(entities, frontier_keys(&ids), mark_wanted, &mark);
	entities_end(entities);
	idset_free(set);
	return mark.wanted;
}

static Datum
id_array(const int64 *ids, int nids)
{
	Datum	   *values = palloc_extended(Max((Size) nids, 1) * sizeof(Datum), MCXT_ALLOC_HUGE);

	for (int i = 0; i < nids; i++)
		values[i] = Int64GetDatum(ids[i]);
	return PointerGetDatum(construct_array(values, nids, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* Runs a query of the given assets and others, both bigint[]; SPI's context is current afterwards. */
static void
ask(SPIPlanPtr *plan, const char *query, const Recommending *recommending, int nids)
{
	Datum		args[2] = {
		id_array(recommending->companions.given, recommending->companions.ngiven),
		id_array(recommending->ids, nids)
	};

	if (*plan == NULL)
		*plan = prepare_kept(query, 2, (Oid[]) {INT8ARRAYOID, INT8ARRAYOID});
	SPI_execute_plan(*plan, args, NULL, true, 0);
}

/* Do the matching users need any of these, too? */
static bool
needs_any(const Needs *needs, ArrayType *ids)
{
	int			nids = ArrayGetNItems(ARR_NDIM(ids), ARR_DIMS(ids));

	for (int i = 0; i < nids; i++)
	{
		uint32		number = needs_find(needs, ((int64 *) ARR_DATA_PTR(ids))[i]);

		if (number != NO_NEED && needs->counts[number].together > 0)
			return true;
	}
	return false;
}

/*
 * Of several versions of one name that are used together the newest stands for
 * all; what is not active is left out, and what is given in another version.
 */
static void
keep_current(Recommending *recommending)
{
	static SPIPlanPtr plan = NULL;
	const Needs *needs = recommending->companions.needs;
	bool		isnull;

	for (int i = 0; i < recommending->nbatch; i++)
		recommending->ids[i] = needs_id(needs, recommending->batch[i]->number);
	ask(&plan, "SELECT c.place, c.newer FROM assetreg._current_companions($1, $2) c", recommending, recommending->nbatch);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		int			place = DatumGetInt32(SPI_getbinval(row, SPI_tuptable->tupdesc, 1, &isnull));
		Datum		newer = SPI_getbinval(row, SPI_tuptable->tupdesc, 2, &isnull);

		recommending->fits[place - 1] = !needs_any(needs, DatumGetArrayTypeP(newer));
	}
	SPI_freetuptable(SPI_tuptable);
}

/* Takes out what does not go together with the given assets. */
static void
keep_fitting(Recommending *recommending)
{
	static SPIPlanPtr plan = NULL;
	const Needs *needs = recommending->companions.needs;
	int			n = 0;
	ArrayType  *unfit;
	int			nunfit;
	bool		isnull;

	for (int i = 0; i < recommending->nbatch; i++)
		if (recommending->fits[i])
			recommending->ids[n++] = needs_id(needs, recommending->batch[i]->number);
	if (n == 0)
		return;
	ask(&plan, "SELECT assetreg._unfit_companions($1, $2)", recommending, n);
	unfit = DatumGetArrayTypeP(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	nunfit = ArrayGetNItems(ARR_NDIM(unfit), ARR_DIMS(unfit));
	for (int i = 0; i < recommending->nbatch; i++)
		for (int u = 0; u < nunfit; u++)
			if (((int64 *) ARR_DATA_PTR(unfit))[u] == needs_id(needs, recommending->batch[i]->number))
				recommending->fits[i] = false;
	SPI_freetuptable(SPI_tuptable);
}

/* --- rows ---------------------------------------------------------------------------------------- */

static void
put_companion(Recommending *recommending, const Companion *companion)
{
	const Companions *companions = &recommending->companions;
	const Outcome *outcome = companion->outcome;
	bool		nulls[5] = {[3] = outcome == NULL};
	Datum		values[5] = {
		Int64GetDatum(needs_id(companions->needs, companion->number)),
		Int64GetDatum(companions->needs->counts[companion->number].together),
		Float8GetDatum(companion_lift(companions, companion)),
		Float8GetDatum(outcome == NULL ? 0 : (double) outcome->successes / outcome->tries),
		Float8GetDatum(companion->score)
	};

	put_row(recommending->fcinfo, values, nulls);
}

/*
 * Puts the best that may be recommended, as many as are wanted.
 */
static void
put_best(Recommending *recommending)
{
	Companions *companions = &recommending->companions;
	MemoryContext context = CurrentMemoryContext;
	int			size = Min(recommending->nwanted, MAX_BATCH - 10) + 10;	/* some will not do */
	int			nput = 0;

	recommending->batch = palloc(size * sizeof(Companion *));
	recommending->fits = palloc(size * sizeof(bool));
	recommending->ids = palloc(size * sizeof(int64));
	companions_begin(companions);
	sql_rows_begin();
	do
	{
		Companion  *companion = NULL;

		recommending->nbatch = 0;
		while (recommending->nbatch < size && (companion = companions_next(companions)) != NULL)
			recommending->batch[recommending->nbatch++] = companion;
		if (recommending->nbatch == 0)
			break;
		memset(recommending->fits, false, recommending->nbatch);
		keep_current(recommending);
		keep_fitting(recommending);
		MemoryContextSwitchTo(context);
		for (int i = 0; i < recommending->nbatch && nput < recommending->nwanted; i++)
			if (recommending->fits[i])
			{
				put_companion(recommending, recommending->batch[i]);
				nput++;
			}
	} while (nput < recommending->nwanted);
	sql_rows_end();
	companions_end(companions);
}

/*
 * assetreg._recommend(given, kind, max_results, most): what active scene types
 * and templates use together with the given assets, that is of the kind, if that
 * is not NULL, and goes together with them, best first.  most is a success_bound
 * that none is larger than.
 */
Datum
assetreg_recommend(PG_FUNCTION_ARGS)
{
	Recommending recommending = {.fcinfo = fcinfo, .nwanted = PG_GETARG_INT32(2)};
	Companions *companions = &recommending.companions;
	Adjacency  *adjacency;
	EntityQuestion *question = NULL;
	Needs	   *needs;
	int64	   *users;
	int			nusers;

	InitMaterializedSRF(fcinfo, 0);
	companions->given = arg_ids(fcinfo, 0, "given", &companions->ngiven);
	companions->most = PG_GETARG_FLOAT8(3);
	adjacency = adjacency_begin(EDGES_TO_DEPENDENCIES);
	if (adjacency_memory(adjacency) != NULL)
		question = graph_cache_entities(adjacency_memory(adjacency));
	users = question != NULL ? users_in_memory(question, &nusers) : users_by_sql(&nusers);
	needs = needs_read(adjacency, users, nusers);
	needs_count(needs, companions->given, companions->ngiven);
	if (needs->nmatching > 0 && !PG_ARGISNULL(1))
		companions->wanted = wanted_nodes(needs, PG_GETARG_DATUM(1), question);
	adjacency_end(adjacency);
	companions->needs = needs;
	if (needs->nmatching > 0)
		put_best(&recommending);
	needs_free(needs);
	return (Datum) 0;
}
