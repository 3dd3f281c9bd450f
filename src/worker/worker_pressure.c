/*
 * worker_pressure.c
 *		Who has to wait, and for how long.
 *
 * The statement's snapshot is taken before any code of an extension runs, so a
 * write that waits keeps it meanwhile.  That holds up no flush and no
 * compaction, only the removal of what they have replaced, and only for
 * skyvault.stop_wait.
 *
 * Debts of runs are read by the scheduler, since they need the registry; that
 * of the delta is two counters.
 */
#include "postgres.h"

#include "worker/worker_pressure.h"

#include <math.h>

#include "access/xact.h"
#include "foreign/foreign.h"
#include "forest/forest_catalog.h"
#include "forest/forest_pause.h"
#include "forest/forest_xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "server/pg_settings.h"
#include "server/pg_status.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"
#include "worker/compact_claim.h"
#include "worker/compact_question.h"
#include "worker/worker_flush.h"
#include "worker/worker_shmem.h"
#include "worker/worker_transaction.h"

/* Debts of runs are kept in hundredths. */
#define DEBT_UNIT 100

/* Just below skyvault.stop_debt a write waits for this share of skyvault.stop_wait. */
#define SLOWEST_SHARE 0.1

/* How often one that waits looks at the debt. */
#define LOOK_MS 10

/* A session is told once in so long that its writes are held. */
#define MESSAGE_INTERVAL_MS (60 * 1000)

/* Debts of runs are looked at so often while there are some, since pauses end without a word. */
#define CHORE_INTERVAL_MS 1000

static double
debt_of(pg_atomic_uint32 *hundredths)
{
	return (double) pg_atomic_read_u32(hundredths) / DEBT_UNIT;
}

static uint64
delta_bytes(VaultTraffic *traffic)
{
	/* In this order: taken never passes what committed was before. */
	uint64		taken = pg_atomic_read_u64(&traffic->taken);

	pg_read_barrier();
	return pg_atomic_read_u64(&traffic->counters[TRAFFIC_COMMITTED]) - taken;
}

static double
delta_debt(VaultTraffic *traffic)
{
	return (double) delta_bytes(traffic) / ((double) setting_flush_size_kb * 1024);
}

static double
run_debt(VaultTraffic *traffic)
{
	return Max(debt_of(&traffic->wal_debt), debt_of(&traffic->level0_debt));
}

/* Why waiting would not reduce the debt of the delta, or of runs; NULL if it would. */
static const char *
why_no_flush(VaultTraffic *traffic)
{
	if (pg_atomic_read_u32(&traffic->flush_fails) != 0)
		return "the last flush failed";
	if (!worker_scheduler_runs())
		return "no scheduler runs";
	return NULL;
}

static const char *
why_no_compaction(VaultTraffic *traffic)
{
	if (setting_max_workers == 0)
		return "skyvault.max_workers is 0";
	if (pg_atomic_read_u32(&traffic->compaction_rests) != 0)
		return "compaction is paused, or waits after a failure";
	if (!worker_scheduler_runs())
		return "no scheduler runs";
	return NULL;
}

/* The debt that waiting would reduce; *reason is why another one is left out, or NULL. */
static double
debt_that_counts(VaultTraffic *traffic, const char **reason)
{
	double		counts = 0;

	*reason = NULL;
	if (delta_debt(traffic) >= setting_slowdown_debt)
	{
		*reason = why_no_flush(traffic);
		if (*reason == NULL)
			counts = delta_debt(traffic);
	}
	if (run_debt(traffic) >= setting_slowdown_debt && run_debt(traffic) > counts)
	{
		const char *why = why_no_compaction(traffic);

		if (why == NULL)
			counts = run_debt(traffic);
		else if (*reason == NULL)
			*reason = why;
	}
	return counts;
}

static bool
is_stopped(double debt)
{
	return debt >= Max(setting_stop_debt, setting_slowdown_debt);
}

