/*
 * forest_store.h
 *		The store of a foreign server: opening it, and calling it as this
 *		process likes to wait.
 *
 * A vault has one identity towards its store, that of the server's owner: the
 * keys of the owner's user mapping, or of PUBLIC's.  Everybody and every worker
 * uses them; privileges on tables say who may read and write what.
 *
 * Keys go from the catalogue to the driver and nowhere else: into no message,
 * no other catalogue, no shared memory.
 */
#ifndef FOREST_STORE_H
#define FOREST_STORE_H

#include "postgres.h"

#include "store/object_store.h"

/*
 * The store, opened once per process and server, and again when options of the
 * server, its owner or a user mapping have changed.  Needs a transaction; makes no
 * request.  Do not keep it beyond the next call of this function for the same
 * server; until then it stays open, also while no transaction is, unless the server
 * is dropped: then until the next call for any other.
 */
extern ObjectStore *forest_store_open(Oid server_oid);

/*
 * Opens those of n servers (repeats allowed), so that none of them is closed by a
 * forest_store_open of another one, until the caller looks at a catalogue.
 */
extern void forest_stores_open(const Oid *servers, uint32 n);

/*
 * A handle of the caller's own, as the server's options are now, which no change of
 * them closes: for uploads that go on while others call forest_store_open.  To be
 * closed with store_close.  Needs a transaction; makes no request.
 */
extern ObjectStore *forest_store_open_own(Oid server_oid);

/*
 * A number that tells the server's options now from others: who has written an object
 * with a handle of his own compares it before and after.
 */
extern uint64 forest_store_options(Oid server_oid);

/*
 * Whether forest_store_open would answer this handle: whether nothing was changed
 * since.  Who has written an object asks this in the transaction that names it in
 * the catalogue.
 */
extern bool forest_store_is_current(Oid server_oid, const ObjectStore *store);

/*
 * How to call it: stops at query cancel, termination, and what else Postgres
 * wants done soon; waits on the latch; counts for skyvault_stat_store.  Time
 * limits are those of queries, times two for schedulers, which have other vaults
 * to look after, times ten for compaction.  Good to the end of the process, but of
 * one call at a time.
 */
extern const StoreCall *forest_store_call(Oid server_oid, StoreCaller caller);

/*
 * Whether it has to be found out yet if the store, which is open, honours the
 * conditions of conditional puts; and what came of it, for all processes.
 */
extern bool forest_store_conditions_unknown(Oid server_oid);
extern void forest_store_note_conditions(Oid server_oid, bool honoured);

/*
 * Whether runs of this server live inside the data directory and the server
 * has not said that standbys and backups share them (option shared).
 */
extern bool forest_store_is_embedded(Oid server_oid);

#endif							/* FOREST_STORE_H */
