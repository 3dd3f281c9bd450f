/*
 * gc_sweep.c
 *		Whether a vault has to be swept for orphans again.
 */
#include "postgres.h"

#include "worker/gc_sweep.h"

#include "forest/forest_sql.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/worker_transaction.h"

/* Sweeps that have to agree. */
#define ENOUGH_SWEEPS 2

/* So far apart are urgent ones: who tries again and again pays for a listing now and then. */
#define URGENT_PAUSE_MS (10 * 60 * 1000)

static List *sweeps = NIL;

GcSweep *
gc_sweep_find(int32 vault_id)
{
	MemoryContext old;
	GcSweep    *sweep;
	ListCell   *cell;

	foreach(cell, sweeps)
	{
		sweep = lfirst(cell);
		if (sweep->vault_id == vault_id)
			return sweep;
	}
	old = MemoryContextSwitchTo(TopMemoryContext);
	sweep = palloc0(sizeof(GcSweep));
	sweep->vault_id = vault_id;
	/* Another scheduler may have been asked, by any transaction that has an id. */
	sweep->load_xid = ReadNextFullTransactionId();
	FullTransactionIdRetreat(&sweep->load_xid);
	sweeps = lappend(sweeps, sweep);
	MemoryContextSwitchTo(old);
	return sweep;
}

/* What skyvault.job has of the vault, and of all. */
typedef struct JobsSeen
{
	bool		running;
	bool		ended_since;	/* the last sweep began */
	int64		newest;			/* of the vault, 0: there is none */
	int64		oldest_of_all;
	int64		newest_of_all;
	int64		place;			/* of the store: a hash of the options of its server */
} JobsSeen;

static JobsSeen
read_jobs(const ForestVault *vault, const GcSweep *sweep)
{
	MemoryContext context = CurrentMemoryContext;
	JobsSeen	seen;
	ForestRows	rows;

	worker_transaction_begin();
	MemoryContextSwitchTo(context);
	rows = forest_sql("SELECT coalesce(bool_or(v.state = 'running'), false), coalesce(bool_or(v.ended >="
					  "  $2::timestamptz), false), coalesce(max(v.id), 0),"
					  " coalesce((SELECT min(id) FROM skyvault.job), 0),"
					  " coalesce((SELECT max(id) FROM skyvault.job), 0),"
					  " coalesce((SELECT hashtextextended(s.srvoptions::text, 0) FROM pg_foreign_server AS s"
					  "  WHERE s.oid = $3::oid), 0)"
					  " FROM skyvault.job AS v WHERE v.vault_id = $1::integer",
					  3, forest_arg(vault->id), pstrdup(timestamptz_to_str(sweep->began_at)),
					  forest_arg(vault->server_oid));
	worker_transaction_commit();
	MemoryContextSwitchTo(context);
	seen.running = forest_cell_bool(&rows, 0, 0);
	seen.ended_since = forest_cell_bool(&rows, 0, 1);
	seen.newest = forest_cell_int64(&rows, 0, 2);
	seen.oldest_of_all = forest_cell_int64(&rows, 0, 3);
	seen.newest_of_all = forest_cell_int64(&rows, 0, 4);
	seen.place = forest_cell_int64(&rows, 0, 5);
	return seen;
}

void
gc_sweep_note_load(int32 vault_id, FullTransactionId xid)
{
	GcSweep    *sweep = gc_sweep_find(vault_id);

	sweep->dirty = true;
	if (FullTransactionIdFollows(xid, sweep->load_xid))
		sweep->load_xid = xid;
	if (sweep->nloads < GC_SWEEP_LOADS)
		sweep->loads[sweep->nloads++] = xid;
	else
		sweep->load_failed = true;	/* who knows */
}

/*
 * Which loads have ended, and whether all of them were committed.  While anything as old
 * runs, what one has left is not known to be orphans.
 */
