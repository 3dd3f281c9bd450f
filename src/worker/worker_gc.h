/*
 * worker_gc.h
 *		Garbage collection: objects that nobody can need are deleted.
 */
#ifndef WORKER_GC_H
#define WORKER_GC_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* The chore CHORE_GC. */
extern TimestampTz worker_gc_run(void);

#endif							/* WORKER_GC_H */
