/*
 * worker_local.c
 *		Filling, sweeping and removing mirrors; retiring ranges of the disk tier.
 *
 * The registry is read in a transaction, which ends before anything is
 * fetched.  An object that is collected meanwhile is not found, and passed
 * over.  Objects that are garbage, but not yet collected, are left alone by the sweep:
 * old snapshots may still read them.
 */
#include "postgres.h"

#include "worker/worker_local.h"

#include "foreign/foreign.h"
#include "forest/forest_sql.h"
#include "forest/forest_store.h"
#include "forest/forest_store_local.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "server/pg_disk_tier.h"
#include "server/pg_settings.h"
#include "server/pg_status.h"
#include "store/store_mirror.h"
#include "store/store_tier.h"
#include "storage/fd.h"
#include "utils/timestamp.h"
#include "worker/vault_chore.h"
#include "worker/worker_transaction.h"

#define JOB_LOCAL "mirror"

/* How soon a missing file, garbage, or a changed option is noticed. */
#define LOOK_MS 10000

/* Older files are swept; uploads are published long before. */
#define SWEEP_AGE_S 3600
#define SWEEP_MS (3600 * 1000)

static TimestampTz
in_ms(int64 ms)
{
	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ms);
}

typedef enum LocalCopy
{
	LOCAL_NONE, LOCAL_MIRROR, LOCAL_TIER
} LocalCopy;

static LocalCopy
local_copy(const ForestVault *vault)
{
	ForeignServer *server = GetForeignServer(vault->server_oid);

	if (forest_store_wants_mirror(server))
		return LOCAL_MIRROR;
	return forest_store_is_remote(server) && pg_disk_tier() != NULL ? LOCAL_TIER : LOCAL_NONE;
}

/*
 * Of a mirror what there should be: object, bytes; then what may go only with its
 * object: object, NULL.  Of the disk tier what has become garbage since the
 * last look, and a while before: rows come into sight out of order.
 */
static LocalCopy
read_objects(const ForestVault *vault, uint64 *seen, ForestRows *objects)
{
	MemoryContext context = CurrentMemoryContext;
	LocalCopy	copy;

	worker_transaction_begin();
	copy = local_copy(vault);
	MemoryContextSwitchTo(context);
	if (copy == LOCAL_MIRROR)
		*objects = forest_sql("SELECT object, file_bytes FROM skyvault.run WHERE vault_id = $1::integer "
							  "UNION ALL SELECT object, NULL FROM skyvault.garbage WHERE vault_id = $1::integer",
							  1, forest_arg(vault->id));
	else if (copy == LOCAL_TIER)
	{
		*objects = forest_sql("SELECT object FROM skyvault.garbage WHERE vault_id = $1::integer "
							  "AND at > $2::timestamptz - interval '10 min'",
							  2, forest_arg(vault->id), pstrdup(timestamptz_to_str((TimestampTz) *seen)));
		*seen = (uint64) GetCurrentTimestamp();
	}
	worker_transaction_commit();
	MemoryContextSwitchTo(context);
	return copy;
}

/* Fetches the first object that is missing; false if none is. */
static bool
fill_one(const ForestVault *vault, ObjectStore *store, const ForestRows *objects)
{
	StoreCall	call = *forest_store_call(vault->server_oid, STORE_COMPACTION);
	bool		filled = false;

	/* Flushes wait meanwhile: not for as long as they would wait for themselves. */
	call.deadline_ms = setting_store_timeout_ms;
	for (int i = 0; i < objects->nrows && !filled; i++)
	{
		SvStatus	status;
		SvError		err;

		CHECK_FOR_INTERRUPTS();
		if (forest_cell(objects, i, 1) == NULL)
			continue;
		status = store_mirror_fill(store, forest_cell(objects, i, 0), (uint64) forest_cell_int64(objects, i, 1),
								   &filled, &call, &err);
		if (status != SV_OK && status != SV_NOT_FOUND)
			pg_status_report(ERROR, &err);
	}
	return filled;
}

