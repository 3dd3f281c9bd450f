/*
 * fdw_scan.c
 *		Executing scans: whole keys in batches, key ranges one after the other,
 *		always in key order, or against it.
 *
 * A scan reads under the statement's snapshot.  One that locks rows (for
 * SELECT ... FOR UPDATE, and for UPDATE and DELETE whose row triggers have to
 * get the newest row as OLD) tests the local conditions first, so that it
 * locks no row without need, then locks the key; if the row was changed since
 * the snapshot, the newest one takes its place and has to meet all conditions
 * again.
 */
#include "postgres.h"

#include "fdw/fdw_scan.h"

#include "commands/trigger.h"
#include "executor/executor.h"
#include "fdw/fdw_count.h"
#include "fdw/fdw_lookup.h"
#include "fdw/fdw_meter.h"
#include "fdw/fdw_parallel.h"
#include "fdw/fdw_plan.h"
#include "fdw/fdw_siblings.h"
#include "fdw/fdw_targets.h"
#include "forest/forest_table.h"
#include "forest/forest_write.h"
#include "forest/row_shape.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* Values of one lookup, about. */
#define BATCH_BYTES (16 * 1024 * 1024)

/* Of a lookup for several scans: goes with the last of them that uses it. */
typedef struct FdwAnswers
{
	MemoryContext context;		/* with this in it */
	int			users;
} FdwAnswers;

typedef struct FdwScan
{
	FdwMeter	meter;			/* first: see fdw_scan_meter */
	ForestTable table;			/* a copy: a cursor outlives the statement */
	Snapshot	snapshot;
	FdwRows		rows;
	bool		locks;
	bool		is_target;		/* of the UPDATE or DELETE that it feeds */
	bool		backward;
	int			nconditions;
	FdwKeyCondition *conditions;

	MemoryContext targets_context;	/* until the conditions' values change */
	bool		targets_ready;
	FdwTargets	targets;
	int			next_target;

	FdwParallel *parallel;		/* NULL: not shared with other processes */
	FdwSlice	slice;			/* the last one taken; next_target is in it */
	int			slices;			/* how many were */

	FdwSibling	sibling;
	FdwSibling	asked;			/* among those that were asked for a row and wait */
	bool		begun;			/* a row was produced, or looked for */
	ForestTogether together;	/* scans that have begun with this one */
	ForestTogether *with;		/* what its own ranges are read with; NULL: alone */

	MemoryContext read_context; /* the batch, or the scan of one range */
	ForestScan *range_scan;
	FdwAnswers *answers;		/* that the batch is of; NULL: it is in read_context */
	const ForestValue *batch;
	int			batch_most;
	int			batch_size;		/* for the next batch */
	int			batch_first;	/* target of batch[0] */
	int			batch_count;
	int			batch_next;
} FdwScan;

/* ---- begin and end ---- */

static bool
scan_locks(ForeignScanState *node, ForeignScan *plan)
{
	TriggerDesc *triggers = node->ss.ss_currentRelation->trigdesc;

	switch ((FdwScanLock) linitial_int(list_nth(plan->fdw_private, FDW_SCAN_LOCK)))
	{
		case FDW_LOCK_ROWS:
			return true;
		case FDW_LOCK_FOR_UPDATE_TRIGGERS:
			return triggers != NULL &&
				(triggers->trig_update_before_row || triggers->trig_update_after_row);
		case FDW_LOCK_FOR_DELETE_TRIGGERS:
			return triggers != NULL &&
				(triggers->trig_delete_before_row || triggers->trig_delete_after_row);
		case FDW_LOCK_NONE:
			break;
	}
	return false;
}

/* A scan that is not asked for all rows begins with as many keys as it is asked for. */
static void
begin_manner(ForeignScan *plan, FdwScan *scan)
{
	List	   *manner = list_nth(plan->fdw_private, FDW_SCAN_MANNER);
	int			wanted = list_nth_int(manner, FDW_MANNER_WANTED);

	scan->backward = list_nth_int(manner, FDW_MANNER_BACKWARD) != 0;
	scan->batch_most = FDW_BATCH_KEYS;
	scan->batch_size = wanted > 0 ? Min(wanted, FDW_BATCH_KEYS) : FDW_BATCH_KEYS;
}

