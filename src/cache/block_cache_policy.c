/*
 * block_cache_policy.c
 *		Which block has to go: S3-FIFO.
 */
#include "cache/block_cache_policy.h"

/* Shares of the frames: of the fresh queue, and of it and the small one together. */
#define FRESH_DIVISOR 40
#define SMALL_DIVISOR 10

/*
 * How many blocks are moved at once, at most.  Where all are read so much that
 * an eviction gets that far, any of them will do.
 */
#define MAX_ROUNDS 256

/*
 * Ghosts: sets of four, each entry the upper half of a hash, and when it was
 * put there on a clock that ticks with each ghost.  Those that as many have
 * followed as fill three quarters of the cache are forgotten, without anyone
 * doing anything.
 */
#define GHOST_WAYS 4

static uint32_t
ghost_capacity(const BlockCache *cache)
{
	return cache->shard_frames / 4 * 3;
}

size_t
block_ghosts_bytes(const BlockCache *cache)
{
	return (size_t) cache->shards * (cache->ghost_mask + (size_t) 1) * GHOST_WAYS * sizeof(uint64_t);
}

static uint64_t *
ghost_set(const BlockCache *cache, const BlockShard *shard, uint64_t hash)
{
	size_t		sets = (size_t) (shard - cache->shard) * (cache->ghost_mask + (size_t) 1);

	return &cache->ghosts[(sets + ((hash * UINT64_C(0x9E3779B97F4A7C15)) >> 32 & cache->ghost_mask)) * GHOST_WAYS];
}

static uint32_t
ghost_age(const BlockShard *shard, uint64_t ghost)
{
	return shard->ghost_clock - (uint32_t) ghost;
}

static void
ghost_add(const BlockCache *cache, BlockShard *shard, uint64_t hash)
{
	uint64_t   *set = ghost_set(cache, shard, hash);
	uint64_t   *oldest = set;

	for (int i = 1; i < GHOST_WAYS; i++)
		if (ghost_age(shard, set[i]) > ghost_age(shard, *oldest))
			oldest = &set[i];
	*oldest = (hash & ~(uint64_t) UINT32_MAX) | shard->ghost_clock++;
}

/* Whether there is such a ghost; it has then done its service. */
static bool
ghost_take(const BlockCache *cache, BlockShard *shard, uint64_t hash)
{
	uint64_t   *set = ghost_set(cache, shard, hash);

	for (int i = 0; i < GHOST_WAYS; i++)
		if (set[i] >> 32 == hash >> 32 && ghost_age(shard, set[i]) <= ghost_capacity(cache))
		{
			set[i] = shard->ghost_clock - ghost_capacity(cache) - 1;
			return true;
		}
	return false;
}

void
block_policy_init(const BlockCache *cache, BlockShard *shard)
{
	for (int i = 0; i < QUEUES; i++)
		shard->queues[i] = (BlockQueue) {.newest = NO_FRAME,.oldest = NO_FRAME};
	/* What is zero is too old to be a ghost. */
	shard->ghost_clock = cache->shard_frames + 1;
}

static void
queue_add(BlockCache *cache, BlockShard *shard, BlockQueueId id, uint32_t index)
{
	BlockQueue *queue = &shard->queues[id];
	BlockFrame *frame = &cache->frame[index];

	frame->queue = (uint8_t) id;
	frame->newer = NO_FRAME;
	frame->older = queue->newest;
	if (queue->newest != NO_FRAME)
		cache->frame[queue->newest].newer = index;
	else
		queue->oldest = index;
	queue->newest = index;
	queue->frames += frame->frames;
}

void
block_policy_remove(BlockCache *cache, BlockShard *shard, uint32_t index)
{
	BlockFrame *frame = &cache->frame[index];
	BlockQueue *queue = &shard->queues[frame->queue];

	if (frame->newer != NO_FRAME)
		cache->frame[frame->newer].older = frame->older;
	else
		queue->newest = frame->older;
	if (frame->older != NO_FRAME)
		cache->frame[frame->older].newer = frame->newer;
	else
		queue->oldest = frame->newer;
	queue->frames -= frame->frames;
}

/* Sends a block on to another queue, its accesses forgotten. */
static void
move_block(BlockCache *cache, BlockShard *shard, BlockQueueId to, uint32_t index)
{
	block_policy_remove(cache, shard, index);
	atomic_store_explicit(&cache->frame[index].used, 0, memory_order_relaxed);
	queue_add(cache, shard, to, index);
}

void
block_policy_insert(BlockCache *cache, BlockShard *shard, uint32_t index)
{
	const BlockQueue *fresh = &shard->queues[QUEUE_FRESH];

	if (ghost_take(cache, shard, block_frame_hash(&cache->frame[index])))
	{
		queue_add(cache, shard, QUEUE_MAIN, index);
		block_count(&shard->ghost_hits, 1);
		return;
	}
	queue_add(cache, shard, QUEUE_FRESH, index);
	for (int round = 0;
		 round < MAX_ROUNDS && fresh->frames > cache->shard_frames / FRESH_DIVISOR; round++)
		move_block(cache, shard, QUEUE_SMALL, fresh->oldest);
}

/*
 * Takes from the small queue, in which blocks that were read give way to the
 * next by moving on.  NO_FRAME when the queue has shrunk to its share, or has
 * taken too long to.
 */
static uint32_t
small_victim(BlockCache *cache, BlockShard *shard)
{
	const BlockQueue *small = &shard->queues[QUEUE_SMALL];
	const BlockQueue *fresh = &shard->queues[QUEUE_FRESH];

	for (int round = 0; round < MAX_ROUNDS && small->oldest != NO_FRAME; round++)
	{
		uint32_t	index = small->oldest;
		BlockFrame *frame = &cache->frame[index];

		if (small->frames + fresh->frames <= cache->shard_frames / SMALL_DIVISOR)
			break;
		if (atomic_load_explicit(&frame->used, memory_order_relaxed) == 0)
		{
			block_policy_remove(cache, shard, index);
			ghost_add(cache, shard, block_frame_hash(frame));
			return index;
		}
		move_block(cache, shard, QUEUE_MAIN, index);
	}
	return NO_FRAME;
}

static uint32_t
main_victim(BlockCache *cache, BlockShard *shard)
{
	const BlockQueue *main = &shard->queues[QUEUE_MAIN];

	for (int round = 0; main->oldest != NO_FRAME; round++)
	{
		uint32_t	index = main->oldest;
		BlockFrame *frame = &cache->frame[index];
		uint8_t		used = atomic_load_explicit(&frame->used, memory_order_relaxed);

		block_policy_remove(cache, shard, index);
		if (used == 0 || round == MAX_ROUNDS)
			return index;
		atomic_store_explicit(&frame->used, used - 1, memory_order_relaxed);
		queue_add(cache, shard, QUEUE_MAIN, index);
	}
	return NO_FRAME;
}

uint32_t
block_policy_victim(BlockCache *cache, BlockShard *shard)
{
	uint32_t	index = small_victim(cache, shard);

	if (index == NO_FRAME)
		index = main_victim(cache, shard);
	/* Nearly all there is is being loaded: so whatever is not. */
	for (int i = 0; i < QUEUES && index == NO_FRAME; i++)
	{
		index = shard->queues[i].oldest;
		if (index != NO_FRAME)
			block_policy_remove(cache, shard, index);
	}
	return index;
}
