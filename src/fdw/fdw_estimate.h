/*
 * fdw_estimate.h
 *		Sizes of tables, rows and key ranges, with and without ANALYZE.
 *
 * Asks the catalogue, the registry and what they say of the delta; never the store.
 */
#ifndef FDW_ESTIMATE_H
#define FDW_ESTIMATE_H

#include "postgres.h"

#include "forest/forest_estimate.h"
#include "nodes/pathnodes.h"
#include "utils/relcache.h"

/*
 * Sets rel->pages, rel->tuples, and the widths of columns without statistics.
 *
 * Fresh counts alone are no better than those of ANALYZE: entries of runs that hide one
 * another count each.  So what ANALYZE has found is taken to be right for the table as
 * it was, in rows per page, and to have grown with the pages; which the planner does for
 * heaps as well.
 */
extern void fdw_estimate_rel(RelOptInfo *rel, Relation relation, const ForestEstimate *estimate);

/*
 * The share of the table's rows in the key ranges that the clauses select, by the first
 * and last keys of runs; -1 if it is not known, or if statistics of the first key column
 * tell more.  The clauses are those of fdw_quals_usable.
 */
extern double fdw_estimate_share(PlannerInfo *root, RelOptInfo *rel, Relation relation,
								 const ForestTable *table, List *usable);

#endif							/* FDW_ESTIMATE_H */
