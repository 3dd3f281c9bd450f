/*
 * forest_xact.h
 *		What the current transaction has done to the vaults, for others to be
 *		told once it commits.
 */
#ifndef FOREST_XACT_H
#define FOREST_XACT_H

#include "postgres.h"

/*
 * Called after a transaction that changed something has committed (or was
 * prepared): bytes it put into the delta (if prepared, 0), and whether the
 * scheduler should look at what it did besides.  Must not fail.
 */
typedef void (*ForestCommitCallback) (uint64 delta_bytes, bool wake_scheduler);

extern void forest_xact_install(ForestCommitCallback callback);

extern void forest_xact_note_delta_bytes(uint64 bytes);

/* What was noted since the last call went to this vault: see forest_pending.h. */
extern void forest_xact_note_vault(int32 vault_id);
extern void forest_xact_note_unnumbered(void);	/* a changelog row wants a number */
extern void forest_xact_note_wake(void);	/* something else for the scheduler */

/*
 * The transaction changes the forest: to be called by whoever writes a row of
 * the changelog, of the registry, or a floor.  Then its commit is counted (see
 * forest_shmem.h).
 */
extern void forest_xact_note_forest_change(void);

/* Whether this transaction has written to any vault (rolled back savepoints included). */
extern bool forest_xact_has_changed(void);

/*
 * Whether this transaction has changed the forest (rolled back savepoints
 * included); and how many transactions of this process have, itself included.
 */
extern bool forest_xact_has_changed_forest(void);
extern uint64 forest_xact_own_changes(void);

#endif							/* FOREST_XACT_H */
