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
#include "base/sv_slice.h"
#include "lsm/lsm_group.h"
#include "sst/sst_entry.h"

/* Stored in the registry: never renumber. */
typedef enum LsmTier
{
	LSM_WAL = 'w',				/* entries of many tables; keys carry the table id */
	LSM_BUFFER = 'b',			/* one table, level 0 */
	LSM_LEVEL = 'l'				/* one table, level 1 and up */
} LsmTier;

/* What a run holds of one table. */
typedef struct LsmPart
{
	int32_t		table_id;
	SvSlice		min_key;		/* without the table id; both ends are keys that exist */
	SvSlice		max_key;
	uint64_t	entries;		/* tombstones included */
	uint64_t	tombstones;
	uint64_t	raw_bytes;		/* keys, without the table id, and values, before compression */
	uint64_t	expiring;		/* values that expire, and the first and last time when one does: */
	int64_t		expires_min;	/* SST_NEVER_EXPIRES, both, if there is none */
	int64_t		expires_max;
} LsmPart;

typedef struct LsmRun
{
	int64_t		id;
	LsmTier		tier;
	int			level;			/* 0 for WAL and buffer runs */
	int64_t		seq_lo;			/* sequences this run speaks for, both inclusive */
	int64_t		seq_hi;
	uint64_t	file_bytes;
	uint64_t	tail_bytes;
	uint64_t	registered_by;	/* transaction id of the publish: ties a run to the rows it flushed */
	const char *object;			/* name in the store */
	uint64_t	identity[2];	/* what caches know the object by; of no meaning here */
	int			nparts;
	LsmPart    *parts;			/* ascending by table_id */
} LsmRun;

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

/* A part of no entries, and one more entry of it: counts, bytes and times.  The keys are the caller's. */
extern void lsm_part_init(LsmPart *part, int32_t table_id);
extern void lsm_part_count(LsmPart *part, const SstEntry *entry);

/*
 * How many of the part's entries have expired before the given time, taking
 * their times to be spread evenly.  Answers of 0 and of all are certain.
 */
extern uint64_t lsm_part_expired(const LsmPart *part, int64_t before);

/* Whether the part's key range holds the key, or touches [low, high); NULL bounds are open. */
extern bool lsm_part_has_key(const LsmPart *part, SvSlice key);
extern bool lsm_part_overlaps(const LsmPart *part, const SvSlice *low, const SvSlice *high);

#endif							/* LSM_FOREST_H */
