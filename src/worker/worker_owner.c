/*
 * worker_owner.c
 *		Which database may write to a vault.
 *
 * OWNER names this database if its epoch and incarnation are those of
 * skyvault.owner, or those that it was about to take.  But a copy of the
 * database has the same row.  So there are four more things in it:
 *
 * - the oid of the database: CREATE DATABASE ... TEMPLATE has another.  Such a
 *	 copy never takes a vault by itself.
 * - the system identifier: only pg_upgrade changes it.  The upgraded database
 *	 takes the vault, and the old cluster, if started again, finds that out.
 * - the timeline: a promoted standby has a newer one, and so has a backup that
 *	 was restored with archive recovery.  They take the vault, unless
 *	 skyvault.takeover_on_promotion is off.
 * - the place, the inode of PG_VERSION: a data directory that was copied file
 *	 by file has another.  It does not take the vault by itself.
 *
 * What is left are copies of whole volumes.  Of these the last that was started
 * takes the vault, and the others find that out before their next upload.
 *
 * A takeover is three steps, so that a death in between leaves an OWNER that is
 * still recognized: commit what is about to be taken; replace OWNER, on
 * condition that it is still the one that was read; commit that it was taken.
 * Epochs are never given twice, so the names of an epoch have one writer; a
 * try that failed gave none yet, and the next one has the same.
 */
#include "postgres.h"

#include "worker/worker_owner.h"

#include <sys/stat.h>

#include "access/xlog.h"
#include "forest/forest_catalog.h"
#include "forest/forest_sql.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "server/pg_compat.h"
#include "server/pg_settings.h"
#include "server/stop_point.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"
#include "worker/log_text.h"
#include "worker/owner_object.h"
#include "worker/worker_transaction.h"

#define TAKEOVER_WAIT_MS	10000
#define TAKEOVER_STEP_MS	50

/* skyvault.owner's row of a vault, compared with where this process runs. */
typedef struct OwnRow
{
	bool		exists;
	const char *state;
	const char *reason;
	int64		epoch;
	const char *incarnation;
	int64		pending_epoch;
	const char *pending_incarnation;
	bool		same_system;
	bool		same_database;
	bool		newer_timeline;
	bool		same_place;
	bool		same_start;
	int64		exported_id;
	int64		log_objects;
	const char *server_name;
} OwnRow;

/* Of this server and database, as text. */
static char *
own_system_identifier(void)
{
	return forest_arg((int64) GetSystemIdentifier());
}

static char *
own_place(void)
{
	struct stat st;

	if (stat("PG_VERSION", &st) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not stat file \"%s\": %m", "PG_VERSION")));
	return forest_arg((int64) st.st_ino);
}

static OwnRow
read_row(const ForestVault *vault)
{
	MemoryContext context = CurrentMemoryContext;
	OwnRow		row = {0};
	ForestRows	rows;

	worker_transaction_begin();
	MemoryContextSwitchTo(context);
	rows = forest_sql("SELECT state, reason, epoch, incarnation, pending_epoch, pending_incarnation,"
					  " system_identifier = $2::bigint, database = $3::oid, timeline < $4::integer,"
					  " place = $5::bigint, started = pg_catalog.pg_postmaster_start_time(),"
					  " exported_id, log_objects FROM skyvault.owner WHERE vault_id = $1::integer",
					  5, forest_arg(vault->id), own_system_identifier(), forest_arg(MyDatabaseId),
					  forest_arg(GetWALInsertionTimeLine()), own_place());
	row.server_name = OidIsValid(vault->server_oid) ? pstrdup(GetForeignServer(vault->server_oid)->servername) : "?";
	worker_transaction_commit();
	MemoryContextSwitchTo(context);
	if (rows.nrows == 0)
		return row;

	row.exists = true;
	row.state = forest_cell(&rows, 0, 0);
	row.reason = forest_cell(&rows, 0, 1);
	row.epoch = forest_cell_int64(&rows, 0, 2);
	row.incarnation = forest_cell(&rows, 0, 3);
	row.pending_epoch = forest_cell_int64(&rows, 0, 4);
	row.pending_incarnation = forest_cell(&rows, 0, 5);
	row.same_system = forest_cell_bool(&rows, 0, 6);
	row.same_database = forest_cell_bool(&rows, 0, 7);
	row.newer_timeline = forest_cell_bool(&rows, 0, 8);
	row.same_place = forest_cell_bool(&rows, 0, 9);
	row.same_start = forest_cell_bool(&rows, 0, 10);
	row.exported_id = forest_cell_int64(&rows, 0, 11);
	row.log_objects = forest_cell_int64(&rows, 0, 12);
	return row;
}

