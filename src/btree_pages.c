/*
 * btree_pages.c
 *		Reading many keys of a B-tree index on bigint, straight off its leaf pages.
 *
 * An index scan descends for each key and hands out one entry at a time.  A
 * walk asks for thousands of sorted keys at once, so here keys and pages are
 * merged: every leaf page is read once, and what lies between the keys, or
 * between the pages, is leapt over.  Only entries are given; which of their
 * rows a snapshot sees is the caller's to find out.
 *
 * What it relies on, in PostgreSQL's src/backend/access/nbtree:
 * - README, "Lehman and Yao": a page that was split after its parent was read
 *   is made good by moving right while the key is greater than the high key.
 *   A parent may therefore be read once and kept, however long.
 * - README, "Deleting entire pages during VACUUM": a page that was unlinked
 *   stays a tombstone with a right link until no snapshot that was there at
 *   the time is left; the caller's snapshot is registered all along.
 * - README, "Notes About Data Representation" and nbtree.h: pivot tuples may
 *   have lost columns from the right, leaf tuples may hold a posting list, the
 *   first data item of an inner page is less than any key.
 * - A leaf page is locked while it is read and stays pinned until its entries
 *   have been dealt with; VACUUM needs a cleanup lock to remove entries.
 */
#include "postgres.h"

#include "access/nbtree.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"

#include "btree_pages.h"
#include "compat.h"

struct BtreePages
{
	Relation	index;
	PagePayload payload;
	bool		skip_dead;		/* killed entries are dead to this snapshot, too */

	/* a copy of the page above the leaves that was used last */
	PGAlignedBlock parent;
	bool		parent_valid;
	int64		parent_low;		/* it leads to all keys greater than this ... */
	int64		parent_high;	/* ... and not greater than this */

	/* about what keys the leaf page that it led to last has */
	bool		guess_valid;
	int64		guess_low;
	int64		guess_high;

	int			nentries;
	PageEntry	entries[MaxTIDsPerBTreePage];
	int			ndata;
	PGAlignedBlock data;		/* of the entries, where it is wanted */
};

/* Where to go when a page has been read. */
typedef enum NextPage
{
	NEXT_NONE,
	NEXT_RIGHT,
	NEXT_DESCEND
} NextPage;

static Buffer
read_page(BtreePages *pages, BlockNumber block)
{
	Buffer		buffer;

	CHECK_FOR_INTERRUPTS();
	buffer = ReadBuffer(pages->index, block);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	_bt_checkpage(pages->index, buffer);
	return buffer;
}

/*
 * Begins reading in the current memory context.  The caller keeps the index
 * open, and an MVCC snapshot registered from before this call until the end.
 */
BtreePages *
btree_pages_begin(Relation index, PagePayload payload)
{
	BtreePages *pages = palloc(sizeof(BtreePages));

	pages->index = index;
	pages->payload = payload;
	/* as index_beginscan does: on a standby older snapshots may still see them */
	pages->skip_dead = !TransactionStartedDuringRecovery();
	pages->parent_valid = false;
	pages->guess_valid = false;
	pages->nentries = 0;
	return pages;
}

void
btree_pages_end(BtreePages *pages)
{
	pfree(pages);
}

/*
 * The block of the root (P_NONE: the index is empty) as the metapage has it;
 * a root that was split since is made good by moving right.
 */
static BlockNumber
root_block(BtreePages *pages)
{
	Buffer		buffer = read_page(pages, BTREE_METAPAGE);
	BlockNumber block = BTPageGetMeta(BufferGetPage(buffer))->btm_fastroot;

	UnlockReleaseBuffer(buffer);
	return block;
}

/*
 * Is the index of the format that is read here?  It is if it was built by 12
 * or later; REINDEX makes an older one so.
 */
bool
btree_pages_supported(Relation index)
{
	Buffer		buffer = ReadBuffer(index, BTREE_METAPAGE);
	bool		supported;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	supported = BTPageGetMeta(BufferGetPage(buffer))->btm_version == BTREE_VERSION;
	UnlockReleaseBuffer(buffer);
	return supported;
}

static inline IndexTuple
page_tuple(Page page, OffsetNumber offset)
{
	return (IndexTuple) PageGetItem(page, PageGetItemId(page, offset));
}

static inline const int64 *
tuple_columns(IndexTuple tuple)
{
	return (const int64 *) ((char *) tuple + IndexInfoFindDataOffset(tuple->t_info));
}

static inline int64
page_key(Page page, OffsetNumber offset)
{
	return *tuple_columns(page_tuple(page, offset));
}

/* A leaf page that is being read. */
typedef struct Leaf
{
	Page		page;
	bool		rightmost;
	OffsetNumber last;			/* item */
} Leaf;

/* No key of the page is greater; to be asked of a page with items or a high key. */
static inline int64
leaf_bound(const Leaf *leaf)
{
	return page_key(leaf->page, leaf->rightmost ? leaf->last : P_HIKEY);
}

