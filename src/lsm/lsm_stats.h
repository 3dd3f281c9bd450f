/*
 * lsm_stats.h
 *		What a forest looks like in numbers, for each table and level.  Pure.
 */
#ifndef LSM_STATS_H
#define LSM_STATS_H

#include "base/sv_arena.h"
#include "lsm/lsm_choose.h"

/* One table's runs of a tier and level. */
typedef struct LsmLevelStats
{
	int32_t		table_id;
	LsmTier		tier;
	int			level;
	int			runs;
	uint64_t	bytes;			/* of files; of WAL runs the table's share */
	uint64_t	raw_bytes;		/* before compression */
	uint64_t	entries;
	uint64_t	tombstones;
	uint64_t	expired;		/* estimated, before the time asked for */
	int			depth;			/* the most of these runs that one key can be in */
	double		overlap;		/* bytes of the next level in the same key ranges, for a byte of this */
} LsmLevelStats;

typedef struct LsmForestStats
{
	SvArena		arena;
	int			n;
	LsmLevelStats *rows;		/* by table, then in lookup order: WAL runs, buffer runs, level 1, ... */
} LsmForestStats;

/* Of the question the forest, its tables and expired_before count.  To be freed whatever the answer. */
extern SvStatus lsm_stats_collect(const LsmQuestion *question, LsmForestStats *stats, SvError *err);
extern void lsm_stats_free(LsmForestStats *stats);

#endif							/* LSM_STATS_H */
