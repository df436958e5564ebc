/*
 * estimate.c
 *		How many rows a walk will give, for the planner.
 *
 * The support function of walks in SQL.  Where the arguments are constants when
 * a query is planned, the walk is begun: small ones are known exactly, and of
 * large ones that they are large.  It reads the index alone, as to ask memory
 * costs more where much has changed, and would count as a walk.  Never raises
 * what the walk itself would: ids that do not exist, tables that are missing or
 * locked, rights.  There the planner keeps to ROWS.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "args.h"
#include "catalog.h"
#include "graph.h"
#include "row_pages.h"

PG_FUNCTION_INFO_V1(assetreg_estimate_rows);

/* So many entities, and entries of the index, are looked at. */
#define ENOUGH 500
#define ENOUGH_READ 1000

#define NSLOTS 2048				/* a power of two, more than twice as many */

/* What a walk is called with, where it is known. */
typedef struct WalkCall
{
	const char *name;
	EdgeDirection direction;
	bool		many;			/* the first argument is an array */
	bool		by_kind;		/* a row a kind */

	/* numbers of arguments, or 0 */
	int			max_depth;
	int			kinds;
	int			active_only;
	int			all_versions;
	int			nargs;
} WalkCall;

static const WalkCall calls[] = {
	{"where_used", EDGES_TO_DEPENDENTS, .max_depth = 1, .kinds = 2, .active_only = 3, .all_versions = 4, .nargs = 5},
	{"dependencies_of", EDGES_TO_DEPENDENCIES, .max_depth = 1, .kinds = 2, .nargs = 3},
	{"dependents", EDGES_TO_DEPENDENTS, .many = true, .max_depth = 1, .nargs = 2},
	{"impact", EDGES_TO_DEPENDENTS, .by_kind = true, .all_versions = 1, .nargs = 2}
};

/* The beginning of a walk, starts included. */
typedef struct Sample
{
	int64		ids[ENOUGH];
	int			nids;
	uint16		slots[NSLOTS];	/* places among them, plus one */
	int			nread;
	int			nexpanded;		/* so many of them, about: those that follow are of the next levels */
	int			nstarts;
	int			max_depth;
	bool		complete;
	RowPages   *rows;
} Sample;

typedef struct SampleKeys
{
	KeySet		keys;
	ArrayKeys	level;
	Sample	   *sample;
} SampleKeys;

static bool
has_enough(const Sample *sample)
{
	return sample->nids == ENOUGH || sample->nread >= ENOUGH_READ;
}

static void
add_id(Sample *sample, int64 id)
{
	uint32		slot = ((uint64) id * UINT64CONST(0x9E3779B97F4A7C15)) >> 53;	/* 11 bits */

	while (sample->slots[slot] != 0)
	{
		if (sample->ids[sample->slots[slot] - 1] == id)
			return;
		slot = (slot + 1) % NSLOTS;
	}
	if (sample->nids == ENOUGH)
		return;
	sample->ids[sample->nids++] = id;
	sample->slots[slot] = sample->nids;
}

static bool
seek_sampled(KeySet *keys, int64 from, int64 *key)
{
	SampleKeys *sampled = (SampleKeys *) keys;

	return !has_enough(sampled->sample) && sampled->level.keys.seek(&sampled->level.keys, from, key);
}

static void
sample_edges(void *arg, const PageEntry *entries, int nentries)
{
	Sample	   *sample = arg;

	for (int i = 0; i < nentries && !has_enough(sample); i++)
	{
		sample->nread++;
		if (i == 0 || entries[i].key != entries[i - 1].key)
			sample->nexpanded++;
		if (row_pages_visible(sample->rows, &entries[i]))
			add_id(sample, entries[i].payload.id);
	}
}

static int
compare_ids(const void *a, const void *b)
{
	int64		left = *(const int64 *) a;
	int64		right = *(const int64 *) b;

	return (left > right) - (left < right);
}

/* Walks from the starts, which are in the sample, until it ends or is enough. */
static void
take_sample(Sample *sample)
{
	SampleKeys	keys = {{seek_sampled}, .sample = sample};
	int64		level[ENOUGH];
	int			from = 0;

	for (int depth = 0; !has_enough(sample); depth++)
	{
		int			nlevel = sample->nids - from;

		sample->complete = nlevel == 0 || depth == sample->max_depth;
		if (sample->complete)
			return;
		memcpy(level, sample->ids + from, nlevel * sizeof(int64));
		qsort(level, nlevel, sizeof(int64), compare_ids);
		sample->nexpanded = from;
		from = sample->nids;
		array_keys_init(&keys.level, level, nlevel);
		row_pages_read(sample->rows, &keys.keys, sample_edges, sample);
	}
}

