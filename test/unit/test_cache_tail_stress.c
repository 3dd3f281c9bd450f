/*
 * test_cache_tail_stress.c
 *		The tail cache among processes that look at, pin, load and drop tails at
 *		once, some of which are killed.
 *
 * Every tail's bytes follow from its run, so that a wrong one is noticed.  The
 * cache is a fraction of what is asked for.
 */
#include "cache/tail_cache.h"
#include "cache_fixture.h"

#define CACHE_BYTES ((size_t) 2 * 1024 * 1024)
#define RUNS 120
#define WORKERS 4
#define WORKER_LOOKUPS 12000
#define FLIGHT_ROUNDS 150
#define VICTIMS 40
#define RACES 100000
#define SLOTS (WORKERS + VICTIMS)

/* From here on runs are claimed by loaders that are killed, or pinned by processes that are. */
#define DEAD_RUNS 1000
#define PINNED_RUNS 2000

typedef struct Shared
{
	TailCache  *cache;
	CacheGuard *guard;
	FixtureChannels channels;
	FixtureBarrier barrier;
	_Atomic uint64_t found;		/* and looked at inside the guard */
	_Atomic uint64_t pinned;
	_Atomic uint64_t wrong;
	_Atomic uint64_t loads;
	_Atomic uint64_t no_room;
	_Atomic uint64_t given_up;	/* waits for a loader that was killed */
	_Atomic uint64_t flight_loads[FLIGHT_ROUNDS];
	_Atomic bool stop;

	/* of the race between entering and taking away; each round, both sides count on */
	_Atomic bool findable;
	_Atomic bool seen;
	_Atomic bool passed;
	_Atomic uint32_t begun;
	_Atomic uint32_t tried;
	_Atomic uint32_t ended;
	_Atomic uint32_t overlooked;
	_Atomic uint32_t seen_rounds;
} Shared;

static Shared *shared;

static size_t
bytes_of(uint64_t run)
{
	return 1 + fixture_mix(run) % (run % 10 == 0 ? CACHE_BYTES / 6 : CACHE_BYTES / 60);
}

/* Looks at a few places of a tail, giving the processor away in between now and then. */
static void
check_tail(const SstTail *tail, uint64_t run, uint64_t *random)
{
	bool		right = tail->offset == run && tail->bytes.len == bytes_of(run);

	for (int i = 0; i < 6 && right; i++)
	{
		uint8_t		want[256];
		size_t		at = fixture_random(random) % tail->bytes.len;
		size_t		len = tail->bytes.len - at < 256 ? tail->bytes.len - at : 256;

		fixture_content(fixture_run(run), 0, at, len, want);
		right = memcmp(tail->bytes.data + at, want, len) == 0;
		if (fixture_random(random) % 64 == 0)
			sched_yield();
	}
	if (!right)
		atomic_fetch_add(&shared->wrong, 1);
}

/* False if it is not there. */
static bool
look_at(uint32_t me, uint64_t run, uint64_t *random)
{
	const SstTail *tail;

	cache_guard_enter(shared->guard, me);
	tail = tail_cache_find(shared->cache, fixture_run(run));
	if (tail != NULL)
	{
		check_tail(tail, run, random);
		atomic_fetch_add(&shared->found, 1);
	}
	cache_guard_exit(shared->guard, me);
	return tail != NULL;
}

/* Fills and publishes, or gives up; the tail is pinned for the caller. */
static const SstTail *
load(uint64_t run, const TailFill *fill, const CacheWaiter *waiter, bool give_up)
{
	size_t		bytes = bytes_of(run);
	SstTail		tail;

	atomic_fetch_add(&shared->loads, 1);
	fixture_content(fixture_run(run), 0, 0, bytes / 2, fill->bytes);
	if (give_up)
	{
		tail_cache_abandon(shared->cache, fill, waiter);
		return NULL;
	}
	sched_yield();
	fixture_content(fixture_run(run), 0, bytes / 2, bytes - bytes / 2, fill->bytes + bytes / 2);
	memset(&tail, 0, sizeof(tail));
	tail.offset = run;
	tail.bytes = sv_slice(fill->bytes, bytes);
	return tail_cache_publish(shared->cache, fill, &tail, waiter);
}

