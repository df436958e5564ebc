/*
 * row_writer.c
 *		Rows of the registry's tables, found by an index and changed without SQL.
 *
 * A statement of one row costs the executor more to begin and to end than to
 * run, and tracking needs several for each statement of the studio.  Here is
 * what these statements come down to, by the same functions of the server that
 * apply a subscription's changes: constraints are checked, all indexes kept,
 * and a row that another transaction holds is waited for.  What a table needs
 * for that is kept for the session.
 *
 * Only tables that are as setup() made them are written here; with a column, a
 * rule or a policy more they are left to SQL.  Triggers do not fire, unless for
 * inserted rows where the table says so; statement triggers never do.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/nbtree.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "catalog.h"
#include "compat.h"
#include "row_writer_parts.h"

static List *writers = NIL;		/* in TopMemoryContext */

static void
forget(Datum arg, Oid relid)
{
	ListCell   *cell;

	foreach(cell, writers)
	{
		RowWriter  *writer = lfirst(cell);

		if (relid == InvalidOid || relid == writer->relid)
			writer->valid = false;
	}
}

/*
 * The writer of a table, perhaps still without anything in it.
 */
static RowWriter *
writer_for(const RowTable *table)
{
	static bool registered = false;
	MemoryContext caller;
	RowWriter  *writer;
	ListCell   *cell;

	foreach(cell, writers)
	{
		writer = lfirst(cell);
		if (writer->table == table)
			return writer;
	}
	if (!registered)
		CacheRegisterRelcacheCallback(forget, (Datum) 0);
	registered = true;
	caller = MemoryContextSwitchTo(TopMemoryContext);
	writer = palloc0(sizeof(RowWriter));
	writer->table = table;
	writers = lappend(writers, writer);
	MemoryContextSwitchTo(caller);
	return writer;
}

/* --- is the table as setup() made it? ----------------------------------------------------------- */

static bool
find_columns(RowWriter *writer)
{
	TupleDesc	desc = RelationGetDescr(writer->rel);
	int			nfound = 0;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		int			column;

		if (attribute->attisdropped)
			continue;
		for (column = 0; column < writer->table->ncolumns; column++)
			if (strcmp(NameStr(attribute->attname), writer->table->columns[column]) == 0)
				break;
		if (column == writer->table->ncolumns)
			return false;
		writer->columns[column] = attribute->attnum;
		nfound++;
	}
	return nfound == writer->table->ncolumns;
}

static bool
index_begins_with(Relation index, const RowWriter *writer, const RowKey *key)
{
	Form_pg_index form = index->rd_index;

	if (index->rd_rel->relam != BTREE_AM_OID || !form->indisvalid || form->indnkeyatts < key->ncolumns
		|| (form->indcheckxmin && !TransactionIdPrecedes(HeapTupleHeaderGetXmin(index->rd_indextuple->t_data), TransactionXmin))
		|| !heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL))
		return false;
	for (int i = 0; i < key->ncolumns; i++)
		if (form->indkey.values[i] != writer->columns[key->columns[i]])
			return false;
	return true;
}

static int
find_index(const RowWriter *writer, const RowKey *key, bool unique)
{
	for (int i = 0; i < writer->info->ri_NumIndices; i++)
	{
		Relation	index = writer->info->ri_IndexRelationDescs[i];

		if (index_begins_with(index, writer, key)
			&& (!unique || (index->rd_index->indisunique && index->rd_index->indimmediate
							&& index->rd_index->indnkeyatts == key->ncolumns)))
			return i;
	}
	return -1;
}

static void
init_key(ScanKey key, Relation index, int i, StrategyNumber strategy)
{
	Oid			operator = get_opfamily_member(index->rd_opfamily[i], index->rd_opcintype[i], index->rd_opcintype[i], strategy);

	ScanKeyEntryInitialize(key, 0, i + 1, strategy, InvalidOid, index->rd_indcollation[i], get_opcode(operator), (Datum) 0);
}

static bool
init_lookup(RowWriter *writer, int number)
{
	const RowKey *key = &writer->table->lookups[number];
	Lookup	   *lookup = &writer->lookups[number];
	Relation	index;

	lookup->index = find_index(writer, key, false);
	if (lookup->index < 0)
		return false;
	index = writer->info->ri_IndexRelationDescs[lookup->index];
	for (int i = 0; i < key->ncolumns; i++)
		init_key(&lookup->keys[i], index, i, BTEqualStrategyNumber);
	for (int i = 0; i < Min(key->ncolumns, 2); i++)
		init_key(&lookup->from[i], index, i, i == key->ncolumns - 1 ? BTGreaterEqualStrategyNumber : BTEqualStrategyNumber);
	return true;
}

