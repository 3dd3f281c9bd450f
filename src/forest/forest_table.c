/*
 * forest_table.c
 *		From a foreign table to its identity in the catalogue.
 *
 * The identity is read with a fresh catalogue snapshot, never the statement's: a
 * REPEATABLE READ transaction has to find a table that was first written after its
 * snapshot.  It changes only by forest_swap, which locks the relation against all
 * others; whoever comes with an older snapshot after that is told by who wrote the
 * row (bound_by): if the snapshot does not see him, the row is looked for under
 * the snapshot.  Others write the row as well (TRUNCATE, which says nothing of it):
 * what is remembered then is too old, and harmless, as he has not bound anything,
 * or too new, and who sees him sees all who wrote the row before.
 * A table without identity is looked up again each time, since anybody may
 * make one.
 */
#include "postgres.h"

#include "forest/forest_table.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/parallel.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "forest/forest_catalog.h"
#include "forest/forest_vault.h"
#include "forest/row_missing.h"
#include "forest/row_shape.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#define HANDLER_SYMBOL "skyvault_fdw_handler"

#define DEFAULT_BATCH_SIZE 1000
#define MAX_BATCH_SIZE 100000

typedef struct TableEntry
{
	Oid			relid;			/* hash key */
	bool		valid;
	ForestTable table;
	ForestTable before;			/* as an older snapshot saw it, see forest_table_seen */
} TableEntry;

static HTAB *tables = NULL;

/* Counts what may have made an entry stale, for those being filled meanwhile and forest_table_generation. */
static uint64 invalidations = 0;

/* An identity made in this transaction goes away if it aborts, without an invalidation message. */
static bool made_identity = false;

/* This transaction, or a savepoint of it that was rolled back, has swapped. */
static bool has_swapped = false;

static void
invalidate_all(void)
{
	HASH_SEQ_STATUS status;
	TableEntry *entry;

	invalidations++;
	hash_seq_init(&status, tables);
	while ((entry = hash_seq_search(&status)) != NULL)
		entry->valid = false;
}

static void
relcache_callback(Datum arg, Oid relid)
{
	TableEntry *entry;

	if (!OidIsValid(relid))
	{
		invalidate_all();
		return;
	}
	entry = hash_search(tables, &relid, HASH_FIND, NULL);
	if (entry != NULL)
	{
		invalidations++;
		entry->valid = false;
	}
}

static void
syscache_callback(Datum arg, int cacheid, uint32 hashvalue)
{
	invalidate_all();
}

static void
xact_callback(XactEvent event, void *arg)
{
	/* After PREPARE it may still go either way, elsewhere. */
	if ((event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE) && made_identity)
		invalidate_all();
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE)
		made_identity = has_swapped = false;
}

static void
subxact_callback(SubXactEvent event, SubTransactionId mySubid, SubTransactionId parentSubid, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB && made_identity)
		invalidate_all();
}

static void
tables_init(void)
{
	HASHCTL		ctl = {.keysize = sizeof(Oid),.entrysize = sizeof(TableEntry)};

	tables = hash_create("skyvault tables", 64, &ctl, HASH_ELEM | HASH_BLOBS);
	CacheRegisterRelcacheCallback(relcache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, syscache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(FOREIGNDATAWRAPPEROID, syscache_callback, (Datum) 0);
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}

const char *
forest_option(List *options, const char *name)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, name) == 0)
			return defGetString(option);
	}
	return NULL;
}

/* The wrapper may be renamed; what it calls cannot. */
static bool
wrapper_is_skyvault(Oid wrapper_oid)
{
	Oid			handler = GetForeignDataWrapper(wrapper_oid)->fdwhandler;
	HeapTuple	tuple;
	Datum		symbol;
	bool		isnull;
	bool		result;

	if (!OidIsValid(handler))
		return false;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(handler));
	if (!HeapTupleIsValid(tuple))
		return false;
	symbol = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosrc, &isnull);
	result = !isnull && strcmp(TextDatumGetCString(symbol), HANDLER_SYMBOL) == 0;
	ReleaseSysCache(tuple);
	return result;
}

bool
forest_is_skyvault_server(Oid server_oid)
{
	return wrapper_is_skyvault(GetForeignServer(server_oid)->fdwid);
}

