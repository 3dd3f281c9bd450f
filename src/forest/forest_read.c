/*
 * forest_read.c
 *		Reading keys of tables under one snapshot.
 */
#include "postgres.h"

#include "forest/forest_read.h"

#include "forest/forest_lookup.h"
#include "forest/forest_run.h"
#include "forest/forest_snapshot.h"
#include "forest/key_sort.h"
#include "lsm/lsm_merge.h"
#include "miscadmin.h"
#include "server/pg_status.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

struct ForestScan
{
	MemoryContext context;		/* holds this struct and all below */
	SvAlloc		alloc;
	DeltaScan  *delta;
	LsmMerge   *merge;			/* source 0 is the delta */
	TimestampTz now;
};

static void
value_not_found(ForestValue *out)
{
	out->found = false;
	out->value = sv_slice(NULL, 0);
	out->expires_at = DT_NOEND;
}

static MemoryContext
scratch_context(void)
{
	return AllocSetContextCreate(CurrentMemoryContext, "skyvault lookup", ALLOCSET_SMALL_SIZES);
}

void
forest_get(const ForestTable *table, SvSlice key, Snapshot snapshot, ForestValue *out)
{
	MemoryContext result = CurrentMemoryContext;
	MemoryContext scratch;
	ForestView	view;
	ForestEntry entry;

	value_not_found(out);
	if (table->table_id == 0)
		return;

	scratch = scratch_context();
	MemoryContextSwitchTo(scratch);
	forest_view_open(&view, table, snapshot);
	forest_lookup(&view, table->table_id, key, &entry);
	MemoryContextSwitchTo(result);
	forest_value_from_entry(&entry, out);
	forest_view_close(&view);
	MemoryContextDelete(scratch);
}

bool
forest_get_into(const ForestTable *table, SvSlice key, Snapshot snapshot,
				ForestValueTaker take, void *arg)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext scratch;
	ForestView	view;
	ForestEntry entry;
	bool		found;

	if (table->table_id == 0)
		return false;

	scratch = scratch_context();
	MemoryContextSwitchTo(scratch);
	forest_view_open(&view, table, snapshot);
	forest_lookup(&view, table->table_id, key, &entry);
	MemoryContextSwitchTo(caller);
	found = forest_entry_is_live(&entry);
	if (found)
		take(arg, entry.value);
	forest_view_close(&view);
	MemoryContextDelete(scratch);
	return found;
}

/* One wanted key of a batch. */
typedef struct BatchKey
{
	const ForestTable *table;
	SvSlice		key;
	int			position;		/* in the caller's arrays */
} BatchKey;

static int
compare_batch_keys(const void *a, const void *b)
{
	const BatchKey *left = a;
	const BatchKey *right = b;

	if (left->table->vault_id != right->table->vault_id)
		return left->table->vault_id < right->table->vault_id ? -1 : 1;
	if (left->table->table_id != right->table->table_id)
		return left->table->table_id < right->table->table_id ? -1 : 1;
	return sv_slice_compare(left->key, right->key);
}

static bool
same_batch_key(const BatchKey *a, const BatchKey *b)
{
	return a->table->table_id == b->table->table_id && sv_slice_equal(a->key, b->key);
}

static bool
same_table(const ForestTable *const *tables, int n)
{
	for (int i = 1; i < n; i++)
		if (tables[i] != tables[0])
			return false;
	return true;
}

/* Sorted, so that neighbours in the delta's index and in blocks are met together, and repeats once. */
static BatchKey *
sort_batch(const ForestTable *const *tables, const SvSlice *keys, int n)
{
	BatchKey   *batch = palloc(n * sizeof(BatchKey));

	if (same_table(tables, n))
	{
		int		   *order = palloc(n * sizeof(int));

		key_sort(keys, n, order);
		for (int i = 0; i < n; i++)
			batch[i] = (BatchKey) {.table = tables[0],.key = keys[order[i]],.position = order[i]};
		pfree(order);
		return batch;
	}
	for (int i = 0; i < n; i++)
		batch[i] = (BatchKey) {.table = tables[i],.key = keys[i],.position = i};
	qsort(batch, n, sizeof(BatchKey), compare_batch_keys);
	return batch;
}

