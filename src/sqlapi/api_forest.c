/*
 * api_forest.c
 *		What the forest looks like: skyvault_forest_levels, behind the view
 *		skyvault_forest, and skyvault_tree.
 */
#include "postgres.h"

#include "access/relation.h"
#include "fmgr.h"
#include "forest/forest_table.h"
#include "forest/forest_vault.h"
#include "funcapi.h"
#include "lsm/lsm_picture.h"
#include "lsm/lsm_stats.h"
#include "server/pg_compat.h"
#include "server/pg_status.h"
#include "sqlapi/api_args.h"
#include "sqlapi/api_map.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "worker/compact_question.h"

PG_FUNCTION_INFO_V1(skyvault_forest_levels);
PG_FUNCTION_INFO_V1(skyvault_tree);

static void
put_level(ReturnSetInfo *rsinfo, int32 vault_id, const LsmLevelStats *row)
{
	Datum		values[12];
	bool		nulls[12] = {false};
	int			n = 0;

	values[n++] = Int32GetDatum(vault_id);
	values[n++] = Int32GetDatum(row->table_id);
	values[n++] = CharGetDatum((char) row->tier);
	values[n++] = Int32GetDatum(row->level);
	values[n++] = Int32GetDatum(row->runs);
	values[n++] = Int64GetDatum((int64) row->bytes);
	values[n++] = Int64GetDatum((int64) row->raw_bytes);
	values[n++] = Int64GetDatum((int64) row->entries);
	values[n++] = Int64GetDatum((int64) row->tombstones);
	values[n++] = Int64GetDatum((int64) row->expired);
	values[n++] = Int32GetDatum(row->depth);
	values[n++] = Float8GetDatum(row->overlap);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static void
put_vault(ReturnSetInfo *rsinfo, const ForestVault *vault)
{
	CompactQuestion *ask = palloc(sizeof(CompactQuestion));
	LsmForestStats stats;
	SvError		err;

	compact_question_make(ask, vault->id, GetActiveSnapshot());
	PG_STATUS_CHECK(lsm_stats_collect(&ask->question, &stats, &err), &err);
	for (int i = 0; i < stats.n; i++)
		put_level(rsinfo, vault->id, &stats.rows[i]);
}

/* (): one row for each vault, table, tier and level that has runs */
Datum
skyvault_forest_levels(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ForestVault *vaults;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	n = forest_vault_list(&vaults);
	for (int i = 0; i < n; i++)
	{
		MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "skyvault forest levels",
													  ALLOCSET_DEFAULT_SIZES);
		MemoryContext old = MemoryContextSwitchTo(context);

		put_vault(rsinfo, &vaults[i]);
		MemoryContextSwitchTo(old);
		MemoryContextDelete(context);
	}
	return (Datum) 0;
}

/* (rel regclass): lines of a picture */
Datum
skyvault_tree(PG_FUNCTION_ARGS)
{
	Relation	rel = api_relation_open(api_relation_arg(fcinfo, 0), ACL_SELECT);
	const ForestTable *table = forest_table_for_read(RelationGetRelid(rel));
	CompactQuestion *ask = palloc(sizeof(CompactQuestion));
	SvBuffer	text;
	SvError		err;

	relation_close(rel, NoLock);
	if (table->table_id == 0)
		PG_RETURN_TEXT_P(cstring_to_text(""));
	compact_question_make(ask, table->vault_id, GetActiveSnapshot());
	sv_buffer_init(&text, &ask->alloc);
	PG_STATUS_CHECK(lsm_tree_picture(&ask->question, table->table_id, &text, &err), &err);

	/* The client ends the last line. */
	PG_RETURN_TEXT_P(cstring_to_text_with_len((const char *) text.data, Max(text.len, 1) - 1));
}
