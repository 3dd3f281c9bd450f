/*
 * test_run_reader.c
 *		Lookups by way of the shared caches: against what was written, with
 *		everything loaded once, with sources that fail, with caches too small,
 *		and with many processes at once.
 */
#include "unit.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cache/run_reader.h"
#include "sst_fixture.h"

#define PROCESSES 4

/* Everything that processes share. */
typedef struct Shared
{
	_Atomic uint64_t reads;		/* of data blocks and tails, by all processes */
} Shared;

static Shared *shared;

static void *
shared_memory(size_t bytes)
{
	void	   *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		abort();
	return memory;
}

/* Waits by looking again; counts, and gives up when told to. */
static int	sleeps;
static bool give_up;

static void
wait_nothing(void *state, uint32_t channel)
{
	(void) state;
	(void) channel;
}

static SvStatus
wait_sleep(void *state, uint32_t channel, SvError *err)
{
	(void) state;
	(void) channel;
	sleeps++;
	if (give_up)
		return sv_fail(err, SV_CANCELLED, "gave up");
	usleep(100);
	return SV_OK;
}

static RunCaches
make_caches(size_t block_bytes, size_t tail_bytes)
{
	RunCaches	caches = {
		.waiter = {wait_nothing, wait_sleep, wait_nothing, wait_nothing, NULL}
	};

	caches.guard = cache_guard_init(shared_memory(cache_guard_bytes(PROCESSES + 1)), PROCESSES + 1);
	caches.blocks = block_cache_init(shared_memory(block_cache_region_bytes(block_bytes)), block_bytes);
	caches.tails = tail_cache_init(shared_memory(tail_cache_region_bytes(tail_bytes)), tail_bytes,
								   caches.guard);
	run_caches_init(&caches);
	return caches;
}

/* Entries whose content follows from (run, i); every seventh is a tombstone, some are large. */
typedef struct Content
{
	int			run;
	int			entries;
	size_t		large_bytes;	/* of every hundredth value; 0: none is large */
} Content;

static SstEntry
content_entry(const Content *content, int i, char *key, SvBuffer *value)
{
	uint64_t	random = UINT64_C(88172645463325252) + (uint64_t) i * 1000003 + (uint64_t) content->run;
	size_t		bytes = (size_t) (i % 150);
	SstEntry	entry = {.kind = SST_VALUE,.expires_at = i % 5 == 0 ? i : SST_NEVER_EXPIRES};
	SvError		err;

	if (content->large_bytes > 0 && i % 100 == 50)
		bytes = content->large_bytes + (size_t) i;
	sprintf(key, "key:%08d", i * 3);
	entry.key = sv_slice(key, strlen(key));
	sv_buffer_reset(value);
	if (i % 7 == 3)
		entry.kind = SST_TOMBSTONE;
	else if (bytes > 0)
	{
		if (sv_buffer_reserve(value, bytes, &err) != SV_OK)
			abort();
		for (value->len = 0; value->len < bytes; value->len++)
			value->data[value->len] = (uint8_t) next_random(&random);
	}
	entry.value = value->len > 0 ? sv_buffer_slice(value) : sv_slice(NULL, 0);
	return entry;
}

/* A run in memory whose reads are counted, and fail or lie if asked to. */
typedef struct TestRun
{
	Content		content;
	MemFile		file;
	RunReader	reader;
	bool		fail;
} TestRun;

static SvStatus
run_read(void *state, uint64_t offset, size_t len, void *dst, SvError *err)
{
	TestRun    *run = state;

	shared->reads++;
	if (run->fail)
		return sv_fail(err, SV_IO, "the disk is on fire");
	return mem_read(&run->file, offset, len, dst, err);
}

