/*
 * worker_launcher.h
 *		The process that keeps one scheduler in every database that has the
 *		extension.
 *
 * It is connected to no database and never looks into one: a scheduler finds
 * out by itself whether the extension is there.
 */
#ifndef WORKER_LAUNCHER_H
#define WORKER_LAUNCHER_H

#include "postgres.h"

#include "server/pg_compat.h"

/*
 * Registers the launcher with the postmaster, for _PG_init.  Does nothing
 * unless shared_preload_libraries are being loaded, nor in a binary upgrade.
 */
extern void worker_launcher_register(void);

/* Entry point of the process, looked up by name. */
extern PGDLLEXPORT void skyvault_launcher_main(Datum arg);

#endif							/* WORKER_LAUNCHER_H */
