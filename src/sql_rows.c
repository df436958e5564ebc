/*
 * sql_rows.c
 *		Queries whose rows are dealt with one by one, in bounded memory.
 *
 * They run with the current user's rights and under row security, and, unless
 * they lock rows, under the active snapshot; a block of ids a query, a block of
 * rows at a time.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"

#include "sql_rows.h"

#define SQL_ROWS_BLOCK 10000

/*
 * Connects to SPI and stays in the caller's memory context.  Pairs nest.
 */
void
sql_rows_begin(void)
{
	MemoryContext context = CurrentMemoryContext;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	MemoryContextSwitchTo(context);
}

void
sql_rows_end(void)
{
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "could not disconnect from SPI");
}

/*
 * The query's plan, prepared once a session.  Plans follow changes of tables,
 * roles and row security by themselves.
 */
static SPIPlanPtr
query_plan(SqlRowsQuery *query, int nargs)
{
	Oid			argtypes[] = {INT8ARRAYOID};

	if (query->plan == NULL)
	{
		SPIPlanPtr	plan = SPI_prepare(query->text, nargs, argtypes);

		if (plan == NULL)
			elog(ERROR, "could not prepare \"%s\": %s", query->text, SPI_result_code_string(SPI_result));
		SPI_keepplan(plan);
		query->plan = plan;
	}
	return query->plan;
}

/*
 * SPI's functions leave its own memory context current; the sink gets the
 * caller's.
 */
static void
run(SqlRowsQuery *query, int nargs, Datum *values, SqlRowSink sink, void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	Portal		portal = SPI_cursor_open(NULL, query_plan(query, nargs), values, NULL, !query->locks);
	uint64		nrows;

	do
	{
		SPITupleTable *rows;

		CHECK_FOR_INTERRUPTS();
		SPI_cursor_fetch(portal, true, SQL_ROWS_BLOCK);
		rows = SPI_tuptable;
		nrows = SPI_processed;
		MemoryContextSwitchTo(context);
		for (uint64 i = 0; i < nrows; i++)
			sink(arg, rows->vals[i], rows->tupdesc);
		SPI_freetuptable(rows);
	} while (nrows == SQL_ROWS_BLOCK);
	SPI_cursor_close(portal);
	MemoryContextSwitchTo(context);
}

/*
 * Runs a query without arguments.
 */
void
sql_rows_all(SqlRowsQuery *query, SqlRowSink sink, void *arg)
{
	run(query, 0, NULL, sink, arg);
}

/*
 * Runs a query for blocks of ids, in ascending order.
 */
void
sql_rows_for_ids(SqlRowsQuery *query, KeySet *ids, SqlRowSink sink, void *arg)
{
	Datum	   *block = palloc(SQL_ROWS_BLOCK * sizeof(Datum));
	int64		id;
	bool		more = ids->seek(ids, PG_INT64_MIN, &id);

	while (more)
	{
		ArrayType  *array;
		Datum		value;
		int			n = 0;

		while (more && n < SQL_ROWS_BLOCK)
		{
			block[n++] = Int64GetDatum(id);
			more = keyset_after(ids, id, &id);
		}
		array = construct_array(block, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE);
		value = PointerGetDatum(array);
		run(query, 1, &value, sink, arg);
		pfree(array);
	}
	pfree(block);
}
