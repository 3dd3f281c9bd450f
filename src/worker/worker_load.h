/*
 * worker_load.h
 *		What bulk loads need of workers.
 *
 * A session may write to a vault's store only while this database owns the vault,
 * and under the epoch that it has.  Only a worker may find out, and take the vault
 * if need be, since that commits: so a load asks the scheduler once, when it begins.
 */
#ifndef WORKER_LOAD_H
#define WORKER_LOAD_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* Gives forest_load.h what it needs of this layer. */
extern void worker_load_install(void);

/* The scheduler's chore: answers those who ask. */
extern TimestampTz worker_load_chore(void);

#endif							/* WORKER_LOAD_H */
