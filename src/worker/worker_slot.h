/*
 * worker_slot.h
 *		The slots of worker_shmem.h: their fields, and what the launcher, the
 *		schedulers and DDL do with them.
 *
 * Private to src/worker.  Only worker_slot.c and worker_shmem.c touch fields.
 *
 * A slot goes UNKNOWN (the launcher is to look) -> STARTING (a worker is
 * registered) -> RUNNING (it holds the slot).  From there a scheduler that
 * finds no extension leaves NO_EXTENSION behind, which stays until somebody
 * hears of a CREATE EXTENSION; one that ends otherwise leaves BACKOFF.
 * START_FAILED means that no worker could be registered.  BACKOFF and
 * START_FAILED are tried again after a growing pause.  While a slot is
 * drained, whatever its state, no scheduler starts and none stays.
 *
 * The lock is a leaf: nobody asks for another lock, allocates or reports while
 * holding it.
 */
#ifndef WORKER_SLOT_H
#define WORKER_SLOT_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "worker/worker_pool.h"

/* The name of the extension, and of the library that the postmaster loads for a worker. */
#define SKYVAULT_NAME "skyvault"

/* Databases that can have a scheduler.  Those beyond are left alone. */
#define WORKER_MAX_DATABASES 256

typedef enum SlotState
{
	SLOT_UNKNOWN,
	SLOT_NO_EXTENSION,
	SLOT_STARTING,
	SLOT_RUNNING,
	SLOT_BACKOFF,
	SLOT_START_FAILED
} SlotState;

/* All fields are guarded by the lock unless they say otherwise. */
typedef struct WorkerSlot
{
	Oid			dboid;			/* InvalidOid: the slot is free */
	uint64		born;			/* value of births when the slot was taken */
	SlotState	state;
	int			drainers;		/* statements that want no scheduler here */
	bool		recheck;		/* the extension may have come since the scheduler looked */
	bool		number;			/* changelog rows wait for their numbers */
	uint32		woken_chores;	/* CHORE_BIT of worker_chore.h */
	bool		wants_place;	/* its scheduler found no place in the pool */

	/* The scheduler that holds the slot: set by itself, cleared when it exits. */
	pid_t		pid;			/* 0: none */
	Latch	   *latch;			/* NULL: none; the PGPROC's, so valid in every process */
	TimestampTz attached_at;

	/* For BACKOFF and START_FAILED. */
	int			pause_ms;		/* length of the last pause, 0 after a healthy run */
	TimestampTz retry_at;
	uint32		deaths;			/* schedulers that ended unasked */

	uint64		flush_requested;	/* number of the newest request */
	uint64		flush_taken;	/* newest request that the scheduler has read */
	uint64		flush_done;		/* newest request that is answered */
	uint64		failed_from;	/* requests that the last failed pass answered: from < n <= to */
	uint64		failed_to;
	int32		requested_vault;	/* what requests after flush_taken are about, 0: all */

	/* Atomic: backends add to it under the lock in shared mode.  It only grows. */
	pg_atomic_uint64 committed_bytes;
	uint64		wake_bytes;		/* the scheduler wants to know when committed_bytes gets here */

	/*
	 * For those who wait for flush_done or for pid to become 0.  Has its own
	 * lock, is made once, and stays valid when the slot is freed.
	 */
	ConditionVariable changed;
} WorkerSlot;

typedef struct WorkerShared
{
	LWLock	   *lock;			/* constant after start-up */

	/* The rest is guarded by it. */
	uint64		births;			/* slots taken so far */
	pid_t		launcher_pid;	/* 0: none */
	Latch	   *launcher_latch; /* NULL: none */
	WorkerSlot	slots[WORKER_MAX_DATABASES];
	WorkerPool	pool;
} WorkerShared;

/* NULL if the library was not loaded by shared_preload_libraries. */
extern WorkerShared *worker_shared;

