/*
 * compact_claim.c
 *		The jobs of compaction in skyvault.job.
 */
#include "postgres.h"

#include "worker/compact_claim.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_type.h"
#include "forest/forest_catalog.h"
#include "miscadmin.h"
#include "server/pg_settings.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "worker/worker_job.h"

/* So many failures of a store in a row are the store's. */
#define STORE_FAILURES 3

/* So many tries in a row that came too late are followed by the next at once. */
#define LATE_TRIES 3

typedef struct CompactFailure
{
	LsmClaim	claim;
	int			attempts;
} CompactFailure;

int
compact_pause(int failures)
{
	int			pause = failures < 31 ? 1 << Max(failures - 1, 0) : INT_MAX;

	return Min(pause, setting_retry_max_s);
}

/*
 * Reading
 */

typedef struct JobReader
{
	CompactClaims *claims;
	TupleDesc	desc;
	TimestampTz now;
	int			room;
	int			store_failures; /* since the last success */
} JobReader;

static int
array_elements(HeapTuple tuple, TupleDesc desc, AttrNumber column, Oid type, Datum **elements)
{
	bool		isnull;
	Datum		datum = heap_getattr(tuple, column, desc, &isnull);
	int			n = 0;

	*elements = NULL;
	if (isnull)
		return 0;
	if (type == INT4OID)
		deconstruct_array(DatumGetArrayTypeP(datum), type, 4, true, TYPALIGN_INT, elements, NULL, &n);
	else if (type == INT8OID)
		deconstruct_array(DatumGetArrayTypeP(datum), type, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, elements,
						  NULL, &n);
	else
		deconstruct_array(DatumGetArrayTypeP(datum), type, -1, false, TYPALIGN_INT, elements, NULL, &n);
	return n;
}

