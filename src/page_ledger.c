/*
 * page_ledger.c
 *		Which pages of a table still hold what was once copied from them.
 *
 * A copy is made of pages that the visibility map calls all-visible, so it is
 * true for every snapshot.  Later, a page of which this ledger says nothing
 * still holds what was copied, as far as the active snapshot can see; all
 * others are dirty, and are to be read with the ordinary check of visibility.
 *
 * The facts it rests on, read in src/backend/access/heap of PostgreSQL 15.18,
 * 16.2, 17.4 and 18.6 (of 17.12 what is said of it was tried):
 *
 * 1. A set bit is true for every snapshot there is.  vacuumlazy.c sets it
 *    (lazy_scan_prune, lazy_vacuum_heap_page, empty pages: the page locked) if
 *    every row's xmin precedes OldestXmin, the horizon of all snapshots of the
 *    database (GetOldestNonRemovableTransactionId, procarray.c); so do 17 and
 *    18, where heap_page_prune_and_freeze (pruneheap.c) looks, with OldestXmin
 *    and not with the younger horizon that it removes rows by.  Each snapshot,
 *    held, exported or old, holds back as long as it lives, and so does a
 *    prepared transaction.  old_snapshot_threshold (until 16) breaks this: the
 *    caller leaves it out (catalog_pages_readable).  On a standby
 *    heap_xlog_visible (heapam.c; heapam_xlog.c from 18) first resolves the
 *    conflict with older snapshots.  COPY FREEZE (heap_multi_insert) sets it for
 *    rows that are frozen, which every snapshot sees as well; only in a file
 *    that its own subtransaction made, so that an abort takes the file along
 *    (and see 8).
 *    On a standby the page's own PD_ALL_VISIBLE may come ahead of the map's bit
 *    (heapgetpage does not believe it there), so only the map is asked.
 * 2. Who changes a row of an all-visible page clears the bit while he holds
 *    the page's lock, before he can commit: heap_insert, heap_multi_insert,
 *    heap_delete, heap_update (both pages, HOT or not).  They ask the page's
 *    PD_ALL_VISIBLE, which is set where the map's bit is.  That the insert is
 *    rolled back, speculative or of a subtransaction changes nothing: the bit
 *    stays clear until a vacuum has removed the row.  Replay clears the bit
 *    before it touches the page.  nodeIndexonlyscan.c ("Memory Ordering
 *    Effects") says why a reader who took his snapshot first and then looks at
 *    the bit misses no change that the snapshot sees; here the map's page is
 *    locked, too.  heap_lock_tuple leaves the rows and this bit as they are.
 * 3. A bit is set by visibilitymap_set alone, by a record of its own (for
 *    all-frozen, too; the records of 17 that prune and freeze at once,
 *    XLOG_HEAP2_PRUNE_*, set none), and it moves the map page's LSN, whatever
 *    the heap page logs, in replay, too.  So where that LSN is what it was, no
 *    bit was set since, and a bit that is set now has been set all the time: by
 *    2 and 8 the page was not changed.  Clearing need not move the LSN, and
 *    does not in 15.18, 16.2 and 17.4.  Releases that log the map's page with
 *    the change (visibilitymap_clear_locked: 18.6; 17.12 as well) move it when
 *    a row of an all-visible page is changed, or the first of an all-frozen
 *    page is locked, which costs another look at the pages.
 * 4. Every change of a page's rows moves the page's LSN, pruning
 *    (heap_page_prune, log_heap_prune_and_freeze) and freezing too, so where
 *    that is what it was, the rows are.  Setting the bit moves it only with
 *    checksums or wal_log_hints (XLogHintBitIsNeeded), and so may a hint bit;
 *    the page is then read for nothing.
 * 5. 3 and 4 hold for tables that are logged.  Those made or rewritten in this
 *    transaction with wal_level = minimal are not (RelationNeedsWAL, which
 *    parallel workers answer alike): ledger_possible() leaves them out.  No
 *    other session sees such a file; when the transaction has ended, all
 *    changes are logged.
 * 6. Cutting off a table's end clears the bits of what was cut off
 *    (visibilitymap_prepare_truncate), and pg_truncate_visibility_map all: the
 *    map gets empty pages again, whose bits come with LSNs by 3.  Both hold off
 *    readers by an exclusive lock, which a standby takes as well.
 * 7. A rewrite (TRUNCATE, VACUUM FULL, CLUSTER, ALTER TABLE) makes another
 *    file.  With wal_level = minimal neither its pages nor its map need have
 *    LSNs, so the number alone tells them apart (the test shows it); it comes
 *    back after four billion others at the earliest.
 * 8. To 2 there is one exception: COPY FREEZE adds frozen rows to a page that
 *    is all-visible already and leaves the bit as it is (heap_multi_insert).
 *    As it takes no other file than one that its own subtransaction made, the
 *    ledger is of no file that this transaction made.  A parallel worker does
 *    not know which these are, but no COPY runs while it lives.
 * 9. A standby does all of this in the primary's order (heap_xlog_*, heapam.c).
 *    A bit is set after the conflict with older snapshots is resolved, and the
 *    wait is for the end of their transactions (GetConflictingVirtualXIDs,
 *    VirtualXactLock), imported and parallel ones as well.  Records without a
 *    horizon set bits of pages that are empty or frozen, and freezing has
 *    resolved that conflict itself.  A full-page image of the map holds no bit
 *    that has no earlier record: bit and record are made under the lock of the
 *    map's page.  It may lack bits whose clearing is logged later, which does no
 *    harm, and it moves the LSN like any replay.  Whether a snapshot taken
 *    in recovery lost sight of subtransactions (suboverflowed) matters only to
 *    dirty pages, which HeapTupleSatisfiesVisibility reads.  Hint bits that a
 *    standby sets move no LSN (MarkBufferDirtyHint), and the index's killed
 *    entries are not read here.  Snapshots taken in recovery outlive a promotion:
 *    they hold back the horizon of the new primary like all others
 *    (ComputeXidHorizons).
 *
 * LSNs never go back in the life of a backend: crashes end it, a promotion
 * goes on from what was replayed, and so does a standby whose primary changes.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/transam.h"
#include "access/visibilitymap.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"

#include "broken.h"
#include "page_ledger.h"

/* As visibilitymap.c has it: two bits a page, and nothing but a page header beside them. */
#define MAP_BYTES (BLCKSZ - MAXALIGN(SizeOfPageHeaderData))
#define MAP_PAGES (MAP_BYTES * 4)	/* of the table, in one page of the map */
#define ALL_VISIBLE_BITS 0x55

