/*
 * pg_settings.c
 *		The settings skyvault.*
 */
#include "postgres.h"

#include "server/pg_settings.h"

#include <limits.h>

#include "server/pg_thresholds.h"
#include "utils/guc.h"

int			setting_flush_size_kb = 64 * 1024;
int			setting_flush_interval_s = 300;
int			setting_run_size_kb = 64 * 1024;
int			setting_compression_level = 1;
int			setting_retry_max_s = 60;
int			setting_cache_size_kb = 128 * 1024;
int			setting_tail_cache_size_kb = 32 * 1024;
int			setting_disk_cache_size_kb = 1024 * 1024;
char	   *setting_disk_cache_path = NULL;
int			setting_forest_size_kb = 16 * 1024;
int			setting_delta_filter_size_kb = 16 * 1024;
int			setting_max_workers = 2;
int			setting_worker_memory_kb = 64 * 1024;
int			setting_ttl_grace_s = 3600;
double		setting_slowdown_debt = 4;
double		setting_stop_debt = 10;
int			setting_stop_wait_ms = 1000;
int			setting_io_concurrency = 16;
int			setting_store_timeout_ms = 30000;
int			setting_store_connect_timeout_ms = 5000;
int			setting_store_retries = 6;
int			setting_hedge_percent = 0;
double		setting_price_get = 0.0004;
double		setting_price_put = 0.005;
double		setting_price_transfer = 0;
int			setting_export_interval_s = 10;
int			setting_snapshot_changes = 5000;
int			setting_retention_s = 3600;
int			setting_gc_interval_s = 60;
int			setting_sweep_interval_s = 24 * 3600;
int			setting_orphan_grace_s = 24 * 3600;
bool		setting_takeover_on_promotion = true;

static void
define_flush_settings(void)
{
	DefineCustomIntVariable("skyvault.flush_size",
							"Committed writes that start a flush to the object store.",
							NULL,
							&setting_flush_size_kb,
							64 * 1024, 64, MAX_KILOBYTES,
							PGC_SIGHUP, GUC_UNIT_KB, NULL, NULL, NULL);

	DefineCustomIntVariable("skyvault.flush_interval",
							"Longest time a committed write waits for a flush.",
							"Zero turns flushes by time off.",
							&setting_flush_interval_s,
							300, 0, 24 * 3600,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);

	DefineCustomIntVariable("skyvault.retry_max_interval",
							"Longest pause between tries of a failed job.",
							NULL,
							&setting_retry_max_s,
							60, 1, 3600,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
}

/*
 * A size of shared memory, fixed at server start.  Postgres would take the
 * default in place of a value from its configuration that is none, with a
 * warning that nobody reads: here the server does not start.
 */
static void
define_memory(const char *name, const char *short_desc, const char *long_desc, int *variable_kb,
			  int min_kb, int max_kb)
{
	const char *given = GetConfigOption(name, true, false);
	const char *hint = NULL;
	int			given_kb;

	if (given != NULL &&
		(!parse_int(given, &given_kb, GUC_UNIT_KB, &hint) || given_kb < min_kb || given_kb > max_kb))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for parameter \"%s\": \"%s\"", name, given),
				 hint != NULL ? errhint("%s", _(hint)) :
				 errhint("The value is a size from %d kB to %d kB.", min_kb, max_kb)));
	DefineCustomIntVariable(name, short_desc, long_desc, variable_kb, *variable_kb, min_kb, max_kb,
							PGC_POSTMASTER, GUC_UNIT_KB, NULL, NULL, NULL);
}

static void
define_filter_settings(void)
{
	define_memory("skyvault.delta_filter_size",
				  "Shared memory for filters over the keys that are not yet flushed.",
				  "Each database takes 2 MB of it, or works without. Zero turns them off.",
				  &setting_delta_filter_size_kb, 0, 1024 * 1024);
}

