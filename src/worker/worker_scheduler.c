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
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/backend_status.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "server/pg_worker.h"
#include "worker/worker_chore.h"
#include "worker/worker_filter.h"
#include "worker/worker_flush.h"
#include "worker/worker_prepared.h"
#include "worker/worker_pressure.h"
#include "worker/worker_request.h"
#include "worker/worker_schedule.h"
#include "worker/worker_slot.h"

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

/* Returns whether the flush went well. */
static bool
flush_one(Schedule *schedule, const ForestVault *vault)
{
	VaultSchedule *entry = schedule_find(schedule, vault->id);
	uint64		began_bytes = worker_slot_committed_bytes();
	uint64		before = worker_pressure_before_flush(vault->id);
	bool		done = worker_flush_vault(vault, &entry->last_sqlstate) == FLUSH_DONE;

	worker_pressure_after_flush(vault->id, before, done);
	schedule_flushed(entry, began_bytes, done, GetCurrentTimestamp());
	return done;
}

static bool
is_asked_for(const WorkerTask *task, const ForestVault *vault)
{
	return task->request != 0 && (task->vault_id == 0 || task->vault_id == vault->id);
}

/*
 * The vaults to flush now, those that are due or asked for, in this order: a
 * store that has failed may take long to fail again, so such vaults come last,
 * and only one of them in a pass unless they are asked for; before the next the
 * others get another look.  A request does not wait for a pause to end.
 */
static List *
choose_vaults(Schedule *schedule, const WorkerTask *task, ForestVault *vaults, int n)
{
	TimestampTz now = GetCurrentTimestamp();
	List	   *healthy = NIL;
	List	   *troubled = NIL;

	for (int i = 0; i < n; i++)
	{
		const VaultSchedule *vault = schedule_find(schedule, vaults[i].id);
		bool		asked = is_asked_for(task, &vaults[i]);

		if (!asked && schedule_due(schedule, vault) > now)
			continue;
		if (vault->pause_s == 0)
			healthy = lappend(healthy, &vaults[i]);
		else if (asked || troubled == NIL)
			troubled = lappend(troubled, &vaults[i]);
	}
	return list_concat(healthy, troubled);
}

/*
 * Numbers what waits for it in these vaults, which are scheduled.  A vault in a
 * pause has to wait for its end, whatever other vaults commit: each try may wait
 * for a lock as long as it is let.
 */
static void
number_pending(Schedule *schedule, const ForestVault *vaults, int n)
{
	for (int i = 0; i < n; i++)
	{
		VaultSchedule *vault = schedule_find(schedule, vaults[i].id);
		bool		done;

		if (vault->number_pause_s > 0 && vault->number_at > GetCurrentTimestamp())
			continue;
		done = worker_flush_try_number(vaults[i].id);
		schedule_numbered(vault, done, GetCurrentTimestamp());	/* the pause begins with the end of the try */
	}
}

/* Flushes them, and answers. */
static void
flush_pass(Schedule *schedule, const WorkerTask *task)
{
	ForestVault *vaults;
	int			n = worker_flush_begin_pass(&vaults);
	bool		failed = n < 0;
	ListCell   *cell;

	schedule_listed(schedule, n >= 0, GetCurrentTimestamp());
	if (n >= 0)
		schedule_sync(schedule, vaults, n, GetCurrentTimestamp());
	foreach(cell, choose_vaults(schedule, task, vaults, n))
	{
		const ForestVault *vault = lfirst(cell);

		if (!flush_one(schedule, vault) && is_asked_for(task, vault))
			failed = true;
	}
	number_pending(schedule, vaults, n);
	if (task->request != 0)
		worker_slot_answer(task->request, failed);
}

/* Meets vaults that have come, and numbers what waits for it. */
static void
number_and_list(Schedule *schedule)
{
	ForestVault *vaults;
	int			n;

	n = worker_flush_list(&vaults);
	schedule_listed(schedule, n >= 0, GetCurrentTimestamp());
	if (n >= 0)
		schedule_sync(schedule, vaults, n, GetCurrentTimestamp());
	number_pending(schedule, vaults, n);
}

/* Returns whether anything was due: then more may have become due meanwhile. */
static bool
do_due_work(Schedule *schedule, const WorkerTask *task)
{
	bool		flush;

	schedule_note_bytes(schedule, task->committed_bytes, GetCurrentTimestamp());
	flush = task->request != 0 || schedule_next(schedule) <= GetCurrentTimestamp();
	if (!task->number && !flush)
		return false;

	pgstat_report_activity(STATE_RUNNING, "skyvault flush");
	if (task->number)
		number_and_list(schedule);
	if (flush)
	{
		worker_filter_before_flush();
		flush_pass(schedule, task);
		worker_filter_after_flush();
	}
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

/*
 * What another scheduler was in the middle of when it died.  There may be no flush
 * for long, which would do so too, and nobody takes what was uploaded for an
 * orphan as long as its job is said to run.
 */
static void
fail_left_jobs(void)
{
	ForestVault *vaults;

	(void) worker_flush_begin_pass(&vaults);
}

/* Returns when the extension is gone. */
static void
run_schedule(void)
{
	Schedule	schedule = {0};
	bool		first = true;
	MemoryContext cycle_context;

	cycle_context = AllocSetContextCreate(TopMemoryContext, "skyvault scheduler cycle",
										  ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		WorkerTask	task;
		TimestampTz chore_at;
		bool		reloaded;

		ResetLatch(MyLatch);
		reloaded = pg_worker_interrupts();

		worker_slot_read_task(&task);
		if (!extension_exists())
		{
			worker_chores_leave();
			return;
		}
		task.number |= first;	/* nobody has numbered while there was no scheduler */

		MemoryContextSwitchTo(cycle_context);
		MemoryContextReset(cycle_context);
		if (first)
			fail_left_jobs();
		first = false;
		worker_prepared_check();

		/*
		 * Flushes, and others, change what the filter's upkeep has to do.  A
		 * TRUNCATE, and whatever else wakes us, may leave something to compact.
		 */
		task.woken_chores |= CHORE_BIT(CHORE_FILTER);
		if (task.number)
			task.woken_chores |= CHORE_BIT(CHORE_COMPACT);
		if ((task.woken_chores & CHORE_BIT(CHORE_COMPACT)) != 0)
			task.woken_chores |= CHORE_BIT(CHORE_PRESSURE);
		if (reloaded)
			task.woken_chores = ~(uint32) 0;
		chore_at = worker_chores_run(task.woken_chores);
		if (!do_due_work(&schedule, &task) && worker_slot_may_sleep(schedule_wake_bytes(&schedule)) &&
			!ConfigReloadPending)
			sleep_until(Min(chore_at, schedule_next(&schedule)));
	}
}

void
skyvault_scheduler_main(Datum arg)
{
	Oid			dboid = DatumGetObjectId(arg);

	pg_worker_signals();
	if (!worker_slot_attach(dboid))
		proc_exit(0);
	pg_worker_connect(dboid);
	worker_request_attach();
	pgstat_report_activity(STATE_IDLE, NULL);

	run_schedule();
	worker_slot_leave();
	proc_exit(0);
}