static bool
find_indexes(RowWriter *writer)
{
	for (int i = 0; i < writer->table->nlookups; i++)
		if (!init_lookup(writer, i))
			return false;
	if (writer->table->unique.ncolumns > 0)
	{
		int			unique = find_index(writer, &writer->table->unique, true);

		if (unique < 0)
			return false;
		writer->arbiters = list_make1_oid(RelationGetRelid(writer->info->ri_IndexRelationDescs[unique]));
	}
	return true;
}

/*
 * Somebody else's trigger must not be left out.  Foreign keys between the
 * registry's tables are its own.
 */
static bool
only_own_triggers(Relation rel)
{
	Oid			own = RelationGetNamespace(rel);

	for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		Trigger    *trigger = &rel->trigdesc->triggers[i];

		if (trigger->tgisinternal && OidIsValid(trigger->tgconstrrelid) ? get_rel_namespace(trigger->tgconstrrelid) != own
			: get_func_namespace(trigger->tgfoid) != own)
			return false;
	}
	return true;
}

/*
 * Makes what is kept for the session.  Leaves the indexes open.
 */
static void
build(RowWriter *writer)
{
	Form_pg_class form = writer->rel->rd_rel;
	MemoryContext caller;
	TupleDesc	desc;

	if (writer->context != NULL)
		MemoryContextDelete(writer->context);
	writer->context = AllocSetContextCreate(TopMemoryContext, "assetreg row writer", ALLOCSET_SMALL_SIZES);
	caller = MemoryContextSwitchTo(writer->context);
	writer->relid = RelationGetRelid(writer->rel);
	writer->arbiters = NIL;
	memset(writer->lookups, 0, sizeof(writer->lookups));
	writer->estate = CreateExecutorState();
	writer->info = makeNode(ResultRelInfo);
	InitResultRelInfo(writer->info, writer->rel, 0, NULL, 0);
	if (!writer->table->fires)
		writer->info->ri_TrigDesc = NULL;
	ExecOpenIndices(writer->info, true);
	writer->indexes = palloc((writer->info->ri_NumIndices + 1) * sizeof(Oid));
	for (int i = 0; i < writer->info->ri_NumIndices; i++)
		writer->indexes[i] = RelationGetRelid(writer->info->ri_IndexRelationDescs[i]);

	/* a copy: the cache's own is counted by transactions */
	desc = CreateTupleDescCopyConstr(RelationGetDescr(writer->rel));
	writer->row = MakeSingleTupleTableSlot(desc, table_slot_callbacks(writer->rel));
	writer->locked = MakeSingleTupleTableSlot(desc, table_slot_callbacks(writer->rel));
	for (int i = 0; i < writer->table->nlookups; i++)
		writer->lookups[i].row = MakeSingleTupleTableSlot(desc, table_slot_callbacks(writer->rel));

	writer->own_triggers_only = only_own_triggers(writer->rel);
	writer->all_indexes = true;
	writer->usable = form->relkind == RELKIND_RELATION && !form->relhassubclass && !form->relispartition
		&& !form->relforcerowsecurity && writer->rel->rd_rules == NULL
		&& find_columns(writer) && find_indexes(writer);
	MemoryContextSwitchTo(caller);
}

/*
 * Begins writing to a table, as its owner; NULL where that is to be done by
 * SQL.  Not for two at the same time: what a user's index or constraint calls
 * might come here again.
 */
RowWriter *
row_writer_open(const RowTable *table)
{
	RowWriter  *writer = writer_for(table);
	Relation	rel;

	if (writer->in_use)
		return NULL;
	rel = catalog_open_to_write(table->name);
	writer->rel = rel;
	writer->in_use = true;
	if (!writer->valid || writer->relid != RelationGetRelid(rel))
	{
		writer->valid = true;	/* unless it changes meanwhile */
		build(writer);
	}
	else
		writer->info->ri_RelationDesc = rel;
	if (!writer->usable)
	{
		row_writer_close(writer);
		return NULL;
	}
	return writer;
}

