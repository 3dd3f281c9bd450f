/*
 * worker_ddl.c
 *		Watches utility statements.
 *
 * What a statement did counts when its transaction commits, so it is noted in
 * local variables and acted on in a transaction callback.  A database stays
 * drained until the end of the transaction, since until then it is locked and
 * a new scheduler could only wait.
 */
#include "postgres.h"

#include "worker/worker_ddl.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "forest/forest_alter.h"
#include "forest/forest_catalog.h"
#include "forest/forest_filter.h"
#include "forest/forest_pending.h"
#include "forest/forest_vault.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "server/pg_compat.h"
#include "worker/vault_import.h"
#include "worker/worker_shmem.h"
#include "worker/worker_slot.h"

static ProcessUtility_hook_type previous_hook = NULL;
static void (*after_create_foreign_table) (Oid relid) = NULL;

/* What the current transaction has done. */
static List *drained = NIL;		/* of database oids, in TopMemoryContext */
static bool extension_created = false;
static bool extension_dropped = false;
static bool databases_changed = false;

/* Takes back what was drained later than the first so many. */
static void
undrain_to(int count)
{
	while (list_length(drained) > count)
	{
		worker_slot_undrain(linitial_oid(drained));
		drained = list_delete_first(drained);
	}
}

/* Also called when the process exits within a transaction. */
static void
at_transaction_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			if (extension_created)
				worker_note_extension_created();
			if (extension_dropped)
				worker_wake_scheduler();
			if (databases_changed)
				worker_wake_launcher();
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			break;
		default:
			return;
	}
	undrain_to(0);
	extension_created = false;
	extension_dropped = false;
	databases_changed = false;
}

static bool
may_create_databases(Oid roleid)
{
	HeapTuple	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(roleid));
	bool		result = false;

	if (HeapTupleIsValid(tuple))
	{
		result = ((Form_pg_authid) GETSTRUCT(tuple))->rolcreatedb;
		ReleaseSysCache(tuple);
	}
	return result;
}

/*
 * Returns whether the statement would get past its permission checks.  They
 * are not ours to make, but who fails them must not be able to stop a worker.
 */
static bool
may_drain(Oid dboid, bool needs_createdb)
{
	if (superuser())
		return true;
	return compat_database_ownercheck(dboid, GetUserId()) &&
		(!needs_createdb || may_create_databases(GetUserId()));
}

static void
drain(Oid dboid)
{
	MemoryContext old_context = MemoryContextSwitchTo(TopMemoryContext);

	/* Prepended before and taken back after: nothing can fail in between. */
	drained = lcons_oid(dboid, drained);
	MemoryContextSwitchTo(old_context);
	if (worker_slot_drain(dboid))
		worker_slot_await_drained(dboid);
	else
		drained = list_delete_first(drained);
}

static char *
template_name(CreatedbStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, "template") == 0 && option->arg != NULL)
			return defGetString(option);
	}
	return pstrdup("template1");
}

static bool
has_option(List *options, const char *name)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		if (strcmp(lfirst_node(DefElem, cell)->defname, name) == 0)
			return true;
	}
	return false;
}

/*
 * Returns the name of the database that the statement wants for itself alone,
 * or NULL.
 */
static const char *
claimed_database(Node *stmt, bool *needs_createdb)
{
	*needs_createdb = false;
	switch (nodeTag(stmt))
	{
		case T_CreatedbStmt:
			*needs_createdb = true;
			return template_name(castNode(CreatedbStmt, stmt));
		case T_DropdbStmt:
			return castNode(DropdbStmt, stmt)->dbname;
		case T_AlterDatabaseStmt:
			if (has_option(castNode(AlterDatabaseStmt, stmt)->options, "tablespace"))
				return castNode(AlterDatabaseStmt, stmt)->dbname;
			return NULL;
		case T_RenameStmt:
			if (castNode(RenameStmt, stmt)->renameType != OBJECT_DATABASE)
				return NULL;
			*needs_createdb = true;
			return castNode(RenameStmt, stmt)->subname;
		default:
			return NULL;
	}
}