static void
run_in_transaction(const char *sql, int32 vault_id, const char *arg2, const char *arg3)
{
	MemoryContext context = CurrentMemoryContext;

	worker_transaction_begin();
	(void) forest_sql(sql, arg3 != NULL ? 3 : arg2 != NULL ? 2 : 1, forest_arg(vault_id), arg2, arg3);
	worker_transaction_commit();
	MemoryContextSwitchTo(context);
}

pg_noreturn static void report_not_owner(const OwnRow *row, const char *reason);

static void
report_not_owner(const OwnRow *row, const char *reason)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("this database does not own the vault of server \"%s\"", row->server_name),
			 errdetail("%s", reason),
			 errhint("Reads go on. If this database shall write to the vault, and nobody else:"
					 " SELECT skyvault_adopt(%s).", quote_literal_cstr(row->server_name))));
}

/* Writes down that somebody else owns the vault, and raises the error. */
pg_noreturn static void fence(const ForestVault *vault, const OwnRow *row, const char *reason);

static void
insert_row(const ForestVault *vault, const char *state)
{
	MemoryContext context = CurrentMemoryContext;

	worker_transaction_begin();
	(void) forest_sql("INSERT INTO skyvault.owner (vault_id, state, epoch, incarnation, system_identifier, database,"
					  " timeline, place, started) VALUES ($1::integer, $2, 0, pg_catalog.gen_random_uuid(),"
					  " $3::bigint, $4::oid, $5::integer, $6::bigint, 'epoch')",
					  6, forest_arg(vault->id), state, own_system_identifier(), forest_arg(MyDatabaseId),
					  forest_arg(GetWALInsertionTimeLine()), own_place());
	worker_transaction_commit();
	MemoryContextSwitchTo(context);
}

static void
fence(const ForestVault *vault, const OwnRow *row, const char *reason)
{
	run_in_transaction("UPDATE skyvault.owner SET state = 'fenced', reason = $2 WHERE vault_id = $1::integer",
					   vault->id, reason, NULL);
	report_not_owner(row, reason);
}

static bool
is_pending(const OwnRow *row, const OwnerObject *owner)
{
	return row->pending_incarnation != NULL && owner->epoch == row->pending_epoch &&
		strcmp(owner->incarnation, row->pending_incarnation) == 0;
}

static bool
is_mine(const OwnRow *row, const OwnerObject *owner)
{
	return (owner->epoch == row->epoch && strcmp(owner->incarnation, row->incarnation) == 0) ||
		is_pending(row, owner);
}

static char *
another_owner(const OwnerObject *owner)
{
	return psprintf("Database %s of the cluster with system identifier %s took it over at %s, in epoch "
					INT64_FORMAT ".",
					owner->database, owner->system_identifier, owner->taken, owner->epoch);
}

/* Why a database that OWNER names may not go on without being told to; NULL: it may. */
static const char *
why_not_by_itself(const OwnRow *row)
{
	if (!row->same_database)
		return "This database is a copy of the one that owns it.";
	if (!row->same_system)
		return NULL;			/* pg_upgrade */
	if (row->newer_timeline)
		return setting_takeover_on_promotion ? NULL :
			"This server was promoted, or restored from a backup, and \"skyvault.takeover_on_promotion\" is off.";
	return row->same_place ? NULL : "This data directory is a copy of the one that owns it.";
}

/* Of an epoch of the vault $1, with whether they lead on, by the last part of their names. */
#define SNAPSHOTS_OF(epoch) \
	"(SELECT coalesce(jsonb_object_agg(regexp_replace(s.object, '^.*/', ''), s.leads_on), '{}')" \
	" FROM skyvault.snapshot AS s WHERE s.vault_id = $1::integer AND s.epoch = " epoch ")"

