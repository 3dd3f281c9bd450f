/*
 * worker_gc.c
 *		Garbage collection: objects that nobody can need are deleted.
 *
 * An object is deleted, and then its row: after a death in between it is
 * deleted once more, which does nothing.  Orphans become garbage first, and are
 * deleted when garbage is; so there is one way out.  Before each batch three
 * things are made sure of.  The removals are on disk: a crash brings back no
 * run whose object is gone.  They are in the log: nor does a restore.  And OWNER
 * is looked at: who has lost the vault must delete nothing.
 *
 * A pass has at most so many batches, a sweep so many objects; the rest comes
 * in the next.
 */
#include "postgres.h"

#include "worker/worker_gc.h"

#include "forest/forest_sql.h"
#include "forest/forest_store.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "server/pg_settings.h"
#include "server/stop_point.h"
#include "utils/timestamp.h"
#include "worker/gc_select.h"
#include "worker/gc_sweep.h"
#include "worker/log_text.h"
#include "worker/vault_chore.h"
#include "worker/worker_export.h"
#include "worker/worker_flush.h"
#include "worker/worker_owner.h"
#include "worker/worker_request.h"
#include "worker/worker_transaction.h"

#define JOB_GC			"gc"
#define BATCH_OBJECTS	500
#define PASS_BATCHES	20
#define SWEEP_OBJECTS	5000

/* So many refusals in a row are the store's, and not of these objects. */
#define MOST_REFUSALS	3

/* No put that lives has been idle for so long. */
#define LEFTOVER_AGE_S	3600

static ForestRows
read_batch(const ForestVault *vault)
{
	MemoryContext context = CurrentMemoryContext;
	ForestRows	rows;

	worker_transaction_begin();
	MemoryContextSwitchTo(context);
	rows = gc_select_deletable(vault->id, BATCH_OBJECTS);
	if (rows.nrows > 0)
		worker_transaction_commit_all();
	else
		worker_transaction_commit();
	MemoryContextSwitchTo(context);
	return rows;
}

/* The rows of the first n objects. */
static void
forget(const ForestVault *vault, char **objects, int n)
{
	MemoryContext context = CurrentMemoryContext;
	StringInfoData array;

	initStringInfo(&array);
	appendStringInfoChar(&array, '{');
	for (int i = 0; i < n; i++)
		appendStringInfo(&array, "%s\"%s\"", i > 0 ? "," : "", objects[i]);
	appendStringInfoChar(&array, '}');
	worker_transaction_begin();
	(void) forest_sql("DELETE FROM skyvault.garbage WHERE vault_id = $1::integer"
					  " AND object IN (SELECT unnest($2::text[]))",
					  2, forest_arg(vault->id), array.data);
	worker_transaction_commit();
	MemoryContextSwitchTo(context);
}

/* Behind all others, and until skyvault.retention has passed again. */
static void
postpone(const ForestVault *vault, const char *object)
{
	MemoryContext context = CurrentMemoryContext;

	worker_transaction_begin();
	(void) forest_sql("UPDATE skyvault.garbage SET at = clock_timestamp() WHERE vault_id = $1::integer AND object = $2",
					  2, forest_arg(vault->id), object);
	worker_transaction_commit();
	MemoryContextSwitchTo(context);
}

static bool
is_refusal(SvStatus status)
{
	return status == SV_DENIED || status == SV_INVALID;
}

/*
 * What is left of a batch that was refused, one by one: an object that may not be
 * removed, or whose name is none, keeps no others from it.  Returns how many are gone.
 */
static int
delete_singly(const ForestVault *vault, ObjectStore *store, const ForestRows *rows, int from)
{
	int			removed = 0;
	int			refusals = 0;

	for (int i = from; i < rows->nrows && refusals < MOST_REFUSALS; i++)
	{
		SvStatus	status;
		SvError		err;

		CHECK_FOR_INTERRUPTS();
		status = store_remove(store, rows->cells[i], forest_store_call(vault->server_oid, STORE_GC), &err);
		if (status == SV_OK)
		{
			forget(vault, &rows->cells[i], 1);
			removed++;
			refusals = 0;
		}
		else if (is_refusal(status))
		{
			postpone(vault, rows->cells[i]);
			refusals++;
		}
		else
			log_status_check(status, &err); /* a store that is away says nothing about the object */
	}
	return removed;
}

/*
 * How many are gone.  All removals of the batch were committed before it was
 * read: so they can be numbered and exported now, and nothing that is deleted
 * is part of the forest that a restore finds at the end of the log.
 */
static int
delete_batch(ForestVault *vault, ObjectStore *store)
{
	ForestRows	rows = read_batch(vault);
	int			removed = 0;
	SvStatus	status;
	SvError		err;

	if (rows.nrows == 0)
		return 0;
	worker_flush_number(vault->id);
	(void) worker_export_vault(vault);
	worker_owner_require(vault, store);
	STOP_POINT("gc-before-remove");
	status = store_remove_many(store, (const char *const *) rows.cells, rows.nrows, &removed,
							   forest_store_call(vault->server_oid, STORE_GC), &err);
	STOP_POINT("gc-removed");
	if (removed > 0)
		forget(vault, rows.cells, removed);
	if (is_refusal(status))
		removed += delete_singly(vault, store, &rows, removed);
	log_status_check(status, &err);
	return removed;
}

