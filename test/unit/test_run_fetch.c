/*
 * test_run_fetch.c
 *		What batches and scans miss: asked for at once, each block by one
 *		process, nothing left claimed whatever fails.
 */
#include "cache/run_access.h"
#include "cache/run_loads.h"
#include "unit.h"

#include "run_fixture.h"

#define RUNS	100
#define KEYS	6000

/* A fetcher that counts, and fails at a call. */
typedef struct TestFetch
{
	int			calls;
	int			fail_at;		/* this call; 0: none */
	uint32_t	ranges;			/* of all calls */
	uint32_t	most;			/* of one call */
	uint64_t	lowest;			/* offset that was read */
	uint64_t	highest;
	const uint8_t *place;		/* of the first range of the call before */
	int			moves;			/* calls that had another one */
	const RunCaches *told;		/* reads backward, and tells of each range; NULL: tells nothing */
	uint32_t	kept;			/* blocks that were in these caches before their call had ended */
	uint32_t	passing;		/* ranges of passing calls */
} TestFetch;

static void
count_loading(void *state, const BlockCacheItem *item)
{
	(void) item;
	++*(uint32_t *) state;
}

/* Fails halfway, if at all. */
static SvStatus
read_and_tell(TestFetch *fetch, const RunRange *ranges, uint32_t n, const RunReading *reading, bool fails,
			  SvError *err)
{
	uint32_t	before = 0;
	uint32_t	after = 0;

	block_cache_walk(fetch->told->blocks, count_loading, &before);
	for (uint32_t i = n; i-- > 0;)
	{
		if (fails && i < n / 2)
			return sv_fail(err, SV_IO, "the network is down");
		if (run_fetch_singly.read(NULL, ranges + i, 1, NULL, err) != SV_OK)
			return err->status;
		*ranges[i].there = true;
		reading->progress(reading->state);
	}
	block_cache_walk(fetch->told->blocks, count_loading, &after);
	fetch->kept += after - before;
	return SV_OK;
}

static SvStatus
count_and_read(void *state, const RunRange *ranges, uint32_t n, const RunReading *reading, SvError *err)
{
	TestFetch  *fetch = state;

	fetch->moves += ranges[0].dst != fetch->place;
	fetch->place = ranges[0].dst;
	fetch->ranges += n;
	if (n > fetch->most)
		fetch->most = n;
	for (uint32_t i = 0; i < n; i++)
	{
		if (ranges[i].offset < fetch->lowest)
			fetch->lowest = ranges[i].offset;
		if (ranges[i].offset > fetch->highest)
			fetch->highest = ranges[i].offset;
	}
	fetch->passing += reading != NULL && reading->passing ? n : 0;
	fetch->calls++;
	if (fetch->told != NULL && reading != NULL)
		return read_and_tell(fetch, ranges, n, reading, fetch->calls == fetch->fail_at, err);
	if (fetch->calls == fetch->fail_at)
		return sv_fail(err, SV_IO, "the network is down");
	return run_fetch_singly.read(NULL, ranges, n, reading, err);
}

static RunFetcher
make_fetcher(TestFetch *fetch)
{
	memset(fetch, 0, sizeof(*fetch));
	fetch->lowest = UINT64_MAX;
	return (RunFetcher) {.read = count_and_read,.state = fetch};
}

/* Keys of several runs, `each` of each, the absent ones behind them included. */
typedef struct Ask
{
	uint32_t	n;
	const RunReader *readers[KEYS];
	const TestRun *runs[KEYS];
	int			numbers[KEYS];	/* of the entry; -1: absent */
	SvSlice		keys[KEYS];
	RunAnswer	answers[KEYS];
	char		text[KEYS][16];
	SvBuffer	values;
} Ask;

static Ask	ask;

static void
ask_begin(void)
{
	ask.n = 0;
	sv_buffer_free(&ask.values);
	sv_buffer_init(&ask.values, &sv_malloc_alloc);
}

static void
ask_add(const TestRun *run, int first, int step, int each)
{
	for (int i = 0; i < each; i++)
		for (int absent = 0; absent < 2; absent++)
		{
			uint32_t	at = ask.n++;

			sprintf(ask.text[at], "key:%08d", (first + i * step) * 3 + absent);
			ask.keys[at] = sv_slice(ask.text[at], 12);
			ask.readers[at] = &run->reader;
			ask.runs[at] = run;
			ask.numbers[at] = absent ? -1 : first + i * step;
			ask.answers[at].kind = RUN_UNCACHED;
		}
}

