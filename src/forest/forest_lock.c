/*
 * forest_lock.c
 *		Locking a key.
 *
 * Let S be the statement's snapshot and L the latest one, taken once the
 * key's slot is owned.  What L finds is what the key holds until this
 * transaction ends: other writers wait at the slot, and a flush skips it
 * because it is locked (and moving the committed row below it to a run would
 * not change what the key holds).
 *
 * Under READ COMMITTED only content matters: presence, value, expiry.  Under
 * REPEATABLE READ an equal value written by somebody else is a conflict too,
 * so there the question is whether what L finds was written by a transaction
 * that S sees.  It was not, if
 *	 - it is a delta row that S does not see;
 *	 - it is in a run that S does not see and whose sequences reach beyond those
 *	   S knows for the table, unless that run is the flushed form of a delta row that S sees:
 *	   the publish that registered the run is then the one that deleted the row,
 *	   and a flush deletes exactly the row version that it wrote;
 *	 - the table's floor has moved;
 *	 - there is nothing where S sees something.
 */
#include "postgres.h"

#include "forest/forest_lock.h"

#include "access/transam.h"
#include "access/xact.h"
#include "forest/forest_catalog.h"
#include "forest/forest_delta_write.h"
#include "forest/forest_lookup.h"
#include "forest/forest_write.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

typedef struct LockViews
{
	ForestView	seen;			/* under S */
	ForestView	latest;			/* under L */
} LockViews;

static int64
floor_seq(const ForestView *view, int32 table_id)
{
	const LsmFloor *floor = lsm_forest_floor(view->forest, table_id);

	return floor != NULL ? floor->floor_seq : 0;
}

static bool
floor_is_own(const ForestView *view, int32 table_id)
{
	const LsmFloor *floor = lsm_forest_floor(view->forest, table_id);

	return floor != NULL && floor->is_own;
}

static bool
floor_moved(LockViews *views, int32 table_id)
{
	return floor_seq(&views->seen, table_id) != floor_seq(&views->latest, table_id) &&
		!floor_is_own(&views->latest, table_id);
}

static bool
row_is_seen(const DeltaRow *row, Snapshot snapshot)
{
	return row->is_own || !TransactionIdIsNormal(row->xmin) || !XidInMVCCSnapshot(row->xmin, snapshot);
}

/* Whether the run holds a delta row that S sees, moved there by a flush. */
static bool
run_is_flushed_row(LockViews *views, int32 table_id, SvSlice key, const LsmRun *run)
{
	ForestEntry entry;

	if (run->tier != LSM_WAL)
		return false;			/* the transaction of a load deletes delta rows as well */
	forest_lookup(&views->seen, table_id, key, &entry);
	return entry.found_in == FOUND_IN_DELTA && TransactionIdIsValid(entry.row.deleted_by) &&
		entry.row.deleted_by == (TransactionId) run->registered_by;
}

/* The highest sequence that S knows of for the table; other tables' sequences say nothing about it. */
static int64
newest_seen_seq(LockViews *views, int32 table_id)
{
	int			n;
	const LsmSourceRun *runs = lsm_forest_sources(views->seen.forest, table_id, &n);
	int64		newest = 0;

	for (int i = 0; i < n; i++)
		newest = Max(newest, runs[i].run->seq_hi);
	return newest;
}

static bool
run_is_seen(LockViews *views, int32 table_id, const LsmRun *run)
{
	return lsm_forest_find_run(views->seen.forest, run->id) != NULL ||
		run->seq_hi <= newest_seen_seq(views, table_id);
}

/* Whether the entry that L found was written by a transaction that S sees, as far as its trace tells. */
static bool
entry_is_seen(LockViews *views, int32 table_id, const ForestEntry *entry)
{
	switch (entry->found_in)
	{
		case FOUND_IN_DELTA:
			return row_is_seen(&entry->row, views->seen.snapshot);
		case FOUND_IN_RUN:
			return entry->run->is_own ||
				(!floor_moved(views, table_id) && run_is_seen(views, table_id, entry->run));
		case FOUND_NOWHERE:
			break;
	}
	return false;
}

