/*
 * worker_embedded.h
 *		Whether what workers put into a vault's store is where standbys and
 *		backups will look for it.
 */
#ifndef WORKER_EMBEDDED_H
#define WORKER_EMBEDDED_H

#include "postgres.h"

#include "forest/forest_vault.h"

/*
 * 55000 if the store lies inside the data directory while a WAL sender, a
 * physical replication slot or WAL archiving could carry the registry's changes
 * to where the runs are not.  In a transaction; the server exists.
 */
extern void worker_check_store_is_safe(const ForestVault *vault);

/* Whether that would say nothing. */
extern bool worker_store_is_safe(const ForestVault *vault);

#endif							/* WORKER_EMBEDDED_H */