static SvSlice
slice_of(Datum datum)
{
	bytea	   *bytes = DatumGetByteaPP(datum);

	return sv_slice(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
}

/* Of a copied tuple, which it points into. */
static LsmClaim
claim_of(HeapTuple tuple, TupleDesc desc)
{
	LsmClaim	claim = {0};
	Datum	   *inputs;
	Datum	   *tables;
	Datum	   *levels;
	Datum	   *lows;
	Datum	   *highs;
	int64_t    *run_ids;
	LsmTarget  *targets;
	int			n;

	claim.nruns = array_elements(tuple, desc, Anum_job_inputs, INT8OID, &inputs);
	run_ids = palloc(Max(claim.nruns, 1) * sizeof(int64_t));
	for (int i = 0; i < claim.nruns; i++)
		run_ids[i] = DatumGetInt64(inputs[i]);
	claim.run_ids = run_ids;

	n = array_elements(tuple, desc, Anum_job_target_tables, INT4OID, &tables);
	if (array_elements(tuple, desc, Anum_job_target_levels, INT4OID, &levels) != n ||
		array_elements(tuple, desc, Anum_job_target_lows, BYTEAOID, &lows) != n ||
		array_elements(tuple, desc, Anum_job_target_highs, BYTEAOID, &highs) != n)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the targets of a row of skyvault.job do not fit together")));
	targets = palloc(Max(n, 1) * sizeof(LsmTarget));
	for (int i = 0; i < n; i++)
		targets[i] = (LsmTarget)
	{
		.table_id = DatumGetInt32(tables[i]),.level = DatumGetInt32(levels[i]),
			.range = {slice_of(lows[i]), slice_of(highs[i])}
	};
	claim.ntargets = n;
	claim.targets = targets;
	return claim;
}

static TimestampTz
time_column(HeapTuple tuple, TupleDesc desc, AttrNumber column)
{
	bool		isnull;
	Datum		datum = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? 0 : DatumGetTimestampTz(datum);
}

static char *
text_column(HeapTuple tuple, TupleDesc desc, AttrNumber column)
{
	bool		isnull;
	Datum		datum = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? NULL : TextDatumGetCString(datum);
}

static int64
job_id_of(HeapTuple tuple, TupleDesc desc)
{
	bool		isnull;

	return DatumGetInt64(heap_getattr(tuple, Anum_job_id, desc, &isnull));
}

/*
 * The lock says whether the process lives.  It is its own process's too: then
 * the job ended with an error that could not be recorded.
 */
static void
read_running(JobReader *reader, HeapTuple tuple)
{
	CompactClaims *claims = reader->claims;
	int64		id = job_id_of(tuple, reader->desc);

	if (catalog_try_lock_job(id))
	{
		catalog_unlock_job(id);
		claims->dead[claims->ndead++] = id;
		return;
	}
	/* Keep the running ones in front. */
	claims->claims[claims->n++] = claims->claims[claims->nrunning];
	claims->claims[claims->nrunning++] = claim_of(tuple, reader->desc);
}

/* Whether it is the store that failed, and not one of its objects.  55000: it is not the store that it has to be. */
static bool
is_store_failure(const char *sqlstate)
{
	return sqlstate != NULL &&
		(strncmp(sqlstate, "58", 2) == 0 || strncmp(sqlstate, "08", 2) == 0 ||
		 strncmp(sqlstate, "53", 2) == 0 || strncmp(sqlstate, "42501", 5) == 0 || strncmp(sqlstate, "55000", 5) == 0);
}

static void
read_failed(JobReader *reader, HeapTuple tuple)
{
	CompactClaims *claims = reader->claims;
	CompactFailure *failure = &claims->failures[claims->nfailed++];
	TimestampTz retry_at = time_column(tuple, reader->desc, Anum_job_retry_at);
	bool		isnull;

	failure->claim = claim_of(tuple, reader->desc);
	failure->attempts = DatumGetInt32(heap_getattr(tuple, Anum_job_attempts, reader->desc, &isnull));
	if (failure->claim.nruns == 0)
		claims->vault_retry_at = Max(claims->vault_retry_at, retry_at);
	else if (retry_at > reader->now)
	{
		claims->claims[claims->n++] = failure->claim;
		claims->retry_at = Min(claims->retry_at, retry_at);
	}
	if (is_store_failure(text_column(tuple, reader->desc, Anum_job_sqlstate)) &&
		++reader->store_failures >= STORE_FAILURES)
		claims->vault_retry_at =
			Max(claims->vault_retry_at,
				TimestampTzPlusMilliseconds(time_column(tuple, reader->desc, Anum_job_ended),
											(int64) compact_pause(reader->store_failures - STORE_FAILURES + 1) * 1000));
}

static void
make_room(JobReader *reader)
{
	CompactClaims *claims = reader->claims;

	if (claims->n + 1 < reader->room && claims->nfailed < reader->room && claims->ndead < reader->room)
		return;
	reader->room = Max(reader->room * 2, 16);
	if (claims->claims == NULL)
	{
		claims->claims = palloc(reader->room * sizeof(LsmClaim));
		claims->failures = palloc(reader->room * sizeof(CompactFailure));
		claims->dead = palloc(reader->room * sizeof(int64));
		return;
	}
	claims->claims = repalloc(claims->claims, reader->room * sizeof(LsmClaim));
	claims->failures = repalloc(claims->failures, reader->room * sizeof(CompactFailure));
	claims->dead = repalloc(claims->dead, reader->room * sizeof(int64));
}

static void
read_job(JobReader *reader, HeapTuple tuple)
{
	char	   *state = text_column(tuple, reader->desc, Anum_job_state);

	make_room(reader);
	if (strcmp(state, "running") == 0)
		read_running(reader, heap_copytuple(tuple));
	else if (strcmp(state, "failed") == 0)
		read_failed(reader, heap_copytuple(tuple));
	else
	{
		/* The store works, and whatever could not be chosen can. */
		reader->store_failures = 0;
		reader->claims->vault_retry_at = 0;
		if (time_column(tuple, reader->desc, Anum_job_retry_at) != 0)
			read_failed(reader, heap_copytuple(tuple));	/* in part */
	}
}

void
compact_claims_read(int32 vault_id, Snapshot snapshot, CompactClaims *claims)
{
	Relation	heap = catalog_open(CATALOG_JOB, AccessShareLock);
	Relation	index = index_open(catalog_oid(CATALOG_JOB_VAULT), AccessShareLock);
	JobReader	reader = {.claims = claims,.desc = RelationGetDescr(heap),.now = GetCurrentTimestamp()};
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	memset(claims, 0, sizeof(CompactClaims));
	claims->retry_at = DT_NOEND;
	make_room(&reader);
	ScanKeyInit(&key, Anum_job_vault_id, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(vault_id));
	scan = systable_beginscan_ordered(heap, index, snapshot, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext_ordered(scan, ForwardScanDirection)))
		if (strcmp(text_column(tuple, reader.desc, Anum_job_kind), JOB_COMPACT) == 0)
			read_job(&reader, tuple);
	systable_endscan_ordered(scan);
	index_close(index, AccessShareLock);
	table_close(heap, AccessShareLock);
	if (claims->vault_retry_at > reader.now)
		claims->retry_at = Min(claims->retry_at, claims->vault_retry_at);
}

static bool
claims_share_a_run(const LsmClaim *a, const LsmClaim *b)
{
	for (int i = 0; i < a->nruns; i++)
		for (int j = 0; j < b->nruns; j++)
			if (a->run_ids[i] == b->run_ids[j])
				return true;
	return false;
}

