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

#include "executor/executor.h"
#include "fdw/fdw_join.h"
#include "fdw/fdw_join_explain.h"
#include "fdw/fdw_join_path.h"
#include "fdw/fdw_join_recheck.h"
#include "fdw/fdw_targets.h"
#include "forest/forest_meter.h"
#include "forest/forest_table.h"
#include "forest/forest_write.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/paths.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/*
 * Lookups of which so much is waiting for the store are better in larger batches:
 * blocks that are near each other come with one request.
 */
#define WAITING_US_PER_KEY 10

/*
 * Rows of the first batch, which tells whether batches wait for the store, and how
 * large values are.
 */
#define FIRST_ROWS 100

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
begin_operands(FdwJoinState *join, const CustomScan *plan)
{
	List	   *exprs = list_nth(plan->custom_exprs, FDW_JOIN_OPERANDS);
	TupleDesc	desc = RelationGetDescr(join->tables[0].relation);
	const RowShape *shape = join->tables[0].rows.shape;
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
	int			first = list_length(plan->custom_scan_tlist) - list_length(columns);
	ListCell   *cell;

	join->columns = palloc(sizeof(FdwJoinColumn) * Max(list_length(columns), 1));
	foreach(cell, columns)
	{
		if (list_member_int(needed, lfirst_int(cell)))
			join->columns[join->ncolumns++] = (FdwJoinColumn)
			{
				.place = first + foreach_current_index(cell),.attno = lfirst_int(cell)
			};
	}
}

static void
open_tables(FdwJoinState *join, const CustomScan *plan, EState *estate, int eflags)
{
	List	   *places = private_list(plan, FDW_JOIN_TABLES);
	Index		joined = join->relid = table_index(plan);
	ListCell   *cell;

	join->relation = ExecOpenScanRelation(estate, joined, eflags);
	join->ntables = list_length(places);
	join->tables = palloc0(sizeof(FdwJoinTable) * join->ntables);
	foreach(cell, places)
	{
		int			place = lfirst_int(cell);

		join->tables[foreach_current_index(cell)].relation = place == 0 ? join->relation :
			ExecOpenScanRelation(estate, joined + place, eflags);
	}
}

/* Key columns are the same in all partitions. */
static void
begin_route(FdwJoinState *join, EState *estate)
{
	const FdwJoinTable *first = &join->tables[0];
	const char **names = palloc(sizeof(char *) * join->nkeys);
	Oid		   *members = palloc(sizeof(Oid) * join->ntables);

	if (join->relation->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		return;
	for (int i = 0; i < join->nkeys; i++)
	{
		AttrNumber	attno = row_shape_key_attribute(first->rows.shape, i);

		names[i] = NameStr(TupleDescAttr(RelationGetDescr(first->relation), attno - 1)->attname);
	}
	for (int i = 0; i < join->ntables; i++)
		members[i] = RelationGetRelid(join->tables[i].relation);
	join->route = fdw_join_route_init(estate, join->relation, names, join->nkeys, members, join->ntables);
}

static void
begin_execution(FdwJoinState *join, const CustomScan *plan)
{
	TupleTableSlot *slot = join->custom.ss.ss_ScanTupleSlot;

	for (int i = 0; i < join->ntables; i++)
		fdw_join_table_init(&join->tables[i], join->tables[i].relation, join->relation,
							private_list(plan, FDW_JOIN_NEEDED), join->custom.ss.ps.state->es_snapshot);
	begin_operands(join, plan);
	begin_route(join, join->custom.ss.ps.state);
	begin_columns(join, plan);
	fdw_join_batch_init(&join->batch, slot->tts_tupleDescriptor,
						list_length(plan->custom_scan_tlist) -
						list_length(private_list(plan, FDW_JOIN_COLUMNS)));
	memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts);
	join->bytes_limit = get_hash_memory_limit();
	join->row_bytes = scalar(plan, FDW_JOIN_ROW_BYTES);
	join->first_limit = Min(scalar(plan, FDW_JOIN_WANTED), FDW_BATCH_KEYS);
	join->most = Max(scalar(plan, FDW_JOIN_WANTED), FDW_BATCH_KEYS);
	join->most = Min(join->most, Max(1, join->bytes_limit /
									 (fdw_join_batch_row_bytes(&join->batch) + FOREST_BATCH_KEY_BYTES)));
	join->limit = Min(join->first_limit < FDW_BATCH_KEYS ? join->first_limit : FIRST_ROWS, join->most);
	join->begun = true;
}

