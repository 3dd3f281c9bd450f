/*
 * forest_sample.c
 *		See forest_sample.h.
 *
 * Why not the keys of every run by themselves: a key that was written ten times would
 * count ten times, and its old values too.  So each sampled entry is asked about in what
 * comes before it, and only there: the entry itself is at hand.  Such a question costs
 * no block where a filter says no, which is wrong one time in a hundred; where a newer
 * entry exists, its block is read, and it mostly is one that answers for the neighbours
 * in the sampled block as well.
 */
#include "postgres.h"

#include "forest/forest_sample.h"

#include <math.h>

#include "common/pg_prng.h"
#include "forest/forest_delta.h"
#include "forest/forest_lookup.h"
#include "forest/forest_read.h"
#include "forest/forest_run.h"
#include "forest/forest_run_scan.h"
#include "forest/forest_snapshot.h"
#include "lsm/lsm_walkey.h"
#include "miscadmin.h"
#include "server/pg_status.h"
#include "sst/sst_format.h"
#include "sst/sst_load.h"
#include "utils/memutils.h"

/* Entries that are taken of a block: fewer would read more blocks, more would be too alike. */
#define PER_BLOCK 30
#define LEAST_BLOCKS 300
#define MAX_BLOCKS 2000
#define MAX_BLOCK_BYTES ((double) 64 * 1024 * 1024)

/* Runs that blocks are taken of, and so tails that have to be read. */
#define MAX_RUNS 64

/* Of blocks that are read because a filter was wrong, which it is once in so many lookups. */
#define MAX_FALSE_BLOCKS 1000
#define LOOKUPS_PER_FALSE 100

/* Keys of one question. */
#define CHUNK_KEYS 1000

/* Of maintenance_work_mem, what a sample may take. */
#define MEMORY_SHARE 2

typedef struct Entry
{
	ForestSampleRow row;
	int			group;			/* in lookup order */
	bool		dead;
} Entry;

typedef struct Sampling
{
	const ForestTable *table;
	Snapshot	snapshot;
	TimestampTz now;
	bool		own_only;		/* this transaction has truncated the table */
	const LsmGroup *groups;
	int			ngroups;
	double		entries;		/* in runs */
	double		raw_bytes;
	int			nruns;
	int			wanted;			/* rows */

	Entry	   *list;			/* of the runs */
	int			n;
	int			room;
	uint32		blocks;
	uint32		runs;
	uint32		blocks_per_point;	/* a run is chosen once or several times: so many blocks each time */
	int			per_block;

	ForestSampleRow *delta;		/* a sample of the delta's live rows */
	int			ndelta;
	double		delta_rows;		/* all of them */
} Sampling;

static double
random_fraction(void)
{
	return pg_prng_double(&pg_global_prng_state);
}

/* Below n. */
static uint64
random_below(uint64 n)
{
	return pg_prng_uint64_range(&pg_global_prng_state, 0, n - 1);
}

static SvSlice
copy_slice(SvSlice slice)
{
	uint8	   *data = palloc(slice.len + 1);

	if (slice.len > 0)
		memcpy(data, slice.data, slice.len);
	return sv_slice(data, slice.len);
}

static void
free_row(ForestSampleRow *row)
{
	pfree(unconstify(uint8 *, row->key.data));
	pfree(unconstify(uint8 *, row->value.data));
}

/*
 * Row number `seen` of those that come by, counted from 1: it is kept, takes the place
 * of one that was, or neither, so that in the end each has had the same chance.
 */
static void
reservoir_add(ForestSampleRow *rows, int *n, int room, double seen, SvSlice key, SvSlice value)
{
	ForestSampleRow *place;

	if (*n < room)
		place = &rows[(*n)++];
	else
	{
		double		at = random_fraction() * seen;

		if (at >= room)
			return;
		place = &rows[(int) at];
		free_row(place);
	}
	*place = (ForestSampleRow) {copy_slice(key), copy_slice(value)};
}

/* ---- a table as a whole, and the delta ---- */