void
forest_multi_get(const ForestTable *const *tables, const SvSlice *keys, int n,
				 Snapshot snapshot, ForestValue *out)
{
	MemoryContext result = CurrentMemoryContext;
	MemoryContext scratch;
	BatchKey   *batch;
	ForestView	view = {0};

	if (n == 0)
		return;
	scratch = scratch_context();
	MemoryContextSwitchTo(scratch);
	batch = sort_batch(tables, keys, n);

	for (int i = 0; i < n; i++)
	{
		BatchKey   *wanted = &batch[i];
		ForestValue *value = &out[wanted->position];
		ForestEntry entry;

		if (i > 0 && same_batch_key(&batch[i - 1], wanted))
		{
			*value = out[batch[i - 1].position];
			continue;
		}
		value_not_found(value);
		if (wanted->table->table_id == 0)
			continue;
		if (view.probe == NULL || view.vault_id != wanted->table->vault_id)
		{
			if (view.probe != NULL)
				forest_view_close(&view);
			forest_view_open(&view, wanted->table, snapshot);
		}
		forest_lookup(&view, wanted->table->table_id, wanted->key, &entry);
		MemoryContextSwitchTo(result);
		forest_value_from_entry(&entry, value);
		MemoryContextSwitchTo(scratch);
	}
	if (view.probe != NULL)
		forest_view_close(&view);
	MemoryContextSwitchTo(result);
	MemoryContextDelete(scratch);
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

static void
open_sources(ForestScan *scan, const ForestTable *table, Snapshot snapshot,
			 const SvSlice *low, const SvSlice *high, bool backward)
{
	const LsmForest *forest = forest_of_snapshot(table->vault_id, snapshot);
	const LsmFloor *floor = lsm_forest_floor(forest, table->table_id);
	int			nruns;
	const LsmSourceRun *runs = lsm_forest_sources(forest, table->table_id, &nruns);
	LsmSource  *sources = palloc((nruns + 1) * sizeof(LsmSource));
	int			n = 0;
	SvError		err;

	scan->delta = delta_scan_begin(table->table_id, low, high, backward,
								   floor != NULL && floor->is_own, snapshot);
	sources[n++] = (LsmSource) {.next = delta_source_next,.state = scan->delta};
	for (int i = 0; i < nruns; i++)
		if (lsm_part_overlaps(runs[i].part, low, high))
			sources[n++] = forest_run_source(forest_run_iterate(table->server_oid, &runs[i],
																low, high, backward));
	PG_STATUS_CHECK(lsm_merge_open(&scan->merge, sources, n, backward, &scan->alloc, &err), &err);
}

ForestScan *
forest_scan_begin(const ForestTable *table, Snapshot snapshot,
				  const SvSlice *low, const SvSlice *high, bool backward)
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
		open_sources(scan, table, snapshot, low, high, backward);
	MemoryContextSwitchTo(old);
	return scan;
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
		status = lsm_merge_next(scan->merge, &entry, NULL, &err);
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
	if (scan->delta != NULL)
		delta_scan_end(scan->delta);
	MemoryContextDelete(scan->context);
}

double
forest_estimate_entries(const ForestTable *table, Snapshot snapshot)
{
	MemoryContext scratch = scratch_context();
	MemoryContext old = MemoryContextSwitchTo(scratch);
	double		entries = 0;

	if (table->table_id != 0)
	{
		const LsmForest *forest = forest_of_snapshot(table->vault_id, snapshot);
		int			n;
		const LsmSourceRun *runs = lsm_forest_sources(forest, table->table_id, &n);

		for (int i = 0; i < n; i++)
			entries += (double) runs[i].part->entries - 2.0 * runs[i].part->tombstones;
		entries = Max(entries, 0) + delta_estimate_rows();
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
	return entries;
}
