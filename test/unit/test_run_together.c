/*
 * test_run_together.c
 *		Scans that are read together: how many rounds they take, what they share, and
 *		whose errors are whose.
 */
#include "unit.h"

#include "cache/run_ahead.h"
#include "cache/run_stream.h"
#include "run_fixture.h"

#define SCANS 3

/* A fetcher that counts, and fails for one run from some offset on. */
typedef struct Counter
{
	uint32_t	calls;
	uint32_t	ranges;
	uint32_t	of_run[SCANS];
	const TestRun *runs;
	int			bad_run;		/* -1: none */
	uint64_t	bad_from;
} Counter;

static SvStatus
count_and_read(void *state, const RunRange *ranges, uint32_t n, const RunReading *reading, SvError *err)
{
	Counter    *counter = state;

	(void) reading;
	counter->calls++;
	for (uint32_t i = 0; i < n; i++)
	{
		int			which = (int) ((const TestRun *) ranges[i].run->source.state - counter->runs);

		counter->ranges++;
		counter->of_run[which]++;
		if (which == counter->bad_run && ranges[i].offset >= counter->bad_from)
			return sv_fail(err, SV_IO, "run %d cannot be read", which);
	}
	return run_fetch_singly.read(NULL, ranges, n, NULL, err);
}

typedef struct World
{
	RunCaches	caches;
	TestRun		runs[SCANS];
	Counter		counter;
	RunFetcher	fetcher;
	RunScan		scans[SCANS];
	RunScan    *all[SCANS];
	SvBuffer	raw;
	uint32_t	blocks;			/* of each */
	SvError		err;
} World;

static World world;

/* All runs are of one length; nothing but tails is cached. */
static void
open_world(bool backward, bool together)
{
	world.caches = make_caches(64 * 1024 * 1024, 8 * 1024 * 1024);
	world.counter = (Counter) {.runs = world.runs,.bad_run = -1};
	world.fetcher = (RunFetcher) {.read = count_and_read,.state = &world.counter,.ahead_bytes = 8 * 1024 * 1024};
	sv_buffer_init(&world.raw, &sv_malloc_alloc);
	for (int i = 0; i < SCANS; i++)
	{
		RunScan    *scan = &world.scans[i];

		if (run_scan_open(scan, &world.caches, &world.runs[i].reader, &world.err) != SV_OK)
			abort();
		world.blocks = scan->tail->index.count;
		run_scan_read_ahead(scan, &world.fetcher, 0, world.blocks - 1, backward, 0, false);
		world.all[i] = scan;
	}
	for (int i = 0; i < SCANS && together; i++)
	{
		world.scans[i].together = world.all;
		world.scans[i].n_together = SCANS;
	}
}

static void
close_world(void)
{
	for (int i = 0; i < SCANS; i++)
		run_scan_close(&world.scans[i]);
	sv_buffer_free(&world.raw);
	run_caches_release(&world.caches);
}

/* Whether the scan gets the block, and it is the right one. */
static bool
reads(int i, uint32_t block)
{
	RunScan    *scan = &world.scans[i];
	SstBlockSource source = run_scan_source(scan);
	SstBlock	parsed;
	SstEntry	entry;
	size_t		end;

	return source.fetch(source.state, block, &world.raw, &parsed, &world.err) == SV_OK &&
		sst_block_entry(&parsed, 0, &entry, &end) == NULL &&
		sv_slice_compare(entry.key, sst_index_low_key(&scan->tail->index, block)) >= 0;
}

/* All scans, a block of each in turn. */
static bool
read_in_turns(bool backward, uint32_t n)
{
	bool		right = true;

	for (uint32_t block = 0; block < n && right; block++)
		for (int i = 0; i < SCANS && right; i++)
			right = reads(i, backward ? world.blocks - 1 - block : block);
	return right;
}

static void
count_loading(void *state, const BlockCacheItem *item)
{
	(void) item;
	++*(uint32_t *) state;
}

static bool
no_claim_is_left(void)
{
	BlockCacheStats stats;
	uint32_t	readable = 0;

	block_cache_stats(world.caches.blocks, &stats);
	block_cache_walk(world.caches.blocks, count_loading, &readable);
	return stats.frames_used == readable;
}

/* n scans take about as many rounds as one, and read each block once. */
static void
test_rounds(bool backward)
{
	uint32_t	alone;

	open_world(backward, false);
	CHECK(read_in_turns(backward, world.blocks) && world.blocks > 150, "scans by themselves");
	alone = world.counter.calls;
	close_world();
	open_world(backward, true);
	CHECK(read_in_turns(backward, world.blocks), "the same together");
	CHECK(world.counter.calls * SCANS <= alone + SCANS * 3 && world.counter.ranges == world.blocks * SCANS,
		  "in about a third of the rounds, each block once");
	CHECK(no_claim_is_left(), "and no claim is left");
	close_world();
}

/* What is read of a scan that nobody goes on with. */
static void
test_left(void)
{
	bool		right = true;

	open_world(false, true);
	CHECK(reads(0, 0) && world.counter.calls == 1, "the first block of one");
	CHECK(reads(1, 0) && reads(2, 0) && world.counter.calls == 1, "comes with those of all");
	for (uint32_t block = 1; block < 100 && right; block++)
		right = reads(0, block);
	CHECK(right, "one goes on");
	CHECK(world.counter.of_run[1] <= 3 && world.counter.of_run[2] <= 3, "the others have no more than three, for one");
	CHECK(reads(1, 1) && reads(1, 2), "and go on when they are asked");
	close_world();

	open_world(false, true);
	CHECK(read_in_turns(false, 20), "all go on, and stop");
	CHECK(world.counter.ranges <= SCANS * 60, "and no more than three times that was read");
	close_world();
}

/* What is wrong with one scan's blocks is for that one to say. */
static void
test_errors(void)
{
	bool		right = true;

	open_world(false, true);
	world.counter.bad_run = 1;
	world.counter.bad_from = sst_index_block(&world.scans[1].tail->index, 5).offset;
	for (uint32_t block = 0; block < world.blocks && right; block++)
		right = reads(0, block) && reads(2, block) && (block >= 5 || reads(1, block));
	CHECK(right && no_claim_is_left(), "the others are read to their ends");
	CHECK(world.scans[0].alone || world.scans[2].alone, "by themselves");
	CHECK(!reads(1, 5) && world.err.status == SV_IO && no_claim_is_left(), "and it fails where it is bad");
	CHECK(reads(1, 4), "not where it is good");
	close_world();
}

/* One that has ended, and one whose next blocks are cached. */
static void
test_ended(void)
{
	bool		right = true;

	open_world(false, true);
	for (uint32_t block = 0; block < world.blocks && right; block++)
		right = reads(0, block);
	for (uint32_t block = 0; block < world.blocks && right; block++)
		right = reads(1, block);
	CHECK(right, "one after the other");
	for (uint32_t block = world.blocks; block-- > 0 && right;)
		right = reads(0, block);
	CHECK(right && reads(2, 0) && world.counter.of_run[0] == world.blocks && world.counter.of_run[1] == world.blocks,
		  "each block was read once");
	close_world();
}

int
main(void)
{
	shared = shared_memory(sizeof(Shared));
	for (int i = 0; i < SCANS; i++)
		make_run(&world.runs[i], i, 40000, 0);
	test_rounds(false);
	test_rounds(true);
	test_left();
	test_errors();
	test_ended();
	for (int i = 0; i < SCANS; i++)
		mem_file_free(&world.runs[i].file);
	return unit_done();
}
