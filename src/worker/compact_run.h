/*
 * compact_run.h
 *		Step 2 of a compaction, outside a transaction: reads the inputs and
 *		writes the outputs.
 *
 * Inputs are read past the cache, which a compaction would only flood.
 * Outputs go to the store while they are made.
 */
#ifndef COMPACT_RUN_H
#define COMPACT_RUN_H

#include "postgres.h"

#include "lsm/lsm_compact.h"
#include "worker/compact_plan.h"

typedef struct CompactRun
{
	const CompactPlan *plan;
	LsmResult	result;			/* what is finished; durable */
	bool		publishing;		/* somebody may have been told of it */

	/* for compact_run.c */
	StoreUpload *upload;		/* under way, or NULL */
	char	   *object;			/* its name */
} CompactRun;

/*
 * Fills in *run, whose memory is the plan's.  An error is raised, after which
 * run->result still has what was finished: give it to compact_run_discard.
 */
extern void compact_run(CompactRun *run, const CompactPlan *plan);

/*
 * Removes from the store what nobody was told of, as well as it goes; what
 * stays is an orphan.  Does not raise errors.
 */
extern void compact_run_discard(CompactRun *run);

#endif							/* COMPACT_RUN_H */
