/*
 * entities.c
 *		The rows of entities by id: one interface, two sources.
 *
 * As in adjacency.c: the table's pages where they may be read, else SQL.  Who
 * sees no row of an entity, by row security or because there is none, is given
 * none.
 */
#include "postgres.h"

#include "executor/tuptable.h"

#include "catalog.h"
#include "entities.h"
#include "row_pages.h"
#include "sql_rows.h"

enum
{
	COLUMN_ID, COLUMN_KIND, COLUMN_ACTIVE, COLUMN_KEY, COLUMN_LABEL,
	NCOLUMNS
};

struct Entities
{
	RowPages   *pages;			/* NULL: the source is SQL */
	bool		from_index;		/* kind and active are in the index, and that will do */
	AttrNumber	columns[NCOLUMNS];
	AttrNumber	last_column;

	EntitySink	sink;
	void	   *arg;
};

/*
 * Begins to read entities under the active snapshot; the same rules as for
 * adjacency_begin().  Without names the index may hold all that is wanted.
 */
Entities *
entities_begin(bool names)
{
	static const char *const columns[NCOLUMNS] = {"id", "kind", "active", "key", "label"};
	Entities   *entities = palloc0(sizeof(Entities));

	if (!names)
		entities->pages = row_pages_begin("entities", columns, COLUMN_ACTIVE + 1, PAYLOAD_DATA);
	entities->from_index = entities->pages != NULL;
	if (entities->pages == NULL)
		entities->pages = row_pages_begin("entities", columns, 1, PAYLOAD_NONE);
	if (entities->pages == NULL)
	{
		sql_rows_begin();
		return entities;
	}
	for (int i = 0; i < NCOLUMNS; i++)
	{
		entities->columns[i] = catalog_attnum(row_pages_table(entities->pages), columns[i]);
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

/*
 * An entity as the index has it: kind is a text of at most a hundred bytes, so
 * with a short header and not compressed, and active is the byte after it.
 */
static void
index_entity(Entities *entities, const PageEntry *entry)
{
	Entity		entity = {.id = entry->key, .kind = PointerGetDatum(entry->payload.data)};

	if (!row_pages_visible(entities->pages, entry))
		return;
	entity.active = entry->payload.data[VARSIZE_ANY(entry->payload.data)] != 0;
	entities->sink(entities->arg, &entity);
}

static void
row_entity(Entities *entities, const PageEntry *entry)
{
	TupleTableSlot *slot = row_pages_fetch(entities->pages, entry);
	const AttrNumber *columns = entities->columns;
	Entity		entity;

	if (slot == NULL)
		return;
	slot_getsomeattrs(slot, entities->last_column);
	entity.id = entry->key;
	entity.kind = slot->tts_values[columns[COLUMN_KIND] - 1];
	entity.active = DatumGetBool(slot->tts_values[columns[COLUMN_ACTIVE] - 1]);
	entity.key = slot->tts_values[columns[COLUMN_KEY] - 1];
	entity.label = slot->tts_values[columns[COLUMN_LABEL] - 1];
	entity.label_isnull = slot->tts_isnull[columns[COLUMN_LABEL] - 1];
	entities->sink(entities->arg, &entity);
}

static void
page_entities(void *arg, const PageEntry *entries, int nentries)
{
	Entities   *entities = arg;

	for (int i = 0; i < nentries; i++)
		if (entities->from_index)
			index_entity(entities, &entries[i]);
		else
			row_entity(entities, &entries[i]);
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
		"SELECT e.id, e.kind, e.active, e.key, e.label FROM assetreg.entities e"
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
