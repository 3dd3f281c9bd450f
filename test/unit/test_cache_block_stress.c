/*
 * test_cache_block_stress.c
 *		The block cache among processes that read, load and evict at once, some
 *		of which are killed.
 *
 * Every block's bytes follow from its key, so that a wrong one is noticed.  The
 * cache is a fraction of what is asked for.
 */
#include "cache/block_cache.h"
#include "cache_fixture.h"

#define CACHE_BYTES ((size_t) 8 * 1024 * 1024)
#define BLOCKS 1500
#define RUN 1
#define WORKERS 4
#define WORKER_LOOKUPS 20000
#define FLIGHT_ROUNDS 150
#define VICTIMS 40

/* From here on blocks are claimed by loaders that are killed, and never loaded. */
#define DEAD_BLOCKS (2 * BLOCKS)

typedef struct Shared
{
	BlockCache *cache;
	FixtureChannels channels;
	FixtureBarrier barrier;
	_Atomic uint64_t hits;
	_Atomic uint64_t torn;		/* reads that block_cache_end refused */
	_Atomic uint64_t wrong;		/* that it did not, though it should have */
	_Atomic uint64_t loads;
	_Atomic uint64_t waits;
	_Atomic uint64_t given_up;	/* waits for a loader that was killed */
	_Atomic uint64_t flight_loads[FLIGHT_ROUNDS];
	_Atomic bool stop;
} Shared;

static Shared *shared;

static BlockKey
key_of(uint32_t block)
{
	return (BlockKey) {.run = fixture_run(RUN),.block = block};
}

/* Every eighth block is large; sizes are of all kinds. */
static uint32_t
bytes_of(uint32_t block)
{
	uint32_t	most = block % 8 == 0 ? 8 * SST_FRAME_BYTES : SST_FRAME_BYTES;

	return 1 + (uint32_t) (fixture_mix(block) % most);
}

/* Whether len bytes at buffer are those of the block. */
static bool
bytes_are_of(uint32_t block, size_t at, const uint8_t *buffer, size_t len)
{
	static uint8_t want[8 * SST_FRAME_BYTES];

	fixture_content(fixture_run(RUN), block, at, len, want);
	return memcmp(buffer, want, len) == 0;
}

/* Reads a block in pieces, giving the processor away now and then.  False if it is not there. */
static bool
read_block(uint32_t block, uint64_t *random)
{
	static uint8_t buffer[8 * SST_FRAME_BYTES];
	BlockKey	key = key_of(block);
	uint64_t	hash = block_cache_hash(key);
	size_t		at[3];
	size_t		len[3];
	size_t		used = 0;
	BlockView	view;
	bool		right = true;

	if (!block_cache_begin(shared->cache, &key, hash, block_cache_candidate(shared->cache, hash), &view))
		return false;
	right = view.raw_bytes == bytes_of(block);
	for (int i = 0; i < 3; i++)
	{
		at[i] = fixture_random(random) % view.raw_bytes;
		len[i] = fixture_random(random) % (view.raw_bytes - at[i] + 1) / 3;
		block_cache_copy(shared->cache, &view, at[i], len[i], buffer + used);
		used += len[i];
		if (fixture_random(random) % 16 == 0)
			sched_yield();
	}
	if (!block_cache_end(shared->cache, &view))
	{
		atomic_fetch_add(&shared->torn, 1);
		return true;
	}
	used = 0;
	for (int i = 0; i < 3; i++)
	{
		right = right && bytes_are_of(block, at[i], buffer + used, len[i]);
		used += len[i];
	}
	atomic_fetch_add(right ? &shared->hits : &shared->wrong, 1);
	return true;
}

static void
load_block(uint32_t block, const BlockFill *fill, const CacheWaiter *waiter, uint64_t *random)
{
	static uint8_t content[8 * SST_FRAME_BYTES];
	size_t		half = fill->raw_bytes / 2;

	atomic_fetch_add(&shared->loads, 1);
	if (fixture_random(random) % 32 == 0)
	{
		block_cache_abandon(shared->cache, fill, waiter);
		return;
	}
	fixture_content(fixture_run(RUN), block, 0, fill->raw_bytes, content);
	block_cache_fill(shared->cache, fill, half, content + half, fill->raw_bytes - half);
	if (fixture_random(random) % 4 == 0)
		sched_yield();
	block_cache_fill(shared->cache, fill, 0, content, half);
	block_cache_publish(shared->cache, fill, waiter);
}

