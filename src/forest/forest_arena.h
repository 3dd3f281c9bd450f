/*
 * forest_arena.h
 *		Forests in shared memory, so that what a backend has of its own does not
 *		grow with the number of runs.
 *
 * A forest is known by its database, registry and changelog id, and never
 * changes.  A backend pins the ones it uses, and lets go of them at the end of
 * the transaction at the latest; those that nobody uses go when there is no
 * room for another.  When there is none at all, callers keep a copy of their
 * own.  Nothing in it is needed after a restart.
 */
#ifndef FOREST_ARENA_H
#define FOREST_ARENA_H

#include "postgres.h"

#include "lsm/lsm_forest.h"

/* For shmem_request_hook and shmem_startup_hook. */
extern void forest_arena_shmem_request(void);
extern void forest_arena_shmem_startup(void);

/* In this database: which changelog of which vault, and its newest id. */
typedef struct ForestKey
{
	Oid			registry;		/* relation oid of skyvault.run */
	int32		vault_id;
	int64		changelog_id;
} ForestKey;

#define FOREST_ARENA_NONE (-1)

/*
 * The forest, pinned until forest_arena_unpin of the answer; or
 * FOREST_ARENA_NONE if it is not there.  guess: an earlier answer for this key,
 * or FOREST_ARENA_NONE; where to look first.
 */
extern int	forest_arena_pin(const ForestKey *key, int guess, const LsmForest **forest);

/* The same after putting a copy of the forest there, if there is room for it. */
extern int	forest_arena_put(const ForestKey *key, const LsmForest *original, const LsmForest **forest);

/* Must not fail. */
extern void forest_arena_unpin(int entry);

/* For people: forests in the arena, those that are pinned, bytes used and in all. */
typedef struct ForestArenaStats
{
	int			forests;
	int			pinned;
	uint64		bytes_used;
	uint64		bytes;
} ForestArenaStats;

extern ForestArenaStats forest_arena_stats(void);

#endif							/* FOREST_ARENA_H */
