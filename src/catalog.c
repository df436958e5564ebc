/*
 * catalog.c
 *		The registry's tables, their indexes, and who may read them how.
 *
 * The tables are ordinary tables of the studio, looked up by name at each call:
 * nothing about them is cached here, so nothing can be out of date.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/nbtree.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/predicate.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"

#include "assetreg.h"
#include "btree_pages.h"
#include "catalog.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(assetreg_require_tables);
PG_FUNCTION_INFO_V1(assetreg_require_autocommit);
PG_FUNCTION_INFO_V1(assetreg_forget_plans);

static Oid
relation_oid(const char *relname)
{
	Oid			schema = get_namespace_oid("assetreg", true);
	Oid			relid = OidIsValid(schema) ? get_relname_relid(relname, schema) : InvalidOid;

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"assetreg.%s\" does not exist", relname),
				 errhint("Run assetreg.setup().")));
	return relid;
}

/*
 * assetreg._require_tables(): raises 55000 where a table is missing, before a
 * PL/pgSQL function says it less helpfully.
 */
Datum
assetreg_require_tables(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {
		"entity_kinds", "asset_types", "entities", "assets", "asset_hashes", "asset_dependencies", "version_ordinals",
		"asset_verifications", "verification_runs", "unresolved_references", "asset_notes", "asset_note_history",
		"asset_ratings", "asset_stats", "asset_stat_changes", "asset_dependent_changes", "asset_search",
		"events", "event_sequencer", "event_consumers", "event_partitions", "event_failures", "dead_events",
		"asset_outcomes", "generation_records",
		"tracked_tables", "tracked_links"
	};

	for (int i = 0; i < lengthof(names); i++)
		relation_oid(names[i]);
	PG_RETURN_VOID();
}

/*
 * assetreg._require_autocommit(what text): raises 25001 inside a transaction
 * block, where a procedure could not commit.
 */
Datum
assetreg_require_autocommit(PG_FUNCTION_ARGS)
{
	if (IsTransactionBlock() || IsSubTransaction())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("%s() cannot run inside a transaction block", text_to_cstring(PG_GETARG_TEXT_PP(0))),
				 errhint("It commits as it goes: call it in autocommit mode.")));
	PG_RETURN_VOID();
}

/*
 * assetreg._forget_plans(): plans that read entities are made anew, in this
 * session at once, in others from the commit on.  PostgreSQL keeps those of
 * foreign keys as long as the session: made while the table was small, they read
 * all of it for each edge when it has grown.
 */
Datum
assetreg_forget_plans(PG_FUNCTION_ARGS)
{
	Relation	rel = catalog_open("entities");

	CacheInvalidateRelcache(rel);
	table_close(rel, NoLock);
	PG_RETURN_VOID();
}

/*
 * Opens a table of the registry for reading.  Raises 55000 where it is missing.
 * The lock is kept to the end of the transaction, as a query's would be.
 */
Relation
catalog_open(const char *relname)
{
	return table_open(relation_oid(relname), AccessShareLock);
}

/* Likewise for writing. */
Relation
catalog_open_to_write(const char *relname)
{
	return table_open(relation_oid(relname), RowExclusiveLock);
}

/*
 * A column by name; a registry without it was not made by setup().
 */
AttrNumber
catalog_attnum(Relation rel, const char *attname)
{
	AttrNumber	attnum = get_attnum(RelationGetRelid(rel), attname);

	if (attnum == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of table \"assetreg.%s\" does not exist",
						attname, RelationGetRelationName(rel))));
	return attnum;
}

/*
 * May the current user's statement read this table's pages directly, with the
 * very result of a query?  The gate that all direct reading goes through; who
 * may not, asks by SQL, which checks column rights and row security itself and
 * takes the predicate locks of a serializable transaction.
 */
bool
catalog_pages_readable(Relation rel)
{
	return assetreg_graph_source != GRAPH_SOURCE_SQL
		&& rel->rd_rel->relkind == RELKIND_RELATION
		&& !rel->rd_rel->relhassubclass
		&& rel->rd_rel->relam == HEAP_TABLE_AM_OID
		&& RelationIsPermanent(rel)
		&& !IsolationIsSerializable()
		&& !snapshots_can_expire()
		&& pg_class_aclcheck(RelationGetRelid(rel), GetUserId(), ACL_SELECT) == ACLCHECK_OK
		&& check_enable_rls(RelationGetRelid(rel), InvalidOid, true) != RLS_ENABLED;
}

/*
 * Is this a whole, valid index with these columns in front, the first of type
 * bigint in ascending order, usable by every snapshot of this transaction?
 */
static bool
index_fits(Relation index, const AttrNumber *columns, int ncolumns)
{
	Form_pg_index form = index->rd_index;
	HeapTupleData *tuple = index->rd_indextuple;

	if (index->rd_rel->relam != BTREE_AM_OID
		|| !form->indisvalid
		|| (form->indcheckxmin && !TransactionIdPrecedes(HeapTupleHeaderGetXmin(tuple->t_data), TransactionXmin))
		|| !heap_attisnull(tuple, Anum_pg_index_indpred, NULL)
		|| index->rd_opfamily[0] != INTEGER_BTREE_FAM_OID
		|| index->rd_opcintype[0] != INT8OID
		|| index->rd_indoption[0] != 0
		|| form->indnatts < ncolumns)
		return false;
	for (int i = 0; i < ncolumns; i++)
		if (form->indkey.values[i] != columns[i])
			return false;
	return true;
}

/*
 * Opens an index from whose pages these columns can be read; NULL where there
 * is none.  All must be declared NOT NULL, so that an index tuple has no bitmap
 * of nulls and holds them one after the other.
 */
Relation
catalog_open_index(Relation rel, const AttrNumber *columns, int ncolumns)
{
	ListCell   *cell;

	for (int i = 0; i < ncolumns; i++)
		if (!TupleDescAttr(RelationGetDescr(rel), columns[i] - 1)->attnotnull)
			return NULL;

	foreach(cell, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(cell), AccessShareLock);

		if (index_fits(index, columns, ncolumns) && btree_pages_supported(index))
			return index;
		index_close(index, AccessShareLock);
	}
	return NULL;
}
