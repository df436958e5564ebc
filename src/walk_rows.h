/*
 * walk_rows.h
 *		The entities that a walk finds, as rows of a SQL function.
 */
#ifndef ASSETREG_WALK_ROWS_H
#define ASSETREG_WALK_ROWS_H

#include "args.h"
#include "graph.h"

/* What a column more says of an entity. */
typedef Datum (*WalkRowMark) (void *arg, int64 id);

typedef struct WalkRows
{
	FunctionCallInfo fcinfo;	/* of a function that began with InitMaterializedSRF() */
	Entities   *entities;		/* with names */
	KindFilter	kinds;
	bool		active_only;
	WalkRowMark mark;			/* or NULL */
	void	   *arg;
} WalkRows;

extern void walk_rows(const WalkRows *wanted, GraphWalk walk);
extern void walk_rows_put(const WalkRows *wanted, const Entity *entity, int depth, int64 via, int64 start);
extern bool dense_rows(const WalkRows *wanted, const GraphWalk *walk);

#endif							/* ASSETREG_WALK_ROWS_H */