static void
look_after_loads(GcSweep *sweep)
{
	MemoryContext context = CurrentMemoryContext;
	StringInfoData array;
	ForestRows	rows;

	if (sweep->nloads == 0)
		return;
	initStringInfo(&array);
	for (int i = 0; i < sweep->nloads; i++)
		appendStringInfo(&array, "%c" UINT64_FORMAT, i == 0 ? '{' : ',', U64FromFullTransactionId(sweep->loads[i]));
	appendStringInfoChar(&array, '}');
	worker_transaction_begin();
	MemoryContextSwitchTo(context);
	rows = forest_sql("SELECT l >= pg_snapshot_xmin(pg_current_snapshot()), pg_xact_status(l) = 'committed'"
					  " FROM unnest($1::xid8[]) WITH ORDINALITY AS u(l, n) ORDER BY n", 1, array.data);
	worker_transaction_commit();
	MemoryContextSwitchTo(context);
	sweep->nloads = 0;
	for (int i = 0; i < rows.nrows; i++)
	{
		if (forest_cell_bool(&rows, i, 0))
			sweep->loads[sweep->nloads++] = sweep->loads[i];
		else
			sweep->load_failed |= !forest_cell_bool(&rows, i, 1);
	}
}

/* Whether a transaction that may load runs, or one that is as old; also as long as it is prepared. */
static bool
load_may_run(const GcSweep *sweep)
{
	MemoryContext context = CurrentMemoryContext;
	ForestRows	rows;

	worker_transaction_begin();
	MemoryContextSwitchTo(context);
	rows = forest_sql("SELECT pg_snapshot_xmin(pg_current_snapshot()) <= $1::xid8", 1,
					  forest_arg((int64) U64FromFullTransactionId(sweep->load_xid)));
	worker_transaction_commit();
	MemoryContextSwitchTo(context);
	return forest_cell_bool(&rows, 0, 0);
}

void
gc_sweep_look(const ForestVault *vault, GcSweep *sweep)
{
	JobsSeen	seen = read_jobs(vault, sweep);

	if (seen.running || seen.ended_since || seen.newest > sweep->job_id ||
		seen.oldest_of_all > sweep->looked_at_id || vault->epoch != sweep->epoch || seen.place != sweep->place)
		sweep->dirty = true;
	sweep->looked_at_id = Max(sweep->looked_at_id, seen.newest_of_all);
	look_after_loads(sweep);
}

bool
gc_sweep_is_needed(const GcSweep *sweep)
{
	return sweep->dirty || sweep->clean < ENOUGH_SWEEPS;
}

bool
gc_sweep_is_urgent(const GcSweep *sweep)
{
	return sweep->load_failed && gc_sweep_is_needed(sweep) &&
		TimestampDifferenceExceeds(sweep->began_at, GetCurrentTimestamp(), URGENT_PAUSE_MS);
}

/* Should what follows fail, dirty is forgotten, but clean is 0. */
void
gc_sweep_begin(const ForestVault *vault, GcSweep *sweep)
{
	JobsSeen	seen;

	gc_sweep_look(vault, sweep);
	if (sweep->dirty)
		sweep->clean = 0;
	sweep->began_at = GetCurrentTimestamp();
	seen = read_jobs(vault, sweep);
	sweep->epoch = vault->epoch;
	sweep->place = seen.place;
	sweep->job_id = seen.newest;
	sweep->incomplete = seen.running || load_may_run(sweep);
	sweep->looked_at_id = seen.newest_of_all;
	sweep->dirty = false;
	sweep->load_failed = false;
}

void
gc_sweep_advance(GcSweep *sweep, const char *last, bool unripe)
{
	sweep->incomplete |= unripe;
	if (sweep->after != NULL)
		pfree(sweep->after);
	sweep->after = last == NULL ? NULL : MemoryContextStrdup(TopMemoryContext, last);
	if (last == NULL)
		sweep->clean = sweep->incomplete ? 0 : sweep->clean + 1;
}
