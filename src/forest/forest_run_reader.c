/*
 * forest_run_reader.c
 *		See forest_run_reader.h.
 */
#include "postgres.h"

#include "forest/forest_run_reader.h"

#include "access/xlog.h"
#include "forest/forest_meter.h"
#include "forest/forest_run.h"
#include "forest/forest_sql.h"
#include "forest/forest_store.h"
#include "forest/forest_store_local.h"
#include "forest/forest_vault.h"
#include "server/pg_status.h"
#include "server/stop_point.h"

static SvStatus
read_range(void *state, uint64_t offset, size_t len, void *dst, SvError *err)
{
	ForestRunStore *store = state;
	StoreRange	range = {
		.name = store->object,.offset = offset,.len = len,.dst = dst,.object_bytes = store->object_bytes
	};
	ForestMeterCall meter;
	SvStatus	status;

	STOP_POINT_IN_LOAD("run-read");
	forest_meter_call_begin(&meter);
	status = store_get(store->store, &range, 1, NULL,
					   forest_store_call(store->server_oid, STORE_FOREGROUND), err);
	forest_meter_call_end(&meter, offset < store->tail_at);
	/* Below, not found would mean that a key is absent. */
	if (status == SV_NOT_FOUND)
		status = sv_fail(err, SV_CORRUPT, "object \"%s\" is missing from the store", store->object);
	return status;
}

static bool
object_is_missing(Oid server_oid, const char *object)
{
	SvError		err;
	StoreObject found;

	return store_head(forest_store_open(server_oid), object, &found,
					  forest_store_call(server_oid, STORE_FOREGROUND), &err) == SV_NOT_FOUND;
}

pg_noreturn static void report_missing(Oid server_oid, const char *object);

/* 'owner', 'fenced', 'attached', ...: skyvault.owner's state of the server's vault; NULL: none. */
static const char *
owner_state(Oid server_oid)
{
	ForestVault vault;
	ForestRows	rows;

	if (!forest_vault_find(server_oid, &vault))
		return NULL;
	rows = forest_sql_fixed("SELECT state FROM skyvault.owner WHERE vault_id = $1::integer", 1, forest_arg(vault.id));
	return forest_cell(&rows, 0, 0);
}

static void
report_missing(Oid server_oid, const char *object)
{
	const char *state;

	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("object \"%s\" is no longer in the store", object),
				 errdetail("The primary server deleted it while this snapshot still needed it."),
				 errhint("Try again. Turn on hot_standby_feedback, or raise skyvault.retention on the primary.")));
	state = owner_state(server_oid);
	if (state != NULL && (strcmp(state, "attached") == 0 || strcmp(state, "fenced") == 0))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("object \"%s\" is no longer in the store", object),
				 errdetail("This database does not own the vault. The one that does has merged or removed what is in"
						   " the object, and deleted it after its skyvault.retention."),
				 errhint("The vault as it is now can be restored into a database that has no table of it yet, with"
						 " skyvault_restore().")));
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("object \"%s\" is missing from the store", object),
			 errhint("Restore it from a copy of the store; other objects are not affected.")));
}

void
forest_run_fail(Oid server_oid, const char *object, const SvError *err)
{
	if (err->status == SV_CORRUPT)
		forest_store_forget(forest_store_open(server_oid), &object, 1);
	if (err->status == SV_CORRUPT && object_is_missing(server_oid, object))
		report_missing(server_oid, object);
	pg_status_report(ERROR, err);
	pg_unreachable();
}

RunReader
forest_run_reader(const LsmRun *run, ForestRunStore *store, Oid server_oid)
{
	RunReader	reader = forest_run_cached(run);

	store->server_oid = server_oid;
	store->store = forest_store_open(server_oid);
	store->object = run->object;
	store->object_bytes = run->file_bytes;
	store->tail_at = run->file_bytes - run->tail_bytes;
	reader.source.read = read_range;
	reader.source.state = store;
	return reader;
}
