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
 * the rows in sight whose keys were loaded, claims too.  Under REPEATABLE READ the
 * transaction's snapshot may still see delta rows that a flush has taken away before;
 * these it looks at after its own runs (forest_lookup.h).
 *
 * Everything is heap rows of this transaction: an abort, also of the savepoint
 * alone, or a crash takes them back, and PREPARE TRANSACTION carries them along.
 * The objects are orphans then.
 *
 * SERIALIZABLE is not here: what was loaded leaves no trace where predicate locks
 * of readers would meet it (forest_load_possible).
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
#include "forest/forest_run_scan.h"
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

/* Keys that are looked up at once; their values come along, so of large ones fewer. */
#define SOME_KEYS 1000
#define SOME_BYTES ((uint64) 4 * 1024 * 1024)
#define SCRATCH_KEPT_BYTES ((size_t) 1024 * 1024)

/* The runs as lookups and iterators want them. */
typedef struct LoadedRuns
{
	Oid			server_oid;
	int			nruns;
	LsmRun	   *runs;			/* in the order of LoadBuilt */
	LsmSourceRun *sources;		/* newer stretch, then the older one; each ascending by key */
	LsmGroup   *groups;
	int			ngroups;
	int			some;			/* keys to be looked up at once */
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
	loaded->some = SOME_KEYS;
	if (built->entries > 0)
		loaded->some = Max(1, Min(SOME_KEYS, SOME_BYTES / (built->raw_bytes / built->entries + 1)));
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

/*
 * Which of the ascending keys are in the group: sets found[i], and leaves the
 * others as they are.
 */
static void
find_in_group(LoadedRuns *loaded, const LsmGroup *group, const SvSlice *keys, int n, bool *found)
{
	static SvScratch scratch;
	const LsmRun **runs = palloc(sizeof(LsmRun *) * n);
	SvSlice    *asked = palloc(sizeof(SvSlice) * n);
	RunAnswer  *answers = palloc(sizeof(RunAnswer) * n);
	int		   *at = palloc(sizeof(int) * n);
	int			nasked = 0;

	for (int i = 0; i < n; i++)
	{
		const LsmSourceRun *source = lsm_group_find(group, keys[i]);

		if (source == NULL)
			continue;
		runs[nasked] = source->run;
		asked[nasked] = keys[i];
		at[nasked++] = i;
	}
	sv_buffer_reset(&loaded->values);
	sv_scratch_reset(&scratch, SCRATCH_KEPT_BYTES);
	if (nasked > 0 && forest_run_get_cached(runs, asked, nasked, &scratch, &loaded->values, answers) > 0)
		forest_run_fetch(loaded->server_oid, runs, asked, nasked, &scratch, &loaded->values, answers);
	for (int i = 0; i < nasked; i++)
		found[at[i]] |= answers[i].kind != RUN_ABSENT;
	pfree(at);
	pfree(answers);
	pfree(asked);
	pfree(runs);
}

/* Calls `check` with the loaded keys, ascending within a group, some at a time; keys are good during the call. */
typedef void (*CheckKeys) (void *arg, int group, const SvSlice *keys, int n);

static void
for_each_key(LoadedRuns *loaded, CheckKeys check, void *arg)
{
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "skyvault load keys",
												  ALLOCSET_DEFAULT_SIZES);
	SvSlice    *keys = palloc(sizeof(SvSlice) * loaded->some);

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
			if (n < loaded->some)
				continue;
			CHECK_FOR_INTERRUPTS();
			MemoryContextSwitchTo(scratch);
			check(arg, i, keys, n);
			MemoryContextSwitchTo(open);
			MemoryContextReset(scratch);
			n = 0;
		}
		MemoryContextSwitchTo(scratch);
		if (n > 0)
			check(arg, i, keys, n);
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
	LoadedRuns *loaded;
	Snapshot	seen;
	Snapshot	latest;
} KeyCheck;

static void
check_conflicts(void *arg, int group, const SvSlice *keys, int n)
{
	const KeyCheck *check = arg;

	forest_lock_check_load(check->table, keys, n, check->seen, check->latest);
}

static void
report_found(const KeyCheck *check, const SvSlice *keys, int n, const bool *found)
{
	for (int i = 0; i < n; i++)
		if (found[i])
			check->options->duplicate(check->options->duplicate_state, keys[i]);
}

