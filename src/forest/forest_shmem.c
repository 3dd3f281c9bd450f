/*
 * forest_shmem.c
 *		Who is changing the forest: counters in shared memory.
 */
#include "postgres.h"

#include "forest/forest_shmem.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

/* A power of two: databases whose oids fall together share counters. */
#define CHANGE_SLOTS 128

/* In the word `prepared`: the flag, and above it a number that grows with each raise. */
#define PREPARED_UP		UINT64CONST(1)
#define PREPARED_RAISE	UINT64CONST(2)

typedef struct ChangeCounters
{
	pg_atomic_uint64 changes;	/* begun so far */
	pg_atomic_uint64 pending;	/* begun and not ended */
	pg_atomic_uint64 prepared;
} ChangeCounters;

typedef union ChangeSlot
{
	ChangeCounters counters;
	char		pad[PG_CACHE_LINE_SIZE];
} ChangeSlot;

static ChangeSlot *slots = NULL;

/* Of this process's database, once it has one. */
static ChangeCounters *own_counters = NULL;

void
forest_shmem_request(void)
{
	RequestAddinShmemSpace(CACHELINEALIGN(CHANGE_SLOTS * sizeof(ChangeSlot)));
}

void
forest_shmem_startup(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	slots = ShmemInitStruct("skyvault forest changes", CHANGE_SLOTS * sizeof(ChangeSlot), &found);
	for (int i = 0; i < CHANGE_SLOTS && !found; i++)
	{
		pg_atomic_init_u64(&slots[i].counters.changes, 0);
		pg_atomic_init_u64(&slots[i].counters.pending, 0);

		/* Transactions that were prepared before the restart may have changed the forest. */
		pg_atomic_init_u64(&slots[i].counters.prepared, PREPARED_RAISE | PREPARED_UP);
	}
	LWLockRelease(AddinShmemInitLock);
}

static uint32
slot_index(Oid dboid)
{
	return murmurhash32(dboid) % CHANGE_SLOTS;
}

static ChangeCounters *
counters(void)
{
	if (unlikely(own_counters == NULL))
	{
		Assert(OidIsValid(MyDatabaseId));
		own_counters = &slots[slot_index(MyDatabaseId)].counters;
	}
	return own_counters;
}

/* Read-modify-write operations on atomics are full barriers. */
void
forest_changes_begin(void)
{
	pg_atomic_fetch_add_u64(&counters()->pending, 1);
	pg_atomic_fetch_add_u64(&counters()->changes, 1);
}

void
forest_changes_end(void)
{
	pg_atomic_fetch_sub_u64(&counters()->pending, 1);
}

void
forest_changes_note_prepared(void)
{
	uint64		before = pg_atomic_read_u64(&counters()->prepared);

	while (!pg_atomic_compare_exchange_u64(&counters()->prepared, &before,
										   (before + PREPARED_RAISE) | PREPARED_UP))
		;
}

uint64
forest_changes_count(void)
{
	pg_read_barrier();
	return pg_atomic_read_u64(&counters()->changes);
}

bool
forest_changes_all_over(uint64 *count)
{
	*count = pg_atomic_read_u64(&counters()->changes);
	pg_read_barrier();
	if (pg_atomic_read_u64(&counters()->pending) != 0)
		return false;

	/* Only now: who was pending and is prepared has raised the flag before. */
	pg_read_barrier();
	if ((pg_atomic_read_u64(&counters()->prepared) & PREPARED_UP) != 0)
		return false;
	pg_memory_barrier();
	return true;
}

uint64
forest_changes_prepared_mark(void)
{
	uint64		prepared = pg_atomic_read_u64(&counters()->prepared);

	pg_memory_barrier();
	return (prepared & PREPARED_UP) != 0 ? prepared : 0;
}

bool
forest_changes_shared_with(Oid dboid)
{
	return slot_index(dboid) == slot_index(MyDatabaseId);
}

void
forest_changes_clear_prepared(uint64 mark)
{
	(void) pg_atomic_compare_exchange_u64(&counters()->prepared, &mark, mark & ~PREPARED_UP);
}
