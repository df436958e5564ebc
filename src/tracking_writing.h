/*
 * tracking_writing.h
 *		What writes a batch of tracked rows to the graph without SQL, in parts.
 */
#ifndef ASSETREG_TRACKING_WRITING_H
#define ASSETREG_TRACKING_WRITING_H

#include "row_tables.h"
#include "tracking.h"

typedef struct IdPair
{
	int64		dependency;
	int64		dependent;
} IdPair;

typedef struct IdPairs
{
	IdPair	   *pairs;
	int			n;
	int			size;
} IdPairs;

/* An entity as a look-up found it. */
typedef struct Found
{
	int64		id;
	ItemPointerData tid;
	int			number;			/* of the row or target */
} Found;

typedef struct Writing
{
	Batch	   *batch;
	Role	   *role;
	RowWriter  *entities;		/* these are NULL where the batch does not need them */
	RowWriter  *edges;
	RowWriter  *references;
	RowWriter  *stats;
	RowWriter  *changes;
	Oid			entity_ids;		/* sequences */
	Oid			change_ids;
	Found	   *rows;			/* the entities of the batch's rows; id 0: none */
	bool	   *inserted;		/* were these made here? */
	bool	   *held;			/* does this transaction hold them already? */
	bool		changed;		/* were any made or changed? */
	bool		made;
	bool		ascending;		/* dependents are many, in the order of their ids */
	int64	   *targets;		/* the entities that references mean; 0: none */
	Found	   *own;			/* room for the edges of one that goes */
	int			nown;
	IdPairs		came;
	IdPairs		went;
	Datum		requires;		/* of new edges */
	Datum		added_by;
} Writing;

extern int	compare_found(const void *a, const void *b);
extern int	compare_texts(const void *a, const void *b);
extern void new_snapshot(Writing *writing);
extern bool find_entity(Writing *writing, RowFind find, Datum kind, Datum key, Found *found);

extern void delete_gone(Writing *writing);
extern void relink(Writing *writing);
extern void add_pair(IdPairs *pairs, int64 dependency, int64 dependent);
extern void count_dependents(Writing *writing);

#endif							/* ASSETREG_TRACKING_WRITING_H */