static const char **
object_names(const ForestRows *objects)
{
	const char **names = palloc(Max(objects->nrows, 1) * sizeof(char *));

	for (int i = 0; i < objects->nrows; i++)
		names[i] = forest_cell(objects, i, 0);
	return names;
}

static void
sweep(ObjectStore *store, const ForestRows *objects)
{
	int			removed;
	SvError		err;

	if (store_mirror_sweep(store, object_names(objects), objects->nrows, SWEEP_AGE_S, &removed, &err) != SV_OK)
		pg_status_report(ERROR, &err);
	if (removed > 0)
		elog(DEBUG1, "removed %d files of a mirror", removed);
}

static TimestampTz
mind_mirror(const ForestVault *vault, const ForestRows *objects, VaultTurn *turn)
{
	ObjectStore *store = vault_chore_store(vault);

	/* The option was changed just now. */
	if (!store_is_mirror(store))
		return in_ms(LOOK_MS);
	if (fill_one(vault, store, objects))
		return GetCurrentTimestamp();
	if (turn->due_at <= GetCurrentTimestamp())
	{
		sweep(store, objects);
		turn->due_at = in_ms(SWEEP_MS);
	}
	return in_ms(LOOK_MS);
}

static TimestampTz
turn(ForestVault *vault, VaultTurn *turn)
{
	ForestRows	objects;

	switch (read_objects(vault, &turn->seen, &objects))
	{
		case LOCAL_NONE:
			break;
		case LOCAL_MIRROR:
			return mind_mirror(vault, &objects, turn);
		case LOCAL_TIER:
			if (objects.nrows > 0)
				store_tier_retire(vault_chore_store(vault), object_names(&objects), objects.nrows);
			break;
	}
	return in_ms(LOOK_MS);
}

/*
 * Directories are listed before the transaction begins: so it sees the servers of all
 * of them.  Who still has an old handle may write into one that is being removed;
 * then some of it stays, until the next time.
 */
static List *
superfluous_mirrors(void)
{
	MemoryContext context = CurrentMemoryContext;
	DIR		   *dir = AllocateDir(setting_disk_cache_path);
	struct dirent *entry;
	List	   *mirrors = NIL;
	List	   *superfluous = NIL;
	ListCell   *cell;

	if (dir == NULL)
		return NIL;
	while ((entry = ReadDirExtended(dir, setting_disk_cache_path, LOG)) != NULL)
		if (strncmp(entry->d_name, "mirror-", strlen("mirror-")) == 0)
			mirrors = lappend(mirrors, pstrdup(entry->d_name));
	FreeDir(dir);
	if (mirrors == NIL)
		return NIL;

	worker_transaction_begin();
	MemoryContextSwitchTo(context);
	foreach(cell, mirrors)
		if (forest_mirror_is_superfluous(lfirst(cell)))
			superfluous = lappend(superfluous, lfirst(cell));
	worker_transaction_commit();
	MemoryContextSwitchTo(context);
	return superfluous;
}

/* Nothing depends on a mirror: at worst it has to be fetched again. */
static TimestampTz
remove_superfluous_mirrors(void)
{
	bool		removed = true;
	ListCell   *cell;

	foreach(cell, superfluous_mirrors())
	{
		CHECK_FOR_INTERRUPTS();
		removed &= rmtree(psprintf("%s/%s", setting_disk_cache_path, (char *) lfirst(cell)), true);
	}
	return in_ms(removed ? LOOK_MS : SWEEP_MS);
}

TimestampTz
worker_local_run(void)
{
	static VaultChore chore = {.kind = JOB_LOCAL,.turn = turn};
	static TimestampTz mirrors_due = 0;
	TimestampTz next;

	if (mirrors_due <= GetCurrentTimestamp())
		mirrors_due = remove_superfluous_mirrors();
	next = vault_chore_run(&chore);
	return Min(mirrors_due, next);
}
