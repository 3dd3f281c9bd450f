/*
 * worker_scheduler.h
 *		The process that decides when one database is flushed.
 *
 * A vault is flushed when somebody asks for it, when skyvault.flush_size bytes
 * were committed since its last flush, or when a commit has waited for
 * skyvault.flush_interval.  A new scheduler does not know what was committed
 * before it, and takes it that something was.  After a failed flush a vault
 * waits, longer each time, before it is tried again unasked; a request is never
 * made to wait, and neither is another vault.  While nothing is committed it
 * sleeps.
 */
#ifndef WORKER_SCHEDULER_H
#define WORKER_SCHEDULER_H

#include "postgres.h"

#include "server/pg_compat.h"

/* Entry point of the process, looked up by name; arg is the database's oid. */
extern PGDLLEXPORT void skyvault_scheduler_main(Datum arg);

#endif							/* WORKER_SCHEDULER_H */
