/*
 * forest_lookup.c
 *		Finding the newest entry of a key under a snapshot.
 */
#include "postgres.h"

#include "forest/forest_lookup.h"

#include "access/xact.h"
#include "forest/forest_filter.h"
#include "forest/forest_meter.h"
#include "forest/forest_run.h"
#include "forest/forest_snapshot.h"
#include "lsm/lsm_walkey.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#define VALUES_KEPT_BYTES (1024 * 1024)
#define SCRATCH_KEPT_BYTES (1024 * 1024)

StaticAssertDecl(SST_NEVER_EXPIRES == DT_NOEND, "both mean that an entry does not expire");

void
forest_view_open(ForestView *view, const ForestTable *table, Snapshot snapshot)
{
	forest_table_check_key(table);
	view->vault_id = table->vault_id;
	view->server_oid = table->server_oid;
	view->snapshot = snapshot;
	view->forest = forest_peek(table->vault_id, snapshot);
	delta_probe_begin(&view->probe, snapshot);
}

void
forest_view_close(ForestView *view)
{
	delta_probe_end(&view->probe);
}

/* Values found last; what a large one has blown up is not kept. */
static SvBuffer *
value_buffer(void)
{
	static SvBuffer values = {.alloc = &sv_malloc_alloc};

	if (values.capacity > VALUES_KEPT_BYTES)
		sv_buffer_free(&values);
	sv_buffer_reset(&values);
	return &values;
}

/* The key as the group's run has it: in WAL runs behind the table id, which walkey has room for. */
static SvSlice
key_in_run(const LsmSourceRun *source, SvSlice key, uint8 *walkey)
{
	if (source->run->tier != LSM_WAL)
		return key;
	lsm_walkey_prefix(walkey, source->part->table_id);
	memcpy(walkey + LSM_WALKEY_PREFIX_BYTES, key.data, key.len);
	return sv_slice(walkey, LSM_WALKEY_PREFIX_BYTES + key.len);
}

/* Keeps memory between lookups. */
static SvScratch scratch;

/*
 * A lookup that finds something missing may need the tails of further groups:
 * they are asked for together, instead of one after the other.
 */
static void
fetch_tails(const ForestView *view, const LsmGroup *groups, int ngroups, SvSlice key)
{
	const LsmRun **runs = palloc(ngroups * sizeof(LsmRun *));
	int			n = 0;

	for (int i = 0; i < ngroups; i++)
	{
		const LsmSourceRun *source = lsm_group_find(&groups[i], key);

		if (source != NULL)
			runs[n++] = source->run;
	}
	sv_scratch_reset(&scratch, SCRATCH_KEPT_BYTES);
	if (n > 1)
		(void) forest_run_fetch_tails(view->server_oid, runs, n, &scratch);
	pfree(runs);
}

void
forest_lookup_expect(const ForestTable *table, SvSlice key)
{
	uint8		walkey[LSM_WALKEY_PREFIX_BYTES + SST_MAX_KEY_BYTES];
	const LsmForest *forest = forest_last_used(table->vault_id);
	const LsmSourceRun *source;
	const LsmGroup *groups;
	int			ngroups;

	if (table->table_id == 0 || key.len > SST_MAX_KEY_BYTES)
		return;
	forest_filter_prefetch(table->table_id, key);
	if (forest == NULL)
		return;
	groups = lsm_forest_groups(forest, table->table_id, &ngroups);
	source = ngroups > 0 ? lsm_group_find(&groups[0], key) : NULL;
	if (source != NULL)
		forest_run_expect(source->run, key_in_run(source, key, walkey));
}

