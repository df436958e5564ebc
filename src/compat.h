/*
 * compat.h
 *		The only file that knows server versions.
 *
 * Entries carry the upstream name where the meaning is the same, and are sorted.
 */
#ifndef ASSETREG_COMPAT_H
#define ASSETREG_COMPAT_H

/* before macros take their functions' names */
#include "access/genam.h"
#include "executor/executor.h"
#include "utils/snapmgr.h"

#if PG_VERSION_NUM < 150000
#error "assetreg needs PostgreSQL 15 or later"
#endif

#if PG_VERSION_NUM >= 160000
#include "varatt.h"				/* split off postgres.h in 16 */
#else
extern PGDLLEXPORT void _PG_init(void); /* declared by fmgr.h from 16 on */
#endif

/* 18: PG_MODULE_MAGIC_EXT names the module for pg_get_loaded_modules() */
#ifdef PG_MODULE_MAGIC_EXT
#define ASSETREG_MODULE_MAGIC PG_MODULE_MAGIC_EXT(.name = "assetreg", .version = ASSETREG_VERSION)
#else
#define ASSETREG_MODULE_MAGIC PG_MODULE_MAGIC
#endif

/* until 16 a snapshot could be too old for a page; 17 removed old_snapshot_threshold */
#if PG_VERSION_NUM < 170000
#define snapshots_can_expire() OldSnapshotThresholdActive()
#else
#define snapshots_can_expire() false
#endif

/* 16 tells updates that concern summarizing indexes only */
#if PG_VERSION_NUM < 160000
#define TU_UpdateIndexes bool
#define TU_None false
#define ExecInsertIndexTuples(info, slot, estate, update, no_error, collided, arbiters, only_summarizing) \
	ExecInsertIndexTuples(info, slot, estate, update, no_error, collided, arbiters)
#endif

/* 18 counts scans of an index, and can leave out a row of conflicts */
#if PG_VERSION_NUM < 180000
#define ExecCheckIndexConstraints(info, slot, estate, other, tid, arbiters) \
	ExecCheckIndexConstraints(info, slot, estate, other, arbiters)
#define index_beginscan(table, index, snapshot, counters, nkeys, norderbys) \
	index_beginscan(table, index, snapshot, nkeys, norderbys)
#endif

/* what a setting keeps was from malloc() until 15, and is from a memory context of its own since */
#if PG_VERSION_NUM < 160000
#define guc_free(memory) free(memory)
#define guc_malloc(level, size) malloc(size)
#endif

/* 16 calls the number of a table's file what it is */
#if PG_VERSION_NUM < 160000
#define RelFileLocator RelFileNode
#define RelFileLocatorEquals RelFileNodeEquals
#define rd_firstRelfilelocatorSubid rd_firstRelfilenodeSubid
#define rd_locator rd_node
#endif

#endif							/* ASSETREG_COMPAT_H */
