/*
 * fdw_join_explain.c
 *		See fdw_join_explain.h.
 */
#include "postgres.h"

#include "fdw/fdw_join_explain.h"

#include "fdw/fdw_join.h"
#include "fdw/fdw_join_scan.h"
#include "fdw/fdw_lookup.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"

static const char *
type_name(JoinType type)
{
	switch (type)
	{
		case JOIN_LEFT:
			return "Left";
		case JOIN_SEMI:
			return "Semi";
		case JOIN_ANTI:
			return "Anti";
		default:
			return "Inner";
	}
}

static void
explain_quals(FdwJoinState *join, const char *label, int which, List *ancestors, ExplainState *es)
{
	CustomScan *plan = (CustomScan *) join->custom.ss.ps.plan;
	List	   *quals = list_nth(plan->custom_exprs, which);
	List	   *context;

	if (quals == NIL)
		return;
	context = set_deparse_context_plan(es->deparse_cxt, (Plan *) plan, ancestors);
	ExplainPropertyText(label, deparse_expression((Node *) make_ands_explicit(quals), context,
												  list_length(es->rtable) > 1 || es->verbose, false), es);
}

static void
explain_removed(const FdwJoinState *join, const char *label, int which, int64 rows, ExplainState *es)
{
	const CustomScan *plan = (const CustomScan *) join->custom.ss.ps.plan;

	if (es->analyze && list_nth(plan->custom_exprs, which) != NIL &&
		(rows > 0 || es->format != EXPLAIN_FORMAT_TEXT))
		ExplainPropertyInteger(label, NULL, rows, es);
}

/* Of this process: what parallel workers do is not counted in. */
static void
explain_batches(const FdwJoinState *join, ExplainState *es)
{
	ExplainPropertyInteger("Batch Size", NULL, FDW_BATCH_KEYS, es);
	if (!es->analyze || (join->batches == 0 && es->format == EXPLAIN_FORMAT_TEXT))
		return;
	ExplainPropertyInteger("Batches", NULL, join->batches, es);
	ExplainPropertyInteger("Keys Looked Up", NULL, join->keys_asked, es);
	ExplainPropertyInteger("Keys Found", NULL, join->keys_found, es);
}

static void
explain_partitions(const FdwJoinState *join, ExplainState *es)
{
	List	   *names = NIL;

	if (join->relation->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		return;
	for (int i = 0; i < join->ntables; i++)
	{
		const char *name = get_rel_name(RelationGetRelid(join->tables[i].relation));

		names = lappend(names, unconstify(char *, quote_identifier(name)));
	}
	ExplainPropertyList("Partitions", names, es);
}

void
fdw_join_explain(CustomScanState *node, List *ancestors, ExplainState *es)
{
	FdwJoinState *join = (FdwJoinState *) node;
	const char *name = get_rel_name(RelationGetRelid(join->relation));

	ExplainPropertyText("Join Type", type_name(join->type), es);
	ExplainPropertyText("Table", quote_identifier(name), es);
	explain_partitions(join, es);
	explain_quals(join, "Key Condition", FDW_JOIN_KEY_CONDITION, ancestors, es);
	explain_quals(join, "Table Filter", FDW_JOIN_INNER_QUALS, ancestors, es);
	explain_removed(join, "Rows Removed by Table Filter", FDW_JOIN_INNER_QUALS, join->removed_inner, es);
	explain_quals(join, "Join Filter", FDW_JOIN_QUALS, ancestors, es);
	explain_removed(join, "Rows Removed by Join Filter", FDW_JOIN_QUALS, join->removed_join, es);
	explain_batches(join, es);
	fdw_meter_explain_reads(&join->meter, es);
}
