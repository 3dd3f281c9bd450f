/*
 * vault_chore.h
 *		Chores that go through the vaults of a database: one that fails has a
 *		pause of its own, and keeps no other from its turn.
 */
#ifndef VAULT_CHORE_H
#define VAULT_CHORE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "forest/forest_vault.h"
#include "nodes/pg_list.h"
#include "store/object_store.h"

/* What is remembered of a vault, in this process. */
typedef struct VaultTurn
{
	int32		vault_id;
	int			failures;		/* in a row */
	int			pause_s;		/* after a failure; 0: the last turn went well */
	TimestampTz retry_at;
	int			last_sqlstate;	/* of the last turn; 0: it went well */
	uint64		seen;			/* the chore's own */
	TimestampTz due_at;			/* likewise */
} VaultTurn;

typedef struct VaultChore
{
	const char *kind;			/* of the job that a failure is recorded as */

	/* What is due; returns when the next is.  Outside a transaction; memory is freed afterwards. */
	TimestampTz (*turn) (ForestVault *vault, VaultTurn *turn);

	List	   *turns;			/* zero at first */
} VaultChore;

/* Gives each vault its turn; returns when the next is due. */
extern TimestampTz vault_chore_run(VaultChore *chore);

/* One vault by id, its pause left out; false if there is none.  Errors are the caller's. */
extern bool vault_chore_find(int32 vault_id, ForestVault *vault);

/*
 * Whether this database may write to the vault as far as it knows, or may find
 * out.  False if it knows that it is not the owner: then there is nothing to be
 * done, and nothing to be reported again.
 */
extern bool vault_chore_is_ours(const ForestVault *vault);

/* forest_store_open, in a transaction of its own. */
extern ObjectStore *vault_chore_store(const ForestVault *vault);

#endif							/* VAULT_CHORE_H */
