/*
 * forest_catalog.c
 *		The tables of schema "skyvault", and the locks that go with them.
 */
#include "postgres.h"

#include "forest/forest_catalog.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "commands/extension.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#define CATALOG_SCHEMA "skyvault"

/* objsubid of the lock tags that share a classid with the table lock */
#define LOCK_TABLE		0
#define LOCK_IDENTITY	1
#define LOCK_TAKEOVER	2

/* and with the numbering lock */
#define LOCK_NUMBERING	0
#define LOCK_CLAIMS		1

#define LOCK_JOB		0x5356	/* of no other lock tag */

static const char *const catalog_names[CATALOG_COUNT] = {
	[CATALOG_VAULT] = "vault",
	[CATALOG_VAULT_PKEY] = "vault_pkey",
	[CATALOG_VAULT_SERVER] = "vault_server_key",
	[CATALOG_OWNER] = "owner",
	[CATALOG_OWNER_PKEY] = "owner_pkey",
	[CATALOG_TABLE] = "table",
	[CATALOG_TABLE_PKEY] = "table_pkey",
	[CATALOG_TABLE_RELID] = "table_relid_key",
	[CATALOG_RUN] = "run",
	[CATALOG_RUN_PKEY] = "run_pkey",
	[CATALOG_RUN_VAULT] = "run_vault_id_idx",
	[CATALOG_CHANGELOG] = "changelog",
	[CATALOG_CHANGELOG_ID] = "changelog_vault_id_id_idx",
	[CATALOG_GARBAGE] = "garbage",
	[CATALOG_JOB] = "job",
	[CATALOG_JOB_PKEY] = "job_pkey",
	[CATALOG_JOB_VAULT] = "job_vault_id_idx",
	[CATALOG_PAUSE] = "pause",
	[CATALOG_PAUSE_PKEY] = "pause_pkey",
	[CATALOG_DELTA] = "delta",
	[CATALOG_DELTA_PKEY] = "delta_pkey",
	[CATALOG_WRITE_SEQ] = "write_seq",
	[CATALOG_VAULT_ID_SEQ] = "vault_id_seq",
	[CATALOG_TABLE_ID_SEQ] = "table_id_seq",
	[CATALOG_RUN_ID_SEQ] = "run_id_seq",
	[CATALOG_SERIAL_SEQ] = "serial_seq",
	[CATALOG_JOB_ID_SEQ] = "job_id_seq",
};

static Oid	catalog_oids[CATALOG_COUNT];
static bool catalog_oids_valid = false;

static void
catalog_invalidate(Datum arg, Oid relid)
{
	if (!catalog_oids_valid)
		return;
	if (!OidIsValid(relid))
	{
		catalog_oids_valid = false;
		return;
	}
	for (int i = 0; i < CATALOG_COUNT; i++)
		if (catalog_oids[i] == relid)
			catalog_oids_valid = false;
}

/* Anybody may make a schema of that name where the extension is not installed. */
static bool
schema_is_ours(Oid namespace)
{
	Oid			extension = get_extension_oid(CATALOG_SCHEMA, true);

	return OidIsValid(extension) &&
		getExtensionOfObject(NamespaceRelationId, namespace) == extension;
}

/* Of the extension in this database; NULL: it is not there. */
static char *
installed_version(void)
{
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	char	   *version = NULL;
	bool		isnull;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ, CStringGetDatum(CATALOG_SCHEMA));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		version = TextDatumGetCString(heap_getattr(tuple, Anum_pg_extension_extversion, RelationGetDescr(rel),
												   &isnull));
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return version;
}

/* Scripts of the extension find what they have made so far. */
static bool
version_fits(const char *version)
{
	return creating_extension || strcmp(version, SKYVAULT_SQL_VERSION) == 0;
}

void
catalog_check_version(void)
{
	char	   *version = catalog_oids_valid ? NULL : installed_version();

	if (version == NULL || version_fits(version))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("extension \"skyvault\" has version \"%s\" in this database, but the library is of version \"%s\"",
					version, SKYVAULT_SQL_VERSION),
			 errhint("If the library is the newer one, ALTER EXTENSION skyvault UPDATE; if it was replaced since the"
					 " server started, restart the server.")));
}

