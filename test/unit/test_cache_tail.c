/*
 * test_cache_tail.c
 *		The tail cache as one process sees it.
 */
#include "cache/tail_cache.h"
#include "cache_fixture.h"

#define CACHE_BYTES TAIL_CACHE_MIN_BYTES
#define PAGE_BYTES ((size_t) 4096)
#define PAGES (CACHE_BYTES / PAGE_BYTES)
#define SLOTS 4

typedef struct Fixture
{
	void	   *region;
	CacheGuard *guard;
	TailCache  *cache;
	FixtureChannels channels;
	FixtureWait wait;
	CacheWaiter waiter;
} Fixture;

static void
fixture_open(Fixture *f)
{
	size_t		bytes = tail_cache_region_bytes(CACHE_BYTES);

	memset(f, 0, sizeof(*f));
	f->guard = cache_guard_init(aligned_alloc(128, cache_guard_bytes(SLOTS)), SLOTS);
	f->region = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
	memset(f->region, 0xA5, bytes);
	f->cache = tail_cache_init(f->region, CACHE_BYTES, f->guard, NULL);
	f->waiter = fixture_waiter(&f->wait, &f->channels);
}

static void
fixture_close(Fixture *f)
{
	free(f->region);
	free(f->guard);
}

/* Fills the claimed place and publishes; the caller has it pinned. */
static const SstTail *
publish(Fixture *f, uint64_t run, size_t bytes, const TailFill *fill)
{
	SstTail		tail;

	memset(&tail, 0, sizeof(tail));
	tail.offset = run;
	tail.bytes = sv_slice(fill->bytes, bytes);
	fixture_content(fixture_run(run), 0, 0, bytes, fill->bytes);
	return tail_cache_publish(f->cache, fill, &tail, &f->waiter);
}

static const SstTail *
load_pinned(Fixture *f, uint64_t run, size_t bytes)
{
	TailFill	fill;

	if (tail_cache_claim(f->cache, fixture_run(run), bytes, &fill) != CACHE_LOAD)
		return NULL;
	return publish(f, run, bytes, &fill);
}

static bool
load(Fixture *f, uint64_t run, size_t bytes)
{
	const SstTail *tail = load_pinned(f, run, bytes);

	if (tail != NULL)
		tail_cache_unpin(f->cache, tail);
	return tail != NULL;
}

static bool
tail_is_right(const SstTail *tail, uint64_t run, size_t bytes)
{
	uint8_t    *want = malloc(bytes + 1);
	bool		right = tail != NULL && tail->offset == run && tail->bytes.len == bytes;

	fixture_content(fixture_run(run), 0, 0, bytes, want);
	right = right && memcmp(tail->bytes.data, want, bytes) == 0;
	free(want);
	return right;
}

/* Looks at the tail inside the guard. */
static bool
found_right(Fixture *f, uint64_t run, size_t bytes)
{
	bool		right;

	cache_guard_enter(f->guard, 0);
	right = tail_is_right(tail_cache_find(f->cache, fixture_run(run)), run, bytes);
	cache_guard_exit(f->guard, 0);
	return right;
}

/* Without counting as an access. */
typedef struct Seen
{
	CacheRunId	run;
	bool		there;
	TailCacheItem item;
	uint32_t	items;
} Seen;

static void
see(void *state, const TailCacheItem *item)
{
	Seen	   *seen = state;

	seen->items++;
	if (cache_run_id_equal(item->run, seen->run))
	{
		seen->there = true;
		seen->item = *item;
	}
}

static Seen
look_for(Fixture *f, uint64_t run)
{
	Seen		seen = {.run = fixture_run(run)};

	tail_cache_walk(f->cache, see, &seen);
	return seen;
}

static uint64_t
bytes_used(Fixture *f)
{
	TailCacheStats stats;

	tail_cache_stats(f->cache, &stats);
	return stats.bytes_used;
}

