/*
 * block_cache_table.h
 *		From a hash to the frame that has it: internal to block_cache*.c.
 *
 * Searching takes no lock.  It may then miss what is inserted or removed
 * meanwhile, but never meets anything but frames: their keys tell.
 */
#ifndef BLOCK_CACHE_TABLE_H
#define BLOCK_CACHE_TABLE_H

#include "cache/block_cache_layout.h"

/* A search over the frames with the hash's upper half. */
typedef struct BlockSearch
{
	uint32_t	tag;
	uint32_t	bucket;
	uint32_t	buckets_left;
	int			entry;			/* of the last frame found, or -1 */
} BlockSearch;

static inline BlockSearch
block_table_search(const BlockCache *cache, uint64_t hash)
{
	return (BlockSearch) {
		.tag = (uint32_t) (hash >> 32),
		.bucket = block_home_bucket(cache, hash),
		.buckets_left = cache->shard_bucket_mask,
		.entry = -1
	};
}

/* The next frame, or NO_FRAME at the end. */
static inline uint32_t
block_table_next(const BlockCache *cache, BlockSearch *search)
{
	for (;;)
	{
		const BlockBucket *bucket = &cache->buckets[search->bucket];

		while (++search->entry < BUCKET_ENTRIES)
		{
			uint64_t	entry = atomic_load_explicit(&bucket->entries[search->entry],
													 memory_order_relaxed);

			if (entry >> 32 == search->tag && (uint32_t) entry != 0)
				return (uint32_t) entry - 1;
		}
		if (search->buckets_left == 0 ||
			atomic_load_explicit(&bucket->passed, memory_order_relaxed) == 0)
			return NO_FRAME;
		search->buckets_left--;
		search->bucket = block_next_bucket(cache, search->bucket);
		search->entry = -1;
	}
}

/* The first frame of the block, ready or loading: with the lock, always if there is one. */
extern uint32_t block_table_find(const BlockCache *cache, const BlockKey *key, uint64_t hash);

/* Under the shard's lock.  A block is inserted once, and there is always room. */
extern void block_table_insert(BlockCache *cache, uint64_t hash, uint32_t frame);
extern void block_table_remove(BlockCache *cache, uint64_t hash, uint32_t frame);

#endif							/* BLOCK_CACHE_TABLE_H */
