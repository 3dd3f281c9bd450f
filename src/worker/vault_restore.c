/*
 * vault_restore.c
 *		A vault's catalogue and foreign tables, made anew from its store alone.
 *
 * OWNER tells the line of epochs.  On it the newest snapshot that is whole is
 * taken, and the log from there on, object by object: their names tell what
 * comes next, so whatever is missing is noticed.
 */
#include "postgres.h"

#include "worker/vault_restore.h"

#include <inttypes.h>

#include "access/xlog.h"
#include "base/sv_sealed.h"
#include "forest/forest_catalog.h"
#include "forest/forest_sql.h"
#include "forest/forest_store.h"
#include "forest/forest_vault.h"
#include "forest/forest_xact.h"
#include "foreign/foreign.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "server/pg_status.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "worker/log_text.h"
#include "worker/owner_object.h"
#include "worker/restore_tables.h"

#define UUID_TEXT_LEN 36

/* An epoch of the line. */
typedef struct Epoch
{
	int64		epoch;
	int64		last_id;
	int64		objects;		/* of its log */
	const char *snapshots;		/* JSON: those that count, with whether they lead on */
	bool		open;			/* the current one: it has no end yet */
} Epoch;

/* A snapshot on the line. */
typedef struct Found
{
	char	   *object;
	int64		epoch;
	int64		number;
	int64		id;
	bool		leads_on;		/* to the last change; false: the vault went back behind it */
	const char *name;			/* NULL: automatic */
	const char *created;
	const char *sequences;
	size_t		bytes;
	SvSlice		lines;			/* without the header */
} Found;

typedef struct Restore
{
	const VaultRestoreRequest *request;
	ObjectStore *store;
	const StoreCall *call;
	ForestVault vault;			/* epoch: the current one */
	const char *history;
	Epoch	   *epochs;
	int			nepochs;
	List	   *snapshots;		/* of Found, newest first */
	const Found *start;			/* NULL: the beginning of the log */
	RestoreState state;
} Restore;

/* ---- the vault ---- */

typedef struct NameList
{
	List	   *names;
	MemoryContext context;
} NameList;

static bool
keep_name(void *state, const StoreListed *object)
{
	NameList   *list = state;
	MemoryContext old = MemoryContextSwitchTo(list->context);

	list->names = lappend(list->names, pstrdup(object->name));
	MemoryContextSwitchTo(old);
	return true;
}

static bool
keep_first(void *state, const StoreListed *object)
{
	(void) keep_name(state, object);
	return false;
}

static List *
list_names(Restore *restore, const char *prefix, const char *after, bool only_first)
{
	NameList	list = {.context = CurrentMemoryContext};
	SvError		err;

	log_status_check(store_list(restore->store, prefix, after, only_first ? keep_first : keep_name, &list,
								restore->call, &err), &err);
	return list.names;
}

/* From one vault to the next; "/" is followed by "0" in the order of names. */
static void
find_vault(Restore *restore)
{
	StringInfoData all;
	char	   *after = NULL;
	int			n = 0;

	initStringInfo(&all);
	for (;;)
	{
		List	   *first = list_names(restore, "", after, true);
		char	   *name = first == NIL ? NULL : linitial(first);
		char		etag[STORE_ETAG_BYTES];
		OwnerObject owner;

		if (name == NULL)
			break;
		*strchrnul(name, '/') = '\0';
		after = psprintf("%s0", name);
		if (strlen(name) != UUID_TEXT_LEN || strspn(name, "0123456789abcdef-") != UUID_TEXT_LEN)
			continue;
		restore->vault.uuid = *DatumGetUUIDP(DirectFunctionCall1(uuid_in, CStringGetDatum(name)));
		if (!owner_object_read(restore->store, &restore->vault, &owner, etag))
			continue;
		appendStringInfo(&all, "%s%s", n++ > 0 ? ", " : "", name);
	}
	if (n == 1)
	{
		restore->vault.uuid = *DatumGetUUIDP(DirectFunctionCall1(uuid_in, CStringGetDatum(all.data)));
		return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 n == 0 ? errmsg("there is no vault in the store") : errmsg("there is more than one vault in the store"),
			 n == 0 ? errhint("Check the server's url.") :
			 errhint("Name one of them, as in vault => '...': %s.", all.data)));
}

