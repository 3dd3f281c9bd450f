/*
 * pg_cache.h
 *		The shared caches of blocks and tails in Postgres's shared memory.
 *
 * Sizes are fixed at server start (skyvault.cache_size, skyvault.tail_cache_size).
 * Nothing in the caches is needed after a restart, and nothing in them is ever
 * invalidated: they are keyed by object names, which are never reused.
 */
#ifndef PG_CACHE_H
#define PG_CACHE_H

#include "postgres.h"

#include "cache/run_reader.h"

/* For shmem_request_hook and shmem_startup_hook.  The first refuses sizes that the machine does not have. */
extern void pg_cache_shmem_request(void);
extern void pg_cache_shmem_startup(void);

/* This process's way to the caches; never NULL. */
extern RunCaches *pg_caches(void);

/* The frames of the block cache, in bytes. */
extern uint64 pg_cache_block_bytes(void);

/* The identity of an object of this database. */
extern CacheRunId pg_cache_run_id(const char *object);

#endif							/* PG_CACHE_H */