static void
sample_whole(Sampling *sampling, ForestSample *sample)
{
	ForestScan *scan = forest_scan_begin(sampling->table, sampling->snapshot, NULL, NULL, false);
	double		seen = 0;
	SvSlice		key;
	ForestValue value;

	sample->rows = palloc(sizeof(ForestSampleRow) * Max(sampling->wanted, 1));
	while (forest_scan_next(scan, &key, &value))
		reservoir_add(sample->rows, &sample->n, sampling->wanted, ++seen, key, value.value);
	forest_scan_end(scan);
	sample->live_rows = seen;
	sample->dead_rows = 0;
}

static void
sample_delta(Sampling *sampling)
{
	DeltaScan  *scan = delta_scan_begin(sampling->table->table_id, NULL, NULL, false, sampling->own_only,
										sampling->snapshot);
	DeltaRow	row;

	sampling->delta = palloc(sizeof(ForestSampleRow) * sampling->wanted);
	while (delta_scan_next(scan, &row))
	{
		CHECK_FOR_INTERRUPTS();
		if (row.kind != DELTA_VALUE || row.expires_at <= sampling->now)
			continue;
		reservoir_add(sampling->delta, &sampling->ndelta, sampling->wanted, ++sampling->delta_rows,
					  row.key, row.value);
	}
	delta_scan_end(scan);
}

/* ---- blocks of runs ---- */

static void
add_entry(Sampling *sampling, const SstEntry *entry, SvSlice key, int group)
{
	Entry	   *added;

	if (sampling->n == sampling->room)
	{
		sampling->room *= 2;
		sampling->list = repalloc_huge(sampling->list, sizeof(Entry) * sampling->room);
	}
	added = &sampling->list[sampling->n++];
	added->row = (ForestSampleRow) {copy_slice(key), copy_slice(entry->value)};
	added->group = group;
	added->dead = entry->kind == SST_TOMBSTONE ||
		(entry->expires_at != SST_NEVER_EXPIRES && entry->expires_at <= sampling->now);
}

typedef struct BlockWalk
{
	const SstBlock *block;
	size_t		offset;
	uint32		left;
	bool		is_wal;
	int32		table_id;
} BlockWalk;

/* The next entry of the table in the block; its key comes without the table id. */
static bool
walk_block(BlockWalk *walk, SstEntry *entry, const char **problem)
{
	while (walk->left > 0)
	{
		walk->left--;
		*problem = sst_block_entry(walk->block, walk->offset, entry, &walk->offset);
		if (*problem != NULL)
			return false;
		if (!walk->is_wal)
			return true;
		if (entry->key.len >= LSM_WALKEY_PREFIX_BYTES && lsm_walkey_table(entry->key) == walk->table_id)
		{
			entry->key = lsm_walkey_key(entry->key);
			return true;
		}
	}
	return false;
}

static BlockWalk
begin_walk(const Sampling *sampling, const LsmRun *run, const SstBlock *block)
{
	return (BlockWalk) {
		.block = block,.left = block->count,.is_wal = run->tier == LSM_WAL,
		.table_id = sampling->table->table_id
	};
}

/* Some of a block's entries, each with the same chance. */
static const char *
sample_block(Sampling *sampling, const LsmRun *run, int group, SvSlice raw)
{
	const char *problem = NULL;
	uint32		have = 0;
	uint32		want;
	SstBlock	block;
	SstEntry	entry;
	BlockWalk	walk;

	problem = sst_block_parse(&block, raw);
	if (problem != NULL)
		return problem;
	walk = begin_walk(sampling, run, &block);
	while (walk_block(&walk, &entry, &problem))
		have++;
	want = Min(have, sampling->per_block);
	walk = begin_walk(sampling, run, &block);
	while (want > 0 && walk_block(&walk, &entry, &problem))
	{
		if (random_below(have--) >= want)
			continue;
		add_entry(sampling, &entry, entry.key, group);
		want--;
	}
	return problem;
}

/* So many of the blocks from first to last, each with the same chance, ascending. */
static uint32
choose_blocks(uint32 first, uint32 last, uint32 wanted, uint32 *chosen)
{
	uint32		left = last - first + 1;
	uint32		n = 0;

	wanted = Min(wanted, left);
	for (uint32 block = first; n < wanted; block++)
		if (random_below(left--) < wanted - n)
			chosen[n++] = block;
	return n;
}