/* Whether another scan may look up the keys of this one, once, before it is asked for a row. */
static void
begin_sibling(ForeignScanState *node, ForeignScan *plan, FdwScan *scan)
{
	int			distance = list_nth_int(list_nth(plan->fdw_private, FDW_SCAN_MANNER), FDW_MANNER_PARENT);

	if (distance != 0 && !scan->locks && !scan->is_target && plan->fdw_exprs != NIL &&
		bms_is_empty(plan->scan.plan.allParam) && node->ss.ps.state->es_epq_active == NULL &&
		fdw_cost_is_remote(scan->table.server_oid))
		fdw_sibling_wait(&scan->sibling, node, plan->scan.scanrelid - distance);
}

static void
begin_table(FdwScan *scan, Oid relid)
{
	if (!scan->locks)
	{
		scan->table = *forest_table_seen(forest_table_for_read(relid), scan->snapshot);
		return;
	}
	scan->table = *forest_table_for_write(relid);
	forest_table_check_seen(&scan->table, scan->snapshot);
}

void
fdw_scan_begin(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	EState	   *estate = node->ss.ps.state;
	Oid			relid;
	FdwScan    *scan;

	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	if (fdw_count_is(node))
	{
		fdw_count_begin(node);
		return;
	}

	scan = palloc0(sizeof(FdwScan));
	node->fdw_state = scan;
	relid = RelationGetRelid(node->ss.ss_currentRelation);
	fdw_meter_init(&scan->meter, estate);
	scan->locks = scan_locks(node, plan);
	scan->is_target = ExecRelationIsTargetRelation(node->ss.ps.state, plan->scan.scanrelid);
	scan->snapshot = estate->es_snapshot;
	begin_table(scan, relid);
	scan->conditions = fdw_conditions_init(node, &scan->nconditions);
	fdw_rows_init(&scan->rows, row_shape(node->ss.ss_currentRelation),
				  list_nth(plan->fdw_private, FDW_SCAN_NEEDED));
	scan->targets_context = AllocSetContextCreate(estate->es_query_cxt, "skyvault scan targets",
												  ALLOCSET_DEFAULT_SIZES);
	scan->read_context = AllocSetContextCreate(estate->es_query_cxt, "skyvault scan",
											   ALLOCSET_DEFAULT_SIZES);
	begin_manner(plan, scan);
	begin_sibling(node, plan, scan);
}

static void
stop_reading(FdwScan *scan)
{
	if (scan->range_scan != NULL)
		forest_scan_end(scan->range_scan);
	scan->range_scan = NULL;
	scan->batch_count = 0;
	scan->batch_next = 0;
	if (scan->answers != NULL && --scan->answers->users == 0)
		MemoryContextDelete(scan->answers->context);
	scan->answers = NULL;
	MemoryContextReset(scan->read_context);
}

/* All targets are to be read, or none until a slice is taken. */
static void
begin_targets(FdwScan *scan)
{
	scan->next_target = scan->parallel == NULL ? 0 : scan->targets.n;
	scan->slices = 0;
}

void
fdw_scan_rescan(ForeignScanState *node)
{
	FdwScan    *scan = node->fdw_state;

	if (fdw_count_is(node))
	{
		fdw_count_rescan(node);
		return;
	}
	if (scan == NULL)
		return;
	fdw_sibling_leave(&scan->sibling);
	fdw_sibling_leave(&scan->asked);
	scan->begun = false;
	stop_reading(scan);
	begin_targets(scan);
	if (node->ss.ps.chgParam != NULL)
		scan->targets_ready = false;
}

void
fdw_scan_end(ForeignScanState *node)
{
	FdwScan    *scan = node->fdw_state;

	if (fdw_count_is(node))
	{
		fdw_count_end(node);
		return;
	}
	if (scan == NULL)
		return;
	fdw_sibling_leave(&scan->sibling);
	fdw_sibling_leave(&scan->asked);
	stop_reading(scan);
}

/* ---- reading ---- */

static void
build_targets(ForeignScanState *node, FdwScan *scan)
{
	MemoryContext old;

	MemoryContextReset(scan->targets_context);
	old = MemoryContextSwitchTo(scan->targets_context);
	fdw_targets_build(node->ss.ss_currentRelation, scan->conditions, scan->nconditions,
					  scan->backward, node->ss.ps.ps_ExprContext, &scan->targets);
	MemoryContextSwitchTo(old);
	scan->targets_ready = true;
	begin_targets(scan);
}

/* False: there is none, or the scan is not shared. */
static bool
take_slice(FdwScan *scan)
{
	if (scan->parallel == NULL || !fdw_parallel_take(scan->parallel, &scan->slice))
		return false;
	scan->slices++;
	scan->next_target = scan->targets.are_points ? 0 :
		fdw_parallel_first_range(&scan->slice, &scan->targets);
	return true;
}

