/*
 * lsm_choose.h
 *		Forest, settings and running jobs -> the next job.  Pure: no clock, no
 *		chance, no I/O; the same question has the same answer.
 *
 * What is due most is done first: each kind of debt is measured against its
 * threshold.  Within a level the run goes first that overlaps least of the
 * next for its size, the oldest of equals; within level 0 the oldest.
 *
 * Why a job keeps the forest's order (invariant 1) is at the top of
 * lsm_choose.c; that of two jobs at a time as well.
 */
#ifndef LSM_CHOOSE_H
#define LSM_CHOOSE_H

#include "lsm/lsm_job.h"
#include "lsm/lsm_settings.h"

/* A table that exists, in the snapshot that the forest was read under. */
typedef struct LsmTable
{
	int32_t		id;
	const LsmSettings *settings;
} LsmTable;

typedef struct LsmQuestion
{
	const LsmForest *forest;	/* finished */
	const LsmSettings *settings;	/* of the vault */
	int			ntables;
	const LsmTable *tables;		/* ascending by id: what is not here was dropped */
	int			nclaims;
	const LsmClaim *claims;
	int64_t		expired_before; /* what expired before it may be dropped; INT64_MIN: nothing */
	const SvAlloc *alloc;		/* for the job */
} LsmQuestion;

/*
 * The next job, to be freed with lsm_job_free.  SV_NOT_FOUND if there is
 * nothing to do, or nothing that the claims leave.
 */
extern SvStatus lsm_choose(const LsmQuestion *question, LsmJob **job, SvError *err);

/*
 * By hand, whatever the thresholds say, for what the table had when its newest
 * sequence was up_to_seq.  Not full: the next job that brings its level 0 down
 * to level 1.  Full: the next that leaves every key with one entry or none,
 * tombstones and expired entries gone.  SV_NOT_FOUND when that is so, or when
 * the claims leave nothing: then *waits says whether it is for claims.
 */
extern SvStatus lsm_choose_table(const LsmQuestion *question, int32_t table_id, bool full,
								 int64_t up_to_seq, LsmJob **job, bool *waits, SvError *err);

/*
 * How much is due: the largest of what lsm_choose compares, 1 being a
 * threshold.  For views and back-pressure.
 */
typedef struct LsmDebt
{
	double		wal;
	double		level0;			/* of the table that is worst off */
	double		levels;
} LsmDebt;

extern SvStatus lsm_debt(const LsmQuestion *question, LsmDebt *debt, SvError *err);

#endif							/* LSM_CHOOSE_H */
