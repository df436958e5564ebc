/*
 * entity_rows.h
 *		The rows of entities that memory knows the places of.
 */
#ifndef ASSETREG_ENTITY_ROWS_H
#define ASSETREG_ENTITY_ROWS_H

#include "storage/bufpage.h"

#include "entities.h"
#include "entity_base.h"

typedef struct EntityRows
{
	EntityQuestion *question;
	Relation	table;
	AttrNumber	key;
	AttrNumber	label;
	bool		plain;			/* rows begin with id, kind, key, label and active, as setup() makes them */

	/* the page that was read last stays pinned */
	Buffer		buffer;
	BlockNumber block;
	Page		page;
	HeapTupleData tuple;
} EntityRows;

extern EntityRows *entity_rows_begin(EntityQuestion *question);
extern void entity_rows_end(EntityRows *rows);
extern void entity_rows_far(const EntityRows *rows, int64 id);
extern void entity_rows_near(const EntityRows *rows, int64 id);
extern HeapTuple entity_rows_fetch(EntityRows *rows, int64 id);
extern void entity_rows_entity(EntityRows *rows, int64 id, EntityState state, Entity *entity);

#endif							/* ASSETREG_ENTITY_ROWS_H */