static void
read_batch(FdwScan *scan)
{
	int			n = Min(scan->targets.n - scan->next_target, scan->batch_size);
	SvSlice    *keys = &scan->targets.points[scan->next_target];
	MemoryContext old;

	MemoryContextReset(scan->read_context);
	old = MemoryContextSwitchTo(scan->read_context);
	fdw_meter_begin(&scan->meter);
	scan->batch = fdw_lookup_keys(&scan->table, keys, n, scan->snapshot);
	fdw_meter_end(&scan->meter);
	MemoryContextSwitchTo(old);

	scan->meter.keys += n;
	scan->batch_first = scan->next_target;
	scan->batch_count = n;
	scan->batch_next = 0;
	scan->next_target += n;
	scan->batch_most = fdw_lookup_limit(scan->batch, n, BATCH_BYTES, scan->batch_most);
	scan->batch_size = Min(scan->batch_size * 2, scan->batch_most);
}

/* The scan, and those of its siblings whose keys go into one lookup with its own. */
static List *
lookup_members(FdwScan *scan, const FdwSibling *as, int *nkeys)
{
	List	   *members = list_make1(scan);
	ListCell   *cell;

	*nkeys = scan->targets.n;
	foreach(cell, fdw_siblings_waiting(as))
	{
		ForeignScanState *node = lfirst(cell);
		FdwScan    *other = node->fdw_state;

		if (!other->targets_ready)
			build_targets(node, other);
		if (!other->targets.are_points || *nkeys + other->targets.n > FDW_BATCH_KEYS)
			continue;
		*nkeys += other->targets.n;
		members = lappend(members, other);
	}
	return members;
}

/*
 * Looks up all keys of the scan and of those it waits with, so that their stores are asked
 * at once.  False: there are none, or too many.
 */
