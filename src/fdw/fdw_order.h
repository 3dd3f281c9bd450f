/*
 * fdw_order.h
 *		The orders in which a scan can hand out its rows.
 */
#ifndef FDW_ORDER_H
#define FDW_ORDER_H

#include "postgres.h"

#include "fdw/fdw_quals.h"
#include "nodes/pathnodes.h"

typedef struct FdwOrder
{
	bool		backward;
	List	   *pathkeys;
} FdwOrder;

/*
 * A list of FdwOrders.  The first is forward, with whatever pathkeys are of use;
 * those behind it are there because theirs are.
 */
extern List *fdw_order_choices(PlannerInfo *root, RelOptInfo *rel, const FdwKeyColumn *columns, int nkeys);

#endif							/* FDW_ORDER_H */
