/*
 * fdw_scan.h
 *		Executing scans.
 */
#ifndef FDW_SCAN_H
#define FDW_SCAN_H

#include "postgres.h"

#include "nodes/execnodes.h"

extern void fdw_scan_begin(ForeignScanState *node, int eflags);
extern TupleTableSlot *fdw_scan_iterate(ForeignScanState *node);
extern void fdw_scan_rescan(ForeignScanState *node);
extern void fdw_scan_end(ForeignScanState *node);

#endif							/* FDW_SCAN_H */
