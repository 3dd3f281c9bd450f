/*
 * forest_snapshot.h
 *		Which forest does a Postgres snapshot see?
 *
 * Forests are kept in shared memory (forest_arena.h) under the newest changelog id that the
 * snapshot sees, found by one backward index probe: ids appear in commit order
 * without gaps, so equal newest ids mean equal forests.  A snapshot that sees
 * an unnumbered changelog row (its own transaction's, or one no worker has
 * numbered yet) gets a forest of its own that no other call finds.
 *
 * The probe itself is left out where counters in shared memory, or the
 * snapshot's own value, tell what it would find: then a call costs a few
 * nanoseconds and allocates nothing.
 */
#ifndef FOREST_SNAPSHOT_H
#define FOREST_SNAPSHOT_H

#include "postgres.h"

#include "lsm/lsm_forest.h"
#include "utils/snapshot.h"

/*
 * The forest is good until CurrentMemoryContext, as of this call, is reset or
 * deleted.
 */
extern const LsmForest *forest_of_snapshot(int32 vault_id, Snapshot snapshot);

/*
 * The same for those who are done with it soon: the forest is good until three
 * more calls of these functions have been made, by whomever.
 */
extern const LsmForest *forest_peek(int32 vault_id, Snapshot snapshot);

/*
 * That of the vault which was asked for last, if it is still held; else NULL.
 * It may be another one by now: for guesses.  Good until the next call of the
 * functions above, or the end of the transaction.
 */
extern const LsmForest *forest_last_used(int32 vault_id);

/* Of this process, for tests and for people: how many calls, and how many of them looked at the changelog. */
typedef struct ForestSnapshotStats
{
	int64		calls;
	int64		probes;
} ForestSnapshotStats;

extern ForestSnapshotStats forest_snapshot_stats(void);

#endif							/* FOREST_SNAPSHOT_H */
