/*
 * compact_warm.c
 *		Warms the outputs of a compaction.
 */
#include "postgres.h"

#include "worker/compact_warm.h"

#include "lsm/lsm_walkey.h"
#include "miscadmin.h"
#include "server/pg_cache.h"
#include "server/pg_status.h"
#include "server/stop_point.h"

/* So many blocks of an output may hold what one of an input held. */
#define NEIGHBOURS 4

/* A block of an input that is in the cache. */
typedef struct HotBlock
{
	int			input;			/* in the job */
	uint32		block;
} HotBlock;

typedef struct Warmth
{
	const CompactPlan *plan;
	const LsmResult *result;
	CacheRunId *ids;			/* of the inputs */
	HotBlock   *hot;
	int			nhot;
	int			room;
	bool		too_many;
} Warmth;

/* A run that is read by way of the cache. */
typedef struct WarmRun
{
	RunScan		scan;
	RunReader	reader;
	const CompactPlan *plan;
	bool		is_open;
} WarmRun;

static SvStatus
read_range(void *state, uint64_t offset, size_t len, void *dst, SvError *err)
{
	WarmRun    *run = state;
	StoreRange	range = {.name = run->reader.source.name,.offset = offset,.len = len,.dst = dst};

	return store_get(run->plan->store, &range, 1, NULL, run->plan->call, err);
}

/* The run's tail is in the cache then. */
static void
open_run(const CompactPlan *plan, WarmRun *run, const LsmRun *lsm_run)
{
	SvError		err;

	run->plan = plan;
	run->reader = (RunReader)
	{
		.id = pg_cache_run_id(lsm_run->object),
			.file_bytes = lsm_run->file_bytes,.tail_bytes = lsm_run->tail_bytes,
			.source = {.read = read_range,.state = run,.name = lsm_run->object}
	};
	run->is_open = run_scan_open(&run->scan, pg_caches(), &run->reader, &err) == SV_OK;
}

static void
close_run(WarmRun *run)
{
	if (run->is_open)
		run_scan_close(&run->scan);
	run->is_open = false;
}

/*
 * Which blocks of the inputs are cached
 */

/* Called under no lock, but must not raise errors either. */
static void
note_block(void *state, const BlockCacheItem *item)
{
	Warmth	   *warmth = state;

	for (int i = 0; i < warmth->plan->job->ninputs; i++)
	{
		if (item->key.run.hi != warmth->ids[i].hi || item->key.run.lo != warmth->ids[i].lo)
			continue;
		if (warmth->nhot < warmth->room)
			warmth->hot[warmth->nhot++] = (HotBlock)
		{
			.input = i,.block = item->key.block
		};
		else
			warmth->too_many = true;
	}
}

static int
compare_hot(const void *a, const void *b)
{
	const HotBlock *left = a;
	const HotBlock *right = b;

	if (left->input != right->input)
		return (left->input > right->input) - (left->input < right->input);
	return (left->block > right->block) - (left->block < right->block);
}

/* Again, with more room, while there are more than fit. */
static void
find_hot_blocks(Warmth *warmth)
{
	const LsmJob *job = warmth->plan->job;

	warmth->ids = palloc(Max(job->ninputs, 1) * sizeof(CacheRunId));
	for (int i = 0; i < job->ninputs; i++)
		warmth->ids[i] = pg_cache_run_id(job->inputs[i].run.object);
	do
	{
		warmth->room = Max(1024, warmth->room * 4);
		warmth->hot = palloc_extended(warmth->room * sizeof(HotBlock), MCXT_ALLOC_HUGE);
		warmth->nhot = 0;
		warmth->too_many = false;
		block_cache_walk(pg_caches()->blocks, note_block, warmth);
	} while (warmth->too_many);
	qsort(warmth->hot, warmth->nhot, sizeof(HotBlock), compare_hot);
}

/*
 * Where their keys are now
 */

/* The first output of the table whose keys reach up to the key; -1: none. */
static int
find_output(const LsmResult *result, int32 table_id, SvSlice key)
{
	int			best = -1;

	for (int i = 0; i < result->noutputs; i++)
	{
		const LsmRun *run = &result->outputs[i].run;

		if (run->nparts == 0 || run->parts[0].table_id != table_id ||
			sv_slice_compare(run->parts[0].max_key, key) < 0)
			continue;
		if (best < 0 ||
			sv_slice_compare(run->parts[0].min_key, result->outputs[best].run.parts[0].min_key) < 0)
			best = i;
	}
	return best;
}

/* Keys of a table, from the low one up to the high one, or to before it. */
typedef struct WarmKeys
{
	int32		table_id;
	SvSlice		low;
	SvSlice		high;
	bool		before_high;
} WarmKeys;