/*
 * A table that can be read without waiting for anybody and has these columns;
 * InvalidOid otherwise.  Locked as for a query of it.
 */
static Oid
readable_table(const char *relname, const char *const *columns, int ncolumns)
{
	Oid			schema = get_namespace_oid("assetreg", true);
	Oid			relid = OidIsValid(schema) ? get_relname_relid(relname, schema) : InvalidOid;
	Relation	table;
	bool		readable;

	if (!OidIsValid(relid) || !ConditionalLockRelationOid(relid, AccessShareLock))
		return InvalidOid;
	/* it may have gone before */
	if (relid != get_relname_relid(relname, schema) || get_rel_relkind(relid) != RELKIND_RELATION)
		return InvalidOid;
	for (int i = 0; i < ncolumns; i++)
		if (get_attnum(relid, columns[i]) == InvalidAttrNumber)
			return InvalidOid;
	table = table_open(relid, NoLock);
	readable = catalog_pages_readable(table);
	table_close(table, NoLock);
	return readable ? relid : InvalidOid;
}

static double
table_rows(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	double		rows;

	if (!HeapTupleIsValid(tuple))
		return -1;
	rows = ((Form_pg_class) GETSTRUCT(tuple))->reltuples;
	ReleaseSysCache(tuple);
	return rows;
}

/*
 * How many it will be in all.  What is left grows from level to level as what
 * was seen did, but never past all entities; halfway between that and what was
 * seen, in magnitude, is the guess that is least wrong.
 */
static double
all_found(const Sample *sample, double nentities)
{
	double		found = sample->nids - sample->nstarts;
	double		growth = found / Max(sample->nexpanded, 1);
	double		level = Max(sample->nids - sample->nexpanded, 1);
	double		most = found;

	if (sample->complete)
		return found;
	for (int depth = 0; depth < (sample->max_depth == NO_MAX_DEPTH ? 16 : sample->max_depth) && most < nentities; depth++)
		most += level *= growth;
	return sqrt(found * Max(found, Min(most, Max(nentities, found))));
}

typedef struct KindSample
{
	KindFilter	filter;
	bool		active_only;
	int64		npassed;
	Datum		kinds[64];
	int			nkinds;
} KindSample;

static void
sample_entity(void *arg, const Entity *entity)
{
	KindSample *sample = arg;

	if (!kind_passes(&sample->filter, entity->kind) || (sample->active_only && !entity->active))
		return;
	sample->npassed++;
	for (int i = 0; i < sample->nkinds; i++)
		if (same_text(sample->kinds[i], entity->kind))
			return;
	if (sample->nkinds < lengthof(sample->kinds))
		sample->kinds[sample->nkinds++] = PointerGetDatum(PG_DETOAST_DATUM_COPY(entity->kind));
}

/* What the walk's rows are of the sample, by kind and state of its entities. */
static void
sample_kinds(Sample *sample, KindSample *kinds)
{
	Entities   *entities = entities_begin(false);
	ArrayKeys	keys;
	int			n = sample->nids - sample->nstarts;

	qsort(sample->ids + sample->nstarts, n, sizeof(int64), compare_ids);
	entities_read(entities, array_keys_init(&keys, sample->ids + sample->nstarts, n), sample_entity, kinds);
	entities_end(entities);
}

static Const *
known_arg(FuncExpr *call, int argno)
{
	Node	   *arg = list_nth(call->args, argno);

	return IsA(arg, Const) ? (Const *) arg : NULL;
}

/* The starts; false where they are not known, or too many. */
static bool
known_starts(const WalkCall *walk, FuncExpr *call, Sample *sample)
{
	Const	   *starts = known_arg(call, 0);
	Datum	   *ids;
	bool	   *nulls;
	int			nids;

	if (starts == NULL || starts->constisnull)
		return false;
	if (!walk->many)
		add_id(sample, DatumGetInt64(starts->constvalue));
	else
	{
		deconstruct_array(DatumGetArrayTypeP(starts->constvalue), INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &ids, &nulls, &nids);
		for (int i = 0; i < nids; i++)
		{
			if (nulls[i])
				return false;
			add_id(sample, DatumGetInt64(ids[i]));
		}
	}
	sample->nstarts = sample->nids;
	return sample->nids < ENOUGH / 2;
}

