/*
 * load_publish.c
 *		See load_publish.h.
 *
 * The order matters.  The table lock comes first: nobody who has written to the
 * table is still open then, no flush publishes, and whoever comes later waits.  The
 * snapshot comes second, so it sees all of them.  The sequences come third, and so
 * are above those of every run and floor that is in sight, and below those of every
 * flush that will read the delta: a flush that has drawn its sequence already has
 * read the delta before this load, and leaves the table out, since the changelog
 * has a row that it did not know.
 *
 * What of the delta is older than the load has to go, or it would hide it: exactly
 * the rows in sight whose keys were loaded.  Under READ COMMITTED nothing else is in
 * the way, since every later snapshot of this transaction is newer than the one that
 * was looked at here.  Under REPEATABLE READ the transaction's snapshot may be
 * older, and still see delta rows that a flush has taken away since, which would hide
 * the loaded entries from this transaction.  So there every key that anybody has
 * written since is a conflict, and also one that a flush has moved: see
 * forest_lock_check_load.
 *
 * SERIALIZABLE is not here: what was loaded leaves no trace where predicate locks
 * of readers would meet it (worker_load_admit).
 */
#include "postgres.h"

#include "forest/load_publish.h"

#include "access/xact.h"
#include "forest/forest_batch.h"
#include "forest/forest_catalog.h"
#include "forest/forest_changelog.h"
#include "forest/forest_delta.h"
#include "forest/forest_lock.h"
#include "forest/forest_registry.h"
#include "forest/forest_run.h"
#include "forest/forest_snapshot.h"
#include "forest/forest_write.h"
#include "forest/forest_xact.h"
#include "lsm/lsm_group.h"
#include "miscadmin.h"
#include "server/pg_cache.h"
#include "server/pg_status.h"
#include "server/stop_point.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* Keys of one look at what the table holds. */
#define CHECK_KEYS 1000

/* The runs as lookups and iterators want them. */
typedef struct LoadedRuns
{
	Oid			server_oid;
	int			nruns;
	LsmRun	   *runs;			/* in the order of LoadBuilt */
	LsmSourceRun *sources;		/* newer stretch, then the older one; each ascending by key */
	LsmGroup   *groups;
	int			ngroups;
	SvBuffer	values;
	SvAlloc		alloc;
} LoadedRuns;

static LoadedRuns *
loaded_runs(const ForestTable *table, const LoadBuilt *built)
{
	LoadedRuns *loaded = palloc0(sizeof(LoadedRuns));
	LsmSourceRun *source;

	loaded->server_oid = table->server_oid;
	loaded->alloc = pg_status_alloc(CurrentMemoryContext);
	sv_buffer_init(&loaded->values, &loaded->alloc);
	loaded->nruns = built->nruns;
	loaded->runs = palloc(sizeof(LsmRun) * Max(built->nruns, 1));
	loaded->sources = source = palloc(sizeof(LsmSourceRun) * Max(built->nruns, 1));
	loaded->groups = palloc(sizeof(LsmGroup) * Max(built->nruns, 1));
	for (int i = 0; i < built->nruns; i++)
	{
		LoadRun    *from = &built->runs[i];
		CacheRunId	id = pg_cache_run_id(from->object);

		loaded->runs[i] = (LsmRun) {
			.tier = LSM_BUFFER,.object = from->object,.file_bytes = from->file_bytes,
			.tail_bytes = from->tail_bytes,.identity = {id.hi, id.lo},
			.nparts = 1,.parts = &from->part
		};
	}
	for (int stretch = built->nstretches; stretch-- > 0;)
		for (int i = 0; i < built->nruns; i++)
			if (built->runs[i].stretch == stretch)
				*source++ = (LsmSourceRun) {.run = &loaded->runs[i],.part = loaded->runs[i].parts};
	loaded->ngroups = lsm_group_sources(loaded->sources, loaded->nruns, loaded->groups);
	return loaded;
}