static void
join_begin(CustomScanState *node, EState *estate, int eflags)
{
	FdwJoinState *join = (FdwJoinState *) node;
	CustomScan *plan = (CustomScan *) node->ss.ps.plan;

	fdw_meter_init(&join->meter, estate);
	join->type = (JoinType) scalar(plan, FDW_JOIN_TYPE);
	open_tables(join, plan, estate, eflags);
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
	join->next = join->key = join->key_end = 0;
	join->limit = Min(join->limit, join->first_limit);

	/* With a changed parameter it does so itself, when it is asked for a row. */
	if (outerPlanState(node)->chgParam == NULL)
		ExecReScan(outerPlanState(node));
}

/* ---- batches ---- */

/* Evaluates the values of the key that the outer row in the scan tuple leads to; false: to none. */
static bool
read_key(FdwJoinState *join, ExprContext *econtext)
{
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
	return true;
}

/* Adds it to those that the table is asked for; one that is too long nobody has. */
static void
add_key(FdwJoinState *join, int table)
{
	StringInfo	bytes = &join->batch.key_bytes;
	int			begin = bytes->len;

	row_encode_key(join->tables[table].rows.shape, join->key_values, join->key_isnull, join->nkeys, bytes);
	if (bytes->len - begin <= FOREST_MAX_KEY_BYTES)
		fdw_join_batch_add_key(&join->batch, table);
	else
		bytes->len = begin;
}

static void
add_keys(FdwJoinState *join, ExprContext *econtext)
{
	MemoryContext old = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	const int  *tables;
	int			n;

	if (read_key(join, econtext))
	{
		if (join->route == NULL)
			add_key(join, 0);
		else
		{
			tables = fdw_join_route_find(join->route, join->key_values, &n);
			for (int i = 0; i < n; i++)
				add_key(join, tables[i]);
		}
	}
	MemoryContextSwitchTo(old);
}

/* Of the rows, and of looking up their keys, without what is found. */
static Size
bytes_of_rows(const FdwJoinBatch *batch)
{
	return batch->bytes + (Size) batch->nkeys * FOREST_BATCH_KEY_BYTES;
}

/*
 * How many rows there is room for, if they and their values are like those of the
 * batch; values are no smaller than the table's are on average, for one that begins
 * with small ones.
 */
static int
rows_that_fit(const FdwJoinState *join)
{
	const FdwJoinBatch *batch = &join->batch;
	double		values = 0;
	double		found = 1;
	double		bytes;

	for (int i = 0; i < batch->nkeys; i++)
	{
		if (!batch->answers[i].found)
			continue;
		values += batch->answers[i].value.len;
		found++;
	}
	bytes = bytes_of_rows(batch) + Max(values, found * join->row_bytes);
	return (int) Min(join->most, Max(1, join->bytes_limit * batch->nrows / bytes));
}

/* How large the next batch may be, after one that waited so long for the store. */
static void
adapt_limit(FdwJoinState *join, uint64 waited_us)
{
	if (join->first_limit < FDW_BATCH_KEYS)
		join->limit = Min(join->limit * 2, FDW_BATCH_KEYS);
	else if (waited_us > (uint64) WAITING_US_PER_KEY * join->batch.nkeys)
		join->limit = join->most;
	else
		join->limit = FDW_BATCH_KEYS;
	join->limit = Min(join->limit, rows_that_fit(join));
}

static void
look_up(FdwJoinState *join)
{
	FdwJoinBatch *batch = &join->batch;
	uint64		waited_us = forest_meter_own.store_us;

	join->batches++;
	if (batch->nkeys == 0)
	{
		adapt_limit(join, 0);
		return;
	}
	fdw_meter_begin(&join->meter);
	fdw_join_batch_look_up(batch, join->tables, join->ntables, join->custom.ss.ps.state->es_snapshot);
	fdw_meter_end(&join->meter);
	join->keys_asked += batch->nkeys;
	for (int i = 0; i < batch->nkeys; i++)
		join->keys_found += batch->answers[i].found ? 1 : 0;
	adapt_limit(join, forest_meter_own.store_us - waited_us);
}

