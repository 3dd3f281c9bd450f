/*
 * fdw_plan.c
 *		See fdw_plan.h.
 */
#include "postgres.h"

#include "fdw/fdw_plan.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "fdw/fdw_cost.h"
#include "fdw/fdw_estimate.h"
#include "fdw/fdw_order.h"
#include "fdw/fdw_parallel.h"
#include "fdw/fdw_quals.h"
#include "fdw/fdw_quals_or.h"
#include "fdw/fdw_upper.h"
#include "forest/forest_table.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planmain.h"
#include "optimizer/prep.h"
#include "optimizer/restrictinfo.h"
#include "server/pg_compat.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/selfuncs.h"
#include "utils/snapmgr.h"

typedef struct FdwRel
{
	int			nkeys;
	FdwKeyColumn *columns;
	List	   *usable;			/* FdwKeyClauses among the relation's own restrictions */
	int			nequal;			/* leading key columns with an equality among them */
	double		share;			/* of the table's rows in the key ranges of `usable`; -1: by its clauses' selectivity */
	FdwBlockCosts blocks;
	bool		async;			/* its scans may wait for one another below Append */
} FdwRel;

/* ---- sizes ---- */

/* Keys, or key prefixes, that the equalities name, of all alternatives. */
static double
estimate_lookups(PlannerInfo *root, List *usable)
{
	double		lookups = 1;
	double		before = 0;
	ListCell   *cell;

	foreach(cell, usable)
	{
		FdwKeyClause *clause = lfirst(cell);

		if (clause->begins)
		{
			before += lookups;
			lookups = 1;
		}
		if (clause->kind == FDW_KEY_ANY)
			lookups *= compat_estimate_array_length(root, (Node *) clause->operand);
	}
	return clamp_row_est(before + lookups);
}

/* Rows that the key clauses select. */
static double
estimate_selected(PlannerInfo *root, RelOptInfo *rel, List *usable, int nequal)
{
	FdwRel	   *info = rel->fdw_private;

	if (nequal == info->nkeys)
		return Min(clamp_row_est(rel->tuples), estimate_lookups(root, usable));
	if (usable == info->usable && info->share >= 0)
		return clamp_row_est(rel->tuples * info->share);
	return clamp_row_est(rel->tuples *
						 clauselist_selectivity(root, fdw_quals_rinfos(usable, false), rel->relid, JOIN_INNER, NULL));
}

/* Rows that meet all restrictions. */
static void
estimate_rows(PlannerInfo *root, RelOptInfo *rel)
{
	FdwRel	   *info = rel->fdw_private;

	set_baserel_size_estimates(root, rel);
	if (info->nequal == info->nkeys)
		rel->rows = Min(rel->rows, estimate_selected(root, rel, info->usable, info->nequal));
	else if (info->share >= 0)
	{
		List	   *others = list_difference_ptr(rel->baserestrictinfo,
													fdw_quals_rinfos(info->usable, false));

		rel->rows = clamp_row_est(rel->tuples * info->share *
								  clauselist_selectivity(root, others, 0, JOIN_INNER, NULL));
	}
}

void
fdw_plan_rel_size(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	FdwRel	   *info = palloc0(sizeof(FdwRel));
	Relation	relation = table_open(relid, NoLock);
	const ForestTable *table = forest_table_for_read(relid);
	ForestEstimate estimate = {0};

	rel->fdw_private = info;
	info->columns = fdw_quals_key_columns(relation, &info->nkeys);
	/* What locks rows, or feeds a modification, does so one table after the other. */
	info->async = root->parse->commandType == CMD_SELECT && root->rowMarks == NIL && table->async_capable;
	if (ActiveSnapshotSet())
		forest_estimate(table, GetActiveSnapshot(), &estimate);
	fdw_estimate_rel(rel, relation, &estimate);
	fdw_cost_blocks(table, &estimate, &info->blocks);
	info->usable = fdw_quals_usable(root, rel, info->columns, info->nkeys,
									rel->baserestrictinfo, &info->nequal);
	info->share = info->nequal == info->nkeys ? -1 :
		fdw_estimate_share(root, rel, relation, table, info->usable);
	table_close(relation, NoLock);
	estimate_rows(root, rel);
}

