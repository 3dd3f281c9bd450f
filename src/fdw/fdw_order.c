/*
 * fdw_order.c
 *		See fdw_order.h.
 *
 * Every scan returns rows in the byte order of their keys, or against it.  So
 * the pathkeys are the key columns as far as bytes and operator class agree,
 * without those that are constant anyway.
 *
 * A key is never null, so that NULLS FIRST and NULLS LAST are the same; for the
 * planner they are not.
 */
#include "postgres.h"

#include "fdw/fdw_order.h"

#include "access/stratnum.h"
#include "nodes/makefuncs.h"
#include "optimizer/paths.h"
#include "server/pg_compat.h"
#include "utils/lsyscache.h"

/* The column in its order, or against it; NULL if its bytes are in no order of the planner's. */
static PathKey *
column_pathkey(PlannerInfo *root, RelOptInfo *rel, const FdwKeyColumn *column, bool backward)
{
	Oid			opno = get_opfamily_member(column->opfamily, column->opcintype, column->opcintype,
										   backward ? BTGreaterStrategyNumber : BTLessStrategyNumber);
	Var		   *var = makeVar(rel->relid, column->attno, column->atttype, column->atttypmod,
							  column->attcollation, 0);
	List	   *pathkeys;

	if (!OidIsValid(opno))
		return NULL;
	pathkeys = compat_build_expression_pathkey(root, (Expr *) var, opno, rel->relids);
	return pathkeys != NIL ? linitial_node(PathKey, pathkeys) : NULL;
}

static List *
key_pathkeys(PlannerInfo *root, RelOptInfo *rel, const FdwKeyColumn *columns, int nkeys, bool backward)
{
	List	   *result = NIL;

	for (int i = 0; i < nkeys && columns[i].ordered; i++)
	{
		PathKey    *pathkey = column_pathkey(root, rel, &columns[i], backward);

		if (pathkey == NULL)
			break;
		if (!pathkey->pk_eclass->ec_has_const)
			result = list_append_unique_ptr(result, pathkey);
	}
	return result;
}

/* The same order with NULLS where the query wants them, as far as it asks for that order. */
static List *
with_nulls_of_query(PlannerInfo *root, List *pathkeys)
{
	List	   *result = list_copy(pathkeys);

	for (int i = 0; i < Min(list_length(result), list_length(root->query_pathkeys)); i++)
	{
		const PathKey *offered = list_nth_node(PathKey, pathkeys, i);
		PathKey    *asked = list_nth_node(PathKey, root->query_pathkeys, i);

		if (offered->pk_eclass != asked->pk_eclass || offered->pk_opfamily != asked->pk_opfamily ||
			compat_pathkey_direction(offered) != compat_pathkey_direction(asked))
			break;
		list_nth_cell(result, i)->ptr_value = asked;
	}
	return result;
}

static List *
add_choice(List *choices, PlannerInfo *root, RelOptInfo *rel, List *pathkeys, bool backward)
{
	FdwOrder   *choice;
	ListCell   *cell;

	pathkeys = truncate_useless_pathkeys(root, rel, pathkeys);
	if (choices != NIL && pathkeys == NIL)
		return choices;
	foreach(cell, choices)
		if (equal(((FdwOrder *) lfirst(cell))->pathkeys, pathkeys))
			return choices;
	choice = palloc(sizeof(FdwOrder));
	choice->backward = backward;
	choice->pathkeys = pathkeys;
	return lappend(choices, choice);
}

List *
fdw_order_choices(PlannerInfo *root, RelOptInfo *rel, const FdwKeyColumn *columns, int nkeys)
{
	List	   *choices = NIL;

	for (int backward = 0; backward <= 1; backward++)
	{
		List	   *pathkeys = key_pathkeys(root, rel, columns, nkeys, backward);

		choices = add_choice(choices, root, rel, pathkeys, backward);
		choices = add_choice(choices, root, rel, with_nulls_of_query(root, pathkeys), backward);
	}
	return choices;
}
