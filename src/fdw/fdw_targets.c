/*
 * fdw_targets.c
 *		See fdw_targets.h.
 *
 * Let the equalities be on the first p key columns.  Each combination of
 * their values, encoded, is a whole key, or a prefix P of keys.  A prefix is
 * the range [P, successor of P), or, with bounds on the columns after it, the
 * part of that range which the bounds cut out.
 */
#include "postgres.h"

#include "fdw/fdw_targets.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "fdw/fdw_pattern.h"
#include "fdw/fdw_plan.h"
#include "fdw/fdw_targets_unite.h"
#include "forest/forest_write.h"
#include "forest/key_sort.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/*
 * Lists on several columns multiply.  Where that gives more than this, the
 * columns from there on are left to the conditions' recheck.
 */
#define MAX_COMBINATIONS 100000

/* Where a value of another integer type lies in respect to the column's type. */
typedef enum ValueFit
{
	FIT_INSIDE,
	FIT_BELOW_ALL,
	FIT_ABOVE_ALL
} ValueFit;

typedef struct ColumnValues
{
	int			n;
	Datum	   *values;
} ColumnValues;

/* Keys are allocated in pieces of this size; longer ones alone. */
#define KEY_CHUNK_BYTES 1024

typedef struct TargetBuild
{
	const RowShape *shape;
	TupleDesc	desc;
	int			nkeys;
	int			nequal;			/* columns with values below */
	ColumnValues *columns;		/* by key column */
	Datum	   *values;			/* the combination at hand, by key column */
	bool	   *isnull;			/* all false */
	StringInfoData encoded;		/* the key that is made */
	char	   *chunk;			/* where the next keys go */
	size_t		chunk_left;
} TargetBuild;

/* ---- values ---- */

/* The column's base type. */
static Oid
key_type(const TargetBuild *build, int key)
{
	AttrNumber	attno = row_shape_key_attribute(build->shape, key);

	return getBaseType(TupleDescAttr(build->desc, attno - 1)->atttypid);
}

static int64
integer_value(Oid type, Datum value)
{
	return type == INT2OID ? DatumGetInt16(value) :
		type == INT4OID ? DatumGetInt32(value) : DatumGetInt64(value);
}

/* Converts a value of the given type into the column's, if both are integers and it fits. */
static ValueFit
convert_value(Oid column_type, Oid type, Datum *value)
{
	int64		number;

	if (type == column_type || (type != INT2OID && type != INT4OID && type != INT8OID))
		return FIT_INSIDE;
	number = integer_value(type, *value);
	switch (column_type)
	{
		case INT2OID:
			if (number < PG_INT16_MIN || number > PG_INT16_MAX)
				return number < 0 ? FIT_BELOW_ALL : FIT_ABOVE_ALL;
			*value = Int16GetDatum((int16) number);
			break;
		case INT4OID:
			if (number < PG_INT32_MIN || number > PG_INT32_MAX)
				return number < 0 ? FIT_BELOW_ALL : FIT_ABOVE_ALL;
			*value = Int32GetDatum((int32) number);
			break;
		case INT8OID:
			*value = Int64GetDatum(number);
			break;
		default:
			break;
	}
	return FIT_INSIDE;
}

bool
fdw_targets_convert(Oid column_type, Oid type, Datum *value)
{
	return convert_value(column_type, type, value) == FIT_INSIDE;
}

static void
add_array(TargetBuild *build, int key, Datum array_datum, ColumnValues *out)
{
	ArrayType  *array = DatumGetArrayTypeP(array_datum);
	Oid			column_type = key_type(build, key);
	Oid			type = ARR_ELEMTYPE(array);
	int16		typlen;
	bool		typbyval;
	char		typalign;
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	get_typlenbyvalalign(type, &typlen, &typbyval, &typalign);
	deconstruct_array(array, type, typlen, typbyval, typalign, &elements, &nulls, &n);
	out->values = elements;
	type = getBaseType(type);
	for (int i = 0; i < n; i++)
	{
		if (!nulls[i] && convert_value(column_type, type, &elements[i]) == FIT_INSIDE)
			out->values[out->n++] = elements[i];
	}
}

