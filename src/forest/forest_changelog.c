/*
 * forest_changelog.c
 *		Rows of skyvault.changelog.
 *
 * The index on (vault_id, id) sorts NULL ids last, so the newest end, read
 * backward, has first the unnumbered rows and then the highest number: one
 * probe tells a reader both.
 */
#include "postgres.h"

#include "forest/forest_changelog.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_type.h"
#include "forest/forest_catalog.h"
#include "forest/forest_xact.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* A backward scan over a vault's changelog. */
typedef struct ChangelogScan
{
	Relation	heap;
	Relation	index;
	SysScanDesc scan;
} ChangelogScan;

static ChangelogScan
changelog_scan_begin(int32 vault_id, Snapshot snapshot)
{
	ChangelogScan cs;
	ScanKeyData key;

	cs.heap = catalog_open(CATALOG_CHANGELOG, AccessShareLock);
	cs.index = index_open(catalog_oid(CATALOG_CHANGELOG_ID), AccessShareLock);
	ScanKeyInit(&key, Anum_changelog_vault_id, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(vault_id));
	cs.scan = systable_beginscan_ordered(cs.heap, cs.index, snapshot, 1, &key);
	return cs;
}

static HeapTuple
changelog_scan_next(ChangelogScan *cs)
{
	return systable_getnext_ordered(cs->scan, BackwardScanDirection);
}

static void
changelog_scan_end(ChangelogScan *cs)
{
	systable_endscan_ordered(cs->scan);
	index_close(cs->index, AccessShareLock);
	table_close(cs->heap, AccessShareLock);
}

/* False: unnumbered. */
static bool
tuple_id(ChangelogScan *cs, HeapTuple tuple, int64 *id)
{
	bool		isnull;

	*id = DatumGetInt64(heap_getattr(tuple, Anum_changelog_id, RelationGetDescr(cs->heap), &isnull));
	return !isnull;
}

static int64
tuple_serial(ChangelogScan *cs, HeapTuple tuple)
{
	bool		isnull;

	return DatumGetInt64(heap_getattr(tuple, Anum_changelog_serial, RelationGetDescr(cs->heap), &isnull));
}

ChangelogTip
changelog_tip(int32 vault_id, Snapshot snapshot)
{
	ChangelogScan cs = changelog_scan_begin(vault_id, snapshot);
	HeapTuple	tuple = changelog_scan_next(&cs);
	ChangelogTip tip = {false, 0};

	if (HeapTupleIsValid(tuple) && !tuple_id(&cs, tuple, &tip.newest_id))
		tip.has_unnumbered = true;
	changelog_scan_end(&cs);
	return tip;
}

ChangelogMark
changelog_mark(int32 vault_id, Snapshot snapshot)
{
	ChangelogScan cs = changelog_scan_begin(vault_id, snapshot);
	ChangelogMark mark = {0};
	int			capacity = 8;
	HeapTuple	tuple;

	mark.serials = palloc(capacity * sizeof(int64));
	while (HeapTupleIsValid(tuple = changelog_scan_next(&cs)))
	{
		if (tuple_id(&cs, tuple, &mark.newest_id))
			break;
		mark.newest_id = 0;
		if (mark.nserials == capacity)
		{
			capacity *= 2;
			mark.serials = repalloc(mark.serials, capacity * sizeof(int64));
		}
		mark.serials[mark.nserials++] = tuple_serial(&cs, tuple);
	}
	changelog_scan_end(&cs);
	return mark;
}

static bool
mark_knows_serial(const ChangelogMark *mark, int64 serial)
{
	for (int i = 0; i < mark->nserials; i++)
		if (mark->serials[i] == serial)
			return true;
	return false;
}

