/*
 * forest_vault.c
 *		A vault: the catalogue's identity of a foreign server.
 */
#include "postgres.h"

#include "forest/forest_vault.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "forest/forest_catalog.h"
#include "forest/forest_table.h"
#include "forest/forest_xact.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* What workers last committed of who owns the vault. */
static int64
owner_epoch(int32 vault_id)
{
	Relation	rel = catalog_open(CATALOG_OWNER, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	int64		epoch = 0;
	bool		isnull;

	ScanKeyInit(&key, Anum_owner_vault_id, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(vault_id));
	scan = systable_beginscan(rel, catalog_oid(CATALOG_OWNER_PKEY), true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		epoch = DatumGetInt64(heap_getattr(tuple, Anum_owner_epoch, RelationGetDescr(rel), &isnull));
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return epoch;
}

static void
vault_from_tuple(HeapTuple tuple, TupleDesc desc, ForestVault *vault)
{
	bool		isnull;

	vault->id = DatumGetInt32(heap_getattr(tuple, Anum_vault_id, desc, &isnull));
	vault->server_oid =
		get_foreign_server_oid(NameStr(*DatumGetName(heap_getattr(tuple, Anum_vault_server, desc, &isnull))),
							   true);
	vault->uuid = *DatumGetUUIDP(heap_getattr(tuple, Anum_vault_uuid, desc, &isnull));
	vault->epoch = owner_epoch(vault->id);
	vault->is_own = TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));
}

static void
server_key(ScanKey key, NameData *name)
{
	ScanKeyInit(key, Anum_vault_server, BTEqualStrategyNumber, F_NAMEEQ, NameGetDatum(name));
}

bool
forest_vault_find(Oid server_oid, ForestVault *vault)
{
	Relation	rel = catalog_open(CATALOG_VAULT, AccessShareLock);
	NameData	name;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found;

	namestrcpy(&name, GetForeignServer(server_oid)->servername);
	server_key(&key, &name);
	scan = systable_beginscan(rel, catalog_oid(CATALOG_VAULT_SERVER), true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	found = HeapTupleIsValid(tuple);
	if (found)
		vault_from_tuple(tuple, RelationGetDescr(rel), vault);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

void
forest_vault_random_uuid(pg_uuid_t *uuid)
{
	if (!pg_strong_random(uuid->data, UUID_LEN))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	uuid->data[6] = (uuid->data[6] & 0x0f) | 0x40;
	uuid->data[8] = (uuid->data[8] & 0x3f) | 0x80;
}

static void
vault_insert(Oid server_oid, ForestVault *vault)
{
	Relation	rel = catalog_open(CATALOG_VAULT, RowExclusiveLock);
	Datum		values[Natts_vault];
	bool		nulls[Natts_vault] = {false};
	NameData	name;
	HeapTuple	tuple;

	vault->id = (int32) catalog_draw(CATALOG_VAULT_ID_SEQ);
	vault->server_oid = server_oid;
	namestrcpy(&name, GetForeignServer(server_oid)->servername);
	vault->epoch = 0;
	vault->is_own = true;
	forest_vault_random_uuid(&vault->uuid);

	values[Anum_vault_id - 1] = Int32GetDatum(vault->id);
	values[Anum_vault_server - 1] = NameGetDatum(&name);
	values[Anum_vault_uuid - 1] = UUIDPGetDatum(&vault->uuid);
	values[Anum_vault_created - 1] = TimestampTzGetDatum(GetCurrentTimestamp());

	tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);
	CatalogTupleInsert(rel, tuple);
	heap_freetuple(tuple);
	table_close(rel, RowExclusiveLock);
	CommandCounterIncrement();
}

void
forest_vault_ensure(Oid server_oid, ForestVault *vault)
{
	if (forest_vault_find(server_oid, vault))
		return;
	catalog_lock_server_identity(server_oid);
	if (!forest_vault_find(server_oid, vault))
	{
		vault_insert(server_oid, vault);
		forest_xact_note_wake();	/* the scheduler does not know it */
	}
}

int
forest_vault_list(ForestVault **vaults)
{
	Relation	rel = catalog_open(CATALOG_VAULT, AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	int			capacity = 8;
	int			n = 0;
	HeapTuple	tuple;

	*vaults = palloc(capacity * sizeof(ForestVault));
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		if (n == capacity)
		{
			capacity *= 2;
			*vaults = repalloc(*vaults, capacity * sizeof(ForestVault));
		}
		vault_from_tuple(tuple, RelationGetDescr(rel), &(*vaults)[n++]);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return n;
}

/* Nothing of the store is deleted: it may be the vault of a restored database, or wanted again. */
static void
tell_what_stays(const ForestVault *vault)
{
	ForeignServer *server = GetForeignServer(vault->server_oid);
	const char *url = forest_option(server->options, "url");

	ereport(NOTICE,
			(errmsg("objects of the dropped vault stay in the store under \"%s/\"",
					DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&vault->uuid)))),
			 errdetail("The store of server \"%s\" is \"%s\".", server->servername, url != NULL ? url : ""),
			 errhint("To have the vault back, make a server with the same options in a database without vaults,"
					 " and call skyvault_restore(). Else delete the objects there, once no backup needs them.")));
}

/*
 * Only the vault's own row goes here; what the registry has of the vault is
 * out of reach with it, and a worker deletes it later, so that DROP SERVER
 * never meets a worker at a row.
 */
void
forest_vault_forget(Oid server_oid)
{
	ForestVault vault;
	Relation	rel;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (!forest_vault_find(server_oid, &vault))
		return;

	rel = catalog_open(CATALOG_VAULT, RowExclusiveLock);
	ScanKeyInit(&key, Anum_vault_id, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(vault.id));
	scan = systable_beginscan(rel, catalog_oid(CATALOG_VAULT_PKEY), true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		CatalogTupleDelete(rel, &tuple->t_self);
	systable_endscan(scan);
	table_close(rel, RowExclusiveLock);

	tell_what_stays(&vault);
}

void
forest_vault_rename(const char *old_name, const char *new_name)
{
	Relation	rel = catalog_open(CATALOG_VAULT, RowExclusiveLock);
	NameData	old;
	NameData	new;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	namestrcpy(&old, old_name);
	namestrcpy(&new, new_name);
	server_key(&key, &old);
	scan = systable_beginscan(rel, catalog_oid(CATALOG_VAULT_SERVER), true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Datum		values[Natts_vault] = {0};
		bool		nulls[Natts_vault] = {false};
		bool		replace[Natts_vault] = {false};
		HeapTuple	renamed;

		values[Anum_vault_server - 1] = NameGetDatum(&new);
		replace[Anum_vault_server - 1] = true;
		renamed = heap_modify_tuple(tuple, RelationGetDescr(rel), values, nulls, replace);
		CatalogTupleUpdate(rel, &tuple->t_self, renamed);
		heap_freetuple(renamed);
	}
	systable_endscan(scan);
	table_close(rel, RowExclusiveLock);
}
