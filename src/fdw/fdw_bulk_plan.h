/*
 * fdw_bulk_plan.h
 *		Whether the rows of an INSERT or COPY may be held back until its end.
 *
 * They may if nothing can look for them before: no trigger, nothing that the
 * statement returns or checks, no other part of it that reads the table, no
 * function that could.  Rows that are held back can become a bulk load.
 */
#ifndef FDW_BULK_PLAN_H
#define FDW_BULK_PLAN_H

#include "postgres.h"

#include "nodes/execnodes.h"

/*
 * NULL, or why not, as EXPLAIN says it.  `calls_volatile`: the statement, so far
 * as it was looked at when it was planned, calls a function that may read the
 * table; of a table that rows are routed to, and of COPY, we look here.
 * `on_request`: of skyvault_load, whose query sees the table as it was: it may
 * read it.
 */
extern const char *fdw_bulk_obstacle(ModifyTableState *mtstate, ResultRelInfo *rinfo, bool calls_volatile,
									 bool on_request);

/* Whether the expression or query calls a volatile function that is not Postgres's own. */
extern bool fdw_bulk_calls_volatile(Node *node);

/* Whether a subquery of the statement that has a plan of its own may call one. */
extern bool fdw_bulk_subplans_call(const ModifyTableState *mtstate);

#endif							/* FDW_BULK_PLAN_H */
