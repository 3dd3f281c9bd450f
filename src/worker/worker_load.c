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
#include "nodes/pg_list.h"
#include "server/pg_settings.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
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

/*
 * A vault that could not be taken, and what came of it: for a while those who ask for
 * it get the same answer, and the store is left alone.  Others wait for the scheduler
 * meanwhile.
 */
typedef struct TakeFailure
{
	int32		vault_id;
	int			pause_s;
	TimestampTz retry_at;
	ErrorData  *error;
} TakeFailure;

static List *failures = NIL;

static TakeFailure *
find_failure(int32 vault_id)
{
	ListCell   *cell;

	foreach(cell, failures)
		if (((TakeFailure *) lfirst(cell))->vault_id == vault_id)
			return lfirst(cell);
	return NULL;
}

static void
forget_failure(TakeFailure *failure)
{
	if (failure == NULL)
		return;
	failures = list_delete_ptr(failures, failure);
	FreeErrorData(failure->error);
	pfree(failure);
}

static void
note_failure(int32 vault_id, const ErrorData *error)
{
	TakeFailure *failure = find_failure(vault_id);
	int			pause_s = failure == NULL ? 1 : Min(failure->pause_s * 2, setting_retry_max_s);
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	forget_failure(failure);
	failure = palloc0(sizeof(TakeFailure));
	failure->vault_id = vault_id;
	failure->pause_s = pause_s;
	failure->retry_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), pause_s * 1000);
	failure->error = palloc0(sizeof(ErrorData));
	failure->error->sqlerrcode = error->sqlerrcode;
	failure->error->message = pstrdup(error->message != NULL ? error->message : "");
	failure->error->detail = error->detail != NULL ? pstrdup(error->detail) : NULL;
	failure->error->hint = error->hint != NULL ? pstrdup(error->hint) : NULL;
	failures = lappend(failures, failure);
	MemoryContextSwitchTo(old);
}

/* What the load will write may be orphans when it ends, and it has no job. */
static int64
take(int32 vault_id, FullTransactionId xid)
{
	ForestVault vault;
	ObjectStore *store;

	if (!vault_chore_find(vault_id, &vault))
		return 0;
	gc_sweep_note_load(vault.id, xid);
	worker_probe_answers(&vault, STORE_FLUSH);
	store = vault_chore_store(&vault);
	worker_probe_conditions(&vault, store);
	worker_owner_require(&vault, vault_chore_store(&vault));
	return vault.epoch;
}

/* False: it has not failed lately. */
static bool
answer_as_before(int handle, const WorkerRequest *request)
{
	const TakeFailure *failure = find_failure(request->vault_id);

	if (failure == NULL || failure->retry_at <= GetCurrentTimestamp())
		return false;
	worker_request_answer(handle, 0, failure->error);
	return true;
}

static void
answer(int handle, const WorkerRequest *request)
{
	MemoryContext context = CurrentMemoryContext;
	PG_TRY();
	{
		worker_request_answer(handle, take(request->vault_id, request->xid), NULL);
		forget_failure(find_failure(request->vault_id));
	}
	PG_CATCH();
	{
		ErrorData  *error = worker_transaction_recover(context);

		note_failure(request->vault_id, error);
		worker_request_answer(handle, 0, error);
	}
	PG_END_TRY();
}

/* One at a time, so that flushes have their turns in between. */
TimestampTz
worker_load_chore(void)
{
	WorkerRequest request;
	int			handle = worker_request_take(REQUEST_TAKE, &request);

	if (handle < 0)
		return DT_NOEND;
	if (!answer_as_before(handle, &request))
		answer(handle, &request);
	return GetCurrentTimestamp();
}
