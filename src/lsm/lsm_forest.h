/*
 * lsm_forest.h
 *		All live runs of a vault as one snapshot sees them, and for each table
 *		the order in which they are asked.
 *
 * Pure data: built from registry rows, never changed after lsm_forest_finish.
 * The order is invariant 1: level 0 (WAL runs and buffer runs) by sequence,
 * newest first, then level 1, level 2, and so on.  A run speaks only for the
 * tables it lists, within the key range it lists for them, and not at all for
 * a table whose floor is at or above its highest sequence.
 *
 * Memory comes from the given allocator and is released with it as a whole or
 * by lsm_forest_free.
 */
#ifndef LSM_FOREST_H
#define LSM_FOREST_H

#include "base/sv_alloc.h"
#include "base/sv_status.h"
#include "lsm/lsm_group.h"
#include "lsm/lsm_run.h"

typedef struct LsmFloor
{
	int32_t		table_id;
	int64_t		floor_seq;		/* runs with seq_hi <= floor_seq hold nothing of the table */
	bool		is_own;			/* set by the reading transaction itself */
} LsmFloor;

/* One run in a table's lookup order. */
typedef struct LsmSourceRun
{
	const LsmRun *run;
	const LsmPart *part;
} LsmSourceRun;

typedef struct LsmForest LsmForest;

extern SvStatus lsm_forest_create(LsmForest **forest, const SvAlloc *alloc, SvError *err);

/* Both copy what they are given, strings and keys included. */
extern SvStatus lsm_forest_add_run(LsmForest *forest, const LsmRun *run, SvError *err);
extern SvStatus lsm_forest_add_floor(LsmForest *forest, const LsmFloor *floor, SvError *err);

/*
 * Sorts, indexes and checks: SV_CORRUPT if two level-0 runs of a table have
 * overlapping sequences (unless they have the same sequences and disjoint
 * keys: the files of one load), or two runs of a level overlap by key.
 */
extern SvStatus lsm_forest_finish(LsmForest *forest, SvError *err);
extern void lsm_forest_free(LsmForest *forest);

/*
 * A copy of a finished forest in one piece of memory of lsm_forest_copy_bytes
 * bytes, aligned to 8.  It points nowhere else, is never freed by itself, and
 * is good for every process that sees the memory at the same address.
 */
extern size_t lsm_forest_copy_bytes(const LsmForest *forest);
extern LsmForest *lsm_forest_copy(const LsmForest *forest, void *memory);

extern int	lsm_forest_run_count(const LsmForest *forest);
extern const LsmRun *lsm_forest_run(const LsmForest *forest, int index);

/* NULL if no live run has this id. */
extern const LsmRun *lsm_forest_find_run(const LsmForest *forest, int64_t run_id);

/* The highest seq_hi of all runs; 0 if there is none. */
extern int64_t lsm_forest_newest_seq(const LsmForest *forest);

/* NULL if the table has no floor. */
extern const LsmFloor *lsm_forest_floor(const LsmForest *forest, int32_t table_id);

/*
 * The table's runs in lookup order, floor applied; *count is 0 if there is
 * none.  Runs that no key can tell apart in that order, as those of a level,
 * are sorted by key.
 */
extern const LsmSourceRun *lsm_forest_sources(const LsmForest *forest, int32_t table_id, int *count);

/* The same runs as groups (lsm_group.h), in lookup order. */
extern const LsmGroup *lsm_forest_groups(const LsmForest *forest, int32_t table_id, int *count);

/*
 * How many of the groups, the first ones, are of runs that the reading transaction
 * has registered itself.  They go before what others have in the delta.
 */
extern int	lsm_forest_own_groups(const LsmForest *forest, int32_t table_id);

#endif							/* LSM_FOREST_H */
