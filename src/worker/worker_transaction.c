/*
 * worker_transaction.c
 *		Transactions of a worker.
 */
#include "postgres.h"

#include "worker/worker_transaction.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

void
worker_transaction_begin(void)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
}

void
worker_transaction_commit(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
}

ErrorData *
worker_transaction_recover(MemoryContext context)
{
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	EmitErrorReport();
	FlushErrorState();
	AbortOutOfAnyTransaction();
	MemoryContextSwitchTo(context);
	return error;
}