static bool
same_content(const ForestEntry *a, const ForestEntry *b)
{
	if (!forest_entry_is_live(a) || !forest_entry_is_live(b))
		return forest_entry_is_live(a) == forest_entry_is_live(b);
	return a->expires_at == b->expires_at && sv_slice_equal(a->value, b->value);
}

static void
report_conflict(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access due to concurrent update"),
			 errhint("The transaction might succeed if retried.")));
}

/*
 * The rule for REPEATABLE READ and SERIALIZABLE.  `entry` is what L finds; its
 * value may be overwritten here.
 */
static void
check_serializable(LockViews *views, int32 table_id, SvSlice key, const ForestEntry *entry)
{
	ForestEntry seen;

	if (entry->found_in != FOUND_NOWHERE)
	{
		if (entry_is_seen(views, table_id, entry))
			return;
		if (entry->found_in == FOUND_IN_DELTA || floor_moved(views, table_id) ||
			!run_is_flushed_row(views, table_id, key, entry->run))
			report_conflict();
		return;
	}
	if (floor_moved(views, table_id))
		report_conflict();
	forest_lookup(&views->seen, table_id, key, &seen);
	if (forest_entry_is_live(&seen))
		report_conflict();
}

static void
views_open(LockViews *views, const ForestTable *table, Snapshot seen, Snapshot latest)
{
	forest_view_open(&views->seen, table, seen);
	forest_view_open(&views->latest, table, latest);
}

static void
views_close(LockViews *views)
{
	forest_view_close(&views->latest);
	forest_view_close(&views->seen);
}

void
forest_lock_for_write(const ForestTable *table, const SvSlice *keys, int n)
{
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "skyvault lock",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	Snapshot	seen = RegisterSnapshot(GetTransactionSnapshot());
	Snapshot	latest;
	LockViews	views;

	Assert(IsolationUsesXactSnapshot());
	delta_claim(table->table_id, keys, n);
	latest = RegisterSnapshot(GetLatestSnapshot());
	views_open(&views, table, seen, latest);
	for (int i = 0; i < n; i++)
	{
		ForestEntry entry;

		forest_lookup(&views.latest, table->table_id, keys[i], &entry);
		check_serializable(&views, table->table_id, keys[i], &entry);
	}
	views_close(&views);
	UnregisterSnapshot(latest);
	UnregisterSnapshot(seen);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
}

/* ---- loads ---- */

/*
 * Both snapshots see the same rows of the table in the delta, own ones left out.
 * A row that S sees and L does not was deleted by a flush, or replaced.
 */
static bool
same_delta_rows(int32 table_id, Snapshot seen, Snapshot latest)
{
	DeltaScan  *old_scan = delta_scan_begin(table_id, NULL, NULL, false, false, seen);
	DeltaScan  *new_scan = delta_scan_begin(table_id, NULL, NULL, false, false, latest);
	DeltaRow	old_row;
	DeltaRow	new_row;
	bool		has_old;
	bool		has_new;
	bool		same;

	do
	{
		CHECK_FOR_INTERRUPTS();
		while ((has_old = delta_scan_next(old_scan, &old_row)) && old_row.is_own);
		while ((has_new = delta_scan_next(new_scan, &new_row)) && new_row.is_own);
		same = has_old == has_new && (!has_old || ItemPointerEquals(&old_row.tid, &new_row.tid));
	} while (same && has_old);
	delta_scan_end(new_scan);
	delta_scan_end(old_scan);
	return same;
}

static bool
same_runs(const LockViews *views, int32 table_id)
{
	int			nseen;
	int			nlatest;
	const LsmSourceRun *seen = lsm_forest_sources(views->seen.forest, table_id, &nseen);
	const LsmSourceRun *latest = lsm_forest_sources(views->latest.forest, table_id, &nlatest);
	int			i = 0;
	int			j = 0;

	/* Own ones are the first, and S may not see those of this command. */
	while (i < nseen && seen[i].run->is_own)
		i++;
	while (j < nlatest && latest[j].run->is_own)
		j++;
	if (nseen - i != nlatest - j)
		return false;
	while (i < nseen)
		if (seen[i++].run->id != latest[j++].run->id)
			return false;
	return true;
}

