/*
 * fdw_join_path.h
 *		Planning batched joins: when they are offered, and what they cost.
 */
#ifndef FDW_JOIN_PATH_H
#define FDW_JOIN_PATH_H

#include "postgres.h"

#include "nodes/pathnodes.h"

/* Of set_join_pathlist_hook: adds the paths that join the outer relation with the inner one, if it is a table. */
extern void fdw_join_paths(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outer,
						   RelOptInfo *inner, JoinType type, JoinPathExtraData *extra);

#endif							/* FDW_JOIN_PATH_H */
