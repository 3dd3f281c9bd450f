/*
 * forest_batch.c
 *		Looking up many keys in one operation.
 *
 * The keys are sorted by table and key and met once each.  What the delta does
 * not have goes to the table's groups of runs in lookup order, each time the
 * keys that are still missing, all at once over the group's runs: so their
 * memory misses overlap, and each block is met once.
 */
#include "postgres.h"

#include "forest/forest_batch.h"

#include "forest/forest_lookup.h"
#include "forest/forest_run.h"
#include "forest/key_sort.h"
#include "lsm/lsm_walkey.h"
#include "miscadmin.h"
#include "server/pg_status.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* So many keys ahead, the delta's filter is asked for its memory. */
#define DELTA_KEYS_AHEAD 8

/* One wanted key; equal ones are neighbours once sorted. */
typedef struct BatchKey
{
	SvSlice		key;
	const ForestTable *table;
	int			position;		/* in the caller's arrays */
} BatchKey;

static inline int
compare_tables(const ForestTable *a, const ForestTable *b)
{
	if (a == b)
		return 0;
	if (a->vault_id != b->vault_id)
		return a->vault_id < b->vault_id ? -1 : 1;
	return (a->table_id > b->table_id) - (a->table_id < b->table_id);
}

static int
compare_batch_keys(const void *a, const void *b)
{
	const BatchKey *left = a;
	const BatchKey *right = b;
	int			c = compare_tables(left->table, right->table);

	return c != 0 ? c : sv_slice_compare(left->key, right->key);
}

/* A table's keys on their way through its runs. */
typedef struct BatchTable
{
	ForestView *view;
	int32		table_id;
	SvBuffer   *values;
	SvSlice    *keys;			/* of the table, ascending, without repeats */
	SvSlice    *walkeys;		/* the same with the table id in front; NULL until needed */
	RunAnswer  *answers;		/* of keys; RUN_ABSENT until found */
	int		   *missing;		/* indexes of keys that were found nowhere yet */
	int			nmissing;

	/* For one group: what is asked of which run, for which of the keys, and the answers. */
	const LsmRun **asked_of;
	SvSlice    *asked;
	int		   *asked_at;
	RunAnswer  *heard;
} BatchTable;

static bool
is_one_table(const ForestTable *const *tables, int n)
{
	for (int i = 1; i < n; i++)
		if (tables[i] != tables[0])
			return false;
	return true;
}

static BatchKey *
sort_batch(const ForestTable *const *tables, const SvSlice *keys, int n)
{
	BatchKey   *batch = MemoryContextAllocHuge(CurrentMemoryContext, n * sizeof(BatchKey));

	if (is_one_table(tables, n))
	{
		int		   *order = MemoryContextAllocHuge(CurrentMemoryContext, n * sizeof(int));

		key_sort(keys, n, order);
		for (int i = 0; i < n; i++)
			batch[i] = (BatchKey) {.key = keys[order[i]],.table = tables[0],.position = order[i]};
		return batch;
	}
	for (int i = 0; i < n; i++)
		batch[i] = (BatchKey) {.key = keys[i],.table = tables[i],.position = i};
	qsort(batch, n, sizeof(BatchKey), compare_batch_keys);
	return batch;
}

static void
make_walkeys(BatchTable *batch, int n)
{
	size_t		bytes = 0;
	uint8	   *at;

	for (int i = 0; i < n; i++)
		bytes += LSM_WALKEY_PREFIX_BYTES + batch->keys[i].len;
	at = MemoryContextAllocHuge(CurrentMemoryContext, bytes);
	batch->walkeys = MemoryContextAllocHuge(CurrentMemoryContext, n * sizeof(SvSlice));
	for (int i = 0; i < n; i++)
	{
		batch->walkeys[i] = sv_slice(at, LSM_WALKEY_PREFIX_BYTES + batch->keys[i].len);
		lsm_walkey_prefix(at, batch->table_id);
		memcpy(at + LSM_WALKEY_PREFIX_BYTES, batch->keys[i].data, batch->keys[i].len);
		at += batch->walkeys[i].len;
	}
}

