/*
 * fdw_join_scan.c
 *		See fdw_join_scan.h.
 *
 * Read a batch of outer rows, encode their keys, look them up at once, then
 * return the joined rows in the order of the outer ones.  Everything is read
 * under the statement's snapshot, so it does not matter when.
 */
#include "postgres.h"

#include "fdw/fdw_join_scan.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "executor/executor.h"
#include "fdw/fdw_join.h"
#include "fdw/fdw_join_explain.h"
#include "fdw/fdw_join_path.h"
#include "fdw/fdw_targets.h"
#include "forest/forest_table.h"
#include "forest/forest_write.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/paths.h"
#include "portability/instr_time.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/*
 * Lookups that take longer wait for the store.  Then larger batches are better:
 * blocks that are near each other come with one request.
 */
#define WAITING_US_PER_KEY 10

/* Rows of a batch that waits for the store, and by how much batches grow. */
#define MOST_ROWS (64 * 1024)
#define WAITING_GROWTH 4

/* ---- begin and end ---- */

static List *
private_list(const CustomScan *plan, int which)
{
	return list_nth(plan->custom_private, which);
}

static int
scalar(const CustomScan *plan, int which)
{
	return list_nth_int(private_list(plan, FDW_JOIN_SCALARS), which);
}

/* The range table index of the joined table. */
static Index
table_index(const CustomScan *plan)
{
	int			relid = -1;

	for (int i = scalar(plan, FDW_JOIN_MEMBER); i >= 0; i--)
		relid = bms_next_member(plan->custom_relids, relid);
	Assert(relid > 0);
	return relid;
}

static void
begin_operands(FdwJoinState *join, const CustomScan *plan, const RowShape *shape)
{
	List	   *exprs = list_nth(plan->custom_exprs, FDW_JOIN_OPERANDS);
	TupleDesc	desc = RelationGetDescr(join->relation);
	ListCell   *cell;

	join->nkeys = list_length(exprs);
	join->operands = palloc0(sizeof(FdwJoinOperand) * join->nkeys);
	join->key_values = palloc0(sizeof(Datum) * join->nkeys);
	join->key_isnull = palloc0(sizeof(bool) * join->nkeys);
	foreach(cell, exprs)
	{
		int			i = foreach_current_index(cell);
		FdwJoinOperand *operand = &join->operands[i];

		operand->value = ExecInitExpr(lfirst(cell), &join->custom.ss.ps);
		operand->type = getBaseType(exprType(lfirst(cell)));
		operand->column_type =
			getBaseType(TupleDescAttr(desc, row_shape_key_attribute(shape, i) - 1)->atttypid);
	}
}

static void
begin_columns(FdwJoinState *join, const CustomScan *plan)
{
	List	   *columns = private_list(plan, FDW_JOIN_COLUMNS);
	List	   *needed = private_list(plan, FDW_JOIN_NEEDED);
	int			natts = RelationGetDescr(join->relation)->natts;
	int			first = list_length(plan->custom_scan_tlist) - list_length(columns);
	ListCell   *cell;

	join->columns = palloc(sizeof(FdwJoinColumn) * Max(list_length(columns), 1));
	join->table_values = palloc0(sizeof(Datum) * natts);
	join->table_isnull = palloc0(sizeof(bool) * natts);
	foreach(cell, columns)
	{
		if (list_member_int(needed, lfirst_int(cell)))
			join->columns[join->ncolumns++] = (FdwJoinColumn)
			{
				.place = first + foreach_current_index(cell),.attno = lfirst_int(cell)
			};
	}
}

static Size
work_mem_bytes(void)
{
	return (Size) work_mem * 1024;
}

