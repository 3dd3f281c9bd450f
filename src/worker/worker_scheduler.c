/*
 * worker_scheduler.c
 *		When to flush.
 */
#include "postgres.h"

#include "worker/worker_scheduler.h"

#include "access/xact.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/backend_status.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "server/pg_settings.h"
#include "worker/worker_chore.h"
#include "worker/worker_filter.h"
#include "worker/worker_flush.h"
#include "worker/worker_prepared.h"
#include "worker/worker_slot.h"

typedef struct Schedule
{
	bool		dirty;			/* something may be committed that no pass has flushed */
	TimestampTz dirty_since;
	int			pause_s;		/* after a failed pass; 0: the last one went well */
	TimestampTz retry_at;		/* end of the pause */
} Schedule;

/* What ALTER DATABASE or ALTER ROLE have set for people must not stop a flush. */
static void
override_settings(void)
{
	static const char *const settings[][2] = {
		{"role", "none"},
		{"search_path", "pg_catalog, pg_temp"},
		{"lock_timeout", "5s"},	/* who asked for a flush may hold a lock that DROP EXTENSION waits for */
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_deferrable", "off"},
	};

	for (int i = 0; i < lengthof(settings); i++)
		SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
}

static bool
extension_exists(void)
{
	Oid			extension;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	extension = get_extension_oid(SKYVAULT_NAME, true);
	CommitTransactionCommand();
	return OidIsValid(extension);
}

static bool
size_reached(const WorkerTask *task)
{
	return task->committed_bytes >= (uint64) setting_flush_size_kb * 1024;
}

/*
 * When a pass is due without a request; DT_NOEND if that depends on what is
 * still to be committed.
 */
static TimestampTz
next_own_pass(const Schedule *schedule, const WorkerTask *task)
{
	TimestampTz due = DT_NOEND;

	if (!schedule->dirty)
		return DT_NOEND;
	if (size_reached(task))
		due = schedule->dirty_since;
	else if (setting_flush_interval_s > 0)
		due = TimestampTzPlusMilliseconds(schedule->dirty_since,
										  (int64) setting_flush_interval_s * 1000);
	if (schedule->pause_s > 0)
		due = Max(due, schedule->retry_at);
	return due;
}

/* False if the pass failed. */
static bool
flush_all(Schedule *schedule)
{
	uint64		bytes = worker_slot_take_bytes();

	if (worker_flush_pass(0) == FLUSH_DONE)
	{
		schedule->dirty = false;
		schedule->pause_s = 0;
		return true;
	}
	worker_slot_return_bytes(bytes);
	schedule->pause_s = Min(Max(schedule->pause_s * 2, 1), setting_retry_max_s);
	schedule->retry_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													 schedule->pause_s * 1000);
	return false;
}

/* Returns whether anything was due: then more may have become due meanwhile. */
static bool
do_due_work(Schedule *schedule, const WorkerTask *task)
{
	bool		own_pass;
	bool		done = true;

	if (task->committed_bytes > 0 && !schedule->dirty)
	{
		schedule->dirty = true;
		schedule->dirty_since = GetCurrentTimestamp();
	}
	own_pass = next_own_pass(schedule, task) <= GetCurrentTimestamp();
	if (!task->number && task->request == 0 && !own_pass)
		return false;

	pgstat_report_activity(STATE_RUNNING, "skyvault flush");
	if (task->number)
		worker_flush_number_pending();

	if (own_pass || task->request != 0)
		worker_filter_before_flush();

	/*
	 * A pass over one vault says nothing about the others, so it leaves the
	 * schedule as it is.
	 */
	if (own_pass || (task->request != 0 && task->vault_id == 0))
		done = flush_all(schedule);
	else if (task->request != 0)
		done = worker_flush_pass(task->vault_id) == FLUSH_DONE;
	if (own_pass || task->request != 0)
		worker_filter_after_flush();
	if (task->request != 0)
		worker_slot_answer(task->request, !done);

	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
	return true;
}

static void
sleep_until(TimestampTz wake_at)
{
	int			events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH;
	long		timeout_ms = -1;

	if (wake_at != DT_NOEND)
	{
		events |= WL_TIMEOUT;
		timeout_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), wake_at);
	}
	(void) WaitLatch(MyLatch, events, timeout_ms, PG_WAIT_EXTENSION);
}

/* Returns when the extension is gone. */
static void
run_schedule(void)
{
	Schedule	schedule = {.dirty = true,.dirty_since = GetCurrentTimestamp()};
	bool		first = true;
	MemoryContext cycle_context;

	cycle_context = AllocSetContextCreate(TopMemoryContext, "skyvault scheduler cycle",
										  ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		WorkerTask	task;
		TimestampTz chore_at;

		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}

		worker_slot_read_task(&task);
		if (!extension_exists())
		{
			worker_chores_leave();
			return;
		}
		task.number |= first;	/* nobody has numbered while there was no scheduler */
		first = false;

		MemoryContextSwitchTo(cycle_context);
		MemoryContextReset(cycle_context);
		worker_prepared_check();

		/* Flushes, and others, change what the filter's upkeep has to do. */
		chore_at = worker_chores_run(task.woken_chores | CHORE_BIT(CHORE_FILTER));
		if (!do_due_work(&schedule, &task))
			sleep_until(Min(chore_at, next_own_pass(&schedule, &task)));
	}
}

void
skyvault_scheduler_main(Datum arg)
{
	Oid			dboid = DatumGetObjectId(arg);

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	if (!worker_slot_attach(dboid))
		proc_exit(0);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(dboid, InvalidOid, 0);
	override_settings();
	pgstat_report_activity(STATE_IDLE, NULL);

	run_schedule();
	worker_slot_leave();
	proc_exit(0);
}
