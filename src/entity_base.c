/*
 * entity_base.c
 *		Kind, state and place of each entity in memory, true for every snapshot, and questions to them.
 *
 * As edge_base.c, of the other table: for each id a number for kind and state,
 * and where its row is; and for each page the ids whose rows it had.  A question
 * reads the pages that may differ; what they had is none any more, unless the
 * snapshot sees it there or elsewhere.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "broken.h"
#include "catalog.h"
#include "entity_base.h"

/* Where the parts of an image lie, as distances from its beginning. */
typedef struct EntityImage
{
	BaseImage	image;
	AttrNumber	columns[3];
	int			nkinds;
	int64		first_id;
	uint32		nids;
	uint32		nrows;
	Size		ledger;
	Size		kind_offsets;
	Size		kind_names;
	Size		states;
	Size		places;
	Size		page_rows;
	Size		rows;
} EntityImage;

typedef struct EntityBuild
{
	AttrNumber	columns[3];
	PageLedger	ledger;
	uint32	   *page_rows;
	TupleDesc	desc;
	Kinds		kinds;
	Size		limit;			/* bytes */
	ChangedEntity *rows;
	Size		nrows;
	Size		size;
	int64		min;
	int64		max;
	const char *refused;
} EntityBuild;

static bool
entity_columns(Relation table, AttrNumber *columns)
{
	static const char *const names[] = {"id", "kind", "active"};
	static const Oid types[] = {INT8OID, TEXTOID, BOOLOID};

	for (int i = 0; i < lengthof(names); i++)
	{
		columns[i] = catalog_attnum(table, names[i]);
		if (TupleDescAttr(RelationGetDescr(table), columns[i] - 1)->atttypid != types[i])
			return false;
	}
	return true;
}

/* The number of a kind, a new one if need be; -1 where there are too many. */
static int
kind_number(Kinds *kinds, struct varlena *kind)
{
	Size		size = VARSIZE_ANY_EXHDR(kind);

	for (int i = -1; i < kinds->nkinds; i++)
	{
		int			n = i < 0 ? kinds->last : i;
		struct varlena *known;

		if (kinds->nkinds == 0)
			break;
		known = (struct varlena *) DatumGetPointer(kinds->names[n]);
		if (VARSIZE_ANY_EXHDR(known) == size && memcmp(VARDATA_ANY(known), VARDATA_ANY(kind), size) == 0)
			return kinds->last = n;
	}
	if (kinds->nkinds == MAX_KINDS)
		return -1;
	if (kinds->nkinds % 64 == 0)
	{
		Datum	   *names = palloc((kinds->nkinds + 64) * sizeof(Datum));

		if (kinds->nkinds > 0)
			memcpy(names, kinds->names, kinds->nkinds * sizeof(Datum));
		kinds->names = names;
	}
	kinds->names[kinds->nkinds] = PointerGetDatum(memcpy(palloc(VARSIZE_ANY(kind)), kind, VARSIZE_ANY(kind)));
	return kinds->last = kinds->nkinds++;
}

/* What a row says; the reason where it cannot be kept. */
static const char *
row_entity(HeapTuple tuple, TupleDesc desc, const AttrNumber *columns, Kinds *kinds, ChangedEntity *entity)
{
	bool		isnull[3];
	Datum		values[3];
	struct varlena *name;
	int			kind;

	for (int i = 0; i < 3; i++)
		values[i] = heap_getattr(tuple, columns[i], desc, &isnull[i]);
	if (isnull[0] || isnull[1] || isnull[2])
		return "an entity has no id, kind or state";
	name = (struct varlena *) DatumGetPointer(values[1]);
	if (VARATT_IS_COMPRESSED(name) || VARATT_IS_EXTERNAL(name))
		return "a kind is compressed";
	kind = kind_number(kinds, name);
	if (kind < 0)
		return "there are too many kinds";
	entity->id = DatumGetInt64(values[0]);
	entity->state = state_of(kind, DatumGetBool(values[2]));
	entity->place = tuple->t_self;
	return NULL;
}