static void
make_run(TestRun *run, int number, int entries, size_t large_bytes)
{
	SstWriterOptions options = SST_WRITER_DEFAULTS;
	SstSink		sink = mem_sink(&run->file);
	SstWriter  *writer;
	SvBuffer	value;
	SvStatus	status;
	SvError		err;
	char		key[32];

	memset(run, 0, sizeof(*run));
	run->content = (Content) {number, entries, large_bytes};
	mem_file_init(&run->file);
	sv_buffer_init(&value, &sv_malloc_alloc);
	status = sst_writer_create(&writer, &options, &sink, &sv_malloc_alloc, &err);
	for (int i = 0; i < entries && status == SV_OK; i++)
	{
		SstEntry	entry = content_entry(&run->content, i, key, &value);

		status = sst_writer_add(writer, &entry, &err);
	}
	if (status == SV_OK)
		status = sst_writer_finish(writer, &run->file.summary, &err);
	if (status != SV_OK)
		abort();
	sst_writer_destroy(writer);
	sv_buffer_free(&value);
	run->reader = (RunReader) {
		.id = {(uint64_t) number + 1, (uint64_t) number * UINT64_C(0x123456789abcdef1)},
		.file_bytes = run->file.summary.file_bytes,
		.tail_bytes = run->file.summary.tail_bytes,
		.source = {run_read, run, "test-object"}
	};
}

static bool
answer_is(const RunAnswer *answer, const SvBuffer *values, const SstEntry *entry)
{
	return answer->kind == (int) entry->kind && answer->expires_at == entry->expires_at &&
		answer->value_len == entry->value.len &&
		(entry->value.len == 0 ||
		 memcmp(values->data + answer->value_at, entry->value.data, entry->value.len) == 0);
}

/* Whether key number i, and the absent key behind it, are answered right. */
static bool
get_is_right(RunCaches *caches, const TestRun *run, int i, SvBuffer *values, SvBuffer *value)
{
	char		key[32];
	SstEntry	entry = content_entry(&run->content, i, key, value);
	RunAnswer	answer;
	SvError		err;

	sv_buffer_reset(values);
	if (run_reader_get(caches, &run->reader, entry.key, values, &answer, &err) != SV_OK ||
		!answer_is(&answer, values, &entry))
		return false;
	sprintf(key, "key:%08d", i * 3 + 1);
	return run_reader_get(caches, &run->reader, sv_slice(key, strlen(key)), values, &answer,
						  &err) == SV_OK && answer.kind == RUN_ABSENT;
}

/* A batch of every step-th key and the absent one behind each. */
static bool
batch_is_right(RunCaches *caches, const TestRun *run, int first, int step, int n)
{
	SvSlice    *keys = must_allocate((size_t) n * 2 * sizeof(SvSlice));
	const RunReader **readers = must_allocate((size_t) n * 2 * sizeof(RunReader *));
	RunAnswer  *answers = must_allocate((size_t) n * 2 * sizeof(RunAnswer));
	char	   *text = must_allocate((size_t) n * 2 * 32);
	uint32_t	uncached;
	bool		right = true;
	SvBuffer	values;
	SvBuffer	value;
	SvError		err;

	sv_buffer_init(&values, &sv_malloc_alloc);
	sv_buffer_init(&value, &sv_malloc_alloc);
	for (int i = 0; i < 2 * n; i++)
	{
		sprintf(text + 32 * i, "key:%08d", (first + i / 2 * step) * 3 + i % 2);
		keys[i] = sv_slice(text + 32 * i, strlen(text + 32 * i));
		readers[i] = &run->reader;
	}
	right = run_reader_get_many(caches, readers, keys, 2 * (uint32_t) n, &values, answers,
								&uncached, &err) == SV_OK;
	if (right && uncached > 0)
		right = run_reader_load_many(caches, &run->reader, keys, 2 * (uint32_t) n, &values, answers,
									 &err) == SV_OK;
	for (int i = 0; i < n && right; i++)
	{
		char		key[32];
		SstEntry	entry = content_entry(&run->content, first + i * step, key, &value);

		right = (first + i * step < run->content.entries ? answer_is(&answers[2 * i], &values, &entry) :
				 answers[2 * i].kind == RUN_ABSENT) && answers[2 * i + 1].kind == RUN_ABSENT;
	}
	sv_buffer_free(&values);
	sv_buffer_free(&value);
	free(keys);
	free(readers);
	free(answers);
	free(text);
	return right;
}