/* The values of an equality; none if it is never true. */
static void
equality_values(TargetBuild *build, const FdwKeyCondition *condition, ExprContext *econtext,
				ColumnValues *out)
{
	bool		isnull;
	Datum		value = ExecEvalExprSwitchContext(condition->operand, econtext, &isnull);

	out->n = 0;
	if (isnull)
		return;
	if (condition->kind == FDW_KEY_ANY)
		add_array(build, condition->key, value, out);
	else if (convert_value(key_type(build, condition->key), condition->type, &value) == FIT_INSIDE)
	{
		out->values = palloc(sizeof(Datum));
		out->values[out->n++] = value;
	}
}

/* ---- bytes ---- */

/* A copy of the bytes, which lives as long as the targets. */
static SvSlice
keep_bytes(TargetBuild *build, const char *bytes, size_t len)
{
	char	   *copy;

	if (build->chunk == NULL || len > build->chunk_left)
	{
		build->chunk_left = Max(len, KEY_CHUNK_BYTES);
		build->chunk = palloc(build->chunk_left);
	}
	copy = build->chunk;
	build->chunk += len;
	build->chunk_left -= len;
	memcpy(copy, bytes, len);
	return sv_slice(copy, len);
}

/* The encoding of the first n columns of the combination at hand. */
static SvSlice
encode(TargetBuild *build, int n)
{
	resetStringInfo(&build->encoded);
	row_encode_key(build->shape, build->values, build->isnull, n, &build->encoded);
	return keep_bytes(build, build->encoded.data, build->encoded.len);
}

/* The least key above `key`. */
static SvSlice
next_key(SvSlice key)
{
	uint8	   *bytes = palloc0(key.len + 1);

	if (key.len > 0)
		memcpy(bytes, key.data, key.len);
	return sv_slice(bytes, key.len + 1);
}

/* The least key above all keys that begin with the prefix; false if there is none. */
static bool
prefix_successor(SvSlice prefix, SvSlice *successor)
{
	size_t		len = prefix.len;
	uint8	   *bytes;

	while (len > 0 && prefix.data[len - 1] == 0xFF)
		len--;
	if (len == 0)
		return false;
	bytes = palloc(len);
	memcpy(bytes, prefix.data, len);
	bytes[len - 1]++;
	*successor = sv_slice(bytes, len);
	return true;
}

/*
 * No stored key is longer than the limit, so a longer bound has the same keys
 * on either side as the one after its first bytes.
 */
static SvSlice
shorten_bound(SvSlice bound)
{
	return bound.len <= FOREST_MAX_KEY_BYTES ? bound :
		next_key(sv_slice(bound.data, FOREST_MAX_KEY_BYTES));
}

static void
raise_low(FdwRange *range, SvSlice low)
{
	low = shorten_bound(low);
	if (!range->has_low || sv_slice_compare(low, range->low) > 0)
		range->low = low;
	range->has_low = true;
}

static void
reduce_high(FdwRange *range, SvSlice high)
{
	high = shorten_bound(high);
	if (!range->has_high || sv_slice_compare(high, range->high) < 0)
		range->high = high;
	range->has_high = true;
}

/* ---- ranges ---- */

/*
 * A bound of the columns after the prefix: of one, or of a row's, of which the first
 * counts most.
 */
typedef struct Bound
{
	FdwKeyKind	kind;
	ValueFit	fit;			/* of one column; if not inside, there is no value */
	int			n;
	Datum	   *values;
} Bound;

/* What comes after all keys with the bound's column values; false: nothing does. */
static bool
after_bound(const TargetBuild *build, const Bound *bound, SvSlice bytes, SvSlice *after)
{
	if (build->nequal + bound->n < build->nkeys)
		return prefix_successor(bytes, after);
	*after = next_key(bytes);
	return true;
}

