/*
 * own_query.h
 *		What runs as the owner of the registry.
 */
#ifndef ASSETREG_OWN_QUERY_H
#define ASSETREG_OWN_QUERY_H

#include "executor/spi.h"

/* A query of the registry, prepared once a session. */
typedef struct OwnQuery
{
	const char *text;
	int			nargs;
	Oid			argtypes[14];
	SPIPlanPtr	plan;
} OwnQuery;

typedef struct OwnerSwitch
{
	Oid			user;
	int			security;
} OwnerSwitch;

extern SPIPlanPtr prepare_kept(const char *query, int nargs, Oid *argtypes);
extern void become_owner(OwnerSwitch *before);
extern void become_user(const OwnerSwitch *before);
extern void run_as_owner(OwnQuery *query, Datum *args);

#endif							/* ASSETREG_OWN_QUERY_H */
