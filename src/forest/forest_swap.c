/*
 * forest_swap.c
 *		See forest_swap.h.
 *
 * The relations are locked against all others to the end of the transaction, and
 * so nobody can be in the middle of using a handle of them; relcache invalidations
 * make everybody, on standbys too, look up again who comes after it.  Who has an
 * older snapshot then finds what it sees by forest_table_seen.
 *
 * What knows tables by id goes on with the ids: a flush or a compaction under way
 * publishes what it has read of each content, whoever has it by then, or finds the
 * table lock taken and leaves the table out; forests in shared memory, the delta
 * and its filter, floors, runs and jobs are of ids alone.  So the changelog's row
 * changes nothing of the forest.  It is there for the log in the store: what
 * relation an id belongs to is written as of the last change that is in an object
 * (worker_export.c), so that a restore to any end of the log finds names and
 * contents of one moment.
 */
#include "postgres.h"

#include "forest/forest_swap.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tupdesc.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_attribute.h"
#include "commands/tablecmds.h"
#include "foreign/foreign.h"
#include "forest/forest_catalog.h"
#include "forest/forest_changelog.h"
#include "forest/forest_sql.h"
#include "forest/forest_table.h"
#include "forest/row_missing.h"
#include "forest/row_shape.h"
#include "nodes/nodes.h"
#include "nodes/primnodes.h"
#include "server/pg_compat.h"
#include "server/stop_point.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/* ---- whether rows of the one are rows of the other ---- */

pg_attribute_printf(3, 4) static void
report_different(Relation a, Relation b, const char *format,...)
{
	va_list		args;
	char		detail[1024];

	va_start(args, format);
	(void) vsnprintf(detail, sizeof(detail), _(format), args);
	va_end(args);
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("foreign tables \"%s\" and \"%s\" cannot exchange their contents",
					RelationGetRelationName(a), RelationGetRelationName(b)),
			 errdetail_internal("%s", detail),
			 errhint("Columns, key, NOT NULL and CHECK constraints have to be the same, dropped columns included.")));
}

static bool
same_column(Form_pg_attribute a, Form_pg_attribute b)
{
	if (a->attisdropped || b->attisdropped)
		return a->attisdropped == b->attisdropped;
	return strcmp(NameStr(a->attname), NameStr(b->attname)) == 0 && a->atttypid == b->atttypid &&
		a->atttypmod == b->atttypmod && a->attcollation == b->attcollation &&
		a->attgenerated == b->attgenerated;
}

/* As text they have the places where they stood in a statement. */
static bool
same_expression(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return equal(stringToNode(a), stringToNode(b));
}

static const char *
column_expression(Relation rel, AttrNumber attno)
{
	TupleConstr *constr = RelationGetDescr(rel)->constr;

	for (int i = 0; constr != NULL && i < constr->num_defval; i++)
		if (constr->defval[i].adnum == attno)
			return constr->defval[i].adbin;
	return NULL;
}

/* What a column reads in rows that are older than itself. */
static bool
same_missing(Relation a, Relation b, AttrNumber attno)
{
	Relation	rels[2] = {a, b};
	char	   *option[2];

	for (int i = 0; i < 2; i++)
	{
		HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(RelationGetRelid(rels[i])), Int16GetDatum(attno));
		Datum		options;
		bool		isnull;

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "column %d of relation %u is not in the catalogue", attno, RelationGetRelid(rels[i]));
		options = SysCacheGetAttr(ATTNUM, tuple, Anum_pg_attribute_attfdwoptions, &isnull);
		option[i] = row_missing_option(options, isnull);
		ReleaseSysCache(tuple);
	}
	return option[0] == NULL || option[1] == NULL ? option[0] == option[1] : strcmp(option[0], option[1]) == 0;
}

static void
check_columns(Relation a, Relation b)
{
	TupleDesc	a_desc = RelationGetDescr(a);
	TupleDesc	b_desc = RelationGetDescr(b);

	if (a_desc->natts != b_desc->natts)
		report_different(a, b, "They have %d and %d columns, dropped ones included.", a_desc->natts, b_desc->natts);
	for (int i = 0; i < a_desc->natts; i++)
	{
		Form_pg_attribute a_column = TupleDescAttr(a_desc, i);
		Form_pg_attribute b_column = TupleDescAttr(b_desc, i);

		if (!same_column(a_column, b_column) || !compat_same_not_null(a_desc, b_desc, i) ||
			(a_column->attgenerated != '\0' &&
			 !same_expression(column_expression(a, i + 1), column_expression(b, i + 1))))
			report_different(a, b, "Column %d, \"%s\" and \"%s\", is not the same.", i + 1,
							 NameStr(a_column->attname), NameStr(b_column->attname));
		if (!a_column->attisdropped && !same_missing(a, b, i + 1))
			report_different(a, b, "Column \"%s\" has not the same value in rows that are older than itself: its option"
							 " \"%s\" differs.", NameStr(a_column->attname), ROW_MISSING_OPTION);
	}
}

/* Its number and all columns of the key are the same. */
static void
check_key(Relation a, Relation b)
{
	const RowShape *a_shape = row_shape(a);
	const RowShape *b_shape = row_shape(b);
	int			n = row_shape_key_count(a_shape);
	bool		same = n == row_shape_key_count(b_shape) &&
		row_shape_key_signature(a_shape) == row_shape_key_signature(b_shape);

	for (int i = 0; same && i < n; i++)
		same = row_shape_key_attribute(a_shape, i) == row_shape_key_attribute(b_shape, i);
	if (!same)
		report_different(a, b, "Their keys are not the same.");
}

