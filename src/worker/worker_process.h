/*
 * worker_process.h
 *		What the background workers have in common.
 */
#ifndef WORKER_PROCESS_H
#define WORKER_PROCESS_H

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
extern void worker_process_register(const char *function, const char *type, int restart_s);
extern bool worker_process_start(const char *function, const char *type, Oid dboid, Datum arg,
								 BackgroundWorkerHandle **handle);

/* Signal handlers, for the beginning of main; signals are still blocked. */
extern void worker_process_signals(void);

/* Unblocks signals and connects; what ALTER DATABASE or ALTER ROLE have set for people does not count. */
extern void worker_process_connect(Oid dboid);

/* Absorbs interrupts, and a new configuration: whether there was one. */
extern bool worker_process_interrupts(void);

#endif							/* WORKER_PROCESS_H */
