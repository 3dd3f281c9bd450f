/*
 * worker_snapshot.c
 *		The whole forest of a vault as one object in its store.
 *
 * Registry, tables and floors are read under one snapshot of Postgres; the
 * changes that it sees without a number come again in the log, where they do no
 * harm.  The object is recorded after it was uploaded; garbage is collected by
 * this same process, so nothing that a snapshot names goes in between.
 *
 * Of snapshots without a name the last two are kept, with the log from the
 * older one on: should the last be damaged, the other leads to the same state.
 */
#include "postgres.h"

#include "worker/worker_snapshot.h"

#include "base/sv_sealed.h"
#include "forest/forest_sql.h"
#include "forest/forest_store.h"
#include "miscadmin.h"
#include "server/pg_settings.h"
#include "server/pg_status.h"
#include "server/stop_point.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "worker/log_text.h"
#include "worker/vault_chore.h"
#include "worker/worker_job.h"
#include "worker/worker_owner.h"
#include "worker/worker_request.h"
#include "worker/worker_transaction.h"

#define JOB_SNAPSHOT "snapshot"

/* How often to look whether one is due. */
#define LOOK_INTERVAL_MS 10000

typedef struct Dump
{
	int64		job_id;
	int64		epoch;
	int64		log_number;
	int64		id;
	char	   *objects;		/* of its runs, as an array's text */
	int64		nruns;
	SvBuffer	text;
} Dump;

/* Also checks that the name is free. */
static void
read_header(const ForestVault *vault, const char *name, Dump *dump)
{
	ForestRows	rows = forest_sql_fixed("SELECT o.epoch, o.log_objects, coalesce((SELECT max(c.id) FROM"
										" skyvault.changelog AS c"
										" WHERE c.vault_id = o.vault_id), 0), EXISTS (SELECT FROM skyvault.snapshot"
										" AS s"
										" WHERE s.vault_id = o.vault_id AND s.name = $2), to_json($2)"
										" FROM skyvault.owner AS o WHERE o.vault_id = $1::integer",
										2, forest_arg(vault->id), name);
	const char *quoted = forest_cell(&rows, 0, 4);

	if (forest_cell_bool(&rows, 0, 3))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("snapshot \"%s\" already exists", name),
				 errhint("Take another name, or drop it with skyvault_drop_snapshot().")));
	dump->epoch = forest_cell_int64(&rows, 0, 0);
	dump->log_number = forest_cell_int64(&rows, 0, 1);
	dump->id = forest_cell_int64(&rows, 0, 2);
	log_append(&dump->text, psprintf("{\"skyvault\":\"snapshot\",\"version\":1,\"vault\":\"%s\",\"epoch\":" INT64_FORMAT
									 ",\"number\":" INT64_FORMAT ",\"id\":" INT64_FORMAT
									 ",\"name\":%s,\"created\":\"%s\",\"sequences\":%s}",
									 log_uuid_text(&vault->uuid), dump->epoch, dump->log_number, dump->id,
									 quoted != NULL ? quoted : "null",
									 timestamptz_to_str(GetCurrentTimestamp()), log_sequences()));
}

static void
read_forest(const ForestVault *vault, const char *name, Dump *dump)
{
	MemoryContext context = CurrentMemoryContext;
	ForestRows	rows;
	char	  **tables;
	int64		hash;
	int			ntables;
	SvError		err;

	worker_transaction_begin();
	MemoryContextSwitchTo(context);
	read_header(vault, name, dump);
	tables = log_table_lines(vault->id, LOG_NOW, &ntables, &hash);
	for (int i = 0; i < ntables; i++)
		log_append(&dump->text, tables[i]);
	STOP_POINT("snapshot-half-read");
	rows = forest_sql_fixed("SELECT jsonb_build_object('run', to_jsonb(r)) FROM skyvault.run AS r"
							" WHERE r.vault_id = $1::integer ORDER BY r.id", 1, forest_arg(vault->id));
	for (int i = 0; i < rows.nrows; i++)
		log_append(&dump->text, forest_cell(&rows, i, 0));
	dump->nruns = rows.nrows;
	rows = forest_sql_fixed("SELECT coalesce(array_agg(r.object), '{}') FROM skyvault.run AS r"
							" WHERE r.vault_id = $1::integer", 1, forest_arg(vault->id));
	dump->objects = unconstify(char *, forest_cell(&rows, 0, 0));
	dump->job_id = job_start(vault->id, JOB_SNAPSHOT);
	worker_transaction_commit();
	MemoryContextSwitchTo(context);
	PG_STATUS_CHECK(sv_sealed_close(&dump->text, &err), &err);
}

