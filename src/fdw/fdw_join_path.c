/*
 * fdw_join_path.c
 *		See fdw_join_path.h.
 *
 * A batched join is offered where its answers are those of a nested loop with
 * a lookup on the inside, whatever the rows.  Where rows are locked or modified, a
 * row that changed meanwhile is joined anew, from one row of each table
 * (fdw_join_recheck.h).  It is not offered
 *	- where the table's own rows are locked or modified, or those of several tables,
 *	  as of partitions, nor with a partitioned table where any are;
 *	- where rows of other foreign tables are locked, which a scan does as it reads,
 *	  and this one reads ahead;
 *	- in paths that take parameters from other relations of the same query, and
 *	  in joins partition by partition;
 *	- if an expression of the table has to be computed below an outer join.
 */
#include "postgres.h"

#include "fdw/fdw_join_path.h"

#include <limits.h>

#include <math.h>

#include "access/sysattr.h"
#include "catalog/pg_class.h"
#include "fdw/fdw_cost.h"
#include "fdw/fdw_join.h"
#include "fdw/fdw_join_plan.h"
#include "fdw/fdw_lookup.h"
#include "fdw/fdw_plan.h"
#include "foreign/fdwapi.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "parser/parsetree.h"
#include "server/pg_compat.h"
#include "server/pg_settings.h"

/* Rows of the first batch if not all rows may be asked for. */
#define LEAST_FIRST_BATCH 16

static const CustomPathMethods path_methods = {
	.CustomName = FDW_JOIN_NAME,
	.PlanCustomPath = fdw_join_plan,
};

/* ---- whether ---- */

/* The type of join that is made, once the outer rows are unique if they have to be; JOIN_FULL: none. */
static JoinType
made_type(JoinType type)
{
	switch (type)
	{
		case JOIN_INNER:
		case JOIN_LEFT:
		case JOIN_SEMI:
		case JOIN_ANTI:
			return type;
		case JOIN_UNIQUE_OUTER:
			return JOIN_INNER;
		default:
			return JOIN_FULL;
	}
}

static bool
has_pseudoconstant(List *rinfos)
{
	ListCell   *cell;

	foreach(cell, rinfos)
		if (lfirst_node(RestrictInfo, cell)->pseudoconstant)
			return true;
	return false;
}

/* Whether the columns of the table that are asked for are ones that the join can make. */
static bool
can_make_columns(RelOptInfo *inner, JoinType type)
{
	Bitmapset  *attrs = NULL;
	int			first = FirstLowInvalidHeapAttributeNumber;
	int			i = -1;
	ListCell   *cell;

	foreach(cell, inner->reltarget->exprs)
	{
		/* Its value on a row that is not there is NULL, not what it makes of NULLs. */
		if (!IsA(lfirst(cell), Var) && type != JOIN_INNER)
			return false;
	}
	pull_varattnos((Node *) inner->reltarget->exprs, inner->relid, &attrs);
	foreach(cell, inner->baserestrictinfo)
		pull_varattnos((Node *) lfirst_node(RestrictInfo, cell)->clause, inner->relid, &attrs);
	while ((i = bms_next_member(attrs, i)) >= 0)
		if (i + first < 0 && i + first != TableOidAttributeNumber)
			return false;
	return true;
}

/* Whether a statement that locks or modifies rows may join with the table; most do not. */
static bool
rows_may_change(PlannerInfo *root, RelOptInfo *inner, const FdwJoinMembers *members)
{
	const Query *parse = root->parse;
	ListCell   *cell;

	/* INSERT ... SELECT may be one level of a query. */
	if ((parse->commandType == CMD_SELECT || parse->commandType == CMD_INSERT) && root->rowMarks == NIL)
		return true;
	if (linitial(members->rels) != inner ||
		(parse->commandType != CMD_SELECT && parse->commandType != CMD_UPDATE && parse->commandType != CMD_DELETE) ||
		bms_is_member(inner->relid, root->all_result_relids) ||
		(parse->resultRelation > 0 && planner_rt_fetch(parse->resultRelation, root)->inh))
		return false;
	foreach(cell, root->rowMarks)
	{
		const PlanRowMark *mark = lfirst_node(PlanRowMark, cell);

		if (mark->strength != LCS_NONE && planner_rt_fetch(mark->rti, root)->relkind == RELKIND_FOREIGN_TABLE)
			return false;
	}
	return true;
}

