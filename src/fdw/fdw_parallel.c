/*
 * fdw_parallel.c
 *		See fdw_parallel.h.
 */
#include "postgres.h"

#include "fdw/fdw_parallel.h"

#include "forest/forest_cuts.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "utils/memutils.h"

/* Room for cuts: where keys are long, they are fewer. */
#define CUTS_BYTES (64 * 1024)

/*
 * Slices are small enough for all processes to end at about the same time, and large
 * enough for beginning one, which means a seek in each run, not to count.
 */
#define SLICE_BYTES ((uint64) 8 * 1024 * 1024)
#define SLICES_PER_PROCESS 4
#define MAX_SLICES 1024

Size
fdw_parallel_bytes(void)
{
	return offsetof(FdwParallel, cuts) + CUTS_BYTES;
}

void
fdw_parallel_init(FdwParallel *parallel)
{
	memset(parallel, 0, offsetof(FdwParallel, cuts));
	pg_atomic_init_u32(&parallel->next, 0);
	SpinLockInit(&parallel->lock);
}

/* ---- the leader ---- */

static void
store_cuts(FdwParallel *parallel, const ForestCuts *cuts)
{
	Size		used = 0;

	for (int i = 0; i < cuts->n; i++)
	{
		uint32		len = (uint32) cuts->keys[i].len;

		if (used + sizeof(len) + len > CUTS_BYTES)
			break;
		memcpy(parallel->cuts + used, &len, sizeof(len));
		memcpy(parallel->cuts + used + sizeof(len), cuts->keys[i].data, len);
		used += sizeof(len) + len;
		parallel->nslices++;
	}
}

/* Of the cuts, so many at equal distances, for which there is room. */
static void
thin_out(ForestCuts *cuts)
{
	Size		bytes = 0;
	int			wanted;

	for (int i = 0; i < cuts->n; i++)
		bytes += sizeof(uint32) + cuts->keys[i].len;
	if (bytes <= CUTS_BYTES)
		return;
	wanted = (int) ((double) cuts->n * CUTS_BYTES / bytes / 2);
	for (int i = 0; i < wanted; i++)
		cuts->keys[i] = cuts->keys[(int64) i * cuts->n / wanted];
	cuts->n = wanted;
}

void
fdw_parallel_begin(FdwParallel *parallel, const ForestTable *table, Snapshot snapshot,
				   const FdwTargets *targets, int nprocesses)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "skyvault slices",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ForestCuts	cuts = {0};

	if (!targets->are_points && targets->n > 0)
	{
		const FdwRange *first = &targets->ranges[0];
		const FdwRange *last = &targets->ranges[targets->n - 1];

		forest_cuts(table, snapshot, first->has_low ? &first->low : NULL, last->has_high ? &last->high : NULL,
					nprocesses * SLICES_PER_PROCESS, MAX_SLICES, SLICE_BYTES, &cuts);
	}
	thin_out(&cuts);
	parallel->bytes = cuts.bytes;
	parallel->nslices = 1;
	store_cuts(parallel, &cuts);
	pg_atomic_write_u32(&parallel->next, 0);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* ---- each process ---- */

/* The cut at *at, which becomes the place of the next one. */
static SvSlice
read_cut(const FdwParallel *parallel, Size *at)
{
	const char *place = parallel->cuts + *at;
	uint32		len;

	memcpy(&len, place, sizeof(len));
	*at += sizeof(len) + len;
	return sv_slice((const uint8 *) place + sizeof(len), len);
}

bool
fdw_parallel_take(FdwParallel *parallel, FdwSlice *slice)
{
	uint32		number = pg_atomic_fetch_add_u32(&parallel->next, 1);
	Size		at = 0;

	if (number >= parallel->nslices)
		return false;
	*slice = (FdwSlice) {.number = number};
	for (uint32 i = 0; i < number; i++)
		slice->keys.low = read_cut(parallel, &at);
	slice->keys.has_low = number > 0;
	slice->keys.has_high = number + 1 < parallel->nslices;
	if (slice->keys.has_high)
		slice->keys.high = read_cut(parallel, &at);
	return true;
}

bool
fdw_parallel_clip(const FdwSlice *slice, FdwRange *range)
{
	const FdwRange *keys = &slice->keys;

	if (keys->has_low && (!range->has_low || sv_slice_compare(keys->low, range->low) > 0))
	{
		range->has_low = true;
		range->low = keys->low;
	}
	if (keys->has_high && (!range->has_high || sv_slice_compare(keys->high, range->high) < 0))
	{
		range->has_high = true;
		range->high = keys->high;
	}
	return !range->has_low || !range->has_high || sv_slice_compare(range->low, range->high) < 0;
}

int
fdw_parallel_first_range(const FdwSlice *slice, const FdwTargets *targets)
{
	int			low = 0;
	int			high = targets->n;

	while (slice->keys.has_low && low < high)
	{
		int			middle = low + (high - low) / 2;
		const FdwRange *range = &targets->ranges[middle];

		if (range->has_high && sv_slice_compare(range->high, slice->keys.low) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* ---- what it took ---- */

void
fdw_parallel_tell(FdwParallel *parallel, const FdwMeter *meter)
{
	SpinLockAcquire(&parallel->lock);
	fdw_meter_merge(&parallel->meter, meter);
	SpinLockRelease(&parallel->lock);
}

void
fdw_parallel_collect(FdwParallel *parallel, FdwMeter *meter)
{
	SpinLockAcquire(&parallel->lock);
	fdw_meter_merge(meter, &parallel->meter);
	memset(&parallel->meter, 0, sizeof(FdwMeter));
	SpinLockRelease(&parallel->lock);
}

/* ---- the planner ---- */

int
fdw_parallel_workers(PlannerInfo *root, RelOptInfo *rel, double rows, double *divisor)
{
	double		pages = rel->pages * Min(1, rows / Max(rel->tuples, 1));
	int			workers = compute_parallel_worker(rel, pages, -1, max_parallel_workers_per_gather);

	/* As for Postgres's own scans: the leader does the less, the more workers it has to hear. */
	*divisor = workers;
	if (parallel_leader_participation)
		*divisor += Max(0, 1.0 - 0.3 * workers);
	return workers;
}
