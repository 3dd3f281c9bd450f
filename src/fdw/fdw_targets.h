/*
 * fdw_targets.h
 *		From the key conditions of a scan to the keys or key ranges to read.
 */
#ifndef FDW_TARGETS_H
#define FDW_TARGETS_H

#include "postgres.h"

#include "base/sv_slice.h"
#include "fdw/fdw_quals.h"
#include "forest/row_shape.h"
#include "nodes/execnodes.h"

typedef struct FdwKeyCondition
{
	int			key;			/* index of the key column */
	FdwKeyKind	kind;
	bool		begins;			/* another alternative */
	Oid			type;			/* of the operand */
	ExprState  *operand;
} FdwKeyCondition;

/* low <= key < high; a bound that is not there is open. */
typedef struct FdwRange
{
	bool		has_low;
	bool		has_high;
	SvSlice		low;
	SvSlice		high;
} FdwRange;

/* What to read, without repetition: ascending, or descending if backward. */
typedef struct FdwTargets
{
	bool		are_points;		/* whole keys, else ranges */
	bool		inexact;		/* rows may come up that do not meet the conditions */
	int			n;
	SvSlice    *points;
	FdwRange   *ranges;
} FdwTargets;

/* The scan's key conditions, palloc'd, of the lists in its plan (fdw_plan.h); *n: how many. */
extern FdwKeyCondition *fdw_conditions_init(ForeignScanState *node, int *n);

/*
 * Evaluates the operands, in the expression context's per-tuple memory, and
 * makes the targets, in CurrentMemoryContext.  The conditions are those of
 * fdw_quals_usable, in its order, as fdw_quals_split splits them.  Without any,
 * the target is one range without bounds.  What several alternatives select is
 * there once; if not all of it are points, as ranges.
 */
extern void fdw_targets_build(Relation relation, const FdwKeyCondition *conditions,
							  int nconditions, bool backward, ExprContext *econtext,
							  FdwTargets *targets);

/*
 * Makes of a value with which a key column is compared one of the column's type,
 * both base types: other ones are integers.  False: no value of the column is equal.
 */
extern bool fdw_targets_convert(Oid column_type, Oid type, Datum *value);

#endif							/* FDW_TARGETS_H */
