/*
 * forest_snapshot.h
 *		Which forest does a Postgres snapshot see?
 *
 * Forests are cached per backend under the newest changelog id that the
 * snapshot sees, found by one backward index probe: ids appear in commit order
 * without gaps, so equal newest ids mean equal forests.  A snapshot that sees
 * an unnumbered changelog row (its own transaction's, or one no worker has
 * numbered yet) gets a forest of its own that enters no cache.
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

#endif							/* FOREST_SNAPSHOT_H */
