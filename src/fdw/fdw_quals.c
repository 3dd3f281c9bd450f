/*
 * fdw_quals.c
 *		See fdw_quals.h.
 *
 * Comparisons of different types are left to the executor, except among the
 * integers, whose values convert into the column's type where they fit (and
 * tell by their size where they do not).
 */
#include "postgres.h"

#include "fdw/fdw_quals.h"

#include "access/stratnum.h"
#include "catalog/pg_am.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "fdw/fdw_pattern.h"
#include "fdw/fdw_quals_or.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/restrictinfo.h"
#include "server/pg_compat.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/pg_locale.h"
#include "utils/rel.h"

FdwKeyColumn *
fdw_quals_key_columns(Relation relation, int *nkeys)
{
	const RowShape *shape = row_shape(relation);
	FdwKeyColumn *columns;

	*nkeys = row_shape_key_count(shape);
	columns = palloc0(sizeof(FdwKeyColumn) * *nkeys);
	for (int i = 0; i < *nkeys; i++)
	{
		FdwKeyColumn *column = &columns[i];
		Form_pg_attribute attribute;
		Oid			opclass;

		column->attno = row_shape_key_attribute(shape, i);
		attribute = TupleDescAttr(RelationGetDescr(relation), column->attno - 1);
		column->atttype = attribute->atttypid;
		column->atttypmod = attribute->atttypmod;
		column->attcollation = attribute->attcollation;
		column->type = getBaseType(attribute->atttypid);
		column->ordered = row_shape_key_is_ordered(shape, i);
		opclass = GetDefaultOpClass(column->type, BTREE_AM_OID);
		if (!OidIsValid(opclass))
			continue;
		column->opfamily = get_opclass_family(opclass);
		column->opcintype = get_opclass_input_type(opclass);
	}
	return columns;
}

static const Expr *
strip_relabel(const Expr *expr)
{
	while (expr != NULL && IsA(expr, RelabelType))
		expr = ((const RelabelType *) expr)->arg;
	return expr;
}

bool
fdw_quals_is_column(const Expr *expr, Index relid, const FdwKeyColumn *column)
{
	const Var  *var = (const Var *) strip_relabel(expr);

	return var != NULL && IsA(var, Var) && (Index) var->varno == relid &&
		var->varattno == column->attno && var->varlevelsup == 0;
}

static int
find_column(const Expr *expr, Index relid, const FdwKeyColumn *columns, int nkeys)
{
	for (int i = 0; i < nkeys; i++)
		if (fdw_quals_is_column(expr, relid, &columns[i]))
			return i;
	return -1;
}

