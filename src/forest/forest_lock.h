/*
 * forest_lock.h
 *		"Locking a key" of ARCHITECTURE.md, the part that puts and row locks share.
 *
 * The order of steps is what makes it right: own the slot in the delta's
 * unique index, and only then take the latest snapshot; from there on nobody
 * else can change the key before this transaction ends.
 */
#ifndef FOREST_LOCK_H
#define FOREST_LOCK_H

#include "postgres.h"

#include "base/sv_slice.h"
#include "forest/forest_table.h"
#include "utils/snapshot.h"

/*
 * Locks n keys (ascending, no repeats) for blind writes under REPEATABLE READ
 * or above: 40001 if another transaction has written one since the
 * transaction's snapshot.
 */
extern void forest_lock_for_write(const ForestTable *table, const SvSlice *keys, int n);

/*
 * For a load under REPEATABLE READ, which has the table lock: whether anything of
 * the table differs between the transaction's snapshot and the latest one; and if
 * so, for all keys that were loaded, 40001 if another transaction has written one
 * since.
 */
extern bool forest_lock_may_conflict(const ForestTable *table, Snapshot seen, Snapshot latest);
extern void forest_lock_check_load(const ForestTable *table, const SvSlice *keys, int n,
								   Snapshot seen, Snapshot latest);

#endif							/* FOREST_LOCK_H */