static int
delay_ms(double debt)
{
	double		share;

	if (debt < setting_slowdown_debt)
		return 0;
	if (is_stopped(debt))
		return setting_stop_wait_ms;
	share = (debt - setting_slowdown_debt) / (setting_stop_debt - setting_slowdown_debt);
	return (int) ceil(share * SLOWEST_SHARE * setting_stop_wait_ms);
}

/* ------------------------------------------------------------------- waits */

static void
tell_once(Oid server_oid, double debt)
{
	static TimestampTz told_at = 0;
	TimestampTz now = GetCurrentTimestamp();

	if (told_at != 0 && !TimestampDifferenceExceeds(told_at, now, MESSAGE_INTERVAL_MS))
		return;
	told_at = now;
	ereport(WARNING,
			(errmsg("writes to server \"%s\" are held, since flushes and compactions are behind",
					GetForeignServer(server_oid)->servername),
			 errdetail("Its debt is %.1f times what starts a flush or a compaction.", debt),
			 errhint("See skyvault_stat_pressure; skyvault.stop_debt and skyvault.stop_wait say when and how long.")));
}

static void
count_wait(VaultTraffic *traffic, TimestampTz began, bool gave_up)
{
	pg_atomic_fetch_add_u64(&traffic->counters[TRAFFIC_DELAYED], 1);
	pg_atomic_fetch_add_u64(&traffic->counters[TRAFFIC_DELAY_US], GetCurrentTimestamp() - began);
	if (gave_up)
		pg_atomic_fetch_add_u64(&traffic->counters[TRAFFIC_GAVE_UP], 1);
}

static void
sleep_ms(long ms)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/*
 * For so long, or, for one that is held, until the debt is less.  The debt may
 * grow meanwhile, the time does not.
 */
static void
wait_for(VaultTraffic *traffic, int ms, bool held)
{
	TimestampTz began = GetCurrentTimestamp();
	TimestampTz until = TimestampTzPlusMilliseconds(began, ms);
	const char *reason;

	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();

		if (now >= until)
		{
			count_wait(traffic, began, held);
			return;
		}
		if (held && !is_stopped(debt_that_counts(traffic, &reason)))
			break;
		sleep_ms(Min(LOOK_MS, TimestampDifferenceMilliseconds(now, until)));
	}
	count_wait(traffic, began, false);
}

static void
stop_waiting(int code, Datum arg)
{
	VaultTraffic *traffic = (VaultTraffic *) DatumGetPointer(arg);

	pg_atomic_fetch_sub_u32(&traffic->waiting, 1);
}

void
worker_pressure_admit(int32 vault_id, Oid server_oid)
{
	VaultTraffic *traffic = forest_traffic(vault_id, false);
	const char *reason;
	double		debt;
	int			ms;

	/* With an xid the transaction may have rows locked that others wait for. */
	if (traffic == NULL || TransactionIdIsValid(GetTopTransactionIdIfAny()) || forest_xact_has_changed())
		return;
	debt = debt_that_counts(traffic, &reason);
	ms = delay_ms(debt);
	if (ms == 0)
		return;

	if (is_stopped(debt))
		tell_once(server_oid, debt);
	pg_atomic_fetch_add_u32(&traffic->waiting, 1);
	PG_ENSURE_ERROR_CLEANUP(stop_waiting, PointerGetDatum(traffic));
	{
		wait_for(traffic, ms, is_stopped(debt));
	}
	PG_END_ENSURE_ERROR_CLEANUP(stop_waiting, PointerGetDatum(traffic));
	stop_waiting(0, PointerGetDatum(traffic));
}

/* --------------------------------------------------------------- scheduler */

uint64
worker_pressure_before_flush(int32 vault_id)
{
	VaultTraffic *traffic = forest_traffic(vault_id, true);

	return traffic == NULL ? 0 : pg_atomic_read_u64(&traffic->counters[TRAFFIC_COMMITTED]);
}

