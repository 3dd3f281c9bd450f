/*
 * forest_registry.c
 *		Rows of the registry: skyvault.run, floors in skyvault."table", and
 *		skyvault.garbage.
 */
#include "postgres.h"

#include "forest/forest_registry.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_type.h"
#include "forest/forest_catalog.h"
#include "server/pg_cache.h"
#include "forest/forest_xact.h"
#include "server/pg_status.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

/* The columns of a run row that hold one element per table. */
typedef struct PartColumns
{
	int			n;
	Datum	   *table_ids;
	Datum	   *min_keys;
	Datum	   *max_keys;
	Datum	   *entries;
	Datum	   *tombstones;
	Datum	   *raw_bytes;
	Datum	   *expiring;
	Datum	   *expires_min;
	Datum	   *expires_max;
} PartColumns;

static Datum
required(HeapTuple tuple, TupleDesc desc, AttrNumber column)
{
	bool		isnull;
	Datum		datum = heap_getattr(tuple, column, desc, &isnull);

	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("column %d of a row of the registry is null", column)));
	return datum;
}

static Datum *
array_column(HeapTuple tuple, TupleDesc desc, AttrNumber column, Oid type, int *n)
{
	ArrayType  *array = DatumGetArrayTypeP(required(tuple, desc, column));
	Datum	   *elements;
	int			count;

	if (ARR_HASNULL(array) || ARR_ELEMTYPE(array) != type)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("column %d of a row of the registry is malformed", column)));
	if (type == INT4OID)
		deconstruct_array(array, type, 4, true, TYPALIGN_INT, &elements, NULL, &count);
	else if (type == INT8OID || type == TIMESTAMPTZOID)
		deconstruct_array(array, type, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &elements, NULL, &count);
	else
		deconstruct_array(array, type, -1, false, TYPALIGN_INT, &elements, NULL, &count);
	if (*n >= 0 && count != *n)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("column %d of a row of the registry has %d elements instead of %d",
						column, count, *n)));
	*n = count;
	return elements;
}

static PartColumns
part_columns(HeapTuple tuple, TupleDesc desc)
{
	PartColumns columns = {.n = -1};

	columns.table_ids = array_column(tuple, desc, Anum_run_table_ids, INT4OID, &columns.n);
	columns.min_keys = array_column(tuple, desc, Anum_run_min_keys, BYTEAOID, &columns.n);
	columns.max_keys = array_column(tuple, desc, Anum_run_max_keys, BYTEAOID, &columns.n);
	columns.entries = array_column(tuple, desc, Anum_run_entries, INT8OID, &columns.n);
	columns.tombstones = array_column(tuple, desc, Anum_run_tombstones, INT8OID, &columns.n);
	columns.raw_bytes = array_column(tuple, desc, Anum_run_raw_bytes, INT8OID, &columns.n);
	columns.expiring = array_column(tuple, desc, Anum_run_expiring, INT8OID, &columns.n);
	columns.expires_min = array_column(tuple, desc, Anum_run_expires_min, TIMESTAMPTZOID, &columns.n);
	columns.expires_max = array_column(tuple, desc, Anum_run_expires_max, TIMESTAMPTZOID, &columns.n);
	return columns;
}

static SvSlice
slice_of_bytea(Datum datum)
{
	bytea	   *bytes = DatumGetByteaPP(datum);

	return sv_slice(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
}

static void
identify_run(LsmRun *run)
{
	CacheRunId	id = pg_cache_run_id(run->object);

	run->identity[0] = id.hi;
	run->identity[1] = id.lo;
}

/* Everything in *run points into the tuple or CurrentMemoryContext. */
static void
run_from_tuple(HeapTuple tuple, TupleDesc desc, LsmRun *run)
{
	PartColumns columns = part_columns(tuple, desc);

	run->id = DatumGetInt64(required(tuple, desc, Anum_run_id));
	run->tier = DatumGetChar(required(tuple, desc, Anum_run_tier));
	run->level = DatumGetInt32(required(tuple, desc, Anum_run_level));
	run->seq_lo = DatumGetInt64(required(tuple, desc, Anum_run_seq_lo));
	run->seq_hi = DatumGetInt64(required(tuple, desc, Anum_run_seq_hi));
	run->file_bytes = DatumGetInt64(required(tuple, desc, Anum_run_file_bytes));
	run->tail_bytes = DatumGetInt64(required(tuple, desc, Anum_run_tail_bytes));
	run->object = TextDatumGetCString(required(tuple, desc, Anum_run_object));
	identify_run(run);
	run->registered_by = HeapTupleHeaderGetRawXmin(tuple->t_data);
	run->is_own = TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));
	run->nparts = columns.n;
	run->parts = palloc(columns.n * sizeof(LsmPart));
	for (int i = 0; i < columns.n; i++)
		run->parts[i] = (LsmPart)
	{
		.table_id = DatumGetInt32(columns.table_ids[i]),
			.min_key = slice_of_bytea(columns.min_keys[i]),
			.max_key = slice_of_bytea(columns.max_keys[i]),
			.entries = DatumGetInt64(columns.entries[i]),
			.tombstones = DatumGetInt64(columns.tombstones[i]),
			.raw_bytes = DatumGetInt64(columns.raw_bytes[i]),
			.expiring = DatumGetInt64(columns.expiring[i]),
			.expires_min = DatumGetTimestampTz(columns.expires_min[i]),
			.expires_max = DatumGetTimestampTz(columns.expires_max[i])
	};
}

