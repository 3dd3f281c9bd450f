/*
 * fdw_bulk_plan.c
 *		See fdw_bulk_plan.h.
 */
#include "postgres.h"

#include "fdw/fdw_bulk_plan.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "nodes/plannodes.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

static bool calls_volatile(Node *node, void *context);

/* ---- domains ---- */

static bool
constraints_call_volatile(Oid domain)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "skyvault domain", ALLOCSET_SMALL_SIZES);
	/* It has a callback of the context, and so to be in it. */
	DomainConstraintRef *ref = MemoryContextAlloc(context, sizeof(DomainConstraintRef));
	bool		result = false;
	ListCell   *cell;

	InitDomainConstraintRef(domain, ref, context, false);
	foreach(cell, ref->constraints)
		result |= calls_volatile((Node *) ((DomainConstraintState *) lfirst(cell))->check_expr, NULL);
	MemoryContextDelete(context);
	return result;
}

static bool type_calls_volatile(Oid type);

static bool
columns_call_volatile(TupleDesc desc)
{
	for (int i = 0; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped && type_calls_volatile(TupleDescAttr(desc, i)->atttypid))
			return true;
	return false;
}

static bool
fields_call_volatile(Oid type)
{
	TupleDesc	desc = lookup_rowtype_tupdesc_noerror(type, -1, true);
	bool		result;

	if (desc == NULL)
		return false;
	result = columns_call_volatile(desc);
	ReleaseTupleDesc(desc);
	return result;
}

/*
 * Whether making a value of the type may call a volatile function of a user: it is
 * a domain, or has one in it, with such a constraint.
 */
static bool
type_calls_volatile(Oid type)
{
	Oid			element;

	if (type < FirstNormalObjectId)
		return false;
	check_stack_depth();
	element = get_element_type(type);
	if (OidIsValid(element))
		return type_calls_volatile(element);
	switch (get_typtype(type))
	{
		case TYPTYPE_DOMAIN:
			return constraints_call_volatile(type) || type_calls_volatile(getBaseType(type));
		case TYPTYPE_COMPOSITE:
			return fields_call_volatile(type);
		case TYPTYPE_RANGE:
			return type_calls_volatile(get_range_subtype(type));
		case TYPTYPE_MULTIRANGE:
			return type_calls_volatile(get_multirange_range(type));
		default:
			return false;
	}
}

/* ---- functions ---- */

static bool
is_volatile_function(Oid function, void *context)
{
	return function >= FirstNormalObjectId && func_volatile(function) == PROVOLATILE_VOLATILE;
}

static bool
calls_volatile(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (check_functions_in_node(node, is_volatile_function, context))
		return true;
	if (IsA(node, CoerceToDomain) && type_calls_volatile(((CoerceToDomain *) node)->resulttype))
		return true;
	if (IsA(node, CoerceViaIO) && type_calls_volatile(((CoerceViaIO *) node)->resulttype))
		return true;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, calls_volatile, context, 0);
	return expression_tree_walker(node, calls_volatile, context);
}

/*
 * Such a function may read the table and expect the rows inserted before;
 * Postgres's own (random(), nextval()) do not.
 */
bool
fdw_bulk_calls_volatile(Node *node)
{
	return calls_volatile(node, NULL);
}

/* Of COPY, which fills in defaults itself. */
static bool
defaults_call_volatile(Relation relation)
{
	TupleConstr *constraints = RelationGetDescr(relation)->constr;

	if (constraints == NULL)
		return false;
	for (int i = 0; i < constraints->num_defval; i++)
		if (calls_volatile(stringToNode(constraints->defval[i].adbin), NULL))
			return true;
	return false;
}

static bool
checks_call_volatile(Relation relation)
{
	TupleConstr *constraints = RelationGetDescr(relation)->constr;

	if (constraints == NULL)
		return false;
	for (int i = 0; i < constraints->num_check; i++)
		if (calls_volatile(stringToNode(constraints->check[i].ccbin), NULL))
			return true;
	return false;
}

/* The plan lists the functions it depends on by hash alone; Postgres's own are not among them. */
static bool
plan_calls_functions(const PlannedStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->invalItems)
		if (((PlanInvalItem *) lfirst(cell))->cacheId == PROCOID)
			return true;
	return false;
}

/*
 * Functions of a subquery that has a plan of its own are not looked at one by one:
 * each that is not Postgres's may be such a one.
 */