static void
take_entity(void *arg, HeapTuple tuple)
{
	EntityBuild *build = arg;
	ChangedEntity entity;

	if (build->refused != NULL)
		return;
	build->refused = row_entity(tuple, build->desc, build->columns, &build->kinds, &entity);
	if (build->refused != NULL)
		return;
	if (build->nrows == build->size)
	{
		if (build->size * sizeof(ChangedEntity) > build->limit || build->size > PG_UINT32_MAX / 4)
		{
			build->refused = image_too_large;
			return;
		}
		build->size *= 2;
		build->rows = repalloc_huge(build->rows, build->size * sizeof(ChangedEntity));
	}
	build->min = Min(build->min, entity.id);
	build->max = Max(build->max, entity.id);
	build->rows[build->nrows++] = entity;
}

/* Keeps names one after the other; tells only how many bytes that takes where there is no place for them. */
static Size
keep_kinds(const Kinds *kinds, uint32 *offsets, char *names)
{
	Size		size = 0;

	for (int i = 0; i < kinds->nkinds; i++)
	{
		struct varlena *name = (struct varlena *) DatumGetPointer(kinds->names[i]);

		if (names != NULL)
		{
			offsets[i] = size;
			memcpy(names + size, name, VARSIZE_ANY(name));
		}
		size += INTALIGN(VARSIZE_ANY(name));
	}
	return size;
}

static void
number_entities(EntityBuild *build, EntityImage *image)
{
	char	   *start = (char *) image;
	EntityState *states = (EntityState *) (start + image->states);
	ItemPointerData *places = (ItemPointerData *) (start + image->places);
	uint32	   *rows = (uint32 *) (start + image->rows);

	for (uint32 i = 0; i < image->nrows; i++)
	{
		uint32		number = (uint64) build->rows[i].id - (uint64) image->first_id;

		if (i % (64 * 1024) == 0)
			CHECK_FOR_INTERRUPTS();
		if (states[number] != 0)
			build->refused = "an id is not unique";
		states[number] = build->rows[i].state;
		places[number] = build->rows[i].place;
		rows[i] = number;
	}
}

static EntityImage *
make_image(EntityBuild *build, Relation table)
{
	EntityImage head = {.nkinds = build->kinds.nkinds, .nrows = build->nrows, .first_id = build->min};
	Size		size = IMAGE_ALIGN(sizeof(EntityImage));
	Size		beside = ledger_loaded_size(&build->ledger) + SETTLED_BYTES(build->ledger.nblocks);
	Size		page_rows = (build->ledger.nblocks + (Size) 1) * sizeof(uint32);
	EntityImage *image;
	char	   *start;

	memcpy(head.columns, build->columns, sizeof(head.columns));
	head.nids = build->nrows > 0 ? (uint64) build->max - (uint64) build->min + 1 : 0;
	head.ledger = image_place(&size, ledger_size(&build->ledger));
	head.kind_offsets = image_place(&size, head.nkinds * sizeof(uint32));
	head.kind_names = image_place(&size, keep_kinds(&build->kinds, NULL, NULL));
	head.states = image_place(&size, head.nids * sizeof(EntityState));
	head.places = image_place(&size, head.nids * sizeof(ItemPointerData));
	head.page_rows = image_place(&size, page_rows);
	head.rows = image_place(&size, head.nrows * sizeof(uint32));
	if (size + beside > build->limit)
	{
		build->refused = image_too_large;
		return NULL;
	}

	image = (EntityImage *) base_image_make(size, beside, table);
	head.image = image->image;
	*image = head;
	start = (char *) image;
	ledger_store(&build->ledger, start + head.ledger);
	(void) keep_kinds(&build->kinds, (uint32 *) (start + head.kind_offsets), start + head.kind_names);
	memcpy(start + head.page_rows, build->page_rows, page_rows);
	number_entities(build, image);
	return image;
}

/*
 * Makes an image of the table of entities; the same rules as for
 * edge_base_build().
 */
