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

#include "base/sv_scratch.h"
#include "forest/forest_lookup.h"
#include "forest/forest_run.h"
#include "forest/key_sort.h"
#include "lsm/lsm_walkey.h"
#include "miscadmin.h"
#include "server/pg_compat.h"
#include "server/pg_status.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* So many keys ahead, the delta's filter is asked for its memory. */
#define DELTA_KEYS_AHEAD 8

/* What is kept of a batch's memory for the next one. */
#define KEPT_BYTES ((size_t) 4 * 1024 * 1024)

typedef struct BatchMemory
{
	SvScratch		callers;		/* forest_batch_room, until the end */
	SvScratch		scratch;			/* of one get, its answers included */
	SvBuffer	values;
} BatchMemory;

struct ForestBatch
{
	BatchMemory *memory;		/* NULL: given back */
	MemoryContextCallback callback;
};

/* A table's keys on their way through its runs. */
typedef struct BatchTable
{
	ForestView *view;
	int32		table_id;
	SvScratch    *scratch;
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

pg_noreturn static void report_no_memory(Size bytes);

static void
report_no_memory(Size bytes)
{
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("out of memory"),
			 errdetail("Failed on request of size %zu for a batch of keys.", bytes)));
}

static void *
take_room(SvScratch *scratch, Size n, Size bytes)
{
	void	   *room = n > SIZE_MAX / 4 / bytes ? NULL : sv_scratch_take(scratch, n * bytes);

	if (room == NULL)
		report_no_memory(n * bytes);
	return room;
}

static void
make_walkeys(BatchTable *batch, int n)
{
	size_t		bytes = 0;
	uint8	   *at;

	for (int i = 0; i < n; i++)
		bytes += LSM_WALKEY_PREFIX_BYTES + batch->keys[i].len;
	at = take_room(batch->scratch, 1, bytes);
	batch->walkeys = take_room(batch->scratch, n, sizeof(SvSlice));
	for (int i = 0; i < n; i++)
	{
		batch->walkeys[i] = sv_slice(at, LSM_WALKEY_PREFIX_BYTES + batch->keys[i].len);
		lsm_walkey_prefix(at, batch->table_id);
		memcpy(at + LSM_WALKEY_PREFIX_BYTES, batch->keys[i].data, batch->keys[i].len);
		at += batch->walkeys[i].len;
	}
}

