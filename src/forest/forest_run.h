/*
 * forest_run.h
 *		Lookups and iterators over runs, by way of the shared caches.
 *
 * All of these raise errors: XX001 naming the object if its bytes are not what
 * was written, or if it is gone (on a standby that is 40001: the primary was
 * allowed to delete it), 58030 if the store cannot be read.
 *
 * A key is the run's: in a WAL run it has the table id in front
 * (lsm_walkey.h).  Values are appended to a buffer, of which the allocator may
 * not raise errors (malloc, pg_status_alloc).
 */
#ifndef FOREST_RUN_H
#define FOREST_RUN_H

#include "postgres.h"

#include "base/sv_scratch.h"
#include "cache/run_pick.h"
#include "lsm/lsm_forest.h"
#include "lsm/lsm_merge.h"

/* A RunReader without a source: enough for what is cached. */
static inline RunReader
forest_run_cached(const LsmRun *run)
{
	return (RunReader) {
		.id = {run->identity[0], run->identity[1]},
		.file_bytes = run->file_bytes,
		.tail_bytes = run->tail_bytes,
		.source = {.name = run->object}
	};
}

/* answer->kind is an SstKind or RUN_ABSENT. */
extern void forest_run_get(Oid server_oid, const LsmRun *run, SvSlice run_key, SvBuffer *values,
						   RunAnswer *answer);

/* The same of what is cached: RUN_UNCACHED if something has to be loaded. */
extern void forest_run_get_one_cached(const LsmRun *run, SvSlice run_key, SvBuffer *values, RunAnswer *answer);

/* See run_reader_expect. */
extern void forest_run_expect(const LsmRun *run, SvSlice run_key);

/*
 * The same for many keys: run_keys[i] in runs[i].  The keys of a run are
 * neighbours and ascend.  Answers how many are RUN_UNCACHED.  Memory for the
 * time of the call is taken from the scratch.
 */
extern uint32 forest_run_get_cached(const LsmRun *const *runs, const SvSlice *run_keys, uint32 n,
									SvScratch *scratch, SvBuffer *values, RunAnswer *answers);

/* Looks up those that are RUN_UNCACHED: asks for all tails that lack at once, then for all blocks. */
extern void forest_run_fetch(Oid server_oid, const LsmRun *const *runs, const SvSlice *run_keys, uint32 n,
							 SvScratch *scratch, SvBuffer *values, RunAnswer *answers);

/*
 * Brings tails of runs into the cache that may be needed, as far as it has room
 * for them and they can be read; answers how many.
 */
extern uint32 forest_run_fetch_tails(Oid server_oid, const LsmRun *const *runs, uint32 n, SvScratch *scratch);

/* The same of several servers at once: runs[i] is of servers[i]. */
extern void forest_run_fetch_of(const Oid *servers, const LsmRun *const *runs, const SvSlice *run_keys, uint32 n,
								SvScratch *scratch, SvBuffer *values, RunAnswer *answers);
extern uint32 forest_run_fetch_tails_of(const Oid *servers, const LsmRun *const *runs, uint32 n,
										SvScratch *scratch);

/*
 * Iterates over the table's entries with low <= key < high in the runs of a
 * group, one run after the other.  Keys come without the table id.  Lives in
 * CurrentMemoryContext, and lets go of its run when that is reset.
 */
typedef struct ForestRunIterator ForestRunIterator;

extern ForestRunIterator *forest_run_iterate(Oid server_oid, const LsmGroup *group,
											 const SvSlice *low, const SvSlice *high, bool backward);

/* It is a part of a scan of so many bytes before compression, of which so many have been read: see forest_read.h. */
extern void forest_run_iterate_part(ForestRunIterator *iterator, uint64 bytes, uint64 went);

/* An LsmSource over the iterator; errors are raised, not returned. */
extern LsmSource forest_run_source(ForestRunIterator *iterator);

/*
 * For people and prewarming: the run's tail and blocks, held open until
 * CurrentMemoryContext is reset.
 */
extern RunScan *forest_run_open(Oid server_oid, const LsmRun *run);

/*
 * Brings a block into the cache unless it is there, or is one that the cache does not
 * keep; how many were brought.  More than that one only after
 * forest_run_warm_from, which says that blocks from the first to the last one are
 * brought in order: of a store where requests take time, many then come with each.
 */
extern void forest_run_warm_from(RunScan *scan, uint32 first, uint32 last);
extern uint32 forest_run_warm(RunScan *scan, uint32 block);

/* The blocks that hold what the run has of the part's table, both inclusive; false: there are none. */
extern bool forest_run_blocks(const RunScan *scan, const LsmRun *run, const LsmPart *part, uint32 *first,
							  uint32 *last);

/* See run_scan_pick; how many of the blocks were. */
extern uint32 forest_run_pick(RunScan *scan, const uint32 *blocks, uint32 n, SvBuffer *raw, RunPicked *picked);

#endif							/* FOREST_RUN_H */
