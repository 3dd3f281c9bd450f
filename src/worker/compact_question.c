/*
 * compact_question.c
 *		From the catalogue to a question for lsm_choose.h.
 */
#include "postgres.h"

#include "worker/compact_question.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "forest/forest_catalog.h"
#include "forest/forest_registry.h"
#include "forest/forest_storage.h"
#include "server/pg_settings.h"
#include "server/pg_status.h"
#include "server/pg_thresholds.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

/*
 * A job opens at most max_inputs runs at a time: the half of the memory is for
 * their tails and least read-ahead, the other half for the output, and for
 * reading further ahead where inputs are few.
 */
static void
bound_inputs(LsmSettings *settings)
{
	uint64		each = settings->run_bytes / 40 + COMPACT_LEAST_READ_AHEAD;
	uint64		fit = (uint64) setting_worker_memory_kb * 1024 / 2 / each;

	settings->max_inputs = (int) Max(2, Min((uint64) settings->max_inputs, fit));
}

static int
compare_tables(const void *a, const void *b)
{
	int32		left = ((const LsmTable *) a)->id;
	int32		right = ((const LsmTable *) b)->id;

	return (left > right) - (left < right);
}

static void
add_table(CompactQuestion *ask, int *room, int32 id, Oid relid)
{
	LsmSettings *settings = palloc(sizeof(LsmSettings));

	if (ask->ntables == *room)
	{
		*room *= 2;
		ask->tables = repalloc(ask->tables, *room * sizeof(LsmTable));
	}
	*settings = ask->settings;
	forest_thresholds(relid, settings);
	ask->tables[ask->ntables++] = (LsmTable)
	{
		.id = id,.settings = settings
	};
}

static void
read_tables(CompactQuestion *ask, int32 vault_id, Snapshot snapshot)
{
	Relation	rel = catalog_open(CATALOG_TABLE, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	int			room = 16;
	HeapTuple	tuple;

	ask->tables = palloc(room * sizeof(LsmTable));
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;

		if (DatumGetInt32(heap_getattr(tuple, Anum_table_vault_id, desc, &isnull)) == vault_id)
			add_table(ask, &room, DatumGetInt32(heap_getattr(tuple, Anum_table_id, desc, &isnull)),
					  DatumGetObjectId(heap_getattr(tuple, Anum_table_relid, desc, &isnull)));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	qsort(ask->tables, ask->ntables, sizeof(LsmTable), compare_tables);
}

void
compact_question_make(CompactQuestion *ask, int32 vault_id, Snapshot snapshot)
{
	memset(ask, 0, sizeof(CompactQuestion));
	ask->alloc = pg_status_alloc(CurrentMemoryContext);
	ask->settings = pg_thresholds();
	bound_inputs(&ask->settings);
	read_tables(ask, vault_id, snapshot);
	ask->forest = registry_read_forest(vault_id, snapshot, CurrentMemoryContext);
	ask->question = (LsmQuestion)
	{
		.forest = ask->forest,.settings = &ask->settings,
			.ntables = ask->ntables,.tables = ask->tables,
			.expired_before = GetCurrentTimestamp() - (int64) setting_ttl_grace_s * USECS_PER_SEC,
			.alloc = &ask->alloc
	};
}