static bool
is_loaded(LoadedRuns *loaded, SvSlice key)
{
	for (int i = 0; i < loaded->ngroups; i++)
	{
		const LsmSourceRun *source = lsm_group_find(&loaded->groups[i], key);
		RunAnswer	answer;

		if (source == NULL)
			continue;
		sv_buffer_reset(&loaded->values);
		forest_run_get(loaded->server_oid, source->run, key, &loaded->values, &answer);
		if (answer.kind != RUN_ABSENT)
			return true;
	}
	return false;
}

/* Calls `check` with the loaded keys, ascending within a group, some at a time; keys are good during the call. */
typedef void (*CheckKeys) (void *arg, const SvSlice *keys, int n);

static void
for_each_key(LoadedRuns *loaded, CheckKeys check, void *arg)
{
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "skyvault load keys",
												  ALLOCSET_DEFAULT_SIZES);
	SvSlice    *keys = palloc(sizeof(SvSlice) * CHECK_KEYS);

	for (int i = 0; i < loaded->ngroups; i++)
	{
		MemoryContext open = AllocSetContextCreate(CurrentMemoryContext, "skyvault load runs",
												   ALLOCSET_DEFAULT_SIZES);
		MemoryContext old = MemoryContextSwitchTo(open);
		LsmSource	source = forest_run_source(forest_run_iterate(loaded->server_oid, &loaded->groups[i],
																  NULL, NULL, false));
		SstEntry	entry;
		SvError		err;
		int			n = 0;

		while (source.next(source.state, &entry, &err) == SV_OK)
		{
			uint8	   *copy = MemoryContextAlloc(scratch, Max(entry.key.len, 1));

			if (entry.key.len > 0)
				memcpy(copy, entry.key.data, entry.key.len);
			keys[n++] = sv_slice(copy, entry.key.len);
			if (n < CHECK_KEYS)
				continue;
			CHECK_FOR_INTERRUPTS();
			MemoryContextSwitchTo(scratch);
			check(arg, keys, n);
			MemoryContextSwitchTo(open);
			MemoryContextReset(scratch);
			n = 0;
		}
		MemoryContextSwitchTo(scratch);
		if (n > 0)
			check(arg, keys, n);
		MemoryContextSwitchTo(old);
		MemoryContextReset(scratch);
		MemoryContextDelete(open);
	}
	pfree(keys);
	MemoryContextDelete(scratch);
}

/* ---- what others have done ---- */

typedef struct KeyCheck
{
	const ForestTable *table;
	const ForestLoadOptions *options;
	Snapshot	seen;
	Snapshot	latest;
} KeyCheck;

static void
check_conflicts(void *arg, const SvSlice *keys, int n)
{
	const KeyCheck *check = arg;

	forest_lock_check_load(check->table, keys, n, check->seen, check->latest);
}

/* The load is strict: a key that the table holds is an error. */
static void
check_absent(void *arg, const SvSlice *keys, int n)
{
	const KeyCheck *check = arg;
	ForestBatch *batch = forest_batch_begin();
	const ForestValue *values = forest_batch_get(batch, &check->table, true, keys, n, check->latest);

	for (int i = 0; i < n; i++)
		if (values[i].found)
			check->options->duplicate(check->options->duplicate_state, keys[i]);
	forest_batch_end(batch);
}

static bool
table_is_empty(const ForestTable *table, Snapshot latest)
{
	DeltaScan  *scan;
	DeltaRow	row;
	bool		has_rows;
	int			nruns;

	(void) lsm_forest_sources(forest_peek(table->vault_id, latest), table->table_id, &nruns);
	if (nruns > 0)
		return false;
	scan = delta_scan_begin(table->table_id, NULL, NULL, false, false, latest);
	has_rows = delta_scan_next(scan, &row);
	delta_scan_end(scan);
	return !has_rows;
}

/* ---- the delta ---- */

typedef struct OldRow
{
	SvSlice		key;
	ItemPointerData tid;
	TransactionId raw_xmin;
} OldRow;

