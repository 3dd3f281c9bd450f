/*
 * forest_meter.c
 *		See forest_meter.h.
 *
 * Most counters are kept elsewhere: in the process's line of the caches' guard, in
 * its account of requests, in its copy of the disk tier.
 */
#include "postgres.h"

#include "forest/forest_meter.h"

#include "server/pg_cache.h"
#include "server/pg_disk_tier.h"
#include "server/pg_store_stat.h"

ForestMeterOwn forest_meter_own;

static uint64
reads_answered(void)
{
	const DiskTier *tier = pg_disk_tier();

	return tier != NULL ? tier->reads_answered : 0;
}

void
forest_meter_call_begin(ForestMeterCall *call)
{
	call->answered = reads_answered();
	INSTR_TIME_SET_CURRENT(call->start);
}

/* Tails are asked for by themselves, so that what was answered is of one kind. */
void
forest_meter_call_end(const ForestMeterCall *call, uint32 blocks)
{
	instr_time	end;

	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, call->start);
	forest_meter_own.store_us += INSTR_TIME_GET_MICROSEC(end);
	forest_meter_own.blocks_disk += Min(reads_answered() - call->answered, blocks);
}

static uint64
cache_count(const RunCaches *caches, CacheCounter counter)
{
	return cache_guard_own_counter(caches->guard, caches->slot, counter);
}

static void
read_caches(ForestMeter *meter)
{
	const RunCaches *caches = pg_caches();
	const DiskTier *tier = pg_disk_tier();
	uint64		loaded = cache_count(caches, CACHE_BLOCK_MISS) + cache_count(caches, CACHE_BLOCK_BYPASS);

	meter->n[METER_RUNS_FILTERED] = cache_count(caches, CACHE_FILTER_NEGATIVE);
	meter->n[METER_MODEL_LOOKUPS] = cache_count(caches, CACHE_MODEL_LOOKUP);
	meter->n[METER_MODEL_FALLBACKS] = cache_count(caches, CACHE_MODEL_FALLBACK);
	meter->n[METER_TAILS_LOADED] = cache_count(caches, CACHE_TAIL_MISS) + cache_count(caches, CACHE_TAIL_PRIVATE);
	meter->n[METER_BLOCKS_CACHED] = cache_count(caches, CACHE_BLOCK_HIT);
	meter->n[METER_BLOCKS_WAITED] = cache_count(caches, CACHE_BLOCK_WAIT);
	meter->n[METER_BLOCKS_DISK] = forest_meter_own.blocks_disk;
	meter->n[METER_BLOCKS_STORE] = loaded - forest_meter_own.blocks_disk;
	meter->n[METER_BLOCKS_STREAMED] = cache_count(caches, CACHE_BLOCK_STREAMED);
	meter->n[METER_DISK_BYTES] = tier != NULL ? tier->bytes_answered : 0;
}

void
forest_meter_read(ForestMeter *meter)
{
	const PgStoreUse *use = pg_store_stat_use();

	meter->n[METER_RUNS_CONSIDERED] = forest_meter_own.runs_considered;
	meter->n[METER_RUNS_OUT_OF_RANGE] = forest_meter_own.runs_considered - forest_meter_own.runs_asked;
	read_caches(meter);
	meter->n[METER_STORE_GETS] = use->gets;
	meter->n[METER_STORE_BYTES_READ] = use->bytes_read;
	meter->n[METER_STORE_PUTS] = use->puts;
	meter->n[METER_STORE_BYTES_WRITTEN] = use->bytes_written;
	meter->n[METER_STORE_US] = forest_meter_own.store_us;
}

/* Unsigned: a difference of counters that began anywhere is right. */
void
forest_meter_add_since(ForestMeter *sum, const ForestMeter *since)
{
	ForestMeter now;

	forest_meter_read(&now);
	for (int i = 0; i < METER_COUNTERS; i++)
		sum->n[i] += now.n[i] - since->n[i];
}

void
forest_meter_add(ForestMeter *sum, const ForestMeter *part)
{
	for (int i = 0; i < METER_COUNTERS; i++)
		sum->n[i] += part->n[i];
}
