/*
 * pg_wait.h
 *		Waiting for a store as Postgres waits: for the wait callback of a
 *		StoreCall (store/object_store.h).
 *
 * A wait ends early when the process's latch is set.  It holds interrupts, so
 * that nothing is thrown through the layers below; what others wait for, a
 * ProcSignalBarrier, is absorbed after it, and whether to stop is for the
 * caller's next look at pg_status_must_stop.  So cancel, statement_timeout and
 * termination take effect at once, and a dead postmaster ends the process.
 *
 * A wait resets the latch.  Whoever sleeps on it for reasons of its own has to
 * look at those reasons between the last store call and its sleep, as after any
 * wait for a lock.
 *
 * Who waits for what is kept in shared memory, in a line for each process,
 * which only that process writes.
 */
#ifndef PG_WAIT_H
#define PG_WAIT_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "store/object_store.h"

/* A call of a store, as far as waiting for it is concerned. */
typedef struct PgWait
{
	Oid			server_oid;
	StoreCaller caller;
	StoreOperation operation;
	TimestampTz since;			/* of the first wait of the call; 0: it has not waited */
} PgWait;

/* For shmem_request_hook and shmem_startup_hook. */
extern void pg_wait_shmem_request(void);
extern void pg_wait_shmem_startup(void);

/* Makes what waits need, once in a process.  Raises errors; waits do not. */
extern void pg_wait_prepare(void);

/* The wait event of who waits for what another process reads; Extension before 17, and until pg_wait_prepare. */
extern uint32 pg_wait_load_event(void);

/* Waits until one of fds is ready, the latch is set, or timeout_ms passed, or less. */
extern void pg_wait_for_store(PgWait *wait, const StoreWaitFd *fds, int nfds, int timeout_ms);

/*
 * Takes part in a ProcSignalBarrier that somebody waits for, unless this
 * process must not be interrupted.  Raises no error.
 */
extern void pg_wait_absorb_barrier(void);

/* Another process's wait, for people. */
typedef struct PgWaiter
{
	int			pid;
	Oid			dboid;
	PgWait		wait;
} PgWaiter;

/* Those of all databases that wait now, palloc'd; the count. */
extern int	pg_wait_list(PgWaiter **waiters);

extern const char *pg_wait_operation_name(StoreOperation operation);
extern const char *pg_wait_caller_name(StoreCaller caller);

#endif							/* PG_WAIT_H */
