/*
 * test_disk_tier_stress.c
 *		Several processes read, fill and drop at once, in a tier that is much too
 *		small, and are killed at any instruction; a new server then goes on with
 *		the files they left.
 */
#include "disk_fixture.h"

#define PROCESSES 4
#define OBJECTS 12
#define RANGES 20
#define SLOTS 60				/* for 240 ranges */
#define FEW_SLOTS 5				/* for 8 ranges, so that they are taken away under readers */
#define FEW_RANGES 8
#define STEPS 2500
#define LIVES 25

typedef struct Results
{
	_Atomic uint32_t wrong;
	_Atomic uint32_t hits;
	_Atomic uint32_t loads;
	_Atomic uint32_t loading[OBJECTS * RANGES];	/* how many load a range: one at most */
	_Atomic uint32_t doubled;
	_Atomic bool go_on;
	uint32_t	ranges;			/* that are asked for */
} Results;

static TierFixture fixture;
static Results *results;

static void
miss(const DiskRange *range, uint32_t at, bool fails)
{
	DiskFill	fill;

	if (disk_tier_claim(&fixture.tier, range, &fill) != CACHE_LOAD)
		return;
	if (atomic_fetch_add(&results->loading[at], 1) != 0)
		atomic_fetch_add(&results->doubled, 1);
	atomic_fetch_add(&results->loads, 1);
	if (fails)
	{
		atomic_fetch_sub(&results->loading[at], 1);
		disk_tier_abandon(&fixture.tier, &fill);
		return;
	}
	(void) tier_content(range);
	atomic_fetch_sub(&results->loading[at], 1);
	disk_tier_fill(&fixture.tier, &fill, tier_content(range));
}

static void
step(uint64_t *random)
{
	uint32_t	at = (uint32_t) (fixture_random(random) % results->ranges);
	DiskRange	range = tier_range(at / RANGES, at % RANGES);
	size_t		bytes = tier_range_bytes(&range);
	size_t		from = fixture_random(random) % bytes;
	int			has = tier_look(&fixture.tier, &range, from, 1 + fixture_random(random) % (bytes - from));
	uint32_t	dice = (uint32_t) (fixture_random(random) % 1000);

	if (has < 0)
		atomic_fetch_add(&results->wrong, 1);
	else if (has > 0)
		atomic_fetch_add(&results->hits, 1);
	else
		miss(&range, at, dice < 50);
	if (dice == 999)
		disk_tier_clear(&fixture.tier);
	else if (dice > 990)
		disk_tier_drop(&fixture.tier, &(CacheRunId) {range.object.hi, range.object.lo}, 1, dice % 2 == 0);
}

static void
work(uint32_t me)
{
	uint64_t	random = me + 1;

	for (int i = 0; i < STEPS; i++)
		step(&random);
}

static void
work_until_killed(uint32_t me)
{
	uint64_t	random = me + 1000;

	while (atomic_load(&results->go_on))
		step(&random);
}

static bool
all_right(void)
{
	for (uint32_t at = 0; at < OBJECTS * RANGES; at++)
		if (tier_has(&fixture.tier, at / RANGES, at % RANGES) < 0)
			return false;
	return true;
}

/* Claims of all slots: none is lost to a process that was killed. */
static uint32_t
slots_to_have(void)
{
	uint32_t	n = 0;
	DiskFill	fill[2 * SLOTS];

	for (uint32_t i = 0; i < 2 * SLOTS; i++)
	{
		DiskRange	range = tier_range(1000, i);

		n += disk_tier_claim(&fixture.tier, &range, &fill[i]) == CACHE_LOAD;
	}
	for (uint32_t i = 0; i < n; i++)
		disk_tier_abandon(&fixture.tier, &fill[i]);
	return n;
}

static void
one_life(uint32_t life)
{
	pid_t		pids[PROCESSES];
	struct timespec pause = {0, (long) (fixture_mix(life) % 30000000)};

	memset(results->loading, 0, sizeof(results->loading));
	atomic_store(&results->go_on, true);
	for (uint32_t i = 0; i < PROCESSES; i++)
		pids[i] = fixture_start(work_until_killed, life * PROCESSES + i);
	nanosleep(&pause, NULL);
	for (int i = 0; i < PROCESSES; i++)
		kill(pids[i], SIGKILL);
	for (int i = 0; i < PROCESSES; i++)
		waitpid(pids[i], NULL, 0);
	tier_restart(&fixture, SLOTS);
}

/* All at work in a tier of so many slots. */
static void
together(uint32_t slots, uint32_t ranges)
{
	tier_start(&fixture, new_root(), slots);
	memset(results, 0, sizeof(Results));
	results->ranges = ranges;
	printf("# %u slots\n", slots);
	CHECK(fixture_run_all(work, PROCESSES), "all processes end");
	printf("# %u hits, %u loads\n", results->hits, results->loads);
	CHECK(results->wrong == 0 && results->hits > 0 && results->loads > 0, "no answer is wrong");
	CHECK(results->doubled == 0, "a range is loaded by one process at a time");
	CHECK(tier_stats(&fixture.tier).damaged == 0, "a slot that was taken meanwhile does not count as damaged");
	CHECK(slots_to_have() == slots, "no slot is lost");
}

static void
killed(void)
{
	bool		right = true;
	uint32_t	kept = 0;

	for (uint32_t life = 0; life < LIVES; life++)
	{
		one_life(life);
		right = right && all_right() && disk_tier_state(&fixture.tier) == DISK_TIER_ON;
		kept += (uint32_t) tier_stats(&fixture.tier).index.ranges;
	}
	printf("# %u ranges a life were kept\n", kept / LIVES);
	CHECK(right && results->wrong == 0, "no answer is wrong after kills");
	CHECK(kept > 0, "files outlive the processes that were killed");
	CHECK(slots_to_have() == SLOTS, "no slot is lost to those that were killed");
}

int
main(void)
{
	make_scratch();
	results = fixture_shared(sizeof(Results));
	together(FEW_SLOTS, FEW_RANGES);
	tier_stop(&fixture);
	together(SLOTS, OBJECTS * RANGES);
	killed();
	tier_stop(&fixture);
	remove_tree(scratch);
	return unit_done();
}
