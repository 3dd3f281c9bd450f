/*
 * fdw_cost.h
 *		What the planner is told that things cost, in its own units.
 */
#ifndef FDW_COST_H
#define FDW_COST_H

#include "postgres.h"

#include "optimizer/cost.h"

/* Finding the place of a key, or of a range's begin, in the delta and the runs. */
#define FDW_LOOKUP_COST (20 * cpu_operator_cost)

/* Merging and decoding a row, on top of what every row costs. */
#define FDW_ROW_COST (2 * cpu_operator_cost)

/*
 * A batched join: to set it up, what each batch costs beside its keys, and each
 * key.  A key of a batch is cheaper than one alone, and dearer than a row of a
 * scan and its place in a hash table: so a join that meets the whole table is a
 * hash join, and one of a few rows a nested loop.
 */
#define FDW_JOIN_SETUP_COST (40 * cpu_operator_cost)
#define FDW_JOIN_BATCH_COST FDW_LOOKUP_COST
#define FDW_JOIN_KEY_COST (8 * cpu_operator_cost)

#endif							/* FDW_COST_H */
