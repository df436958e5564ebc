/*
 * edge_question.c
 *		What one snapshot sees of the edges: the base, and what differs from it.
 *
 * A question reads the pages that may differ from the base (page_ledger.c)
 * under its snapshot, and nets them with what the base took from them: what is
 * left are a few edges that are gone and a few that were added.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "broken.h"
#include "edge_base.h"

/* At most so many neighbours are given to a sink at once. */
#define NEIGHBOURS_AT_ONCE 1024

static void
add_edge(EdgeQuestion *question, EdgeList *list, int64 dependency, int64 dependent)
{
	bool		up = question->direction == EDGES_TO_DEPENDENTS;

	if (list->nedges == list->size)
	{
		list->size = Max(256, list->size * 2);
		list->edges = list->edges == NULL ? palloc(list->size * sizeof(WalkEdge))
			: repalloc_huge(list->edges, list->size * sizeof(WalkEdge));
	}
	list->edges[list->nedges++] = (WalkEdge) {
		up ? dependency : dependent, up ? dependent : dependency, false
	};
}

typedef struct PageRead
{
	EdgeQuestion *question;
	TupleDesc	desc;
} PageRead;

static void
seen_edge(void *arg, HeapTuple tuple)
{
	PageRead   *read = arg;
	EdgeQuestion *question = read->question;
	int64		dependency;
	int64		dependent;

	if (edge_base_row(tuple, read->desc, question->base->dependency, question->base->dependent, &dependency, &dependent))
		add_edge(question, &question->added, dependency, dependent);
	else
		question->null_found = true;
}

#define ST_SORT sort_edges
#define ST_ELEMENT_TYPE WalkEdge
#define ST_COMPARE(a, b) ((a)->id != (b)->id ? ((a)->id < (b)->id ? -1 : 1) \
						  : ((a)->neighbour > (b)->neighbour) - ((a)->neighbour < (b)->neighbour))
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* Takes from both lists what is in both, edge by edge. */
static void
net(EdgeList *gone, EdgeList *added)
{
	uint32		g = 0;
	uint32		a = 0;
	uint32		ngone = 0;
	uint32		nadded = 0;

	while (g < gone->nedges || a < added->nedges)
	{
		int			order = 0;

		if (g == gone->nedges || a == added->nedges)
			order = g == gone->nedges ? 1 : -1;
		else if (gone->edges[g].id != added->edges[a].id)
			order = gone->edges[g].id < added->edges[a].id ? -1 : 1;
		else if (gone->edges[g].neighbour != added->edges[a].neighbour)
			order = gone->edges[g].neighbour < added->edges[a].neighbour ? -1 : 1;

		if (order < 0)
			gone->edges[ngone++] = gone->edges[g++];
		else if (order > 0)
			added->edges[nadded++] = added->edges[a++];
		else
		{
			g++;
			a++;
		}
	}
	gone->nedges = ngone;
	added->nedges = nadded;
}

/* Rows of a page keep their order: what stands so little further on is looked for. */
#define ROWS_AHEAD 16

/*
 * The same of one page, as far as order goes: most of its rows are as they
 * were, and need not be sorted.  The page's are those added from here on.
 */
static void
net_page(EdgeQuestion *question, BlockNumber block, uint32 from)
{
	const EdgeBase *base = question->base;
	bool		up = question->direction == EDGES_TO_DEPENDENTS;
	WalkEdge   *added = question->added.edges;
	uint32		nadded = question->added.nedges;
	uint32		kept = from;
	Edge		edges[MaxHeapTuplesPerPage];
	int			nedges = edge_base_page(base, block, edges);

	for (int e = 0; e < nedges; e++)
	{
		int64		dependency = base->first_id + edges[e].dependency;
		int64		dependent = base->first_id + edges[e].dependent;
		int64		id = up ? dependency : dependent;
		int64		neighbour = up ? dependent : dependency;
		uint32		last = Min(nadded, from + ROWS_AHEAD);
		uint32		a = from;

		while (a < last && (added[a].id != id || added[a].neighbour != neighbour))
			a++;
		if (a == last)
		{
			add_edge(question, &question->gone, dependency, dependent);
			continue;
		}
		while (from < a)
			added[kept++] = added[from++];
		from = a + 1;
	}
	while (from < nadded)
		added[kept++] = added[from++];
	question->added.nedges = kept;
}

