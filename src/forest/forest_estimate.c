/*
 * forest_estimate.c
 *		See forest_estimate.h.
 */
#include "postgres.h"

#include "forest/forest_estimate.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_statistic.h"
#include "forest/forest_catalog.h"
#include "forest/forest_delta_count.h"
#include "forest/forest_filter.h"
#include "forest/forest_snapshot.h"
#include "lsm/lsm_forest.h"
#include "optimizer/plancat.h"
#include "pgstat.h"
#include "server/pg_compat.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* Bytes of two keys, behind what they have in common, that are compared as numbers. */
#define NUMBER_BYTES 8

/* So many rows of the delta are counted. */
#define COUNTED_ROWS 100

/* ---- the delta ---- */

/* The share of the delta's rows that are the table's, by the most common values of its first column. */
static double
share_by_values(HeapTuple statistics, int32 table_id, double rows)
{
	double		distinct = ((Form_pg_statistic) GETSTRUCT(statistics))->stadistinct;
	double		left = 1;
	double		share = -1;
	AttStatsSlot slot;

	if (!get_attstatsslot(&slot, statistics, STATISTIC_KIND_MCV, InvalidOid,
						  ATTSTATSSLOT_VALUES | ATTSTATSSLOT_NUMBERS))
		return 1;
	for (int i = 0; i < slot.nvalues; i++)
	{
		if (DatumGetInt32(slot.values[i]) == table_id)
			share = slot.numbers[i];
		left -= slot.numbers[i];
	}
	if (distinct < 0)
		distinct *= -rows;
	if (share < 0)
		share = Max(left, 0) / Max(distinct - slot.nvalues, 1);
	free_attstatsslot(&slot);
	return share;
}

/*
 * Rows of all tables.  By its pages alone the delta would seem to have what flushes have
 * taken out since the last VACUUM, which is most of it; by the counters alone it would
 * seem empty after a crash.
 */
static double
live_delta_rows(Relation delta, double *bytes)
{
	PgStat_StatTabEntry *counted = pgstat_fetch_stat_tabentry(RelationGetRelid(delta));
	BlockNumber pages;
	double		visible;
	double		rows;
	double		live;

	estimate_rel_size(delta, NULL, &pages, &rows, &visible);
	live = counted != NULL ? Min(rows, compat_live_tuples(counted)) : rows;
	*bytes = rows > 0 ? (double) pages * BLCKSZ * live / rows : 0;
	return live;
}

/*
 * Statistics may be old, or there are none: then the rows of all tables would be this
 * one's.  It mostly has none, as the filter says, or a few, which is soon seen.
 */
static void
bound_by_index(int32 table_id, ForestEstimate *estimate)
{
	int			entries;

	if (estimate->delta_rows <= COUNTED_ROWS)
		return;
	entries = forest_filter_excludes_table(table_id) ? 0 : delta_count_entries(table_id, COUNTED_ROWS + 1);
	if (entries > COUNTED_ROWS)
		return;
	estimate->delta_bytes *= entries / estimate->delta_rows;
	estimate->delta_rows = entries;
}

static void
estimate_delta(int32 table_id, ForestEstimate *estimate)
{
	Relation	delta = catalog_open(CATALOG_DELTA, AccessShareLock);
	double		bytes;
	double		rows;
	double		share = 1;
	HeapTuple	statistics;

	rows = live_delta_rows(delta, &bytes);
	statistics = SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(RelationGetRelid(delta)),
								 Int16GetDatum(Anum_delta_table_id), BoolGetDatum(false));
	if (HeapTupleIsValid(statistics))
	{
		share = share_by_values(statistics, table_id, rows);
		ReleaseSysCache(statistics);
	}
	table_close(delta, AccessShareLock);
	estimate->delta_rows = rows * share;
	estimate->delta_bytes = bytes * share;
	bound_by_index(table_id, estimate);
}

/* ---- runs ---- */

static MemoryContext
scratch_context(void)
{
	return AllocSetContextCreate(CurrentMemoryContext, "skyvault estimate", ALLOCSET_SMALL_SIZES);
}

static void
estimate_runs(const LsmForest *forest, int32 table_id, ForestEstimate *estimate)
{
	int			n;
	const LsmSourceRun *sources = lsm_forest_sources(forest, table_id, &n);

	for (int i = 0; i < n; i++)
	{
		estimate->run_entries += sources[i].part->entries;
		estimate->run_tombstones += sources[i].part->tombstones;
		estimate->run_bytes += sources[i].part->raw_bytes;
	}
	for (int i = 0; i < lsm_forest_run_count(forest); i++)
	{
		const LsmRun *run = lsm_forest_run(forest, i);

		for (int j = 0; j < run->nparts; j++)
			estimate->vault_bytes += run->parts[j].raw_bytes;
	}
}

void
forest_estimate(const ForestTable *table, Snapshot snapshot, ForestEstimate *estimate)
{
	MemoryContext scratch;
	MemoryContext old;

	memset(estimate, 0, sizeof(ForestEstimate));
	if (table->table_id == 0)
		return;
	scratch = scratch_context();
	old = MemoryContextSwitchTo(scratch);
	estimate_runs(forest_of_snapshot(table->vault_id, snapshot), table->table_id, estimate);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
	estimate_delta(table->table_id, estimate);
}

double
forest_estimate_rows(const ForestEstimate *estimate)
{
	/* A tombstone hides an entry, mostly. */
	return Max(estimate->run_entries - 2 * estimate->run_tombstones, 0) + estimate->delta_rows;
}

BlockNumber
forest_estimate_pages(const ForestEstimate *estimate)
{
	double		pages = (estimate->run_bytes + estimate->delta_bytes) / BLCKSZ;

	return (BlockNumber) Max(1, Min(pages, (double) MaxBlockNumber));
}

/* ---- keys as numbers ---- */

static double
number_of(SvSlice key, size_t from)
{
	double		number = 0;

	for (size_t i = from; i < from + NUMBER_BYTES; i++)
		number = number * 256 + (i < key.len ? key.data[i] : 0);
	return number;
}

/* Where the key lies between low and high: 0 to 1. */
static double
place_between(SvSlice low, SvSlice high, SvSlice key)
{
	size_t		common = 0;
	double		first;
	double		last;

	if (sv_slice_compare(key, low) <= 0)
		return 0;
	if (sv_slice_compare(key, high) > 0)
		return 1;
	while (common < low.len && common < high.len && low.data[common] == high.data[common])
		common++;
	first = number_of(low, common);
	last = number_of(high, common);
	return last > first ? Min(1, Max(0, (number_of(key, common) - first) / (last - first))) : 0.5;
}

double
forest_estimate_share_below(const ForestTable *table, Snapshot snapshot, SvSlice key)
{
	MemoryContext scratch;
	MemoryContext old;
	const LsmSourceRun *sources;
	double		all = 0;
	double		below = 0;
	int			n;

	if (table->table_id == 0)
		return -1;
	scratch = scratch_context();
	old = MemoryContextSwitchTo(scratch);
	sources = lsm_forest_sources(forest_of_snapshot(table->vault_id, snapshot), table->table_id, &n);
	for (int i = 0; i < n; i++)
	{
		const LsmPart *part = sources[i].part;

		all += part->entries;
		below += part->entries * place_between(part->min_key, part->max_key, key);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
	return all > 0 ? below / all : -1;
}
