/*
 * edge_base.c
 *		A copy of the edges in memory, true for every snapshot.
 *
 * The base has the edges of the table's all-visible pages in the order of the
 * table, packed, so that it is known what each page gave, and by entity, for
 * walks: compressed sparse rows, for each direction.  Ids are numbered by their
 * distance from the smallest: one sequence gives them out, so that few are
 * missing.
 *
 * All of it lies in one image, which never changes and may be shared by
 * connections (base_image.c).  What a connection learns of it later, which
 * pages still are as they were, it keeps beside.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/visibilitymap.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"

#include "catalog.h"
#include "edge_base.h"

/* So many edges are dealt with before a cancelled statement ends. */
#define EDGES_AT_ONCE (64 * 1024)

/* So many entities may be new before walks through their edges slow down. */
#define NUMBERS_TO_COME (64 * 1024)

#define seen_bytes(nnumbers) (((Size) (nnumbers) / 64 + 1) * sizeof(uint64))

/* Where the parts of an image lie, as distances from its beginning. */
typedef struct EdgeImage
{
	BaseImage	image;
	AttrNumber	dependency;
	AttrNumber	dependent;
	int64		first_id;
	uint32		nids;
	uint32		nedges;
	Size		ledger;
	Size		page_bytes;
	Size		packed;
	Size		offsets[2];		/* by direction */
	Size		neighbours[2];
} EdgeImage;

typedef struct EdgeBuild
{
	TupleDesc	desc;
	AttrNumber	dependency;
	AttrNumber	dependent;
	PageLedger	ledger;
	Size		limit;			/* bytes */
	uint64		origin;			/* edges are counted from here until the smallest id is known */
	uint32	   *page_edges;		/* where each page's edges begin; one more than there are pages */
	Edge	   *edges;			/* in the table's order */
	Size		nedges;
	Size		size;
	int64		min;
	int64		max;
	const char *refused;
} EdgeBuild;

/*
 * The columns of an edge's ends; false where they are not bigint.
 */
bool
edge_base_columns(Relation table, AttrNumber *dependency, AttrNumber *dependent)
{
	*dependency = catalog_attnum(table, "dependency_id");
	*dependent = catalog_attnum(table, "dependent_id");
	return TupleDescAttr(RelationGetDescr(table), *dependency - 1)->atttypid == INT8OID
		&& TupleDescAttr(RelationGetDescr(table), *dependent - 1)->atttypid == INT8OID;
}

/*
 * The ends of a row's edge; false where one is missing.
 */
bool
edge_base_row(HeapTuple tuple, TupleDesc desc, AttrNumber dependency_column, AttrNumber dependent_column,
			  int64 *dependency, int64 *dependent)
{
	bool		isnull[2];

	*dependency = DatumGetInt64(heap_getattr(tuple, dependency_column, desc, &isnull[0]));
	*dependent = DatumGetInt64(heap_getattr(tuple, dependent_column, desc, &isnull[1]));
	return !isnull[0] && !isnull[1];
}

static bool
make_room(EdgeBuild *build)
{
	if (build->nedges < build->size)
		return true;
	/* as large again is what the neighbours alone will take */
	if (build->size * sizeof(Edge) * 2 > build->limit || build->size > PG_UINT32_MAX / 4)
	{
		build->refused = image_too_large;
		return false;
	}
	build->size *= 2;
	build->edges = repalloc_huge(build->edges, build->size * sizeof(Edge));
	return true;
}

static void
take_edge(void *arg, HeapTuple tuple)
{
	EdgeBuild  *build = arg;
	int64		dependency;
	int64		dependent;

	if (build->refused != NULL || !make_room(build))
		return;
	if (!edge_base_row(tuple, build->desc, build->dependency, build->dependent, &dependency, &dependent))
	{
		build->refused = "an edge has no end";
		return;
	}
	if (build->nedges == 0)
		build->origin = (uint64) dependency - PG_UINT32_MAX / 2;
	build->min = Min(build->min, Min(dependency, dependent));
	build->max = Max(build->max, Max(dependency, dependent));
	if ((uint64) build->max - (uint64) build->min >= PG_UINT32_MAX / 2)
	{
		build->refused = "the ids lie too far apart";
		return;
	}
	build->edges[build->nedges++] = (Edge) {(uint64) dependency - build->origin, (uint64) dependent - build->origin};
}

/* From now on numbers are counted from the smallest id. */
static void
number_ids(EdgeBuild *build)
{
	uint32		first = (uint64) build->min - build->origin;

	for (Size i = 0; i < build->nedges; i++)
	{
		if (i % EDGES_AT_ONCE == 0)
			CHECK_FOR_INTERRUPTS();
		build->edges[i].dependency -= first;
		build->edges[i].dependent -= first;
	}
}

