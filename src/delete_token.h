/*
 * delete_token.h
 *		What a preview of a deletion showed, as a text that confirms no more than that.
 */
#ifndef ASSETREG_DELETE_TOKEN_H
#define ASSETREG_DELETE_TOKEN_H

#include "idset.h"

/* Entities that were shown or are found: as many, and as good as surely the same. */
typedef struct ShownEntities
{
	int64		n;
	uint64		digest;			/* in whatever order they come */
} ShownEntities;

typedef struct DeleteToken
{
	ShownEntities shown;
	IdSet	   *ids;			/* NULL: they were too many for a token */
} DeleteToken;

extern void shown_add(ShownEntities *shown, int64 id);
extern char *delete_token_write(int64 asset, const ShownEntities *shown, KeySet *ids);
extern DeleteToken *delete_token_read(const char *text, int64 asset);

#endif							/* ASSETREG_DELETE_TOKEN_H */
