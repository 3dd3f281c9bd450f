/*
 * worker_pool.c
 *		The compaction workers of the server.
 */
#include "postgres.h"

#include "worker/worker_pool.h"

#include <signal.h>

#include "miscadmin.h"
#include "server/pg_settings.h"
#include "server/pg_worker.h"
#include "storage/ipc.h"
#include "worker/worker_chore.h"
#include "worker/worker_slot.h"

/* Processes that this scheduler has started and that may not have got to their place. */
typedef struct PoolHandle
{
	uint32		turn;
	BackgroundWorkerHandle *handle; /* NULL: none */
} PoolHandle;

static PoolHandle handles[POOL_PLACES];

/* The place that this process holds as a worker. */
static PoolPlace *held_place = NULL;

void
worker_pool_init(WorkerPool *pool)
{
	for (int i = 0; i < POOL_PLACES; i++)
	{
		PoolPlace  *place = &pool->places[i];

		pg_atomic_init_u64(&place->entries_in, 0);
		pg_atomic_init_u64(&place->entries_out, 0);
		pg_atomic_init_u64(&place->bytes_in, 0);
		pg_atomic_init_u64(&place->bytes_out, 0);
		pg_atomic_init_u64(&place->bytes_total, 0);
	}
}

void
worker_pool_terminate(Oid dboid)
{
	for (int i = 0; i < POOL_PLACES; i++)
	{
		PoolPlace  *place = &worker_shared->pool.places[i];

		/* It clears its place under the lock before it exits, so the pid is its own. */
		if (place->state == POOL_RUNNING && place->dboid == dboid)
			kill(place->pid, SIGTERM);
	}
}

bool
worker_pool_has(Oid dboid)
{
	for (int i = 0; i < POOL_PLACES; i++)
	{
		PoolPlace  *place = &worker_shared->pool.places[i];

		if (place->state == POOL_RUNNING && place->dboid == dboid)
			return true;
	}
	return false;
}

/*
 * For a scheduler
 */

/* Needs the lock.  -1: none is free, or so many are taken as may be. */
static int
find_free_place(void)
{
	int			taken = 0;
	int			free_place = -1;

	for (int i = 0; i < POOL_PLACES; i++)
	{
		if (worker_shared->pool.places[i].state != POOL_FREE)
			taken++;
		else if (free_place < 0)
			free_place = i;
	}
	return taken < setting_max_workers ? free_place : -1;
}

/* Returns the place's index, or -1. */
static int
take_place(uint32 *turn)
{
	WorkerSlot *slot;
	int			index;

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	index = find_free_place();
	slot = worker_slot_find(MyDatabaseId);
	if (slot != NULL)
		slot->wants_place = (index < 0);
	if (index >= 0)
	{
		PoolPlace  *place = &worker_shared->pool.places[index];

		place->state = POOL_STARTING;
		place->dboid = MyDatabaseId;
		place->job_id = 0;
		*turn = ++place->turn;
	}
	LWLockRelease(worker_shared->lock);
	return index;
}

/* Unless somebody has taken it since. */
static void
give_back(int index, uint32 turn)
{
	PoolPlace  *place = &worker_shared->pool.places[index];

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	if (place->state == POOL_STARTING && place->turn == turn)
		place->state = POOL_FREE;
	LWLockRelease(worker_shared->lock);
}

static bool
start_process(int index, uint32 turn)
{
	handles[index].turn = turn;
	return pg_worker_start("skyvault_compactor_main", "skyvault compaction", MyDatabaseId,
								UInt64GetDatum(((uint64) turn << 32) | (uint32) index), &handles[index].handle);
}