void
row_writer_close(RowWriter *writer)
{
	if (writer == NULL)
		return;
	row_look_again(writer);
	ExecClearTuple(writer->row);
	ExecClearTuple(writer->locked);
	for (int i = 0; i < writer->info->ri_NumIndices; i++)
	{
		if (writer->info->ri_IndexRelationDescs[i] != NULL)
			index_close(writer->info->ri_IndexRelationDescs[i], NoLock);
		writer->info->ri_IndexRelationDescs[i] = NULL;
	}
	writer->all_indexes = false;
	table_close(writer->rel, NoLock);
	ResetPerTupleExprContext(writer->estate);
	writer->in_use = false;
}

/*
 * After an error: what was open is closed by whoever handles that, and what is
 * kept here is made anew.
 */
void
row_writer_abandon(RowWriter *writer)
{
	if (writer == NULL)
		return;
	writer->valid = false;
	writer->in_use = false;
}

bool
row_writer_own_triggers_only(RowWriter *writer)
{
	return writer->own_triggers_only;
}

Oid
row_writer_owner(RowWriter *writer)
{
	return writer->rel->rd_rel->relowner;
}

/*
 * What is only looked up and deleted needs one of them, or none.
 */
void
row_open_indexes(RowWriter *writer)
{
	for (int i = 0; !writer->all_indexes && i < writer->info->ri_NumIndices; i++)
		row_index(writer, i);
	writer->all_indexes = true;
}

/* --- writing ------------------------------------------------------------------------------------ */

static void
check_row(RowWriter *writer, TupleTableSlot *row)
{
	row->tts_tableOid = writer->relid;
	if (writer->rel->rd_att->constr != NULL)
		ExecConstraints(writer->info, row, writer->estate);
}

/*
 * Makes a slot a row of the table with these values, in the order of the columns
 * of the RowTable.  Raises what its constraints raise.
 */
void
row_store(RowWriter *writer, TupleTableSlot *row, const Datum *values, const bool *nulls)
{
	ExecClearTuple(row);
	memset(row->tts_isnull, true, row->tts_tupleDescriptor->natts * sizeof(bool));
	for (int i = 0; i < writer->table->ncolumns; i++)
	{
		row->tts_values[writer->columns[i] - 1] = values[i];
		row->tts_isnull[writer->columns[i] - 1] = nulls != NULL && nulls[i];
	}
	ExecStoreVirtualTuple(row);
	check_row(writer, row);
}

/*
 * Inserts a row, given in the order of the columns of the RowTable.  As in SQL,
 * a row with its unique key is an error.
 */
void
row_insert(RowWriter *writer, const Datum *values, const bool *nulls)
{
	row_open_indexes(writer);
	row_store(writer, writer->row, values, nulls);
	table_tuple_insert(writer->rel, writer->row, GetCurrentCommandId(true), 0, NULL);
	ExecInsertIndexTuples(writer->info, writer->row, writer->estate, false, false, NULL, NIL, false);
	if (writer->table->fires)
		ExecARInsertTriggers(writer->estate, writer->info, writer->row, NIL, NULL);
	ResetPerTupleExprContext(writer->estate);
}

/*
 * As the executor does it for ON CONFLICT; but whoever comes here has looked
 * for such a row already, so that is not done again until there was a collision.
 */
static bool
insert_speculatively(RowWriter *writer)
{
	CommandId	command = GetCurrentCommandId(true);

	for (;;)
	{
		ItemPointerData other;
		uint32		token = SpeculativeInsertionLockAcquire(GetCurrentTransactionId());
		bool		collided = false;

		table_tuple_insert_speculative(writer->rel, writer->row, command, 0, NULL, token);
		ExecInsertIndexTuples(writer->info, writer->row, writer->estate, false, true, &collided, writer->arbiters, false);
		table_tuple_complete_speculative(writer->rel, writer->row, token, !collided);
		SpeculativeInsertionLockRelease(GetCurrentTransactionId());
		if (!collided)
			return true;
		CHECK_FOR_INTERRUPTS();
		ItemPointerSetInvalid(&writer->row->tts_tid);
		if (!ExecCheckIndexConstraints(writer->info, writer->row, writer->estate, &other, &writer->row->tts_tid, writer->arbiters))
			return false;
	}
}

/*
 * Inserts a row likewise, where the look-ups have not found it.  False: there is
 * another with its unique key after all, which the active snapshot need not see.
 */
bool
row_insert_unless_there(RowWriter *writer, const Datum *values, const bool *nulls)
{
	bool		inserted;

	Assert(writer->arbiters != NIL && !writer->table->fires);
	row_open_indexes(writer);
	row_store(writer, writer->row, values, nulls);
	inserted = insert_speculatively(writer);
	ResetPerTupleExprContext(writer->estate);
	return inserted;
}

