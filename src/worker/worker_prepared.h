/*
 * worker_prepared.h
 *		Prepared transactions that may have changed the forest.
 */
#ifndef WORKER_PREPARED_H
#define WORKER_PREPARED_H

#include "postgres.h"

/*
 * For schedulers, outside a transaction: if forest_shmem.h's flag for this
 * database is up, and no prepared transaction is left that may be meant by it,
 * lowers it.
 */
extern void worker_prepared_check(void);

#endif							/* WORKER_PREPARED_H */