/*
 * Which of the missing keys are within the range of which of the group's runs:
 * their number, with what to ask in asked_of, asked and asked_at.
 */
static int
match_group(BatchTable *batch, const LsmGroup *group)
{
	int			n = 0;
	int			i = 0;

	while (i < batch->nmissing)
	{
		int			s = lsm_group_seek(group, batch->keys[batch->missing[i]]);
		const LsmSourceRun *source = &group->sources[s];
		const SvSlice *run_keys;

		if (s == group->count)
			break;
		run_keys = source->run->tier == LSM_WAL ? batch->walkeys : batch->keys;
		for (; i < batch->nmissing; i++)
		{
			int			key = batch->missing[i];

			if (sv_slice_compare(batch->keys[key], source->part->max_key) > 0)
				break;
			if (sv_slice_compare(batch->keys[key], source->part->min_key) < 0)
				continue;
			batch->asked_of[n] = source->run;
			batch->asked[n] = run_keys[key];
			batch->asked_at[n++] = key;
		}
	}
	return n;
}

static void
ask_group(BatchTable *batch, const LsmGroup *group)
{
	int			n = match_group(batch, group);

	CHECK_FOR_INTERRUPTS();
	if (n == 0)
		return;
	forest_run_get_many(batch->view->server_oid, batch->asked_of, batch->asked, n, batch->values,
						batch->heard);
	for (int i = 0; i < n; i++)
		batch->answers[batch->asked_at[i]] = batch->heard[i];
}

static void
forget_found(BatchTable *batch)
{
	int			n = 0;

	for (int i = 0; i < batch->nmissing; i++)
		if (batch->answers[batch->missing[i]].kind == RUN_ABSENT)
			batch->missing[n++] = batch->missing[i];
	batch->nmissing = n;
}

static bool
group_has_wal_run(const LsmGroup *group)
{
	for (int i = 0; i < group->count; i++)
		if (group->sources[i].run->tier == LSM_WAL)
			return true;
	return false;
}

static void
ask_runs(BatchTable *batch, int n)
{
	int			ngroups;
	const LsmGroup *groups = lsm_forest_groups(batch->view->forest, batch->table_id, &ngroups);

	for (int i = 0; i < ngroups && batch->nmissing > 0; i++)
	{
		if (batch->walkeys == NULL && group_has_wal_run(&groups[i]))
			make_walkeys(batch, n);
		ask_group(batch, &groups[i]);
		forget_found(batch);
	}
}

/* What the delta has, appended to the values like what runs have. */
static void
ask_delta(BatchTable *batch, int n)
{
	ForestEntry entry;
	SvError		err;

	for (int i = 0; i < Min(n, DELTA_KEYS_AHEAD); i++)
		delta_probe_prefetch(batch->view->probe, batch->table_id, batch->keys[i]);
	for (int i = 0; i < n; i++)
	{
		RunAnswer  *answer = &batch->answers[i];

		if (i + DELTA_KEYS_AHEAD < n)
			delta_probe_prefetch(batch->view->probe, batch->table_id, batch->keys[i + DELTA_KEYS_AHEAD]);
		answer->kind = RUN_ABSENT;
		if (!forest_lookup_in_delta(batch->view, batch->table_id, batch->keys[i], &entry))
		{
			batch->missing[batch->nmissing++] = i;
			continue;
		}
		CHECK_FOR_INTERRUPTS();
		answer->kind = entry.is_tombstone ? SST_TOMBSTONE : SST_VALUE;
		answer->expires_at = entry.expires_at;
		answer->value_at = batch->values->len;
		answer->value_len = entry.value.len;
		PG_STATUS_CHECK(sv_buffer_append(batch->values, entry.value.data, entry.value.len, &err), &err);
	}
}

/* The stretch of wanted keys from batch[0] on that are of one table: its length, and how many are distinct. */
static int
same_table(const BatchKey *batch, int n)
{
	int			count = 1;

	while (count < n && compare_tables(batch[0].table, batch[count].table) == 0)
		count++;
	return count;
}

/* Where the value of each wanted key is, once the values no longer move. */
typedef struct BatchResult
{
	RunAnswer	answer;
	int			position;
} BatchResult;

