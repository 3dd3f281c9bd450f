/*
 * block_cache.c
 *		Reading, loading and dropping blocks.
 *
 * Why a hit is right without a lock.  Whoever takes a block away makes its
 * first frame's version odd, then a release fence, then changes key and bytes
 * of any of its frames; the new version is stored, with release, when all
 * bytes of the next block are there.  A reader loads the version (acquire),
 * reads, then an acquire fence, then loads the version again.  If it has read
 * anything of what came after the fence of the one who changes, the two fences
 * synchronize, and it sees a version that is not its own.  Frames of a chain
 * go by way of the lock to whoever writes them next, who has a release fence
 * behind it: so the version of the first frame is seen for them, too.
 *
 * The bytes in the frames are read while others may write them, which C11
 * calls a race and leaves undefined; as every seqlock, this one relies on the
 * compiler to copy bytes and to throw away nothing.  What was read so is used
 * only after block_cache_end said yes, or to look for other bytes within the
 * block's bounds.
 */
#include "cache/block_cache.h"

#include "base/sv_prefetch.h"
#include "cache/block_cache_layout.h"
#include "cache/block_cache_policy.h"
#include "cache/block_cache_table.h"

#define LINE_BYTES 64

bool
block_cache_keeps(const BlockCache *cache, uint32_t raw_bytes)
{
	return raw_bytes <= cache->max_block_bytes;
}

void
block_cache_prefetch(const BlockCache *cache, uint64_t hash)
{
	sv_prefetch(&cache->buckets[block_home_bucket(cache, hash)]);
}

uint32_t
block_cache_candidate(const BlockCache *cache, uint64_t hash)
{
	BlockSearch search = block_table_search(cache, hash);

	return block_table_next(cache, &search);
}

void
block_cache_prefetch_frame(const BlockCache *cache, uint32_t frame, uint32_t offset, uint32_t bytes)
{
	const uint8_t *at;
	const uint8_t *end;

	if (frame == BLOCK_CACHE_NONE)
		return;
	sv_prefetch(&cache->frame[frame]);
	if (offset >= SST_FRAME_BYTES)
		return;
	if (bytes > SST_FRAME_BYTES - offset)
		bytes = SST_FRAME_BYTES - offset;
	at = block_frame_data(cache, frame) + offset;
	end = at + bytes;
	for (at -= (uintptr_t) at % LINE_BYTES; at < end; at += LINE_BYTES)
		sv_prefetch(at);
}

static bool
frame_left_alone(const BlockFrame *frame, uint64_t version)
{
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&frame->version, memory_order_relaxed) == version;
}

/* Fills in *view if the frame is the first of the block and may be read. */
static bool
view_frame(const BlockCache *cache, uint32_t index, const BlockKey *key, BlockView *view)
{
	const BlockFrame *frame = &cache->frame[index];

	view->version = atomic_load_explicit(&frame->version, memory_order_acquire);
	if (view->version % 2 != 0 || !block_frame_has(frame, key))
		return false;
	view->raw_bytes = atomic_load_explicit(&frame->raw_bytes, memory_order_relaxed);
	view->frame = index;
	view->data = block_frame_data(cache, index);
	/* So that key and raw_bytes belong together, whatever the caller makes of them. */
	return frame_left_alone(frame, view->version);
}

bool
block_cache_begin(BlockCache *cache, const BlockKey *key, uint64_t hash, uint32_t candidate,
				  BlockView *view)
{
	BlockSearch search;

	if (candidate != BLOCK_CACHE_NONE && view_frame(cache, candidate, key, view))
		return true;
	search = block_table_search(cache, hash);
	while ((candidate = block_table_next(cache, &search)) != NO_FRAME)
		if (view_frame(cache, candidate, key, view))
			return true;
	return false;
}

/* The frame that has the byte at offset; NO_FRAME if the chain ends before. */
static uint32_t
chain_frame(const BlockCache *cache, uint32_t frame, size_t offset)
{
	for (size_t hops = offset / SST_FRAME_BYTES; hops > 0 && frame != NO_FRAME; hops--)
		frame = atomic_load_explicit(&cache->frame[frame].next, memory_order_relaxed);
	return frame;
}

/*
 * Copies from a chain.  It may be taken apart meanwhile, and then leads
 * anywhere, but only to frames, and over as many as there are bytes to copy.
 */
static void
copy_from_chain(const BlockCache *cache, uint32_t frame, size_t offset, size_t len, uint8_t *dst)
{
	frame = chain_frame(cache, frame, offset);
	offset %= SST_FRAME_BYTES;
	while (len > 0 && frame != NO_FRAME)
	{
		size_t		piece = SST_FRAME_BYTES - offset;

		if (piece > len)
			piece = len;
		memcpy(dst, block_frame_data(cache, frame) + offset, piece);
		dst += piece;
		len -= piece;
		offset = 0;
		frame = chain_frame(cache, frame, SST_FRAME_BYTES);
	}
	memset(dst, 0, len);
}