Oid
forest_table_relid(int32 table_id, Snapshot snapshot)
{
	Relation	rel = catalog_open(CATALOG_TABLE, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			relid = InvalidOid;
	bool		isnull;

	ScanKeyInit(&key, Anum_table_id, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(table_id));
	scan = systable_beginscan(rel, catalog_oid(CATALOG_TABLE_PKEY), true, snapshot, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		relid = DatumGetObjectId(heap_getattr(tuple, Anum_table_relid, RelationGetDescr(rel), &isnull));
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return relid;
}

bool
forest_is_skyvault_relation(Oid relid)
{
	if (get_rel_relkind(relid) != RELKIND_FOREIGN_TABLE)
		return false;
	return forest_is_skyvault_server(GetForeignTable(relid)->serverid);
}

bool
forest_parse_batch_size(const char *value, int *n)
{
	return parse_int(value, n, 0, NULL) && *n >= 1 && *n <= MAX_BATCH_SIZE;
}

/* The table's option, or else the server's; NULL: neither has it. */
static const char *
table_or_server_option(ForeignTable *foreign, const char *name)
{
	const char *value = forest_option(foreign->options, name);

	return value != NULL ? value : forest_option(GetForeignServer(foreign->serverid)->options, name);
}

static int
read_batch_size(ForeignTable *foreign)
{
	const char *value = table_or_server_option(foreign, "batch_size");
	int			n;

	return value != NULL && forest_parse_batch_size(value, &n) ? n : DEFAULT_BATCH_SIZE;
}

static bool
read_async_capable(ForeignTable *foreign)
{
	const char *value = table_or_server_option(foreign, "async_capable");
	bool		is_on = false;

	if (value != NULL)
		(void) parse_bool(value, &is_on);
	return is_on;
}

static void
read_options(ForestTable *table)
{
	ForeignTable *foreign = GetForeignTable(table->relid);
	const char *insert = forest_option(foreign->options, "insert");
	const char *ttl = forest_option(foreign->options, "ttl");

	table->server_oid = foreign->serverid;
	table->batch_size = read_batch_size(foreign);
	table->async_capable = read_async_capable(foreign);
	table->strict_insert = insert != NULL && strcmp(insert, "strict") == 0;
	table->has_ttl = ttl != NULL;
	if (ttl != NULL)
		table->ttl = *DatumGetIntervalP(DirectFunctionCall3(interval_in, CStringGetDatum(ttl),
															ObjectIdGetDatum(InvalidOid),
															Int32GetDatum(-1)));
}

static void
read_key_signature(ForestTable *table)
{
	Relation	rel = relation_open(table->relid, NoLock);

	table->key_signature = row_shape_key_signature(row_shape(rel));
	relation_close(rel, NoLock);
}

/* Sets what the catalogue has of the table under the snapshot; NULL: now. */
static bool
read_identity(ForestTable *table, Snapshot snapshot)
{
	Relation	rel = catalog_open(CATALOG_TABLE, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		isnull;

	ScanKeyInit(&key, Anum_table_relid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(table->relid));
	scan = systable_beginscan(rel, catalog_oid(CATALOG_TABLE_RELID), true, snapshot, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		TupleDesc	desc = RelationGetDescr(rel);

		table->table_id = DatumGetInt32(heap_getattr(tuple, Anum_table_id, desc, &isnull));
		table->vault_id = DatumGetInt32(heap_getattr(tuple, Anum_table_vault_id, desc, &isnull));
		table->stored_signature =
			DatumGetInt32(heap_getattr(tuple, Anum_table_key_signature, desc, &isnull));
		table->bound_by = HeapTupleHeaderGetXmin(tuple->t_data);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return HeapTupleIsValid(tuple);
}

static TableEntry *
table_entry(Oid relid)
{
	TableEntry *entry;
	bool		found;

	if (tables == NULL)
		tables_init();
	entry = hash_search(tables, &relid, HASH_ENTER, &found);
	if (!found)
		entry->valid = false;
	if (!entry->valid)
	{
		ForestTable fresh = {.relid = relid};
		uint64		seen = invalidations;

		if (!forest_is_skyvault_relation(relid))
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("\"%s\" is not a foreign table of the wrapper \"skyvault\"",
							get_rel_name(relid) ? get_rel_name(relid) : "?"),
					 errhint("Create one with skyvault_create_table() or CREATE FOREIGN TABLE ... SERVER"
							 " skyvault.")));
		read_options(&fresh);
		read_key_signature(&fresh);
		entry->table = fresh;
		entry->valid = (invalidations == seen);
	}
	if (entry->table.table_id == 0)
		(void) read_identity(&entry->table, NULL);
	return entry;
}

const ForestTable *
forest_table_for_read(Oid relid)
{
	return &table_entry(relid)->table;
}

/* ---- what older snapshots see ---- */

/*
 * Own rows of before this command are seen by all snapshots but those that were
 * taken before: these there are only for what swaps, and in parallel workers,
 * which do not know what the leader did.
 */
static bool
may_be_unseen(TransactionId bound_by, Snapshot snapshot)
{
	if (snapshot->snapshot_type != SNAPSHOT_MVCC)
		return false;
	if (TransactionIdIsCurrentTransactionId(bound_by))
		return has_swapped || IsParallelWorker();
	return XidInMVCCSnapshot(bound_by, snapshot);
}

static void
report_swapped(Oid relid)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access to foreign table \"%s\"", get_rel_name(relid)),
			 errdetail("Its content was exchanged for another one by skyvault_swap() or skyvault_load() meanwhile."),
			 errhint("The transaction might succeed if retried.")));
}

