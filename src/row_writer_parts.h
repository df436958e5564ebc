/*
 * row_writer_parts.h
 *		What a RowWriter is made of.
 */
#ifndef ASSETREG_ROW_WRITER_PARTS_H
#define ASSETREG_ROW_WRITER_PARTS_H

#include "access/genam.h"
#include "nodes/execnodes.h"

#include "row_writer.h"

typedef struct Lookup
{
	int			index;			/* position among the table's indexes */
	ScanKeyData keys[ROW_MAX_KEYS];
	IndexScanDesc scan;			/* NULL: not begun under the active snapshot */
	TupleTableSlot *row;

	/* onward: one scan for many keys in ascending order */
	ScanKeyData from[2];		/* the last key or a greater one, with just these before it */
	IndexScanDesc onward;		/* NULL: not begun under the active snapshot */
	bool		goes_onward;	/* the last key was sought by it */
	bool		at_end;			/* no more keys there */
	Datum		sought[2];
	Datum		at[2];			/* what the scan has come to, unless at its end */
} Lookup;

struct RowWriter
{
	const RowTable *table;
	Oid			relid;
	bool		valid;			/* the table is as it was when this was made */
	bool		usable;
	bool		own_triggers_only;
	bool		in_use;
	MemoryContext context;
	Relation	rel;			/* open while in use, as are those indexes in info that were needed */
	bool		all_indexes;	/* all are open */
	EState	   *estate;
	ResultRelInfo *info;
	Oid		   *indexes;
	List	   *arbiters;
	AttrNumber	columns[ROW_MAX_COLUMNS];
	Lookup		lookups[ROW_MAX_LOOKUPS];
	TupleTableSlot *row;		/* being written */
	TupleTableSlot *locked;
};

extern Relation row_index(RowWriter *writer, int i);
extern void row_open_indexes(RowWriter *writer);
extern void row_store(RowWriter *writer, TupleTableSlot *row, const Datum *values, const bool *nulls);

#endif							/* ASSETREG_ROW_WRITER_PARTS_H */
