/*
 * fdw_upper.h
 *		Planning count(*) of a table, or of the keys that conditions select, as one
 *		foreign scan that hands out the number (fdw_count.h).
 *
 * min and max need nothing of the kind: the planner makes them a scan in order with
 * LIMIT 1.
 */
#ifndef FDW_UPPER_H
#define FDW_UPPER_H

#include "postgres.h"

#include "foreign/fdwapi.h"

extern void fdw_upper_paths(PlannerInfo *root, UpperRelationKind stage, RelOptInfo *input_rel,
							RelOptInfo *output_rel, void *extra);

/* The plan of such a path. */
extern ForeignScan *fdw_upper_plan(PlannerInfo *root, ForeignPath *path, List *tlist, Plan *outer_plan);

#endif							/* FDW_UPPER_H */
