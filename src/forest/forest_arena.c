/*
 * forest_arena.c
 *		Forests in shared memory.
 *
 * Entries and their places are changed under the lock in exclusive mode; pins
 * are added under it in shared mode, and taken away without it.  So an entry
 * without pins, seen under the exclusive lock, is nobody's.  A forest is copied
 * to its place without the lock, in an entry that is not ready and so found by
 * nobody; copying raises no errors.
 */
#include "postgres.h"

#include "forest/forest_arena.h"

#include "cache/tail_arena.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "server/pg_settings.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#define ARENA_ENTRIES 256
#define ARENA_PAGE_BYTES 1024

#define ARENA_TRANCHE "skyvault forests"

typedef struct ArenaEntry
{
	Oid			dboid;			/* InvalidOid: free */
	ForestKey	key;
	bool		is_ready;
	pg_atomic_uint32 pins;
	pg_atomic_uint64 used;		/* the clock at the last pin */
	const LsmForest *forest;
} ArenaEntry;

typedef struct ForestArena
{
	LWLock	   *lock;
	pg_atomic_uint64 clock;
	TailArena	places;			/* extents have the numbers of entries */
	char	   *pages;
	ArenaEntry	entries[ARENA_ENTRIES];
} ForestArena;

static ForestArena *arena = NULL;

static uint32
page_count(void)
{
	return (uint32) ((Size) setting_forest_size_kb * 1024 / ARENA_PAGE_BYTES);
}

void
forest_arena_shmem_request(void)
{
	RequestAddinShmemSpace(MAXALIGN(sizeof(ForestArena)) + MAXALIGN(tail_arena_bytes(ARENA_ENTRIES)));
	RequestAddinShmemSpace(MAXALIGN((Size) page_count() * ARENA_PAGE_BYTES));
	RequestNamedLWLockTranche(ARENA_TRANCHE, 1);
}

void
forest_arena_shmem_startup(void)
{
	bool		found;
	void	   *extents;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	arena = ShmemInitStruct("skyvault forest arena", sizeof(ForestArena), &found);
	extents = ShmemInitStruct("skyvault forest places", tail_arena_bytes(ARENA_ENTRIES), &found);
	if (!found)
	{
		memset(arena, 0, sizeof(ForestArena));
		arena->lock = &GetNamedLWLockTranche(ARENA_TRANCHE)->lock;
		pg_atomic_init_u64(&arena->clock, 0);
		tail_arena_init(&arena->places, extents, ARENA_ENTRIES, page_count());
		for (int i = 0; i < ARENA_ENTRIES; i++)
		{
			pg_atomic_init_u32(&arena->entries[i].pins, 0);
			pg_atomic_init_u64(&arena->entries[i].used, 0);
		}
	}
	arena->pages = ShmemInitStruct("skyvault forest pages", (Size) page_count() * ARENA_PAGE_BYTES, &found);
	LWLockRelease(AddinShmemInitLock);
}

static bool
entry_has_key(int i, const ForestKey *key)
{
	const ArenaEntry *entry = &arena->entries[i];

	return entry->dboid == MyDatabaseId && entry->key.changelog_id == key->changelog_id &&
		entry->key.vault_id == key->vault_id && entry->key.registry == key->registry;
}

/* Needs the lock. */
static int
find_entry(const ForestKey *key, int guess)
{
	if (guess >= 0 && entry_has_key(guess, key))
		return guess;
	for (int i = 0; i < ARENA_ENTRIES; i++)
		if (entry_has_key(i, key))
			return i;
	return FOREST_ARENA_NONE;
}

/* Needs the lock. */
static void
pin_entry(int entry)
{
	pg_atomic_fetch_add_u32(&arena->entries[entry].pins, 1);
	pg_atomic_write_u64(&arena->entries[entry].used, pg_atomic_fetch_add_u64(&arena->clock, 1));
}