/* The load is strict: a key that the table holds is an error. */
static void
check_absent(void *arg, int group, const SvSlice *keys, int n)
{
	const KeyCheck *check = arg;
	ForestBatch *batch = forest_batch_begin();
	const ForestValue *values = forest_batch_get(batch, &check->table, true, keys, n, check->latest);
	bool	   *found = palloc(sizeof(bool) * n);

	for (int i = 0; i < n; i++)
		found[i] = values[i].found;
	forest_batch_end(batch);
	report_found(check, keys, n, found);
}

/* And one that is in both stretches, which are groups then. */
static void
check_once(void *arg, int group, const SvSlice *keys, int n)
{
	const KeyCheck *check = arg;
	bool	   *found = palloc0(sizeof(bool) * n);

	for (int i = group + 1; i < check->loaded->ngroups; i++)
		find_in_group(check->loaded, &check->loaded->groups[i], keys, n, found);
	report_found(check, keys, n, found);
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

/* Some rows of the delta, ascending, of which those whose keys were loaded have to go. */
typedef struct OldRows
{
	MemoryContext context;		/* of the keys */
	int			n;
	SvSlice    *keys;
	ItemPointerData *tids;
	TransactionId *raw_xmins;
	DeltaDeleter *deleter;
	uint64		deleted;
} OldRows;

/* Nobody else can have a lock on them: who has, has the table lock, and has been waited for. */
static void
delete_loaded(const ForestTable *table, LoadedRuns *loaded, OldRows *rows)
{
	MemoryContext old = MemoryContextSwitchTo(rows->context);
	bool	   *found = palloc0(sizeof(bool) * Max(rows->n, 1));

	for (int i = 0; i < loaded->ngroups && rows->n > 0; i++)
		find_in_group(loaded, &loaded->groups[i], rows->keys, rows->n, found);
	for (int i = 0; i < rows->n; i++)
	{
		if (!found[i])
			continue;
		if (!delta_delete_exactly(rows->deleter, table->table_id, rows->keys[i], &rows->tids[i], rows->raw_xmins[i]))
			elog(ERROR, "a row of the delta has changed under the lock of its table");
		rows->deleted++;
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(rows->context);
	rows->n = 0;
}

static void
add_row(OldRows *rows, const DeltaRow *row)
{
	uint8	   *copy = MemoryContextAlloc(rows->context, Max(row->key.len, 1));

	if (row->key.len > 0)
		memcpy(copy, row->key.data, row->key.len);
	rows->keys[rows->n] = sv_slice(copy, row->key.len);
	rows->tids[rows->n] = row->tid;
	rows->raw_xmins[rows->n++] = row->raw_xmin;
}

/* Takes the rows out of the delta that the load replaces; how many. */
static uint64
delete_old_rows(const ForestTable *table, LoadedRuns *loaded, Snapshot latest)
{
	OldRows		rows = {
		.context = AllocSetContextCreate(CurrentMemoryContext, "skyvault load rows", ALLOCSET_DEFAULT_SIZES),
		.keys = palloc(sizeof(SvSlice) * loaded->some),.tids = palloc(sizeof(ItemPointerData) * loaded->some),
		.raw_xmins = palloc(sizeof(TransactionId) * loaded->some),.deleter = delta_deleter_begin(latest, true)
	};
	DeltaScan  *scan = delta_scan_begin_with_claims(table->table_id, NULL, latest);
	DeltaRow	row;

	while (delta_scan_next(scan, &row))
	{
		CHECK_FOR_INTERRUPTS();
		add_row(&rows, &row);
		if (rows.n == loaded->some)
			delete_loaded(table, loaded, &rows);
	}
	delta_scan_end(scan);
	delete_loaded(table, loaded, &rows);
	delta_deleter_end(rows.deleter);
	MemoryContextDelete(rows.context);
	return rows.deleted;
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
	KeyCheck	check = {.table = table,.options = options,.loaded = loaded,.latest = latest};

	if (options->strict && loaded->ngroups > 1)
		for_each_key(loaded, check_once, &check);
	if (options->replace)
		return;
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

	*delta_rows = 0;
	if (options->replace)
		forest_truncate(table);
	catalog_lock_table(table->table_id, ShareRowExclusiveLock);
	CommandCounterIncrement();
	latest = RegisterSnapshot(GetLatestSnapshot());
	STOP_POINT("load-publish-locked");
	check_keys(table, loaded, options, latest);
	if (!options->replace)
		*delta_rows = delete_old_rows(table, loaded, latest);
	UnregisterSnapshot(latest);
	if (loaded->nruns > 0)
		register_runs(table, built, loaded);
	forest_xact_note_vault(table->vault_id);
	CommandCounterIncrement();
	STOP_POINT("load-published");
}
