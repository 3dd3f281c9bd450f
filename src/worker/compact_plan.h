/*
 * compact_plan.h
 *		Step 1 of a compaction: a short transaction that chooses a job and
 *		claims it.
 */
#ifndef COMPACT_PLAN_H
#define COMPACT_PLAN_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "forest/forest_storage.h"
#include "forest/forest_vault.h"
#include "lsm/lsm_job.h"
#include "store/object_store.h"

/* How outputs for a table are written. */
typedef struct CompactTable
{
	int32		table_id;
	ForestStorage storage;
} CompactTable;

typedef struct CompactPlan
{
	MemoryContext context;		/* holds all of it */
	SvAlloc		alloc;			/* over it */
	ForestVault vault;
	ObjectStore *store;			/* stays open until it is looked up again */
	const StoreCall *call;		/* how to call it */
	LsmJob	   *job;
	int64		job_id;			/* whose lock this process holds */
	int			attempts;
	int64		expired_before; /* what expired before it may go */
	size_t		read_ahead_bytes;	/* of each open input */
	int			ntables;
	CompactTable *tables;		/* ascending by id; of tables that are gone there is none */
	uint64		request;		/* by hand: its number (compact_request.h); 0: not */
} CompactPlan;

/*
 * For a worker, outside a transaction: the next job of this database, claimed.
 * NULL if there is none.  Errors with a vault are recorded and do not keep
 * other vaults from their turn.  Wakes the scheduler if there is another job
 * besides.
 */
extern CompactPlan *compact_plan_next(void);

/* After compact_plan_next: gives the job's lock back, and the memory. */
extern void compact_plan_free(CompactPlan *plan);

/*
 * For a scheduler, outside a transaction: whether a worker has something to
 * do.  *again_at: when to ask again, if nobody wakes it.
 */
extern bool compact_plan_look(TimestampTz *again_at);

#endif							/* COMPACT_PLAN_H */