/* Cuts the range by one bound; false if nothing is left. */
static bool
apply_bound(TargetBuild *build, const Bound *bound, FdwRange *range)
{
	bool		is_low = bound->kind == FDW_KEY_ABOVE || bound->kind == FDW_KEY_FROM;
	SvSlice		bytes;
	SvSlice		after;

	if (bound->fit != FIT_INSIDE)
		return is_low == (bound->fit == FIT_BELOW_ALL);

	memcpy(&build->values[build->nequal], bound->values, sizeof(Datum) * bound->n);
	bytes = encode(build, build->nequal + bound->n);
	switch (bound->kind)
	{
		case FDW_KEY_FROM:
			raise_low(range, bytes);
			break;
		case FDW_KEY_BELOW:
			reduce_high(range, bytes);
			break;
		case FDW_KEY_ABOVE:
			if (!after_bound(build, bound, bytes, &after))
				return false;
			raise_low(range, after);
			break;
		default:
			if (after_bound(build, bound, bytes, &after))
				reduce_high(range, after);
			break;
	}
	return true;
}

/* The range of the combination at hand; false if it is empty. */
static bool
make_range(TargetBuild *build, const Bound *bounds, int nbounds, FdwRange *range)
{
	SvSlice		prefix = encode(build, build->nequal);
	SvSlice		successor;

	memset(range, 0, sizeof(FdwRange));
	if (prefix.len > 0)
		raise_low(range, prefix);
	if (prefix_successor(prefix, &successor))
		reduce_high(range, successor);
	for (int i = 0; i < nbounds; i++)
		if (!apply_bound(build, &bounds[i], range))
			return false;
	return !range->has_low || !range->has_high ||
		sv_slice_compare(range->low, range->high) < 0;
}

/* ---- combinations ---- */

static int
compare_ranges(const void *a, const void *b)
{
	return sv_slice_compare(((const FdwRange *) a)->low, ((const FdwRange *) b)->low);
}

static void
sort_points(FdwTargets *targets)
{
	SvSlice    *sorted;
	KeySortItem *room;
	int		   *order;
	int			kept = 0;

	if (targets->n < 2)
		return;
	sorted = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(SvSlice) * targets->n);
	room = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(KeySortItem) * 2 * targets->n);
	order = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int) * targets->n);
	for (int i = 0; i < targets->n; i++)
		order[i] = i;
	key_sort(targets->points, order, targets->n, room);
	pfree(room);
	for (int i = 0; i < targets->n; i++)
	{
		SvSlice		point = targets->points[order[i]];

		if (kept == 0 || !sv_slice_equal(sorted[kept - 1], point))
			sorted[kept++] = point;
	}
	pfree(order);
	pfree(targets->points);
	targets->points = sorted;
	targets->n = kept;
}

/* Ranges of different combinations do not overlap, those of equal ones are equal. */
static void
sort_ranges(FdwTargets *targets)
{
	int			kept = 0;

	if (targets->n < 2)
		return;
	qsort(targets->ranges, targets->n, sizeof(FdwRange), compare_ranges);
	for (int i = 0; i < targets->n; i++)
		if (kept == 0 || !sv_slice_equal(targets->ranges[kept - 1].low, targets->ranges[i].low))
			targets->ranges[kept++] = targets->ranges[i];
	targets->n = kept;
}

/* Combinations of values, after leaving out columns that would make too many. */
static int
count_combinations(TargetBuild *build, FdwTargets *targets)
{
	int64		total = 1;

	for (int i = 0; i < build->nequal; i++)
		if (build->columns[i].n == 0)
			return 0;
	for (int i = 0; i < build->nequal; i++)
	{
		if (i > 0 && build->columns[i].n > 1 &&
			total * build->columns[i].n > MAX_COMBINATIONS)
		{
			build->nequal = i;
			targets->inexact = true;
			break;
		}
		total *= build->columns[i].n;
	}
	return (int) total;
}

/* Puts combination number c into build->values. */
static void
choose_combination(TargetBuild *build, int c)
{
	for (int i = build->nequal - 1; i >= 0; i--)
	{
		build->values[i] = build->columns[i].values[c % build->columns[i].n];
		c /= build->columns[i].n;
	}
}