/* What the snapshots that are kept make superfluous becomes garbage. */
static void
prune(const ForestVault *vault)
{
	(void) forest_sql("WITH gone AS (DELETE FROM skyvault.snapshot AS s WHERE s.vault_id = $1::integer AND s.name IS"
					  " NULL"
					  "  AND s.id <= (SELECT o.id FROM skyvault.snapshot AS o WHERE o.vault_id = s.vault_id"
					  "   AND o.name IS NULL ORDER BY o.id DESC OFFSET 2 LIMIT 1) RETURNING s.object)"
					  " INSERT INTO skyvault.garbage (object, vault_id, removed_xid8, at)"
					  " SELECT object, $1::integer, pg_current_xact_id(), clock_timestamp() FROM gone",
					  1, forest_arg(vault->id));
	(void) forest_sql("WITH older AS (SELECT s.epoch, s.log_number FROM skyvault.snapshot AS s"
					  "  WHERE s.vault_id = $1::integer AND s.name IS NULL ORDER BY s.id DESC OFFSET 1 LIMIT 1),"
					  " gone AS (DELETE FROM skyvault.log_object AS l USING older WHERE l.vault_id = $1::integer"
					  "  AND (l.epoch, l.number) <= (older.epoch, older.log_number) RETURNING l.object)"
					  " INSERT INTO skyvault.garbage (object, vault_id, removed_xid8, at)"
					  " SELECT object, $1::integer, pg_current_xact_id(), clock_timestamp() FROM gone",
					  1, forest_arg(vault->id));
}

static void
record(const ForestVault *vault, const char *name, const Dump *dump, const char *object)
{
	MemoryContext context = CurrentMemoryContext;
	JobResult	result = {.entries = dump->nruns,.bytes = (int64) dump->text.len};

	worker_transaction_begin();
	(void) forest_sql("INSERT INTO skyvault.snapshot (id, vault_id, name, epoch, log_number, changelog_id, object,"
					  " bytes,"
					  " objects, created) VALUES (nextval('skyvault.snapshot_id_seq'), $1::integer, $2, $3::bigint,"
					  " $4::bigint, $5::bigint, $6, $7::bigint, $8::text[], clock_timestamp())",
					  8, forest_arg(vault->id), name, forest_arg(dump->epoch), forest_arg(dump->log_number),
					  forest_arg(dump->id), object, forest_arg((int64) dump->text.len), dump->objects);
	if (name == NULL)
		(void) forest_sql("UPDATE skyvault.owner SET snapshot_due = false WHERE vault_id = $1::integer",
						  1, forest_arg(vault->id));
	prune(vault);
	job_finish(dump->job_id, &result);
	STOP_POINT("snapshot-before-commit");
	worker_transaction_commit();
	MemoryContextSwitchTo(context);
	STOP_POINT("snapshot-committed");
}

/* request: the handle of who asked for it, or -1. */
static void
make_snapshot(ForestVault *vault, ObjectStore *store, const char *name, int request)
{
	SvAlloc		alloc = pg_status_alloc(CurrentMemoryContext);
	Dump		dump = {0};
	SvSlice		bytes;
	SvError		err;
	char	   *object;

	worker_owner_require(vault, store);
	sv_buffer_init(&dump.text, &alloc);
	read_forest(vault, name, &dump);
	if (request >= 0)
		worker_request_note_job(request, dump.job_id);
	object = log_snapshot_name(&vault->uuid, dump.epoch, dump.id, dump.job_id);
	bytes = sv_buffer_slice(&dump.text);
	STOP_POINT("snapshot-before-upload");
	log_status_check(store_put_if_absent(store, object, &bytes, 1,
										 forest_store_call(vault->server_oid, STORE_SNAPSHOT), &err), &err);
	STOP_POINT("snapshot-uploaded");
	record(vault, name, &dump, object);
}