/* What run_access does with a tail; NULL if there is no room for it, or if loading it was given up. */
static const SstTail *
acquire(uint32_t me, uint64_t run, const CacheWaiter *waiter, uint64_t *random)
{
	const SstTail *tail = NULL;
	FixtureWait *wait = waiter->state;
	bool		done = false;

	for (int sleeps = 0; !done && tail == NULL;)
	{
		TailFill	fill;

		tail = tail_cache_pin(shared->cache, me, fixture_run(run));
		if (tail != NULL)
			break;
		switch (tail_cache_claim(shared->cache, fixture_run(run), bytes_of(run), &fill))
		{
			case CACHE_PRESENT:
				break;
			case CACHE_LOADING:
				if (wait->prepared == 0)
					waiter->prepare(waiter->state, fill.channel);
				else
					waiter->sleep(waiter->state, fill.channel, NULL);
				if (run >= DEAD_RUNS && ++sleeps == 10)
				{
					atomic_fetch_add(&shared->given_up, 1);
					done = true;
				}
				break;
			case CACHE_LOAD:
				tail = load(run, &fill, waiter, fixture_random(random) % 32 == 0);
				done = true;
				break;
			case CACHE_NO_ROOM:
				atomic_fetch_add(&shared->no_room, 1);
				done = true;
				break;
		}
	}
	if (wait->prepared != 0)
		waiter->cancel(waiter->state, wait->prepared - 1);
	return tail;
}

/* Acquires a tail, and holds it while looking at others. */
static void
pin_and_look(uint32_t me, uint64_t run, const CacheWaiter *waiter, uint64_t *random)
{
	const SstTail *tail = acquire(me, run, waiter, random);

	if (tail == NULL)
		return;
	for (int i = 0; i < 3; i++)
	{
		check_tail(tail, run, random);
		look_at(me, fixture_random(random) % RUNS, random);
	}
	atomic_fetch_add(&shared->pinned, 1);
	tail_cache_unpin(shared->cache, tail);
}

static uint64_t
random_run(uint64_t *random)
{
	uint64_t	r = fixture_random(random);

	return r % 2 == 0 ? (r >> 8) % 12 : (r >> 8) % RUNS;
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
		uint64_t	run = random_run(&random);

		if (fixture_random(&random) % 64 == 0)
			tail_cache_drop_run(shared->cache, fixture_run(run));
		else if (!look_at(me, run, &random) || fixture_random(&random) % 8 == 0)
			pin_and_look(me, run, &waiter, &random);
	}
}

/* All processes want a tail at once that nobody has wanted before. */
static void
fly(uint32_t me)
{
	FixtureWait wait;
	CacheWaiter waiter = fixture_waiter(&wait, &shared->channels);
	uint64_t	random = me;

	for (uint32_t round = 0; round < FLIGHT_ROUNDS; round++)
	{
		CacheRunId	run = fixture_run(RUNS + round);
		const SstTail *tail = NULL;
		TailFill	fill;

		fixture_barrier(&shared->barrier, WORKERS);
		while (tail == NULL)
		{
			CacheClaim	claim;

			tail = tail_cache_pin(shared->cache, me, run);
			if (tail != NULL)
				break;
			claim = tail_cache_claim(shared->cache, run, bytes_of(RUNS + round), &fill);
			if (claim == CACHE_LOAD)
			{
				atomic_fetch_add(&shared->flight_loads[round], 1);
				tail = load(RUNS + round, &fill, &waiter, false);
			}
			else if (claim == CACHE_LOADING && wait.prepared == 0)
				waiter.prepare(waiter.state, fill.channel);
			else if (claim == CACHE_LOADING)
				waiter.sleep(waiter.state, fill.channel, NULL);
		}
		if (wait.prepared != 0)
			waiter.cancel(waiter.state, wait.prepared - 1);
		check_tail(tail, RUNS + round, &random);
		/* Pinned until all have it: or else it might be evicted and rightly be loaded twice. */
		fixture_barrier(&shared->barrier, WORKERS);
		tail_cache_unpin(shared->cache, tail);
	}
}

/* Looks and nothing else, until it is killed, inside the guard or outside. */
static void
look_for_ever(uint32_t me)
{
	uint64_t	random = 77 + me;

	for (;;)
		look_at(WORKERS + me, random_run(&random), &random);
}

