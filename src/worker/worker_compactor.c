/*
 * worker_compactor.c
 *		The process that compacts.
 *
 * A job is three steps: choose and claim (a transaction), read and write (no
 * transaction; perhaps in parts, with the help of others), publish (a short
 * transaction).  Who has no job helps others with theirs.  If the process dies
 *	 - before the publish commits: the forest is as it was; what was written is
 *	   orphans, and the job's row, whose lock is free then, is taken away by
 *	   who looks at it next (compact_claim.h);
 *	 - after: the compaction has happened.
 */
#include "postgres.h"

#include "worker/worker_compactor.h"

#include "access/xact.h"
#include "commands/extension.h"
#include "forest/forest_catalog.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "server/pg_worker.h"
#include "server/stop_point.h"
#include "storage/ipc.h"
#include "utils/backend_status.h"
#include "utils/memutils.h"
#include "worker/compact_claim.h"
#include "worker/compact_parts.h"
#include "worker/compact_plan.h"
#include "worker/compact_publish.h"
#include "worker/compact_request.h"
#include "worker/compact_run.h"
#include "worker/compact_warm.h"
#include "worker/worker_owner.h"
#include "worker/worker_pool.h"
#include "worker/worker_slot.h"
#include "worker/worker_transaction.h"

static void
do_job(CompactPlan *plan, CompactRun *run)
{
	CompactPublished published;

	/* Moves and removals ask nothing of the store. */
	if (plan->job->input_bytes > 0)
		worker_owner_require(&plan->vault, plan->store);
	compact_run(run, plan);
	compact_warm(plan, &run->result);
	run->publishing = true;
	published = compact_publish(plan, &run->result);
	if (published != PUBLISH_DONE)
		compact_run_discard(run);
	if (published == PUBLISH_LOST && plan->request != 0)
		compact_request_lost(plan->request, plan->job_id);
	if (published == PUBLISH_GONE && plan->request != 0)
		compact_request_done(plan->request);
}

/* Unless the catalogue has gone with the extension. */
static void
record_failure(const CompactPlan *plan, const ErrorData *error)
{
	PG_TRY();
	{
		worker_transaction_begin();
		if (catalog_exists())
			compact_claim_failed(plan->job_id, error, plan->attempts);
		worker_transaction_commit();
	}
	PG_CATCH();
	{
		(void) worker_transaction_recover(plan->context);
	}
	PG_END_TRY();
	if (plan->request != 0 && error->sqlerrcode == COMPACT_TOO_LATE)
		compact_request_lost(plan->request, plan->job_id);
	else if (plan->request != 0)
		compact_request_failed(plan->request, plan->job_id);
}

/*
 * An error is the job's: it is recorded, and others go on.  One that came too
 * late is nothing for the log: it is chosen anew.  What the publish may have
 * committed before it failed stays; outputs are removed only if it has not
 * begun.
 */
static void
try_job(CompactPlan *plan)
{
	MemoryContext old = MemoryContextSwitchTo(plan->context);
	CompactRun *run = palloc0(sizeof(CompactRun));
	ErrorData  *volatile error = NULL;

	run->plan = plan;
	PG_TRY();
	{
		do_job(plan, run);
	}
	PG_CATCH();
	{
		error = geterrcode() == COMPACT_TOO_LATE ? worker_transaction_recover_silently(plan->context) :
			worker_transaction_recover(plan->context);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(plan->context);
	if (error != NULL)
	{
		compact_share_close();
		record_failure(plan, error);
		if (!run->publishing)
			compact_run_discard(run);
	}
	compact_share_release();
	worker_pool_set_job(0, 0);
	MemoryContextSwitchTo(old);
}

static bool
extension_exists(void)
{
	bool		exists;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	exists = OidIsValid(get_extension_oid(SKYVAULT_NAME, true));
	CommitTransactionCommand();
	return exists;
}

static void
work(void)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "skyvault compaction worker",
												  ALLOCSET_DEFAULT_SIZES);

	while (extension_exists())
	{
		CompactPlan *plan;

		(void) pg_worker_interrupts();
		MemoryContextReset(context);
		MemoryContextSwitchTo(context);
		plan = compact_plan_next();
		if (plan == NULL && !compact_parts_help())
			break;
		if (plan != NULL)
		{
			pgstat_report_activity(STATE_RUNNING, "skyvault compaction");
			STOP_POINT("compact-planned");
			try_job(plan);
			compact_plan_free(plan);
			worker_slot_tell_waiters();
		}
		pgstat_report_stat(true);
		pgstat_report_activity(STATE_IDLE, NULL);
		if (worker_pool_is_wanted())
			break;
	}
}

void
skyvault_compactor_main(Datum arg)
{
	uint64		place = DatumGetUInt64(arg);
	Oid			dboid;

	pg_worker_signals();
	dboid = worker_pool_attach((uint32) place, (uint32) (place >> 32));
	if (!OidIsValid(dboid))
		proc_exit(0);
	pg_worker_connect(dboid);
	work();
	proc_exit(0);
}