const FdwKeyColumn *
fdw_plan_key_columns(const RelOptInfo *rel, int *nkeys)
{
	const FdwRel *info = rel->fdw_private;

	*nkeys = info->nkeys;
	return info->columns;
}

bool
fdw_plan_is_async(const RelOptInfo *rel)
{
	return ((const FdwRel *) rel->fdw_private)->async;
}

const FdwBlockCosts *
fdw_plan_block_costs(const RelOptInfo *rel)
{
	return &((const FdwRel *) rel->fdw_private)->blocks;
}

/* ---- paths ---- */

static void
estimate_cost(PlannerInfo *root, RelOptInfo *rel, List *usable, int nequal, double rows,
			  Cost *startup, Cost *total)
{
	FdwRel	   *info = rel->fdw_private;
	double		selected = estimate_selected(root, rel, usable, nequal);
	Cost		per_row = cpu_tuple_cost + FDW_ROW_COST + rel->baserestrictcost.per_tuple;

	double		lookups = estimate_lookups(root, usable);

	*startup = rel->baserestrictcost.startup + rel->reltarget->cost.startup;
	*total = *startup + lookups * FDW_LOOKUP_COST + selected * per_row +
		rows * rel->reltarget->cost.per_tuple;
	if (nequal == info->nkeys)
		*total += fdw_cost_requests_of_lookups(&info->blocks, lookups, true);
	else
		*total += fdw_cost_requests_of_scan(&info->blocks, lookups, selected);
}

static void
add_plain_paths(PlannerInfo *root, RelOptInfo *rel)
{
	FdwRel	   *info = rel->fdw_private;
	Cost		startup;
	Cost		total;
	ListCell   *cell;

	estimate_cost(root, rel, info->usable, info->nequal, rel->rows, &startup, &total);
	foreach(cell, fdw_order_choices(root, rel, info->columns, info->nkeys))
	{
		FdwOrder   *order = lfirst(cell);

		add_path(rel, (Path *) compat_create_foreignscan_path(root, rel, rel->rows, startup, total,
															  order->pathkeys, rel->lateral_relids,
															  list_make1_int(order->backward)));
	}
}

/* For several processes: slices of the key ranges, in no order. */
static void
add_shared_path(PlannerInfo *root, RelOptInfo *rel)
{
	FdwRel	   *info = rel->fdw_private;
	ForeignPath *path;
	Cost		startup;
	Cost		total;
	double		divisor;
	int			workers;

	if (!rel->consider_parallel || rel->lateral_relids != NULL || info->nequal == info->nkeys ||
		root->parse->commandType != CMD_SELECT || root->rowMarks != NIL)
		return;
	workers = fdw_parallel_workers(root, rel, estimate_selected(root, rel, info->usable, info->nequal), &divisor);
	if (workers <= 0)
		return;
	estimate_cost(root, rel, info->usable, info->nequal, rel->rows, &startup, &total);
	path = compat_create_foreignscan_path(root, rel, clamp_row_est(rel->rows / divisor), startup,
										  startup + (total - startup) / divisor, NIL, NULL, list_make1_int(false));
	path->path.parallel_aware = true;
	path->path.parallel_workers = workers;
	add_partial_path(rel, (Path *) path);
}

/* Whether values of other relations may make it equalities of the key: it alone, or each arm of an OR. */
static bool
gives_keys(PlannerInfo *root, RelOptInfo *rel, RestrictInfo *rinfo)
{
	FdwRel	   *info = rel->fdw_private;
	FdwKeyClause *clause = fdw_quals_match(root, rel, info->columns, info->nkeys, rinfo);
	int			nequal;

	if (clause != NULL)
		return fdw_key_kind_is_equality(clause->kind);
	return fdw_quals_or(root, rel, info->columns, info->nkeys, list_make1(rinfo), NIL, &nequal) != NIL && nequal > 0;
}