int
compact_claims_failures(const CompactClaims *claims, const LsmClaim *claim)
{
	int			failures = 0;

	for (int i = 0; i < claims->nfailed; i++)
		if (claims_share_a_run(&claims->failures[i].claim, claim))
			failures = Max(failures, claims->failures[i].attempts);
	return failures;
}

/*
 * Writing
 */

static Datum
array_of(Datum *elements, int n, Oid type)
{
	if (type == INT4OID)
		return PointerGetDatum(construct_array(elements, n, type, 4, true, TYPALIGN_INT));
	if (type == INT8OID)
		return PointerGetDatum(construct_array(elements, n, type, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	return PointerGetDatum(construct_array(elements, n, type, -1, false, TYPALIGN_INT));
}

static Datum
bytea_of(SvSlice slice)
{
	return PointerGetDatum(cstring_to_text_with_len((const char *) slice.data, slice.len));
}

static void
set(Datum *values, bool *nulls, AttrNumber column, Datum value)
{
	values[column - 1] = value;
	nulls[column - 1] = false;
}

static void
set_claim(Datum *values, bool *nulls, const LsmClaim *claim)
{
	int			n = claim->ntargets;
	Datum	   *elements = palloc((Max(n, claim->nruns) + 1) * sizeof(Datum));

	for (int i = 0; i < claim->nruns; i++)
		elements[i] = Int64GetDatum(claim->run_ids[i]);
	set(values, nulls, Anum_job_inputs, array_of(elements, claim->nruns, INT8OID));
	for (int i = 0; i < n; i++)
		elements[i] = Int32GetDatum(claim->targets[i].table_id);
	set(values, nulls, Anum_job_target_tables, array_of(elements, n, INT4OID));
	for (int i = 0; i < n; i++)
		elements[i] = Int32GetDatum(claim->targets[i].level);
	set(values, nulls, Anum_job_target_levels, array_of(elements, n, INT4OID));
	for (int i = 0; i < n; i++)
		elements[i] = bytea_of(claim->targets[i].range.low);
	set(values, nulls, Anum_job_target_lows, array_of(elements, n, BYTEAOID));
	for (int i = 0; i < n; i++)
		elements[i] = bytea_of(claim->targets[i].range.high);
	set(values, nulls, Anum_job_target_highs, array_of(elements, n, BYTEAOID));
}

static int64
insert_job(int32 vault_id, Datum *values, bool *nulls)
{
	Relation	rel = catalog_open(CATALOG_JOB, RowExclusiveLock);
	int64		id = catalog_draw(CATALOG_JOB_ID_SEQ);
	HeapTuple	tuple;

	set(values, nulls, Anum_job_id, Int64GetDatum(id));
	set(values, nulls, Anum_job_vault_id, Int32GetDatum(vault_id));
	set(values, nulls, Anum_job_kind, CStringGetTextDatum(JOB_COMPACT));
	set(values, nulls, Anum_job_started, TimestampTzGetDatum(GetCurrentTimestamp()));
	set(values, nulls, Anum_job_pid, Int32GetDatum(MyProcPid));
	tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);
	CatalogTupleInsert(rel, tuple);
	heap_freetuple(tuple);
	table_close(rel, RowExclusiveLock);
	return id;
}

int64
compact_claim(int32 vault_id, const LsmJob *job, const LsmClaim *claim, int attempts)
{
	Datum		values[Natts_job] = {0};
	bool		nulls[Natts_job];
	int64		id;

	memset(nulls, true, sizeof(nulls));
	set(values, nulls, Anum_job_state, CStringGetTextDatum("running"));
	set(values, nulls, Anum_job_attempts, Int32GetDatum(attempts));
	set(values, nulls, Anum_job_reason, CStringGetTextDatum(job->reason));
	set_claim(values, nulls, claim);
	id = insert_job(vault_id, values, nulls);
	if (!catalog_try_lock_job(id))
		elog(ERROR, "the lock of a new job is taken");
	return id;
}

static void
update_job(int64 job_id, Datum *values, const bool *nulls)
{
	Relation	rel = catalog_open(CATALOG_JOB, RowExclusiveLock);
	bool		replace[Natts_job];
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	for (int i = 0; i < Natts_job; i++)
		replace[i] = !nulls[i];
	ScanKeyInit(&key, Anum_job_id, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(job_id));
	scan = systable_beginscan(rel, catalog_oid(CATALOG_JOB_PKEY), true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		HeapTuple	changed = heap_modify_tuple(tuple, RelationGetDescr(rel), values,
												unconstify(bool *, nulls), replace);

		CatalogTupleUpdate(rel, &tuple->t_self, changed);
		heap_freetuple(changed);
	}
	systable_endscan(scan);
	table_close(rel, RowExclusiveLock);
}

void
compact_claim_done(int64 job_id, const CompactOutcome *outcome)
{
	Datum		values[Natts_job] = {0};
	bool		nulls[Natts_job];
	Datum	   *runs = palloc(Max(outcome->noutputs, 1) * sizeof(Datum));

	memset(nulls, true, sizeof(nulls));
	for (int i = 0; i < outcome->noutputs; i++)
		runs[i] = Int64GetDatum(outcome->outputs[i]);
	set(values, nulls, Anum_job_outputs, array_of(runs, outcome->noutputs, INT8OID));
	set(values, nulls, Anum_job_state, CStringGetTextDatum("done"));
	set(values, nulls, Anum_job_ended, TimestampTzGetDatum(GetCurrentTimestamp()));
	set(values, nulls, Anum_job_entries_in, Int64GetDatum(outcome->entries_in));
	set(values, nulls, Anum_job_bytes_in, Int64GetDatum(outcome->bytes_in));
	set(values, nulls, Anum_job_entries, Int64GetDatum(outcome->entries));
	set(values, nulls, Anum_job_bytes, Int64GetDatum(outcome->bytes));
	set(values, nulls, Anum_job_parts, Int32GetDatum(outcome->parts));
	set(values, nulls, Anum_job_workers, Int32GetDatum(outcome->workers));
	if (outcome->pause_s > 0)
		set(values, nulls, Anum_job_retry_at,
			TimestampTzGetDatum(TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
															(int64) outcome->pause_s * 1000)));
	if (outcome->left_out != NULL)
		set(values, nulls, Anum_job_left_out, CStringGetTextDatum(outcome->left_out));
	update_job(job_id, values, nulls);
}

