/*
 * worker_scheduler.h
 *		The process that decides when one database is flushed.
 *
 * A flush pass over all vaults begins when somebody asks for one, when
 * skyvault.flush_size bytes were committed since the last, or when a commit
 * has waited for skyvault.flush_interval.  A new scheduler does not know what
 * was committed before it, and takes it that something was.  After a failed
 * pass it waits, longer each time, before it tries again on its own; a request
 * is never made to wait.  While nothing is committed it sleeps.
 */
#ifndef WORKER_SCHEDULER_H
#define WORKER_SCHEDULER_H

#include "postgres.h"

#include "server/pg_compat.h"

/* Entry point of the process, looked up by name; arg is the database's oid. */
extern PGDLLEXPORT void skyvault_scheduler_main(Datum arg);

#endif							/* WORKER_SCHEDULER_H */