static bool
is_offered(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outer, RelOptInfo *inner,
		   JoinType type, List *restrictlist)
{
	return type != JOIN_FULL &&
		joinrel->reloptkind == RELOPT_JOINREL && bms_is_empty(joinrel->lateral_relids) &&
		!IS_DUMMY_REL(outer) && restrictlist != NIL && !has_pseudoconstant(restrictlist) &&
		!has_pseudoconstant(inner->baserestrictinfo) && can_make_columns(inner, type);
}

/* ---- keys ---- */

/* The join's own clauses may be evaluated before any other of them, and before the table's. */
static bool
may_go_first(const RestrictInfo *rinfo, List *rinfos)
{
	ListCell   *cell;

	if (rinfo->leakproof)
		return true;
	foreach(cell, rinfos)
		if (lfirst_node(RestrictInfo, cell)->security_level < rinfo->security_level)
			return false;
	return true;
}

static bool
add_key(PlannerInfo *root, FdwJoinPath *path, const FdwKeyColumn *columns, RestrictInfo *rinfo)
{
	FdwKeyClause *clause = fdw_quals_match(root, path->inner, columns, path->members.nkeys, rinfo);

	if (clause == NULL || clause->kind != FDW_KEY_EQUAL || path->keys[clause->key] != NULL)
		return false;
	path->keys[clause->key] = clause;
	return true;
}

/*
 * What each key column is equal to: at least one to something of the outer
 * relation, others to constants.  False: not all are.
 */
static bool
find_keys(PlannerInfo *root, RelOptInfo *joinrel, FdwJoinPath *path)
{
	const FdwKeyColumn *columns = path->members.columns;
	bool		joined = false;
	ListCell   *cell;

	path->keys = palloc0(sizeof(FdwKeyClause *) * path->members.nkeys);
	foreach(cell, path->restrictlist)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, cell);

		if (IS_OUTER_JOIN(path->type) && RINFO_IS_PUSHED_DOWN(rinfo, joinrel->relids))
			continue;
		if (may_go_first(rinfo, path->restrictlist))
			joined |= add_key(root, path, columns, rinfo);
	}
	if (!joined)
		return false;
	foreach(cell, path->inner->baserestrictinfo)
		(void) add_key(root, path, columns, lfirst_node(RestrictInfo, cell));
	for (int i = 0; i < path->members.nkeys; i++)
		if (path->keys[i] == NULL)
			return false;
	return true;
}

/* ---- paths ---- */

/* Of the rows that are asked for, those that are known to be at once; with a LIMIT, only some. */
static int
rows_wanted(PlannerInfo *root)
{
	if (root->limit_tuples > 0)
		return (int) Min(Max(root->limit_tuples, LEAST_FIRST_BATCH), FDW_JOIN_MOST_ROWS);
	return root->tuple_fraction > 0 ? LEAST_FIRST_BATCH : FDW_JOIN_MOST_ROWS;
}

/* Of the table whose rows are the largest. */
static int
bytes_of_row(const FdwJoinMembers *members)
{
	double		bytes = 0;
	ListCell   *cell;

	foreach(cell, members->rels)
		bytes = Max(bytes, fdw_plan_block_costs(lfirst(cell))->row_bytes);
	return (int) Min(bytes, INT_MAX);
}

/* Batches that wait for the store grow, so that at worst they read all of the table, as a scan does. */
static Cost
cost_of_requests(const FdwJoinMembers *members, double keys)
{
	Cost		sum = 0;
	ListCell   *cell;

	foreach(cell, members->rels)
	{
		const RelOptInfo *rel = lfirst(cell);
		const FdwBlockCosts *blocks = fdw_plan_block_costs(rel);
		double		own = keys * members->lookups / list_length(members->rels);

		sum += Min(fdw_cost_requests_of_lookups(blocks, own, true),
				   fdw_cost_requests_of_scan(blocks, 1, rel->tuples));
	}
	return sum;
}

