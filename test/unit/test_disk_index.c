/*
 * test_disk_index.c
 *		Which range is in which slot, and which has to go.
 */
#include "cache_fixture.h"

#include "cache/disk_index.h"

static DiskIndex *
new_index(uint32_t slots)
{
	void	   *memory = aligned_alloc(64, (disk_index_bytes(slots) + 63) / 64 * 64);
	DiskIndex  *index = disk_index_init(memory, slots);

	disk_index_restored(index);
	return index;
}

static DiskRange
range(uint64_t object, uint32_t number)
{
	return (DiskRange) {.object = fixture_run(object),.number = number};
}

/* Claims and publishes; what the claim said. */
static CacheClaim
put(DiskIndex *index, uint64_t object, uint32_t number)
{
	DiskRange	wanted = range(object, number);
	DiskPlace	place;
	CacheClaim	claim = disk_index_claim(index, &wanted, &place);

	if (claim == CACHE_LOAD)
		disk_index_publish(index, &place, 100 + number);
	return claim;
}

static bool
has(DiskIndex *index, uint64_t object, uint32_t number)
{
	DiskRange	wanted = range(object, number);
	DiskPlace	place;

	return disk_index_find(index, &wanted, &place) && place.bytes == 100 + number;
}

static int
count_of(DiskIndex *index, uint64_t object, uint32_t n)
{
	int			found = 0;

	for (uint32_t i = 0; i < n; i++)
		found += has(index, object, i);
	return found;
}

static void
test_claims(void)
{
	DiskIndex  *index = new_index(2);
	DiskRange	first = range(1, 0);
	DiskRange	second = range(1, 1);
	DiskRange	third = range(1, 2);
	DiskPlace	place;
	DiskPlace	other;
	DiskIndexCounts counts;

	CHECK(!has(index, 1, 0) && disk_index_claim(index, &first, &place) == CACHE_LOAD, "the first to miss loads");
	CHECK(disk_index_claim(index, &first, &other) == CACHE_LOADING && !has(index, 1, 0),
		  "the second finds it being loaded, and not to be read");
	CHECK(disk_index_claim(index, &second, &other) == CACHE_LOAD && other.slot != place.slot,
		  "another range has a slot of its own");
	CHECK(disk_index_claim(index, &third, &(DiskPlace) {0}) == CACHE_NO_ROOM, "slots being filled do not go");
	disk_index_publish(index, &place, 100);
	CHECK(has(index, 1, 0) && disk_index_claim(index, &first, &place) == CACHE_PRESENT, "published, it is there");
	disk_index_abandon(index, &other);
	CHECK(!has(index, 1, 1) && put(index, 1, 1) == CACHE_LOAD && has(index, 1, 1), "abandoned, another may load it");
	CHECK(disk_index_find(index, &first, &place) && disk_index_forget(index, &place) && !has(index, 1, 0),
		  "forgotten, it is gone");
	CHECK(!disk_index_forget(index, &place), "and cannot be forgotten twice");
	put(index, 1, 0);
	CHECK(!disk_index_forget(index, &place) && has(index, 1, 0), "a newer one in the same slot is left alone");
	disk_index_count(index, &counts);
	CHECK(counts.slots == 2 && counts.ranges == 2 && counts.bytes == 201 && counts.evictions == 0, "counts");
	free(index);
}

static void
test_clock(void)
{
	DiskIndex  *index = new_index(100);
	int			found = 0;

	for (uint32_t i = 0; i < 50; i++)
		put(index, 1, i);
	CHECK(count_of(index, 1, 50) == 50, "what fits is there");
	for (uint32_t i = 0; i < 500; i++)
		put(index, 2, i);
	CHECK(count_of(index, 2, 400) < 60, "old ranges that nobody asked for go");
	free(index);

	index = new_index(100);
	for (uint32_t i = 0; i < 50; i++)
		put(index, 1, i);
	for (uint32_t i = 0; i < 500; i++)
	{
		put(index, 2, i);
		(void) count_of(index, 1, 50);
	}
	CHECK(count_of(index, 1, 50) == 50, "ranges that are in use stay, whatever passes through beside them");
	free(index);

	index = new_index(100);
	for (uint32_t i = 0; i < 50; i++)
		put(index, 1, i);
	for (uint32_t i = 0; i < 500; i++)
	{
		put(index, 2, i);
		for (uint32_t j = 0; j < 50; j++)
		{
			DiskRange	looked_at = range(1, j);

			found += disk_index_has(index, &looked_at);
		}
	}
	CHECK(found > 50 && count_of(index, 1, 50) < 5, "to look whether they are there is no use of them");
	free(index);
}

