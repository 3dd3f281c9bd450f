/*
 * fdw_modify_state.c
 *		See fdw_modify_state.h.
 */
#include "postgres.h"

#include "fdw/fdw_modify_state.h"

#include "access/htup_details.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "forest/row_decode.h"
#include "forest/row_shape.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* Scans bring up each key once, joins may bring it up again. */
static bool
plan_may_repeat(const Plan *plan)
{
	ListCell   *cell;

	if (plan == NULL || IsA(plan, ForeignScan))
		return false;
	if (!IsA(plan, Append))
		return true;
	foreach(cell, ((const Append *) plan)->appendplans)
	{
		switch (nodeTag(lfirst(cell)))
		{
			case T_ForeignScan:
			case T_SeqScan:
			case T_IndexScan:
			case T_BitmapHeapScan:
			case T_TidScan:
			case T_TidRangeScan:
				break;
			default:
				return true;
		}
	}
	return false;
}

FdwModify *
fdw_modify_state_create(ModifyTableState *mtstate, ResultRelInfo *rinfo)
{
	EState	   *estate = mtstate->ps.state;
	ModifyTable *plan = (ModifyTable *) mtstate->ps.plan;
	MemoryContext old = MemoryContextSwitchTo(estate->es_query_cxt);
	FdwModify  *state = palloc0(sizeof(FdwModify));

	if (plan != NULL && plan->onConflictAction == ONCONFLICT_UPDATE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("ON CONFLICT DO UPDATE is not supported on skyvault tables"),
				 errhint("An INSERT replaces the row that has the key.")));
	fdw_meter_init(&state->meter, estate);
	state->relation = rinfo->ri_RelationDesc;
	state->table = *forest_table_for_write(RelationGetRelid(state->relation));
	if (plan != NULL && plan->operation != CMD_INSERT)
		forest_table_check_seen(&state->table, estate->es_snapshot);
	state->mtstate = mtstate;
	state->expires_at = forest_table_expiry(&state->table, NULL);
	state->from_copy = plan == NULL;
	state->do_nothing = plan != NULL && plan->onConflictAction == ONCONFLICT_NOTHING;
	state->may_repeat = plan != NULL && plan->operation != CMD_INSERT &&
		plan_may_repeat(outerPlan(plan));
	state->row_context = AllocSetContextCreate(estate->es_query_cxt, "skyvault row",
											   ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(old);
	return state;
}

static void
append_key(const RowShape *shape, const Datum *values, const bool *isnull, StringInfo out)
{
	row_encode_key_of_row(shape, values, isnull, out);
	forest_check_key(sv_slice(out->data, out->len));
}

SvSlice
fdw_modify_key(FdwModify *state, const Datum *values, const bool *isnull)
{
	StringInfoData bytes;

	initStringInfo(&bytes);
	append_key(row_shape(state->relation), values, isnull, &bytes);
	return sv_slice(bytes.data, bytes.len);
}

static SvSlice
encode_value(FdwModify *state, const Datum *values, const bool *isnull)
{
	StringInfoData bytes;

	initStringInfo(&bytes);
	row_encode_value(row_shape(state->relation), values, isnull, &bytes);
	return sv_slice(bytes.data, bytes.len);
}

ForestWrite
fdw_modify_put(FdwModify *state, TupleTableSlot *slot)
{
	ForestWrite put = {.expires_at = state->expires_at};

	slot_getallattrs(slot);
	put.key = fdw_modify_key(state, slot->tts_values, slot->tts_isnull);
	put.value = encode_value(state, slot->tts_values, slot->tts_isnull);
	return put;
}

ForestWrite
fdw_modify_put_in(FdwModify *state, TupleTableSlot *slot, StringInfo key, StringInfo value)
{
	const RowShape *shape = row_shape(state->relation);

	resetStringInfo(key);
	resetStringInfo(value);
	slot_getallattrs(slot);
	append_key(shape, slot->tts_values, slot->tts_isnull, key);
	row_encode_value(shape, slot->tts_values, slot->tts_isnull, value);
	return (ForestWrite) {
		.key = sv_slice(key->data, key->len),.value = sv_slice(value->data, value->len),
		.expires_at = state->expires_at
	};
}