/* Longer lists are put together for each question. */
#define MAX_SETTLED_EDGES (16 * 1024)

/* What a dirty page has less, and then what it has more than the base, whatever the direction. */
typedef struct SettledEdges
{
	uint32		ngone;
	uint32		nadded;
	struct
	{
		int64		dependency;
		int64		dependent;
	}			edges[FLEXIBLE_ARRAY_MEMBER];
} SettledEdges;

static bool
recall_page(EdgeQuestion *question, Relation table, BlockNumber block, Snapshot snapshot)
{
	Size		size;
	const SettledEdges *kept = settled_pages_find(question->base->settled, table, block, snapshot, &size);

	if (kept == NULL)
		return false;
	for (uint32 i = 0; i < kept->ngone + kept->nadded; i++)
		add_edge(question, i < kept->ngone ? &question->gone : &question->added,
				 kept->edges[i].dependency, kept->edges[i].dependent);
	return true;
}

/* Keeps what a page has added to the lists from there on. */
static void
keep_page(EdgeQuestion *question, BlockNumber block, const PageState *state, Snapshot snapshot, uint32 gone, uint32 added)
{
	bool		up = question->direction == EDGES_TO_DEPENDENTS;
	uint32		ngone = question->gone.nedges - gone;
	uint32		nadded = question->added.nedges - added;
	SettledEdges *kept = settled_pages_keep(question->base->settled, block, state, snapshot,
											offsetof(SettledEdges, edges) + (ngone + nadded) * 2 * sizeof(int64));

	if (kept == NULL)
		return;
	kept->ngone = ngone;
	kept->nadded = nadded;
	for (uint32 i = 0; i < ngone + nadded; i++)
	{
		const WalkEdge *edge = i < ngone ? &question->gone.edges[gone + i] : &question->added.edges[added + i - ngone];

		kept->edges[i].dependency = up ? edge->id : edge->neighbour;
		kept->edges[i].dependent = up ? edge->neighbour : edge->id;
	}
}

static void
set_filter(EdgeQuestion *question)
{
	if (question->gone.nedges + question->added.nedges > 0)
		memset(&question->filter, 0, sizeof(IdFilter));
	for (uint32 i = 0; i < question->gone.nedges; i++)
		id_filter_add(&question->filter, question->gone.edges[i].id);
	for (uint32 i = 0; i < question->added.nedges; i++)
		id_filter_add(&question->filter, question->added.edges[i].id);
}

/* The lists of the question before in this direction, if all pages are as they were for it. */
static bool
recall_lists(EdgeQuestion *question, Relation table, BlockNumber nblocks, Snapshot snapshot)
{
	const SettledNet *net = &question->base->net[question->direction];
	Size		bytes = (net->ngone + (Size) net->nadded) * sizeof(WalkEdge);

	if (!net->known || !settled_pages_same(question->base->settled, table, nblocks, &question->dirty, snapshot))
		return false;
	if (bytes > 0)
	{
		question->gone.edges = memcpy(palloc_extended(bytes, MCXT_ALLOC_HUGE), net->edges, bytes);
		question->added.edges = question->gone.edges + net->ngone;
	}
	question->gone.nedges = question->gone.size = net->ngone;
	question->added.nedges = question->added.size = net->nadded;
	set_filter(question);
	return true;
}

static void
forget_lists(const EdgeBase *base)
{
	for (int direction = 0; direction < 2; direction++)
	{
		if (base->net[direction].edges != NULL)
			pfree(base->net[direction].edges);
		base->net[direction] = (SettledNet) {NULL};
	}
}

