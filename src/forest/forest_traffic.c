/*
 * forest_traffic.c
 *		Places of vaults in shared memory.
 *
 * A place is taken under the lock, and found without it: its key is written
 * before the count of places is raised, with a barrier between, and never
 * changes.
 */
#include "postgres.h"

#include "forest/forest_traffic.h"

#include "miscadmin.h"
#include "server/pg_cache.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#define TRANCHE "skyvault_traffic"

typedef struct TrafficShared
{
	LWLock	   *lock;			/* constant after start-up; for taking places */
	pg_atomic_uint32 n;			/* places taken, from the first on */
	VaultTraffic vaults[TRAFFIC_MAX_VAULTS];
} TrafficShared;

static TrafficShared *shared = NULL;

/* Where the last vault was found; only a guess. */
static uint32 guess = 0;

void
forest_traffic_shmem_request(void)
{
	RequestAddinShmemSpace(MAXALIGN(sizeof(TrafficShared)));
	RequestNamedLWLockTranche(TRANCHE, 1);
}

static void
init_place(VaultTraffic *traffic)
{
	for (int i = 0; i < TRAFFIC_COUNTERS; i++)
	{
		pg_atomic_init_u64(&traffic->counters[i], 0);
		pg_atomic_init_u64(&traffic->base[i], 0);
	}
	pg_atomic_init_u64(&traffic->asked_base, forest_traffic_runs_asked());
	pg_atomic_init_u64(&traffic->found_base, forest_traffic_runs_found());
	pg_atomic_init_u64(&traffic->reset_at, (uint64) GetCurrentTimestamp());
	pg_atomic_init_u64(&traffic->taken, 0);
	pg_atomic_init_u32(&traffic->flush_fails, 0);
	pg_atomic_init_u32(&traffic->compaction_rests, 0);
	pg_atomic_init_u32(&traffic->wal_debt, 0);
	pg_atomic_init_u32(&traffic->level0_debt, 0);
	pg_atomic_init_u32(&traffic->waiting, 0);
}

void
forest_traffic_shmem_startup(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("skyvault traffic", sizeof(TrafficShared), &found);
	if (!found)
	{
		memset(shared, 0, sizeof(TrafficShared));
		shared->lock = &GetNamedLWLockTranche(TRANCHE)->lock;
		pg_atomic_init_u32(&shared->n, 0);
	}
	LWLockRelease(AddinShmemInitLock);
}

static bool
is_place_of(const VaultTraffic *traffic, int32 vault_id)
{
	return traffic->dboid == MyDatabaseId && traffic->vault_id == vault_id;
}

static VaultTraffic *
find_place(int32 vault_id)
{
	uint32		n = pg_atomic_read_u32(&shared->n);

	pg_read_barrier();
	if (guess < n && is_place_of(&shared->vaults[guess], vault_id))
		return &shared->vaults[guess];
	for (uint32 i = 0; i < n; i++)
	{
		if (is_place_of(&shared->vaults[i], vault_id))
		{
			guess = i;
			return &shared->vaults[i];
		}
	}
	return NULL;
}

static VaultTraffic *
take_place(int32 vault_id)
{
	VaultTraffic *traffic;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	traffic = find_place(vault_id);
	if (traffic == NULL && pg_atomic_read_u32(&shared->n) < TRAFFIC_MAX_VAULTS)
	{
		uint32		n = pg_atomic_read_u32(&shared->n);

		traffic = &shared->vaults[n];
		init_place(traffic);
		traffic->dboid = MyDatabaseId;
		traffic->vault_id = vault_id;
		pg_write_barrier();
		pg_atomic_write_u32(&shared->n, n + 1);
	}
	LWLockRelease(shared->lock);
	return traffic;
}

VaultTraffic *
forest_traffic(int32 vault_id, bool make)
{
	VaultTraffic *traffic;

	if (shared == NULL)
		return NULL;
	traffic = find_place(vault_id);
	return traffic == NULL && make ? take_place(vault_id) : traffic;
}

void
forest_traffic_add(int32 vault_id, TrafficCounter counter, uint64 amount)
{
	VaultTraffic *traffic = forest_traffic(vault_id, true);

	if (traffic != NULL)
		pg_atomic_fetch_add_u64(&traffic->counters[counter], (int64) amount);
}

uint64
forest_traffic_get(VaultTraffic *traffic, TrafficCounter counter)
{
	return pg_atomic_read_u64(&traffic->counters[counter]) - pg_atomic_read_u64(&traffic->base[counter]);
}

void
forest_traffic_reset(VaultTraffic *traffic)
{
	for (int i = 0; i < TRAFFIC_COUNTERS; i++)
		pg_atomic_write_u64(&traffic->base[i], pg_atomic_read_u64(&traffic->counters[i]));
	pg_atomic_write_u64(&traffic->asked_base, forest_traffic_runs_asked());
	pg_atomic_write_u64(&traffic->found_base, forest_traffic_runs_found());
	pg_atomic_write_u64(&traffic->reset_at, (uint64) GetCurrentTimestamp());
}

static uint64
cache_counter(CacheCounter counter)
{
	return cache_guard_counter(pg_caches()->guard, counter);
}

static uint64
blocks_looked_at(void)
{
	return cache_counter(CACHE_BLOCK_HIT) + cache_counter(CACHE_BLOCK_MISS) +
		cache_counter(CACHE_BLOCK_WAIT) + cache_counter(CACHE_BLOCK_BYPASS);
}

uint64
forest_traffic_runs_asked(void)
{
	return blocks_looked_at() + cache_counter(CACHE_FILTER_NEGATIVE);
}

uint64
forest_traffic_runs_found(void)
{
	return blocks_looked_at() - cache_counter(CACHE_FILTER_FALSE);
}
