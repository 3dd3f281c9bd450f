/*
 * fdw_scan.h
 *		Executing scans.
 */
#ifndef FDW_SCAN_H
#define FDW_SCAN_H

#include "postgres.h"

#include "access/parallel.h"
#include "fdw/fdw_meter.h"
#include "nodes/execnodes.h"

extern void fdw_scan_begin(ForeignScanState *node, int eflags);
extern TupleTableSlot *fdw_scan_iterate(ForeignScanState *node);
extern void fdw_scan_rescan(ForeignScanState *node);
extern void fdw_scan_end(ForeignScanState *node);

/*
 * For scans of which several are asked for their first rows at once (fdw_async.h).
 * wait: it has not begun and waits, or false.  go: it begins, and all that wait in the
 * same execution with it: what they need first is asked of their stores together.
 */
extern bool fdw_scan_wait(ForeignScanState *node);
extern void fdw_scan_go(ForeignScanState *node);

/* NULL: the scan was not begun. */
extern const FdwMeter *fdw_scan_meter(ForeignScanState *node);

/* For a scan that several processes do together: fdw_parallel.h. */
extern Size fdw_scan_shared_bytes(ForeignScanState *node, ParallelContext *pcxt);
extern void fdw_scan_share(ForeignScanState *node, ParallelContext *pcxt, void *shared);
extern void fdw_scan_share_again(ForeignScanState *node, ParallelContext *pcxt, void *shared);
extern void fdw_scan_shutdown(ForeignScanState *node);
extern void fdw_scan_join(ForeignScanState *node, shm_toc *toc, void *shared);

#endif							/* FDW_SCAN_H */
