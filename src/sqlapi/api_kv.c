/*
 * api_kv.c
 *		skyvault_put, _multi_put, _delete, _get and _exists.
 *
 * Each C function serves the variants for text and for bytea, which are the
 * same bytes; the type of the key argument tells them apart.
 */
#include "postgres.h"

#include "sqlapi/api_args.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "forest/forest_lookup.h"
#include "forest/forest_read.h"
#include "forest/forest_write.h"
#include "server/pg_compat.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "worker/worker_pressure.h"

PG_FUNCTION_INFO_V1(skyvault_put);
PG_FUNCTION_INFO_V1(skyvault_multi_put);
PG_FUNCTION_INFO_V1(skyvault_delete);
PG_FUNCTION_INFO_V1(skyvault_get);
PG_FUNCTION_INFO_V1(skyvault_get_for_update);
PG_FUNCTION_INFO_V1(skyvault_exists);

static TimestampTz
expiry_arg(FunctionCallInfo fcinfo, int n, const ForestTable *table)
{
	const Interval *ttl;
	TimestampTz expires_at;

	if (PG_ARGISNULL(n))
		return forest_table_expiry(table, NULL);
	ttl = PG_GETARG_INTERVAL_P(n);
	expires_at = forest_table_expiry(table, ttl);
	if (expires_at <= GetCurrentStatementStartTimestamp())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("ttl must be positive"),
				 errhint("Use skyvault_delete() to remove a key now.")));
	return expires_at;
}

/* (rel regclass, key, value, ttl interval) */
Datum
skyvault_put(PG_FUNCTION_ARGS)
{
	ApiMap		map;
	ForestWrite write = {0};

	api_map_open(&map, api_relation_arg(fcinfo, 0), ACL_INSERT, api_map_type(fcinfo, 1));
	worker_pressure_admit(map.table->vault_id, map.table->server_oid);
	write.key = api_key(PG_GETARG_DATUM(1), PG_ARGISNULL(1));
	write.value = api_value(&map, PG_GETARG_DATUM(2), PG_ARGISNULL(2));
	write.expires_at = expiry_arg(fcinfo, 3, map.table);
	forest_write(map.table, &write, 1);
	api_map_close(&map);
	PG_RETURN_VOID();
}

/* (rel regclass, keys[], values[], ttl interval) */
Datum
skyvault_multi_put(PG_FUNCTION_ARGS)
{
	ApiMap		map;
	ForestWrite *writes;
	Datum	   *keys;
	Datum	   *values;
	bool	   *key_nulls;
	bool	   *value_nulls;
	TimestampTz expires_at;
	int			n;

	api_map_open(&map, api_relation_arg(fcinfo, 0), ACL_INSERT, api_map_type(fcinfo, 1));
	worker_pressure_admit(map.table->vault_id, map.table->server_oid);
	n = api_array_elements(api_array_arg(fcinfo, 1, "keys"), &keys, &key_nulls);
	if (api_array_elements(api_array_arg(fcinfo, 2, "values"), &values, &value_nulls) != n)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("arrays of keys and values must have the same length")));
	expires_at = expiry_arg(fcinfo, 3, map.table);

	writes = palloc0(Max(n, 1) * sizeof(ForestWrite));
	for (int i = 0; i < n; i++)
	{
		writes[i].key = api_key(keys[i], key_nulls[i]);
		writes[i].value = api_value(&map, values[i], value_nulls[i]);
		writes[i].expires_at = expires_at;
	}
	forest_write(map.table, writes, n);
	api_map_close(&map);
	PG_RETURN_VOID();
}

/* (rel regclass, key) */
Datum
skyvault_delete(PG_FUNCTION_ARGS)
{
	ApiMap		map;
	ForestWrite write = {.is_delete = true};

	api_map_open(&map, api_relation_arg(fcinfo, 0), ACL_DELETE, api_map_type(fcinfo, 1));
	worker_pressure_admit(map.table->vault_id, map.table->server_oid);
	write.key = api_key(PG_GETARG_DATUM(1), PG_ARGISNULL(1));
	forest_write(map.table, &write, 1);
	api_map_close(&map);
	PG_RETURN_VOID();
}

/* A value on its way into a datum. */
typedef struct TakenValue
{
	const ApiMap *map;
	bool		isnull;
	Datum		datum;
} TakenValue;

static void
take_value(void *arg, SvSlice value)
{
	TakenValue *taken = arg;

	taken->isnull = !api_result(taken->map, value, &taken->datum);
}

static void
take_nothing(void *arg, SvSlice value)
{
}

/*
 * Opens a map for looking up the key that is argument 1, and asks for the
 * memory this takes before it locks and checks.  A key that would have to be
 * detoasted is not looked at.
 */
static void
open_for_key(ApiMap *map, FunctionCallInfo fcinfo)
{
	Oid			relid = api_relation_arg(fcinfo, 0);
	const ForestTable *expected = api_map_expected(relid, fcinfo);

	if (expected != NULL && !PG_ARGISNULL(1))
	{
		const struct varlena *key = (const struct varlena *) DatumGetPointer(PG_GETARG_DATUM(1));

		if (!VARATT_IS_EXTERNAL(key) && !VARATT_IS_COMPRESSED(key))
			forest_lookup_expect(expected, sv_slice(VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key)));
	}
	api_map_open_for_read(map, relid, fcinfo, 1);
}

/* (rel regclass, key); a null key has no value */
Datum
skyvault_get(PG_FUNCTION_ARGS)
{
	ApiMap		map;
	TakenValue	taken = {.map = &map,.isnull = true};

	open_for_key(&map, fcinfo);
	if (!PG_ARGISNULL(1))
		(void) forest_get_into(map.table, api_key(PG_GETARG_DATUM(1), false), GetActiveSnapshot(),
							   take_value, &taken);
	if (taken.isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(taken.datum);
}

/*
 * (rel regclass, key, for_update boolean): the newest value, which stays so to
 * the end of the transaction.  Needs the privileges of SELECT FOR UPDATE.
 */
Datum
skyvault_get_for_update(PG_FUNCTION_ARGS)
{
	ApiMap		map;
	ForestValue value;
	Datum		result = (Datum) 0;
	bool		found;

	if (PG_ARGISNULL(2) || !PG_GETARG_BOOL(2))
		return skyvault_get(fcinfo);

	api_map_open(&map, api_relation_arg(fcinfo, 0), ACL_SELECT, api_map_type(fcinfo, 1));
	api_map_close(&map);
	api_map_open(&map, api_relation_arg(fcinfo, 0), ACL_UPDATE, api_map_type(fcinfo, 1));
	(void) forest_lock_key(map.table, api_key(PG_GETARG_DATUM(1), PG_ARGISNULL(1)), GetActiveSnapshot(),
						   &value);
	found = value.found && api_result(&map, value.value, &result);
	api_map_close(&map);
	if (!found)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(result);
}

/* (rel regclass, key); a null key does not exist */
Datum
skyvault_exists(PG_FUNCTION_ARGS)
{
	ApiMap		map;

	open_for_key(&map, fcinfo);
	PG_RETURN_BOOL(!PG_ARGISNULL(1) &&
				   forest_get_into(map.table, api_key(PG_GETARG_DATUM(1), false),
								   GetActiveSnapshot(), take_nothing, NULL));
}