/* Removes what puts have left that never ended; how much of it is too young. */
static int
remove_leftovers(const ForestVault *vault, ObjectStore *store)
{
	int			left;
	SvError		err;

	log_status_check(store_sweep(store, psprintf("%s/", log_uuid_text(&vault->uuid)),
								 Max(setting_orphan_grace_s, LEFTOVER_AGE_S), &left,
								 forest_store_call(vault->server_oid, STORE_GC), &err), &err);
	return left;
}

/* Makes orphans garbage; false if the sweep has not come to its end. */
static bool
sweep_some(ForestVault *vault, ObjectStore *store, GcSweep *sweep)
{
	MemoryContext context = CurrentMemoryContext;
	GcListing	listing;
	ForestRows	rows;

	worker_owner_require(vault, store);
	if (sweep->after == NULL)
	{
		gc_sweep_begin(vault, sweep);
		sweep->incomplete |= remove_leftovers(vault, store) > 0;
	}
	gc_list(vault, store, sweep->after, SWEEP_OBJECTS, &listing);
	STOP_POINT("gc-listed");
	worker_transaction_begin();
	MemoryContextSwitchTo(context);
	rows = gc_select_orphans(vault, &listing);
	for (int i = 0; i < rows.nrows; i++)
		/* No snapshot has ever seen it. */
		(void) forest_sql("INSERT INTO skyvault.garbage (object, vault_id, removed_xid8, at)"
						  " VALUES ($2, $1::integer, '0', clock_timestamp()) ON CONFLICT DO NOTHING",
						  2, forest_arg(vault->id), forest_cell(&rows, i, 0));
	worker_transaction_commit();
	MemoryContextSwitchTo(context);

	gc_sweep_advance(sweep, listing.last, listing.unripe > 0);
	return sweep->after == NULL;
}

/* Returns how many objects are gone; *more: there may be others. */
static int64
collect(ForestVault *vault, ObjectStore *store, bool *more)
{
	int64		removed = 0;
	int			n = 1;

	for (int i = 0; i < PASS_BATCHES && n > 0; i++)
	{
		n = delete_batch(vault, store);
		removed += n;
		CHECK_FOR_INTERRUPTS();
	}
	*more = n > 0;
	return removed;
}

/* When the next sweep, or the next part of one, is due. */
static TimestampTz
sweep_if_due(ForestVault *vault, ObjectStore *store)
{
	GcSweep    *sweep = gc_sweep_find(vault->id);
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next = TimestampTzPlusMilliseconds(now, (int64) setting_sweep_interval_s * 1000);

	if (setting_sweep_interval_s == 0)
		return DT_NOEND;
	gc_sweep_look(vault, sweep);
	if (sweep->due_at == 0 || sweep->due_at > next)
		sweep->due_at = next;
	if (gc_sweep_is_urgent(sweep))
		sweep->due_at = now;
	if (sweep->due_at <= now)
		sweep->due_at = (sweep->after == NULL && !gc_sweep_is_needed(sweep)) || sweep_some(vault, store, sweep) ?
			next : now;
	return sweep->due_at;
}

static bool
is_used(const ForestVault *vault)
{
	return vault->epoch > 0 && vault_chore_is_ours(vault);
}

static TimestampTz
turn(ForestVault *vault, VaultTurn *turn)
{
	TimestampTz next = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), (int64) setting_gc_interval_s * 1000);
	TimestampTz sweep_at;
	ObjectStore *store;
	bool		sweep_first = turn->failures % 2 == 0;
	bool		more = false;

	if (!is_used(vault))
		return next;
	store = vault_chore_store(vault);

	/*
	 * A sweep first, as what it finds may be deleted at once.  But one of the two may
	 * fail for good, and must not keep the other from its turn: so they change places
	 * with each failure.
	 */
	if (!sweep_first)
		(void) collect(vault, store, &more);
	sweep_at = sweep_if_due(vault, store);
	next = Min(next, sweep_at);
	if (sweep_first)
		(void) collect(vault, store, &more);
	STOP_POINT("gc-turn");
	return more ? GetCurrentTimestamp() : next;
}

/* All of it, whatever the interval. */
static int64
collect_all(ForestVault *vault, bool sweep)
{
	ObjectStore *store = vault_chore_store(vault);
	int64		removed = 0;
	bool		more = true;

	if (vault->epoch == 0)
		return 0;
	if (!vault_chore_is_ours(vault))
		worker_owner_require(vault, store); /* says why not */
	if (sweep)
	{
		GcSweep		whole = {0};

		while (!sweep_some(vault, store, &whole))
			CHECK_FOR_INTERRUPTS();
	}
	while (more)
		removed += collect(vault, store, &more);
	return removed;
}

static void
answer_requests(void)
{
	MemoryContext context = CurrentMemoryContext;
	WorkerRequest request;
	int			handle;

	while ((handle = worker_request_take(REQUEST_GC, &request)) >= 0)
	{
		PG_TRY();
		{
			ForestVault vault;
			int64		n = vault_chore_find(request.vault_id, &vault) ? collect_all(&vault, request.sweep) : 0;

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
worker_gc_run(void)
{
	static VaultChore chore = {.kind = JOB_GC,.turn = turn};

	answer_requests();
	return setting_gc_interval_s == 0 ? DT_NOEND : vault_chore_run(&chore);
}
