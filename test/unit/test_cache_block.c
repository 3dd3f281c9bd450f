/*
 * test_cache_block.c
 *		The block cache as one process sees it, and the guard.
 */
#include "cache/block_cache_layout.h"
#include "cache/cache_guard.h"
#include "cache_fixture.h"

#define CACHE_BYTES ((size_t) 4 * 1024 * 1024)
#define FRAMES (CACHE_BYTES / SST_FRAME_BYTES)

typedef struct Fixture
{
	void	   *region;
	BlockCache *cache;
	FixtureChannels channels;
	FixtureWait wait;
	CacheWaiter waiter;
} Fixture;

static void
fixture_open(Fixture *f, size_t cache_bytes)
{
	size_t		bytes = block_cache_region_bytes(cache_bytes);

	memset(f, 0, sizeof(*f));
	f->region = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
	memset(f->region, 0xA5, bytes);
	f->cache = block_cache_init(f->region, cache_bytes, NULL);
	f->waiter = fixture_waiter(&f->wait, &f->channels);
}

static void
fixture_close(Fixture *f)
{
	free(f->region);
}

static BlockKey
key_of(uint64_t run, uint32_t block)
{
	return (BlockKey) {.run = fixture_run(run),.block = block};
}

static CacheClaim
claim(Fixture *f, BlockKey key, uint32_t raw_bytes, BlockFill *fill)
{
	return block_cache_claim(f->cache, &key, block_cache_hash(key), raw_bytes, fill);
}

/* Fills in pieces of odd sizes, and publishes. */
static void
fill_and_publish(Fixture *f, BlockKey key, const BlockFill *fill)
{
	uint8_t    *content = malloc(fill->raw_bytes + 1);
	size_t		at = 0;

	fixture_content(key.run, key.block, 0, fill->raw_bytes, content);
	while (at < fill->raw_bytes)
	{
		size_t		piece = 1 + (at * 7 + 4099) % 20011;

		if (piece > fill->raw_bytes - at)
			piece = fill->raw_bytes - at;
		block_cache_fill(f->cache, fill, at, content + at, piece);
		at += piece;
	}
	block_cache_publish(f->cache, fill, &f->waiter);
	free(content);
}

static bool
load(Fixture *f, BlockKey key, uint32_t raw_bytes)
{
	BlockFill	fill;

	if (claim(f, key, raw_bytes, &fill) != CACHE_LOAD)
		return false;
	fill_and_publish(f, key, &fill);
	return true;
}

static bool
begin(Fixture *f, BlockKey key, BlockView *view)
{
	return block_cache_begin(f->cache, &key, block_cache_hash(key), BLOCK_CACHE_NONE, view);
}

static bool
has(Fixture *f, BlockKey key)
{
	BlockView	view;

	return begin(f, key, &view);
}

static bool
touch(Fixture *f, BlockKey key)
{
	BlockView	view;

	return begin(f, key, &view) && block_cache_end(f->cache, &view);
}

/* Whether a piece comes out as it went in. */
static bool
piece_is_right(Fixture *f, BlockKey key, const BlockView *view, size_t at, size_t len)
{
	uint8_t    *got = malloc(len + 1);
	uint8_t    *want = malloc(len + 1);
	bool		right;

	block_cache_copy(f->cache, view, at, len, got);
	fixture_content(key.run, key.block, at, len, want);
	right = memcmp(got, want, len) == 0;
	free(got);
	free(want);
	return right;
}

static bool
read_is_right(Fixture *f, BlockKey key, uint32_t raw_bytes)
{
	BlockView	view;
	size_t		third = raw_bytes / 3;

	return begin(f, key, &view) && view.raw_bytes == raw_bytes &&
		piece_is_right(f, key, &view, 0, raw_bytes) &&
		piece_is_right(f, key, &view, third, raw_bytes - 2 * third) &&
		piece_is_right(f, key, &view, raw_bytes, 0) &&
		block_cache_end(f->cache, &view);
}

