/*
 * flush_publish.c
 *		The short transaction that makes a written run part of the forest.
 *
 * The order matters.  The table locks come first and the snapshot after them,
 * so that a load or floor that was committed before a lock was given is in
 * sight, and none can be committed after: such a table is left out, its rows
 * stay in the delta, where they hide whatever is older, and a later flush
 * takes them.  The numbering lock comes last.
 *
 * If this process dies anywhere in here, the transaction is aborted: the rows
 * are still in the delta, and the object that was uploaded is an orphan.
 */
#include "postgres.h"

#include "worker/flush_publish.h"

#include "forest/forest_catalog.h"
#include "forest/forest_delta.h"
#include "forest/forest_registry.h"
#include "forest/forest_table.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "server/stop_point.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

static void
note_left_out(StringInfo left_out, Oid relid, const char *reason)
{
	char	   *name = OidIsValid(relid) ? get_rel_name(relid) : NULL;

	if (name == NULL)
		return;					/* dropped: nothing of it is left to flush */
	if (left_out->len > 0)
		appendStringInfoString(left_out, ", ");
	appendStringInfo(left_out, "\"%s\" (%s)", name, reason);
}

/* Which of the batch's tables this publish speaks for. */
static bool *
choose_tables(const FlushBatch *batch, const bool *locked, Snapshot snapshot, StringInfo left_out)
{
	bool	   *chosen = palloc0(Max(batch->ntables, 1) * sizeof(bool));

	for (int i = 0; i < batch->ntables; i++)
	{
		int32		table_id = batch->tables[i].part.table_id;
		Oid			relid = forest_table_relid(table_id, snapshot);

		if (!locked[i])
			note_left_out(left_out, relid, "locked by a load, TRUNCATE or DROP");
		else if (!OidIsValid(relid) ||
				 changelog_has_newer_for_table(batch->vault_id, &batch->mark, table_id, snapshot))
			note_left_out(left_out, relid, "loaded or truncated meanwhile");
		else
			chosen[i] = true;
	}
	return chosen;
}

static bool *
lock_tables(const FlushBatch *batch)
{
	bool	   *locked = palloc(Max(batch->ntables, 1) * sizeof(bool));

	for (int i = 0; i < batch->ntables; i++)
		locked[i] = catalog_try_lock_table(batch->tables[i].part.table_id, ShareUpdateExclusiveLock);
	return locked;
}

static int
compare_tids(const void *a, const void *b)
{
	ItemPointerData left = (*(const FlushRow *const *) a)->tid;
	ItemPointerData right = (*(const FlushRow *const *) b)->tid;

	return ItemPointerCompare(&left, &right);
}

/* In heap order, so that each page is met once.  Returns how many rows are gone. */
static int64
delete_rows(const FlushBatch *batch, const bool *chosen, Snapshot snapshot)
{
	const FlushRow **rows = MemoryContextAllocHuge(CurrentMemoryContext,
												   Max(batch->nrows, 1) * sizeof(FlushRow *));
	DeltaDeleter *deleter;
	int64		deleted = 0;
	int			n = 0;

	for (int i = 0; i < batch->ntables; i++)
		for (int j = 0; chosen[i] && j < batch->tables[i].nrows; j++)
			rows[n++] = &batch->rows[batch->tables[i].first_row + j];
	qsort(rows, n, sizeof(FlushRow *), compare_tids);

	deleter = delta_deleter_begin(snapshot, false);
	for (int i = 0; i < n; i++)
	{
		ItemPointerData tid = rows[i]->tid;

		deleted += delta_delete_exactly(deleter, rows[i]->table_id, rows[i]->key, &tid,
										rows[i]->raw_xmin);
	}
	delta_deleter_end(deleter);
	pfree(rows);
	return deleted;
}

static void
register_run(const FlushBatch *batch, const bool *chosen, const char *object, FlushOutcome *outcome)
{
	LsmPart    *parts = palloc(Max(batch->ntables, 1) * sizeof(LsmPart));
	int32	   *table_ids = palloc(Max(batch->ntables, 1) * sizeof(int32));
	LsmRun		run = {
		.tier = LSM_WAL,
		.seq_lo = batch->sequence,
		.seq_hi = batch->sequence,
		.file_bytes = batch->summary.file_bytes,
		.tail_bytes = batch->summary.tail_bytes,
		.object = object,
		.parts = parts
	};
	ChangelogRow row = {.kind = CHANGE_FLUSH,.table_ids = table_ids,.nadded = 1,.added = &run.id};

	for (int i = 0; i < batch->ntables; i++)
	{
		if (!chosen[i] || batch->tables[i].part.entries == 0)
			continue;
		table_ids[run.nparts] = batch->tables[i].part.table_id;
		parts[run.nparts++] = batch->tables[i].part;
		outcome->entries += batch->tables[i].part.entries;
	}
	if (run.nparts == 0)
		return;

	run.id = outcome->run_id = catalog_draw(CATALOG_RUN_ID_SEQ);
	registry_insert_run(batch->vault_id, &run);
	STOP_POINT("flush-registered");
	row.ntables = run.nparts;
	(void) changelog_number_and_insert(batch->vault_id, &row);
}

void
flush_publish(const FlushBatch *batch, const char *object, FlushOutcome *outcome)
{
	bool	   *locked = lock_tables(batch);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	StringInfoData left_out;
	bool	   *chosen;

	memset(outcome, 0, sizeof(FlushOutcome));
	initStringInfo(&left_out);
	PushActiveSnapshot(snapshot);
	chosen = choose_tables(batch, locked, snapshot, &left_out);
	STOP_POINT("flush-locked");
	outcome->kept_rows = batch->nrows - delete_rows(batch, chosen, snapshot);
	STOP_POINT("flush-deleted");
	if (object != NULL)
		register_run(batch, chosen, object, outcome);
	STOP_POINT("flush-numbered");
	PopActiveSnapshot();
	UnregisterSnapshot(snapshot);
	if (left_out.len > 0)
		outcome->left_out = left_out.data;
}
