/*
 * forest_pending.h
 *		Bytes that transactions have put into the delta of each vault, until
 *		they are committed: then they count as TRAFFIC_COMMITTED
 *		(forest_traffic.h), which back-pressure is about.
 *
 * What a rolled back savepoint has put is not among them.  A prepared
 * transaction's are kept in shared memory under its name, since another process
 * may end it; they do not survive a restart.
 */
#ifndef FOREST_PENDING_H
#define FOREST_PENDING_H

#include "postgres.h"

/* For shmem_request_hook and shmem_startup_hook; and once, for savepoints. */
extern void forest_pending_shmem_request(void);
extern void forest_pending_shmem_startup(void);
extern void forest_pending_install(void);

/* The current transaction has put so many bytes. */
extern void forest_pending_add(int32 vault_id, uint64 bytes);

/* PREPARE TRANSACTION under this name is about to be done. */
extern void forest_pending_name(const char *gid);

/* The current transaction's end, after it is visible.  None of them fails. */
extern void forest_pending_commit(void);
extern void forest_pending_abort(void);

/* False: they could not be kept, and count already. */
extern bool forest_pending_prepare(void);

/* COMMIT PREPARED or ROLLBACK PREPARED has been done.  Returns how many bytes count now. */
extern uint64 forest_pending_end_prepared(const char *gid, bool committed);

#endif							/* FOREST_PENDING_H */
