/*
 * pg_store_stat.c
 *		See pg_store_stat.h.
 *
 * A server has a place, which it takes with its first request by putting its
 * key there, and which a reset frees.  Who adds to a place that is freed
 * meanwhile adds to nothing, or, if another server has taken it, to that
 * server's: one request in a wrong place is the price for no lock.
 */
#include "postgres.h"

#include "server/pg_store_stat.h"

#include "miscadmin.h"
#include "port/atomics.h"
#include "port/pg_bitutils.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#define WORDS (sizeof(PgStoreStat) / sizeof(uint64))

/* A PgStoreStat, word by word. */
typedef struct StatCell
{
	pg_atomic_uint64 words[WORDS];
} StatCell;

typedef struct StatShared
{
	pg_atomic_uint64 keys[PG_STORE_STAT_SERVERS];	/* database and server; 0: free */
	StatCell	cells[PG_STORE_STAT_SERVERS][STORE_OPERATIONS][STORE_CALLERS];
} StatShared;

static StatShared *shared = NULL;
static PgStoreUse use;

void
pg_store_stat_shmem_request(void)
{
	RequestAddinShmemSpace(MAXALIGN(sizeof(StatShared)));
}

static void
init_cell(StatCell *cell)
{
	for (int i = 0; i < WORDS; i++)
		pg_atomic_init_u64(&cell->words[i], 0);
}

void
pg_store_stat_shmem_startup(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("skyvault store statistics", sizeof(StatShared), &found);
	if (!found)
	{
		StatCell   *cells = &shared->cells[0][0][0];

		for (int i = 0; i < PG_STORE_STAT_SERVERS; i++)
			pg_atomic_init_u64(&shared->keys[i], 0);
		for (int i = 0; i < PG_STORE_STAT_SERVERS * STORE_OPERATIONS * STORE_CALLERS; i++)
			init_cell(&cells[i]);
	}
	LWLockRelease(AddinShmemInitLock);
}

static uint64
key_of(Oid server_oid)
{
	return ((uint64) MyDatabaseId << 32) | server_oid;
}

/* The server's place, or -1. */
static int
find_place(uint64 key)
{
	static int	guess = 0;

	if (pg_atomic_read_u64(&shared->keys[guess]) == key)
		return guess;
	for (int i = 0; i < PG_STORE_STAT_SERVERS; i++)
	{
		if (pg_atomic_read_u64(&shared->keys[i]) == key)
			return guess = i;
	}
	return -1;
}

/* Two processes may take a place each for one server: sums are over all of its places. */
static int
take_place(uint64 key)
{
	for (int i = 0; i < PG_STORE_STAT_SERVERS; i++)
	{
		uint64		expected = 0;

		if (pg_atomic_compare_exchange_u64(&shared->keys[i], &expected, key) || expected == key)
			return i;
	}
	return -1;
}

static bool
is_error(SvStatus status)
{
	return status != SV_OK && status != SV_NOT_FOUND && status != SV_EXISTS && status != SV_CANCELLED;
}

static int
bucket_of(uint64 latency_us)
{
	return latency_us <= 1 ? 0 : Min(pg_leftmost_one_pos64(latency_us), PG_STORE_STAT_BUCKETS - 1);
}

static void
count_use(const StoreRequest *request)
{
	use.gets += request->operation == STORE_GET;
	use.puts += request->operation == STORE_PUT;
	use.bytes_read += request->bytes_in;
	use.bytes_written += request->bytes_out;
}

const PgStoreUse *
pg_store_stat_use(void)
{
	return &use;
}

void
pg_store_stat_count(Oid server_oid, const StoreRequest *request)
{
	uint64		key = key_of(server_oid);
	int			place = find_place(key);
	PgStoreStat add = {.requests = 1};
	StatCell   *cell;

	count_use(request);
	if (place < 0)
		place = take_place(key);
	if (place < 0)
		return;
	add.errors = is_error(request->status);
	add.retries = request->retry;
	add.hedges = request->hedge;
	add.bytes_in = request->bytes_in;
	add.bytes_out = request->bytes_out;
	add.latency_us = request->latency_us;
	add.buckets[bucket_of(request->latency_us)] = 1;

	cell = &shared->cells[place][request->operation][request->caller];
	for (int i = 0; i < WORDS; i++)
	{
		uint64		value = ((uint64 *) &add)[i];

		if (value > 0)
			pg_atomic_fetch_add_u64(&cell->words[i], value);
	}
}

bool
pg_store_stat_read(Oid server_oid, StoreOperation operation, StoreCaller caller, PgStoreStat *stat)
{
	uint64		key = key_of(server_oid);

	memset(stat, 0, sizeof(PgStoreStat));
	for (int i = 0; i < PG_STORE_STAT_SERVERS; i++)
	{
		if (pg_atomic_read_u64(&shared->keys[i]) != key)
			continue;
		for (int word = 0; word < WORDS; word++)
			((uint64 *) stat)[word] += pg_atomic_read_u64(&shared->cells[i][operation][caller].words[word]);
	}
	return stat->requests > 0;
}

/* Counters first: who takes the place finds none of ours. */
static void
free_place(int place)
{
	StatCell   *cells = &shared->cells[place][0][0];

	for (int i = 0; i < STORE_OPERATIONS * STORE_CALLERS; i++)
		for (int word = 0; word < WORDS; word++)
			pg_atomic_write_u64(&cells[i].words[word], 0);
	pg_write_barrier();
	pg_atomic_write_u64(&shared->keys[place], 0);
}

void
pg_store_stat_reset(Oid server_oid)
{
	for (int i = 0; i < PG_STORE_STAT_SERVERS; i++)
	{
		uint64		key = pg_atomic_read_u64(&shared->keys[i]);

		if (key != 0 && key >> 32 == MyDatabaseId && (!OidIsValid(server_oid) || key == key_of(server_oid)))
			free_place(i);
	}
}
