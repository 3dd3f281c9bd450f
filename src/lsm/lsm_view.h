/*
 * lsm_view.h
 *		One table's live parts of runs, as the choice of jobs looks at them.
 */
#ifndef LSM_VIEW_H
#define LSM_VIEW_H

#include "lsm/lsm_choose.h"

typedef struct LsmItem
{
	const LsmRun *run;
	const LsmPart *part;
	uint64_t	bytes;			/* of the file; of a WAL run the part's share of it */
	bool		busy;			/* claimed */
} LsmItem;

/* Points into the question and the arena it was made in. */
typedef struct LsmView
{
	int32_t		table_id;
	const LsmSettings *settings;
	int64_t		floor_seq;		/* 0 for none */
	int			nitems;
	LsmItem    *items;			/* by level; level 0 newest first, others ascending by key */
} LsmView;

/* The ids of all claimed runs, ascending. */
typedef struct LsmBusy
{
	int			n;
	int64_t    *run_ids;
} LsmBusy;

extern SvStatus lsm_busy_collect(LsmBusy *busy, const LsmQuestion *question, SvArena *arena,
								 SvError *err);
extern bool lsm_is_busy(const LsmBusy *busy, int64_t run_id);

extern SvStatus lsm_view_make(LsmView *view, const LsmQuestion *question, const LsmTable *table,
							  const LsmBusy *busy, SvArena *arena, SvError *err);

/* The level's items are count from *first on. */
extern int	lsm_view_level(const LsmView *view, int level, int *first);

/*
 * Of a level above 0 the first item that does not end before the key; *end is
 * one more than its last.
 */
extern int	lsm_view_seek(const LsmView *view, int level, SvSlice key, int *end);

/* The deepest level that has a run. */
extern int	lsm_view_deepest(const LsmView *view);

/* NULL if the table does not exist. */
extern const LsmTable *lsm_find_table(const LsmQuestion *question, int32_t table_id);

/* Whether nothing of the part is to be seen: the table was dropped, or the floor is above the run. */
extern bool lsm_part_is_dead(const LsmQuestion *question, const LsmRun *run, const LsmPart *part);

/* Whether a's entries are newer than b's of the same keys. */
extern bool lsm_item_before(const LsmItem *a, const LsmItem *b);
extern bool lsm_parts_overlap(const LsmPart *a, const LsmPart *b);
extern bool lsm_range_overlaps(const LsmRange *range, const LsmPart *part);

/* Whether a run of the table outside may hold entries older than the item's, in its key range. */
extern bool lsm_view_has_older(const LsmView *view, const LsmItem *item);

/*
 * The share of the item's entries that a rewrite would get rid of: what has
 * expired, and, if nothing older is below it, tombstones.
 */
extern double lsm_item_garbage(const LsmView *view, const LsmItem *item, int64_t expired_before);

/* Whether a job that is running writes into that range of the table's level. */
extern bool lsm_target_is_claimed(const LsmQuestion *question, int32_t table_id, int level,
								  const LsmRange *range);

#endif							/* LSM_VIEW_H */
