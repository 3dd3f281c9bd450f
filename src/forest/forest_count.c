/*
 * forest_count.c
 *		See forest_count.h.
 *
 * The registry has the number of each run's entries, tombstones and values that
 * expire.  A run that lies between the bounds and overlaps no other run of the
 * table adds its entries without its tombstones, if either all or none of what
 * expires has expired: each of its keys is nowhere else.  What the other runs have
 * is merged and counted, stretch by stretch of runs that overlap.
 *
 * The delta's rows of the range are always read, so that a SERIALIZABLE transaction
 * leaves its predicate locks there.  Their keys are looked up in the runs: a row
 * takes the place of what these have.  If there are too many for that, all is merged.
 */
#include "postgres.h"

#include "forest/forest_count.h"

#include "forest/forest_delta.h"
#include "forest/forest_lookup.h"
#include "forest/forest_read.h"
#include "forest/forest_run.h"
#include "forest/forest_run_scan.h"
#include "forest/forest_snapshot.h"
#include "lsm/lsm_merge.h"
#include "lsm/lsm_walkey.h"
#include "miscadmin.h"
#include "server/pg_status.h"
#include "utils/memutils.h"

/* A row of the delta is looked up for so many entries of runs that need not be read. */
#define ENTRIES_FOR_LOOKUP 32

/* Keys that are looked up at once. */
#define LOOKUP_KEYS 256
#define SCRATCH_KEPT_BYTES (1024 * 1024)

typedef struct CountedRow
{
	SvSlice		key;
	bool		is_live;		/* in the delta */
	bool		is_decided;		/* it was found in a run */
} CountedRow;

typedef struct Count
{
	const ForestTable *table;
	Snapshot	snapshot;
	const SvSlice *low;
	const SvSlice *high;
	TimestampTz now;
	const LsmForest *forest;
	const LsmGroup *groups;
	int			ngroups;
	const LsmSourceRun **runs;	/* those with keys between the bounds, ascending by their first key */
	int			nruns;
	SvAlloc		alloc;
	SvBuffer	values;
} Count;

static bool
is_live(const Count *count, bool is_value, int64 expires_at)
{
	return is_value && (expires_at == SST_NEVER_EXPIRES || expires_at > count->now);
}

static SvSlice
copy_key(SvSlice key)
{
	uint8	   *copy = palloc(key.len + 1);

	if (key.len > 0)
		memcpy(copy, key.data, key.len);
	return sv_slice(copy, key.len);
}

/* ---- the delta ---- */

static SvSlice
key_in_run(const LsmSourceRun *source, SvSlice key)
{
	uint8	   *walkey;

	if (source->run->tier != LSM_WAL)
		return key;
	walkey = palloc(LSM_WALKEY_PREFIX_BYTES + key.len);
	lsm_walkey_prefix(walkey, source->part->table_id);
	memcpy(walkey + LSM_WALKEY_PREFIX_BYTES, key.data, key.len);
	return sv_slice(walkey, LSM_WALKEY_PREFIX_BYTES + key.len);
}

/* The rows' keys in one group, as far as nothing has decided on them; how many live ones it has. */
static int64
look_up_in_group(Count *count, const LsmGroup *group, CountedRow *rows, int nrows)
{
	static SvScratch scratch;
	const LsmRun *runs[LOOKUP_KEYS];
	SvSlice		keys[LOOKUP_KEYS];
	CountedRow *asked[LOOKUP_KEYS];
	RunAnswer	answers[LOOKUP_KEYS];
	uint32		n = 0;
	int64		live = 0;

	for (int i = 0; i < nrows; i++)
	{
		const LsmSourceRun *source = rows[i].is_decided ? NULL : lsm_group_find(group, rows[i].key);

		if (source == NULL)
			continue;
		runs[n] = source->run;
		keys[n] = key_in_run(source, rows[i].key);
		asked[n++] = &rows[i];
	}
	if (n == 0)
		return 0;
	sv_buffer_reset(&count->values);
	sv_scratch_reset(&scratch, SCRATCH_KEPT_BYTES);
	if (forest_run_get_cached(runs, keys, n, &scratch, &count->values, answers) > 0)
		forest_run_fetch(count->table->server_oid, runs, keys, n, &scratch, &count->values, answers);
	for (uint32 i = 0; i < n; i++)
	{
		asked[i]->is_decided = answers[i].kind != RUN_ABSENT;
		if (asked[i]->is_decided && is_live(count, answers[i].kind == SST_VALUE, answers[i].expires_at))
			live++;
	}
	return live;
}

