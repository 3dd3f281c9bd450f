/*
 * lsm_apply.h
 *		A job's result -> changes of the registry, checked against the forest
 *		as it is now (invariant 3).  Pure.
 *
 * The caller holds the numbering lock and has read forest and tables under a
 * snapshot taken after it, and for each table of the job it has tried the
 * table lock: so what is found here stays so until it commits.
 */
#ifndef LSM_APPLY_H
#define LSM_APPLY_H

#include "lsm/lsm_choose.h"
#include "lsm/lsm_compact.h"

/* What is known of a table of the job now. */
typedef enum LsmTableState
{
	LSM_TABLE_LIVE,
	LSM_TABLE_DROPPED,
	LSM_TABLE_LOCKED			/* its lock was not to be had: nothing may be changed for it */
} LsmTableState;

typedef enum LsmVerdict
{
	LSM_VERDICT_OK,				/* publish what lsm_apply answers; it may be nothing */
	LSM_VERDICT_AGAIN			/* throw the result away and choose anew */
} LsmVerdict;

/* A run whose row stays, with other parts or in another place. */
typedef struct LsmRunChange
{
	int64_t		run_id;
	LsmTier		tier;
	int			level;
	int			nparts;
	const LsmPart *parts;
} LsmRunChange;

typedef struct LsmChanges
{
	SvArena		arena;
	const char *problem;		/* with LSM_VERDICT_AGAIN: why, for the job's row */
	int			nremoved;
	int64_t    *removed;		/* run ids; their objects are garbage */
	int			nchanged;
	LsmRunChange *changed;		/* WAL runs with fewer tables; runs that move */
	int			nadded;
	const LsmRun **added;		/* in the result's memory; ids are the caller's to draw */
	int			nunused;
	const char **unused;		/* objects of outputs that are not registered: garbage at once */
	int			ntables;
	int32_t    *table_ids;		/* whose forest changes, ascending: for the changelog */
	int			nleft_out;
	int32_t    *left_out;		/* tables that were locked, ascending */
} LsmChanges;

typedef struct LsmApplyInput
{
	const LsmJob *job;
	const LsmResult *result;	/* may be NULL for a job of moves and removals */
	const LsmForest *forest;	/* now */
	LsmTableState (*table_state) (void *state, int32_t table_id);
	void	   *state;
	const SvAlloc *alloc;
} LsmApplyInput;

/*
 * Fills in *changes, to be freed with lsm_changes_free whatever the answer,
 * and *verdict.  AGAIN if an input is gone, or no longer has a part that was
 * merged, or a run outside the job overlaps an output in its level, or a
 * level-0 run of the table lies between the sequences of an output, or an
 * older one outside the job overlaps what goes down.
 *
 * A table that was dropped, or whose floor was raised: its outputs are unused,
 * its inputs' parts are removed as far as they are dead.  A table that is
 * locked: its outputs are unused, its parts stay where they are; and so does a run
 * of which the job consumes nothing but parts of locked tables, dead ones included:
 * nobody has its row locked, and who has the table may be removing it.
 */
extern SvStatus lsm_apply(const LsmApplyInput *input, LsmVerdict *verdict, LsmChanges *changes,
						  SvError *err);
extern void lsm_changes_free(LsmChanges *changes);

#endif							/* LSM_APPLY_H */