/* Nothing is there: every frame is free, every bucket empty. */
static bool
is_empty(const BlockCache *cache)
{
	BlockCacheStats stats;

	block_cache_stats(cache, &stats);
	for (uint32_t i = 0; i <= cache->bucket_mask; i++)
	{
		if (atomic_load(&cache->buckets[i].passed) != 0)
			return false;
		for (int e = 0; e < BUCKET_ENTRIES; e++)
			if (atomic_load(&cache->buckets[i].entries[e]) != 0)
				return false;
	}
	for (uint32_t i = 0; i < cache->shards; i++)
		for (int q = 0; q < QUEUES; q++)
			if (cache->shard[i].queues[q].frames != 0)
				return false;
	return stats.frames_used == 0;
}

static void
test_hits(void)
{
	Fixture		f;
	BlockKey	key = key_of(1, 7);
	BlockKey	other_run = key_of(2, 7);
	BlockView	view;
	bool		sizes = true;

	fixture_open(&f, CACHE_BYTES);
	CHECK(is_empty(f.cache), "a new cache is empty, whatever the memory held");
	CHECK(!has(&f, key), "an empty cache has no block");
	CHECK(load(&f, key, 5000), "a block is loaded");
	CHECK(read_is_right(&f, key, 5000), "and read");
	CHECK(!has(&f, key_of(1, 8)), "not another block of the run");
	CHECK(!has(&f, other_run), "not the same block of another run");
	other_run.run.lo = key.run.lo;
	CHECK(!block_cache_begin(f.cache, &other_run, block_cache_hash(key), BLOCK_CACHE_NONE, &view),
		  "not a block whose hash is the same");
	CHECK(begin(&f, key, &view) && memcmp(view.data, (uint8_t[]) {fixture_byte(key.run, 7, 0)}, 1) == 0,
		  "the first frame is readable directly");
	for (uint32_t i = 0; i < 5; i++)
	{
		static const uint32_t raw[] = {0, 1, SST_FRAME_BYTES - 1, SST_FRAME_BYTES, SST_FRAME_BYTES + 1};

		sizes = sizes && load(&f, key_of(3, i), raw[i]) && read_is_right(&f, key_of(3, i), raw[i]);
	}
	CHECK(sizes, "blocks around the sizes that matter");
	fixture_close(&f);
}

/* Who looks for a block waits for nobody: all locks are held meanwhile. */
static void
test_no_lock(void)
{
	Fixture		f;
	BlockKey	key = key_of(1, 1);
	BlockKey	large = key_of(1, 2);

	fixture_open(&f, 4 * CACHE_BYTES);
	load(&f, key, 5000);
	load(&f, large, 3 * SST_FRAME_BYTES);
	for (uint32_t i = 0; i < f.cache->shards; i++)
		cache_lock_acquire(&f.cache->shard[i].lock);
	CHECK(f.cache->shards > 1 && read_is_right(&f, key, 5000) && read_is_right(&f, large, 3 * SST_FRAME_BYTES) &&
		  !has(&f, key_of(1, 3)), "no hit and no miss takes a lock");
	for (uint32_t i = 0; i < f.cache->shards; i++)
		cache_lock_release(&f.cache->shard[i].lock);
	fixture_close(&f);
}

static void
test_candidates(void)
{
	Fixture		f;
	BlockKey	key = key_of(1, 1);
	BlockKey	other = key_of(1, 2);
	uint64_t	hash = block_cache_hash(key);
	uint32_t	frame;
	BlockView	view;

	fixture_open(&f, CACHE_BYTES);
	block_cache_prefetch(f.cache, hash);
	CHECK(block_cache_candidate(f.cache, hash) == BLOCK_CACHE_NONE, "no candidate before loading");
	block_cache_prefetch_frame(f.cache, BLOCK_CACHE_NONE, 0, 64);
	load(&f, key, 100);
	load(&f, other, 100);
	frame = block_cache_candidate(f.cache, hash);
	block_cache_prefetch_frame(f.cache, frame, 40, 100);
	block_cache_prefetch_frame(f.cache, frame, SST_FRAME_BYTES + 1, UINT32_MAX);
	block_cache_prefetch_frame(f.cache, frame, SST_FRAME_BYTES - 1, UINT32_MAX);
	CHECK(frame != BLOCK_CACHE_NONE && block_cache_begin(f.cache, &key, hash, frame, &view) &&
		  view.frame == frame, "the candidate is the frame");
	frame = block_cache_candidate(f.cache, block_cache_hash(other));
	CHECK(block_cache_begin(f.cache, &key, hash, frame, &view) && view.frame != frame,
		  "a wrong candidate does no harm");
	fixture_close(&f);
}

