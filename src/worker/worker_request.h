/*
 * worker_request.h
 *		What a session asks of its database's scheduler, and waits for: that
 *		the vault is taken, an export, a snapshot, a pass of garbage collection.
 *
 * A fixed array in shared memory.  A request that is under way when its
 * scheduler dies is done again by the next one, which may find that it was done
 * and only not answered: by the job that was noted.
 */
#ifndef WORKER_REQUEST_H
#define WORKER_REQUEST_H

#include "postgres.h"

#include "access/transam.h"
#include "worker/worker_chore.h"

typedef enum WorkerRequestKind
{
	REQUEST_TAKE,				/* make sure that the vault is ours; answers 0 if there is no such vault */
	REQUEST_EXPORT,
	REQUEST_SNAPSHOT,
	REQUEST_GC
} WorkerRequestKind;

typedef struct WorkerRequest
{
	WorkerRequestKind kind;
	int32		vault_id;
	bool		sweep;			/* REQUEST_GC: look for orphans first */
	bool		has_name;
	NameData	name;			/* REQUEST_SNAPSHOT */
	FullTransactionId xid;		/* REQUEST_TAKE: of the transaction that loads */
	int64		job_id;			/* of an earlier try, by a scheduler that has gone; 0: none */
} WorkerRequest;

extern void worker_request_shmem_request(void);
extern void worker_request_shmem_startup(void);

/*
 * Asks, wakes the chore, and waits, interruptibly.  Returns what the chore
 * answered; raises what it failed with; 55000 if no scheduler runs.
 */
extern int64 worker_request(const WorkerRequest *request, WorkerChoreId chore);

/* ---- For chores ---- */

/*
 * Makes the calling process, which is the database's scheduler and connected, the
 * one that takes requests.  What it has taken and not answered when it ends is
 * the next one's.
 */
extern void worker_request_attach(void);

/* Takes the oldest request of this kind; its handle, or -1. */
extern int	worker_request_take(WorkerRequestKind kind, WorkerRequest *request);

/* The job, whose row is committed, whose end is that of the request. */
extern void worker_request_note_job(int handle, int64 job_id);

/* error is NULL if it went well. */
extern void worker_request_answer(int handle, int64 result, const ErrorData *error);

#endif							/* WORKER_REQUEST_H */