static void
begin_execution(FdwJoinState *join, const CustomScan *plan)
{
	TupleTableSlot *slot = join->custom.ss.ss_ScanTupleSlot;
	const RowShape *shape = row_shape(join->relation);
	List	   *decoded = NIL;
	ListCell   *cell;

	join->table = *forest_table_for_read(RelationGetRelid(join->relation));
	foreach(cell, private_list(plan, FDW_JOIN_NEEDED))
		if (lfirst_int(cell) >= 0)
			decoded = lappend_int(decoded, lfirst_int(cell));
	fdw_rows_init(&join->rows, shape, decoded);
	begin_operands(join, plan, shape);
	begin_columns(join, plan);
	fdw_join_batch_init(&join->batch, slot->tts_tupleDescriptor,
						list_length(plan->custom_scan_tlist) -
						list_length(private_list(plan, FDW_JOIN_COLUMNS)));
	memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts);
	join->bytes_limit = work_mem_bytes() / 2;
	join->first_limit = scalar(plan, FDW_JOIN_FIRST_BATCH);
	join->most = join->first_limit < FDW_BATCH_KEYS ? FDW_BATCH_KEYS : MOST_ROWS;
	join->most = Min(join->most, Max(1, join->bytes_limit / fdw_join_batch_row_bytes(&join->batch)));
	join->limit = Min(join->first_limit, join->most);
	join->begun = true;
}

static void
join_begin(CustomScanState *node, EState *estate, int eflags)
{
	FdwJoinState *join = (FdwJoinState *) node;
	CustomScan *plan = (CustomScan *) node->ss.ps.plan;

	fdw_meter_init(&join->meter, estate);
	join->type = (JoinType) scalar(plan, FDW_JOIN_TYPE);
	join->relation = ExecOpenScanRelation(estate, table_index(plan), eflags);
	outerPlanState(node) = ExecInitNode(outerPlan(plan), estate,
										eflags & ~(EXEC_FLAG_BACKWARD | EXEC_FLAG_MARK));
	join->inner_quals = ExecInitQual(list_nth(plan->custom_exprs, FDW_JOIN_INNER_QUALS), &node->ss.ps);
	join->join_quals = ExecInitQual(list_nth(plan->custom_exprs, FDW_JOIN_QUALS), &node->ss.ps);
	if (!(eflags & EXEC_FLAG_EXPLAIN_ONLY))
		begin_execution(join, plan);
}

static void
join_end(CustomScanState *node)
{
	FdwJoinState *join = (FdwJoinState *) node;

	if (join->begun)
		MemoryContextReset(join->batch.context);
	ExecEndNode(outerPlanState(node));
}

static void
join_rescan(CustomScanState *node)
{
	FdwJoinState *join = (FdwJoinState *) node;

	ExecClearTuple(node->ss.ss_ScanTupleSlot);
	if (join->begun)
		fdw_join_batch_reset(&join->batch, 0);
	join->outer_done = false;
	join->next = 0;
	join->limit = Min(join->limit, join->first_limit);

	/* With a changed parameter it does so itself, when it is asked for a row. */
	if (outerPlanState(node)->chgParam == NULL)
		ExecReScan(outerPlanState(node));
}

/* ---- batches ---- */

/* Appends the key that the outer row in the scan tuple leads to; false: to none. */
static bool
encode_key(FdwJoinState *join, ExprContext *econtext)
{
	StringInfo	bytes = &join->batch.key_bytes;
	int			begin = bytes->len;

	for (int i = 0; i < join->nkeys; i++)
	{
		const FdwJoinOperand *operand = &join->operands[i];
		bool		isnull;

		join->key_values[i] = ExecEvalExprSwitchContext(operand->value, econtext, &isnull);
		if (isnull)
			return false;
		if (operand->type != operand->column_type &&
			!fdw_targets_convert(operand->column_type, operand->type, &join->key_values[i]))
			return false;
	}
	row_encode_key(join->rows.shape, join->key_values, join->key_isnull, join->nkeys, bytes);
	if (bytes->len - begin <= FOREST_MAX_KEY_BYTES)
		return true;
	bytes->len = begin;
	return false;
}

/* How large the next batch may be, after one that took so long. */
static void
adapt_limit(FdwJoinState *join, double us)
{
	const FdwJoinBatch *batch = &join->batch;
	int			fit = fdw_lookup_limit(batch->answers, batch->nkeys, join->bytes_limit, join->most);

	/* Values are as large as they are: what follows is taken to be alike. */
	join->most = fit;
	if (join->limit < FDW_BATCH_KEYS)
		join->limit = Min(join->limit * 2, FDW_BATCH_KEYS);
	else if (batch->nrows >= FDW_BATCH_KEYS && us > (double) WAITING_US_PER_KEY * batch->nkeys)
		join->limit *= WAITING_GROWTH;
	join->limit = Min(join->limit, join->most);
}