/*
 * Where between two items a key should be if keys are spread evenly, as ids
 * are.
 */
static int
guess_offset(int first, int last, uint64 low, uint64 high, uint64 key)
{
	if (high == low)
		return first;
	return first + (int) ((double) (key - low) / (double) (high - low) * (last - first));
}

/*
 * The first item from start on whose key is not less; one past the last item
 * if there is none.  Searches on from a guess: every probe of a page costs a
 * cache miss, and halving alone takes many.
 */
static OffsetNumber
lower_bound(const Leaf *leaf, OffsetNumber start, int guess, int64 key)
{
	Page		page = leaf->page;
	int			low = start;	/* everything before it is less */
	int			high = leaf->last + 1;	/* it is not less, or no item */
	int			probe = Max(low, Min(guess, leaf->last));

	if (start > leaf->last)
		return start;
	if (page_key(page, probe) < key)
		for (int step = 1; probe < high && page_key(page, probe) < key; step *= 2)
		{
			low = probe + 1;
			probe += step;
		}
	else
		for (int step = 1; probe >= low && page_key(page, probe) >= key; step *= 2)
		{
			high = probe;
			probe -= step;
		}
	while (low < high)
	{
		if (probe < low || probe >= high)
			probe = (low + high) / 2;
		if (page_key(page, probe) < key)
			low = probe + 1;
		else
			high = probe;
	}
	return low;
}

/*
 * The first item of a page to look at; what the parent said of its keys saves
 * reading them.
 */
static OffsetNumber
first_item(BtreePages *pages, const Leaf *leaf, int64 key)
{
	OffsetNumber start = P_FIRSTDATAKEY(BTPageGetOpaque(leaf->page));

	if (!pages->guess_valid)
		return lower_bound(leaf, start, start, key);
	pages->guess_valid = false;
	return lower_bound(leaf, start, guess_offset(start, leaf->last, pages->guess_low, pages->guess_high, key), key);
}

/*
 * The same from an item on whose key is less; often it is the next.
 */
static OffsetNumber
next_item(const Leaf *leaf, OffsetNumber item, int64 key)
{
	OffsetNumber next = OffsetNumberNext(item);

	if (next > leaf->last || page_key(leaf->page, next) >= key)
		return next;
	if (key > leaf_bound(leaf))
		return leaf->last + 1;
	return lower_bound(leaf, next, guess_offset(next, leaf->last, page_key(leaf->page, next), leaf_bound(leaf), key), key);
}

/*
 * Is everything left of this pivot less than the key?  Of a pivot with the
 * key's own value that is known only if nothing else is left in it.
 */
static bool
pivot_bounds_left(IndexTuple pivot, int64 key, Relation index)
{
	int64		pivot_key = *tuple_columns(pivot);

	return pivot_key < key
		|| (pivot_key == key && BTreeTupleGetNAtts(pivot, index) == 1 && BTreeTupleGetHeapTID(pivot) == NULL);
}

/*
 * The leftmost child of an inner page that can have the key.
 */
static BlockNumber
child_for(BtreePages *pages, Page page, int64 key)
{
	BTPageOpaque opaque = BTPageGetOpaque(page);
	int			low = P_FIRSTDATAKEY(opaque);	/* less than any key */
	int			high = PageGetMaxOffsetNumber(page);

	while (low < high)
	{
		int			middle = (low + high + 1) / 2;

		if (pivot_bounds_left(page_tuple(page, middle), key, pages->index))
			low = middle;
		else
			high = middle - 1;
	}
	pages->guess_valid = low > P_FIRSTDATAKEY(opaque) && low < PageGetMaxOffsetNumber(page);
	if (pages->guess_valid)
	{
		pages->guess_low = page_key(page, low);
		pages->guess_high = page_key(page, low + 1);
	}
	return BTreeTupleGetDownLink(page_tuple(page, low));
}

static void
keep_parent(BtreePages *pages, Page page)
{
	BTPageOpaque opaque = BTPageGetOpaque(page);
	OffsetNumber second = OffsetNumberNext(P_FIRSTDATAKEY(opaque));

	pages->parent_valid = second <= PageGetMaxOffsetNumber(page);
	if (!pages->parent_valid)
		return;
	memcpy(pages->parent.data, page, BLCKSZ);
	pages->parent_low = page_key(page, second);
	pages->parent_high = P_RIGHTMOST(opaque) ? PG_INT64_MAX : page_key(page, P_HIKEY);
}

/*
 * The leftmost leaf page that can have the key, or one left of it; P_NONE in
 * an empty index.
 */