Snapshot
fdw_modify_snapshot(EState *estate)
{
	return estate->es_snapshot != NULL ? estate->es_snapshot : GetActiveSnapshot();
}

void
fdw_modify_remember(FdwModify *state, SvSlice key, FdwTouch touch)
{
	if (state->touched == NULL)
		state->touched = fdw_touched_create(state->mtstate->ps.state->es_query_cxt);
	fdw_touched_add(state->touched, key, touch);
}

void
fdw_modify_check_row(FdwModify *state, EState *estate, ResultRelInfo *rinfo,
					 TupleTableSlot *slot, bool is_insert)
{
	bool		was_routed = rinfo->ri_RootResultRelInfo != NULL &&
		!(rinfo->ri_TrigDesc != NULL && rinfo->ri_TrigDesc->trig_insert_before_row);

	/* Messages, policies and constraints may mention tableoid. */
	slot->tts_tableOid = RelationGetRelid(state->relation);

	/* Policies of a partitioned parent, which core tests for partitions that are heaps only. */
	if (rinfo->ri_WithCheckOptions != NIL)
		ExecWithCheckOptions(state->mtstate->operation == CMD_UPDATE ? WCO_RLS_UPDATE_CHECK :
							 WCO_RLS_INSERT_CHECK, rinfo, slot, estate);
	if (RelationGetDescr(state->relation)->constr != NULL)
		ExecConstraints(rinfo, slot, estate);

	/* Routing has looked at the bounds, and COPY itself does what it does not. */
	if (state->relation->rd_rel->relispartition &&
		!(is_insert && (was_routed || state->from_copy)))
		ExecPartitionCheck(rinfo, slot, estate, true);
}

/* "(a, b)=(1, 2)", or NULL if the user may not read the key columns. */
static char *
visible_key(FdwModify *state, TupleTableSlot *slot)
{
	const RowShape *shape = row_shape(state->relation);
	Oid			relid = RelationGetRelid(state->relation);
	bool		may_read = pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK;
	StringInfoData names;
	StringInfoData values;

	initStringInfo(&names);
	initStringInfo(&values);
	for (int i = 0; i < row_shape_key_count(shape); i++)
	{
		AttrNumber	attno = row_shape_key_attribute(shape, i);
		Form_pg_attribute attribute = TupleDescAttr(slot->tts_tupleDescriptor, attno - 1);
		const char *separator = i > 0 ? ", " : "";
		Oid			output;
		bool		is_varlena;

		if (!may_read &&
			pg_attribute_aclcheck(relid, attno, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
			return NULL;
		getTypeOutputInfo(attribute->atttypid, &output, &is_varlena);
		appendStringInfo(&names, "%s%s", separator, quote_identifier(NameStr(attribute->attname)));
		appendStringInfo(&values, "%s%s", separator,
						 OidOutputFunctionCall(output, slot->tts_values[attno - 1]));
	}
	return psprintf("(%s)=(%s)", names.data, values.data);
}

void
fdw_modify_report_duplicate(FdwModify *state, TupleTableSlot *slot)
{
	char	   *key;

	slot_getallattrs(slot);
	key = visible_key(state, slot);
	ereport(ERROR,
			(errcode(ERRCODE_UNIQUE_VIOLATION),
			 errmsg("duplicate key value violates the key of foreign table \"%s\"",
					RelationGetRelationName(state->relation)),
			 key != NULL ? errdetail("Key %s already exists.", key) : 0,
			 errtable(state->relation)));
}

/* Its row is that of the key alone. */
void
fdw_modify_report_duplicate_key(FdwModify *state, SvSlice key)
{
	TupleDesc	desc = RelationGetDescr(state->relation);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	StringInfoData value;

	memset(slot->tts_isnull, true, sizeof(bool) * desc->natts);
	initStringInfo(&value);
	row_encode_value(row_shape(state->relation), slot->tts_values, slot->tts_isnull, &value);
	row_decode(row_shape(state->relation), key, sv_slice(value.data, value.len), NULL,
			   slot->tts_values, slot->tts_isnull);
	fdw_modify_report_duplicate(state, ExecStoreVirtualTuple(slot));
}
