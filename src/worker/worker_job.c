/*
 * worker_job.c
 *		Rows of skyvault.job.
 */
#include "postgres.h"

#include "worker/worker_job.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "forest/forest_catalog.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

/* Finished jobs kept for people to look at. */
#define KEPT_JOBS 1000

static void
execute(const char *sql, int nargs, Oid *types, Datum *values, const char *nulls)
{
	SPI_connect();
	if (SPI_execute_with_args(sql, nargs, types, values, nulls, false, 0) < 0)
		elog(ERROR, "could not execute \"%s\"", sql);
	SPI_finish();
}

int64
job_start(int32 vault_id, const char *kind)
{
	int64		id = catalog_draw(CATALOG_JOB_ID_SEQ);
	Oid			types[] = {INT8OID, INT4OID, TEXTOID};
	Datum		values[] = {Int64GetDatum(id), Int32GetDatum(vault_id), CStringGetTextDatum(kind)};

	execute("INSERT INTO skyvault.job (id, vault_id, kind, state, started, pid)"
			" VALUES ($1, $2, $3, 'running', pg_catalog.clock_timestamp(),"
			" pg_catalog.pg_backend_pid())",
			3, types, values, NULL);
	return id;
}

void
job_finish(int64 job_id, const JobResult *result)
{
	Oid			types[] = {INT8OID, INT8OID, INT8OID, INT8OID, TEXTOID};
	Datum		values[5] = {
		Int64GetDatum(job_id), Int64GetDatum(result->entries), Int64GetDatum(result->bytes),
		Int64GetDatum(result->run_id), (Datum) 0
	};
	char		nulls[5] = {' ', ' ', ' ', ' ', 'n'};

	if (result->left_out != NULL)
	{
		values[4] = CStringGetTextDatum(result->left_out);
		nulls[4] = ' ';
	}
	execute("UPDATE skyvault.job SET state = 'done', ended = pg_catalog.clock_timestamp(),"
			" entries = $2, bytes = $3, outputs = pg_catalog.array_remove(ARRAY[$4], 0::bigint),"
			" left_out = $5 WHERE id = $1",
			5, types, values, nulls);
}

void
job_fail(int64 job_id, int32 vault_id, const char *kind, const ErrorData *error, int attempts, int pause_s)
{
	Oid			types[] = {INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT4OID, INT4OID};
	Datum		values[7] = {0};
	char		nulls[7] = {' ', ' ', ' ', error->detail == NULL ? 'n' : ' ', error->hint == NULL ? 'n' : ' ',
	' ', pause_s == 0 ? 'n' : ' '};

	if (job_id == 0)
		job_id = job_start(vault_id, kind);
	values[0] = Int64GetDatum(job_id);
	values[1] = CStringGetTextDatum(unpack_sql_state(error->sqlerrcode));
	values[2] = CStringGetTextDatum(error->message);
	if (error->detail != NULL)
		values[3] = CStringGetTextDatum(error->detail);
	if (error->hint != NULL)
		values[4] = CStringGetTextDatum(error->hint);
	values[5] = Int32GetDatum(attempts);
	values[6] = Int32GetDatum(pause_s);
	execute("UPDATE skyvault.job SET state = 'failed', ended = at,"
			" sqlstate = $2, error = $3, detail = $4, hint = $5, attempts = $6,"
			" retry_at = at + pg_catalog.make_interval(secs => $7)"
			" FROM (SELECT pg_catalog.clock_timestamp() AS at) AS clock WHERE id = $1",
			7, types, values, nulls);
}

/*
 * What compaction still goes by stays, however many jobs come after it: a failure
 * in its pause and as long again, in which the next try finds it and makes the
 * pause longer; and of each vault the newest success, as failures before it
 * count no longer against the store.
 */
