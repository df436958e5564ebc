/*
 * row_find.c
 *		Rows of the registry's tables, found by an index without SQL.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/itup.h"
#include "access/nbtree.h"
#include "access/relscan.h"
#include "access/tableam.h"
#include "storage/bufmgr.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "row_writer_parts.h"

/*
 * An index of the table, open from now on.
 */
Relation
row_index(RowWriter *writer, int i)
{
	Relation   *index = &writer->info->ri_IndexRelationDescs[i];

	if (*index == NULL)
		*index = index_open(writer->indexes[i], RowExclusiveLock);
	return *index;
}

/*
 * The next look-ups are under the snapshot that is active then; to be called
 * before the one that was goes away.
 */
void
row_look_again(RowWriter *writer)
{
	for (int i = 0; i < writer->table->nlookups; i++)
	{
		Lookup	   *lookup = &writer->lookups[i];

		ExecClearTuple(lookup->row);
		if (lookup->scan != NULL)
			index_endscan(lookup->scan);
		lookup->scan = NULL;
		if (lookup->onward != NULL)
			index_endscan(lookup->onward);
		lookup->onward = NULL;
	}
}

/*
 * The first row with these keys, which must stay as long as rows are asked for;
 * NULL where there is none.
 */
TupleTableSlot *
row_find(RowWriter *writer, int number, Datum key1, Datum key2)
{
	Lookup	   *lookup = &writer->lookups[number];
	int			nkeys = writer->table->lookups[number].ncolumns;

	lookup->goes_onward = false;
	if (lookup->scan == NULL)
		lookup->scan = index_beginscan(writer->rel, row_index(writer, lookup->index), GetActiveSnapshot(), NULL, nkeys, 0);
	lookup->keys[0].sk_argument = key1;
	lookup->keys[1].sk_argument = key2;
	index_rescan(lookup->scan, lookup->keys, nkeys, NULL, 0);
	return row_next(writer, number);
}

/*
 * Visits all rows in the order of a look-up's index, which where rows come and
 * go is far smaller than the table.
 */
void
row_each(RowWriter *writer, int number, RowVisit visit, void *arg)
{
	IndexScanDesc scan = index_beginscan(writer->rel, row_index(writer, writer->lookups[number].index), GetActiveSnapshot(), NULL, 0, 0);

	index_rescan(scan, NULL, 0, NULL, 0);
	while (index_getnext_slot(scan, ForwardScanDirection, writer->row))
		visit(arg, writer->row);
	ExecClearTuple(writer->row);
	index_endscan(scan);
}

/* --- reading in the order of the keys ------------------------------------------------------------ */

/* What lies between two keys is read as long as that is cheaper than to descend to the second one. */
#define MAX_STEPS 64

static int
compare_keys(Lookup *lookup, int nkeys, const Datum *a, const Datum *b)
{
	Relation	index = lookup->onward->indexRelation;
	int			result = 0;

	for (int i = 0; result == 0 && i < nkeys; i++)
		result = DatumGetInt32(FunctionCall2Coll(index_getprocinfo(index, i + 1, BTORDER_PROC), index->rd_indcollation[i], a[i], b[i]));
	return result;
}

static void
step(Lookup *lookup, int nkeys)
{
	bool		isnull;

	lookup->at_end = index_getnext_tid(lookup->onward, ForwardScanDirection) == NULL;
	for (int i = 0; !lookup->at_end && i < nkeys; i++)
		lookup->at[i] = index_getattr(lookup->onward->xs_itup, i + 1, lookup->onward->xs_itupdesc, &isnull);
}

static void
descend(RowWriter *writer, Lookup *lookup, int nkeys)
{
	if (lookup->onward == NULL)
	{
		lookup->onward = index_beginscan(writer->rel, row_index(writer, lookup->index), GetActiveSnapshot(), NULL, nkeys, 0);
		lookup->onward->xs_want_itup = true;
	}
	for (int i = 0; i < nkeys; i++)
		lookup->from[i].sk_argument = lookup->sought[i];
	index_rescan(lookup->onward, lookup->from, nkeys, NULL, 0);
	step(lookup, nkeys);
}

/*
 * As row_find(), of a key of one or two columns; best for many of them in
 * ascending order, of which the first column stays or is the only one.  Goes on
 * in the index from where it is, so that for keys that lie close together each
 * leaf page is read once; for a single one it reads more than row_find() does.
 * Keys out of order cost more, too.  They must stay until the next one is sought.
 */
TupleTableSlot *
row_find_onward(RowWriter *writer, int number, Datum key1, Datum key2)
{
	Lookup	   *lookup = &writer->lookups[number];
	int			nkeys = writer->table->lookups[number].ncolumns;
	Datum		key[] = {key1, key2};
	bool		onward = lookup->onward != NULL && compare_keys(lookup, nkeys, key, lookup->sought) > 0
		&& (nkeys == 1 || compare_keys(lookup, 1, key, lookup->sought) == 0);

	lookup->goes_onward = true;
	memcpy(lookup->sought, key, sizeof(key));
	for (int i = 0; onward && i < MAX_STEPS && !lookup->at_end && compare_keys(lookup, nkeys, lookup->at, key) < 0; i++)
		step(lookup, nkeys);
	if (!onward || (!lookup->at_end && compare_keys(lookup, nkeys, lookup->at, key) < 0))
		descend(writer, lookup, nkeys);
	return row_next(writer, number);
}

/*
 * Which of the two is best for n keys of texts, from all over the table: only
 * where about each of its pages has one of them is it cheaper to read on.
 */
RowFind
row_find_many(RowWriter *writer, int n)
{
	return n >= ROWS_ONWARD && n >= RelationGetNumberOfBlocks(writer->rel) ? row_find_onward : row_find;
}

TupleTableSlot *
row_next(RowWriter *writer, int number)
{
	Lookup	   *lookup = &writer->lookups[number];
	int			nkeys = writer->table->lookups[number].ncolumns;
	bool		found = false;

	if (!lookup->goes_onward)
		return index_getnext_slot(lookup->scan, ForwardScanDirection, lookup->row) ? lookup->row : NULL;
	while (!found && !lookup->at_end && compare_keys(lookup, nkeys, lookup->at, lookup->sought) == 0)
	{
		found = index_fetch_heap(lookup->onward, lookup->row);
		step(lookup, nkeys);
	}
	return found ? lookup->row : NULL;
}

Datum
row_value(RowWriter *writer, TupleTableSlot *row, int column, bool *isnull)
{
	bool		null;

	return slot_getattr(row, writer->columns[column], isnull != NULL ? isnull : &null);
}