static void
test_loading(void)
{
	Fixture		f;
	BlockKey	key = key_of(1, 1);
	BlockFill	fill;
	BlockFill	second;
	uint8_t		content[300];

	fixture_open(&f, CACHE_BYTES);
	CHECK(claim(&f, key, 300, &fill) == CACHE_LOAD, "who comes first loads");
	CHECK(!has(&f, key), "a block that is being loaded cannot be read");
	CHECK(claim(&f, key, 300, &second) == CACHE_LOADING && second.channel == fill.channel &&
		  fill.channel < CACHE_WAIT_CHANNELS, "who comes second waits on the same channel");
	block_cache_drop_run(f.cache, key.run);
	CHECK(claim(&f, key, 300, &second) == CACHE_LOADING, "a load is not dropped");
	block_cache_abandon(f.cache, &fill, &f.waiter);
	CHECK(f.wait.wakes == 1 && f.wait.last_channel == fill.channel, "giving up wakes");
	CHECK(is_empty(f.cache), "and leaves nothing");
	CHECK(claim(&f, key, 300, &fill) == CACHE_LOAD, "then the next one loads");
	fixture_content(key.run, key.block, 0, 300, content);
	block_cache_fill(f.cache, &fill, 0, content, 300);
	block_cache_publish(f.cache, &fill, &f.waiter);
	CHECK(f.wait.wakes == 2 && f.wait.last_channel == fill.channel, "publishing wakes");
	CHECK(read_is_right(&f, key, 300), "what was loaded is there");
	CHECK(claim(&f, key, 300, &second) == CACHE_PRESENT, "who comes late is told so");
	fixture_close(&f);
}

static void
test_no_room(void)
{
	Fixture		f;
	BlockFill  *fills = calloc(FRAMES, sizeof(BlockFill));
	BlockFill	fill;
	const uint32_t largest = FRAMES / 64 * SST_FRAME_BYTES;
	bool		all = true;

	fixture_open(&f, CACHE_BYTES);
	CHECK(claim(&f, key_of(1, 0), largest + 1, &fill) == CACHE_NO_ROOM,
		  "no room for more than 1/64 of the cache");
	CHECK(claim(&f, key_of(1, 0), UINT32_MAX, &fill) == CACHE_NO_ROOM, "nor for 4 GB");
	CHECK(block_cache_keeps(f.cache, largest) && !block_cache_keeps(f.cache, largest + 1),
		  "which it can be asked beforehand");
	CHECK(load(&f, key_of(1, 0), largest) && read_is_right(&f, key_of(1, 0), largest),
		  "room for 1/64 of it");
	for (uint32_t i = 0; i < FRAMES; i++)
		all = claim(&f, key_of(2, i), 10, &fills[i]) == CACHE_LOAD && all;
	CHECK(all, "every frame can be loading at once");
	CHECK(!has(&f, key_of(1, 0)), "what was ready has gone");
	CHECK(claim(&f, key_of(3, 0), 10, &fill) == CACHE_NO_ROOM, "then there is no room");
	block_cache_abandon(f.cache, &fills[17], &f.waiter);
	CHECK(claim(&f, key_of(3, 0), SST_FRAME_BYTES * 2, &fill) == CACHE_NO_ROOM,
		  "one frame is no room for two");
	CHECK(claim(&f, key_of(3, 0), 10, &fill) == CACHE_LOAD, "but for one");
	block_cache_abandon(f.cache, &fill, &f.waiter);
	for (uint32_t i = 0; i < FRAMES; i++)
		if (i != 17)
			fill_and_publish(&f, key_of(2, i), &fills[i]);
	for (uint32_t i = 0; i < FRAMES; i++)
		all = all && has(&f, key_of(2, i)) == (i != 17);
	CHECK(all, "all that were loading are there afterwards");
	free(fills);
	fixture_close(&f);
}

