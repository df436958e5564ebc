/*
 * graph_cache.c
 *		The graph in memory: when it is built, shared, used and given up.
 *
 * A base (edge_base.c) that another connection has built is used at once.  One
 * is built when walks by the index have taken as much work as building it will,
 * so a connection that asks little never builds, and one that asks much never
 * works more than about twice what it had to.  In the same way it is built anew
 * when pages that another base would have, have been read again and again.  A
 * graph that turned out to be too large is tried again after twice the work.  Of
 * several connections that would build, one does; the others go by the index
 * until it is done.
 *
 * Every walk makes a question of it, for its own snapshot; the base stays as
 * long as one is open.  An error ends questions by their memory context, and a
 * base that is being built with it.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "assetreg.h"
#include "broken.h"
#include "catalog.h"
#include "graph_cache.h"

PG_FUNCTION_INFO_V1(assetreg_graph_cache_status);

/* An edge that a walk by the index reads takes about as long as one that a build reads. */
#define EDGES_A_PAGE 64
/* Looking whether a page was changed takes no longer than reading so many edges. */
#define EDGES_A_LOOK 1

#define AUTO_LIMIT (256 * 1024)	/* kB */

/* More work than any build takes. */
#define EARNED PG_INT64_MAX
/* A table may get smaller again. */
#define MAX_REFUSALS 5

char	   *assetreg_graph_cache = NULL;
static bool assetreg_graph_cache_shared = true;

/* What is kept of a table, whichever copy of it is there. */
typedef struct Keeping
{
	const char *name;
	ImageMaker	maker;
	Size		work;			/* done by the index since a copy was made or refused: edges, or rows */
	int			refusals;		/* one after the other, as it would be too large */
	uint64		outdated;		/* the generation of one that was given up as such */
	int64		nbuilds;
} Keeping;

/* A copy of a table. */
typedef struct Copy
{
	MemoryContext context;		/* holds the image or its mapping, and what reads it */
	const BaseImage *image;
	bool		shared;
	Size		reread;			/* pages that another one would have, so far */
} Copy;

typedef struct CachedBase
{
	Copy		copy;			/* its context holds this struct, too */
	EdgeBase   *base;
	int			nquestions;		/* open now */
	bool		given_up;		/* to be freed with the last of them */
	Copy		entities_copy;	/* once they have been asked about */
	EntityBase *entities;		/* or NULL */
} CachedBase;

typedef struct Question
{
	EdgeQuestion edges;
	MemoryContext context;		/* holds this struct, too */
	CachedBase *cached;
	MemoryContextCallback ended;
} Question;

static Keeping edges = {.name = "edges", .maker = edge_base_build};
static Keeping entities = {.name = "entities", .maker = entity_base_build};
static CachedBase *cache = NULL;
static int	limit_kb = AUTO_LIMIT;
static const char *refused = NULL;	/* why the last walk was not answered from here */
static uint32 last_dirty = 0;
static int64 nwalks = 0;

static bool
check_graph_cache(char **newval, void **extra, GucSource source)
{
	int		   *limit = guc_malloc(LOG, sizeof(int));
	const char *hint = NULL;

	if (limit == NULL)
		return false;
	if (pg_strcasecmp(*newval, "auto") == 0)
		*limit = AUTO_LIMIT;
	else if (pg_strcasecmp(*newval, "off") == 0)
		*limit = 0;
	else if (!parse_int(*newval, limit, GUC_UNIT_KB, &hint) || *limit < 0)
	{
		GUC_check_errdetail("\"%s\" is not \"off\", \"auto\" or a size such as \"1GB\".", *newval);
		if (hint != NULL)
			GUC_check_errhint("%s", _(hint));
		guc_free(limit);
		return false;
	}
	*extra = limit;
	return true;
}

static void
assign_graph_cache(const char *newval, void *extra)
{
	limit_kb = *(int *) extra;
	edges.refusals = entities.refusals = 0;
}