PoolStart
worker_pool_start(void)
{
	uint32		turn = 0;
	int			index = take_place(&turn);
	bool		registered;
	bool		was_reported;

	if (index < 0)
		return POOL_IS_FULL;
	registered = start_process(index, turn);
	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	was_reported = worker_shared->pool.no_room;
	worker_shared->pool.no_room = !registered;
	worker_shared->pool.no_room_count += !registered;
	LWLockRelease(worker_shared->lock);
	if (registered)
		return POOL_STARTED;

	give_back(index, turn);
	if (!was_reported)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("no free background worker slot for a skyvault compaction worker"),
				 errhint("Raise max_worker_processes, or lower skyvault.max_workers.")));
	return POOL_NO_ROOM;
}

void
worker_pool_want_none(void)
{
	WorkerSlot *slot;

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	slot = worker_slot_find(MyDatabaseId);
	if (slot != NULL)
		slot->wants_place = false;
	LWLockRelease(worker_shared->lock);
}

bool
worker_pool_is_starting(void)
{
	bool		starting = false;

	LWLockAcquire(worker_shared->lock, LW_SHARED);
	for (int i = 0; i < POOL_PLACES; i++)
	{
		PoolPlace  *place = &worker_shared->pool.places[i];

		starting |= place->state == POOL_STARTING && place->dboid == MyDatabaseId;
	}
	LWLockRelease(worker_shared->lock);
	return starting;
}

void
worker_pool_collect(void)
{
	for (int i = 0; i < POOL_PLACES; i++)
	{
		PoolPlace  *place = &worker_shared->pool.places[i];
		uint32		turn;
		bool		is_starting;
		pid_t		pid;

		LWLockAcquire(worker_shared->lock, LW_SHARED);
		is_starting = place->state == POOL_STARTING && place->dboid == MyDatabaseId;
		turn = place->turn;
		LWLockRelease(worker_shared->lock);

		/* If its process comes after all, the turn is another one, and it goes. */
		if (is_starting &&
			(handles[i].handle == NULL || handles[i].turn != turn ||
			 GetBackgroundWorkerPid(handles[i].handle, &pid) == BGWH_STOPPED))
			give_back(i, turn);
	}
}

/*
 * For a worker
 */

/* Needs the lock. */
static void
wake_waiting_schedulers(void)
{
	for (int i = 0; i < WORKER_MAX_DATABASES; i++)
	{
		WorkerSlot *slot = &worker_shared->slots[i];

		if (!OidIsValid(slot->dboid) || (!slot->wants_place && slot->dboid != held_place->dboid))
			continue;
		slot->woken_chores |= CHORE_BIT(CHORE_COMPACT);
		worker_slot_wake_scheduler(slot);
	}
}

/* Parts that this process had taken are anybody's again.  Needs the lock. */
static void
reopen_parts(void)
{
	for (int i = 0; i < POOL_PLACES; i++)
	{
		PoolShare  *share = &worker_shared->pool.places[i].share;

		for (int j = 0; j < share->nparts; j++)
			if (share->parts[j].state == PART_TAKEN && share->parts[j].place == worker_pool_index())
				share->parts[j].state = PART_OPEN;
	}
}

static void
detach_worker(int code, Datum arg)
{
	WorkerSlot *slot;

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	held_place->state = POOL_FREE;
	held_place->pid = 0;
	held_place->latch = NULL;
	held_place->job_id = 0;
	held_place->helps = 0;
	held_place->share.nparts = 0;
	reopen_parts();
	wake_waiting_schedulers();
	slot = worker_slot_find(held_place->dboid);
	LWLockRelease(worker_shared->lock);

	/* For who drains the database; slots have their condition variables for ever. */
	if (slot != NULL)
		ConditionVariableBroadcast(&slot->changed);
}

Oid
worker_pool_attach(uint32 index, uint32 turn)
{
	PoolPlace  *place = &worker_shared->pool.places[index];
	Oid			dboid = InvalidOid;

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	if (place->state == POOL_STARTING && place->turn == turn)
	{
		WorkerSlot *slot = worker_slot_find(place->dboid);

		if (slot == NULL || slot->drainers > 0)
			place->state = POOL_FREE;
		else
		{
			place->state = POOL_RUNNING;
			place->pid = MyProcPid;
			place->latch = MyLatch;
			dboid = place->dboid;
		}
	}
	LWLockRelease(worker_shared->lock);

	/* Runs after the process has left the ProcArray, as that of a scheduler does. */
	if (OidIsValid(dboid))
	{
		held_place = place;
		on_shmem_exit(detach_worker, (Datum) 0);
	}
	return dboid;
}