#define image_byte(ledger, block) (&(ledger)->image[(block) / MAP_PAGES * MAP_BYTES + (block) % MAP_PAGES / 4])
#define block_bit(block) (VISIBILITYMAP_ALL_VISIBLE << (block) % 4 * 2)

/*
 * May a ledger of the table, as its file is now, be begun and asked (facts 5 and 8)?
 */
bool
ledger_possible(Relation table)
{
	return RelationNeedsWAL(table)
		&& table->rd_createSubid == InvalidSubTransactionId
		&& table->rd_firstRelfilelocatorSubid == InvalidSubTransactionId;
}

/* How many pages may be dirty before other sources of the graph are faster. */
uint32
ledger_max_dirty(BlockNumber nblocks)
{
	return nblocks / 8 + 256;
}

/*
 * A page of the visibility map as it is now, bits and LSN of one moment; a
 * page that is not there has no bits.
 */
static XLogRecPtr
read_map(Relation table, int map, PGAlignedBlock *copy)
{
	Buffer		buffer = InvalidBuffer;
	XLogRecPtr	lsn;

	/* the one way to pin a page of the map without making it */
	(void) visibilitymap_get_status(table, (BlockNumber) map * MAP_PAGES, &buffer);
	if (!BufferIsValid(buffer))
	{
		memset(copy->data, 0, BLCKSZ);
		return InvalidXLogRecPtr;
	}
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	lsn = BufferGetLSNAtomic(buffer);
	memcpy(copy->data, PageGetContents(BufferGetPage(buffer)), MAP_BYTES);
	UnlockReleaseBuffer(buffer);
	return lsn;
}

/*
 * Begins a ledger of a table in the current memory context, with no page taken.
 */
