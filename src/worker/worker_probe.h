/*
 * worker_probe.h
 *		Finding out about a vault's store before work that takes long, or writes.
 *
 * For workers, outside a transaction.
 */
#ifndef WORKER_PROBE_H
#define WORKER_PROBE_H

#include "postgres.h"

#include "forest/forest_vault.h"
#include "store/object_store.h"

/*
 * A store that has failed is asked for something small, so that one that
 * accepts and never answers keeps other vaults waiting for seconds, not minutes:
 * an error if it does not answer.  That it denies what it is asked for is an
 * answer.  No request, if it is a directory or the server is gone.
 */
extern void worker_probe_answers(const ForestVault *vault, StoreCaller caller);

/*
 * Whether the store honours the conditions of conditional puts, unless the
 * server's option says so or a process has found out since the start of the server:
 * an object is put twice.  A store that lets the second replace the first gets a
 * WARNING, and is used from the next forest_store_open on as one that knows none.
 * What fails for other reasons is left for the next time.
 */
extern void worker_probe_conditions(const ForestVault *vault, ObjectStore *store);

#endif							/* WORKER_PROBE_H */
