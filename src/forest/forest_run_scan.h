/*
 * forest_run_scan.h
 *		Runs that are held open, and iterators over them, by way of the shared caches.
 *
 * Errors and keys are those of forest_run.h.
 */
#ifndef FOREST_RUN_SCAN_H
#define FOREST_RUN_SCAN_H

#include "postgres.h"

#include "cache/run_pick.h"
#include "lsm/lsm_forest.h"
#include "lsm/lsm_merge.h"

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

/*
 * Runs that are open and whose blocks are read together, of any groups and servers:
 * RunScan.  Zeroed but for the context, which outlives the iterators.
 */
typedef struct ForestTogether
{
	MemoryContext context;
	RunScan   **scans;
	Oid		   *servers;		/* of each */
	int			n;
	int			room;
} ForestTogether;

/* From now on, what the iterator opens. */
extern void forest_run_join(ForestRunIterator *iterator, ForestTogether *together);

/* Opens the first runs of iterators that have not begun, asking for all tails at once. */
extern void forest_runs_open(ForestRunIterator *const *iterators, int n);

/* How much of entries there is in the runs between the bounds. */
extern uint64 forest_run_raw_bytes(const ForestRunIterator *iterator);

/* A key ahead of the iterator, see sst_iterator_horizon: in the run that it is at, or begins with. */
extern bool forest_run_horizon(ForestRunIterator *iterator, uint32 blocks, SvSlice *key);

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

#endif							/* FOREST_RUN_SCAN_H */