/* The other arguments; false where one is not known, or asks for more than an estimate can tell. */
static bool
known_options(const WalkCall *walk, FuncExpr *call, Sample *sample, KindSample *kinds)
{
	bool	   *nulls;
	Datum	   *names;

	sample->max_depth = NO_MAX_DEPTH;
	kinds->filter.nkinds = -1;
	for (int argno = 1; argno < walk->nargs; argno++)
	{
		Const	   *arg = known_arg(call, argno);

		if (arg == NULL || (argno == walk->all_versions && !arg->constisnull && DatumGetBool(arg->constvalue)))
			return false;
		if (arg->constisnull)
			continue;
		if (argno == walk->max_depth)
			sample->max_depth = DatumGetInt32(arg->constvalue);
		else if (argno == walk->active_only)
			kinds->active_only = DatumGetBool(arg->constvalue);
		else if (argno == walk->kinds)
		{
			deconstruct_array(DatumGetArrayTypeP(arg->constvalue), TEXTOID, -1, false, TYPALIGN_INT, &names, &nulls, &kinds->filter.nkinds);
			kinds->filter.kinds = palloc(Max(kinds->filter.nkinds, 1) * sizeof(text *));
			for (int i = 0; i < kinds->filter.nkinds; i++)
			{
				if (nulls[i])
					return false;
				kinds->filter.kinds[i] = DatumGetTextPP(names[i]);
			}
		}
	}
	return sample->max_depth == NO_MAX_DEPTH || sample->max_depth >= 0;
}

static bool
begin_sample(const WalkCall *walk, Sample *sample)
{
	static const char *const columns[][2] = {
		[EDGES_TO_DEPENDENTS] = {"dependency_id", "dependent_id"},
		[EDGES_TO_DEPENDENCIES] = {"dependent_id", "dependency_id"}
	};

	if (!OidIsValid(readable_table("asset_dependencies", columns[walk->direction], 2)))
		return false;
	sample->rows = row_pages_begin("asset_dependencies", columns[walk->direction], 2, PAYLOAD_ID);
	return sample->rows != NULL;
}

/* The number of rows; negative where it cannot be told. */
static double
estimate(const WalkCall *walk, FuncExpr *call)
{
	static const char *const columns[] = {"id", "kind", "active", "key", "label"};
	Sample	   *sample = palloc0(sizeof(Sample));
	KindSample	kinds = {.nkinds = 0};
	Oid			entities;
	double		rows;

	if (!known_starts(walk, call, sample) || !known_options(walk, call, sample, &kinds))
		return -1;
	entities = readable_table("entities", columns, lengthof(columns));
	if (!OidIsValid(entities) || !begin_sample(walk, sample))
		return -1;
	take_sample(sample);
	row_pages_end(sample->rows);
	rows = all_found(sample, table_rows(entities));
	if (walk->by_kind || kinds.filter.nkinds >= 0 || kinds.active_only)
	{
		sample_kinds(sample, &kinds);
		if (walk->by_kind)
			return kinds.nkinds;
		rows *= (double) kinds.npassed / Max(sample->nids - sample->nstarts, 1);
	}
	return rows;
}

static const WalkCall *
called_walk(FuncExpr *call)
{
	char	   *name = get_func_name(call->funcid);

	for (int i = 0; name != NULL && i < lengthof(calls); i++)
		if (strcmp(calls[i].name, name) == 0 && list_length(call->args) == calls[i].nargs)
			return &calls[i];
	return NULL;
}

/*
 * assetreg._estimate_rows(): answers SupportRequestRows for the walks above.
 */
Datum
assetreg_estimate_rows(PG_FUNCTION_ARGS)
{
	SupportRequestRows *request = (SupportRequestRows *) PG_GETARG_POINTER(0);
	MemoryContext context;
	MemoryContext caller;
	const WalkCall *walk;
	double		rows = -1;

	if (!IsA(request, SupportRequestRows) || request->node == NULL || !IsA(request->node, FuncExpr) || !ActiveSnapshotSet())
		PG_RETURN_POINTER(NULL);
	context = AllocSetContextCreate(CurrentMemoryContext, "assetreg estimate", ALLOCSET_SMALL_SIZES);
	caller = MemoryContextSwitchTo(context);
	walk = called_walk((FuncExpr *) request->node);
	if (walk != NULL)
		rows = estimate(walk, (FuncExpr *) request->node);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	if (rows < 0)
		PG_RETURN_POINTER(NULL);
	request->rows = rows;
	PG_RETURN_POINTER(request);
}
