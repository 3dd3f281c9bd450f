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

/*
 * An array in the making.  Its elements are laid out as they come; only when
 * all are there is it known whether there is a null, and so where they begin.
 */
typedef struct ArrayBuild
{
	int			n;				/* elements there will be */
	ArrayType  *array;			/* room for all that stands before elements, then these */
	Size		used;
	Size		capacity;
	bits8	   *not_null;		/* n bits; NULL: no null so far */
} ArrayBuild;

pg_noreturn static void report_too_large(void);

static void
report_too_large(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("the values do not fit into one array"),
			 errdetail("An array has at most %zu bytes.", (Size) MaxAllocSize),
			 errhint("Ask for fewer keys at a time, or use skyvault_multi_get().")));
}

/* As much as the pairs take; for further ones, doubled. */
static void
make_room(ArrayBuild *build, const ApiPair *pairs, int n)
{
	Size		needed = build->used;

	for (int i = 0; i < n; i++)
	{
		if (pairs[i].value.data != NULL)
			needed += INTALIGN(VARHDRSZ + pairs[i].value.len);
		if (needed > MaxAllocSize)
			report_too_large();
	}
	if (needed <= build->capacity)
		return;
	build->capacity = Max(needed, Min(MaxAllocSize, build->capacity * 2));
	build->array = repalloc(build->array, build->capacity);
}

static void
add_null(ArrayBuild *build, int position)
{
	if (build->not_null == NULL)
	{
		Size		bytes = (build->n + 7) / 8;

		build->not_null = palloc(bytes);
		memset(build->not_null, 0xff, bytes);
		if (build->n % 8 != 0)
			build->not_null[bytes - 1] = (1 << (build->n % 8)) - 1;
	}
	build->not_null[position / 8] &= ~(1 << (position % 8));
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
take_elements(void *arg, int first, const ApiPair *pairs, int n)
{
	ArrayBuild *build = arg;
	char	   *at;

	make_room(build, pairs, n);
	at = (char *) build->array + build->used;
	for (int i = 0; i < n; i++)
	{
		if (pairs[i].value.data == NULL)
			add_null(build, first + i);
		else
			at = put_element(at, pairs[i].value);
	}
	build->used = at - (char *) build->array;
}

/* Without a null, the elements begin where the bitmap would. */
static ArrayType *
finish_array(ArrayBuild *build, ArrayType *keys, Oid type)
{
	ArrayType  *array = build->array;
	Size		with_nulls = ARR_OVERHEAD_WITHNULLS(1, build->n);
	Size		overhead = build->not_null != NULL ? with_nulls : ARR_OVERHEAD_NONULLS(1);
	Size		bytes = build->used - with_nulls;

	if (overhead != with_nulls)
		memmove((char *) array + overhead, (char *) array + with_nulls, bytes);
	memset(array, 0, overhead);
	SET_VARSIZE(array, overhead + bytes);
	array->ndim = 1;
	array->dataoffset = build->not_null != NULL ? overhead : 0;
	array->elemtype = type;
	ARR_DIMS(array)[0] = build->n;
	ARR_LBOUND(array)[0] = ARR_LBOUND(keys)[0];
	if (build->not_null != NULL)
		memcpy((char *) array + ARR_OVERHEAD_NONULLS(1), build->not_null, (build->n + 7) / 8);
	return array;
}

/* An array of the values, with the bounds of the array of keys. */
static Datum
get_array(ArrayType *keys, Oid type, const ApiMap *const *maps, bool one_map)
{
	ArrayBuild	build = {.n = ArrayGetNItems(ARR_NDIM(keys), ARR_DIMS(keys))};

	if (build.n == 0)
		return PointerGetDatum(construct_empty_array(type));
	build.used = build.capacity = ARR_OVERHEAD_WITHNULLS(1, build.n);
	build.array = palloc(build.capacity);
	api_look_up(keys, maps, one_map, take_elements, &build);
	return PointerGetDatum(finish_array(&build, keys, type));
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
