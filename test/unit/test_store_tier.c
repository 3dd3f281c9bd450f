/*
 * test_store_tier.c
 *		A store with a disk tier before it.
 */
#include "disk_fixture.h"

#include "store/store_fault.h"
#include "store/store_tier.h"
#include "store_conformance.h"

#define OBJECT_BYTES ((size_t) 5 * DISK_RANGE_BYTES + 1234)	/* six ranges, the last of them short */
#define PROCESSES 4

/* A tiered store over a store that fails on demand over a directory. */
typedef struct Tiered
{
	TierFixture tier;
	ObjectStore *faults;
	ObjectStore *store;
} Tiered;

static void
open_tiered(Tiered *tiered, uint32_t slots)
{
	SvError		err;

	tier_start(&tiered->tier, new_root(), slots);
	if (store_fault_open(&tiered->faults, open_root(new_root(), true, 8), &err) != SV_OK ||
		store_tier_open(&tiered->store, tiered->faults, &tiered->tier.tier, "here", &err) != SV_OK)
		exit(1);
}

static void
close_tiered(Tiered *tiered)
{
	store_close(tiered->store);
	tier_stop(&tiered->tier);
}

static uint64_t
gets(const Tiered *tiered)
{
	return store_fault_calls(tiered->faults, STORE_GET);
}

static void
fail_gets(const Tiered *tiered, SvStatus status, uint64_t first, uint64_t last)
{
	StoreFault	fault = {STORE_FAULT_FAIL, STORE_GET, gets(tiered) + first, gets(tiered) + last, status};
	SvError		err;

	if (store_fault_add(tiered->faults, &fault, &err) != SV_OK)
		exit(1);
}

static uint64_t
number_of(const char *name)
{
	return (uint64_t) name[0] << 8 | (uint64_t) name[1];
}

static const uint8_t *
content_of(const char *name)
{
	static uint8_t bytes[OBJECT_BYTES];

	fixture_content(fixture_run(number_of(name)), 0, 0, OBJECT_BYTES, bytes);
	return bytes;
}

/* Puts an object of OBJECT_BYTES, behind the tier's back. */
static void
put_behind(const Tiered *tiered, const char *name)
{
	SvSlice		part = sv_slice(content_of(name), OBJECT_BYTES);
	SvError		err;

	if (store_put_if_absent(tiered->faults, name, &part, 1, NULL, &err) != SV_OK)
		printf("# %s: %s\n", name, err.message);
}

static StoreRange
range_at(const char *name, uint64_t offset, size_t len, uint8_t *dst)
{
	return (StoreRange) {.name = name,.offset = offset,.len = len,.dst = dst,.object_bytes = OBJECT_BYTES};
}

static bool
is_right(const StoreRange *range)
{
	static uint8_t expected[OBJECT_BYTES];

	fixture_content(fixture_run(number_of(range->name)), 0, range->offset, range->len, expected);
	return memcmp(expected, range->dst, range->len) == 0;
}

static bool
reads_right(const Tiered *tiered, const char *name, uint64_t offset, size_t len)
{
	static uint8_t bytes[OBJECT_BYTES];
	StoreRange	range = range_at(name, offset, len, bytes);
	SvError		err;

	return store_get(tiered->store, &range, 1, NULL, NULL, &err) == SV_OK && is_right(&range);
}

static DiskTierStats
stats(Tiered *tiered)
{
	return tier_stats(&tiered->tier.tier);
}

/* ---- one process ---- */

static void
test_conformance(void)
{
	Tiered		tiered;
	uint32_t	slots[] = {0, 1, 5, 500};
	int			failures = 0;

	for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++)
	{
		open_tiered(&tiered, slots[i]);
		failures += store_conformance(tiered.store, "disk tier");
		close_tiered(&tiered);
	}
	CHECK(failures == 0, "a store with a tier that is off, tiny, small or large conforms");
}