void
block_cache_copy(const BlockCache *cache, const BlockView *view, size_t offset, size_t len,
				 void *dst)
{
	if (offset > view->raw_bytes || len > view->raw_bytes - offset)
		memset(dst, 0, len);
	else if (offset + len <= SST_FRAME_BYTES)
		memcpy(dst, view->data + offset, len);
	else
		copy_from_chain(cache, view->frame, offset, len, dst);
}

bool
block_cache_end(BlockCache *cache, const BlockView *view)
{
	BlockFrame *frame = &cache->frame[view->frame];
	uint8_t		used;

	if (!frame_left_alone(frame, view->version))
		return false;
	/* Two who count at once may count one; a frame that is gone by now gets an access too many. */
	used = atomic_load_explicit(&frame->used, memory_order_relaxed);
	if (used < BLOCK_USED_MAX)
		atomic_store_explicit(&frame->used, used + 1, memory_order_relaxed);
	return true;
}

static uint32_t
frames_for(uint32_t raw_bytes)
{
	return raw_bytes == 0 ? 1 : (raw_bytes - 1) / SST_FRAME_BYTES + 1;
}

static void
set_free_frames(BlockCache *cache, BlockShard *shard, uint32_t free_frames)
{
	shard->free_frames = free_frames;
	atomic_store_explicit(&shard->used_frames, cache->shard_frames - free_frames,
						  memory_order_relaxed);
}

/* Takes so many frames from the list of free ones and returns them as a chain. */
static uint32_t
take_free_frames(BlockCache *cache, BlockShard *shard, uint32_t frames)
{
	uint32_t	first = shard->first_free;
	uint32_t	last = first;

	cache->frame[first].state = BLOCK_LOADING;
	for (uint32_t i = 1; i < frames; i++)
	{
		last = chain_frame(cache, last, SST_FRAME_BYTES);
		cache->frame[last].state = BLOCK_CHAINED;
	}
	shard->first_free = chain_frame(cache, last, SST_FRAME_BYTES);
	set_free_frames(cache, shard, shard->free_frames - frames);
	return first;
}

/* Gives back a chain that nobody can find any more. */
static void
give_frames_back(BlockCache *cache, BlockShard *shard, uint32_t first)
{
	uint32_t	frames = cache->frame[first].frames;
	uint32_t	last = first;

	cache->frame[first].state = BLOCK_FREE;
	for (uint32_t i = 1; i < frames; i++)
	{
		last = chain_frame(cache, last, SST_FRAME_BYTES);
		cache->frame[last].state = BLOCK_FREE;
	}
	atomic_store_explicit(&cache->frame[last].next, shard->first_free, memory_order_relaxed);
	shard->first_free = first;
	set_free_frames(cache, shard, shard->free_frames + frames);
}

/* Makes a block that may be read one that may not, and is not found. */
static void
retire_block(BlockCache *cache, BlockShard *shard, uint32_t index)
{
	BlockFrame *frame = &cache->frame[index];

	block_table_remove(cache, block_frame_hash(frame), index);
	block_count(&frame->version, 1);
	atomic_thread_fence(memory_order_release);
	give_frames_back(cache, shard, index);
}

/* Evicts until so many frames are free; false if there are not so many to be had. */
static bool
make_room(BlockCache *cache, BlockShard *shard, uint32_t frames)
{
	while (shard->free_frames < frames)
	{
		uint32_t	victim = block_policy_victim(cache, shard);

		if (victim == NO_FRAME)
			return false;
		retire_block(cache, shard, victim);
		block_count(&shard->evictions, 1);
	}
	return true;
}

/* Takes frames for the block and makes it known as one that is being loaded. */
static uint32_t
begin_load(BlockCache *cache, BlockShard *shard, const BlockKey *key, uint64_t hash,
		   uint32_t raw_bytes)
{
	uint32_t	frames = frames_for(raw_bytes);
	uint32_t	index = take_free_frames(cache, shard, frames);
	BlockFrame *frame = &cache->frame[index];

	/* Whoever sees what is written from here on sees that the frames' old versions are gone. */
	atomic_thread_fence(memory_order_release);
	atomic_store_explicit(&frame->run_hi, key->run.hi, memory_order_relaxed);
	atomic_store_explicit(&frame->run_lo, key->run.lo, memory_order_relaxed);
	atomic_store_explicit(&frame->block, key->block, memory_order_relaxed);
	atomic_store_explicit(&frame->raw_bytes, raw_bytes, memory_order_relaxed);
	atomic_store_explicit(&frame->used, 0, memory_order_relaxed);
	frame->frames = frames;
	block_table_insert(cache, hash, index);
	return index;
}

/* What is claimed nobody else looks at. */
static void
ask_for_memory(const BlockCache *cache, const BlockFill *fill)
{
	uint32_t	frame = fill->frame;

	for (uint32_t i = 0; i < frames_for(fill->raw_bytes); i++)
	{
		cache_pages_ask(cache->pages, block_frame_data(cache, frame), SST_FRAME_BYTES);
		frame = chain_frame(cache, frame, SST_FRAME_BYTES);
	}
}