void
graph_cache_init(void)
{
	DefineCustomStringVariable("assetreg.graph_cache",
							   "How much memory a connection may use to keep the dependency graph.",
							   "off, auto (256MB) or a size; a larger graph is walked by its index.",
							   &assetreg_graph_cache, "auto",
							   PGC_USERSET, 0, check_graph_cache, assign_graph_cache, NULL);
	DefineCustomBoolVariable("assetreg.graph_cache_shared",
							 "Whether connections share one copy of the dependency graph.",
							 "It lies in a temporary file of the server, which every connection maps.",
							 &assetreg_graph_cache_shared, true,
							 PGC_USERSET, 0, NULL, NULL, NULL);
}

/*
 * Counts what a walk by the index has read.
 */
void
graph_cache_add_work(Size read)
{
	edges.work += read;
}

static Size
limit(void)
{
	return (Size) limit_kb * 1024;
}

/* Bytes that a base takes, also those that others read as well. */
static Size
memory_used(const CachedBase *cached)
{
	return MemoryContextMemAllocated(cached->copy.context, true)
		+ (cached->copy.shared ? cached->copy.image->size : 0)
		+ (cached->entities != NULL && cached->entities_copy.shared ? cached->entities_copy.image->size : 0);
}

/* What the edges leave to the entities, whatever questions will keep of them. */
static Size
memory_left(const CachedBase *cached)
{
	Size		used = cached->copy.image->size + cached->copy.image->beside;

	return used < limit() ? limit() - used : 0;
}

static void
give_up(CachedBase *cached)
{
	if (cache == cached)
		cache = NULL;
	cached->given_up = true;
	if (cached->nquestions == 0)
		MemoryContextDelete(cached->copy.context);
}

/* Gives a base up that another one would be better than, also for who asks next. */
static void
give_up_outdated(CachedBase *cached)
{
	edges.outdated = cached->copy.image->generation;
	give_up(cached);
}

static EdgeQuestion *
refuse(const char *why)
{
	refused = why;
	ereport(DEBUG1, (errmsg_internal("dependency walk does not use memory: %s", why)));
	return NULL;
}

/* Has enough been spent elsewhere to spend so much here? */
static bool
pays(const Keeping *keeping, Size price)
{
	return assetreg_graph_source == GRAPH_SOURCE_MEMORY || keeping->work >= price;
}

/*
 * Another connection's copy of a table, or a new one, in a context of its own
 * below the current one.  False and the reason where there is none to be had or
 * it does not pay: what was too large costs twice as much the next time.
 */
static bool
obtain_copy(Keeping *keeping, Relation table, Size limit, Copy *copy, const char **why)
{
	ImageRequest request = {
		.name = keeping->name, .maker = keeping->maker, .table = table, .limit = limit, .outdated = keeping->outdated,
		.share = assetreg_graph_cache_shared, .wait = assetreg_graph_source != GRAPH_SOURCE_MEMORY,
		.make = pays(keeping, ((Size) RelationGetNumberOfBlocks(table) * EDGES_A_PAGE) << keeping->refusals)
	};
	MemoryContext caller;

	copy->context = AllocSetContextCreate(CurrentMemoryContext, "assetreg graph", ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(copy->context);
	copy->image = base_image_obtain(&request);
	copy->shared = request.shared;
	copy->reread = 0;
	MemoryContextSwitchTo(caller);

	keeping->nbuilds += request.made;
	if (request.tried || copy->image != NULL)
	{
		keeping->work = 0;
		keeping->refusals = request.refused == image_too_large ? Min(keeping->refusals + 1, MAX_REFUSALS) : 0;
	}
	if (copy->image != NULL)
		return true;
	*why = request.refused != NULL ? request.refused
		: keeping->refusals > 0 ? image_too_large : "building it does not pay yet";
	MemoryContextDelete(copy->context);
	return false;
}

/* Makes this connection's base.  On an error its context goes with its parent. */
static CachedBase *
make_base(Relation table, const char **why)
{
	Copy		copy;
	CachedBase *cached;
	MemoryContext caller;

	if (!obtain_copy(&edges, table, limit(), &copy, why))
		return NULL;
	caller = MemoryContextSwitchTo(copy.context);
	cached = palloc0(sizeof(CachedBase));
	cached->copy = copy;
	cached->base = edge_base_open(copy.image);
	MemoryContextSwitchTo(caller);
	MemoryContextSetParent(copy.context, TopMemoryContext);
	return cached;
}

static void
question_ended(void *arg)
{
	CachedBase *cached = ((Question *) arg)->cached;

	if (--cached->nquestions == 0 && cached->given_up)
		MemoryContextDelete(cached->copy.context);
}

/* A question of the base, open until its memory context is gone. */
static Question *
open_question(CachedBase *cached)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "assetreg graph question",
												  ALLOCSET_DEFAULT_SIZES);
	Question   *question = MemoryContextAlloc(context, sizeof(Question));

	memset(question, 0, offsetof(Question, edges) + offsetof(EdgeQuestion, filter));
	question->edges.null_found = false;
	question->context = context;
	question->cached = cached;
	question->ended.func = question_ended;
	question->ended.arg = question;
	cached->nquestions++;
	MemoryContextRegisterResetCallback(context, &question->ended);
	return question;
}

