/*
 * fdw_move.c
 *		See fdw_move.h.
 *
 * What the executor makes once for a result relation lives in its per-query
 * memory; what a row takes, in the caller's.
 */
#include "postgres.h"

#include "fdw/fdw_move.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/tupconvert.h"
#include "commands/trigger.h"
#include "executor/execPartition.h"
#include "executor/executor.h"
#include "executor/nodeModifyTable.h"
#include "foreign/fdwapi.h"
#include "server/pg_compat.h"
#include "utils/rel.h"

bool
fdw_move_is_needed(FdwModify *state, EState *estate, ResultRelInfo *rinfo, TupleTableSlot *slot)
{
	return state->relation->rd_rel->relispartition && rinfo != state->mtstate->rootResultRelInfo &&
		!ExecPartitionCheck(rinfo, slot, estate, false);
}

/*
 * The executor tests constraints and fires triggers AFTER UPDATE for the row it returns, as if
 * it had stayed.
 */
static void
check_support(FdwModify *state, ResultRelInfo *rinfo)
{
	if (state->mtstate->mt_transition_capture != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot collect transition tuples from child foreign tables")));
	if (rinfo->ri_projectReturning != NULL && rinfo->ri_TrigDesc != NULL &&
		rinfo->ri_TrigDesc->trig_update_after_row)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot return a row that an UPDATE moves out of foreign table \"%s\"",
						RelationGetRelationName(state->relation)),
				 errdetail("The table has AFTER UPDATE triggers, which are not for rows that move."),
				 errhint("Leave out RETURNING, or DELETE the row and INSERT it anew.")));
}

/* As core does when the first row of a statement moves. */
static void
begin_routing(ModifyTableState *mtstate, EState *estate)
{
	Relation	root = mtstate->rootResultRelInfo->ri_RelationDesc;
	MemoryContext old;

	if (mtstate->mt_partition_tuple_routing != NULL)
		return;
	old = MemoryContextSwitchTo(estate->es_query_cxt);
	mtstate->mt_partition_tuple_routing = ExecSetupPartitionTupleRouting(estate, root);
	mtstate->mt_root_tuple_slot = table_slot_create(root, NULL);
	MemoryContextSwitchTo(old);
}

/* The slot, or another one with the same row in the root's layout. */
static TupleTableSlot *
as_root_row(ModifyTableState *mtstate, EState *estate, ResultRelInfo *rinfo, TupleTableSlot *slot)
{
	MemoryContext old = MemoryContextSwitchTo(estate->es_query_cxt);
	TupleConversionMap *map = ExecGetChildToRootMap(rinfo);

	MemoryContextSwitchTo(old);
	return map == NULL ? slot : execute_attr_map_slot(map->attrMap, slot, mtstate->mt_root_tuple_slot);
}

static TupleTableSlot *
as_partition_row(EState *estate, ResultRelInfo *target, TupleTableSlot *slot)
{
	MemoryContext old = MemoryContextSwitchTo(estate->es_query_cxt);
	TupleConversionMap *map = compat_root_to_child_map(target, estate);

	MemoryContextSwitchTo(old);
	return map == NULL ? slot : execute_attr_map_slot(map->attrMap, slot, target->ri_PartitionTupleSlot);
}

ResultRelInfo *
fdw_move_begin(FdwModify *state, EState *estate, ResultRelInfo *rinfo, HeapTuple old, TupleTableSlot *slot)
{
	ModifyTableState *mtstate = state->mtstate;
	ResultRelInfo *target;
	MemoryContext caller;

	check_support(state, rinfo);
	if (rinfo->ri_WithCheckOptions != NIL)
		ExecWithCheckOptions(WCO_RLS_UPDATE_CHECK, rinfo, slot, estate);
	begin_routing(mtstate, estate);
	slot = as_root_row(mtstate, estate, rinfo, slot);
	caller = MemoryContextSwitchTo(estate->es_query_cxt);
	target = ExecFindPartition(mtstate, mtstate->rootResultRelInfo, mtstate->mt_partition_tuple_routing,
							   slot, estate);
	MemoryContextSwitchTo(caller);

	if (rinfo->ri_TrigDesc != NULL && rinfo->ri_TrigDesc->trig_delete_before_row &&
		!compat_exec_br_delete_triggers(estate, &mtstate->mt_epqstate, rinfo, old))
		return NULL;
	return target;
}