static void
read_owner(Restore *restore)
{
	char		etag[STORE_ETAG_BYTES];
	OwnerObject owner;
	ForestRows	rows;

	if (restore->request->vault != NULL)
		restore->vault.uuid = *restore->request->vault;
	else
		find_vault(restore);
	if (!owner_object_read(restore->store, &restore->vault, &owner, etag))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("object \"%s\" is not in the store", owner_object_name(&restore->vault))));
	restore->vault.epoch = owner.epoch;
	restore->history = owner.history;

	rows = forest_sql("SELECT h->>'epoch', h->>'last_id', h->>'objects', h->'snapshots'"
					  " FROM jsonb_array_elements($1::jsonb) AS h ORDER BY (h->>'epoch')::bigint", 1, owner.history);
	restore->nepochs = rows.nrows + 1;
	restore->epochs = palloc0(restore->nepochs * sizeof(Epoch));
	for (int i = 0; i < rows.nrows; i++)
		restore->epochs[i] = (Epoch)
	{
		.epoch = forest_cell_int64(&rows, i, 0),
			.last_id = forest_cell_int64(&rows, i, 1),
			.objects = forest_cell_int64(&rows, i, 2),
			.snapshots = forest_cell(&rows, i, 3)
	};
	restore->epochs[rows.nrows] = (Epoch)
	{
		.epoch = owner.epoch,.last_id = PG_INT64_MAX,.objects = PG_INT64_MAX,.open = true
	};
}

/* ---- objects ---- */

/* False: not there, or damaged, which is warned of. */
static bool
read_object(Restore *restore, const char *name, SvSlice *header, SvSlice *lines, size_t *bytes)
{
	SvAlloc    *alloc = palloc(sizeof(SvAlloc));
	SvBuffer	content;
	SvStatus	status;
	SvError		err;

	*alloc = pg_status_alloc(CurrentMemoryContext);
	sv_buffer_init(&content, alloc);
	status = store_get_small(restore->store, name, LOG_MAX_OBJECT_BYTES, &content, NULL, restore->call, &err);
	if (status == SV_NOT_FOUND)
		return false;
	log_status_check(status, &err);
	*bytes = content.len;
	if (sv_sealed_open(sv_buffer_slice(&content), name, lines, &err) == SV_OK && sv_sealed_next(lines, header))
		return true;
	ereport(WARNING,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("%s", err.message)));
	return false;
}

/* The header's fields, if it is one of this vault. */
static bool
parse_header(const Restore *restore, const char *kind, SvSlice header, ForestRows *rows)
{
	*rows = forest_sql("SELECT h->>'epoch', h->>'number', coalesce(h->>'id', h->>'last_id'), h->>'first_id',"
					   " h->>'name',"
					   " h->>'created', h->'sequences' FROM (SELECT $1::jsonb AS h) AS header WHERE h->>'skyvault' = $2"
					   " AND h->>'version' = '1' AND h->>'vault' = $3",
					   3, pnstrdup((const char *) header.data, header.len), kind, log_uuid_text(&restore->vault.uuid));
	return rows->nrows == 1;
}

static void
note_sequences(RestoreState *state, const char *sequences)
{
	ForestRows	rows = forest_sql("SELECT s->>'write', s->>'run', s->>'table' FROM (SELECT $1::jsonb AS s) AS"
								  " sequences",
								  1, sequences);

	state->write_seq = Max(state->write_seq, forest_cell_int64(&rows, 0, 0));
	state->run_id = Max(state->run_id, forest_cell_int64(&rows, 0, 1));
	state->table_id = Max(state->table_id, forest_cell_int64(&rows, 0, 2));
}

/* ---- snapshots ---- */

/*
 * Whether it is of the line, or was kept when the vault went back behind it.
 * Those that an epoch does not name are of somebody who had lost the vault.
 */