/* Of the epochs of which there is anything, as far as the catalogue knows. */
static const char *
known_history(const ForestVault *vault)
{
	ForestRows	rows = forest_sql("SELECT coalesce(jsonb_agg(jsonb_build_object('epoch', e.epoch, 'last_id', e.last_id,"
								  " 'objects', e.objects, 'snapshots', " SNAPSHOTS_OF("e.epoch") ")), '[]')"
								  " FROM (SELECT epoch, max(last_id) AS last_id,"
								  " max(number) AS objects FROM (SELECT l.epoch, l.last_id, l.number"
								  "  FROM skyvault.log_object AS l WHERE l.vault_id = $1::integer"
								  "  UNION ALL SELECT s.epoch, CASE WHEN s.leads_on THEN s.changelog_id ELSE 0 END,"
								  "   CASE WHEN s.leads_on THEN s.log_number ELSE 0 END"
								  "  FROM skyvault.snapshot AS s WHERE s.vault_id = $1::integer)"
								  "  AS known(epoch, last_id, number) GROUP BY epoch) AS e",
								  1, forest_arg(vault->id));

	return forest_cell(&rows, 0, 0);
}

/*
 * The line of epochs that leads to the one that begins now, with how far this
 * database has come in each: those of which there is anything to restore from.
 * A snapshot stays when the log up to it goes, and may be all of its epoch.
 *
 * Snapshots are named, as their numbers do not tell: who went on from an earlier
 * state, and has lost the vault, may have made one before he exported what is in
 * it.  Of epochs after ours there are only such as this vault went back behind.
 *
 * Earlier epochs are told by the catalogue as well, not by the OWNER of before.
 * That may be of somebody who went on from an earlier state, and knows less of
 * them; or of before this database was restored to what that had gone back behind.
 */
static char *
next_history(const ForestVault *vault, const OwnRow *row)
{
	MemoryContext context = CurrentMemoryContext;
	ForestRows	rows;

	worker_transaction_begin();
	MemoryContextSwitchTo(context);
	rows = forest_sql("SELECT coalesce(jsonb_agg(h ORDER BY (h->>'epoch')::bigint), '[]') FROM"
					  " (SELECT h FROM jsonb_array_elements($5::jsonb) AS h"
					  "  WHERE (h->>'epoch')::bigint < $2::bigint"
					  "  UNION ALL SELECT jsonb_build_object('epoch', e.epoch, 'last_id', e.last_id,"
					  "   'objects', e.objects, 'snapshots', " SNAPSHOTS_OF("e.epoch") ")"
					  "  FROM (SELECT $2::bigint, $3::bigint, $4::bigint WHERE $4::bigint > 0 OR EXISTS"
					  "    (SELECT FROM skyvault.snapshot AS s WHERE s.vault_id = $1::integer AND s.epoch = $2::bigint)"
					  "   UNION ALL SELECT DISTINCT s.epoch, 0::bigint, 0::bigint FROM skyvault.snapshot AS s"
					  "    WHERE s.vault_id = $1::integer AND s.epoch > $2::bigint) AS e(epoch, last_id, objects))"
					  "  AS line",
					  5, forest_arg(vault->id), forest_arg(row->epoch), forest_arg(row->exported_id),
					  forest_arg(row->log_objects), known_history(vault));
	worker_transaction_commit();
	MemoryContextSwitchTo(context);
	return unconstify(char *, forest_cell(&rows, 0, 0));
}

/* A replacement was announced, and may have come no further than to remove the object. */
static bool
was_interrupted(ObjectStore *store, const OwnRow *row)
{
	return row->pending_incarnation != NULL && owner_object_may_be_between(store);
}

/*
 * What is announced is what OWNER may become, even long after a request for it
 * was given up as lost.  So it is what a further try takes as well, unless OWNER
 * has got as far or further: then nothing else that was announced can come.  An
 * OWNER that has gone may have been that, and somebody may have gone on from it.
 */
