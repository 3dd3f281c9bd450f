/*
 * forest_alter.c
 *		See forest_alter.h.
 */
#include "postgres.h"

#include "forest/forest_alter.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_proc.h"
#include "executor/spi.h"
#include "forest/forest_delta.h"
#include "forest/forest_snapshot.h"
#include "forest/forest_table.h"
#include "forest/forest_truncate.h"
#include "forest/row_key_columns.h"
#include "forest/row_missing.h"
#include "forest/row_shape.h"
#include "forest/value_codec.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

typedef enum NoteKind
{
	NOTE_COLUMN_CHANGED,		/* type or name */
	NOTE_COLUMN_ADDED,
	NOTE_COLUMN_DROPPED,
	NOTE_OPTIONS
} NoteKind;

typedef struct Note
{
	NoteKind	kind;
	Oid			relid;
	FormData_pg_attribute was;	/* of a column; of one that was added the number alone */
	char	   *missing;		/* its option of that name, or NULL */
} Note;

static object_access_hook_type previous_hook = NULL;

/* Of the utility statement that is running, in TopTransactionContext. */
static List *notes = NIL;

/* ---- taking notes ---- */

static void
take_note(NoteKind kind, Oid relid, const FormData_pg_attribute *was, const char *missing)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	Note	   *note = palloc0(sizeof(Note));

	note->kind = kind;
	note->relid = relid;
	if (was != NULL)
		note->was = *was;
	if (missing != NULL)
		note->missing = pstrdup(missing);
	notes = lappend(notes, note);
	MemoryContextSwitchTo(old);
}

static char *
missing_option(HeapTuple attribute)
{
	bool		isnull;
	Datum		options = SysCacheGetAttr(ATTNUM, attribute, Anum_pg_attribute_attfdwoptions, &isnull);

	return row_missing_option(options, isnull);
}

/* Before the next command, the system cache has the column as it was. */
static void
note_column(NoteKind kind, Oid relid, int attno)
{
	FormData_pg_attribute was = {.attnum = (int16) attno};
	HeapTuple	tuple = kind == NOTE_COLUMN_ADDED ? NULL :
		SearchSysCache2(ATTNUM, ObjectIdGetDatum(relid), Int16GetDatum(attno));
	char	   *missing = NULL;

	if (HeapTupleIsValid(tuple))
	{
		memcpy(&was, GETSTRUCT(tuple), ATTRIBUTE_FIXED_PART_SIZE);
		missing = missing_option(tuple);
		ReleaseSysCache(tuple);
	}
	else if (kind != NOTE_COLUMN_ADDED)
		return;
	take_note(kind, relid, &was, missing);
}

static void
object_access(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void *arg)
{
	if (previous_hook != NULL)
		previous_hook(access, class_id, object_id, sub_id, arg);
	if (IsBinaryUpgrade || (class_id != RelationRelationId && class_id != ForeignTableRelationId))
		return;
	if (class_id == ForeignTableRelationId && access == OAT_POST_ALTER)
		take_note(NOTE_OPTIONS, object_id, NULL, NULL);
	if (class_id != RelationRelationId || sub_id <= 0 || get_rel_relkind(object_id) != RELKIND_FOREIGN_TABLE)
		return;
	if (access == OAT_POST_ALTER)
		note_column(NOTE_COLUMN_CHANGED, object_id, sub_id);
	else if (access == OAT_POST_CREATE)
		note_column(NOTE_COLUMN_ADDED, object_id, sub_id);
	else if (access == OAT_DROP)
		note_column(NOTE_COLUMN_DROPPED, object_id, sub_id);
}

void
forest_alter_install_hook(void)
{
	previous_hook = object_access_hook;
	object_access_hook = object_access;
}

/* ---- what the table has ---- */

/*
 * Whether anything of the table is stored, be it expired or deleted: a row that
 * compaction has not taken away yet is as good as one that is there.  Nobody
 * else writes, as ALTER TABLE has locked the relation; but somebody may have since
 * the transaction's snapshot, so a latest one is asked.
 */
static bool
has_entries(const ForestTable *table)
{
	Snapshot	latest;
	DeltaScan  *scan;
	DeltaRow	row;
	bool		found;
	int			nruns;

	if (table->table_id == 0)
		return false;
	CommandCounterIncrement();
	latest = RegisterSnapshot(GetLatestSnapshot());
	scan = delta_scan_begin_with_claims(table->table_id, NULL, latest);
	found = delta_scan_next(scan, &row);
	delta_scan_end(scan);
	(void) lsm_forest_sources(forest_peek(table->vault_id, latest), table->table_id, &nruns);
	UnregisterSnapshot(latest);
	return found || nruns > 0;
}

