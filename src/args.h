/*
 * args.h
 *		Arguments that several SQL functions take, read and checked in one way.
 */
#ifndef ASSETREG_ARGS_H
#define ASSETREG_ARGS_H

#include "fmgr.h"
#include "utils/array.h"

#include "adjacency.h"
#include "compat.h"
#include "entities.h"

typedef struct KindFilter
{
	int			nkinds;			/* -1: every kind passes */
	text	  **kinds;
} KindFilter;

extern int64 arg_id(FunctionCallInfo fcinfo, int argno, const char *name);
extern bool arg_flag(FunctionCallInfo fcinfo, int argno, const char *name);
extern int	arg_positive(FunctionCallInfo fcinfo, int argno, const char *name);
extern int	arg_max_depth(FunctionCallInfo fcinfo, int argno);
extern const char *arg_word(FunctionCallInfo fcinfo, int argno, const char *name);
extern EdgeDirection arg_direction(FunctionCallInfo fcinfo, int argno);
extern int64 *arg_ids(FunctionCallInfo fcinfo, int argno, const char *name, int *nids);
extern KindFilter arg_kinds(FunctionCallInfo fcinfo, int argno);
extern bool kind_passes(const KindFilter *filter, Datum kind);

/* Equal byte by byte; neither is NULL. */
static inline bool
same_text(Datum a, Datum b)
{
	text	   *left = DatumGetTextPP(a);
	text	   *right = DatumGetTextPP(b);
	Size		size = VARSIZE_ANY_EXHDR(left);

	return size == VARSIZE_ANY_EXHDR(right) && memcmp(VARDATA_ANY(left), VARDATA_ANY(right), size) == 0;
}

extern int64 *walk_starts(Entities *entities, int64 id, bool all_versions, int *nstarts);
extern void put_row(FunctionCallInfo fcinfo, Datum *values, bool *nulls);

#endif							/* ASSETREG_ARGS_H */
