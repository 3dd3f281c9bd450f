/*
 * worker_mirror.c
 *		Filling and sweeping mirrors.
 *
 * The registry is read in a transaction, which ends before anything is
 * fetched.  An object that is collected meanwhile is not found, and passed
 * over.  Objects that are garbage, but not yet collected, are left alone by the sweep:
 * old snapshots may still read them.
 */
#include "postgres.h"

#include "worker/worker_mirror.h"

#include "foreign/foreign.h"
#include "forest/forest_sql.h"
#include "forest/forest_store.h"
#include "forest/forest_store_local.h"
#include "miscadmin.h"
#include "server/pg_settings.h"
#include "server/pg_status.h"
#include "store/store_mirror.h"
#include "utils/timestamp.h"
#include "worker/vault_chore.h"
#include "worker/worker_transaction.h"

#define JOB_MIRROR "mirror"

/* How soon a new run's missing file, or a changed option, is noticed. */
#define LOOK_MS 10000

/* Older files are swept; uploads are published long before. */
#define SWEEP_AGE_S 3600
#define SWEEP_MS (3600 * 1000)

static TimestampTz
in_ms(int64 ms)
{
	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ms);
}

/* What there should be: object, bytes; then what may go only with its object: object, NULL. */
static bool
read_objects(const ForestVault *vault, ForestRows *objects)
{
	MemoryContext context = CurrentMemoryContext;
	bool		is_wanted;

	worker_transaction_begin();
	is_wanted = forest_store_wants_mirror(GetForeignServer(vault->server_oid));
	MemoryContextSwitchTo(context);
	if (is_wanted)
		*objects = forest_sql("SELECT object, file_bytes FROM skyvault.run WHERE vault_id = $1::integer "
							  "UNION ALL SELECT object, NULL FROM skyvault.garbage WHERE vault_id = $1::integer",
							  1, forest_arg(vault->id));
	worker_transaction_commit();
	MemoryContextSwitchTo(context);
	return is_wanted;
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

static void
sweep(ObjectStore *store, const ForestRows *objects)
{
	const char **names = palloc(Max(objects->nrows, 1) * sizeof(char *));
	int			removed;
	SvError		err;

	for (int i = 0; i < objects->nrows; i++)
		names[i] = forest_cell(objects, i, 0);
	if (store_mirror_sweep(store, names, objects->nrows, SWEEP_AGE_S, &removed, &err) != SV_OK)
		pg_status_report(ERROR, &err);
	if (removed > 0)
		elog(DEBUG1, "removed %d files of a mirror", removed);
}

static TimestampTz
turn(ForestVault *vault, VaultTurn *turn)
{
	ForestRows	objects;
	ObjectStore *store;

	if (!read_objects(vault, &objects))
		return in_ms(LOOK_MS);
	store = vault_chore_store(vault);
	if (!store_is_mirror(store))
		return in_ms(LOOK_MS);
	if (fill_one(vault, store, &objects))
		return GetCurrentTimestamp();
	if (turn->due_at <= GetCurrentTimestamp())
	{
		sweep(store, &objects);
		turn->due_at = in_ms(SWEEP_MS);
	}
	return in_ms(LOOK_MS);
}

TimestampTz
worker_mirror_run(void)
{
	static VaultChore chore = {.kind = JOB_MIRROR,.turn = turn};

	return vault_chore_run(&chore);
}
