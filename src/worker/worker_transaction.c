/*
 * worker_transaction.c
 *		Transactions of a worker.
 */
#include "postgres.h"

#include "worker/worker_transaction.h"

#include "access/xact.h"
#include "storage/condition_variable.h"
#include "storage/lwlock.h"
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
	ForceSyncCommit();
	CommitTransactionCommand();
}

void
worker_transaction_commit_all(void)
{
	(void) GetCurrentTransactionId();
	worker_transaction_commit();
}

static ErrorData *
recover(MemoryContext context, bool silently)
{
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	if (!silently)
		EmitErrorReport();
	FlushErrorState();

	/* What an abort does, also for an error outside a transaction. */
	LWLockReleaseAll();
	ConditionVariableCancelSleep();
	AbortOutOfAnyTransaction();
	MemoryContextSwitchTo(context);
	return error;
}

ErrorData *
worker_transaction_recover(MemoryContext context)
{
	return recover(context, false);
}

ErrorData *
worker_transaction_recover_silently(MemoryContext context)
{
	return recover(context, true);
}