/* False if a trigger or the wrapper does not let the row in. */
static bool
insert_foreign(EState *estate, ResultRelInfo *target, TupleTableSlot *slot)
{
	TriggerDesc *triggers = target->ri_TrigDesc;
	TupleConstr *constraints = RelationGetDescr(target->ri_RelationDesc)->constr;

	if (triggers != NULL && triggers->trig_insert_before_row && !ExecBRInsertTriggers(estate, target, slot))
		return false;
	slot->tts_tableOid = RelationGetRelid(target->ri_RelationDesc);
	if (constraints != NULL && constraints->has_generated_stored)
		ExecComputeStoredGenerated(target, estate, slot, CMD_INSERT);
	slot = target->ri_FdwRoutine->ExecForeignInsert(estate, target, slot, slot);
	if (slot == NULL)
		return false;
	slot->tts_tableOid = RelationGetRelid(target->ri_RelationDesc);
	ExecARInsertTriggers(estate, target, slot, NIL, NULL);
	return true;
}

/* False likewise: then its place in the slot is empty. */
static bool
insert_heap(EState *estate, ResultRelInfo *target, TupleTableSlot *slot)
{
	MemoryContext old = MemoryContextSwitchTo(estate->es_query_cxt);

	if (target->ri_RelationDesc->rd_rel->relhasindex && target->ri_IndexRelationDescs == NULL)
		ExecOpenIndices(target, false);
	MemoryContextSwitchTo(old);
	if (target->ri_WithCheckOptions != NIL)
		ExecWithCheckOptions(WCO_RLS_UPDATE_CHECK, target, slot, estate);
	ItemPointerSetInvalid(&slot->tts_tid);
	ExecSimpleRelationInsert(target, estate, slot);
	return ItemPointerIsValid(&slot->tts_tid);
}

/* What triggers and defaults have made of the row is returned in the layout of where it was. */
static void
return_row(ResultRelInfo *rinfo, ResultRelInfo *target, TupleTableSlot *inserted, TupleTableSlot *slot)
{
	TupleConversionMap *map = convert_tuples_by_name(RelationGetDescr(target->ri_RelationDesc),
													 RelationGetDescr(rinfo->ri_RelationDesc));

	if (map != NULL)
		execute_attr_map_slot(map->attrMap, inserted, slot);
	else if (inserted != slot)
		ExecCopySlot(slot, inserted);
}

bool
fdw_move_finish(FdwModify *state, EState *estate, ResultRelInfo *rinfo, ResultRelInfo *target,
				HeapTuple old, TupleTableSlot *slot)
{
	ModifyTableState *mtstate = state->mtstate;
	TupleTableSlot *row = as_root_row(mtstate, estate, rinfo, slot);

	ExecARDeleteTriggers(estate, rinfo, NULL, old, NULL, true);
	row = as_partition_row(estate, target, row);
	row->tts_tableOid = RelationGetRelid(target->ri_RelationDesc);
	if (!(target->ri_FdwRoutine != NULL ? insert_foreign(estate, target, row) : insert_heap(estate, target, row)))
		return false;
	if (target->ri_WithCheckOptions != NIL)
		ExecWithCheckOptions(WCO_VIEW_CHECK, target, row, estate);
	if (rinfo->ri_projectReturning != NULL)
	{
		return_row(rinfo, target, row, slot);
		return true;
	}
	if (mtstate->canSetTag)
		estate->es_processed++;
	return false;
}