static bool
tuple_changes_table(ChangelogScan *cs, HeapTuple tuple, int32 table_id)
{
	TupleDesc	desc = RelationGetDescr(cs->heap);
	bool		isnull;
	char	   *kind = TextDatumGetCString(heap_getattr(tuple, Anum_changelog_kind, desc, &isnull));
	ArrayType  *tables;
	Datum	   *ids;
	int			n;

	if (strcmp(kind, CHANGE_LOAD) != 0 && strcmp(kind, CHANGE_TRUNCATE) != 0 &&
		strcmp(kind, CHANGE_DROP) != 0)
		return false;
	tables = DatumGetArrayTypeP(heap_getattr(tuple, Anum_changelog_table_ids, desc, &isnull));
	deconstruct_array(tables, INT4OID, 4, true, TYPALIGN_INT, &ids, NULL, &n);
	for (int i = 0; i < n; i++)
		if (DatumGetInt32(ids[i]) == table_id)
			return true;
	return false;
}

bool
changelog_has_newer_for_table(int32 vault_id, const ChangelogMark *mark, int32 table_id,
							  Snapshot snapshot)
{
	ChangelogScan cs = changelog_scan_begin(vault_id, snapshot);
	bool		found = false;
	HeapTuple	tuple;

	while (!found && HeapTupleIsValid(tuple = changelog_scan_next(&cs)))
	{
		int64		id;

		if (tuple_id(&cs, tuple, &id) && id <= mark->newest_id)
			break;
		if (!mark_knows_serial(mark, tuple_serial(&cs, tuple)))
			found = tuple_changes_table(&cs, tuple, table_id);
	}
	changelog_scan_end(&cs);
	return found;
}

/*
 * The whole row of a run as this transaction leaves it: the log in the store
 * is made of it, when the run may be gone from the registry.
 */
static void
append_run(StringInfo json, Relation rel, int64 run_id)
{
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Datum		row;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(run_id));
	scan = systable_beginscan(rel, catalog_oid(CATALOG_RUN_PKEY), true, SnapshotSelf, 1, &key);
	tuple = systable_getnext(scan);
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "run " INT64_FORMAT " is not in the registry", run_id);
	row = heap_copy_tuple_as_datum(tuple, RelationGetDescr(rel));
	appendStringInfoString(json, TextDatumGetCString(DirectFunctionCall1(row_to_json, row)));
	systable_endscan(scan);
}

static void
append_added(StringInfo json, const int64 *ids, int n)
{
	Relation	rel = catalog_open(CATALOG_RUN, AccessShareLock);

	appendStringInfoString(json, "\"added\": [");
	for (int i = 0; i < n; i++)
	{
		if (i > 0)
			appendStringInfoString(json, ", ");
		append_run(json, rel, ids[i]);
	}
	appendStringInfoChar(json, ']');
	table_close(rel, AccessShareLock);
}

static void
append_removed(StringInfo json, const int64 *ids, int n)
{
	appendStringInfoString(json, "\"removed\": [");
	for (int i = 0; i < n; i++)
		appendStringInfo(json, "%s" INT64_FORMAT, i > 0 ? ", " : "", ids[i]);
	appendStringInfoChar(json, ']');
}

static Datum
changes_datum(const ChangelogRow *row)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	append_added(&json, row->added, row->nadded);
	appendStringInfoString(&json, ", ");
	append_removed(&json, row->removed, row->nremoved);
	if (row->floor_seq != 0)
		appendStringInfo(&json, ", \"floor_seq\": " INT64_FORMAT, row->floor_seq);
	appendStringInfoChar(&json, '}');
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
}

