/*
 * worker_export.c
 *		The changelog goes to the store, and from the catalogue.
 *
 * An object of the log has numbered rows of the changelog, in the order of their
 * ids, and before them the definitions of all tables whenever one of them has
 * changed, with the contents that they had as of the last of these rows.  Its name
 * is made of the epoch and a number, so that who reads the log knows what comes
 * next.  The steps are: read (a transaction), upload,
 * remember (a transaction).  After a death between the last two, the next
 * scheduler finds the object there: it is of its own epoch or, after a restart,
 * of one that has ended, and then counts only as far as was remembered.
 *
 * Rows that were exported are deleted, but for the newest: readers name the
 * forest by it.  A flush compares the changelog at its publish with that at its
 * start; so rows are deleted only here, in the process that flushes.
 */
#include "postgres.h"

#include "worker/worker_export.h"

#include "base/sv_sealed.h"
#include "forest/forest_sql.h"
#include "forest/forest_store.h"
#include "miscadmin.h"
#include "server/pg_settings.h"
#include "server/pg_status.h"
#include "server/stop_point.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "worker/log_text.h"
#include "worker/vault_chore.h"
#include "worker/worker_owner.h"
#include "worker/worker_request.h"
#include "worker/worker_transaction.h"

#define JOB_EXPORT "export"

/* Of one object. */
#define MAX_CHANGES "1000"
#define MAX_CHANGE_BYTES (4 * 1024 * 1024)

/* Counts what may have changed the definition of a table. */
static uint64 definition_changes = 1;

/* What goes into one object. */
typedef struct Piece
{
	int64		epoch;
	int64		number;
	int64		first_id;
	int64		last_id;		/* first_id - 1: no changes */
	int			nchanges;
	char	  **changes;
	int			ntables;
	char	  **tables;			/* none if they are as they were */
	int64		definitions_hash;
	bool		more;			/* changes are left for the next */
	char	   *sequences;
} Piece;

static void
relcache_callback(Datum arg, Oid relid)
{
	definition_changes++;
}

static void
syscache_callback(Datum arg, int cacheid, uint32 hashvalue)
{
	definition_changes++;
}

