/*
 * api_many.c
 *		skyvault_multi_get and skyvault_scan: functions that return rows.
 */
#include "postgres.h"

#include "sqlapi/api_args.h"
#include "sqlapi/api_kv.h"

#include "catalog/namespace.h"
#include "fmgr.h"
#include "forest/forest_read.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "server/pg_compat.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"
#include "utils/varlena.h"

PG_FUNCTION_INFO_V1(skyvault_multi_get);
PG_FUNCTION_INFO_V1(skyvault_multi_get_named);
PG_FUNCTION_INFO_V1(skyvault_multi_get_tables);
PG_FUNCTION_INFO_V1(skyvault_scan);

/* The pairs of a batch; a null key has no value and is not looked up. */
typedef struct Batch
{
	int			n;
	Datum	   *keys;
	bool	   *nulls;
	ApiMap	  **maps;			/* by position in the arguments */
	ForestValue *values;		/* likewise */
} Batch;

static void
look_up(Batch *batch)
{
	const ForestTable **tables = palloc(Max(batch->n, 1) * sizeof(ForestTable *));
	SvSlice    *keys = palloc(Max(batch->n, 1) * sizeof(SvSlice));
	int		   *positions = palloc(Max(batch->n, 1) * sizeof(int));
	ForestValue *found = palloc(Max(batch->n, 1) * sizeof(ForestValue));
	int			n = 0;

	batch->values = palloc0(Max(batch->n, 1) * sizeof(ForestValue));
	for (int i = 0; i < batch->n; i++)
	{
		if (batch->nulls[i])
			continue;
		tables[n] = batch->maps[i]->table;
		keys[n] = api_key(batch->keys[i], false);
		positions[n++] = i;
	}
	forest_multi_get(tables, keys, n, GetActiveSnapshot(), found);
	for (int i = 0; i < n; i++)
		batch->values[positions[i]] = found[i];
}

/* Row i of the answer, from the key column on. */
static void
fill_row(const Batch *batch, int i, Datum *values, bool *nulls)
{
	values[0] = batch->keys[i];
	nulls[0] = batch->nulls[i];
	values[1] = (Datum) 0;
	nulls[1] = !batch->values[i].found || !api_result(batch->maps[i], batch->values[i].value, &values[1]);
}

static void
multi_get(FunctionCallInfo fcinfo, Oid relid)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ApiMap		map;
	Batch		batch;

	InitMaterializedSRF(fcinfo, 0);
	api_map_open_for_read(&map, relid, fcinfo, 1);
	batch.n = api_array_arg(fcinfo, 1, "keys", &batch.keys, &batch.nulls);
	batch.maps = palloc(Max(batch.n, 1) * sizeof(ApiMap *));
	for (int i = 0; i < batch.n; i++)
		batch.maps[i] = &map;
	look_up(&batch);
	for (int i = 0; i < batch.n; i++)
	{
		Datum		values[2];
		bool		nulls[2];

		fill_row(&batch, i, values, nulls);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
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
	RangeVar   *name;

	if (PG_ARGISNULL(0))
		(void) api_relation_arg(fcinfo, 0);
	name = makeRangeVarFromNameList(textToQualifiedNameList(PG_GETARG_TEXT_PP(0)));
	multi_get(fcinfo, RangeVarGetRelid(name, NoLock, false));
	return (Datum) 0;
}

/* Each table is opened once, however often it is named. */
typedef struct OpenMap
{
	Oid			relid;			/* hash key */
	ApiMap	   *map;
} OpenMap;

static ApiMap **
open_maps(const Datum *relids, const bool *relid_nulls, int n, Oid type)
{
	HASHCTL		ctl = {.keysize = sizeof(Oid),.entrysize = sizeof(OpenMap),.hcxt = CurrentMemoryContext};
	HTAB	   *opened = hash_create("skyvault maps", 16, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	ApiMap	  **maps = palloc(Max(n, 1) * sizeof(ApiMap *));

	for (int i = 0; i < n; i++)
	{
		Oid			relid = DatumGetObjectId(relids[i]);
		OpenMap    *entry;
		bool		found;

		if (relid_nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("table must not be null")));
		entry = hash_search(opened, &relid, HASH_ENTER, &found);
		if (!found)
		{
			entry->map = palloc(sizeof(ApiMap));
			api_map_open(entry->map, relid, ACL_SELECT, type);
			api_map_close(entry->map);	/* the lock stays, and with it what the handle points to */
		}
		maps[i] = entry->map;
	}
	return maps;
}

/* (rels regclass[], keys[]) */
Datum
skyvault_multi_get_tables(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Batch		batch;
	Datum	   *relids;
	bool	   *relid_nulls;

	InitMaterializedSRF(fcinfo, 0);
	batch.n = api_array_arg(fcinfo, 1, "keys", &batch.keys, &batch.nulls);
	if (api_array_arg(fcinfo, 0, "tables", &relids, &relid_nulls) != batch.n)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("arrays of tables and keys must have the same length")));
	batch.maps = open_maps(relids, relid_nulls, batch.n, api_map_type(fcinfo, 1));
	look_up(&batch);
	for (int i = 0; i < batch.n; i++)
	{
		Datum		values[3];
		bool		nulls[3] = {false};

		values[0] = relids[i];
		fill_row(&batch, i, &values[1], &nulls[1]);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
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
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	int64		max_rows = max_rows_arg(fcinfo, 3);
	bool		backward = !PG_ARGISNULL(4) && PG_GETARG_BOOL(4);
	MemoryContext per_row = AllocSetContextCreate(CurrentMemoryContext, "skyvault scan row",
												  ALLOCSET_DEFAULT_SIZES);
	ApiMap		map;
	ForestScan *scan;
	SvSlice		low;
	SvSlice		high;
	SvSlice		key;
	ForestValue value;

	InitMaterializedSRF(fcinfo, 0);
	api_map_open_for_read(&map, api_relation_arg(fcinfo, 0), fcinfo, 1);
	scan = forest_scan_begin(map.table, GetActiveSnapshot(), bound_arg(fcinfo, 1, &low),
							 bound_arg(fcinfo, 2, &high), backward);
	for (int64 i = 0; i < max_rows && forest_scan_next(scan, &key, &value); i++)
	{
		MemoryContext old = MemoryContextSwitchTo(per_row);
		Datum		values[2] = {api_datum(key), (Datum) 0};
		bool		nulls[2] = {false, !api_result(&map, value.value, &values[1])};

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		MemoryContextSwitchTo(old);
		MemoryContextReset(per_row);
	}
	forest_scan_end(scan);
	return (Datum) 0;
}
