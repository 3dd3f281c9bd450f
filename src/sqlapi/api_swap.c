/*
 * api_swap.c
 *		skyvault_swap.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xlog.h"
#include "fmgr.h"
#include "forest/forest_swap.h"
#include "miscadmin.h"
#include "server/pg_compat.h"
#include "sqlapi/api_args.h"
#include "sqlapi/api_map.h"
#include "tcop/utility.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(skyvault_swap);

static Relation
open_own(Oid relid)
{
	Relation	rel;

	api_relation_check_owner(relid);
	rel = api_relation_lock(relid, AccessExclusiveLock);
	api_relation_check_owner(relid);
	return rel;
}

/* (a regclass, b regclass) */
Datum
skyvault_swap(PG_FUNCTION_ARGS)
{
	Oid			first = api_relation_arg(fcinfo, 0);
	Oid			second = api_relation_arg(fcinfo, 1);
	Relation	a;
	Relation	b;

	PreventCommandIfReadOnly("skyvault_swap()");
	PreventCommandDuringRecovery("skyvault_swap()");
	forest_swap_check_isolation();
	if (first == second)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a foreign table cannot exchange its content with itself")));
	a = open_own(Min(first, second));
	b = open_own(Max(first, second));
	forest_swap(a, b);
	relation_close(b, NoLock);
	relation_close(a, NoLock);
	PG_RETURN_VOID();
}