static void
test_reading(void)
{
	Tiered		tiered;
	static uint8_t bytes[4][OBJECT_BYTES];
	StoreRange	ranges[4];
	SvError		err;

	open_tiered(&tiered, 100);
	put_behind(&tiered, "ab");
	put_behind(&tiered, "cd");
	CHECK(reads_right(&tiered, "ab", 100, 50) && gets(&tiered) == 1, "a miss is a get");
	CHECK(reads_right(&tiered, "ab", 0, DISK_RANGE_BYTES) && gets(&tiered) == 1, "of the range around it");
	CHECK(reads_right(&tiered, "ab", 0, OBJECT_BYTES) && gets(&tiered) == 2, "what is missing of a read is one call");
	CHECK(reads_right(&tiered, "ab", OBJECT_BYTES - 10, 10) && gets(&tiered) == 2, "the last range too is kept");
	CHECK(stats(&tiered).index.ranges == 6 && stats(&tiered).fills == 6, "each range once");

	ranges[0] = range_at("cd", 3 * DISK_RANGE_BYTES + 5, 100, bytes[0]);
	ranges[1] = range_at("ab", 7, 1000, bytes[1]);
	ranges[2] = range_at("cd", 2 * DISK_RANGE_BYTES - 50, 100, bytes[2]);
	ranges[3] = range_at("cd", 3 * DISK_RANGE_BYTES + 50, 100, bytes[3]);
	CHECK(store_get(tiered.store, ranges, 4, NULL, NULL, &err) == SV_OK && is_right(&ranges[0]) &&
		  is_right(&ranges[1]) && is_right(&ranges[2]) && is_right(&ranges[3]), "many ranges of two objects");
	CHECK(gets(&tiered) == 3 && stats(&tiered).fills == 9, "are one call, and each range of the tier is fetched once");
	close_tiered(&tiered);
}

static void
test_not_added(void)
{
	Tiered		tiered;
	StoreCall	call = {.caller = STORE_COMPACTION};
	uint8_t		bytes[100];
	StoreRange	range = range_at("ab", 100, 100, bytes);
	SvError		err;

	open_tiered(&tiered, 100);
	put_behind(&tiered, "ab");
	CHECK(store_get(tiered.store, &range, 1, NULL, &call, &err) == SV_OK && is_right(&range) &&
		  stats(&tiered).index.ranges == 0, "what a compaction reads is not kept");
	range.object_bytes = 0;
	CHECK(store_get(tiered.store, &range, 1, NULL, NULL, &err) == SV_OK && is_right(&range) &&
		  stats(&tiered).index.ranges == 0, "nor what is read of an object of unknown length");
	CHECK(reads_right(&tiered, "ab", 100, 100) && gets(&tiered) == 3, "what a lookup reads is");
	CHECK(store_get(tiered.store, &range, 1, NULL, &call, &err) == SV_OK && is_right(&range) && gets(&tiered) == 3,
		  "and then serves all");
	close_tiered(&tiered);
}

/* Who reads much is answered from the tier, and adds nothing to it. */
static void
test_passing(void)
{
	Tiered		tiered;
	StoreCall	call = {.passing = true};
	static uint8_t bytes[3][2 * DISK_RANGE_BYTES];
	bool		there[3] = {false};
	StoreRange	ranges[3];
	int			failed;
	SvError		err;

	open_tiered(&tiered, 100);
	put_behind(&tiered, "ab");
	CHECK(reads_right(&tiered, "ab", DISK_RANGE_BYTES, 10) && gets(&tiered) == 1 && stats(&tiered).index.ranges == 1,
		  "a range that a lookup brought");
	ranges[0] = range_at("ab", DISK_RANGE_BYTES + 5, 1000, bytes[0]);
	ranges[1] = range_at("ab", DISK_RANGE_BYTES + 7, DISK_RANGE_BYTES, bytes[1]);
	ranges[2] = range_at("ab", 10, 100, bytes[2]);
	for (int i = 0; i < 3; i++)
		ranges[i].there = &there[i];
	CHECK(store_get(tiered.store, ranges, 1, NULL, &call, &err) == SV_OK && is_right(&ranges[0]) && there[0] &&
		  gets(&tiered) == 1, "serves who passes by");
	CHECK(store_get(tiered.store, ranges, 3, NULL, &call, &err) == SV_OK && is_right(&ranges[0]) &&
		  is_right(&ranges[1]) && is_right(&ranges[2]) && gets(&tiered) == 2 && !there[1] && !there[2],
		  "what is not there as a whole is read from the store");
	CHECK(stats(&tiered).index.ranges == 1 && stats(&tiered).fills == 1, "and not kept");
	ranges[2].name = "cd";
	CHECK(store_get(tiered.store, ranges, 3, &failed, &call, &err) == SV_NOT_FOUND && failed == 2, "what is missing");
	close_tiered(&tiered);
}