static bool
answers_are_right(void)
{
	SvBuffer	value;
	bool		right = true;

	sv_buffer_init(&value, &sv_malloc_alloc);
	for (uint32_t i = 0; i < ask.n && right; i++)
	{
		char		key[32];
		SstEntry	entry;

		if (ask.numbers[i] < 0)
		{
			right = ask.answers[i].kind == RUN_ABSENT;
			continue;
		}
		entry = content_entry(&ask.runs[i]->content, ask.numbers[i], key, &value);
		right = answer_is(&ask.answers[i], &ask.values, &entry);
	}
	sv_buffer_free(&value);
	return right;
}

static SvStatus
fetch_all(RunCaches *caches, const RunFetcher *fetcher, SvError *err)
{
	return run_fetch_many(caches, fetcher, ask.readers, ask.keys, ask.n, &ask.values, ask.answers, err);
}

/* Whether each frame that is in use belongs to a block that can be read: no claim is left. */
static bool
no_claim_is_left(const RunCaches *caches)
{
	BlockCacheStats stats;
	uint32_t	readable = 0;

	block_cache_stats(caches->blocks, &stats);
	block_cache_walk(caches->blocks, count_loading, &readable);
	return stats.frames_used == readable;
}

static TestRun runs[RUNS];

/* Three runs, nothing cached: the tails at once, then the blocks at once. */
static void
test_two_rounds(void)
{
	RunCaches	caches = make_caches(64 * 1024 * 1024, 8 * 1024 * 1024);
	TestFetch	fetch;
	RunFetcher	fetcher = make_fetcher(&fetch);
	SvError		err;

	ask_begin();
	for (int r = 0; r < 3; r++)
		ask_add(&runs[r], r, 40, 50);
	CHECK(fetch_all(&caches, &fetcher, &err) == SV_OK && answers_are_right(), "keys of three runs");
	CHECK(fetch.calls == 2, "tails are asked for at once, and then blocks");
	CHECK(fetch.ranges > 30 && fetch.ranges < 3 + 150, "each tail and block once");
	CHECK(no_claim_is_left(&caches) && pins(&caches) == 0, "nothing is left claimed or pinned");

	fetcher = make_fetcher(&fetch);
	ask_begin();
	for (int r = 0; r < 3; r++)
		ask_add(&runs[r], r, 40, 50);
	CHECK(fetch_all(&caches, &fetcher, &err) == SV_OK && answers_are_right() && fetch.calls == 0,
		  "the same again is cached");
	run_caches_release(&caches);
}

/* More runs, and more blocks, than are held at once. */
static void
test_many(void)
{
	RunCaches	caches = make_caches(256 * 1024 * 1024, 32 * 1024 * 1024);
	TestFetch	fetch;
	RunFetcher	fetcher = make_fetcher(&fetch);
	SvError		err;

	fetch.told = &caches;
	ask_begin();
	for (int r = 0; r < RUNS; r++)
		ask_add(&runs[r], r, 97, 20);
	CHECK(fetch_all(&caches, &fetcher, &err) == SV_OK && answers_are_right(), "keys of a hundred runs");
	CHECK(fetch.calls == 4 && fetch.most > 512 && fetch.most <= RUN_LOADS_MANY, "in two rounds");
	CHECK(fetch.kept == fetch.ranges - RUNS, "each block is used as soon as it is there");
	CHECK(no_claim_is_left(&caches) && pins(&caches) == 0, "nothing is left claimed or pinned");
	run_caches_release(&caches);
	caches = make_caches(40 * 1024 * 1024, 32 * 1024 * 1024);
	fetcher = make_fetcher(&fetch);
	ask_begin();
	for (int r = 0; r < RUNS; r++)
		ask_add(&runs[r], r, 97, 20);
	CHECK(fetch_all(&caches, &fetcher, &err) == SV_OK && fetch.most == 40 * 1024 / 16 / 4, "of a quarter of the cache");
	run_caches_release(&caches);
}

