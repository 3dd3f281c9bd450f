/*
 * compact_parts.h
 *		Step 2 of a compaction in parts: cuts a job that is worth it, does parts
 *		of it, and parts of other workers' jobs.
 *
 * A part is written as a whole job is, under the job's name (object_name.h),
 * so the sweep of orphans knows whose its objects are.  Who has written it
 * removes it again if it is not taken; what was handed in is the owner's.
 */
#ifndef COMPACT_PARTS_H
#define COMPACT_PARTS_H

#include "postgres.h"

#include "worker/compact_run.h"

/*
 * For the owner of a job, outside a transaction: does it in parts, with what
 * help there is, and puts the results of all together.  False if it is not
 * worth it; nothing is done then.  Errors are raised.
 */
extern bool compact_parts_run(CompactRun *run);

/*
 * After an error: nobody hands in anything any more, and what was is in
 * run->parts.  Raises no errors.
 */
extern void compact_parts_collect(CompactRun *run);

/* For a worker that has no job: does open parts of another's.  Whether it did any.  Raises no errors. */
extern bool compact_parts_help(void);

#endif							/* COMPACT_PARTS_H */
