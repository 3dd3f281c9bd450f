/*
 * forest_run_reader.h
 *		A run by way of its store, and what is said if that fails.  Private to
 *		forest_run.c and forest_run_scan.c.
 */
#ifndef FOREST_RUN_READER_H
#define FOREST_RUN_READER_H

#include "postgres.h"

#include "forest/forest_fetch.h"
#include "lsm/lsm_forest.h"
#include "server/pg_compat.h"

/* The run with a source, which is the store that is filled in here: opens the server's. */
extern RunReader forest_run_reader(const LsmRun *run, ForestRunStore *store, Oid server_oid);

/* Raises the error, or what is behind it: an object that is gone. */
pg_noreturn extern void forest_run_fail(Oid server_oid, const char *object, const SvError *err);

#endif							/* FOREST_RUN_READER_H */