void
worker_pressure_after_flush(int32 vault_id, uint64 before, bool done)
{
	VaultTraffic *traffic = forest_traffic(vault_id, true);

	if (traffic == NULL)
		return;
	if (done)
		pg_atomic_write_u64(&traffic->taken, before);
	pg_atomic_write_u32(&traffic->flush_fails, done ? 0 : 1);
}

static uint32
hundredths(double debt)
{
	return (uint32) Min(debt * DEBT_UNIT, (double) PG_UINT32_MAX);
}

/* Returns whether the vault has a debt that slows writes down. */
static bool
note_run_debts(const ForestVault *vault, Snapshot snapshot)
{
	VaultTraffic *traffic = forest_traffic(vault->id, true);
	CompactQuestion *ask = palloc(sizeof(CompactQuestion));
	CompactClaims claims;
	LsmDebt		debt;
	SvError		err;

	if (traffic == NULL)
		return false;
	compact_question_make(ask, vault->id, snapshot);
	PG_STATUS_CHECK(lsm_debt(&ask->question, &debt, &err), &err);
	compact_claims_read(vault->id, snapshot, &claims);
	pg_atomic_write_u32(&traffic->compaction_rests,
						forest_is_paused(vault->id, snapshot) ||
						claims.vault_retry_at > GetCurrentTimestamp() ? 1 : 0);
	pg_atomic_write_u32(&traffic->wal_debt, hundredths(debt.wal));
	pg_atomic_write_u32(&traffic->level0_debt, hundredths(debt.level0));
	return Max(debt.wal, debt.level0) >= setting_slowdown_debt;
}

/* A transaction for each vault.  False if it cannot be read: who looks for something to compact says why. */
static bool
try_note_run_debts(const ForestVault *vault, bool *slowed)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool done = false;

	PG_TRY();
	{
		worker_transaction_begin();
		if (catalog_exists())
		{
			Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());

			*slowed |= note_run_debts(vault, snapshot);
			UnregisterSnapshot(snapshot);
		}
		worker_transaction_commit();
		done = true;
	}
	PG_CATCH();
	{
		(void) worker_transaction_recover_silently(context);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	return done;
}

static void
note_no_compaction(const ForestVault *vault)
{
	VaultTraffic *traffic = forest_traffic(vault->id, false);

	if (traffic != NULL)
		pg_atomic_write_u32(&traffic->compaction_rests, 1);
}

TimestampTz
worker_pressure_chore(void)
{
	ForestVault *vaults;
	int			n = worker_flush_list(&vaults);
	bool		slowed = false;
	bool		failed = n < 0;

	for (int i = 0; i < n; i++)
		if (!try_note_run_debts(&vaults[i], &slowed))
		{
			failed = true;
			note_no_compaction(&vaults[i]);
		}
	if (slowed)
		return TimestampTzPlusMilliseconds(GetCurrentTimestamp(), CHORE_INTERVAL_MS);
	if (failed)
		return TimestampTzPlusMilliseconds(GetCurrentTimestamp(), (int64) setting_retry_max_s * 1000);
	return DT_NOEND;
}

/* -------------------------------------------------------------------- view */

void
worker_pressure_report(VaultTraffic *traffic, PressureReport *report)
{
	double		debt = debt_that_counts(traffic, &report->reason);

	report->delta_bytes = delta_bytes(traffic);
	report->delta_debt = delta_debt(traffic);
	report->wal_debt = debt_of(&traffic->wal_debt);
	report->level0_debt = debt_of(&traffic->level0_debt);
	report->delay_ms = delay_ms(debt);
	report->state = report->delay_ms == 0 ? PRESSURE_NONE :
		is_stopped(debt) ? PRESSURE_STOPPED : PRESSURE_SLOWED;
	if (report->state == PRESSURE_NONE && report->reason != NULL)
		report->state = PRESSURE_HELPLESS;
	else
		report->reason = NULL;
}
