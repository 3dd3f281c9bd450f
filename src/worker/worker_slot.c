/*
 * worker_slot.c
 *		The slots of the databases.
 *
 * They are found by a linear search: there are few.
 */
#include "postgres.h"

#include "worker/worker_slot.h"

#include <signal.h>

#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "server/pg_settings.h"

/* Who ran this long, or as long as the longest pause, was healthy: the end starts a new series of pauses. */
#define HEALTHY_MS 60000

/* The slot that this process holds as a scheduler. */
static WorkerSlot *held_slot = NULL;

WorkerSlot *
worker_slot_find(Oid dboid)
{
	for (int i = 0; i < WORKER_MAX_DATABASES; i++)
	{
		if (worker_shared->slots[i].dboid == dboid)
			return &worker_shared->slots[i];
	}
	return NULL;
}

WorkerSlot *
worker_slot_get(Oid dboid)
{
	WorkerSlot *slot = worker_slot_find(dboid);

	if (slot != NULL)
		return slot;
	slot = worker_slot_find(InvalidOid);
	if (slot == NULL)
		return NULL;

	slot->dboid = dboid;
	slot->born = ++worker_shared->births;
	slot->state = SLOT_UNKNOWN;
	slot->drainers = 0;
	slot->recheck = false;
	slot->number = false;
	slot->woken_chores = 0;
	slot->wants_place = false;
	slot->pause_ms = 0;
	slot->retry_at = 0;
	slot->deaths = 0;
	slot->flush_taken = slot->flush_done = slot->flush_requested;
	slot->requested_vault = 0;
	pg_atomic_write_u64(&slot->committed_bytes, 0);
	slot->wake_bytes = 0;
	return slot;
}

void
worker_slot_wake_launcher(void)
{
	if (worker_shared->launcher_latch != NULL)
		SetLatch(worker_shared->launcher_latch);
}

void
worker_slot_wake_scheduler(WorkerSlot *slot)
{
	if (slot->latch != NULL)
		SetLatch(slot->latch);
}

void
worker_slot_tell_waiters(void)
{
	WorkerSlot *slot;

	LWLockAcquire(worker_shared->lock, LW_SHARED);
	slot = worker_slot_find(MyDatabaseId);
	LWLockRelease(worker_shared->lock);
	if (slot != NULL)
		ConditionVariableBroadcast(&slot->changed);
}

static bool
was_healthy(const WorkerSlot *slot)
{
	return TimestampDifferenceExceeds(slot->attached_at, GetCurrentTimestamp(),
									  Min(HEALTHY_MS, setting_retry_max_s * 1000));
}

/* Without the lock. */
static void
report_pause(Oid dboid, int pause_ms)
{
	ereport(DEBUG1, (errmsg_internal("skyvault scheduler of database %u starts again in %d ms", dboid, pause_ms)));
}

/* Enters BACKOFF or START_FAILED, for twice the last pause.  Needs the lock. */
static void
back_off(WorkerSlot *slot, SlotState state)
{
	int			max_ms = setting_retry_max_s * 1000;

	slot->pause_ms = slot->pause_ms == 0 ? 1000 : Min(slot->pause_ms, max_ms / 2) * 2;
	slot->pause_ms = Min(slot->pause_ms, max_ms);
	slot->state = state;
	slot->retry_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), slot->pause_ms);
}

bool
worker_slot_drain(Oid dboid)
{
	WorkerSlot *slot;

	if (worker_shared == NULL)
		return false;

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	slot = worker_slot_get(dboid);
	if (slot != NULL)
	{
		slot->drainers++;
		/* It clears pid under the lock before it exits, so the pid is its own. */
		if (slot->pid != 0)
			kill(slot->pid, SIGTERM);
		worker_pool_terminate(dboid);
	}
	LWLockRelease(worker_shared->lock);

	if (slot != NULL)
		ConditionVariableBroadcast(&slot->changed);
	return slot != NULL;
}