static bool
key_has_column(const char *relation_key, const char *column)
{
	return row_key_option_rename(relation_key, column, column) != NULL;
}

/* ---- columns ---- */

/*
 * Whether each value of the old type is one of the new one with the same bytes,
 * as ALTER TABLE asks before it spares itself to rewrite a heap, and whether
 * both are stored alike.
 */
static bool
is_same_in_store(const FormData_pg_attribute *was, Form_pg_attribute now)
{
	Var		   *var = makeVar(1, was->attnum, was->atttypid, was->atttypmod, was->attcollation, 0);
	Node	   *value = coerce_to_target_type(NULL, (Node *) var, was->atttypid, now->atttypid, now->atttypmod,
											  COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
	ValueCodec	old_codec;
	ValueCodec	new_codec;

	if (value == NULL)
		return false;
	value = (Node *) expression_planner((Expr *) value);
	while (IsA(value, RelabelType))
		value = (Node *) ((RelabelType *) value)->arg;
	if (!IsA(value, Var))
		return false;
	value_codec_init(&old_codec, getBaseType(was->atttypid), CurrentMemoryContext);
	value_codec_init(&new_codec, getBaseType(now->atttypid), CurrentMemoryContext);
	return old_codec.class == new_codec.class &&
		(old_codec.class != VALUE_CLASS_BINARY_FORM || old_codec.type == new_codec.type);
}

static void
check_type(const ForestTable *table, const FormData_pg_attribute *was, Form_pg_attribute now)
{
	if ((was->atttypid == now->atttypid && was->atttypmod == now->atttypmod) ||
		is_same_in_store(was, now) || !has_entries(table))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot change the type of column \"%s\" of foreign table \"%s\" from %s to %s",
					NameStr(was->attname), get_rel_name(table->relid),
					format_type_with_typemod(was->atttypid, was->atttypmod),
					format_type_with_typemod(now->atttypid, now->atttypmod)),
			 errdetail("Its rows are stored as values of the old type."),
			 errhint("Make a new foreign table, INSERT ... SELECT into it, and rename both; or TRUNCATE this one"
					 " before.")));
}

/* Others are computed when they are read, whatever rows are older. */
static bool
is_stored(const FormData_pg_attribute *column)
{
	return column->attgenerated == '\0' || column->attgenerated == ATTRIBUTE_GENERATED_STORED;
}

/* The option follows the column. */
static void
rename_in_key(Oid relid, const char *old_name, const char *new_name)
{
	const char *key = row_key_option(relid);
	const char *renamed = row_key_option_rename(key, old_name, new_name);
	char	   *table = quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
												   get_rel_name(relid));

	if (renamed == NULL)
		return;
	SPI_connect();
	SPI_execute(psprintf("ALTER FOREIGN TABLE %s OPTIONS (%s key %s)", table, key != NULL ? "SET" : "ADD",
						 quote_literal_cstr(renamed)), false, 0);
	SPI_finish();
}

/* With another value, or none, rows that have no word of the column would read something else. */
static void
check_missing(const ForestTable *table, const Note *note, const char *now)
{
	Relation	rel;

	if (now == NULL ? note->missing == NULL : note->missing != NULL && strcmp(now, note->missing) == 0)
		return;
	if (has_entries(table))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot change option \"%s\" of column \"%s\" of foreign table \"%s\"", ROW_MISSING_OPTION,
						NameStr(note->was.attname), get_rel_name(table->relid)),
				 errdetail("It is what the column has in rows that are older than itself."),
				 errhint("To change these rows, UPDATE them.")));
	rel = relation_open(table->relid, NoLock);
	row_missing_check(rel);
	relation_close(rel, NoLock);
}

static void
check_changed(const ForestTable *table, const Note *note)
{
	HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(note->relid), Int16GetDatum(note->was.attnum));
	FormData_pg_attribute now;
	const char *missing;

	if (!HeapTupleIsValid(tuple))
		return;
	memcpy(&now, GETSTRUCT(tuple), ATTRIBUTE_FIXED_PART_SIZE);
	missing = missing_option(tuple);
	ReleaseSysCache(tuple);
	check_missing(table, note, missing);
	if (!now.attisdropped && is_stored(&now))
		check_type(table, &note->was, &now);
}