/*
 * Writes a row in place of another.  A lock of this transaction's own is
 * nothing to wait for, and yet only taken account of by who would wait.
 */
static bool
replace_row(RowWriter *writer, ItemPointerData tid, TupleTableSlot *row, bool wait, TU_UpdateIndexes *update_indexes)
{
	TM_FailureData failure;
	LockTupleMode mode;
	TM_Result	result = table_tuple_update(writer->rel, &tid, row, GetCurrentCommandId(true), GetActiveSnapshot(), InvalidSnapshot,
											wait, &failure, &mode, update_indexes);

	if (result == TM_BeingModified && TransactionIdIsCurrentTransactionId(failure.xmax))
		return replace_row(writer, tid, row, true, update_indexes);
	return result == TM_Ok;
}

static bool
update(RowWriter *writer, TupleTableSlot *old, int ncolumns, const int *columns, const Datum *values, const bool *nulls, bool wait)
{
	TupleTableSlot *row = writer->row;
	int			natts = row->tts_tupleDescriptor->natts;
	TU_UpdateIndexes update_indexes;

	CheckCmdReplicaIdentity(writer->rel, CMD_UPDATE);
	ExecClearTuple(row);
	slot_getallattrs(old);
	memcpy(row->tts_values, old->tts_values, natts * sizeof(Datum));
	memcpy(row->tts_isnull, old->tts_isnull, natts * sizeof(bool));
	for (int i = 0; i < ncolumns; i++)
	{
		row->tts_values[writer->columns[columns[i]] - 1] = values[i];
		row->tts_isnull[writer->columns[columns[i]] - 1] = nulls != NULL && nulls[i];
	}
	ExecStoreVirtualTuple(row);
	check_row(writer, row);
	if (!replace_row(writer, old->tts_tid, row, wait, &update_indexes))
		return false;
	if (update_indexes != TU_None)
	{
		row_open_indexes(writer);
		ExecInsertIndexTuples(writer->info, row, writer->estate, true, false, NULL, NIL, update_indexes == TU_Summarizing);
	}
	ResetPerTupleExprContext(writer->estate);
	return true;
}

/*
 * Changes columns of a row that was found or locked.  False: somebody else has
 * changed or deleted it since.
 */
bool
row_update(RowWriter *writer, TupleTableSlot *old, int ncolumns, const int *columns, const Datum *values, const bool *nulls)
{
	return update(writer, old, ncolumns, columns, values, nulls, true);
}

/*
 * Likewise, without waiting.  False: or somebody is about to.
 */
bool
row_update_unless_held(RowWriter *writer, TupleTableSlot *old, int ncolumns, const int *columns, const Datum *values,
					   const bool *nulls)
{
	return update(writer, old, ncolumns, columns, values, nulls, false);
}

/*
 * Locks a row, in its newest version, to the end of the transaction; valid
 * until the next one is.  NULL: it is gone.
 */
TupleTableSlot *
row_lock(RowWriter *writer, ItemPointer tid, LockTupleMode mode)
{
	ItemPointerData at = *tid;
	TM_FailureData failure;
	TM_Result	result = table_tuple_lock(writer->rel, &at, GetActiveSnapshot(), writer->locked, GetCurrentCommandId(true), mode,
										  LockWaitBlock,
										  TUPLE_LOCK_FLAG_LOCK_UPDATE_IN_PROGRESS | TUPLE_LOCK_FLAG_FIND_LAST_VERSION, &failure);

	if (result == TM_Ok)
		return writer->locked;
	if (result != TM_Deleted && result != TM_SelfModified)
		elog(ERROR, "unexpected result %d of locking a row of \"%s\"", (int) result, writer->table->name);
	return NULL;
}

/*
 * Deletes a row, in its newest version.  False: it was gone.
 */
bool
row_delete(RowWriter *writer, ItemPointer tid)
{
	ItemPointerData at = *tid;
	TM_FailureData failure;
	TM_Result	result;

	CheckCmdReplicaIdentity(writer->rel, CMD_DELETE);
	while ((result = table_tuple_delete(writer->rel, &at, GetCurrentCommandId(true), GetActiveSnapshot(), InvalidSnapshot, true,
										&failure, false)) == TM_Updated)
	{
		TupleTableSlot *newest = row_lock(writer, &at, LockTupleExclusive);

		if (newest == NULL)
			return false;
		at = newest->tts_tid;
	}
	return result == TM_Ok;
}
