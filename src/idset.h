/*
 * idset.h
 *		Sets of ids, made for ids that are dense: one sequence numbers all entities.
 */
#ifndef ASSETREG_IDSET_H
#define ASSETREG_IDSET_H

#include "keyset.h"

/* 256 neighbouring ids */
#define ID_CHUNK_SHIFT 8
#define ID_CHUNK_WORDS 4

typedef struct IdBits
{
	int64		number;			/* id >> ID_CHUNK_SHIFT */
	uint64		words[ID_CHUNK_WORDS];
} IdBits;

typedef struct IdSet IdSet;

/* The ids that one level of a walk found; sorted, it is a set of keys. */
typedef struct Frontier
{
	KeySet		keys;
	IdSet	   *set;			/* what the ids are added to */
	IdBits	   *chunks;
	uint32		nchunks;
	uint32		size;			/* allocated chunks */
	uint32		tag;			/* marks the set's chunks that this frontier has, too */
	uint32		pos;			/* where seek is */
	int64		nids;
} Frontier;

extern IdSet *idset_create(void);
extern void idset_free(IdSet *set);
extern void *idset_reserve(IdSet *set, void *old, Size size);
extern bool idset_contains(IdSet *set, int64 id);
extern bool idset_add(IdSet *set, Frontier *frontier, int64 id);

extern void frontier_init(Frontier *frontier, IdSet *set);
extern void frontier_clear(Frontier *frontier);
extern KeySet *frontier_keys(Frontier *frontier);

#endif							/* ASSETREG_IDSET_H */