static void
watch_definitions(void)
{
	static bool watching = false;

	if (watching)
		return;
	CacheRegisterRelcacheCallback(relcache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, syscache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(TYPEOID, syscache_callback, (Datum) 0);
	watching = true;
}

/* Within limits; the first always fits. */
static void
take_changes(Piece *piece, const ForestRows *rows)
{
	size_t		bytes = 0;

	piece->changes = palloc(Max(rows->nrows, 1) * sizeof(char *));
	piece->last_id = piece->first_id - 1;
	for (int i = 0; i < rows->nrows; i++)
	{
		const char *line = forest_cell(rows, i, 0);

		bytes += strlen(line);
		if (i > 0 && bytes > MAX_CHANGE_BYTES)
			break;
		piece->changes[piece->nchanges++] = unconstify(char *, line);
		piece->last_id = forest_cell_int64(rows, i, 1);
	}
	piece->more = forest_cell_int64(rows, rows->nrows - 1, 2) > piece->last_id;
}

/*
 * What is to be exported; false: nothing.  The definitions are looked at if
 * there are changes, or if they may have changed.
 */
static bool
read_piece(const ForestVault *vault, uint64 *seen, Piece *piece)
{
	MemoryContext context = CurrentMemoryContext;
	uint64		seen_now;
	ForestRows	owner;
	ForestRows	rows;
	bool		is_used;

	memset(piece, 0, sizeof(Piece));
	worker_transaction_begin();
	seen_now = definition_changes;
	MemoryContextSwitchTo(context);
	owner = forest_sql_fixed("SELECT epoch, exported_id, log_objects, definitions_hash FROM skyvault.owner"
							 " WHERE vault_id = $1::integer", 1, forest_arg(vault->id));
	piece->epoch = forest_cell_int64(&owner, 0, 0);
	piece->first_id = forest_cell_int64(&owner, 0, 1) + 1;
	piece->number = forest_cell_int64(&owner, 0, 2) + 1;
	rows = forest_sql_fixed("SELECT jsonb_build_object('change', jsonb_build_object('id', id, 'kind', kind,"
							" 'table_ids', table_ids, 'at', at, 'changes', changes)), id,"
							" (SELECT max(id) FROM skyvault.changelog WHERE vault_id = $1::integer)"
							" FROM skyvault.changelog WHERE vault_id = $1::integer AND id >= $2::bigint"
							" ORDER BY id LIMIT " MAX_CHANGES,
							2, forest_arg(vault->id), forest_arg(piece->first_id));
	if (rows.nrows > 0)
		take_changes(piece, &rows);
	else
		piece->last_id = piece->first_id - 1;

	/* A vault that nothing was ever written to has nothing in the store. */
	is_used = piece->nchanges > 0 || piece->epoch > 0;
	if (piece->nchanges > 0 || (is_used && *seen != seen_now))
	{
		piece->tables = log_table_lines(vault->id, piece->last_id, &piece->ntables, &piece->definitions_hash);
		if (piece->definitions_hash == forest_cell_int64(&owner, 0, 3))
			piece->tables = NULL;
		piece->sequences = log_sequences();
	}
	worker_transaction_commit();
	MemoryContextSwitchTo(context);
	*seen = seen_now;
	return piece->nchanges > 0 || piece->tables != NULL;
}

static void
build_text(const ForestVault *vault, const Piece *piece, SvBuffer *text)
{
	SvError		err;

	log_append(text, psprintf("{\"skyvault\":\"log\",\"version\":1,\"vault\":\"%s\",\"epoch\":" INT64_FORMAT
							  ",\"number\":" INT64_FORMAT ",\"first_id\":" INT64_FORMAT ",\"last_id\":" INT64_FORMAT
							  ",\"sequences\":%s}",
							  log_uuid_text(&vault->uuid), piece->epoch, piece->number, piece->first_id,
							  piece->last_id, piece->sequences));
	for (int i = 0; piece->tables != NULL && i < piece->ntables; i++)
		log_append(text, piece->tables[i]);
	for (int i = 0; i < piece->nchanges; i++)
		log_append(text, piece->changes[i]);
	PG_STATUS_CHECK(sv_sealed_close(text, &err), &err);
}

/*
 * This process or one before it, in this epoch, has uploaded the object and did
 * not come to remember it.  Ids are numbered once, so it has what it says.
 */
static void
accept_uploaded(ObjectStore *store, const ForestVault *vault, Piece *piece, const char *name)
{
	MemoryContext context = CurrentMemoryContext;
	SvAlloc		alloc = pg_status_alloc(context);
	SvBuffer	content;
	SvSlice		lines;
	SvSlice		line = {0};
	SvError		err;
	ForestRows	rows;

	sv_buffer_init(&content, &alloc);
	log_status_check(store_get_small(store, name, LOG_MAX_OBJECT_BYTES, &content, NULL,
									 forest_store_call(vault->server_oid, STORE_SNAPSHOT), &err), &err);
	PG_STATUS_CHECK(sv_sealed_open(sv_buffer_slice(&content), name, &lines, &err), &err);
	(void) sv_sealed_next(&lines, &line);
	worker_transaction_begin();
	MemoryContextSwitchTo(context);
	rows = forest_sql("SELECT h->>'last_id' FROM (SELECT $1::jsonb AS h) AS header WHERE h->>'skyvault' = 'log'"
					  " AND h->>'vault' = $2 AND h->>'epoch' = $3 AND h->>'number' = $4 AND h->>'first_id' = $5",
					  5, pnstrdup((const char *) line.data, line.len), log_uuid_text(&vault->uuid),
					  forest_arg(piece->epoch), forest_arg(piece->number), forest_arg(piece->first_id));
	worker_transaction_commit();
	MemoryContextSwitchTo(context);
	if (rows.nrows != 1)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("object \"%s\" was written by somebody else", name),
				 errhint("Is there a second database that believes to own this vault?")));
	piece->last_id = forest_cell_int64(&rows, 0, 0);
	piece->more = true;
	piece->definitions_hash = 0;	/* not known: the next object has them again */
	piece->tables = NULL;
}

static int64
upload(ObjectStore *store, const ForestVault *vault, Piece *piece, const char *name)
{
	SvAlloc		alloc = pg_status_alloc(CurrentMemoryContext);
	SvBuffer	text;
	SvSlice		bytes;
	SvStatus	status;
	SvError		err;

	sv_buffer_init(&text, &alloc);
	build_text(vault, piece, &text);
	bytes = sv_buffer_slice(&text);
	STOP_POINT("export-before-upload");
	status = store_put_if_absent(store, name, &bytes, 1, forest_store_call(vault->server_oid, STORE_SNAPSHOT), &err);
	if (status == SV_EXISTS)
		accept_uploaded(store, vault, piece, name);
	else
		log_status_check(status, &err);
	STOP_POINT("export-uploaded");
	return (int64) bytes.len;
}

