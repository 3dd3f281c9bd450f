/*
 * worker_transaction.h
 *		Transactions of a worker, and what it does after an error in one.
 */
#ifndef WORKER_TRANSACTION_H
#define WORKER_TRANSACTION_H

#include "postgres.h"

/* With an active snapshot.  Both change CurrentMemoryContext. */
extern void worker_transaction_begin(void);
extern void worker_transaction_commit(void);

/* In PG_CATCH: logs the error and ends the transaction.  The error, in the given context, which is current then. */
extern ErrorData *worker_transaction_recover(MemoryContext context);

/* The same without a log entry. */
extern ErrorData *worker_transaction_recover_silently(MemoryContext context);

#endif							/* WORKER_TRANSACTION_H */
