/*
 * run_ahead.h
 *		Reading ahead of a scan, in windows that grow.
 *
 * Memory is malloc's; nothing longjmps.
 */
#ifndef RUN_AHEAD_H
#define RUN_AHEAD_H

#include "cache/run_fetch.h"

/*
 * A block for a scan that reads in one direction, as run_block_copy, but with
 * some of those that follow, and of scans that are read together (RunScan) theirs.
 * How many doubles as long as it goes on; the scan's `ahead` says how far.
 */
extern SvStatus run_fetch_ahead(RunScan *scan, uint32_t block, SvBuffer *raw, SvError *err);

#endif							/* RUN_AHEAD_H */
