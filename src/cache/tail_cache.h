/*
 * tail_cache.h
 *		Tails of runs, whole and parsed, in a memory region that many processes
 *		share.
 *
 * Tails have a budget of their own, so that data never evicts filters and
 * models.  A tail is contiguous, aligned to a cache line, and stays where it is until it is
 * evicted: not while somebody has it pinned, and its memory is not used again
 * before everybody who may have found it has left the guard.
 *
 * Lookups take no lock.  Loading takes one lock for a moment, never during
 * I/O; one process loads a tail, others wait for it.  A process that is killed
 * may leave a lock, a pin or a load behind: under Postgres shared memory is
 * then made anew.  Nothing here longjmps, allocates or fails.  All processes
 * must see the region at the same address.
 */
#ifndef TAIL_CACHE_H
#define TAIL_CACHE_H

#include "cache/cache_guard.h"
#include "cache/cache_pages.h"
#include "cache/cache_wait.h"
#include "sst/sst_tail.h"

typedef struct TailCache TailCache;

#define TAIL_CACHE_MIN_BYTES ((size_t) 1024 * 1024)

extern size_t tail_cache_region_bytes(size_t cache_bytes);

/* region: page-aligned, any content.  The guard is that of its readers; pages: of the region, or NULL. */
extern TailCache *tail_cache_init(void *region, size_t cache_bytes, CacheGuard *guard, CachePages *pages);

/*
 * Inside the guard: the tail, good until the guard is left, or NULL.  Counts
 * as an access.
 */
extern const SstTail *tail_cache_find(TailCache *cache, CacheRunId run);

/*
 * The same without the guard: good until tail_cache_unpin.  Any number of
 * pins; not for hot paths.
 */
extern const SstTail *tail_cache_pin(TailCache *cache, uint32_t guard_slot, CacheRunId run);
extern void tail_cache_unpin(TailCache *cache, const SstTail *tail);

typedef struct TailFill
{
	uint32_t	channel;		/* of the wait, if another process loads */
	uint32_t	entry;			/* for tail_cache.c */
	uint8_t    *bytes;			/* where the caller puts the tail's bytes */
} TailFill;

/*
 * Outside the guard.  CACHE_NO_ROOM: larger than the cache, or all that would
 * have to go is pinned or still looked at.
 */
extern CacheClaim tail_cache_claim(TailCache *cache, CacheRunId run, size_t bytes, TailFill *fill);

/* tail was parsed from fill->bytes.  Answers the tail in the cache, pinned for the caller. */
extern const SstTail *tail_cache_publish(TailCache *cache, const TailFill *fill, const SstTail *tail,
										 const CacheWaiter *waiter);
extern void tail_cache_abandon(TailCache *cache, const TailFill *fill, const CacheWaiter *waiter);

/*
 * Forgets the tail of a run that is gone: nobody finds it any more, and its
 * memory is used again once nobody has it pinned.  One that is being loaded
 * stays.
 */
extern void tail_cache_drop_run(TailCache *cache, CacheRunId run);

typedef struct TailCacheItem
{
	CacheRunId	run;
	size_t		bytes;
	uint32_t	pins;
} TailCacheItem;

extern void tail_cache_walk(const TailCache *cache,
							void (*visit) (void *state, const TailCacheItem *item), void *state);

typedef struct TailCacheStats
{
	uint64_t	bytes;
	uint64_t	bytes_used;
	uint64_t	evictions;
} TailCacheStats;

extern void tail_cache_stats(const TailCache *cache, TailCacheStats *stats);

#endif							/* TAIL_CACHE_H */
