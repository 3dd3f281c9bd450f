/*
 * worker_load.c
 *		See worker_load.h.
 */
#include "postgres.h"

#include "worker/worker_load.h"

#include "access/xact.h"
#include "foreign/foreign.h"
#include "forest/forest_load.h"
#include "miscadmin.h"
#include "worker/gc_sweep.h"
#include "worker/load_feed.h"
#include "worker/vault_chore.h"
#include "worker/worker_embedded.h"
#include "worker/worker_owner.h"
#include "worker/worker_probe.h"
#include "worker/worker_request.h"
#include "worker/worker_shmem.h"
#include "worker/worker_transaction.h"

static bool
is_possible(const ForestVault *vault)
{
	return IsUnderPostmaster && !vault->is_own && worker_scheduler_runs() && worker_store_is_safe(vault);
}

static void
take_vault(ForestVault *vault)
{
	WorkerRequest request = {
		.kind = REQUEST_TAKE,.vault_id = vault->id,.xid = GetTopFullTransactionId()
	};
	Oid			server_oid = vault->server_oid;

	if (worker_request(&request, CHORE_TAKE) == 0 || !forest_vault_find(server_oid, vault))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("server \"%s\" cannot be loaded to yet", GetForeignServer(server_oid)->servername),
				 errdetail("No worker knows its vault."),
				 errhint("Commit the creation of its first table first.")));
}

void
worker_load_install(void)
{
	static const ForestLoadHooks hooks = {
		.is_possible = is_possible,.check_safe = worker_check_store_is_safe,.take_vault = take_vault,
		.begin_builder = load_feed_begin
	};

	forest_load_install(&hooks);
}

/* ---- the scheduler ---- */

/* What the load will write may be orphans when it ends, and it has no job. */
static int64
take(int32 vault_id, FullTransactionId xid)
{
	ForestVault vault;
	ObjectStore *store;

	if (!vault_chore_find(vault_id, &vault))
		return 0;
	gc_sweep_note_load(vault.id, xid);
	store = vault_chore_store(&vault);
	worker_probe_conditions(&vault, store);
	worker_owner_require(&vault, vault_chore_store(&vault));
	return vault.epoch;
}

TimestampTz
worker_load_chore(void)
{
	MemoryContext context = CurrentMemoryContext;
	WorkerRequest request;
	int			handle;

	while ((handle = worker_request_take(REQUEST_TAKE, &request)) >= 0)
	{
		PG_TRY();
		{
			worker_request_answer(handle, take(request.vault_id, request.xid), NULL);
		}
		PG_CATCH();
		{
			worker_request_answer(handle, 0, worker_transaction_recover(context));
		}
		PG_END_TRY();
	}
	return DT_NOEND;
}
