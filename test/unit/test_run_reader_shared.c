/*
 * test_run_reader_shared.c
 *		Lookups by way of caches that others use at the same time: blocks taken
 *		away in the middle of a read, loads that others have begun, and many
 *		processes at once.
 */
#include "unit.h"

#include <sys/wait.h>

#include "run_fixture.h"

/*
 * An allocator for values that strikes in the middle of a read: when it is
 * asked for room, once, it takes the block away and lets another one have the
 * frame.
 */
typedef struct Thief
{
	RunCaches  *caches;
	const TestRun *run;
	const TestRun *other;
	bool		armed;
} Thief;

static void
steal(Thief *thief)
{
	SvBuffer	values;
	SvBuffer	value;

	thief->armed = false;
	block_cache_drop_run(thief->caches->blocks, thief->run->reader.id);
	sv_buffer_init(&values, &sv_malloc_alloc);
	sv_buffer_init(&value, &sv_malloc_alloc);

	/* From outside the guard, as another process would. */
	cache_guard_exit(thief->caches->guard, thief->caches->slot);
	for (int i = 0; i < thief->other->content.entries; i++)
		if (!get_is_right(thief->caches, thief->other, i, &values, &value))
			abort();
	cache_guard_enter(thief->caches->guard, thief->caches->slot);
	sv_buffer_free(&values);
	sv_buffer_free(&value);
}

static void *
thief_resize(void *state, void *ptr, size_t bytes)
{
	Thief	   *thief = state;

	if (thief->armed)
		steal(thief);
	return realloc(ptr, bytes);
}

static void *
thief_allocate(void *state, size_t bytes)
{
	(void) state;
	return malloc(bytes);
}

static void
thief_release(void *state, void *ptr)
{
	(void) state;
	free(ptr);
}

/* A cache so small that what is loaded next takes the frames that became free. */
static void
test_stolen_block(size_t large_bytes, const char *name)
{
	RunCaches	caches = make_caches(BLOCK_CACHE_MIN_BYTES, TAIL_CACHE_MIN_BYTES);
	TestRun		run;
	TestRun		other;
	Thief		thief = {&caches, &run, &other, false};
	SvAlloc		alloc = {thief_allocate, thief_resize, thief_release, &thief};
	bool		right = true;
	SvBuffer	value;

	make_run(&run, 60, 60, large_bytes);
	make_run(&other, 61, 30000, 0);
	sv_buffer_init(&value, &sv_malloc_alloc);
	for (int many = 0; many < 2; many++)
	{
		const RunReader *readers[1] = {&run.reader};
		char		key[32];
		SstEntry	entry = content_entry(&run.content, large_bytes > 0 ? 50 : 40, key, &value);
		uint32_t	uncached = 0;
		RunAnswer	answer;
		SvBuffer	values;
		SvError		err;

		right = right && all_are_right(&caches, &run);
		sv_buffer_init(&values, &alloc);
		thief.armed = true;
		if (many == 0)
			right = right && run_reader_get(&caches, &run.reader, entry.key, &values, &answer,
											&err) == SV_OK;
		else
			right = right && run_reader_get_many(&caches, readers, &entry.key, 1, &values, &answer,
												 &uncached, &err) == SV_OK &&
				uncached == 1 && values.len == 0 &&
				run_fetch_many(&caches, &run_fetch_singly, readers, &entry.key, 1, &values, &answer,
							   &err) == SV_OK;
		right = right && !thief.armed && answer_is(&answer, &values, &entry) &&
			values.len == entry.value.len;
		sv_buffer_free(&values);
	}
	CHECK(right, name);
	sv_buffer_free(&value);
	mem_file_free(&run.file);
	mem_file_free(&other.file);
	run_caches_release(&caches);
}

