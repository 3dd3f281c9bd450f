/*
 * block_cache.h
 *		Decompressed blocks in fixed frames of a memory region that many
 *		processes share.
 *
 * A hit takes no lock and no pin: look up, read, and then ask whether the
 * frame was left alone meanwhile; what was read before a "no" is worth nothing
 * and is thrown away, and reading it harmed nobody, because a frame is never
 * unmapped.  Misses take the lock of one shard for a moment, never during I/O.
 * One process loads a block, others wait for it.
 *
 * A block of more than a frame is chained over several, all of one shard; one
 * of more than 1/64 of the cache is not kept at all.
 *
 * A process that is killed may leave a lock or a load behind: under Postgres
 * shared memory is then made anew.  Nothing here longjmps, allocates or fails.
 * All processes must see the region at the same address.
 */
#ifndef BLOCK_CACHE_H
#define BLOCK_CACHE_H

#include <stdatomic.h>
#include <stddef.h>

#include "cache/cache_pages.h"
#include "cache/cache_wait.h"
#include "sst/sst_format.h"

typedef struct BlockCache BlockCache;

/* Too small to be divided into shards that hold anything. */
#define BLOCK_CACHE_MIN_BYTES ((size_t) 4 * 1024 * 1024)

/* Memory for a cache of so many bytes of frames: theirs and what manages them. */
extern size_t block_cache_region_bytes(size_t cache_bytes);

/* region: block_cache_region_bytes(cache_bytes) bytes, page-aligned, any content; pages: of the region, or NULL. */
extern BlockCache *block_cache_init(void *region, size_t cache_bytes, CachePages *pages);

typedef struct BlockKey
{
	CacheRunId	run;
	uint32_t	block;
} BlockKey;

/* Run ids are hashes already; one multiplication spreads the blocks. */
static inline uint64_t
block_cache_hash(BlockKey key)
{
	uint64_t	h = key.run.lo + (key.block + UINT64_C(1)) * UINT64_C(0x9E3779B97F4A7C15);

	h ^= h >> 32;
	h *= UINT64_C(0xD6E8FEB86659FD93);
	return h ^ (h >> 32);
}

#define BLOCK_CACHE_NONE UINT32_MAX

/* Whether blocks of so many bytes are kept at all. */
extern bool block_cache_keeps(const BlockCache *cache, uint32_t raw_bytes);

/*
 * A lookup in steps, so that the memory misses of many overlap.
 * block_cache_prefetch: the bucket.  block_cache_candidate: the frame that
 * has the hash, or BLOCK_CACHE_NONE.  block_cache_prefetch_frame: its
 * descriptor and `bytes` bytes at `offset` in it.  Then block_cache_begin.
 */
extern void block_cache_prefetch(const BlockCache *cache, uint64_t hash);
extern uint32_t block_cache_candidate(const BlockCache *cache, uint64_t hash);
extern void block_cache_prefetch_frame(const BlockCache *cache, uint32_t frame, uint32_t offset,
									   uint32_t bytes);

/* What is being read; its fields but data and raw_bytes are for block_cache.c only. */
typedef struct BlockView
{
	const uint8_t *data;		/* the first frame: all of a block that is not large */
	uint32_t	raw_bytes;
	uint32_t	frame;
	uint64_t	version;
} BlockView;

/*
 * Begins to read the block; false if it is not there.  hash is that of the
 * key.  candidate: what block_cache_candidate said, or BLOCK_CACHE_NONE, which
 * makes it look for itself.
 */
extern bool block_cache_begin(BlockCache *cache, const BlockKey *key, uint64_t hash,
							  uint32_t candidate, BlockView *view);

/*
 * Copies from any place of the block, large or not.  Garbage, but from inside
 * the region, if the block is being replaced; zeros if offset and len reach
 * beyond raw_bytes, as they may when they were read from garbage.
 */
extern void block_cache_copy(const BlockCache *cache, const BlockView *view, size_t offset,
							 size_t len, void *dst);

/*
 * Whether the block was there, unchanged, all the time since begin.  If so it
 * counts as an access.
 */
extern bool block_cache_end(BlockCache *cache, const BlockView *view);

/* A load in progress: for block_cache.c, but for the frames. */
typedef struct BlockFill
{
	uint32_t	channel;		/* of the wait, if another process loads */
	uint32_t	frame;			/* first of the chain */
	uint32_t	raw_bytes;
	uint64_t	hash;
} BlockFill;

/*
 * Claims the loading of a block that is not there.  After CACHE_LOAD the
 * caller writes the block with block_cache_fill, in any pieces, and then
 * publishes it, or abandons it if loading failed; nobody else sees it before.
 */
extern CacheClaim block_cache_claim(BlockCache *cache, const BlockKey *key, uint64_t hash,
									uint32_t raw_bytes, BlockFill *fill);

extern void block_cache_fill(BlockCache *cache, const BlockFill *fill, size_t offset,
							 const void *data, size_t len);
extern void block_cache_publish(BlockCache *cache, const BlockFill *fill, const CacheWaiter *waiter);
extern void block_cache_abandon(BlockCache *cache, const BlockFill *fill, const CacheWaiter *waiter);

/*
 * Drops all blocks of a run that is gone.  Those that are being loaded stay,
 * and go the way of blocks that nobody reads.  Looks at every frame's line.
 */
extern void block_cache_drop_run(BlockCache *cache, CacheRunId run);

/* For people: each block that is there, in no order; changes meanwhile may be missed. */
typedef struct BlockCacheItem
{
	BlockKey	key;
	uint32_t	raw_bytes;
	uint32_t	frames;
} BlockCacheItem;

extern void block_cache_walk(const BlockCache *cache,
							 void (*visit) (void *state, const BlockCacheItem *item), void *state);

typedef struct BlockCacheStats
{
	uint64_t	frames;
	uint64_t	frames_used;
	uint64_t	evictions;		/* of blocks */
	uint64_t	ghost_hits;		/* blocks that came back soon after they went */
} BlockCacheStats;

extern void block_cache_stats(const BlockCache *cache, BlockCacheStats *stats);

#endif							/* BLOCK_CACHE_H */