/* Rows of b obey what a asks of its own. */
static void
check_has_constraints(Relation a, Relation b)
{
	TupleConstr *wanted = RelationGetDescr(a)->constr;
	TupleConstr *there = RelationGetDescr(b)->constr;

	for (int i = 0; wanted != NULL && i < wanted->num_check; i++)
	{
		bool		found = false;

		for (int j = 0; there != NULL && !found && j < there->num_check; j++)
			found = wanted->check[i].ccvalid == there->check[j].ccvalid &&
				same_expression(wanted->check[i].ccbin, there->check[j].ccbin);
		if (!found)
			report_different(a, b, "\"%s\" has no constraint like \"%s\" of \"%s\".", RelationGetRelationName(b),
							 wanted->check[i].ccname, RelationGetRelationName(a));
	}
}

static void
check_is_no_partition(Relation rel)
{
	if (rel->rd_rel->relispartition)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("partition \"%s\" cannot exchange its content", RelationGetRelationName(rel)),
				 errdetail("Nothing says that the other rows are within its bounds."),
				 errhint("DETACH PARTITION one and ATTACH PARTITION the other, in one transaction.")));
}

/* A handle is good until the next invalidation only. */
static void
check_vaults(Relation a, Relation b)
{
	Oid			a_server = forest_table_for_read(RelationGetRelid(a))->server_oid;
	Oid			b_server = forest_table_for_read(RelationGetRelid(b))->server_oid;

	if (a_server != b_server)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("foreign tables \"%s\" and \"%s\" are of different servers",
						RelationGetRelationName(a), RelationGetRelationName(b)),
				 errhint("Contents stay in the vault where they are: load one table from the other.")));
}

void
forest_swap_check_isolation(void)
{
	if (IsolationIsSerializable())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("contents of foreign tables cannot be exchanged in a SERIALIZABLE transaction"),
				 errhint("Use READ COMMITTED or REPEATABLE READ.")));
}

void
forest_swap_check(Relation a, Relation b)
{
	forest_swap_check_isolation();
	check_vaults(a, b);
	check_is_no_partition(a);
	check_is_no_partition(b);
	check_columns(a, b);
	check_key(a, b);
	check_has_constraints(a, b);
	check_has_constraints(b, a);
}

/* ---- swapping ---- */

/* Another database may be writing definitions that this one would contradict. */
static void
check_vault_is_ours(const ForestTable *table)
{
	ForestRows	rows = forest_sql("SELECT 1 FROM skyvault.owner WHERE vault_id = $1::integer AND"
								  " state IN ('fenced', 'attached')", 1, forest_arg(table->vault_id));

	if (rows.nrows > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the vault of server \"%s\" is written by another database",
						GetForeignServer(table->server_oid)->servername),
				 errhint("View skyvault_vaults says why; skyvault_adopt() takes it.")));
}

static HeapTuple
table_row(Relation rel, int32 table_id, Snapshot latest)
{
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_table_id, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(table_id));
	scan = systable_beginscan(rel, catalog_oid(CATALOG_TABLE_PKEY), true, latest, 1, &key);
	tuple = systable_getnext(scan);
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "table %d is not in the catalogue", table_id);
	tuple = heap_copytuple(tuple);
	systable_endscan(scan);
	return tuple;
}

static void
insert_for(Relation rel, HeapTuple row, Oid relid)
{
	Datum		values[Natts_table] = {0};
	bool		nulls[Natts_table] = {false};
	bool		replace[Natts_table] = {false};

	values[Anum_table_relid - 1] = ObjectIdGetDatum(relid);
	replace[Anum_table_relid - 1] = true;
	CatalogTupleInsert(rel, heap_modify_tuple(row, RelationGetDescr(rel), values, nulls, replace));
}

/* Both go before one comes: at no time may two rows have one relation. */
static void
exchange_rows(const ForestTable *a, const ForestTable *b)
{
	Relation	rel = catalog_open(CATALOG_TABLE, RowExclusiveLock);
	Snapshot	latest = RegisterSnapshot(GetLatestSnapshot());
	HeapTuple	a_row = table_row(rel, a->table_id, latest);
	HeapTuple	b_row = table_row(rel, b->table_id, latest);

	CatalogTupleDelete(rel, &a_row->t_self);
	CatalogTupleDelete(rel, &b_row->t_self);
	insert_for(rel, a_row, b->relid);
	insert_for(rel, b_row, a->relid);
	UnregisterSnapshot(latest);
	table_close(rel, RowExclusiveLock);
}

static void
note_in_changelog(const ForestTable *a, const ForestTable *b)
{
	int32		ids[2] = {a->table_id, b->table_id};
	ChangelogRow row = {.kind = CHANGE_SWAP,.ntables = 2,.table_ids = ids};

	changelog_insert_unnumbered(a->vault_id, &row);
}

void
forest_swap(Relation a, Relation b)
{
	ForestTable a_table;
	ForestTable b_table;

	CheckTableNotInUse(a, "exchange the content of");
	CheckTableNotInUse(b, "exchange the content of");
	forest_swap_check(a, b);
	(void) forest_table_for_write(RelationGetRelid(a));
	b_table = *forest_table_for_write(RelationGetRelid(b));
	a_table = *forest_table_for_write(RelationGetRelid(a));
	forest_table_check_key(&a_table);
	forest_table_check_key(&b_table);
	check_vault_is_ours(&a_table);
	catalog_lock_table(Min(a_table.table_id, b_table.table_id), AccessExclusiveLock);
	catalog_lock_table(Max(a_table.table_id, b_table.table_id), AccessExclusiveLock);
	STOP_POINT("swap-locked");
	exchange_rows(&a_table, &b_table);
	note_in_changelog(&a_table, &b_table);
	forest_table_note_swap();
	CacheInvalidateRelcacheByRelid(a_table.relid);
	CacheInvalidateRelcacheByRelid(b_table.relid);
	CommandCounterIncrement();
}