/* Of the missing keys from `first` on, the index of the first that is above `key`; or not below it, if `at` is set. */
static int
first_missing(const BatchTable *batch, int first, SvSlice key, bool at)
{
	int			low = first;
	int			high = batch->nmissing;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;
		int			c = sv_slice_compare(batch->keys[batch->missing[middle]], key);

		if (c < 0 || (c == 0 && !at))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
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
		int			end;

		if (s == group->count)
			break;
		run_keys = source->run->tier == LSM_WAL ? batch->walkeys : batch->keys;
		end = first_missing(batch, i, source->part->max_key, false);
		for (i = first_missing(batch, i, source->part->min_key, true); i < end; i++)
		{
			int			key = batch->missing[i];

			batch->asked_of[n] = source->run;
			batch->asked[n] = run_keys[key];
			batch->asked_at[n++] = key;
		}
		i = end;
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
	forest_run_get_many(batch->view->server_oid, batch->asked_of, batch->asked, n, batch->scratch,
						batch->values, batch->heard);
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

/* The tables of wanted keys, which are in the order of their positions. */
typedef struct Wanted
{
	const ForestTable *const *tables;
	const SvSlice *keys;
	bool		one_table;
} Wanted;

static const ForestTable *
table_of(const Wanted *wanted, int position)
{
	return wanted->tables[wanted->one_table ? 0 : position];
}

static int
compare_tables(const ForestTable *a, const ForestTable *b)
{
	if (a == b)
		return 0;
	if (a->vault_id != b->vault_id)
		return a->vault_id < b->vault_id ? -1 : 1;
	return (a->table_id > b->table_id) - (a->table_id < b->table_id);
}

static int
compare_positions_by_table(const void *a, const void *b, void *arg)
{
	int			left = *(const int *) a;
	int			right = *(const int *) b;
	int			c = compare_tables(table_of(arg, left), table_of(arg, right));

	return c != 0 ? c : left - right;
}

/* How many of the positions from order[0] on are of one table. */
static int
same_table(const Wanted *wanted, const int *order, int n)
{
	int			count = 1;

	if (wanted->one_table)
		return n;
	while (count < n && compare_tables(table_of(wanted, order[0]), table_of(wanted, order[count])) == 0)
		count++;
	return count;
}

/* The positions by table and key. */
static int *
sort_wanted(const Wanted *wanted, int n, SvScratch *scratch)
{
	int		   *order = take_room(scratch, n, sizeof(int));
	KeySortItem *room = take_room(scratch, n, 2 * sizeof(KeySortItem));
	int			count;

	for (int i = 0; i < n; i++)
		order[i] = i;
	if (!wanted->one_table)
		qsort_arg(order, n, sizeof(int), compare_positions_by_table, unconstify(Wanted *, wanted));
	for (int i = 0; i < n; i += count)
	{
		count = same_table(wanted, order + i, n - i);
		key_sort(wanted->keys, order + i, count, room);
	}
	return order;
}

/* The keys at the positions, once each; returns how many, and for each position which one in distinct_of. */
static int
distinct_keys(const Wanted *wanted, const int *order, int n, SvSlice *keys, int *distinct_of)
{
	int			distinct = 0;

	for (int i = 0; i < n; i++)
	{
		SvSlice		key = wanted->keys[order[i]];

		if (distinct == 0 || !sv_slice_equal(keys[distinct - 1], key))
			keys[distinct++] = key;
		distinct_of[i] = distinct - 1;
	}
	return distinct;
}

/* Looks up the keys at the positions, which are of one table, and answers by position. */
static void
look_up_table(ForestView *view, const Wanted *wanted, const int *order, int n, BatchMemory *memory,
			  RunAnswer *answers)
{
	SvScratch    *scratch = &memory->scratch;
	int		   *distinct_of = take_room(scratch, n, sizeof(int));
	BatchTable	batch = {
		.view = view,
		.table_id = table_of(wanted, order[0])->table_id,
		.scratch = scratch,
		.values = &memory->values,
		.keys = take_room(scratch, n, sizeof(SvSlice)),
		.answers = take_room(scratch, n, sizeof(RunAnswer)),
		.missing = take_room(scratch, n, sizeof(int)),
		.asked_of = take_room(scratch, n, sizeof(LsmRun *)),
		.asked = take_room(scratch, n, sizeof(SvSlice)),
		.asked_at = take_room(scratch, n, sizeof(int)),
		.heard = take_room(scratch, n, sizeof(RunAnswer))
	};
	int			distinct = distinct_keys(wanted, order, n, batch.keys, distinct_of);

	ask_delta(&batch, distinct);
	if (batch.nmissing > 0)
		ask_runs(&batch, distinct);
	for (int i = 0; i < n; i++)
		answers[order[i]] = batch.answers[distinct_of[i]];
}

static void
look_up_tables(const Wanted *wanted, int n, Snapshot snapshot, BatchMemory *memory, RunAnswer *answers)
{
	const int  *order = sort_wanted(wanted, n, &memory->scratch);
	ForestView	view;
	bool		is_open = false;
	int			count;

	for (int i = 0; i < n; i += count)
	{
		const ForestTable *table = table_of(wanted, order[i]);

		count = same_table(wanted, order + i, n - i);
		if (table->table_id == 0)
		{
			for (int j = i; j < i + count; j++)
				answers[order[j]].kind = RUN_ABSENT;
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
		look_up_table(&view, wanted, order + i, count, memory, answers);
	}
	if (is_open)
		forest_view_close(&view);
}

const ForestValue *
forest_batch_get(ForestBatch *batch, const ForestTable *const *tables, bool one_table,
				 const SvSlice *keys, int n, Snapshot snapshot)
{
	BatchMemory *memory = batch->memory;
	Wanted		wanted = {.tables = tables,.keys = keys,.one_table = one_table};
	TimestampTz now = forest_now();
	RunAnswer  *answers;
	ForestValue *out;

	sv_scratch_reset(&memory->scratch, KEPT_BYTES);
	sv_buffer_reset(&memory->values);
	answers = take_room(&memory->scratch, n, sizeof(RunAnswer));
	out = take_room(&memory->scratch, n, sizeof(ForestValue));
	if (n > 0)
		look_up_tables(&wanted, n, snapshot, memory, answers);

	/* The values move no more. */
	for (int i = 0; i < n; i++)
	{
		const RunAnswer *answer = &answers[i];
		bool		found = answer->kind == SST_VALUE &&
			(answer->expires_at == DT_NOEND || answer->expires_at > now);

		out[i].found = found;
		out[i].value = found && answer->value_len > 0 ?
			sv_slice(memory->values.data + answer->value_at, answer->value_len) : sv_slice(NULL, 0);
		out[i].expires_at = found ? answer->expires_at : DT_NOEND;
	}
	return out;
}

/* ---- memory ---- */

/* That of the last batch that ended; NULL while another has it, or before the first. */
static BatchMemory *kept;

static void
free_memory(BatchMemory *memory)
{
	sv_scratch_free(&memory->callers);
	sv_scratch_free(&memory->scratch);
	sv_buffer_free(&memory->values);
	free(memory);
}

/* Runs when the batch ends, or when the context in which it began goes. */
static void
give_back(void *arg)
{
	ForestBatch *batch = arg;
	BatchMemory *memory = batch->memory;

	batch->memory = NULL;
	if (memory == NULL)
		return;
	sv_scratch_reset(&memory->callers, KEPT_BYTES);
	sv_scratch_reset(&memory->scratch, KEPT_BYTES);
	if (memory->values.capacity > KEPT_BYTES)
		sv_buffer_free(&memory->values);
	if (kept == NULL)
		kept = memory;
	else
		free_memory(memory);
}

/*
 * glibc returns what is free at the top of the heap to the system when it is
 * more than twice the largest piece that was mapped and freed before; and what
 * surrounds a batch (its parameters, its tuplestore) takes and frees some
 * hundred kilobytes each time.  To have a page taken away and get it again,
 * empty, costs about what four lookups cost.  So this frees a large piece, once
 * in a process.
 */
static void
keep_top_of_heap(void)
{
	SvScratch		scratch = {0};

	(void) sv_scratch_take(&scratch, KEPT_BYTES / 2);
	sv_scratch_free(&scratch);
}

static BatchMemory *
make_memory(void)
{
	BatchMemory *memory = calloc(1, sizeof(BatchMemory));

	if (memory == NULL)
		report_no_memory(sizeof(BatchMemory));
	sv_buffer_init(&memory->values, &sv_malloc_alloc);
	keep_top_of_heap();
	return memory;
}

ForestBatch *
forest_batch_begin(void)
{
	ForestBatch *batch = palloc0(sizeof(ForestBatch));

	if (kept == NULL)
		kept = make_memory();
	batch->memory = kept;
	kept = NULL;
	batch->callback.func = give_back;
	batch->callback.arg = batch;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &batch->callback);
	return batch;
}

void *
forest_batch_room(ForestBatch *batch, Size n, Size bytes)
{
	return take_room(&batch->memory->callers, n, bytes);
}

void
forest_batch_end(ForestBatch *batch)
{
	give_back(batch);
}