/* Weighs what re-reading has cost against another base. */
static void
count_rereading(CachedBase *cached, const DirtyPages *dirty)
{
	last_dirty = dirty->nblocks;
	cached->copy.reread += dirty->nfoldable;
	if (cached->copy.reread > cached->base->ledger.nblocks)
	{
		/* that was the price of another one */
		edges.work = EARNED;
		give_up_outdated(cached);
	}
}

static EdgeQuestion *
ask(CachedBase *cached, Relation table, EdgeDirection direction)
{
	Question   *question = open_question(cached);
	MemoryContext caller = MemoryContextSwitchTo(question->context);
	bool		may_look = pays(&edges, (Size) cached->base->ledger.nblocks * EDGES_A_LOOK);
	LedgerAnswer answer = edge_base_ask(cached->base, table, direction, may_look, &question->edges);
	const char *why = NULL;

	MemoryContextSwitchTo(caller);
	if (answer == LEDGER_OTHER_FILE)
		why = "the table has been rewritten";
	else if (answer == LEDGER_MOVED)
		why = "the table has been vacuumed, and looking at its pages does not pay yet";
	else if (answer == LEDGER_TOO_DIRTY)
		why = "too many pages have been changed";
	else if (question->edges.null_found)
		why = "an edge has no end";
	if (why == NULL)
	{
		if (may_look && assetreg_graph_source != GRAPH_SOURCE_MEMORY)
			edges.work = 0;
		refused = NULL;
		nwalks++;
		count_rereading(cached, &question->edges.dirty);
		ereport(DEBUG1,
				(errmsg_internal("dependency walk uses memory: %u edges, %u of %u pages read again",
								 cached->base->nedges, question->edges.dirty.nblocks, cached->base->ledger.nblocks)));
		return &question->edges;
	}
	if (answer == LEDGER_OTHER_FILE || answer == LEDGER_TOO_DIRTY)
		give_up_outdated(cached);
	MemoryContextDelete(question->context);
	return refuse(why);
}

static EdgeQuestion *
ask_table(Relation table, EdgeDirection direction)
{
	const char *why = NULL;

	if (!catalog_pages_readable(table) || !ledger_possible(table))
		return refuse("the table's pages may not be read by this statement");
	if (cache != NULL && (memory_used(cache) > limit() || cache->copy.image->superseded))
		give_up(cache);
	if (cache != NULL && !RelFileLocatorEquals(cache->base->ledger.file, table->rd_locator) && !BROKEN(FILE))
		give_up(cache);
	if (cache == NULL && (cache = make_base(table, &why)) == NULL)
		return refuse(why);
	return ask(cache, table, direction);
}

/*
 * Makes a question of the edges for the active snapshot, in the current memory
 * context; NULL where memory may not answer or does not pay.
 */
EdgeQuestion *
graph_cache_edges(EdgeDirection direction)
{
	Relation	table;
	EdgeQuestion *question;

	if (limit_kb == 0)
	{
		if (cache != NULL)
			give_up(cache);
		return refuse("assetreg.graph_cache is off");
	}
	if (assetreg_graph_source != GRAPH_SOURCE_AUTO && assetreg_graph_source != GRAPH_SOURCE_MEMORY)
		return refuse("assetreg.graph_source says so");
	table = catalog_open("asset_dependencies");
	question = ask_table(table, direction);
	table_close(table, NoLock);
	return question;
}