/*
 * name NULL: an automatic one.  Whoever takes the vault tells in OWNER which
 * epochs have a snapshot; so nobody does until this one is recorded in its own.
 */
static void
take_snapshot(ForestVault *vault, const char *name, int request)
{
	ObjectStore *store = vault_chore_store(vault);
	LOCKTAG		held = worker_owner_hold(vault);

	PG_TRY();
	{
		make_snapshot(vault, store, name, request);
	}
	PG_FINALLY();
	{
		worker_owner_let_go(&held);
	}
	PG_END_TRY();
}

static bool
is_due(const ForestVault *vault)
{
	MemoryContext context = CurrentMemoryContext;
	ForestRows	rows;

	worker_transaction_begin();
	MemoryContextSwitchTo(context);
	rows = forest_sql("SELECT EXISTS (SELECT FROM skyvault.owner WHERE vault_id = $1::integer AND snapshot_due)"
					  " OR coalesce((SELECT max(c.id) FROM skyvault.changelog AS c WHERE c.vault_id = $1::integer), 0)"
					  " - coalesce((SELECT max(s.changelog_id) FROM skyvault.snapshot AS s WHERE s.vault_id ="
					  " $1::integer"
					  "  AND s.name IS NULL), 0) >= $2::bigint",
					  2, forest_arg(vault->id), forest_arg(setting_snapshot_changes));
	worker_transaction_commit();
	MemoryContextSwitchTo(context);
	return forest_cell_bool(&rows, 0, 0);
}

static TimestampTz
turn(ForestVault *vault, VaultTurn *turn)
{
	if (is_due(vault) && vault_chore_is_ours(vault))
		take_snapshot(vault, NULL, -1);
	STOP_POINT("snapshot-looked");
	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LOOK_INTERVAL_MS);
}

/*
 * By a scheduler that ended before it came to answer.  The row of the job says
 * so, which is done in the same transaction; the snapshot may have been dropped.
 */
static bool
was_made(const WorkerRequest *request)
{
	MemoryContext context = CurrentMemoryContext;
	ForestRows	rows;

	if (request->job_id == 0)
		return false;
	worker_transaction_begin();
	rows = forest_sql("SELECT 1 FROM skyvault.job WHERE id = $1::bigint AND vault_id = $2::integer AND kind = $3"
					  " AND state = 'done'",
					  3, forest_arg(request->job_id), forest_arg(request->vault_id), JOB_SNAPSHOT);
	worker_transaction_commit();
	MemoryContextSwitchTo(context);
	return rows.nrows > 0;
}

static void
answer_requests(void)
{
	MemoryContext context = CurrentMemoryContext;
	WorkerRequest request;
	int			handle;

	while ((handle = worker_request_take(REQUEST_SNAPSHOT, &request)) >= 0)
	{
		PG_TRY();
		{
			ForestVault vault;
			bool		found = vault_chore_find(request.vault_id, &vault);

			if (found && !was_made(&request))
				take_snapshot(&vault, request.has_name ? NameStr(request.name) : NULL, handle);
			worker_request_answer(handle, found, NULL);
		}
		PG_CATCH();
		{
			worker_request_answer(handle, 0, worker_transaction_recover(context));
		}
		PG_END_TRY();
	}
}

TimestampTz
worker_snapshot_run(void)
{
	static VaultChore chore = {.kind = JOB_SNAPSHOT,.turn = turn};

	answer_requests();
	return setting_snapshot_changes == 0 ? DT_NOEND : vault_chore_run(&chore);
}
