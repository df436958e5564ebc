/*
 * entity_rows.c
 *		The rows of entities that memory knows the places of.
 *
 * No index is asked and no visibility checked: a question of the entities knows
 * which row of each entity its snapshot sees, and where.  Who comes with sorted
 * ids pins most pages once, as entities mostly lie in order of their creation.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"

#include "catalog.h"
#include "entity_rows.h"

static bool
is_plain(Relation table)
{
	static const char *const names[] = {"id", "kind", "key", "label", "active"};
	static const Oid types[] = {INT8OID, TEXTOID, TEXTOID, TEXTOID, BOOLOID};

	for (int i = 0; i < lengthof(names); i++)
		if (catalog_attnum(table, names[i]) != i + 1
			|| TupleDescAttr(RelationGetDescr(table), i)->atttypid != types[i])
			return false;
	return true;
}

/*
 * Begins to read rows for a question's snapshot, which stays active; the
 * question stays open.
 */
EntityRows *
entity_rows_begin(EntityQuestion *question)
{
	EntityRows *rows = palloc(sizeof(EntityRows));

	rows->question = question;
	rows->table = catalog_open("entities");
	rows->key = catalog_attnum(rows->table, "key");
	rows->label = catalog_attnum(rows->table, "label");
	rows->plain = is_plain(rows->table);
	rows->buffer = InvalidBuffer;
	rows->block = InvalidBlockNumber;
	rows->tuple.t_tableOid = RelationGetRelid(rows->table);
	return rows;
}

void
entity_rows_end(EntityRows *rows)
{
	if (BufferIsValid(rows->buffer))
		ReleaseBuffer(rows->buffer);
	table_close(rows->table, NoLock);
	pfree(rows);
}

/* A page where it was last, which saves looking for it among all buffers. */
static void
go_to_page(EntityRows *rows, BlockNumber block)
{
	const EntityBase *base = rows->question->base;
	Buffer		other = InvalidBuffer;
	Buffer	   *recent = block < base->ledger.nblocks ? &base->ledger.recent[block] : &other;

	CHECK_FOR_INTERRUPTS();
	if (BufferIsValid(rows->buffer))
		ReleaseBuffer(rows->buffer);
	rows->buffer = InvalidBuffer;
	if (!BufferIsValid(*recent) || !ReadRecentBuffer(rows->table->rd_locator, MAIN_FORKNUM, block, *recent))
		*recent = ReadBuffer(rows->table, block);
	rows->buffer = *recent;
	rows->block = block;
	rows->page = BufferGetPage(rows->buffer);
}

/*
 * Where an entity's row will be found, most likely: its item in the buffer
 * where the page was last.  That is not pinned and may hold another by now, so
 * all that this is good for is to have the processor fetch it.  NULL where
 * nothing is known.
 */
static inline ItemId
probable_item(const EntityRows *rows, int64 id, Page *page)
{
	const EntityBase *base = rows->question->base;
	uint64		number = (uint64) id - (uint64) base->first_id;
	const ItemPointerData *place = &base->places[number];
	BlockNumber block;

	if (number >= base->nids || base->states[number] == 0)
		return NULL;
	block = ItemPointerGetBlockNumberNoCheck(place);
	if (!BufferIsValid(base->ledger.recent[block]))
		return NULL;
	*page = BufferGetPage(base->ledger.recent[block]);
	return PageGetItemId(*page, ItemPointerGetOffsetNumberNoCheck(place));
}

/*
 * For an entity whose row will be read some rows on, and then again when it is
 * near: what the memory has of it is fetched, a step each time.
 */
void
entity_rows_far(const EntityRows *rows, int64 id)
{
	Page		page;
	ItemId		item = probable_item(rows, id, &page);

	if (item != NULL)
		__builtin_prefetch(item);
}

void
entity_rows_near(const EntityRows *rows, int64 id)
{
	Page		page;
	ItemId		item = probable_item(rows, id, &page);

	if (item == NULL)
		return;
	__builtin_prefetch((const char *) page + ItemIdGetOffset(item));
	__builtin_prefetch((const char *) page + ItemIdGetOffset(item) + 64);
}

/*
 * The row of an entity that has a state, valid until the next call.  It is read
 * without the page's lock, as in row_pages.c: while the page is pinned nobody
 * moves it, and its values never change.
 */
HeapTuple
entity_rows_fetch(EntityRows *rows, int64 id)
{
	ItemPointerData place = entity_question_place(rows->question, id);
	ItemId		item;

	if (ItemPointerGetBlockNumberNoCheck(&place) != rows->block)
		go_to_page(rows, ItemPointerGetBlockNumberNoCheck(&place));
	item = PageGetItemId(rows->page, ItemPointerGetOffsetNumberNoCheck(&place));
	if (!ItemIdIsNormal(item))
		elog(ERROR, "the graph in memory points to no row of an entity: block %u, item %u",
			 rows->block, ItemPointerGetOffsetNumberNoCheck(&place));
	rows->tuple.t_data = (HeapTupleHeader) PageGetItem(rows->page, item);
	rows->tuple.t_len = ItemIdGetLength(item);
	rows->tuple.t_self = place;
	return &rows->tuple;
}

/*
 * The same as an entity.
 */
void
entity_rows_entity(EntityRows *rows, int64 id, EntityState state, Entity *entity)
{
	HeapTuple	tuple = entity_rows_fetch(rows, id);
	TupleDesc	desc = RelationGetDescr(rows->table);
	bool		isnull;

	entity->id = id;
	entity->kind = rows->question->kinds.names[state_kind(state)];
	entity->active = state_active(state);
	entity->key = heap_getattr(tuple, rows->key, desc, &isnull);
	if (isnull)
		elog(ERROR, "entity %lld has no key", (long long) id);
	entity->label = heap_getattr(tuple, rows->label, desc, &entity->label_isnull);
}
