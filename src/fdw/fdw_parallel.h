/*
 * fdw_parallel.h
 *		Scans that several processes share: slices of the keys, and who scans which.
 *
 * The leader cuts the keys between the first and the last range of the scan into slices
 * before the workers start; each process takes the next slice until there is none, and
 * scans what its ranges have of it, delta and runs merged, under the leader's snapshot.
 * So each key is scanned by one process, whatever the cuts are.
 *
 * What the transaction itself has changed, workers see as the leader does: the snapshot,
 * the transaction's ids and its commands' are handed to them, and all that says which
 * rows and runs there are is in tables.
 */
#ifndef FDW_PARALLEL_H
#define FDW_PARALLEL_H

#include "postgres.h"

#include "fdw/fdw_meter.h"
#include "fdw/fdw_targets.h"
#include "forest/forest_table.h"
#include "nodes/pathnodes.h"
#include "port/atomics.h"
#include "storage/spin.h"
#include "utils/snapshot.h"

/* In dynamic shared memory. */
typedef struct FdwParallel
{
	pg_atomic_uint32 next;		/* slice to be taken next */
	uint32		nslices;
	uint64		bytes;			/* that all of them read, before compression */
	slock_t		lock;			/* of meter: what workers have told of their work, and the leader not yet taken */
	FdwMeter	meter;
	char		cuts[FLEXIBLE_ARRAY_MEMBER];	/* nslices - 1 keys, each a uint32 length and the bytes */
} FdwParallel;

/* A slice that a process has taken; a bound that is not there is open. */
typedef struct FdwSlice
{
	uint32		number;
	FdwRange	keys;
} FdwSlice;

extern Size fdw_parallel_bytes(void);

/* Before all else, once. */
extern void fdw_parallel_init(FdwParallel *parallel);

/* The leader's: makes slices for so many processes, none of them taken. */
extern void fdw_parallel_begin(FdwParallel *parallel, const ForestTable *table, Snapshot snapshot,
							   const FdwTargets *targets, int nprocesses);

/* False: all are taken.  The slice's keys point into the shared memory. */
extern bool fdw_parallel_take(FdwParallel *parallel, FdwSlice *slice);

/* A worker tells what it has done; the leader adds what workers have told to what it has done itself. */
extern void fdw_parallel_tell(FdwParallel *parallel, const FdwMeter *meter);
extern void fdw_parallel_collect(FdwParallel *parallel, FdwMeter *meter);

/* What the range has of the slice; false: nothing. */
extern bool fdw_parallel_clip(const FdwSlice *slice, FdwRange *range);

/* The first of the ranges, which ascend, that may have something of the slice. */
extern int	fdw_parallel_first_range(const FdwSlice *slice, const FdwTargets *targets);

/*
 * How many workers a scan of so many of the relation's rows is worth; 0: none.  Sets how
 * many processes' work they and the leader do together.
 */
extern int	fdw_parallel_workers(PlannerInfo *root, RelOptInfo *rel, double rows, double *divisor);

#endif							/* FDW_PARALLEL_H */