/* Somebody has taken the object for shorter than it is, and filled the tier so. */
static void
test_short_range(void)
{
	Tiered		tiered;
	uint8_t		bytes[100];
	StoreRange	range = range_at("ab", 0, 100, bytes);
	SvError		err;

	open_tiered(&tiered, 100);
	put_behind(&tiered, "ab");
	range.object_bytes = 1000;
	CHECK(store_get(tiered.store, &range, 1, NULL, NULL, &err) == SV_OK && stats(&tiered).fills == 1, "a short range");
	CHECK(reads_right(&tiered, "ab", 950, 100), "what lies behind its end is read from the store");
	close_tiered(&tiered);
}

static void
test_errors(void)
{
	Tiered		tiered;
	static uint8_t bytes[2][1000];
	StoreRange	ranges[2];
	int			failed;
	int			left = 1;
	StoreCall	call = {.cancelled = cancel_after,.state = &left};
	SvError		err;

	open_tiered(&tiered, 2);
	put_behind(&tiered, "ab");
	ranges[0] = range_at("ab", 0, 1000, bytes[0]);
	ranges[1] = range_at("ef", 0, 1000, bytes[1]);
	CHECK(store_get(tiered.store, ranges, 2, &failed, NULL, &err) == SV_NOT_FOUND && failed == 1,
		  "an object that is missing, and which");
	fail_gets(&tiered, SV_IO, 1, 1);
	CHECK(store_get(tiered.store, ranges, 1, &failed, NULL, &err) == SV_IO && failed <= 0, "a get that fails");
	CHECK(store_get(tiered.store, ranges, 1, &failed, &call, &err) == SV_CANCELLED, "a get that is cancelled");
	CHECK(reads_right(&tiered, "ab", 0, OBJECT_BYTES) && stats(&tiered).fills == 2,
		  "leave no slot behind that is never free again, and a tier that is too small serves all the same");
	CHECK(store_get(tiered.store, ranges + 1, 1, &failed, NULL, &err) == SV_NOT_FOUND, "missing still");
	close_tiered(&tiered);
}

/* ---- writing and removing ---- */

static void
test_put(void)
{
	Tiered		tiered;
	const uint8_t *content = content_of("ab");
	SvSlice		parts[] = {sv_slice(content, 10), sv_slice(content + 10, 3 * DISK_RANGE_BYTES), sv_slice(NULL, 0),
	sv_slice(content + 10 + 3 * DISK_RANGE_BYTES, OBJECT_BYTES - 10 - 3 * DISK_RANGE_BYTES)};
	StoreCall	call = {.caller = STORE_SNAPSHOT};
	SvError		err;

	open_tiered(&tiered, 100);
	CHECK(store_put_if_absent(tiered.store, "ab", parts, 4, NULL, &err) == SV_OK &&
		  reads_right(&tiered, "ab", 0, OBJECT_BYTES) && gets(&tiered) == 0, "what was just put is not fetched");
	CHECK(stats(&tiered).written_through == 6, "all its ranges are there");
	CHECK(store_put_if_absent(tiered.store, "ab", parts, 1, NULL, &err) == SV_EXISTS &&
		  reads_right(&tiered, "ab", 0, OBJECT_BYTES), "a put that fails writes nothing");
	CHECK(store_put_if_absent(tiered.store, "cd", parts, 4, &call, &err) == SV_OK &&
		  stats(&tiered).written_through == 6, "nor does a snapshot's");
	CHECK(store_remove(tiered.store, "ab", NULL, &err) == SV_OK && stats(&tiered).index.ranges == 0 &&
		  !reads_right(&tiered, "ab", 0, 10), "what is removed leaves the tier");
	close_tiered(&tiered);
}

