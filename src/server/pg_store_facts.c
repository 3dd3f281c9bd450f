/*
 * pg_store_facts.c
 *		See pg_store_facts.h.
 */
#include "postgres.h"

#include "server/pg_store_facts.h"

#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#define PLACES 256
#define FACT_BITS 3				/* the low bits of a place; the others are the store's */

static pg_atomic_uint64 *places = NULL;

void
pg_store_facts_shmem_request(void)
{
	RequestAddinShmemSpace(MAXALIGN(PLACES * sizeof(pg_atomic_uint64)));
}

void
pg_store_facts_shmem_startup(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	places = ShmemInitStruct("skyvault store facts", PLACES * sizeof(pg_atomic_uint64), &found);
	for (int i = 0; i < PLACES && !found; i++)
		pg_atomic_init_u64(&places[i], 0);
	LWLockRelease(AddinShmemInitLock);
}

/* Another store in its place replaces it. */
static pg_atomic_uint64 *
place_of(uint64 store)
{
	return &places[(store >> 32) % PLACES];
}

PgStoreFact
pg_store_fact(uint64 store)
{
	uint64		value = pg_atomic_read_u64(place_of(store));

	return ((value ^ store) & ~(uint64) FACT_BITS) == 0 ? value & FACT_BITS : STORE_CONDITIONS_UNKNOWN;
}

void
pg_store_fact_set(uint64 store, PgStoreFact fact)
{
	pg_atomic_write_u64(place_of(store), (store & ~(uint64) FACT_BITS) | fact);
}
