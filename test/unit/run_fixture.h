/*
 * run_fixture.h
 *		Caches in memory that processes share, runs whose content is known, and
 *		whether lookups in them are answered right.
 */
#ifndef RUN_FIXTURE_H
#define RUN_FIXTURE_H

#include <sys/mman.h>
#include <unistd.h>

#include "cache/run_fetch.h"
#include "sst_fixture.h"

#define PROCESSES 4

/* Everything that processes share. */
typedef struct Shared
{
	_Atomic uint64_t reads;		/* of data blocks and tails, by all processes */
} Shared;

static Shared *shared;

static inline void *
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

static inline void
wait_nothing(void *state, uint32_t channel)
{
	(void) state;
	(void) channel;
}

static inline SvStatus
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

static inline RunCaches
make_caches(size_t block_bytes, size_t tail_bytes)
{
	RunCaches	caches = {
		.waiter = {wait_nothing, wait_sleep, wait_nothing, wait_nothing, NULL}
	};

	caches.guard = cache_guard_init(shared_memory(cache_guard_bytes(PROCESSES + 1)), PROCESSES + 1);
	caches.blocks = block_cache_init(shared_memory(block_cache_region_bytes(block_bytes)), block_bytes, NULL);
	caches.tails = tail_cache_init(shared_memory(tail_cache_region_bytes(tail_bytes)), tail_bytes,
								   caches.guard, NULL);
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

static inline SstEntry
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

static inline SvStatus
run_read(void *state, uint64_t offset, size_t len, void *dst, SvError *err)
{
	TestRun    *run = state;

	shared->reads++;
	if (run->fail)
		return sv_fail(err, SV_IO, "the disk is on fire");
	return mem_read(&run->file, offset, len, dst, err);
}

static inline void
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

static inline bool
answer_is(const RunAnswer *answer, const SvBuffer *values, const SstEntry *entry)
{
	return answer->kind == (int) entry->kind && answer->expires_at == entry->expires_at &&
		answer->value_len == entry->value.len &&
		(entry->value.len == 0 ||
		 memcmp(values->data + answer->value_at, entry->value.data, entry->value.len) == 0);
}

/* Whether key number i, and the absent key behind it, are answered right. */
static inline bool
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
static inline bool
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
		right = run_fetch_many(caches, &run_fetch_singly, readers, keys, 2 * (uint32_t) n, &values, answers,
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

static inline bool
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

static inline bool
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

static inline void
sum_pins(void *state, const TailCacheItem *item)
{
	*(uint32_t *) state += item->pins;
}

static inline uint32_t
pins(const RunCaches *caches)
{
	uint32_t	n = 0;

	tail_cache_walk(caches->tails, sum_pins, &n);
	return n;
}

#endif							/* RUN_FIXTURE_H */
