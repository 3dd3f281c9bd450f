/*
 * run_pick.h
 *		Some blocks of a run, wherever they are, for who looks at them once: for
 *		samples.
 *
 * What is cached is taken from there.  The rest is asked for together, and goes by
 * the cache: nothing is claimed, and nothing is pushed out.
 *
 * Memory is malloc's; nothing longjmps.
 */
#ifndef RUN_PICK_H
#define RUN_PICK_H

#include "cache/run_fetch.h"

/* So many at once, and so many stored bytes of them, but at least one block. */
#define RUN_PICK_MAX 256
#define RUN_PICK_BYTES ((size_t) 8 * 1024 * 1024)

/* Where a settled block is in the buffer. */
typedef struct RunPicked
{
	size_t		at;
	size_t		bytes;
} RunPicked;

/*
 * Replaces raw's content with the first *done of n blocks, which ascend: at least one of
 * them, picked[i] being where blocks[i] is.
 */
extern SvStatus run_scan_pick(RunScan *scan, const RunFetcher *fetcher, const uint32_t *blocks, uint32_t n,
							  SvBuffer *raw, RunPicked *picked, uint32_t *done, SvError *err);

#endif							/* RUN_PICK_H */