static void
test_loading(void)
{
	Fixture		f;
	TailFill	fill;
	TailFill	second;
	const SstTail *tail;
	CacheRunId	other = fixture_run(1);

	fixture_open(&f);
	CHECK(!found_right(&f, 1, 5000) && tail_cache_pin(f.cache, 0, fixture_run(1)) == NULL,
		  "an empty cache has no tail");
	CHECK(tail_cache_claim(f.cache, fixture_run(1), 5000, &fill) == CACHE_LOAD, "who comes first loads");
	CHECK((uintptr_t) fill.bytes % 64 == 0, "at the beginning of a cache line");
	CHECK(tail_cache_find(f.cache, fixture_run(1)) == NULL &&
		  tail_cache_pin(f.cache, 0, fixture_run(1)) == NULL && look_for(&f, 1).items == 0,
		  "nobody finds it yet");
	CHECK(tail_cache_claim(f.cache, fixture_run(1), 5000, &second) == CACHE_LOADING &&
		  second.channel == fill.channel && fill.channel < CACHE_WAIT_CHANNELS,
		  "who comes second waits on the same channel");
	tail = publish(&f, 1, 5000, &fill);
	CHECK(f.wait.wakes == 1 && f.wait.last_channel == fill.channel, "publishing wakes");
	CHECK(tail_is_right(tail, 1, 5000) && look_for(&f, 1).item.pins == 1, "the loader has it pinned");
	CHECK(found_right(&f, 1, 5000) && tail_cache_pin(f.cache, 0, fixture_run(1)) == tail &&
		  look_for(&f, 1).item.pins == 2, "others find it and pin it");
	CHECK(tail_cache_claim(f.cache, fixture_run(1), 5000, &second) == CACHE_PRESENT,
		  "who comes late is told so");
	tail_cache_unpin(f.cache, tail);
	tail_cache_unpin(f.cache, tail);
	CHECK(look_for(&f, 1).item.pins == 0 && look_for(&f, 1).item.bytes == 5000 && found_right(&f, 1, 5000),
		  "it stays without pins");
	other.hi++;
	CHECK(tail_cache_find(f.cache, other) == NULL, "half an identity is none");
	CHECK(tail_cache_claim(f.cache, other, 100, &fill) == CACHE_LOAD, "the other run has a load of its own");
	tail_cache_abandon(f.cache, &fill, &f.waiter);
	CHECK(f.wait.wakes == 2 && f.wait.last_channel == fill.channel, "giving up wakes");
	CHECK(tail_cache_claim(f.cache, other, 100, &fill) == CACHE_LOAD, "and lets the next one load");
	tail_cache_abandon(f.cache, &fill, &f.waiter);
	tail_cache_drop_run(f.cache, fixture_run(1));
	CHECK(bytes_used(&f) == 0 && look_for(&f, 1).items == 0, "nothing is left");
	fixture_close(&f);
}

