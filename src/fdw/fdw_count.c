/*
 * fdw_count.c
 *		See fdw_count.h.
 */
#include "postgres.h"

#include "fdw/fdw_count.h"

#include "access/table.h"
#include "executor/executor.h"
#include "fdw/fdw_lookup.h"
#include "fdw/fdw_meter.h"
#include "fdw/fdw_plan.h"
#include "fdw/fdw_targets.h"
#include "forest/forest_count.h"
#include "miscadmin.h"
#include "server/pg_compat.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* Values of one lookup, about. */
#define BATCH_BYTES (16 * 1024 * 1024)

typedef struct FdwCount
{
	FdwMeter	meter;			/* first: see fdw_scan_meter */
	ForestTable table;			/* a copy: a cursor outlives the statement */
	Relation	relation;
	Snapshot	snapshot;
	int			nconditions;
	FdwKeyCondition *conditions;
	int			ncolumns;		/* of the row, the first so many are the count */
	MemoryContext context;
	bool		done;
} FdwCount;

Index
fdw_count_relation(const ForeignScanState *node)
{
	return bms_singleton_member(compat_scan_relids((const ForeignScan *) node->ss.ps.plan));
}

void
fdw_count_begin(ForeignScanState *node)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	EState	   *estate = node->ss.ps.state;
	FdwCount   *count = palloc0(sizeof(FdwCount));

	node->fdw_state = count;
	fdw_meter_init(&count->meter, estate);
	count->relation = table_open(exec_rt_fetch(fdw_count_relation(node), estate)->relid, AccessShareLock);
	count->snapshot = estate->es_snapshot;
	count->table = *forest_table_seen(forest_table_for_read(RelationGetRelid(count->relation)), count->snapshot);
	count->conditions = fdw_conditions_init(node, &count->nconditions);
	count->ncolumns = list_nth_int(list_nth(plan->fdw_private, FDW_SCAN_MANNER), FDW_MANNER_COUNTS);
	count->context = AllocSetContextCreate(estate->es_query_cxt, "skyvault count", ALLOCSET_DEFAULT_SIZES);
}

void
fdw_count_end(ForeignScanState *node)
{
	FdwCount   *count = node->fdw_state;

	if (count != NULL)
		table_close(count->relation, NoLock);
}

void
fdw_count_rescan(ForeignScanState *node)
{
	FdwCount   *count = node->fdw_state;

	if (count != NULL)
		count->done = false;
}

static int64
count_keys(FdwCount *count, const FdwTargets *targets)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "skyvault batch", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	int			most = FDW_BATCH_KEYS;
	int64		result = 0;
	int			n;

	for (int i = 0; i < targets->n; i += n)
	{
		const ForestValue *values;

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(context);
		n = Min(most, targets->n - i);
		values = fdw_lookup_keys(&count->table, &targets->points[i], n, count->snapshot);
		for (int j = 0; j < n; j++)
			result += values[j].found ? 1 : 0;
		most = fdw_lookup_limit(values, n, BATCH_BYTES, most);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	count->meter.keys += targets->n;
	count->meter.keys_found += result;
	return result;
}

static int64
count_ranges(FdwCount *count, const FdwTargets *targets)
{
	int64		result = 0;

	for (int i = 0; i < targets->n; i++)
	{
		const FdwRange *range = &targets->ranges[i];

		CHECK_FOR_INTERRUPTS();
		result += forest_count(&count->table, count->snapshot, range->has_low ? &range->low : NULL,
							   range->has_high ? &range->high : NULL);
	}
	count->meter.ranges += targets->n;
	count->meter.rows += result;
	return result;
}

static int64
count_rows(ForeignScanState *node, FdwCount *count)
{
	MemoryContext old = MemoryContextSwitchTo(count->context);
	FdwTargets	targets;
	int64		result;

	fdw_targets_build(count->relation, count->conditions, count->nconditions, false,
					  node->ss.ps.ps_ExprContext, &targets);
	if (targets.inexact)
		elog(ERROR, "a count of keys that conditions do not select exactly");
	fdw_meter_begin(&count->meter);
	result = targets.are_points ? count_keys(count, &targets) : count_ranges(count, &targets);
	fdw_meter_end(&count->meter);
	MemoryContextSwitchTo(old);
	MemoryContextReset(count->context);
	return result;
}

TupleTableSlot *
fdw_count_iterate(ForeignScanState *node)
{
	FdwCount   *count = node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
	int64		rows;

	ExecClearTuple(slot);
	if (count->done)
		return slot;
	rows = count_rows(node, count);
	memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts * sizeof(bool));
	for (int i = 0; i < count->ncolumns; i++)
	{
		slot->tts_values[i] = Int64GetDatum(rows);
		slot->tts_isnull[i] = false;
	}
	count->done = true;
	return ExecStoreVirtualTuple(slot);
}
