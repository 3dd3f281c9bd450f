/*
 * fdw_update.c
 *		See fdw_update.h.
 *
 * What a call allocates lies in the state's row_context, up to the next call:
 * RETURNING and triggers look at the slots in between.
 */
#include "postgres.h"

#include "fdw/fdw_update.h"

#include "access/htup_details.h"
#include "executor/executor.h"
#include "executor/nodeModifyTable.h"
#include "fdw/fdw_modify_state.h"
#include "fdw/fdw_move.h"
#include "forest/row_decode.h"
#include "forest/row_shape.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/rel.h"

typedef struct RowValues
{
	Datum	   *values;
	bool	   *isnull;
} RowValues;

typedef struct TargetRow
{
	SvSlice		key;			/* under which the snapshot sees the row */
	RowValues	row;			/* the newest, once locked */
	bool		was_overwritten;	/* the statement itself has put another row there */
} TargetRow;

static RowValues
allocate_row(TupleDesc desc)
{
	RowValues	row;

	row.values = palloc(sizeof(Datum) * Max(desc->natts, 1));
	row.isnull = palloc(sizeof(bool) * Max(desc->natts, 1));
	return row;
}

/* The row that the plan has found. */
static RowValues
old_row(FdwModify *state, ResultRelInfo *rinfo, TupleTableSlot *plan_slot)
{
	TupleDesc	desc = RelationGetDescr(state->relation);
	RowValues	row = allocate_row(desc);
	HeapTupleData tuple = {0};
	bool		isnull;
	Datum		datum = ExecGetJunkAttribute(plan_slot, rinfo->ri_RowIdAttNo, &isnull);

	if (isnull)
		elog(ERROR, "old row of foreign table \"%s\" is null",
			 RelationGetRelationName(state->relation));
	tuple.t_data = DatumGetHeapTupleHeader(datum);
	tuple.t_len = HeapTupleHeaderGetDatumLength(tuple.t_data);
	heap_deform_tuple(&tuple, desc, row.values, row.isnull);
	return row;
}

static bool
same_rows(TupleDesc desc, RowValues a, RowValues b)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (attribute->attisdropped)
			continue;
		if (a.isnull[i] != b.isnull[i])
			return false;
		if (!a.isnull[i] &&
			!datum_image_eq(a.values[i], b.values[i], attribute->attbyval, attribute->attlen))
			return false;
	}
	return true;
}

/*
 * The row was changed since the statement began, by itself but not by this
 * node of it.  Another WITH query may: only one change of a row takes place,
 * and the others find nothing to do (false).  A trigger or function may not,
 * since one of the two changes would be lost.
 */
static bool
changed_by_command(EState *estate)
{
	if (list_length(estate->es_auxmodifytables) > 0)
		return false;
	ereport(ERROR,
			(errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
			 errmsg("row to be changed was already modified by an operation triggered by the current command"),
			 errhint("Consider using an AFTER trigger instead of a BEFORE trigger to "
					 "propagate changes to other rows.")));
}

/*
 * Evaluates the plan on the newest row; false if it gives no row.  For an
 * UPDATE the slot gets the new row, made of that result.
 */
static bool
evaluate_plan(FdwModify *state, EState *estate, ResultRelInfo *rinfo, HeapTuple newest,
			  TupleTableSlot *slot)
{
	TupleConstr *constraints = RelationGetDescr(state->relation)->constr;
	EPQState   *epqstate = &state->mtstate->mt_epqstate;
	Index		rti = rinfo->ri_RangeTableIndex;
	TupleTableSlot *input = EvalPlanQualSlot(epqstate, state->relation, rti);
	TupleTableSlot *result;
	TupleTableSlot *new_slot;

	ExecForceStoreHeapTuple(newest, input, false);
	result = EvalPlanQual(epqstate, state->relation, rti, input);
	if (TupIsNull(result))
		return false;
	if (state->mtstate->operation == CMD_DELETE)
		return true;

	ExecForceStoreHeapTuple(newest, rinfo->ri_oldTupleSlot, false);
	new_slot = ExecGetUpdateNewTuple(rinfo, result, rinfo->ri_oldTupleSlot);
	if (new_slot != slot)
		ExecCopySlot(slot, new_slot);
	slot->tts_tableOid = RelationGetRelid(state->relation);
	if (constraints != NULL && constraints->has_generated_stored)
		ExecComputeStoredGenerated(rinfo, estate, slot, CMD_UPDATE);
	return true;
}