static void
drain_claimed_database(Node *stmt)
{
	bool		needs_createdb;
	const char *name = claimed_database(stmt, &needs_createdb);
	Oid			dboid;

	if (name == NULL)
		return;
	dboid = get_database_oid(name, true);
	if (!OidIsValid(dboid) || !may_drain(dboid, needs_createdb))
		return;

	/* Of these, only CREATE DATABASE can succeed on the session's own database. */
	if (dboid == MyDatabaseId && !IsA(stmt, CreatedbStmt))
		return;
	drain(dboid);

	/* If the database stays after all, its next scheduler starts anew. */
	if (IsA(stmt, DropdbStmt))
		forest_filter_release(dboid);
}

/* The table's oid if there is one of that name where the statement makes it. */
static Oid
find_foreign_table(CreateForeignTableStmt *stmt)
{
	RangeVar   *name = stmt->base.relation;

	return get_relname_relid(name->relname, RangeVarGetCreationNamespace(name));
}

typedef enum Effect
{
	EFFECT_NONE,
	EFFECT_EXTENSION_CREATED,
	EFFECT_EXTENSION_DROPPED,
	EFFECT_DATABASES_CHANGED,
	EFFECT_PREPARED_COMMITTED,
	EFFECT_PREPARED_ABORTED
} Effect;

/* What may have happened if the statement succeeds. */
static Effect
possible_effect(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_CreateExtensionStmt:
			return EFFECT_EXTENSION_CREATED;	/* under any name: CASCADE makes others too */
		case T_DropStmt:
			if (castNode(DropStmt, stmt)->removeType == OBJECT_EXTENSION ||
				castNode(DropStmt, stmt)->behavior == DROP_CASCADE)
				return EFFECT_EXTENSION_DROPPED;
			return EFFECT_NONE;
		case T_DropOwnedStmt:
			return EFFECT_EXTENSION_DROPPED;
		case T_CreatedbStmt:
		case T_DropdbStmt:
		case T_AlterDatabaseStmt:
			return EFFECT_DATABASES_CHANGED;
		case T_TransactionStmt:
			if (castNode(TransactionStmt, stmt)->kind == TRANS_STMT_COMMIT_PREPARED)
				return EFFECT_PREPARED_COMMITTED;
			if (castNode(TransactionStmt, stmt)->kind == TRANS_STMT_ROLLBACK_PREPARED)
				return EFFECT_PREPARED_ABORTED;
			return EFFECT_NONE;
		default:
			return EFFECT_NONE;
	}
}

/* The name of the prepared transaction that a statement makes or ends; NULL: it does not. */
static const char *
prepared_name(Node *stmt)
{
	return IsA(stmt, TransactionStmt) ? castNode(TransactionStmt, stmt)->gid : NULL;
}

static void
note_effect(Effect effect, const char *gid)
{
	uint64		bytes;

	switch (effect)
	{
		case EFFECT_NONE:
			break;
		case EFFECT_EXTENSION_CREATED:
			CommandCounterIncrement();
			if (OidIsValid(get_extension_oid(SKYVAULT_NAME, true)))
				extension_created = true;
			break;
		case EFFECT_EXTENSION_DROPPED:
			extension_dropped = true;
			break;
		case EFFECT_DATABASES_CHANGED:
			databases_changed = true;
			break;
		case EFFECT_PREPARED_COMMITTED:
			bytes = forest_pending_end_prepared(gid, true);

			/* What it did besides is not known here: as TRUNCATE, which wants a number. */
			if (OidIsValid(get_extension_oid(SKYVAULT_NAME, true)))
			{
				worker_note_committed_bytes(Max(1, bytes));
				worker_wake_scheduler();
			}
			break;
		case EFFECT_PREPARED_ABORTED:
			(void) forest_pending_end_prepared(gid, false);

			/* Readers take longer ways while it might have been committed. */
			if (OidIsValid(get_extension_oid(SKYVAULT_NAME, true)))
				worker_wake_scheduler();
			break;
	}
}

static void
call_hook(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
		  ProcessUtilityContext context, ParamListInfo params,
		  QueryEnvironment *query_env, DestReceiver *dest, QueryCompletion *qc)
{
	if (previous_hook != NULL)
		previous_hook(pstmt, query_string, read_only_tree, context, params,
					  query_env, dest, qc);
	else
		standard_ProcessUtility(pstmt, query_string, read_only_tree, context, params,
								query_env, dest, qc);
}

static void
call_next(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
		  ProcessUtilityContext context, ParamListInfo params,
		  QueryEnvironment *query_env, DestReceiver *dest, QueryCompletion *qc)
{
	List	   *outer = forest_alter_begin();

	PG_TRY();
	{
		call_hook(pstmt, query_string, read_only_tree, context, params, query_env, dest, qc);
	}
	PG_CATCH();
	{
		forest_alter_abort(outer);
		PG_RE_THROW();
	}
	PG_END_TRY();
	forest_alter_end(outer);
}