/* Writes a number's distance from the one before, seven bits to a byte, small ones of either sign in one. */
static inline Size
pack(uint32 number, uint32 before, uint8 *to)
{
	int32		distance = (int32) (number - before);
	uint32		bits = ((uint32) distance << 1) ^ (uint32) (distance >> 31);
	Size		n = 0;

	for (; bits >= 0x80; bits >>= 7)
	{
		if (to != NULL)
			to[n] = bits | 0x80;
		n++;
	}
	if (to != NULL)
		to[n] = bits;
	return n + 1;
}

static inline uint32
unpack(const uint8 **from, uint32 before)
{
	uint32		bits = 0;
	int			shift = 0;

	while (**from & 0x80)
	{
		bits |= (uint32) (*(*from)++ & 0x7f) << shift;
		shift += 7;
	}
	bits |= (uint32) *(*from)++ << shift;
	return before + ((bits >> 1) ^ (0 - (bits & 1)));
}

/* Packs the edges of a page; tells only how many bytes that takes where there is no place for them. */
static Size
pack_page(const EdgeBuild *build, BlockNumber block, uint8 *to)
{
	Edge		before = {0, 0};
	Size		size = 0;

	for (uint32 e = build->page_edges[block]; e < build->page_edges[block + 1]; e++)
	{
		size += pack(build->edges[e].dependency, before.dependency, to == NULL ? NULL : to + size);
		size += pack(build->edges[e].dependent, before.dependent, to == NULL ? NULL : to + size);
		before = build->edges[e];
	}
	return size;
}

/* Packs all pages, or tells how many bytes that takes. */
static Size
pack_pages(const EdgeBuild *build, uint64 *page_bytes, uint8 *packed)
{
	Size		size = 0;

	for (BlockNumber block = 0; block < build->ledger.nblocks; block++)
	{
		CHECK_FOR_INTERRUPTS();
		if (page_bytes != NULL)
			page_bytes[block] = size;
		size += pack_page(build, block, packed == NULL ? NULL : packed + size);
	}
	if (page_bytes != NULL)
		page_bytes[build->ledger.nblocks] = size;
	return size;
}

/*
 * The edges that the base took from a page, in its order; gives their number,
 * at most MaxHeapTuplesPerPage.
 */
int
edge_base_page(const EdgeBase *base, BlockNumber block, Edge *edges)
{
	const uint8 *from = base->packed + base->page_bytes[block];
	const uint8 *end = base->packed + base->page_bytes[block + 1];
	Edge		before = {0, 0};
	int			n = 0;

	while (from < end)
	{
		before.dependency = unpack(&from, before.dependency);
		before.dependent = unpack(&from, before.dependent);
		edges[n++] = before;
	}
	return n;
}

/* Numbers have 31 bits: the ids of a base lie no farther apart. */
static void
mark_leaves(uint32 nids, const uint32 *offsets, Size nedges, uint32 *neighbours)
{
	uint64	   *inner = palloc_extended(((Size) nids / 64 + 1) * sizeof(uint64), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);

	/* bits, as they stay in the processor's cache while neighbours come in any order */
	for (uint32 i = 0; i < nids; i++)
		inner[i / 64] |= (uint64) (offsets[i] != offsets[i + 1]) << (i % 64);
	for (Size i = 0; i < nedges; i++)
	{
		if (i % EDGES_AT_ONCE == 0)
			CHECK_FOR_INTERRUPTS();
		if ((inner[neighbours[i] / 64] >> (neighbours[i] % 64) & 1) == 0)
			neighbours[i] |= CSR_LEAF;
	}
	pfree(inner);
}

/*
 * Lays out the neighbours of every entity in one direction.  There is one more
 * offset than is needed in the end: they are counted two places on, summed up,
 * and used one place on while neighbours are filled in.
 */
static void
lay_out_direction(const EdgeBuild *build, EdgeDirection direction, uint32 *offsets, Size noffsets, uint32 *neighbours)
{
	bool		up = direction == EDGES_TO_DEPENDENTS;
	uint32		total = 0;

	for (Size i = 0; i < build->nedges; i++)
	{
		if (i % EDGES_AT_ONCE == 0)
			CHECK_FOR_INTERRUPTS();
		offsets[(up ? build->edges[i].dependency : build->edges[i].dependent) + 2]++;
	}
	for (Size i = 2; i < noffsets; i++)
		offsets[i] = total += offsets[i];
	for (Size i = 0; i < build->nedges; i++)
	{
		Edge		edge = build->edges[i];

		if (i % EDGES_AT_ONCE == 0)
			CHECK_FOR_INTERRUPTS();
		if (up)
			neighbours[offsets[edge.dependency + 1]++] = edge.dependent;
		else
			neighbours[offsets[edge.dependent + 1]++] = edge.dependency;
	}
	mark_leaves(noffsets - 2, offsets, build->nedges, neighbours);
}