static bool
counts(const Epoch *epoch, Found *found)
{
	ForestRows	rows;
	const char *leads_on;

	found->leads_on = epoch->open;
	if (epoch->open)
		return true;
	rows = forest_sql("SELECT $1::jsonb->>$2", 2, epoch->snapshots, strrchr(found->object, '/') + 1);
	leads_on = forest_cell(&rows, 0, 0);
	if (leads_on != NULL)
		found->leads_on = strcmp(leads_on, "true") == 0;
	return leads_on != NULL;
}

static void
find_snapshots_of(Restore *restore, const Epoch *epoch)
{
	ListCell   *cell;

	foreach(cell, list_names(restore, psprintf("%s/" INT64_FORMAT "/snapshot/", log_uuid_text(&restore->vault.uuid),
											   epoch->epoch), NULL, false))
	{
		Found	   *found = palloc0(sizeof(Found));
		SvSlice		header;
		ForestRows	rows;

		found->object = lfirst(cell);
		if (!counts(epoch, found) ||
			!read_object(restore, found->object, &header, &found->lines, &found->bytes) ||
			!parse_header(restore, "snapshot", header, &rows))
			continue;
		found->epoch = forest_cell_int64(&rows, 0, 0);
		found->number = forest_cell_int64(&rows, 0, 1);
		found->id = forest_cell_int64(&rows, 0, 2);
		found->name = forest_cell(&rows, 0, 4);
		found->created = forest_cell(&rows, 0, 5);
		found->sequences = forest_cell(&rows, 0, 6);
		if (found->epoch == epoch->epoch)
			restore->snapshots = lcons(found, restore->snapshots);
	}
}

static void
start_from(Restore *restore, const Found *found)
{
	restore->start = found;
	restore->state.epoch = found->epoch;
	restore->state.number = found->number;
	restore->state.id = found->id;
	note_sequences(&restore->state, found->sequences);
	restore_apply_snapshot(&restore->state, found->lines, found->object);
}

/* The newest of them; name NULL: whatever its name is. */
static const Found *
find_newest(const Restore *restore, const char *name, bool leads_on)
{
	ListCell   *cell;

	foreach(cell, restore->snapshots)
	{
		const Found *found = lfirst(cell);

		if (found->leads_on == leads_on &&
			(name == NULL || (found->name != NULL && strcmp(found->name, name) == 0)))
			return found;
	}
	return NULL;
}

/*
 * What the name stands for.  One that was dropped, or whose scheduler died before
 * he recorded it, may be there as well: whoever made the newest knew of no other.
 */
static const Found *
find_named(const Restore *restore, const char *name)
{
	const Found *found = find_newest(restore, name, true);

	return found != NULL ? found : find_newest(restore, name, false);
}

static void
start_from_named(Restore *restore)
{
	const char *name = restore->request->from_snapshot;
	const Found *found = find_named(restore, name);

	if (found == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no snapshot \"%s\" in the store, or it is damaged", name)));
	start_from(restore, found);
}

/* ---- the log ---- */

static void
warn_of_gap(const Restore *restore, const char *missing)
{
	ereport(WARNING,
			(errmsg("the log has a gap: object \"%s\" is missing, damaged or not the next", missing),
			 errdetail("What comes after change " INT64_FORMAT " is not restored.", restore->state.id)));
}

static void
record_log_object(const Restore *restore, int64 epoch, int64 number, int64 last_id, const char *name, size_t bytes)
{
	(void) forest_sql("INSERT INTO skyvault.log_object VALUES ($1::integer, $2::bigint, $3::bigint, $4::bigint, $5,"
					  " $6::bigint)",
					  6, forest_arg(restore->state.vault_id), forest_arg(epoch), forest_arg(number),
					  forest_arg(last_id), name, forest_arg((int64) bytes));
}

