/*
 * api_load_progress.c
 *		The function behind the view skyvault_progress_load.
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "fmgr.h"
#include "forest/load_progress.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "server/pg_compat.h"
#include "utils/acl.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(skyvault_loads);

#define LOAD_COLUMNS 12

/* As of the statements of others in pg_stat_activity. */
static bool
may_see(const LoadProgress *load)
{
	return has_privs_of_role(GetUserId(), load->userid) ||
		has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);
}

static void
put_load(ReturnSetInfo *rsinfo, const LoadProgress *load)
{
	Datum		values[LOAD_COLUMNS] = {0};
	bool		nulls[LOAD_COLUMNS] = {false};
	int			n = 0;

	values[n++] = Int32GetDatum(load->pid);
	values[n++] = ObjectIdGetDatum(load->dboid);
	if (!may_see(load))
		memset(&nulls[n], true, LOAD_COLUMNS - n);
	values[n++] = ObjectIdGetDatum(load->relid);
	values[n++] = CStringGetTextDatum(load->command);
	values[n++] = CStringGetTextDatum(load_progress_phase_name(load->phase));
	values[n++] = Int64GetDatum((int64) load->rows_read);
	values[n++] = Int64GetDatum((int64) load->bytes_read);
	values[n++] = Int64GetDatum((int64) load->rows_written);
	values[n++] = Int64GetDatum((int64) load->bytes_written);
	nulls[n] |= load->rows_total == 0;
	values[n++] = Int64GetDatum((int64) load->rows_total);
	nulls[n] |= load->bytes_total == 0;
	values[n++] = Int64GetDatum((int64) load->bytes_total);
	values[n++] = Int32GetDatum(load->workers);
	Assert(n == LOAD_COLUMNS);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* (): a row for each bulk load of any database that is under way */
Datum
skyvault_loads(PG_FUNCTION_ARGS)
{
	LoadProgress *loads = palloc(LOAD_PROGRESS_LINES * sizeof(LoadProgress));
	int			n = load_progress_list(loads);

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < n; i++)
		put_load((ReturnSetInfo *) fcinfo->resultinfo, &loads[i]);
	return (Datum) 0;
}
