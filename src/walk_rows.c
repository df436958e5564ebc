/*
 * walk_rows.c
 *		The entities that a walk finds, as rows of a SQL function.
 *
 * Where memory does not answer (dense_rows.c), ids come from the walk a level at
 * a time; their names are read in batches, sorted, and go to a tuplestore with
 * them.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "compat.h"
#include "graph_cache.h"
#include "walk_rows.h"

/* Entities are looked up many at once: sorted, they share pages. */
#define MAX_BATCH_SIZE (1024 * 1024)

typedef struct FoundEntity
{
	int64		id;
	int64		via;
	int64		start;
} FoundEntity;

typedef struct RowWalk
{
	const WalkRows *wanted;
	int			depth;			/* of what is found now */

	FoundEntity *batch;
	int64	   *ids;
	int			nbatch;
	int			size;
	int			max_size;
	int			pos;			/* in the batch, while it is written */
} RowWalk;

/*
 * Puts a row.
 */
void
walk_rows_put(const WalkRows *wanted, const Entity *entity, int depth, int64 via, int64 start)
{
	Datum		values[9];
	bool		nulls[9] = {false};

	values[0] = Int64GetDatum(entity->id);
	values[1] = entity->kind;
	values[2] = entity->key;
	values[3] = entity->label;
	nulls[3] = entity->label_isnull;
	values[4] = BoolGetDatum(entity->active);
	values[5] = Int32GetDatum(depth);
	values[6] = Int64GetDatum(via);
	values[7] = Int64GetDatum(start);
	if (wanted->mark != NULL)
		values[8] = wanted->mark(wanted->arg, entity->id);
	put_row(wanted->fcinfo, values, nulls);
}

static void
put_entity(void *arg, const Entity *entity)
{
	RowWalk    *rows = arg;
	const WalkRows *wanted = rows->wanted;
	const FoundEntity *found;

	graph_cache_add_entity();
	while (rows->batch[rows->pos].id != entity->id)
		rows->pos++;
	found = &rows->batch[rows->pos];
	if ((!wanted->active_only || entity->active) && kind_passes(&wanted->kinds, entity->kind))
		walk_rows_put(wanted, entity, rows->depth, found->via, found->start);
}

#define ST_SORT sort_found
#define ST_ELEMENT_TYPE FoundEntity
#define ST_COMPARE(a, b) (((a)->id > (b)->id) - ((a)->id < (b)->id))
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

static void
put_batch(RowWalk *rows)
{
	ArrayKeys	keys;

	sort_found(rows->batch, rows->nbatch);
	for (int i = 0; i < rows->nbatch; i++)
		rows->ids[i] = rows->batch[i].id;
	rows->pos = 0;
	entities_read(rows->wanted->entities, array_keys_init(&keys, rows->ids, rows->nbatch), put_entity, rows);
	rows->nbatch = 0;
}

static void
found_entity(void *arg, int64 id, int64 via, int64 start)
{
	RowWalk    *rows = arg;

	if (rows->nbatch == rows->max_size)
		put_batch(rows);
	if (rows->nbatch == rows->size)
	{
		rows->size = Min(rows->size * 2, rows->max_size);
		rows->batch = repalloc(rows->batch, rows->size * sizeof(FoundEntity));
		rows->ids = repalloc(rows->ids, rows->size * sizeof(int64));
	}
	rows->batch[rows->nbatch++] = (FoundEntity) {id, via, start};
}

static bool
found_level(void *arg, int depth, Frontier *frontier)
{
	RowWalk    *rows = arg;

	if (rows->nbatch > 0)
		put_batch(rows);
	rows->depth = depth + 1;
	return true;
}

/*
 * Walks, and puts a row for each entity found that passes the filters, by
 * depth and id.  The walk comes without callbacks.
 */
void
walk_rows(const WalkRows *wanted, GraphWalk walk)
{
	RowWalk		rows = {.wanted = wanted, .depth = 1, .size = 64};

	if (dense_rows(wanted, &walk))
		return;
	/* a quarter of what the walk may take, beside it */
	rows.max_size = Max(64, Min(MAX_BATCH_SIZE, get_hash_memory_limit() / 4 / (sizeof(FoundEntity) + sizeof(int64))));
	rows.batch = palloc(rows.size * sizeof(FoundEntity));
	rows.ids = palloc(rows.size * sizeof(int64));

	walk.found = found_entity;
	walk.level = found_level;
	walk.arg = &rows;
	graph_walk(&walk);
}