static void
announce(const ForestVault *vault, ObjectStore *store, const OwnRow *row, const OwnerObject *owner, OwnerObject *next)
{
	int64		newest = Max(row->epoch, owner != NULL ? owner->epoch : 0);
	pg_uuid_t	incarnation;

	if (owner == NULL && !was_interrupted(store, row))
		newest = Max(newest, row->pending_epoch);
	if (row->pending_incarnation != NULL && row->pending_epoch > newest)
	{
		next->epoch = row->pending_epoch;
		next->incarnation = row->pending_incarnation;
		return;
	}
	forest_vault_random_uuid(&incarnation);
	next->epoch = newest + 1;
	next->incarnation = log_uuid_text(&incarnation);

	/* One that OWNER has become is ours from now on, or a death would leave it nobody's. */
	if (owner != NULL && is_pending(row, owner))
		run_in_transaction("UPDATE skyvault.owner SET epoch = pending_epoch, incarnation = pending_incarnation,"
						   " log_objects = 0, pending_epoch = $2::bigint, pending_incarnation = $3::uuid"
						   " WHERE vault_id = $1::integer", vault->id, forest_arg(next->epoch), next->incarnation);
	else
		run_in_transaction("UPDATE skyvault.owner SET pending_epoch = $2::bigint, pending_incarnation = $3::uuid"
						   " WHERE vault_id = $1::integer", vault->id, forest_arg(next->epoch), next->incarnation);
}

/* owner is NULL if there is no OWNER yet. */
static void
replace_owner(ForestVault *vault, ObjectStore *store, const OwnRow *row, const OwnerObject *owner, const char *etag)
{
	OwnerObject next = {
		.system_identifier = own_system_identifier(),
		.database = forest_arg(MyDatabaseId),
		.taken = pstrdup(timestamptz_to_str(GetCurrentTimestamp())),
		.history = next_history(vault, row)
	};

	announce(vault, store, row, owner, &next);
	STOP_POINT("owner-announced");
	if (!owner_object_replace(store, vault, &next, etag))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("another database takes the vault of server \"%s\" at the same time", row->server_name),
				 errhint("The worker tries again by itself.")));
	STOP_POINT("owner-replaced");
	worker_transaction_begin();

	/*
	 * From another, who may have gone on and deleted what only this database
	 * names, of the log as well: a snapshot makes the store whole again.
	 */
	(void) forest_sql("UPDATE skyvault.owner SET state = 'owner', reason = NULL, epoch = pending_epoch,"
					  " incarnation = pending_incarnation, pending_epoch = NULL, pending_incarnation = NULL,"
					  " system_identifier = $2::bigint, database = $3::oid, timeline = $4::integer,"
					  " place = $5::bigint, started = pg_catalog.pg_postmaster_start_time(), log_objects = 0,"
					  " snapshot_due = snapshot_due OR state = 'adopting' OR timeline < $4::integer"
					  " WHERE vault_id = $1::integer",
					  5, forest_arg(vault->id), own_system_identifier(), forest_arg(MyDatabaseId),
					  forest_arg(GetWALInsertionTimeLine()), own_place());
	worker_transaction_commit();
	vault->epoch = next.epoch;
}

/*
 * The vault has an OWNER, but never had one here: a copy of the database that
 * was made before its first use.  As nothing of it is in the store yet, it
 * becomes a vault of its own.
 */
static void
become_another_vault(ForestVault *vault, const OwnRow *row)
{
	MemoryContext context = CurrentMemoryContext;
	ForestRows	rows;

	worker_transaction_begin();
	MemoryContextSwitchTo(context);
	forest_vault_random_uuid(&vault->uuid);
	rows = forest_sql("UPDATE skyvault.vault AS v SET uuid = $2::uuid WHERE id = $1::integer AND NOT EXISTS"
					  " (SELECT FROM skyvault.run AS r WHERE r.vault_id = v.id) RETURNING id",
					  2, forest_arg(vault->id), log_uuid_text(&vault->uuid));
	worker_transaction_commit();
	MemoryContextSwitchTo(context);
	if (rows.nrows == 0)
		fence(vault, row, "This database is a copy of the one that owns it.");
}

/* A database that was copied in this start of the server was never taken by it. */
static bool
is_taken(const OwnRow *row)
{
	return row->exists && row->same_start && row->same_database && strcmp(row->state, "owner") == 0;
}

/* By the worker that we have waited for. */
static bool
is_taken_now(ForestVault *vault)
{
	OwnRow		row = read_row(vault);

	if (is_taken(&row))
		vault->epoch = row.epoch;
	return is_taken(&row);
}