void
fdw_join_load_outer(FdwJoinState *join, TupleTableSlot *outer)
{
	TupleTableSlot *slot = join->custom.ss.ss_ScanTupleSlot;

	slot_getallattrs(outer);
	ExecClearTuple(slot);
	memcpy(slot->tts_values, outer->tts_values, sizeof(Datum) * join->batch.ncolumns);
	memcpy(slot->tts_isnull, outer->tts_isnull, sizeof(bool) * join->batch.ncolumns);
	ExecStoreVirtualTuple(slot);
}

/* Reads outer rows up to the limits, and looks up their keys.  False: there are no more. */
static bool
read_batch(FdwJoinState *join)
{
	FdwJoinBatch *batch = &join->batch;
	ExprContext *econtext = join->custom.ss.ps.ps_ExprContext;
	TupleTableSlot *slot = join->custom.ss.ss_ScanTupleSlot;

	fdw_join_batch_reset(batch, join->limit);
	join->next = join->key = join->key_end = 0;
	econtext->ecxt_scantuple = slot;
	while (batch->nrows < join->limit && bytes_of_rows(batch) < join->bytes_limit && batch->nkeys < FDW_JOIN_MOST_ROWS)
	{
		TupleTableSlot *outer = ExecProcNode(outerPlanState(&join->custom));

		if (TupIsNull(outer))
		{
			join->outer_done = true;
			break;
		}
		fdw_join_load_outer(join, outer);
		ResetExprContext(econtext);
		add_keys(join, econtext);
		fdw_join_batch_add(batch, slot->tts_values, slot->tts_isnull);
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

/* Adds what the key has led to to the scan tuple; what it refers to lives until the next one. */
static void
load_inner(FdwJoinState *join, int key)
{
	FdwJoinBatch *batch = &join->batch;
	TupleTableSlot *slot = join->custom.ss.ss_ScanTupleSlot;

	if (join->ncolumns > 0)
		fdw_join_table_load(&join->tables[batch->table_of[key]], join->relation, batch->keys[key],
							batch->answers[key].value, join->columns, join->ncolumns,
							slot->tts_values, slot->tts_isnull);
}

static void
load_no_inner(FdwJoinState *join)
{
	for (int i = 0; i < join->ncolumns; i++)
		join->custom.ss.ss_ScanTupleSlot->tts_isnull[join->columns[i].place] = true;
}

/* Whether the key leads to a row that is joined with the outer one, which is in the scan tuple. */
static bool
matches(FdwJoinState *join, int key)
{
	ExprContext *econtext = join->custom.ss.ps.ps_ExprContext;
	MemoryContext old;

	if (!join->batch.answers[key].found)
		return false;
	old = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	load_inner(join, key);
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

/* Goes on to the next row of the batch. */
static void
begin_row(FdwJoinState *join)
{
	join->key = fdw_join_batch_first_key(&join->batch, join->next);
	join->key_end = join->batch.keys_end[join->next];
	join->matched = false;
	load_outer(join, join->next++);
}

/* Puts what the rest of the row's keys leads to next into the scan tuple; false: nothing. */
static bool
join_row(FdwJoinState *join)
{
	if (join->matched)
		load_outer(join, join->next - 1);
	while (join->key < join->key_end)
	{
		if (!matches(join, join->key++))
			continue;
		join->matched = true;
		if (join->type == JOIN_SEMI || join->type == JOIN_ANTI)
			join->key = join->key_end;
		return join->type != JOIN_ANTI;
	}
	if (join->matched || (join->type != JOIN_LEFT && join->type != JOIN_ANTI))
		return false;
	load_no_inner(join);
	return true;
}

static TupleTableSlot *
next_row(ScanState *node)
{
	FdwJoinState *join = (FdwJoinState *) node;

	for (;;)
	{
		if (join->key >= join->key_end)
		{
			if (join->next >= join->batch.nrows)
			{
				if (join->outer_done || !read_batch(join))
					return ExecClearTuple(node->ss_ScanTupleSlot);
				ResetExprContext(node->ps.ps_ExprContext);
			}
			begin_row(join);
		}
		if (join_row(join))
			return node->ss_ScanTupleSlot;

		/* Its memory is not needed, however many follow. */
		ResetExprContext(node->ps.ps_ExprContext);
		CHECK_FOR_INTERRUPTS();
	}
}

/* ExecScan leaves all to this where rows that changed are tested again. */
static bool
recheck(ScanState *node, TupleTableSlot *slot)
{
	FdwJoinState *join = (FdwJoinState *) node;

	if (fdw_join_recheck_is_due(join))
		return fdw_join_recheck(join);
	return !TupIsNull(next_row(node));
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