static void
test_tails(void)
{
	RunCaches	caches = make_caches(16 * 1024 * 1024, 8 * 1024 * 1024);
	const RunReader *readers[RUNS + 1];
	TestFetch	fetch;
	RunFetcher	fetcher = make_fetcher(&fetch);
	uint32_t	fetched;
	SvError		err;

	for (int r = 0; r < RUNS; r++)
		readers[r] = &runs[r].reader;
	readers[RUNS] = &runs[7].reader;
	CHECK(run_fetch_tails(&caches, &fetcher, readers, 10, &fetched, &err) == SV_OK && fetched == 10 &&
		  fetch.calls == 1, "ten tails at once");
	CHECK(run_fetch_tails(&caches, &fetcher, readers, RUNS + 1, &fetched, &err) == SV_OK && fetched == RUNS - 10,
		  "those that are not there, each once");
	CHECK(run_fetch_tails(&caches, &fetcher, readers, RUNS, &fetched, &err) == SV_OK && fetched == 0 &&
		  fetch.ranges == RUNS && pins(&caches) == 0, "and then none");
	run_caches_release(&caches);
}

/* Caches that cannot keep what is read. */
static void
test_no_room(void)
{
	RunCaches	caches = make_caches(BLOCK_CACHE_MIN_BYTES, TAIL_CACHE_MIN_BYTES);
	TestFetch	fetch;
	RunFetcher	fetcher = make_fetcher(&fetch);
	TestRun		large;
	bool		right = true;
	SvError		err;

	make_run(&large, 1000, 400, 300000);
	for (int round = 0; round < 2; round++)
	{
		ask_begin();
		for (int r = 0; r < RUNS; r++)
			ask_add(&runs[r], round, 400, 5);
		ask_add(&large, 30, 10, 35);
		right = right && fetch_all(&caches, &fetcher, &err) == SV_OK && answers_are_right();
	}
	CHECK(right, "caches that are too small");
	CHECK(no_claim_is_left(&caches) && pins(&caches) == 0, "nothing is left claimed or pinned");
	run_caches_release(&caches);
	mem_file_free(&large.file);
}

/* Two stretches of one run, as two tables of a WAL run have them. */
static void
test_run_twice(void)
{
	RunCaches	caches = make_caches(16 * 1024 * 1024, 8 * 1024 * 1024);
	TestFetch	fetch;
	RunFetcher	fetcher = make_fetcher(&fetch);
	TestRun		same = runs[0];
	SvError		err;

	ask_begin();
	ask_add(&runs[0], 0, 3, 100);
	ask_add(&runs[1], 0, 3, 10);
	same.reader.source.state = &same;
	ask_add(&same, 1, 3, 100);
	CHECK(fetch_all(&caches, &fetcher, &err) == SV_OK && answers_are_right() && fetch.calls == 2,
		  "a run that is asked twice");
	CHECK(no_claim_is_left(&caches) && pins(&caches) == 0, "nothing is left claimed or pinned");
	run_caches_release(&caches);
}

/* The first request fails, or the second, halfway; then all is as if nobody had asked. */
static void
test_failures(void)
{
	RunCaches	caches = make_caches(16 * 1024 * 1024, 8 * 1024 * 1024);
	uint64_t	offset;
	TestFetch	fetch;
	RunFetcher	fetcher;
	SvError		err;

	for (int fail_at = 1; fail_at <= 2; fail_at++)
	{
		fetcher = make_fetcher(&fetch);
		fetch.fail_at = fail_at;
		fetch.told = &caches;
		ask_begin();
		for (int r = 0; r < 5; r++)
			ask_add(&runs[r], r, 40, 50);
		CHECK(fetch_all(&caches, &fetcher, &err) == SV_IO && fetch.calls == fail_at &&
			  no_claim_is_left(&caches) && pins(&caches) == 0, "a request that fails leaves nothing behind");
	}

	run_caches_release(&caches);
	caches = make_caches(16 * 1024 * 1024, 8 * 1024 * 1024);

	/* A block in the middle is damaged: its neighbours, of other runs too, stay readable. */
	offset = runs[2].file.summary.file_bytes / 2;
	runs[2].file.bytes.data[offset] ^= 1;
	fetcher = make_fetcher(&fetch);
	ask_begin();
	for (int r = 0; r < 5; r++)
		ask_add(&runs[r], r, 20, 90);
	CHECK(fetch_all(&caches, &fetcher, &err) == SV_CORRUPT && strstr(err.message, "checksum") != NULL &&
		  no_claim_is_left(&caches) && pins(&caches) == 0, "a damaged block among others");
	runs[2].file.bytes.data[offset] ^= 1;
	ask_begin();
	for (int r = 0; r < 5; r++)
		ask_add(&runs[r], r, 20, 90);
	CHECK(fetch_all(&caches, &fetcher, &err) == SV_OK && answers_are_right(), "mended, all is readable");

	/* A damaged tail. */
	offset = runs[6].file.summary.file_bytes - 40;
	runs[6].file.bytes.data[offset] ^= 1;
	ask_begin();
	for (int r = 5; r < 9; r++)
		ask_add(&runs[r], r, 20, 90);
	CHECK(fetch_all(&caches, &fetcher, &err) == SV_CORRUPT && no_claim_is_left(&caches) && pins(&caches) == 0,
		  "a damaged tail among others");
	runs[6].file.bytes.data[offset] ^= 1;
	ask_begin();
	for (int r = 5; r < 9; r++)
		ask_add(&runs[r], r, 20, 90);
	CHECK(fetch_all(&caches, &fetcher, &err) == SV_OK && answers_are_right(), "mended, all is readable");
	run_caches_release(&caches);
}

