/*
 * block_cache_policy.h
 *		Which block has to go: internal to block_cache*.c.
 *
 * S3-FIFO (Yang et al., SOSP 2023).  New blocks come into a small queue and,
 * if nobody reads them again before they get to its end, leave from there, so
 * that a scan passes through a tenth of the cache.  Blocks that were read
 * move on to the main queue, and so do those that come back while their hash
 * is still remembered as a ghost.  At the end of the main queue a block that
 * was read goes round again, with one access less to its name.  A hit moves
 * nothing, which is what lets it do without a lock.
 *
 * One thing is different: a block holds many keys, and who loads it for one
 * often reads others at once.  So what the small queue begins with is a queue
 * of its own, and accesses to blocks in it count for nothing.  bench/engine/cache.md
 * has the numbers.
 *
 * Queues count frames, so that large blocks weigh what they take.  All
 * functions want the shard's lock.
 */
#ifndef BLOCK_CACHE_POLICY_H
#define BLOCK_CACHE_POLICY_H

#include "cache/block_cache_layout.h"

/* For cache->ghosts, once the sizes in *cache are set; the memory begins zeroed. */
extern size_t block_ghosts_bytes(const BlockCache *cache);

extern void block_policy_init(const BlockCache *cache, BlockShard *shard);

/* A block that was loaded; frame is its first one. */
extern void block_policy_insert(BlockCache *cache, BlockShard *shard, uint32_t frame);

/* A block that goes for a reason of its own. */
extern void block_policy_remove(BlockCache *cache, BlockShard *shard, uint32_t frame);

/* Chooses a block and takes it out of its queue.  NO_FRAME if there is none. */
extern uint32_t block_policy_victim(BlockCache *cache, BlockShard *shard);

#endif							/* BLOCK_CACHE_POLICY_H */
