/*
 * fdw_estimate.c
 *		See fdw_estimate.h.
 */
#include "postgres.h"

#include "fdw/fdw_estimate.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "fdw/fdw_quals.h"
#include "fdw/fdw_targets.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/*
 * Assumed at least of a table that was never analyzed: counts of fresh rows come late,
 * and a plan made for an empty table is bad for any other.
 */
#define LEAST_ROWS 1000

/* So many ranges are looked at; more are taken to be like them. */
#define MOST_RANGES 16

/* ---- the table ---- */

static void
estimate_rows(RelOptInfo *rel, const ForestEstimate *estimate)
{
	double		analyzed = rel->tuples;
	double		analyzed_pages = rel->pages;
	double		pages = forest_estimate_pages(estimate);

	if (analyzed > 0 && analyzed_pages > 0)
	{
		rel->tuples = analyzed / analyzed_pages * pages;
		/* It cannot have more than all of its entries, of which those of the delta are a guess. */
		if (estimate->run_entries > 0)
			rel->tuples = Min(rel->tuples, Max(estimate->run_entries + estimate->delta_rows, LEAST_ROWS));
	}
	else
		rel->tuples = Max(LEAST_ROWS, forest_estimate_rows(estimate));
	rel->pages = (BlockNumber) pages;
}

/* Bytes of a row as entries of runs have it go to the columns of which nothing else is known. */
static void
estimate_widths(RelOptInfo *rel, Relation relation, const ForestEstimate *estimate)
{
	TupleDesc	desc = RelationGetDescr(relation);
	double		left = estimate->run_bytes / Max(estimate->run_entries, 1);
	int			unknown = 0;

	if (estimate->run_entries == 0)
		return;
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		int			width = get_attavgwidth(RelationGetRelid(relation), i + 1);

		if (attribute->attisdropped)
			continue;
		if (width <= 0 && attribute->attlen > 0)
			width = attribute->attlen;
		if (width <= 0)
			unknown++;
		left -= width;
	}
	for (int i = 0; i < desc->natts && unknown > 0; i++)
		if (!TupleDescAttr(desc, i)->attisdropped && TupleDescAttr(desc, i)->attlen < 0 &&
			get_attavgwidth(RelationGetRelid(relation), i + 1) <= 0)
			rel->attr_widths[i + 1 - rel->min_attr] = (int32) Max(1, Min(left / unknown, MaxAllocSize / 2));
}

void
fdw_estimate_rel(RelOptInfo *rel, Relation relation, const ForestEstimate *estimate)
{
	estimate_rows(rel, estimate);
	estimate_widths(rel, relation, estimate);
}

/* ---- key ranges ---- */

static bool
has_statistics(Relation relation, AttrNumber attno)
{
	return SearchSysCacheExists3(STATRELATTINH, ObjectIdGetDatum(RelationGetRelid(relation)),
								 Int16GetDatum(attno), BoolGetDatum(false));
}

/* Whether keys of the type are numbers that may be taken to be near each other. */
static bool
is_number(Oid type)
{
	switch (type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case OIDOID:
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case UUIDOID:
			return true;
		default:
			return false;
	}
}

/* The conditions, if all of their operands are known now. */
static FdwKeyCondition *
known_conditions(PlannerInfo *root, Relation relation, List *usable, int *n)
{
	const RowShape *shape = row_shape(relation);
	List	   *operands;
	List	   *keys;
	List	   *kinds;
	FdwKeyCondition *conditions;
	ListCell   *cell;

	fdw_quals_split(usable, &operands, &keys, &kinds);
	*n = list_length(operands);
	conditions = palloc0(sizeof(FdwKeyCondition) * Max(*n, 1));
	foreach(cell, operands)
	{
		int			i = foreach_current_index(cell);
		Node	   *value = estimate_expression_value(root, lfirst(cell));
		FdwKeyCondition *condition = &conditions[i];
		AttrNumber	attno;

		condition->key = list_nth_int(keys, i);
		condition->kind = fdw_key_kind(list_nth_int(kinds, i));
		condition->begins = (list_nth_int(kinds, i) & FDW_KEY_BEGINS) != 0;
		attno = row_shape_key_attribute(shape, condition->key);
		if (!IsA(value, Const) ||
			(fdw_key_kind_is_equality(condition->kind) &&
			 !is_number(getBaseType(TupleDescAttr(RelationGetDescr(relation), attno - 1)->atttypid))))
			return NULL;
		condition->type = exprType(value);
		condition->operand = ExecInitExpr((Expr *) value, NULL);
	}
	return conditions;
}

static double
share_of_range(const ForestTable *table, const FdwRange *range)
{
	Snapshot	snapshot = GetActiveSnapshot();
	double		from = range->has_low ? forest_estimate_share_below(table, snapshot, range->low) : 0;
	double		to = range->has_high ? forest_estimate_share_below(table, snapshot, range->high) : 1;

	return from < 0 || to < 0 ? -1 : Max(0, to - from);
}

static double
share_of_targets(const ForestTable *table, const FdwTargets *targets)
{
	int			looked_at = Min(targets->n, MOST_RANGES);
	double		share = 0;

	if (targets->are_points)
		return -1;
	for (int i = 0; i < looked_at; i++)
	{
		/* At equal distances. */
		double		of_range = share_of_range(table, &targets->ranges[(int64) i * targets->n / looked_at]);

		if (of_range < 0)
			return -1;
		share += of_range;
	}
	return looked_at > 0 ? Min(1, share * targets->n / looked_at) : 0;
}

double
fdw_estimate_share(PlannerInfo *root, RelOptInfo *rel, Relation relation, const ForestTable *table,
				   List *usable)
{
	MemoryContext context;
	MemoryContext old;
	FdwKeyCondition *conditions;
	FdwTargets	targets;
	ExprContext *econtext;
	double		share = -1;
	int			n;

	if (usable == NIL || table->table_id == 0 || !ActiveSnapshotSet() ||
		has_statistics(relation, row_shape_key_attribute(row_shape(relation), 0)))
		return -1;
	context = AllocSetContextCreate(CurrentMemoryContext, "skyvault range estimate", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	conditions = known_conditions(root, relation, usable, &n);
	if (conditions != NULL)
	{
		econtext = CreateStandaloneExprContext();
		fdw_targets_build(relation, conditions, n, false, econtext, &targets);
		share = share_of_targets(table, &targets);
		FreeExprContext(econtext, true);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return share;
}