/* Its own, or its type's. */
static bool
has_default(const FormData_pg_attribute *column)
{
	return column->atthasdef || get_typdefault(column->atttypid) != NULL;
}

static void
check_added(const ForestTable *table, AttrNumber attno)
{
	Relation	rel = relation_open(table->relid, NoLock);
	Form_pg_attribute column = TupleDescAttr(RelationGetDescr(rel), attno - 1);
	bool		refused = column->attnotnull && column->attgenerated == '\0';

	if (!column->attisdropped && is_stored(column) && (refused || has_default(column)) && has_entries(table) &&
		!(column->attgenerated == '\0' && row_missing_keep_default(rel, attno)))
	{
		if (refused)
			ereport(ERROR,
					(errcode(ERRCODE_NOT_NULL_VIOLATION),
					 errmsg("column \"%s\" of foreign table \"%s\" would be null in rows that are there already",
							NameStr(column->attname), RelationGetRelationName(rel)),
					 errhint("Add it without NOT NULL, UPDATE the rows, and then SET NOT NULL.")));
		ereport(NOTICE,
				(errmsg("column \"%s\" is null in rows that foreign table \"%s\" has already",
						NameStr(column->attname), RelationGetRelationName(rel)),
				 errhint("UPDATE ... SET %s = DEFAULT fills them in.", quote_identifier(NameStr(column->attname)))));
	}
	relation_close(rel, NoLock);
}

static void
check_dropped(Oid relid, const FormData_pg_attribute *was)
{
	if (!key_has_column(row_key_option(relid), NameStr(was->attname)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot drop column \"%s\" of foreign table \"%s\"", NameStr(was->attname), get_rel_name(relid)),
			 errdetail("It is part of the key."),
			 errhint("Make a new foreign table and INSERT ... SELECT into it; or, when this one is empty, name other"
					 " columns with ALTER FOREIGN TABLE ... OPTIONS (SET key ...) first.")));
}

/* ---- the key ---- */

/* An empty table takes any key. */
static void
check_key(const ForestTable *table)
{
	if (table->table_id == 0 || table->stored_signature == table->key_signature)
		return;
	if (has_entries(table))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot change the key of foreign table \"%s\"", get_rel_name(table->relid)),
				 errdetail("Its rows are stored under the old key."),
				 errhint("Make a new foreign table with that key, INSERT ... SELECT into it, and rename both; or"
						 " TRUNCATE this one before.")));
	forest_table_store_key(table);
	CacheInvalidateRelcacheByRelid(table->relid);
	CommandCounterIncrement();
}

/* ---- around a statement ---- */

/* It may have been dropped in the end. */
static bool
is_ours(Oid relid)
{
	return SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)) && forest_is_skyvault_relation(relid);
}

/* Names first: nothing else can be asked of a table whose key names a column that is not there. */
static void
follow_names(const Note *note)
{
	if (note->kind == NOTE_COLUMN_CHANGED)
	{
		const char *name = get_attname(note->relid, note->was.attnum, true);

		if (name != NULL && strcmp(name, NameStr(note->was.attname)) != 0)
			rename_in_key(note->relid, NameStr(note->was.attname), name);
	}
	else if (note->kind == NOTE_COLUMN_DROPPED)
		check_dropped(note->relid, &note->was);
}

static void
check_note(const Note *note)
{
	ForestTable table = *forest_table_for_read(note->relid);

	if (note->kind == NOTE_COLUMN_CHANGED)
		check_changed(&table, note);
	else if (note->kind == NOTE_COLUMN_ADDED)
		check_added(&table, note->was.attnum);
	check_key(&table);
}

List *
forest_alter_begin(void)
{
	List	   *outer = notes;

	notes = NIL;
	return outer;
}

void
forest_alter_end(List *outer)
{
	List	   *taken = notes;
	ListCell   *cell;

	notes = outer;
	if (taken == NIL)
		return;
	CommandCounterIncrement();
	if (!catalog_exists())
		return;
	foreach(cell, taken)
		if (is_ours(((Note *) lfirst(cell))->relid))
			follow_names(lfirst(cell));
	CommandCounterIncrement();
	foreach(cell, taken)
		if (is_ours(((Note *) lfirst(cell))->relid))
			check_note(lfirst(cell));
}

void
forest_alter_abort(List *outer)
{
	notes = outer;
}
