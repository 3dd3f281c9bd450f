/*
 * compact_publish.c
 *		Replaces inputs by outputs.
 *
 * In this order: the tables' locks, conditionally, so that TRUNCATE and DROP
 * have either happened or not begun; the rows of the inputs, without waiting;
 * the numbering lock, so that no other worker publishes until the commit is
 * visible; then a snapshot, which sees all that was published, and the check of
 * lsm_apply.h against it.  What can come meanwhile is a load: its sequence is
 * newer than anything here, so it stays on top.  And a flush that has not
 * committed: its publish found its tables unlocked and was the newest; it is
 * newer than any input as well.
 */
#include "postgres.h"

#include "worker/compact_publish.h"

#include "access/xact.h"
#include "catalog/pg_foreign_server.h"
#include "forest/forest_catalog.h"
#include "forest/forest_changelog.h"
#include "forest/forest_registry.h"
#include "forest/forest_store.h"
#include "forest/forest_table.h"
#include "forest/forest_traffic.h"
#include "foreign/foreign.h"
#include "lib/stringinfo.h"
#include "lsm/lsm_apply.h"
#include "server/pg_status.h"
#include "server/stop_point.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "worker/compact_claim.h"
#include "worker/compact_share.h"
#include "worker/worker_chore.h"
#include "worker/worker_embedded.h"
#include "worker/worker_transaction.h"

typedef struct PublishTable
{
	int32		id;
	bool		locked;
	Oid			relid;			/* InvalidOid: it is not in the catalogue */
} PublishTable;

typedef struct Publish
{
	const CompactPlan *plan;
	const LsmResult *result;
	SvAlloc		alloc;
	PublishTable *tables;		/* all that the job consumes parts of, ascending */
	int			ntables;
	Snapshot	snapshot;
	LsmVerdict	verdict;
	LsmChanges	changes;
	CompactOutcome outcome;
	int64	   *added;			/* runs whose rows are new, then those that have changed */
	int			nadded;
} Publish;

static int
compare_ids(const void *a, const void *b)
{
	int32		left = *(const int32 *) a;
	int32		right = *(const int32 *) b;

	return (left > right) - (left < right);
}

/* Ascending, as the order of locks demands; each once. */
static void
collect_tables(Publish *publish)
{
	const LsmJob *job = publish->plan->job;
	int			n = 0;
	int32	   *ids;

	for (int i = 0; i < job->ninputs; i++)
		n += job->inputs[i].ntables;
	ids = palloc(Max(n, 1) * sizeof(int32));
	n = 0;
	for (int i = 0; i < job->ninputs; i++)
		for (int j = 0; j < job->inputs[i].ntables; j++)
			ids[n++] = job->inputs[i].table_ids[j];
	qsort(ids, n, sizeof(int32), compare_ids);

	publish->tables = palloc0(Max(n, 1) * sizeof(PublishTable));
	for (int i = 0; i < n; i++)
		if (i == 0 || ids[i] != ids[i - 1])
			publish->tables[publish->ntables++].id = ids[i];
}

static bool
is_locked(const Publish *publish, int32 table_id)
{
	for (int i = 0; i < publish->ntables; i++)
		if (publish->tables[i].id == table_id)
			return publish->tables[i].locked;
	return false;
}

/* A run that holds nothing but tables that are left out stays as it is: a TRUNCATE may be removing it. */
static bool
is_wanted(const Publish *publish, const LsmJobInput *input)
{
	for (int i = 0; i < input->ntables; i++)
		if (is_locked(publish, input->table_ids[i]))
			return true;
	return false;
}

/* False if an input is not there any more, or somebody is about to remove it. */
static bool
take_locks(Publish *publish)
{
	const LsmJob *job = publish->plan->job;
	int64	   *run_ids = palloc(Max(job->ninputs, 1) * sizeof(int64));
	int			n = 0;

	for (int i = 0; i < publish->ntables; i++)
		publish->tables[i].locked = catalog_try_lock_table(publish->tables[i].id, AccessShareLock);
	STOP_POINT("compact-locked");
	for (int i = 0; i < job->ninputs; i++)
		if (is_wanted(publish, &job->inputs[i]))
			run_ids[n++] = job->inputs[i].run.id;
	if (!registry_lock_runs(run_ids, n))
		return false;
	catalog_lock_numbering(publish->plan->vault.id);
	return true;
}

static LsmTableState
table_state(void *state, int32_t table_id)
{
	Publish    *publish = state;

	for (int i = 0; i < publish->ntables; i++)
	{
		if (publish->tables[i].id != table_id)
			continue;
		if (!publish->tables[i].locked)
			return LSM_TABLE_LOCKED;
		return OidIsValid(publish->tables[i].relid) ? LSM_TABLE_LIVE : LSM_TABLE_DROPPED;
	}
	return LSM_TABLE_LOCKED;	/* none of the job's: nothing may be changed for it */
}

static void
check(Publish *publish)
{
	LsmApplyInput input = {
		.job = publish->plan->job,.result = publish->result,
		.table_state = table_state,.state = publish,.alloc = &publish->alloc
	};
	SvError		err;

	publish->snapshot = RegisterSnapshot(GetLatestSnapshot());
	for (int i = 0; i < publish->ntables; i++)
		publish->tables[i].relid = forest_table_relid(publish->tables[i].id, publish->snapshot);
	input.forest = registry_read_forest(publish->plan->vault.id, publish->snapshot, CurrentMemoryContext);
	PG_STATUS_CHECK(lsm_apply(&input, &publish->verdict, &publish->changes, &err), &err);
}

