/*
 * compact_share.h
 *		A job whose parts (lsm_parts.h) are done by whichever workers are free.
 *
 * The worker that has claimed the job owns it: it alone publishes, as if it
 * had done all of it.  It lays the job open in shared memory (worker_pool.h
 * has the states of the parts; the job and the results lie in a dynamic area
 * that is there as long as somebody looks at it), takes one open part after
 * the other like everybody else, and in the end waits for what others have
 * taken.  Who helps is no owner meanwhile, and waits for nobody; so however
 * many workers own jobs, each of them gets to the end of its own, alone if it
 * must.
 *
 * All of it is of the processes that live: nothing is in the catalogue, and
 * nothing is left of it when a server starts.  A part is open again when who
 * had taken it fails or ends.  After a failure the owner does what is left by
 * itself, so that a failure that stays is the job's.  If the owner goes, the
 * job is gone: others see it the next time they ask, and what they hand in is
 * not taken.
 */
#ifndef COMPACT_SHARE_H
#define COMPACT_SHARE_H

#include "postgres.h"

#include "lsm/lsm_parts.h"
#include "worker/compact_plan.h"
#include "worker/worker_pool.h"

/* ---- For the owner ---- */

/*
 * Lays the job open, and has workers started.  Then compact_share_close has to
 * be called, also after an error.
 */
extern void compact_share_open(const CompactPlan *plan, const LsmParts *parts);

/*
 * The next part to do; waits, interruptibly, while others do the last ones.
 * -1: all are done.
 */
extern int	compact_share_take(void);
extern void compact_share_done(int part);

/*
 * Nobody takes or hands in anything any more.  What was handed in can be read
 * until compact_share_release, which may be called at any time.
 */
extern void compact_share_close(void);
extern void compact_share_release(void);

/* What another worker handed in for the part, into an empty result; false: nobody did. */
extern bool compact_share_result(int part, LsmResult *result);

/* Of the job that was closed last: its parts, and the workers that took one. */
extern void compact_share_counts(int *parts, int *workers);

/* ---- For others ---- */

/* Whether a part of a job of this database is open. */
extern bool compact_share_is_offered(void);

typedef struct ShareOffer
{
	int			owner;			/* its place */
	int64		job_id;
	dsa_handle	handle;			/* of the area: ids of jobs begin anew with the extension */
	dsa_area   *area;
	CompactPlan *plan;			/* of the job, without a store; in a context of its own */
	LsmParts	parts;
} ShareOffer;

/*
 * Looks at a job with an open part, if there is one: false if not, or if it is
 * gone.  Then compact_share_leave has to be called, also after an error.
 */
extern bool compact_share_look(ShareOffer *offer);
extern void compact_share_leave(ShareOffer *offer);

/* A part of the job that is open, which is this worker's then; -1: there is none. */
extern int	compact_share_take_of(ShareOffer *offer);

/* Whether the job is still there. */
extern bool compact_share_is_there(const ShareOffer *offer);

/* The result is the owner's then; false: it wants it no more. */
extern bool compact_share_hand_in(const ShareOffer *offer, int part, const LsmResult *result);

/* After an error: what was taken is left to the owner, and all else. */
extern void compact_share_give_up(const ShareOffer *offer);

#endif							/* COMPACT_SHARE_H */
