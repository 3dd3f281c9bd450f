/*
 * api_many.c
 *		skyvault_multi_get and skyvault_scan: functions that return rows.
 */
#include "postgres.h"

#include "sqlapi/api_args.h"
#include "sqlapi/api_batch.h"
#include "sqlapi/api_row.h"

#include "fmgr.h"
#include "funcapi.h"
#include "server/pg_compat.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(skyvault_multi_get);
PG_FUNCTION_INFO_V1(skyvault_multi_get_named);
PG_FUNCTION_INFO_V1(skyvault_multi_get_tables);
PG_FUNCTION_INFO_V1(skyvault_scan);

static void
take_rows(void *arg, int first, const ApiPair *pairs, int n)
{
	for (int i = 0; i < n; i++)
		api_row_put(arg, InvalidOid, pairs[i].key, pairs[i].value);
}

static void
multi_get(FunctionCallInfo fcinfo, Oid relid)
{
	ApiMap		map;
	const ApiMap *maps[1] = {&map};
	ApiRow		row;

	InitMaterializedSRF(fcinfo, 0);
	api_map_open_for_read(&map, relid, fcinfo, 1);
	api_row_init(&row, ((ReturnSetInfo *) fcinfo->resultinfo)->setResult, false);
	api_look_up(api_array_arg(fcinfo, 1, "keys"), maps, true, take_rows, &row);
}

/* (rel regclass, keys[]) */
Datum
skyvault_multi_get(PG_FUNCTION_ARGS)
{
	multi_get(fcinfo, api_relation_arg(fcinfo, 0));
	return (Datum) 0;
}

/* (rel text, keys[]): the table by name, as regclass would read it */
Datum
skyvault_multi_get_named(PG_FUNCTION_ARGS)
{
	multi_get(fcinfo, api_relation_name_arg(fcinfo, 0));
	return (Datum) 0;
}

/* Rows that begin with their table. */
typedef struct TableRows
{
	ApiRow		row;
	const Oid  *relids;			/* by position */
} TableRows;

static void
take_table_rows(void *arg, int first, const ApiPair *pairs, int n)
{
	TableRows  *rows = arg;

	for (int i = 0; i < n; i++)
		api_row_put(&rows->row, rows->relids[first + i], pairs[i].key, pairs[i].value);
}

/* (rels regclass[], keys[]) */
Datum
skyvault_multi_get_tables(PG_FUNCTION_ARGS)
{
	ArrayType  *keys;
	const ApiMap *const *maps;
	Oid		   *relids;
	TableRows	rows;

	InitMaterializedSRF(fcinfo, 0);
	keys = api_array_arg(fcinfo, 1, "keys");
	maps = api_maps_arg(fcinfo, 0, keys, &relids);
	rows.relids = relids;
	api_row_init(&rows.row, ((ReturnSetInfo *) fcinfo->resultinfo)->setResult, true);
	api_look_up(keys, maps, false, take_table_rows, &rows);
	return (Datum) 0;
}

static const SvSlice *
bound_arg(FunctionCallInfo fcinfo, int n, SvSlice *bound)
{
	bytea	   *bytes;

	if (PG_ARGISNULL(n))
		return NULL;
	bytes = PG_GETARG_BYTEA_PP(n);
	*bound = sv_slice(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	return bound;
}

static int64
max_rows_arg(FunctionCallInfo fcinfo, int n)
{
	int64		max_rows = PG_ARGISNULL(n) ? PG_INT64_MAX : PG_GETARG_INT64(n);

	if (max_rows < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_rows must not be negative")));
	return max_rows;
}

/* (rel regclass, low, high, max_rows bigint, reverse boolean) */
Datum
skyvault_scan(PG_FUNCTION_ARGS)
{
	int64		max_rows = max_rows_arg(fcinfo, 3);
	bool		backward = !PG_ARGISNULL(4) && PG_GETARG_BOOL(4);
	ApiMap		map;
	ApiRow		row;
	ForestScan *scan;
	SvSlice		low;
	SvSlice		high;
	SvSlice		key;
	ForestValue value;

	InitMaterializedSRF(fcinfo, 0);
	api_map_open_for_read(&map, api_relation_arg(fcinfo, 0), fcinfo, 1);
	api_row_init(&row, ((ReturnSetInfo *) fcinfo->resultinfo)->setResult, false);
	scan = forest_scan_begin(map.table, GetActiveSnapshot(), bound_arg(fcinfo, 1, &low),
							 bound_arg(fcinfo, 2, &high), backward);
	for (int64 i = 0; i < max_rows && forest_scan_next(scan, &key, &value); i++)
	{
		SvSlice		bytes;

		if (!api_value_bytes(&map, value.value, &bytes))
			bytes = sv_slice(NULL, 0);
		if (key.len == 0)
			key = sv_slice("", 0);	/* empty, which is not NULL */
		api_row_put(&row, InvalidOid, key, bytes);
	}
	forest_scan_end(scan);
	return (Datum) 0;
}
