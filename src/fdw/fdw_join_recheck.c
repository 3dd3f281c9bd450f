/*
 * fdw_join_recheck.c
 *		See fdw_join_recheck.h.
 */
#include "postgres.h"

#include "fdw/fdw_join_recheck.h"

#include "executor/executor.h"
#include "fdw/fdw_join.h"

bool
fdw_join_recheck_is_due(const FdwJoinState *join)
{
	const EPQState *epq = join->custom.ss.ps.state->es_epq_active;

	return epq != NULL && (epq->relsubs_slot[join->relid - 1] != NULL ||
						   epq->relsubs_rowmark[join->relid - 1] != NULL);
}

static void
begin(FdwJoinState *join)
{
	CustomScan *plan = (CustomScan *) join->custom.ss.ps.plan;
	EState	   *estate = join->custom.ss.ps.state;
	MemoryContext old = MemoryContextSwitchTo(estate->es_query_cxt);

	join->recheck_slot = ExecInitExtraTupleSlot(estate, RelationGetDescr(join->relation), &TTSOpsVirtual);
	join->key_quals = ExecInitQual(list_nth(plan->custom_exprs, FDW_JOIN_KEY_CONDITION), &join->custom.ss.ps);
	MemoryContextSwitchTo(old);
}

/* The table's row, NULL: it had none. */
static TupleTableSlot *
table_row(FdwJoinState *join)
{
	EPQState   *epq = join->custom.ss.ps.state->es_epq_active;
	TupleTableSlot *slot = epq->relsubs_slot[join->relid - 1];

	if (slot != NULL)
		return TupIsNull(slot) ? NULL : slot;
	return EvalPlanQualFetchRowMark(epq, join->relid, join->recheck_slot) ? join->recheck_slot : NULL;
}

/* All of the table's columns in the scan tuple, also those that the key condition alone looks at. */
static void
load_table(FdwJoinState *join, TupleTableSlot *row)
{
	CustomScan *plan = (CustomScan *) join->custom.ss.ps.plan;
	TupleTableSlot *slot = join->custom.ss.ss_ScanTupleSlot;
	List	   *columns = list_nth(plan->custom_private, FDW_JOIN_COLUMNS);
	ListCell   *cell;

	if (row != NULL)
		slot_getallattrs(row);
	foreach(cell, columns)
	{
		int			place = join->batch.ncolumns + foreach_current_index(cell);
		AttrNumber	attno = lfirst_int(cell);

		slot->tts_isnull[place] = row == NULL || (attno > 0 && row->tts_isnull[attno - 1]);
		if (row != NULL)
			slot->tts_values[place] = attno > 0 ? row->tts_values[attno - 1] :
				attno == 0 ? ExecFetchSlotHeapTupleDatum(row) : ObjectIdGetDatum(RelationGetRelid(join->relation));
	}
}

static bool
matches(FdwJoinState *join, TupleTableSlot *row)
{
	ExprContext *econtext = join->custom.ss.ps.ps_ExprContext;
	MemoryContext old;

	if (row == NULL)
		return false;
	old = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	load_table(join, row);
	MemoryContextSwitchTo(old);
	econtext->ecxt_scantuple = join->custom.ss.ss_ScanTupleSlot;
	return ExecQual(join->key_quals, econtext) && ExecQual(join->inner_quals, econtext) &&
		ExecQual(join->join_quals, econtext);
}

bool
fdw_join_recheck(FdwJoinState *join)
{
	bool		with_none = join->type == JOIN_LEFT || join->type == JOIN_ANTI;

	if (join->recheck_slot == NULL)
		begin(join);
	for (;;)
	{
		TupleTableSlot *outer = ExecProcNode(outerPlanState(&join->custom));
		bool		matched;

		if (TupIsNull(outer))
			return false;
		fdw_join_load_outer(join, outer);
		matched = matches(join, table_row(join));
		if (matched && join->type != JOIN_ANTI)
			return true;
		if (!matched && with_none)
		{
			load_table(join, NULL);
			return true;
		}
	}
}
