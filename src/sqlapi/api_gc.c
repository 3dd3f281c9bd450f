/*
 * api_gc.c
 *		skyvault_gc.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "forest/forest_store.h"
#include "forest/forest_vault.h"
#include "forest/forest_xact.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "server/pg_compat.h"
#include "sqlapi/api_vault.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"
#include "worker/gc_select.h"
#include "worker/worker_request.h"

PG_FUNCTION_INFO_V1(skyvault_gc);

/* Sizes of objects, by name. */
typedef struct SizeEntry
{
	char		name[512];
	int64		bytes;
} SizeEntry;

static HTAB *
sizes_of(const GcListing *listing)
{
	HASHCTL		ctl = {
		.keysize = sizeof(((SizeEntry *) 0)->name),.entrysize = sizeof(SizeEntry),
		.hcxt = CurrentMemoryContext
	};
	HTAB	   *sizes = hash_create("skyvault objects", 1024, &ctl, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	ForestRows	rows = forest_sql("SELECT l->>'o', l->>'b' FROM jsonb_array_elements($1::jsonb) AS l", 1,
								  listing->json.data);

	for (int i = 0; i < rows.nrows; i++)
		((SizeEntry *) hash_search(sizes, forest_cell(&rows, i, 0), HASH_ENTER, NULL))->bytes =
			forest_cell_int64(&rows, i, 1);
	return sizes;
}

static void
put_row(ReturnSetInfo *result, const ForestVault *vault, HTAB *sizes, const char *object, const char *reason,
		const char *held_by)
{
	SizeEntry  *size = hash_search(sizes, object, HASH_FIND, NULL);
	Datum		values[5];
	bool		nulls[5] = {false, false, size == NULL, false, held_by == NULL};
	NameData	server;

	namestrcpy(&server, GetForeignServer(vault->server_oid)->servername);
	values[0] = NameGetDatum(&server);
	values[1] = CStringGetTextDatum(object);
	values[2] = size == NULL ? (Datum) 0 : Int64GetDatum(size->bytes);
	values[3] = CStringGetTextDatum(reason);
	values[4] = held_by == NULL ? (Datum) 0 : CStringGetTextDatum(held_by);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* The objects of these rows: a vault may have a hundred thousand. */
static HTAB *
names_of(const ForestRows *rows)
{
	HASHCTL		ctl = {
		.keysize = sizeof(((SizeEntry *) 0)->name),.entrysize = sizeof(((SizeEntry *) 0)->name),
		.hcxt = CurrentMemoryContext
	};
	HTAB	   *names = hash_create("skyvault names", 1024, &ctl, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);

	for (int i = 0; i < rows->nrows; i++)
		(void) hash_search(names, forest_cell(rows, i, 0), HASH_ENTER, NULL);
	return names;
}

static bool
is_among(HTAB *names, const char *object)
{
	return hash_search(names, object, HASH_FIND, NULL) != NULL;
}

/* What is held back is told by a look after the collection; what is not there any more then is gone. */
static void
collect(ReturnSetInfo *result, ForestVault *vault, bool dry_run, bool sweep)
{
	WorkerRequest request = {.kind = REQUEST_GC,.vault_id = vault->id,.sweep = sweep};
	ObjectStore *store = forest_store_open(vault->server_oid);
	ForestRows	before;
	ForestRows	orphans = {0};
	ForestRows	after;
	GcListing	listing;
	HTAB	   *sizes;
	HTAB	   *names_after;
	HTAB	   *names_orphans;

	gc_list(vault, store, NULL, 0, &listing);
	sizes = sizes_of(&listing);
	before = gc_select_all(vault->id);
	if (sweep)
		orphans = gc_select_orphans(vault, &listing);
	if (!dry_run)
		(void) worker_request(&request, CHORE_GC);
	after = dry_run ? before : gc_select_all(vault->id);
	names_after = names_of(&after);
	names_orphans = names_of(&orphans);

	for (int i = 0; !dry_run && i < before.nrows; i++)
		if (!is_among(names_after, forest_cell(&before, i, 0)))
			put_row(result, vault, sizes, forest_cell(&before, i, 0), "removed", NULL);
	for (int i = 0; i < after.nrows; i++)
	{
		const char *object = forest_cell(&after, i, 0);
		const char *held_by = forest_cell(&after, i, 1);

		/* What held it back has gone since the collection. */
		if (!dry_run && held_by == NULL)
			held_by = "nothing any more: the next pass deletes it";
		put_row(result, vault, sizes, object, is_among(names_orphans, object) ? "orphan" : "removed", held_by);
	}
	for (int i = 0; i < orphans.nrows; i++)
		if (!is_among(names_after, forest_cell(&orphans, i, 0)))
			put_row(result, vault, sizes, forest_cell(&orphans, i, 0), "orphan", NULL);
}

/* (dry_run boolean, sweep boolean, vault name) */
Datum
skyvault_gc(PG_FUNCTION_ARGS)
{
	bool		dry_run = !PG_ARGISNULL(0) && PG_GETARG_BOOL(0);
	bool		sweep = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	int32		only = PG_ARGISNULL(2) ? 0 : api_vault_id(PG_GETARG_NAME(2));
	ForestVault *vaults;
	int			n;

	if (!dry_run && forest_xact_has_changed())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("skyvault_gc cannot run in a transaction that has changed a vault"),
				 errhint("Commit first.")));
	PreventCommandDuringRecovery("skyvault_gc()");
	InitMaterializedSRF(fcinfo, 0);
	n = forest_vault_list(&vaults);
	for (int i = 0; i < n; i++)
		if (OidIsValid(vaults[i].server_oid) && (PG_ARGISNULL(2) || vaults[i].id == only))
			collect((ReturnSetInfo *) fcinfo->resultinfo, &vaults[i], dry_run, sweep);
	return (Datum) 0;
}
