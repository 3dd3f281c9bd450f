/*
 * vault_restore.h
 *		A vault's catalogue and foreign tables, made anew from its store alone.
 */
#ifndef VAULT_RESTORE_H
#define VAULT_RESTORE_H

#include "postgres.h"

#include "utils/uuid.h"

typedef struct VaultRestoreRequest
{
	Oid			server_oid;		/* has no vault in this database */
	const char *from_snapshot;	/* NULL: to the last change */
	const pg_uuid_t *vault;		/* NULL: the only one in the store */
	bool		adopt;			/* this database shall write to it */
	bool		keep_definitions;	/* instead of foreign tables, for IMPORT FOREIGN SCHEMA */
} VaultRestoreRequest;

typedef struct VaultRestored
{
	pg_uuid_t	uuid;
	int64		epoch;			/* up to where: a change of this epoch, */
	int64		changelog_id;	/* with this id */
	int			tables;
	int64		runs;
} VaultRestored;

/*
 * In the caller's transaction.  Warns, and ends there, where the log has a gap;
 * errors if there is nothing to be restored, or if this database has tables of
 * the wrapper already, whose ids might be the same.
 */
extern void vault_restore(const VaultRestoreRequest *request, VaultRestored *restored);

#endif							/* VAULT_RESTORE_H */
