/*
 * row_missing.c
 *		See row_missing.h.
 */
#include "postgres.h"

#include "forest/row_missing.h"

#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_attribute.h"
#include "commands/defrem.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "forest/value_form.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* Nothing of forest_table.h here: the row format can be tested without a forest. */
static char *
find_option(List *options)
{
	ListCell   *cell;

	foreach(cell, options)
		if (strcmp(lfirst_node(DefElem, cell)->defname, ROW_MISSING_OPTION) == 0)
			return defGetString(lfirst_node(DefElem, cell));
	return NULL;
}

char *
row_missing_option(Datum attfdwoptions, bool isnull)
{
	return isnull ? NULL : find_option(untransformRelOptions(attfdwoptions));
}

char *
row_missing_text(Relation rel, AttrNumber attno)
{
	return find_option(GetForeignColumnOptions(RelationGetRelid(rel), attno));
}

static void
say_column(void *column)
{
	errcontext("option \"%s\" of column \"%s\"", ROW_MISSING_OPTION, (const char *) column);
}

/* Type modifiers are not applied: the value had its one when the column was added. */
Datum
row_missing_value(const char *text, Oid type, const char *column)
{
	ErrorContextCallback context = {.previous = error_context_stack,.callback = say_column,
	.arg = unconstify(char *, column)};
	ValueFormSettings settings = {0};
	Oid			input;
	Oid			ioparam;
	Datum		value;

	error_context_stack = &context;
	getTypeInputInfo(getBaseType(type), &input, &ioparam);
	value_form_settings_begin(&settings);
	value = OidInputFunctionCall(input, unconstify(char *, text), ioparam, -1);
	value_form_settings_end(&settings);
	error_context_stack = context.previous;
	return value;
}

void
row_missing_check(Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);
		char	   *text = column->attisdropped ? NULL : row_missing_text(rel, column->attnum);

		if (text != NULL)
			(void) row_missing_value(text, column->atttypid, NameStr(column->attname));
	}
}

/* The default as it is now; false: none, or NULL, or another one for each row. */
static bool
compute_default(Relation rel, AttrNumber attno, Datum *value)
{
	Expr	   *expression = (Expr *) build_column_default(rel, attno);
	EState	   *estate;
	MemoryContext caller = CurrentMemoryContext;
	Form_pg_attribute column = TupleDescAttr(RelationGetDescr(rel), attno - 1);
	bool		isnull;

	if (expression == NULL)
		return false;
	expression = expression_planner(expression);
	if (contain_volatile_functions((Node *) expression))
		return false;
	estate = CreateExecutorState();
	*value = ExecEvalExpr(ExecPrepareExpr(expression, estate), GetPerTupleExprContext(estate), &isnull);
	MemoryContextSwitchTo(caller);
	if (!isnull)
		*value = datumCopy(*value, column->attbyval, column->attlen);
	FreeExecutorState(estate);
	return !isnull;
}

static char *
text_of(Datum value, Oid type)
{
	ValueFormSettings settings = {0};
	Oid			output;
	bool		is_varlena;
	char	   *text;

	getTypeOutputInfo(type, &output, &is_varlena);
	value_form_settings_begin(&settings);
	text = OidOutputFunctionCall(output, value);
	value_form_settings_end(&settings);
	return text;
}

/* Past ALTER FOREIGN TABLE, which nobody may use to change it. */
static void
set_option(Relation rel, AttrNumber attno, char *text)
{
	Relation	attributes = table_open(AttributeRelationId, RowExclusiveLock);
	HeapTuple	old = SearchSysCacheCopy2(ATTNUM, ObjectIdGetDatum(RelationGetRelid(rel)), Int16GetDatum(attno));
	List	   *changes = list_make1(makeDefElemExtended(NULL, pstrdup(ROW_MISSING_OPTION), (Node *) makeString(text),
														 DEFELEM_ADD, -1));
	Datum		values[Natts_pg_attribute] = {0};
	bool		nulls[Natts_pg_attribute] = {0};
	bool		replaces[Natts_pg_attribute] = {0};
	bool		isnull;
	Datum		options;
	HeapTuple	tuple;

	if (!HeapTupleIsValid(old))
		elog(ERROR, "cache lookup failed for attribute %d of relation %u", attno, RelationGetRelid(rel));
	options = SysCacheGetAttr(ATTNUM, old, Anum_pg_attribute_attfdwoptions, &isnull);
	values[Anum_pg_attribute_attfdwoptions - 1] =
		transformGenericOptions(AttributeRelationId, isnull ? PointerGetDatum(NULL) : options, changes, InvalidOid);
	replaces[Anum_pg_attribute_attfdwoptions - 1] = true;
	tuple = heap_modify_tuple(old, RelationGetDescr(attributes), values, nulls, replaces);
	CatalogTupleUpdate(attributes, &tuple->t_self, tuple);
	table_close(attributes, RowExclusiveLock);
	CommandCounterIncrement();
}

bool
row_missing_keep_default(Relation rel, AttrNumber attno)
{
	Datum		value;

	if (!compute_default(rel, attno, &value))
		return false;
	set_option(rel, attno, text_of(value, getBaseType(TupleDescAttr(RelationGetDescr(rel), attno - 1)->atttypid)));
	return true;
}
