/*
 * tracking.h
 *		Tracked tables: what their rows mean, and what a statement changed in it.
 */
#ifndef ASSETREG_TRACKING_H
#define ASSETREG_TRACKING_H

#include "executor/spi.h"
#include "utils/hsearch.h"
#include "utils/tuplestore.h"

#include "own_query.h"

/* the columns of the query of facts; references follow, each text or text[] */
enum
{
	FACT_KEY, FACT_LABEL, FACT_ACTIVE, FACT_REFERENCES
};

typedef struct Role
{
	bool		link;			/* rows are edges, not entities */
	Datum		source;			/* text: whose edges they are */
	Datum		kind;			/* text: of the entities, or of the edges' dependents */
	char	   *fields;			/* the select list of the facts */
	int			nreferences;
	Datum	   *kinds;			/* of what each reference is to; NULL: an asset */
	Datum	   *relations;		/* the name of each edge */
	struct Facts *facts;		/* computes them; NULL: queries must */
	SPIPlanPtr	old_facts;
	SPIPlanPtr	new_facts;
	bool		keys_met;		/* a new row had the key of an entity that was there */
} Role;

typedef struct Tracked
{
	Oid			relid;			/* hash key: the table that the statement named */
	bool		valid;
	int			in_use;			/* triggers that run with it */
	MemoryContext context;
	int			nroles;
	Role	   *roles;
} Tracked;

typedef struct TextArray
{
	Datum	   *values;
	bool	   *nulls;
	int			n;
	int			size;
} TextArray;

typedef struct IntArray
{
	Datum	   *values;
	int			n;
	int			size;
} IntArray;

/* What a statement changed, for one role. */
typedef struct Batch
{
	Role	   *role;
	MemoryContext parent;
	MemoryContext context;		/* NULL: no row has come */
	TextArray	old_keys;		/* NULL: a new row */
	TextArray	keys;			/* NULL: the row is gone */
	TextArray	labels;
	TextArray	actives;		/* "t" or "f" */
	IntArray	relinked;		/* row numbers whose edges are to be made anew, from 1 */
	IntArray	first_edges;	/* of each of these, and one past the last */
	IntArray	edge_rows;		/* ascending */
	IntArray	edge_targets;	/* numbers of targets, from 1 */
	TextArray	edge_relations;
	HTAB	   *target_numbers; /* NULL: there are none */
	TextArray	target_kinds;
	TextArray	target_references;
	bool		moves;			/* a key changed */
} Batch;

typedef void (*ReferenceSink) (void *arg, int reference, Datum value);

extern Tracked *tracked_for(Oid relid);

typedef struct FactRows
{
	struct Facts *facts;		/* or by a query: */
	Portal		portal;			/* NULL: there are none */
	SPITupleTable *rows;
	uint64		n;
	uint64		next;
	Tuplestorestate *store;
	TupleTableSlot *slot;
	MemoryContext row_context;
} FactRows;

extern struct Facts *facts_prepare(Oid relid, const char *fields);
extern int	facts_pin_settings(void);
extern void facts_begin(FactRows *facts, SPIPlanPtr *plan, const Role *role, const char *relation, Tuplestorestate *store);
extern HeapTuple facts_next(FactRows *facts);
extern TupleDesc facts_desc(const FactRows *facts);
extern void facts_end(FactRows *facts);

extern bool same_text(Datum a, Datum b);
extern void append_int(IntArray *array, int value);
extern Datum text_array(TextArray *array);
extern Datum int_array(IntArray *array);
extern void each_reference(const Role *role, HeapTuple row, TupleDesc desc, ReferenceSink sink, void *arg);
extern void batch_begin(Batch *batch, Role *role);
extern void batch_forget(Batch *batch);
extern void batch_add_row(Batch *batch, HeapTuple old_row, HeapTuple new_row, TupleDesc desc, bool relink);
extern void batch_write(Batch *batch);
extern bool batch_write_directly(Batch *batch);
extern void run_quietly(OwnQuery *query, Datum *args);

#endif							/* ASSETREG_TRACKING_H */
