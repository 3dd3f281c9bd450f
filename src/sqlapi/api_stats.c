/*
 * api_stats.c
 *		skyvault_stat_delta_filter and skyvault_stat_forest_probes.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "forest/forest_filter.h"
#include "forest/forest_snapshot.h"
#include "funcapi.h"
#include "server/pg_compat.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(skyvault_stat_delta_filter);
PG_FUNCTION_INFO_V1(skyvault_stat_forest_probes);

static Datum
result_row(FunctionCallInfo fcinfo, Datum *values)
{
	bool		nulls[5] = {false};
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	Assert(desc->natts <= lengthof(nulls));
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

static const char *
phase_name(FilterPhase phase)
{
	switch (phase)
	{
		case FILTER_UNKNOWN:
			break;
		case FILTER_FILLING:
			return "filling";
		case FILTER_COMPLETE:
			return "complete";
		case FILTER_BOTH:
			return "rotating";
	}
	return "off";
}

/* () returns (state text, generations integer, bits_set double precision, checks bigint, negatives bigint) */
Datum
skyvault_stat_delta_filter(PG_FUNCTION_ARGS)
{
	FilterStats stats = forest_filter_stats();
	Datum		values[5];

	values[0] = CStringGetTextDatum(phase_name(stats.phase));
	values[1] = Int32GetDatum(stats.generations);
	values[2] = Float8GetDatum(stats.bits_set);
	values[3] = Int64GetDatum(stats.checks);
	values[4] = Int64GetDatum(stats.negatives);
	return result_row(fcinfo, values);
}

/* () returns (lookups bigint, probes bigint) */
Datum
skyvault_stat_forest_probes(PG_FUNCTION_ARGS)
{
	ForestSnapshotStats stats = forest_snapshot_stats();
	Datum		values[2];

	values[0] = Int64GetDatum(stats.calls);
	values[1] = Int64GetDatum(stats.probes);
	return result_row(fcinfo, values);
}
