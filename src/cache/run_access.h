/*
 * run_access.h
 *		Getting hold of a run's tail and of its blocks when they may have to be
 *		loaded: the slow half of run_reader.h.
 */
#ifndef RUN_ACCESS_H
#define RUN_ACCESS_H

#include "cache/run_reader.h"

/*
 * The run's tail, pinned, or *private_tail set if the tail cache has no room.
 * Loads it if need be.
 */
extern SvStatus run_tail_acquire(RunCaches *caches, const RunReader *run, const SstTail **tail,
								 RunPrivateTail **private_tail, SvError *err);
extern void run_tail_release(RunCaches *caches, const SstTail *tail, RunPrivateTail *private_tail);

/* Makes caches->loader if there is none. */
extern SvStatus run_caches_need_loader(RunCaches *caches, SvError *err);

static inline BlockKey
run_block_key(const RunReader *run, uint32_t block)
{
	return (BlockKey) {.run = run->id,.block = block};
}

/*
 * Loads a block that was not found in the cache, or finds that another process
 * has: then *present is set, and the caller looks in the cache again.  Else
 * caches->block is the settled block, and the cache has it too if it fits.
 */
extern SvStatus run_block_load(RunCaches *caches, const RunReader *run, const SstTail *tail,
							   uint32_t block, bool *present, SvError *err);

/* Settles a block whose stored bytes are there into caches->block. */
extern SvStatus run_block_settle(RunCaches *caches, const RunReader *run, const SstTail *tail,
								 uint32_t block, SvSlice stored, SvError *err);

/* Ends a claim with the block that is in caches->block. */
extern void run_block_publish(RunCaches *caches, const BlockFill *fill);

/* Replaces raw's content with the settled block; SV_NOT_FOUND, without a message, if it is not in the cache. */
extern SvStatus run_block_copy_cached(RunCaches *caches, const RunReader *run, const SstTail *tail,
									  uint32_t block, SvBuffer *raw, SvError *err);

/* Replaces raw's content with the settled block, from the cache or from its source. */
extern SvStatus run_block_copy(RunCaches *caches, const RunReader *run, const SstTail *tail,
							   uint32_t block, SvBuffer *raw, SvError *err);

#endif							/* RUN_ACCESS_H */