static void
remember(const ForestVault *vault, const Piece *piece, const char *name, int64 bytes, bool has_definitions)
{
	MemoryContext context = CurrentMemoryContext;

	worker_transaction_begin();
	(void) forest_sql("INSERT INTO skyvault.log_object VALUES ($1::integer, $2::bigint, $3::bigint, $4::bigint, $5,"
					  " $6::bigint)",
					  6, forest_arg(vault->id), forest_arg(piece->epoch), forest_arg(piece->number),
					  forest_arg(piece->last_id), name, forest_arg(bytes));
	(void) forest_sql("UPDATE skyvault.owner SET exported_id = $2::bigint, log_objects = $3::bigint,"
					  " definitions_hash = CASE WHEN $5::boolean THEN $4::bigint ELSE definitions_hash END"
					  " WHERE vault_id = $1::integer",
					  5, forest_arg(vault->id), forest_arg(piece->last_id), forest_arg(piece->number),
					  forest_arg(piece->definitions_hash), has_definitions ? "true" : "false");
	(void) forest_sql("DELETE FROM skyvault.changelog WHERE vault_id = $1::integer AND id <= $2::bigint AND id <"
					  " (SELECT max(id) FROM skyvault.changelog WHERE vault_id = $1::integer)",
					  2, forest_arg(vault->id), forest_arg(piece->last_id));
	STOP_POINT("export-before-commit");
	worker_transaction_commit();
	MemoryContextSwitchTo(context);
	STOP_POINT("export-committed");
}

/* One object; false if there is nothing to export. */
static bool
export_piece(ForestVault *vault, ObjectStore *store, uint64 *seen, int64 *nchanges)
{
	Piece		piece;
	uint64		look = *seen;
	bool		has_definitions;
	char	   *name;
	int64		bytes;

	STOP_POINT("export-before-read");
	if (!read_piece(vault, &look, &piece))
	{
		*seen = look;
		return false;
	}
	has_definitions = piece.tables != NULL;
	name = log_object_name(&vault->uuid, piece.epoch, piece.number);
	bytes = upload(store, vault, &piece, name);
	remember(vault, &piece, name, bytes, has_definitions);
	/* What is not known to be exported is looked at again, and what failed above as well. */
	*seen = has_definitions && piece.tables == NULL ? 0 : look;
	*nchanges += piece.last_id - piece.first_id + 1;
	return piece.more;
}

/*
 * Whoever takes the vault tells in OWNER how far the log of the epoch got.  So
 * nobody does, who may be told to by skyvault_adopt(), from before an object is
 * numbered until it is remembered.  In between, and not only after all of a long
 * log, the vault is taken if that is wanted: here, or by whom this waits for.
 */
static bool
export_held(ForestVault *vault, ObjectStore *store, uint64 *seen, int64 *nchanges)
{
	LOCKTAG		held = worker_owner_hold(vault);
	volatile bool more = false;

	PG_TRY();
	{
		worker_owner_require(vault, store);
		more = export_piece(vault, store, seen, nchanges);
	}
	PG_FINALLY();
	{
		worker_owner_let_go(&held);
	}
	PG_END_TRY();
	return more;
}

static int64
export_all(ForestVault *vault, uint64 *seen)
{
	Piece		piece;
	int64		nchanges = 0;
	uint64		look = *seen;
	ObjectStore *store;

	watch_definitions();
	if (!vault_chore_is_ours(vault) || !read_piece(vault, &look, &piece))
	{
		*seen = look;
		return 0;
	}
	store = vault_chore_store(vault);
	while (export_held(vault, store, seen, &nchanges))
		CHECK_FOR_INTERRUPTS();
	return nchanges;
}

int64
worker_export_vault(ForestVault *vault)
{
	uint64		seen = 0;

	if (!vault_chore_is_ours(vault))
		worker_owner_require(vault, vault_chore_store(vault));	/* says why not */
	return export_all(vault, &seen);
}

static TimestampTz
turn(ForestVault *vault, VaultTurn *turn)
{
	(void) export_all(vault, &turn->seen);
	return DT_NOEND;
}

static void
answer_requests(void)
{
	MemoryContext context = CurrentMemoryContext;
	WorkerRequest request;
	int			handle;

	while ((handle = worker_request_take(REQUEST_EXPORT, &request)) >= 0)
	{
		PG_TRY();
		{
			ForestVault vault;
			int64		n = vault_chore_find(request.vault_id, &vault) ? worker_export_vault(&vault) : 0;

			worker_request_answer(handle, n, NULL);
		}
		PG_CATCH();
		{
			worker_request_answer(handle, 0, worker_transaction_recover(context));
		}
		PG_END_TRY();
	}
}

TimestampTz
worker_export_run(void)
{
	static VaultChore chore = {.kind = JOB_EXPORT,.turn = turn};
	static TimestampTz due_at = 0;
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next;

	answer_requests();
	if (setting_export_interval_s == 0)
		return DT_NOEND;
	if (due_at > TimestampTzPlusMilliseconds(now, (int64) setting_export_interval_s * 1000))
		due_at = now;			/* the interval was made shorter */
	if (due_at > now)
		return due_at;
	next = vault_chore_run(&chore);

	/* A vault that failed is tried again after its pause. */
	due_at = Min(TimestampTzPlusMilliseconds(now, (int64) setting_export_interval_s * 1000), next);
	return due_at;
}