/* The executor makes the state of rechecks in the current context, and keeps it. */
static bool
reevaluate(FdwModify *state, EState *estate, ResultRelInfo *rinfo, RowValues newest,
		   TupleTableSlot *slot)
{
	HeapTuple	tuple = heap_form_tuple(RelationGetDescr(state->relation), newest.values,
										newest.isnull);
	MemoryContext old = MemoryContextSwitchTo(estate->es_query_cxt);
	bool		found;

	tuple->t_tableOid = RelationGetRelid(state->relation);
	found = evaluate_plan(state, estate, rinfo, tuple, slot);
	MemoryContextSwitchTo(old);
	return found;
}

/*
 * Owns the key of the row that the plan has found, so that nobody else can
 * change what it holds, and brings row and slot up to date.  False if there is
 * nothing left to do: the row was deleted, does not meet the statement's
 * conditions any more, or was done already.
 */
static bool
lock_target(FdwModify *state, EState *estate, ResultRelInfo *rinfo, TargetRow *target,
			TupleTableSlot *slot)
{
	TupleDesc	desc = RelationGetDescr(state->relation);
	ForestLockResult compared;
	RowValues	newest;
	ForestValue value;

	target->key = fdw_modify_key(state, target->row.values, target->row.isnull);
	if (fdw_touched_has(state->touched, target->key, FDW_TOUCHED_ROW))
		return false;

	/* Then the key is ours already, and what it holds is another row. */
	target->was_overwritten = fdw_touched_has(state->touched, target->key, FDW_TOUCHED_BY_MOVE);
	if (target->was_overwritten)
		return true;

	compared = forest_lock_key(&state->table, target->key, fdw_modify_snapshot(estate), &value);
	if (compared == FOREST_UNCHANGED)
		return true;
	if (compared == FOREST_CHANGED_BY_SELF)
		return changed_by_command(estate);
	if (!value.found)
		return false;
	newest = allocate_row(desc);
	row_decode(row_shape(state->relation), target->key, value.value, NULL,
			   newest.values, newest.isnull);

	/* The scan may have locked the row before us, and returned the newest. */
	if (same_rows(desc, target->row, newest))
		return true;
	target->row = newest;
	return reevaluate(state, estate, rinfo, newest, slot);
}

/* Puts the row under its new key and takes the old one away. */
static void
move_row(FdwModify *state, EState *estate, const TargetRow *target, ForestWrite put,
		 TupleTableSlot *slot)
{
	ForestWrite writes[2] = {put};
	int			n = 1;
	ForestValue present;

	(void) forest_lock_key(&state->table, put.key, fdw_modify_snapshot(estate), &present);
	if (present.found && state->table.strict_insert)
		fdw_modify_report_duplicate(state, slot);
	if (!target->was_overwritten)
		writes[n++] = (ForestWrite) {.key = target->key,.is_delete = true};
	forest_write(&state->table, writes, n);
	fdw_modify_remember(state, put.key, FDW_TOUCHED_BY_MOVE);
	fdw_modify_remember(state, target->key, FDW_TOUCHED_ROW);
}

/*
 * The triggers before the deletion may have changed the row; as the key is
 * ours, nobody else can have.
 */
static bool
changed_by_triggers(FdwModify *state, EState *estate, ResultRelInfo *rinfo, const TargetRow *target)
{
	ForestValue value;

	return rinfo->ri_TrigDesc != NULL && rinfo->ri_TrigDesc->trig_delete_before_row && !target->was_overwritten &&
		forest_lock_key(&state->table, target->key, fdw_modify_snapshot(estate), &value) == FOREST_CHANGED_BY_SELF;
}

