/*
 * forest_read.c
 *		Reading keys of tables under one snapshot.
 */
#include "postgres.h"

#include "forest/forest_read.h"

#include "forest/forest_lookup.h"
#include "forest/forest_snapshot.h"
#include "lsm/lsm_merge.h"
#include "miscadmin.h"
#include "server/pg_status.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

struct ForestScan
{
	MemoryContext context;		/* holds this struct and all below */
	SvAlloc		alloc;
	DeltaScan  *own_delta;		/* NULL: the delta is read once */
	DeltaScan  *delta;			/* NULL: of the delta only own rows count */
	LsmMerge   *merge;
	LsmSource	sole;			/* the only one that is left; next is NULL: not yet */
	ForestRunIterator **iterators;
	int			niterators;
	TimestampTz now;
};

static void
value_not_found(ForestValue *out)
{
	out->found = false;
	out->value = sv_slice(NULL, 0);
	out->expires_at = DT_NOEND;
}

void
forest_get(const ForestTable *table, SvSlice key, Snapshot snapshot, ForestValue *out)
{
	ForestView	view;
	ForestEntry entry;

	value_not_found(out);
	if (table->table_id == 0)
		return;

	/* Nothing here leaves memory behind, so there is no context to make and delete. */
	forest_view_open(&view, table, snapshot);
	forest_lookup(&view, table->table_id, key, &entry);
	forest_value_from_entry(&entry, out);
	forest_view_close(&view);
}

bool
forest_get_into(const ForestTable *table, SvSlice key, Snapshot snapshot,
				ForestValueTaker take, void *arg)
{
	ForestView	view;
	ForestEntry entry;
	bool		found;

	if (table->table_id == 0)
		return false;

	forest_view_open(&view, table, snapshot);
	forest_lookup(&view, table->table_id, key, &entry);
	found = forest_entry_is_live(&entry);
	if (found)
		take(arg, entry.value);
	forest_view_close(&view);
	return found;
}

/* An LsmSource over the delta; errors are raised, not returned. */
static SvStatus
delta_source_next(void *state, SstEntry *entry, SvError *err)
{
	DeltaRow	row;

	if (!delta_scan_next(state, &row))
		return SV_NOT_FOUND;
	entry->key = row.key;
	entry->value = row.value;
	entry->expires_at = row.expires_at;
	entry->kind = row.kind == DELTA_TOMBSTONE ? SST_TOMBSTONE : SST_VALUE;
	return SV_OK;
}

static LsmSource
delta_source(DeltaScan *delta)
{
	return (LsmSource) {.next = delta_source_next,.state = delta};
}

/* In blocks of the largest: some 300 rows of a hundred bytes each, and four times as many with each window. */
static bool
delta_horizon(void *state, uint32 window, SvSlice *key)
{
	return forest_run_horizon(state, 2u << (2 * window), key);
}

/*
 * Newest first.  Own runs are newer than all in the delta but own rows, which are
 * read apart then; that they come again with the others does no harm.
 */
static void
open_sources(ForestScan *scan, const ForestTable *table, Snapshot snapshot,
			 const SvSlice *low, const SvSlice *high, bool backward, const ForestScanPart *part)
{
	const LsmForest *forest = forest_of_snapshot(table->vault_id, snapshot);
	const LsmFloor *floor = lsm_forest_floor(forest, table->table_id);
	bool		own_only = floor != NULL && floor->is_own;
	int			own_groups = lsm_forest_own_groups(forest, table->table_id);
	int			ngroups;
	const LsmGroup *groups = lsm_forest_groups(forest, table->table_id, &ngroups);
	LsmSource  *sources = palloc((ngroups + 2) * sizeof(LsmSource));
	ForestRunIterator *largest = NULL;
	int			n = 0;
	SvError		err;

	scan->iterators = palloc(Max(ngroups, 1) * sizeof(ForestRunIterator *));
	if (own_only || own_groups > 0)
	{
		scan->own_delta = delta_scan_begin(table->table_id, low, high, backward, true, snapshot);
		sources[n++] = delta_source(scan->own_delta);
	}
	for (int i = 0; i <= ngroups; i++)
	{
		ForestRunIterator *iterator;

		if (i == own_groups && !own_only)
		{
			scan->delta = delta_scan_begin(table->table_id, low, high, backward, false, snapshot);
			sources[n++] = delta_source(scan->delta);
		}
		if (i == ngroups)
			break;
		iterator = forest_run_iterate(table->server_oid, &groups[i], low, high, backward);
		if (part != NULL)
			forest_run_iterate_part(iterator, part->bytes, part->went);
		scan->iterators[scan->niterators++] = iterator;
		sources[n++] = forest_run_source(iterator);
		if (largest == NULL || forest_run_raw_bytes(iterator) > forest_run_raw_bytes(largest))
			largest = iterator;
	}
	if (scan->delta != NULL && largest != NULL)
		delta_scan_in_windows(scan->delta, delta_horizon, largest);
	PG_STATUS_CHECK(lsm_merge_open(&scan->merge, sources, n, backward, &scan->alloc, &err), &err);
}

