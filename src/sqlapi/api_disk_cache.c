/*
 * api_disk_cache.c
 *		The function behind the view skyvault_stat_disk_cache, and
 *		skyvault_clear_disk_cache.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "server/pg_compat.h"
#include "server/pg_disk_tier.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(skyvault_disk_cache_counters);
PG_FUNCTION_INFO_V1(skyvault_clear_disk_cache);

static const char *
state_name(DiskTierState state)
{
	switch (state)
	{
		case DISK_TIER_OFF:
			break;
		case DISK_TIER_READ_ONLY:
			return "read only";
		case DISK_TIER_ON:
			return "on";
	}
	return "off";
}

/*
 * () returns setof (state text, ranges bigint, bytes bigint, cache_bytes bigint, hits bigint, misses bigint,
 * fills bigint, writes bigint, evictions bigint, damaged bigint, write_errors bigint)
 */
Datum
skyvault_disk_cache_counters(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	DiskTierStats stats;
	Datum		values[11];
	bool		nulls[11] = {false};

	InitMaterializedSRF(fcinfo, 0);
	pg_disk_tier_stats(&stats);
	values[0] = CStringGetTextDatum(state_name(stats.state));
	values[1] = Int64GetDatum((int64) stats.index.ranges);
	values[2] = Int64GetDatum((int64) stats.index.bytes);
	values[3] = Int64GetDatum((int64) stats.index.slots * DISK_SLOT_BYTES);
	values[4] = Int64GetDatum((int64) stats.hits);
	values[5] = Int64GetDatum((int64) stats.misses);
	values[6] = Int64GetDatum((int64) stats.fills);
	values[7] = Int64GetDatum((int64) stats.written_through);
	values[8] = Int64GetDatum((int64) stats.index.evictions);
	values[9] = Int64GetDatum((int64) stats.damaged);
	values[10] = Int64GetDatum((int64) stats.write_errors);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	return (Datum) 0;
}

/* (): empties the disk cache of all databases, for measurements and tests */
Datum
skyvault_clear_disk_cache(PG_FUNCTION_ARGS)
{
	DiskTier   *tier = pg_disk_tier();

	if (tier != NULL)
		disk_tier_clear(tier);
	PG_RETURN_VOID();
}