/* The block where the key is, or would be, or what comes before it. */
static uint32
block_of(const SstTail *tail, SvSlice key, bool before)
{
	uint32		blocks = sst_tail_blocks_up_to(tail, key);

	if (before && blocks > 1 && sv_slice_equal(sst_index_low_key(&tail->index, blocks - 1), key))
		blocks--;
	return Max(blocks, 1) - 1;
}

static void
warm_block(WarmRun *output, uint32 block)
{
	bool		loaded;
	SvError		err;

	if (output->is_open && block < output->scan.tail->index.count)
		(void) run_scan_warm(&output->scan, block, &loaded, &err);
}

/*
 * All blocks that the keys are in, if these are neighbours in the outputs as
 * well; else they are few among many, and nobody knows where but at both ends.
 */
static void
warm_keys(const Warmth *warmth, WarmRun *outputs, const WarmKeys *keys)
{
	int			from = find_output(warmth->result, keys->table_id, keys->low);
	int			to = find_output(warmth->result, keys->table_id, keys->high);
	uint32		first;
	uint32		last;

	if (from < 0 || !outputs[from].is_open)
		return;
	first = block_of(outputs[from].scan.tail, keys->low, false);
	last = from == to ? block_of(outputs[from].scan.tail, keys->high, keys->before_high) :
		outputs[from].scan.tail->index.count - 1;
	warm_block(&outputs[from], first);
	if (last > first && last - first < NEIGHBOURS)
		for (uint32 block = first + 1; block < last; block++)
			warm_block(&outputs[from], block);
	if (last > first && (from == to || last - first < NEIGHBOURS))
		warm_block(&outputs[from], last);
	if (to >= 0 && to != from && outputs[to].is_open &&
		sv_slice_compare(warmth->result->outputs[to].run.parts[0].min_key, keys->high) < 0)
		warm_block(&outputs[to], block_of(outputs[to].scan.tail, keys->high, keys->before_high));
}

/* What a block of an input holds: up to the next one, or to the end of the table.  False: nothing of a table. */
static bool
keys_of_block(const LsmRun *lsm_run, const SstIndex *index, uint32 block, WarmKeys *keys)
{
	bool		is_wal = lsm_run->tier == LSM_WAL;
	SvSlice		low = sst_index_low_key(index, block);
	SvSlice		next = block + 1 < index->count ? sst_index_low_key(index, block + 1) : sv_slice(NULL, 0);

	if (is_wal && low.len < LSM_WALKEY_PREFIX_BYTES)
		return false;
	keys->table_id = is_wal ? lsm_walkey_table(low) : lsm_run->parts[0].table_id;
	keys->low = is_wal ? lsm_walkey_key(low) : low;
	keys->before_high = block + 1 < index->count &&
		(!is_wal || (next.len >= LSM_WALKEY_PREFIX_BYTES && lsm_walkey_table(next) == keys->table_id));
	if (keys->before_high)
	{
		keys->high = is_wal ? lsm_walkey_key(next) : next;
		return true;
	}
	for (int i = 0; i < lsm_run->nparts; i++)
	{
		keys->high = lsm_run->parts[i].max_key;
		if (lsm_run->parts[i].table_id == keys->table_id)
			return true;
	}
	return false;
}

static int
warm_input(const Warmth *warmth, WarmRun *outputs, int first)
{
	const LsmRun *lsm_run = &warmth->plan->job->inputs[warmth->hot[first].input].run;
	WarmRun		input;
	int			i;

	open_run(warmth->plan, &input, lsm_run);
	for (i = first; i < warmth->nhot && warmth->hot[i].input == warmth->hot[first].input; i++)
	{
		WarmKeys	keys;

		if (input.is_open && !pg_status_must_stop() && warmth->hot[i].block < input.scan.tail->index.count &&
			keys_of_block(lsm_run, &input.scan.tail->index, warmth->hot[i].block, &keys))
			warm_keys(warmth, outputs, &keys);
	}
	close_run(&input);
	return i;
}

void
compact_warm(const CompactPlan *plan, const LsmResult *result)
{
	Warmth		warmth = {.plan = plan,.result = result};
	WarmRun    *outputs = palloc0(Max(result->noutputs, 1) * sizeof(WarmRun));

	if (result->noutputs == 0)
		return;
	STOP_POINT("compact-before-warm");
	find_hot_blocks(&warmth);
	for (int i = 0; i < result->noutputs; i++)
		open_run(plan, &outputs[i], &result->outputs[i].run);
	for (int i = 0; i < warmth.nhot;)
		i = warm_input(&warmth, outputs, i);
	for (int i = 0; i < result->noutputs; i++)
		close_run(&outputs[i]);
	CHECK_FOR_INTERRUPTS();
}
