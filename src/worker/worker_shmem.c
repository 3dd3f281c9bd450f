/*
 * worker_shmem.c
 *		Shared memory of the workers, and the life of a flush request.
 *
 * A request is a number: the asker counts flush_requested up and waits until
 * flush_done has reached the result.  The scheduler reads flush_requested
 * before a pass and copies it to flush_done after it, so a pass answers
 * exactly the requests that came before it, and one pass answers many.
 */
#include "postgres.h"

#include "worker/worker_shmem.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "worker/worker_chore.h"
#include "worker/worker_slot.h"

/* How long a request waits for a launcher that is not there; it restarts after 5 s. */
#define LAUNCHER_PATIENCE_MS 15000

/* So many schedulers that end while a request waits mean that none will answer. */
#define REQUEST_MAX_DEATHS 3

/* How often a waiter looks at what nobody signals, as the absence of the launcher. */
#define RECHECK_MS 1000

WorkerShared *worker_shared = NULL;

/* Where this backend's database was found last; only a guess. */
static int	own_slot_guess = 0;

void
worker_shmem_request(void)
{
	RequestAddinShmemSpace(MAXALIGN(sizeof(WorkerShared)));
	RequestNamedLWLockTranche(SKYVAULT_NAME, 1);
}

void
worker_shmem_startup(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	worker_shared = ShmemInitStruct("skyvault workers", sizeof(WorkerShared), &found);
	if (!found)
	{
		memset(worker_shared, 0, sizeof(WorkerShared));
		worker_pool_init(&worker_shared->pool);
		worker_shared->lock = &GetNamedLWLockTranche(SKYVAULT_NAME)->lock;
		for (int i = 0; i < WORKER_MAX_DATABASES; i++)
		{
			pg_atomic_init_u64(&worker_shared->slots[i].committed_bytes, 0);
			ConditionVariableInit(&worker_shared->slots[i].changed);
		}
	}
	LWLockRelease(AddinShmemInitLock);
}

/* Needs the lock.  NULL if the launcher has not met this database. */
static WorkerSlot *
find_own_slot(void)
{
	WorkerSlot *slot = &worker_shared->slots[own_slot_guess];

	if (slot->dboid != MyDatabaseId)
	{
		slot = worker_slot_find(MyDatabaseId);
		if (slot != NULL)
			own_slot_guess = slot - worker_shared->slots;
	}
	return slot;
}

/* The database has the extension, or will have it in a moment.  Needs the lock. */
static void
note_extension(WorkerSlot *slot)
{
	slot->recheck = true;
	if (slot->state == SLOT_NO_EXTENSION)
	{
		slot->state = SLOT_UNKNOWN;
		worker_slot_wake_launcher();
	}
}

void
worker_note_committed_bytes(uint64 bytes)
{
	WorkerSlot *slot;
	bool		no_extension = false;

	if (worker_shared == NULL || bytes == 0)
		return;

	LWLockAcquire(worker_shared->lock, LW_SHARED);
	slot = find_own_slot();
	if (slot != NULL)
	{
		uint64		before = pg_atomic_fetch_add_u64(&slot->committed_bytes, bytes);

		if (before < slot->wake_bytes && before + bytes >= slot->wake_bytes)
			worker_slot_wake_scheduler(slot);
		no_extension = (slot->state == SLOT_NO_EXTENSION);
	}
	LWLockRelease(worker_shared->lock);

	/* COMMIT PREPARED of a CREATE EXTENSION is not told to anybody. */
	if (no_extension)
		worker_note_extension_created();
}

static void
wake_scheduler(bool number, uint32 chores)
{
	WorkerSlot *slot;

	if (worker_shared == NULL)
		return;

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	slot = find_own_slot();
	if (slot != NULL)
	{
		slot->number |= number;
		slot->woken_chores |= chores;
		worker_slot_wake_scheduler(slot);
	}
	LWLockRelease(worker_shared->lock);
}

void
worker_wake_scheduler(void)
{
	wake_scheduler(true, 0);
}

void
worker_chore_wake(WorkerChoreId id)
{
	wake_scheduler(false, CHORE_BIT(id));
}

void
worker_note_extension_created(void)
{
	WorkerSlot *slot;

	if (worker_shared == NULL)
		return;

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	slot = find_own_slot();
	if (slot != NULL)
		note_extension(slot);
	else
		worker_slot_wake_launcher();		/* it has not met this database yet */
	LWLockRelease(worker_shared->lock);
}

void
worker_wake_launcher(void)
{
	if (worker_shared == NULL)
		return;

	LWLockAcquire(worker_shared->lock, LW_SHARED);
	worker_slot_wake_launcher();
	LWLockRelease(worker_shared->lock);
}

