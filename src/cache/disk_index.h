/*
 * disk_index.h
 *		Which range of which object lies in which slot of the disk tier: a table
 *		in memory that all processes share, and who has to go from it.
 *
 * Pure bookkeeping, no I/O.  Slots are dealt out to shards by their number,
 * ranges by their hash; a shard has a lock (cache_lock.h), held for some dozens
 * of instructions.  A slot changes hands only by way of disk_index_claim: it is
 * taken away from its old range there, and nobody finds it until publish.  Its
 * version grows with each change, so that who has read it without a lock knows
 * whether it still was the same.
 *
 * Who goes: slots of dropped objects, oldest first; then by a clock that lets
 * those stay that were read since it came by, up to three times over.
 */
#ifndef DISK_INDEX_H
#define DISK_INDEX_H

#include <stddef.h>

#include "cache/cache_lock.h"
#include "cache/cache_wait.h"

#define DISK_INDEX_NONE UINT32_MAX

typedef struct DiskRange
{
	CacheRunId	object;
	uint32_t	number;			/* the how manieth range of it */
} DiskRange;

/* A slot as disk_index_find and disk_index_claim give it out. */
typedef struct DiskPlace
{
	uint32_t	slot;
	uint32_t	version;
	uint32_t	bytes;			/* of the range that are there; 0 for a claimed one */
} DiskPlace;

typedef struct DiskIndex DiskIndex;

typedef struct DiskIndexCounts
{
	uint64_t	slots;
	uint64_t	ranges;			/* that can be found */
	uint64_t	bytes;			/* of objects, in them */
	uint64_t	evictions;
} DiskIndexCounts;

/* Bytes of memory for so many slots. */
extern size_t disk_index_bytes(uint32_t slots);
/* Makes an empty index; memory is 64-byte aligned and of disk_index_bytes. */
extern DiskIndex *disk_index_init(void *memory, uint32_t slots);

/* Puts a range into a free slot, at start; false if it does not belong there or is somewhere else already. */
extern bool disk_index_restore(DiskIndex *index, uint32_t slot, const DiskRange *range, uint32_t bytes);
/* Makes the slots that nobody restored free, the lowest first to be used. */
extern void disk_index_restored(DiskIndex *index);

/* Finds a range, and counts that as a use of it. */
extern bool disk_index_find(DiskIndex *index, const DiskRange *range, DiskPlace *place);
/* Whether it would; that is no use. */
extern bool disk_index_has(DiskIndex *index, const DiskRange *range);

/*
 * For who has missed a range and would fetch it.  CACHE_LOAD: *place is the
 * caller's alone until it publishes or abandons.  CACHE_NO_ROOM: all slots are
 * being filled.
 */
extern CacheClaim disk_index_claim(DiskIndex *index, const DiskRange *range, DiskPlace *place);
extern void disk_index_publish(DiskIndex *index, const DiskPlace *place, uint32_t bytes);
extern void disk_index_abandon(DiskIndex *index, const DiskPlace *place);

/* Forgets what was found at a place; false if it is no longer there anyway. */
extern bool disk_index_forget(DiskIndex *index, const DiskPlace *place);

/*
 * Objects that are no longer needed: gone, their slots are free at once; else
 * they are the first to go, and found until then.  Looks at every slot; sorts
 * the objects.
 */
extern void disk_index_drop(DiskIndex *index, CacheRunId *objects, int n, bool gone);

/* Makes all slots free that are not being filled. */
extern void disk_index_clear(DiskIndex *index);

extern void disk_index_count(DiskIndex *index, DiskIndexCounts *counts);

#endif							/* DISK_INDEX_H */
