/*
 * fdw_join_plan.h
 *		From the path of a batched join to its plan, whose shape is in fdw_join.h.
 */
#ifndef FDW_JOIN_PLAN_H
#define FDW_JOIN_PLAN_H

#include "postgres.h"

#include "fdw/fdw_join_members.h"
#include "fdw/fdw_quals.h"
#include "nodes/extensible.h"
#include "nodes/pathnodes.h"

typedef struct FdwJoinPath
{
	CustomPath	custom;			/* custom_paths: the outer one */
	JoinType	type;
	RelOptInfo *inner;
	FdwJoinMembers members;		/* which it consists of */
	List	   *restrictlist;	/* of the join */
	FdwKeyClause **keys;		/* of each key column, what it is equal to */
	int			wanted;			/* these two: see FdwJoinScalar */
	int			row_bytes;
} FdwJoinPath;

/* CustomPathMethods.PlanCustomPath */
extern Plan *fdw_join_plan(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *tlist,
						   List *clauses, List *custom_plans);

#endif							/* FDW_JOIN_PLAN_H */