static bool
is_integer(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

/*
 * The btree strategy with which bytes answer `column op value`; 0 if they
 * cannot.  Equality of bytes is equality under every deterministic collation,
 * their order is that of C alone.
 */
static int
byte_strategy(const FdwKeyColumn *column, Oid opno, Oid collation)
{
	int			strategy;
	Oid			left;
	Oid			right;

	if (!OidIsValid(column->opfamily) || !op_in_opfamily(opno, column->opfamily))
		return 0;
	get_op_opfamily_properties(opno, column->opfamily, false, &strategy, &left, &right);
	if (left != column->opcintype ||
		(right != column->opcintype && !(is_integer(left) && is_integer(right))))
		return 0;
	if (strategy == BTEqualStrategyNumber)
		return !OidIsValid(collation) || get_collation_isdeterministic(collation) ? strategy : 0;
	if (!column->ordered || (OidIsValid(collation) && !compat_collation_is_c(collation)))
		return 0;
	return strategy;
}

static FdwKeyKind
kind_of_strategy(int strategy)
{
	switch (strategy)
	{
		case BTLessStrategyNumber:
			return FDW_KEY_BELOW;
		case BTLessEqualStrategyNumber:
			return FDW_KEY_UPTO;
		case BTGreaterEqualStrategyNumber:
			return FDW_KEY_FROM;
		case BTGreaterStrategyNumber:
			return FDW_KEY_ABOVE;
		default:
			return FDW_KEY_EQUAL;
	}
}

static FdwKeyClause *
make_key_clause(int key, FdwKeyKind kind, Expr *operand)
{
	FdwKeyClause *clause = palloc0(sizeof(FdwKeyClause));

	clause->key = key;
	clause->kind = kind;
	clause->operand = operand;
	return clause;
}

/* Whether the expression has one value during a scan of the relation. */
static bool
is_scan_constant(PlannerInfo *root, RelOptInfo *rel, Node *expr)
{
	return !bms_is_member(rel->relid, pull_varnos(root, expr)) &&
		!contain_volatile_functions(expr);
}

static FdwKeyClause *
match_comparison(PlannerInfo *root, RelOptInfo *rel, const FdwKeyColumn *columns, int nkeys,
				 OpExpr *op)
{
	Expr	   *column_side;
	Expr	   *operand;
	Oid			opno = op->opno;
	int			key;
	int			strategy;

	if (list_length(op->args) != 2)
		return NULL;
	column_side = linitial(op->args);
	operand = lsecond(op->args);
	key = find_column(column_side, rel->relid, columns, nkeys);
	if (key < 0)
	{
		operand = column_side;
		key = find_column(lsecond(op->args), rel->relid, columns, nkeys);
		opno = get_commutator(op->opno);
	}
	if (key < 0 || !OidIsValid(opno) || !is_scan_constant(root, rel, (Node *) operand))
		return NULL;
	strategy = byte_strategy(&columns[key], opno, op->inputcollid);
	if (strategy == 0)
		return NULL;
	return make_key_clause(key, kind_of_strategy(strategy), operand);
}

static FdwKeyClause *
match_any(PlannerInfo *root, RelOptInfo *rel, const FdwKeyColumn *columns, int nkeys,
		  ScalarArrayOpExpr *op)
{
	Expr	   *operand = lsecond(op->args);
	int			key = find_column(linitial(op->args), rel->relid, columns, nkeys);

	if (!op->useOr || key < 0 || !is_scan_constant(root, rel, (Node *) operand) ||
		byte_strategy(&columns[key], op->opno, op->inputcollid) != BTEqualStrategyNumber)
		return NULL;
	return make_key_clause(key, FDW_KEY_ANY, operand);
}

/*
 * LIKE and ^@.  Bytes decide, whatever the collation orders by.  A pattern that is
 * not known yet may be any.
 */
static FdwKeyClause *
match_prefix(PlannerInfo *root, RelOptInfo *rel, const FdwKeyColumn *columns, int nkeys,
			 FdwKeyKind kind, Oid type, List *args, Oid collation)
{
	Expr	   *operand = lsecond(args);
	int			key = find_column(linitial(args), rel->relid, columns, nkeys);
	FdwKeyClause *clause;
	bool		exact = false;

	if (key < 0 || !is_scan_constant(root, rel, (Node *) operand) ||
		(columns[key].type == VARCHAROID ? TEXTOID : columns[key].type) != type ||
		(OidIsValid(collation) && !get_collation_isdeterministic(collation)))
		return NULL;
	clause = make_key_clause(key, kind, operand);
	if (kind == FDW_KEY_LIKE)
	{
		if (IsA(operand, Const) && !((Const *) operand)->constisnull)
			(void) fdw_pattern_prefix(((Const *) operand)->constvalue, &exact);
		clause->lossy = !exact;
	}
	return clause;
}

static FdwKeyClause *
match_operator(PlannerInfo *root, RelOptInfo *rel, const FdwKeyColumn *columns, int nkeys,
			   OpExpr *op)
{
	switch (op->opno)
	{
		case OID_TEXT_LIKE_OP:
			return match_prefix(root, rel, columns, nkeys, FDW_KEY_LIKE, TEXTOID, op->args,
								op->inputcollid);
		case OID_BYTEA_LIKE_OP:
			return match_prefix(root, rel, columns, nkeys, FDW_KEY_LIKE, BYTEAOID, op->args,
								op->inputcollid);
		case TextPrefixOperator:
			return match_prefix(root, rel, columns, nkeys, FDW_KEY_STARTS, TEXTOID, op->args,
								op->inputcollid);
		default:
			return match_comparison(root, rel, columns, nkeys, op);
	}
}

static FdwKeyClause *
match_function(PlannerInfo *root, RelOptInfo *rel, const FdwKeyColumn *columns, int nkeys,
			   FuncExpr *function)
{
	if (function->funcid != F_STARTS_WITH)
		return NULL;
	return match_prefix(root, rel, columns, nkeys, FDW_KEY_STARTS, TEXTOID, function->args,
						function->inputcollid);
}

/* How many columns of a row are key columns from `key` on that bytes compare by one strategy. */
static int
match_row_columns(PlannerInfo *root, RelOptInfo *rel, const FdwKeyColumn *columns, int nkeys,
				  const RowCompareExpr *row, bool commuted, int key, int *strategy)
{
	List	   *column_side = commuted ? row->rargs : row->largs;
	List	   *operand_side = commuted ? row->largs : row->rargs;
	int			n = 0;

	while (n < list_length(column_side) && key + n < nkeys)
	{
		Oid			opno = list_nth_oid(row->opnos, n);
		int			found;

		if (commuted)
			opno = get_commutator(opno);
		if (!OidIsValid(opno) ||
			!fdw_quals_is_column(list_nth(column_side, n), rel->relid, &columns[key + n]) ||
			!is_scan_constant(root, rel, list_nth(operand_side, n)))
			break;
		found = byte_strategy(&columns[key + n], opno, list_nth_oid(row->inputcollids, n));
		if (found == 0 || found == BTEqualStrategyNumber || (n > 0 && found != *strategy))
			break;
		*strategy = found;
		n++;
	}
	return n;
}

/* A row of which only the first columns count is not below, or not above, theirs. */
static FdwKeyKind
loosen(FdwKeyKind kind)
{
	return kind == FDW_KEY_ABOVE ? FDW_KEY_FROM : kind == FDW_KEY_BELOW ? FDW_KEY_UPTO : kind;
}

static FdwKeyClause *
match_row(PlannerInfo *root, RelOptInfo *rel, const FdwKeyColumn *columns, int nkeys,
		  RowCompareExpr *row)
{
	int			key = find_column(linitial(row->largs), rel->relid, columns, nkeys);
	bool		commuted = key < 0;
	List	   *operands = commuted ? row->largs : row->rargs;
	int			strategy = 0;
	int			n;
	FdwKeyClause *clause;

	if (commuted)
		key = find_column(linitial(row->rargs), rel->relid, columns, nkeys);
	if (key < 0)
		return NULL;
	n = match_row_columns(root, rel, columns, nkeys, row, commuted, key, &strategy);
	if (n == 0)
		return NULL;
	clause = make_key_clause(key, kind_of_strategy(strategy), linitial(operands));
	for (int i = 1; i < n; i++)
		clause->more = lappend(clause->more, list_nth(operands, i));
	if (n < list_length(operands))
	{
		clause->kind = loosen(clause->kind);
		clause->lossy = true;
	}
	return clause;
}

/* IS NULL of a key column: equal to what nothing is equal to. */
static FdwKeyClause *
match_null(RelOptInfo *rel, const FdwKeyColumn *columns, int nkeys, NullTest *test)
{
	int			key = find_column(test->arg, rel->relid, columns, nkeys);

	if (key < 0 || test->argisrow || test->nulltesttype != IS_NULL)
		return NULL;
	return make_key_clause(key, FDW_KEY_EQUAL,
						   (Expr *) makeNullConst(columns[key].type, -1, InvalidOid));
}

/* A boolean column alone, negated, or with IS TRUE or IS FALSE: a key is never null. */
static FdwKeyClause *
match_boolean(RelOptInfo *rel, const FdwKeyColumn *columns, int nkeys, Expr *expr)
{
	bool		value = true;
	int			key;

	if (is_notclause(expr))
	{
		value = false;
		expr = get_notclausearg(expr);
	}
	else if (IsA(expr, BooleanTest))
	{
		BooleanTest *test = (BooleanTest *) expr;

		if (test->booltesttype != IS_TRUE && test->booltesttype != IS_FALSE)
			return NULL;
		value = test->booltesttype == IS_TRUE;
		expr = test->arg;
	}
	key = find_column(expr, rel->relid, columns, nkeys);
	if (key < 0 || columns[key].type != BOOLOID)
		return NULL;
	return make_key_clause(key, FDW_KEY_EQUAL, (Expr *) makeBoolConst(value, false));
}

static FdwKeyClause *
match_clause(PlannerInfo *root, RelOptInfo *rel, const FdwKeyColumn *columns, int nkeys,
			 Expr *clause)
{
	switch (nodeTag(clause))
	{
		case T_OpExpr:
			return match_operator(root, rel, columns, nkeys, (OpExpr *) clause);
		case T_ScalarArrayOpExpr:
			return match_any(root, rel, columns, nkeys, (ScalarArrayOpExpr *) clause);
		case T_RowCompareExpr:
			return match_row(root, rel, columns, nkeys, (RowCompareExpr *) clause);
		case T_FuncExpr:
			return match_function(root, rel, columns, nkeys, (FuncExpr *) clause);
		case T_NullTest:
			return match_null(rel, columns, nkeys, (NullTest *) clause);
		default:
			return match_boolean(rel, columns, nkeys, clause);
	}
}

FdwKeyClause *
fdw_quals_match(PlannerInfo *root, RelOptInfo *rel, const FdwKeyColumn *columns, int nkeys,
				RestrictInfo *rinfo)
{
	FdwKeyClause *result;

	/* What must be hidden from a security barrier's user must not be looked up before it. */
	if (rinfo->pseudoconstant || !restriction_is_securely_promotable(rinfo, rel))
		return NULL;

	result = match_clause(root, rel, columns, nkeys, rinfo->clause);
	if (result != NULL)
		result->rinfo = rinfo;
	return result;
}

/* The equality on the column, one value rather than several. */
static FdwKeyClause *
best_equality(List *clauses, int key)
{
	FdwKeyClause *best = NULL;
	ListCell   *cell;

	foreach(cell, clauses)
	{
		FdwKeyClause *clause = lfirst(cell);

		if (clause->key == key && fdw_key_kind_is_equality(clause->kind) &&
			(best == NULL || (best->kind == FDW_KEY_ANY && clause->kind == FDW_KEY_EQUAL)))
			best = clause;
	}
	return best;
}

List *
fdw_quals_of_matches(List *matches, int nkeys, int *nequal)
{
	List	   *usable = NIL;
	FdwKeyClause *clause;
	ListCell   *cell;

	for (*nequal = 0; *nequal < nkeys; (*nequal)++)
	{
		clause = best_equality(matches, *nequal);
		if (clause == NULL)
			break;
		usable = lappend(usable, clause);
	}
	foreach(cell, matches)
	{
		clause = lfirst(cell);
		if (clause->key == *nequal && !fdw_key_kind_is_equality(clause->kind))
			usable = lappend(usable, clause);
	}
	return usable;
}

List *
fdw_quals_usable(PlannerInfo *root, RelOptInfo *rel, const FdwKeyColumn *columns, int nkeys,
				 List *rinfos, int *nequal)
{
	List	   *matches = NIL;
	List	   *usable;
	List	   *alternatives = NIL;
	ListCell   *cell;

	foreach(cell, rinfos)
	{
		FdwKeyClause *clause = fdw_quals_match(root, rel, columns, nkeys, lfirst_node(RestrictInfo, cell));

		if (clause != NULL)
			matches = lappend(matches, clause);
	}
	usable = fdw_quals_of_matches(matches, nkeys, nequal);
	if (*nequal < nkeys)
		alternatives = fdw_quals_or(root, rel, columns, nkeys, rinfos, matches, nequal);
	return alternatives != NIL ? alternatives : usable;
}

List *
fdw_quals_rinfos(List *usable, bool decided)
{
	List	   *rinfos = NIL;
	ListCell   *cell;

	foreach(cell, usable)
	{
		FdwKeyClause *clause = lfirst(cell);

		if (!decided || !clause->lossy)
			rinfos = list_append_unique_ptr(rinfos, clause->rinfo);
	}
	return rinfos;
}

bool
fdw_quals_is_certain(RelOptInfo *rel, const FdwKeyColumn *columns, int nkeys, const RestrictInfo *rinfo)
{
	const NullTest *test = (const NullTest *) rinfo->clause;

	return IsA(test, NullTest) && test->nulltesttype == IS_NOT_NULL && !test->argisrow &&
		find_column(test->arg, rel->relid, columns, nkeys) >= 0;
}

void
fdw_quals_split(List *usable, List **operands, List **keys, List **kinds)
{
	ListCell   *cell;

	*operands = *keys = *kinds = NIL;
	foreach(cell, usable)
	{
		const FdwKeyClause *clause = lfirst(cell);
		ListCell   *more;

		*operands = lappend(*operands, clause->operand);
		*keys = lappend_int(*keys, clause->key);
		*kinds = lappend_int(*kinds, clause->kind | (clause->begins ? FDW_KEY_BEGINS : 0));
		foreach(more, clause->more)
		{
			*operands = lappend(*operands, lfirst(more));
			*keys = lappend_int(*keys, clause->key + foreach_current_index(more) + 1);
			*kinds = lappend_int(*kinds, FDW_KEY_AND_NEXT);
		}
	}
}
