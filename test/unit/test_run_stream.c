/*
 * test_run_stream.c
 *		A long scan that asks for what it will need: all of it is right, no more is
 *		asked for than said, and nothing is left under way whatever happens.
 */
#include <setjmp.h>

#include "cache/disk_files.h"
#include "cache/run_stream.h"
#include "unit.h"

#include "run_fixture.h"

#define ENTRIES 200000
#define MIB ((size_t) 1024 * 1024)

/* The linker puts it in block_cache_begin's place. */
extern bool __real_block_cache_begin(BlockCache *cache, const BlockKey *key, uint64_t hash, uint32_t candidate,
									 BlockView *view);
extern bool __wrap_block_cache_begin(BlockCache *cache, const BlockKey *key, uint64_t hash, uint32_t candidate,
									 BlockView *view);

static size_t looks;			/* for a block in the cache */

bool
__wrap_block_cache_begin(BlockCache *cache, const BlockKey *key, uint64_t hash, uint32_t candidate, BlockView *view)
{
	looks++;
	return __real_block_cache_begin(cache, key, hash, candidate, view);
}

/* A fetcher whose bytes come when they are waited for, and not before. */
typedef struct TestStream
{
	const TestRun *run;
	int			begun;
	int			finished;
	int			dropped;
	int			driven;
	int			reads;			/* that were waited for */
	int			stream_reads;	/* of these, of pieces */
	bool		crosses;		/* one of these asked for parts of two ranges of a disk tier as one */
	int			room;			/* for so many under way; 0: for all */
	int			under_way;
	int			most_under_way;
	size_t		asked;			/* bytes, begun or read */
	int			refuse;			/* begin answers nothing from this one on; 0: never */
	int			fail_finish;	/* this one; 0: none; -1: all */
	SvStatus	with;
	bool		fail_reads;		/* of pieces */
	jmp_buf    *leave;			/* from finish; NULL: not */
} TestStream;

typedef struct TestPiece
{
	RunRange	range;
	int			number;
} TestPiece;

static SvStatus
read_ranges(void *state, const RunRange *ranges, uint32_t n, const RunReading *reading, SvError *err)
{
	TestStream *stream = state;

	(void) reading;
	stream->reads++;
	for (uint32_t i = 0; i < n; i++)
		stream->asked += ranges[i].len;
	if (ranges[0].there == NULL)
	{
		stream->stream_reads++;
		for (uint32_t i = 0; i < n; i++)
			stream->crosses = stream->crosses || ranges[i].offset / DISK_RANGE_BYTES !=
				(ranges[i].offset + ranges[i].len - 1) / DISK_RANGE_BYTES;
		if (stream->fail_reads)
			return sv_fail(err, SV_IO, "the network is still down");
	}
	return run_fetch_singly.read(NULL, ranges, n, NULL, err);
}

static SvStatus
begin(void *state, const RunRange *range, void **fetch, SvError *err)
{
	TestStream *stream = state;
	TestPiece  *piece;

	(void) err;
	*fetch = NULL;
	if ((stream->refuse > 0 && stream->begun + 1 >= stream->refuse) ||
		(stream->room > 0 && stream->under_way >= stream->room))
		return SV_OK;
	piece = must_allocate(sizeof(TestPiece));
	*piece = (TestPiece) {.range = *range,.number = ++stream->begun};
	memset(range->dst, 0xAA, range->len);
	stream->asked += range->len;
	if (++stream->under_way > stream->most_under_way)
		stream->most_under_way = stream->under_way;
	*fetch = piece;
	return SV_OK;
}

static void
drive(void *state, void *fetch)
{
	(void) fetch;
	((TestStream *) state)->driven++;
}

static SvStatus
finish(void *state, void *fetch, SvError *err)
{
	TestStream *stream = state;
	TestPiece  *piece = fetch;
	RunRange	range = piece->range;
	bool		fails = stream->fail_finish == piece->number || stream->fail_finish == -1;

	if (stream->leave != NULL)
		longjmp(*stream->leave, 1);
	free(piece);
	stream->finished++;
	stream->under_way--;
	if (fails)
		return sv_fail(err, stream->with, "the network was down");
	return run_fetch_singly.read(NULL, &range, 1, NULL, err);
}

