/*
 * dense_rows.c
 *		The entities that a walk in memory finds, as rows of a SQL function.
 *
 * Memory knows kinds and states, so that rows which do not pass the filters are
 * never read, and where the others are.  A row of the table begins with the
 * columns that the result begins with, so that it is copied as it stands, and
 * what the walk knows is written behind it.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"

#include "dense_found.h"
#include "entity_rows.h"
#include "graph_cache.h"
#include "walk_rows.h"

/* Columns of the result: those of the entity, and depth, via_id and start_id. */
#define ENTITY_COLUMNS 5
#define WALK_COLUMNS 8
#define LABEL_COLUMN 3

typedef struct DenseRows
{
	const WalkRows *wanted;
	EntityQuestion *question;
	EntityRows *entities;
	bool	   *passes;			/* by state */
	Tuplestorestate *store;
	bool		plain;			/* rows are copied */
	HeapTupleData row;			/* the result's */
} DenseRows;

/* A result of where_used() and its like, without a mark. */
static bool
is_plain(TupleDesc desc)
{
	static const Oid types[WALK_COLUMNS] = {INT8OID, TEXTOID, TEXTOID, TEXTOID, BOOLOID, INT4OID, INT8OID, INT8OID};

	if (desc->natts != WALK_COLUMNS)
		return false;
	for (int i = 0; i < WALK_COLUMNS; i++)
		if (TupleDescAttr(desc, i)->atttypid != types[i])
			return false;
	return true;
}

static bool *
states_that_pass(const WalkRows *wanted, const EntityQuestion *question)
{
	const Kinds *kinds = &question->kinds;
	bool	   *passes = palloc0((state_of(kinds->nkinds, false) + 1) * sizeof(bool));

	for (int kind = 0; kind < kinds->nkinds; kind++)
	{
		bool		pass = kind_passes(&wanted->kinds, kinds->names[kind]);

		passes[state_of(kind, true)] = pass;
		passes[state_of(kind, false)] = pass && !wanted->active_only;
	}
	return passes;
}

/* How many bytes the first columns of a row take; 0 where one that should not is NULL or missing. */
static Size
entity_bytes(const HeapTupleData *tuple, bool label_isnull)
{
	HeapTupleHeader header = tuple->t_data;
	const char *data = (const char *) header + header->t_hoff;
	Size		size = sizeof(int64);

	if (HeapTupleHeaderGetNatts(header) < ENTITY_COLUMNS)
		return 0;
	for (int column = 1; column < ENTITY_COLUMNS - 1; column++)
	{
		if (column == LABEL_COLUMN && label_isnull)
			continue;
		if (HeapTupleHasNulls(tuple) && att_isnull(column, header->t_bits))
			return 0;
		size = att_align_pointer(size, TYPALIGN_INT, -1, data + size);
		size = att_addlength_pointer(size, -1, data + size);
	}
	return size + sizeof(bool);
}

/*
 * Copies a row and writes behind it what the walk knows; false where the row is
 * not as it should be.
 */
static bool
put_copy(DenseRows *rows, const HeapTupleData *tuple, int depth, int64 via, int64 start)
{
	bool		label_isnull = HeapTupleHasNulls(tuple) && att_isnull(LABEL_COLUMN, tuple->t_data->t_bits);
	HeapTupleHeader row = rows->row.t_data;
	Size		size = entity_bytes(tuple, label_isnull);
	char	   *data;

	if (size == 0)
		return false;
	row->t_infomask = HEAP_HASVARWIDTH | (tuple->t_data->t_infomask & HEAP_HASEXTERNAL);
	row->t_hoff = MAXALIGN(SizeofHeapTupleHeader);
	if (label_isnull)
	{
		row->t_infomask |= HEAP_HASNULL;
		row->t_hoff = MAXALIGN(SizeofHeapTupleHeader + BITMAPLEN(WALK_COLUMNS));
		row->t_bits[0] = 0xFF & ~(1 << LABEL_COLUMN);
	}
	data = (char *) row + row->t_hoff;
	memcpy(data, (const char *) tuple->t_data + tuple->t_data->t_hoff, size);
	/* gaps are zero, as everywhere */
	memset(data + size, 0, 2 * sizeof(int64));
	size = INTALIGN(size);
	memcpy(data + size, &depth, sizeof(int32));
	size = DOUBLEALIGN(size + sizeof(int32));
	memcpy(data + size, &via, sizeof(int64));
	memcpy(data + size + sizeof(int64), &start, sizeof(int64));
	rows->row.t_len = row->t_hoff + size + 2 * sizeof(int64);
	tuplestore_puttuple(rows->store, &rows->row);
	return true;
}

static void
ahead(void *arg, int64 id, bool near)
{
	DenseRows  *rows = arg;

	if (near)
		entity_rows_near(rows->entities, id);
	else
		entity_rows_far(rows->entities, id);
}

static void
put_found(void *arg, int depth, int64 id, int64 via, int64 start)
{
	DenseRows  *rows = arg;
	EntityState state = entity_question_state(rows->question, id);
	Entity		entity;

	if (!rows->passes[state])
		return;
	if (rows->plain && put_copy(rows, entity_rows_fetch(rows->entities, id), depth, via, start))
		return;
	entity_rows_entity(rows->entities, id, state, &entity);
	walk_rows_put(rows->wanted, &entity, depth, via, start);
}

/*
 * As walk_rows(), where memory answers; else false, and nothing is put.
 */
bool
dense_rows(const WalkRows *wanted, const GraphWalk *walk)
{
	EdgeQuestion *edges = adjacency_memory(walk->adjacency);
	ReturnSetInfo *result = (ReturnSetInfo *) wanted->fcinfo->resultinfo;
	DenseRows	rows = {.wanted = wanted, .question = edges == NULL ? NULL : graph_cache_entities(edges)};
	DenseFound	found = {edges, walk->starts, walk->nstarts, walk->max_depth, put_found, ahead, &rows};
	bool		done;

	if (rows.question == NULL)
		return false;
	rows.entities = entity_rows_begin(rows.question);
	rows.passes = states_that_pass(wanted, rows.question);
	rows.store = result->setResult;
	rows.plain = wanted->mark == NULL && rows.entities->plain && is_plain(result->setDesc);
	/* no row is longer than a page; it begins where a tuple's memory would */
	rows.row.t_data = palloc0(BLCKSZ + MAXALIGN(sizeof(HeapTupleHeaderData)) + 8 * sizeof(int64));
	HeapTupleHeaderSetNatts(rows.row.t_data, WALK_COLUMNS);
	done = dense_found(&found);
	entity_rows_end(rows.entities);
	pfree(rows.row.t_data);
	pfree(rows.passes);
	return done;
}
