/*
 * worker_owner.h
 *		Which database may write to a vault.
 *
 * The object OWNER in the store names one: by an epoch, which each takeover
 * raises, and by a random incarnation, which it draws.  skyvault.owner has what
 * this database last knew of it.  Each start of a server takes its vaults anew,
 * when a worker first wants to write there; so of several copies of a database
 * that believe to be the owner, only the last that took the vault is.
 *
 * What tells a server that was started again from a copy of it is in
 * worker_owner.c.  Who finds that it is not the owner says so in
 * skyvault.owner, and stops to flush, compact, export and delete, until
 * skyvault_adopt().  It reads as before.
 */
#ifndef WORKER_OWNER_H
#define WORKER_OWNER_H

#include "postgres.h"

#include "forest/forest_vault.h"
#include "storage/lock.h"
#include "store/object_store.h"

/*
 * For workers, outside a transaction, before the first upload of each job and
 * before each batch of removals: looks at OWNER, and takes the vault if this
 * server has not since it was started.  Sets vault->epoch, and vault->uuid.
 * 55000 with a hint if this database is not the owner, or if OWNER is gone.
 */
extern void worker_owner_require(ForestVault *vault, ObjectStore *store);

/*
 * Between these no other process takes the vault anew, and so changes its epoch.
 * 55006 if one does just now; one that wants to meanwhile gets that.  Whoever
 * holds it may call worker_owner_require.
 */
extern LOCKTAG worker_owner_hold(const ForestVault *vault);
extern void worker_owner_let_go(const LOCKTAG *held);

#endif							/* WORKER_OWNER_H */
