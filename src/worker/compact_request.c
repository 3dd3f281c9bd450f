/*
 * compact_request.c
 *		Compactions by hand.
 */
#include "postgres.h"

#include "worker/compact_request.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "server/pg_settings.h"
#include "storage/ipc.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"
#include "worker/worker_chore.h"
#include "worker/worker_slot.h"

/* How long a request waits for a scheduler that is not there. */
#define SCHEDULER_PATIENCE_MS 15000

/* How often a waiter looks at what nobody signals. */
#define RECHECK_MS 1000

/* Jobs that come too late, one after the other, before we call it a failure. */
#define MOST_LOST 20

/* What a backend remembers of the request it waits for. */
typedef struct Waiting
{
	int			index;			/* of the request's place */
	uint64		number;
	uint64		no_room_count;	/* of the pool, when the request was made */
	TimestampTz scheduler_seen;
} Waiting;

static void
free_place(int code, Datum arg)
{
	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	worker_shared->pool.requests[DatumGetInt32(arg)].state = REQUEST_NONE;
	LWLockRelease(worker_shared->lock);
}

/* False if all places are taken. */
static bool
ask(int32 vault_id, int32 table_id, bool full, int64 up_to_seq, Waiting *waiting)
{
	WorkerPool *pool = &worker_shared->pool;

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	for (waiting->index = 0; waiting->index < COMPACT_REQUESTS; waiting->index++)
	{
		CompactRequest *request = &pool->requests[waiting->index];

		if (request->state != REQUEST_NONE)
			continue;
		*request = (CompactRequest)
		{
			.state = REQUEST_ASKED,.number = ++pool->request_count,.dboid = MyDatabaseId,
				.vault_id = vault_id,.table_id = table_id,.full = full,.up_to_seq = up_to_seq
		};
		waiting->number = request->number;
		break;
	}
	waiting->no_room_count = pool->no_room_count;
	LWLockRelease(worker_shared->lock);
	waiting->scheduler_seen = GetCurrentTimestamp();
	return waiting->index < COMPACT_REQUESTS;
}

/* Why nobody will come; NULL if somebody may.  Needs the lock. */
static const char *
why_nobody(Waiting *waiting, const WorkerSlot *slot)
{
	if (slot != NULL && slot->drainers > 0)
		return "the database is being copied, moved, renamed or dropped";
	if (setting_max_workers == 0)
		return "skyvault.max_workers is 0";
	if (worker_pool_has(MyDatabaseId))
		return NULL;
	if (worker_shared->pool.no_room_count != waiting->no_room_count)
		return "there is no free background worker slot (max_worker_processes)";
	if (slot != NULL && slot->pid != 0)
		waiting->scheduler_seen = GetCurrentTimestamp();
	else if (TimestampDifferenceExceeds(waiting->scheduler_seen, GetCurrentTimestamp(),
										SCHEDULER_PATIENCE_MS))
		return "the scheduler of this database is not running";
	return NULL;
}

static bool
is_over(Waiting *waiting, RequestAnswer *answer, int64 *job_id, const char **why)
{
	const CompactRequest *request = &worker_shared->pool.requests[waiting->index];
	bool		over = true;

	LWLockAcquire(worker_shared->lock, LW_SHARED);
	if (request->state == REQUEST_DONE)
		*answer = ANSWER_DONE;
	else if (request->state == REQUEST_FAILED)
	{
		*answer = ANSWER_FAILED;
		*job_id = request->job_id;
	}
	else
	{
		*why = why_nobody(waiting, worker_slot_find(MyDatabaseId));
		*answer = ANSWER_NOBODY;
		over = *why != NULL;
	}
	LWLockRelease(worker_shared->lock);
	return over;
}

/* The condition variable of the slot, which every end of a job signals. */
static void
wait_a_little(void)
{
	WorkerSlot *slot;

	LWLockAcquire(worker_shared->lock, LW_SHARED);
	slot = worker_slot_find(MyDatabaseId);
	LWLockRelease(worker_shared->lock);
	if (slot != NULL)
		ConditionVariableTimedSleep(&slot->changed, RECHECK_MS, PG_WAIT_EXTENSION);
	else
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, RECHECK_MS,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

RequestAnswer
compact_request(int32 vault_id, int32 table_id, bool full, int64 up_to_seq, int64 *job_id,
				const char **why)
{
	Waiting		waiting;
	RequestAnswer answer = ANSWER_NOBODY;

	if (!ask(vault_id, table_id, full, up_to_seq, &waiting))
	{
		*why = "too many sessions wait for compactions";
		return ANSWER_NOBODY;
	}
	PG_ENSURE_ERROR_CLEANUP(free_place, Int32GetDatum(waiting.index));
	{
		worker_chore_wake(CHORE_COMPACT);
		while (!is_over(&waiting, &answer, job_id, why))
			wait_a_little();
		ConditionVariableCancelSleep();
	}
	PG_END_ENSURE_ERROR_CLEANUP(free_place, Int32GetDatum(waiting.index));
	free_place(0, Int32GetDatum(waiting.index));
	return answer;
}

int
compact_requests_list(CompactRequest **requests)
{
	int			n = 0;

	*requests = palloc(COMPACT_REQUESTS * sizeof(CompactRequest));
	LWLockAcquire(worker_shared->lock, LW_SHARED);
	for (int i = 0; i < COMPACT_REQUESTS; i++)
	{
		const CompactRequest *request = &worker_shared->pool.requests[i];

		if (request->state == REQUEST_ASKED && request->dboid == MyDatabaseId)
			(*requests)[n++] = *request;
	}
	LWLockRelease(worker_shared->lock);
	return n;
}

static void
answer_request(uint64 number, RequestState state, int64 job_id)
{
	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < COMPACT_REQUESTS; i++)
	{
		CompactRequest *request = &worker_shared->pool.requests[i];

		if (request->state != REQUEST_ASKED || request->number != number)
			continue;
		if (state == REQUEST_ASKED && ++request->lost < MOST_LOST)
			break;
		request->state = state == REQUEST_ASKED ? REQUEST_FAILED : state;
		request->job_id = job_id;
	}
	LWLockRelease(worker_shared->lock);
	worker_slot_tell_waiters();
}

void
compact_request_done(uint64 number)
{
	answer_request(number, REQUEST_DONE, 0);
}

void
compact_request_failed(uint64 number, int64 job_id)
{
	answer_request(number, REQUEST_FAILED, job_id);
}

void
compact_request_lost(uint64 number, int64 job_id)
{
	answer_request(number, REQUEST_ASKED, job_id);
}