bool
forest_lock_may_conflict(const ForestTable *table, Snapshot seen, Snapshot latest)
{
	LockViews	views;
	bool		same;

	views_open(&views, table, seen, latest);
	same = same_runs(&views, table->table_id) && !floor_moved(&views, table->table_id);
	views_close(&views);
	return !same || !same_delta_rows(table->table_id, seen, latest);
}

void
forest_lock_check_load(const ForestTable *table, const SvSlice *keys, int n, Snapshot seen, Snapshot latest)
{
	LockViews	views;

	views_open(&views, table, seen, latest);
	for (int i = 0; i < n; i++)
	{
		ForestEntry entry;

		forest_lookup(&views.latest, table->table_id, keys[i], &entry);
		check_serializable(&views, table->table_id, keys[i], &entry);
	}
	views_close(&views);
}

/* Whether the statement that S belongs to, or what it called, wrote what L finds. */
static bool
written_since(LockViews *views, const ForestEntry *entry)
{
	if (entry->found_in == FOUND_IN_RUN)
		return entry->run->is_own && lsm_forest_find_run(views->seen.forest, entry->run->id) == NULL;
	return entry->found_in == FOUND_IN_DELTA && entry->row.is_own &&
		entry->row.own_command >= views->seen.snapshot->curcid;
}

/* READ COMMITTED: whether L's content may differ from S's.  *newest already has L's. */
static bool
content_changed(LockViews *views, int32 table_id, SvSlice key, const ForestEntry *entry,
				const ForestValue *newest)
{
	ForestEntry latest = *entry;
	ForestEntry seen;

	if (entry->found_in != FOUND_NOWHERE &&
		!(entry->found_in == FOUND_IN_DELTA && entry->row.is_own) &&
		!(entry->found_in == FOUND_IN_RUN && entry->run->is_own) &&
		entry_is_seen(views, table_id, entry))
		return false;
	latest.value = newest->value;	/* the lookup below may overwrite the entry's */
	forest_lookup(&views->seen, table_id, key, &seen);
	return !same_content(&latest, &seen);
}

static ForestLockResult
compare_views(LockViews *views, int32 table_id, SvSlice key, const ForestEntry *entry,
			  const ForestValue *newest)
{
	if (written_since(views, entry))
		return FOREST_CHANGED_BY_SELF;
	if (IsolationUsesXactSnapshot())
	{
		check_serializable(views, table_id, key, entry);
		return FOREST_UNCHANGED;
	}
	return content_changed(views, table_id, key, entry, newest) ? FOREST_CHANGED : FOREST_UNCHANGED;
}

ForestLockResult
forest_lock_key(const ForestTable *table, SvSlice key, Snapshot snapshot, ForestValue *newest)
{
	MemoryContext result = CurrentMemoryContext;
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "skyvault lock",
												  ALLOCSET_SMALL_SIZES);
	ForestLockResult compared;
	Snapshot	latest;
	LockViews	views;
	ForestEntry entry;

	MemoryContextSwitchTo(scratch);
	catalog_lock_table(table->table_id, RowExclusiveLock);
	delta_claim(table->table_id, &key, 1);
	latest = RegisterSnapshot(GetLatestSnapshot());
	views_open(&views, table, snapshot, latest);
	forest_lookup(&views.latest, table->table_id, key, &entry);

	MemoryContextSwitchTo(result);
	forest_value_from_entry(&entry, newest);
	MemoryContextSwitchTo(scratch);
	compared = compare_views(&views, table->table_id, key, &entry, newest);

	views_close(&views);
	UnregisterSnapshot(latest);
	MemoryContextSwitchTo(result);
	MemoryContextDelete(scratch);
	return compared;
}
