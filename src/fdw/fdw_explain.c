/*
 * fdw_explain.c
 *		See fdw_explain.h.
 */
#include "postgres.h"

#include "fdw/fdw_explain.h"

#include "executor/executor.h"
#include "fdw/fdw_bulk.h"
#include "fdw/fdw_bulk_plan.h"
#include "fdw/fdw_count.h"
#include "fdw/fdw_modify_state.h"
#include "fdw/fdw_plan.h"
#include "fdw/fdw_quals.h"
#include "fdw/fdw_scan.h"
#include "foreign/foreign.h"
#include "forest/forest_table.h"
#include "forest/row_shape.h"
#include "nodes/makefuncs.h"
#include "optimizer/clauses.h"
#include "server/pg_settings.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

static const char *
lookup_name(ForeignScanState *node, ForeignScan *plan)
{
	List	   *kinds = list_nth(plan->fdw_private, FDW_SCAN_KINDS);
	int			nkeys;
	int			equalities = 0;	/* of the alternative at hand */
	bool		several = false;
	ListCell   *cell;

	if (fdw_count_is(node))
		return "count";
	if (kinds == NIL)
		return "full scan";
	nkeys = row_shape_key_count(row_shape(node->ss.ss_currentRelation));
	foreach(cell, kinds)
	{
		FdwKeyKind	kind = fdw_key_kind(lfirst_int(cell));

		if ((lfirst_int(cell) & FDW_KEY_BEGINS) != 0)
		{
			if (equalities < nkeys)
				return "range";
			equalities = 0;
			several = true;
		}
		equalities += fdw_key_kind_is_equality(kind) ? 1 : 0;
		several |= kind == FDW_KEY_ANY;
	}
	if (equalities < nkeys)
		return "range";
	return several ? "batch" : "point";
}

/*
 * What joins make has the column on either side, depending on the version: it is
 * shown on the left.
 */
static List *
columns_to_the_left(List *quals)
{
	List	   *result = (List *) copyObject(quals);
	ListCell   *cell;

	foreach(cell, result)
	{
		OpExpr	   *clause = (OpExpr *) lfirst(cell);
		Node	   *right;

		if (!IsA(clause, OpExpr) || list_length(clause->args) != 2)
			continue;
		right = (Node *) lsecond(clause->args);
		if (IsA(right, RelabelType))
			right = (Node *) ((RelabelType *) right)->arg;
		if (IsA(right, Var) && OidIsValid(get_commutator(clause->opno)))
			CommuteOpExpr(clause);
	}
	return result;
}

static void
explain_key_condition(ForeignScan *plan, ExplainState *es)
{
	List	   *context;

	if (plan->fdw_recheck_quals == NIL)
		return;
	context = set_deparse_context_plan(es->deparse_cxt, (Plan *) plan, NIL);
	ExplainPropertyText("Key Condition",
						deparse_expression((Node *) make_ands_explicit(columns_to_the_left(plan->fdw_recheck_quals)),
										   context, es->verbose, false),
						es);
}

static void
explain_identity(Oid relid, ExplainState *es)
{
	const ForestTable *table = forest_table_for_read(relid);

	ExplainPropertyText("Server", GetForeignServer(table->server_oid)->servername, es);
	if (table->table_id != 0)
		ExplainPropertyInteger("Table Id", NULL, table->table_id, es);
}

static Oid
scanned_relid(ForeignScanState *node)
{
	if (fdw_count_is(node))
		return exec_rt_fetch(fdw_count_relation(node), node->ss.ps.state)->relid;
	return RelationGetRelid(node->ss.ss_currentRelation);
}

void
fdw_explain_scan(ForeignScanState *node, ExplainState *es)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;

	if (fdw_count_is(node))
		ExplainPropertyText("Counted", get_rel_name(scanned_relid(node)), es);
	explain_key_condition(plan, es);
	ExplainPropertyText("Lookup", lookup_name(node, plan), es);
	if (list_nth_int(list_nth(plan->fdw_private, FDW_SCAN_MANNER), FDW_MANNER_BACKWARD))
		ExplainPropertyText("Scan Direction", "Backward", es);
	if (es->verbose)
		explain_identity(scanned_relid(node), es);
	if (fdw_scan_meter(node) != NULL)
		fdw_meter_explain(fdw_scan_meter(node), es);
}

/* Of ANALYZE the rows are all there, but not yet published. */
static void
explain_bulk_load(const ResultRelInfo *rinfo, const char *obstacle, ExplainState *es)
{
	const char *text = "possible";

	if (obstacle != NULL)
		text = psprintf("not possible: %s", obstacle);
	else if (es->analyze && rinfo->ri_FdwState != NULL)
		text = fdw_bulk_loads(rinfo->ri_FdwState) ? "done" : "not worth it";
	ExplainPropertyText("Bulk Load", text, es);
}

static void
explain_insert(ModifyTableState *mtstate, ResultRelInfo *rinfo, List *fdw_private, ExplainState *es)
{
	const ForestTable *table = forest_table_for_read(RelationGetRelid(rinfo->ri_RelationDesc));
	const char *obstacle = fdw_bulk_obstacle(mtstate, rinfo, fdw_private != NIL, false);

	if (obstacle == NULL && setting_bulk_threshold_kb < 0)
		obstacle = "skyvault.bulk_threshold";
	ExplainPropertyText("Insert Mode", table->strict_insert ? "strict" : "replace", es);
	if (rinfo->ri_BatchSize > 1 && fdw_private == NIL &&
		((ModifyTable *) mtstate->ps.plan)->onConflictAction == ONCONFLICT_NONE)
		ExplainPropertyInteger("Batch Size", NULL, rinfo->ri_BatchSize, es);
	explain_bulk_load(rinfo, obstacle, es);
}

void
fdw_explain_modify(ModifyTableState *mtstate, ResultRelInfo *rinfo, List *fdw_private,
				   int subplan_index, ExplainState *es)
{
	FdwModify  *state = rinfo->ri_FdwState;

	if (es->verbose && mtstate->operation == CMD_INSERT)
		explain_insert(mtstate, rinfo, fdw_private, es);
	if (state != NULL)
		fdw_meter_explain_reads(&state->meter, es);
}
