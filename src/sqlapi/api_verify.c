/*
 * api_verify.c
 *		skyvault_verify: of a table, and of a vault.
 *
 * Reads past the caches.  The registry is read once, and objects then: so one
 * that is missing may have been removed meanwhile, which the latest registry
 * tells.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "catalog/pg_foreign_server.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "forest/forest_sql.h"
#include "forest/forest_store.h"
#include "forest/forest_store_local.h"
#include "forest/forest_table.h"
#include "forest/forest_vault.h"
#include "forest/forest_registry.h"
#include "funcapi.h"
#include "lsm/lsm_verify.h"
#include "miscadmin.h"
#include "server/pg_compat.h"
#include "server/pg_status.h"
#include "server/pg_wait.h"
#include "server/stop_point.h"
#include "sqlapi/api_args.h"
#include "sqlapi/api_vault.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "worker/gc_select.h"
#include "worker/log_text.h"
#include "worker/owner_object.h"

PG_FUNCTION_INFO_V1(skyvault_verify_table);
PG_FUNCTION_INFO_V1(skyvault_verify_vault);

/* How often a long reading says how far it is. */
#define NOTICE_INTERVAL_MS 10000

/* So much of an object is read at once. */
#define WINDOW_BYTES ((size_t) 1024 * 1024)

typedef struct Verification
{
	ReturnSetInfo *result;
	Oid			server_oid;
	ObjectStore *store;
	const StoreCall *call;
	bool		deep;
	const char *object;			/* that is being read, */
	uint64		object_bytes;	/* of so many, */
	char	   *window;			/* and what was read of it last */
	uint64		window_at;
	size_t		window_len;
	int			done;			/* runs */
	int			all;
	uint64		bytes;
	TimestampTz noticed_at;
} Verification;

static void
put_row(Verification *v, const char *object, const char *problem, const char *detail)
{
	Datum		values[3];
	bool		nulls[3] = {false, false, detail == NULL};

	values[0] = CStringGetTextDatum(object);
	values[1] = CStringGetTextDatum(problem);
	values[2] = detail == NULL ? (Datum) 0 : CStringGetTextDatum(detail);
	tuplestore_putvalues(v->result->setResult, v->result->setDesc, values, nulls);
}

static void
report(void *state, const char *problem, const char *detail)
{
	Verification *v = state;

	put_row(v, v->object, problem, detail);
}

static void
say_progress(Verification *v)
{
	TimestampTz now = GetCurrentTimestamp();

	if (!TimestampDifferenceExceeds(v->noticed_at, now, NOTICE_INTERVAL_MS))
		return;
	v->noticed_at = now;
	ereport(NOTICE,
			(errmsg("%d of %d runs verified, " UINT64_FORMAT " MB read", v->done, v->all, v->bytes / (1024 * 1024))));
}

/* No longjmp from here: who cancels is told so by the status. */
static SvStatus
progress(void *state, uint64_t bytes, SvError *err)
{
	Verification *v = state;

	v->bytes += bytes;
	pg_wait_absorb_barrier();
	return pg_status_must_stop() ? sv_fail(err, SV_CANCELLED, "verification was cancelled") : SV_OK;
}

/* Blocks are asked for one by one, and read with many of those behind. */
static SvStatus
read_object(void *state, uint64_t offset, size_t len, void *dst, SvError *err)
{
	Verification *v = state;
	StoreRange	range = {.name = v->object,.offset = offset,.len = len,.dst = dst};

	if (len > WINDOW_BYTES || offset > v->object_bytes || len > v->object_bytes - offset)
		return store_get(v->store, &range, 1, NULL, v->call, err);
	if (offset < v->window_at || offset + len > v->window_at + v->window_len)
	{
		SvStatus	status;

		range.len = Min(WINDOW_BYTES, v->object_bytes - offset);
		range.dst = v->window;
		v->window_len = 0;
		status = store_get(v->store, &range, 1, NULL, v->call, err);
		if (status != SV_OK)
			return status;
		v->window_at = offset;
		v->window_len = range.len;
	}
	memcpy(dst, v->window + (offset - v->window_at), len);
	return SV_OK;
}

/* Whether the run was removed since the registry was read. */
static bool
is_gone(const LsmRun *run)
{
	ForestRows	rows = forest_sql("SELECT 1 FROM skyvault.run WHERE id = $1::bigint AND object = $2",
								  2, forest_arg(run->id), run->object);

	return rows.nrows == 0;
}

static void
verify_missing(Verification *v, const LsmRun *run)
{
	if (!is_gone(run))
		put_row(v, run->object, "missing", "the registry has it, the store does not");
}

/* False: there is nothing to be read. */
static bool
verify_size(Verification *v, const LsmRun *run)
{
	StoreObject object;
	SvError		err;
	SvStatus	status = store_head(v->store, run->object, &object, v->call, &err);

	if (status == SV_NOT_FOUND)
	{
		verify_missing(v, run);
		return false;
	}
	log_status_check(status, &err);
	if (object.bytes == run->file_bytes)
		return true;
	put_row(v, run->object, "wrong length",
			psprintf(UINT64_FORMAT " bytes in the store, " UINT64_FORMAT " in the registry", object.bytes,
					 run->file_bytes));
	return false;
}

