/*
 * api_vault.c
 *		skyvault_export, skyvault_adopt.
 */
#include "postgres.h"

#include "sqlapi/api_vault.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_foreign_server.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "forest/forest_sql.h"
#include "forest/forest_table.h"
#include "forest/forest_vault.h"
#include "forest/forest_xact.h"
#include "miscadmin.h"
#include "server/pg_compat.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "worker/worker_request.h"

PG_FUNCTION_INFO_V1(skyvault_export);
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

static void
check_server_owner(Oid server_oid)
{
	if (!compat_server_ownercheck(server_oid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FOREIGN_SERVER, GetForeignServer(server_oid)->servername);
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
	(void) forest_sql("UPDATE skyvault.owner SET state = 'adopting', reason = NULL WHERE vault_id = $1::integer",
					  1, forest_arg(vault_id));
	forest_xact_note_wake();
	PG_RETURN_VOID();
}
