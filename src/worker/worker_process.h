/*
 * worker_process.h
 *		What schedulers and compaction workers have in common.
 */
#ifndef WORKER_PROCESS_H
#define WORKER_PROCESS_H

#include "postgres.h"

/* Signal handlers, for the beginning of main; signals are still blocked. */
extern void worker_process_signals(void);

/* Unblocks signals and connects; what ALTER DATABASE or ALTER ROLE have set for people does not count. */
extern void worker_process_connect(Oid dboid);

/* Absorbs interrupts, and a new configuration: whether there was one. */
extern bool worker_process_interrupts(void);

#endif							/* WORKER_PROCESS_H */