static void
verify_run(Verification *v, const LsmRun *run)
{
	SstSource	source = {.read = read_object,.state = v,.name = run->object};
	SvAlloc		alloc = pg_status_alloc(CurrentMemoryContext);
	LsmVerify	verify = {
		.run = run,.source = &source,.deep = v->deep,.alloc = &alloc,
		.report = report,.progress = progress,.state = v
	};
	SvStatus	status;
	SvError		err;

	CHECK_FOR_INTERRUPTS();
	STOP_POINT("verify-run");
	v->object = run->object;
	v->object_bytes = run->file_bytes;
	v->window_len = 0;
	if (verify_size(v, run))
	{
		status = lsm_verify_run(&verify, &err);
		if (status == SV_NOT_FOUND)
			verify_missing(v, run);
		else
			log_status_check(status, &err);
	}
	v->done++;
	say_progress(v);
}

static bool
has_table(const LsmRun *run, int32 table_id)
{
	for (int i = 0; i < run->nparts; i++)
		if (run->parts[i].table_id == table_id)
			return true;
	return false;
}

/* All runs, or those of a table. */
static void
verify_runs(Verification *v, int32 vault_id, int32 table_id)
{
	LsmForest  *forest = registry_read_forest(vault_id, GetActiveSnapshot(), CurrentMemoryContext);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "skyvault verify", ALLOCSET_DEFAULT_SIZES);

	for (int i = 0; i < lsm_forest_run_count(forest); i++)
		v->all += table_id == 0 || has_table(lsm_forest_run(forest, i), table_id);
	for (int i = 0; i < lsm_forest_run_count(forest); i++)
	{
		const LsmRun *run = lsm_forest_run(forest, i);
		MemoryContext old;

		if (table_id != 0 && !has_table(run, table_id))
			continue;
		old = MemoryContextSwitchTo(context);
		verify_run(v, run);
		MemoryContextSwitchTo(old);
		MemoryContextReset(context);
	}
	MemoryContextDelete(context);
}

static void
begin(Verification *v, FunctionCallInfo fcinfo, Oid server_oid, bool deep)
{
	InitMaterializedSRF(fcinfo, 0);
	memset(v, 0, sizeof(Verification));
	v->result = (ReturnSetInfo *) fcinfo->resultinfo;
	v->server_oid = server_oid;
	v->store = forest_store_itself(forest_store_open(server_oid));
	v->call = forest_store_call(server_oid, STORE_FOREGROUND);
	v->deep = deep;
	v->window = palloc(WINDOW_BYTES);
	v->noticed_at = GetCurrentTimestamp();
}

/* (rel regclass, deep boolean) */
Datum
skyvault_verify_table(PG_FUNCTION_ARGS)
{
	Relation	rel = api_relation_open(PG_GETARG_OID(0), ACL_SELECT);
	const ForestTable *table = forest_table_for_read(RelationGetRelid(rel));
	Verification v;

	begin(&v, fcinfo, table->server_oid, PG_GETARG_BOOL(1));
	if (table->table_id != 0)
		verify_runs(&v, table->vault_id, table->table_id);
	relation_close(rel, NoLock);
	return (Datum) 0;
}

/* What is not a run: it has to be there, whole. */
static void
verify_texts(Verification *v, const ForestVault *vault)
{
	ForestRows	rows = forest_sql("SELECT object, bytes FROM skyvault.log_object WHERE vault_id = $1::integer"
								  " UNION ALL SELECT object, bytes FROM skyvault.snapshot WHERE vault_id = $1::integer",
								  1, forest_arg(vault->id));
	char		etag[STORE_ETAG_BYTES];
	OwnerObject owner;

	for (int i = 0; i < rows.nrows; i++)
	{
		const char *problem = log_check_object(v->store, v->call, forest_cell(&rows, i, 0), v->deep);

		CHECK_FOR_INTERRUPTS();
		if (problem != NULL)
			put_row(v, forest_cell(&rows, i, 0), problem, NULL);
	}
	if (vault->epoch > 0 && !owner_object_read(v->store, vault, &owner, etag))
		put_row(v, owner_object_name(vault), "missing", NULL);
}

static void
verify_extra(Verification *v, const ForestVault *vault)
{
	GcListing	listing;
	ForestRows	rows;

	gc_list(vault, v->store, NULL, 0, &listing);
	rows = gc_select_orphans(vault, &listing);
	for (int i = 0; i < rows.nrows; i++)
		put_row(v, forest_cell(&rows, i, 0), "extra", "nothing names it; a sweep of skyvault_gc() takes it");
}

/* (vault name, deep boolean) */
Datum
skyvault_verify_vault(PG_FUNCTION_ARGS)
{
	ForeignServer *server = GetForeignServerByName(NameStr(*PG_GETARG_NAME(0)), false);
	ForestVault vault;
	Verification v;

	if (!compat_server_ownercheck(server->serverid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FOREIGN_SERVER, server->servername);
	(void) api_vault_id(PG_GETARG_NAME(0));
	begin(&v, fcinfo, server->serverid, PG_GETARG_BOOL(1));
	if (!forest_vault_find(server->serverid, &vault))
		return (Datum) 0;
	verify_runs(&v, vault.id, 0);
	verify_texts(&v, &vault);
	if (!RecoveryInProgress())
		verify_extra(&v, &vault);
	return (Datum) 0;
}
