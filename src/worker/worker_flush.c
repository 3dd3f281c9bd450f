/*
 * worker_flush.c
 *		Flush passes of a scheduler.
 *
 * A flush is three steps: read a batch (a transaction), upload it (no
 * transaction), publish it (a short transaction).  If the process dies
 *	 - before the upload is complete: nothing has happened; a temporary file or
 *	   a half-sent request may be left in the store;
 *	 - between upload and the publish's commit: the object is an orphan, the
 *	   rows are in the delta;
 *	 - after the commit: the flush has happened.
 * In each case the next pass finds the delta and the registry consistent, and
 * the job row, if it still says "running", is set to "failed".
 */
#include "postgres.h"

#include "worker/worker_flush.h"

#include "access/xact.h"
#include "forest/forest_catalog.h"
#include "forest/forest_changelog.h"
#include "forest/forest_store.h"
#include "forest/forest_traffic.h"
#include "forest/forest_vault.h"
#include "forest/object_name.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "server/pg_cache.h"
#include "server/pg_status.h"
#include "server/stop_point.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "worker/flush_batch.h"
#include "worker/flush_publish.h"
#include "worker/worker_chore.h"
#include "worker/worker_embedded.h"
#include "worker/worker_job.h"
#include "worker/worker_owner.h"
#include "worker/worker_probe.h"
#include "worker/worker_shmem.h"
#include "worker/worker_transaction.h"

/* One vault's pass. */
typedef struct VaultFlush
{
	ForestVault vault;
	ObjectStore *store;			/* stays open until it is looked up again */
	FlushCursor cursor;
	int64		job_id;			/* of the batch under way; 0: none */
} VaultFlush;

/* DROP SERVER takes the vault's tables with it: then there is nothing left to flush. */
static bool
server_exists(const ForestVault *vault)
{
	return SearchSysCacheExists1(FOREIGNSERVEROID, ObjectIdGetDatum(vault->server_oid));
}

/* Step 1 and 2 up to the upload.  NULL: the delta has nothing (more) of this vault. */
static FlushBatch *
read_batch(VaultFlush *flush)
{
	MemoryContext flush_context = CurrentMemoryContext;
	FlushBatch *batch;

	worker_transaction_begin();
	flush->job_id = 0;
	MemoryContextSwitchTo(flush_context);
	if (!server_exists(&flush->vault))
	{
		worker_transaction_commit();
		MemoryContextSwitchTo(flush_context);
		return NULL;
	}
	if (flush_batch_is_needed(&flush->vault))
		worker_check_store_is_safe(&flush->vault);
	batch = flush_batch_read(&flush->vault, &flush->cursor);
	if (batch->nrows > 0)
	{
		flush->store = forest_store_open(flush->vault.server_oid);
		flush->job_id = job_start(flush->vault.id, JOB_FLUSH);
	}
	worker_transaction_commit();
	MemoryContextSwitchTo(flush_context);
	return batch->nrows > 0 ? batch : NULL;
}

static void
upload(VaultFlush *flush, const FlushBatch *batch, const char *object)
{
	SvSlice		bytes = sv_buffer_slice(&batch->file);
	SvError		err;

	STOP_POINT("flush-before-upload");
	if (store_put_if_absent(flush->store, object, &bytes, 1,
							forest_store_call(flush->vault.server_oid, STORE_FLUSH), &err) != SV_OK)
		pg_status_report(ERROR, &err);
	STOP_POINT("flush-uploaded");
}

/* A source over the file that was just written. */
static SvStatus
read_written(void *state, uint64_t offset, size_t len, void *dst, SvError *err)
{
	const FlushBatch *batch = state;

	memcpy(dst, batch->file.data + offset, len);
	return SV_OK;
}

/* Brings the new run's tail into the cache before anybody can ask for it; if that fails, a reader does. */
static void
warm_tail(FlushBatch *batch, const char *object)
{
	RunReader	run = {
		.id = pg_cache_run_id(object),
		.file_bytes = batch->summary.file_bytes,
		.tail_bytes = batch->summary.tail_bytes,
		.source = {.read = read_written,.state = batch,.name = object}
	};
	RunScan		scan;
	SvError		err;

	if (run_scan_open(&scan, pg_caches(), &run, &err) == SV_OK)
		run_scan_close(&scan);
}

/* An ALTER SERVER meanwhile: what was uploaded may be elsewhere than readers would look for it. */
static void
check_store_is_current(const VaultFlush *flush)
{
	if (!forest_store_is_current(flush->vault.server_oid, flush->store))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("server \"%s\" was changed during the flush",
						GetForeignServer(flush->vault.server_oid)->servername),
				 errhint("The flush is tried again.")));
}

