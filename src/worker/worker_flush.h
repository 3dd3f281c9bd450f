/*
 * worker_flush.h
 *		What a scheduler does for its database: flush passes, and numbering.
 */
#ifndef WORKER_FLUSH_H
#define WORKER_FLUSH_H

#include "postgres.h"

#include "forest/forest_vault.h"

typedef enum
{
	FLUSH_DONE,
	FLUSH_FAILED
} FlushResult;

/*
 * All vaults of this database, in the caller's memory context; the count, or -1
 * if they could not be listed, as when a lock was not to be had.  begin_pass
 * also tidies up what ended workers and dropped vaults have left behind.
 * Outside a transaction, as are the others; each starts its own.
 */
extern int	worker_flush_list(ForestVault **vaults);
extern int	worker_flush_begin_pass(ForestVault **vaults);

/*
 * Flushes what was committed to the vault before the call.  Errors are caught
 * inside, logged, recorded in skyvault.job, and reported by the result.
 * *last_sqlstate is how the last flush of this vault ended, 0 if well, and is
 * set anew: the same error is not logged again, and a store that has failed is
 * first asked whether it answers.
 */
extern FlushResult worker_flush_vault(const ForestVault *vault, int *last_sqlstate);

/* Numbers visible unnumbered changelog rows of a vault. */
extern void worker_flush_number(int32 vault_id);

/* The same; an error is caught and logged, and false is the answer. */
extern bool worker_flush_try_number(int32 vault_id);

#endif							/* WORKER_FLUSH_H */
