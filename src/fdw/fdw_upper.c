/*
 * fdw_upper.c
 *		See fdw_upper.h.
 *
 * Every condition has to be one of those that the keys decide by themselves, and
 * the keys or ranges have to be exact (FdwTargets): so no list but one on the first
 * key column.  A key is never null, so that count of a key column is count(*).
 */
#include "postgres.h"

#include "fdw/fdw_upper.h"

#include "access/table.h"
#include "fdw/fdw_cost.h"
#include "fdw/fdw_plan.h"
#include "fdw/fdw_quals.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "server/pg_compat.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

/* What a row costs that is counted, most often without being read. */
#define COUNTED_ROW_COST (cpu_operator_cost / 4)

typedef struct CountPath
{
	List	   *aggregates;		/* distinct Aggrefs, each of which is the count */
	List	   *usable;			/* FdwKeyClauses, all of the conditions that are not certain */
} CountPath;

/* Whether the query is of one table of ours, without groups or conditions on them. */
static bool
is_plain_aggregate(PlannerInfo *root, const RelOptInfo *rel)
{
	const Query *parse = root->parse;

	return parse->hasAggs && parse->groupClause == NIL && parse->groupingSets == NIL &&
		parse->havingQual == NULL && rel->reloptkind == RELOPT_BASEREL &&
		bms_membership(root->all_baserels) == BMS_SINGLETON && !planner_rt_fetch(rel->relid, root)->inh &&
		!root->hasPseudoConstantQuals && rel->fdw_private != NULL;
}

static bool
is_count(const Aggref *aggregate, Index relid, const FdwKeyColumn *columns, int nkeys)
{
	const Expr *argument;

	if (aggregate->aggfilter != NULL || aggregate->aggdistinct != NIL || aggregate->aggorder != NIL ||
		aggregate->agglevelsup != 0 || aggregate->aggsplit != AGGSPLIT_SIMPLE)
		return false;
	if (aggregate->aggfnoid == F_COUNT_)
		return true;
	if (aggregate->aggfnoid != F_COUNT_ANY)
		return false;
	argument = linitial_node(TargetEntry, aggregate->args)->expr;
	for (int i = 0; i < nkeys; i++)
		if (fdw_quals_is_column(argument, relid, &columns[i]))
			return true;
	return false;
}

/* The query's aggregates if all are counts; else NIL. */
static List *
counting_aggregates(const RelOptInfo *output, Index relid, const FdwKeyColumn *columns, int nkeys)
{
	List	   *found = pull_var_clause((Node *) output->reltarget->exprs,
										PVC_INCLUDE_AGGREGATES | PVC_RECURSE_WINDOWFUNCS |
										PVC_RECURSE_PLACEHOLDERS);
	List	   *result = NIL;
	ListCell   *cell;

	foreach(cell, found)
	{
		if (!IsA(lfirst(cell), Aggref) || !is_count(lfirst(cell), relid, columns, nkeys))
			return NIL;
		result = list_append_unique(result, lfirst(cell));
	}
	return result;
}

/* Whether the clauses say exactly which keys are counted, without any other condition. */
static bool
decide_alone(const RelOptInfo *rel, const FdwKeyColumn *columns, int nkeys, List *usable)
{
	List	   *used = NIL;
	ListCell   *cell;

	foreach(cell, usable)
	{
		const FdwKeyClause *clause = lfirst(cell);

		if (clause->lossy || (clause->kind == FDW_KEY_ANY && clause->key > 0))
			return false;
		used = lappend(used, clause->rinfo);
	}
	foreach(cell, rel->baserestrictinfo)
		if (!list_member_ptr(used, lfirst(cell)) &&
			!fdw_quals_is_certain(unconstify(RelOptInfo *, rel), columns, nkeys, lfirst(cell)))
			return false;
	return true;
}

void
fdw_upper_paths(PlannerInfo *root, UpperRelationKind stage, RelOptInfo *input_rel,
				RelOptInfo *output_rel, void *extra)
{
	CountPath  *count;
	Relation	relation;
	FdwKeyColumn *columns;
	int			nkeys;
	int			nequal;
	Cost		cost;

	if (stage != UPPERREL_GROUP_AGG || !is_plain_aggregate(root, input_rel))
		return;
	relation = table_open(planner_rt_fetch(input_rel->relid, root)->relid, NoLock);
	columns = fdw_quals_key_columns(relation, &nkeys);
	table_close(relation, NoLock);
	count = palloc(sizeof(CountPath));
	count->aggregates = counting_aggregates(output_rel, input_rel->relid, columns, nkeys);
	if (count->aggregates == NIL)
		return;
	count->usable = fdw_quals_usable(root, input_rel, columns, nkeys, input_rel->baserestrictinfo,
									 &nequal);
	if (!decide_alone(input_rel, columns, nkeys, count->usable))
		return;
	cost = FDW_LOOKUP_COST + input_rel->rows * COUNTED_ROW_COST;
	add_path(output_rel,
			 (Path *) compat_create_foreign_upper_path(root, output_rel, output_rel->reltarget, 1,
													   cost, cost + cpu_tuple_cost, list_make1(count)));
}

ForeignScan *
fdw_upper_plan(PlannerInfo *root, ForeignPath *path, List *tlist, Plan *outer_plan)
{
	const CountPath *count = linitial(path->fdw_private);
	List	   *tested = NIL;
	List	   *scanned;
	List	   *operands;
	List	   *keys;
	List	   *kinds;
	ListCell   *cell;

	foreach(cell, fdw_quals_rinfos(count->usable, false))
		tested = lappend(tested, lfirst_node(RestrictInfo, cell)->clause);
	fdw_quals_split(count->usable, &operands, &keys, &kinds);
	/* The columns are never handed out: EXPLAIN shows the conditions by way of them. */
	scanned = add_to_flat_tlist(NIL, count->aggregates);
	scanned = add_to_flat_tlist(scanned, pull_var_clause((Node *) tested, PVC_RECURSE_PLACEHOLDERS));

	return make_foreignscan(tlist, NIL, 0, operands,
							list_make5(NIL, keys, kinds, list_make1_int(FDW_LOCK_NONE),
									   list_make4_int(false, 0, 0, list_length(count->aggregates))),
							scanned, tested, outer_plan);
}
