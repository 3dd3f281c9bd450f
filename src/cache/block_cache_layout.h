/*
 * block_cache_layout.h
 *		What a block cache's region consists of: internal to block_cache*.c.
 *
 * Frames, and everything else, are divided among shards by the hash, so that
 * a shard can be changed under its own lock.  What a hit reads without it is
 * atomic; everything else is read and written under the shard's lock only.
 */
#ifndef BLOCK_CACHE_LAYOUT_H
#define BLOCK_CACHE_LAYOUT_H

#include "cache/block_cache.h"
#include "cache/cache_lock.h"

#define NO_FRAME BLOCK_CACHE_NONE

typedef enum BlockState
{
	BLOCK_FREE,					/* in the shard's list of free frames */
	BLOCK_CHAINED,				/* of a block, but not its first frame */
	BLOCK_LOADING,				/* first frame of a block that is claimed; in no queue */
	BLOCK_READY					/* first frame of a block to be read; in a queue */
} BlockState;

/* Accesses are counted up to this, so that a block much read is not much written to. */
#define BLOCK_USED_MAX 3

/*
 * A frame's line.  version is even while the frame is the first of a block
 * that may be read, and odd while it is anything else; it only grows.  It
 * speaks for all frames of the block.  run, block and raw_bytes change only
 * while it is odd, and so do the bytes in the frames.
 */
typedef struct BlockFrame
{
	_Alignas(64) _Atomic uint64_t version;
	_Atomic uint64_t run_hi;
	_Atomic uint64_t run_lo;
	_Atomic uint32_t block;
	_Atomic uint32_t raw_bytes;
	_Atomic uint32_t next;		/* of the chain, or of the list of free frames */
	_Atomic uint8_t used;		/* accesses of late; may lose some */

	/* under the shard's lock */
	uint8_t		state;
	uint8_t		queue;
	uint32_t	frames;			/* how many the block has */
	uint32_t	newer;
	uint32_t	older;
} BlockFrame;

_Static_assert(sizeof(BlockFrame) == 64, "one line per frame");

/*
 * Where blocks are found.  An entry is the upper half of the hash, and the
 * frame plus one; 0 is none.  An entry that finds its own bucket full lies in
 * one that follows, in the shard; passed counts those that went past.
 */
#define BUCKET_ENTRIES 7

typedef struct BlockBucket
{
	_Alignas(64) _Atomic uint64_t entries[BUCKET_ENTRIES];
	_Atomic uint64_t passed;
} BlockBucket;

_Static_assert(sizeof(BlockBucket) == 64, "one line per bucket");

/* Blocks in the order they came, oldest first to go. */
typedef struct BlockQueue
{
	uint32_t	newest;
	uint32_t	oldest;
	uint32_t	frames;			/* of all blocks in it */
} BlockQueue;

typedef enum BlockQueueId
{
	QUEUE_FRESH,				/* blocks whose accesses do not count yet */
	QUEUE_SMALL,				/* blocks on probation */
	QUEUE_MAIN,
	QUEUES
} BlockQueueId;

typedef struct BlockShard
{
	_Alignas(128) CacheLock lock;
	uint32_t	first_free;
	uint32_t	free_frames;
	uint32_t	ghost_clock;
	BlockQueue	queues[QUEUES];

	/* written under the lock, read by anyone */
	_Atomic uint32_t used_frames;
	_Atomic uint64_t evictions;
	_Atomic uint64_t ghost_hits;
} BlockShard;

struct BlockCache
{
	uint32_t	shards;
	uint32_t	shard_frames;
	uint32_t	bucket_mask;	/* of all buckets */
	uint32_t	shard_bucket_mask;	/* of those of one shard */
	uint32_t	shard_bucket_shift;
	uint32_t	ghost_mask;		/* of the sets of one shard */
	uint32_t	frames;
	size_t		max_block_bytes;
	CachePages *pages;			/* may be NULL */
	BlockShard *shard;
	BlockBucket *buckets;
	uint64_t   *ghosts;
	BlockFrame *frame;
	uint8_t    *data;
};

/* A counter that is written under the shard's lock only, and read without. */
static inline void
block_count(_Atomic uint64_t *counter, uint64_t change)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + change,
						  memory_order_relaxed);
}

/* The bucket where the search for a hash begins. */
static inline uint32_t
block_home_bucket(const BlockCache *cache, uint64_t hash)
{
	return (uint32_t) hash & cache->bucket_mask;
}

static inline uint32_t
block_next_bucket(const BlockCache *cache, uint32_t bucket)
{
	return (bucket & ~cache->shard_bucket_mask) | ((bucket + 1) & cache->shard_bucket_mask);
}

static inline BlockShard *
block_shard(const BlockCache *cache, uint64_t hash)
{
	return &cache->shard[block_home_bucket(cache, hash) >> cache->shard_bucket_shift];
}

static inline uint8_t *
block_frame_data(const BlockCache *cache, uint32_t frame)
{
	return cache->data + (size_t) frame * SST_FRAME_BYTES;
}

static inline BlockKey
block_frame_key(const BlockFrame *frame)
{
	return (BlockKey) {
		.run.hi = atomic_load_explicit(&frame->run_hi, memory_order_relaxed),
		.run.lo = atomic_load_explicit(&frame->run_lo, memory_order_relaxed),
		.block = atomic_load_explicit(&frame->block, memory_order_relaxed)
	};
}

static inline uint64_t
block_frame_hash(const BlockFrame *frame)
{
	return block_cache_hash(block_frame_key(frame));
}

static inline bool
block_frame_has(const BlockFrame *frame, const BlockKey *key)
{
	BlockKey	its = block_frame_key(frame);

	return cache_run_id_equal(its.run, key->run) && its.block == key->block;
}

#endif							/* BLOCK_CACHE_LAYOUT_H */