/* ---- Others who load ---- */

/* Another process: it has claimed a block of runs[0] and the tail of runs[1], and ends that when somebody waits. */
typedef struct Other
{
	RunCaches  *caches;
	BlockFill	block;
	TailFill	tail;
	bool		has_block;
	bool		has_tail;
	int			waited;
	bool		all_else_was_there;
} Other;

static SvStatus
other_ends(void *state, uint32_t channel, SvError *err)
{
	Other	   *other = state;
	BlockCacheStats stats;
	uint32_t	readable = 0;

	(void) channel;
	(void) err;
	other->waited++;
	block_cache_stats(other->caches->blocks, &stats);
	block_cache_walk(other->caches->blocks, count_loading, &readable);
	/* Whoever waits has ended its own claims: only the other's is left. */
	other->all_else_was_there = other->all_else_was_there &&
		stats.frames_used == readable + (other->has_block ? 1 : 0);
	if (other->has_block)
		block_cache_abandon(other->caches->blocks, &other->block, &other->caches->waiter);
	if (other->has_tail)
		tail_cache_abandon(other->caches->tails, &other->tail, &other->caches->waiter);
	other->has_block = other->has_tail = false;
	return SV_OK;
}

static void
test_others(void)
{
	RunCaches	caches = make_caches(16 * 1024 * 1024, 8 * 1024 * 1024);
	Other		other = {.caches = &caches,.all_else_was_there = true};
	BlockKey	key = {.run = runs[0].reader.id,.block = 3};
	uint32_t	blocks;
	TestFetch	fetch;
	RunFetcher	fetcher = make_fetcher(&fetch);
	RunScan		scan;
	SvError		err;

	caches.waiter.sleep = other_ends;
	caches.waiter.state = &other;
	if (run_scan_open(&scan, &caches, &runs[0].reader, &err) != SV_OK)
		abort();
	blocks = sst_index_block(&scan.tail->index, 3).raw_bytes;
	run_scan_close(&scan);
	other.has_block = block_cache_claim(caches.blocks, &key, block_cache_hash(key), blocks, &other.block) == CACHE_LOAD;
	other.has_tail = tail_cache_claim(caches.tails, runs[1].reader.id, (size_t) runs[1].reader.tail_bytes,
									  &other.tail) == CACHE_LOAD;
	ask_begin();
	ask_add(&runs[0], 0, 10, 150);
	ask_add(&runs[1], 0, 10, 150);
	ask_add(&runs[2], 0, 10, 150);
	CHECK(other.has_block && other.has_tail && fetch_all(&caches, &fetcher, &err) == SV_OK &&
		  answers_are_right(), "what others have claimed and given up is loaded by who waits");
	CHECK(other.waited > 0 && other.all_else_was_there, "who waits has no claim of its own");

	key.run = runs[3].reader.id;
	other.has_block = block_cache_claim(caches.blocks, &key, block_cache_hash(key), blocks, &other.block) == CACHE_LOAD;
	other.waited = 0;
	ask_begin();
	ask_add(&runs[3], 0, 10, 150);
	CHECK(other.has_block && fetch_all(&caches, &fetcher, &err) == SV_OK && answers_are_right() &&
		  other.waited > 0 && other.all_else_was_there, "a block by itself");
	CHECK(no_claim_is_left(&caches) && pins(&caches) == 0, "nothing is left claimed or pinned");
	run_caches_release(&caches);
}

/* ---- Reading ahead ---- */