/*
 * Counts an entity that was read by the index for its kind.
 */
void
graph_cache_add_entity(void)
{
	entities.work++;
}

/* Makes the part of the entities; on an error its context goes with its parent. */
static bool
make_entities(CachedBase *cached, Relation table, const char **why)
{
	MemoryContext caller;

	if (!obtain_copy(&entities, table, memory_left(cached), &cached->entities_copy, why))
		return false;
	caller = MemoryContextSwitchTo(cached->entities_copy.context);
	cached->entities = entity_base_open(cached->entities_copy.image);
	MemoryContextSwitchTo(caller);
	MemoryContextSetParent(cached->entities_copy.context, cached->copy.context);
	return true;
}

/* Outdated: another one would be better, also for who asks next. */
static void
give_up_entities(CachedBase *cached, bool outdated)
{
	if (outdated)
		entities.outdated = cached->entities_copy.image->generation;
	cached->entities = NULL;
	MemoryContextDelete(cached->entities_copy.context);
}

static EntityQuestion *
ask_entities(CachedBase *cached, Relation table, const char **why)
{
	EntityQuestion *question;

	*why = "the entities' pages may not be read by this statement";
	if (!catalog_pages_readable(table) || !ledger_possible(table))
		return NULL;
	/* nobody else reads what is given up here */
	if (cached->entities != NULL && cached->nquestions == 1)
	{
		bool		reread = cached->entities_copy.reread > cached->entities->ledger.nblocks;

		if (reread)
			entities.work = EARNED;
		if (reread || cached->entities_copy.image->superseded
			|| (!RelFileLocatorEquals(cached->entities->ledger.file, table->rd_locator) && !BROKEN(FILE)))
			give_up_entities(cached, reread);
	}
	if (cached->entities == NULL && !make_entities(cached, table, why))
		return NULL;
	question = entity_base_ask(cached->entities, table, why);
	if (question != NULL)
		cached->entities_copy.reread += question->dirty.nfoldable;
	else if (cached->nquestions == 1)
		give_up_entities(cached, true);
	return question;
}

/*
 * A question of the entities for the same snapshot, beside one of the edges,
 * with which it ends; NULL where memory may not answer or does not pay.
 */
EntityQuestion *
graph_cache_entities(EdgeQuestion *question)
{
	Relation	table = catalog_open("entities");
	MemoryContext caller = MemoryContextSwitchTo(((Question *) question)->context);
	const char *why;
	EntityQuestion *found = ask_entities(((Question *) question)->cached, table, &why);

	MemoryContextSwitchTo(caller);
	table_close(table, NoLock);
	if (found == NULL)
		ereport(DEBUG1, (errmsg_internal("kinds are not read from memory: %s", why)));
	return found;
}

/*
 * assetreg._graph_cache_status(): what the view of the same name shows.
 */
Datum
assetreg_graph_cache_status(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Datum		values[10] = {0};
	bool		nulls[10] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = BoolGetDatum(nwalks > 0 && refused == NULL);
	values[1] = Int64GetDatum(cache == NULL ? 0 : (int64) memory_used(cache));
	values[2] = Int64GetDatum(cache == NULL ? 0 : cache->base->nedges);
	values[3] = Int64GetDatum(cache == NULL ? 0 : cache->base->ledger.nblocks);
	values[4] = Int64GetDatum(cache == NULL ? 0 : last_dirty);
	values[5] = TimestampTzGetDatum(cache == NULL ? 0 : cache->copy.image->made_at);
	nulls[5] = cache == NULL;
	values[6] = Int64GetDatum(edges.nbuilds);
	values[7] = Int64GetDatum(nwalks);
	values[8] = refused == NULL ? (Datum) 0 : CStringGetTextDatum(refused);
	nulls[8] = refused == NULL;
	values[9] = BoolGetDatum(cache != NULL && cache->copy.shared);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

void
graph_cache_done(EdgeQuestion *question)
{
	MemoryContextDelete(((Question *) question)->context);
}
