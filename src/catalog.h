/*
 * catalog.h
 *		The registry's tables, their indexes, and who may read them how.
 */
#ifndef ASSETREG_CATALOG_H
#define ASSETREG_CATALOG_H

#include "utils/rel.h"

extern Relation catalog_open(const char *relname);
extern Relation catalog_open_to_write(const char *relname);
extern AttrNumber catalog_attnum(Relation rel, const char *attname);
extern bool catalog_pages_readable(Relation rel);
extern Relation catalog_open_index(Relation rel, const AttrNumber *columns, int ncolumns);

#endif							/* ASSETREG_CATALOG_H */
