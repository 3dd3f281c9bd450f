/*
 * block_cache_layout.c
 *		Where things are in a block cache's region, and how they begin.
 */
#include "cache/block_cache_layout.h"

#include "cache/block_cache_policy.h"

/*
 * A block has at most 1/64 of the frames, so that with 16 shards it has at
 * most a quarter of its shard; that many locks are enough where each is held
 * for a microsecond around I/O of many.
 */
#define MAX_SHARDS 16
#define MIN_SHARD_FRAMES 256
#define MAX_BLOCK_SHARE 64

typedef struct RegionLayout
{
	BlockCache	cache;			/* its sizes are set */
	size_t		shard_at;
	size_t		buckets_at;
	size_t		ghosts_at;
	size_t		frame_at;
	size_t		data_at;
	size_t		bytes;
} RegionLayout;

static uint32_t
power_of_two_from(uint32_t n)
{
	uint32_t	power = 1;

	while (power < n)
		power *= 2;
	return power;
}

static size_t
align_to(size_t n, size_t alignment)
{
	return (n + alignment - 1) & ~(alignment - 1);
}

static void
set_sizes(BlockCache *cache, size_t cache_bytes)
{
	size_t		frames = cache_bytes / SST_FRAME_BYTES;
	uint32_t	shard_buckets;

	cache->shards = 1;
	while (cache->shards < MAX_SHARDS && frames / (cache->shards * 2) >= MIN_SHARD_FRAMES)
		cache->shards *= 2;
	cache->shard_frames = (uint32_t) (frames / cache->shards);
	cache->frames = cache->shards * cache->shard_frames;
	cache->max_block_bytes = (size_t) (cache->frames / MAX_BLOCK_SHARE) * SST_FRAME_BYTES;

	/* One and a half to three entries a bucket: next to none is ever full. */
	shard_buckets = power_of_two_from((cache->shard_frames + 2) / 3);
	cache->shard_bucket_mask = shard_buckets - 1;
	cache->shard_bucket_shift = (uint32_t) __builtin_ctz(shard_buckets);
	cache->bucket_mask = cache->shards * shard_buckets - 1;
	cache->ghost_mask = power_of_two_from((cache->shard_frames + 1) / 2) - 1;
}

static RegionLayout
region_layout(size_t cache_bytes)
{
	RegionLayout layout = {.bytes = 0};
	const BlockCache *cache = &layout.cache;

	set_sizes(&layout.cache, cache_bytes);
	layout.shard_at = align_to(sizeof(BlockCache), 128);
	layout.buckets_at = layout.shard_at + cache->shards * sizeof(BlockShard);
	layout.ghosts_at = layout.buckets_at + (cache->bucket_mask + (size_t) 1) * sizeof(BlockBucket);
	layout.frame_at = layout.ghosts_at + block_ghosts_bytes(cache);
	layout.data_at = align_to(layout.frame_at + cache->frames * sizeof(BlockFrame), SST_FRAME_BYTES);
	layout.bytes = layout.data_at + (size_t) cache->frames * SST_FRAME_BYTES;
	return layout;
}

size_t
block_cache_region_bytes(size_t cache_bytes)
{
	return region_layout(cache_bytes).bytes;
}

static void
init_frame(BlockCache *cache, uint32_t index, uint32_t next)
{
	BlockFrame *frame = &cache->frame[index];

	memset(frame, 0, sizeof(*frame));
	atomic_init(&frame->version, 1);
	atomic_init(&frame->next, next);
	frame->state = BLOCK_FREE;
}

static void
init_shard(BlockCache *cache, uint32_t index)
{
	BlockShard *shard = &cache->shard[index];
	uint32_t	first = index * cache->shard_frames;

	memset(shard, 0, sizeof(*shard));
	shard->first_free = first;
	shard->free_frames = cache->shard_frames;
	for (uint32_t i = 0; i < cache->shard_frames; i++)
		init_frame(cache, first + i, i + 1 < cache->shard_frames ? first + i + 1 : NO_FRAME);
	block_policy_init(cache, shard);
}

BlockCache *
block_cache_init(void *region, size_t cache_bytes, CachePages *pages)
{
	RegionLayout layout = region_layout(cache_bytes);
	uint8_t    *base = region;
	BlockCache *cache = region;

	cache_pages_ask(pages, region, layout.data_at);
	*cache = layout.cache;
	cache->pages = pages;
	cache->shard = (BlockShard *) (base + layout.shard_at);
	cache->buckets = (BlockBucket *) (base + layout.buckets_at);
	cache->ghosts = (uint64_t *) (base + layout.ghosts_at);
	cache->frame = (BlockFrame *) (base + layout.frame_at);
	cache->data = base + layout.data_at;
	memset(base + layout.shard_at, 0, layout.frame_at - layout.shard_at);
	for (uint32_t i = 0; i < cache->shards; i++)
		init_shard(cache, i);
	return cache;
}