void
worker_slot_await_drained(Oid dboid)
{
	WorkerSlot *slot;
	bool		busy;

	LWLockAcquire(worker_shared->lock, LW_SHARED);
	slot = worker_slot_find(dboid);
	LWLockRelease(worker_shared->lock);
	Assert(slot != NULL);		/* the caller drains it */

	ConditionVariablePrepareToSleep(&slot->changed);
	for (;;)
	{
		LWLockAcquire(worker_shared->lock, LW_SHARED);
		busy = (slot->pid != 0 || worker_pool_has(dboid));
		LWLockRelease(worker_shared->lock);
		if (!busy)
			break;
		ConditionVariableSleep(&slot->changed, PG_WAIT_EXTENSION);
	}
	ConditionVariableCancelSleep();
}

void
worker_slot_undrain(Oid dboid)
{
	WorkerSlot *slot;

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	slot = worker_slot_find(dboid);
	Assert(slot != NULL && slot->drainers > 0);
	slot->drainers--;
	worker_slot_wake_launcher();
	LWLockRelease(worker_shared->lock);
}

/*
 * For the launcher
 */

static void
detach_launcher(int code, Datum arg)
{
	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	if (worker_shared->launcher_pid == MyProcPid)
	{
		worker_shared->launcher_pid = 0;
		worker_shared->launcher_latch = NULL;
	}
	LWLockRelease(worker_shared->lock);
}

void
worker_slot_attach_launcher(void)
{
	on_shmem_exit(detach_launcher, (Datum) 0);

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	worker_shared->launcher_pid = MyProcPid;
	worker_shared->launcher_latch = MyLatch;

	/*
	 * What became of the workers that an earlier launcher registered is not
	 * known.  If one of them comes after all, the slot has room for one only.
	 */
	for (int i = 0; i < WORKER_MAX_DATABASES; i++)
	{
		if (worker_shared->slots[i].state == SLOT_STARTING)
			worker_shared->slots[i].state = SLOT_UNKNOWN;
	}
	LWLockRelease(worker_shared->lock);
}

uint64
worker_slot_mark(void)
{
	uint64		mark;

	LWLockAcquire(worker_shared->lock, LW_SHARED);
	mark = worker_shared->births;
	LWLockRelease(worker_shared->lock);
	return mark;
}

static bool
contains(const Oid *dboids, int count, Oid dboid)
{
	for (int i = 0; i < count; i++)
	{
		if (dboids[i] == dboid)
			return true;
	}
	return false;
}

int
worker_slot_sync(const Oid *dboids, int count, uint64 mark)
{
	int			skipped = 0;

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < WORKER_MAX_DATABASES; i++)
	{
		WorkerSlot *slot = &worker_shared->slots[i];

		if (!OidIsValid(slot->dboid) || slot->born > mark || slot->drainers > 0 ||
			contains(dboids, count, slot->dboid))
			continue;
		worker_pool_terminate(slot->dboid);
		if (slot->pid != 0)
			kill(slot->pid, SIGTERM);	/* its end wakes us again */
		else
			slot->dboid = InvalidOid;
	}
	for (int i = 0; i < count; i++)
	{
		if (worker_slot_get(dboids[i]) == NULL)
			skipped++;
	}
	LWLockRelease(worker_shared->lock);
	return skipped;
}

Oid
worker_slot_take_due(int index, TimestampTz now, TimestampTz *wake_at)
{
	WorkerSlot *slot = &worker_shared->slots[index];
	Oid			dboid = InvalidOid;

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	if (OidIsValid(slot->dboid) && slot->drainers == 0 && slot->pid == 0)
	{
		bool		pausing = slot->state == SLOT_BACKOFF || slot->state == SLOT_START_FAILED;

		if (slot->state == SLOT_UNKNOWN || (pausing && slot->retry_at <= now))
		{
			slot->state = SLOT_STARTING;
			dboid = slot->dboid;
		}
		else if (pausing)
			*wake_at = Min(*wake_at, slot->retry_at);
	}
	LWLockRelease(worker_shared->lock);
	return dboid;
}

TimestampTz
worker_slot_start_failed(int index, Oid dboid, bool no_room)
{
	WorkerSlot *slot = &worker_shared->slots[index];
	TimestampTz retry_at = DT_NOEND;
	int			pause_ms = 0;

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	if (slot->dboid == dboid && slot->state == SLOT_STARTING)
	{
		if (!no_room)
			slot->deaths++;
		back_off(slot, no_room ? SLOT_START_FAILED : SLOT_BACKOFF);
		retry_at = slot->retry_at;
		pause_ms = slot->pause_ms;
	}
	LWLockRelease(worker_shared->lock);
	if (pause_ms > 0)
		report_pause(dboid, pause_ms);
	ConditionVariableBroadcast(&slot->changed);
	return retry_at;
}

