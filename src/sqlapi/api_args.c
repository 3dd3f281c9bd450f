/*
 * api_args.c
 *		See api_args.h.
 */
#include "postgres.h"

#include "sqlapi/api_args.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "forest/forest_write.h"
#include "forest/row_decode.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/varlena.h"

Oid
api_map_type(FunctionCallInfo fcinfo, int n)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, n);

	return type == BYTEAOID || type == BYTEAARRAYOID ? BYTEAOID : TEXTOID;
}

Oid
api_relation_arg(FunctionCallInfo fcinfo, int n)
{
	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("table must not be null")));
	return PG_GETARG_OID(n);
}

Oid
api_relation_name_arg(FunctionCallInfo fcinfo, int n)
{
	RangeVar   *name;

	if (PG_ARGISNULL(n))
		return api_relation_arg(fcinfo, n);
	name = makeRangeVarFromNameList(textToQualifiedNameList(PG_GETARG_TEXT_PP(n)));
	return RangeVarGetRelid(name, NoLock, false);
}

ArrayType *
api_array_arg(FunctionCallInfo fcinfo, int n, const char *what)
{
	ArrayType  *array;

	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("array of %s must not be null", what)));
	array = PG_GETARG_ARRAYTYPE_P(n);
	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("array of %s must have one dimension", what)));
	return array;
}

int
api_array_elements(ArrayType *array, Datum **elements, bool **nulls)
{
	Oid			type = ARR_ELEMTYPE(array);
	int			count;

	if (type == REGCLASSOID)
		deconstruct_array(array, type, sizeof(Oid), true, TYPALIGN_INT, elements, nulls, &count);
	else
		deconstruct_array(array, type, -1, false, TYPALIGN_INT, elements, nulls, &count);
	return count;
}

/* Each table is opened once, however often it is named. */
typedef struct OpenMap
{
	Oid			relid;			/* hash key */
	ApiMap		map;
} OpenMap;

/* The table's map, valid as long as the hash table: entries do not move. */
static const ApiMap *
open_map(HTAB *opened, Oid relid, FunctionCallInfo fcinfo, int n)
{
	bool		found;
	OpenMap    *entry = hash_search(opened, &relid, HASH_ENTER, &found);

	if (!found)
		api_map_open_for_read(&entry->map, relid, fcinfo, n);
	return &entry->map;
}

const ApiMap *const *
api_maps_arg(FunctionCallInfo fcinfo, int n, ArrayType *keys, Oid **relids)
{
	HASHCTL		ctl = {.keysize = sizeof(Oid),.entrysize = sizeof(OpenMap),.hcxt = CurrentMemoryContext};
	HTAB	   *opened = hash_create("skyvault maps", 16, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	Datum	   *tables;
	bool	   *nulls;
	int			count = api_array_elements(api_array_arg(fcinfo, n, "tables"), &tables, &nulls);
	const ApiMap **maps = MemoryContextAllocHuge(CurrentMemoryContext, Max(count, 1) * sizeof(ApiMap *));

	if (count != ArrayGetNItems(ARR_NDIM(keys), ARR_DIMS(keys)))
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("arrays of tables and keys must have the same length")));
	*relids = palloc(Max(count, 1) * sizeof(Oid));
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("table must not be null")));
		(*relids)[i] = DatumGetObjectId(tables[i]);
		maps[i] = open_map(opened, (*relids)[i], fcinfo, n + 1);
	}
	return maps;
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

bool
api_value_bytes(const ApiMap *map, SvSlice value, SvSlice *bytes)
{
	if (!row_decode_map_value(map->shape, value, bytes))
		return false;
	if (bytes->len == 0)
		*bytes = sv_slice("", 0);	/* empty, which is not NULL */
	return true;
}

bool
api_result(const ApiMap *map, SvSlice value, Datum *datum)
{
	SvSlice		bytes;

	if (!api_value_bytes(map, value, &bytes))
		return false;
	*datum = PointerGetDatum(cstring_to_text_with_len((const char *) bytes.data, bytes.len));
	return true;
}
