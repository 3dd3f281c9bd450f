/*
 * forest_run.h
 *		Lookups in runs, by way of the shared caches; scans are in forest_run_scan.h.
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
#include "cache/run_reader.h"
#include "lsm/lsm_forest.h"

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

#endif							/* FOREST_RUN_H */