static void
delete_old_jobs(void)
{
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(KEPT_JOBS)};

	execute("DELETE FROM skyvault.job AS j WHERE state <> 'running' AND id <="
			" (SELECT id FROM skyvault.job ORDER BY id DESC OFFSET $1 LIMIT 1)"
			" AND NOT (kind = '" JOB_COMPACT "' AND EXISTS (SELECT FROM skyvault.vault AS v WHERE v.id = j.vault_id)"
			" AND (COALESCE(retry_at + (retry_at - ended) > pg_catalog.clock_timestamp(), false)"
			" OR (state = 'done' AND id = (SELECT pg_catalog.max(n.id) FROM skyvault.job AS n"
			" WHERE n.vault_id = j.vault_id AND n.kind = '" JOB_COMPACT "' AND n.state = 'done'))))",
			1, types, values, NULL);
}

void
job_clean_up(void)
{
	static const char *const vault_tables[] = {"run", "changelog", "garbage", "owner", "snapshot", "log_object",
	"pause", "unimported"};

	execute("UPDATE skyvault.job SET state = 'failed', ended = pg_catalog.clock_timestamp(),"
			" sqlstate = '57P01', error = 'the worker ended before the job did'"
			" WHERE state = 'running' AND kind <> '" JOB_COMPACT "'",
			0, NULL, NULL, NULL);
	delete_old_jobs();
	for (int i = 0; i < lengthof(vault_tables); i++)
		execute(psprintf("DELETE FROM skyvault.%s AS t WHERE NOT EXISTS"
						 " (SELECT FROM skyvault.vault AS v WHERE v.id = t.vault_id)", vault_tables[i]),
				0, NULL, NULL, NULL);
}

int64
job_newest(void)
{
	Relation	rel = catalog_open(CATALOG_JOB, AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	int64		newest = 0;
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		int64		id = DatumGetInt64(heap_getattr(tuple, Anum_job_id, RelationGetDescr(rel), &isnull));

		newest = Max(newest, id);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return newest;
}

static char *
text_column(HeapTuple tuple, TupleDesc desc, AttrNumber column)
{
	bool		isnull;
	Datum		datum = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? NULL : TextDatumGetCString(datum);
}

static void
add_outcome(HeapTuple tuple, TupleDesc desc, JobOutcome *outcome)
{
	char	   *left_out = text_column(tuple, desc, Anum_job_left_out);
	char	   *error = text_column(tuple, desc, Anum_job_error);
	bool		isnull;
	Datum		entries = heap_getattr(tuple, Anum_job_entries, desc, &isnull);

	if (!isnull)
		outcome->entries += DatumGetInt64(entries);
	if (left_out != NULL)
		outcome->left_out = outcome->left_out == NULL ? left_out :
			psprintf("%s, %s", outcome->left_out, left_out);
	if (error != NULL && outcome->error == NULL)
	{
		char	   *state = text_column(tuple, desc, Anum_job_sqlstate);

		outcome->sqlerrcode = state == NULL ? ERRCODE_INTERNAL_ERROR :
			MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4]);
		outcome->error = error;
		outcome->detail = text_column(tuple, desc, Anum_job_detail);
		outcome->hint = text_column(tuple, desc, Anum_job_hint);
	}
}

void
job_outcome_since(int64 marker, int32 vault_id, JobOutcome *outcome)
{
	Relation	rel = catalog_open(CATALOG_JOB, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	memset(outcome, 0, sizeof(JobOutcome));
	ScanKeyInit(&key, Anum_job_id, BTGreaterStrategyNumber, F_INT8GT, Int64GetDatum(marker));
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		int32		vault = DatumGetInt32(heap_getattr(tuple, Anum_job_vault_id, desc, &isnull));
		char	   *kind = text_column(tuple, desc, Anum_job_kind);

		if (strcmp(kind, JOB_FLUSH) == 0 && (vault_id == 0 || vault == vault_id))
			add_outcome(tuple, desc, outcome);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

void
job_outcome_of(int64 job_id, JobOutcome *outcome)
{
	Relation	rel = catalog_open(CATALOG_JOB, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	memset(outcome, 0, sizeof(JobOutcome));
	ScanKeyInit(&key, Anum_job_id, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(job_id));
	scan = systable_beginscan(rel, catalog_oid(CATALOG_JOB_PKEY), true, NULL, 1, &key);
	if (HeapTupleIsValid(tuple = systable_getnext(scan)))
		add_outcome(tuple, RelationGetDescr(rel), outcome);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}