static void
test_room(void)
{
	Fixture		f;
	TailFill	fill;
	const SstTail *pinned[4];
	TailCacheStats stats;

	fixture_open(&f);
	CHECK(tail_cache_claim(f.cache, fixture_run(1), CACHE_BYTES + 1, &fill) == CACHE_NO_ROOM &&
		  tail_cache_claim(f.cache, fixture_run(1), SIZE_MAX, &fill) == CACHE_NO_ROOM,
		  "no room for more than the cache");
	for (uint64_t i = 0; i < 4; i++)
		pinned[i] = load_pinned(&f, 10 + i, CACHE_BYTES / 4);
	CHECK(bytes_used(&f) == CACHE_BYTES, "four quarters fill it");
	CHECK(tail_cache_claim(f.cache, fixture_run(1), 1, &fill) == CACHE_NO_ROOM, "what is pinned stays");
	tail_cache_unpin(f.cache, pinned[1]);
	tail_cache_unpin(f.cache, pinned[3]);
	CHECK(tail_cache_claim(f.cache, fixture_run(1), CACHE_BYTES / 2, &fill) == CACHE_NO_ROOM,
		  "two quarters apart are no half");
	tail_cache_stats(f.cache, &stats);
	CHECK(stats.evictions == 0 && found_right(&f, 11, CACHE_BYTES / 4), "and nothing went in vain");
	tail_cache_unpin(f.cache, pinned[2]);
	CHECK(load(&f, 1, CACHE_BYTES / 2), "side by side they are");
	CHECK(found_right(&f, 1, CACHE_BYTES / 2) && tail_is_right(pinned[0], 10, CACHE_BYTES / 4),
		  "the pinned one is not touched");
	tail_cache_unpin(f.cache, pinned[0]);
	CHECK(load(&f, 2, CACHE_BYTES) && found_right(&f, 2, CACHE_BYTES), "one tail may fill the cache");
	CHECK(load(&f, 3, 0) && look_for(&f, 2).items == 1 && look_for(&f, 3).there,
		  "even an empty tail has its place");
	fixture_close(&f);
}

static void
test_loads_stay(void)
{
	Fixture		f;
	TailFill	fills[4];
	TailFill	fill;
	TailCacheStats stats;

	fixture_open(&f);
	for (uint64_t i = 0; i < 4; i++)
		tail_cache_claim(f.cache, fixture_run(i), CACHE_BYTES / 4, &fills[i]);
	tail_cache_unpin(f.cache, publish(&f, 1, CACHE_BYTES / 4, &fills[1]));
	tail_cache_unpin(f.cache, publish(&f, 3, CACHE_BYTES / 4, &fills[3]));
	CHECK(tail_cache_claim(f.cache, fixture_run(9), CACHE_BYTES / 2, &fill) == CACHE_NO_ROOM,
		  "loads are not evicted");
	tail_cache_stats(f.cache, &stats);
	CHECK(stats.evictions == 0 && look_for(&f, 1).items == 2, "nor anything beside them in vain");
	tail_cache_abandon(f.cache, &fills[2], &f.waiter);
	CHECK(load(&f, 9, CACHE_BYTES / 2), "a load that was given up leaves room");
	tail_cache_unpin(f.cache, publish(&f, 0, CACHE_BYTES / 4, &fills[0]));
	CHECK(found_right(&f, 0, CACHE_BYTES / 4) && found_right(&f, 9, CACHE_BYTES / 2), "one that was not comes in");
	fixture_close(&f);
}

static void
test_guard_is_waited_for(void)
{
	Fixture		f;
	TailFill	fill;
	const SstTail *seen;

	fixture_open(&f);
	load(&f, 1, CACHE_BYTES);
	cache_guard_enter(f.guard, 2);
	seen = tail_cache_find(f.cache, fixture_run(1));
	CHECK(tail_cache_claim(f.cache, fixture_run(2), CACHE_BYTES, &fill) == CACHE_NO_ROOM,
		  "memory that somebody looks at is not to be had");
	CHECK(tail_is_right(seen, 1, CACHE_BYTES), "and is as it was");
	CHECK(tail_cache_pin(f.cache, 0, fixture_run(1)) == NULL && look_for(&f, 1).items == 0,
		  "but nobody finds it any more");
	cache_guard_enter(f.guard, 3);
	cache_guard_exit(f.guard, 2);
	CHECK(load(&f, 2, CACHE_BYTES), "when that one has left, it is, whoever came since");
	cache_guard_exit(f.guard, 3);
	cache_guard_enter(f.guard, 2);
	CHECK(tail_cache_claim(f.cache, fixture_run(3), 10, &fill) == CACHE_NO_ROOM, "every time");
	cache_guard_exit(f.guard, 2);
	CHECK(tail_cache_claim(f.cache, fixture_run(3), 10, &fill) == CACHE_LOAD, "one by one");
	cache_guard_enter(f.guard, 2);
	tail_cache_abandon(f.cache, &fill, &f.waiter);
	CHECK(tail_cache_claim(f.cache, fixture_run(4), CACHE_BYTES, &fill) == CACHE_NO_ROOM,
		  "lookups may stand on a load that was given up");
	cache_guard_exit(f.guard, 2);
	CHECK(tail_cache_claim(f.cache, fixture_run(4), CACHE_BYTES, &fill) == CACHE_LOAD, "until they leave");
	fixture_close(&f);
}