/* What a backend remembers of the request it waits for. */
typedef struct FlushRequest
{
	WorkerSlot *slot;
	uint64		born;			/* of the slot */
	uint64		number;
	uint32		deaths;			/* of the slot, at the start */
	TimestampTz patience_ends;
	bool		failed;			/* once it is answered */
} FlushRequest;

/* Returns false if there is no slot for this database. */
static bool
enter_request(int32 vault_id, FlushRequest *request)
{
	WorkerSlot *slot;

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	slot = worker_slot_get(MyDatabaseId);
	if (slot == NULL)
	{
		LWLockRelease(worker_shared->lock);
		return false;
	}

	/* Requests that no pass has taken yet become one; two vaults become all. */
	if (slot->flush_requested == slot->flush_taken)
		slot->requested_vault = vault_id;
	else if (slot->requested_vault != vault_id)
		slot->requested_vault = 0;
	slot->flush_requested++;

	/* A request does not wait for the end of a pause. */
	note_extension(slot);
	if (slot->state == SLOT_BACKOFF || slot->state == SLOT_START_FAILED)
		slot->state = SLOT_UNKNOWN;
	worker_slot_wake_scheduler(slot);
	if (slot->state != SLOT_RUNNING)
		worker_slot_wake_launcher();

	request->slot = slot;
	request->born = slot->born;
	request->number = slot->flush_requested;
	request->deaths = slot->deaths;
	request->failed = false;
	LWLockRelease(worker_shared->lock);

	request->patience_ends =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LAUNCHER_PATIENCE_MS);
	return true;
}

/* Why a scheduler that is not there will not come; NULL if it may.  Needs the lock. */
static const char *
why_no_scheduler(const FlushRequest *request)
{
	const WorkerSlot *slot = request->slot;

	switch (slot->state)
	{
		case SLOT_RUNNING:
			return NULL;
		case SLOT_NO_EXTENSION:
			return "the transaction that created the extension has not committed";
		case SLOT_START_FAILED:
			return "there is no free background worker slot (max_worker_processes)";
		case SLOT_UNKNOWN:
		case SLOT_STARTING:
		case SLOT_BACKOFF:
			break;
	}
	if (slot->deaths - request->deaths >= REQUEST_MAX_DEATHS)
		return "the scheduler of this database ends again and again, see the server log";
	if (worker_shared->launcher_pid == 0 && GetCurrentTimestamp() >= request->patience_ends)
		return "the launcher is not running";
	return NULL;
}

/* Returns whether the wait is over; then *why is NULL if the request was answered. */
static bool
request_is_over(FlushRequest *request, const char **why)
{
	const WorkerSlot *slot = request->slot;
	bool		answered = false;

	*why = NULL;
	LWLockAcquire(worker_shared->lock, LW_SHARED);
	if (slot->born != request->born || slot->dboid != MyDatabaseId)
		*why = "nothing runs in a database that is a template or allows no connections";
	else if (slot->flush_done >= request->number)
	{
		answered = true;
		request->failed = request->number > slot->failed_from && request->number <= slot->failed_to;
	}
	else if (slot->drainers > 0)
		*why = "the database is being copied, moved, renamed or dropped";
	else
		*why = why_no_scheduler(request);
	LWLockRelease(worker_shared->lock);

	return answered || *why != NULL;
}

bool
worker_request_flush(int32 vault_id, bool *failed, const char **why)
{
	FlushRequest request = {0};

	*failed = false;
	if (worker_shared == NULL || !IsUnderPostmaster)
	{
		*why = "the library was not loaded by shared_preload_libraries";
		return false;
	}
	if (RecoveryInProgress())
	{
		*why = "the server is in recovery";
		return false;
	}
	if (!enter_request(vault_id, &request))
	{
		*why = "too many databases have or had background workers";
		return false;
	}

	ConditionVariablePrepareToSleep(&request.slot->changed);
	while (!request_is_over(&request, why))
		ConditionVariableTimedSleep(&request.slot->changed, RECHECK_MS, PG_WAIT_EXTENSION);
	ConditionVariableCancelSleep();
	*failed = request.failed;
	return *why == NULL;
}

bool
worker_scheduler_runs(void)
{
	const WorkerSlot *slot;
	bool		runs;

	LWLockAcquire(worker_shared->lock, LW_SHARED);
	slot = find_own_slot();
	runs = slot != NULL && slot->pid != 0;
	LWLockRelease(worker_shared->lock);
	return runs;
}
