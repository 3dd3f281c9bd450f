/*
 * compact_warm.h
 *		Brings into the cache what readers will want of a compaction's outputs,
 *		before they are published.
 */
#ifndef COMPACT_WARM_H
#define COMPACT_WARM_H

#include "postgres.h"

#include "lsm/lsm_compact.h"
#include "worker/compact_plan.h"

/*
 * The tails of all outputs, and the blocks that hold what cached blocks of the
 * inputs held: no more than those.  Outside a transaction.  If the store does
 * not answer, readers load what they need themselves; only a cancel is raised.
 */
extern void compact_warm(const CompactPlan *plan, const LsmResult *result);

#endif							/* COMPACT_WARM_H */
