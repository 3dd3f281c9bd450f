/*
 * forest_filter_trigger.c
 *		The triggers of skyvault.delta, which fire always.
 *
 * Before a row is inserted, by whomever, its key goes to the filter; an upsert
 * that ends as an UPDATE has come by here as well.  An UPDATE of the key itself,
 * which only people do by hand, does not: it makes the filter start anew, and
 * until that is done, which takes the end of their transaction, nobody believes
 * it.  (Only a subscription that replicates such an UPDATE comes past both.)
 *
 * So does whoever changes or drops a trigger; and the filter is not completed
 * while it is not fed.
 */
#include "postgres.h"

#include "forest/forest_filter_trigger.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "forest/forest_catalog.h"
#include "forest/forest_filter.h"
#include "forest/forest_xact.h"
#include "server/pg_compat.h"
#include "server/stop_point.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#define TRIGGER_FUNCTION "delta_add_to_filter"

PG_FUNCTION_INFO_V1(skyvault_delta_add_to_filter);

static object_access_hook_type previous_hook = NULL;

bool
forest_filter_is_fed(Relation delta)
{
	TriggerDesc *triggers = delta->trigdesc;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];
		char	   *function;

		if (!TRIGGER_TYPE_MATCHES(trigger->tgtype, TRIGGER_TYPE_ROW, TRIGGER_TYPE_BEFORE,
								  TRIGGER_TYPE_INSERT) ||
			trigger->tgenabled != TRIGGER_FIRES_ALWAYS || trigger->tgqual != NULL)
			continue;
		function = get_func_name(trigger->tgfoid);
		if (function != NULL && strcmp(function, TRIGGER_FUNCTION) == 0)
			return true;
	}
	return false;
}

static void
begin_anew(void)
{
	forest_filter_forget();
	forest_xact_note_wake();
}

static bool
is_of_delta(Oid trigger_oid)
{
	Relation	rel = table_open(TriggerRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		result;

	ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(trigger_oid));
	scan = systable_beginscan(rel, TriggerOidIndexId, true, SnapshotSelf, 1, &key);
	tuple = systable_getnext(scan);
	result = HeapTupleIsValid(tuple) &&
		((Form_pg_trigger) GETSTRUCT(tuple))->tgrelid == catalog_oid(CATALOG_DELTA);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}

/* The filter is not completed before this transaction has ended, and then the triggers are looked at. */
static void
object_access(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void *arg)
{
	if (previous_hook != NULL)
		previous_hook(access, class_id, object_id, sub_id, arg);
	if (class_id == TriggerRelationId &&
		(access == OAT_POST_CREATE || access == OAT_POST_ALTER || access == OAT_DROP) &&
		catalog_exists() && is_of_delta(object_id))
		begin_anew();
}

void
forest_filter_install_hook(void)
{
	previous_hook = object_access_hook;
	object_access_hook = object_access;
}

static void
add_row(HeapTuple tuple, TupleDesc desc)
{
	bool		table_isnull;
	bool		key_isnull;
	int32		table_id = DatumGetInt32(heap_getattr(tuple, Anum_delta_table_id, desc, &table_isnull));
	Datum		datum = heap_getattr(tuple, Anum_delta_key, desc, &key_isnull);
	bytea	   *key;

	if (table_isnull || key_isnull)
		return;					/* an error in a moment */
	key = DatumGetByteaPP(datum);
	forest_filter_add(table_id, sv_slice(VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key)));
	if (PointerGetDatum(key) != datum)
		pfree(key);
}

Datum
skyvault_delta_add_to_filter(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || RelationGetRelid(trigger->tg_relation) != catalog_oid(CATALOG_DELTA))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"" TRIGGER_FUNCTION "\" is only for the triggers of skyvault.delta")));

	if (TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event))
	{
		begin_anew();
		return PointerGetDatum(NULL);
	}
	add_row(trigger->tg_trigtuple, RelationGetDescr(trigger->tg_relation));
	STOP_POINT("delta-filter-added");
	return PointerGetDatum(trigger->tg_trigtuple);
}