int
forest_arena_pin(const ForestKey *key, int guess, const LsmForest **forest)
{
	int			entry;

	LWLockAcquire(arena->lock, LW_SHARED);
	entry = find_entry(key, guess);
	if (entry >= 0 && !arena->entries[entry].is_ready)
		entry = FOREST_ARENA_NONE;
	if (entry >= 0)
	{
		pin_entry(entry);
		*forest = arena->entries[entry].forest;
	}
	LWLockRelease(arena->lock);
	return entry;
}

/* Frees the entry that nobody uses and that was not used for the longest time.  Needs the lock exclusively. */
static bool
evict_one(void)
{
	int			victim = FOREST_ARENA_NONE;

	for (int i = 0; i < ARENA_ENTRIES; i++)
	{
		ArenaEntry *entry = &arena->entries[i];

		if (!OidIsValid(entry->dboid) || !entry->is_ready || pg_atomic_read_u32(&entry->pins) > 0)
			continue;
		if (victim < 0 ||
			pg_atomic_read_u64(&entry->used) < pg_atomic_read_u64(&arena->entries[victim].used))
			victim = i;
	}
	if (victim < 0)
		return false;
	tail_arena_remove(&arena->places, victim);
	arena->entries[victim].dboid = InvalidOid;
	return true;
}

static int
free_entry(void)
{
	for (int i = 0; i < ARENA_ENTRIES; i++)
		if (!OidIsValid(arena->entries[i].dboid))
			return i;
	return FOREST_ARENA_NONE;
}

/* An entry with room for so many bytes, or none.  Needs the lock exclusively. */
static int
claim_entry(const ForestKey *key, Size bytes)
{
	Size		pages = (bytes + ARENA_PAGE_BYTES - 1) / ARENA_PAGE_BYTES;
	int			entry;

	if (pages > page_count())
		return FOREST_ARENA_NONE;
	while ((entry = free_entry()) < 0 || !tail_arena_place(&arena->places, entry, (uint32) pages))
		if (!evict_one())
			return FOREST_ARENA_NONE;
	arena->entries[entry].dboid = MyDatabaseId;
	arena->entries[entry].key = *key;
	arena->entries[entry].is_ready = false;
	return entry;
}

int
forest_arena_put(const ForestKey *key, const LsmForest *original, const LsmForest **forest)
{
	Size		bytes = lsm_forest_copy_bytes(original);
	int			entry;

	LWLockAcquire(arena->lock, LW_EXCLUSIVE);
	entry = find_entry(key, FOREST_ARENA_NONE) >= 0 ? FOREST_ARENA_NONE : claim_entry(key, bytes);
	LWLockRelease(arena->lock);
	if (entry < 0)
		return forest_arena_pin(key, FOREST_ARENA_NONE, forest);

	*forest = lsm_forest_copy(original, arena->pages +
							  (Size) arena->places.extents[entry].first * ARENA_PAGE_BYTES);

	LWLockAcquire(arena->lock, LW_EXCLUSIVE);
	arena->entries[entry].forest = *forest;
	arena->entries[entry].is_ready = true;
	pin_entry(entry);
	LWLockRelease(arena->lock);
	return entry;
}

void
forest_arena_unpin(int entry)
{
	pg_atomic_fetch_sub_u32(&arena->entries[entry].pins, 1);
}

ForestArenaStats
forest_arena_stats(void)
{
	ForestArenaStats stats = {.bytes = (uint64) page_count() * ARENA_PAGE_BYTES};

	LWLockAcquire(arena->lock, LW_SHARED);
	for (int i = 0; i < ARENA_ENTRIES; i++)
	{
		const ArenaEntry *entry = &arena->entries[i];

		if (!OidIsValid(entry->dboid))
			continue;
		stats.forests++;
		stats.pinned += pg_atomic_read_u32(&unconstify(ArenaEntry *, entry)->pins) > 0;
		stats.bytes_used += (uint64) arena->places.extents[i].pages * ARENA_PAGE_BYTES;
	}
	LWLockRelease(arena->lock);
	return stats;
}
