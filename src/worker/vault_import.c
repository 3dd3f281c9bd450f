/*
 * vault_import.c
 *		See vault_import.h.
 */
#include "postgres.h"

#include "worker/vault_import.h"

#include "catalog/pg_foreign_server.h"
#include "foreign/fdwapi.h"
#include "forest/forest_sql.h"
#include "forest/forest_vault.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "server/pg_compat.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "worker/restore_tables.h"
#include "worker/vault_restore.h"

/* Of the running statement: tables that CREATE FOREIGN TABLE is about to make. */
typedef struct Expected
{
	int32		vault_id;
	const char *schema;
	const char *name;
	RestoreTable table;
} Expected;

/* In TopTransactionContext. */
static List *expected = NIL;

static void
check_caller(ImportForeignSchemaStmt *stmt, ForeignServer *server)
{
	if (!compat_server_ownercheck(server->serverid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FOREIGN_SERVER, server->servername);
	if (stmt->options != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("invalid option \"%s\"", linitial_node(DefElem, stmt->options)->defname),
				 errhint("There are no options for IMPORT FOREIGN SCHEMA.")));
}

/* Reads the store, once: what the vault had then is what is read here from then on. */
static int32
attach(ForeignServer *server)
{
	VaultRestoreRequest request = {.server_oid = server->serverid,.keep_definitions = true};
	VaultRestored restored;
	ForestVault vault;

	if (!forest_vault_find(server->serverid, &vault))
	{
		vault_restore(&request, &restored);
		if (!forest_vault_find(server->serverid, &vault))
			elog(ERROR, "the vault of server \"%s\" was not attached", server->servername);
	}
	return vault.id;
}

static void
report_no_schema(int32 vault_id, ImportForeignSchemaStmt *stmt)
{
	ForestRows	rows = forest_sql("SELECT string_agg(DISTINCT quote_ident(definition->>'schema'), ', ') FROM"
								  " skyvault.unimported WHERE vault_id = $1::integer", 1, forest_arg(vault_id));
	const char *schemas = forest_cell(&rows, 0, 0);

	ereport(ERROR,
			(errcode(ERRCODE_FDW_SCHEMA_NOT_FOUND),
			 errmsg("there is no table of schema \"%s\" to be imported from server \"%s\"",
					stmt->remote_schema, stmt->server_name),
			 schemas != NULL ? errhint("There are tables of: %s.", schemas) :
			 errhint("All tables of the vault have foreign tables in this database already.")));
}

static void
expect(int32 vault_id, const char *schema, const char *name, const RestoreTable *table)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	Expected   *entry = palloc0(sizeof(Expected));

	entry->vault_id = vault_id;
	entry->schema = pstrdup(schema);
	entry->name = pstrdup(name);
	entry->table = *table;
	entry->table.definition = pstrdup(table->definition);
	expected = lappend(expected, entry);
	MemoryContextSwitchTo(old);
}

List *
vault_import_commands(ImportForeignSchemaStmt *stmt, Oid server_oid)
{
	ForeignServer *server = GetForeignServer(server_oid);
	List	   *commands = NIL;
	int32		vault_id;
	ForestRows	rows;

	check_caller(stmt, server);
	vault_id = attach(server);
	rows = forest_sql("SELECT table_id, floor_seq, definition, definition->>'name' FROM skyvault.unimported"
					  " WHERE vault_id = $1::integer AND definition->>'schema' = $2 ORDER BY 4", 2,
					  forest_arg(vault_id), stmt->remote_schema);
	if (rows.nrows == 0)
		report_no_schema(vault_id, stmt);
	for (int i = 0; i < rows.nrows; i++)
	{
		const char *name = restore_cell(&rows, i, 3);
		RestoreTable table = {
			.id = (int32) forest_cell_int64(&rows, i, 0),
			.floor_seq = forest_cell_int64(&rows, i, 1),
			.definition = (char *) forest_cell(&rows, i, 2)
		};

		if (!IsImportableForeignTable(name, stmt))
			continue;
		commands = lappend(commands, restore_table_command(table.definition, quote_identifier(name),
														   server->servername));
		expect(vault_id, stmt->local_schema, name, &table);
	}
	return commands;
}

/* Two imports at once: the second finds no row, as the first has the table. */
static void
take_definition(const Expected *entry)
{
	ForestRows	rows = forest_sql("DELETE FROM skyvault.unimported WHERE vault_id = $1::integer AND table_id ="
								  " $2::integer RETURNING table_id", 2, forest_arg(entry->vault_id),
								  forest_arg(entry->table.id));

	if (rows.nrows != 1)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("table \"%s\" was imported by another session meanwhile", entry->name)));
}

void
vault_import_bind(Oid relid)
{
	ListCell   *cell;

	foreach(cell, expected)
	{
		const Expected *entry = lfirst(cell);

		if (strcmp(entry->name, get_rel_name(relid)) != 0 ||
			strcmp(entry->schema, get_namespace_name(get_rel_namespace(relid))) != 0)
			continue;
		expected = list_delete_ptr(expected, lfirst(cell));
		take_definition(entry);
		restore_finish_table(&entry->table, relid);
		return;
	}
}

void
vault_import_forget(void)
{
	expected = NIL;
}

int64
vault_import_left(int32 vault_id)
{
	ForestRows	rows = forest_sql("SELECT count(*) FROM skyvault.unimported WHERE vault_id = $1::integer", 1,
								  forest_arg(vault_id));

	return forest_cell_int64(&rows, 0, 0);
}
