/*
 * owner_object.c
 *		The object OWNER of a vault: which database writes to it.
 */
#include "postgres.h"

#include "worker/owner_object.h"

#include "access/xact.h"
#include "base/sv_sealed.h"
#include "forest/forest_sql.h"
#include "forest/forest_store.h"
#include "miscadmin.h"
#include "server/pg_status.h"
#include "server/stop_point.h"
#include "utils/builtins.h"
#include "worker/log_text.h"
#include "worker/worker_transaction.h"

/* What is read; so no more is written, or nobody could take the vault any more. */
#define OWNER_MAX_BYTES (1024 * 1024)

char *
owner_object_name(const ForestVault *vault)
{
	return psprintf("%s/OWNER", log_uuid_text(&vault->uuid));
}

/* Its only line before the seal. */
static char *
owner_line(SvSlice sealed, const char *name)
{
	SvSlice		lines;
	SvSlice		line;
	SvError		err;

	PG_STATUS_CHECK(sv_sealed_open(sealed, name, &lines, &err), &err);
	if (!sv_sealed_next(&lines, &line))
		line.len = 0;
	return pnstrdup((const char *) line.data, line.len);
}

/* Whether there is one row, and it has all that OWNER has to tell: who wrote it may have been anybody. */
static bool
is_complete(const ForestRows *rows)
{
	if (rows->nrows != 1)
		return false;
	for (int i = 0; i < rows->ncolumns; i++)
		if (forest_cell(rows, 0, i) == NULL)
			return false;
	return true;
}

static void
parse(const char *line, const char *name, const ForestVault *vault, OwnerObject *owner)
{
	MemoryContext context = CurrentMemoryContext;
	bool		own_transaction = !IsTransactionState();
	ForestRows	rows;

	if (own_transaction)
		worker_transaction_begin();
	MemoryContextSwitchTo(context);
	rows = forest_sql("SELECT o->>'epoch', o->>'incarnation', o->>'system_identifier', o->>'database', o->>'taken',"
					  " o->'history' FROM (SELECT $1::jsonb AS o) AS owner"
					  " WHERE o->>'skyvault' = 'owner' AND o->>'version' = '1' AND o->>'vault' = $2",
					  2, line, log_uuid_text(&vault->uuid));
	if (own_transaction)
		worker_transaction_commit();
	MemoryContextSwitchTo(context);
	if (!is_complete(&rows))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("object \"%s\" is not what it should be", name),
				 errhint("A newer version of skyvault may have written it.")));
	owner->epoch = forest_cell_int64(&rows, 0, 0);
	owner->incarnation = forest_cell(&rows, 0, 1);
	owner->system_identifier = forest_cell(&rows, 0, 2);
	owner->database = forest_cell(&rows, 0, 3);
	owner->taken = forest_cell(&rows, 0, 4);
	owner->history = forest_cell(&rows, 0, 5);
}

bool
owner_object_read(ObjectStore *store, const ForestVault *vault, OwnerObject *owner, char etag[STORE_ETAG_BYTES])
{
	char	   *name = owner_object_name(vault);
	SvAlloc		alloc = pg_status_alloc(CurrentMemoryContext);
	SvBuffer	content;
	StoreObject object;
	SvStatus	status;
	SvError		err;

	etag[0] = '\0';
	sv_buffer_init(&content, &alloc);
	status = store_get_small(store, name, OWNER_MAX_BYTES, &content, &object,
							 forest_store_call(vault->server_oid, STORE_SNAPSHOT), &err);
	if (status == SV_NOT_FOUND)
		return false;
	log_status_check(status, &err);
	parse(owner_line(sv_buffer_slice(&content), name), name, vault, owner);
	strlcpy(etag, object.etag, STORE_ETAG_BYTES);
	return true;
}

bool
owner_object_may_be_between(ObjectStore *store)
{
	return (store_capabilities(store) & STORE_CAN_PUT_IF_MATCH) == 0;
}

/*
 * Without conditional puts two who take a vault at the same instant are not
 * told apart here; the next look at the object tells one of them.
 */
static SvStatus
put(ObjectStore *store, const ForestVault *vault, SvSlice bytes, const char *etag, SvError *err)
{
	const char *name = owner_object_name(vault);
	const StoreCall *call = forest_store_call(vault->server_oid, STORE_SNAPSHOT);
	SvStatus	status;

	if ((store_capabilities(store) & STORE_CAN_PUT_IF_MATCH) != 0)
		return store_put_if_match(store, name, bytes, etag, NULL, call, err);
	if (etag[0] != '\0')
	{
		status = store_remove(store, name, call, err);
		if (status != SV_OK)
			return status;
		STOP_POINT("owner-removed");
	}
	return store_put_if_absent(store, name, &bytes, 1, call, err);
}

bool
owner_object_replace(ObjectStore *store, const ForestVault *vault, const OwnerObject *owner,
					 const char etag[STORE_ETAG_BYTES])
{
	SvAlloc		alloc = pg_status_alloc(CurrentMemoryContext);
	SvBuffer	text;
	SvStatus	status;
	SvError		err;

	sv_buffer_init(&text, &alloc);
	log_append(&text, psprintf("{\"skyvault\":\"owner\",\"version\":1,\"vault\":\"%s\",\"epoch\":" INT64_FORMAT
							   ",\"incarnation\":\"%s\",\"system_identifier\":\"%s\",\"database\":\"%s\","
							   "\"taken\":\"%s\",\"history\":%s}",
							   log_uuid_text(&vault->uuid), owner->epoch, owner->incarnation,
							   owner->system_identifier, owner->database, owner->taken, owner->history));
	PG_STATUS_CHECK(sv_sealed_close(&text, &err), &err);
	if (text.len > OWNER_MAX_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("object \"%s\" would be larger than %d bytes", owner_object_name(vault), OWNER_MAX_BYTES),
				 errdetail("It names all snapshots of the vault."),
				 errhint("Drop some with skyvault_drop_snapshot().")));
	status = put(store, vault, sv_buffer_slice(&text), etag, &err);
	if (status == SV_EXISTS)
		return false;
	log_status_check(status, &err);
	return true;
}
