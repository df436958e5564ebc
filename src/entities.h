/*
 * entities.h
 *		The rows of entities by id: one interface, two sources.
 */
#ifndef ASSETREG_ENTITIES_H
#define ASSETREG_ENTITIES_H

#include "keyset.h"

/* Valid while the sink runs. */
typedef struct Entity
{
	int64		id;
	Datum		kind;			/* text */
	bool		active;
	Datum		key;			/* text; not set where names are not wanted */
	Datum		label;			/* text; as key */
	bool		label_isnull;
} Entity;

typedef void (*EntitySink) (void *arg, const Entity *entity);

typedef struct Entities Entities;

extern Entities *entities_begin(bool names);
extern void entities_read(Entities *entities, KeySet *ids, EntitySink sink, void *arg);
extern void entities_end(Entities *entities);

extern char *one_line(char *string);
extern void entities_check_exist(Entities *entities, const int64 *ids, int nids);

#endif							/* ASSETREG_ENTITIES_H */