static void
drop(void *state, void *fetch)
{
	TestStream *stream = state;

	free(fetch);
	stream->dropped++;
	stream->under_way--;
}

static RunFetcher
make_fetcher(TestStream *stream, const TestRun *run)
{
	*stream = (TestStream) {.run = run,.with = SV_IO};
	return (RunFetcher) {
		.read = read_ranges,.state = stream,.ahead_bytes = 8 * MIB,
		.begin = begin,.drive = drive,.finish = finish,.drop = drop
	};
}

/* A scan and where it is. */
typedef struct TestScan
{
	RunScan		scan;
	SstIterator *it;
	SvBuffer	value;
	int			next;			/* entry */
	SvStatus	status;			/* of the call before */
	SvError		err;
} TestScan;

static void
scan_begin(TestScan *t, RunCaches *caches, const TestRun *run, const RunFetcher *fetcher)
{
	SstBlockSource source;

	memset(t, 0, sizeof(*t));
	sv_buffer_init(&t->value, &sv_malloc_alloc);
	if (run_scan_open(&t->scan, caches, &run->reader, &t->err) != SV_OK)
		abort();
	run_scan_read_ahead(&t->scan, fetcher, 0, t->scan.tail->index.count - 1, false, 0, true);
	source = run_scan_source(&t->scan);
	if (sst_iterator_open(&t->it, &source, NULL, NULL, false, &sv_malloc_alloc, &t->err) != SV_OK)
		abort();
}

/* So many entries, all of which are right; it ends at the first that is not, with t->status. */
static bool
scan_on(TestScan *t, const TestRun *run, int entries)
{
	for (int i = 0; i < entries; i++)
	{
		char		key[32];
		SstEntry	entry;
		SstEntry	expected;

		t->status = sst_iterator_next(t->it, &entry, &t->err);
		if (t->status != SV_OK)
			return t->status == SV_NOT_FOUND && t->next == run->content.entries;
		expected = content_entry(&run->content, t->next++, key, &t->value);
		if (!same_entry(&entry, &expected))
			return false;
	}
	return true;
}

static void
scan_end(TestScan *t)
{
	sst_iterator_close(t->it);
	run_scan_close(&t->scan);
	sv_buffer_free(&t->value);
}

static bool
nothing_is_left(const RunCaches *caches, const TestStream *stream)
{
	return stream->under_way == 0 && stream->begun == stream->finished + stream->dropped && pins(caches) == 0 &&
		caches->streams[0] == NULL && caches->streams[1] == NULL && caches->scans_ahead == 0;
}

static size_t
data_bytes(const TestRun *run)
{
	return (size_t) (run->reader.file_bytes - run->reader.tail_bytes);
}

static TestRun run;

static RunCaches
new_caches(void)
{
	RunCaches	caches = make_caches(64 * MIB, 8 * MIB);

	caches.may_leave_under_way = true;
	return caches;
}

static void
test_whole(void)
{
	RunCaches	caches = new_caches();
	TestStream	stream;
	RunFetcher	fetcher = make_fetcher(&stream, &run);
	BlockCacheStats stats;
	TestScan	t;

	scan_begin(&t, &caches, &run, &fetcher);
	CHECK(scan_on(&t, &run, ENTRIES + 1), "all entries of a stream");
	block_cache_stats(caches.blocks, &stats);
	CHECK(stats.frames_used * SST_FRAME_BYTES < 4 * MIB, "go by the cache, but for the first of them");
	CHECK(stream.asked == data_bytes(&run) && stream.stream_reads == 0, "each block is asked for once");
	CHECK(stream.begun > 6 && stream.begun < 20 && stream.dropped == 0, "in few pieces");
	CHECK(stream.most_under_way == RUN_STREAM_PIECES - 1 || stream.most_under_way == RUN_STREAM_PIECES,
		  "as many side by side as may be");
	CHECK(stream.driven > 10, "driven meanwhile");
	scan_end(&t);
	CHECK(nothing_is_left(&caches, &stream), "and nothing is left");
	run_caches_release(&caches);
}

