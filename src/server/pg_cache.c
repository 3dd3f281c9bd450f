/*
 * pg_cache.c
 *		Memory, condition variables and processes for the shared caches.
 *
 * A process's slot in the guard is its PGPROC's number.  A backend that ends
 * leaves the slot outside the guard, because nothing between entering and
 * leaving can raise an error; one that is killed takes the whole shared memory
 * with it.
 */
#include "postgres.h"

#include "server/pg_cache.h"

#include <unistd.h>

#include "base/sv_hash.h"
#include "miscadmin.h"
#include "server/pg_compat.h"
#include "server/pg_settings.h"
#include "server/pg_status.h"
#include "server/pg_wait.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/pg_shmem.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/wait_event.h"

/* How soon a waiter notices that it was cancelled. */
#define WAIT_STEP_MS 50

#define REGION_ALIGN 4096

typedef struct CacheShared
{
	BlockCache *blocks;
	TailCache  *tails;
	CacheGuard *guard;
	ConditionVariable channels[CACHE_WAIT_CHANNELS];
} CacheShared;

static CacheShared *shared = NULL;

/* Memory of the caches at other addresses, at which they use it; at is NULL if it is not. */
typedef struct SecondMapping
{
	void	   *at;
	size_t		bytes;
} SecondMapping;

static SecondMapping blocks_again;
static SecondMapping tails_again;

static RunCaches caches;
static bool caches_ready = false;

static size_t
cache_bytes(void)
{
	return (size_t) setting_cache_size_kb * 1024;
}

static size_t
tail_bytes(void)
{
	return (size_t) setting_tail_cache_size_kb * 1024;
}

/* Every process that can have a PGPROC of its own. */
static uint32
guard_slots(void)
{
	return MaxBackends + NUM_AUXILIARY_PROCS;
}

static void
check_sizes(void)
{
	long		pages = sysconf(_SC_PHYS_PAGES);
	long		page_bytes = sysconf(_SC_PAGESIZE);
	size_t		wanted = cache_bytes() + tail_bytes();
	size_t		have;

	if (pages <= 0 || page_bytes <= 0)
		return;
	have = (size_t) pages * page_bytes;
	if (wanted > have)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("skyvault's caches of %zu MB are larger than this machine's memory of %zu MB",
						wanted >> 20, have >> 20),
				 errhint("Lower skyvault.cache_size or skyvault.tail_cache_size.")));
}

/* A region, its pages, and what it takes to begin where a piece does. */
static size_t
paged_room(size_t bytes)
{
	return cache_pages_bytes(bytes) + CACHE_PIECE_BYTES + bytes;
}

void
pg_cache_shmem_request(void)
{
	check_sizes();
	RequestAddinShmemSpace(MAXALIGN(sizeof(CacheShared)));
	RequestAddinShmemSpace(cache_guard_bytes(guard_slots()) + REGION_ALIGN);
	RequestAddinShmemSpace(paged_room(block_cache_region_bytes(cache_bytes())));
	RequestAddinShmemSpace(paged_room(tail_cache_region_bytes(tail_bytes())));
}

static void *
region(const char *name, size_t bytes)
{
	bool		found;

	return (void *) TYPEALIGN(REGION_ALIGN, ShmemInitStruct(name, bytes + REGION_ALIGN, &found));
}

/*
 * Of the postmaster, before it makes shared memory anew: what is mapped twice would
 * stay as long as the second mapping does.
 */
static void
unmap(int code, Datum arg)
{
	SecondMapping *mapping = (SecondMapping *) DatumGetPointer(arg);

	cache_pages_unmap(mapping->at, mapping->bytes);
}

/* The memory once more, where it can have huge pages; NULL: it is not mapped a second time. */
static uint8 *
map_again(void *memory, size_t bytes, SecondMapping *mapping)
{
#ifndef EXEC_BACKEND
	if (setting_cache_huge_pages && shared_memory_type == SHMEM_TYPE_MMAP)
		mapping->at = cache_pages_map(memory, bytes);
	mapping->bytes = bytes;
	if (mapping->at != NULL)
		on_shmem_exit(unmap, PointerGetDatum(mapping));
#endif
	return mapping->at;
}

