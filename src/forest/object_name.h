/*
 * object_name.h
 *		Names of new objects, which are never used again (invariant 9).
 *
 * A name is the vault's uuid, its epoch, a number that is random per process,
 * a counter, and who writes it.  So no two are equal, even of a copied
 * database, and the sweep of orphans can tell from a name whose it is.
 */
#ifndef OBJECT_NAME_H
#define OBJECT_NAME_H

#include "postgres.h"

#include "access/transam.h"
#include "forest/forest_vault.h"

/*
 * "uuid/epoch/random/counter-jJOB.suffix", palloc'd: for a worker's job.  Needs
 * no transaction.
 */
extern char *object_name_of_job(const ForestVault *vault, int64 job_id, const char *suffix);

/* "uuid/epoch/random/counter-xXID.suffix": for a user's transaction, by its top-level id. */
extern char *object_name_of_transaction(const ForestVault *vault, FullTransactionId xid,
										const char *suffix);

#endif							/* OBJECT_NAME_H */