/* What run_reader does with a block: true if this process was the one that loaded it. */
static bool
get_block(uint32_t block, const CacheWaiter *waiter, uint64_t *random)
{
	BlockKey	key = key_of(block);
	uint64_t	hash = block_cache_hash(key);
	FixtureWait *wait = waiter->state;

	for (int sleeps = 0; !read_block(block, random);)
	{
		BlockFill	fill;
		CacheClaim	claim = block_cache_claim(shared->cache, &key, hash, bytes_of(block), &fill);

		if (claim == CACHE_LOAD)
		{
			if (wait->prepared != 0)
				waiter->cancel(waiter->state, fill.channel);
			load_block(block, &fill, waiter, random);
			return true;
		}
		if (claim == CACHE_NO_ROOM)
			return false;
		if (claim == CACHE_LOADING && wait->prepared == 0)
			waiter->prepare(waiter->state, fill.channel);
		else if (claim == CACHE_LOADING)
		{
			waiter->sleep(waiter->state, fill.channel, NULL);
			atomic_fetch_add(&shared->waits, 1);
			if (block >= DEAD_BLOCKS && ++sleeps == 10)
			{
				atomic_fetch_add(&shared->given_up, 1);
				break;
			}
		}
	}
	if (wait->prepared != 0)
		waiter->cancel(waiter->state, wait->prepared - 1);
	return false;
}

/* A few blocks are asked for much more than the others. */
static uint32_t
random_block(uint64_t *random)
{
	uint64_t	r = fixture_random(random);

	return (uint32_t) (r % 4 == 0 ? (r >> 8) % 40 : (r >> 8) % BLOCKS);
}

static void
work(uint32_t me)
{
	FixtureWait wait;
	CacheWaiter waiter = fixture_waiter(&wait, &shared->channels);
	uint64_t	random = me * 1000;

	fixture_barrier(&shared->barrier, WORKERS);
	for (int i = 0; i < WORKER_LOOKUPS; i++)
	{
		get_block(random_block(&random), &waiter, &random);
		if (me == 0 && i % 4000 == 0)
			block_cache_drop_run(shared->cache, fixture_run(RUN));
	}
}

/* All processes ask for a block at once that nobody has asked for before. */
static void
fly(uint32_t me)
{
	FixtureWait wait;
	CacheWaiter waiter = fixture_waiter(&wait, &shared->channels);
	uint64_t	random = me;
	BlockFill	fill;

	for (uint32_t round = 0; round < FLIGHT_ROUNDS; round++)
	{
		uint32_t	block = BLOCKS + round;
		BlockKey	key = key_of(block);

		fixture_barrier(&shared->barrier, WORKERS);
		while (!read_block(block, &random))
		{
			CacheClaim	claim = block_cache_claim(shared->cache, &key, block_cache_hash(key),
												  bytes_of(block), &fill);

			if (claim == CACHE_LOAD)
			{
				static uint8_t content[8 * SST_FRAME_BYTES];

				atomic_fetch_add(&shared->flight_loads[round], 1);
				fixture_content(key.run, block, 0, fill.raw_bytes, content);
				sched_yield();
				block_cache_fill(shared->cache, &fill, 0, content, fill.raw_bytes);
				block_cache_publish(shared->cache, &fill, &waiter);
			}
			else if (claim == CACHE_LOADING && wait.prepared == 0)
				waiter.prepare(waiter.state, fill.channel);
			else if (claim == CACHE_LOADING)
				waiter.sleep(waiter.state, fill.channel, NULL);
		}
		if (wait.prepared != 0)
			waiter.cancel(waiter.state, wait.prepared - 1);
	}
}

/* Reads and nothing else, until it is killed. */
static void
read_for_ever(uint32_t me)
{
	uint64_t	random = 77 + me;

	for (;;)
		read_block(random_block(&random), &random);
}

/* Begins to load a block, and is killed half-way. */
static void
die_loading(uint32_t me)
{
	BlockFill	fill;
	uint32_t	block = DEAD_BLOCKS + me;
	BlockKey	key = key_of(block);

	if (block_cache_claim(shared->cache, &key, block_cache_hash(key), bytes_of(block), &fill) == CACHE_LOAD)
	{
		uint8_t		junk[100];

		memset(junk, 0x5A, sizeof(junk));
		block_cache_fill(shared->cache, &fill, 0, junk, fill.raw_bytes < 100 ? fill.raw_bytes : 100);
	}
	raise(SIGKILL);
}

