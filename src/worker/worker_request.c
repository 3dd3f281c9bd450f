/*
 * worker_request.c
 *		What a session asks of its database's scheduler, and waits for.
 */
#include "postgres.h"

#include "worker/worker_request.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"
#include "worker/worker_shmem.h"

#define MAX_REQUESTS 64
#define MESSAGE_BYTES 512

/* How long a request waits for a scheduler that is not there. */
#define PATIENCE_MS 15000
#define RECHECK_MS 1000

typedef enum RequestState
{
	REQUEST_FREE,
	REQUEST_WAITING,
	REQUEST_RUNNING,
	REQUEST_ANSWERED
} RequestState;

/* All is guarded by the lock. */
typedef struct RequestSlot
{
	RequestState state;
	bool		abandoned;		/* who asked has gone */
	uint64		number;			/* in the order of asking */
	Oid			dboid;
	WorkerRequest request;
	int64		result;
	int			sqlerrcode;		/* 0: it went well */
	char		message[MESSAGE_BYTES];
	char		detail[MESSAGE_BYTES];
	char		hint[MESSAGE_BYTES];
} RequestSlot;

typedef struct RequestShared
{
	LWLock	   *lock;			/* a leaf */
	uint64		asked;
	ConditionVariable answered; /* some slot was */
	RequestSlot slots[MAX_REQUESTS];
} RequestShared;

static RequestShared *shared = NULL;

void
worker_request_shmem_request(void)
{
	RequestAddinShmemSpace(MAXALIGN(sizeof(RequestShared)));
	RequestNamedLWLockTranche("skyvault requests", 1);
}

void
worker_request_shmem_startup(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("skyvault requests", sizeof(RequestShared), &found);
	if (!found)
	{
		memset(shared, 0, sizeof(RequestShared));
		shared->lock = &GetNamedLWLockTranche("skyvault requests")->lock;
		ConditionVariableInit(&shared->answered);
	}
	LWLockRelease(AddinShmemInitLock);
}

static int
enter(const WorkerRequest *request)
{
	int			handle = -1;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < MAX_REQUESTS && handle < 0; i++)
		if (shared->slots[i].state == REQUEST_FREE)
			handle = i;
	if (handle >= 0)
	{
		RequestSlot *slot = &shared->slots[handle];

		memset(slot, 0, sizeof(RequestSlot));
		slot->state = REQUEST_WAITING;
		slot->number = ++shared->asked;
		slot->dboid = MyDatabaseId;
		slot->request = *request;
	}
	LWLockRelease(shared->lock);
	return handle;
}

/* Also if this process ends while it waits. */
static void
leave(int code, Datum handle)
{
	RequestSlot *slot = &shared->slots[DatumGetInt32(handle)];

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	if (slot->state == REQUEST_RUNNING)
		slot->abandoned = true;
	else
		slot->state = REQUEST_FREE;
	LWLockRelease(shared->lock);
}

static bool
is_answered(const RequestSlot *slot)
{
	bool		answered;

	LWLockAcquire(shared->lock, LW_SHARED);
	answered = slot->state == REQUEST_ANSWERED;
	LWLockRelease(shared->lock);
	return answered;
}

static void
await(const RequestSlot *slot, WorkerChoreId chore)
{
	TimestampTz patience_ends = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), PATIENCE_MS);

	worker_chore_wake(chore);
	ConditionVariablePrepareToSleep(&shared->answered);
	while (!is_answered(slot))
	{
		if (worker_scheduler_runs())
			patience_ends = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), PATIENCE_MS);
		else if (GetCurrentTimestamp() >= patience_ends)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("no skyvault worker runs in this database"),
					 errhint("Check the server log and max_worker_processes.")));
		if (ConditionVariableTimedSleep(&shared->answered, RECHECK_MS, PG_WAIT_EXTENSION))
			worker_chore_wake(chore);	/* a new scheduler has not heard of it */
	}
	ConditionVariableCancelSleep();
}

static pg_noinline void
await_or_leave(int handle, WorkerChoreId chore)
{
	PG_ENSURE_ERROR_CLEANUP(leave, Int32GetDatum(handle));
	{
		await(&shared->slots[handle], chore);
	}
	PG_END_ENSURE_ERROR_CLEANUP(leave, Int32GetDatum(handle));
}

int64
worker_request(const WorkerRequest *request, WorkerChoreId chore)
{
	RequestSlot answer;
	int			handle;

	if (shared == NULL || !IsUnderPostmaster)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no skyvault worker runs in this database")));
	handle = enter(request);
	if (handle < 0)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("too many requests wait for skyvault workers"),
				 errhint("Try again later.")));
	await_or_leave(handle, chore);
	answer = shared->slots[handle];
	leave(0, Int32GetDatum(handle));

	if (answer.sqlerrcode != 0)
		ereport(ERROR,
				(errcode(answer.sqlerrcode),
				 errmsg("%s", answer.message),
				 answer.detail[0] != '\0' ? errdetail("%s", answer.detail) : 0,
				 answer.hint[0] != '\0' ? errhint("%s", answer.hint) : 0));
	return answer.result;
}

static void
detach(int code, Datum arg)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < MAX_REQUESTS; i++)
	{
		RequestSlot *slot = &shared->slots[i];

		if (slot->state == REQUEST_RUNNING && slot->dboid == MyDatabaseId)
			slot->state = slot->abandoned ? REQUEST_FREE : REQUEST_WAITING;
	}
	LWLockRelease(shared->lock);
}

/* Runs before the slot of the scheduler is given back, so there is no other one yet. */
void
worker_request_attach(void)
{
	on_shmem_exit(detach, (Datum) 0);
}

int
worker_request_take(WorkerRequestKind kind, WorkerRequest *request)
{
	int			handle = -1;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < MAX_REQUESTS; i++)
	{
		RequestSlot *slot = &shared->slots[i];

		if (slot->state == REQUEST_WAITING && slot->dboid == MyDatabaseId && slot->request.kind == kind &&
			(handle < 0 || slot->number < shared->slots[handle].number))
			handle = i;
	}
	if (handle >= 0)
	{
		shared->slots[handle].state = REQUEST_RUNNING;
		*request = shared->slots[handle].request;
	}
	LWLockRelease(shared->lock);
	return handle;
}

void
worker_request_note_job(int handle, int64 job_id)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->slots[handle].request.job_id = job_id;
	LWLockRelease(shared->lock);
}

static void
set_text(char *dst, const char *src)
{
	dst[0] = '\0';
	if (src != NULL)
		strlcpy(dst, src, MESSAGE_BYTES);
}

void
worker_request_answer(int handle, int64 result, const ErrorData *error)
{
	RequestSlot *slot = &shared->slots[handle];

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot->result = result;
	slot->sqlerrcode = error != NULL ? error->sqlerrcode : 0;
	set_text(slot->message, error != NULL ? error->message : NULL);
	set_text(slot->detail, error != NULL ? error->detail : NULL);
	set_text(slot->hint, error != NULL ? error->hint : NULL);
	slot->state = slot->abandoned ? REQUEST_FREE : REQUEST_ANSWERED;
	LWLockRelease(shared->lock);
	ConditionVariableBroadcast(&shared->answered);
}
