/*
 * sql_rows.h
 *		Queries whose rows are dealt with one by one, in bounded memory.
 */
#ifndef ASSETREG_SQL_ROWS_H
#define ASSETREG_SQL_ROWS_H

#include "executor/spi.h"

#include "keyset.h"

typedef struct SqlRowsQuery
{
	const char *text;			/* $1, where there is one, is bigint[] */
	bool		locks;			/* locks rows, so it takes a snapshot of its own */
	SPIPlanPtr	plan;			/* kept for the session */
} SqlRowsQuery;

typedef void (*SqlRowSink) (void *arg, HeapTuple row, TupleDesc desc);

extern void sql_rows_begin(void);
extern void sql_rows_end(void);
extern void sql_rows_for_ids(SqlRowsQuery *query, KeySet *ids, SqlRowSink sink, void *arg);
extern void sql_rows_all(SqlRowsQuery *query, SqlRowSink sink, void *arg);

#endif							/* ASSETREG_SQL_ROWS_H */