static void
test_dropped(void)
{
	DiskIndex  *index = new_index(100);
	CacheRunId	objects[] = {fixture_run(7), fixture_run(1)};
	DiskRange	late = range(1, 90);
	DiskPlace	place;

	for (uint32_t i = 0; i < 50; i++)
		put(index, 1, i);
	for (uint32_t i = 0; i < 49; i++)
		put(index, 2, i);
	for (int i = 0; i < 5; i++)
		(void) count_of(index, 1, 50);
	CHECK(disk_index_claim(index, &late, &place) == CACHE_LOAD, "one is being filled while its object is dropped");
	disk_index_drop(index, objects, 2, false);
	CHECK(count_of(index, 1, 50) == 50, "what is dropped is found until it goes");
	disk_index_publish(index, &place, 190);
	for (uint32_t i = 0; i < 51; i++)
		put(index, 3, i);
	CHECK(count_of(index, 1, 91) == 0, "it goes first, however much it was used");
	CHECK(count_of(index, 2, 49) == 49 && count_of(index, 3, 51) == 51, "and nothing else does");

	objects[0] = fixture_run(2);
	objects[1] = fixture_run(9);
	disk_index_drop(index, objects, 2, true);
	CHECK(count_of(index, 2, 49) == 0, "what is gone is free at once");
	for (uint32_t i = 0; i < 49; i++)
		put(index, 4, i);
	CHECK(count_of(index, 3, 51) == 51 && count_of(index, 4, 49) == 49, "and its slots are used before others go");

	disk_index_clear(index);
	CHECK(count_of(index, 4, 49) + count_of(index, 3, 51) == 0, "cleared");
	free(index);
}

/* A slot that is on the list of the dropped, was freed, and is used again, is not dropped. */
static void
test_dropped_and_used(void)
{
	DiskIndex  *index = new_index(4);
	CacheRunId	object = fixture_run(1);

	put(index, 1, 0);
	put(index, 1, 1);
	disk_index_drop(index, &object, 1, false);
	disk_index_drop(index, &object, 1, true);
	for (uint32_t i = 0; i < 4; i++)
		put(index, 2, i);
	for (int i = 0; i < 3; i++)
		(void) count_of(index, 2, 3);
	put(index, 3, 0);
	CHECK(count_of(index, 2, 4) == 3 && !has(index, 2, 3),
		  "the one that was not used goes, whatever lay in its slot before");
	free(index);
}

static void
test_restore(void)
{
	DiskIndex  *index = aligned_alloc(64, (disk_index_bytes(5000) + 63) / 64 * 64);
	DiskIndex  *again = aligned_alloc(64, (disk_index_bytes(5000) + 63) / 64 * 64);
	uint32_t	restored = 0;
	uint32_t	slots[3000];
	DiskPlace	place;

	disk_index_init(index, 5000);
	disk_index_restored(index);
	for (uint32_t i = 0; i < 3000; i++)
	{
		DiskRange	wanted = range(i / 10, i % 10);

		if (disk_index_claim(index, &wanted, &place) == CACHE_LOAD)
			disk_index_publish(index, &place, 100 + i % 10);
		slots[i] = place.slot;
	}
	disk_index_init(again, 5000);
	for (uint32_t i = 0; i < 3000; i++)
	{
		DiskRange	wanted = range(i / 10, i % 10);

		restored += disk_index_restore(again, slots[i], &wanted, 100 + i % 10);
		restored += disk_index_restore(again, slots[i], &wanted, 100);
		restored += disk_index_restore(again, slots[i] + 16, &wanted, 100);
	}
	disk_index_restored(again);
	CHECK(restored == 3000, "each range goes back to its slot, once, and to no other");
	for (uint32_t i = 0; i < 300; i++)
		restored -= count_of(again, i, 10);
	CHECK(restored == 0, "and is found");
	CHECK(put(again, 1000, 0) == CACHE_LOAD && has(again, 1000, 0), "others are free");
	free(index);
	free(again);
}

int
main(void)
{
	test_claims();
	test_clock();
	test_dropped();
	test_dropped_and_used();
	test_restore();
	return unit_done();
}