static void
sample_run(Sampling *sampling, const LsmSourceRun *source, int group, uint32 wanted)
{
	MemoryContext outer = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(outer, "skyvault sampled run", ALLOCSET_DEFAULT_SIZES);
	uint32	   *blocks;
	uint32		n = 0;
	uint32		first;
	uint32		last;
	RunScan    *scan;
	SvBuffer	raw;
	SvAlloc		alloc = pg_status_alloc(context);
	RunPicked	picked[RUN_PICK_MAX];
	SvError		err;

	MemoryContextSwitchTo(context);
	blocks = palloc(sizeof(uint32) * wanted);
	sv_buffer_init(&raw, &alloc);
	scan = forest_run_open(sampling->table->server_oid, source->run);
	if (forest_run_blocks(scan, source->run, source->part, &first, &last))
		n = choose_blocks(first, last, wanted, blocks);
	for (uint32 done = 0; done < n;)
	{
		uint32		some = forest_run_pick(scan, &blocks[done], n - done, &raw, picked);

		MemoryContextSwitchTo(outer);
		for (uint32 i = 0; i < some; i++)
		{
			const char *problem = sample_block(sampling, source->run, group,
											   sv_slice(raw.data + picked[i].at, picked[i].bytes));

			if (problem != NULL)
				PG_STATUS_CHECK(sst_block_damaged(scan->tail, source->run->object, blocks[done + i],
												  problem, &err), &err);
		}
		MemoryContextSwitchTo(context);
		done += some;
	}
	MemoryContextSwitchTo(outer);
	MemoryContextDelete(context);
	sampling->blocks += n;
	sampling->runs++;
}

/* How much of the runs is looked at. */
static int
plan_blocks(Sampling *sampling)
{
	double		row_bytes = Max(sampling->raw_bytes / sampling->entries, 1);
	double		rows = sampling->wanted;
	double		all_blocks = Max(sampling->raw_bytes / SST_FRAME_BYTES, 1);
	double		blocks;
	int			points;

	/* A key is asked for in half of the groups, about. */
	rows = Min(rows, 2.0 * MAX_FALSE_BLOCKS * LOOKUPS_PER_FALSE / sampling->ngroups);
	sampling->per_block = (int) Max(1, Min(PER_BLOCK, SST_FRAME_BYTES / row_bytes));
	if (rows < (double) sampling->per_block * LEAST_BLOCKS)
		sampling->per_block = (int) Max(1, rows / LEAST_BLOCKS);
	blocks = ceil(rows / sampling->per_block);
	if (blocks > all_blocks)
	{
		sampling->per_block = (int) ceil(rows / all_blocks);
		blocks = ceil(all_blocks);
	}
	blocks = Min(blocks, Min(MAX_BLOCKS, Max(1, MAX_BLOCK_BYTES / Max(row_bytes, SST_FRAME_BYTES))));

	/* Where all tails may be read, each block is a choice by itself: so small runs get their due. */
	points = (int) blocks;
	if (sampling->nruns > MAX_RUNS)
		points = Min(points, MAX_RUNS);
	sampling->blocks_per_point = (uint32) ceil(blocks / points);
	return points;
}

/* Points at equal distances in all entries, from a random start: each falls into a run. */
static void
sample_runs(Sampling *sampling)
{
	int			points = plan_blocks(sampling);
	double		distance = sampling->entries / points;
	double		next = random_fraction() * distance;
	double		before = 0;

	sampling->room = 1024;
	sampling->list = palloc(sizeof(Entry) * sampling->room);
	for (int i = 0; i < sampling->ngroups; i++)
	{
		for (int j = 0; j < sampling->groups[i].count; j++)
		{
			const LsmSourceRun *source = &sampling->groups[i].sources[j];
			uint32		hits = 0;

			before += source->part->entries;
			for (; next < before; next += distance)
				hits++;
			if (hits > 0)
				sample_run(sampling, source, i, hits * sampling->blocks_per_point);
		}
	}
}

