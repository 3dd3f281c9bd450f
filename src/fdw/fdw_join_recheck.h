/*
 * fdw_join_recheck.h
 *		Joining a row anew that has changed since a batched join returned it.
 *
 * A statement that locks or modifies rows does that (EvalPlanQual): the plan is
 * executed again, with the newest row of the locked or modified table and, of each
 * other one, the row that it was joined with, or none.  So the table is not looked up,
 * as a plain table is not searched: its row comes with the joined one.
 */
#ifndef FDW_JOIN_RECHECK_H
#define FDW_JOIN_RECHECK_H

#include "postgres.h"

#include "fdw/fdw_join_scan.h"

/*
 * Whether it is this one's turn: not in a part of the plan, as a subquery, in which rows
 * are what they are; older minor releases ask for it there as well.
 */
extern bool fdw_join_recheck_is_due(const FdwJoinState *join);

/* Puts the row that is joined anew into the scan tuple; false: there is none. */
extern bool fdw_join_recheck(FdwJoinState *join);

#endif							/* FDW_JOIN_RECHECK_H */