static void
take(ForestVault *vault, ObjectStore *store)
{
	OwnRow		row = read_row(vault);
	char		etag[STORE_ETAG_BYTES];
	OwnerObject owner;
	bool		found;
	bool		is_new = !row.exists;
	bool		is_told = row.exists && strcmp(row.state, "adopting") == 0;

	if (is_taken(&row))
	{
		vault->epoch = row.epoch;
		return;
	}
	found = owner_object_read(store, vault, &owner, etag);
	if (is_new)
	{
		insert_row(vault, "taking");
		row = read_row(vault);
		if (found)
			become_another_vault(vault, &row);
		found = false;
		etag[0] = '\0';
	}
	else if (!found && !is_told && row.epoch > 0 && !was_interrupted(store, &row))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("object \"%s\" is missing from the store of server \"%s\"",
						owner_object_name(vault), row.server_name),
				 errhint("Is it the right store? If it is, SELECT skyvault_adopt(%s) makes the object anew.",
						 quote_literal_cstr(row.server_name))));
	else if (!is_told)
	{
		const char *why_not = why_not_by_itself(&row);

		if (found && !is_mine(&row, &owner))
			fence(vault, &row, another_owner(&owner));
		if (why_not != NULL)
			fence(vault, &row, why_not);
	}
	replace_owner(vault, store, &row, found ? &owner : NULL, etag);
}

static LOCKTAG
takeover_tag(const ForestVault *vault)
{
	MemoryContext context = CurrentMemoryContext;
	LOCKTAG		tag;

	worker_transaction_begin();
	tag = catalog_takeover_tag(vault->id);
	worker_transaction_commit();
	MemoryContextSwitchTo(context);
	return tag;
}

/* In steps, for as long as it takes to ask a store that answers a few things. */
static void
wait_step(int *waited_ms)
{
	STOP_POINT("owner-waits");
	if (*waited_ms >= TAKEOVER_WAIT_MS)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("another worker takes the vault just now, or needs it as it is"),
				 errhint("It is tried again.")));
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, TAKEOVER_STEP_MS,
					 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	*waited_ms += TAKEOVER_STEP_MS;
}

LOCKTAG
worker_owner_hold(const ForestVault *vault)
{
	LOCKTAG		tag = takeover_tag(vault);
	int			waited_ms = 0;

	while (LockAcquire(&tag, ShareLock, true, true) == LOCKACQUIRE_NOT_AVAIL)
		wait_step(&waited_ms);
	return tag;
}

void
worker_owner_let_go(const LOCKTAG *held)
{
	LockRelease(held, ShareLock, true);
}

/*
 * One worker at a time takes a vault.  Whoever holds it as it is may have taken
 * it first, and may hold it again each time that it is tried: so who waits for
 * that looks whether it has been taken.
 */
static void
take_alone(ForestVault *vault, ObjectStore *store)
{
	LOCKTAG		tag = takeover_tag(vault);
	int			waited_ms = 0;

	while (LockAcquire(&tag, ExclusiveLock, true, true) == LOCKACQUIRE_NOT_AVAIL)
	{
		wait_step(&waited_ms);
		if (is_taken_now(vault))
			return;
	}
	PG_TRY();
	{
		take(vault, store);
	}
	PG_FINALLY();
	{
		LockRelease(&tag, ExclusiveLock, true);
	}
	PG_END_TRY();
}

void
worker_owner_require(ForestVault *vault, ObjectStore *store)
{
	MemoryContext context = CurrentMemoryContext;
	OwnRow		row = read_row(vault);
	char		etag[STORE_ETAG_BYTES];
	OwnerObject owner;

	if (row.exists && strcmp(row.state, "fenced") == 0)
		report_not_owner(&row, row.reason);
	if (row.exists && strcmp(row.state, "attached") == 0)
		report_not_owner(&row, "It was restored to be read only.");
	if (!is_taken(&row))
		take_alone(vault, store);
	else
	{
		if (!owner_object_read(store, vault, &owner, etag))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("object \"%s\" is missing from the store of server \"%s\"",
							owner_object_name(vault), row.server_name),
					 errhint("Is it the right store? If it is, SELECT skyvault_adopt(%s) makes the object anew.",
							 quote_literal_cstr(row.server_name))));
		if (!is_mine(&row, &owner))
			fence(vault, &row, another_owner(&owner));
		vault->epoch = row.epoch;
	}
	MemoryContextSwitchTo(context);
}