BaseImage *
entity_base_build(Relation table, Size limit, const char **refused)
{
	EntityBuild build = {.desc = RelationGetDescr(table), .limit = limit, .size = 1024, .min = PG_INT64_MAX, .max = PG_INT64_MIN};
	EntityImage *image = NULL;

	if (!entity_columns(table, build.columns))
	{
		*refused = "the entities' columns are of other types";
		return NULL;
	}
	ledger_begin(&build.ledger, table);
	build.page_rows = palloc_extended((build.ledger.nblocks + (Size) 1) * sizeof(uint32), MCXT_ALLOC_HUGE);
	build.rows = palloc(build.size * sizeof(ChangedEntity));
	if (!ledger_take_all(&build.ledger, table, take_entity, &build, &build.nrows, build.page_rows, &build.refused) && build.refused == NULL)
		build.refused = "too many pages of the entities are not all-visible";
	if (build.refused == NULL && build.nrows > 0
		&& (uint64) build.max - (uint64) build.min >= Min(limit / (sizeof(EntityState) + sizeof(ItemPointerData)), PG_UINT32_MAX / 2))
		build.refused = "the ids lie too far apart";
	if (build.refused == NULL)
		image = make_image(&build, table);
	pfree(build.rows);
	*refused = build.refused;
	return build.refused == NULL ? (BaseImage *) image : NULL;
}

/*
 * A base of an image, in the current memory context; the image has to live as
 * long.
 */
EntityBase *
entity_base_open(const BaseImage *of)
{
	const EntityImage *image = (const EntityImage *) of;
	const char *start = (const char *) image;
	EntityBase *base = palloc0(sizeof(EntityBase));

	ledger_load(&base->ledger, start + image->ledger);
	memcpy(base->columns, image->columns, sizeof(base->columns));
	base->nkinds = image->nkinds;
	base->kind_offsets = (const uint32 *) (start + image->kind_offsets);
	base->kind_names = start + image->kind_names;
	base->first_id = image->first_id;
	base->nids = image->nids;
	base->states = (const EntityState *) (start + image->states);
	base->places = (const ItemPointerData *) (start + image->places);
	base->nrows = image->nrows;
	base->page_rows = (const uint32 *) (start + image->page_rows);
	base->rows = (const uint32 *) (start + image->rows);
	return base;
}

static void
add_changed(EntityQuestion *question, ChangedEntity changed)
{
	if (question->nchanged == question->size)
	{
		question->size = Max(256, question->size * 2);
		question->changed = question->changed == NULL ? palloc(question->size * sizeof(ChangedEntity))
			: repalloc_huge(question->changed, question->size * sizeof(ChangedEntity));
	}
	question->changed[question->nchanged++] = changed;
}

typedef struct PageRead
{
	EntityQuestion *question;
	TupleDesc	desc;
} PageRead;

static void
seen_entity(void *arg, HeapTuple tuple)
{
	PageRead   *read = arg;
	EntityQuestion *question = read->question;
	ChangedEntity entity;

	if (question->refused == NULL)
		question->refused = row_entity(tuple, read->desc, question->base->columns, &question->kinds, &entity);
	if (question->refused == NULL)
		add_changed(question, entity);
}

/* What a page had and has: the latter first. */
#define ST_SORT sort_changed
#define ST_ELEMENT_TYPE ChangedEntity
#define ST_COMPARE(a, b) ((a)->id != (b)->id ? ((a)->id < (b)->id ? -1 : 1) : ((a)->state < (b)->state) - ((a)->state > (b)->state))
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

static bool
recall_page(EntityQuestion *question, Relation table, BlockNumber block, Snapshot snapshot)
{
	Size		size;
	const ChangedEntity *kept = settled_pages_find(question->base->settled, table, block, snapshot, &size);

	if (kept == NULL)
		return false;
	for (Size i = 0; i < size / sizeof(ChangedEntity); i++)
		add_changed(question, kept[i]);
	return true;
}

/* Keeps the page's entities, which were added from there on, if their kinds will be known. */
static void
keep_page(EntityQuestion *question, BlockNumber block, const PageState *state, Snapshot snapshot, uint32 from)
{
	uint32		n = question->nchanged - from;
	ChangedEntity *kept;

	for (uint32 i = from; i < question->nchanged; i++)
		if (state_kind(question->changed[i].state) >= question->base->nkinds)
			return;
	kept = settled_pages_keep(question->base->settled, block, state, snapshot, n * sizeof(ChangedEntity));
	if (kept != NULL && n > 0)
		memcpy(kept, &question->changed[from], n * sizeof(ChangedEntity));
}