/* Removed objects, and outputs that no table wants any more, are garbage from this transaction on. */
static void
change_registry(Publish *publish)
{
	const LsmChanges *changes = &publish->changes;
	int32		vault_id = publish->plan->vault.id;

	publish->added = palloc((changes->nadded + changes->nchanged + 1) * sizeof(int64));
	for (int i = 0; i < changes->nremoved; i++)
		registry_remove_run(vault_id, changes->removed[i], publish->snapshot);
	STOP_POINT("compact-removed");
	for (int i = 0; i < changes->nadded; i++)
	{
		LsmRun		run = *changes->added[i];

		run.id = publish->added[publish->nadded++] = catalog_draw(CATALOG_RUN_ID_SEQ);
		registry_insert_run(vault_id, &run);
		publish->outcome.entries += run.parts[0].entries;
		publish->outcome.bytes += run.file_bytes;
	}
	for (int i = 0; i < changes->nchanged; i++)
	{
		const LsmRunChange *change = &changes->changed[i];

		publish->added[publish->nadded++] = change->run_id;
		registry_change_run(change->run_id, change->tier, change->level, change->nparts, change->parts,
							publish->snapshot);
	}
	for (int i = 0; i < changes->nunused; i++)
		registry_add_garbage(vault_id, changes->unused[i]);
	STOP_POINT("compact-registered");
}

/* As the last thing: it holds the numbering lock already. */
static void
write_changelog(Publish *publish)
{
	const LsmChanges *changes = &publish->changes;
	ChangelogRow row = {
		.kind = CHANGE_COMPACT,
		.ntables = changes->ntables,.table_ids = changes->table_ids,
		.nadded = publish->nadded,.added = publish->added,
		.nremoved = changes->nremoved,.removed = changes->removed
	};

	/* The row describes runs as they are now. */
	CommandCounterIncrement();
	if (row.nadded + row.nremoved > 0)
		(void) changelog_number_and_insert(publish->plan->vault.id, &row);
	STOP_POINT("compact-numbered");
}

static char *
names_left_out(const Publish *publish)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < publish->changes.nleft_out; i++)
		for (int j = 0; j < publish->ntables; j++)
		{
			const PublishTable *table = &publish->tables[j];
			char	   *name;

			if (table->id != publish->changes.left_out[i] || !OidIsValid(table->relid) ||
				(name = get_rel_name(table->relid)) == NULL)
				continue;
			appendStringInfo(&names, "%s\"%s\" (locked by a TRUNCATE or DROP)", names.len > 0 ? ", " : "", name);
		}
	return names.len > 0 ? names.data : NULL;
}

static void
finish_job(Publish *publish)
{
	CompactOutcome *outcome = &publish->outcome;

	outcome->noutputs = publish->nadded;
	outcome->outputs = publish->added;
	outcome->entries_in = publish->result->counts.entries_in;
	outcome->bytes_in = publish->result->counts.bytes_in;
	compact_share_counts(&outcome->parts, &outcome->workers);
	outcome->left_out = names_left_out(publish);
	outcome->pause_s = publish->changes.nleft_out > 0 ? compact_pause(publish->plan->attempts) : 0;
	compact_claim_done(publish->plan->job_id, outcome);
}

static void
give_up(const CompactPlan *plan, const char *problem)
{
	ErrorData	error = {
		.sqlerrcode = COMPACT_TOO_LATE,
		.message = unconstify(char *, problem)
	};

	compact_claim_failed(plan->job_id, &error, plan->attempts);
}

static CompactPublished
publish_in_transaction(Publish *publish)
{
	collect_tables(publish);
	if (!take_locks(publish))
	{
		give_up(publish->plan, COMPACT_RUN_IS_GONE);
		return PUBLISH_LOST;
	}
	check(publish);
	if (publish->verdict == LSM_VERDICT_AGAIN)
	{
		give_up(publish->plan, publish->changes.problem);
		UnregisterSnapshot(publish->snapshot);
		return PUBLISH_LOST;
	}
	change_registry(publish);
	UnregisterSnapshot(publish->snapshot);
	finish_job(publish);
	write_changelog(publish);
	return PUBLISH_DONE;
}

static bool
vault_exists(const ForestVault *vault)
{
	return catalog_exists() &&
		SearchSysCacheExists1(FOREIGNSERVEROID, ObjectIdGetDatum(vault->server_oid));
}

/* An ALTER SERVER meanwhile: outputs may be elsewhere than readers would look for them. */
static void
check_store_is_current(const CompactPlan *plan)
{
	if (!forest_store_is_current(plan->vault.server_oid, plan->store))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("server \"%s\" was changed during the compaction",
						GetForeignServer(plan->vault.server_oid)->servername),
				 errhint("The compaction is tried again.")));
}

CompactPublished
compact_publish(const CompactPlan *plan, const LsmResult *result)
{
	MemoryContext old = CurrentMemoryContext;
	CompactPublished published = PUBLISH_GONE;

	STOP_POINT("compact-before-publish");
	worker_transaction_begin();
	if (vault_exists(&plan->vault))
	{
		Publish    *publish = palloc0(sizeof(Publish));

		worker_check_store_is_safe(&plan->vault);
		check_store_is_current(plan);
		publish->plan = plan;
		publish->result = result;
		publish->alloc = pg_status_alloc(CurrentMemoryContext);
		published = publish_in_transaction(publish);
	}
	STOP_POINT("compact-before-commit");
	worker_transaction_commit();
	MemoryContextSwitchTo(old);
	if (published == PUBLISH_DONE)
	{
		forest_traffic_add(plan->vault.id, TRAFFIC_COMPACTED_IN, result->counts.bytes_in);
		forest_traffic_add(plan->vault.id, TRAFFIC_COMPACTED_OUT, result->counts.bytes_out);
		worker_chore_wake(CHORE_PRESSURE);
	}
	STOP_POINT("compact-committed");
	return published;
}
