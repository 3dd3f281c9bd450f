/*
 * api_cache.c
 *		What is in the caches and how runs are indexed: skyvault_index,
 *		skyvault_prewarm, skyvault_clear_cache, and the functions behind the views skyvault_cache and
 *		skyvault_stat_cache.
 */
#include "postgres.h"

#include "access/relation.h"
#include "fmgr.h"
#include "forest/forest_arena.h"
#include "forest/forest_run_scan.h"
#include "forest/forest_snapshot.h"
#include "forest/forest_table.h"
#include "forest/forest_vault.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "lsm/lsm_walkey.h"
#include "miscadmin.h"
#include "server/pg_cache.h"
#include "server/pg_compat.h"
#include "sqlapi/api_args.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(skyvault_index);
PG_FUNCTION_INFO_V1(skyvault_prewarm);
PG_FUNCTION_INFO_V1(skyvault_cached_runs);
PG_FUNCTION_INFO_V1(skyvault_cache_counters);
PG_FUNCTION_INFO_V1(skyvault_clear_cache);

/* A table's runs in lookup order, as the active snapshot sees them; the relation is locked and readable. */
static const LsmSourceRun *
table_runs(FunctionCallInfo fcinfo, Oid *server_oid, int *count)
{
	Relation	rel = api_relation_open(api_relation_arg(fcinfo, 0), ACL_SELECT);
	const ForestTable *table = forest_table_for_read(RelationGetRelid(rel));
	const LsmSourceRun *runs = NULL;

	*count = 0;
	*server_oid = table->server_oid;
	if (table->table_id != 0)
		runs = lsm_forest_sources(forest_of_snapshot(table->vault_id, GetActiveSnapshot()),
								  table->table_id, count);
	relation_close(rel, NoLock);
	return runs;
}

static MemoryContext
run_context(void)
{
	return AllocSetContextCreate(CurrentMemoryContext, "skyvault run", ALLOCSET_SMALL_SIZES);
}