static void
die_loading(uint32_t me)
{
	TailFill	fill;

	if (tail_cache_claim(shared->cache, fixture_run(DEAD_RUNS + me), bytes_of(DEAD_RUNS + me), &fill) == CACHE_LOAD)
		memset(fill.bytes, 0x5A, bytes_of(DEAD_RUNS + me) / 2);
	raise(SIGKILL);
}

static void
die_with_a_pin(uint32_t me)
{
	FixtureWait wait;
	CacheWaiter waiter = fixture_waiter(&wait, &shared->channels);
	TailFill	fill;
	uint64_t	run = PINNED_RUNS + me;

	if (tail_cache_claim(shared->cache, fixture_run(run), bytes_of(run), &fill) == CACHE_LOAD)
		load(run, &fill, &waiter, false);
	raise(SIGKILL);
}

static void
work_among_the_dead(uint32_t me)
{
	FixtureWait wait;
	CacheWaiter waiter = fixture_waiter(&wait, &shared->channels);
	uint64_t	random = me * 1000 + 5;

	while (!atomic_load(&shared->stop))
		pin_and_look(me, random_run(&random), &waiter, &random);
	for (uint32_t i = 0; i < 5; i++)
		pin_and_look(me, DEAD_RUNS + i * 10 + 1, &waiter, &random);
}

static void
reset(void)
{
	static void *region;
	static void *guard;

	if (region == NULL)
	{
		region = fixture_shared(tail_cache_region_bytes(CACHE_BYTES));
		guard = fixture_shared(cache_guard_bytes(SLOTS));
	}
	memset(shared, 0, sizeof(*shared));
	shared->guard = cache_guard_init(guard, SLOTS);
	shared->cache = tail_cache_init(region, CACHE_BYTES, shared->guard, NULL);
}

static void
count_item(void *state, const TailCacheItem *item)
{
	uint32_t   *pins = state;

	*pins += item->pins;
}

static uint32_t
pins(void)
{
	uint32_t	sum = 0;

	tail_cache_walk(shared->cache, count_item, &sum);
	return sum;
}

static void
await(_Atomic uint32_t *counter, uint32_t n)
{
	for (int spins = 1; atomic_load_explicit(counter, memory_order_acquire) < n; spins++)
		if (spins % 1000 == 0)
			sched_yield();
}

/* A race needs two processors; which those are is left to the system otherwise. */
static void
stay_on_processor(uint32_t nth)
{
	cpu_set_t	allowed;
	cpu_set_t	mine;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
		return;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed) && nth-- == 0)
		{
			CPU_ZERO(&mine);
			CPU_SET(cpu, &mine);
			sched_setaffinity(0, sizeof(mine), &mine);
		}
}

/* One enters and looks, the other takes away and asks whether it is free, at the same moment. */
static void
race(uint32_t me)
{
	uint64_t	random = me;

	stay_on_processor(me);
	for (uint32_t round = 1; round <= RACES; round++)
	{
		volatile int delay = (int) (fixture_random(&random) % 64);

		atomic_fetch_add(&shared->begun, 1);
		await(&shared->begun, 2 * round);
		while (delay > 0)
			delay--;
		if (me == 0)
		{
			cache_guard_enter(shared->guard, 0);
			atomic_store_explicit(&shared->seen,
								  atomic_load_explicit(&shared->findable, memory_order_relaxed),
								  memory_order_relaxed);
		}
		else
		{
			atomic_store_explicit(&shared->findable, false, memory_order_relaxed);
			atomic_store_explicit(&shared->passed,
								  cache_guard_passed(shared->guard, cache_guard_retire(shared->guard)),
								  memory_order_relaxed);
		}
		atomic_fetch_add(&shared->tried, 1);
		await(&shared->tried, 2 * round);
		if (me == 0)
		{
			cache_guard_exit(shared->guard, 0);
			atomic_fetch_add(&shared->seen_rounds, atomic_load(&shared->seen));
			atomic_fetch_add(&shared->overlooked, atomic_load(&shared->seen) && atomic_load(&shared->passed));
			atomic_store(&shared->findable, true);
		}
		atomic_fetch_add(&shared->ended, 1);
		await(&shared->ended, 2 * round);
	}
}

