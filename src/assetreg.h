/*
 * assetreg.h
 *		The settings, which several files read.
 */
#ifndef ASSETREG_H
#define ASSETREG_H

typedef enum GraphSource
{
	GRAPH_SOURCE_AUTO,			/* memory, pages, SQL: the first that may be used and pays */
	GRAPH_SOURCE_MEMORY,		/* the same, but memory as if it always paid */
	GRAPH_SOURCE_INDEX,			/* pages, else SQL */
	GRAPH_SOURCE_SQL
} GraphSource;

typedef enum NotesEditableBy
{
	NOTES_EDITABLE_BY_AUTHOR,
	NOTES_EDITABLE_BY_EVERYONE
} NotesEditableBy;

extern char *assetreg_actor;
extern char *assetreg_asset_roots;
extern bool assetreg_confirm_delete;
extern int	assetreg_graph_source;
extern int	assetreg_notes_editable_by;
extern bool assetreg_notify;

#endif							/* ASSETREG_H */