static void
test_stops_early(void)
{
	bool		modest = true;
	bool		clean = true;

	for (int entries = 1; entries < ENTRIES; entries = entries * 3 / 2 + 1)
	{
		RunCaches	caches = new_caches();
		TestStream	stream;
		RunFetcher	fetcher = make_fetcher(&stream, &run);
		TestScan	t;

		scan_begin(&t, &caches, &run, &fetcher);
		clean = clean && scan_on(&t, &run, entries);
		modest = modest && stream.asked <= 2 * t.scan.went + 64 * 1024 &&
			(t.scan.went >= 1 * MIB || stream.begun == 0);
		scan_end(&t);
		clean = clean && nothing_is_left(&caches, &stream);
		run_caches_release(&caches);
	}
	CHECK(modest, "a scan that stops early has asked for less than twice what it needed");
	CHECK(clean, "and gives the rest up");
}

static void
test_failures(void)
{
	RunCaches	caches = new_caches();
	TestStream	stream;
	RunFetcher	fetcher = make_fetcher(&stream, &run);
	TestScan	t;

	stream.fail_finish = 3;
	scan_begin(&t, &caches, &run, &fetcher);
	CHECK(scan_on(&t, &run, ENTRIES + 1) && stream.stream_reads == 1, "a piece that failed under way is read anew");
	scan_end(&t);
	CHECK(nothing_is_left(&caches, &stream), "and nothing is left");

	fetcher = make_fetcher(&stream, &run);
	stream.fail_finish = -1;
	scan_begin(&t, &caches, &run, &fetcher);
	CHECK(scan_on(&t, &run, ENTRIES + 1) && stream.stream_reads == stream.begun, "all of them too");
	scan_end(&t);

	fetcher = make_fetcher(&stream, &run);
	stream.fail_finish = 3;
	stream.fail_reads = true;
	scan_begin(&t, &caches, &run, &fetcher);
	CHECK(!scan_on(&t, &run, ENTRIES + 1) && t.status == SV_IO && strstr(t.err.message, "still") != NULL,
		  "if that fails, it is the scan's error");
	stream.fail_reads = false;
	CHECK(scan_on(&t, &run, ENTRIES + 1), "after which it can go on");
	scan_end(&t);
	CHECK(nothing_is_left(&caches, &stream), "and nothing is left");

	fetcher = make_fetcher(&stream, &run);
	stream.fail_finish = 2;
	stream.fail_reads = true;
	scan_begin(&t, &caches, &run, &fetcher);
	CHECK(scan_on(&t, &run, 20000) && t.status == SV_OK && stream.begun > 0,
		  "what nobody has come to yet is nobody's error");
	scan_end(&t);

	fetcher = make_fetcher(&stream, &run);
	stream.fail_finish = 2;
	stream.with = SV_CANCELLED;
	scan_begin(&t, &caches, &run, &fetcher);
	CHECK(!scan_on(&t, &run, ENTRIES + 1) && t.status == SV_CANCELLED && stream.stream_reads == 0,
		  "who is cancelled asks for nothing more");
	scan_end(&t);
	CHECK(nothing_is_left(&caches, &stream), "and leaves nothing");
	run_caches_release(&caches);
}

/* As when a process is told to end while it waits. */
static void
test_left(void)
{
	RunCaches	caches = new_caches();
	TestStream	stream;
	RunFetcher	fetcher = make_fetcher(&stream, &run);
	jmp_buf		left;
	TestScan	t;

	stream.leave = &left;
	scan_begin(&t, &caches, &run, &fetcher);
	if (setjmp(left) == 0)
	{
		scan_on(&t, &run, ENTRIES + 1);
		CHECK(false, "a wait that is left");
	}
	scan_end(&t);
	CHECK(stream.dropped > 0 && nothing_is_left(&caches, &stream), "what a left wait was for is given up");
	run_caches_release(&caches);
}