/* The rows that the load replaces. */
static OldRow *
find_old_rows(const ForestTable *table, LoadedRuns *loaded, Snapshot latest, int *n)
{
	DeltaScan  *scan = delta_scan_begin(table->table_id, NULL, NULL, false, false, latest);
	int			room = 64;
	OldRow	   *rows = palloc(sizeof(OldRow) * room);
	DeltaRow	row;

	*n = 0;
	while (delta_scan_next(scan, &row))
	{
		uint8	   *copy;

		CHECK_FOR_INTERRUPTS();
		if (!is_loaded(loaded, row.key))
			continue;
		if (*n == room)
			rows = repalloc_huge(rows, sizeof(OldRow) * (room *= 2));
		copy = palloc(Max(row.key.len, 1));
		if (row.key.len > 0)
			memcpy(copy, row.key.data, row.key.len);
		rows[(*n)++] = (OldRow) {
			.key = sv_slice(copy, row.key.len),.tid = row.tid,.raw_xmin = row.raw_xmin
		};
	}
	delta_scan_end(scan);
	return rows;
}

/* Nobody else can have a lock on them: who has, has the table lock, and has been waited for. */
static void
delete_old_rows(const ForestTable *table, OldRow *rows, int n, Snapshot latest)
{
	DeltaDeleter *deleter = delta_deleter_begin(latest, true);

	for (int i = 0; i < n; i++)
		if (!delta_delete_exactly(deleter, table->table_id, rows[i].key, &rows[i].tid, rows[i].raw_xmin))
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("could not load table %d: a row of the delta changed meanwhile", table->table_id),
					 errhint("The transaction might succeed if retried.")));
	delta_deleter_end(deleter);
}

/* ---- registry ---- */

static void
register_runs(const ForestTable *table, const LoadBuilt *built, LoadedRuns *loaded)
{
	int64	   *ids = palloc(sizeof(int64) * loaded->nruns);
	int32		table_id = table->table_id;
	ChangelogRow row = {
		.kind = CHANGE_LOAD,.ntables = 1,.table_ids = &table_id,.nadded = loaded->nruns,.added = ids
	};
	int64		sequence = 0;

	for (int i = 0; i < loaded->nruns; i++)
	{
		LsmRun	   *run = &loaded->runs[i];

		if (i == 0 || built->runs[i].stretch != built->runs[i - 1].stretch)
			sequence = catalog_draw(CATALOG_WRITE_SEQ);
		run->id = ids[i] = catalog_draw(CATALOG_RUN_ID_SEQ);
		run->seq_lo = run->seq_hi = sequence;
		registry_insert_run(table->vault_id, run);
	}
	CommandCounterIncrement();
	changelog_insert_unnumbered(table->vault_id, &row);
}

/* Conflicts with others, and what the table has and may not have. */
static void
check_keys(const ForestTable *table, LoadedRuns *loaded, const ForestLoadOptions *options, Snapshot latest)
{
	KeyCheck	check = {.table = table,.options = options,.latest = latest};

	if (IsolationUsesXactSnapshot())
	{
		check.seen = RegisterSnapshot(GetTransactionSnapshot());
		if (forest_lock_may_conflict(table, check.seen, latest))
			for_each_key(loaded, check_conflicts, &check);
		UnregisterSnapshot(check.seen);
	}
	if (options->strict && !table_is_empty(table, latest))
		for_each_key(loaded, check_absent, &check);
}

void
load_publish(const ForestTable *table, const LoadBuilt *built, const ForestLoadOptions *options,
			 uint64 *delta_rows)
{
	LoadedRuns *loaded = loaded_runs(table, built);
	Snapshot	latest;
	OldRow	   *rows;
	int			nrows = 0;

	if (options->replace)
		forest_truncate(table);
	catalog_lock_table(table->table_id, ShareRowExclusiveLock);
	CommandCounterIncrement();
	latest = RegisterSnapshot(GetLatestSnapshot());
	STOP_POINT("load-publish-locked");
	if (!options->replace)
	{
		check_keys(table, loaded, options, latest);
		rows = find_old_rows(table, loaded, latest, &nrows);
		delete_old_rows(table, rows, nrows, latest);
	}
	UnregisterSnapshot(latest);
	if (loaded->nruns > 0)
		register_runs(table, built, loaded);
	*delta_rows = nrows;
	forest_xact_note_vault(table->vault_id);
	CommandCounterIncrement();
	STOP_POINT("load-published");
}
