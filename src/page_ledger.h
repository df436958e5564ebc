/*
 * page_ledger.h
 *		Which pages of a table still hold what was once copied from them.
 */
#ifndef ASSETREG_PAGE_LEDGER_H
#define ASSETREG_PAGE_LEDGER_H

#include "access/htup.h"
#include "access/xlogdefs.h"
#include "storage/block.h"
#include "storage/buf.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

#include "compat.h"

typedef struct PageLedger
{
	RelFileLocator file;		/* a rewritten table is another */
	BlockNumber nblocks;		/* the copy's pages are among these */
	BlockNumber ntaken;
	XLogRecPtr *page_lsns;		/* of each page when it was taken; read only, once loaded */
	int			nmaps;			/* pages of the visibility map */
	XLogRecPtr *map_lsns;
	uint8	   *image;			/* as the map has it, all-visible bits alone: the pages that are taken */
	Buffer	   *recent;			/* where each page was last, if at all; once loaded */
} PageLedger;

/* Pages whose memory is fetched ahead, where LSNs of many are asked. */
#define PAGES_AHEAD 6

/* Where the copy may not be right. */
typedef struct DirtyPages
{
	BlockNumber *blocks;
	uint32		nblocks;
	uint32		nfoldable;		/* all-visible now, so another copy would have them */
} DirtyPages;

typedef enum LedgerAnswer
{
	LEDGER_CHECKED,
	LEDGER_OTHER_FILE,
	LEDGER_MOVED,				/* all pages have to be looked at, and that was not allowed */
	LEDGER_TOO_DIRTY
} LedgerAnswer;

/* What else a page tells while it is read. */
typedef struct PageState
{
	XLogRecPtr	lsn;
	TransactionId newest;		/* of those that made or deleted its rows; invalid: all long ago */
	bool		plain;			/* these are all there are */
} PageState;

/* Gets a row while its page is locked. */
typedef void (*PageRowSink) (void *arg, HeapTuple tuple);

extern bool ledger_possible(Relation table);
extern void ledger_begin(PageLedger *ledger, Relation table);
extern Size ledger_size(const PageLedger *ledger);
extern Size ledger_loaded_size(const PageLedger *ledger);
extern void ledger_store(const PageLedger *ledger, char *to);
extern void ledger_load(PageLedger *ledger, const char *from);
extern bool ledger_take_all(PageLedger *ledger, Relation table, PageRowSink sink, void *arg,
							const Size *nrows, uint32 *starts, const char *const *refused);
extern LedgerAnswer ledger_check(PageLedger *ledger, Relation table, BlockNumber nblocks, bool may_look,
								 DirtyPages *dirty);
extern XLogRecPtr ledger_page_lsn(Relation table, BlockNumber block, Buffer *recent);
extern void ledger_read(Relation table, BlockNumber block, Snapshot snapshot, PageRowSink sink, void *arg,
						PageState *state);
extern uint32 ledger_max_dirty(BlockNumber nblocks);

#endif							/* ASSETREG_PAGE_LEDGER_H */