static SvStatus
upload(const Tiered *tiered, const char *name, size_t piece, bool finish)
{
	const uint8_t *content = content_of(name);
	StoreUpload *started;
	SvError		err;
	SvStatus	status = store_upload_begin(tiered->store, name, &started, NULL, &err);

	for (size_t at = 0; at < OBJECT_BYTES && status == SV_OK; at += piece)
		status = store_upload_append(started, content + at, OBJECT_BYTES - at < piece ? OBJECT_BYTES - at : piece,
									 NULL, &err);
	if (finish)
		return store_upload_finish(started, NULL, &err);
	store_upload_abort(started, NULL);
	return status;
}

static void
test_upload(void)
{
	Tiered		tiered;
	const char *names[] = {"ab", "cd", "none", "gh"};
	SvError		err;
	int			removed;

	open_tiered(&tiered, 100);
	CHECK(upload(&tiered, "ab", 1000, true) == SV_OK && reads_right(&tiered, "ab", 0, OBJECT_BYTES) &&
		  upload(&tiered, "cd", 150000, true) == SV_OK && reads_right(&tiered, "cd", 0, OBJECT_BYTES) &&
		  gets(&tiered) == 0, "what was just uploaded is not fetched");
	CHECK(upload(&tiered, "ef", 1000, false) == SV_OK && stats(&tiered).index.ranges == 12 &&
		  stats(&tiered).written_through == 18, "what an upload wrote that is aborted leaves the tier");
	put_behind(&tiered, "gh");
	CHECK(upload(&tiered, "gh", 100000, true) == SV_EXISTS && stats(&tiered).index.ranges == 12,
		  "so does what one wrote whose name is taken");
	CHECK(reads_right(&tiered, "gh", 0, OBJECT_BYTES) && stats(&tiered).index.ranges == 18, "the object is another's");
	CHECK(store_remove_many(tiered.store, names, 4, &removed, NULL, &err) == SV_OK && removed == 4 &&
		  stats(&tiered).index.ranges == 0, "many are removed at once");
	close_tiered(&tiered);
}

/* Retired objects go before others, and are read until then. */
static void
test_retire(void)
{
	Tiered		tiered;
	const char *retired[] = {"none", "ab"};

	open_tiered(&tiered, 18);
	CHECK(upload(&tiered, "ab", 100000, true) == SV_OK && upload(&tiered, "cd", 100000, true) == SV_OK, "two objects");
	store_tier_retire(tiered.store, retired, 2);
	store_tier_retire(tiered.faults, retired, 2);
	CHECK(reads_right(&tiered, "ab", 0, OBJECT_BYTES) && gets(&tiered) == 0, "a retired object is read from the tier");
	CHECK(upload(&tiered, "ef", 100000, true) == SV_OK && upload(&tiered, "gh", 100000, true) == SV_OK &&
		  reads_right(&tiered, "cd", 0, OBJECT_BYTES) && reads_right(&tiered, "ef", 0, OBJECT_BYTES) &&
		  reads_right(&tiered, "gh", 0, OBJECT_BYTES) && gets(&tiered) == 0, "until others need its place");
	CHECK(reads_right(&tiered, "ab", 0, OBJECT_BYTES) && gets(&tiered) == 1, "then it is fetched");
	close_tiered(&tiered);
}

static void
test_damage(void)
{
	Tiered		tiered;
	char		path[600];

	open_tiered(&tiered, 100);
	CHECK(upload(&tiered, "ab", 100000, true) == SV_OK, "an object");
	snprintf(path, sizeof(path), "%s/ranges", tiered.tier.directory);
	CHECK(truncate(path, DISK_SLOT_BYTES + 10) == 0 && reads_right(&tiered, "ab", 0, OBJECT_BYTES) &&
		  gets(&tiered) == 1, "a cut cache file costs a get");
	CHECK(reads_right(&tiered, "ab", 0, OBJECT_BYTES) && gets(&tiered) == 1, "once");
	close_tiered(&tiered);
}

