/*
 * row_pages.h
 *		A table's rows by keys of an index, each seen as the active snapshot sees it.
 */
#ifndef ASSETREG_ROW_PAGES_H
#define ASSETREG_ROW_PAGES_H

#include "executor/tuptable.h"

#include "btree_pages.h"

typedef struct RowPages RowPages;

extern RowPages *row_pages_begin(const char *relname, const char *const *columns, int ncolumns, PagePayload payload);
extern void row_pages_read(RowPages *rows, KeySet *keys, PageSink sink, void *arg);
extern bool row_pages_visible(RowPages *rows, const PageEntry *entry);
extern TupleTableSlot *row_pages_fetch(RowPages *rows, const PageEntry *entry);
extern Relation row_pages_table(RowPages *rows);
extern void row_pages_end(RowPages *rows);

#endif							/* ASSETREG_ROW_PAGES_H */