/* In the groups from `first` up to `end`. */
static bool
lookup_in_runs(ForestView *view, int32 table_id, SvSlice key, int first, int end, ForestEntry *entry)
{
	uint8		walkey[LSM_WALKEY_PREFIX_BYTES + SST_MAX_KEY_BYTES];
	SvBuffer   *values = value_buffer();
	int			ngroups;
	const LsmGroup *groups = lsm_forest_groups(view->forest, table_id, &ngroups);
	bool		tails_fetched = false;

	ngroups = Min(ngroups, end);
	for (int i = first; i < ngroups; i++)
	{
		const LsmSourceRun *source = lsm_group_find(&groups[i], key);
		RunAnswer	answer;
		SvSlice		run_key;

		forest_meter_runs(groups[i].count, source != NULL);
		if (source == NULL)
			continue;
		run_key = key_in_run(source, key, walkey);
		forest_run_get_one_cached(source->run, run_key, values, &answer);
		if (answer.kind == RUN_UNCACHED)
		{
			if (!tails_fetched)
				fetch_tails(view, groups + i, ngroups - i, key);
			tails_fetched = true;
			forest_run_get(view->server_oid, source->run, run_key, values, &answer);
		}
		if (answer.kind == RUN_ABSENT)
			continue;
		entry->found_in = FOUND_IN_RUN;
		entry->is_tombstone = answer.kind == SST_TOMBSTONE;
		entry->value = sv_slice(values->data + answer.value_at, answer.value_len);
		entry->expires_at = answer.expires_at;
		entry->run = source->run;
		return true;
	}
	return false;
}

static bool
lookup_in_delta(ForestView *view, int32 table_id, SvSlice key, bool own_only, ForestEntry *entry)
{
	if (!delta_probe(&view->probe, table_id, key, own_only, &entry->row))
		return false;
	entry->found_in = FOUND_IN_DELTA;
	entry->is_tombstone = entry->row.kind == DELTA_TOMBSTONE;
	entry->value = entry->row.value;
	entry->expires_at = entry->row.expires_at;
	entry->run = NULL;
	return true;
}

static bool
lookup_before_runs(ForestView *view, int32 table_id, SvSlice key, int own_groups, ForestEntry *entry)
{
	const LsmFloor *floor = lsm_forest_floor(view->forest, table_id);
	bool		own_only = floor != NULL && floor->is_own;

	if (unlikely(own_groups > 0))
	{
		if (lookup_in_delta(view, table_id, key, true, entry) ||
			lookup_in_runs(view, table_id, key, 0, own_groups, entry))
			return true;
		if (own_only)
			return false;
	}
	return lookup_in_delta(view, table_id, key, own_only, entry);
}

bool
forest_lookup_before_runs(ForestView *view, int32 table_id, SvSlice key, ForestEntry *entry)
{
	return lookup_before_runs(view, table_id, key, lsm_forest_own_groups(view->forest, table_id), entry);
}

void
forest_lookup(ForestView *view, int32 table_id, SvSlice key, ForestEntry *entry)
{
	int			own_groups = lsm_forest_own_groups(view->forest, table_id);

	CHECK_FOR_INTERRUPTS();
	if (lookup_before_runs(view, table_id, key, own_groups, entry) ||
		lookup_in_runs(view, table_id, key, own_groups, INT_MAX, entry))
		return;
	entry->found_in = FOUND_NOWHERE;
	entry->is_tombstone = false;
	entry->run = NULL;
}

TimestampTz
forest_now(void)
{
	return IsolationUsesXactSnapshot() ? GetCurrentTransactionStartTimestamp() :
		GetCurrentStatementStartTimestamp();
}

bool
forest_entry_is_live(const ForestEntry *entry)
{
	return entry->found_in != FOUND_NOWHERE && !entry->is_tombstone &&
		(entry->expires_at == DT_NOEND || entry->expires_at > forest_now());
}

void
forest_value_from_entry(const ForestEntry *entry, ForestValue *out)
{
	out->found = forest_entry_is_live(entry);
	out->value = sv_slice(NULL, 0);
	out->expires_at = DT_NOEND;
	if (!out->found)
		return;
	out->expires_at = entry->expires_at;
	if (entry->value.len > 0)
	{
		uint8	   *copy = MemoryContextAllocHuge(CurrentMemoryContext, entry->value.len);

		memcpy(copy, entry->value.data, entry->value.len);
		out->value = sv_slice(copy, entry->value.len);
	}
}
