/*
 * test_run_reader.c
 *		Lookups by way of the shared caches: against what was written, with
 *		everything loaded once, with sources that fail, with caches too small.
 */
#include "unit.h"

#include "run_fixture.h"

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
	test_private_tails();
	return unit_done();
}
