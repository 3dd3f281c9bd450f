/*
 * restore_tables.c
 *		Foreign tables from their definitions.
 *
 * Nothing of a definition gets into a statement but as a quoted identifier or
 * literal, or as the name of a type that was looked up: who can write to the
 * store must not be able to run anything here.
 */
#include "postgres.h"

#include "worker/restore_tables.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "executor/spi.h"
#include "forest/forest_sql.h"
#include "foreign/foreign.h"
#include "lib/stringinfo.h"
#include "parser/parse_type.h"
#include "server/pg_compat.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"

/* Runs as the current user. */
static void
execute(const char *sql)
{
	SPI_connect();
	if (SPI_execute(sql, false, 0) < 0)
		elog(ERROR, "could not execute \"%s\"", sql);
	SPI_finish();
}

static char *
type_name(const char *definition, const char *table, const char *column)
{
	Oid			type;
	int32		typmod;

	compat_parse_type_string(definition, &type, &typmod);
	if (!OidIsValid(type))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("type %s of column \"%s\" of table \"%s\" does not exist here", definition, column, table),
				 errhint("Create the type, with the same labels or fields, or the extension that has it, and restore"
						 " again.")));
	return format_type_extended(type, typmod, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
}

/* Stands where a column was dropped, so that those behind it get their numbers. */
static char *
placeholder(int number)
{
	return psprintf("skyvault dropped column %d", number);
}

static void
append_columns(StringInfo sql, const char *definition, const char *table)
{
	ForestRows	rows = forest_sql("SELECT c->>'number', c->>'name', c->>'type', c->>'not_null', c->'collation'->>0,"
								  " c->'collation'->>1, c->>'has_default', c->>'missing' FROM"
								  " jsonb_array_elements($1::jsonb->'columns') AS c"
								  " ORDER BY (c->>'number')::integer", 1, definition);
	int			number = 1;

	for (int i = 0; i < rows.nrows; i++, number++)
	{
		const char *column = restore_cell(&rows, i, 1);
		/* CREATE FOREIGN TABLE says that these are too many. */
		int64		attno = Min(forest_cell_int64(&rows, i, 0), MaxHeapAttributeNumber + 1);

		for (; number < attno; number++)
			appendStringInfo(sql, "%s%s integer", number > 1 ? ", " : "", quote_identifier(placeholder(number)));
		appendStringInfo(sql, "%s%s %s", number > 1 ? ", " : "", quote_identifier(column),
						 type_name(restore_cell(&rows, i, 2), table, column));
		if (forest_cell(&rows, i, 7) != NULL)
			appendStringInfo(sql, " OPTIONS (missing %s)", quote_literal_cstr(forest_cell(&rows, i, 7)));
		if (forest_cell(&rows, i, 4) != NULL)
			appendStringInfo(sql, " COLLATE %s",
							 quote_qualified_identifier(forest_cell(&rows, i, 4), restore_cell(&rows, i, 5)));
		if (forest_cell_bool(&rows, i, 3))
			appendStringInfoString(sql, " NOT NULL");
		if (forest_cell_bool(&rows, i, 6))
			ereport(NOTICE,
					(errmsg("default of column \"%s\" of table \"%s\" is not restored", column, table)));
	}
}

static void
append_options(StringInfo sql, const char *definition)
{
	ForestRows	rows = forest_sql("SELECT key, value FROM jsonb_each_text($1::jsonb->'options')", 1, definition);

	for (int i = 0; i < rows.nrows; i++)
		appendStringInfo(sql, "%s%s %s", i > 0 ? ", " : " OPTIONS (", quote_identifier(forest_cell(&rows, i, 0)),
						 quote_literal_cstr(restore_cell(&rows, i, 1)));
	if (rows.nrows > 0)
		appendStringInfoChar(sql, ')');
}

/* All columns that the definition has no number for. */
static void
drop_placeholders(Oid relid, const char *definition)
{
	char	   *table = quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), get_rel_name(relid));
	ForestRows	rows = forest_sql("SELECT n FROM generate_series(1, (SELECT max((c->>'number')::integer) FROM"
								  " jsonb_array_elements($1::jsonb->'columns') AS c)) AS n EXCEPT SELECT"
								  " (c->>'number')::integer FROM jsonb_array_elements($1::jsonb->'columns') AS c"
								  " ORDER BY 1", 1, definition);

	for (int i = 0; i < rows.nrows; i++)
		execute(psprintf("ALTER FOREIGN TABLE %s DROP COLUMN %s", table,
						 quote_identifier(placeholder((int) forest_cell_int64(&rows, i, 0)))));
}

