/*
 * worker_chore.c
 *		The table of a scheduler's chores, and who of them is due.
 */
#include "postgres.h"

#include "worker/worker_chore.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "server/pg_settings.h"
#include "utils/backend_status.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/worker_export.h"
#include "worker/compact_chore.h"
#include "worker/worker_filter.h"
#include "worker/worker_gc.h"
#include "worker/worker_pressure.h"
#include "worker/worker_snapshot.h"
#include "worker/worker_load.h"
#include "worker/worker_local.h"
#include "worker/worker_transaction.h"

static const WorkerChore chores[CHORE_COUNT] = {
	[CHORE_TAKE] = {.run = worker_load_chore},
	[CHORE_FILTER] = {.run = worker_filter_upkeep,.leave = worker_filter_leave},
	[CHORE_EXPORT] = {.activity = "skyvault export",.run = worker_export_run},
	[CHORE_COMPACT] = {.run = compact_chore},
	[CHORE_PRESSURE] = {.run = worker_pressure_chore},
	[CHORE_SNAPSHOT] = {.activity = "skyvault snapshot",.run = worker_snapshot_run},
	[CHORE_LOCAL] = {.activity = "skyvault local copies",.run = worker_local_run},
	[CHORE_GC] = {.activity = "skyvault garbage collection",.run = worker_gc_run},
};

/* All zero in a new scheduler: everything is due. */
typedef struct ChoreState
{
	TimestampTz due_at;
	int			pause_s;		/* after a failure; 0: the last call went well */
} ChoreState;

static ChoreState states[CHORE_COUNT];

static void
call(const WorkerChore *chore, ChoreState *state, MemoryContext context)
{
	PG_TRY();
	{
		state->due_at = chore->run();
		state->pause_s = 0;
	}
	PG_CATCH();
	{
		(void) worker_transaction_recover(context);
		state->pause_s = Min(Max(state->pause_s * 2, 1), setting_retry_max_s);
		state->due_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), state->pause_s * 1000);
	}
	PG_END_TRY();
}

static void
run_one(const WorkerChore *chore, ChoreState *state)
{
	MemoryContext old = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(old, "skyvault chore", ALLOCSET_DEFAULT_SIZES);

	MemoryContextSwitchTo(context);
	if (chore->activity != NULL)
		pgstat_report_activity(STATE_RUNNING, chore->activity);
	call(chore, state, context);
	if (chore->activity != NULL)
	{
		pgstat_report_stat(true);
		pgstat_report_activity(STATE_IDLE, NULL);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

TimestampTz
worker_chores_run(uint32 woken)
{
	TimestampTz next = DT_NOEND;

	for (int i = 0; i < CHORE_COUNT; i++)
	{
		if ((woken & CHORE_BIT(i)) != 0 || states[i].due_at <= GetCurrentTimestamp())
			run_one(&chores[i], &states[i]);
		next = Min(next, states[i].due_at);
		CHECK_FOR_INTERRUPTS();
	}
	return next;
}

void
worker_chores_leave(void)
{
	for (int i = 0; i < CHORE_COUNT; i++)
		if (chores[i].leave != NULL)
			chores[i].leave();
}
