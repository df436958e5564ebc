/*
 * entity_base.h
 *		Kind, state and place of each entity in memory, true for every snapshot, and questions to them.
 */
#ifndef ASSETREG_ENTITY_BASE_H
#define ASSETREG_ENTITY_BASE_H

#include "storage/itemptr.h"

#include "edge_base.h"

/* Twice the number of the kind, and one more if active, and one more: 0 is no entity. */
typedef uint16 EntityState;

#define MAX_KINDS 32000
#define state_of(kind, active) ((EntityState) ((kind) * 2 + ((active) ? 1 : 0) + 1))
#define state_kind(state) (((state) - 1) / 2)
#define state_active(state) (((state) - 1) % 2 != 0)

typedef struct Kinds
{
	Datum	   *names;			/* text, not extended but by a short header */
	int			nkinds;
	int			last;			/* neighbours are often of one kind */
} Kinds;

typedef struct EntityBase
{
	PageLedger	ledger;
	AttrNumber	columns[3];		/* id, kind, active */
	int			nkinds;
	const uint32 *kind_offsets;	/* where each kind's name is */
	const char *kind_names;
	int64		first_id;
	uint32		nids;			/* from the first to the last */
	const EntityState *states;	/* by id less the first */
	const ItemPointerData *places;	/* the same; of those that have a state */
	uint32		nrows;
	const uint32 *page_rows;	/* where each page's rows begin; one more than there are pages */
	const uint32 *rows;			/* ids less the first, in the table's order */
	SettledPages *settled;		/* or NULL; holds ChangedEntity, many */
} EntityBase;

typedef struct ChangedEntity
{
	int64		id;
	EntityState state;
	ItemPointerData place;		/* not set where there is no state */
} ChangedEntity;

/* The base and what a snapshot sees otherwise. */
typedef struct EntityQuestion
{
	const EntityBase *base;
	DirtyPages	dirty;
	Kinds		kinds;			/* the base's, and those that came since */
	ChangedEntity *changed;		/* sorted */
	uint32		nchanged;
	uint32		size;
	const char *refused;
	IdFilter	filter;			/* of the changed ones */
} EntityQuestion;

extern BaseImage *entity_base_build(Relation table, Size limit, const char **refused);
extern EntityBase *entity_base_open(const BaseImage *of);
extern EntityQuestion *entity_base_ask(EntityBase *base, Relation table, const char **refused);
extern const ChangedEntity *entity_question_changed(const EntityQuestion *question, int64 id);

static inline EntityState
entity_question_state(const EntityQuestion *question, int64 id)
{
	uint64		number = (uint64) id - (uint64) question->base->first_id;

	if (question->nchanged > 0 && id_filter_has(&question->filter, id))
	{
		const ChangedEntity *changed = entity_question_changed(question, id);

		if (changed != NULL)
			return changed->state;
	}
	return number < question->base->nids ? question->base->states[number] : 0;
}

/*
 * Where the row is that the question's snapshot sees, of an entity that has a
 * state.  It stays there as long as the snapshot does (direct_row() in
 * row_pages.c says why): nobody removes a row that it sees.
 */
static inline ItemPointerData
entity_question_place(const EntityQuestion *question, int64 id)
{
	if (question->nchanged > 0 && id_filter_has(&question->filter, id))
	{
		const ChangedEntity *changed = entity_question_changed(question, id);

		if (changed != NULL)
			return changed->place;
	}
	return question->base->places[(uint64) id - (uint64) question->base->first_id];
}

#endif							/* ASSETREG_ENTITY_BASE_H */