static void
test_taken_away(void)
{
	Fixture		f;
	BlockKey	key = key_of(1, 1);
	BlockKey	large = key_of(2, 1);
	BlockView	view;
	BlockView	large_view;
	uint8_t    *garbage = malloc(4 * SST_FRAME_BYTES);
	uint8_t		zeros[100] = {0};

	fixture_open(&f, CACHE_BYTES);
	load(&f, key, 1000);
	load(&f, large, 4 * SST_FRAME_BYTES);
	CHECK(begin(&f, key, &view) && begin(&f, large, &large_view), "two blocks are being read");
	block_cache_copy(f.cache, &view, 950, 100, garbage);
	CHECK(memcmp(garbage, zeros, 100) == 0, "a piece beyond the end is zeros");
	block_cache_copy(f.cache, &view, SIZE_MAX - 10, 100, garbage);
	CHECK(memcmp(garbage, zeros, 100) == 0, "be it ever so far");
	block_cache_drop_run(f.cache, key.run);
	CHECK(!block_cache_end(f.cache, &view), "the one that was dropped is noticed");
	CHECK(block_cache_end(f.cache, &large_view), "the other is good");
	block_cache_drop_run(f.cache, large.run);
	CHECK(!block_cache_end(f.cache, &large_view), "until it is dropped");
	CHECK(is_empty(f.cache), "all frames are free again");
	load(&f, key, 1000);
	CHECK(!block_cache_end(f.cache, &view), "a block that came back is not the one that went");
	for (uint32_t i = 0; i < FRAMES * 2; i++)
		load(&f, key_of(3, i), 100);
	block_cache_copy(f.cache, &large_view, 0, 4 * SST_FRAME_BYTES, garbage);
	CHECK(!block_cache_end(f.cache, &large_view), "reading what was evicted does no harm");
	free(garbage);
	fixture_close(&f);
}

static uint64_t
inverse_of_odd(uint64_t odd)
{
	uint64_t	inverse = odd;

	for (int i = 0; i < 6; i++)
		inverse *= 2 - odd * inverse;
	return inverse;
}

/* A key whose hash is given: the hash can be computed backwards. */
static BlockKey
key_with_hash(uint64_t hash, uint32_t block)
{
	uint64_t	h = hash ^ (hash >> 32);
	BlockKey	key = {.block = block};

	h *= inverse_of_odd(UINT64_C(0xD6E8FEB86659FD93));
	h ^= h >> 32;
	key.run.lo = h - (block + UINT64_C(1)) * UINT64_C(0x9E3779B97F4A7C15);
	key.run.hi = 99;
	return key;
}

static void
test_same_hash(void)
{
	Fixture		f;
	uint64_t	hash = UINT64_C(0x0123456789ABCDEF);
	bool		made = true;
	bool		right = true;

	fixture_open(&f, CACHE_BYTES);
	for (uint32_t i = 0; i < 30; i++)
	{
		BlockKey	key = key_with_hash(hash, i);

		made = made && block_cache_hash(key) == hash && load(&f, key, 500 + i);
	}
	CHECK(made, "thirty blocks of one hash, more than three buckets hold");
	for (uint32_t i = 0; i < 30; i += 3)
		block_cache_drop_run(f.cache, key_with_hash(hash, i).run);
	for (uint32_t i = 0; i < 30; i++)
		right = right && (i % 3 == 0 ? !has(&f, key_with_hash(hash, i)) :
						  read_is_right(&f, key_with_hash(hash, i), 500 + i));
	CHECK(right, "each is found, but for those that were dropped");
	for (uint32_t i = 0; i < 30; i += 3)
		right = right && load(&f, key_with_hash(hash, i), 500 + i);
	for (uint32_t i = 0; i < 30; i++)
		right = right && read_is_right(&f, key_with_hash(hash, i), 500 + i);
	CHECK(right, "until they come back");
	for (uint32_t i = 0; i < 30; i++)
		block_cache_drop_run(f.cache, key_with_hash(hash, i).run);
	CHECK(is_empty(f.cache), "no bucket remembers them");
	fixture_close(&f);
}

typedef struct Walked
{
	uint32_t	blocks;
	uint64_t	frames;
	bool		wrong;
} Walked;

static void
count_item(void *state, const BlockCacheItem *item)
{
	Walked	   *walked = state;

	walked->blocks++;
	walked->frames += item->frames;
	if (!cache_run_id_equal(item->key.run, fixture_run(1)) ||
		item->raw_bytes != 100 + item->key.block * 1000 ||
		item->frames != (item->raw_bytes - 1) / SST_FRAME_BYTES + 1)
		walked->wrong = true;
}