/* id 0: unnumbered */
static void
insert_row(int32 vault_id, const ChangelogRow *row, int64 id)
{
	Relation	rel = catalog_open(CATALOG_CHANGELOG, RowExclusiveLock);
	Datum		values[Natts_changelog];
	bool		nulls[Natts_changelog] = {false};
	Datum	   *tables = palloc(Max(row->ntables, 1) * sizeof(Datum));
	HeapTuple	tuple;

	forest_xact_note_forest_change();
	for (int i = 0; i < row->ntables; i++)
		tables[i] = Int32GetDatum(row->table_ids[i]);

	values[Anum_changelog_serial - 1] = Int64GetDatum(catalog_draw(CATALOG_SERIAL_SEQ));
	values[Anum_changelog_vault_id - 1] = Int32GetDatum(vault_id);
	values[Anum_changelog_id - 1] = Int64GetDatum(id);
	nulls[Anum_changelog_id - 1] = (id == 0);
	values[Anum_changelog_kind - 1] = CStringGetTextDatum(row->kind);
	values[Anum_changelog_table_ids - 1] =
		PointerGetDatum(construct_array(tables, row->ntables, INT4OID, 4, true, TYPALIGN_INT));
	values[Anum_changelog_changes - 1] = changes_datum(row);
	values[Anum_changelog_at - 1] = TimestampTzGetDatum(GetCurrentTimestamp());

	tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);
	CatalogTupleInsert(rel, tuple);
	heap_freetuple(tuple);
	table_close(rel, RowExclusiveLock);
}

void
changelog_insert_unnumbered(int32 vault_id, const ChangelogRow *row)
{
	insert_row(vault_id, row, 0);
	forest_xact_note_unnumbered();
}

typedef struct Unnumbered
{
	int64		serial;
	HeapTuple	tuple;
} Unnumbered;

static int
compare_serials(const void *a, const void *b)
{
	int64		left = ((const Unnumbered *) a)->serial;
	int64		right = ((const Unnumbered *) b)->serial;

	return (left > right) - (left < right);
}

/* Visible unnumbered rows in serial order, and the newest id. */
static int
collect_unnumbered(int32 vault_id, Snapshot snapshot, Unnumbered **rows, int64 *newest_id)
{
	ChangelogScan cs = changelog_scan_begin(vault_id, snapshot);
	int			capacity = 8;
	int			n = 0;
	HeapTuple	tuple;

	*rows = palloc(capacity * sizeof(Unnumbered));
	*newest_id = 0;
	while (HeapTupleIsValid(tuple = changelog_scan_next(&cs)))
	{
		int64		id;

		if (tuple_id(&cs, tuple, &id))
		{
			*newest_id = id;
			break;
		}
		if (n == capacity)
		{
			capacity *= 2;
			*rows = repalloc(*rows, capacity * sizeof(Unnumbered));
		}
		(*rows)[n].serial = tuple_serial(&cs, tuple);
		(*rows)[n++].tuple = heap_copytuple(tuple);
	}
	changelog_scan_end(&cs);
	qsort(*rows, n, sizeof(Unnumbered), compare_serials);
	return n;
}

static void
give_number(Relation rel, HeapTuple tuple, int64 id)
{
	Datum		values[Natts_changelog] = {0};
	bool		nulls[Natts_changelog] = {false};
	bool		replace[Natts_changelog] = {false};
	HeapTuple	numbered;

	forest_xact_note_forest_change();
	values[Anum_changelog_id - 1] = Int64GetDatum(id);
	replace[Anum_changelog_id - 1] = true;
	numbered = heap_modify_tuple(tuple, RelationGetDescr(rel), values, nulls, replace);
	CatalogTupleUpdate(rel, &tuple->t_self, numbered);
	heap_freetuple(numbered);
}

/*
 * The lock is held until the commit is visible, and the snapshot is taken
 * after the lock: so ids have no gaps, and whoever sees one sees all smaller
 * ones.  (An id that an abort gives up is given again.)
 */
int
changelog_number_and_insert(int32 vault_id, const ChangelogRow *row)
{
	Snapshot	snapshot;
	Relation	rel;
	Unnumbered *rows;
	int64		id;
	int			n;

	catalog_lock_numbering(vault_id);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	n = collect_unnumbered(vault_id, snapshot, &rows, &id);

	rel = catalog_open(CATALOG_CHANGELOG, RowExclusiveLock);
	for (int i = 0; i < n; i++)
		give_number(rel, rows[i].tuple, ++id);
	table_close(rel, RowExclusiveLock);

	if (row != NULL)
		insert_row(vault_id, row, ++id);
	UnregisterSnapshot(snapshot);
	return n + (row != NULL);
}