static BlockNumber
descend(BtreePages *pages, int64 key)
{
	BlockNumber block;
	bool		is_leaf = false;

	if (pages->parent_valid && key > pages->parent_low && key <= pages->parent_high)
		return child_for(pages, (Page) pages->parent.data, key);

	block = root_block(pages);
	while (block != P_NONE && !is_leaf)
	{
		Buffer		buffer = read_page(pages, block);
		Page		page = BufferGetPage(buffer);
		BTPageOpaque opaque = BTPageGetOpaque(page);

		if (P_IGNORE(opaque) || (!P_RIGHTMOST(opaque) && page_key(page, P_HIKEY) < key))
			block = opaque->btpo_next;
		else if (P_ISLEAF(opaque))
			is_leaf = true;
		else
		{
			is_leaf = opaque->btpo_level == 1;
			if (is_leaf)
				keep_parent(pages, page);
			block = child_for(pages, page, key);
		}
		UnlockReleaseBuffer(buffer);
	}
	return block;
}

/*
 * A copy of what a tuple holds after its first column, aligned as there.  The
 * tuples of a page are never more than a page.
 */
static const char *
copy_data(BtreePages *pages, IndexTuple tuple)
{
	char	   *copy = pages->data.data + pages->ndata;
	Size		offset = IndexInfoFindDataOffset(tuple->t_info) + sizeof(int64);
	Size		size = (BTreeTupleIsPosting(tuple) ? BTreeTupleGetPostingOffset(tuple) : IndexTupleSize(tuple)) - offset;

	memcpy(copy, (char *) tuple + offset, size);
	pages->ndata += MAXALIGN(size);
	return copy;
}

static void
add_entries(BtreePages *pages, IndexTuple tuple)
{
	const int64 *columns = tuple_columns(tuple);
	bool		posting = BTreeTupleIsPosting(tuple);
	int			ntids = posting ? BTreeTupleGetNPosting(tuple) : 1;
	PageEntry	entry = {.key = columns[0]};

	if (pages->payload == PAYLOAD_ID)
		entry.payload.id = columns[1];
	else if (pages->payload == PAYLOAD_DATA)
		entry.payload.data = copy_data(pages, tuple);
	for (int i = 0; i < ntids; i++)
	{
		entry.tid = posting ? *BTreeTupleGetPostingN(tuple, i) : tuple->t_tid;
		pages->entries[pages->nentries++] = entry;
	}
}

/*
 * Collects from a locked leaf page the entries of all wanted keys, *key on.
 * Leaves in *key the key to go on with.
 */
static NextPage
collect(BtreePages *pages, Page page, KeySet *keys, int64 *key)
{
	Leaf		leaf = {page, P_RIGHTMOST(BTPageGetOpaque(page)), PageGetMaxOffsetNumber(page)};
	OffsetNumber item = first_item(pages, &leaf, *key); /* its key is not less */

	for (;;)
	{
		if (item > leaf.last)
		{
			if (leaf.rightmost)
				return NEXT_NONE;
			return *key <= leaf_bound(&leaf) ? NEXT_RIGHT : NEXT_DESCEND;
		}
		if (page_key(page, item) > *key)
		{
			if (!keys->seek(keys, page_key(page, item), key))
				return NEXT_NONE;
		}
		if (page_key(page, item) < *key)
		{
			item = next_item(&leaf, item, *key);
			continue;
		}

		for (; item <= leaf.last && page_key(page, item) == *key; item = OffsetNumberNext(item))
			if (!(pages->skip_dead && ItemIdIsDead(PageGetItemId(page, item))))
				add_entries(pages, page_tuple(page, item));
		if (item > leaf.last && !leaf.rightmost && leaf_bound(&leaf) == *key)
			return NEXT_RIGHT;	/* the key may go on there */
		if (!keyset_after(keys, *key, key))
			return NEXT_NONE;
	}
}

/*
 * Gives the sink all entries of all keys, in order of keys.  Holds one page at
 * a time, pinned while the sink runs; can be cancelled between pages.
 */
void
btree_pages_read(BtreePages *pages, KeySet *keys, PageSink sink, void *arg)
{
	int64		key;
	int64		sought;			/* the key that was descended for */
	BlockNumber block;

	if (!keys->seek(keys, PG_INT64_MIN, &key))
		return;
	block = descend(pages, sought = key);
	while (block != P_NONE)
	{
		Buffer		buffer = read_page(pages, block);
		Page		page = BufferGetPage(buffer);
		BTPageOpaque opaque = BTPageGetOpaque(page);
		BlockNumber right = opaque->btpo_next;
		NextPage	next = NEXT_RIGHT;

		pages->nentries = 0;
		pages->ndata = 0;
		if (!P_IGNORE(opaque))
			next = collect(pages, page, keys, &key);
		LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
		if (pages->nentries > 0)
			sink(arg, pages->entries, pages->nentries);
		ReleaseBuffer(buffer);

		if (next == NEXT_NONE)
			return;
		/* keys may end while their entries go on */
		if (next == NEXT_RIGHT && !keys->seek(keys, key, &key))
			return;
		/* a second descent for a key would come to the same page again */
		if (next == NEXT_DESCEND && key != sought)
			block = descend(pages, sought = key);
		else
			block = right;
	}
}