static void
test_drop_and_walk(void)
{
	Fixture		f;
	Walked		walked = {0};
	BlockCacheStats stats;
	BlockFill	fill;

	fixture_open(&f, CACHE_BYTES);
	for (uint32_t i = 0; i < 40; i++)
	{
		load(&f, key_of(1, i), 100 + i * 1000);
		load(&f, key_of(2, i), 100 + i * 1000);
	}
	block_cache_drop_run(f.cache, fixture_run(2));
	claim(&f, key_of(2, 0), 10, &fill);
	block_cache_walk(f.cache, count_item, &walked);
	CHECK(walked.blocks == 40 && !walked.wrong, "the walk meets what is there and nothing else");
	block_cache_stats(f.cache, &stats);
	CHECK(stats.frames == FRAMES && stats.frames_used == walked.frames + 1,
		  "frames in use: those of blocks and those being filled");
	CHECK(stats.evictions == 0, "a drop is no eviction");
	block_cache_abandon(f.cache, &fill, &f.waiter);
	block_cache_drop_run(f.cache, fixture_run(1));
	CHECK(is_empty(f.cache), "nothing is left after the last run");
	fixture_close(&f);
}

static void
test_eviction(void)
{
	Fixture		f;
	BlockCacheStats stats;
	uint32_t	present = 0;
	uint64_t	random = 1;
	bool		right = true;

	fixture_open(&f, CACHE_BYTES);
	for (uint32_t i = 0; i < 20000; i++)
	{
		BlockKey	key = key_of(1, (uint32_t) (fixture_random(&random) % 1000));
		uint32_t	raw_bytes = 1 + (key.block * 977) % (key.block % 8 == 0 ? 4 * SST_FRAME_BYTES :
														 SST_FRAME_BYTES);

		right = right && (has(&f, key) || load(&f, key, raw_bytes)) && read_is_right(&f, key, raw_bytes);
	}
	CHECK(right, "with constant eviction every block has its own bytes");
	block_cache_stats(f.cache, &stats);
	CHECK(stats.evictions > 5000 && stats.frames_used <= stats.frames &&
		  stats.frames_used > stats.frames - 8, "the cache is full, and blocks went");
	CHECK(stats.ghost_hits > 0, "blocks that came back soon are noticed");
	for (uint32_t i = 0; i < 1000; i++)
		present += has(&f, key_of(1, i));
	CHECK(present > 100 && present < FRAMES, "some are there, some are not");
	block_cache_drop_run(f.cache, fixture_run(1));
	CHECK(is_empty(f.cache), "no frame was lost");
	fixture_close(&f);
}

static void
test_scan_resistance(void)
{
	Fixture		f;
	uint32_t	hot = FRAMES / 2;
	uint32_t	left = 0;

	fixture_open(&f, CACHE_BYTES);
	for (uint32_t i = 0; i < hot + FRAMES / 10; i++)
		load(&f, key_of(i < hot ? 1 : 2, i), 100);
	for (uint32_t i = 0; i < hot; i++)
		for (int times = 0; times < 3; times++)
			touch(&f, key_of(1, i));
	/* Each block of the scan is read several times at once. */
	for (uint32_t i = 0; i < FRAMES * 8; i++)
		for (int times = 0; times < 5; times++)
			if (!touch(&f, key_of(2, i)))
				load(&f, key_of(2, i), 100);
	for (uint32_t i = 0; i < hot; i++)
		left += has(&f, key_of(1, i));
	CHECK(left == hot, "a scan of eight caches' worth evicts nothing of what is read much");
	for (uint32_t i = 0; i < FRAMES * 8; i++)
	{
		if (!touch(&f, key_of(3, i % FRAMES)))
			load(&f, key_of(3, i % FRAMES), 100);
		touch(&f, key_of(3, i % FRAMES));
	}
	left = 0;
	for (uint32_t i = 0; i < hot; i++)
		left += has(&f, key_of(1, i));
	CHECK(left < hot / 2, "but what is no longer read gives way to what is");
	fixture_close(&f);
}