CacheClaim
block_cache_claim(BlockCache *cache, const BlockKey *key, uint64_t hash, uint32_t raw_bytes,
				  BlockFill *fill)
{
	BlockShard *shard = block_shard(cache, hash);
	CacheClaim	claim;
	uint32_t	index;

	*fill = (BlockFill) {
		.channel = (uint32_t) (hash >> 32) % CACHE_WAIT_CHANNELS,
		.frame = NO_FRAME,
		.raw_bytes = raw_bytes,
		.hash = hash
	};
	if (!block_cache_keeps(cache, raw_bytes))
		return CACHE_NO_ROOM;
	cache_lock_acquire(&shard->lock);
	index = block_table_find(cache, key, hash);
	if (index != NO_FRAME)
		claim = cache->frame[index].state == BLOCK_READY ? CACHE_PRESENT : CACHE_LOADING;
	else if (make_room(cache, shard, frames_for(raw_bytes)))
	{
		fill->frame = begin_load(cache, shard, key, hash, raw_bytes);
		claim = CACHE_LOAD;
	}
	else
		claim = CACHE_NO_ROOM;
	cache_lock_release(&shard->lock);
	if (claim == CACHE_LOAD)
		ask_for_memory(cache, fill);
	return claim;
}

void
block_cache_fill(BlockCache *cache, const BlockFill *fill, size_t offset, const void *data,
				 size_t len)
{
	const uint8_t *src = data;
	uint32_t	frame = chain_frame(cache, fill->frame, offset);

	offset %= SST_FRAME_BYTES;
	while (len > 0)
	{
		size_t		piece = SST_FRAME_BYTES - offset;

		if (piece > len)
			piece = len;
		memcpy(block_frame_data(cache, frame) + offset, src, piece);
		src += piece;
		len -= piece;
		offset = 0;
		frame = chain_frame(cache, frame, SST_FRAME_BYTES);
	}
}

void
block_cache_publish(BlockCache *cache, const BlockFill *fill, const CacheWaiter *waiter)
{
	BlockShard *shard = block_shard(cache, fill->hash);
	BlockFrame *frame = &cache->frame[fill->frame];

	cache_lock_acquire(&shard->lock);
	frame->state = BLOCK_READY;
	block_policy_insert(cache, shard, fill->frame);
	atomic_store_explicit(&frame->version,
						  atomic_load_explicit(&frame->version, memory_order_relaxed) + 1,
						  memory_order_release);
	cache_lock_release(&shard->lock);
	waiter->wake(waiter->state, fill->channel);
}

void
block_cache_abandon(BlockCache *cache, const BlockFill *fill, const CacheWaiter *waiter)
{
	BlockShard *shard = block_shard(cache, fill->hash);

	cache_lock_acquire(&shard->lock);
	block_table_remove(cache, fill->hash, fill->frame);
	give_frames_back(cache, shard, fill->frame);
	cache_lock_release(&shard->lock);
	waiter->wake(waiter->state, fill->channel);
}

static bool
frame_is_of_run(const BlockFrame *frame, CacheRunId run)
{
	return cache_run_id_equal(block_frame_key(frame).run, run) &&
		atomic_load_explicit(&frame->version, memory_order_relaxed) % 2 == 0;
}

/*
 * Looks without the lock for what it then looks at again under it.  What is
 * published meanwhile may stay: nobody asks for it any more.
 */
void
block_cache_drop_run(BlockCache *cache, CacheRunId run)
{
	for (uint32_t index = 0; index < cache->frames; index++)
	{
		BlockFrame *frame = &cache->frame[index];
		BlockShard *shard = &cache->shard[index / cache->shard_frames];

		if (!frame_is_of_run(frame, run))
			continue;
		cache_lock_acquire(&shard->lock);
		if (frame_is_of_run(frame, run))
		{
			block_policy_remove(cache, shard, index);
			retire_block(cache, shard, index);
		}
		cache_lock_release(&shard->lock);
	}
}

void
block_cache_walk(const BlockCache *cache, void (*visit) (void *state, const BlockCacheItem *item),
				 void *state)
{
	for (uint32_t index = 0; index < cache->frames; index++)
	{
		const BlockFrame *frame = &cache->frame[index];
		uint64_t	version = atomic_load_explicit(&frame->version, memory_order_acquire);
		BlockCacheItem item = {
			.key = block_frame_key(frame),
			.raw_bytes = atomic_load_explicit(&frame->raw_bytes, memory_order_relaxed)
		};

		item.frames = frames_for(item.raw_bytes);
		if (version % 2 == 0 && frame_left_alone(frame, version))
			visit(state, &item);
	}
}

void
block_cache_stats(const BlockCache *cache, BlockCacheStats *stats)
{
	*stats = (BlockCacheStats) {.frames = cache->frames};
	for (uint32_t i = 0; i < cache->shards; i++)
	{
		const BlockShard *shard = &cache->shard[i];

		stats->frames_used += atomic_load_explicit(&shard->used_frames, memory_order_relaxed);
		stats->evictions += atomic_load_explicit(&shard->evictions, memory_order_relaxed);
		stats->ghost_hits += atomic_load_explicit(&shard->ghost_hits, memory_order_relaxed);
	}
}