int
worker_pool_index(void)
{
	return (int) (held_place - worker_shared->pool.places);
}

void
worker_pool_set_job(int64 job_id, uint64 bytes_total)
{
	PoolProgress none = {.bytes_total = bytes_total};

	worker_pool_set_progress(&none);
	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	held_place->job_id = job_id;
	held_place->helps = 0;
	held_place->share.nparts = 0;
	LWLockRelease(worker_shared->lock);
}

void
worker_pool_set_progress(const PoolProgress *progress)
{
	pg_atomic_write_u64(&held_place->entries_in, progress->entries_in);
	pg_atomic_write_u64(&held_place->entries_out, progress->entries_out);
	pg_atomic_write_u64(&held_place->bytes_in, progress->bytes_in);
	pg_atomic_write_u64(&held_place->bytes_out, progress->bytes_out);
	pg_atomic_write_u64(&held_place->bytes_total, progress->bytes_total);
}

bool
worker_pool_is_wanted(void)
{
	bool		wanted = false;

	LWLockAcquire(worker_shared->lock, LW_SHARED);
	for (int i = 0; i < WORKER_MAX_DATABASES && !wanted; i++)
	{
		WorkerSlot *slot = &worker_shared->slots[i];

		wanted = OidIsValid(slot->dboid) && slot->wants_place && slot->dboid != MyDatabaseId;
	}
	LWLockRelease(worker_shared->lock);
	return wanted;
}

/*
 * For everybody
 */

static void
add_place(PoolProgress *sum, PoolPlace *place)
{
	sum->entries_in += pg_atomic_read_u64(&place->entries_in);
	sum->entries_out += pg_atomic_read_u64(&place->entries_out);
	sum->bytes_in += pg_atomic_read_u64(&place->bytes_in);
	sum->bytes_out += pg_atomic_read_u64(&place->bytes_out);
}

/* Needs the lock. */
static void
describe_job(int owner, PoolJob *job)
{
	PoolPlace  *places = worker_shared->pool.places;
	PoolPlace  *place = &places[owner];
	const PoolShare *share = &place->share;

	*job = (PoolJob)
	{
		.job_id = place->job_id,.pid = (int) place->pid,.parts = 1,.workers = 1
	};
	add_place(&job->progress, place);
	job->progress.bytes_total = pg_atomic_read_u64(&place->bytes_total);
	if (share->nparts == 0)
		return;
	job->parts = share->nparts;
	job->workers = share->workers;
	for (int i = 0; i < share->nparts; i++)
		job->parts_done += share->parts[i].state == PART_DONE;
	job->progress.entries_in += share->done.entries_in;
	job->progress.entries_out += share->done.entries_out;
	job->progress.bytes_in += share->done.bytes_in;
	job->progress.bytes_out += share->done.bytes_out;
	for (int i = 0; i < POOL_PLACES; i++)
		if (places[i].helps == owner + 1 && places[i].job_id == place->job_id)
			add_place(&job->progress, &places[i]);
}

int
worker_pool_list(PoolJob *jobs)
{
	int			n = 0;

	LWLockAcquire(worker_shared->lock, LW_SHARED);
	for (int i = 0; i < POOL_PLACES; i++)
	{
		PoolPlace  *place = &worker_shared->pool.places[i];

		if (place->state == POOL_RUNNING && place->dboid == MyDatabaseId && place->job_id != 0 &&
			place->helps == 0)
			describe_job(i, &jobs[n++]);
	}
	LWLockRelease(worker_shared->lock);
	return n;
}