/* Loads a block and reads another once more that is no longer fresh. */
static void
load_and_read_older(Fixture *f, uint64_t run, uint32_t block)
{
	load(f, key_of(run, block), 100);
	if (block >= FRAMES / 16)
		touch(f, key_of(run, block - FRAMES / 16));
}

static void
test_main_queue(void)
{
	Fixture		f;
	uint32_t	hot = 16;
	uint32_t	reloads = 0;
	uint32_t	left = 0;

	fixture_open(&f, CACHE_BYTES);
	for (uint32_t i = 0; i < FRAMES * 6; i++)
	{
		load_and_read_older(&f, 1, i);
		for (uint32_t h = 0; h < hot && i % 8 == 0; h++)
			if (!touch(&f, key_of(2, h)) && load(&f, key_of(2, h), 100) && i > FRAMES * 3)
				reloads++;
	}
	CHECK(reloads == 0, "what is read all the time outlives what was read once more");
	for (uint32_t i = 0; i < FRAMES * 4; i++)
		left += has(&f, key_of(1, i));
	CHECK(left == 0, "which goes in its turn");
	for (uint32_t i = 0; i < FRAMES * 6; i++)
		load_and_read_older(&f, 3, i);
	for (uint32_t h = 0; h < hot; h++)
		left += has(&f, key_of(2, h));
	CHECK(left == 0, "as does what was read all the time and is no more");
	fixture_close(&f);
}

static void
test_shards(void)
{
	static const size_t sizes[] = {4, 5, 8, 63, 64, 65, 256};
	bool		right = true;
	bool		lean = true;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
	{
		size_t		bytes = sizes[i] * 1024 * 1024 + 12345;
		Fixture		f;
		BlockCacheStats stats;
		size_t		largest;

		fixture_open(&f, bytes);
		block_cache_stats(f.cache, &stats);
		right = right && stats.frames <= bytes / SST_FRAME_BYTES &&
			stats.frames + f.cache->shards > bytes / SST_FRAME_BYTES && f.cache->shard_frames >= 256;
		lean = lean && block_cache_region_bytes(bytes) - stats.frames * SST_FRAME_BYTES < bytes / 100;
		largest = stats.frames / 64 * SST_FRAME_BYTES;
		right = right && load(&f, key_of(1, 1), (uint32_t) largest) &&
			read_is_right(&f, key_of(1, 1), (uint32_t) largest);
		for (uint32_t b = 0; b < stats.frames * 2; b++)
			right = right && load(&f, key_of(2, b), 10);
		block_cache_stats(f.cache, &stats);
		right = right && stats.frames_used == stats.frames;
		fixture_close(&f);
	}
	CHECK(right, "caches of many sizes use all their frames");
	CHECK(lean, "and less than a hundredth of their size besides");
}

static void
test_guard(void)
{
	CacheGuard *guard = cache_guard_init(aligned_alloc(128, cache_guard_bytes(3)), 3);
	uint64_t	first;
	uint64_t	second;

	first = cache_guard_retire(guard);
	CHECK(cache_guard_passed(guard, first), "with nobody inside all has passed");
	cache_guard_enter(guard, 1);
	CHECK(cache_guard_passed(guard, first), "who enters later does not count");
	second = cache_guard_retire(guard);
	CHECK(second > first && !cache_guard_passed(guard, second), "who is inside does");
	cache_guard_enter(guard, 2);
	CHECK(cache_guard_passed(guard, first) && !cache_guard_passed(guard, second), "each as of its epoch");
	cache_guard_exit(guard, 1);
	CHECK(cache_guard_passed(guard, second), "until it leaves, whoever entered since");
	cache_guard_exit(guard, 2);
	cache_guard_count(guard, 0, CACHE_BLOCK_HIT, 5);
	cache_guard_count(guard, 2, CACHE_BLOCK_HIT, 7);
	CHECK(cache_guard_counter(guard, CACHE_BLOCK_HIT) == 12 &&
		  cache_guard_counter(guard, CACHE_TAIL_MISS) == 0, "counters are summed over the slots");
	free(guard);
}

int
main(void)
{
	test_hits();
	test_no_lock();
	test_candidates();
	test_loading();
	test_no_room();
	test_taken_away();
	test_same_hash();
	test_drop_and_walk();
	test_eviction();
	test_scan_resistance();
	test_main_queue();
	test_shards();
	test_guard();
	return unit_done();
}