/* Nothing begins: the store has it at hand, or too much under way. */
static void
test_refused(void)
{
	RunCaches	caches = new_caches();
	TestStream	stream;
	RunFetcher	fetcher = make_fetcher(&stream, &run);
	TestScan	t;

	stream.refuse = 1;
	scan_begin(&t, &caches, &run, &fetcher);
	CHECK(scan_on(&t, &run, ENTRIES + 1) && stream.begun == 0 && stream.stream_reads > 1 &&
		  stream.asked == data_bytes(&run), "what is not begun is read when it is needed");
	CHECK((size_t) stream.stream_reads < data_bytes(&run) / RUN_PIECE_BYTES, "several pieces at a time");
	CHECK(!stream.crosses, "cut where ranges of a disk tier end");
	scan_end(&t);
	run_caches_release(&caches);

	caches = new_caches();
	fetcher = make_fetcher(&stream, &run);
	stream.refuse = 4;
	scan_begin(&t, &caches, &run, &fetcher);
	CHECK(scan_on(&t, &run, ENTRIES + 1) && stream.begun == 3 && stream.asked == data_bytes(&run), "some of it too");
	scan_end(&t);
	CHECK(nothing_is_left(&caches, &stream), "and nothing is left");
	run_caches_release(&caches);

	caches = new_caches();
	fetcher = make_fetcher(&stream, &run);
	stream.room = 1;
	scan_begin(&t, &caches, &run, &fetcher);
	CHECK(scan_on(&t, &run, ENTRIES + 1) && stream.asked == data_bytes(&run) && stream.begun > 3 &&
		  stream.stream_reads < 2, "what did not begin is asked for again once there is room");
	scan_end(&t);
	CHECK(nothing_is_left(&caches, &stream), "and nothing is left");
	run_caches_release(&caches);
}

static void
test_pause(void)
{
	RunCaches	caches = new_caches();
	TestStream	stream;
	RunFetcher	fetcher = make_fetcher(&stream, &run);
	bool		left = false;
	TestScan	t;

	scan_begin(&t, &caches, &run, &fetcher);
	CHECK(scan_on(&t, &run, 60000) && stream.under_way > 0, "a scan with something under way");
	run_streams_pause(&caches);
	CHECK(stream.under_way == 0, "has nothing under way once it is paused");
	for (int i = 0; i < ENTRIES / 1000; i++)
	{
		left = !scan_on(&t, &run, 1000) || left || stream.under_way > 0;
	}
	CHECK(t.status == SV_NOT_FOUND && !left && stream.begun > stream.dropped,
		  "goes on, and leaves nothing under way any more");
	CHECK(stream.asked <= data_bytes(&run) + RUN_STREAM_PIECES * RUN_PIECE_BYTES, "nothing is asked for three times");
	scan_end(&t);
	CHECK(nothing_is_left(&caches, &stream), "and nothing is left");
	run_caches_release(&caches);

	caches = make_caches(64 * MIB, 8 * MIB);
	fetcher = make_fetcher(&stream, &run);
	left = false;
	scan_begin(&t, &caches, &run, &fetcher);
	for (int i = 0; i <= ENTRIES / 100; i++)
		left = !scan_on(&t, &run, 100) || left || stream.under_way > 0;
	CHECK(t.status == SV_NOT_FOUND && !left && stream.most_under_way > 1 && stream.asked == data_bytes(&run),
		  "where nothing may be left under way, what is waited for is asked for side by side");
	scan_end(&t);
	CHECK(nothing_is_left(&caches, &stream), "and nothing is left");
	run_caches_release(&caches);
}

/* More scans than streams, in turns. */
static void
test_many_scans(void)
{
	RunCaches	caches = new_caches();
	TestStream	streams[RUN_STREAMS + 1];
	RunFetcher	fetchers[RUN_STREAMS + 1];
	TestScan	scans[RUN_STREAMS + 1];
	bool		right = true;

	for (int i = 0; i <= RUN_STREAMS; i++)
	{
		fetchers[i] = make_fetcher(&streams[i], &run);
		scan_begin(&scans[i], &caches, &run, &fetchers[i]);
	}
	for (int i = 0; i < ENTRIES; i += 500)
		for (int j = 0; j <= RUN_STREAMS; j++)
			right = right && scan_on(&scans[j], &run, 500);
	CHECK(right && scans[RUN_STREAMS].next == ENTRIES, "several scans at once");
	CHECK(streams[0].begun > 0 && streams[1].begun > 0 && streams[RUN_STREAMS].begun == 0,
		  "of which one more than there are streams reads windows");
	for (int j = 0; j <= RUN_STREAMS; j++)
		scan_end(&scans[j]);
	CHECK(nothing_is_left(&caches, &streams[0]) && nothing_is_left(&caches, &streams[1]), "and nothing is left");
	run_caches_release(&caches);
}

