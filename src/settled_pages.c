/*
 * settled_pages.c
 *		What dirty pages gave, as long as they stay as they were.
 *
 * A page that was changed once is dirty until a vacuum and another copy.  What
 * a snapshot sees of it need not be found out for every question, if
 *
 * 1. the page's LSN is what it was when it was read: then its rows are, and
 *    what says who made and deleted them (fact 4 in page_ledger.c; a row lock
 *    moves the LSN, too, hint bits add only what was known to be so), and
 * 2. every transaction that decides what is seen of it, then and now, precedes
 *    the snapshot's xmin.  XidInMVCCSnapshot (snapmgr.c) calls none of these
 *    running, on a standby as well; none is the snapshot's own, as xmin does
 *    not exceed that (GetSnapshotData, procarray.c), nor one of its
 *    subtransactions, whose numbers are larger still.  So
 *    HeapTupleSatisfiesMVCC asks nothing but whether it committed, which for a
 *    transaction that has ended has one answer for all time.
 *
 * Both are asked each time, so a snapshot that is older than what was kept
 * reads the page itself, and what it reads is kept if 2 holds for it.
 *
 * Where all dirty pages are as they were for the question before, not even what
 * they gave need be put together again.
 *
 * Numbers of transactions that wrap around are no danger: a snapshot's xmin and
 * a transaction on a page are both less than two billion from the newest, or the
 * page has been frozen, by 1.  Pages whose rows have several lockers with an
 * update among them, or were moved by a VACUUM FULL of old, are never kept.
 */
#include "postgres.h"

#include "access/transam.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"

#include "broken.h"
#include "settled_pages.h"

typedef struct SettledPage
{
	BlockNumber block;
	TransactionId newest;		/* of those that decide what is seen */
	XLogRecPtr	lsn;
	Size		size;
	void	   *data;
	Buffer		recent;			/* where the page was last */
	uint32		question;		/* that found it last */
	char		status;
} SettledPage;

#define SH_PREFIX settled
#define SH_ELEMENT_TYPE SettledPage
#define SH_KEY_TYPE BlockNumber
#define SH_KEY block
#define SH_HASH_KEY(tb, key) ((uint32) (((uint64) (key) * UINT64CONST(0x9E3779B97F4A7C15)) >> 32))
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* A page of the question before. */
typedef struct PageCheck
{
	BlockNumber block;
	Buffer		recent;
	XLogRecPtr	lsn;
} PageCheck;

struct SettledPages
{
	MemoryContext context;
	settled_hash *pages;
	Size		limit;			/* bytes */
	uint32		questions;
	bool		swept;			/* for this question */

	/* the pages of the question before, if all of them were settled */
	PageCheck  *checks;
	uint32		nchecks;
	uint32		size;
	TransactionId newest;
	bool		complete;
};

/*
 * Room for pages of one base, in a context below the base's.
 */
SettledPages *
settled_pages_create(MemoryContext parent, Size limit)
{
	MemoryContext context = AllocSetContextCreate(parent, "assetreg settled pages", ALLOCSET_SMALL_SIZES);
	SettledPages *pages = MemoryContextAllocZero(context, sizeof(SettledPages));

	pages->context = context;
	pages->pages = settled_create(context, 64, NULL);
	pages->limit = limit;
	return pages;
}

/*
 * Begins a question: what the one before did not find may make room.
 */
void
settled_pages_begin(SettledPages *pages)
{
	pages->questions++;
	pages->swept = false;
	pages->nchecks = 0;
	pages->newest = InvalidTransactionId;
	pages->complete = false;
}

/*
 * Ends a question; true where all of its pages were settled.
 */
bool
settled_pages_end(SettledPages *pages, const DirtyPages *dirty)
{
	return pages->complete = pages->nchecks == dirty->nblocks;
}