static bool
all_are_right(RunCaches *caches, const TestRun *run)
{
	SvBuffer	values;
	SvBuffer	value;
	bool		right = true;

	sv_buffer_init(&values, &sv_malloc_alloc);
	sv_buffer_init(&value, &sv_malloc_alloc);
	for (int i = 0; i < run->content.entries && right; i++)
		right = get_is_right(caches, run, i, &values, &value);
	sv_buffer_free(&values);
	sv_buffer_free(&value);
	return right;
}

static bool
scan_is_right(RunCaches *caches, const TestRun *run)
{
	SstBlockSource source;
	SstIterator *it;
	SstEntry	entry;
	SvBuffer	value;
	RunScan		scan;
	SvError		err;
	bool		right;
	int			i = 0;

	sv_buffer_init(&value, &sv_malloc_alloc);
	if (run_scan_open(&scan, caches, &run->reader, &err) != SV_OK)
		return false;
	source = run_scan_source(&scan);
	right = sst_iterator_open(&it, &source, NULL, NULL, false, &sv_malloc_alloc, &err) == SV_OK;
	while (right && sst_iterator_next(it, &entry, &err) == SV_OK)
	{
		char		key[32];
		SstEntry	expected = content_entry(&run->content, i++, key, &value);

		right = same_entry(&entry, &expected);
	}
	sst_iterator_close(it);
	run_scan_close(&scan);
	sv_buffer_free(&value);
	return right && i == run->content.entries;
}

static void
sum_pins(void *state, const TailCacheItem *item)
{
	*(uint32_t *) state += item->pins;
}

static uint32_t
pins(const RunCaches *caches)
{
	uint32_t	n = 0;

	tail_cache_walk(caches->tails, sum_pins, &n);
	return n;
}

static void
test_everything_is_loaded_once(void)
{
	RunCaches	caches = make_caches(64 * 1024 * 1024, 4 * 1024 * 1024);
	uint32_t	blocks;
	TestRun		run;
	RunScan		scan;
	SvError		err;

	make_run(&run, 1, 20000, 0);
	shared->reads = 0;
	CHECK(all_are_right(&caches, &run), "each key, and an absent one behind each");
	if (run_scan_open(&scan, &caches, &run.reader, &err) != SV_OK)
		abort();
	blocks = scan.tail->index.count;
	run_scan_close(&scan);
	CHECK(blocks > 50 && shared->reads == blocks + 1, "the tail and each block were read once");

	run.reader.source.read = NULL;
	CHECK(all_are_right(&caches, &run) && batch_is_right(&caches, &run, 0, 1, 21000) &&
		  batch_is_right(&caches, &run, 5, 37, 400) && scan_is_right(&caches, &run),
		  "and then no source is needed: gets, batches, scans");
	CHECK(pins(&caches) == 0, "nothing stays pinned");
	run_caches_release(&caches);
	mem_file_free(&run.file);
}

static void
test_batch_loads(void)
{
	RunCaches	caches = make_caches(64 * 1024 * 1024, 4 * 1024 * 1024);
	TestRun		run;

	make_run(&run, 2, 20000, 0);
	shared->reads = 0;
	CHECK(batch_is_right(&caches, &run, 100, 1, 300), "a batch over nothing cached");
	CHECK(shared->reads <= 6, "reads the tail and each of its blocks once");
	CHECK(batch_is_right(&caches, &run, 0, 61, 400) && scan_is_right(&caches, &run),
		  "a batch and a scan over some blocks cached");
	run_caches_release(&caches);
	mem_file_free(&run.file);
}

