/*
 * pg_store_facts.h
 *		What was found out about stores, for all processes: whether they honour
 *		the conditions of conditional puts.
 *
 * A cache in shared memory, without a lock: what is forgotten, by a restart or
 * for want of room, is found out again.
 */
#ifndef PG_STORE_FACTS_H
#define PG_STORE_FACTS_H

#include "postgres.h"

typedef enum PgStoreFact
{
	STORE_CONDITIONS_UNKNOWN,
	STORE_CONDITIONS_HONOURED,
	STORE_CONDITIONS_IGNORED	/* the store says yes and overwrites */
} PgStoreFact;

/* For shmem_request_hook and shmem_startup_hook. */
extern void pg_store_facts_shmem_request(void);
extern void pg_store_facts_shmem_startup(void);

/* store: a hash of what tells it from others. */
extern PgStoreFact pg_store_fact(uint64 store);
extern void pg_store_fact_set(uint64 store, PgStoreFact fact);

#endif							/* PG_STORE_FACTS_H */