/* Reads so many entries of blocks first to last. */
static bool
scan_ahead(RunCaches *caches, const TestRun *run, const RunFetcher *fetcher, uint32_t first, uint32_t last,
		   bool backward, uint32_t stop_after, uint32_t *blocks_read)
{
	RunScan		scan;
	SvBuffer	raw;
	SvError		err;
	bool		right = run_scan_open(&scan, caches, &run->reader, &err) == SV_OK;
	SstBlockSource source;

	if (!right)
		return false;
	sv_buffer_init(&raw, &sv_malloc_alloc);
	run_scan_read_ahead(&scan, fetcher, first, last, backward, 0, false);
	source = run_scan_source(&scan);
	*blocks_read = 0;
	for (uint32_t i = 0; i <= last - first && i < stop_after && right; i++)
	{
		uint32_t	block = backward ? last - i : first + i;
		SstBlock	parsed;
		SstEntry	entry;
		size_t		end;

		right = source.fetch(source.state, block, &raw, &parsed, &err) == SV_OK &&
			sst_block_entry(&parsed, 0, &entry, &end) == NULL &&
			sv_slice_compare(entry.key, sst_index_low_key(&scan.tail->index, block)) >= 0;
		++*blocks_read;
	}
	run_scan_close(&scan);
	sv_buffer_free(&raw);
	return right;
}

static void
test_read_ahead(void)
{
	RunCaches	caches = make_caches(64 * 1024 * 1024, 8 * 1024 * 1024);
	TestFetch	fetch;
	RunFetcher	fetcher = make_fetcher(&fetch);
	uint32_t	blocks;
	uint32_t	n;
	TestRun		run;
	RunScan		scan;
	BlockCacheStats stats;
	SvError		err;

	make_run(&run, 2000, 40000, 0);
	if (run_scan_open(&scan, &caches, &run.reader, &err) != SV_OK)
		abort();
	blocks = scan.tail->index.count;
	run_scan_close(&scan);
	fetcher.ahead_bytes = 8 * 1024 * 1024;
	CHECK(blocks > 150 && scan_ahead(&caches, &run, &fetcher, 0, blocks - 1, false, UINT32_MAX, &n) &&
		  n == blocks, "a scan that reads ahead");
	CHECK(fetch.ranges == blocks && fetch.calls >= 8 && fetch.calls <= 10,
		  "with windows of 1, 2, 4, ... blocks, each once");
	CHECK(fetch.moves == 1 && caches.stored.data == NULL, "all in one buffer, which goes with the scan");
	CHECK(no_claim_is_left(&caches) && pins(&caches) == 0, "nothing is left claimed or pinned");
	run_caches_release(&caches);

	caches = make_caches(64 * 1024 * 1024, 8 * 1024 * 1024);
	fetcher = make_fetcher(&fetch);
	fetcher.ahead_bytes = 8 * 1024 * 1024;
	CHECK(scan_ahead(&caches, &run, &fetcher, 40, 90, true, UINT32_MAX, &n) && n == 51 && fetch.ranges == 51 &&
		  fetch.calls == 6, "backward, between bounds, and not beyond");
	fetcher = make_fetcher(&fetch);
	fetcher.ahead_bytes = 8 * 1024 * 1024;
	CHECK(scan_ahead(&caches, &run, &fetcher, 2, 30, false, UINT32_MAX, &n) && n == 29 && fetch.ranges == 29 &&
		  fetch.calls == 5, "forward too");
	fetcher = make_fetcher(&fetch);
	fetcher.ahead_bytes = 8 * 1024 * 1024;
	CHECK(scan_ahead(&caches, &run, &fetcher, 100, blocks - 1, false, 10, &n) && n == 10 && fetch.ranges == 15,
		  "one that stops early has read less than twice as much");
	fetcher = make_fetcher(&fetch);
	fetcher.ahead_bytes = 8 * 1024 * 1024;
	CHECK(scan_ahead(&caches, &run, &fetcher, 40, 90, false, UINT32_MAX, &n) && fetch.calls == 0,
		  "what is cached is not read");
	run_caches_release(&caches);

	caches = make_caches(64 * 1024 * 1024, 8 * 1024 * 1024);
	fetcher = make_fetcher(&fetch);
	fetcher.ahead_bytes = 30000;
	CHECK(scan_ahead(&caches, &run, &fetcher, 0, blocks - 1, false, UINT32_MAX, &n) && n == blocks &&
		  fetch.ranges == blocks && fetch.most >= 2 && fetch.most <= 8, "windows have no more bytes than said");
	run_caches_release(&caches);
	mem_file_free(&run.file);

	make_run(&run, 2001, 200000, 0);
	caches = make_caches(BLOCK_CACHE_MIN_BYTES, 8 * 1024 * 1024);
	if (run_scan_open(&scan, &caches, &run.reader, &err) != SV_OK)
		abort();
	blocks = scan.tail->index.count;
	run_scan_close(&scan);
	fetcher = make_fetcher(&fetch);
	fetcher.ahead_bytes = 8 * 1024 * 1024;
	CHECK(blocks * SST_FRAME_BYTES > BLOCK_CACHE_MIN_BYTES &&
		  scan_ahead(&caches, &run, &fetcher, 0, blocks - 1, false, UINT32_MAX, &n) &&
		  n == blocks &&
		  fetch.ranges < blocks * 11 / 10, "in a small cache, what was read ahead is there when the scan comes to it");
	block_cache_stats(caches.blocks, &stats);
	CHECK(fetch.most == stats.frames / 8, "and a window takes an eighth of the cache, no more");
	fetcher = make_fetcher(&fetch);
	fetcher.ahead_bytes = 8 * 1024 * 1024;
	fetch.fail_at = 1;
	CHECK(!scan_ahead(&caches, &run, &fetcher, 0, blocks - 1, false, UINT32_MAX, &n) && no_claim_is_left(&caches) &&
		  pins(&caches) == 0 && caches.stored.data == NULL, "a window that cannot be read leaves nothing behind");
	run_caches_release(&caches);
	mem_file_free(&run.file);
}