const ForestTable *
forest_table_seen_before(const ForestTable *table, Snapshot snapshot)
{
	ForestTable before = *table;
	TableEntry *entry;

	if (table->table_id == 0 || !may_be_unseen(table->bound_by, snapshot))
		return table;
	if (!read_identity(&before, snapshot))
	{
		/* New since then, and so is what is in it; or that was in another one. */
		if (OidIsValid(forest_table_relid(table->table_id, snapshot)))
			report_swapped(table->relid);
		return table;
	}
	if (before.table_id == table->table_id)
		return table;
	entry = hash_search(tables, &table->relid, HASH_FIND, NULL);
	entry->before = before;
	return &entry->before;
}

void
forest_table_check_seen(const ForestTable *table, Snapshot snapshot)
{
	if (forest_table_seen(table, snapshot)->table_id != table->table_id)
		report_swapped(table->relid);
}

void
forest_table_note_swap(void)
{
	has_swapped = true;
}

uint64
forest_table_generation(void)
{
	return invalidations;
}

/* What row_shape leaves to the first row that needs it, whatever has become of it by then. */
static void
check_definition(Oid relid)
{
	Relation	rel = relation_open(relid, NoLock);

	row_missing_check(rel);
	relation_close(rel, NoLock);
}

static void
make_identity(ForestTable *table)
{
	ForestVault vault;
	Relation	rel;
	Datum		values[Natts_table];
	bool		nulls[Natts_table] = {false};
	HeapTuple	tuple;

	forest_vault_ensure(table->server_oid, &vault);
	catalog_lock_relation_identity(table->relid);
	if (read_identity(table, NULL))
		return;
	check_definition(table->relid);

	rel = catalog_open(CATALOG_TABLE, RowExclusiveLock);
	values[Anum_table_id - 1] = Int32GetDatum((int32) catalog_draw(CATALOG_TABLE_ID_SEQ));
	values[Anum_table_vault_id - 1] = Int32GetDatum(vault.id);
	values[Anum_table_relid - 1] = ObjectIdGetDatum(table->relid);
	values[Anum_table_floor_seq - 1] = Int64GetDatum(0);
	values[Anum_table_key_signature - 1] = Int32GetDatum(table->key_signature);
	values[Anum_table_created - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
	tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);
	CatalogTupleInsert(rel, tuple);
	heap_freetuple(tuple);
	table_close(rel, RowExclusiveLock);
	CommandCounterIncrement();

	made_identity = true;
	(void) read_identity(table, NULL);
}

const ForestTable *
forest_table_for_write(Oid relid)
{
	TableEntry *entry = table_entry(relid);

	if (entry->table.table_id == 0)
	{
		PreventCommandIfReadOnly("first write to a skyvault table");
		PreventCommandIfParallelMode("first write to a skyvault table");
		make_identity(&entry->table);
	}
	if (IsolationUsesXactSnapshot() && ActiveSnapshotSet())
		forest_table_check_seen(&entry->table, GetTransactionSnapshot());
	return &entry->table;
}

void
forest_table_check_key(const ForestTable *table)
{
	if (likely(table->table_id == 0 || table->stored_signature == table->key_signature))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("the key of foreign table \"%s\" was changed after rows were stored",
					get_rel_name(table->relid)),
			 errhint("Set the table option \"key\" and the types of the key columns back, or TRUNCATE the table.")));
}

TimestampTz
forest_table_expiry(const ForestTable *table, const Interval *ttl)
{
	if (ttl == NULL && !table->has_ttl)
		return DT_NOEND;
	if (ttl == NULL)
		ttl = &table->ttl;
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
												   TimestampTzGetDatum(GetCurrentStatementStartTimestamp()),
												   IntervalPGetDatum(unconstify(Interval *, ttl))));
}