/* Works until told to stop; asks for the blocks of killed loaders as well. */
static void
work_among_the_dead(uint32_t me)
{
	FixtureWait wait;
	CacheWaiter waiter = fixture_waiter(&wait, &shared->channels);
	uint64_t	random = me * 1000 + 5;

	while (!atomic_load(&shared->stop))
		get_block(random_block(&random), &waiter, &random);
	for (uint32_t i = 0; i < VICTIMS; i++)
		get_block(DEAD_BLOCKS + i, &waiter, &random);
}

static void
reset(void)
{
	static void *region;

	if (region == NULL)
		region = fixture_shared(block_cache_region_bytes(CACHE_BYTES));
	memset(shared, 0, sizeof(*shared));
	shared->cache = block_cache_init(region, CACHE_BYTES, NULL);
}

static void
test_many_at_once(void)
{
	BlockCacheStats stats;

	reset();
	CHECK(fixture_run_all(work, WORKERS), "processes read, load, give up, drop and evict at once");
	block_cache_stats(shared->cache, &stats);
	CHECK(atomic_load(&shared->wrong) == 0, "nobody met a wrong byte");
	CHECK(atomic_load(&shared->hits) > WORKERS * WORKER_LOOKUPS / 20, "many lookups were hits");
	CHECK(atomic_load(&shared->torn) > 0, "some blocks were taken away while they were read");
	CHECK(stats.evictions > WORKERS * WORKER_LOOKUPS / 20, "many blocks were evicted");
	CHECK(atomic_load(&shared->given_up) == 0, "nobody waited for nothing");
	block_cache_drop_run(shared->cache, fixture_run(RUN));
	block_cache_stats(shared->cache, &stats);
	CHECK(stats.frames_used == 0, "no frame was lost");
	printf("# hits %llu, torn %llu, loads %llu, waits %llu, evictions %llu\n",
		   (unsigned long long) shared->hits, (unsigned long long) shared->torn,
		   (unsigned long long) shared->loads, (unsigned long long) shared->waits,
		   (unsigned long long) stats.evictions);
}

static void
test_single_flight(void)
{
	uint32_t	once = 0;

	reset();
	CHECK(fixture_run_all(fly, WORKERS), "processes ask for the same new blocks at once");
	for (uint32_t i = 0; i < FLIGHT_ROUNDS; i++)
		once += atomic_load(&shared->flight_loads[i]) == 1;
	CHECK(once == FLIGHT_ROUNDS, "each was loaded once");
	CHECK(atomic_load(&shared->wrong) == 0 && atomic_load(&shared->hits) == WORKERS * FLIGHT_ROUNDS,
		  "and read by all");
}

static void
test_killed(void)
{
	pid_t		workers[2];
	bool		well = true;
	bool		killed = true;
	uint64_t	random = 3;

	reset();
	for (uint32_t i = 0; i < 2; i++)
		workers[i] = fixture_start(work_among_the_dead, i);
	for (uint32_t i = 0; i < VICTIMS; i++)
	{
		struct timespec pause = {0, (long) (fixture_random(&random) % 20000000)};
		pid_t		reader = fixture_start(read_for_ever, i);
		pid_t		loader = fixture_start(die_loading, i);

		nanosleep(&pause, NULL);
		kill(reader, SIGKILL);
		killed = fixture_was_killed(reader) && killed;
		killed = fixture_was_killed(loader) && killed;
	}
	atomic_store(&shared->stop, true);
	for (uint32_t i = 0; i < 2; i++)
		well = fixture_ended_well(workers[i]) && well;
	CHECK(killed && well, "readers and loaders are killed, others go on");
	CHECK(atomic_load(&shared->wrong) == 0, "nobody met a wrong byte");
	CHECK(atomic_load(&shared->hits) > 100, "there were hits");
	CHECK(atomic_load(&shared->given_up) == 2 * VICTIMS, "only the killed loaders' own blocks are blocked");
}

int
main(void)
{
	shared = fixture_shared(sizeof(Shared));
	test_many_at_once();
	test_single_flight();
	test_killed();
	return unit_done();
}
