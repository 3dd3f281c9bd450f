/*
 * worker_pool.h
 *		The compaction workers of the server: a fixed array of places in shared
 *		memory, of which skyvault.max_workers may be taken.
 *
 * A scheduler takes a place (STARTING) and registers a process for it, which
 * holds it (RUNNING) from before it connects until after it has left the
 * ProcArray.  So DDL that wants a database for itself ends the holders of
 * places as it ends schedulers (worker_slot_drain), and who comes late finds
 * the database drained and goes.
 *
 * Everything is guarded by the lock of worker_slot.h, but for progress, which
 * only the holder writes.
 *
 * Private to src/worker, but for worker_pool_list.
 */
#ifndef WORKER_POOL_H
#define WORKER_POOL_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "lsm/lsm_parts.h"
#include "port/atomics.h"
#include "storage/latch.h"
#include "utils/dsa.h"
#include "worker/compact_request.h"

#define POOL_PLACES 64			/* skyvault.max_workers goes no higher */

typedef enum PoolState
{
	POOL_FREE,
	POOL_STARTING,
	POOL_RUNNING
} PoolState;

/* What a compaction has done so far; bytes are those of files. */
typedef struct PoolProgress
{
	uint64		entries_in;
	uint64		entries_out;
	uint64		bytes_in;
	uint64		bytes_out;
	uint64		bytes_total;	/* to be read */
} PoolProgress;

typedef enum PoolPartState
{
	PART_OPEN,					/* whoever is free takes it */
	PART_TAKEN,
	PART_DONE
} PoolPartState;

typedef struct PoolPart
{
	PoolPartState state;
	int			place;			/* PART_TAKEN: of who does it */
	dsa_pointer result;			/* PART_DONE by another than the owner: what came of it */
	size_t		result_bytes;
} PoolPart;

/* A job whose parts several workers do: see compact_share.h. */
typedef struct PoolShare
{
	int			nparts;			/* 0: the job is done as a whole */
	bool		is_closed;		/* nothing of it is taken or handed in any more; for people the rest stays */
	bool		alone;			/* nobody but the owner takes a part any more */
	int			workers;		/* who have taken one */
	uint64		workers_seen;	/* a bit for each place that has */
	dsa_handle	area;
	dsa_pointer job;			/* there */
	size_t		job_bytes;
	PoolPart	parts[LSM_MAX_PARTS];
	PoolProgress done;			/* of the parts that others have done */
} PoolShare;

typedef struct PoolPlace
{
	PoolState	state;
	Oid			dboid;
	uint32		turn;			/* how often the place was taken */
	pid_t		pid;			/* POOL_RUNNING */
	Latch	   *latch;			/* likewise */
	int64		job_id;			/* under way; 0: none */
	int			helps;			/* with a part of the job of this place, plus 1; 0: the job is its own */
	PoolShare	share;			/* of the job, if it is its own */

	pg_atomic_uint64 entries_in;	/* of the job */
	pg_atomic_uint64 entries_out;
	pg_atomic_uint64 bytes_in;
	pg_atomic_uint64 bytes_out;
	pg_atomic_uint64 bytes_total;
} PoolPlace;

typedef struct WorkerPool
{
	PoolPlace	places[POOL_PLACES];
	bool		no_room;		/* the last process could not be registered: max_worker_processes */
	uint64		no_room_count;	/* how often */
	uint64		request_count;
	CompactRequest requests[COMPACT_REQUESTS];
} WorkerPool;

/* Made once, by the postmaster. */
extern void worker_pool_init(WorkerPool *pool);

/* These need the lock.  End the holders of a database; whether there are any. */
extern void worker_pool_terminate(Oid dboid);
extern bool worker_pool_has(Oid dboid);

/* ---- For a scheduler ---- */

typedef enum PoolStart
{
	POOL_STARTED,
	POOL_IS_FULL,				/* by skyvault.max_workers; the scheduler's chore is woken when a place is given back */
	POOL_NO_ROOM				/* by max_worker_processes */
} PoolStart;

/* Starts a compaction worker for this database. */
extern PoolStart worker_pool_start(void);

/* No place is waited for any more. */
extern void worker_pool_want_none(void);

/* Whether a process that was started for this database has not got to its place. */
extern bool worker_pool_is_starting(void);

/* Frees places of this database whose process could not be started, or was an earlier scheduler's. */
extern void worker_pool_collect(void);

/* ---- For a compaction worker ---- */

/*
 * Takes the place that the process was started for, until it exits.  To be
 * called before it connects.  Returns the database; InvalidOid: exit.
 */
extern Oid	worker_pool_attach(uint32 place, uint32 turn);

/* The place. */
extern int	worker_pool_index(void);

/* The job that the worker does now, 0 for none, and how far it is. */
extern void worker_pool_set_job(int64 job_id, uint64 bytes_total);
extern void worker_pool_set_progress(const PoolProgress *progress);

/* Whether another database's scheduler waits for a place. */
extern bool worker_pool_is_wanted(void);

/* ---- For everybody ---- */

/* A job of this database that is being done. */
typedef struct PoolJob
{
	int64		job_id;
	int			pid;			/* of the owner */
	PoolProgress progress;		/* of all its parts */
	int			parts;			/* 1: it is done as a whole */
	int			parts_done;
	int			workers;		/* that do or have done parts, the owner included */
} PoolJob;

/* All of them, in an array with room for POOL_PLACES; the count. */
extern int	worker_pool_list(PoolJob *jobs);

#endif							/* WORKER_POOL_H */