/*
 * For a scheduler
 */

static void
detach_scheduler(int code, Datum arg)
{
	WorkerSlot *slot = held_slot;
	Oid			dboid = slot->dboid;
	int			pause_ms = 0;

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	slot->pid = 0;
	slot->latch = NULL;
	slot->wants_place = false;

	/* Requests that were read but not answered are the next scheduler's. */
	if (slot->flush_taken > slot->flush_done)
	{
		slot->flush_taken = slot->flush_done;
		slot->requested_vault = 0;
	}
	if (slot->state == SLOT_RUNNING)
	{
		if (was_healthy(slot))
			slot->pause_ms = 0;
		if (slot->drainers > 0)
			slot->state = SLOT_UNKNOWN;
		else
		{
			slot->deaths++;
			back_off(slot, SLOT_BACKOFF);
			pause_ms = slot->pause_ms;
		}
	}
	worker_slot_wake_launcher();
	LWLockRelease(worker_shared->lock);
	if (pause_ms > 0)
		report_pause(dboid, pause_ms);
	ConditionVariableBroadcast(&slot->changed);
}

bool
worker_slot_attach(Oid dboid)
{
	WorkerSlot *slot;
	bool		taken = false;

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	slot = worker_slot_find(dboid);
	if (slot != NULL && slot->pid == 0)
	{
		if (slot->drainers > 0)
			slot->state = SLOT_UNKNOWN;
		else
		{
			slot->state = SLOT_RUNNING;
			slot->pid = MyProcPid;
			slot->latch = MyLatch;
			slot->attached_at = GetCurrentTimestamp();
			taken = true;
		}
	}
	LWLockRelease(worker_shared->lock);

	/*
	 * on_shmem_exit callbacks run in reverse order.  Registered before the
	 * process connects, this one runs after it has left the ProcArray: who
	 * sees pid cleared may drop or copy the database.
	 */
	if (taken)
	{
		held_slot = slot;
		on_shmem_exit(detach_scheduler, (Datum) 0);
	}
	return taken;
}

void
worker_slot_read_task(WorkerTask *task)
{
	WorkerSlot *slot = held_slot;

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	task->request = slot->flush_requested > slot->flush_done ? slot->flush_requested : 0;

	/* Not taken twice: what was read and not answered may be about other vaults. */
	task->vault_id = slot->flush_taken > slot->flush_done ? 0 : slot->requested_vault;
	slot->flush_taken = slot->flush_requested;

	task->committed_bytes = pg_atomic_read_u64(&slot->committed_bytes);
	task->number = slot->number;
	slot->number = false;
	task->woken_chores = slot->woken_chores;
	slot->woken_chores = 0;
	slot->recheck = false;
	LWLockRelease(worker_shared->lock);
}

uint64
worker_slot_committed_bytes(void)
{
	return pg_atomic_read_u64(&held_slot->committed_bytes);
}

bool
worker_slot_may_sleep(uint64 wake_bytes)
{
	WorkerSlot *slot = held_slot;
	bool		idle;

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	slot->wake_bytes = wake_bytes;
	idle = pg_atomic_read_u64(&slot->committed_bytes) < wake_bytes &&
		slot->flush_requested == slot->flush_taken && !slot->number && slot->woken_chores == 0;
	LWLockRelease(worker_shared->lock);
	return idle;
}

void
worker_slot_answer(uint64 request, bool failed)
{
	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	if (failed)
	{
		if (held_slot->failed_to != held_slot->flush_done)
			held_slot->failed_from = held_slot->flush_done;
		held_slot->failed_to = request;
	}
	held_slot->flush_done = Max(held_slot->flush_done, request);
	LWLockRelease(worker_shared->lock);
	ConditionVariableBroadcast(&held_slot->changed);
}

void
worker_slot_leave(void)
{
	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	held_slot->state = held_slot->recheck ? SLOT_UNKNOWN : SLOT_NO_EXTENSION;
	held_slot->pause_ms = 0;
	LWLockRelease(worker_shared->lock);
}