static void
test_drop(void)
{
	Fixture		f;
	TailFill	fill;
	TailFill	second;
	const SstTail *pinned;

	fixture_open(&f);
	pinned = load_pinned(&f, 1, CACHE_BYTES / 2);
	load(&f, 2, CACHE_BYTES / 2);
	tail_cache_drop_run(f.cache, fixture_run(1));
	tail_cache_drop_run(f.cache, fixture_run(3));
	CHECK(!found_right(&f, 1, CACHE_BYTES / 2) && tail_cache_pin(f.cache, 0, fixture_run(1)) == NULL,
		  "nobody finds a tail that was dropped");
	CHECK(found_right(&f, 2, CACHE_BYTES / 2), "others stay");
	CHECK(tail_cache_claim(f.cache, fixture_run(4), CACHE_BYTES, &fill) == CACHE_NO_ROOM &&
		  tail_is_right(pinned, 1, CACHE_BYTES / 2), "who has it pinned keeps it");
	CHECK(tail_cache_claim(f.cache, fixture_run(1), 10, &fill) == CACHE_LOAD, "it may be loaded again");
	tail_cache_drop_run(f.cache, fixture_run(1));
	CHECK(tail_cache_claim(f.cache, fixture_run(1), 10, &second) == CACHE_LOADING, "a load is not dropped");
	tail_cache_unpin(f.cache, publish(&f, 1, 10, &fill));
	tail_cache_unpin(f.cache, pinned);
	CHECK(load(&f, 4, CACHE_BYTES), "with the last pin its memory is free");
	fixture_close(&f);
}

static void
test_clock(void)
{
	Fixture		f;
	bool		kept = true;
	uint32_t	kept_large = 0;

	fixture_open(&f);
	/* Sixteen tails, of which every fourth is read all the time while many others come. */
	for (uint64_t i = 0; i < 200; i++)
	{
		load(&f, i, CACHE_BYTES / 16);
		for (uint64_t hot = 0; hot < 16 && hot <= i; hot += 4)
			kept = found_right(&f, hot, CACHE_BYTES / 16) && kept;
	}
	CHECK(kept, "what is read stays");
	CHECK(look_for(&f, 0).items == 16, "and all places are in use");
	for (uint64_t hot = 0; hot < 16; hot += 4)
		for (int times = 0; times < 3; times++)
			found_right(&f, hot, CACHE_BYTES / 16);
	CHECK(load(&f, 1000, CACHE_BYTES / 16 * 3), "a larger one takes the place of neighbours");
	for (uint64_t hot = 0; hot < 16; hot += 4)
		kept_large += look_for(&f, hot).there;
	CHECK(kept_large == 4, "that are read less");
	CHECK(look_for(&f, 0).items == 16 - 3 + 1, "and of no more than it needs");
	CHECK(load(&f, 1001, CACHE_BYTES / 2), "be it half the cache");
	load(&f, 1002, CACHE_BYTES);
	load(&f, 1003, PAGE_BYTES);
	load(&f, 1004, CACHE_BYTES - PAGE_BYTES);
	CHECK(load(&f, 1005, CACHE_BYTES - PAGE_BYTES) && look_for(&f, 1003).there && !look_for(&f, 1004).there,
		  "a small one before the place stays");
	for (uint64_t i = 0; i < 300; i++)
		kept = load(&f, 2000 + i, 1) && found_right(&f, 2000 + i, 1) && kept;
	CHECK(kept, "more tails than there are entries");
	fixture_close(&f);
}

