/*
 * api_vault.c
 *		skyvault_export, skyvault_snapshot, skyvault_restore, skyvault_adopt.
 */
#include "postgres.h"

#include "sqlapi/api_vault.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_foreign_server.h"
#include "fmgr.h"
#include "funcapi.h"
#include "foreign/foreign.h"
#include "forest/forest_sql.h"
#include "forest/forest_table.h"
#include "forest/forest_vault.h"
#include "forest/forest_xact.h"
#include "miscadmin.h"
#include "server/pg_compat.h"
#include "server/stop_point.h"
#include "sqlapi/api_admin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "worker/vault_import.h"
#include "worker/vault_restore.h"
#include "worker/worker_request.h"

PG_FUNCTION_INFO_V1(skyvault_export);
PG_FUNCTION_INFO_V1(skyvault_snapshot);
PG_FUNCTION_INFO_V1(skyvault_drop_snapshot);
PG_FUNCTION_INFO_V1(skyvault_restore);
PG_FUNCTION_INFO_V1(skyvault_adopt);

int32
api_vault_id(Name server_name)
{
	ForeignServer *server = GetForeignServerByName(NameStr(*server_name), false);
	ForestVault vault;

	if (!forest_is_skyvault_server(server->serverid))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("server \"%s\" is not of the wrapper \"skyvault\"", server->servername)));
	return forest_vault_find(server->serverid, &vault) ? vault.id : 0;
}

/* What a worker does is not of the caller's transaction, and does not see it. */
static void
check_may_ask(const char *function)
{
	if (forest_xact_has_changed())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("%s cannot run in a transaction that has changed a vault", function),
				 errhint("Commit first.")));
	PreventCommandDuringRecovery(function);
}

static int64
ask(WorkerRequest *request, WorkerChoreId chore, bool has_name, Name server_name)
{
	ForestVault *vaults;
	int64		sum = 0;
	int			n;

	if (has_name)
	{
		request->vault_id = api_vault_id(server_name);
		return request->vault_id == 0 ? 0 : worker_request(request, chore);
	}
	n = forest_vault_list(&vaults);
	for (int i = 0; i < n; i++)
	{
		request->vault_id = vaults[i].id;
		sum += worker_request(request, chore);
	}
	return sum;
}

/* (vault name): NULL means all */
Datum
skyvault_export(PG_FUNCTION_ARGS)
{
	WorkerRequest request = {.kind = REQUEST_EXPORT};

	check_may_ask("skyvault_export");
	PG_RETURN_INT64(ask(&request, CHORE_EXPORT, !PG_ARGISNULL(0),
						PG_ARGISNULL(0) ? NULL : PG_GETARG_NAME(0)));
}

/* (name name, vault name): NULL means automatic, and all */
Datum
skyvault_snapshot(PG_FUNCTION_ARGS)
{
	WorkerRequest request = {.kind = REQUEST_SNAPSHOT,.has_name = !PG_ARGISNULL(0)};

	check_may_ask("skyvault_snapshot");
	if (request.has_name)
		request.name = *PG_GETARG_NAME(0);
	(void) api_flush(PG_ARGISNULL(1) ? 0 : api_vault_id(PG_GETARG_NAME(1)));
	STOP_POINT("snapshot-flushed");
	PG_RETURN_INT64(ask(&request, CHORE_SNAPSHOT, !PG_ARGISNULL(1),
						PG_ARGISNULL(1) ? NULL : PG_GETARG_NAME(1)));
}

static void
check_server_owner(Oid server_oid)
{
	if (!compat_server_ownercheck(server_oid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FOREIGN_SERVER, GetForeignServer(server_oid)->servername);
}

/* Whoever writes to a vault drops the tables that he does not have. */
static void
check_is_complete(int32 vault_id, const char *server)
{
	int64		left = vault_import_left(vault_id);

	if (left > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the vault of server \"%s\" has tables that are not imported here", server),
				 errdetail_plural("There is " INT64_FORMAT " such table.", "There are " INT64_FORMAT " such tables.",
								  (unsigned long) left, left),
				 errhint("IMPORT FOREIGN SCHEMA them all, or have the whole vault by skyvault_restore('...', adopt =>"
						 " true) in another database.")));
}

/*
 * A worker takes the vault when it next writes there, after COMMIT.  A database
 * that owns it already takes it anew, which does no harm.
 */
Datum
skyvault_adopt(PG_FUNCTION_ARGS)
{
	int32		vault_id = api_vault_id(PG_GETARG_NAME(0));
	Oid			server_oid = GetForeignServerByName(NameStr(*PG_GETARG_NAME(0)), false)->serverid;

	check_server_owner(server_oid);
	PreventCommandDuringRecovery("skyvault_adopt()");
	check_is_complete(vault_id, GetForeignServer(server_oid)->servername);
	(void) forest_sql("UPDATE skyvault.owner SET state = 'adopting', reason = NULL WHERE vault_id = $1::integer",
					  1, forest_arg(vault_id));
	forest_xact_note_wake();
	PG_RETURN_VOID();
}

/* (name name, vault name) */
Datum
skyvault_drop_snapshot(PG_FUNCTION_ARGS)
{
	int32		vault_id = api_vault_id(PG_GETARG_NAME(1));
	ForestRows	rows;

	check_server_owner(GetForeignServerByName(NameStr(*PG_GETARG_NAME(1)), false)->serverid);
	PreventCommandDuringRecovery("skyvault_drop_snapshot()");
	rows = forest_sql("WITH gone AS (DELETE FROM skyvault.snapshot WHERE vault_id = $1::integer AND name = $2"
					  " RETURNING object) INSERT INTO skyvault.garbage (object, vault_id, removed_xid8, at)"
					  " SELECT object, $1::integer, pg_current_xact_id(), clock_timestamp() FROM gone",
					  2, forest_arg(vault_id), NameStr(*PG_GETARG_NAME(0)));
	if (rows.nrows == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no snapshot \"%s\" of server \"%s\"",
						NameStr(*PG_GETARG_NAME(0)), NameStr(*PG_GETARG_NAME(1)))));
	PG_RETURN_VOID();
}

/* (server name, from_snapshot name, adopt boolean, vault uuid) */
Datum
skyvault_restore(PG_FUNCTION_ARGS)
{
	VaultRestoreRequest request = {0};
	VaultRestored restored;
	TupleDesc	desc;
	Datum		values[5];
	bool		nulls[5] = {false};

	for (int i = 0; i <= 2; i += 2)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument %d must not be null", i + 1)));
	request.server_oid = GetForeignServerByName(NameStr(*PG_GETARG_NAME(0)), false)->serverid;
	if (api_vault_id(PG_GETARG_NAME(0)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("server \"%s\" has a vault already", NameStr(*PG_GETARG_NAME(0))),
				 errhint("Restore into a server that was not used yet.")));
	check_server_owner(request.server_oid);
	PreventCommandDuringRecovery("skyvault_restore()");
	request.from_snapshot = PG_ARGISNULL(1) ? NULL : NameStr(*PG_GETARG_NAME(1));
	request.adopt = PG_GETARG_BOOL(2);
	request.vault = PG_ARGISNULL(3) ? NULL : PG_GETARG_UUID_P(3);
	vault_restore(&request, &restored);

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = UUIDPGetDatum(&restored.uuid);
	values[1] = Int64GetDatum(restored.epoch);
	values[2] = Int64GetDatum(restored.changelog_id);
	values[3] = Int32GetDatum(restored.tables);
	values[4] = Int64GetDatum(restored.runs);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
