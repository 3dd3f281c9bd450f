/*
 * forest_registry.h
 *		Rows of the registry: which runs exist, for whom, and above which floors.
 */
#ifndef FOREST_REGISTRY_H
#define FOREST_REGISTRY_H

#include "postgres.h"

#include "lsm/lsm_forest.h"
#include "utils/snapshot.h"

/*
 * The forest of a vault as the snapshot sees it, read from the registry, with
 * all its memory in the given context.  XX001 if the rows break invariant 1.
 */
extern LsmForest *registry_read_forest(int32 vault_id, Snapshot snapshot, MemoryContext context);

/* Registers a run; run->registered_by is not used. */
extern void registry_insert_run(int32 vault_id, const LsmRun *run);

/*
 * Removes the table's own runs that the snapshot sees, and those WAL runs that
 * speak for no other table, and records their objects as garbage.  Runs that
 * other tables share stay.  Returns the ids of the removed runs.  The caller
 * has the table lock in AccessExclusive.
 */
extern int	registry_remove_table(int32 vault_id, int32 table_id, Snapshot snapshot, int64 **run_ids);

/*
 * Locks the rows of these runs to the end of the transaction, without waiting;
 * false if one is gone, or another transaction has locked or is changing it.
 */
extern bool registry_lock_runs(const int64 *run_ids, int n);

/* Whether the snapshot sees the run. */
extern bool registry_has_run(int64 run_id, Snapshot snapshot);

/*
 * For who has locked the row, and sees it with the snapshot: removes a run and
 * records its object as garbage; gives it another place, and other parts.
 */
extern void registry_remove_run(int32 vault_id, int64 run_id, Snapshot snapshot);
extern void registry_change_run(int64 run_id, LsmTier tier, int level, int nparts, const LsmPart *parts,
								Snapshot snapshot);

/* An object that nothing names, or will name: to be deleted some time after this transaction. */
extern void registry_add_garbage(int32 vault_id, const char *object);

#endif							/* FOREST_REGISTRY_H */