static void
put_index_row(ReturnSetInfo *rsinfo, const LsmSourceRun *source, const SstTail *tail)
{
	double		entries = Max(tail->properties.entries, 1);
	SstRmiStats stats = {.root_kind = "binary search"};
	Datum		values[15];
	bool		nulls[15] = {false};
	int			n = 0;

	if (tail->rmi.count > 0)
		sst_rmi_stats(&tail->rmi, &stats);
	values[n++] = Int64GetDatum(source->run->id);
	values[n++] = CharGetDatum((char) source->run->tier);
	values[n++] = Int32GetDatum(source->run->level);
	values[n++] = Int64GetDatum((int64) tail->properties.entries);
	values[n++] = Int32GetDatum((int32) tail->index.count);
	values[n++] = Int64GetDatum((int64) tail->bytes.len);
	values[n++] = Float8GetDatum(tail->filter.line_count * (double) SST_FILTER_LINE_BYTES * 8 / entries);
	values[n++] = CStringGetTextDatum(stats.root_kind);
	values[n++] = Int32GetDatum((int32) stats.nodes);
	values[n++] = Int32GetDatum((int32) stats.leaves);
	values[n++] = Float8GetDatum(stats.bytes / entries);
	values[n++] = Float8GetDatum(stats.mean_error);
	values[n++] = Int32GetDatum((int32) stats.max_error);
	values[n++] = Float8GetDatum(stats.fallback_share);
	values[n++] = Float8GetDatum(stats.probes);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* (rel regclass): one row for each run of the table */
Datum
skyvault_index(PG_FUNCTION_ARGS)
{
	Oid			server_oid;
	int			n;
	const LsmSourceRun *runs;

	InitMaterializedSRF(fcinfo, 0);
	runs = table_runs(fcinfo, &server_oid, &n);
	for (int i = 0; i < n; i++)
	{
		MemoryContext context = run_context();
		MemoryContext old = MemoryContextSwitchTo(context);

		CHECK_FOR_INTERRUPTS();
		put_index_row((ReturnSetInfo *) fcinfo->resultinfo, &runs[i],
					  forest_run_open(server_oid, runs[i].run)->tail);
		MemoryContextSwitchTo(old);
		MemoryContextDelete(context);
	}
	return (Datum) 0;
}

static SvSlice
walkey(int32 table_id, SvSlice key)
{
	uint8	   *bytes = palloc(LSM_WALKEY_PREFIX_BYTES + key.len);

	lsm_walkey_prefix(bytes, table_id);
	memcpy(bytes + LSM_WALKEY_PREFIX_BYTES, key.data, key.len);
	return sv_slice(bytes, LSM_WALKEY_PREFIX_BYTES + key.len);
}

/* What a prewarming has left to do. */
typedef struct Prewarm
{
	const BlockCache *cache;
	uint64		room;			/* frames */
	uint64		brought;		/* blocks that were not there before */
} Prewarm;

/*
 * Of the blocks from `first` to the one before `end`, the one behind the last that
 * there is room for.  Those that are there take theirs like the others, or else what
 * was brought first would have to go for what comes last; those that the cache does
 * not keep take none.
 */
static uint32
take_room(Prewarm *prewarm, const SstIndex *index, uint32 first, uint32 end)
{
	uint32		block;

	for (block = first; block < end; block++)
	{
		uint32		raw_bytes = sst_index_block(index, block).raw_bytes;
		uint64		frames = (raw_bytes + (uint64) SST_FRAME_BYTES - 1) / SST_FRAME_BYTES;

		if (!block_cache_keeps(prewarm->cache, raw_bytes))
			continue;
		if (frames > prewarm->room)
		{
			prewarm->room = 0;
			break;
		}
		prewarm->room -= frames;
	}
	return block;
}

/* Brings the blocks with the table's entries. */
static void
prewarm_run(Prewarm *prewarm, Oid server_oid, const LsmSourceRun *source)
{
	RunScan    *scan = forest_run_open(server_oid, source->run);
	SvSlice		low = source->part->min_key;
	SvSlice		high = source->part->max_key;
	uint32		first;
	uint32		end;

	if (source->run->tier == LSM_WAL)
	{
		low = walkey(source->part->table_id, low);
		high = walkey(source->part->table_id, high);
	}
	first = sst_tail_blocks_up_to(scan->tail, low);
	first -= first > 0 ? 1 : 0;
	end = take_room(prewarm, &scan->tail->index, first, sst_tail_blocks_up_to(scan->tail, high));
	if (first < end)
		forest_run_warm_from(scan, first, end - 1);
	for (uint32 block = first; block < end; block++)
	{
		CHECK_FOR_INTERRUPTS();
		prewarm->brought += forest_run_warm(scan, block);
	}
}

/* (rel regclass): brings tails and blocks of the table, newest runs first, until the cache is full */
Datum
skyvault_prewarm(PG_FUNCTION_ARGS)
{
	Prewarm		prewarm = {.cache = pg_caches()->blocks};
	BlockCacheStats stats;
	Oid			server_oid;
	int			n;
	const LsmSourceRun *runs = table_runs(fcinfo, &server_oid, &n);

	block_cache_stats(prewarm.cache, &stats);
	prewarm.room = stats.frames;
	for (int i = 0; i < n && prewarm.room > 0; i++)
	{
		MemoryContext context = run_context();
		MemoryContext old = MemoryContextSwitchTo(context);

		prewarm_run(&prewarm, server_oid, &runs[i]);
		MemoryContextSwitchTo(old);
		MemoryContextDelete(context);
	}
	PG_RETURN_INT64((int64) prewarm.brought);
}

/* What the caches hold of one run. */
typedef struct CachedRun
{
	CacheRunId	id;				/* hash key */
	int64		blocks;
	int64		bytes;
	int64		frames;
	int64		tail_bytes;
	int32		pins;
} CachedRun;

static CachedRun *
cached_run(HTAB *runs, CacheRunId id)
{
	bool		found;
	CachedRun  *run = hash_search(runs, &id, HASH_ENTER, &found);

	if (!found)
	{
		memset(run, 0, sizeof(CachedRun));
		run->id = id;
	}
	return run;
}

static void
visit_block(void *state, const BlockCacheItem *item)
{
	CachedRun  *run = cached_run(state, item->key.run);

	run->blocks++;
	run->bytes += item->raw_bytes;
	run->frames += item->frames;
}

static void
visit_tail(void *state, const TailCacheItem *item)
{
	CachedRun  *run = cached_run(state, item->run);

	run->tail_bytes += item->bytes;
	run->pins += item->pins;
}

static void
put_cached_run(ReturnSetInfo *rsinfo, const char *server, const LsmRun *run, const CachedRun *cached)
{
	Datum		values[9] = {0};
	bool		nulls[9] = {false};

	nulls[0] = server == NULL;
	nulls[1] = nulls[2] = nulls[3] = run == NULL;
	if (server != NULL)
		values[0] = DirectFunctionCall1(namein, CStringGetDatum(server));
	if (run != NULL)
	{
		values[1] = Int64GetDatum(run->id);
		values[2] = CharGetDatum((char) run->tier);
		values[3] = CStringGetTextDatum(run->object);
	}
	values[4] = Int64GetDatum(cached->blocks);
	values[5] = Int64GetDatum(cached->bytes);
	values[6] = Int64GetDatum(cached->frames * SST_FRAME_BYTES);
	values[7] = Int64GetDatum(cached->tail_bytes);
	values[8] = Int32GetDatum(cached->pins);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* Rows for the vault's runs, which leave the table of what is cached. */
static void
put_vault_runs(ReturnSetInfo *rsinfo, const ForestVault *vault, HTAB *cached)
{
	const LsmForest *forest = forest_of_snapshot(vault->id, GetActiveSnapshot());
	const char *server = OidIsValid(vault->server_oid) ?
		GetForeignServer(vault->server_oid)->servername : NULL;

	for (int i = 0; i < lsm_forest_run_count(forest); i++)
	{
		const LsmRun *run = lsm_forest_run(forest, i);
		CacheRunId	id = {run->identity[0], run->identity[1]};
		CachedRun  *found = hash_search(cached, &id, HASH_FIND, NULL);

		if (found == NULL)
			continue;
		put_cached_run(rsinfo, server, run, found);
		(void) hash_search(cached, &id, HASH_REMOVE, NULL);
	}
}

static HTAB *
cached_runs(void)
{
	HASHCTL		ctl = {.keysize = sizeof(CacheRunId),.entrysize = sizeof(CachedRun),
	.hcxt = CurrentMemoryContext};
	HTAB	   *cached = hash_create("skyvault cached runs", 256, &ctl,
									 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);

	block_cache_walk(pg_caches()->blocks, visit_block, cached);
	tail_cache_walk(pg_caches()->tails, visit_tail, cached);
	return cached;
}

/* (): what is cached, a row for each run of this database, and one for all others together */
Datum
skyvault_cached_runs(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	HTAB	   *cached = cached_runs();
	CachedRun	others = {0};
	HASH_SEQ_STATUS seq;
	CachedRun  *run;
	ForestVault *vaults;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	n = forest_vault_list(&vaults);
	for (int i = 0; i < n; i++)
		put_vault_runs(rsinfo, &vaults[i], cached);

	hash_seq_init(&seq, cached);
	while ((run = hash_seq_search(&seq)) != NULL)
	{
		others.blocks += run->blocks;
		others.bytes += run->bytes;
		others.frames += run->frames;
		others.tail_bytes += run->tail_bytes;
		others.pins += run->pins;
	}
	if (others.blocks > 0 || others.tail_bytes > 0)
		put_cached_run(rsinfo, NULL, NULL, &others);
	return (Datum) 0;
}

/* (): one row of counters since server start */
Datum
skyvault_cache_counters(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	static const CacheCounter counters[] = {
		CACHE_BLOCK_HIT, CACHE_BLOCK_MISS, CACHE_BLOCK_WAIT, CACHE_BLOCK_BYPASS,
		CACHE_TAIL_MISS, CACHE_TAIL_PRIVATE, CACHE_FILTER_NEGATIVE, CACHE_FILTER_FALSE
	};
	Datum		values[lengthof(counters) + 9];
	bool		nulls[lengthof(counters) + 9] = {false};
	ForestArenaStats forests = forest_arena_stats();
	BlockCacheStats blocks;
	TailCacheStats tails;
	int			n = 0;

	InitMaterializedSRF(fcinfo, 0);
	block_cache_stats(pg_caches()->blocks, &blocks);
	tail_cache_stats(pg_caches()->tails, &tails);
	for (int i = 0; i < lengthof(counters); i++)
		values[n++] = Int64GetDatum((int64) cache_guard_counter(pg_caches()->guard, counters[i]));
	values[n++] = Int64GetDatum((int64) blocks.evictions);
	values[n++] = Int64GetDatum((int64) blocks.frames * SST_FRAME_BYTES);
	values[n++] = Int64GetDatum((int64) blocks.frames_used * SST_FRAME_BYTES);
	values[n++] = Int64GetDatum((int64) tails.evictions);
	values[n++] = Int64GetDatum((int64) tails.bytes);
	values[n++] = Int64GetDatum((int64) tails.bytes_used);
	values[n++] = Int32GetDatum(forests.forests);
	values[n++] = Int64GetDatum((int64) forests.bytes);
	values[n++] = Int64GetDatum((int64) forests.bytes_used);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	return (Datum) 0;
}

/* (): empties the caches of all that nobody reads at the moment, for measurements and tests */
Datum
skyvault_clear_cache(PG_FUNCTION_ARGS)
{
	HASH_SEQ_STATUS seq;
	CachedRun  *run;

	hash_seq_init(&seq, cached_runs());
	while ((run = hash_seq_search(&seq)) != NULL)
	{
		block_cache_drop_run(pg_caches()->blocks, run->id);
		tail_cache_drop_run(pg_caches()->tails, run->id);
	}
	PG_RETURN_VOID();
}