/* Another process loads, and this one is told to give up. */
static void
test_cancelled_wait(void)
{
	RunCaches	caches = make_caches(16 * 1024 * 1024, 4 * 1024 * 1024);
	SvSlice		key = sv_slice("key:00000300", 12);
	SvBuffer	values;
	RunAnswer	answer;
	BlockFill	fill;
	BlockKey	block;
	TestRun		run;
	RunScan		scan;
	SvError		err;

	sv_buffer_init(&values, &sv_malloc_alloc);
	make_run(&run, 7, 110, 0);
	if (run_scan_open(&scan, &caches, &run.reader, &err) != SV_OK)
		abort();
	block = (BlockKey) {.run = run.reader.id,.block = 0};
	if (block_cache_claim(caches.blocks, &block, block_cache_hash(block),
						  sst_index_block(&scan.tail->index, 0).raw_bytes, &fill) != CACHE_LOAD)
		abort();
	run_scan_close(&scan);
	sleeps = 0;
	give_up = true;
	CHECK(run_reader_get(&caches, &run.reader, key, &values, &answer, &err) == SV_CANCELLED &&
		  sleeps == 1 && pins(&caches) == 0, "a wait for another process can be cancelled");
	give_up = false;
	block_cache_abandon(caches.blocks, &fill, &caches.waiter);
	CHECK(run_reader_get(&caches, &run.reader, key, &values, &answer, &err) == SV_OK &&
		  answer.kind == SST_VALUE, "and who comes when the other has given up loads it");
	sv_buffer_free(&values);
	run_caches_release(&caches);
	mem_file_free(&run.file);
}

static void
reader_process(RunCaches *caches, const TestRun *runs, int nruns, uint32_t slot, int rounds)
{
	uint64_t	random = slot + 77;
	bool		right = true;
	SvBuffer	values;
	SvBuffer	value;

	caches->slot = slot;
	run_caches_init(caches);
	sv_buffer_init(&values, &sv_malloc_alloc);
	sv_buffer_init(&value, &sv_malloc_alloc);
	for (int i = 0; i < rounds && right; i++)
	{
		const TestRun *run = &runs[next_random(&random) % (uint64_t) nruns];
		int			at = (int) (next_random(&random) % (uint64_t) run->content.entries);

		right = get_is_right(caches, run, at, &values, &value);
		if (right && i % 16 == 0)
			right = batch_is_right(caches, run, at, 1 + (int) (next_random(&random) % 50), 70);
	}
	_exit(right ? 0 : 1);
}

static bool
run_processes(RunCaches *caches, const TestRun *runs, int nruns, int rounds)
{
	bool		right = true;

	fflush(stdout);
	for (uint32_t i = 1; i <= PROCESSES; i++)
		if (fork() == 0)
			reader_process(caches, runs, nruns, i, rounds);
	for (int i = 0; i < PROCESSES; i++)
	{
		int			status;

		right = wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0 && right;
	}
	return right;
}

static void
test_processes(void)
{
	RunCaches	caches = make_caches(BLOCK_CACHE_MIN_BYTES, TAIL_CACHE_MIN_BYTES);
	BlockCacheStats stats;
	TestRun		runs[6];
	uint64_t	blocks = 0;

	for (int i = 0; i < 6; i++)
		make_run(&runs[i], 30 + i, 30000, i % 2 == 0 ? 0 : 30000);
	CHECK(run_processes(&caches, runs, 6, 3000), "processes that evict each other's blocks are answered right");
	block_cache_stats(caches.blocks, &stats);
	CHECK(stats.evictions > 1000, "(they did)");
	for (int i = 0; i < 6; i++)
		mem_file_free(&runs[i].file);

	caches = make_caches(64 * 1024 * 1024, 4 * 1024 * 1024);
	for (int i = 0; i < 2; i++)
		make_run(&runs[i], 40 + i, 5000, 0);
	shared->reads = 0;
	CHECK(run_processes(&caches, runs, 2, 3000), "processes that want the same blocks");
	for (int i = 0; i < 2; i++)
	{
		RunScan		scan;
		SvError		err;

		if (run_scan_open(&scan, &caches, &runs[i].reader, &err) != SV_OK)
			abort();
		blocks += scan.tail->index.count + 1;
		run_scan_close(&scan);
	}
	CHECK(shared->reads == blocks, "load each of them once");
	for (int i = 0; i < 2; i++)
		mem_file_free(&runs[i].file);
}

int
main(void)
{
	shared = shared_memory(sizeof(Shared));
	test_stolen_block(0, "a block that is replaced while it is read is read again");
	test_stolen_block(40000, "and so is one of several frames");
	test_cancelled_wait();
	test_processes();
	return unit_done();
}
