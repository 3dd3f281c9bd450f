/*
 * pg_worker.h
 *		What the background workers have in common.
 */
#ifndef PG_WORKER_H
#define PG_WORKER_H

#include "postgres.h"

#include "postmaster/bgworker.h"

/*
 * Asks for a process that runs a function of this library, as soon as the server
 * is no standby.  type is what pg_stat_activity calls it.
 *
 * register: by the postmaster, while it loads the library; started anew
 * restart_s after each end.  start: by a process, for a database; it never starts
 * again, and its end wakes the caller.  False if max_worker_processes leave no
 * room.  *handle, which is the caller's, is NULL or of an earlier start, and is
 * freed; it is NULL after a failure.
 */
extern void pg_worker_register(const char *function, const char *type, int restart_s);
extern bool pg_worker_start(const char *function, const char *type, Oid dboid, Datum arg,
								 BackgroundWorkerHandle **handle);

/* Signal handlers, for the beginning of main; signals are still blocked. */
extern void pg_worker_signals(void);

/* Unblocks signals and connects; what ALTER DATABASE or ALTER ROLE have set for people does not count. */
extern void pg_worker_connect(Oid dboid);

/* Absorbs interrupts, and a new configuration: whether there was one. */
extern bool pg_worker_interrupts(void);

#endif							/* PG_WORKER_H */