static void
look_up(FdwJoinState *join)
{
	FdwJoinBatch *batch = &join->batch;
	instr_time	begin;
	instr_time	took;

	join->batches++;
	if (batch->nkeys == 0)
		return;
	INSTR_TIME_SET_CURRENT(begin);
	fdw_meter_begin(&join->meter);
	fdw_join_batch_look_up(batch, &join->table, join->custom.ss.ps.state->es_snapshot);
	fdw_meter_end(&join->meter);
	INSTR_TIME_SET_CURRENT(took);
	INSTR_TIME_SUBTRACT(took, begin);
	join->keys_asked += batch->nkeys;
	for (int i = 0; i < batch->nkeys; i++)
		join->keys_found += batch->answers[i].found ? 1 : 0;
	adapt_limit(join, INSTR_TIME_GET_DOUBLE(took) * 1e6);
}

/* Reads outer rows up to the limits, and looks up their keys.  False: there are no more. */
static bool
read_batch(FdwJoinState *join)
{
	FdwJoinBatch *batch = &join->batch;
	ExprContext *econtext = join->custom.ss.ps.ps_ExprContext;
	TupleTableSlot *slot = join->custom.ss.ss_ScanTupleSlot;

	fdw_join_batch_reset(batch, join->limit);
	join->next = 0;
	econtext->ecxt_scantuple = slot;
	while (batch->nrows < join->limit && batch->bytes < join->bytes_limit)
	{
		TupleTableSlot *outer = ExecProcNode(outerPlanState(&join->custom));
		MemoryContext old;
		bool		has_key;

		if (TupIsNull(outer))
		{
			join->outer_done = true;
			break;
		}
		slot_getallattrs(outer);
		ExecClearTuple(slot);
		memcpy(slot->tts_values, outer->tts_values, sizeof(Datum) * batch->ncolumns);
		memcpy(slot->tts_isnull, outer->tts_isnull, sizeof(bool) * batch->ncolumns);
		ExecStoreVirtualTuple(slot);
		ResetExprContext(econtext);
		old = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
		has_key = encode_key(join, econtext);
		MemoryContextSwitchTo(old);
		fdw_join_batch_add(batch, slot->tts_values, slot->tts_isnull, has_key);
	}
	ExecClearTuple(slot);
	if (batch->nrows == 0)
		return false;

	look_up(join);
	return true;
}

/* ---- rows ---- */

static void
load_outer(FdwJoinState *join, int row)
{
	const FdwJoinBatch *batch = &join->batch;
	TupleTableSlot *slot = join->custom.ss.ss_ScanTupleSlot;
	Size		first = (Size) row * batch->ncolumns;

	ExecClearTuple(slot);
	memcpy(slot->tts_values, batch->values + first, sizeof(Datum) * batch->ncolumns);
	memcpy(slot->tts_isnull, batch->isnull + first, sizeof(bool) * batch->ncolumns);
	ExecStoreVirtualTuple(slot);
}

static Datum
whole_row(FdwJoinState *join)
{
	TupleDesc	desc = RelationGetDescr(join->relation);

	return heap_copy_tuple_as_datum(heap_form_tuple(desc, join->table_values, join->table_isnull), desc);
}

/* Adds the table's row to the scan tuple; what it refers to lives until the next one. */
static void
load_inner(FdwJoinState *join, SvSlice key, const ForestValue *value)
{
	TupleTableSlot *slot = join->custom.ss.ss_ScanTupleSlot;

	if (join->ncolumns == 0)
		return;
	fdw_rows_decode(&join->rows, key, value->value, RelationGetDescr(join->relation)->natts,
					join->table_values, join->table_isnull);
	for (int i = 0; i < join->ncolumns; i++)
	{
		int			place = join->columns[i].place;
		AttrNumber	attno = join->columns[i].attno;

		slot->tts_isnull[place] = attno > 0 && join->table_isnull[attno - 1];
		slot->tts_values[place] = attno > 0 ? join->table_values[attno - 1] :
			attno == 0 ? whole_row(join) : ObjectIdGetDatum(RelationGetRelid(join->relation));
	}
}

