/*
 * own_query.c
 *		What runs as the owner of the registry: who writes to the studio's tables
 *		need not be able to read the registry's, or write to them.
 */
#include "postgres.h"

#include "access/table.h"
#include "miscadmin.h"

#include "catalog.h"
#include "own_query.h"

SPIPlanPtr
prepare_kept(const char *query, int nargs, Oid *argtypes)
{
	SPIPlanPtr	plan = SPI_prepare(query, nargs, argtypes);

	if (plan == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", query, SPI_result_code_string(SPI_result));
	SPI_keepplan(plan);
	return plan;
}

/*
 * Until become_user(); after an error the server goes back by itself.
 */
void
become_owner(OwnerSwitch *before)
{
	Relation	entities = catalog_open("entities");

	GetUserIdAndSecContext(&before->user, &before->security);
	SetUserIdAndSecContext(entities->rd_rel->relowner, before->security | SECURITY_LOCAL_USERID_CHANGE);
	table_close(entities, NoLock);
}

void
become_user(const OwnerSwitch *before)
{
	SetUserIdAndSecContext(before->user, before->security);
}

void
run_as_owner(OwnQuery *query, Datum *args)
{
	OwnerSwitch before;

	become_owner(&before);
	if (query->plan == NULL)
		query->plan = prepare_kept(query->text, query->nargs, query->argtypes);
	SPI_execute_plan(query->plan, args, NULL, false, 0);
	become_user(&before);
}
