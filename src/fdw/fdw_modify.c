/*
 * fdw_modify.c
 *		See fdw_modify.h.
 */
#include "postgres.h"

#include "fdw/fdw_modify.h"

#include "access/sysattr.h"
#include "access/transam.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "fdw/fdw_modify_state.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/appendinfo.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "worker/worker_pressure.h"

/* Rows of one batch of what we hold back in a COPY. */
#define BATCH_ROWS 1000
#define BATCH_BYTES (4 * 1024 * 1024)

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

static bool
is_volatile_function(Oid function, void *context)
{
	return function >= FirstNormalObjectId && func_volatile(function) == PROVOLATILE_VOLATILE;
}

static bool
calls_volatile_function(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (check_functions_in_node(node, is_volatile_function, context))
		return true;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, calls_volatile_function, context, 0);
	return expression_tree_walker(node, calls_volatile_function, context);
}

/*
 * A volatile function of the statement may read the table and expect the rows
 * inserted before; Postgres's own (random(), nextval()) do not.  The private
 * list is not empty if rows must go to the table one by one.
 */
List *
fdw_modify_plan(PlannerInfo *root, ModifyTable *plan, Index rti, int subplan_index)
{
	if (plan->operation == CMD_INSERT && calls_volatile_function((Node *) root->parse, NULL))
		return list_make1(makeInteger(1));
	return NIL;
}

/* ---- begin and end ---- */

/* The statement has locked no key yet: the time to wait for flushes, if they are behind. */
static FdwModify *
begin(ModifyTableState *mtstate, ResultRelInfo *rinfo)
{
	FdwModify  *state = fdw_modify_state_create(mtstate, rinfo);

	worker_pressure_admit(state->table.vault_id, state->table.server_oid);
	return state;
}

void
fdw_modify_begin(ModifyTableState *mtstate, ResultRelInfo *rinfo, List *fdw_private,
				 int subplan_index, int eflags)
{
	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	rinfo->ri_FdwState = begin(mtstate, rinfo);
	((FdwModify *) rinfo->ri_FdwState)->one_by_one = fdw_private != NIL;
}

/* A partition that an UPDATE changes may also get rows that the same UPDATE moves into it. */
void
fdw_modify_begin_insert(ModifyTableState *mtstate, ResultRelInfo *rinfo)
{
	if (rinfo->ri_FdwState == NULL)
		rinfo->ri_FdwState = begin(mtstate, rinfo);
}

static void
write_buffer(FdwModify *state)
{
	int			n = state->buffered;

	if (n == 0)
		return;
	state->buffered = 0;
	state->buffered_bytes = 0;
	forest_write(&state->table, state->buffer, n);
	MemoryContextReset(state->buffer_context);
	state->buffer = NULL;
}

void
fdw_modify_end(EState *estate, ResultRelInfo *rinfo)
{
	FdwModify  *state = rinfo->ri_FdwState;
	MemoryContext old;

	if (state == NULL)
		return;
	MemoryContextReset(state->row_context);
	old = MemoryContextSwitchTo(state->row_context);
	write_buffer(state);
	MemoryContextSwitchTo(old);
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

	if (!table_takes_batches(table, rinfo) ||
		(state != NULL && (state->one_by_one || state->do_nothing || state->mtstate->mt_transition_capture != NULL)))
		return 1;
	return table->batch_size;
}

/* Holds the row back, or writes it with those held back before it. */
static void
buffer_row(FdwModify *state, TupleTableSlot *slot)
{
	MemoryContext old = MemoryContextSwitchTo(state->buffer_context);
	ForestWrite *put;

	if (state->buffer == NULL)
		state->buffer = palloc(sizeof(ForestWrite) * BATCH_ROWS);
	put = &state->buffer[state->buffered];
	*put = fdw_modify_put(state, slot);
	state->buffered++;
	state->buffered_bytes += put->key.len + put->value.len;
	MemoryContextSwitchTo(old);
	if (state->buffered == BATCH_ROWS || state->buffered_bytes >= BATCH_BYTES)
		write_buffer(state);
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

static bool
insert_row(FdwModify *state, EState *estate, ResultRelInfo *rinfo, TupleTableSlot *slot)
{
	ForestWrite put;

	fdw_modify_check_row(state, estate, rinfo, slot, true);
	if (state->buffers)
	{
		buffer_row(state, slot);
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
		puts[i] = fdw_modify_put(state, slots[i]);
	}
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