static void
test_large_values(void)
{
	RunCaches	caches = make_caches(16 * 1024 * 1024, 4 * 1024 * 1024);
	uint64_t	reads;
	TestRun		chained;
	TestRun		bypassing;

	make_run(&chained, 3, 500, 100000);
	CHECK(all_are_right(&caches, &chained) && batch_is_right(&caches, &chained, 0, 1, 500) &&
		  scan_is_right(&caches, &chained), "values of several frames");
	make_run(&bypassing, 4, 200, 1000000);
	CHECK(all_are_right(&caches, &bypassing), "values that are too large for the cache");
	reads = shared->reads;
	CHECK(all_are_right(&caches, &bypassing) && shared->reads > reads,
		  "are read from the source each time");
	reads = shared->reads;
	CHECK(all_are_right(&caches, &chained) && shared->reads == reads, "and have evicted nothing");
	run_caches_release(&caches);
	mem_file_free(&chained.file);
	mem_file_free(&bypassing.file);
}

static void
test_failures(void)
{
	RunCaches	caches = make_caches(16 * 1024 * 1024, 4 * 1024 * 1024);
	SvSlice		key = sv_slice("key:00000300", 12);
	SvBuffer	values;
	RunAnswer	answer;
	TestRun		run;
	SvError		err;

	sv_buffer_init(&values, &sv_malloc_alloc);
	make_run(&run, 5, 2000, 0);
	run.fail = true;
	CHECK(run_reader_get(&caches, &run.reader, key, &values, &answer, &err) == SV_IO,
		  "a tail that cannot be read is an error");
	run.fail = false;
	CHECK(run_reader_get(&caches, &run.reader, key, &values, &answer, &err) == SV_OK &&
		  answer.kind == SST_VALUE, "and is read by the next lookup");
	run.fail = true;
	CHECK(run_reader_get(&caches, &run.reader, sv_slice("key:00003000", 12), &values, &answer,
						 &err) == SV_IO, "a block that cannot be read is an error");
	run.fail = false;
	CHECK(all_are_right(&caches, &run) && pins(&caches) == 0, "and nobody waits for it for ever");
	run_caches_release(&caches);

	caches = make_caches(16 * 1024 * 1024, 4 * 1024 * 1024);
	run.file.bytes.data[10] ^= 1;
	for (int i = 0; i < 2; i++)
		CHECK(run_reader_get(&caches, &run.reader, sv_slice("key:00000000", 12), &values, &answer,
							 &err) == SV_CORRUPT && strstr(err.message, "test-object") != NULL &&
			  strstr(err.message, "block 0") != NULL, "a damaged block is an error each time");
	CHECK(run_reader_get(&caches, &run.reader, sv_slice("key:00003000", 12), &values, &answer,
						 &err) == SV_OK && answer.kind == SST_VALUE, "the others are readable");
	run_caches_release(&caches);

	caches = make_caches(16 * 1024 * 1024, 4 * 1024 * 1024);
	run.file.bytes.data[run.file.bytes.len - 40] ^= 1;
	CHECK(run_reader_get(&caches, &run.reader, key, &values, &answer, &err) == SV_CORRUPT &&
		  strstr(err.message, "test-object") != NULL, "a damaged tail is an error");
	run.reader.tail_bytes = run.reader.file_bytes + 1;
	run.reader.id.hi++;
	CHECK(run_reader_get(&caches, &run.reader, key, &values, &answer, &err) == SV_CORRUPT,
		  "and so is a tail that is longer than its file");
	run_caches_release(&caches);
	sv_buffer_free(&values);
	mem_file_free(&run.file);
}