/* Tails with the same lower half of their identity are in one chain. */
static void
test_chain(void)
{
	Fixture		f;
	CacheRunId	runs[20];
	const SstTail *tails[20];
	bool		right = true;

	fixture_open(&f);
	for (uint32_t i = 0; i < 20; i++)
	{
		TailFill	fill;
		SstTail		tail;

		runs[i] = (CacheRunId) {.hi = i,.lo = 42};
		memset(&tail, 0, sizeof(tail));
		tail.offset = i;
		right = tail_cache_claim(f.cache, runs[i], 100, &fill) == CACHE_LOAD && right;
		tails[i] = tail_cache_publish(f.cache, &fill, &tail, &f.waiter);
		tail_cache_unpin(f.cache, tails[i]);
	}
	for (uint32_t i = 0; i < 20; i += 3)
		tail_cache_drop_run(f.cache, runs[i]);
	for (uint32_t i = 0; i < 20; i++)
		right = right && tail_cache_find(f.cache, runs[i]) == (i % 3 == 0 ? NULL : tails[i]);
	CHECK(right, "tails of one bucket are told from each other, first, last and in between");
	fixture_close(&f);
}

/* Any order of everything: whatever is there has its own bytes. */
static void
test_any_order(void)
{
	enum
	{
		RUNS = 60
	};
	Fixture		f;
	const SstTail *pinned[RUNS] = {NULL};
	size_t		bytes[RUNS];
	uint64_t	random = 4;
	uint32_t	loaded = 0;
	uint32_t	found = 0;
	bool		right = true;

	fixture_open(&f);
	for (uint32_t i = 0; i < RUNS; i++)
		bytes[i] = 1 + fixture_random(&random) % (i % 10 == 0 ? CACHE_BYTES / 3 : CACHE_BYTES / 40);
	for (int step = 0; step < 20000; step++)
	{
		uint32_t	run = (uint32_t) (fixture_random(&random) % RUNS);
		uint32_t	what = (uint32_t) (fixture_random(&random) % 16);

		if (pinned[run] != NULL && what < 12)
		{
			right = right && tail_is_right(pinned[run], run, bytes[run]);
			tail_cache_unpin(f.cache, pinned[run]);
			pinned[run] = NULL;
		}
		else if (what == 0)
			tail_cache_drop_run(f.cache, fixture_run(run));
		else if (pinned[run] == NULL)
		{
			pinned[run] = tail_cache_pin(f.cache, 0, fixture_run(run));
			if (pinned[run] != NULL)
				found++;
			else
			{
				pinned[run] = load_pinned(&f, run, bytes[run]);
				loaded += pinned[run] != NULL;
			}
			right = right && (pinned[run] == NULL || tail_is_right(pinned[run], run, bytes[run]));
			if (pinned[run] != NULL && what < 14)
			{
				tail_cache_unpin(f.cache, pinned[run]);
				pinned[run] = NULL;
			}
		}
	}
	CHECK(right, "in any order of loads, pins and drops each tail has its own bytes");
	CHECK(loaded > 1000 && found > 1000, "many were found, and many not");
	for (uint32_t i = 0; i < RUNS; i++)
		if (pinned[i] != NULL)
			tail_cache_unpin(f.cache, pinned[i]);
	for (uint32_t i = 0; i < RUNS; i++)
		tail_cache_drop_run(f.cache, fixture_run(i));
	CHECK(bytes_used(&f) == 0 && look_for(&f, 0).items == 0, "no page was lost");
	CHECK(load(&f, 1, CACHE_BYTES), "nor any order");
	fixture_close(&f);
}

int
main(void)
{
	test_loading();
	test_room();
	test_loads_stay();
	test_guard_is_waited_for();
	test_drop();
	test_clock();
	test_chain();
	test_any_order();
	return unit_done();
}
