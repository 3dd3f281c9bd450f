/*
 * disk_tier.h
 *		A cache of ranges of remote objects on local disk, shared by all
 *		processes of a server.
 *
 * An object is cut into ranges of DISK_RANGE_BYTES; the last is shorter.  What
 * the tier answers is right or not an answer: every page is verified when it is
 * read, whatever happened to the files.  Objects never change and names are never
 * reused, so nothing is invalidated.
 *
 * The process that starts the server makes the tier; those it forks use their
 * copy of the DiskTier.  The index lies in shared memory and is made anew from
 * the files at each start, so a process that is killed leaves nothing locked,
 * and at most a slot that the next start makes free (Postgres ends all processes
 * when one is killed, and makes shared memory anew).
 *
 * One thread at a time uses a DiskTier.  malloc only; nothing longjmps.  The only
 * errors are those of writing: the first turns writing off until the next start,
 * and is kept for whoever asks first (disk_tier_warning).
 */
#ifndef DISK_TIER_H
#define DISK_TIER_H

#include "cache/disk_files.h"

typedef enum DiskTierState
{
	DISK_TIER_OFF,				/* no directory, or it cannot be used */
	DISK_TIER_READ_ONLY,		/* what is there is used; nothing is added */
	DISK_TIER_ON
} DiskTierState;

typedef struct DiskTierShared DiskTierShared;

typedef struct DiskTier
{
	DiskTierShared *shared;
	DiskIndex  *index;
	DiskFiles	files;
	uint8_t    *pages;			/* a slot's, of this process; NULL: not needed yet */

	/* What this process has had of it, ever. */
	uint64_t	bytes_answered;
	uint64_t	reads_answered;		/* ranges of objects that it had at once, as callers of the store asked for them */
} DiskTier;

typedef struct DiskFill
{
	DiskRange	range;
	DiskPlace	place;
} DiskFill;

typedef struct DiskTierStats
{
	DiskTierState state;
	DiskIndexCounts index;
	uint64_t	hits;			/* ranges looked for and found */
	uint64_t	misses;			/* and not found, or damaged */
	uint64_t	fills;			/* ranges written after a miss */
	uint64_t	written_through;	/* ranges written before anybody asked for them */
	uint64_t	damaged;		/* ranges found that were not what had been written */
	uint64_t	write_errors;
} DiskTierStats;

/* Shared memory for a tier of that budget. */
extern size_t disk_tier_region_bytes(uint64_t budget_bytes);

/*
 * Starts the tier in a directory, of which the last part is made if it is not
 * there.  region is zeroed by the tier, 64-byte aligned.  Never fails: the tier is off
 * or read-only then, and disk_tier_warning says why.
 */
extern void disk_tier_start(DiskTier *tier, void *region, uint64_t budget_bytes, const char *directory);
/* Closes this process's descriptors. */
extern void disk_tier_stop(DiskTier *tier);

extern DiskTierState disk_tier_state(const DiskTier *tier);

/* True for one caller after each thing that turned the tier off, or writing; *err says what. */
extern bool disk_tier_warning(DiskTier *tier, SvError *err);

/* Whether a range is said to be there; nothing is read, and it is no use of it. */
extern bool disk_tier_has(DiskTier *tier, const DiskRange *range);

/* Copies len bytes from `at` bytes behind the beginning of a range; false if they are not there. */
extern bool disk_tier_read(DiskTier *tier, const DiskRange *range, size_t at, size_t len, void *dst);

/*
 * Who has missed a range and would fetch it asks whether somebody does already:
 * CACHE_LOAD: fetch it, and then disk_tier_fill or disk_tier_abandon, without
 * waiting for another's load before.  CACHE_LOADING: another process does; it
 * ends that before it waits for anything but its store.  CACHE_NO_ROOM: the
 * tier takes nothing.
 */
extern CacheClaim disk_tier_claim(DiskTier *tier, const DiskRange *range, DiskFill *fill);
extern void disk_tier_fill(DiskTier *tier, const DiskFill *fill, SvSlice bytes);
extern void disk_tier_abandon(DiskTier *tier, const DiskFill *fill);

/* Writes a range that nobody has missed, unless it is there. */
extern void disk_tier_write_through(DiskTier *tier, const DiskRange *range, SvSlice bytes);

/*
 * Objects that no reader with a new snapshot needs: they are the first to go.  gone: nobody needs
 * them; their slots are free at once.  Sorts objects.
 */
extern void disk_tier_drop(DiskTier *tier, CacheRunId *objects, int n, bool gone);

/* Forgets everything. */
extern void disk_tier_clear(DiskTier *tier);

extern void disk_tier_stats(DiskTier *tier, DiskTierStats *stats);

#endif							/* DISK_TIER_H */
