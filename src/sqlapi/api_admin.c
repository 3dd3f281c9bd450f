/*
 * api_admin.c
 *		skyvault_create_table and skyvault_flush.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "forest/forest_table.h"
#include "forest/forest_vault.h"
#include "forest/forest_xact.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "server/pg_compat.h"
#include "sqlapi/api_admin.h"
#include "sqlapi/api_vault.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"
#include "worker/worker_job.h"
#include "worker/worker_shmem.h"

PG_FUNCTION_INFO_V1(skyvault_create_table);
PG_FUNCTION_INFO_V1(skyvault_flush);

/* How the type is written in a column definition; 42804 if a map cannot have it. */
static const char *
map_type_name(Oid type, bool is_key)
{
	if (type == BYTEAOID)
		return "pg_catalog.bytea";
	if (type == TEXTOID)
		return is_key ? "pg_catalog.text COLLATE pg_catalog.\"C\"" : "pg_catalog.text";
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("type %s cannot be a key or value of a map", format_type_be(type)),
			 errhint("Use text or bytea, or CREATE FOREIGN TABLE for other columns.")));
}

static void
require_args(FunctionCallInfo fcinfo, int n)
{
	for (int i = 0; i < n; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument %d must not be null", i + 1)));
}

/* What was made just now: a temporary table may have the same name, and be found first. */
static Oid
new_relation(RangeVar *name)
{
	Oid			relid = get_relname_relid(name->relname, RangeVarGetCreationNamespace(name));

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"%s\" does not exist", name->relname)));
	return relid;
}

/* (name text, key_type regtype, value_type regtype, server name, ttl interval): runs as the caller */
Datum
skyvault_create_table(PG_FUNCTION_ARGS)
{
	RangeVar   *name;
	StringInfoData sql;

	require_args(fcinfo, 4);
	name = makeRangeVarFromNameList(textToQualifiedNameList(PG_GETARG_TEXT_PP(0)));
	if (name->catalogname != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table name must not name a database")));

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE FOREIGN TABLE %s (key %s NOT NULL, value %s) SERVER %s OPTIONS (key 'key'",
					 quote_qualified_identifier(name->schemaname, name->relname),
					 map_type_name(PG_GETARG_OID(1), true),
					 map_type_name(PG_GETARG_OID(2), false),
					 quote_identifier(NameStr(*PG_GETARG_NAME(3))));
	if (PG_GETARG_OID(1) != PG_GETARG_OID(2))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("key and value of a map must be of the same type"),
				 errhint("Use text or bytea for both, or CREATE FOREIGN TABLE for other columns.")));
	if (!PG_ARGISNULL(4))
		appendStringInfo(&sql, ", ttl %s",
						 quote_literal_cstr(DatumGetCString(DirectFunctionCall1(interval_out,
																				PG_GETARG_DATUM(4)))));
	appendStringInfoChar(&sql, ')');

	SPI_connect();
	if (SPI_execute(sql.data, false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not execute \"%s\"", sql.data);
	SPI_finish();
	PG_RETURN_OID(new_relation(name));
}

static void
report_outcome(const JobOutcome *outcome)
{
	if (outcome->error != NULL)
		ereport(ERROR,
				(errcode(outcome->sqlerrcode),
				 errmsg("flush failed: %s", outcome->error),
				 outcome->detail != NULL ? errdetail_internal("%s", outcome->detail) : 0,
				 outcome->hint != NULL ? errhint("%s", outcome->hint) : 0));
	if (outcome->left_out != NULL)
		ereport(WARNING,
				(errmsg("tables left out of the flush: %s", outcome->left_out),
				 errhint("Their rows stay where they are, and a later flush takes them.")));
}

int64
api_flush(int32 vault_id)
{
	const char *why;
	bool		failed;
	JobOutcome	outcome;
	int64		marker;

	marker = job_newest();
	if (!worker_request_flush(vault_id, &failed, &why))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no skyvault worker runs in this database"),
				 errdetail("%s", why),
				 errhint("Check the server log and max_worker_processes.")));
	job_outcome_since(marker, vault_id, &outcome);
	report_outcome(&outcome);
	if (failed)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("flush failed"),
				 errhint("The server log says why; the worker tries again by itself.")));
	return outcome.entries;
}

/* (vault name): NULL means all */
Datum
skyvault_flush(PG_FUNCTION_ARGS)
{
	int32		vault_id = 0;

	if (forest_xact_has_changed())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("skyvault_flush cannot run in a transaction that has changed a vault"),
				 errhint("Commit first: a flush moves only what is committed.")));
	PreventCommandDuringRecovery("skyvault_flush()");
	if (!PG_ARGISNULL(0))
	{
		vault_id = api_vault_id(PG_GETARG_NAME(0));
		if (vault_id == 0)
			PG_RETURN_INT64(0);
	}

	PG_RETURN_INT64(api_flush(vault_id));
}