static void
define_run_settings(void)
{
	DefineCustomIntVariable("skyvault.run_size",
							"Size before compression at which a run is cut.",
							NULL,
							&setting_run_size_kb,
							64 * 1024, 64, 512 * 1024,
							PGC_SIGHUP, GUC_UNIT_KB, NULL, NULL, NULL);

	DefineCustomIntVariable("skyvault.compression_level",
							"zstd level of new runs.",
							"Zero stores blocks as they are.",
							&setting_compression_level,
							1, 0, 19,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
}

static void
define_worker_settings(void)
{
	DefineCustomIntVariable("skyvault.max_workers",
							"Processes of the server that compact.",
							"They count in max_worker_processes. Zero stops compaction.",
							&setting_max_workers,
							2, 0, 64,
							PGC_SIGHUP, 0, NULL, NULL, NULL);

	DefineCustomIntVariable("skyvault.worker_memory",
							"Memory that a compaction may take.",
							"It decides how many runs are merged at once, and how far they are read ahead.",
							&setting_worker_memory_kb,
							64 * 1024, 16 * 1024, MAX_KILOBYTES,
							PGC_SIGHUP, GUC_UNIT_KB, NULL, NULL, NULL);

	DefineCustomIntVariable("skyvault.ttl_grace",
							"Time for which an entry is kept after it has expired.",
							NULL,
							&setting_ttl_grace_s,
							3600, 0, INT_MAX / 2,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
}

static void
define_pressure_settings(void)
{
	DefineCustomRealVariable("skyvault.slowdown_debt",
							 "Debt of flushes and compactions from which writes are slowed down.",
							 "It is measured in what starts a flush or a compaction.",
							 &setting_slowdown_debt,
							 4, 1, 1000000,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);

	DefineCustomRealVariable("skyvault.stop_debt",
							 "Debt of flushes and compactions from which writes are held until it is less.",
							 NULL,
							 &setting_stop_debt,
							 10, 1, 1000000,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);

	DefineCustomIntVariable("skyvault.stop_wait",
							"Longest time for which a write is held.",
							"One that is slowed down waits up to a tenth of it. Zero turns back-pressure off.",
							&setting_stop_wait_ms,
							1000, 0, 3600 * 1000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
}

static void
define_seconds(const char *name, const char *short_desc, const char *long_desc, int *variable)
{
	DefineCustomIntVariable(name, short_desc, long_desc, variable, *variable, 0, INT_MAX / 2,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
}

static void
define_vault_settings(void)
{
	define_seconds("skyvault.export_interval",
				   "Time after which changes of the forest are exported to the store.",
				   "Zero exports only when asked to, and before objects are deleted.", &setting_export_interval_s);
	define_seconds("skyvault.retention",
				   "Time for which objects that were removed are kept in the store.",
				   "Base backups, and standbys without feedback, need what was removed while they did not look.",
				   &setting_retention_s);
	define_seconds("skyvault.gc_interval",
				   "Time between two passes of garbage collection.",
				   "Zero collects only when asked to.", &setting_gc_interval_s);
	define_seconds("skyvault.sweep_interval",
				   "Time between two sweeps for objects that nothing names.",
				   "Zero sweeps only when asked to.", &setting_sweep_interval_s);
	define_seconds("skyvault.orphan_grace",
				   "Age at which an object of an earlier epoch that nothing names is an orphan.",
				   NULL, &setting_orphan_grace_s);

	DefineCustomIntVariable("skyvault.snapshot_changes",
							"Changes of the forest after which a snapshot is written to the store.",
							"Zero writes them only when asked to.",
							&setting_snapshot_changes,
							5000, 0, INT_MAX,
							PGC_SIGHUP, 0, NULL, NULL, NULL);

	DefineCustomBoolVariable("skyvault.takeover_on_promotion",
							 "Whether a promoted server takes its vaults by itself.",
							 "A backup that was restored with archive recovery counts as promoted.",
							 &setting_takeover_on_promotion, true,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
}

static void
define_cache_settings(void)
{
	define_memory("skyvault.cache_size",
				  "Shared memory for decompressed blocks of runs.",
				  NULL,
				  &setting_cache_size_kb, 4 * 1024, MAX_KILOBYTES);

	define_memory("skyvault.forest_cache_size",
				  "Shared memory for what is known of the runs.",
				  "They take about 400 bytes each, in each version that is in use.",
				  &setting_forest_size_kb, 256, 1024 * 1024);

	define_memory("skyvault.tail_cache_size",
				  "Shared memory for filters, models and indexes of runs.",
				  "They take about 2 % of the keys and values in the runs.",
				  &setting_tail_cache_size_kb, 1024, MAX_KILOBYTES);
}

static void
define_disk_settings(void)
{
	define_memory("skyvault.disk_cache_size",
				  "Disk space for ranges of objects of remote stores.",
				  "Each GB takes 1 MB of shared memory. Zero turns the disk cache off.",
				  &setting_disk_cache_size_kb, 0, MAX_KILOBYTES);

	DefineCustomStringVariable("skyvault.disk_cache_path",
							   "Directory of the disk cache.",
							   "Relative to the data directory; of this server alone.",
							   &setting_disk_cache_path,
							   "pgsql_tmp_skyvault",
							   PGC_POSTMASTER, GUC_SUPERUSER_ONLY, NULL, NULL, NULL);
}

static void
define_store_settings(void)
{
	DefineCustomIntVariable("skyvault.io_concurrency",
							"Requests to a remote store that one process has under way at once.",
							"The server option of this name goes before it.",
							&setting_io_concurrency,
							16, 1, 256,
							PGC_SIGHUP, 0, NULL, NULL, NULL);

	DefineCustomIntVariable("skyvault.store_timeout",
							"Longest time one request to a remote store may take.",
							"Of a query with its tries; twice that for flushes, ten times for compactions.",
							&setting_store_timeout_ms,
							30000, 100, 3600 * 1000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);

	DefineCustomIntVariable("skyvault.store_connect_timeout",
							"Longest time to connect to a remote store.",
							NULL,
							&setting_store_connect_timeout_ms,
							5000, 100, 600 * 1000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);

	DefineCustomIntVariable("skyvault.store_retries",
							"How often a request to a remote store is tried again.",
							NULL,
							&setting_store_retries,
							6, 0, 100,
							PGC_SIGHUP, 0, NULL, NULL, NULL);

	DefineCustomIntVariable("skyvault.hedge_percent",
							"A GET that takes longer than this share of the last ones gets a second one beside it.",
							"Zero sends no second requests.",
							&setting_hedge_percent,
							0, 0, 99,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
}

/* For skyvault_stat_store only; the defaults are those of AWS S3, standard, us-east-1, within the region. */
static void
define_price(const char *name, const char *short_desc, double *variable)
{
	DefineCustomRealVariable(name, short_desc, NULL, variable, *variable, 0, 1000,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
}

static void
define_prices(void)
{
	define_price("skyvault.price_get", "Dollars for 1,000 GET and HEAD requests.", &setting_price_get);
	define_price("skyvault.price_put", "Dollars for 1,000 PUT and LIST requests.", &setting_price_put);
	define_price("skyvault.price_transfer", "Dollars for a GB received.", &setting_price_transfer);
}

void
pg_settings_define(void)
{
	define_store_settings();
	define_prices();
	define_cache_settings();
	define_disk_settings();
	define_filter_settings();
	define_flush_settings();
	define_run_settings();
	define_vault_settings();
	define_worker_settings();
	define_pressure_settings();
	pg_thresholds_define();
	MarkGUCPrefixReserved("skyvault");
}
