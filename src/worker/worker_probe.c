/*
 * worker_probe.c
 *		See worker_probe.h.
 */
#include "postgres.h"

#include "worker/worker_probe.h"

#include <inttypes.h>

#include "forest/forest_store.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "server/pg_status.h"
#include "utils/builtins.h"
#include "utils/syscache.h"
#include "worker/worker_transaction.h"

/* Of a request that finds out whether a store answers at all. */
#define PROBE_MS 3000

void
worker_probe_answers(const ForestVault *vault, StoreCaller caller)
{
	MemoryContext context = CurrentMemoryContext;
	ObjectStore *store = NULL;
	StoreCall	call;
	StoreObject object;
	SvError		err;

	worker_transaction_begin();
	if (SearchSysCacheExists1(FOREIGNSERVEROID, ObjectIdGetDatum(vault->server_oid)))
		store = forest_store_open(vault->server_oid);
	worker_transaction_commit();
	MemoryContextSwitchTo(context);
	if (store == NULL || (store_capabilities(store) & STORE_IS_REMOTE) == 0)
		return;
	call = *forest_store_call(vault->server_oid, caller);
	call.timeout_ms = call.deadline_ms = Min(call.timeout_ms, PROBE_MS);
	if (store_head(store, "probe", &object, &call, &err) == SV_IO)
		pg_status_report(ERROR, &err);
	CHECK_FOR_INTERRUPTS();
}

static char *
probe_name(const ForestVault *vault)
{
	uint64		random;

	if (!pg_strong_random(&random, sizeof(random)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	return psprintf("%s/probe-%016" PRIx64,
					DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&vault->uuid))), random);
}

void
worker_probe_conditions(const ForestVault *vault, ObjectStore *store)
{
	const StoreCall *call = forest_store_call(vault->server_oid, STORE_FLUSH);
	SvSlice		first = sv_slice("first", 5);
	SvSlice		second = sv_slice("second", 6);
	const char *name;
	SvStatus	status;
	SvError		err;

	if (!forest_store_conditions_unknown(vault->server_oid))
		return;
	name = probe_name(vault);
	if (store_put_if_absent(store, name, &first, 1, call, &err) != SV_OK)
		return;
	status = store_put_if_absent(store, name, &second, 1, call, &err);
	if (status == SV_EXISTS || status == SV_OK)
		forest_store_note_conditions(vault->server_oid, status == SV_EXISTS);
	if (status == SV_OK)
		ereport(WARNING,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the store of vault %d does not honour conditional puts", vault->id),
				 errdetail("It replaced an object that it was told not to replace."),
				 errhint("Two databases that take the vault at the same time would not be told apart. Set the"
						 " server option \"conditional_puts\" to 'off' to say that this is known.")));
	(void) store_remove(store, name, call, &err);
}