static void
keep_lists(const EdgeQuestion *question)
{
	SettledNet *net = &question->base->net[question->direction];
	Size		ngone = question->gone.nedges;
	Size		nadded = question->added.nedges;

	if (ngone + nadded > MAX_SETTLED_EDGES)
		return;
	if (ngone + nadded > 0)
		net->edges = MemoryContextAlloc(GetMemoryChunkContext(question->base->net), (ngone + nadded) * sizeof(WalkEdge));
	if (ngone > 0)
		memcpy(net->edges, question->gone.edges, ngone * sizeof(WalkEdge));
	if (nadded > 0)
		memcpy(net->edges + ngone, question->added.edges, nadded * sizeof(WalkEdge));
	net->ngone = ngone;
	net->nadded = nadded;
	net->known = true;
}

/*
 * What the snapshot sees in the dirty pages, against what the base has of them.
 */
static void
read_dirty_pages(EdgeQuestion *question, Relation table, BlockNumber nblocks)
{
	const EdgeBase *base = question->base;
	PageRead	read = {question, RelationGetDescr(table)};
	Snapshot	snapshot = GetActiveSnapshot();

	if (recall_lists(question, table, nblocks, snapshot))
		return;
	forget_lists(base);
	settled_pages_begin(base->settled);
	for (uint32 i = 0; i < question->dirty.nblocks; i++)
	{
		BlockNumber block = question->dirty.blocks[i];
		uint32		gone = question->gone.nedges;
		uint32		added = question->added.nedges;
		PageState	state = {.plain = false};

		if (block < nblocks && recall_page(question, table, block, snapshot))
			continue;
		if (block < nblocks)
			ledger_read(table, block, snapshot, seen_edge, &read, &state);
		if (block < base->ledger.nblocks && !BROKEN(NETTING))
			net_page(question, block, added);
		if (!question->null_found)
			keep_page(question, block, &state, snapshot, gone, added);
	}
	sort_edges(question->gone.edges, question->gone.nedges);
	sort_edges(question->added.edges, question->added.nedges);
	net(&question->gone, &question->added);
	set_filter(question);
	if (settled_pages_end(base->settled, &question->dirty))
		keep_lists(question);
}

/*
 * Makes a question of a base, for the active snapshot, in the current memory
 * context: what the base cannot answer is read.  The table is the one that
 * ledger_check() wants.
 */
LedgerAnswer
edge_base_ask(EdgeBase *base, Relation table, EdgeDirection direction, bool may_look, EdgeQuestion *question)
{
	BlockNumber nblocks = RelationGetNumberOfBlocks(table);
	AttrNumber	dependency;
	AttrNumber	dependent;
	LedgerAnswer answer;

	question->base = base;
	question->seen = &base->seen;
	question->direction = direction;
	/* columns may have been renamed */
	if (!edge_base_columns(table, &dependency, &dependent)
		|| dependency != base->dependency || dependent != base->dependent)
		return LEDGER_OTHER_FILE;
	answer = ledger_check(&base->ledger, table, nblocks, may_look, &question->dirty);
	if (base->settled == NULL && question->dirty.nblocks > 0)
	{
		base->net = MemoryContextAllocZero(GetMemoryChunkContext(base), 2 * sizeof(SettledNet));
		base->settled = settled_pages_create(GetMemoryChunkContext(base), SETTLED_BYTES(base->ledger.nblocks));
	}
	if (answer == LEDGER_CHECKED && question->dirty.nblocks > 0)
		read_dirty_pages(question, table, nblocks);
	return answer;
}

/* Moves to the first of the list's edges whose id is not less; ids come ascending. */
static inline bool
list_seek(EdgeList *list, int64 id)
{
	uint32		step = 1;

	if (list->pos == list->nedges || list->edges[list->pos].id >= id)
		return list->pos < list->nedges && list->edges[list->pos].id == id;
	while (list->pos + step < list->nedges && list->edges[list->pos + step].id < id)
	{
		list->pos += step;
		step *= 2;
	}
	for (; step > 0; step /= 2)
		if (list->pos + step < list->nedges && list->edges[list->pos + step].id < id)
			list->pos += step;
	list->pos++;
	return list->pos < list->nedges && list->edges[list->pos].id == id;
}

