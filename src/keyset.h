/*
 * keyset.h
 *		A sorted set of ids that can be leapt through: what a scan wants to find.
 */
#ifndef ASSETREG_KEYSET_H
#define ASSETREG_KEYSET_H

typedef struct KeySet
{
	/*
	 * Gives the smallest key that is not less than from, or false.  Calls come
	 * with from never falling, under buffer locks: no allocation, no errors.
	 */
	bool		(*seek) (struct KeySet *keys, int64 from, int64 *key);
} KeySet;

/* The smallest key after this one. */
static inline bool
keyset_after(KeySet *keys, int64 key, int64 *next)
{
	return key < PG_INT64_MAX && keys->seek(keys, key + 1, next);
}

/* Sorted ids without duplicates. */
typedef struct ArrayKeys
{
	KeySet		keys;
	const int64 *ids;
	int			nids;
	int			pos;
} ArrayKeys;

extern KeySet *array_keys_init(ArrayKeys *array, const int64 *ids, int nids);

/* Every key there is. */
extern KeySet *all_keys(void);

#endif							/* ASSETREG_KEYSET_H */