static void
make_targets(TargetBuild *build, const Bound *bounds, int nbounds, FdwTargets *targets)
{
	int			total = count_combinations(build, targets);

	targets->are_points = build->nequal == build->nkeys;
	if (targets->are_points)
		targets->points = MemoryContextAllocHuge(CurrentMemoryContext,
												 sizeof(SvSlice) * Max(total, 1));
	else
		targets->ranges = MemoryContextAllocHuge(CurrentMemoryContext,
												 sizeof(FdwRange) * Max(total, 1));
	for (int c = 0; c < total; c++)
	{
		CHECK_FOR_INTERRUPTS();
		choose_combination(build, c);
		if (targets->are_points)
		{
			SvSlice		key = encode(build, build->nkeys);

			if (key.len <= FOREST_MAX_KEY_BYTES)
				targets->points[targets->n++] = key;
		}
		else if (make_range(build, bounds, targets->inexact ? 0 : nbounds,
							&targets->ranges[targets->n]))
			targets->n++;
	}
	if (targets->are_points)
		sort_points(targets);
	else
		sort_ranges(targets);
}

/* ---- conditions ---- */

FdwKeyCondition *
fdw_conditions_init(ForeignScanState *node, int *n)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	List	   *keys = list_nth(plan->fdw_private, FDW_SCAN_KEYS);
	List	   *kinds = list_nth(plan->fdw_private, FDW_SCAN_KINDS);
	FdwKeyCondition *conditions;
	ListCell   *cell;

	*n = list_length(plan->fdw_exprs);
	conditions = palloc0(sizeof(FdwKeyCondition) * Max(*n, 1));
	foreach(cell, plan->fdw_exprs)
	{
		int			i = foreach_current_index(cell);
		FdwKeyCondition *condition = &conditions[i];

		condition->key = list_nth_int(keys, i);
		condition->kind = fdw_key_kind(list_nth_int(kinds, i));
		condition->begins = (list_nth_int(kinds, i) & FDW_KEY_BEGINS) != 0;
		condition->type = exprType(lfirst(cell));
		condition->operand = ExecInitExpr(lfirst(cell), &node->ss.ps);
	}
	return conditions;
}

/*
 * The bound ends with the column before this one, which is null, or of no value of
 * its type.  (1, NULL) is below (2, 0), and neither below nor above (1, 0); a value
 * below all of its type is below whatever the column has.
 */
static void
end_bound(Bound *bound, bool isnull, ValueFit fit)
{
	bool		is_low = bound->kind == FDW_KEY_ABOVE || bound->kind == FDW_KEY_FROM;

	if (is_low)
		bound->kind = !isnull && fit == FIT_BELOW_ALL ? FDW_KEY_FROM : FDW_KEY_ABOVE;
	else
		bound->kind = !isnull && fit == FIT_ABOVE_ALL ? FDW_KEY_UPTO : FDW_KEY_BELOW;
}

/* Evaluates a bound of n operands; false if it is never met. */
static bool
read_bound(TargetBuild *build, const FdwKeyCondition *conditions, int n, ExprContext *econtext,
		   Bound *bound)
{
	bound->kind = conditions[0].kind;
	bound->fit = FIT_INSIDE;
	bound->values = palloc(sizeof(Datum) * n);
	for (bound->n = 0; bound->n < n; bound->n++)
	{
		const FdwKeyCondition *condition = &conditions[bound->n];
		bool		isnull;
		Datum		value = ExecEvalExprSwitchContext(condition->operand, econtext, &isnull);
		ValueFit	fit = FIT_INSIDE;

		if (!isnull)
			fit = convert_value(key_type(build, condition->key), condition->type, &value);
		if (bound->n == 0 && isnull)
			return false;
		if (isnull || fit != FIT_INSIDE)
		{
			if (bound->n == 0)
				bound->fit = fit;
			else
				end_bound(bound, isnull, fit);
			break;
		}
		bound->values[bound->n] = value;
	}
	return true;
}