/* What rows of the delta add to the runs' count, which has what they hide. */
static int64
count_rows(Count *count, CountedRow *rows, int nrows)
{
	int64		result = 0;

	for (int i = 0; i < nrows; i++)
		result += rows[i].is_live ? 1 : 0;
	for (int g = 0; g < count->ngroups; g++)
		result -= look_up_in_group(count, &count->groups[g], rows, nrows);
	return result;
}

/* How many of the delta's rows are worth being looked up. */
static uint64
most_lookups(const Count *count)
{
	uint64		entries = 0;

	for (int i = 0; i < count->nruns; i++)
		entries += count->runs[i]->part->entries;
	return Max(entries / ENTRIES_FOR_LOOKUP, LOOKUP_KEYS);
}

/* What the delta adds to the runs' count; false if it has more rows than are worth being looked up. */
static bool
count_delta(Count *count, int64 *result)
{
	const LsmFloor *floor = lsm_forest_floor(count->forest, count->table->table_id);
	DeltaScan  *scan = delta_scan_begin(count->table->table_id, count->low, count->high, false,
										floor != NULL && floor->is_own, count->snapshot);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "skyvault count", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = CurrentMemoryContext;
	CountedRow	rows[LOOKUP_KEYS];
	DeltaRow	row;
	uint64		left = most_lookups(count);
	bool		all = true;
	int			n = 0;

	*result = 0;
	while (all && delta_scan_next(scan, &row))
	{
		all = left-- > 0;
		MemoryContextSwitchTo(context);
		rows[n++] = (CountedRow) {
			.key = copy_key(row.key),.is_live = is_live(count, row.kind == DELTA_VALUE, row.expires_at)
		};
		if (n == LOOKUP_KEYS)
		{
			*result += count_rows(count, rows, n);
			MemoryContextReset(context);
			n = 0;
		}
		MemoryContextSwitchTo(old);
	}
	delta_scan_end(scan);
	MemoryContextSwitchTo(context);
	*result += count_rows(count, rows, n);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return all;
}

/* ---- the runs ---- */

static int
compare_runs(const void *a, const void *b)
{
	return sv_slice_compare((*(const LsmSourceRun *const *) a)->part->min_key,
							(*(const LsmSourceRun *const *) b)->part->min_key);
}

static void
choose_runs(Count *count)
{
	int			n;
	const LsmSourceRun *sources = lsm_forest_sources(count->forest, count->table->table_id, &n);

	count->groups = lsm_forest_groups(count->forest, count->table->table_id, &count->ngroups);
	count->runs = palloc(sizeof(LsmSourceRun *) * (n + 1));
	for (int i = 0; i < n; i++)
		if (lsm_part_overlaps(sources[i].part, count->low, count->high))
			count->runs[count->nruns++] = &sources[i];
	qsort(count->runs, count->nruns, sizeof(LsmSourceRun *), compare_runs);
}

/* The count of a run that overlaps no other, if the registry tells; else -1. */
static int64
count_from_registry(const Count *count, const LsmPart *part)
{
	uint64		expired = lsm_part_expired(part, count->now + 1);

	if ((count->low != NULL && sv_slice_compare(part->min_key, *count->low) < 0) ||
		(count->high != NULL && sv_slice_compare(part->max_key, *count->high) >= 0))
		return -1;
	if (expired != 0 && expired != part->expiring)
		return -1;
	return (int64) (part->entries - part->tombstones - expired);
}

