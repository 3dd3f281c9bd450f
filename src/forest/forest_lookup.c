/*
 * forest_lookup.c
 *		Finding the newest entry of a key under a snapshot.
 */
#include "postgres.h"

#include "forest/forest_lookup.h"

#include "access/xact.h"
#include "forest/forest_run.h"
#include "forest/forest_snapshot.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

StaticAssertDecl(SST_NEVER_EXPIRES == DT_NOEND, "both mean that an entry does not expire");

void
forest_view_open(ForestView *view, const ForestTable *table, Snapshot snapshot)
{
	forest_table_check_key(table);
	view->vault_id = table->vault_id;
	view->server_oid = table->server_oid;
	view->snapshot = snapshot;
	view->forest = forest_peek(table->vault_id, snapshot);
	view->probe = delta_probe_begin(snapshot);
}

void
forest_view_close(ForestView *view)
{
	delta_probe_end(view->probe);
}

static bool
lookup_in_runs(ForestView *view, int32 table_id, SvSlice key, ForestEntry *entry)
{
	int			n;
	const LsmSourceRun *sources = lsm_forest_sources(view->forest, table_id, &n);

	for (int i = 0; i < n; i++)
	{
		SstEntry	found;

		if (!lsm_part_has_key(sources[i].part, key) ||
			!forest_run_get(view->server_oid, &sources[i], key, &found))
			continue;
		entry->found_in = FOUND_IN_RUN;
		entry->is_tombstone = found.kind == SST_TOMBSTONE;
		entry->value = found.value;
		entry->expires_at = found.expires_at;
		entry->run = sources[i].run;
		return true;
	}
	return false;
}

void
forest_lookup(ForestView *view, int32 table_id, SvSlice key, ForestEntry *entry)
{
	const LsmFloor *floor = lsm_forest_floor(view->forest, table_id);
	bool		own_only = floor != NULL && floor->is_own;

	CHECK_FOR_INTERRUPTS();
	entry->found_in = FOUND_NOWHERE;
	entry->is_tombstone = false;
	entry->run = NULL;
	if (delta_probe(view->probe, table_id, key, own_only, &entry->row))
	{
		entry->found_in = FOUND_IN_DELTA;
		entry->is_tombstone = entry->row.kind == DELTA_TOMBSTONE;
		entry->value = entry->row.value;
		entry->expires_at = entry->row.expires_at;
		return;
	}
	(void) lookup_in_runs(view, table_id, key, entry);
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
