/*
 * api_array.c
 *		skyvault_get_array: the values of many keys as one array.
 */
#include "postgres.h"

#include "sqlapi/api_args.h"
#include "sqlapi/api_batch.h"

#include "fmgr.h"
#include "server/pg_compat.h"
#include "utils/array.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(skyvault_get_array);
PG_FUNCTION_INFO_V1(skyvault_get_array_named);
PG_FUNCTION_INFO_V1(skyvault_get_array_tables);

/* The values found so far, and what they take as elements of an array. */
typedef struct ArrayBuild
{
	int			n;
	SvSlice    *values;			/* data NULL: a null */
	bool		has_nulls;
	Size		element_bytes;
} ArrayBuild;

static void
report_too_large(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("the values do not fit into one array"),
			 errdetail("An array has at most %zu bytes.", (Size) MaxAllocSize),
			 errhint("Ask for fewer keys at a time, or use skyvault_multi_get().")));
}

static void
take_element(void *arg, int position, const ApiPair *pair)
{
	ArrayBuild *build = arg;

	build->values[position] = pair->value;
	if (pair->value.data == NULL)
		build->has_nulls = true;
	else
		build->element_bytes += INTALIGN(VARHDRSZ + pair->value.len);
	if (build->element_bytes > MaxAllocSize)
		report_too_large();
}

/* Writes an element behind the others; returns where the next one goes. */
static char *
put_element(char *at, SvSlice value)
{
	char	   *end = at + VARHDRSZ + value.len;
	char	   *next = (char *) INTALIGN(end);

	SET_VARSIZE(at, VARHDRSZ + value.len);
	memcpy(VARDATA(at), value.data, value.len);
	memset(end, 0, next - end);
	return next;
}

static void
fill_elements(ArrayType *array, const ArrayBuild *build)
{
	bits8	   *not_null = ARR_NULLBITMAP(array);
	char	   *at = ARR_DATA_PTR(array);

	if (not_null != NULL)
		memset(not_null, 0, (build->n + 7) / 8);
	for (int i = 0; i < build->n; i++)
	{
		if (build->values[i].data == NULL)
			continue;
		if (not_null != NULL)
			not_null[i / 8] |= 1 << (i % 8);
		at = put_element(at, build->values[i]);
	}
}

/* An array of the built elements, with the bounds of the array of keys. */
static ArrayType *
make_array(const ArrayBuild *build, ArrayType *keys, Oid type)
{
	Size		overhead = build->has_nulls ? ARR_OVERHEAD_WITHNULLS(1, build->n) :
		ARR_OVERHEAD_NONULLS(1);
	ArrayType  *array;

	if (overhead + build->element_bytes > MaxAllocSize)
		report_too_large();
	array = palloc(overhead + build->element_bytes);
	memset(array, 0, overhead);
	SET_VARSIZE(array, overhead + build->element_bytes);
	array->ndim = 1;
	array->dataoffset = build->has_nulls ? overhead : 0;
	array->elemtype = type;
	ARR_DIMS(array)[0] = build->n;
	ARR_LBOUND(array)[0] = ARR_LBOUND(keys)[0];
	fill_elements(array, build);
	return array;
}

static Datum
get_array(ArrayType *keys, Oid type, const ApiMap *const *maps, bool one_map)
{
	ArrayBuild	build = {.n = ArrayGetNItems(ARR_NDIM(keys), ARR_DIMS(keys))};

	if (build.n == 0)
		return PointerGetDatum(construct_empty_array(type));
	build.values = MemoryContextAllocHuge(CurrentMemoryContext, build.n * sizeof(SvSlice));
	api_look_up(keys, maps, one_map, true, take_element, &build);
	return PointerGetDatum(make_array(&build, keys, type));
}

static Datum
get_array_of_one(FunctionCallInfo fcinfo, Oid relid)
{
	ApiMap		map;
	const ApiMap *maps[1] = {&map};

	api_map_open_for_read(&map, relid, fcinfo, 1);
	return get_array(api_array_arg(fcinfo, 1, "keys"), api_map_type(fcinfo, 1), maps, true);
}

/* (rel regclass, keys[]) */
Datum
skyvault_get_array(PG_FUNCTION_ARGS)
{
	return get_array_of_one(fcinfo, api_relation_arg(fcinfo, 0));
}

/* (rel text, keys[]): the table by name, as regclass would read it */
Datum
skyvault_get_array_named(PG_FUNCTION_ARGS)
{
	return get_array_of_one(fcinfo, api_relation_name_arg(fcinfo, 0));
}

/* (rels regclass[], keys[]) */
Datum
skyvault_get_array_tables(PG_FUNCTION_ARGS)
{
	ArrayType  *keys = api_array_arg(fcinfo, 1, "keys");
	Oid		   *relids;
	const ApiMap *const *maps = api_maps_arg(fcinfo, 0, keys, &relids);

	return get_array(keys, api_map_type(fcinfo, 1), maps, false);
}
