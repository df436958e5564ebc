/*
 * args.c
 *		Arguments that several SQL functions take, read and checked in one way.
 *
 * A NULL where a value is needed, a number out of range, a word or a kind that
 * does not exist: each is an error, so that a mistake never reads as "unused".
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "args.h"
#include "compat.h"
#include "graph.h"
#include "sql_rows.h"

static void
check_not_null(FunctionCallInfo fcinfo, int argno, const char *name)
{
	if (PG_ARGISNULL(argno))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
}

int64
arg_id(FunctionCallInfo fcinfo, int argno, const char *name)
{
	check_not_null(fcinfo, argno, name);
	return PG_GETARG_INT64(argno);
}

bool
arg_flag(FunctionCallInfo fcinfo, int argno, const char *name)
{
	check_not_null(fcinfo, argno, name);
	return PG_GETARG_BOOL(argno);
}

int
arg_positive(FunctionCallInfo fcinfo, int argno, const char *name)
{
	check_not_null(fcinfo, argno, name);
	if (PG_GETARG_INT32(argno) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be at least 1", name)));
	return PG_GETARG_INT32(argno);
}

int
arg_max_depth(FunctionCallInfo fcinfo, int argno)
{
	if (PG_ARGISNULL(argno))
		return NO_MAX_DEPTH;
	if (PG_GETARG_INT32(argno) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_depth must not be negative"),
				 errhint("Leave it out, or give NULL, to walk without a limit.")));
	return PG_GETARG_INT32(argno);
}

const char *
arg_word(FunctionCallInfo fcinfo, int argno, const char *name)
{
	check_not_null(fcinfo, argno, name);
	return text_to_cstring(PG_GETARG_TEXT_PP(argno));
}

EdgeDirection
arg_direction(FunctionCallInfo fcinfo, int argno)
{
	const char *direction = arg_word(fcinfo, argno, "direction");

	if (strcmp(direction, "dependents") == 0)
		return EDGES_TO_DEPENDENTS;
	if (strcmp(direction, "dependencies") == 0)
		return EDGES_TO_DEPENDENCIES;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized direction: \"%.*s\"", pg_mbcliplen(direction, (int) strlen(direction), 200), direction),
			 errhint("Use \"dependents\" or \"dependencies\".")));
}

static int
compare_ids(const void *a, const void *b)
{
	int64		left = *(const int64 *) a;
	int64		right = *(const int64 *) b;

	return (left > right) - (left < right);
}

/*
 * The elements of a bigint[], sorted and without duplicates.
 */
int64 *
arg_ids(FunctionCallInfo fcinfo, int argno, const char *name, int *nids)
{
	ArrayType  *array;
	int64	   *ids;
	int			n;

	check_not_null(fcinfo, argno, name);
	array = PG_GETARG_ARRAYTYPE_P(argno);
	if (array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not contain nulls", name)));

	n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	ids = palloc(Max(n, 1) * sizeof(int64));
	*nids = 0;
	if (n == 0)
		return ids;
	memcpy(ids, ARR_DATA_PTR(array), n * sizeof(int64));
	qsort(ids, n, sizeof(int64), compare_ids);
	for (int i = 0; i < n; i++)
		if (*nids == 0 || ids[*nids - 1] != ids[i])
			ids[(*nids)++] = ids[i];
	return ids;
}

bool
kind_passes(const KindFilter *filter, Datum kind)
{
	for (int i = 0; i < filter->nkinds; i++)
		if (same_text(PointerGetDatum(filter->kinds[i]), kind))
			return true;
	return filter->nkinds < 0;
}

typedef struct KindCheck
{
	const KindFilter *filter;
	bool	   *exists;
} KindCheck;

static void
check_kind(void *arg, HeapTuple row, TupleDesc desc)
{
	KindCheck  *check = arg;
	bool		isnull;
	Datum		kind = SPI_getbinval(row, desc, 1, &isnull);

	for (int i = 0; i < check->filter->nkinds; i++)
		if (same_text(PointerGetDatum(check->filter->kinds[i]), kind))
			check->exists[i] = true;
}

static void
check_kinds_exist(const KindFilter *filter)
{
	static SqlRowsQuery query = {"SELECT k.name FROM assetreg.entity_kinds k"};
	KindCheck	check = {filter, palloc0(Max(filter->nkinds, 1) * sizeof(bool))};

	sql_rows_begin();
	sql_rows_all(&query, check_kind, &check);
	sql_rows_end();
	for (int i = 0; i < filter->nkinds; i++)
		if (!check.exists[i])
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("entity kind \"%.200s\" does not exist", text_to_cstring(filter->kinds[i])),
					 errhint("The kinds are in assetreg.entity_kinds.")));
}

/*
 * The kinds that rows are wanted of; NULL: all.  Each must exist.
 */
KindFilter
arg_kinds(FunctionCallInfo fcinfo, int argno)
{
	KindFilter	filter = {-1, NULL};
	Datum	   *elements;
	bool	   *nulls;

	if (PG_ARGISNULL(argno))
		return filter;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(argno), TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &filter.nkinds);
	filter.kinds = palloc(Max(filter.nkinds, 1) * sizeof(text *));
	for (int i = 0; i < filter.nkinds; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("kinds must not contain nulls")));
		filter.kinds[i] = DatumGetTextPP(elements[i]);
	}
	check_kinds_exist(&filter);
	return filter;
}

typedef struct IdList
{
	int64	   *ids;
	int			nids;
	int			size;
} IdList;

static void
add_version(void *arg, HeapTuple row, TupleDesc desc)
{
	IdList	   *list = arg;
	bool		isnull;

	if (list->nids == list->size)
	{
		list->size *= 2;
		list->ids = repalloc(list->ids, list->size * sizeof(int64));
	}
	list->ids[list->nids++] = DatumGetInt64(SPI_getbinval(row, desc, 1, &isnull));
}

/*
 * Where a walk for an entity starts: at the entity, or, for an asset of which
 * all versions are asked for, at each of them, sorted.  Raises
 * undefined_object where there is no such entity.
 */
int64 *
walk_starts(Entities *entities, int64 id, bool all_versions, int *nstarts)
{
	static SqlRowsQuery query = {
		"SELECT v.id FROM assetreg.assets a JOIN assetreg.assets v"
		" ON v.type OPERATOR(pg_catalog.=) a.type AND v.name OPERATOR(pg_catalog.=) a.name"
		" WHERE a.id OPERATOR(pg_catalog.=) ANY ($1) ORDER BY v.id"
	};
	IdList		list = {palloc(sizeof(int64)), 0, 1};

	entities_check_exist(entities, &id, 1);
	if (all_versions)
	{
		ArrayKeys	keys;

		sql_rows_begin();
		sql_rows_for_ids(&query, array_keys_init(&keys, &id, 1), add_version, &list);
		sql_rows_end();
	}
	if (list.nids == 0)
		list.ids[list.nids++] = id;
	*nstarts = list.nids;
	return list.ids;
}

/*
 * Adds a row to the result of a function that began with InitMaterializedSRF().
 */
void
put_row(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}
