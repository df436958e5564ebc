/*
 * entities.c
 *		The rows of entities by id: one interface, two sources.
 *
 * As in adjacency.c: the table's pages where they may be read, else SQL.  Who
 * sees no row of an entity, by row security or because there is none, is given
 * none.
 */
#include "postgres.h"

#include "access/table.h"
#include "executor/tuptable.h"

#include "catalog.h"
#include "entities.h"
#include "row_pages.h"
#include "sql_rows.h"

enum
{
	COLUMN_ID, COLUMN_KIND, COLUMN_KEY, COLUMN_LABEL, COLUMN_ACTIVE,
	NCOLUMNS
};

struct Entities
{
	RowPages   *pages;			/* NULL: the source is SQL */
	AttrNumber	columns[NCOLUMNS];
	AttrNumber	last_column;

	EntitySink	sink;
	void	   *arg;
};

/*
 * Begins to read entities under the active snapshot; the same rules as for
 * adjacency_begin().
 */
Entities *
entities_begin(void)
{
	static const char *const names[NCOLUMNS] = {"id", "kind", "key", "label", "active"};
	Entities   *entities = palloc0(sizeof(Entities));

	entities->pages = row_pages_begin("entities", "id", NULL);
	if (entities->pages == NULL)
	{
		sql_rows_begin();
		return entities;
	}
	for (int i = 0; i < NCOLUMNS; i++)
	{
		entities->columns[i] = catalog_attnum(row_pages_table(entities->pages), names[i]);
		entities->last_column = Max(entities->last_column, entities->columns[i]);
	}
	return entities;
}

void
entities_end(Entities *entities)
{
	if (entities->pages != NULL)
		row_pages_end(entities->pages);
	else
		sql_rows_end();
	pfree(entities);
}

static void
page_entities(void *arg, const PageEntry *entries, int nentries)
{
	Entities   *entities = arg;
	const AttrNumber *columns = entities->columns;

	for (int i = 0; i < nentries; i++)
	{
		TupleTableSlot *slot = row_pages_fetch(entities->pages, &entries[i]);
		Entity		entity;

		if (slot == NULL)
			continue;
		slot_getsomeattrs(slot, entities->last_column);
		entity.id = entries[i].key;
		entity.kind = slot->tts_values[columns[COLUMN_KIND] - 1];
		entity.key = slot->tts_values[columns[COLUMN_KEY] - 1];
		entity.label = slot->tts_values[columns[COLUMN_LABEL] - 1];
		entity.label_isnull = slot->tts_isnull[columns[COLUMN_LABEL] - 1];
		entity.active = DatumGetBool(slot->tts_values[columns[COLUMN_ACTIVE] - 1]);
		entities->sink(entities->arg, &entity);
	}
}

static void
sql_entity(void *arg, HeapTuple row, TupleDesc desc)
{
	Entities   *entities = arg;
	Entity		entity;
	bool		isnull;

	entity.id = DatumGetInt64(SPI_getbinval(row, desc, COLUMN_ID + 1, &isnull));
	entity.kind = SPI_getbinval(row, desc, COLUMN_KIND + 1, &isnull);
	entity.key = SPI_getbinval(row, desc, COLUMN_KEY + 1, &isnull);
	entity.label = SPI_getbinval(row, desc, COLUMN_LABEL + 1, &entity.label_isnull);
	entity.active = DatumGetBool(SPI_getbinval(row, desc, COLUMN_ACTIVE + 1, &isnull));
	entities->sink(entities->arg, &entity);
}

/*
 * Gives the sink the entities among the ids that there are, in order of ids.
 */
void
entities_read(Entities *entities, KeySet *ids, EntitySink sink, void *arg)
{
	static SqlRowsQuery query = {
		"SELECT e.id, e.kind, e.key, e.label, e.active FROM assetreg.entities e"
		" WHERE e.id OPERATOR(pg_catalog.=) ANY ($1) ORDER BY e.id"
	};

	entities->sink = sink;
	entities->arg = arg;
	if (entities->pages != NULL)
		row_pages_read(entities->pages, ids, page_entities, entities);
	else
		sql_rows_for_ids(&query, ids, sql_entity, entities);
}

/*
 * Makes spaces of control characters, which would break the line of a message
 * or picture; gives the string back.
 */
char *
one_line(char *string)
{
	for (char *c = string; *c; c++)
		if ((unsigned char) *c < ' ' || *c == 0x7f)
			*c = ' ';
	return string;
}

typedef struct ExistCheck
{
	const int64 *ids;
	int			nids;
	int			nfound;			/* the first so many exist */
} ExistCheck;

static void
check_next(void *arg, const Entity *entity)
{
	ExistCheck *check = arg;

	if (check->nfound < check->nids && check->ids[check->nfound] == entity->id)
		check->nfound++;
}

/*
 * Raises undefined_object for the smallest of the sorted ids that is no
 * entity's, or none that the caller may see.
 */
void
entities_check_exist(Entities *entities, const int64 *ids, int nids)
{
	ArrayKeys	keys;
	ExistCheck	check = {ids, nids, 0};

	entities_read(entities, array_keys_init(&keys, ids, nids), check_next, &check);
	if (check.nfound < nids)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("entity %lld does not exist", (long long) ids[check.nfound])));
}
