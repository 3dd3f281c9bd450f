/*
 * forest_cuts.c
 *		See forest_cuts.h.
 */
#include "postgres.h"

#include "forest/forest_cuts.h"

#include "forest/forest_run.h"
#include "forest/forest_run_scan.h"
#include "forest/forest_snapshot.h"
#include "lsm/lsm_split.h"
#include "miscadmin.h"
#include "server/pg_status.h"
#include "utils/memutils.h"

/* Runs whose tails are read for the first keys of their blocks. */
#define MAX_TAILS 32

/* The table's runs that have keys between the bounds. */
static const LsmSourceRun **
runs_between(const LsmForest *forest, int32 table_id, const SvSlice *low, const SvSlice *high, int *n)
{
	int			count;
	const LsmSourceRun *sources = lsm_forest_sources(forest, table_id, &count);
	const LsmSourceRun **found = palloc(sizeof(LsmSourceRun *) * Max(count, 1));

	*n = 0;
	for (int i = 0; i < count; i++)
		if (lsm_part_overlaps(sources[i].part, low, high))
			found[(*n)++] = &sources[i];
	return found;
}

/* Those that lack, all at once. */
static void
fetch_tails(Oid server_oid, const LsmSourceRun *const *sources, int n)
{
	/* It outlives an error, and its memory is used again. */
	static SvScratch scratch = {0};
	const LsmRun **runs = palloc(sizeof(LsmRun *) * Max(n, 1));

	for (int i = 0; i < n; i++)
		runs[i] = sources[i]->run;
	sv_scratch_reset(&scratch, 0);
	if (n > 0)
		(void) forest_run_fetch_tails(server_oid, runs, (uint32) n, &scratch);
	sv_scratch_reset(&scratch, 0);
}

static void
add_marks(const ForestTable *table, const LsmSourceRun *const *sources, int n, LsmMarks *marks)
{
	SvError		err;

	if (n <= MAX_TAILS)
		fetch_tails(table->server_oid, sources, n);
	for (int i = 0; i < n; i++)
	{
		const LsmRun *run = sources[i]->run;
		MemoryContext context;
		MemoryContext old;

		CHECK_FOR_INTERRUPTS();
		if (n > MAX_TAILS)
		{
			PG_STATUS_CHECK(lsm_marks_add(marks, sources[i]->part->min_key, sources[i]->part->raw_bytes, &err), &err);
			continue;
		}
		context = AllocSetContextCreate(CurrentMemoryContext, "skyvault cut run", ALLOCSET_SMALL_SIZES);
		old = MemoryContextSwitchTo(context);
		PG_STATUS_CHECK(lsm_marks_add_blocks(marks, forest_run_open(table->server_oid, run)->tail,
											 run->tier == LSM_WAL, table->table_id, &err), &err);
		MemoryContextSwitchTo(old);
		MemoryContextDelete(context);
	}
}

/* Only those between the bounds are left. */
static void
leave_between(LsmMarks *marks, const SvSlice *low, const SvSlice *high)
{
	int			n = 0;

	for (int i = 0; i < marks->n; i++)
		if ((low == NULL || sv_slice_compare(marks->marks[i].key, *low) > 0) &&
			(high == NULL || sv_slice_compare(marks->marks[i].key, *high) < 0))
			marks->marks[n++] = marks->marks[i];
	marks->n = n;
}

static SvSlice
copy_key(SvSlice key)
{
	uint8	   *data = palloc(key.len + 1);

	if (key.len > 0)
		memcpy(data, key.data, key.len);
	return sv_slice(data, key.len);
}

static void
cut(LsmMarks *marks, int slices, ForestCuts *cuts)
{
	LsmSlice   *made = palloc(sizeof(LsmSlice) * slices);

	slices = lsm_split(marks, 0, slices, made);
	cuts->keys = palloc(sizeof(SvSlice) * slices);
	for (int i = 1; i < slices; i++)
		cuts->keys[cuts->n++] = copy_key(made[i].low);
	pfree(made);
}

void
forest_cuts(const ForestTable *table, Snapshot snapshot, const SvSlice *low, const SvSlice *high,
			int least, int most, uint64 slice_bytes, ForestCuts *cuts)
{
	MemoryContext outer = CurrentMemoryContext;
	MemoryContext context;
	const LsmSourceRun **sources;
	SvAlloc		alloc;
	LsmMarks	marks;
	int			n;
	int			slices;

	*cuts = (ForestCuts) {0};
	forest_table_check_key(table);
	if (table->table_id == 0)
		return;
	context = AllocSetContextCreate(outer, "skyvault cuts", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	alloc = pg_status_alloc(context);
	lsm_marks_init(&marks, &alloc);
	sources = runs_between(forest_of_snapshot(table->vault_id, snapshot), table->table_id, low, high, &n);
	add_marks(table, sources, n, &marks);
	leave_between(&marks, low, high);
	for (int i = 0; i < n; i++)
		cuts->bytes += sources[i]->part->raw_bytes;
	slices = (int) Max(least, Min(most, cuts->bytes / slice_bytes));
	MemoryContextSwitchTo(outer);
	cut(&marks, slices, cuts);
	MemoryContextDelete(context);
}