/* Adds to the list of relid sets those outer relations that the clause takes its operand from. */
static List *
add_required_outer(PlannerInfo *root, RelOptInfo *rel, RestrictInfo *rinfo, List *outers)
{
	Relids		outer;
	ListCell   *cell;

	if (!join_clause_is_movable_to(rinfo, rel) || !gives_keys(root, rel, rinfo))
		return outers;
	outer = bms_union(rinfo->clause_relids, rel->lateral_relids);
	outer = bms_del_member(outer, rel->relid);
	if (bms_is_empty(outer))
		return outers;
	foreach(cell, outers)
		if (bms_equal(outer, lfirst(cell)))
			return outers;
	return lappend(outers, outer);
}

static bool
member_is_column(PlannerInfo *root, RelOptInfo *rel, EquivalenceClass *class,
				 EquivalenceMember *member, void *arg)
{
	return fdw_quals_is_column(member->em_expr, rel->relid, arg);
}

/* The sets of outer relations that could give values of key columns, and their union. */
static List *
possible_outers(PlannerInfo *root, RelOptInfo *rel)
{
	FdwRel	   *info = rel->fdw_private;
	List	   *outers = NIL;
	Relids		all = NULL;
	ListCell   *cell;

	foreach(cell, rel->joininfo)
		outers = add_required_outer(root, rel, lfirst_node(RestrictInfo, cell), outers);
	for (int i = 0; i < info->nkeys && rel->has_eclass_joins; i++)
	{
		List	   *clauses;

		clauses = generate_implied_equalities_for_column(root, rel, member_is_column,
														 &info->columns[i],
														 rel->lateral_referencers);
		foreach(cell, clauses)
			outers = add_required_outer(root, rel, lfirst_node(RestrictInfo, cell), outers);
	}
	if (list_length(outers) < 2)
		return outers;
	foreach(cell, outers)
		all = bms_add_members(all, lfirst(cell));
	foreach(cell, outers)
		if (bms_equal(all, lfirst(cell)))
			return outers;
	return lappend(outers, all);
}

/* A path for the inside of a nested loop, if the outer relations' values lead to more key columns. */
static void
add_parameterized_path(PlannerInfo *root, RelOptInfo *rel, Relids outer)
{
	FdwRel	   *info = rel->fdw_private;
	ParamPathInfo *param = get_baserel_parampathinfo(root, rel, outer);
	int			nequal;
	List	   *usable;
	double		rows;
	Cost		startup;
	Cost		total;

	usable = fdw_quals_usable(root, rel, info->columns, info->nkeys,
							  list_concat_copy(rel->baserestrictinfo, param->ppi_clauses),
							  &nequal);
	if (nequal <= info->nequal)
		return;
	rows = param->ppi_rows;
	if (nequal == info->nkeys)
		rows = Min(rows, estimate_lookups(root, usable));
	estimate_cost(root, rel, usable, nequal, rows, &startup, &total);
	add_path(rel, (Path *) compat_create_foreignscan_path(root, rel, rows, startup, total,
														  NIL, outer, list_make1_int(false)));
}

void
fdw_plan_paths(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	ListCell   *cell;

	add_plain_paths(root, rel);
	add_shared_path(root, rel);
	foreach(cell, possible_outers(root, rel))
		add_parameterized_path(root, rel, lfirst(cell));
}

/* ---- plans ---- */

