/*
 * row_pages.c
 *		A table's rows by keys of an index, each seen as the active snapshot sees it.
 *
 * Joins the index's leaf pages (btree_pages.c) with the table: which entries
 * are rows that the snapshot sees, and what is in them.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/visibilitymap.h"
#include "executor/executor.h"
#include "storage/bufmgr.h"
#include "utils/snapmgr.h"

#include "catalog.h"
#include "compat.h"
#include "row_pages.h"

struct RowPages
{
	Relation	table;
	Relation	index;
	BtreePages *pages;
	Snapshot	snapshot;

	/* rows that the snapshot has to be asked about */
	IndexFetchTableData *fetch;
	TupleTableSlot *fetched;

	/* what the visibility map said, for the entries of one leaf page */
	Buffer		vmbuffer;
	BlockNumber block;
	bool		all_visible;

	/* rows of all-visible pages; the page that was read last stays pinned */
	Buffer		buffer;
	BlockNumber buffer_block;
	HeapTupleData tuple;
	TupleTableSlot *direct;

	PageSink	sink;
	void	   *arg;
};

/*
 * Begins reading a table of the registry under the active snapshot, which must
 * stay active, by an index that begins with these columns, of which the first
 * is the key; NULL where its pages may not be read by this user and statement,
 * or where no index serves.  Allocates in the current memory context.  Raises
 * 55000 where the table is missing.
 */
RowPages *
row_pages_begin(const char *relname, const char *const *columns, int ncolumns, PagePayload payload)
{
	Relation	table = catalog_open(relname);
	Relation	index = NULL;
	RowPages   *rows;

	if (catalog_pages_readable(table))
	{
		AttrNumber	numbers[INDEX_MAX_KEYS];

		for (int i = 0; i < ncolumns; i++)
			numbers[i] = catalog_attnum(table, columns[i]);
		index = catalog_open_index(table, numbers, ncolumns);
	}
	if (index == NULL)
	{
		table_close(table, NoLock);
		return NULL;
	}

	rows = palloc0(sizeof(RowPages));
	rows->table = table;
	rows->index = index;
	rows->pages = btree_pages_begin(index, payload);
	rows->snapshot = RegisterSnapshot(GetActiveSnapshot());
	rows->fetch = table_index_fetch_begin(table);
	rows->fetched = table_slot_create(table, NULL);
	rows->direct = MakeSingleTupleTableSlot(RelationGetDescr(table), &TTSOpsHeapTuple);
	rows->tuple.t_tableOid = RelationGetRelid(table);
	rows->vmbuffer = InvalidBuffer;
	rows->buffer = InvalidBuffer;
	rows->buffer_block = InvalidBlockNumber;
	return rows;
}

void
row_pages_end(RowPages *rows)
{
	ExecDropSingleTupleTableSlot(rows->direct);
	ExecDropSingleTupleTableSlot(rows->fetched);
	table_index_fetch_end(rows->fetch);
	if (BufferIsValid(rows->buffer))
		ReleaseBuffer(rows->buffer);
	if (BufferIsValid(rows->vmbuffer))
		ReleaseBuffer(rows->vmbuffer);
	UnregisterSnapshot(rows->snapshot);
	btree_pages_end(rows->pages);
	index_close(rows->index, NoLock);
	table_close(rows->table, NoLock);
	pfree(rows);
}

Relation
row_pages_table(RowPages *rows)
{
	return rows->table;
}

/* What the visibility map said holds for the page's entries and no longer. */
static void
next_page(void *arg, const PageEntry *entries, int nentries)
{
	RowPages   *rows = arg;

	rows->block = InvalidBlockNumber;
	rows->sink(rows->arg, entries, nentries);
}

/*
 * Gives the sink the entries of the keys, visible or not, a leaf page at a time.
 */
void
row_pages_read(RowPages *rows, KeySet *keys, PageSink sink, void *arg)
{
	rows->sink = sink;
	rows->arg = arg;
	btree_pages_read(rows->pages, keys, next_page, rows);
}

/*
 * Is the entry's row on a page that is all-visible?  As in
 * nodeIndexonlyscan.c, the visibility map is asked after the entry was read and
 * before its page is unpinned.  If the bit is set then, the page has no row
 * that any snapshot of now could not see.
 */
static bool
on_visible_page(RowPages *rows, const PageEntry *entry)
{
	BlockNumber block = ItemPointerGetBlockNumber(&entry->tid);

	if (block != rows->block)
	{
		rows->block = block;
		rows->all_visible = VM_ALL_VISIBLE(rows->table, block, &rows->vmbuffer);
	}
	return rows->all_visible;
}

static bool
ask_snapshot(RowPages *rows, const PageEntry *entry)
{
	ItemPointerData tid = entry->tid;
	bool		call_again = false;

	return table_index_fetch_tuple(rows->fetch, &tid, rows->snapshot, rows->fetched, &call_again, NULL);
}

/*
 * Does the snapshot see the entry's row?  To be called from within the sink.
 */
bool
row_pages_visible(RowPages *rows, const PageEntry *entry)
{
	return on_visible_page(rows, entry) || ask_snapshot(rows, entry);
}

/*
 * The row of an entry on an all-visible page.  Its versions of old have been
 * pruned, so a line pointer leads to it at once or by one redirection.  It is
 * read without the page's lock: while the page is pinned nobody can move it,
 * what an update of now writes into it is the header alone, and the version
 * that was visible to all is not pruned as long as this snapshot is there.
 */
static TupleTableSlot *
direct_row(RowPages *rows, const PageEntry *entry)
{
	Page		page;
	ItemId		item;

	if (rows->buffer_block != ItemPointerGetBlockNumber(&entry->tid))
	{
		rows->buffer_block = ItemPointerGetBlockNumber(&entry->tid);
		rows->buffer = ReleaseAndReadBuffer(rows->buffer, rows->table, rows->buffer_block);
	}
	page = BufferGetPage(rows->buffer);
	item = PageGetItemId(page, ItemPointerGetOffsetNumber(&entry->tid));
	if (ItemIdIsRedirected(item))
		item = PageGetItemId(page, ItemIdGetRedirect(item));
	if (!ItemIdIsNormal(item))
		elog(ERROR, "index \"%s\" points to no row of an all-visible page: block %u, item %u",
			 RelationGetRelationName(rows->index), ItemPointerGetBlockNumber(&entry->tid),
			 ItemPointerGetOffsetNumber(&entry->tid));
	rows->tuple.t_data = (HeapTupleHeader) PageGetItem(page, item);
	rows->tuple.t_len = ItemIdGetLength(item);
	rows->tuple.t_self = entry->tid;
	return ExecStoreHeapTuple(&rows->tuple, rows->direct, false);
}

/*
 * The row of an entry, valid until the next call; NULL if the snapshot sees
 * none.  To be called from within the sink.
 */
TupleTableSlot *
row_pages_fetch(RowPages *rows, const PageEntry *entry)
{
	if (on_visible_page(rows, entry))
		return direct_row(rows, entry);
	return ask_snapshot(rows, entry) ? rows->fetched : NULL;
}