static void
look_up_table(ForestView *view, const BatchKey *wanted, int n, SvBuffer *values, BatchResult *results)
{
	Size		room = n;
	BatchTable	batch = {
		.view = view,
		.table_id = wanted[0].table->table_id,
		.values = values,
		.keys = palloc_extended(room * sizeof(SvSlice), MCXT_ALLOC_HUGE),
		.answers = palloc_extended(room * sizeof(RunAnswer), MCXT_ALLOC_HUGE),
		.missing = palloc_extended(room * sizeof(int), MCXT_ALLOC_HUGE),
		.asked_of = palloc_extended(room * sizeof(LsmRun *), MCXT_ALLOC_HUGE),
		.asked = palloc_extended(room * sizeof(SvSlice), MCXT_ALLOC_HUGE),
		.asked_at = palloc_extended(room * sizeof(int), MCXT_ALLOC_HUGE),
		.heard = palloc_extended(room * sizeof(RunAnswer), MCXT_ALLOC_HUGE)
	};
	int			distinct = 0;

	for (int i = 0; i < n; i++)
		if (i == 0 || !sv_slice_equal(wanted[i - 1].key, wanted[i].key))
			batch.keys[distinct++] = wanted[i].key;
	ask_delta(&batch, distinct);
	if (batch.nmissing > 0)
		ask_runs(&batch, distinct);

	distinct = -1;
	for (int i = 0; i < n; i++)
	{
		if (i == 0 || !sv_slice_equal(wanted[i - 1].key, wanted[i].key))
			distinct++;
		results[i] = (BatchResult) {.answer = batch.answers[distinct],.position = wanted[i].position};
	}
}

static void
look_up_batch(const BatchKey *batch, int n, Snapshot snapshot, SvBuffer *values, BatchResult *results)
{
	ForestView	view;
	bool		is_open = false;
	int			count;

	for (int i = 0; i < n; i += count)
	{
		const ForestTable *table = batch[i].table;

		count = same_table(&batch[i], n - i);
		if (table->table_id == 0)
		{
			for (int j = i; j < i + count; j++)
				results[j] = (BatchResult) {.answer = {.kind = RUN_ABSENT},.position = batch[j].position};
			continue;
		}
		if (is_open && view.vault_id != table->vault_id)
		{
			forest_view_close(&view);
			is_open = false;
		}
		if (!is_open)
			forest_view_open(&view, table, snapshot);
		else
			forest_table_check_key(table);
		is_open = true;
		look_up_table(&view, &batch[i], count, values, &results[i]);
	}
	if (is_open)
		forest_view_close(&view);
}

void
forest_multi_get(const ForestTable *const *tables, const SvSlice *keys, int n,
				 Snapshot snapshot, ForestValue *out)
{
	SvAlloc		alloc = pg_status_alloc(CurrentMemoryContext);
	TimestampTz now = forest_now();
	MemoryContext scratch;
	MemoryContext result;
	BatchResult *results;
	SvBuffer	values;

	if (n == 0)
		return;
	sv_buffer_init(&values, &alloc);
	scratch = AllocSetContextCreate(CurrentMemoryContext, "skyvault batch", ALLOCSET_DEFAULT_SIZES);
	result = MemoryContextSwitchTo(scratch);
	results = MemoryContextAllocHuge(scratch, n * sizeof(BatchResult));
	look_up_batch(sort_batch(tables, keys, n), n, snapshot, &values, results);

	for (int i = 0; i < n; i++)
	{
		const RunAnswer *answer = &results[i].answer;
		ForestValue *value = &out[results[i].position];

		value->found = answer->kind == SST_VALUE &&
			(answer->expires_at == DT_NOEND || answer->expires_at > now);
		value->value = value->found && answer->value_len > 0 ?
			sv_slice(values.data + answer->value_at, answer->value_len) : sv_slice(NULL, 0);
		value->expires_at = value->found ? answer->expires_at : DT_NOEND;
	}
	MemoryContextSwitchTo(result);
	MemoryContextDelete(scratch);
}