static void
read_dirty_page(EntityQuestion *question, Relation table, BlockNumber block, Snapshot snapshot)
{
	PageRead	read = {question, RelationGetDescr(table)};
	uint32		from = question->nchanged;
	PageState	state;

	if (recall_page(question, table, block, snapshot))
		return;
	ledger_read(table, block, snapshot, seen_entity, &read, &state);
	if (question->refused == NULL)
		keep_page(question, block, &state, snapshot, from);
}

static void
read_dirty_pages(EntityQuestion *question, Relation table, BlockNumber nblocks)
{
	const EntityBase *base = question->base;
	Snapshot	snapshot = GetActiveSnapshot();
	uint32		n = 0;

	settled_pages_begin(base->settled);
	for (uint32 i = 0; i < question->dirty.nblocks; i++)
	{
		BlockNumber block = question->dirty.blocks[i];

		if (block < nblocks)
			read_dirty_page(question, table, block, snapshot);
		if (block < base->ledger.nblocks && !BROKEN(NETTING))
			for (uint32 row = base->page_rows[block]; row < base->page_rows[block + 1]; row++)
				add_changed(question, (ChangedEntity) {base->first_id + base->rows[row], 0});
	}
	if (question->nchanged == 0)
		return;
	memset(&question->filter, 0, sizeof(IdFilter));
	sort_changed(question->changed, question->nchanged);
	for (uint32 i = 0; i < question->nchanged; i++)
	{
		const ChangedEntity *changed = &question->changed[i];

		if (n > 0 && question->changed[n - 1].id == changed->id)
		{
			if (changed->state != 0)
				question->refused = "an id is not unique";
			continue;
		}
		id_filter_add(&question->filter, changed->id);
		question->changed[n++] = *changed;
	}
	question->nchanged = n;
}

/*
 * Makes a question of a base, for the active snapshot, in the current memory
 * context; NULL and the reason where it cannot answer, and then the base is of
 * no use any more.
 */
EntityQuestion *
entity_base_ask(EntityBase *base, Relation table, const char **refused)
{
	BlockNumber nblocks = RelationGetNumberOfBlocks(table);
	EntityQuestion *question = palloc(sizeof(EntityQuestion));
	AttrNumber	columns[3];

	memset(question, 0, offsetof(EntityQuestion, filter));
	question->base = base;
	/* more may come */
	question->kinds.names = palloc((base->nkinds / 64 + 1) * 64 * sizeof(Datum));
	question->kinds.nkinds = base->nkinds;
	for (int i = 0; i < base->nkinds; i++)
		question->kinds.names[i] = PointerGetDatum(base->kind_names + base->kind_offsets[i]);
	if (!entity_columns(table, columns) || memcmp(columns, base->columns, sizeof(columns)) != 0
		|| ledger_check(&base->ledger, table, nblocks, true, &question->dirty) != LEDGER_CHECKED)
	{
		*refused = "the entities have been changed too much";
		return NULL;
	}
	if (base->settled == NULL && question->dirty.nblocks > 0)
		base->settled = settled_pages_create(GetMemoryChunkContext(base), SETTLED_BYTES(base->ledger.nblocks));
	if (question->dirty.nblocks > 0)
		read_dirty_pages(question, table, nblocks);
	*refused = question->refused;
	return question->refused == NULL ? question : NULL;
}

/*
 * What the snapshot sees of an entity, if not what the base has; NULL where it
 * does not see it otherwise.
 */
const ChangedEntity *
entity_question_changed(const EntityQuestion *question, int64 id)
{
	uint32		low = 0;
	uint32		high = question->nchanged;

	while (low < high)
	{
		uint32		middle = low + (high - low) / 2;

		if (question->changed[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < question->nchanged && question->changed[low].id == id ? &question->changed[low] : NULL;
}