bool
fdw_bulk_subplans_call(const ModifyTableState *mtstate)
{
	const PlannedStmt *statement = mtstate->ps.state->es_plannedstmt;

	return mtstate->ps.plan != NULL && statement->subplans != NIL && plan_calls_functions(statement);
}

static bool
functions_may_read(ModifyTableState *mtstate, ResultRelInfo *rinfo, bool plan_calls_volatile)
{
	ResultRelInfo *root = mtstate->rootResultRelInfo;

	if (plan_calls_volatile || fdw_bulk_subplans_call(mtstate) || checks_call_volatile(rinfo->ri_RelationDesc) ||
		columns_call_volatile(RelationGetDescr(rinfo->ri_RelationDesc)))
		return true;
	if (mtstate->ps.plan == NULL)
		return defaults_call_volatile(root != NULL ? root->ri_RelationDesc : rinfo->ri_RelationDesc);
	return rinfo->ri_RootResultRelInfo != NULL && plan_calls_functions(mtstate->ps.state->es_plannedstmt);
}

/* ---- triggers ---- */

static bool
sees_rows(const TriggerDesc *triggers)
{
	return triggers != NULL &&
		(triggers->trig_insert_before_row || triggers->trig_insert_after_row || triggers->trig_insert_instead_row ||
		 triggers->trig_insert_after_statement || triggers->trig_insert_new_table);
}

static bool
has_triggers(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return true;
	result = ((Form_pg_class) GETSTRUCT(tuple))->relhastriggers;
	ReleaseSysCache(tuple);
	return result;
}

/*
 * Rows that the statement routes to other partitions fire theirs, which may
 * look at this one.  (One that is made this very moment is not seen: it sees
 * fewer rows of the statement than it might.)
 */
static bool
partitions_have_triggers(Relation root)
{
	ListCell   *cell;

	if (root->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		return false;
	foreach(cell, find_all_inheritors(RelationGetRelid(root), NoLock, NULL))
		if (has_triggers(lfirst_oid(cell)))
			return true;
	return false;
}

static bool
triggers_may_read(ModifyTableState *mtstate, ResultRelInfo *rinfo)
{
	ResultRelInfo *root = mtstate->rootResultRelInfo;

	if (mtstate->mt_transition_capture != NULL || sees_rows(rinfo->ri_TrigDesc))
		return true;
	return root != NULL && (sees_rows(root->ri_TrigDesc) || partitions_have_triggers(root->ri_RelationDesc));
}

/* ---- the rest of the statement ---- */

static bool
reads_table(const PlannedStmt *statement, Oid relid)
{
	Index		rti = 0;
	ListCell   *cell;

	foreach(cell, statement->rtable)
	{
		const RangeTblEntry *entry = lfirst(cell);

		rti++;
		if (entry->rtekind == RTE_RELATION && entry->relid == relid &&
			!list_member_int(statement->resultRelations, rti))
			return true;
	}
	return false;
}

static const char *
plan_obstacle(const ModifyTable *plan, const PlannedStmt *statement)
{
	if (plan->onConflictAction != ONCONFLICT_NONE)
		return "ON CONFLICT";
	if (plan->returningLists != NIL)
		return "RETURNING";
	if (plan->withCheckOptionLists != NIL)
		return "WITH CHECK OPTION or policies";
	if (list_length(statement->resultRelations) != 1)
		return "the statement changes several tables";
	return NULL;
}

/* Held back, it would be written a little later. */
static bool
is_single_row(const ModifyTable *plan)
{
	const Plan *source = outerPlan(&plan->plan);

	return source != NULL && IsA(source, Result) && outerPlan(source) == NULL;
}

const char *
fdw_bulk_obstacle(ModifyTableState *mtstate, ResultRelInfo *rinfo, bool calls_volatile, bool on_request)
{
	const ModifyTable *plan = (const ModifyTable *) mtstate->ps.plan;
	const PlannedStmt *statement = mtstate->ps.state->es_plannedstmt;
	const char *obstacle = NULL;

	if (mtstate->operation != CMD_INSERT)
		return "the statement moves rows";
	if (plan != NULL)
		obstacle = plan_obstacle(plan, statement);
	if (obstacle == NULL && triggers_may_read(mtstate, rinfo))
		obstacle = "triggers";
	if (obstacle != NULL || on_request)
		return obstacle;
	if (plan != NULL && is_single_row(plan))
		return "a single row";
	if (plan != NULL && reads_table(statement, RelationGetRelid(rinfo->ri_RelationDesc)))
		return "the statement reads the table";
	return functions_may_read(mtstate, rinfo, calls_volatile) ? "a volatile function" : NULL;
}