/* A region in huge pages, if they are to be had: else *pages is NULL. */
static void *
paged_region(const char *name, size_t bytes, SecondMapping *mapping, CachePages **pages)
{
	bool		found;
	uint8	   *memory = ShmemInitStruct(name, paged_room(bytes), &found);
	uint8	   *again;
	void	   *at;

	*mapping = (SecondMapping) {0};
	*pages = NULL;
	again = map_again(memory, paged_room(bytes), mapping);
	if (again == NULL)
		return (void *) TYPEALIGN(REGION_ALIGN, memory);
	at = (void *) TYPEALIGN(CACHE_PIECE_BYTES, again + cache_pages_bytes(bytes));
	*pages = cache_pages_init(again, at, bytes);
	return at;
}

void
pg_cache_shmem_startup(void)
{
	CachePages *pages;
	void	   *at;
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("skyvault caches", sizeof(CacheShared), &found);
	if (!found)
	{
		shared->guard = cache_guard_init(region("skyvault cache guard", cache_guard_bytes(guard_slots())),
										 guard_slots());
		at = paged_region("skyvault block cache", block_cache_region_bytes(cache_bytes()), &blocks_again, &pages);
		shared->blocks = block_cache_init(at, cache_bytes(), pages);
		at = paged_region("skyvault tail cache", tail_cache_region_bytes(tail_bytes()), &tails_again, &pages);
		shared->tails = tail_cache_init(at, tail_bytes(), shared->guard, pages);
		for (int i = 0; i < CACHE_WAIT_CHANNELS; i++)
			ConditionVariableInit(&shared->channels[i]);
	}
	LWLockRelease(AddinShmemInitLock);
}

static void
wait_prepare(void *state, uint32_t channel)
{
	ConditionVariablePrepareToSleep(&shared->channels[channel]);
}

/* Interrupts are held, so that nothing is thrown through the layers below, and looked at afterwards. */
static SvStatus
wait_sleep(void *state, uint32_t channel, SvError *err)
{
	HOLD_INTERRUPTS();
	(void) ConditionVariableTimedSleep(&shared->channels[channel], WAIT_STEP_MS, pg_wait_load_event());
	RESUME_INTERRUPTS();
	pg_wait_absorb_barrier();
	if (pg_status_must_stop())
		return sv_fail(err, SV_CANCELLED, "cancelled while another process reads a block");
	return SV_OK;
}

static void
wait_cancel(void *state, uint32_t channel)
{
	ConditionVariableCancelSleep();
}

static void
wait_wake(void *state, uint32_t channel)
{
	ConditionVariableBroadcast(&shared->channels[channel]);
}

RunCaches *
pg_caches(void)
{
	if (unlikely(!caches_ready))
	{
		caches.guard = shared->guard;
		caches.blocks = shared->blocks;
		caches.tails = shared->tails;
		caches.slot = compat_proc_number();
		caches.waiter = (CacheWaiter) {
			.prepare = wait_prepare,.sleep = wait_sleep,.cancel = wait_cancel,.wake = wait_wake
		};
		run_caches_init(&caches);
		caches_ready = true;
	}
	return &caches;
}

uint64
pg_cache_block_bytes(void)
{
	BlockCacheStats stats;

	block_cache_stats(pg_caches()->blocks, &stats);
	return stats.frames * SST_FRAME_BYTES;
}

CacheRunId
pg_cache_run_id(const char *object)
{
	uint64_t	seed[2] = {MyDatabaseId, 0};
	uint64_t	hash[2];
	size_t		len = strlen(object);
	uint8	   *bytes = palloc(sizeof(seed) + len);

	memcpy(bytes, seed, sizeof(seed));
	memcpy(bytes + sizeof(seed), object, len);
	sv_hash128(sv_slice(bytes, sizeof(seed) + len), hash);
	pfree(bytes);
	return (CacheRunId) {.hi = hash[0],.lo = hash[1]};
}
