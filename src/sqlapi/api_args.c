/*
 * api_args.c
 *		What the SQL functions on maps have in common.
 */
#include "postgres.h"

#include "sqlapi/api_args.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "forest/forest_write.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

static void
check_privilege(Relation rel, AclMode privilege)
{
	AclResult	result;

	/* A regclass is an oid, so nobody has looked at the schema yet. */
	result = pg_namespace_aclcheck(RelationGetNamespace(rel), GetUserId(), ACL_USAGE);
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
api_relation_open(Oid relid, AclMode privilege)
{
	LOCKMODE	lockmode = privilege == ACL_SELECT ? AccessShareLock : RowExclusiveLock;
	Relation	rel = try_relation_open(relid, lockmode);

	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
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

void
api_map_close(ApiMap *map)
{
	relation_close(map->rel, NoLock);
}

SvSlice
api_key(Datum datum, bool isnull)
{
	bytea	   *bytes;
	SvSlice		key;

	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("key must not be null")));
	bytes = DatumGetByteaPP(datum);
	key = sv_slice(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	forest_check_key(key);
	return key;
}

SvSlice
api_value(const ApiMap *map, Datum datum, bool isnull)
{
	StringInfoData encoded;
	SvSlice		bytes = sv_slice(NULL, 0);

	if (isnull && TupleDescAttr(RelationGetDescr(map->rel), map->value_attno - 1)->attnotnull)
		ereport(ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION),
				 errmsg("value must not be null in foreign table \"%s\"",
						RelationGetRelationName(map->rel)),
				 errtablecol(map->rel, map->value_attno)));
	if (!isnull)
	{
		bytea	   *value = DatumGetByteaPP(datum);

		bytes = sv_slice(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
		forest_check_value(bytes);
	}
	initStringInfo(&encoded);
	row_encode_map_value(map->shape, bytes, isnull, &encoded);
	return sv_slice(encoded.data, encoded.len);
}

Datum
api_datum(SvSlice bytes)
{
	return PointerGetDatum(cstring_to_text_with_len((const char *) bytes.data, bytes.len));
}

bool
api_result(const ApiMap *map, SvSlice value, Datum *datum)
{
	SvSlice		bytes;

	if (!row_decode_map_value(map->shape, value, &bytes))
		return false;
	*datum = api_datum(bytes);
	return true;
}