/* Blocks are taken as they come, in any order, and a window that ends early leaves nothing behind. */
static void
test_told(void)
{
	RunCaches	caches = make_caches(64 * 1024 * 1024, 8 * 1024 * 1024);
	TestFetch	fetch;
	RunFetcher	fetcher = make_fetcher(&fetch);
	RunScan		scan;
	uint32_t	blocks;
	uint32_t	n;
	uint32_t	kept = 0;
	TestRun		run;
	SvError		err;

	make_run(&run, 2002, 400000, 0);
	if (run_scan_open(&scan, &caches, &run.reader, &err) != SV_OK)
		abort();
	blocks = scan.tail->index.count;
	run_scan_close(&scan);
	fetch.told = &caches;
	fetcher.ahead_bytes = 8 * 1024 * 1024;
	CHECK(scan_ahead(&caches, &run, &fetcher, 0, blocks - 1, false, UINT32_MAX, &n) && n == blocks &&
		  fetch.ranges == blocks, "a scan that is told what has come");
	CHECK(fetch.kept == blocks, "has each block in the cache while the others are read");
	CHECK(fetch.passing > 0 && fetch.passing < blocks && fetch.passing > blocks / 2, "its large windows are passing");
	CHECK(no_claim_is_left(&caches) && pins(&caches) == 0, "nothing is left claimed or pinned");
	run_caches_release(&caches);

	caches = make_caches(64 * 1024 * 1024, 8 * 1024 * 1024);
	fetcher = make_fetcher(&fetch);
	fetch.told = &caches;
	fetch.fail_at = 7;
	fetcher.ahead_bytes = 8 * 1024 * 1024;
	CHECK(!scan_ahead(&caches, &run, &fetcher, 0, blocks - 1, false, UINT32_MAX, &n) && fetch.calls == 7 &&
		  no_claim_is_left(&caches) && pins(&caches) == 0, "one that fails halfway leaves nothing behind");
	block_cache_walk(caches.blocks, count_loading, &kept);
	CHECK(kept == 63 + 32, "but what had come");
	run_caches_release(&caches);

	/* The last block of the window of eight. */
	if (run_scan_open(&scan, &caches, &run.reader, &err) != SV_OK)
		abort();
	run.file.bytes.data[sst_index_block(&scan.tail->index, 14).offset + 20] ^= 1;
	run_scan_close(&scan);
	run_caches_release(&caches);
	caches = make_caches(64 * 1024 * 1024, 8 * 1024 * 1024);
	fetcher = make_fetcher(&fetch);
	fetch.told = &caches;
	fetcher.ahead_bytes = 8 * 1024 * 1024;
	CHECK(!scan_ahead(&caches, &run, &fetcher, 0, blocks - 1, false, UINT32_MAX, &n) && n == 8 && fetch.calls == 4 &&
		  no_claim_is_left(&caches) && pins(&caches) == 0 && caches.stored.data == NULL,
		  "a damaged block among those that have come is an error once the rest is read");
	run_caches_release(&caches);
	mem_file_free(&run.file);
}