void
ledger_begin(PageLedger *ledger, Relation table)
{
	PGAlignedBlock copy;

	ledger->file = table->rd_locator;
	ledger->nblocks = RelationGetNumberOfBlocks(table);
	ledger->ntaken = 0;
	ledger->nmaps = ((uint64) ledger->nblocks + MAP_PAGES - 1) / MAP_PAGES;
	ledger->page_lsns = palloc_extended(Max(ledger->nblocks, 1) * sizeof(XLogRecPtr), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	ledger->map_lsns = palloc(Max(ledger->nmaps, 1) * sizeof(XLogRecPtr));
	ledger->image = palloc0(Max(ledger->nmaps, 1) * MAP_BYTES);
	/* before any page is read, so that no bit is set unseen in between */
	for (int map = 0; map < ledger->nmaps; map++)
		ledger->map_lsns[map] = read_map(table, map, &copy);
}

/* What is stored of a ledger before the LSNs of pages, those of the map and its bits. */
typedef struct StoredLedger
{
	RelFileLocator file;
	BlockNumber nblocks;
	BlockNumber ntaken;
	int			nmaps;
} StoredLedger;

#define STORED_HEAD MAXALIGN(sizeof(StoredLedger))

/*
 * How many bytes ledger_store() writes.
 */
Size
ledger_size(const PageLedger *ledger)
{
	return STORED_HEAD + ledger->nblocks * sizeof(XLogRecPtr) + ledger->nmaps * (sizeof(XLogRecPtr) + MAP_BYTES);
}

/*
 * How many bytes ledger_load() takes.
 */
Size
ledger_loaded_size(const PageLedger *ledger)
{
	return ledger->nmaps * (sizeof(XLogRecPtr) + MAP_BYTES) + ledger->nblocks * sizeof(Buffer);
}

/*
 * Writes a ledger to a place that is aligned.
 */
void
ledger_store(const PageLedger *ledger, char *to)
{
	StoredLedger head = {ledger->file, ledger->nblocks, ledger->ntaken, ledger->nmaps};

	memcpy(to, &head, sizeof(head));
	to += STORED_HEAD;
	memcpy(to, ledger->page_lsns, ledger->nblocks * sizeof(XLogRecPtr));
	to += ledger->nblocks * sizeof(XLogRecPtr);
	memcpy(to, ledger->map_lsns, ledger->nmaps * sizeof(XLogRecPtr));
	to += ledger->nmaps * sizeof(XLogRecPtr);
	memcpy(to, ledger->image, ledger->nmaps * MAP_BYTES);
}

/*
 * Makes a ledger as it was stored, in the current memory context.  The pages'
 * LSNs, which are many and do not change, stay where they are; what is learned
 * later is written to a copy.
 */
void
ledger_load(PageLedger *ledger, const char *from)
{
	const StoredLedger *head = (const StoredLedger *) from;

	ledger->file = head->file;
	ledger->nblocks = head->nblocks;
	ledger->ntaken = head->ntaken;
	ledger->nmaps = head->nmaps;
	from += STORED_HEAD;
	ledger->page_lsns = (XLogRecPtr *) from;
	from += ledger->nblocks * sizeof(XLogRecPtr);
	ledger->map_lsns = palloc(Max(ledger->nmaps, 1) * sizeof(XLogRecPtr));
	memcpy(ledger->map_lsns, from, ledger->nmaps * sizeof(XLogRecPtr));
	from += ledger->nmaps * sizeof(XLogRecPtr);
	ledger->image = palloc(Max(ledger->nmaps, 1) * MAP_BYTES);
	memcpy(ledger->image, from, ledger->nmaps * MAP_BYTES);
	ledger->recent = palloc_extended(Max(ledger->nblocks, 1) * sizeof(Buffer), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

static void
note_xid(PageState *state, TransactionId xid)
{
	if (TransactionIdIsNormal(xid)
		&& (!TransactionIdIsValid(state->newest) || TransactionIdFollows(xid, state->newest)))
		state->newest = xid;
}

/* Who made and deleted a row, be it seen or not. */
static void
note_xids(PageState *state, HeapTupleHeader row)
{
	note_xid(state, HeapTupleHeaderGetXmin(row));
	if (row->t_infomask & HEAP_MOVED)
		state->plain = false;
	if ((row->t_infomask & HEAP_XMAX_INVALID) || HEAP_XMAX_IS_LOCKED_ONLY(row->t_infomask))
		return;
	if (row->t_infomask & HEAP_XMAX_IS_MULTI)
		state->plain = false;
	else
		note_xid(state, HeapTupleHeaderGetRawXmax(row));
}

/* Gives the sink the rows of a locked page; snapshot NULL: the page is all-visible, and there is no state. */
static void
page_rows(Relation table, Buffer buffer, Snapshot snapshot, PageRowSink sink, void *arg, PageState *state)
{
	Page		page = BufferGetPage(buffer);
	OffsetNumber last = PageGetMaxOffsetNumber(page);
	HeapTupleData tuple = {.t_tableOid = RelationGetRelid(table)};

	for (OffsetNumber item = FirstOffsetNumber; item <= last; item = OffsetNumberNext(item))
	{
		ItemId		id = PageGetItemId(page, item);

		if (!ItemIdIsNormal(id))
			continue;
		tuple.t_data = (HeapTupleHeader) PageGetItem(page, id);
		tuple.t_len = ItemIdGetLength(id);
		ItemPointerSet(&tuple.t_self, BufferGetBlockNumber(buffer), item);
		if (snapshot != NULL)
			note_xids(state, tuple.t_data);
		if (snapshot == NULL || HeapTupleSatisfiesVisibility(&tuple, snapshot, buffer))
			sink(arg, &tuple);
	}
}

/*
 * Gives the sink the rows of a page and takes it into the ledger, if it is
 * all-visible.
 */
static void
take_page(PageLedger *ledger, Relation table, BlockNumber block, Buffer *vmbuffer,
		  BufferAccessStrategy strategy, PageRowSink sink, void *arg)
{
	Buffer		buffer;

	if (!VM_ALL_VISIBLE(table, block, vmbuffer))
		return;
	buffer = ReadBufferExtended(table, MAIN_FORKNUM, block, RBM_NORMAL, strategy);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	/* whoever changes the page now waits, and who did before has cleared the bit */
	if (VM_ALL_VISIBLE(table, block, vmbuffer))
	{
		ledger->page_lsns[block] = BufferGetLSNAtomic(buffer);
		page_rows(table, buffer, NULL, sink, arg, NULL);
		*image_byte(ledger, block) |= block_bit(block);
		ledger->ntaken++;
	}
	UnlockReleaseBuffer(buffer);
}

/*
 * Takes every page that is all-visible; a large table does not drive others
 * out of the buffers.  The sink counts rows in nrows, of which starts gets the
 * first of each page and the end, and sets refused where it will have no more.
 * False: refused, or too many pages are dirty.  Can be cancelled.
 */
bool
ledger_take_all(PageLedger *ledger, Relation table, PageRowSink sink, void *arg,
				const Size *nrows, uint32 *starts, const char *const *refused)
{
	BufferAccessStrategy strategy = ledger->nblocks > NBuffers / 4 ? GetAccessStrategy(BAS_BULKREAD) : NULL;
	Buffer		vmbuffer = InvalidBuffer;

	for (BlockNumber block = 0; block < ledger->nblocks && *refused == NULL; block++)
	{
		CHECK_FOR_INTERRUPTS();
		starts[block] = *nrows;
		take_page(ledger, table, block, &vmbuffer, strategy, sink, arg);
	}
	starts[ledger->nblocks] = *nrows;
	if (BufferIsValid(vmbuffer))
		ReleaseBuffer(vmbuffer);
	if (strategy != NULL)
		FreeAccessStrategy(strategy);
	return *refused == NULL && ledger->nblocks - ledger->ntaken <= ledger_max_dirty(ledger->nblocks);
}

/*
 * Gives the sink the rows of a page that the snapshot sees, and the page's
 * state, whose LSN is that from before any hint bit was set on the way.
 */
void
ledger_read(Relation table, BlockNumber block, Snapshot snapshot, PageRowSink sink, void *arg, PageState *state)
{
	Buffer		buffer;

	CHECK_FOR_INTERRUPTS();
	buffer = ReadBuffer(table, block);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	*state = (PageState) {BufferGetLSNAtomic(buffer), InvalidTransactionId, true};
	page_rows(table, buffer, snapshot, sink, arg, state);
	UnlockReleaseBuffer(buffer);
}

/*
 * A page's LSN, found where the page was last.  It is read without the page's
 * lock: a change that the snapshot sees was committed before the snapshot was
 * taken, and its LSN was there before that; another's may be missed, or be seen
 * by half, as it changes nothing for this snapshot.  So it is with a bit of the
 * map that was seen set: what was done to the page before that has left its LSN,
 * and what is done later clears the bit.
 */
XLogRecPtr
ledger_page_lsn(Relation table, BlockNumber block, Buffer *recent)
{
	XLogRecPtr	lsn;

	if (!BufferIsValid(*recent) || !ReadRecentBuffer(table->rd_locator, MAIN_FORKNUM, block, *recent))
		*recent = ReadBuffer(table, block);
	lsn = PageGetLSN(BufferGetPage(*recent));
	ReleaseBuffer(*recent);
	return lsn;
}

/*
 * Bits of the map have been set: gives up the pages that were changed before.
 * Pages whose bits are clear are dirty as it is, and will come by here again.
 */
static void
look_at_pages(PageLedger *ledger, Relation table, BlockNumber nblocks, int map, const PGAlignedBlock *bits)
{
	BlockNumber first = (BlockNumber) map * MAP_PAGES;
	BlockNumber last = Min((uint64) first + MAP_PAGES, ledger->nblocks);

	for (BlockNumber block = first; block < last; block++)
	{
		Buffer	   *recent = &ledger->recent[block];

		if (block % 1024 == 0)
			CHECK_FOR_INTERRUPTS();
		if (block + PAGES_AHEAD < last && BufferIsValid(recent[PAGES_AHEAD]))
			__builtin_prefetch(BufferGetPage(recent[PAGES_AHEAD]));
		if (!(*image_byte(ledger, block) & (uint8) bits->data[(block - first) / 4] & block_bit(block)))
			continue;
		if (block >= nblocks
			|| (ledger_page_lsn(table, block, recent) != ledger->page_lsns[block] && !BROKEN(PAGE_LSN)))
		{
			*image_byte(ledger, block) &= ~block_bit(block);
			ledger->ntaken--;
		}
	}
}

static bool
add_dirty(DirtyPages *dirty, BlockNumber block, bool foldable, uint32 max)
{
	if (dirty->nblocks == max)
		return false;
	if (dirty->blocks == NULL)
		dirty->blocks = palloc_extended(max * sizeof(BlockNumber), MCXT_ALLOC_HUGE);
	dirty->blocks[dirty->nblocks++] = block;
	dirty->nfoldable += foldable;
	return true;
}

/* The pages of a map's range that are not both taken and all-visible still. */
static bool
dirty_pages(PageLedger *ledger, int map, const PGAlignedBlock *bits, DirtyPages *dirty, uint32 max)
{
	static const uint8 all = ALL_VISIBLE_BITS;
	BlockNumber first = (BlockNumber) map * MAP_PAGES;
	BlockNumber last = Min((uint64) first + MAP_PAGES, ledger->nblocks);
	const uint8 *image = image_byte(ledger, first);
	uint64		all_word;

	memset(&all_word, all, sizeof(all_word));
	for (BlockNumber block = first; block < last;)
	{
		int			i = (block - first) / 4;
		uint8		here = (uint8) bits->data[i];

		if (BROKEN(IMAGE))
			here = all;
		if (block % 32 == 0 && last - block >= 32 && !BROKEN(IMAGE))
		{
			uint64		taken;
			uint64		visible;

			memcpy(&taken, image + i, sizeof(taken));
			memcpy(&visible, bits->data + i, sizeof(visible));
			if ((taken & visible & all_word) == all_word)
			{
				block += 32;
				continue;
			}
		}
		if (!(image[i] & here & block_bit(block)) && !add_dirty(dirty, block, here & block_bit(block), max))
			return false;
		block++;
	}
	return true;
}

/*
 * Finds the pages of the table, which has so many now, that may not hold what
 * was copied.  To be called after the snapshot was taken that will read them;
 * the table is locked and needs WAL.  The list is allocated in the current
 * memory context.  Where a vacuum has been at work, all pages that it may have
 * touched have to be looked at once, if the caller allows it.
 */
LedgerAnswer
ledger_check(PageLedger *ledger, Relation table, BlockNumber nblocks, bool may_look, DirtyPages *dirty)
{
	uint32		max = ledger_max_dirty(ledger->nblocks);
	PGAlignedBlock bits;

	memset(dirty, 0, sizeof(DirtyPages));
	if (!RelFileLocatorEquals(ledger->file, table->rd_locator) && !BROKEN(FILE))
		return LEDGER_OTHER_FILE;
	for (int map = 0; map < ledger->nmaps; map++)
	{
		XLogRecPtr	lsn = read_map(table, map, &bits);

		if (lsn != ledger->map_lsns[map] && !BROKEN(MAP_LSN))
		{
			if (!may_look)
				return LEDGER_MOVED;
			look_at_pages(ledger, table, nblocks, map, &bits);
			ledger->map_lsns[map] = lsn;
		}
		if (!dirty_pages(ledger, map, &bits, dirty, max))
			return LEDGER_TOO_DIRTY;
	}
	for (BlockNumber block = ledger->nblocks; block < nblocks && !BROKEN(BEYOND); block++)
		if (!add_dirty(dirty, block, true, max))
			return LEDGER_TOO_DIRTY;
	return LEDGER_CHECKED;
}
