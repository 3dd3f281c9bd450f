/*
 * block_cache_table.c
 *		From a hash to the frame that has it.
 *
 * Entries never move, so that a search without the lock meets each that is
 * there all the while.
 */
#include "cache/block_cache_table.h"

uint32_t
block_table_find(const BlockCache *cache, const BlockKey *key, uint64_t hash)
{
	BlockSearch search = block_table_search(cache, hash);
	uint32_t	frame;

	do
		frame = block_table_next(cache, &search);
	while (frame != NO_FRAME && !block_frame_has(&cache->frame[frame], key));
	return frame;
}

void
block_table_insert(BlockCache *cache, uint64_t hash, uint32_t frame)
{
	uint32_t	at = block_home_bucket(cache, hash);

	for (;;)
	{
		BlockBucket *bucket = &cache->buckets[at];

		for (int i = 0; i < BUCKET_ENTRIES; i++)
			if ((uint32_t) atomic_load_explicit(&bucket->entries[i], memory_order_relaxed) == 0)
			{
				atomic_store_explicit(&bucket->entries[i],
									  (hash & ~(uint64_t) UINT32_MAX) | (frame + 1),
									  memory_order_relaxed);
				return;
			}
		block_count(&bucket->passed, 1);
		at = block_next_bucket(cache, at);
	}
}

void
block_table_remove(BlockCache *cache, uint64_t hash, uint32_t frame)
{
	BlockSearch search = block_table_search(cache, hash);
	uint32_t	at = search.bucket;

	while (block_table_next(cache, &search) != frame)
		;
	for (; at != search.bucket; at = block_next_bucket(cache, at))
		block_count(&cache->buckets[at].passed, -(uint64_t) 1);
	atomic_store_explicit(&cache->buckets[at].entries[search.entry], 0, memory_order_relaxed);
}
