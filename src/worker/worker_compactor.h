/*
 * worker_compactor.h
 *		The process that compacts: it chooses a job and does it, again and
 *		again, until there is none left to do.
 */
#ifndef WORKER_COMPACTOR_H
#define WORKER_COMPACTOR_H

#include "postgres.h"

#include "server/pg_compat.h"

/* Entry point of the process, looked up by name; arg is the place in worker_pool.h, and its turn. */
extern PGDLLEXPORT void skyvault_compactor_main(Datum arg);

#endif							/* WORKER_COMPACTOR_H */
