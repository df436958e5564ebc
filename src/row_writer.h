/*
 * row_writer.h
 *		Rows of the registry's tables, found by an index and changed without SQL.
 */
#ifndef ASSETREG_ROW_WRITER_H
#define ASSETREG_ROW_WRITER_H

#include "executor/tuptable.h"
#include "nodes/lockoptions.h"

#define ROW_MAX_COLUMNS 12
#define ROW_MAX_LOOKUPS 3
#define ROW_MAX_KEYS 3

/* Columns that an index begins with, as numbers among the table's. */
typedef struct RowKey
{
	int			ncolumns;
	int			columns[ROW_MAX_KEYS];
} RowKey;

typedef struct RowTable
{
	const char *name;
	int			ncolumns;
	const char *columns[ROW_MAX_COLUMNS];	/* all that setup() made, in this module's order */
	int			nlookups;
	RowKey		lookups[ROW_MAX_LOOKUPS];
	RowKey		unique;			/* what an insert may collide with; ncolumns 0: nothing */
	bool		fires;			/* inserts fire triggers for each row */
} RowTable;

typedef struct RowWriter RowWriter;

/* from so many keys in ascending order on, row_find_onward() is better than row_find() */
#define ROWS_ONWARD 8
/* from so many rows on, row_insert_many() is better than row_insert() */
#define ROWS_AT_ONCE 64
typedef void (*RowValues) (void *arg, int row, Datum *values, bool *nulls);
typedef void (*RowVisit) (void *arg, TupleTableSlot *row);
typedef TupleTableSlot *(*RowFind) (RowWriter *writer, int lookup, Datum key1, Datum key2);

extern RowWriter *row_writer_open(const RowTable *table);
extern void row_writer_close(RowWriter *writer);
extern void row_writer_abandon(RowWriter *writer);
extern bool row_writer_own_triggers_only(RowWriter *writer);
extern Oid	row_writer_owner(RowWriter *writer);

extern void row_look_again(RowWriter *writer);
extern TupleTableSlot *row_find(RowWriter *writer, int lookup, Datum key1, Datum key2);
extern TupleTableSlot *row_next(RowWriter *writer, int lookup);
extern TupleTableSlot *row_find_onward(RowWriter *writer, int lookup, Datum key1, Datum key2);
extern void row_each(RowWriter *writer, int lookup, RowVisit visit, void *arg);
extern RowFind row_find_many(RowWriter *writer, int n);
extern Datum row_value(RowWriter *writer, TupleTableSlot *row, int column, bool *isnull);
extern void row_insert(RowWriter *writer, const Datum *values, const bool *nulls);
extern bool row_insert_unless_there(RowWriter *writer, const Datum *values, const bool *nulls);
extern bool row_insert_many(RowWriter *writer, int n, RowValues fill, void *arg);
extern bool row_update(RowWriter *writer, TupleTableSlot *row, int ncolumns, const int *columns, const Datum *values, const bool *nulls);
extern bool row_update_unless_held(RowWriter *writer, TupleTableSlot *row, int ncolumns, const int *columns, const Datum *values,
								   const bool *nulls);
extern bool row_delete(RowWriter *writer, ItemPointer tid);
extern TupleTableSlot *row_lock(RowWriter *writer, ItemPointer tid, LockTupleMode mode);

#endif							/* ASSETREG_ROW_WRITER_H */