/* ---- which of them are live ---- */

static int
compare_entries(const void *a, const void *b)
{
	return sv_slice_compare(((const Entry *) a)->row.key, ((const Entry *) b)->row.key);
}

static void
ask_delta(Sampling *sampling)
{
	DeltaProbe	probe;
	DeltaRow	row;

	delta_probe_begin(&probe, sampling->snapshot);
	for (int i = 0; i < sampling->n; i++)
	{
		Entry	   *entry = &sampling->list[i];

		CHECK_FOR_INTERRUPTS();
		if (!entry->dead && delta_probe(&probe, sampling->table->table_id, entry->row.key, false, &row))
			entry->dead = true;
	}
	delta_probe_end(&probe);
}

/* A question for many keys, each once, in the runs of one group, of which each key is in one at most. */
typedef struct Question
{
	uint32		n;
	const LsmRun *runs[CHUNK_KEYS];
	SvSlice		keys[CHUNK_KEYS];
	RunAnswer	answers[CHUNK_KEYS];
	int			nentries;
	Entry	   *entries[CHUNK_KEYS];	/* who is asked for */
	uint32		answer_of[CHUNK_KEYS];
} Question;

static SvSlice
run_key(const LsmRun *run, int32 table_id, SvSlice key)
{
	uint8	   *data;

	if (run->tier != LSM_WAL)
		return key;
	data = palloc(LSM_WALKEY_PREFIX_BYTES + key.len);
	lsm_walkey_prefix(data, table_id);
	if (key.len > 0)
		memcpy(data + LSM_WALKEY_PREFIX_BYTES, key.data, key.len);
	return sv_slice(data, LSM_WALKEY_PREFIX_BYTES + key.len);
}

static void
ask(Sampling *sampling, Question *question)
{
	/* It outlives an error, and its memory is used again. */
	static SvScratch scratch = {0};
	SvAlloc		alloc = pg_status_alloc(CurrentMemoryContext);
	SvBuffer	values;

	CHECK_FOR_INTERRUPTS();
	if (question->n == 0)
		return;
	sv_buffer_init(&values, &alloc);
	sv_scratch_reset(&scratch, 1024 * 1024);
	if (forest_run_get_cached(question->runs, question->keys, question->n, &scratch, &values,
							  question->answers) > 0)
		forest_run_fetch(sampling->table->server_oid, question->runs, question->keys, question->n, &scratch,
						 &values, question->answers);
	for (int i = 0; i < question->nentries; i++)
		if (question->answers[question->answer_of[i]].kind != RUN_ABSENT)
			question->entries[i]->dead = true;
	sv_scratch_reset(&scratch, 1024 * 1024);
}

static void
add_to_question(Sampling *sampling, int group, Question *question, Entry *entry)
{
	const LsmSourceRun *source = lsm_group_find(&sampling->groups[group], entry->row.key);

	if (source == NULL)
		return;
	if (question->nentries == 0 ||
		!sv_slice_equal(question->entries[question->nentries - 1]->row.key, entry->row.key))
	{
		question->runs[question->n] = source->run;
		question->keys[question->n++] = run_key(source->run, sampling->table->table_id, entry->row.key);
	}
	question->answer_of[question->nentries] = question->n - 1;
	question->entries[question->nentries++] = entry;
}

/* Which of the entries of older groups the group has newer ones of. */
static void
ask_group(Sampling *sampling, int group, Question *question, MemoryContext context)
{
	MemoryContext outer = MemoryContextSwitchTo(context);
	int			i = 0;

	while (i < sampling->n)
	{
		MemoryContextReset(context);
		question->n = 0;
		question->nentries = 0;
		for (; i < sampling->n && question->nentries < CHUNK_KEYS; i++)
		{
			Entry	   *entry = &sampling->list[i];

			if (!entry->dead && entry->group > group)
				add_to_question(sampling, group, question, entry);
		}
		ask(sampling, question);
	}
	MemoryContextSwitchTo(outer);
}

