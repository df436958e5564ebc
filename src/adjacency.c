/*
 * adjacency.c
 *		The neighbours of a set of entities: one interface, several sources.
 *
 * Every source answers for the active snapshot, exactly as a query of
 * assetreg.asset_dependencies in the same place would, and gives the entities
 * in ascending order.  Sources:
 *
 * - memory: a copy of the edges that this connection keeps, with what has
 *   changed since read under the snapshot (graph_cache.c).
 * - pages: the leaf pages of a covering index, for whoever may read the table
 *   as it is.  A row whose heap page is all-visible is visible; any other is
 *   looked at.
 * - SQL: a query a block of entities.  Slower, and right wherever the first
 *   may not be used: row security, column rights, serializable transactions,
 *   another table access method, no suitable index.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/nbtree.h"
#include "access/table.h"
#include "catalog/pg_type.h"

#include "adjacency.h"
#include "catalog.h"
#include "compat.h"
#include "graph_cache.h"
#include "row_pages.h"
#include "sql_rows.h"

/* Finding a page of the index takes about as long as reading so many edges. */
#define WORK_OF_PAGE 8

struct Adjacency
{
	EdgeDirection direction;
	EdgeQuestion *memory;		/* or NULL */
	RowPages   *pages;			/* both NULL: the source is SQL */
	int64		neighbours[MaxTIDsPerBTreePage];

	/* where the edges go */
	EdgeSink	sink;
	void	   *arg;
};

/*
 * Begins to look for neighbours under the active snapshot, which must stay
 * active, in the current memory context, which must outlive it.  Raises 55000
 * where the registry has no tables.  Connects to SPI where the source is SQL;
 * what is begun later must be ended before.
 */
Adjacency *
adjacency_begin(EdgeDirection direction)
{
	static const char *const columns[][2] = {
		[EDGES_TO_DEPENDENTS] = {"dependency_id", "dependent_id"},
		[EDGES_TO_DEPENDENCIES] = {"dependent_id", "dependency_id"}
	};
	Adjacency  *adjacency = palloc(sizeof(Adjacency));

	adjacency->direction = direction;
	adjacency->pages = NULL;
	adjacency->memory = graph_cache_edges(direction);
	if (adjacency->memory != NULL)
		return adjacency;
	adjacency->pages = row_pages_begin("asset_dependencies", columns[direction], 2, PAYLOAD_ID);
	if (adjacency->pages == NULL)
		sql_rows_begin();
	return adjacency;
}

/*
 * The question of memory behind it; NULL where another source answers.
 */
EdgeQuestion *
adjacency_memory(Adjacency *adjacency)
{
	return adjacency->memory;
}

void
adjacency_end(Adjacency *adjacency)
{
	if (adjacency->memory != NULL)
		graph_cache_done(adjacency->memory);
	else if (adjacency->pages != NULL)
		row_pages_end(adjacency->pages);
	else
		sql_rows_end();
	pfree(adjacency);
}

static void
page_edges(void *arg, const PageEntry *entries, int nentries)
{
	Adjacency  *adjacency = arg;
	int			n = 0;

	graph_cache_add_work(nentries + WORK_OF_PAGE);
	for (int i = 0; i < nentries; i++)
	{
		if (n > 0 && entries[i].key != entries[i - 1].key)
		{
			adjacency->sink(adjacency->arg, entries[i - 1].key, adjacency->neighbours, n);
			n = 0;
		}
		if (row_pages_visible(adjacency->pages, &entries[i]))
			adjacency->neighbours[n++] = entries[i].payload.id;
	}
	if (n > 0)
		adjacency->sink(adjacency->arg, entries[nentries - 1].key, adjacency->neighbours, n);
}

static void
sql_edge(void *arg, HeapTuple row, TupleDesc desc)
{
	Adjacency  *adjacency = arg;
	bool		isnull;
	int64		id = DatumGetInt64(SPI_getbinval(row, desc, 1, &isnull));
	int64		neighbour = DatumGetInt64(SPI_getbinval(row, desc, 2, &isnull));

	adjacency->sink(adjacency->arg, id, &neighbour, 1);
}

static void
sql_edges(Adjacency *adjacency, KeySet *ids)
{
	static SqlRowsQuery for_ids[] = {
		[EDGES_TO_DEPENDENTS] = {
			"SELECT d.dependency_id, d.dependent_id FROM assetreg.asset_dependencies d"
			" WHERE d.dependency_id OPERATOR(pg_catalog.=) ANY ($1) ORDER BY d.dependency_id"
		},
		[EDGES_TO_DEPENDENCIES] = {
			"SELECT d.dependent_id, d.dependency_id FROM assetreg.asset_dependencies d"
			" WHERE d.dependent_id OPERATOR(pg_catalog.=) ANY ($1) ORDER BY d.dependent_id"
		}
	};
	static SqlRowsQuery all[] = {
		[EDGES_TO_DEPENDENTS] = {
			"SELECT d.dependency_id, d.dependent_id FROM assetreg.asset_dependencies d ORDER BY d.dependency_id"
		},
		[EDGES_TO_DEPENDENCIES] = {
			"SELECT d.dependent_id, d.dependency_id FROM assetreg.asset_dependencies d ORDER BY d.dependent_id"
		}
	};

	if (ids == all_keys())
		sql_rows_all(&all[adjacency->direction], sql_edge, adjacency);
	else
		sql_rows_for_ids(&for_ids[adjacency->direction], ids, sql_edge, adjacency);
}

/*
 * Gives the sink every neighbour of every id; all_keys() for the whole graph.
 * The sink must not expand the same adjacency.  Raises what a query of the
 * table would: missing rights, a cancelled statement.
 */
void
adjacency_expand(Adjacency *adjacency, KeySet *ids, EdgeSink sink, void *arg)
{
	adjacency->sink = sink;
	adjacency->arg = arg;
	if (adjacency->memory != NULL)
		edge_question_expand(adjacency->memory, ids, sink, arg);
	else if (adjacency->pages != NULL)
		row_pages_read(adjacency->pages, ids, page_edges, adjacency);
	else
		sql_edges(adjacency, ids);
}
