/*
 * api_map.c
 *		See api_map.h.
 */
#include "postgres.h"

#include "sqlapi/api_map.h"

#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "server/pg_compat.h"
#include "sqlapi/api_args.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

static void
check_privilege(Relation rel, AclMode privilege)
{
	AclResult	result;

	/* A regclass is an oid, so nobody has looked at the schema yet. */
	result = compat_namespace_aclcheck(RelationGetNamespace(rel), GetUserId(), ACL_USAGE);
	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_SCHEMA, get_namespace_name(RelationGetNamespace(rel)));
	result = pg_class_aclcheck(RelationGetRelid(rel), GetUserId(), privilege);
	if (result != ACLCHECK_OK)
		aclcheck_error(result, get_relkind_objtype(rel->rd_rel->relkind), RelationGetRelationName(rel));
}

static void
check_column(Relation rel, AttrNumber attno, Oid type)
{
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(rel), attno - 1);
	bool		is_bytea = getBaseType(attribute->atttypid) == BYTEAOID;

	if (is_bytea != (type == BYTEAOID))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of foreign table \"%s\" is of type %s",
						NameStr(attribute->attname), RelationGetRelationName(rel),
						format_type_be(attribute->atttypid)),
				 errhint("Cast the arguments to %s.", is_bytea ? "bytea" : "text")));
}

/*
 * A put is not an INSERT: it runs no trigger, checks no CHECK and no partition
 * bound.  So tables that have them are not for it.
 */
static void
check_writable(Relation rel)
{
	TupleConstr *constr = RelationGetDescr(rel)->constr;
	const char *obstacle = NULL;

	if (constr != NULL && constr->num_check > 0)
		obstacle = "CHECK constraints";
	else if (rel->trigdesc != NULL)
		obstacle = "triggers";
	else if (rel->rd_rel->relispartition)
		obstacle = "a partition bound";
	if (obstacle != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("foreign table \"%s\" has %s, which this function would pass by",
						RelationGetRelationName(rel), obstacle),
				 errhint("Use INSERT, UPDATE and DELETE.")));
}

Relation
api_relation_lock(Oid relid, LOCKMODE lockmode)
{
	Relation	rel = try_relation_open(relid, lockmode);

	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	return rel;
}

void
api_relation_check_owner(Oid relid)
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

Relation
api_relation_open(Oid relid, AclMode privilege)
{
	Relation	rel = api_relation_lock(relid, privilege == ACL_SELECT ? AccessShareLock : RowExclusiveLock);

	check_privilege(rel, privilege);
	return rel;
}

void
api_map_open(ApiMap *map, Oid relid, AclMode privilege, Oid type)
{
	AttrNumber	key;
	AttrNumber	value;

	map->rel = api_relation_open(relid, privilege);
	map->table = privilege == ACL_SELECT ? forest_table_for_read(relid) : forest_table_for_write(relid);
	map->shape = row_shape(map->rel);
	if (!row_shape_is_map(map->shape, &key, &value))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("foreign table \"%s\" is not a map", RelationGetRelationName(map->rel)),
				 errdetail("This function needs one key column and one value column, each of type text or bytea."),
				 errhint("Use SELECT, INSERT, UPDATE and DELETE.")));
	check_column(map->rel, key, type);
	check_column(map->rel, value, type);
	map->value_attno = value;
	if (privilege != ACL_SELECT)
		check_writable(map->rel);
}

/*
 * What was found out of a map that was read, by relation and by the function
 * that was called, whose oid stands for the type of its arguments.
 */
typedef struct KnownMap
{
	Oid			relid;			/* InvalidOid: unused */
	Oid			function;
	Oid			namespace;
	uint64		generation;		/* forest_table_generation() when it was found out */
	ApiMap		map;
} KnownMap;

#define KNOWN_MAPS 256			/* a power of two */

static KnownMap known_maps[KNOWN_MAPS];

static KnownMap *
known_map_slot(Oid relid, Oid function)
{
	return &known_maps[(relid ^ (function * 31)) & (KNOWN_MAPS - 1)];
}

/* The relation is locked, so what is known of it and still holds stays so. */
static bool
known_map_holds(const KnownMap *known, Oid relid, Oid function)
{
	Oid			user = GetUserId();

	return known->relid == relid && known->function == function &&
		known->generation == forest_table_generation() &&
		compat_namespace_aclcheck(known->namespace, user, ACL_USAGE) == ACLCHECK_OK &&
		pg_class_aclcheck(relid, user, ACL_SELECT) == ACLCHECK_OK;
}

void
api_map_open_for_read(ApiMap *map, Oid relid, FunctionCallInfo fcinfo, int n)
{
	Oid			function = fcinfo->flinfo->fn_oid;
	KnownMap   *known = known_map_slot(relid, function);
	uint64		generation;

	LockRelationOid(relid, AccessShareLock);
	if (likely(known_map_holds(known, relid, function)))
	{
		*map = known->map;
		map->table = forest_table_seen(map->table, GetActiveSnapshot());
		return;
	}

	/* Whatever does not hold any more, or is not permitted, is an error here. */
	generation = forest_table_generation();
	api_map_open(map, relid, ACL_SELECT, api_map_type(fcinfo, n));
	known->relid = map->table->table_id != 0 ? relid : InvalidOid;
	known->function = function;
	known->namespace = RelationGetNamespace(map->rel);
	known->generation = generation;
	api_map_close(map);
	map->rel = NULL;
	known->map = *map;
	map->table = forest_table_seen(map->table, GetActiveSnapshot());
}

const ForestTable *
api_map_expected(Oid relid, FunctionCallInfo fcinfo)
{
	Oid			function = fcinfo->flinfo->fn_oid;
	const KnownMap *known = known_map_slot(relid, function);

	return known->relid == relid && known->function == function ? known->map.table : NULL;
}

void
api_map_close(ApiMap *map)
{
	relation_close(map->rel, NoLock);
}