/* Some blocks are cached already, all over the run. */
static void
test_cached(void)
{
	RunCaches	caches = new_caches();
	TestStream	stream;
	RunFetcher	fetcher = make_fetcher(&stream, &run);
	size_t		cached = 0;
	bool		loaded;
	TestScan	t;

	scan_begin(&t, &caches, &run, &fetcher);
	for (uint32_t block = 300; block < t.scan.tail->index.count; block++)
	{
		if (block % 200 < 100 || block % 7 == 0)
		{
			if (run_scan_warm(&t.scan, block, &loaded, &t.err) != SV_OK)
				abort();
			cached += block % 200 < 100 ? sst_index_block(&t.scan.tail->index, block).stored_bytes : 0;
		}
	}
	CHECK(scan_on(&t, &run, ENTRIES + 1) && stream.begun > 3, "a scan of what is cached in part");
	CHECK(stream.asked <= data_bytes(&run) - cached + cached / 10, "does not ask for stretches that are");
	scan_end(&t);
	CHECK(nothing_is_left(&caches, &stream), "and nothing is left");
	run_caches_release(&caches);
}

/* All of them are. */
static void
test_all_cached(void)
{
	RunCaches	caches = new_caches();
	TestStream	stream;
	RunFetcher	fetcher = make_fetcher(&stream, &run);
	bool		loaded;
	TestScan	t;

	scan_begin(&t, &caches, &run, &fetcher);
	for (uint32_t block = 0; block < t.scan.tail->index.count; block++)
		if (run_scan_warm(&t.scan, block, &loaded, &t.err) != SV_OK)
			abort();
	looks = 0;
	CHECK(scan_on(&t, &run, ENTRIES + 1) && stream.asked == 0, "a scan of what is cached asks for nothing");
	CHECK(looks >= t.scan.tail->index.count && looks < 4 * (size_t) t.scan.tail->index.count,
		  "and looks for each block a few times at most");
	scan_end(&t);
	CHECK(nothing_is_left(&caches, &stream), "and nothing is left");
	run_caches_release(&caches);
}

/* Blocks that no piece has room for, and one that is damaged. */
static void
test_odd_blocks(void)
{
	RunCaches	caches = new_caches();
	TestStream	stream;
	RunFetcher	fetcher;
	TestRun		large;
	TestScan	t;

	make_run(&large, 7, 1200, 2 * MIB + 1000);
	fetcher = make_fetcher(&stream, &large);
	scan_begin(&t, &caches, &large, &fetcher);
	CHECK(scan_on(&t, &large, 1201) && t.next == 1200, "values larger than a piece");
	scan_end(&t);
	CHECK(nothing_is_left(&caches, &stream), "leave nothing");
	mem_file_free(&large.file);

	make_run(&large, 8, ENTRIES, 0);
	large.file.bytes.data[data_bytes(&large) / 2] ^= 1;
	fetcher = make_fetcher(&stream, &large);
	scan_begin(&t, &caches, &large, &fetcher);
	CHECK(!scan_on(&t, &large, ENTRIES + 1) && t.status == SV_CORRUPT && t.next > ENTRIES / 3 && stream.begun > 1,
		  "a damaged block is noticed");
	scan_end(&t);
	CHECK(nothing_is_left(&caches, &stream), "and leaves nothing");
	mem_file_free(&large.file);
	run_caches_release(&caches);
}

int
main(void)
{
	shared = shared_memory(sizeof(Shared));
	make_run(&run, 1, ENTRIES, 0);
	test_whole();
	test_stops_early();
	test_failures();
	test_left();
	test_refused();
	test_pause();
	test_many_scans();
	test_cached();
	test_all_cached();
	test_odd_blocks();
	mem_file_free(&run.file);
	return unit_done();
}
