/*
 * fdw_modify.c
 *		See fdw_modify.h.
 */
#include "postgres.h"

#include "fdw/fdw_modify.h"

#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "fdw/fdw_bulk.h"
#include "fdw/fdw_bulk_plan.h"
#include "fdw/fdw_modify_state.h"
#include "nodes/makefuncs.h"
#include "optimizer/appendinfo.h"
#include "server/pg_compat.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "worker/worker_pressure.h"

/* ---- plan ---- */

int
fdw_modify_operations(Relation relation)
{
	return (1 << CMD_INSERT) | (1 << CMD_UPDATE) | (1 << CMD_DELETE);
}

/*
 * The old row is what finds the key, what an EvalPlanQual recheck compares
 * with, and what RETURNING of a DELETE shows.  Core asks for it itself in an
 * UPDATE, and for DELETE triggers.
 */
void
fdw_modify_add_targets(PlannerInfo *root, Index rti, RangeTblEntry *rte, Relation relation)
{
	TriggerDesc *triggers = relation->trigdesc;

	if (root->parse->commandType != CMD_DELETE ||
		(triggers != NULL &&
		 (triggers->trig_delete_before_row || triggers->trig_delete_after_row)))
		return;
	add_row_identity_var(root, makeVar(rti, InvalidAttrNumber, RECORDOID, -1, InvalidOid, 0),
						 rti, "wholerow");
}

/* The private list is not empty if a function of the statement may look at what it has inserted. */
List *
fdw_modify_plan(PlannerInfo *root, ModifyTable *plan, Index rti, int subplan_index)
{
	if (plan->operation == CMD_INSERT && fdw_bulk_calls_volatile((Node *) root->parse))
		return list_make1(makeInteger(1));
	return NIL;
}

/* ---- begin and end ---- */

/* The statement has locked no key yet: the time to wait for flushes, if they are behind. */
static FdwModify *
begin(ModifyTableState *mtstate, ResultRelInfo *rinfo, bool calls_volatile)
{
	FdwModify  *state = fdw_modify_state_create(mtstate, rinfo);

	worker_pressure_admit(state->table.vault_id, state->table.server_oid);
	state->one_by_one = calls_volatile || (mtstate->operation == CMD_INSERT && fdw_bulk_subplans_call(mtstate));
	fdw_bulk_begin(state, rinfo, calls_volatile);
	return state;
}

void
fdw_modify_begin(ModifyTableState *mtstate, ResultRelInfo *rinfo, List *fdw_private,
				 int subplan_index, int eflags)
{
	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	rinfo->ri_FdwState = begin(mtstate, rinfo, fdw_private != NIL);
}

/* A partition that an UPDATE changes may also get rows that the same UPDATE moves into it. */
void
fdw_modify_begin_insert(ModifyTableState *mtstate, ResultRelInfo *rinfo)
{
	if (rinfo->ri_FdwState == NULL)
		rinfo->ri_FdwState = begin(mtstate, rinfo, false);
}

void
fdw_modify_end(EState *estate, ResultRelInfo *rinfo)
{
	FdwModify  *state = rinfo->ri_FdwState;

	if (state != NULL)
		fdw_bulk_end(state);
}

/* ---- insert ---- */

/* Whether core may hand over the rows of an INSERT many at a time, as far as the table tells. */
static bool
table_takes_batches(const ForestTable *table, ResultRelInfo *rinfo)
{
	TriggerDesc *triggers = rinfo->ri_TrigDesc;

	return !table->strict_insert && rinfo->ri_projectReturning == NULL && rinfo->ri_WithCheckOptions == NIL &&
		(triggers == NULL || !(triggers->trig_insert_before_row || triggers->trig_insert_after_row));
}

