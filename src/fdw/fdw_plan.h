/*
 * fdw_plan.h
 *		Planning scans: sizes, paths, and what a ForeignScan carries into
 *		execution.
 *
 * Planning asks the catalogue only, never the store.
 */
#ifndef FDW_PLAN_H
#define FDW_PLAN_H

#include "postgres.h"

#include "fdw/fdw_cost.h"
#include "fdw/fdw_quals.h"
#include "foreign/fdwapi.h"

/* Which rows a scan locks before it returns them. */
typedef enum FdwScanLock
{
	FDW_LOCK_NONE,
	FDW_LOCK_ROWS,				/* FOR UPDATE or SHARE */
	FDW_LOCK_FOR_UPDATE_TRIGGERS,	/* if UPDATE fires row triggers, which get the row as OLD */
	FDW_LOCK_FOR_DELETE_TRIGGERS
} FdwScanLock;

/*
 * ForeignScan.fdw_private, a list of integer lists.  The operands of the key
 * conditions are in fdw_exprs, the conditions themselves in
 * fdw_recheck_quals.
 */
enum FdwScanPrivate
{
	FDW_SCAN_NEEDED,			/* attribute numbers to decode; 0 is all of them */
	FDW_SCAN_KEYS,				/* of each operand in fdw_exprs, the index of its key column */
	FDW_SCAN_KINDS,				/* and the FdwKeyKind, with FDW_KEY_BEGINS */
	FDW_SCAN_LOCK,				/* one FdwScanLock */
	FDW_SCAN_MANNER				/* see below */
};

enum FdwScanManner
{
	FDW_MANNER_BACKWARD,		/* 1: against the order of keys */
	FDW_MANNER_WANTED,			/* how many rows will be asked for, as far as the planner knows; 0: all */
	FDW_MANNER_PARENT,			/* by how much the table that it is a member of is before it in the range table; or 0 */
	FDW_MANNER_COUNTS			/* of a scan that counts (fdw_count.h): columns of the row that have the count */
};

extern void fdw_plan_rel_size(PlannerInfo *root, RelOptInfo *rel, Oid relid);
extern void fdw_plan_paths(PlannerInfo *root, RelOptInfo *rel, Oid relid);
extern ForeignScan *fdw_plan_scan(PlannerInfo *root, RelOptInfo *rel, Oid relid,
								  ForeignPath *path, List *tlist, List *scan_clauses,
								  Plan *outer_plan);
extern bool fdw_plan_is_parallel_safe(PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte);

/* Of a relation whose size has been estimated: whether it is for fdw_async.h, its key columns, what its blocks cost. */
extern bool fdw_plan_is_async(const RelOptInfo *rel);
extern const FdwKeyColumn *fdw_plan_key_columns(const RelOptInfo *rel, int *nkeys);
extern const FdwBlockCosts *fdw_plan_block_costs(const RelOptInfo *rel);

#endif							/* FDW_PLAN_H */
