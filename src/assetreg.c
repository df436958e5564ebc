/*
 * assetreg.c
 *		Module magic and settings; nothing else.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/guc.h"

#include "assetreg.h"
#include "attribution.h"
#include "broken.h"
#include "compat.h"
#include "events.h"
#include "graph_cache.h"
#include "server_files.h"

ASSETREG_MODULE_MAGIC;

/*
 * The person on whose behalf a statement runs; empty: the session's user.  A
 * superuser's setting, because what it says is taken as the truth: a service
 * that speaks for many people is granted the right to set it.
 */
char	   *assetreg_actor = NULL;

/*
 * The directories below which files of the server may be read, separated by
 * commas.
 */
char	   *assetreg_asset_roots = NULL;

/*
 * Lets a plain DELETE, UPDATE or TRUNCATE remove assets that are in use.  Meant
 * for SET LOCAL: who confirms has seen what breaks.
 */
bool		assetreg_confirm_delete = false;

/*
 * Whose notes others may edit.  A superuser's setting: who could set it himself
 * would edit what he likes.
 */
int			assetreg_notes_editable_by = NOTES_EDITABLE_BY_AUTHOR;

static const struct config_enum_entry notes_editable_by_options[] = {
	{"author", NOTES_EDITABLE_BY_AUTHOR, false},
	{"everyone", NOTES_EDITABLE_BY_EVERYONE, false},
	{NULL, 0, false}
};

/*
 * Where walks read the graph.  For tests, which hold one source against the
 * other; auto takes the fastest that is exact for the statement.
 */
int			assetreg_graph_source = GRAPH_SOURCE_AUTO;

/*
 * Wakes consumers by NOTIFY.  Off, they find the events when they look: for
 * transactions that are to be prepared, which may not notify, and for servers
 * with so many commits that the lock of NOTIFY would hold them up.
 */
bool		assetreg_notify = true;

#ifdef ASSETREG_BREAK
int			assetreg_break = BREAK_NONE;
#endif

static const struct config_enum_entry graph_source_options[] = {
	{"auto", GRAPH_SOURCE_AUTO, false},
	{"memory", GRAPH_SOURCE_MEMORY, false},
	{"index", GRAPH_SOURCE_INDEX, false},
	{"sql", GRAPH_SOURCE_SQL, false},
	{NULL, 0, false}
};

void
_PG_init(void)
{
	DefineCustomStringVariable("assetreg.actor",
							   "The person on whose behalf statements run.",
							   "Empty: the session's user.",
							   &assetreg_actor, "",
							   PGC_SUSET, 0, attribution_check_actor, NULL, NULL);
	DefineCustomStringVariable("assetreg.asset_roots",
							   "Directories below which files of the server may be read.",
							   "Absolute paths, separated by commas; empty: none.",
							   &assetreg_asset_roots, "",
							   PGC_SUSET, GUC_LIST_INPUT | GUC_SUPERUSER_ONLY,
							   server_files_check_roots, NULL, NULL);
	DefineCustomBoolVariable("assetreg.confirm_delete",
							 "Confirms the removal of assets that active entities depend on.",
							 NULL,
							 &assetreg_confirm_delete, false,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("assetreg.graph_source",
							 "Where dependency walks read the graph.",
							 "For tests: all sources give the same answers.",
							 &assetreg_graph_source, GRAPH_SOURCE_AUTO, graph_source_options,
							 PGC_USERSET, GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);
	DefineCustomEnumVariable("assetreg.notes_editable_by",
							 "Who may edit a note.",
							 "Who may administer the registry always may.",
							 &assetreg_notes_editable_by, NOTES_EDITABLE_BY_AUTHOR, notes_editable_by_options,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("assetreg.notify",
							 "Notifies who listens for events.",
							 "Off: consumers find the events when they look for them.",
							 &assetreg_notify, true,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	events_init();
	graph_cache_init();
#ifdef ASSETREG_BREAK
	DefineCustomIntVariable("assetreg.break", "Breaks a rule, for a test.", NULL,
							&assetreg_break, 0, 0, BREAK_SETTLED_XIDS, PGC_USERSET, 0, NULL, NULL, NULL);
#endif
	MarkGUCPrefixReserved("assetreg");
}
