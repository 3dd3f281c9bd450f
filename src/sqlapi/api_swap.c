/*
 * api_swap.c
 *		skyvault_swap.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "fmgr.h"
#include "forest/forest_swap.h"
#include "forest/forest_table.h"
#include "miscadmin.h"
#include "server/pg_compat.h"
#include "sqlapi/api_args.h"
#include "sqlapi/api_map.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(skyvault_swap);

/* Also before the lock is taken: nobody may keep others from a table that is not his. */
static void
check_owner(Oid relid)
{
	char	   *name = get_rel_name(relid);
	AclResult	result;

	if (name == NULL)
		return;					/* the lock says so */
	result = compat_namespace_aclcheck(get_rel_namespace(relid), GetUserId(), ACL_USAGE);
	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_SCHEMA, get_namespace_name(get_rel_namespace(relid)));
	if (!compat_class_ownercheck(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(get_rel_relkind(relid)), name);
	(void) forest_table_for_read(relid);	/* an error if it is none of ours */
}

static Relation
open_own(Oid relid)
{
	Relation	rel;

	check_owner(relid);
	rel = api_relation_lock(relid, AccessExclusiveLock);
	check_owner(relid);
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