static void
set_failure(Datum *values, bool *nulls, const ErrorData *error, int pause_s)
{
	TimestampTz now = GetCurrentTimestamp();

	set(values, nulls, Anum_job_state, CStringGetTextDatum("failed"));
	set(values, nulls, Anum_job_ended, TimestampTzGetDatum(now));
	set(values, nulls, Anum_job_retry_at,
		TimestampTzGetDatum(TimestampTzPlusMilliseconds(now, (int64) pause_s * 1000)));
	set(values, nulls, Anum_job_sqlstate, CStringGetTextDatum(unpack_sql_state(error->sqlerrcode)));
	set(values, nulls, Anum_job_error, CStringGetTextDatum(error->message));
	if (error->detail != NULL)
		set(values, nulls, Anum_job_detail, CStringGetTextDatum(error->detail));
	if (error->hint != NULL)
		set(values, nulls, Anum_job_hint, CStringGetTextDatum(error->hint));
}

static void
fail_job(int64 job_id, const ErrorData *error, int pause_s)
{
	Datum		values[Natts_job] = {0};
	bool		nulls[Natts_job];

	memset(nulls, true, sizeof(nulls));
	set_failure(values, nulls, error, pause_s);
	update_job(job_id, values, nulls);
}

void
compact_claim_failed(int64 job_id, const ErrorData *error, int attempts)
{
	int			failures = error->sqlerrcode == COMPACT_TOO_LATE ? attempts - LATE_TRIES : attempts;

	fail_job(job_id, error, failures > 0 ? compact_pause(failures) : 0);
}

static bool
job_is_running(int64 job_id)
{
	Relation	rel = catalog_open(CATALOG_JOB, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		running = false;

	ScanKeyInit(&key, Anum_job_id, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(job_id));
	scan = systable_beginscan(rel, catalog_oid(CATALOG_JOB_PKEY), true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		state = heap_getattr(tuple, Anum_job_state, RelationGetDescr(rel), &isnull);

		running = strcmp(TextDatumGetCString(state), "running") == 0;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return running;
}

/*
 * Looks once more: the job may have ended after the caller's snapshot, which is
 * why its worker no longer held the lock.
 */
void
compact_claim_dead(int64 job_id)
{
	ErrorData	error = {
		.sqlerrcode = ERRCODE_ADMIN_SHUTDOWN,
		.message = "the worker ended before the job did"
	};

	if (job_is_running(job_id))
		fail_job(job_id, &error, 0);
}

int64
compact_claim_no_choice(int32 vault_id, const ErrorData *error, int pause_s)
{
	Datum		values[Natts_job] = {0};
	bool		nulls[Natts_job];

	memset(nulls, true, sizeof(nulls));
	set(values, nulls, Anum_job_attempts, Int32GetDatum(1));
	set_failure(values, nulls, error, pause_s);
	return insert_job(vault_id, values, nulls);
}

void
compact_claim_release(int64 job_id)
{
	catalog_unlock_job(job_id);
}
