/*
 * stop_point.c
 *		Named places where a test can make a process wait, fail or die.
 *
 * Armed points are an array in shared memory under a spinlock.  An armed
 * point acts on the first `count` processes that reach it; one that waits is
 * woken by disarming it.
 */
#include "postgres.h"

#include "server/stop_point.h"

#ifdef SKYVAULT_STOP_POINTS

#include <signal.h>

#include "base/sv_sealed.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "server/pg_compat.h"
#include "server/pg_status.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "storage/spin.h"
#include "utils/builtins.h"
#include "utils/wait_event.h"

#define STOP_POINT_SLOTS	16
#define STOP_POINT_NAME		64

typedef enum StopAction
{
	STOP_WAIT,					/* wait until disarmed */
	STOP_ERROR,					/* raise 58030 */
	STOP_KILL,					/* SIGKILL oneself: the postmaster restarts the cluster */
	STOP_CANCEL,				/* be told to cancel, and go on: what follows has to notice */
	STOP_TERMINATE				/* be told to end, and go on */
} StopAction;

typedef struct StopSlot
{
	char		name[STOP_POINT_NAME];	/* empty: free */
	StopAction	action;
	int			count;			/* how many arrivals it still acts on */
	int			waiting;		/* processes waiting here now */
	uint64		arming;			/* which arming this is: a waiter leaves when it changes */
} StopSlot;

typedef struct StopShared
{
	slock_t		mutex;			/* guards all that follows */
	uint64		armings;
	StopSlot	slots[STOP_POINT_SLOTS];
	ConditionVariable changed;
} StopShared;

static StopShared *stop_shared = NULL;

PG_FUNCTION_INFO_V1(skyvault_stop_point_arm);
PG_FUNCTION_INFO_V1(skyvault_stop_point_disarm);
PG_FUNCTION_INFO_V1(skyvault_stop_point_waiting);
PG_FUNCTION_INFO_V1(skyvault_stop_point_sealed);

void
stop_point_shmem_request(void)
{
	RequestAddinShmemSpace(sizeof(StopShared));
}

void
stop_point_shmem_startup(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	stop_shared = ShmemInitStruct("skyvault stop points", sizeof(StopShared), &found);
	if (!found)
	{
		memset(stop_shared, 0, sizeof(StopShared));
		SpinLockInit(&stop_shared->mutex);
		ConditionVariableInit(&stop_shared->changed);
	}
	LWLockRelease(AddinShmemInitLock);
}

/* The caller holds the mutex. */
static StopSlot *
find_slot(const char *name)
{
	for (int i = 0; i < STOP_POINT_SLOTS; i++)
		if (strcmp(stop_shared->slots[i].name, name) == 0)
			return &stop_shared->slots[i];
	return NULL;
}

static bool
still_armed(const char *name, uint64 arming)
{
	StopSlot   *slot;
	bool		armed;

	SpinLockAcquire(&stop_shared->mutex);
	slot = find_slot(name);
	armed = slot != NULL && slot->arming == arming;
	SpinLockRelease(&stop_shared->mutex);
	return armed;
}

static void
adjust_waiting(const char *name, uint64 arming, int change)
{
	StopSlot   *slot;

	SpinLockAcquire(&stop_shared->mutex);
	slot = find_slot(name);
	if (slot != NULL && slot->arming == arming)
		slot->waiting += change;
	SpinLockRelease(&stop_shared->mutex);
}

static void
wait_at(const char *name, uint64 arming)
{
	adjust_waiting(name, arming, 1);
	PG_TRY();
	{
		while (still_armed(name, arming))
			ConditionVariableTimedSleep(&stop_shared->changed, 1000, PG_WAIT_EXTENSION);
		ConditionVariableCancelSleep();
	}
	PG_FINALLY();
	{
		adjust_waiting(name, arming, -1);
	}
	PG_END_TRY();
}

/* Interrupts are held while it sleeps, and only looked at in between. */
static void
wait_in_load(const char *name, uint64 arming)
{
	adjust_waiting(name, arming, 1);
	while (still_armed(name, arming) && !pg_status_must_stop())
	{
		HOLD_INTERRUPTS();
		ConditionVariableTimedSleep(&stop_shared->changed, 50, PG_WAIT_EXTENSION);
		RESUME_INTERRUPTS();
	}
	ConditionVariableCancelSleep();
	adjust_waiting(name, arming, -1);
}

