/*
 * worker_transaction.h
 *		Transactions of a worker, and what it does after an error in one.
 */
#ifndef WORKER_TRANSACTION_H
#define WORKER_TRANSACTION_H

#include "postgres.h"

/*
 * With an active snapshot.  Both change CurrentMemoryContext.
 *
 * What is done to a store cannot be undone by a crash, so what it rests on must
 * not be: commits are on disk when they return, whatever synchronous_commit is.
 */
extern void worker_transaction_begin(void);
extern void worker_transaction_commit(void);

/* Commits something even if nothing was written, so that what this transaction saw is on disk, too. */
extern void worker_transaction_commit_all(void);

/* In PG_CATCH: logs the error and ends the transaction.  The error, in the given context, which is current then. */
extern ErrorData *worker_transaction_recover(MemoryContext context);

/* The same without a log entry. */
extern ErrorData *worker_transaction_recover_silently(MemoryContext context);

#endif							/* WORKER_TRANSACTION_H */