/* One object; false if the log ends there, or has a gap. */
static bool
replay_object(Restore *restore, const Epoch *epoch, int64 number, bool *gap)
{
	RestoreState *state = &restore->state;
	char	   *name = log_object_name(&restore->vault.uuid, epoch->epoch, number);
	SvSlice		header;
	SvSlice		lines;
	size_t		bytes;
	ForestRows	rows;

	if (!read_object(restore, name, &header, &lines, &bytes))
	{
		*gap = !epoch->open ||
			list_names(restore, psprintf("%s/" INT64_FORMAT "/log/", log_uuid_text(&restore->vault.uuid), epoch->epoch),
					   psprintf("%s/" INT64_FORMAT "/log/%016" PRIx64, log_uuid_text(&restore->vault.uuid),
								epoch->epoch, number), true) != NIL;
	}
	else if (!parse_header(restore, "log", header, &rows) || forest_cell_int64(&rows, 0, 0) != epoch->epoch ||
			 forest_cell_int64(&rows, 0, 1) != number || forest_cell_int64(&rows, 0, 3) > state->id + 1 ||
			 !restore_apply_log(state, lines, epoch->last_id, name))
		*gap = true;
	else
	{
		note_sequences(state, forest_cell(&rows, 0, 6));
		record_log_object(restore, epoch->epoch, number, forest_cell_int64(&rows, 0, 2), name, bytes);
		state->epoch = epoch->epoch;
		state->number = number;
		return true;
	}
	if (*gap)
		warn_of_gap(restore, name);
	return false;
}

/* From the position on.  An epoch that ends before it counts as its own. */
static void
replay(Restore *restore)
{
	bool		gap = false;

	for (int i = 0; i < restore->nepochs && !gap; i++)
	{
		const Epoch *epoch = &restore->epochs[i];
		int64		number = 1;

		if (epoch->epoch < restore->state.epoch)
			continue;
		if (epoch->epoch == restore->state.epoch)
			number = restore->state.number + 1;
		while (number <= epoch->objects && replay_object(restore, epoch, number, &gap))
			number++;
	}
}

/* ---- the catalogue ---- */

static void
check_is_empty(void)
{
	ForestRows	rows = forest_sql("SELECT 1 FROM skyvault.\"table\" UNION ALL SELECT 1 FROM skyvault.run LIMIT 1", 0);

	if (rows.nrows > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this database has tables in a vault already"),
				 errdetail("Runs know tables by number, and theirs might be the same."),
				 errhint("Restore into a database of its own.")));
}

static void
make_vault(Restore *restore)
{
	restore->state.vault_id = restore->vault.id = (int32) catalog_draw(CATALOG_VAULT_ID_SEQ);
	restore->state.server_oid = restore->request->server_oid;
	(void) forest_sql("INSERT INTO skyvault.vault (id, server, uuid, created) VALUES ($1::integer, $2, $3::uuid,"
					  " clock_timestamp())",
					  3, forest_arg(restore->vault.id), GetForeignServer(restore->request->server_oid)->servername,
					  log_uuid_text(&restore->vault.uuid));
}

/*
 * Whether what was restored comes after it.  Of what the vault had gone back
 * behind before, only what is surely on the way to where it is now.  That holds
 * for a start off the line, too: where it left the line is not known, so what
 * leads on there, in an earlier epoch, may be beyond that point.
 */
static bool
leads_here(const Restore *restore, const Found *found)
{
	const RestoreState *state = &restore->state;
	const Found *start = restore->start;

	if (found == start)
		return true;
	if (found->epoch > state->epoch ||
		(found->epoch == state->epoch && (found->number > state->number || found->id > state->id)))
		return false;
	if (start != NULL && !start->leads_on)
		return found->epoch == start->epoch && found->id <= start->id;
	return found->leads_on;
}