/* Makes two bounds, or one, or none, of LIKE or ^@; false if it is never met. */
static bool
read_prefix(const FdwKeyCondition *condition, ExprContext *econtext, Bound *bounds, int *nbounds)
{
	bool		isnull;
	Datum		prefix = ExecEvalExprSwitchContext(condition->operand, econtext, &isnull);
	Datum		after;

	if (isnull)
		return false;
	if (condition->kind == FDW_KEY_LIKE)
		prefix = fdw_pattern_prefix(prefix, NULL);
	bounds[*nbounds] = (Bound) {.kind = FDW_KEY_FROM,.n = 1,.values = palloc(sizeof(Datum))};
	bounds[(*nbounds)++].values[0] = prefix;
	if (!fdw_pattern_after(prefix, &after))
		return true;
	bounds[*nbounds] = (Bound) {.kind = FDW_KEY_BELOW,.n = 1,.values = palloc(sizeof(Datum))};
	bounds[(*nbounds)++].values[0] = after;
	return true;
}

/* Evaluates all; false if they are never met together. */
static bool
read_conditions(TargetBuild *build, const FdwKeyCondition *conditions, int nconditions,
				ExprContext *econtext, Bound *bounds, int *nbounds)
{
	int			i = 0;

	while (i < nconditions)
	{
		const FdwKeyCondition *condition = &conditions[i];
		int			n = 1;

		if (fdw_key_kind_is_equality(condition->kind))
			equality_values(build, condition, econtext, &build->columns[build->nequal++]);
		else if (condition->kind == FDW_KEY_STARTS || condition->kind == FDW_KEY_LIKE)
		{
			if (!read_prefix(condition, econtext, bounds, nbounds))
				return false;
		}
		else
		{
			while (i + n < nconditions && conditions[i + n].kind == FDW_KEY_AND_NEXT)
				n++;
			if (!read_bound(build, condition, n, econtext, &bounds[(*nbounds)++]))
				return false;
		}
		i += n;
	}
	return true;
}

static void
turn_round(FdwTargets *targets)
{
	for (int i = 0, j = targets->n - 1; i < j; i++, j--)
	{
		if (targets->are_points)
		{
			SvSlice		point = targets->points[i];

			targets->points[i] = targets->points[j];
			targets->points[j] = point;
		}
		else
		{
			FdwRange	range = targets->ranges[i];

			targets->ranges[i] = targets->ranges[j];
			targets->ranges[j] = range;
		}
	}
}

/* Of one alternative. */
static void
build_targets(Relation relation, const FdwKeyCondition *conditions, int nconditions,
			  ExprContext *econtext, FdwTargets *targets)
{
	TargetBuild build = {.shape = row_shape(relation),.desc = RelationGetDescr(relation)};
	Bound	   *bounds = palloc(sizeof(Bound) * Max(2 * nconditions, 1));
	int			nbounds = 0;

	build.nkeys = row_shape_key_count(build.shape);
	build.columns = palloc0(sizeof(ColumnValues) * build.nkeys);
	build.values = palloc0(sizeof(Datum) * build.nkeys);
	build.isnull = palloc0(sizeof(bool) * build.nkeys);
	initStringInfo(&build.encoded);
	memset(targets, 0, sizeof(FdwTargets));

	if (read_conditions(&build, conditions, nconditions, econtext, bounds, &nbounds))
		make_targets(&build, bounds, nbounds, targets);
}

void
fdw_targets_build(Relation relation, const FdwKeyCondition *conditions, int nconditions,
				  bool backward, ExprContext *econtext, FdwTargets *targets)
{
	FdwTargets *parts = palloc(sizeof(FdwTargets) * Max(nconditions, 1));
	int			nparts = 0;
	int			begin = 0;

	do
	{
		int			end = begin;

		do
			end++;
		while (end < nconditions && !conditions[end].begins);
		build_targets(relation, conditions + begin, Min(end, nconditions) - begin, econtext, &parts[nparts++]);
		begin = end;
	} while (begin < nconditions);
	fdw_targets_unite(parts, nparts, targets);
	if (backward)
		turn_round(targets);
}