/* EXPLAIN asks too: then there is no state, and the statement's part is left out. */
int
fdw_modify_batch_size(ResultRelInfo *rinfo)
{
	FdwModify  *state = rinfo->ri_FdwState;
	const ForestTable *table = state != NULL ? &state->table :
		forest_table_for_read(RelationGetRelid(rinfo->ri_RelationDesc));

	/* What we hold back ourselves need not be copied before. */
	if (state != NULL && state->bulk != NULL && !state->from_copy)
		return 1;
	if (!table_takes_batches(table, rinfo) ||
		(state != NULL && (state->one_by_one || state->do_nothing || state->mtstate->mt_transition_capture != NULL)))
		return 1;
	return table->batch_size;
}

/* Locks the row's key; false if there is a row that ON CONFLICT DO NOTHING gives way to. */
static bool
claim_key(FdwModify *state, EState *estate, SvSlice key, TupleTableSlot *slot)
{
	ForestValue newest;

	(void) forest_lock_key(&state->table, key, fdw_modify_snapshot(estate), &newest);
	if (!newest.found)
		return true;
	if (!state->do_nothing)
		fdw_modify_report_duplicate(state, slot);
	return false;
}

/*
 * From 16 on, COPY hands over rows one by one, where batches could be had, only
 * if its WHERE or a default may look at the rows before.  What skyvault_load runs
 * sees the table as it was.
 */
static bool
handed_over_alone(const FdwModify *state, const ResultRelInfo *rinfo)
{
	return COMPAT_COPY_HAS_BATCHES && state->from_copy && rinfo->ri_BatchSize > 1 &&
		!fdw_bulk_on_request(state);
}

static bool
insert_row(FdwModify *state, EState *estate, ResultRelInfo *rinfo, TupleTableSlot *slot)
{
	ForestWrite put;

	fdw_modify_check_row(state, estate, rinfo, slot, true);
	if (state->bulk != NULL && !handed_over_alone(state, rinfo))
	{
		fdw_bulk_add(state, slot);
		return true;
	}
	put = fdw_modify_put(state, slot);
	if ((state->table.strict_insert || state->do_nothing) &&
		!claim_key(state, estate, put.key, slot))
		return false;
	if (state->mtstate->operation == CMD_UPDATE)
		fdw_modify_remember(state, put.key, FDW_TOUCHED_BY_MOVE);
	forest_write(&state->table, &put, 1);
	return true;
}

TupleTableSlot *
fdw_modify_insert(EState *estate, ResultRelInfo *rinfo, TupleTableSlot *slot,
				  TupleTableSlot *plan_slot)
{
	FdwModify  *state = rinfo->ri_FdwState;
	MemoryContext old;
	bool		inserted;

	MemoryContextReset(state->row_context);
	old = MemoryContextSwitchTo(state->row_context);
	inserted = insert_row(state, estate, rinfo, slot);
	MemoryContextSwitchTo(old);
	return inserted ? slot : NULL;
}

TupleTableSlot **
fdw_modify_insert_batch(EState *estate, ResultRelInfo *rinfo, TupleTableSlot **slots,
						TupleTableSlot **plan_slots, int *nslots)
{
	FdwModify  *state = rinfo->ri_FdwState;
	MemoryContext old;
	ForestWrite *puts;

	MemoryContextReset(state->row_context);
	old = MemoryContextSwitchTo(state->row_context);
	puts = palloc(sizeof(ForestWrite) * *nslots);
	for (int i = 0; i < *nslots; i++)
	{
		fdw_modify_check_row(state, estate, rinfo, slots[i], true);
		if (state->bulk != NULL)
			fdw_bulk_add(state, slots[i]);
		else
			puts[i] = fdw_modify_put(state, slots[i]);
	}
	if (state->bulk == NULL)
		forest_write(&state->table, puts, *nslots);
	MemoryContextSwitchTo(old);
	return slots;
}

/* ---- truncate ---- */

void
fdw_modify_truncate(List *relations, DropBehavior behavior, bool restart_seqs)
{
	ListCell   *cell;

	foreach(cell, relations)
	{
		Relation	relation = lfirst(cell);

		forest_truncate(forest_table_for_write(RelationGetRelid(relation)));
	}
}