/* Is this one of the edges, from pos on, that are gone?  Each is so once. */
static bool
is_gone(EdgeList *gone, int64 id, int64 neighbour)
{
	uint32		low = gone->pos;
	uint32		high = gone->nedges;

	while (low < high)
	{
		uint32		middle = low + (high - low) / 2;
		const WalkEdge *edge = &gone->edges[middle];

		if (edge->id < id || (edge->id == id && edge->neighbour < neighbour))
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < gone->nedges && gone->edges[low].id == id && gone->edges[low].neighbour == neighbour; low++)
		if (!gone->edges[low].passed)
			return gone->edges[low].passed = true;
	return false;
}

static void
give_base_edges(EdgeQuestion *question, int64 id, EdgeSink sink, void *arg)
{
	const EdgeBase *base = question->base;
	const Csr  *csr = &base->csr[question->direction];
	uint64		number = (uint64) id - (uint64) base->first_id;
	bool		some_gone = list_seek(&question->gone, id);
	int64		neighbours[NEIGHBOURS_AT_ONCE];
	int			n = 0;

	if (number >= base->nids)
		return;
	if (some_gone)
		for (uint32 i = question->gone.pos; i < question->gone.nedges && question->gone.edges[i].id == id; i++)
			question->gone.edges[i].passed = false;
	for (uint32 i = csr->offsets[number]; i < csr->offsets[number + 1]; i++)
	{
		int64		neighbour = base->first_id + csr_number(csr->neighbours[i]);

		if (some_gone && is_gone(&question->gone, id, neighbour))
			continue;
		if (n == NEIGHBOURS_AT_ONCE)
		{
			CHECK_FOR_INTERRUPTS();
			sink(arg, id, neighbours, n);
			n = 0;
		}
		neighbours[n++] = neighbour;
	}
	if (n > 0)
		sink(arg, id, neighbours, n);
}

static void
give_added_edges(EdgeQuestion *question, int64 id, EdgeSink sink, void *arg)
{
	EdgeList   *added = &question->added;

	if (list_seek(added, id))
		for (uint32 i = added->pos; i < added->nedges && added->edges[i].id == id; i++)
			sink(arg, id, &added->edges[i].neighbour, 1);
}

/* The smallest id, from this one on, that has or had an edge. */
static bool
next_with_edges(EdgeQuestion *question, int64 from, int64 *id)
{
	const EdgeBase *base = question->base;
	bool		found = false;

	if (base->nids > 0 && from <= base->first_id + (int64) (base->nids - 1))
	{
		*id = Max(from, base->first_id);
		found = true;
	}
	(void) list_seek(&question->added, from);
	if (question->added.pos < question->added.nedges
		&& (!found || question->added.edges[question->added.pos].id < *id))
	{
		*id = question->added.edges[question->added.pos].id;
		found = true;
	}
	return found;
}

/*
 * Gives the sink the neighbours of one id; ids may come in any order.
 */
void
edge_question_expand_one(EdgeQuestion *question, int64 id, EdgeSink sink, void *arg)
{
	question->gone.pos = 0;
	question->added.pos = 0;
	give_base_edges(question, id, sink, arg);
	give_added_edges(question, id, sink, arg);
}

/*
 * As adjacency_expand().
 */
void
edge_question_expand(EdgeQuestion *question, KeySet *ids, EdgeSink sink, void *arg)
{
	bool		all = ids == all_keys();
	uint32		n = 0;
	int64		from = PG_INT64_MIN;
	int64		id;

	question->gone.pos = 0;
	question->added.pos = 0;
	while (all ? next_with_edges(question, from, &id) : ids->seek(ids, from, &id))
	{
		give_base_edges(question, id, sink, arg);
		give_added_edges(question, id, sink, arg);
		if (id == PG_INT64_MAX)
			break;
		from = id + 1;
		if (++n % 1024 == 0)
			CHECK_FOR_INTERRUPTS();
	}
}
