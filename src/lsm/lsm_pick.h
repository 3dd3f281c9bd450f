/*
 * lsm_pick.h
 *		Which runs of one table go down, or are rewritten, together.
 *
 * Each function appends plans to *plans, or none if the claims or the order of
 * entries (see lsm_choose.c) leave nothing: that is no failure.
 */
#ifndef LSM_PICK_H
#define LSM_PICK_H

#include "lsm/lsm_plan.h"

typedef struct LsmPicker
{
	const LsmQuestion *question;
	SvArena    *arena;			/* for what is picked */
	LsmPlans   *plans;
} LsmPicker;

/* Adds a plan of n items, in lookup order. */
extern SvStatus lsm_pick_add(LsmPicker *picker, const LsmPlan *plan, SvError *err);

/*
 * Level 0 -> 1, beginning with the oldest run that can: moves, or one merge.
 * Only runs with seq_lo <= up_to_seq are begun with, and only buffer runs
 * unless WAL runs may be as well; older ones that overlap come along whatever
 * they are.
 */
extern SvStatus lsm_pick_level0(LsmPicker *picker, const LsmView *view, int64_t up_to_seq,
								bool wal_runs, SvError *err);

/* Level n -> n + 1, beginning with the given run, or with the best one if it is NULL. */
extern SvStatus lsm_pick_level(LsmPicker *picker, const LsmView *view, int level,
							   const LsmItem *seed, SvError *err);

/* The item alone, where it is. */
extern SvStatus lsm_pick_rewrite(LsmPicker *picker, const LsmView *view, const LsmItem *item,
								 SvError *err);

/*
 * Runs that overlap, directly or through others, and have not been made one
 * yet; *waits if there are such, but claimed.
 */
extern SvStatus lsm_pick_full(LsmPicker *picker, const LsmView *view, int64_t up_to_seq,
							  bool *waits, SvError *err);

#endif							/* LSM_PICK_H */