/* The arming that acts on this arrival, or 0. */
static uint64
arrive(const char *name, StopAction *action)
{
	StopSlot   *slot;
	uint64		arming = 0;

	SpinLockAcquire(&stop_shared->mutex);
	slot = find_slot(name);
	if (slot != NULL && slot->count > 0)
	{
		slot->count--;
		*action = slot->action;
		arming = slot->arming;
	}
	SpinLockRelease(&stop_shared->mutex);
	return arming;
}

void
stop_point_reached(const char *name)
{
	StopAction	action;
	uint64		arming = arrive(name, &action);

	if (arming == 0)
		return;
	if (action == STOP_KILL)
		kill(MyProcPid, SIGKILL);
	if (action == STOP_ERROR)
		ereport(ERROR,
				(errcode(ERRCODE_IO_ERROR),
				 errmsg("stop point \"%s\" was told to fail", name)));
	if (action == STOP_CANCEL || action == STOP_TERMINATE)
		(void) raise(action == STOP_CANCEL ? SIGINT : SIGTERM);
	else
		wait_at(name, arming);
}

void
stop_point_reached_in_load(const char *name)
{
	StopAction	action;
	uint64		arming = arrive(name, &action);

	if (arming == 0)
		return;
	if (action == STOP_KILL)
		kill(MyProcPid, SIGKILL);
	wait_in_load(name, arming);
}

static StopAction
parse_action(const char *text)
{
	if (strcmp(text, "wait") == 0)
		return STOP_WAIT;
	if (strcmp(text, "error") == 0)
		return STOP_ERROR;
	if (strcmp(text, "kill") == 0)
		return STOP_KILL;
	if (strcmp(text, "cancel") == 0)
		return STOP_CANCEL;
	if (strcmp(text, "terminate") == 0)
		return STOP_TERMINATE;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid stop point action \"%s\"", text),
			 errhint("Valid actions are: wait, error, kill, cancel, terminate.")));
}

/* (name text, action text, count int) */
Datum
skyvault_stop_point_arm(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	StopAction	action = parse_action(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	int			count = PG_GETARG_INT32(2);
	StopSlot   *slot;

	if (!superuser() || strlen(name) >= STOP_POINT_NAME || name[0] == '\0')
		elog(ERROR, "stop points are for superusers, and names have 1 to %d bytes", STOP_POINT_NAME - 1);

	SpinLockAcquire(&stop_shared->mutex);
	slot = find_slot(name);
	if (slot == NULL)
		slot = find_slot("");
	if (slot != NULL)
	{
		strlcpy(slot->name, name, STOP_POINT_NAME);
		slot->action = action;
		slot->count = count;
		slot->waiting = 0;
		slot->arming = ++stop_shared->armings;
	}
	SpinLockRelease(&stop_shared->mutex);

	if (slot == NULL)
		elog(ERROR, "all %d stop points are armed", STOP_POINT_SLOTS);
	PG_RETURN_VOID();
}

/* (name text): also wakes who waits there */
Datum
skyvault_stop_point_disarm(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	StopSlot   *slot;

	SpinLockAcquire(&stop_shared->mutex);
	slot = name[0] != '\0' ? find_slot(name) : NULL;
	if (slot != NULL)
		memset(slot, 0, sizeof(StopSlot));
	SpinLockRelease(&stop_shared->mutex);
	ConditionVariableBroadcast(&stop_shared->changed);
	PG_RETURN_VOID();
}

/* (name text) returns how many processes wait there now */
Datum
skyvault_stop_point_waiting(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	StopSlot   *slot;
	int			waiting = 0;

	SpinLockAcquire(&stop_shared->mutex);
	slot = name[0] != '\0' ? find_slot(name) : NULL;
	if (slot != NULL)
		waiting = slot->waiting;
	SpinLockRelease(&stop_shared->mutex);
	PG_RETURN_INT32(waiting);
}

/*
 * (lines text): as an object of the log, a snapshot or OWNER has them, with the seal;
 * so that a test can write what somebody who means harm could write.
 */
Datum
skyvault_stop_point_sealed(PG_FUNCTION_ARGS)
{
	text	   *lines = PG_GETARG_TEXT_PP(0);
	SvAlloc		alloc = pg_status_alloc(CurrentMemoryContext);
	SvBuffer	buffer;
	SvError		err;

	sv_buffer_init(&buffer, &alloc);
	PG_STATUS_CHECK(sv_buffer_append(&buffer, VARDATA_ANY(lines), VARSIZE_ANY_EXHDR(lines), &err), &err);
	PG_STATUS_CHECK(sv_sealed_close(&buffer, &err), &err);
	PG_RETURN_TEXT_P(cstring_to_text_with_len((const char *) buffer.data, buffer.len));
}

#endif							/* SKYVAULT_STOP_POINTS */