/* Blocks that are brought in order come with those behind them, and each is counted once. */
static void
test_warming(void)
{
	RunCaches	caches = make_caches(64 * 1024 * 1024, 8 * 1024 * 1024);
	TestFetch	fetch;
	RunFetcher	fetcher = make_fetcher(&fetch);
	uint64_t	brought[2] = {0, 0};
	uint32_t	last;
	uint32_t	loaded;
	bool		well = true;
	TestRun		run;
	RunScan		scan;
	SvError		err;

	make_run(&run, 2003, 40000, 0);
	fetcher.ahead_bytes = 8 * 1024 * 1024;
	if (run_scan_open(&scan, &caches, &run.reader, &err) != SV_OK)
		abort();
	last = scan.tail->index.count - 11;
	run_scan_read_ahead(&scan, &fetcher, 20, last, false, 0, false);
	for (int round = 0; round < 2; round++)
		for (uint32_t block = 20; block <= last; block++)
		{
			well = run_scan_warm_ahead(&scan, block, &loaded, &err) == SV_OK && well;
			brought[round] += loaded;
		}
	run_scan_close(&scan);
	CHECK(well && brought[0] == last - 19 && brought[1] == 0, "blocks are brought, once");
	CHECK(fetch.ranges == brought[0] && fetch.calls <= 10, "with few requests, and not beyond the last");
	CHECK(no_claim_is_left(&caches) && pins(&caches) == 0 && caches.stored.data == NULL, "nothing is left");
	run_caches_release(&caches);
	mem_file_free(&run.file);
}

/* Those that the cache does not keep are read by nobody who only warms. */
static void
test_warming_large(void)
{
	RunCaches	caches = make_caches(BLOCK_CACHE_MIN_BYTES, 8 * 1024 * 1024);
	TestFetch	fetch;
	RunFetcher	fetcher = make_fetcher(&fetch);
	uint32_t	kept = 0;
	uint32_t	brought = 0;
	uint32_t	loaded;
	bool		one;
	bool		well = true;
	TestRun		run;
	RunScan		scan;
	SvError		err;

	make_run(&run, 2004, 2000, 100000);
	fetcher.ahead_bytes = 8 * 1024 * 1024;
	if (run_scan_open(&scan, &caches, &run.reader, &err) != SV_OK)
		abort();
	run_scan_read_ahead(&scan, &fetcher, 0, scan.tail->index.count - 1, false, 0, false);
	shared->reads = 0;
	for (uint32_t block = 0; block < scan.tail->index.count; block++)
	{
		bool		keeps = block_cache_keeps(caches.blocks, sst_index_block(&scan.tail->index, block).raw_bytes);

		kept += keeps;
		well = run_scan_warm_ahead(&scan, block, &loaded, &err) == SV_OK && well;
		brought += loaded;
		well = run_scan_warm(&scan, block, &one, &err) == SV_OK && !one && well;
	}
	CHECK(well && kept > 10 && kept + 10 < scan.tail->index.count && brought == kept && fetch.ranges == kept,
		  "what is too large for the cache is not brought");
	CHECK(shared->reads == kept && cache_guard_counter(caches.guard, CACHE_BLOCK_BYPASS) == 0, "nor read");
	run_scan_close(&scan);
	CHECK(no_claim_is_left(&caches) && pins(&caches) == 0, "nothing is left");
	run_caches_release(&caches);
	mem_file_free(&run.file);
}

int
main(void)
{
	shared = shared_memory(sizeof(Shared));
	sv_buffer_init(&ask.values, &sv_malloc_alloc);
	for (int r = 0; r < RUNS; r++)
		make_run(&runs[r], r, 2500, 0);
	test_two_rounds();
	test_many();
	test_tails();
	test_no_room();
	test_run_twice();
	test_failures();
	test_others();
	test_read_ahead();
	test_told();
	test_warming();
	test_warming_large();
	sv_buffer_free(&ask.values);
	for (int r = 0; r < RUNS; r++)
		mem_file_free(&runs[r].file);
	return unit_done();
}