bool
catalog_exists(void)
{
	static bool registered = false;
	Oid			namespace;

	if (catalog_oids_valid)
		return true;
	if (!registered)
	{
		CacheRegisterRelcacheCallback(catalog_invalidate, (Datum) 0);
		registered = true;
	}

	namespace = get_namespace_oid(CATALOG_SCHEMA, true);
	if (!OidIsValid(namespace) || !schema_is_ours(namespace) || !version_fits(installed_version()))
		return false;
	for (int i = 0; i < CATALOG_COUNT; i++)
	{
		catalog_oids[i] = get_relname_relid(catalog_names[i], namespace);
		if (!OidIsValid(catalog_oids[i]))
			return false;
	}
	catalog_oids_valid = true;
	return true;
}

static void
report_not_installed(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("extension \"skyvault\" is not installed in this database"),
			 errhint("Run CREATE EXTENSION skyvault.")));
}

Oid
catalog_oid(CatalogRelation which)
{
	if (!catalog_exists())
	{
		catalog_check_version();
		report_not_installed();
	}
	return catalog_oids[which];
}

/* Who waits for the lock may be waiting for DROP EXTENSION. */
Relation
catalog_open(CatalogRelation which, LOCKMODE lockmode)
{
	Relation	rel = try_table_open(catalog_oid(which), lockmode);

	if (rel == NULL)
		report_not_installed();
	return rel;
}

int64
catalog_draw(CatalogRelation sequence)
{
	return nextval_internal(catalog_oid(sequence), false);
}

static LOCKTAG
object_tag(CatalogRelation class, uint32 object, uint16 sub)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, catalog_oid(class), object, sub);
	return tag;
}

void
catalog_lock_table(int32 table_id, LOCKMODE mode)
{
	LOCKTAG		tag = object_tag(CATALOG_TABLE, (uint32) table_id, LOCK_TABLE);

	(void) LockAcquire(&tag, mode, false, false);
}

bool
catalog_try_lock_table(int32 table_id, LOCKMODE mode)
{
	LOCKTAG		tag = object_tag(CATALOG_TABLE, (uint32) table_id, LOCK_TABLE);

	return LockAcquire(&tag, mode, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

void
catalog_lock_server_identity(Oid server_oid)
{
	LOCKTAG		tag = object_tag(CATALOG_VAULT, server_oid, LOCK_IDENTITY);

	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

void
catalog_lock_relation_identity(Oid relid)
{
	LOCKTAG		tag = object_tag(CATALOG_TABLE, relid, LOCK_IDENTITY);

	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

void
catalog_lock_numbering(int32 vault_id)
{
	LOCKTAG		tag = object_tag(CATALOG_CHANGELOG, (uint32) vault_id, LOCK_NUMBERING);

	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

void
catalog_lock_claims(int32 vault_id)
{
	LOCKTAG		tag = object_tag(CATALOG_CHANGELOG, (uint32) vault_id, LOCK_CLAIMS);

	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

/*
 * Of the lock method of advisory locks: those of the other one end with any
 * transaction that fails.  The tag's class keeps it apart from theirs.
 */
static LOCKTAG
job_tag(int64 job_id)
{
	LOCKTAG		tag;

	/* No catalogue is looked up: it may have gone when the lock is let go. */
	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, (uint32) (job_id >> 32), (uint32) job_id, LOCK_JOB);
	tag.locktag_lockmethodid = USER_LOCKMETHOD;
	return tag;
}

bool
catalog_try_lock_job(int64 job_id)
{
	LOCKTAG		tag = job_tag(job_id);

	return LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
}

void
catalog_unlock_job(int64 job_id)
{
	LOCKTAG		tag = job_tag(job_id);

	(void) LockRelease(&tag, ExclusiveLock, true);
}

/*
 * Of that lock method as well: it is held outside a transaction, where a process
 * that is ended (FATAL) lets go only of those.
 */
LOCKTAG
catalog_takeover_tag(int32 vault_id)
{
	LOCKTAG		tag = object_tag(CATALOG_VAULT, (uint32) vault_id, LOCK_TAKEOVER);

	tag.locktag_lockmethodid = USER_LOCKMETHOD;
	return tag;
}
