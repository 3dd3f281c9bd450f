/*
 * load_worker.h
 *		The process that builds a part of another's load: see load_crew.h.
 *
 * It is in no transaction but while it opens the store, so it has no snapshot and
 * no lock that anybody could wait for.  What it writes is named by the leader's
 * transaction, which is running as long as the leader wants it; so the sweep of
 * orphans leaves it alone.  It ends when the leader has its result, leaves the
 * queues, or tells it to.
 */
#ifndef LOAD_WORKER_H
#define LOAD_WORKER_H

#include "postgres.h"

extern PGDLLEXPORT void skyvault_load_worker_main(Datum arg);

#endif							/* LOAD_WORKER_H */
