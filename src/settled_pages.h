/*
 * settled_pages.h
 *		What dirty pages gave, as long as they stay as they were.
 */
#ifndef ASSETREG_SETTLED_PAGES_H
#define ASSETREG_SETTLED_PAGES_H

#include "page_ledger.h"

typedef struct SettledPages SettledPages;

/* What may be kept of a table of so many pages. */
#define SETTLED_BYTES(nblocks) (512 * 1024 + (Size) (nblocks) * 16)

extern SettledPages *settled_pages_create(MemoryContext parent, Size limit);
extern bool settled_pages_same(SettledPages *pages, Relation table, BlockNumber nblocks, const DirtyPages *dirty,
							   Snapshot snapshot);
extern void settled_pages_begin(SettledPages *pages);
extern const void *settled_pages_find(SettledPages *pages, Relation table, BlockNumber block, Snapshot snapshot,
									  Size *size);
extern void *settled_pages_keep(SettledPages *pages, BlockNumber block, const PageState *state, Snapshot snapshot,
								Size size);
extern bool settled_pages_end(SettledPages *pages, const DirtyPages *dirty);

#endif							/* ASSETREG_SETTLED_PAGES_H */
