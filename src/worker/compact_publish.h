/*
 * compact_publish.h
 *		Step 3 of a compaction: the short transaction that replaces the inputs
 *		by the outputs (invariant 3).
 */
#ifndef COMPACT_PUBLISH_H
#define COMPACT_PUBLISH_H

#include "postgres.h"

#include "lsm/lsm_compact.h"
#include "worker/compact_plan.h"

typedef enum CompactPublished
{
	PUBLISH_DONE,				/* committed; the job is done, outputs that are not registered are garbage */
	PUBLISH_LOST,				/* nothing was changed; the job has failed with 40001: choose anew */
	PUBLISH_GONE				/* nothing was changed; the vault or the extension is gone */
} CompactPublished;

/* Begins and ends its transaction.  Waits for no user. */
extern CompactPublished compact_publish(const CompactPlan *plan, const LsmResult *result);

#endif							/* COMPACT_PUBLISH_H */
