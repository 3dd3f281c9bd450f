/*
 * lsm_plan.h
 *		From what was picked to a job with memory of its own.
 */
#ifndef LSM_PLAN_H
#define LSM_PLAN_H

#include "lsm/lsm_view.h"

/* One merge as it was picked. */
typedef struct LsmPlan
{
	const LsmView *view;
	LsmTier		tier;
	int			level;
	bool		is_move;
	int			nitems;
	const LsmItem **items;		/* in lookup order */
} LsmPlan;

typedef struct LsmPlans
{
	LsmJobKind	kind;
	int			n;
	int			room;
	LsmPlan    *plans;			/* ascending by table */
	int			nremoved;		/* runs of which nothing lives */
	const LsmRun **removed;
	const char *reason;
} LsmPlans;

extern SvStatus lsm_plan_job(const LsmQuestion *question, const LsmPlans *plans, LsmJob **job,
							 SvError *err);

#endif							/* LSM_PLAN_H */
