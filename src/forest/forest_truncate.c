/*
 * forest_truncate.c
 *		Emptying and dropping tables, and dropping servers.
 *
 * TRUNCATE removes the table's delta rows and its own runs, and sets the
 * table's floor to a sequence drawn under the table lock in AccessExclusive.
 * Every run that a flush or a load drew its sequence for before has a lower
 * one, so WAL runs that other tables share need not be touched; and a flush
 * that read the delta before leaves the table out at its publish, because the
 * changelog has a row that it did not know.
 */
#include "postgres.h"

#include "forest/forest_truncate.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_foreign_server.h"
#include "forest/forest_catalog.h"
#include "forest/forest_changelog.h"
#include "forest/forest_delta.h"
#include "forest/forest_registry.h"
#include "forest/forest_vault.h"
#include "forest/forest_write.h"
#include "forest/forest_xact.h"
#include "miscadmin.h"
#include "server/stop_point.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

static object_access_hook_type previous_hook = NULL;

/* The row of a table, as the snapshot sees it, is deleted, or gets a floor (0: as it was) and the declared key. */
static void
change_table_row(int32 table_id, Snapshot snapshot, int64 floor_seq, const ForestTable *declared)
{
	Relation	rel = catalog_open(CATALOG_TABLE, RowExclusiveLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_table_id, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(table_id));
	scan = systable_beginscan(rel, catalog_oid(CATALOG_TABLE_PKEY), true, snapshot, 1, &key);
	tuple = systable_getnext(scan);
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "table %d is not in the catalogue", table_id);
	forest_xact_note_forest_change();
	if (declared == NULL)
		CatalogTupleDelete(rel, &tuple->t_self);
	else
	{
		Datum		values[Natts_table] = {0};
		bool		nulls[Natts_table] = {false};
		bool		replace[Natts_table] = {false};
		HeapTuple	changed;

		values[Anum_table_floor_seq - 1] = Int64GetDatum(floor_seq);
		replace[Anum_table_floor_seq - 1] = floor_seq != 0;
		values[Anum_table_key_signature - 1] = Int32GetDatum(declared->key_signature);
		replace[Anum_table_key_signature - 1] = true;
		changed = heap_modify_tuple(tuple, RelationGetDescr(rel), values, nulls, replace);
		CatalogTupleUpdate(rel, &tuple->t_self, changed);
		heap_freetuple(changed);
	}
	systable_endscan(scan);
	table_close(rel, RowExclusiveLock);
}

/* declared is NULL for a table that is being dropped. */
static void
empty_table(int32 vault_id, int32 table_id, const ForestTable *declared)
{
	ChangelogRow row = {
		.kind = declared == NULL ? CHANGE_DROP : CHANGE_TRUNCATE,
		.ntables = 1,
		.table_ids = &table_id
	};
	Snapshot	latest;
	int64	   *removed;

	catalog_lock_table(table_id, AccessExclusiveLock);
	latest = RegisterSnapshot(GetLatestSnapshot());
	STOP_POINT("truncate-looked");

	row.floor_seq = catalog_draw(CATALOG_WRITE_SEQ);
	delta_delete_table(table_id, latest);
	row.nremoved = registry_remove_table(vault_id, table_id, latest, &removed);
	row.removed = removed;
	change_table_row(table_id, latest, row.floor_seq, declared);
	changelog_insert_unnumbered(vault_id, &row);

	UnregisterSnapshot(latest);
	CommandCounterIncrement();
}

void
forest_truncate(const ForestTable *table)
{
	ForestTable declared = *table;

	if (declared.table_id == 0)
		return;
	empty_table(declared.vault_id, declared.table_id, &declared);
	if (declared.stored_signature != declared.key_signature)
		CacheInvalidateRelcacheByRelid(declared.relid);
}

void
forest_table_store_key(const ForestTable *declared)
{
	Snapshot	latest = RegisterSnapshot(GetLatestSnapshot());

	change_table_row(declared->table_id, latest, 0, declared);
	UnregisterSnapshot(latest);
}

/* The foreign table may be of another wrapper: then it has no row. */
static void
relation_dropped(Oid relid)
{
	Relation	rel = catalog_open(CATALOG_TABLE, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	int32		table_id = 0;
	int32		vault_id = 0;

	ScanKeyInit(&key, Anum_table_relid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(rel, catalog_oid(CATALOG_TABLE_RELID), true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;

		table_id = DatumGetInt32(heap_getattr(tuple, Anum_table_id, desc, &isnull));
		vault_id = DatumGetInt32(heap_getattr(tuple, Anum_table_vault_id, desc, &isnull));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);

	if (table_id != 0)
		empty_table(vault_id, table_id, NULL);
}

/*
 * In the middle of DROP EXTENSION ... CASCADE the catalogue itself is going,
 * and with it all that there is to clean up.
 */
static void
object_access(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void *arg)
{
	if (previous_hook != NULL)
		previous_hook(access, class_id, object_id, sub_id, arg);
	if (access != OAT_DROP || sub_id != 0 || IsBinaryUpgrade)
		return;
	if (class_id == RelationRelationId && get_rel_relkind(object_id) == RELKIND_FOREIGN_TABLE)
	{
		if (catalog_exists())
			relation_dropped(object_id);
		else if (forest_is_skyvault_relation(object_id))
			catalog_check_version();
	}
	else if (class_id == ForeignServerRelationId && catalog_exists())
		forest_vault_forget(object_id);
}

void
forest_truncate_install_hook(void)
{
	previous_hook = object_access_hook;
	object_access_hook = object_access;
}
