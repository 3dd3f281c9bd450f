/*
 * vault_import.h
 *		IMPORT FOREIGN SCHEMA: foreign tables for those of a vault that another
 *		database writes to, or wrote to.
 *
 * The first import of a server attaches its vault, as skyvault_restore does,
 * and keeps the definitions of all tables in skyvault.unimported; each import
 * makes foreign tables for some of them.  The catalogue's number of a table
 * comes with it: while the statement runs, it is known which new relation is
 * which table.
 */
#ifndef VAULT_IMPORT_H
#define VAULT_IMPORT_H

#include "postgres.h"

#include "nodes/parsenodes.h"

/*
 * The commands that make the foreign tables.  42501 if the server is not the
 * caller's, HV00D for options, HV00Q if there is nothing of that schema.
 */
extern List *vault_import_commands(ImportForeignSchemaStmt *stmt, Oid server_oid);

/* A foreign table was made, and has an identity: it gets another one if the statement imports it. */
extern void vault_import_bind(Oid relid);

/* Before and after each IMPORT FOREIGN SCHEMA, be it that it has failed. */
extern void vault_import_forget(void);

/* How many tables of the vault have no foreign table here. */
extern int64 vault_import_left(int32 vault_id);

#endif							/* VAULT_IMPORT_H */
