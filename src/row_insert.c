/*
 * row_insert.c
 *		Many rows of one of the registry's tables, inserted at once without SQL.
 *
 * Pages of the table are filled one after the other, with one record of WAL for
 * each, and then each index gets its entries in its own order, so that most of
 * them go to a page that the processor has just had in its cache.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/nbtree.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/pg_am.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/tuplesort.h"

#include "compat.h"
#include "row_writer_parts.h"

#define CHUNK_ROWS 1000

/* so many make plans out of date: see assetreg_forget_plans() */
#define MANY_ROWS 1000

typedef struct Insertion
{
	RowWriter  *writer;
	int			nindexes;
	Tuplesortstate **entries;	/* of each index */
} Insertion;

/*
 * Is there nothing about the indexes but their columns and their order?
 */
static bool
indexes_are_plain(RowWriter *writer)
{
	for (int i = 0; i < writer->info->ri_NumIndices; i++)
	{
		Relation	index = writer->info->ri_IndexRelationDescs[i];
		IndexInfo  *info = writer->info->ri_IndexRelationInfo[i];

		if (index->rd_rel->relam != BTREE_AM_OID || !index->rd_index->indimmediate || !info->ii_ReadyForInserts
			|| info->ii_Expressions != NIL || info->ii_Predicate != NIL || info->ii_ExclusionOps != NULL)
			return false;
	}
	return true;
}

static void
begin(Insertion *insertion, RowWriter *writer)
{
	insertion->writer = writer;
	insertion->nindexes = writer->info->ri_NumIndices;
	insertion->entries = palloc(insertion->nindexes * sizeof(Tuplesortstate *));
	for (int i = 0; i < insertion->nindexes; i++)
		insertion->entries[i] = tuplesort_begin_index_btree(writer->rel, writer->info->ri_IndexRelationDescs[i], false, false,
															maintenance_work_mem / insertion->nindexes, NULL, TUPLESORT_NONE);
}

static void
insert_chunk(Insertion *insertion, TupleTableSlot **slots, int n)
{
	RowWriter  *writer = insertion->writer;
	Datum		values[INDEX_MAX_KEYS];
	bool		nulls[INDEX_MAX_KEYS];

	table_multi_insert(writer->rel, slots, n, GetCurrentCommandId(true), 0, NULL);
	for (int row = 0; row < n; row++)
		for (int i = 0; i < insertion->nindexes; i++)
		{
			FormIndexDatum(writer->info->ri_IndexRelationInfo[i], slots[row], writer->estate, values, nulls);
			tuplesort_putindextuplevalues(insertion->entries[i], writer->info->ri_IndexRelationDescs[i], &slots[row]->tts_tid, values, nulls);
		}
}

static void
insert_rows(Insertion *insertion, int n, RowValues fill, void *arg)
{
	RowWriter  *writer = insertion->writer;
	int			nslots = Min(n, CHUNK_ROWS);
	TupleTableSlot **slots = palloc(nslots * sizeof(TupleTableSlot *));
	MemoryContext chunk = AllocSetContextCreate(CurrentMemoryContext, "assetreg rows to insert", ALLOCSET_DEFAULT_SIZES);
	Datum		values[ROW_MAX_COLUMNS];
	bool		nulls[ROW_MAX_COLUMNS];

	for (int i = 0; i < nslots; i++)
		slots[i] = MakeSingleTupleTableSlot(writer->row->tts_tupleDescriptor, table_slot_callbacks(writer->rel));
	for (int done = 0; done < n; done += nslots)
	{
		MemoryContext caller = MemoryContextSwitchTo(chunk);

		CHECK_FOR_INTERRUPTS();
		nslots = Min(nslots, n - done);
		for (int i = 0; i < nslots; i++)
		{
			memset(nulls, false, sizeof(nulls));
			fill(arg, done + i, values, nulls);
			row_store(writer, slots[i], values, nulls);
		}
		insert_chunk(insertion, slots, nslots);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(chunk);
	}
	for (int i = 0; i < Min(n, CHUNK_ROWS); i++)
		ExecDropSingleTupleTableSlot(slots[i]);
	MemoryContextDelete(chunk);
}

static void
fill_index(Insertion *insertion, int i)
{
	RowWriter  *writer = insertion->writer;
	Relation	index = writer->info->ri_IndexRelationDescs[i];
	IndexUniqueCheck check = index->rd_index->indisunique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO;
	MemoryContext caller = CurrentMemoryContext;
	IndexTuple	entry;

	tuplesort_performsort(insertion->entries[i]);
	while ((entry = tuplesort_getindextuple(insertion->entries[i], true)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(GetPerTupleMemoryContext(writer->estate));
		_bt_doinsert(index, entry, check, false, writer->rel);	/* index_insert() would make the entry once more */
		MemoryContextSwitchTo(caller);
		ResetPerTupleExprContext(writer->estate);
	}
	tuplesort_end(insertion->entries[i]);
}

static void
insert_all(RowWriter *writer, int n, RowValues fill, void *arg)
{
	Insertion	insertion;

	begin(&insertion, writer);
	insert_rows(&insertion, n, fill, arg);
	for (int i = 0; i < insertion.nindexes; i++)
		fill_index(&insertion, i);
	if (n >= MANY_ROWS)
		CacheInvalidateRelcache(writer->rel);
}

/*
 * Inserts n rows; fill() gives the values of each, in the order of the columns of
 * the RowTable.  False: nothing was done, as one of them collides with another's
 * unique key, or an index is of another kind; then rows are to be inserted one
 * by one.  In a subtransaction, so that whoever decodes the WAL never sees what
 * collided.
 */
bool
row_insert_many(RowWriter *writer, int n, RowValues fill, void *arg)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	Assert(!writer->table->fires);
	row_open_indexes(writer);
	if (!indexes_are_plain(writer))
		return false;
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		insert_all(writer, n, fill, arg);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	if (error == NULL)
		return true;
	if (error->sqlerrcode != ERRCODE_UNIQUE_VIOLATION)
		ReThrowError(error);	/* whoever catches it takes only his own subtransaction back */
	FreeErrorData(error);
	return false;
}