static ForestScan *
begin_scan(const ForestTable *table, Snapshot snapshot, const SvSlice *low, const SvSlice *high,
		   bool backward, const ForestScanPart *part)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "skyvault scan",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ForestScan *scan = palloc0(sizeof(ForestScan));

	scan->context = context;
	scan->alloc = pg_status_alloc(context);
	scan->now = forest_now();
	forest_table_check_key(table);
	if (table->table_id != 0 && (low == NULL || high == NULL || sv_slice_compare(*low, *high) < 0))
		open_sources(scan, table, snapshot, low, high, backward, part);
	MemoryContextSwitchTo(old);
	return scan;
}

ForestScan *
forest_scan_begin(const ForestTable *table, Snapshot snapshot,
				  const SvSlice *low, const SvSlice *high, bool backward)
{
	return begin_scan(table, snapshot, low, high, backward, NULL);
}

ForestScan *
forest_scan_begin_part(const ForestTable *table, Snapshot snapshot,
					   const SvSlice *low, const SvSlice *high, const ForestScanPart *part)
{
	return begin_scan(table, snapshot, low, high, false, part);
}

static inline SvStatus
next_entry(ForestScan *scan, SstEntry *entry, SvError *err)
{
	SvStatus	status;

	if (likely(scan->sole.next != NULL))
		return scan->sole.next(scan->sole.state, entry, err);
	status = lsm_merge_next(scan->merge, entry, NULL, err);
	if (status == SV_OK && !lsm_merge_sole(scan->merge, &scan->sole))
		scan->sole.next = NULL;
	return status;
}

void
forest_scan_join(ForestScan *scan, ForestTogether *together)
{
	for (int i = 0; i < scan->niterators; i++)
		forest_run_join(scan->iterators[i], together);
}

void
forest_scans_open(ForestScan *const *scans, int n)
{
	ForestRunIterator **iterators;
	int			niterators = 0;

	for (int i = 0; i < n; i++)
		niterators += scans[i]->niterators;
	iterators = palloc(Max(niterators, 1) * sizeof(ForestRunIterator *));
	niterators = 0;
	for (int i = 0; i < n; i++)
		for (int j = 0; j < scans[i]->niterators; j++)
			iterators[niterators++] = scans[i]->iterators[j];
	forest_runs_open(iterators, niterators);
	pfree(iterators);
}

bool
forest_scan_next(ForestScan *scan, SvSlice *key, ForestValue *value)
{
	MemoryContext old;
	SstEntry	entry;
	SvStatus	status;
	SvError		err;

	if (scan->merge == NULL)
		return false;

	old = MemoryContextSwitchTo(scan->context);
	do
	{
		CHECK_FOR_INTERRUPTS();
		status = next_entry(scan, &entry, &err);
	} while (status == SV_OK &&
			 (entry.kind == SST_TOMBSTONE ||
			  (entry.expires_at != SST_NEVER_EXPIRES && entry.expires_at <= scan->now)));
	MemoryContextSwitchTo(old);

	if (status == SV_NOT_FOUND)
		return false;
	if (status != SV_OK)
		pg_status_report(ERROR, &err);
	*key = entry.key;
	value->found = true;
	value->value = entry.value;
	value->expires_at = entry.expires_at;
	return true;
}

void
forest_scan_end(ForestScan *scan)
{
	if (scan->own_delta != NULL)
		delta_scan_end(scan->own_delta);
	if (scan->delta != NULL)
		delta_scan_end(scan->delta);
	MemoryContextDelete(scan->context);
}
