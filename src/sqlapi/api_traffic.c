/*
 * api_traffic.c
 *		skyvault_vault_traffic, behind the views skyvault_stat_pressure and
 *		skyvault_stat_amplification, and the reset of their counts.
 */
#include "postgres.h"

#include "fmgr.h"
#include "forest/forest_traffic.h"
#include "forest/forest_vault.h"
#include "funcapi.h"
#include "server/pg_compat.h"
#include "sqlapi/api_vault.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "worker/worker_pressure.h"

PG_FUNCTION_INFO_V1(skyvault_vault_traffic);
PG_FUNCTION_INFO_V1(skyvault_stat_amplification_reset);

static const char *
state_name(PressureState state)
{
	switch (state)
	{
		case PRESSURE_NONE:
			break;
		case PRESSURE_SLOWED:
			return "slowed";
		case PRESSURE_STOPPED:
			return "held";
		case PRESSURE_HELPLESS:
			return "not held";
	}
	return "none";
}

static void
put_vault(ReturnSetInfo *rsinfo, int32 vault_id, VaultTraffic *traffic)
{
	PressureReport report;
	Datum		values[19];
	bool		nulls[19] = {false};
	int			n = 0;

	worker_pressure_report(traffic, &report);
	values[n++] = Int32GetDatum(vault_id);
	values[n++] = TimestampTzGetDatum((TimestampTz) pg_atomic_read_u64(&traffic->reset_at));
	for (TrafficCounter c = TRAFFIC_COMMITTED; c <= TRAFFIC_COMPACTED_OUT; c++)
		values[n++] = Int64GetDatum((int64) forest_traffic_get(traffic, c));
	values[n++] = Int64GetDatum((int64) (forest_traffic_runs_asked() - pg_atomic_read_u64(&traffic->asked_base)));
	values[n++] = Int64GetDatum((int64) (forest_traffic_runs_found() - pg_atomic_read_u64(&traffic->found_base)));
	values[n++] = CStringGetTextDatum(state_name(report.state));
	nulls[n] = report.reason == NULL;
	values[n++] = report.reason == NULL ? (Datum) 0 : CStringGetTextDatum(report.reason);
	values[n++] = Int64GetDatum((int64) report.delta_bytes);
	values[n++] = Float8GetDatum(report.delta_debt);
	values[n++] = Float8GetDatum(report.wal_debt);
	values[n++] = Float8GetDatum(report.level0_debt);
	values[n++] = Int32GetDatum(report.delay_ms);
	values[n++] = Int32GetDatum((int32) pg_atomic_read_u32(&traffic->waiting));
	values[n++] = Int64GetDatum((int64) forest_traffic_get(traffic, TRAFFIC_DELAYED));
	values[n++] = Float8GetDatum((double) forest_traffic_get(traffic, TRAFFIC_DELAY_US) / 1000);
	values[n++] = Int64GetDatum((int64) forest_traffic_get(traffic, TRAFFIC_GAVE_UP));
	Assert(n == lengthof(values));
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* (): one row for each vault of this database that was written to since server start */
Datum
skyvault_vault_traffic(PG_FUNCTION_ARGS)
{
	ForestVault *vaults;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	n = forest_vault_list(&vaults);
	for (int i = 0; i < n; i++)
	{
		VaultTraffic *traffic = forest_traffic(vaults[i].id, false);

		if (traffic != NULL)
			put_vault((ReturnSetInfo *) fcinfo->resultinfo, vaults[i].id, traffic);
	}
	return (Datum) 0;
}

static void
reset(int32 vault_id)
{
	VaultTraffic *traffic = forest_traffic(vault_id, false);

	if (traffic != NULL)
		forest_traffic_reset(traffic);
}

/* (server name): NULL means all of this database */
Datum
skyvault_stat_amplification_reset(PG_FUNCTION_ARGS)
{
	ForestVault *vaults;
	int			n;

	if (!PG_ARGISNULL(0))
	{
		reset(api_vault_id(PG_GETARG_NAME(0)));
		PG_RETURN_VOID();
	}
	n = forest_vault_list(&vaults);
	for (int i = 0; i < n; i++)
		reset(vaults[i].id);
	PG_RETURN_VOID();
}