/* Two stores whose objects have equal names share a tier. */
static void
test_identity(void)
{
	Tiered		tiered;
	ObjectStore *other;
	char		a[4] = "";
	char		b[4] = "";
	StoreRange	ranges[2] = {{"x", 0, 3, a, 3}, {"x", 0, 3, b, 3}};
	SvError		err;

	open_tiered(&tiered, 100);
	CHECK(store_tier_open(&other, open_root(new_root(), true, 8), &tiered.tier.tier, "there", &err) == SV_OK &&
		  put_text(tiered.store, "x", "one", &err) == SV_OK && put_text(other, "x", "two", &err) == SV_OK &&
		  store_get(tiered.store, &ranges[0], 1, NULL, NULL, &err) == SV_OK &&
		  store_get(other, &ranges[1], 1, NULL, NULL, &err) == SV_OK && strcmp(a, "one") == 0 &&
		  strcmp(b, "two") == 0, "objects of other stores are others");
	store_close(other);
	close_tiered(&tiered);
}

/* ---- several processes ---- */

typedef struct Shared
{
	FixtureBarrier barrier;
	_Atomic uint32_t calls;
	_Atomic uint32_t wrong;
	_Atomic uint32_t failed;
	_Atomic uint32_t waiting;
} Shared;

static Tiered together;
static Shared *shared;

/* All miss the same ranges at the same time. */
static void
read_together(uint32_t me)
{
	(void) me;
	fixture_barrier(&shared->barrier, PROCESSES);
	if (!reads_right(&together, "ab", 0, OBJECT_BYTES))
		atomic_fetch_add(&shared->wrong, 1);
}

static void
count_wait(void *state, const StoreWaitFd *fds, int nfds, int timeout_ms)
{
	(void) state;
	(void) fds;
	(void) nfds;
	atomic_fetch_add(&shared->waiting, 1);
	usleep((useconds_t) timeout_ms * 1000);
}

/* Waits for a range that the parent fetches. */
static void
read_and_wait(uint32_t me)
{
	uint8_t		bytes[100];
	StoreRange	range = range_at("cd", 10 * me, 100, bytes);
	StoreCall	call = {.wait = count_wait};
	SvError		err;

	if (store_get(together.store, &range, 1, NULL, &call, &err) != SV_OK || !is_right(&range))
		atomic_fetch_add(&shared->wrong, 1);
	atomic_fetch_add(&shared->calls, (uint32_t) gets(&together));
}

static void
test_waiting(bool succeeds)
{
	DiskRange	range;
	DiskFill	fill;
	pid_t		pids[PROCESSES];
	bool		well = true;

	open_tiered(&together, 100);
	memset(shared, 0, sizeof(Shared));
	put_behind(&together, "cd");
	range = (DiskRange) {.object = store_tier_object(together.store, "cd")};
	CHECK(disk_tier_claim(&together.tier.tier, &range, &fill) == CACHE_LOAD, "one process fetches a range");
	for (uint32_t i = 0; i < PROCESSES; i++)
		pids[i] = fixture_start(read_and_wait, i);
	while (atomic_load(&shared->waiting) < PROCESSES)
		sched_yield();
	if (succeeds)
		disk_tier_fill(&together.tier.tier, &fill, sv_slice(content_of("cd"), DISK_RANGE_BYTES));
	else
		disk_tier_abandon(&together.tier.tier, &fill);
	for (uint32_t i = 0; i < PROCESSES; i++)
		well = fixture_ended_well(pids[i]) && well;
	CHECK(well && shared->wrong == 0, "others wait for it and read it");
	CHECK(shared->calls == (succeeds ? 0 : 1),
		  succeeds ? "without a get" : "one of them fetches it when the first fails");
	close_tiered(&together);
}

/* The one who fetches never ends. */
static void
test_waiting_for_ever(void)
{
	DiskRange	range;
	DiskFill	fill;

	open_tiered(&together, 100);
	put_behind(&together, "cd");
	range = (DiskRange) {.object = store_tier_object(together.store, "cd")};
	CHECK(disk_tier_claim(&together.tier.tier, &range, &fill) == CACHE_LOAD, "one process fetches a range, slowly");
	CHECK(reads_right(&together, "cd", 0, OBJECT_BYTES), "another reads it by itself in the end");
	close_tiered(&together);
}