static void
find_dead(Sampling *sampling)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "skyvault sample lookup",
												  ALLOCSET_DEFAULT_SIZES);
	Question   *question = palloc(sizeof(Question));

	qsort(sampling->list, sampling->n, sizeof(Entry), compare_entries);
	ask_delta(sampling);
	for (int i = 0; i + 1 < sampling->ngroups; i++)
		ask_group(sampling, i, question, context);
	pfree(question);
	MemoryContextDelete(context);
}

/* ---- the result ---- */

static int
compare_rows(const void *a, const void *b)
{
	return sv_slice_compare(((const ForestSampleRow *) a)->key, ((const ForestSampleRow *) b)->key);
}

/* So many of the rows, each with the same chance, are added to the sample. */
static void
take_some(ForestSample *sample, const ForestSampleRow *rows, int n, int wanted)
{
	for (int i = 0; i < n && wanted > 0; i++)
	{
		if (random_below(n - i) >= wanted)
			continue;
		sample->rows[sample->n++] = rows[i];
		wanted--;
	}
}

/* Rows of the runs and of the delta with the same chance each, and no more than wanted. */
static void
put_together(Sampling *sampling, ForestSample *sample)
{
	ForestSampleRow *live = palloc(sizeof(ForestSampleRow) * (sampling->n + 1));
	int			nlive = 0;
	double		of_runs;
	double		share;

	for (int i = 0; i < sampling->n; i++)
		if (!sampling->list[i].dead)
			live[nlive++] = sampling->list[i].row;
	of_runs = sampling->n > 0 ? sampling->entries * nlive / sampling->n : 0;
	sample->live_rows = of_runs + sampling->delta_rows;
	sample->dead_rows = sampling->entries - of_runs;

	share = sampling->wanted / Max(sample->live_rows, 1);
	if (of_runs > 0)
		share = Min(share, nlive / of_runs);
	share = Min(share, 1);
	sample->rows = palloc(sizeof(ForestSampleRow) * (nlive + sampling->ndelta + 1));
	take_some(sample, live, nlive, (int) Min(nlive, share * of_runs));
	take_some(sample, sampling->delta, sampling->ndelta,
			  (int) Min(sampling->ndelta, ceil(share * sampling->delta_rows)));
	sample->n = Min(sample->n, sampling->wanted);
	sample->blocks = sampling->blocks;
	sample->runs = sampling->runs;
}

static void
count_runs(Sampling *sampling)
{
	for (int i = 0; i < sampling->ngroups; i++)
	{
		for (int j = 0; j < sampling->groups[i].count; j++)
		{
			sampling->entries += sampling->groups[i].sources[j].part->entries;
			sampling->raw_bytes += sampling->groups[i].sources[j].part->raw_bytes;
			sampling->nruns++;
		}
	}
}

void
forest_sample(const ForestTable *table, Snapshot snapshot, int wanted, ForestSample *sample)
{
	Sampling	sampling = {.table = table,.snapshot = snapshot,.wanted = wanted,.now = forest_now()};
	const LsmForest *forest;
	const LsmFloor *floor;
	double		most;

	*sample = (ForestSample) {0};
	forest_table_check_key(table);
	if (table->table_id == 0)
		return;
	forest = forest_of_snapshot(table->vault_id, snapshot);
	floor = lsm_forest_floor(forest, table->table_id);
	sampling.own_only = floor != NULL && floor->is_own;
	sampling.groups = lsm_forest_groups(forest, table->table_id, &sampling.ngroups);
	count_runs(&sampling);

	most = (double) maintenance_work_mem * 1024 / MEMORY_SHARE /
		(sampling.raw_bytes / Max(sampling.entries, 1) + sizeof(Entry) + 64);
	sampling.wanted = (int) Min(sampling.wanted, Max(most, 100));
	if (sampling.entries <= sampling.wanted && sampling.nruns <= MAX_RUNS)
		sample_whole(&sampling, sample);
	else
	{
		sample_delta(&sampling);
		sample_runs(&sampling);
		find_dead(&sampling);
		put_together(&sampling, sample);
	}
	/* How values go with the order of keys is among what ANALYZE wants to know. */
	if (sample->n > 1)
		qsort(sample->rows, sample->n, sizeof(ForestSampleRow), compare_rows);
}