static void
watch_create_foreign_table(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
						   ProcessUtilityContext context, ParamListInfo params,
						   QueryEnvironment *query_env, DestReceiver *dest,
						   QueryCompletion *qc)
{
	CreateForeignTableStmt *stmt = castNode(CreateForeignTableStmt, pstmt->utilityStmt);
	bool		existed;
	Oid			relid;

	existed = stmt->base.if_not_exists && OidIsValid(find_foreign_table(stmt));
	call_next(pstmt, query_string, read_only_tree, context, params, query_env, dest, qc);
	if (existed || after_create_foreign_table == NULL)
		return;

	/* An event trigger may have dropped or renamed it. */
	CommandCounterIncrement();
	relid = find_foreign_table(stmt);
	if (OidIsValid(relid))
		after_create_foreign_table(relid);
}

/* The catalogue names servers. */
static void
watch_rename_server(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
					ProcessUtilityContext context, ParamListInfo params,
					QueryEnvironment *query_env, DestReceiver *dest, QueryCompletion *qc)
{
	RenameStmt *stmt = castNode(RenameStmt, pstmt->utilityStmt);
	char	   *old_name = pstrdup(strVal(stmt->object));
	char	   *new_name = pstrdup(stmt->newname);

	call_next(pstmt, query_string, read_only_tree, context, params, query_env, dest, qc);
	if (!catalog_exists())
		return;
	CommandCounterIncrement();
	forest_vault_rename(old_name, new_name);
}

static bool
renames_server(Node *stmt)
{
	return IsA(stmt, RenameStmt) &&
		castNode(RenameStmt, stmt)->renameType == OBJECT_FOREIGN_SERVER;
}

/* What it makes is known by name while it runs. */
static void
watch_import(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
			 ProcessUtilityContext context, ParamListInfo params,
			 QueryEnvironment *query_env, DestReceiver *dest, QueryCompletion *qc)
{
	vault_import_forget();
	PG_TRY();
	{
		call_next(pstmt, query_string, read_only_tree, context, params, query_env, dest, qc);
	}
	PG_FINALLY();
	{
		vault_import_forget();
	}
	PG_END_TRY();
}

static void
watch_utility(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
			  ProcessUtilityContext context, ParamListInfo params,
			  QueryEnvironment *query_env, DestReceiver *dest, QueryCompletion *qc)
{
	int			depth = list_length(drained);
	Effect		effect;
	const char *gid;

	if (IsA(pstmt->utilityStmt, CreateForeignTableStmt))
	{
		watch_create_foreign_table(pstmt, query_string, read_only_tree, context, params,
								   query_env, dest, qc);
		return;
	}
	if (IsA(pstmt->utilityStmt, ImportForeignSchemaStmt))
	{
		watch_import(pstmt, query_string, read_only_tree, context, params, query_env, dest, qc);
		return;
	}
	if (renames_server(pstmt->utilityStmt))
	{
		watch_rename_server(pstmt, query_string, read_only_tree, context, params,
							query_env, dest, qc);
		return;
	}

	/* Afterwards the statement may be gone, as after the ROLLBACK of a procedure. */
	effect = possible_effect(pstmt->utilityStmt);
	gid = prepared_name(pstmt->utilityStmt);
	if (gid != NULL && castNode(TransactionStmt, pstmt->utilityStmt)->kind == TRANS_STMT_PREPARE)
		forest_pending_name(gid);
	PG_TRY();
	{
		drain_claimed_database(pstmt->utilityStmt);
		call_next(pstmt, query_string, read_only_tree, context, params, query_env, dest, qc);
	}
	PG_CATCH();
	{
		undrain_to(depth);		/* perhaps only a subtransaction ends */
		PG_RE_THROW();
	}
	PG_END_TRY();
	note_effect(effect, gid);
}

void
worker_ddl_install(void)
{
	previous_hook = ProcessUtility_hook;
	ProcessUtility_hook = watch_utility;
	RegisterXactCallback(at_transaction_end, NULL);
}

void
worker_ddl_set_after_create_foreign_table(void (*callback) (Oid relid))
{
	after_create_foreign_table = callback;
}