/* Random reads, many of which fail, in a tier that is too small. */
static void
read_at_random(uint32_t me)
{
	static uint8_t bytes[3][OBJECT_BYTES];
	const char *names[] = {"ab", "cd", "ef"};
	uint64_t	random = me;
	SvError		err;

	for (uint64_t i = 1; i < 400; i += 10)
		fail_gets(&together, SV_IO, i, i);
	for (int i = 0; i < 400; i++)
	{
		StoreRange	ranges[3];
		SvStatus	status;

		for (int k = 0; k < 3; k++)
		{
			uint64_t	offset = fixture_random(&random) % OBJECT_BYTES;

			ranges[k] = range_at(names[fixture_random(&random) % 3], offset,
								 1 + fixture_random(&random) % (OBJECT_BYTES - offset), bytes[k]);
		}
		status = store_get(together.store, ranges, 3, NULL, NULL, &err);
		if (status != SV_OK)
			atomic_fetch_add(&shared->failed, 1);
		else if (!is_right(&ranges[0]) || !is_right(&ranges[1]) || !is_right(&ranges[2]))
			atomic_fetch_add(&shared->wrong, 1);
	}
}

static void
test_together(void)
{
	DiskTierStats counts;

	open_tiered(&together, 100);
	put_behind(&together, "ab");
	CHECK(fixture_run_all(read_together, PROCESSES) && shared->wrong == 0 && stats(&together).fills == 6,
		  "processes that miss the same ranges fetch each once");
	close_tiered(&together);

	open_tiered(&together, 12);
	put_behind(&together, "ab");
	put_behind(&together, "cd");
	put_behind(&together, "ef");
	CHECK(fixture_run_all(read_at_random, PROCESSES) && shared->wrong == 0, "no answer is wrong");
	counts = stats(&together);
	printf("# %u failed, %u hits, %u fills\n", shared->failed, (unsigned) counts.hits, (unsigned) counts.fills);
	CHECK(shared->failed > 0 && counts.hits > 0 && counts.fills > 0 && counts.damaged == 0, "some fail, some hit");
	for (uint64_t i = 0; i < 12; i++)
		tier_put(&together.tier.tier, 100 + i, 0);
	CHECK(stats(&together).written_through == 12, "no slot is lost");
	close_tiered(&together);
}

/* Pieces that lie apart are fetched with all of their ranges, but not with memory for all of these at once. */
static void
test_far_apart(void)
{
	enum { RANGES = 1200, EACH = 1000 };
	static SvSlice parts[RANGES];
	static StoreRange ranges[RANGES];
	static uint8_t bytes[RANGES][EACH];
	Tiered		tiered;
	uint64_t	before;
	SvError		err;
	bool		right = true;

	open_tiered(&tiered, RANGES + 100);
	for (int i = 0; i < RANGES; i++)
		parts[i] = sv_slice(content_of("ab"), DISK_RANGE_BYTES);
	CHECK(store_put_if_absent(tiered.faults, "ab", parts, RANGES, NULL, &err) == SV_OK, "a large object");
	for (int i = 0; i < RANGES; i++)
		ranges[i] = (StoreRange) {
			.name = "ab",.offset = (uint64_t) i * DISK_RANGE_BYTES + i,.len = EACH,.dst = bytes[i],
			.object_bytes = (uint64_t) RANGES * DISK_RANGE_BYTES
		};
	before = gets(&tiered);
	CHECK(store_get(tiered.store, ranges, RANGES, NULL, NULL, &err) == SV_OK, "pieces of all of its ranges");
	for (int i = 0; i < RANGES; i++)
		right = right && memcmp(bytes[i], content_of("ab") + i, EACH) == 0;
	CHECK(right && stats(&tiered).fills == RANGES, "are found, and all ranges kept");
	CHECK(gets(&tiered) - before == 3, "in rounds that take 32 MiB of memory each");
	close_tiered(&tiered);
}

int
main(void)
{
	make_scratch();
	shared = fixture_shared(sizeof(Shared));
	test_conformance();
	test_reading();
	test_not_added();
	test_passing();
	test_short_range();
	test_errors();
	test_put();
	test_upload();
	test_retire();
	test_damage();
	test_identity();
	test_waiting(true);
	test_waiting(false);
	test_waiting_for_ever();
	memset(shared, 0, sizeof(Shared));
	test_together();
	test_far_apart();
	remove_tree(scratch);
	return unit_done();
}