static void
publish(VaultFlush *flush, const FlushBatch *batch, const char *object)
{
	MemoryContext flush_context = CurrentMemoryContext;
	FlushOutcome outcome;
	JobResult	result = {0};

	worker_transaction_begin();
	memset(&outcome, 0, sizeof(FlushOutcome));
	if (server_exists(&flush->vault))
	{
		worker_check_store_is_safe(&flush->vault);
		check_store_is_current(flush);
		flush_publish(batch, object, &outcome);
	}
	result.entries = outcome.entries;
	result.bytes = outcome.run_id != 0 ? (int64) batch->summary.file_bytes : 0;
	result.run_id = outcome.run_id;
	result.left_out = outcome.left_out;
	job_finish(flush->job_id, &result);
	STOP_POINT("flush-before-commit");
	worker_transaction_commit();
	MemoryContextSwitchTo(flush_context);
	flush->job_id = 0;
	STOP_POINT("flush-committed");

	if (outcome.run_id != 0)
	{
		forest_traffic_add(flush->vault.id, TRAFFIC_FLUSHED, batch->summary.file_bytes);
		worker_chore_wake(CHORE_COMPACT);
	}

	/* What was left out or locked has to be looked at again, in time. */
	if (outcome.kept_rows > 0)
		worker_note_committed_bytes(1);

	if (object != NULL && outcome.run_id == 0)
	{
		SvError		err;

		/* Nobody was told of it; if this fails, it is an orphan like any other. */
		(void) store_remove(flush->store, object,
							forest_store_call(flush->vault.server_oid, STORE_FLUSH), &err);
	}
}

/* One batch; false if there was nothing to flush. */
static bool
flush_step(VaultFlush *flush)
{
	FlushBatch *batch = read_batch(flush);
	char	   *object = NULL;

	if (batch == NULL)
		return false;
	if (batch->summary.entries > 0)
	{
		worker_probe_conditions(&flush->vault, flush->store);
		worker_owner_require(&flush->vault, flush->store);
		object = object_name_of_job(&flush->vault, flush->job_id, "sst");
		upload(flush, batch, object);
		warm_tail(batch, object);
	}
	publish(flush, batch, object);
	MemoryContextDelete(batch->context);
	return true;
}

/*
 * Records an error as the job's, unless the catalogue has gone with the
 * extension.  What keeps the flush from a lock may keep this from it as well.
 */
static void
record_failure(VaultFlush *flush, ErrorData *error)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		worker_transaction_begin();
		if (catalog_exists())
			job_fail(flush->job_id, flush->vault.id, JOB_FLUSH, error, 1, 0);
		worker_transaction_commit();
	}
	PG_CATCH();
	{
		(void) worker_transaction_recover(context);
	}
	PG_END_TRY();
}

FlushResult
worker_flush_vault(const ForestVault *vault, int *last_sqlstate)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "skyvault flush",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	VaultFlush *flush = palloc0(sizeof(VaultFlush));
	ErrorData  *volatile error = NULL;

	flush->vault = *vault;
	PG_TRY();
	{
		if (*last_sqlstate != 0)
			worker_probe_answers(vault, STORE_FLUSH);
		while (!flush->cursor.at_end && flush_step(flush))
			CHECK_FOR_INTERRUPTS();
	}
	PG_CATCH();
	{
		/* A failure that goes on is in the log once; each try is in skyvault.job. */
		error = geterrcode() == *last_sqlstate ? worker_transaction_recover_silently(context) :
			worker_transaction_recover(context);
	}
	PG_END_TRY();

	MemoryContextSwitchTo(context);
	if (error != NULL)
		record_failure(flush, error);
	else if (*last_sqlstate != 0)
		ereport(LOG, (errmsg("flush of vault %d succeeded after failures", vault->id)));
	*last_sqlstate = error != NULL ? error->sqlerrcode : 0;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return error == NULL ? FLUSH_DONE : FLUSH_FAILED;
}

/* None if the extension has just been dropped. */
static int
list_vaults(ForestVault **vaults, bool clean_up)
{
	MemoryContext old = CurrentMemoryContext;
	int			n = 0;

	worker_transaction_begin();
	if (catalog_exists())
	{
		if (clean_up)
			job_clean_up();
		MemoryContextSwitchTo(old);
		n = forest_vault_list(vaults);
	}
	worker_transaction_commit();
	MemoryContextSwitchTo(old);
	return n;
}

static int
try_list_vaults(ForestVault **vaults, bool clean_up)
{
	MemoryContext context = CurrentMemoryContext;
	volatile int n;

	PG_TRY();
	{
		n = list_vaults(vaults, clean_up);
	}
	PG_CATCH();
	{
		(void) worker_transaction_recover(context);
		n = -1;
	}
	PG_END_TRY();
	return n;
}

int
worker_flush_list(ForestVault **vaults)
{
	return try_list_vaults(vaults, false);
}

int
worker_flush_begin_pass(ForestVault **vaults)
{
	return try_list_vaults(vaults, true);
}

void
worker_flush_number(int32 vault_id)
{
	MemoryContext old = CurrentMemoryContext;

	worker_transaction_begin();
	if (catalog_exists() && changelog_tip(vault_id, GetActiveSnapshot()).has_unnumbered)
		(void) changelog_number_and_insert(vault_id, NULL);
	worker_transaction_commit();
	MemoryContextSwitchTo(old);
}

bool
worker_flush_try_number(int32 vault_id)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool done = false;

	PG_TRY();
	{
		worker_flush_number(vault_id);
		done = true;
	}
	PG_CATCH();
	{
		(void) worker_transaction_recover(context);
	}
	PG_END_TRY();
	return done;
}
