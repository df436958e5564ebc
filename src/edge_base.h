/*
 * edge_base.h
 *		A copy of the edges in memory, true for every snapshot (edge_base.c), and
 *		questions to it (edge_question.c).
 */
#ifndef ASSETREG_EDGE_BASE_H
#define ASSETREG_EDGE_BASE_H

#include "adjacency.h"
#include "base_image.h"
#include "settled_pages.h"

/* The neighbours of every entity one after the other. */
typedef struct Csr
{
	const uint32 *offsets;		/* at least one more than there are entities */
	const uint32 *neighbours;
} Csr;

/* Who has no neighbours in this direction is marked where it is one: walks need not look at it. */
#define CSR_LEAF ((uint32) 1 << 31)
#define csr_number(neighbour) ((neighbour) & ~CSR_LEAF)
#define csr_leaf(neighbour) (((neighbour) & CSR_LEAF) != 0)

typedef struct Edge
{
	uint32		dependency;		/* less first_id */
	uint32		dependent;
} Edge;

/* What was gone and added when all dirty pages were settled, the former first. */
typedef struct SettledNet
{
	struct WalkEdge *edges;
	uint32		ngone;
	uint32		nadded;
	bool		known;
} SettledNet;

/* A bit for each number, for one walk at a time. */
typedef struct DenseSeen
{
	uint64	   *words;			/* clear, unless used */
	bool		used;
} DenseSeen;

typedef struct EdgeBase
{
	PageLedger	ledger;
	AttrNumber	dependency;		/* columns */
	AttrNumber	dependent;
	int64		first_id;
	uint32		nids;			/* from the first to the last */
	uint32		nnumbers;		/* the same, with room for ids to come */
	uint32		nedges;
	const uint64 *page_bytes;	/* where each page's edges begin; one more than there are pages */
	const uint8 *packed;		/* in the table's order: edge_base_page() */
	Csr			csr[2];			/* by direction */
	DenseSeen	seen;
	SettledPages *settled;		/* or NULL; holds SettledEdges */
	SettledNet *net;			/* the same; by direction, of the question before */
} EdgeBase;

/* An edge as a walk comes by it. */
typedef struct WalkEdge
{
	int64		id;
	int64		neighbour;
	bool		passed;			/* while edges that are gone are left out */
} WalkEdge;

typedef struct EdgeList
{
	WalkEdge   *edges;			/* sorted */
	uint32		nedges;
	uint32		size;
	uint32		pos;			/* while it is read */
} EdgeList;

/* May an id be among some?  If not, then surely not. */
typedef struct IdFilter
{
	uint64		words[512];
} IdFilter;

#define id_filter_bit(id) (UINT64CONST(1) << ((id) % 64))
#define id_filter_word(id) (((uint64) (id) / 64) % 512)
#define id_filter_add(filter, id) ((filter)->words[id_filter_word(id)] |= id_filter_bit((uint64) (id)))
#define id_filter_has(filter, id) (((filter)->words[id_filter_word(id)] & id_filter_bit((uint64) (id))) != 0)

/* The base and what a snapshot sees otherwise. */
typedef struct EdgeQuestion
{
	const EdgeBase *base;
	EdgeDirection direction;
	DirtyPages	dirty;
	EdgeList	gone;
	EdgeList	added;
	IdFilter	filter;			/* of the entities whose edges these are; not set if there are none */
	DenseSeen  *seen;			/* the base's */
	bool		null_found;		/* an edge without an end: other sources have to say what that means */
} EdgeQuestion;

extern BaseImage *edge_base_build(Relation table, Size limit, const char **refused);
extern EdgeBase *edge_base_open(const BaseImage *of);
extern int	edge_base_page(const EdgeBase *base, BlockNumber block, Edge *edges);
extern bool edge_base_columns(Relation table, AttrNumber *dependency, AttrNumber *dependent);
extern bool edge_base_row(HeapTuple tuple, TupleDesc desc, AttrNumber dependency_column, AttrNumber dependent_column,
						  int64 *dependency, int64 *dependent);

extern LedgerAnswer edge_base_ask(EdgeBase *base, Relation table, EdgeDirection direction, bool may_look,
								  EdgeQuestion *question);
extern void edge_question_expand_one(EdgeQuestion *question, int64 id, EdgeSink sink, void *arg);
extern void edge_question_expand(EdgeQuestion *question, KeySet *ids, EdgeSink sink, void *arg);

#endif							/* ASSETREG_EDGE_BASE_H */
