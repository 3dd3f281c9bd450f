/*
 * api_compact.c
 *		skyvault_compact, skyvault_pause, skyvault_resume, and what
 *		skyvault_jobs shows of jobs under way.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "fmgr.h"
#include "forest/forest_pause.h"
#include "forest/forest_snapshot.h"
#include "forest/forest_table.h"
#include "forest/forest_vault.h"
#include "forest/forest_xact.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "server/pg_compat.h"
#include "sqlapi/api_admin.h"
#include "sqlapi/api_args.h"
#include "sqlapi/api_vault.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "worker/compact_request.h"
#include "worker/worker_job.h"
#include "worker/worker_pool.h"

PG_FUNCTION_INFO_V1(skyvault_compact);
PG_FUNCTION_INFO_V1(skyvault_pause);
PG_FUNCTION_INFO_V1(skyvault_resume);
PG_FUNCTION_INFO_V1(skyvault_job_progress);

static void
check_may_compact(Oid relid)
{
	if (!compat_class_ownercheck(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FOREIGN_TABLE, get_rel_name(relid));
	if (forest_xact_has_changed())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("skyvault_compact cannot run in a transaction that has changed a vault"),
				 errhint("Commit first: a compaction merges only what is committed.")));
	PreventCommandDuringRecovery("skyvault_compact()");
}

static void
check_not_paused(const ForestTable *table)
{
	if (forest_is_paused(table->vault_id, NULL))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("compaction of server \"%s\" is paused",
						GetForeignServer(table->server_oid)->servername),
				 errhint("Call skyvault_resume() first.")));
}

/* The newest sequence of what a new snapshot sees. */
static int64
newest_sequence(int32 vault_id)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	int64		newest = lsm_forest_newest_seq(forest_of_snapshot(vault_id, snapshot));

	UnregisterSnapshot(snapshot);
	return newest;
}

static void
report_failure(int64 job_id)
{
	JobOutcome	outcome;

	job_outcome_of(job_id, &outcome);
	ereport(ERROR,
			(errcode(outcome.error != NULL ? outcome.sqlerrcode : ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 outcome.error != NULL ? errmsg("compaction failed: %s", outcome.error) :
			 errmsg("compaction failed"),
			 outcome.detail != NULL ? errdetail_internal("%s", outcome.detail) : 0,
			 errhint("%s", outcome.hint != NULL ? outcome.hint :
					 "skyvault_jobs and the server log say more; workers try again by themselves.")));
}

static void
compact_and_wait(const ForestTable *table, bool full)
{
	int64		job_id = 0;
	const char *why = NULL;

	switch (compact_request(table->vault_id, table->table_id, full, newest_sequence(table->vault_id),
							&job_id, &why))
	{
		case ANSWER_DONE:
			break;
		case ANSWER_FAILED:
			report_failure(job_id);
			break;
		case ANSWER_NOBODY:
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("no skyvault compaction worker runs in this database"),
					 errdetail("%s", why),
					 errhint("Check the server log, max_worker_processes and skyvault.max_workers.")));
	}
}

/* (rel regclass, full boolean) */
Datum
skyvault_compact(PG_FUNCTION_ARGS)
{
	Oid			relid = api_relation_arg(fcinfo, 0);
	bool		full = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	Relation	rel = api_relation_lock(relid, AccessShareLock);
	ForestTable table = *forest_table_for_read(relid);

	/* The lock stays: the table is not dropped while somebody waits for it. */
	relation_close(rel, NoLock);
	check_may_compact(relid);
	if (table.table_id == 0)
		PG_RETURN_VOID();
	check_not_paused(&table);
	(void) api_flush(table.vault_id);
	compact_and_wait(&table, full);
	PG_RETURN_VOID();
}

/* Argument 0, a server's name or NULL for all: calls back for each vault. */
static void
for_each_vault(FunctionCallInfo fcinfo, void (*callback) (int32 vault_id))
{
	ForestVault *vaults;
	int			n;

	if (!PG_ARGISNULL(0))
	{
		int32		vault_id = api_vault_id(PG_GETARG_NAME(0));

		if (vault_id != 0)
			callback(vault_id);
		return;
	}
	n = forest_vault_list(&vaults);
	for (int i = 0; i < n; i++)
		callback(vaults[i].id);
}

/* (vault name): NULL means all */
Datum
skyvault_pause(PG_FUNCTION_ARGS)
{
	PreventCommandDuringRecovery("skyvault_pause()");
	for_each_vault(fcinfo, forest_pause);
	PG_RETURN_VOID();
}

/* (vault name): NULL means all */
Datum
skyvault_resume(PG_FUNCTION_ARGS)
{
	PreventCommandDuringRecovery("skyvault_resume()");
	for_each_vault(fcinfo, forest_resume);
	PG_RETURN_VOID();
}

/*
 * () returns setof (job bigint, pid int, entries_in, entries_out, bytes_in, bytes_out, bytes_total bigint,
 * parts, parts_done, workers int)
 */
Datum
skyvault_job_progress(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PoolJob		jobs[POOL_PLACES];
	int			n = worker_pool_list(jobs);

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < n; i++)
	{
		Datum		values[10];
		bool		nulls[10] = {false};

		values[0] = Int64GetDatum(jobs[i].job_id);
		values[1] = Int32GetDatum(jobs[i].pid);
		values[2] = Int64GetDatum((int64) jobs[i].progress.entries_in);
		values[3] = Int64GetDatum((int64) jobs[i].progress.entries_out);
		values[4] = Int64GetDatum((int64) jobs[i].progress.bytes_in);
		values[5] = Int64GetDatum((int64) jobs[i].progress.bytes_out);
		values[6] = Int64GetDatum((int64) jobs[i].progress.bytes_total);
		values[7] = Int32GetDatum(jobs[i].parts);
		values[8] = Int32GetDatum(jobs[i].parts_done);
		values[9] = Int32GetDatum(jobs[i].workers);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
