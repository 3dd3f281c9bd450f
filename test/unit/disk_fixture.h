/*
 * disk_fixture.h
 *		What the tests of the disk tier have in common: tiers in directories of
 *		their own, ranges whose content tells which they are.
 */
#ifndef DISK_FIXTURE_H
#define DISK_FIXTURE_H

#include <fcntl.h>
#include <sys/stat.h>

#include "cache/disk_tier.h"
#include "cache_fixture.h"
#include "store_scratch.h"

/* A tier with so many slots, over memory that processes forked later share. */
typedef struct TierFixture
{
	DiskTier	tier;
	void	   *region;
	uint64_t	budget;
	char		directory[512];
} TierFixture;

static inline void
tier_start(TierFixture *fixture, const char *directory, uint32_t slots)
{
	snprintf(fixture->directory, sizeof(fixture->directory), "%s", directory);
	fixture->budget = (uint64_t) slots * DISK_SLOT_BYTES;
	fixture->region = fixture_shared(disk_tier_region_bytes(fixture->budget));
	disk_tier_start(&fixture->tier, fixture->region, fixture->budget, directory);
}

static inline void
tier_stop(TierFixture *fixture)
{
	disk_tier_stop(&fixture->tier);
	munmap(fixture->region, disk_tier_region_bytes(fixture->budget));
}

/* As a server that is stopped, or dies, and comes back. */
static inline void
tier_restart(TierFixture *fixture, uint32_t slots)
{
	char		directory[512];

	snprintf(directory, sizeof(directory), "%s", fixture->directory);
	tier_stop(fixture);
	tier_start(fixture, directory, slots);
}

static inline DiskRange
tier_range(uint64_t object, uint32_t number)
{
	return (DiskRange) {.object = fixture_run(object),.number = number};
}

/* Ranges are whole, but for every fifth, which ends an object. */
static inline size_t
tier_range_bytes(const DiskRange *range)
{
	return range->number % 5 == 4 ? DISK_RANGE_BYTES / 3 + (size_t) (range->object.lo % 1000) : DISK_RANGE_BYTES;
}

static inline SvSlice
tier_content(const DiskRange *range)
{
	static uint8_t bytes[DISK_RANGE_BYTES];

	fixture_content(range->object, range->number, 0, tier_range_bytes(range), bytes);
	return sv_slice(bytes, tier_range_bytes(range));
}

static inline void
tier_put(DiskTier *tier, uint64_t object, uint32_t number)
{
	DiskRange	range = tier_range(object, number);

	disk_tier_write_through(tier, &range, tier_content(&range));
}

/* 1: there and right, 0: not there, -1: wrong. */
static inline int
tier_look(DiskTier *tier, const DiskRange *range, size_t at, size_t len)
{
	static uint8_t found[DISK_RANGE_BYTES];
	static uint8_t expected[DISK_RANGE_BYTES];

	if (!disk_tier_read(tier, range, at, len, found))
		return 0;
	fixture_content(range->object, range->number, at, len, expected);
	return memcmp(found, expected, len) == 0 ? 1 : -1;
}

static inline int
tier_has(DiskTier *tier, uint64_t object, uint32_t number)
{
	DiskRange	range = tier_range(object, number);

	return tier_look(tier, &range, 0, tier_range_bytes(&range));
}

static inline DiskTierStats
tier_stats(DiskTier *tier)
{
	DiskTierStats stats;

	disk_tier_stats(tier, &stats);
	return stats;
}

#endif							/* DISK_FIXTURE_H */
