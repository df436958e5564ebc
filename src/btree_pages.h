/*
 * btree_pages.h
 *		Reading many keys of a B-tree index on bigint, straight off its leaf pages.
 */
#ifndef ASSETREG_BTREE_PAGES_H
#define ASSETREG_BTREE_PAGES_H

#include "storage/itemptr.h"
#include "utils/rel.h"

#include "keyset.h"

/* How much of an entry is wanted beside its key. */
typedef enum PagePayload
{
	PAYLOAD_NONE,
	PAYLOAD_ID,					/* the second column, a bigint */
	PAYLOAD_DATA				/* all columns but the first, as they are in the index */
} PagePayload;

typedef struct PageEntry
{
	int64		key;
	union
	{
		int64		id;
		const char *data;		/* a copy, valid while the sink runs */
	}			payload;
	ItemPointerData tid;		/* of the table's row, visible or not */
} PageEntry;

/*
 * Gets the entries of one leaf page, keys ascending.  The page is pinned while
 * it runs, so no row it points to is vacuumed away before its visibility is
 * known: this is what index-only scans rely on, too.
 */
typedef void (*PageSink) (void *arg, const PageEntry *entries, int nentries);

typedef struct BtreePages BtreePages;

extern bool btree_pages_supported(Relation index);
extern BtreePages *btree_pages_begin(Relation index, PagePayload payload);
extern void btree_pages_read(BtreePages *pages, KeySet *keys, PageSink sink, void *arg);
extern void btree_pages_end(BtreePages *pages);

#endif							/* ASSETREG_BTREE_PAGES_H */
