/*
 * vault_chore.c
 *		Chores that go through the vaults of a database.
 */
#include "postgres.h"

#include "worker/vault_chore.h"

#include "forest/forest_catalog.h"
#include "forest/forest_sql.h"
#include "forest/forest_store.h"
#include "nodes/pg_list.h"
#include "server/pg_settings.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/worker_flush.h"
#include "worker/worker_job.h"
#include "worker/worker_probe.h"
#include "worker/worker_transaction.h"

/* How often to look whether there is a vault, where there is none. */
#define NO_VAULT_LOOK_MS 10000

static VaultTurn *
find_turn(VaultChore *chore, int32 vault_id)
{
	MemoryContext old;
	VaultTurn  *turn;
	ListCell   *cell;

	foreach(cell, chore->turns)
	{
		turn = lfirst(cell);
		if (turn->vault_id == vault_id)
			return turn;
	}
	old = MemoryContextSwitchTo(TopMemoryContext);
	turn = palloc0(sizeof(VaultTurn));
	turn->vault_id = vault_id;
	chore->turns = lappend(chore->turns, turn);
	MemoryContextSwitchTo(old);
	return turn;
}

/* What keeps the chore from a lock may keep this from it as well. */
static void
record_failure(const VaultChore *chore, const ForestVault *vault, const VaultTurn *turn, ErrorData *error)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		worker_transaction_begin();
		if (catalog_exists())
			job_fail(0, vault->id, chore->kind, error, turn->failures, turn->pause_s);
		worker_transaction_commit();
	}
	PG_CATCH();
	{
		(void) worker_transaction_recover(context);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
}

static TimestampTz
give_turn(VaultChore *chore, ForestVault *vault, VaultTurn *turn)
{
	MemoryContext old = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(old, "skyvault turn", ALLOCSET_DEFAULT_SIZES);
	volatile TimestampTz due = DT_NOEND;
	ErrorData  *volatile error = NULL;

	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		if (turn->pause_s > 0)
			worker_probe_answers(vault, STORE_SNAPSHOT);
		due = chore->turn(vault, turn);
	}
	PG_CATCH();
	{
		/* A failure that goes on is in the log once; each try is in skyvault.job. */
		error = geterrcode() == turn->last_sqlstate ? worker_transaction_recover_silently(context) :
			worker_transaction_recover(context);
	}
	PG_END_TRY();

	turn->failures = error == NULL ? 0 : turn->failures + 1;
	turn->last_sqlstate = error != NULL ? error->sqlerrcode : 0;
	turn->pause_s = error == NULL ? 0 : Min(Max(turn->pause_s * 2, 1), setting_retry_max_s);
	if (error != NULL)
	{
		record_failure(chore, vault, turn, error);
		due = turn->retry_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), turn->pause_s * 1000);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return due;
}

TimestampTz
vault_chore_run(VaultChore *chore)
{
	TimestampTz next = DT_NOEND;
	ForestVault *vaults;
	int			n = worker_flush_list(&vaults);

	for (int i = 0; i < n; i++)
	{
		VaultTurn  *turn = find_turn(chore, vaults[i].id);
		TimestampTz due = DT_NOEND;

		if (turn->pause_s > 0 && turn->retry_at > GetCurrentTimestamp())
			due = turn->retry_at;
		else if (OidIsValid(vaults[i].server_oid))
			due = give_turn(chore, &vaults[i], turn);
		next = Min(next, due);
	}
	/* Nobody tells of the first vault of a database. */
	return n > 0 ? next : TimestampTzPlusMilliseconds(GetCurrentTimestamp(), n < 0 ? 1000 : NO_VAULT_LOOK_MS);
}

bool
vault_chore_find(int32 vault_id, ForestVault *vault)
{
	ForestVault *vaults;
	int			n = worker_flush_list(&vaults);

	for (int i = 0; i < n; i++)
		if (vaults[i].id == vault_id && OidIsValid(vaults[i].server_oid))
		{
			*vault = vaults[i];
			return true;
		}
	return false;
}

bool
vault_chore_is_ours(const ForestVault *vault)
{
	MemoryContext context = CurrentMemoryContext;
	ForestRows	rows;

	worker_transaction_begin();
	rows = forest_sql("SELECT 1 FROM skyvault.owner WHERE vault_id = $1::integer AND state IN ('fenced', 'attached')",
					  1, forest_arg(vault->id));
	worker_transaction_commit();
	MemoryContextSwitchTo(context);
	return rows.nrows == 0;
}

ObjectStore *
vault_chore_store(const ForestVault *vault)
{
	MemoryContext context = CurrentMemoryContext;
	ObjectStore *store;

	worker_transaction_begin();
	store = forest_store_open(vault->server_oid);
	worker_transaction_commit();
	MemoryContextSwitchTo(context);
	return store;
}
