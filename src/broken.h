/*
 * broken.h
 *		Rules that a test breaks one at a time, to see that it notices.
 *
 * Only a library that is compiled for it (-DASSETREG_BREAK) has the setting
 * assetreg.break; in any other no rule can be broken.
 */
#ifndef ASSETREG_BROKEN_H
#define ASSETREG_BROKEN_H

typedef enum BreakRule
{
	BREAK_NONE,
	BREAK_MAP_LSN,				/* an LSN of the map that moved is not noticed */
	BREAK_IMAGE,				/* nor a bit that was cleared */
	BREAK_BEYOND,				/* pages beyond the copy's end are left out */
	BREAK_NETTING,				/* dirty pages add rows and take none away */
	BREAK_PAGE_LSN,				/* a page that was changed between two vacuums is not noticed */
	BREAK_FILE,					/* a rewritten table is taken for the old one */
	BREAK_SETTLED_LSN,			/* what a dirty page gave is given again when the page was changed */
	BREAK_SETTLED_XIDS			/* and to snapshots that see it otherwise */
} BreakRule;

#ifdef ASSETREG_BREAK
extern int	assetreg_break;
#define BROKEN(rule) (assetreg_break == BREAK_##rule)
#else
#define BROKEN(rule) false
#endif

#endif							/* ASSETREG_BROKEN_H */
