/*
 * fdw_targets_unite.h
 *		The targets of alternatives as those of one scan.
 */
#ifndef FDW_TARGETS_UNITE_H
#define FDW_TARGETS_UNITE_H

#include "postgres.h"

#include "fdw/fdw_targets.h"

/* What any of the n parts, one at least, has to be read for: ascending, each key once. */
extern void fdw_targets_unite(const FdwTargets *parts, int n, FdwTargets *all);

#endif							/* FDW_TARGETS_UNITE_H */