static void
set_cost(PlannerInfo *root, RelOptInfo *joinrel, FdwJoinPath *path, Path *outer)
{
	Path	   *own = &path->custom.path;
	QualCost	quals;
	QualCost	inner_quals;
	Cost		per_key;
	Cost		run;
	double		first = Min(outer->rows, Min(path->wanted, FDW_BATCH_KEYS));

	/* However many rows the join is thought to have: a key has one at most in a table. */
	cost_qual_eval(&quals, path->restrictlist, root);
	cost_qual_eval(&inner_quals, path->inner->baserestrictinfo, root);
	per_key = FDW_JOIN_KEY_COST * path->members.lookups + cpu_tuple_cost + FDW_ROW_COST + quals.per_tuple +
		inner_quals.per_tuple;
	run = outer->total_cost - outer->startup_cost + outer->rows * per_key +
		ceil(outer->rows / FDW_BATCH_KEYS) * FDW_JOIN_BATCH_COST + cost_of_requests(&path->members, outer->rows) +
		Min(own->rows, outer->rows * path->members.lookups) * (cpu_tuple_cost + joinrel->reltarget->cost.per_tuple);
	own->startup_cost = outer->startup_cost + FDW_JOIN_SETUP_COST + quals.startup +
		inner_quals.startup + joinrel->reltarget->cost.startup;
	own->total_cost = own->startup_cost + run;

	/* The first row comes after the first batch. */
	own->startup_cost += run * first / Max(outer->rows, 1);
}

static Path *
make_path(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outerrel,
		  const FdwJoinPath *common, Path *outer, double rows)
{
	FdwJoinPath *path = palloc(sizeof(FdwJoinPath));
	Path	   *own = &path->custom.path;

	*path = *common;
	own->type = T_CustomPath;
	own->pathtype = T_CustomScan;
	own->parent = joinrel;
	own->pathtarget = joinrel->reltarget;
	own->parallel_safe = joinrel->consider_parallel && outer->parallel_safe;
	own->parallel_workers = outer->parallel_workers;
	own->rows = rows;
	own->pathkeys = build_join_pathkeys(root, joinrel, path->type, outer->pathkeys);
	compat_path_add_disabled_nodes(own, outer);
	path->custom.flags = CUSTOMPATH_SUPPORT_PROJECTION;
	path->custom.custom_paths = list_make1(outer);
	path->custom.methods = &path_methods;
	set_cost(root, joinrel, path, outer);
	return own;
}

static void
add_partial_paths(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outerrel,
				  const FdwJoinPath *common)
{
	ListCell   *cell;

	foreach(cell, outerrel->partial_pathlist)
	{
		Path	   *outer = lfirst(cell);
		double		rows = joinrel->rows * outer->rows / Max(outerrel->rows, 1);

		if (outer->parallel_safe)
			add_partial_path(joinrel, make_path(root, joinrel, outerrel, common, outer,
												clamp_row_est(rows)));
	}
}

void
fdw_join_paths(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outerrel,
			   RelOptInfo *inner, JoinType type, JoinPathExtraData *extra)
{
	FdwJoinPath common = {.type = made_type(type),.inner = inner,.restrictlist = extra->restrictlist};
	ListCell   *cell;

	if (!setting_enable_batched_join || !fdw_join_members(root, inner, &common.members) ||
		!rows_may_change(root, inner, &common.members) ||
		!is_offered(root, joinrel, outerrel, inner, common.type, extra->restrictlist) ||
		!find_keys(root, joinrel, &common))
		return;
	common.wanted = rows_wanted(root);
	common.row_bytes = bytes_of_row(&common.members);
	if (type == JOIN_UNIQUE_OUTER)
	{
		Path	   *cheapest = outerrel->cheapest_total_path;
		Path	   *outer = cheapest->param_info != NULL ? NULL :
			(Path *) create_unique_path(root, outerrel, cheapest, extra->sjinfo);

		if (outer != NULL)
			add_path(joinrel, make_path(root, joinrel, outerrel, &common, outer, joinrel->rows));
		return;
	}
	foreach(cell, outerrel->pathlist)
	{
		Path	   *outer = lfirst(cell);

		if (outer->param_info == NULL)
			add_path(joinrel, make_path(root, joinrel, outerrel, &common, outer, joinrel->rows));
	}
	if (joinrel->consider_parallel)
		add_partial_paths(root, joinrel, outerrel, &common);
}