static void
read_runs(LsmForest *forest, int32 vault_id, Snapshot snapshot)
{
	Relation	rel = catalog_open(CATALOG_RUN, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	SvError		err;

	ScanKeyInit(&key, Anum_run_vault_id, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(vault_id));
	scan = systable_beginscan(rel, catalog_oid(CATALOG_RUN_VAULT), true, snapshot, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		LsmRun		run;

		run_from_tuple(tuple, RelationGetDescr(rel), &run);
		PG_STATUS_CHECK(lsm_forest_add_run(forest, &run, &err), &err);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

/*
 * A snapshot can see two rows of a table: TRUNCATE works on the latest one,
 * which the snapshot of a REPEATABLE READ transaction may not see, and leaves
 * an own row beside the one that it does see.  The own one counts.
 */
static void
read_floors(LsmForest *forest, int32 vault_id, Snapshot snapshot)
{
	Relation	rel = catalog_open(CATALOG_TABLE, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	bool		own_seen = false;	/* only then can there be two rows of a table */
	List	   *floors = NIL;
	ListCell   *cell;
	HeapTuple	tuple;
	SvError		err;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		LsmFloor   *floor = palloc(sizeof(LsmFloor));
		bool		superseded = false;

		floor->table_id = DatumGetInt32(required(tuple, desc, Anum_table_id));
		floor->floor_seq = DatumGetInt64(required(tuple, desc, Anum_table_floor_seq));
		floor->is_own = TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));
		if (floor->floor_seq == 0 ||
			DatumGetInt32(required(tuple, desc, Anum_table_vault_id)) != vault_id)
			continue;

		own_seen |= floor->is_own;
		foreach(cell, own_seen ? floors : NIL)
		{
			LsmFloor   *other = lfirst(cell);

			if (other->table_id != floor->table_id)
				continue;
			superseded = true;
			if (floor->is_own)
				*other = *floor;
		}
		if (!superseded)
			floors = lappend(floors, floor);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);

	foreach(cell, floors)
		PG_STATUS_CHECK(lsm_forest_add_floor(forest, lfirst(cell), &err), &err);
}

LsmForest *
registry_read_forest(int32 vault_id, Snapshot snapshot, MemoryContext context)
{
	SvAlloc    *alloc = MemoryContextAlloc(context, sizeof(SvAlloc));
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "skyvault registry",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	LsmForest  *forest;
	SvError		err;

	*alloc = pg_status_alloc(context);
	PG_STATUS_CHECK(lsm_forest_create(&forest, alloc, &err), &err);
	read_runs(forest, vault_id, snapshot);
	read_floors(forest, vault_id, snapshot);
	PG_STATUS_CHECK(lsm_forest_finish(forest, &err), &err);

	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
	return forest;
}

static Datum
bytea_of_slice(SvSlice slice)
{
	return PointerGetDatum(cstring_to_text_with_len((const char *) slice.data, slice.len));
}

static Datum
array_of_8_bytes(Datum *elements, int n, Oid type)
{
	return PointerGetDatum(construct_array(elements, n, type, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

static void
part_values(const LsmRun *run, Datum *values)
{
	int			n = run->nparts;
	Datum	   *column = palloc(Max(n, 1) * sizeof(Datum));

	for (int i = 0; i < n; i++)
		column[i] = Int32GetDatum(run->parts[i].table_id);
	values[Anum_run_table_ids - 1] =
		PointerGetDatum(construct_array(column, n, INT4OID, 4, true, TYPALIGN_INT));
	for (int i = 0; i < n; i++)
		column[i] = bytea_of_slice(run->parts[i].min_key);
	values[Anum_run_min_keys - 1] =
		PointerGetDatum(construct_array(column, n, BYTEAOID, -1, false, TYPALIGN_INT));
	for (int i = 0; i < n; i++)
		column[i] = bytea_of_slice(run->parts[i].max_key);
	values[Anum_run_max_keys - 1] =
		PointerGetDatum(construct_array(column, n, BYTEAOID, -1, false, TYPALIGN_INT));
	for (int i = 0; i < n; i++)
		column[i] = Int64GetDatum((int64) run->parts[i].entries);
	values[Anum_run_entries - 1] = array_of_8_bytes(column, n, INT8OID);
	for (int i = 0; i < n; i++)
		column[i] = Int64GetDatum((int64) run->parts[i].tombstones);
	values[Anum_run_tombstones - 1] = array_of_8_bytes(column, n, INT8OID);
	for (int i = 0; i < n; i++)
		column[i] = Int64GetDatum((int64) run->parts[i].raw_bytes);
	values[Anum_run_raw_bytes - 1] = array_of_8_bytes(column, n, INT8OID);
	for (int i = 0; i < n; i++)
		column[i] = Int64GetDatum((int64) run->parts[i].expiring);
	values[Anum_run_expiring - 1] = array_of_8_bytes(column, n, INT8OID);
	for (int i = 0; i < n; i++)
		column[i] = TimestampTzGetDatum(run->parts[i].expires_min);
	values[Anum_run_expires_min - 1] = array_of_8_bytes(column, n, TIMESTAMPTZOID);
	for (int i = 0; i < n; i++)
		column[i] = TimestampTzGetDatum(run->parts[i].expires_max);
	values[Anum_run_expires_max - 1] = array_of_8_bytes(column, n, TIMESTAMPTZOID);
}

void
registry_insert_run(int32 vault_id, const LsmRun *run)
{
	Relation	rel = catalog_open(CATALOG_RUN, RowExclusiveLock);
	Datum		values[Natts_run];
	bool		nulls[Natts_run] = {false};
	HeapTuple	tuple;

	forest_xact_note_forest_change();
	values[Anum_run_id - 1] = Int64GetDatum(run->id);
	values[Anum_run_vault_id - 1] = Int32GetDatum(vault_id);
	values[Anum_run_tier - 1] = CharGetDatum((char) run->tier);
	values[Anum_run_level - 1] = Int32GetDatum(run->level);
	values[Anum_run_seq_lo - 1] = Int64GetDatum(run->seq_lo);
	values[Anum_run_seq_hi - 1] = Int64GetDatum(run->seq_hi);
	values[Anum_run_object - 1] = CStringGetTextDatum(run->object);
	values[Anum_run_file_bytes - 1] = Int64GetDatum((int64) run->file_bytes);
	values[Anum_run_tail_bytes - 1] = Int64GetDatum((int64) run->tail_bytes);
	values[Anum_run_created - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
	part_values(run, values);

	tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);
	CatalogTupleInsert(rel, tuple);
	heap_freetuple(tuple);
	table_close(rel, RowExclusiveLock);
}

void
registry_add_garbage(int32 vault_id, const char *object)
{
	Relation	rel = catalog_open(CATALOG_GARBAGE, RowExclusiveLock);
	Datum		values[Natts_garbage];
	bool		nulls[Natts_garbage] = {false};
	HeapTuple	tuple;

	values[Anum_garbage_object - 1] = CStringGetTextDatum(object);
	values[Anum_garbage_vault_id - 1] = Int32GetDatum(vault_id);
	values[Anum_garbage_removed_xid8 - 1] = FullTransactionIdGetDatum(GetTopFullTransactionId());
	values[Anum_garbage_at - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
	tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);
	CatalogTupleInsert(rel, tuple);
	heap_freetuple(tuple);
	table_close(rel, RowExclusiveLock);
}

int
registry_remove_table(int32 vault_id, int32 table_id, Snapshot snapshot, int64 **run_ids)
{
	Relation	rel = catalog_open(CATALOG_RUN, RowExclusiveLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	int			n = 0;
	int			capacity = 8;

	*run_ids = palloc(capacity * sizeof(int64));
	ScanKeyInit(&key, Anum_run_vault_id, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(vault_id));
	scan = systable_beginscan(rel, catalog_oid(CATALOG_RUN_VAULT), true, snapshot, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		LsmRun		run;

		run_from_tuple(tuple, RelationGetDescr(rel), &run);
		if (run.nparts != 1 || run.parts[0].table_id != table_id)
			continue;
		forest_xact_note_forest_change();
		CatalogTupleDelete(rel, &tuple->t_self);
		registry_add_garbage(vault_id, run.object);
		if (n == capacity)
		{
			capacity *= 2;
			*run_ids = repalloc(*run_ids, capacity * sizeof(int64));
		}
		(*run_ids)[n++] = run.id;
	}
	systable_endscan(scan);
	table_close(rel, RowExclusiveLock);
	return n;
}

/* The row of a run; to be ended with systable_endscan. */
static HeapTuple
find_run(Relation rel, int64 run_id, Snapshot snapshot, SysScanDesc *scan)
{
	ScanKeyData key;

	ScanKeyInit(&key, Anum_run_id, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(run_id));
	*scan = systable_beginscan(rel, catalog_oid(CATALOG_RUN_PKEY), true, snapshot, 1, &key);
	return systable_getnext(*scan);
}

static bool
lock_run(Relation rel, int64 run_id, Snapshot snapshot, TupleTableSlot *slot)
{
	SysScanDesc scan;
	HeapTuple	tuple = find_run(rel, run_id, snapshot, &scan);
	TM_FailureData failure;
	bool		locked = false;

	if (HeapTupleIsValid(tuple))
		locked = table_tuple_lock(rel, &tuple->t_self, snapshot, slot, GetCurrentCommandId(true),
								  LockTupleExclusive, LockWaitSkip, 0, &failure) == TM_Ok;
	systable_endscan(scan);
	ExecClearTuple(slot);
	return locked;
}

bool
registry_lock_runs(const int64 *run_ids, int n)
{
	Relation	rel = catalog_open(CATALOG_RUN, RowExclusiveLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	bool		locked = true;

	for (int i = 0; i < n && locked; i++)
		locked = lock_run(rel, run_ids[i], snapshot, slot);
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(snapshot);
	table_close(rel, NoLock);
	return locked;
}

bool
registry_has_run(int64 run_id, Snapshot snapshot)
{
	Relation	rel = catalog_open(CATALOG_RUN, AccessShareLock);
	SysScanDesc scan;
	bool		found = HeapTupleIsValid(find_run(rel, run_id, snapshot, &scan));

	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

static HeapTuple
require_run(Relation rel, int64 run_id, Snapshot snapshot, SysScanDesc *scan)
{
	HeapTuple	tuple = find_run(rel, run_id, snapshot, scan);

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "run " INT64_FORMAT " is not in the registry", run_id);
	return tuple;
}

void
registry_remove_run(int32 vault_id, int64 run_id, Snapshot snapshot)
{
	Relation	rel = catalog_open(CATALOG_RUN, RowExclusiveLock);
	SysScanDesc scan;
	HeapTuple	tuple = require_run(rel, run_id, snapshot, &scan);
	char	   *object = TextDatumGetCString(required(tuple, RelationGetDescr(rel), Anum_run_object));

	forest_xact_note_forest_change();
	CatalogTupleDelete(rel, &tuple->t_self);
	registry_add_garbage(vault_id, object);
	systable_endscan(scan);
	table_close(rel, RowExclusiveLock);
}

void
registry_change_run(int64 run_id, LsmTier tier, int level, int nparts, const LsmPart *parts,
					Snapshot snapshot)
{
	Relation	rel = catalog_open(CATALOG_RUN, RowExclusiveLock);
	SysScanDesc scan;
	HeapTuple	tuple = require_run(rel, run_id, snapshot, &scan);
	LsmRun		run = {.nparts = nparts,.parts = unconstify(LsmPart *, parts)};
	Datum		values[Natts_run] = {0};
	bool		nulls[Natts_run] = {false};
	bool		replace[Natts_run] = {false};
	HeapTuple	changed;

	forest_xact_note_forest_change();
	values[Anum_run_tier - 1] = CharGetDatum((char) tier);
	values[Anum_run_level - 1] = Int32GetDatum(level);
	part_values(&run, values);
	for (int i = 0; i < Natts_run; i++)
		replace[i] = values[i] != (Datum) 0;
	replace[Anum_run_level - 1] = true;
	changed = heap_modify_tuple(tuple, RelationGetDescr(rel), values, nulls, replace);
	CatalogTupleUpdate(rel, &tuple->t_self, changed);
	heap_freetuple(changed);
	systable_endscan(scan);
	table_close(rel, RowExclusiveLock);
}
