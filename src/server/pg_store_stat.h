/*
 * pg_store_stat.h
 *		What was asked of the stores: requests, bytes, time, since the start of
 *		the server or the last reset.
 *
 * Counters in shared memory, per server, operation and caller, added to
 * without a lock; a reader may see a request's bytes and not yet the request.
 * There is room for PG_STORE_STAT_SERVERS servers of all databases; a reset
 * makes room, and requests of servers beyond are not counted.
 */
#ifndef PG_STORE_STAT_H
#define PG_STORE_STAT_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "store/object_store.h"

#define PG_STORE_STAT_SERVERS 128

/* Bucket i: 2^i <= microseconds < 2^(i+1); the first has less too, the last more: 2^25 is half a minute. */
#define PG_STORE_STAT_BUCKETS 26

typedef struct PgStoreStat
{
	uint64		requests;
	uint64		errors;			/* that an object is not there, or is, is no error; nor is a cancelled request */
	uint64		retries;
	uint64		hedges;
	uint64		bytes_in;
	uint64		bytes_out;
	uint64		latency_us;		/* sum */
	uint64		buckets[PG_STORE_STAT_BUCKETS];
} PgStoreStat;

/* Of this process, ever, whatever the server. */
typedef struct PgStoreUse
{
	uint64		gets;
	uint64		bytes_read;
	uint64		puts;
	uint64		bytes_written;
} PgStoreUse;

/* For shmem_request_hook and shmem_startup_hook. */
extern void pg_store_stat_shmem_request(void);
extern void pg_store_stat_shmem_startup(void);

/* A request to the store of this database's server has ended.  Must not fail, nor raise an error. */
extern void pg_store_stat_count(Oid server_oid, const StoreRequest *request);

extern const PgStoreUse *pg_store_stat_use(void);

/* False if there was none. */
extern bool pg_store_stat_read(Oid server_oid, StoreOperation operation, StoreCaller caller,
							   PgStoreStat *stat);

/* Of one server of this database, or of all (InvalidOid). */
extern void pg_store_stat_reset(Oid server_oid);

#endif							/* PG_STORE_STAT_H */