/* CREATE FOREIGN TABLE has made an identity: it becomes the one that the runs know. */
static void
set_identity(const RestoreTable *table, Oid relid)
{
	(void) forest_sql("UPDATE skyvault.\"table\" SET id = $2::integer, floor_seq = $3::bigint,"
					  " key_signature = ($4::jsonb->>'key_signature')::integer WHERE relid = $1::oid",
					  4, forest_arg(relid), forest_arg(table->id), forest_arg(table->floor_seq), table->definition);
	CacheInvalidateRelcacheByRelid(relid);
}

char *
restore_table_command(const char *definition, const char *name, const char *server)
{
	ForestRows	rows = forest_sql("SELECT $1::jsonb->>'name'", 1, definition);
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE FOREIGN TABLE %s (", name);
	append_columns(&sql, definition, restore_cell(&rows, 0, 0));
	appendStringInfo(&sql, ") SERVER %s", quote_identifier(server));
	append_options(&sql, definition);
	return sql.data;
}

void
restore_finish_table(const RestoreTable *table, Oid relid)
{
	drop_placeholders(relid, table->definition);
	CommandCounterIncrement();
	set_identity(table, relid);
	CommandCounterIncrement();
}

static void
make_table(const RestoreState *state, const RestoreTable *table)
{
	ForestRows	rows = forest_sql("SELECT d->>'schema', d->>'name' FROM (SELECT $1::jsonb AS d) AS definition",
								  1, table->definition);
	const char *schema = restore_cell(&rows, 0, 0);
	const char *name = quote_qualified_identifier(schema, restore_cell(&rows, 0, 1));

	if (!OidIsValid(get_namespace_oid(schema, true)))
		execute(psprintf("CREATE SCHEMA %s", quote_identifier(schema)));
	execute(restore_table_command(table->definition, name, GetForeignServer(state->server_oid)->servername));
	CommandCounterIncrement();
	restore_finish_table(table, RangeVarGetRelid(makeRangeVarFromNameList(compat_qualified_name_list(name)), NoLock,
												 false));
}

/* What CREATE FOREIGN TABLE draws is none of the numbers that tables of the vault have, or are yet to get. */
static void
reserve_numbers(RestoreState *state)
{
	ListCell   *cell;

	foreach(cell, state->tables)
		state->table_id = Max(state->table_id, ((RestoreTable *) lfirst(cell))->id);
	(void) forest_sql("SELECT setval('skyvault.table_id_seq', greatest($1::bigint, (SELECT last_value FROM"
					  " skyvault.table_id_seq)))", 1, forest_arg(state->table_id));
}

/* Those that were not dropped; the log must have defined each. */
static List *
live_tables(const RestoreState *state)
{
	List	   *live = NIL;
	ListCell   *cell;

	foreach(cell, state->tables)
	{
		RestoreTable *table = lfirst(cell);

		if (table->dropped)
			continue;
		if (table->definition == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("the log names table %d and never defines it", table->id)));
		live = lappend(live, table);
	}
	return live;
}

int
restore_make_tables(RestoreState *state)
{
	List	   *live = live_tables(state);
	ListCell   *cell;

	reserve_numbers(state);
	foreach(cell, live)
		make_table(state, lfirst(cell));
	return list_length(live);
}

int
restore_keep_definitions(RestoreState *state)
{
	List	   *live = live_tables(state);
	ListCell   *cell;

	reserve_numbers(state);
	foreach(cell, live)
	{
		RestoreTable *table = lfirst(cell);

		(void) forest_sql("INSERT INTO skyvault.unimported VALUES ($1::integer, $2::integer, $3::bigint, $4::jsonb)",
						  4, forest_arg(state->vault_id), forest_arg(table->id), forest_arg(table->floor_seq),
						  table->definition);
	}
	return list_length(live);
}
