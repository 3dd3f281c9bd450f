/*
 * forest_catalog.h
 *		The tables of schema "skyvault", their columns, and the locks that go
 *		with them.
 *
 * Heavyweight locks, in the order in which one transaction may take them:
 *	 1. the relation (Postgres's own);
 *	 2. the identity lock of a server, then of a relation, while its row in
 *		vault or "table" is made;
 *	 3. the table lock of a table id:
 *			RowExclusive			who writes or locks a delta row, to the end of the transaction
 *			ShareUpdateExclusive	a flush's publish, conditionally
 *			AccessShare				a compaction's publish, conditionally
 *			ShareRowExclusive		a bulk load, from the end of its statement
 *			AccessExclusive			TRUNCATE and DROP; a swap, of two ids in their order
 *	 4. delta rows, in key order;
 *	 5. the claims lock of a vault, while a worker chooses a compaction: with no other but 1;
 *	 6. the numbering lock of a vault, last of all, short transactions of workers only.
 * All end with the transaction.  A job's lock does not: whoever runs a job holds it
 * all the time, so that it is free exactly if the process is gone.  Nobody waits
 * for it.  A publish waits for nobody at 3 and 4.
 *
 * Users' transactions find catalogue rows under a latest snapshot and insert,
 * update or delete them through the table access method, so that REPEATABLE
 * READ gets no needless 40001.
 */
#ifndef FOREST_CATALOG_H
#define FOREST_CATALOG_H

#include "postgres.h"

#include "storage/lock.h"
#include "utils/relcache.h"

typedef enum CatalogRelation
{
	CATALOG_VAULT,
	CATALOG_VAULT_PKEY,
	CATALOG_VAULT_SERVER,		/* unique index on server, a name */
	CATALOG_OWNER,
	CATALOG_OWNER_PKEY,
	CATALOG_TABLE,
	CATALOG_TABLE_PKEY,
	CATALOG_TABLE_RELID,		/* unique index on relid */
	CATALOG_RUN,
	CATALOG_RUN_PKEY,
	CATALOG_RUN_VAULT,			/* index on vault_id */
	CATALOG_CHANGELOG,
	CATALOG_CHANGELOG_ID,		/* unique index on (vault_id, id) */
	CATALOG_GARBAGE,
	CATALOG_JOB,
	CATALOG_JOB_PKEY,
	CATALOG_JOB_VAULT,			/* index on (vault_id, id) */
	CATALOG_PAUSE,
	CATALOG_PAUSE_PKEY,
	CATALOG_DELTA,
	CATALOG_DELTA_PKEY,			/* (table_id, key) */
	CATALOG_WRITE_SEQ,
	CATALOG_VAULT_ID_SEQ,
	CATALOG_TABLE_ID_SEQ,
	CATALOG_RUN_ID_SEQ,
	CATALOG_SERIAL_SEQ,
	CATALOG_JOB_ID_SEQ,
	CATALOG_COUNT
} CatalogRelation;

/* Column numbers, as in skyvault--0.1.sql. */
enum
{
	Anum_vault_id = 1, Anum_vault_server, Anum_vault_uuid, Anum_vault_created,
	Natts_vault = Anum_vault_created
};
enum
{
	Anum_owner_vault_id = 1, Anum_owner_state, Anum_owner_reason, Anum_owner_epoch
};
enum
{
	Anum_table_id = 1, Anum_table_vault_id, Anum_table_relid, Anum_table_floor_seq,
	Anum_table_key_signature, Anum_table_created,
	Natts_table = Anum_table_created
};
enum
{
	Anum_run_id = 1, Anum_run_vault_id, Anum_run_tier, Anum_run_level, Anum_run_seq_lo, Anum_run_seq_hi,
	Anum_run_object, Anum_run_file_bytes, Anum_run_tail_bytes, Anum_run_table_ids, Anum_run_min_keys,
	Anum_run_max_keys, Anum_run_entries, Anum_run_tombstones, Anum_run_raw_bytes,
	Anum_run_expiring, Anum_run_expires_min, Anum_run_expires_max, Anum_run_created,
	Natts_run = Anum_run_created
};
enum
{
	Anum_changelog_serial = 1, Anum_changelog_vault_id, Anum_changelog_id, Anum_changelog_kind,
	Anum_changelog_table_ids, Anum_changelog_changes, Anum_changelog_at,
	Natts_changelog = Anum_changelog_at
};
enum
{
	Anum_garbage_object = 1, Anum_garbage_vault_id, Anum_garbage_removed_xid8, Anum_garbage_at,
	Natts_garbage = Anum_garbage_at
};
enum
{
	Anum_delta_table_id = 1, Anum_delta_key, Anum_delta_kind, Anum_delta_expires_at, Anum_delta_value,
	Natts_delta = Anum_delta_value
};

enum
{
	Anum_job_id = 1, Anum_job_vault_id, Anum_job_kind, Anum_job_state, Anum_job_started, Anum_job_ended,
	Anum_job_pid, Anum_job_attempts, Anum_job_retry_at, Anum_job_reason, Anum_job_inputs,
	Anum_job_outputs, Anum_job_entries_in, Anum_job_bytes_in, Anum_job_entries, Anum_job_bytes,
	Anum_job_left_out, Anum_job_sqlstate, Anum_job_error, Anum_job_detail, Anum_job_hint, Anum_job_target_tables,
	Anum_job_target_levels, Anum_job_target_lows, Anum_job_target_highs, Anum_job_parts, Anum_job_workers,
	Natts_job = Anum_job_workers
};
enum
{
	Anum_pause_vault_id = 1, Anum_pause_since,
	Natts_pause = Anum_pause_since
};

/* Kinds of delta rows: never change. */
#define DELTA_VALUE		'v'
#define DELTA_TOMBSTONE	't'
#define DELTA_CLAIM		'l'		/* owns the key's slot, has no content: readers skip it, a flush drops it */

/* Of the extension's script that makes the catalogue as this library wants it. */
#define SKYVAULT_SQL_VERSION "0.1"

/*
 * Whether the whole catalogue is there, in this library's version; false before, after, and in the
 * middle of dropping the extension.
 */
extern bool catalog_exists(void);

/* 55000 with a hint if the extension is there in another version. */
extern void catalog_check_version(void);

/* 55000 with a hint if the extension is not installed in this database, or in another version. */
extern Oid	catalog_oid(CatalogRelation which);

/* Opens with AccessShareLock or RowExclusiveLock; close with table_close(rel, NoLock or the mode). */
extern Relation catalog_open(CatalogRelation which, LOCKMODE lockmode);

/* Draws from a sequence of the catalogue: monotonic, never given back. */
extern int64 catalog_draw(CatalogRelation sequence);

extern void catalog_lock_table(int32 table_id, LOCKMODE mode);
extern bool catalog_try_lock_table(int32 table_id, LOCKMODE mode);

/* Exclusive among those who make the identity of the same server or relation. */
extern void catalog_lock_server_identity(Oid server_oid);
extern void catalog_lock_relation_identity(Oid relid);

extern void catalog_lock_numbering(int32 vault_id);
extern void catalog_lock_claims(int32 vault_id);

/*
 * The lock of a job, which is kept over transactions and errors until it is
 * let go, or the process ends.  catalog_try_lock_job is false if another
 * process has it.
 */
extern bool catalog_try_lock_job(int64 job_id);
extern void catalog_unlock_job(int64 job_id);

/* For a worker that takes the vault: a lock of its session, held over waits for the store, which nobody waits for. */
extern LOCKTAG catalog_takeover_tag(int32 vault_id);

#endif							/* FOREST_CATALOG_H */