static void
add_check(SettledPages *pages, const SettledPage *page)
{
	if (pages->nchecks == pages->size)
	{
		pages->size = Max(64, pages->size * 2);
		pages->checks = pages->checks == NULL
			? MemoryContextAllocHuge(pages->context, pages->size * sizeof(PageCheck))
			: repalloc_huge(pages->checks, pages->size * sizeof(PageCheck));
	}
	pages->checks[pages->nchecks++] = (PageCheck) {page->block, page->recent, page->lsn};
	if (TransactionIdIsValid(page->newest)
		&& (!TransactionIdIsValid(pages->newest) || TransactionIdFollows(page->newest, pages->newest)))
		pages->newest = page->newest;
}

/* Does the snapshot know how all that was running when the page was read has ended? */
static bool
is_settled(TransactionId newest, Snapshot snapshot)
{
	return !TransactionIdIsValid(newest) || TransactionIdPrecedes(newest, snapshot->xmin) || BROKEN(SETTLED_XIDS);
}

/*
 * Are these the pages of the question before, which all were settled, and is
 * each as it was then, and the same for this snapshot?  The table has so many
 * pages.
 */
bool
settled_pages_same(SettledPages *pages, Relation table, BlockNumber nblocks, const DirtyPages *dirty,
				   Snapshot snapshot)
{
	if (!pages->complete || pages->nchecks != dirty->nblocks || !is_settled(pages->newest, snapshot))
		return false;
	for (uint32 i = 0; i < dirty->nblocks; i++)
	{
		PageCheck  *check = &pages->checks[i];

		if (i + PAGES_AHEAD < dirty->nblocks && BufferIsValid(check[PAGES_AHEAD].recent))
			__builtin_prefetch(BufferGetPage(check[PAGES_AHEAD].recent));
		if (i % 1024 == 0)
			CHECK_FOR_INTERRUPTS();
		if (check->block != dirty->blocks[i] || check->block >= nblocks
			|| (ledger_page_lsn(table, check->block, &check->recent) != check->lsn && !BROKEN(SETTLED_LSN)))
			return false;
	}
	return true;
}

/*
 * What was kept of a page, if that is what the snapshot sees of it; else NULL.
 * Valid until the next settled_pages_keep().
 */
const void *
settled_pages_find(SettledPages *pages, Relation table, BlockNumber block, Snapshot snapshot, Size *size)
{
	SettledPage *page = settled_lookup(pages->pages, block);

	if (page == NULL || !is_settled(page->newest, snapshot))
		return NULL;
	CHECK_FOR_INTERRUPTS();
	if (ledger_page_lsn(table, block, &page->recent) != page->lsn && !BROKEN(SETTLED_LSN))
		return NULL;
	page->question = pages->questions;
	add_check(pages, page);
	*size = page->size;
	return page->data;
}

static void
forget(SettledPages *pages, SettledPage *page)
{
	pfree(page->data);
	settled_delete_item(pages->pages, page);
}

/* Makes room of what this question and the one before did not find. */
static void
sweep(SettledPages *pages)
{
	settled_iterator iterator;
	SettledPage *page;

	if (pages->swept)
		return;
	pages->swept = true;
	settled_start_iterate(pages->pages, &iterator);
	while ((page = settled_iterate(pages->pages, &iterator)) != NULL)
		if (page->question + 1 < pages->questions)
			forget(pages, page);
}

/*
 * A place for what the snapshot sees of a page; NULL where it is not to be
 * kept.
 */
void *
settled_pages_keep(SettledPages *pages, BlockNumber block, const PageState *state, Snapshot snapshot, Size size)
{
	SettledPage *page = settled_lookup(pages->pages, block);
	void	   *data;
	bool		found;

	if (page != NULL)
		forget(pages, page);
	if (!state->plain || XLogRecPtrIsInvalid(state->lsn) || !is_settled(state->newest, snapshot))
		return NULL;
	if (MemoryContextMemAllocated(pages->context, false) + size > pages->limit)
		sweep(pages);
	if (MemoryContextMemAllocated(pages->context, false) + size > pages->limit)
		return NULL;
	data = MemoryContextAlloc(pages->context, Max(size, 1));
	page = settled_insert(pages->pages, block, &found);
	page->newest = state->newest;
	page->lsn = state->lsn;
	page->size = size;
	page->question = pages->questions;
	page->data = data;
	page->recent = InvalidBuffer;
	add_check(pages, page);
	return data;
}
