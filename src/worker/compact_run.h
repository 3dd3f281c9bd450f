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
#include "worker/compact_share.h"

typedef struct CompactRun
{
	const CompactPlan *plan;
	const ShareOffer *offer;	/* NULL: the job is this worker's */
	LsmResult	result;			/* what is finished; durable */
	bool		publishing;		/* somebody may have been told of it */

	/* Of a job in parts, until all are done and in the result: those of this worker. */
	int			nparts;
	LsmResult  *parts;
	LsmCompactCounts before;	/* of what was done before the current part */

	/* for compact_run.c */
	StoreUpload *upload;		/* under way, or NULL */
	char	   *object;			/* its name */
	int64		missing;		/* an input whose object the store does not have; 0: none */
} CompactRun;

/*
 * Fills in *run, whose memory is the plan's.  An error is raised, after which
 * run->result still has what was finished: give it to compact_run_discard.
 */
extern void compact_run(CompactRun *run, const CompactPlan *plan);

/*
 * For a part: runs the slices, or all if slices is NULL, into *result.  Raises
 * errors; false if the job is another worker's, and not there any more.
 */
extern bool compact_run_slices(CompactRun *run, const LsmSlice *slices, int nslices, LsmResult *result);

/* Where an input's bytes come from; does not raise errors. */
extern SvStatus compact_run_open_input(void *run, const LsmRun *lsm_run, SstSource *source, SvError *err);
extern void compact_run_close_input(void *run, SstSource *source);

/* Raises what came of reading inputs, or COMPACT_TOO_LATE if one is gone from the registry as well. */
extern void compact_run_report(const CompactRun *run, const SvError *err);

/*
 * Removes from the store what nobody was told of, as long as it answers; what
 * stays is an orphan.  Does not raise errors.
 */
extern void compact_run_discard(CompactRun *run);

#endif							/* COMPACT_RUN_H */
