/*
 * forest_batch.c
 *		Looking up many keys in one operation.
 *
 * The keys are sorted by table and key and met once each.  What the delta does
 * not have goes to the tables' groups of runs in lookup order, each time the
 * keys that are still missing, all at once over the group's runs: so their
 * memory misses overlap, and each block is met once.  forest_batch_table.c has
 * the way of one table's keys.
 */
#include "postgres.h"

#include "forest/forest_batch.h"

#include "forest/forest_batch_table.h"
#include "forest/forest_snapshot.h"
#include "forest/key_sort.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

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
	int		   *order = batch_take_room(scratch, n, sizeof(int));
	KeySortItem *room = batch_take_room(scratch, n, 2 * sizeof(KeySortItem));
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

/* The stretches of keys, each of one table, vault by vault. */
typedef struct Stretch
{
	const int  *order;			/* positions */
	int			n;
	int		   *distinct_of;	/* for each of them, which of the table's keys it is */
} Stretch;

typedef struct WholeBatch
{
	const Wanted *wanted;
	Snapshot	snapshot;
	BatchMemory *memory;
	RunAnswer  *answers;		/* by position */
	ForestView *views;			/* one of each vault */
	int			nviews;
	bool		several;		/* vaults */
	Stretch    *stretches;
	BatchTable *tables;
	int			n;
} WholeBatch;

/* The vault's view.  Where several are open at once, a forest that was peeked at is not good for so long. */
static ForestView *
view_of(WholeBatch *batch, const ForestTable *table)
{
	ForestView *view = batch->nviews > 0 ? &batch->views[batch->nviews - 1] : NULL;

	if (view != NULL && view->vault_id == table->vault_id)
	{
		forest_table_check_key(table);
		return view;
	}
	view = &batch->views[batch->nviews++];
	forest_view_open(view, table, batch->snapshot);
	if (batch->several)
		view->forest = forest_of_snapshot(view->vault_id, batch->snapshot);
	return view;
}

static void
begin_table(WholeBatch *batch, const int *order, int n)
{
	const ForestTable *of = table_of(batch->wanted, order[0]);
	ForestView *view = view_of(batch, of);
	Stretch    *stretch = &batch->stretches[batch->n];
	BatchTable *table = &batch->tables[batch->n++];

	*stretch = (Stretch) {
		.order = order,.n = n,.distinct_of = batch_take_room(&batch->memory->scratch, n, sizeof(int))
	};
	batch_table_init(table, view, of->table_id, n, &batch->memory->scratch, &batch->memory->values);
	table->n = distinct_keys(batch->wanted, order, n, table->keys, stretch->distinct_of);
	batch_table_ask_delta(table);
	batch_table_ask_runs(table);
}

/* What was not cached is asked for at once, of all tables. */
static void
end_batch(WholeBatch *batch)
{
	batch_tables_fetch(batch->tables, batch->n);
	for (int t = 0; t < batch->n; t++)
	{
		const Stretch *stretch = &batch->stretches[t];

		for (int i = 0; i < stretch->n; i++)
			batch->answers[stretch->order[i]] = batch->tables[t].answers[stretch->distinct_of[i]];
	}
	while (batch->nviews > 0)
		forest_view_close(&batch->views[--batch->nviews]);
}

/* How many stretches of keys of one table there are. */
static int
count_stretches(const Wanted *wanted, const int *order, int n)
{
	int			stretches = 0;

	for (int i = 0; i < n; i += same_table(wanted, order + i, n - i))
		stretches++;
	return stretches;
}

static void
look_up_tables(const Wanted *wanted, int n, Snapshot snapshot, BatchMemory *memory, RunAnswer *answers)
{
	const int  *order = sort_wanted(wanted, n, &memory->scratch);
	int			stretches = count_stretches(wanted, order, n);
	WholeBatch	batch = {
		.wanted = wanted,
		.snapshot = snapshot,
		.memory = memory,
		.answers = answers,
		.several = table_of(wanted, order[0])->vault_id != table_of(wanted, order[n - 1])->vault_id,
		.views = batch_take_room(&memory->scratch, stretches, sizeof(ForestView)),
		.stretches = batch_take_room(&memory->scratch, stretches, sizeof(Stretch)),
		.tables = batch_take_room(&memory->scratch, stretches, sizeof(BatchTable))
	};
	int			count;

	for (int i = 0; i < n; i += count)
	{
		count = same_table(wanted, order + i, n - i);
		if (table_of(wanted, order[i])->table_id != 0)
			begin_table(&batch, order + i, count);
		else
			for (int j = i; j < i + count; j++)
				answers[order[j]].kind = RUN_ABSENT;
	}
	if (batch.n > 0)
		end_batch(&batch);
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
	answers = batch_take_room(&memory->scratch, n, sizeof(RunAnswer));
	out = batch_take_room(&memory->scratch, n, sizeof(ForestValue));
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
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
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
	return batch_take_room(&batch->memory->callers, n, bytes);
}

void
forest_batch_end(ForestBatch *batch)
{
	give_back(batch);
}
