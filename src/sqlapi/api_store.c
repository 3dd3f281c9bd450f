/*
 * api_store.c
 *		What the stores are asked for: the functions behind the views
 *		skyvault_stat_store and skyvault_store_waits, and the reset.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "forest/forest_store_url.h"
#include "forest/forest_table.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "server/pg_compat.h"
#include "server/pg_settings.h"
#include "server/pg_store_stat.h"
#include "server/pg_wait.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(skyvault_store_counters);
PG_FUNCTION_INFO_V1(skyvault_stat_store_reset);
PG_FUNCTION_INFO_V1(skyvault_store_waiters);

static ArrayType *
bucket_array(const PgStoreStat *stat)
{
	Datum		elements[PG_STORE_STAT_BUCKETS];

	for (int i = 0; i < PG_STORE_STAT_BUCKETS; i++)
		elements[i] = Int64GetDatum((int64) stat->buckets[i]);
	return construct_array(elements, PG_STORE_STAT_BUCKETS, INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
						   TYPALIGN_DOUBLE);
}

/* What a store charges; a directory charges nothing. */
static double
dollars(ForeignServer *server, StoreOperation operation, const PgStoreStat *stat)
{
	const char *text = forest_option(server->options, "url");
	StoreUrl	url;
	double		per_thousand = 0;

	if (text == NULL || forest_store_url_parse(text, &url) != NULL || url.kind != STORE_KIND_S3)
		return 0;
	switch (operation)
	{
		case STORE_GET:
		case STORE_HEAD:
			per_thousand = setting_price_get;
			break;
		case STORE_PUT:
		case STORE_LIST:
			per_thousand = setting_price_put;
			break;
		case STORE_REMOVE:
			break;				/* free everywhere */
	}
	return stat->requests / 1000.0 * per_thousand + stat->bytes_in / 1e9 * setting_price_transfer;
}

static void
put_counters(ReturnSetInfo *rsinfo, ForeignServer *server, StoreOperation operation, StoreCaller caller)
{
	PgStoreStat stat;
	NameData	name;
	Datum		values[12];
	bool		nulls[12] = {false};
	int			n = 0;

	if (!pg_store_stat_read(server->serverid, operation, caller, &stat))
		return;
	namestrcpy(&name, server->servername);
	values[n++] = NameGetDatum(&name);
	values[n++] = CStringGetTextDatum(pg_wait_operation_name(operation));
	values[n++] = CStringGetTextDatum(pg_wait_caller_name(caller));
	values[n++] = Int64GetDatum((int64) stat.requests);
	values[n++] = Int64GetDatum((int64) stat.errors);
	values[n++] = Int64GetDatum((int64) stat.retries);
	values[n++] = Int64GetDatum((int64) stat.hedges);
	values[n++] = Int64GetDatum((int64) stat.bytes_in);
	values[n++] = Int64GetDatum((int64) stat.bytes_out);
	values[n++] = Float8GetDatum(stat.latency_us / 1000.0 / stat.requests);
	values[n++] = PointerGetDatum(bucket_array(&stat));
	values[n++] = Float8GetDatum(dollars(server, operation, &stat));
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* (): a row for each server of this database, operation and caller that has asked for something */
Datum
skyvault_store_counters(PG_FUNCTION_ARGS)
{
	Relation	rel = table_open(ForeignServerRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;

	InitMaterializedSRF(fcinfo, 0);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		ForeignServer *server = GetForeignServer(((Form_pg_foreign_server) GETSTRUCT(tuple))->oid);

		for (int operation = 0; operation < STORE_OPERATIONS; operation++)
			for (int caller = 0; caller < STORE_CALLERS; caller++)
				put_counters((ReturnSetInfo *) fcinfo->resultinfo, server, operation, caller);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return (Datum) 0;
}

/* (server name): NULL resets all of this database */
Datum
skyvault_stat_store_reset(PG_FUNCTION_ARGS)
{
	pg_store_stat_reset(PG_ARGISNULL(0) ? InvalidOid :
						get_foreign_server_oid(NameStr(*PG_GETARG_NAME(0)), false));
	PG_RETURN_VOID();
}

static void
put_waiter(ReturnSetInfo *rsinfo, const PgWaiter *waiter)
{
	ForeignServer *server = waiter->dboid == MyDatabaseId ?
		GetForeignServerExtended(waiter->wait.server_oid, FSV_MISSING_OK) : NULL;
	NameData	name;
	Datum		values[6] = {0};
	bool		nulls[6] = {false};

	if (server != NULL)
		namestrcpy(&name, server->servername);
	values[0] = Int32GetDatum(waiter->pid);
	values[1] = ObjectIdGetDatum(waiter->dboid);
	values[2] = NameGetDatum(&name);
	nulls[2] = server == NULL;
	values[3] = CStringGetTextDatum(pg_wait_operation_name(waiter->wait.operation));
	values[4] = CStringGetTextDatum(pg_wait_caller_name(waiter->wait.caller));
	values[5] = TimestampTzGetDatum(waiter->wait.since);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* (): a row for each process of any database that waits for a store now */
Datum
skyvault_store_waiters(PG_FUNCTION_ARGS)
{
	PgWaiter   *waiters;
	int			n = pg_wait_list(&waiters);

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < n; i++)
		put_waiter((ReturnSetInfo *) fcinfo->resultinfo, &waiters[i]);
	return (Datum) 0;
}