/* What a worker needs to go on from here. */
static void
record_position(const Restore *restore)
{
	const RestoreState *state = &restore->state;

	(void) forest_sql("INSERT INTO skyvault.owner (vault_id, state, epoch, incarnation, system_identifier, database,"
					  " timeline, place, started, exported_id, log_objects, snapshot_due) VALUES ($1::integer, $2,"
					  " $3::bigint,"
					  " gen_random_uuid(), $4::bigint, $5::oid, 0, 0, 'epoch', $6::bigint, $7::bigint, true)",
					  7, forest_arg(state->vault_id), restore->request->adopt ? "adopting" : "attached",
					  forest_arg(state->epoch), forest_arg((int64) GetSystemIdentifier()), forest_arg(MyDatabaseId),
					  forest_arg(state->id), forest_arg(state->number));
	if (state->id > 0)
		(void) forest_sql("INSERT INTO skyvault.changelog (serial, vault_id, id, kind, table_ids, changes, at)"
						  " VALUES (nextval('skyvault.serial_seq'), $1::integer, $2::bigint, 'restore', '{}', '{}',"
						  " clock_timestamp())", 2, forest_arg(state->vault_id), forest_arg(state->id));
	for (int i = list_length(restore->snapshots) - 1; i >= 0; i--)
	{
		const Found *found = list_nth(restore->snapshots, i);
		bool		leads_on = leads_here(restore, found);

		/* What it does not keep is an orphan. */
		if (found->name == NULL ? !leads_on : found != find_named(restore, found->name))
			continue;
		(void) forest_sql("INSERT INTO skyvault.snapshot (id, vault_id, name, epoch, log_number, changelog_id, object,"
						  " bytes, objects, created, leads_on) SELECT nextval('skyvault.snapshot_id_seq'),"
						  " $1::integer, $2, $3::bigint, $4::bigint, $5::bigint, $6, $7::bigint,"
						  " ARRAY(SELECT l->'run'->>'object' FROM jsonb_array_elements($8::jsonb) AS l"
						  " WHERE l ? 'run'),"
						  " $9::timestamptz, $10::boolean",
						  10, forest_arg(state->vault_id), found->name, forest_arg(found->epoch),
						  forest_arg(found->number), forest_arg(found->id), found->object,
						  forest_arg((int64) found->bytes), restore_as_array(found->lines), found->created,
						  leads_on ? "true" : "false");
	}
}

static void
set_sequences(RestoreState *state)
{
	ForestRows	rows = forest_sql("SELECT max(seq_hi), max(id) FROM skyvault.run WHERE vault_id = $1::integer",
								  1, forest_arg(state->vault_id));
	ListCell   *cell;

	state->write_seq = Max(state->write_seq, forest_cell_int64(&rows, 0, 0));
	state->run_id = Max(state->run_id, forest_cell_int64(&rows, 0, 1));
	foreach(cell, state->tables)
		state->write_seq = Max(state->write_seq, ((RestoreTable *) lfirst(cell))->floor_seq);
	(void) forest_sql("SELECT setval('skyvault.write_seq', greatest($1::bigint, (SELECT last_value FROM"
					  " skyvault.write_seq))),"
					  " setval('skyvault.run_id_seq', greatest($2::bigint, (SELECT last_value FROM"
					  " skyvault.run_id_seq)))",
					  2, forest_arg(state->write_seq), forest_arg(state->run_id));
}

static int64
count_runs(const RestoreState *state)
{
	ForestRows	rows = forest_sql("SELECT count(*) FROM skyvault.run WHERE vault_id = $1::integer",
								  1, forest_arg(state->vault_id));

	return forest_cell_int64(&rows, 0, 0);
}

void
vault_restore(const VaultRestoreRequest *request, VaultRestored *restored)
{
	Restore    *restore = palloc0(sizeof(Restore));

	restore->request = request;
	restore->vault.server_oid = request->server_oid;
	restore->store = forest_store_open(request->server_oid);
	restore->call = forest_store_call(request->server_oid, STORE_SNAPSHOT);
	check_is_empty();
	read_owner(restore);
	forest_xact_note_forest_change();
	make_vault(restore);

	/* The newest are first then; who takes the oldest of two equals is right as well. */
	for (int i = 0; i < restore->nepochs; i++)
		find_snapshots_of(restore, &restore->epochs[i]);
	if (request->from_snapshot != NULL)
		start_from_named(restore);
	else
	{
		const Found *newest = find_newest(restore, NULL, true);

		if (newest != NULL)
			start_from(restore, newest);
		replay(restore);
	}
	if (restore->state.id == 0)
		ereport(NOTICE, (errmsg("the vault has no change in its store")));

	restored->tables = request->keep_definitions ? restore_keep_definitions(&restore->state) :
		restore_make_tables(&restore->state);
	set_sequences(&restore->state);
	record_position(restore);
	forest_xact_note_wake();
	restored->uuid = restore->vault.uuid;
	restored->epoch = restore->state.epoch;
	restored->changelog_id = restore->state.id;
	restored->runs = count_runs(&restore->state);
}