static void
test_guard_races(void)
{
	reset();
	atomic_store(&shared->findable, true);
	CHECK(fixture_run_all(race, 2), "one enters while another takes away");
	CHECK(atomic_load(&shared->overlooked) == 0, "who has found what is taken away is never overlooked");
	CHECK(atomic_load(&shared->seen_rounds) > 0 && atomic_load(&shared->seen_rounds) < RACES,
		  "now the one is first, now the other");
	printf("# found in %u of %u rounds\n", (unsigned) shared->seen_rounds, (unsigned) RACES);
}

static void
test_many_at_once(void)
{
	TailCacheStats stats;

	reset();
	CHECK(fixture_run_all(work, WORKERS), "processes look, pin, load, give up, drop and evict at once");
	CHECK(atomic_load(&shared->wrong) == 0, "nobody met a wrong byte");
	CHECK(atomic_load(&shared->found) > 1000 && atomic_load(&shared->pinned) > 1000,
		  "many were found and pinned");
	tail_cache_stats(shared->cache, &stats);
	CHECK(stats.evictions > 1000, "many were evicted");
	CHECK(pins() == 0, "no pin is left");
	printf("# found %llu, pinned %llu, loads %llu, no room %llu, evictions %llu\n",
		   (unsigned long long) shared->found, (unsigned long long) shared->pinned,
		   (unsigned long long) shared->loads, (unsigned long long) shared->no_room,
		   (unsigned long long) stats.evictions);
	for (uint64_t run = 0; run < RUNS; run++)
		tail_cache_drop_run(shared->cache, fixture_run(run));
	tail_cache_stats(shared->cache, &stats);
	CHECK(stats.bytes_used == 0, "no page was lost");
}

static void
test_single_flight(void)
{
	uint32_t	once = 0;

	reset();
	CHECK(fixture_run_all(fly, WORKERS), "processes want the same new tails at once");
	for (uint32_t i = 0; i < FLIGHT_ROUNDS; i++)
		once += atomic_load(&shared->flight_loads[i]) == 1;
	CHECK(once == FLIGHT_ROUNDS, "each was loaded once");
	CHECK(atomic_load(&shared->wrong) == 0, "and was right");
}

/*
 * Pins and loads of the dead keep their places; a guard that was never left
 * keeps all memory that anyone lets go from then on.  Neither does other harm.
 */
static void
test_killed(void)
{
	pid_t		workers[2];
	bool		well = true;
	bool		killed = true;
	uint64_t	random = 3;
	TailCacheStats stats;

	reset();
	for (uint32_t i = 0; i < 2; i++)
		workers[i] = fixture_start(work_among_the_dead, i);
	for (uint32_t i = 0; i < VICTIMS; i++)
	{
		struct timespec pause = {0, (long) (fixture_random(&random) % 20000000)};
		pid_t		reader = fixture_start(look_for_ever, i);

		if (i % 10 == 1)
			killed = fixture_was_killed(fixture_start(die_loading, i)) && killed;
		if (i % 10 == 2)
			killed = fixture_was_killed(fixture_start(die_with_a_pin, i)) && killed;
		nanosleep(&pause, NULL);
		kill(reader, SIGKILL);
		killed = fixture_was_killed(reader) && killed;
		/* The first half of them die as if outside the guard, so that there is eviction. */
		if (i < VICTIMS / 2)
			cache_guard_exit(shared->guard, WORKERS + i);
	}
	atomic_store(&shared->stop, true);
	for (uint32_t i = 0; i < 2; i++)
		well = fixture_ended_well(workers[i]) && well;
	tail_cache_stats(shared->cache, &stats);
	CHECK(killed && well, "readers, loaders and holders of pins are killed, others go on");
	CHECK(atomic_load(&shared->wrong) == 0, "nobody met a wrong byte");
	CHECK(stats.evictions > 10 && atomic_load(&shared->found) > 100, "there was something to meet");
	CHECK(atomic_load(&shared->no_room) > 0, "with a guard that is never left there is no room");
}

int
main(void)
{
	shared = fixture_shared(sizeof(Shared));
	test_guard_races();
	test_many_at_once();
	test_single_flight();
	test_killed();
	return unit_done();
}