static void
load_no_inner(FdwJoinState *join)
{
	for (int i = 0; i < join->ncolumns; i++)
		join->custom.ss.ss_ScanTupleSlot->tts_isnull[join->columns[i].place] = true;
}

/* Whether the row of the batch, which is in the scan tuple, has one to be joined with. */
static bool
matches(FdwJoinState *join, int row)
{
	ExprContext *econtext = join->custom.ss.ps.ps_ExprContext;
	int			key = join->batch.key_of[row];
	MemoryContext old;

	if (key < 0 || !join->batch.answers[key].found)
		return false;
	old = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	load_inner(join, join->batch.keys[key], &join->batch.answers[key]);
	MemoryContextSwitchTo(old);
	econtext->ecxt_scantuple = join->custom.ss.ss_ScanTupleSlot;
	if (!ExecQual(join->inner_quals, econtext))
	{
		join->removed_inner++;
		return false;
	}
	if (!ExecQual(join->join_quals, econtext))
	{
		join->removed_join++;
		return false;
	}
	return true;
}

/* Puts what the row of the batch leads to into the scan tuple; false: nothing. */
static bool
join_row(FdwJoinState *join, int row)
{
	load_outer(join, row);
	switch (join->type)
	{
		case JOIN_LEFT:
			if (!matches(join, row))
				load_no_inner(join);
			return true;
		case JOIN_ANTI:
			if (matches(join, row))
				return false;
			load_no_inner(join);
			return true;
		default:
			return matches(join, row);
	}
}

static TupleTableSlot *
next_row(ScanState *node)
{
	FdwJoinState *join = (FdwJoinState *) node;

	for (;;)
	{
		if (join->next >= join->batch.nrows)
		{
			if (join->outer_done || !read_batch(join))
				return ExecClearTuple(node->ss_ScanTupleSlot);
			ResetExprContext(node->ps.ps_ExprContext);
		}
		if (join_row(join, join->next++))
			return node->ss_ScanTupleSlot;

		/* Its memory is not needed, however many follow. */
		ResetExprContext(node->ps.ps_ExprContext);
		CHECK_FOR_INTERRUPTS();
	}
}

/* A join is offered only where no row is tested again. */
static bool
recheck(ScanState *node, TupleTableSlot *slot)
{
	return true;
}

static TupleTableSlot *
join_exec(CustomScanState *node)
{
	return ExecScan(&node->ss, next_row, recheck);
}

/* ---- the hook ---- */

static const CustomExecMethods exec_methods = {
	.CustomName = FDW_JOIN_NAME,
	.BeginCustomScan = join_begin,
	.ExecCustomScan = join_exec,
	.EndCustomScan = join_end,
	.ReScanCustomScan = join_rescan,
	.ExplainCustomScan = fdw_join_explain,
};

const CustomScanMethods fdw_join_scan_methods = {
	.CustomName = FDW_JOIN_NAME,
	.CreateCustomScanState = fdw_join_create_state,
};

Node *
fdw_join_create_state(CustomScan *plan)
{
	FdwJoinState *join = palloc0(sizeof(FdwJoinState));

	NodeSetTag(join, T_CustomScanState);
	join->custom.methods = &exec_methods;
	return (Node *) join;
}

static set_join_pathlist_hook_type previous_hook = NULL;

static void
add_join_paths(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outer, RelOptInfo *inner,
			   JoinType type, JoinPathExtraData *extra)
{
	if (previous_hook != NULL)
		previous_hook(root, joinrel, outer, inner, type, extra);
	fdw_join_paths(root, joinrel, outer, inner, type, extra);
}

void
fdw_join_install(void)
{
	RegisterCustomScanMethods(&fdw_join_scan_methods);
	previous_hook = set_join_pathlist_hook;
	set_join_pathlist_hook = add_join_paths;
}
