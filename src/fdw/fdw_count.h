/*
 * fdw_count.h
 *		Executing scans that hand out one row: how many rows there are (fdw_upper.h).
 */
#ifndef FDW_COUNT_H
#define FDW_COUNT_H

#include "postgres.h"

#include "nodes/execnodes.h"

/* Whether the scan is one of these; all callbacks of scans have to ask. */
static inline bool
fdw_count_is(const ForeignScanState *node)
{
	return ((const Scan *) node->ss.ps.plan)->scanrelid == 0;
}

extern void fdw_count_begin(ForeignScanState *node);
extern TupleTableSlot *fdw_count_iterate(ForeignScanState *node);
extern void fdw_count_rescan(ForeignScanState *node);
extern void fdw_count_end(ForeignScanState *node);

/* The index in the range table of what is counted. */
extern Index fdw_count_relation(const ForeignScanState *node);

#endif							/* FDW_COUNT_H */