static void
test_no_source(void)
{
	RunCaches	caches = make_caches(16 * 1024 * 1024, 4 * 1024 * 1024);
	SvSlice		keys[2] = {sv_slice("key:00000300", 12), sv_slice("key:00003000", 12)};
	RunAnswer	answers[2];
	uint32_t	uncached;
	SvBuffer	values;
	RunReader	blind;
	const RunReader *blinds[2] = {&blind, &blind};
	TestRun		run;
	SvError		err;

	sv_buffer_init(&values, &sv_malloc_alloc);
	make_run(&run, 6, 2000, 0);
	blind = run.reader;
	blind.source.read = NULL;
	CHECK(run_reader_get(&caches, &blind, keys[0], &values, &answers[0], &err) == SV_OK &&
		  answers[0].kind == RUN_UNCACHED, "without a source, what is not cached is told so");
	CHECK(run_reader_get(&caches, &run.reader, keys[0], &values, &answers[0], &err) == SV_OK &&
		  run_reader_get_many(&caches, blinds, keys, 2, &values, answers, &uncached, &err) == SV_OK &&
		  uncached == 1 && answers[0].kind == SST_VALUE && answers[1].kind == RUN_UNCACHED,
		  "key by key in a batch");
	sv_buffer_free(&values);
	run_caches_release(&caches);
	mem_file_free(&run.file);
}

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
				run_reader_load_many(&caches, &run.reader, &entry.key, 1, &values, &answer,
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

/* A batch over several runs, one of which is not in the caches. */
static void
test_several_runs(void)
{
	RunCaches	caches = make_caches(16 * 1024 * 1024, 4 * 1024 * 1024);
	const RunReader *readers[300];
	RunAnswer	answers[300];
	SvSlice		keys[300];
	char		text[300][32];
	bool		right = true;
	uint32_t	uncached;
	SvBuffer	values;
	SvBuffer	value;
	TestRun		runs[3];
	SvError		err;

	sv_buffer_init(&values, &sv_malloc_alloc);
	sv_buffer_init(&value, &sv_malloc_alloc);
	for (int r = 0; r < 3; r++)
	{
		make_run(&runs[r], 50 + r, 3000, 0);
		right = right && (r == 1 || all_are_right(&caches, &runs[r]));
	}
	for (int i = 0; i < 300; i++)
	{
		sprintf(text[i], "key:%08d", i * 9);
		keys[i] = sv_slice(text[i], strlen(text[i]));
		readers[i] = &runs[i / 7 % 3].reader;
	}
	right = right && run_reader_get_many(&caches, readers, keys, 300, &values, answers, &uncached,
										 &err) == SV_OK;
	for (int i = 0; i < 300 && right; i++)
	{
		char		key[32];
		const TestRun *run = &runs[i / 7 % 3];
		SstEntry	entry = content_entry(&run->content, i * 3, key, &value);

		right = run == &runs[1] ? answers[i].kind == RUN_UNCACHED : answer_is(&answers[i], &values, &entry);
	}
	CHECK(right && uncached > 90, "a batch over several runs");
	for (int r = 0; r < 3; r++)
		mem_file_free(&runs[r].file);
	sv_buffer_free(&values);
	sv_buffer_free(&value);
	run_caches_release(&caches);
}

/* More tails than the tail cache has room for, while scans hold what is there. */
static void
test_private_tails(void)
{
	RunCaches	caches = make_caches(16 * 1024 * 1024, TAIL_CACHE_MIN_BYTES);
	bool		right = true;
	RunScan		scans[12];
	TestRun		runs[12];
	SvError		err;

	for (int i = 0; i < 12; i++)
	{
		make_run(&runs[i], 10 + i, 60000, 0);
		right = right && run_scan_open(&scans[i], &caches, &runs[i].reader, &err) == SV_OK;
	}
	CHECK(right && scans[11].private_tail != NULL && scans[0].private_tail == NULL,
		  "when all room is pinned, tails are private");
	for (int i = 0; i < 12; i++)
		right = right && batch_is_right(&caches, &runs[i], i, 1001, 50);
	CHECK(right, "and lookups go on");
	for (int i = 0; i < 12; i++)
		run_scan_close(&scans[i]);
	CHECK(pins(&caches) == 0, "nothing stays pinned");
	for (int i = 0; i < 12; i++)
		right = right && batch_is_right(&caches, &runs[i], i, 997, 50);
	CHECK(right, "and tails take each other's room");
	for (int i = 0; i < 12; i++)
		mem_file_free(&runs[i].file);
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
	test_everything_is_loaded_once();
	test_batch_loads();
	test_large_values();
	test_failures();
	test_no_source();
	test_several_runs();
	test_stolen_block(0, "a block that is replaced while it is read is read again");
	test_stolen_block(40000, "and so is one of several frames");
	test_private_tails();
	test_cancelled_wait();
	test_processes();
	return unit_done();
}