/* Out of this partition; true if the executor is to return the row. */
static bool
move_out(FdwModify *state, EState *estate, ResultRelInfo *rinfo, const TargetRow *target, TupleTableSlot *slot)
{
	HeapTuple	old = heap_form_tuple(RelationGetDescr(state->relation), target->row.values, target->row.isnull);
	ForestWrite tombstone = {.key = target->key,.is_delete = true};
	ResultRelInfo *to;

	old->t_tableOid = RelationGetRelid(state->relation);
	to = fdw_move_begin(state, estate, rinfo, old, slot);
	if (to == NULL || (changed_by_triggers(state, estate, rinfo, target) && !changed_by_command(estate)))
		return false;
	if (!target->was_overwritten)
		forest_write(&state->table, &tombstone, 1);
	fdw_modify_remember(state, target->key, FDW_TOUCHED_ROW);
	return fdw_move_finish(state, estate, rinfo, to, old, slot);
}

static bool
update_row(FdwModify *state, EState *estate, ResultRelInfo *rinfo, TupleTableSlot *slot,
		   TupleTableSlot *plan_slot)
{
	TargetRow	target;
	ForestWrite put;

	target.row = old_row(state, rinfo, plan_slot);
	if (!lock_target(state, estate, rinfo, &target, slot))
		return false;

	if (fdw_move_is_needed(state, estate, rinfo, slot))
		return move_out(state, estate, rinfo, &target, slot);
	fdw_modify_check_row(state, estate, rinfo, slot, false);
	put = fdw_modify_put(state, slot);
	if (!sv_slice_equal(put.key, target.key))
		move_row(state, estate, &target, put, slot);
	else
	{
		forest_write(&state->table, &put, 1);
		if (state->may_repeat)
			fdw_modify_remember(state, target.key, FDW_TOUCHED_ROW);
	}
	return true;
}

TupleTableSlot *
fdw_update_row(EState *estate, ResultRelInfo *rinfo, TupleTableSlot *slot,
			   TupleTableSlot *plan_slot)
{
	FdwModify  *state = rinfo->ri_FdwState;
	MemoryContext old;
	bool		updated;

	MemoryContextReset(state->row_context);
	old = MemoryContextSwitchTo(state->row_context);
	updated = update_row(state, estate, rinfo, slot, plan_slot);
	MemoryContextSwitchTo(old);
	return updated ? slot : NULL;
}

/* For RETURNING; the values live as long as the row_context and the plan's slot. */
static void
store_deleted_row(FdwModify *state, RowValues row, TupleTableSlot *slot)
{
	int			natts = slot->tts_tupleDescriptor->natts;

	ExecClearTuple(slot);
	memcpy(slot->tts_values, row.values, sizeof(Datum) * natts);
	memcpy(slot->tts_isnull, row.isnull, sizeof(bool) * natts);
	ExecStoreVirtualTuple(slot);
	slot->tts_tableOid = RelationGetRelid(state->relation);
}

static bool
delete_row(FdwModify *state, EState *estate, ResultRelInfo *rinfo, TupleTableSlot *slot,
		   TupleTableSlot *plan_slot)
{
	TargetRow	target;
	ForestWrite tombstone = {.is_delete = true};

	target.row = old_row(state, rinfo, plan_slot);
	if (!lock_target(state, estate, rinfo, &target, slot))
		return false;

	tombstone.key = target.key;
	forest_write(&state->table, &tombstone, 1);
	if (state->may_repeat)
		fdw_modify_remember(state, target.key, FDW_TOUCHED_ROW);
	store_deleted_row(state, target.row, slot);
	return true;
}

TupleTableSlot *
fdw_delete_row(EState *estate, ResultRelInfo *rinfo, TupleTableSlot *slot,
			   TupleTableSlot *plan_slot)
{
	FdwModify  *state = rinfo->ri_FdwState;
	MemoryContext old;
	bool		deleted;

	MemoryContextReset(state->row_context);
	old = MemoryContextSwitchTo(state->row_context);
	deleted = delete_row(state, estate, rinfo, slot, plan_slot);
	MemoryContextSwitchTo(old);
	return deleted ? slot : NULL;
}
