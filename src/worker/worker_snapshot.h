/*
 * worker_snapshot.h
 *		The whole forest of a vault as one object in its store.
 */
#ifndef WORKER_SNAPSHOT_H
#define WORKER_SNAPSHOT_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* The chore CHORE_SNAPSHOT. */
extern TimestampTz worker_snapshot_run(void);

#endif							/* WORKER_SNAPSHOT_H */
