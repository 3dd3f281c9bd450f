/*
 * forest_vault.h
 *		A vault: the catalogue's identity of a foreign server.  Its store is in
 *		forest_store.h.
 */
#ifndef FOREST_VAULT_H
#define FOREST_VAULT_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/uuid.h"

/*
 * The catalogue names the server, because pg_upgrade keeps names and not the
 * oids of servers; forest_vault_rename follows ALTER SERVER ... RENAME.
 */
typedef struct ForestVault
{
	int32		id;
	Oid			server_oid;		/* InvalidOid: the server is gone */
	pg_uuid_t	uuid;
	int64		epoch;			/* as this database last held it; 0: never yet */
	bool		is_own;			/* made by this transaction: workers do not see it yet */
} ForestVault;

/* The latest committed (or own) row; false if the server has no identity yet. */
extern bool forest_vault_find(Oid server_oid, ForestVault *vault);

/* Finds it, or makes it in this transaction under the identity lock. */
extern void forest_vault_ensure(Oid server_oid, ForestVault *vault);

extern void forest_vault_random_uuid(pg_uuid_t *uuid);

/* All vaults, palloc'd; the count. */
extern int	forest_vault_list(ForestVault **vaults);

/* The server was renamed, in this transaction.  Nothing happens if it is not a vault's. */
extern void forest_vault_rename(const char *old_name, const char *new_name);

/* The server is being dropped: its row goes, its objects stay, with a NOTICE that names them. */
extern void forest_vault_forget(Oid server_oid);

#endif							/* FOREST_VAULT_H */