static bool
read_together(FdwScan *scan, const FdwSibling *as)
{
	EState	   *estate = as->scan->ss.ps.state;
	MemoryContext context;
	MemoryContext old;
	List	   *members;
	const ForestTable **tables;
	const ForestValue *values;
	FdwAnswers *answers;
	SvSlice    *keys;
	ListCell   *cell;
	int			at = 0;
	int			n;

	/* In workers each would do it for all. */
	if (IsInParallelMode() || scan->targets.n > FDW_BATCH_KEYS)
		return false;
	context = AllocSetContextCreate(estate->es_query_cxt, "skyvault lookup for siblings", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	answers = palloc0(sizeof(FdwAnswers));
	answers->context = context;
	members = lookup_members(scan, as, &n);
	tables = palloc(sizeof(ForestTable *) * n);
	keys = palloc(sizeof(SvSlice) * n);
	foreach(cell, members)
	{
		FdwScan    *member = lfirst(cell);

		for (int i = 0; i < member->targets.n; i++, at++)
		{
			tables[at] = &member->table;
			keys[at] = member->targets.points[i];
		}
	}
	fdw_meter_begin(&scan->meter);
	values = list_length(members) == 1 ? NULL :
		forest_batch_get(forest_batch_begin(), tables, false, keys, n, scan->snapshot);
	fdw_meter_end(&scan->meter);
	MemoryContextSwitchTo(old);
	if (values == NULL)
	{
		MemoryContextDelete(context);
		return false;
	}

	at = 0;
	foreach(cell, members)
	{
		FdwScan    *member = lfirst(cell);

		fdw_sibling_leave(&member->sibling);
		fdw_sibling_leave(&member->asked);
		member->begun = true;
		member->answers = answers;
		answers->users++;
		member->batch = values + at;
		member->batch_first = member->batch_next = 0;
		member->batch_count = member->next_target = member->targets.n;
		member->meter.keys += member->targets.n;
		at += member->targets.n;
	}
	return true;
}

static bool
next_point(FdwScan *scan, SvSlice *key, ForestValue *value)
{
	for (;;)
	{
		while (scan->batch_next < scan->batch_count)
		{
			int			i = scan->batch_next++;

			if (!scan->batch[i].found)
				continue;
			*key = scan->targets.points[scan->batch_first + i];
			*value = scan->batch[i];
			scan->meter.keys_found++;
			return true;
		}
		while (scan->next_target >= scan->targets.n)
			if (!take_slice(scan))
				return false;
		if (scan->sibling.waits && scan->next_target == 0 && read_together(scan, &scan->sibling))
			continue;
		fdw_sibling_leave(&scan->sibling);
		read_batch(scan);
	}
}

/* Or, if it is one, a slice's part of it. */
static void
open_range(FdwScan *scan, const FdwRange *range, const ForestScanPart *part)
{
	const SvSlice *low = range->has_low ? &range->low : NULL;
	const SvSlice *high = range->has_high ? &range->high : NULL;
	MemoryContext old;

	MemoryContextReset(scan->read_context);
	old = MemoryContextSwitchTo(scan->read_context);
	scan->range_scan = part != NULL ?
		forest_scan_begin_part(&scan->table, scan->snapshot, low, high, part) :
		forest_scan_begin(&scan->table, scan->snapshot, low, high, scan->backward);
	if (scan->with != NULL)
		forest_scan_join(scan->range_scan, scan->with);
	MemoryContextSwitchTo(old);
	scan->meter.ranges++;
}

static ForestScanPart
part_of_slice(const FdwScan *scan)
{
	uint64		slice_bytes = scan->parallel->bytes / scan->parallel->nslices;

	return (ForestScanPart) {.bytes = scan->parallel->bytes,.went = (scan->slices - 1) * slice_bytes};
}

static bool
next_in_range_unmetered(FdwScan *scan, SvSlice *key, ForestValue *value)
{
	FdwRange	range;

	for (;;)
	{
		if (scan->range_scan != NULL)
		{
			if (forest_scan_next(scan->range_scan, key, value))
				return true;
			forest_scan_end(scan->range_scan);
			scan->range_scan = NULL;
		}
		while (scan->next_target >= scan->targets.n)
			if (!take_slice(scan))
				return false;
		range = scan->targets.ranges[scan->next_target++];
		if (scan->parallel == NULL)
			open_range(scan, &range, NULL);
		else if (fdw_parallel_clip(&scan->slice, &range))
		{
			ForestScanPart part = part_of_slice(scan);

			open_range(scan, &range, &part);
		}
		else
			scan->next_target = scan->targets.n;	/* this one and those behind are of other slices */
	}
}

static bool
next_in_range(FdwScan *scan, SvSlice *key, ForestValue *value)
{
	bool		found;

	fdw_meter_begin(&scan->meter);
	found = next_in_range_unmetered(scan, key, value);
	fdw_meter_end(&scan->meter);
	scan->meter.rows += found;
	return found;
}

/* ---- rows ---- */

/* Datums go to CurrentMemoryContext, which is the executor's per-tuple memory, or are good until the next row. */
static void
store_row(ForeignScanState *node, FdwScan *scan, SvSlice key, const ForestValue *value)
{
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;

	ExecClearTuple(slot);
	fdw_rows_decode(&scan->rows, key, value->value, slot->tts_tupleDescriptor->natts,
					slot->tts_values, slot->tts_isnull);
	ExecStoreVirtualTuple(slot);
}

static bool
meets(ForeignScanState *node, ExprState *conditions)
{
	ExprContext *econtext = node->ss.ps.ps_ExprContext;

	econtext->ecxt_scantuple = node->ss.ss_ScanTupleSlot;
	return ExecQual(conditions, econtext);
}

/*
 * Locks the key of the row in the scan's slot, which becomes the newest one
 * under the key.  False if the row does not belong to the result any more; the
 * executor itself tests the local conditions after this.
 *
 * What the statement itself has put under the key is not for this scan: a
 * target row stays as the snapshot sees it (the modification knows what was
 * done to it), and FOR UPDATE passes it over, as it does in a heap.
 */
static bool
lock_row(ForeignScanState *node, FdwScan *scan, SvSlice key)
{
	ForestValue newest;

	ForestLockResult result;

	if (!meets(node, node->ss.ps.qual))
		return false;
	fdw_meter_begin(&scan->meter);
	result = forest_lock_key(&scan->table, key, scan->snapshot, &newest);
	fdw_meter_end(&scan->meter);
	switch (result)
	{
		case FOREST_UNCHANGED:
			return true;
		case FOREST_CHANGED_BY_SELF:
			return scan->is_target;
		case FOREST_CHANGED:
			break;
	}
	if (!newest.found)
		return false;
	store_row(node, scan, key, &newest);
	return meets(node, node->fdw_recheck_quals);
}

TupleTableSlot *
fdw_scan_iterate(ForeignScanState *node)
{
	FdwScan    *scan = node->fdw_state;
	SvSlice		key;
	ForestValue value;

	if (fdw_count_is(node))
		return fdw_count_iterate(node);
	if (!scan->targets_ready)
		build_targets(node, scan);
	for (;;)
	{
		if (!(scan->targets.are_points ? next_point(scan, &key, &value) :
			  next_in_range(scan, &key, &value)))
			return ExecClearTuple(node->ss.ss_ScanTupleSlot);
		store_row(node, scan, key, &value);
		if ((!scan->targets.inexact || meets(node, node->fdw_recheck_quals)) &&
			(!scan->locks || lock_row(node, scan, key)))
			return node->ss.ss_ScanTupleSlot;

		/* The row was passed over: its memory is not needed, however many follow. */
		ExecClearTuple(node->ss.ss_ScanTupleSlot);
		ResetExprContext(node->ss.ps.ps_ExprContext);
		CHECK_FOR_INTERRUPTS();
	}
}

/* ---- among others that were asked for rows ---- */

bool
fdw_scan_wait(ForeignScanState *node)
{
	FdwScan    *scan = node->fdw_state;

	if (scan->begun)
		return false;
	fdw_sibling_wait(&scan->asked, node, FDW_SIBLINGS_ASKED);
	return true;
}

/* The first ranges of the scan and of those that wait with it. */
static void
open_together(ForeignScanState *node, FdwScan *scan)
{
	List	   *nodes = lcons(node, fdw_siblings_waiting(&scan->asked));
	ForestScan **scans = palloc(list_length(nodes) * sizeof(ForestScan *));
	int			n = 0;
	ListCell   *cell;

	scan->together.context = node->ss.ps.state->es_query_cxt;
	foreach(cell, nodes)
	{
		FdwScan    *member = ((ForeignScanState *) lfirst(cell))->fdw_state;

		if (!member->targets_ready)
			build_targets(lfirst(cell), member);
		if (member->targets.are_points || member->targets.n == 0)
			continue;
		fdw_sibling_leave(&member->asked);
		member->begun = true;
		member->with = &scan->together;
		open_range(member, &member->targets.ranges[member->next_target++], NULL);
		scans[n++] = member->range_scan;
	}
	fdw_meter_begin(&scan->meter);
	forest_scans_open(scans, n);
	fdw_meter_end(&scan->meter);
	pfree(scans);
	list_free(nodes);
}

void
fdw_scan_go(ForeignScanState *node)
{
	FdwScan    *scan = node->fdw_state;

	if (scan->begun)
		return;
	scan->begun = true;
	if (!scan->targets_ready)
		build_targets(node, scan);
	if (scan->targets.are_points)
		(void) read_together(scan, &scan->asked);
	else
		open_together(node, scan);
	fdw_sibling_leave(&scan->asked);
}

const FdwMeter *
fdw_scan_meter(ForeignScanState *node)
{
	/* The states of all kinds of scans begin with their meter. */
	return node->fdw_state;
}

/* ---- several processes ---- */

Size
fdw_scan_shared_bytes(ForeignScanState *node, ParallelContext *pcxt)
{
	return fdw_parallel_bytes();
}

/* Operands that are results of other plans are there: Gather has seen to them. */
static void
make_slices(ForeignScanState *node, int nprocesses)
{
	FdwScan    *scan = node->fdw_state;

	build_targets(node, scan);
	fdw_parallel_begin(scan->parallel, &scan->table, scan->snapshot, &scan->targets, nprocesses);
}

void
fdw_scan_share(ForeignScanState *node, ParallelContext *pcxt, void *shared)
{
	FdwScan    *scan = node->fdw_state;

	scan->parallel = shared;
	fdw_parallel_init(scan->parallel);
	make_slices(node, pcxt->nworkers + 1);
}

void
fdw_scan_share_again(ForeignScanState *node, ParallelContext *pcxt, void *shared)
{
	FdwScan    *scan = node->fdw_state;

	stop_reading(scan);
	scan->parallel = shared;
	make_slices(node, pcxt->nworkers + 1);
}

/*
 * Workers come here at their ends, the leader then, while the shared memory is there; for
 * it goes with the Gather above.  A worker that is behind the leader, as where a LIMIT has
 * ended the query, is not heard.
 */
void
fdw_scan_shutdown(ForeignScanState *node)
{
	FdwScan    *scan = node->fdw_state;

	if (fdw_count_is(node) || scan == NULL || scan->parallel == NULL)
		return;
	if (IsParallelWorker())
	{
		if (scan->meter.on)
			fdw_parallel_tell(scan->parallel, &scan->meter);
		scan->meter.on = false;
		return;
	}
	fdw_parallel_collect(scan->parallel, &scan->meter);
	scan->parallel = NULL;
	scan->next_target = scan->targets.n;
}

void
fdw_scan_join(ForeignScanState *node, shm_toc *toc, void *shared)
{
	FdwScan    *scan = node->fdw_state;

	scan->parallel = shared;
}