static FdwScanLock
scan_lock(PlannerInfo *root, RelOptInfo *rel)
{
	PlanRowMark *mark;

	if (bms_is_member(rel->relid, root->all_result_relids))
		return root->parse->commandType == CMD_UPDATE ? FDW_LOCK_FOR_UPDATE_TRIGGERS :
			root->parse->commandType == CMD_DELETE ? FDW_LOCK_FOR_DELETE_TRIGGERS :
			FDW_LOCK_NONE;
	mark = get_plan_rowmark(root->rowMarks, rel->relid);
	if (mark == NULL || mark->strength == LCS_NONE)
		return FDW_LOCK_NONE;
	if (mark->waitPolicy != LockWaitBlock)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s is not supported on skyvault tables",
						mark->waitPolicy == LockWaitSkip ? "SKIP LOCKED" : "NOWAIT"),
				 errhint("Lock the rows without it; lock_timeout limits the wait.")));
	return FDW_LOCK_ROWS;
}

/* Attribute numbers that the target list and the clauses mention. */
static List *
needed_columns(RelOptInfo *rel, List *clauses)
{
	Bitmapset  *attrs = NULL;
	List	   *needed = NIL;
	int			offset = FirstLowInvalidHeapAttributeNumber;
	int			i = -1;

	pull_varattnos((Node *) rel->reltarget->exprs, rel->relid, &attrs);
	pull_varattnos((Node *) clauses, rel->relid, &attrs);
	while ((i = bms_next_member(attrs, i)) >= 0)
	{
		if (i + offset >= 0)
			needed = lappend_int(needed, i + offset);
	}
	return needed;
}

/*
 * How many rows the query wants of the scan, if that is known: 0 if not.  A guess,
 * by which the scan reads less at first; it may be asked for more.
 */
static int
wanted_rows(PlannerInfo *root, ForeignPath *path, List *local)
{
	if (root->limit_tuples <= 0 || root->limit_tuples > INT_MAX || local != NIL ||
		bms_membership(root->all_baserels) != BMS_SINGLETON ||
		!pathkeys_contained_in(root->query_pathkeys, path->path.pathkeys))
		return 0;
	return (int) root->limit_tuples;
}

/* Range table indexes move together when subqueries become one plan. */
static int
distance_of_parent(const RelOptInfo *rel)
{
	int			parent;

	if (rel->top_parent_relids == NULL || !bms_get_singleton_member(rel->top_parent_relids, &parent))
		return 0;
	return (int) rel->relid - parent;
}

static List *
scan_manner(PlannerInfo *root, RelOptInfo *rel, ForeignPath *path, List *local)
{
	return list_make4_int(linitial_int(path->fdw_private), wanted_rows(root, path, local),
						  distance_of_parent(rel), 0);
}

ForeignScan *
fdw_plan_scan(PlannerInfo *root, RelOptInfo *rel, Oid relid, ForeignPath *path, List *tlist,
			  List *scan_clauses, Plan *outer_plan)
{
	FdwRel	   *info = rel->fdw_private;
	int			nequal;
	List	   *usable;
	List	   *certain;
	List	   *operands;
	List	   *keys;
	List	   *kinds;
	List	   *tested;
	List	   *local;
	ListCell   *cell;

	if (IS_UPPER_REL(rel))
		return fdw_upper_plan(root, path, tlist, outer_plan);
	usable = fdw_quals_usable(root, rel, info->columns, info->nkeys, scan_clauses, &nequal);
	certain = fdw_quals_rinfos(usable, true);
	foreach(cell, scan_clauses)
		if (fdw_quals_is_certain(rel, info->columns, info->nkeys, lfirst(cell)))
			certain = lappend(certain, lfirst(cell));
	fdw_quals_split(usable, &operands, &keys, &kinds);
	local = extract_actual_clauses(list_difference_ptr(scan_clauses, certain), false);
	tested = extract_actual_clauses(fdw_quals_rinfos(usable, false), false);

	return make_foreignscan(tlist, local, rel->relid, operands,
							list_make5(needed_columns(rel, list_concat_copy(local, tested)), keys, kinds,
									   list_make1_int(scan_lock(root, rel)),
									   scan_manner(root, rel, path, local)),
							NIL, tested, outer_plan);
}

bool
fdw_plan_is_parallel_safe(PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte)
{
	return !forest_table_for_read(rte->relid)->async_capable;
}
