/*
 * fdw_join_plan.c
 *		See fdw_join_plan.h.
 */
#include "postgres.h"

#include "fdw/fdw_join_plan.h"

#include "fdw/fdw_join.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/restrictinfo.h"
#include "server/pg_compat.h"
#include "utils/lsyscache.h"

/* ---- clauses ---- */

/* Those of lower security levels first, as every plan has to evaluate them. */
static List *
by_security(List *rinfos)
{
	List	   *result = NIL;
	ListCell   *cell;

	foreach(cell, rinfos)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, cell);
		int			at = list_length(result);

		while (at > 0 && list_nth_node(RestrictInfo, result, at - 1)->security_level > rinfo->security_level)
			at--;
		result = list_insert_nth(result, at, rinfo);
	}
	return result;
}

/* The equality with the table's column on the left, for EXPLAIN. */
static Expr *
key_condition(const FdwJoinPath *path, const FdwKeyClause *key)
{
	Expr	   *condition = copyObject(key->rinfo->clause);

	if (IsA(condition, OpExpr) &&
		!bms_is_member(path->inner->relid, key->rinfo->left_relids) &&
		OidIsValid(get_commutator(((OpExpr *) condition)->opno)))
		CommuteOpExpr((OpExpr *) condition);
	return condition;
}

typedef struct JoinClauses
{
	List	   *operands;
	List	   *key_condition;
	List	   *inner;
	List	   *join;
	List	   *filter;
} JoinClauses;

static void
split_clauses(const FdwJoinPath *path, RelOptInfo *rel, JoinClauses *clauses)
{
	List	   *used = NIL;
	List	   *join;

	for (int i = 0; i < path->members.nkeys; i++)
	{
		const FdwKeyClause *key = path->keys[i];

		used = lappend(used, key->rinfo);
		clauses->operands = lappend(clauses->operands, copyObject(key->operand));
		clauses->key_condition = lappend(clauses->key_condition, key_condition(path, key));
	}
	clauses->inner = extract_actual_clauses(by_security(list_difference_ptr(path->inner->baserestrictinfo, used)),
											false);
	join = by_security(list_difference_ptr(path->restrictlist, used));
	if (IS_OUTER_JOIN(path->type))
		extract_actual_join_clauses(join, rel->relids, &clauses->join, &clauses->filter);
	else
		clauses->join = extract_actual_clauses(join, false);
}

/* ---- the scan tuple ---- */

typedef struct ScanTuple
{
	Index		relid;			/* of the table */
	List	   *tlist;
	List	   *columns;		/* attribute numbers */
} ScanTuple;

/*
 * From 16 on a Var says which outer joins may have made it NULL, and one of the
 * scan tuple has to say what those that refer to it say.  In the scan tuple
 * there is one for both sides of the join.
 */
static Node *
as_in_scan_tuple(Node *node, void *context)
{
	const ScanTuple *tuple = context;
	ListCell   *cell;

	if (node == NULL)
		return NULL;
	if (!IsA(node, Var) && !IsA(node, PlaceHolderVar))
		return expression_tree_mutator(node, as_in_scan_tuple, context);
	foreach(cell, tuple->tlist)
	{
		Node	   *found = (Node *) lfirst_node(TargetEntry, cell)->expr;

		if (IsA(node, Var) && IsA(found, Var) &&
			((Var *) node)->varno == ((Var *) found)->varno &&
			((Var *) node)->varattno == ((Var *) found)->varattno)
			return copyObject(found);
		if (IsA(node, PlaceHolderVar) && IsA(found, PlaceHolderVar) &&
			((PlaceHolderVar *) node)->phid == ((PlaceHolderVar *) found)->phid)
			return copyObject(found);
	}
	if (IsA(node, PlaceHolderVar))
		return expression_tree_mutator(node, as_in_scan_tuple, context);
	return copyObject(node);
}

static void
add_column(ScanTuple *tuple, Expr *expr)
{
	tuple->tlist = lappend(tuple->tlist,
						   makeTargetEntry(copyObject(expr), list_length(tuple->tlist) + 1, NULL, false));
}

/* Those of the table's columns in the expressions that are not there yet. */
static void
add_table_columns(ScanTuple *tuple, List *exprs)
{
	List	   *vars = pull_var_clause((Node *) exprs, PVC_RECURSE_AGGREGATES |
									   PVC_RECURSE_WINDOWFUNCS | PVC_RECURSE_PLACEHOLDERS);
	ListCell   *cell;

	foreach(cell, vars)
	{
		Var		   *var = lfirst_node(Var, cell);

		if ((Index) var->varno != tuple->relid || list_member_int(tuple->columns, var->varattno))
			continue;
		tuple->columns = lappend_int(tuple->columns, var->varattno);
		add_column(tuple, (Expr *) var);
	}
}

/* The outer plan's columns, as they are to be seen above the join. */
static void
add_outer_columns(ScanTuple *tuple, Plan *outer, RelOptInfo *rel)
{
	ScanTuple	above = {0};
	ListCell   *cell;

	foreach(cell, rel->reltarget->exprs)
		add_column(&above, lfirst(cell));
	foreach(cell, outer->targetlist)
	{
		Expr	   *expr = lfirst_node(TargetEntry, cell)->expr;

		if (IsA(expr, Var) || IsA(expr, PlaceHolderVar))
			expr = (Expr *) as_in_scan_tuple((Node *) expr, &above);
		add_column(tuple, expr);
	}
}

Plan *
fdw_join_plan(PlannerInfo *root, RelOptInfo *rel, CustomPath *custom, List *tlist, List *clauses,
			  List *custom_plans)
{
	FdwJoinPath *path = (FdwJoinPath *) custom;
	CustomScan *scan = makeNode(CustomScan);
	ScanTuple	tuple = {.relid = path->inner->relid};
	JoinClauses split = {0};
	List	   *needed;

	split_clauses(path, rel, &split);
	add_outer_columns(&tuple, linitial(custom_plans), rel);
	add_table_columns(&tuple, rel->reltarget->exprs);
	add_table_columns(&tuple, tlist);
	add_table_columns(&tuple, list_make3(split.inner, split.join, split.filter));
	needed = list_copy(tuple.columns);
	add_table_columns(&tuple, split.key_condition);

	scan->scan.plan.targetlist = tlist;
	scan->scan.plan.qual = (List *) as_in_scan_tuple((Node *) split.filter, &tuple);
	scan->scan.plan.lefttree = linitial(custom_plans);
	scan->scan.scanrelid = 0;
	scan->flags = custom->flags;
	scan->custom_exprs = (List *) as_in_scan_tuple((Node *) list_make4(split.operands, split.inner,
																	   split.join, split.key_condition),
												   &tuple);
	scan->custom_private = list_make4(list_make4_int(path->type,
													 bms_member_index(rel->relids, path->inner->relid),
													 path->wanted, path->row_bytes),
									  tuple.columns, needed,
									  fdw_join_members_places(&path->members, path->inner));
	scan->custom_scan_tlist = tuple.tlist;
	scan->methods = &fdw_join_scan_methods;
	return &scan->scan.plan;
}