/* What all runs have from low on and below high, merged. */
static int64
count_merged(Count *count, SvSlice low, SvSlice high)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "skyvault count", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	SvAlloc		alloc = pg_status_alloc(context);
	LsmSource  *sources = palloc(sizeof(LsmSource) * Max(count->ngroups, 1));
	LsmMerge   *merge;
	SstEntry	entry;
	SvStatus	status;
	SvError		err;
	int64		result = 0;

	for (int i = 0; i < count->ngroups; i++)
		sources[i] = forest_run_source(forest_run_iterate(count->table->server_oid, &count->groups[i],
														  &low, &high, false));
	PG_STATUS_CHECK(lsm_merge_open(&merge, sources, count->ngroups, false, &alloc, &err), &err);
	while ((status = lsm_merge_next(merge, &entry, NULL, &err)) == SV_OK)
	{
		CHECK_FOR_INTERRUPTS();
		if (is_live(count, entry.kind == SST_VALUE, entry.expires_at))
			result++;
	}
	if (status != SV_NOT_FOUND)
		pg_status_report(ERROR, &err);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return result;
}

/* n runs of which each overlaps one before it, and that no other overlaps. */
static int64
count_stretch(Count *count, const LsmSourceRun **runs, int n, SvSlice last_key)
{
	SvSlice		low = runs[0]->part->min_key;
	uint8	   *behind = palloc0(last_key.len + 1);
	SvSlice		high = sv_slice(behind, last_key.len + 1);
	int64		result = n == 1 ? count_from_registry(count, runs[0]->part) : -1;

	if (last_key.len > 0)
		memcpy(behind, last_key.data, last_key.len);
	if (result < 0)
	{
		if (count->low != NULL && sv_slice_compare(low, *count->low) < 0)
			low = *count->low;
		if (count->high != NULL && sv_slice_compare(*count->high, high) < 0)
			high = *count->high;
		result = count_merged(count, low, high);
	}
	pfree(behind);
	return result;
}

static int64
count_runs(Count *count)
{
	int64		result = 0;
	int			first = 0;

	while (first < count->nruns)
	{
		SvSlice		last_key = count->runs[first]->part->max_key;
		int			n = 1;

		while (first + n < count->nruns &&
			   sv_slice_compare(count->runs[first + n]->part->min_key, last_key) <= 0)
		{
			SvSlice		end = count->runs[first + n++]->part->max_key;

			if (sv_slice_compare(end, last_key) > 0)
				last_key = end;
		}
		result += count_stretch(count, &count->runs[first], n, last_key);
		first += n;
	}
	return result;
}

/* ---- all of it ---- */

static int64
count_scanned(const Count *count)
{
	ForestScan *scan = forest_scan_begin(count->table, count->snapshot, count->low, count->high, false);
	SvSlice		key;
	ForestValue value;
	int64		result = 0;

	while (forest_scan_next(scan, &key, &value))
		result++;
	forest_scan_end(scan);
	return result;
}

int64
forest_count(const ForestTable *table, Snapshot snapshot, const SvSlice *low, const SvSlice *high)
{
	MemoryContext context;
	MemoryContext old;
	Count		count = {.table = table,.snapshot = snapshot,.low = low,.high = high,.now = forest_now()};
	int64		result;
	int64		added;

	forest_table_check_key(table);
	if (table->table_id == 0 || (low != NULL && high != NULL && sv_slice_compare(*low, *high) >= 0))
		return 0;

	context = AllocSetContextCreate(CurrentMemoryContext, "skyvault count", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	count.alloc = pg_status_alloc(context);
	count.values = (SvBuffer) {.alloc = &count.alloc};
	count.forest = forest_of_snapshot(table->vault_id, snapshot);
	choose_runs(&count);
	/* Own runs hide others' delta rows: then the scan knows best. */
	result = lsm_forest_own_groups(count.forest, table->table_id) == 0 && count_delta(&count, &added) ?
		count_runs(&count) + added : count_scanned(&count);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return result;
}
