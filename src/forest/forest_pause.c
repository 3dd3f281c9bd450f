/*
 * forest_pause.c
 *		Rows of skyvault.pause.
 */
#include "postgres.h"

#include "forest/forest_pause.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "forest/forest_catalog.h"
#include "forest/forest_xact.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

static SysScanDesc
begin_scan(Relation rel, int32 vault_id, Snapshot snapshot)
{
	ScanKeyData key;

	ScanKeyInit(&key, Anum_pause_vault_id, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(vault_id));
	return systable_beginscan(rel, catalog_oid(CATALOG_PAUSE_PKEY), true, snapshot, 1, &key);
}

bool
forest_is_paused(int32 vault_id, Snapshot snapshot)
{
	Relation	rel = catalog_open(CATALOG_PAUSE, AccessShareLock);
	SysScanDesc scan = begin_scan(rel, vault_id, snapshot);
	bool		paused = HeapTupleIsValid(systable_getnext(scan));

	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return paused;
}

void
forest_pause(int32 vault_id)
{
	Relation	rel = catalog_open(CATALOG_PAUSE, RowExclusiveLock);
	Datum		values[Natts_pause];
	bool		nulls[Natts_pause] = {false};
	HeapTuple	tuple;

	if (!forest_is_paused(vault_id, NULL))
	{
		values[Anum_pause_vault_id - 1] = Int32GetDatum(vault_id);
		values[Anum_pause_since - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
		tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);
		CatalogTupleInsert(rel, tuple);
		heap_freetuple(tuple);
	}
	table_close(rel, RowExclusiveLock);
}

void
forest_resume(int32 vault_id)
{
	Relation	rel = catalog_open(CATALOG_PAUSE, RowExclusiveLock);
	SysScanDesc scan = begin_scan(rel, vault_id, NULL);
	HeapTuple	tuple = systable_getnext(scan);

	if (HeapTupleIsValid(tuple))
	{
		CatalogTupleDelete(rel, &tuple->t_self);
		forest_xact_note_wake();
	}
	systable_endscan(scan);
	table_close(rel, RowExclusiveLock);
}