static EdgeImage *
make_image(EdgeBuild *build, Relation table)
{
	EdgeImage	head = {.dependency = build->dependency, .dependent = build->dependent, .nedges = build->nedges};
	Size		size = IMAGE_ALIGN(sizeof(EdgeImage));
	Size		beside = ledger_loaded_size(&build->ledger) + SETTLED_BYTES(build->ledger.nblocks);
	Size		noffsets;
	EdgeImage  *image;
	char	   *start;

	head.first_id = build->min;
	head.nids = build->nedges > 0 ? (uint64) build->max - (uint64) build->min + 1 : 0;
	noffsets = (Size) head.nids + 2;
	beside += seen_bytes(head.nids + NUMBERS_TO_COME);
	head.ledger = image_place(&size, ledger_size(&build->ledger));
	head.page_bytes = image_place(&size, (build->ledger.nblocks + (Size) 1) * sizeof(uint64));
	head.packed = image_place(&size, pack_pages(build, NULL, NULL));
	for (int direction = 0; direction < 2; direction++)
	{
		head.offsets[direction] = image_place(&size, noffsets * sizeof(uint32));
		head.neighbours[direction] = image_place(&size, build->nedges * sizeof(uint32));
	}
	if (size + Max(beside, build->nedges * sizeof(Edge)) > build->limit)
	{
		build->refused = image_too_large;
		return NULL;
	}

	image = (EdgeImage *) base_image_make(size, beside, table);
	head.image = image->image;
	*image = head;
	start = (char *) image;
	ledger_store(&build->ledger, start + head.ledger);
	(void) pack_pages(build, (uint64 *) (start + head.page_bytes), (uint8 *) (start + head.packed));
	for (int direction = 0; direction < 2; direction++)
		lay_out_direction(build, direction, (uint32 *) (start + head.offsets[direction]), noffsets,
						  (uint32 *) (start + head.neighbours[direction]));
	return image;
}

/*
 * Makes an image of a table's edges in the current memory context, where it
 * leaves more than that; NULL and the reason where it cannot be, or would take
 * more than limit bytes on the way.  The table is locked and needs WAL.  Can be
 * cancelled.
 */
BaseImage *
edge_base_build(Relation table, Size limit, const char **refused)
{
	EdgeBuild	build = {.desc = RelationGetDescr(table), .limit = limit, .size = 1024, .min = PG_INT64_MAX, .max = PG_INT64_MIN};
	EdgeImage  *image = NULL;
	BlockNumber visible;

	*refused = NULL;
	if (!edge_base_columns(table, &build.dependency, &build.dependent))
		*refused = "the columns are not bigint";
	ledger_begin(&build.ledger, table);
	visibilitymap_count(table, &visible, NULL);
	if (visible + ledger_max_dirty(build.ledger.nblocks) < build.ledger.nblocks)
		*refused = "too many pages of the table are not all-visible";
	if (*refused != NULL)
		return NULL;

	build.edges = palloc(build.size * sizeof(Edge));
	build.page_edges = palloc_extended((build.ledger.nblocks + (Size) 1) * sizeof(uint32), MCXT_ALLOC_HUGE);
	if (!ledger_take_all(&build.ledger, table, take_edge, &build, &build.nedges, build.page_edges, &build.refused) && build.refused == NULL)
		build.refused = "too many pages of the table are not all-visible";
	if (build.refused == NULL && build.nedges > 0
		&& (uint64) build.max - (uint64) build.min >= limit / sizeof(uint32))
		build.refused = "the ids lie too far apart";
	if (build.refused == NULL)
	{
		number_ids(&build);
		image = make_image(&build, table);
		pfree(build.edges);
	}
	*refused = build.refused;
	return (BaseImage *) image;
}

/*
 * A base of an image, in the current memory context; the image has to live as
 * long.
 */
EdgeBase *
edge_base_open(const BaseImage *of)
{
	const EdgeImage *image = (const EdgeImage *) of;
	const char *start = (const char *) image;
	EdgeBase   *base = palloc0(sizeof(EdgeBase));

	ledger_load(&base->ledger, start + image->ledger);
	base->dependency = image->dependency;
	base->dependent = image->dependent;
	base->first_id = image->first_id;
	base->nids = image->nids;
	base->nnumbers = image->nids + NUMBERS_TO_COME;
	base->nedges = image->nedges;
	base->page_bytes = (const uint64 *) (start + image->page_bytes);
	base->packed = (const uint8 *) (start + image->packed);
	for (int direction = 0; direction < 2; direction++)
		base->csr[direction] = (Csr) {
			(const uint32 *) (start + image->offsets[direction]), (const uint32 *) (start + image->neighbours[direction])
		};
	base->seen.words = palloc_extended(seen_bytes(base->nnumbers), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	return base;
}
