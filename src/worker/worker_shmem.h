/*
 * worker_shmem.h
 *		What backends, the launcher and the schedulers tell one another.
 *
 * One fixed array of slots in shared memory, one per database that was seen,
 * guarded by one LWLock; nothing in it is needed after a restart.
 */
#ifndef WORKER_SHMEM_H
#define WORKER_SHMEM_H

#include "postgres.h"

/* Size and lock requests, for shmem_request_hook; set-up, for shmem_startup_hook. */
extern void worker_shmem_request(void);
extern void worker_shmem_startup(void);

/*
 * Adds to the bytes that transactions of this database have committed to the
 * delta, and wakes the scheduler at the value that it waits for.  Called after
 * commit: must not fail.
 */
extern void worker_note_committed_bytes(uint64 bytes);

/* Wakes this database's scheduler, for unnumbered changelog rows. Must not fail. */
extern void worker_wake_scheduler(void);

/* CREATE EXTENSION has committed in this database: the launcher should look. Must not fail. */
extern void worker_note_extension_created(void);

/*
 * Asks this database's scheduler for a flush pass (of one vault, or of all if
 * vault_id is 0) that begins after this call, and waits for its end,
 * interruptibly.  Returns false if no scheduler runs or can be started, with
 * the reason in *why; else *failed tells whether the pass failed.
 */
extern bool worker_request_flush(int32 vault_id, bool *failed, const char **why);

/* Whether this database has a scheduler now. */
extern bool worker_scheduler_runs(void);

/* Makes the launcher look at all databases now.  Must not fail. */
extern void worker_wake_launcher(void);

#endif							/* WORKER_SHMEM_H */