/*
 * These need the lock, in exclusive mode where they change the slot; setting a
 * latch is harmless in either.  worker_slot_get makes the slot if there is
 * none, and returns NULL if all are taken.
 */
extern WorkerSlot *worker_slot_find(Oid dboid);
extern WorkerSlot *worker_slot_get(Oid dboid);
extern void worker_slot_wake_launcher(void);
extern void worker_slot_wake_scheduler(WorkerSlot *slot);

/* Who waits for something in this process's database looks again.  Takes the lock itself. */
extern void worker_slot_tell_waiters(void);

/* ---- For DDL on databases; the functions below take the lock themselves ---- */

/*
 * Keeps schedulers, and compaction workers, out of a database: tells running ones to end, and none is
 * started until the matching worker_slot_undrain.  Calls nest and may come from
 * several backends.  Returns false, and then nothing is to be undone, if no
 * scheduler can exist.  worker_slot_await_drained waits, interruptibly, until
 * none of them counts as a session of the database.
 */
extern bool worker_slot_drain(Oid dboid);
extern void worker_slot_await_drained(Oid dboid);
extern void worker_slot_undrain(Oid dboid);	/* must not fail */

/* ---- For the launcher ---- */

/* Makes the calling process the launcher, until it exits. */
extern void worker_slot_attach_launcher(void);

/*
 * Brings the slots in step with the databases that may have a scheduler:
 * makes slots for new ones, ends schedulers of others and frees their slots.
 * The mark has to be taken before the snapshot that dboids were read under;
 * slots made after it are left alone.  Returns how many databases found no slot.
 */
extern uint64 worker_slot_mark(void);
extern int	worker_slot_sync(const Oid *dboids, int count, uint64 mark);

/*
 * If the slot needs a scheduler now, makes it STARTING and returns the
 * database; otherwise returns InvalidOid, and lowers *wake_at if the slot
 * needs one later.
 */
extern Oid	worker_slot_take_due(int index, TimestampTz now, TimestampTz *wake_at);

/*
 * The start that worker_slot_take_due asked for came to nothing: no worker
 * could be registered (no_room), or it ended before it attached to the slot.
 * Returns when to try again, DT_NOEND if the slot has moved on.
 */
extern TimestampTz worker_slot_start_failed(int index, Oid dboid, bool no_room);

/* ---- For a scheduler ---- */

/*
 * Takes the database's slot until this process exits.  To be called before
 * the process connects to the database.  Returns false if it has to exit:
 * the database is drained or gone, or has a scheduler.
 */
extern bool worker_slot_attach(Oid dboid);

typedef struct WorkerTask
{
	uint64		request;		/* newest flush request that no pass has answered, or 0 */
	int32		vault_id;		/* what it is about, 0 for all vaults */
	uint64		committed_bytes;	/* since the slot was taken */
	bool		number;			/* worker_wake_scheduler was called since the last look */
	uint32		woken_chores;	/* likewise, for worker_chore_wake */
} WorkerTask;

/* What is to do.  After this call later wishes count as new, and set the latch. */
extern void worker_slot_read_task(WorkerTask *task);

/* The counter now: what was committed and noted before can be seen by snapshots that are taken later. */
extern uint64 worker_slot_committed_bytes(void);

/*
 * Whether there is nothing to do: no wish has come since worker_slot_read_task,
 * and the counter is below wake_bytes.  Either sets the latch from then on; before,
 * the latch may have been reset by a wait for something else.
 */
extern bool worker_slot_may_sleep(uint64 wake_bytes);

/* Answers all flush requests up to this number; failed: a vault that they are about did. */
extern void worker_slot_answer(uint64 request, bool failed);

/*
 * The extension was not there when looked for after the last
 * worker_slot_read_task: gives up the slot's restart.  The caller exits.
 */
extern void worker_slot_leave(void);

#endif							/* WORKER_SLOT_H */
