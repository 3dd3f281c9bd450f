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
double		setting_request_cost = 200;
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
int			setting_bulk_threshold_kb = 8 * 1024;
bool		setting_enable_batched_join = true;
int			setting_load_workers = 2;
bool		setting_cache_huge_pages = true;

/* Defaults are what the variables hold. */

typedef struct IntegerSetting
{
	const char *name;
	const char *short_desc;
	const char *long_desc;
	int		   *variable;
	int			min;
	int			max;
	int			unit;			/* GUC_UNIT_... */
} IntegerSetting;

#define MAX_SECONDS (INT_MAX / 2)

static const IntegerSetting integers[] = {
	{"skyvault.flush_size", "Committed writes that start a flush to the object store.", NULL,
	&setting_flush_size_kb, 64, MAX_KILOBYTES, GUC_UNIT_KB},
	{"skyvault.flush_interval", "Longest time a committed write waits for a flush.",
		"Zero turns flushes by time off.",
	&setting_flush_interval_s, 0, 24 * 3600, GUC_UNIT_S},
	{"skyvault.retry_max_interval", "Longest pause between tries of a failed job.", NULL,
	&setting_retry_max_s, 1, 3600, GUC_UNIT_S},
	{"skyvault.run_size", "Size before compression at which a run is cut.", NULL,
	&setting_run_size_kb, 64, 512 * 1024, GUC_UNIT_KB},
	{"skyvault.compression_level", "zstd level of new runs.", "Zero stores blocks as they are.",
	&setting_compression_level, 0, 19, 0},
	{"skyvault.max_workers", "Processes of the server that compact.",
		"They count in max_worker_processes. Zero stops compaction.",
	&setting_max_workers, 0, 64, 0},
	{"skyvault.worker_memory", "Memory that a compaction may take.",
		"It decides how many runs are merged at once, how far they are read ahead, and what waits to be sent.",
	&setting_worker_memory_kb, 32 * 1024, MAX_KILOBYTES, GUC_UNIT_KB},
	{"skyvault.ttl_grace", "Time for which an entry is kept after it has expired.", NULL,
	&setting_ttl_grace_s, 0, MAX_SECONDS, GUC_UNIT_S},
	{"skyvault.stop_wait", "Longest time for which a write is held.",
		"One that is slowed down waits up to a tenth of it. Zero turns back-pressure off.",
	&setting_stop_wait_ms, 0, 3600 * 1000, GUC_UNIT_MS},
	{"skyvault.export_interval", "Time after which changes of the forest are exported to the store.",
		"Zero exports only when asked to, and before objects are deleted.",
	&setting_export_interval_s, 0, MAX_SECONDS, GUC_UNIT_S},
	{"skyvault.snapshot_changes", "Changes of the forest after which a snapshot is written to the store.",
		"Zero writes them only when asked to.",
	&setting_snapshot_changes, 0, INT_MAX, 0},
	{"skyvault.retention", "Time for which objects that were removed are kept in the store.",
		"Base backups, and standbys without feedback, need what was removed while they did not look.",
	&setting_retention_s, 0, MAX_SECONDS, GUC_UNIT_S},
	{"skyvault.gc_interval", "Time between two passes of garbage collection.",
		"Zero collects only when asked to.",
	&setting_gc_interval_s, 0, MAX_SECONDS, GUC_UNIT_S},
	{"skyvault.sweep_interval", "Time between two sweeps for objects that nothing names.",
		"Zero sweeps only when asked to.",
	&setting_sweep_interval_s, 0, MAX_SECONDS, GUC_UNIT_S},
	{"skyvault.orphan_grace", "Age at which an object of an earlier epoch that nothing names is an orphan.", NULL,
	&setting_orphan_grace_s, 0, MAX_SECONDS, GUC_UNIT_S},
	{"skyvault.io_concurrency", "Requests to a remote store that one process has under way at once.",
		"The server option of this name goes before it.",
	&setting_io_concurrency, 1, 256, 0},
	{"skyvault.store_timeout", "Longest time one request to a remote store may take.",
		"Of a query with its tries; twice that for flushes, ten times for compactions.",
	&setting_store_timeout_ms, 100, 3600 * 1000, GUC_UNIT_MS},
	{"skyvault.store_connect_timeout", "Longest time to connect to a remote store.", NULL,
	&setting_store_connect_timeout_ms, 100, 600 * 1000, GUC_UNIT_MS},
	{"skyvault.store_retries", "How often a request to a remote store is tried again.", NULL,
	&setting_store_retries, 0, 100, 0},
	{"skyvault.hedge_percent", "A GET that takes longer than this share of the last ones gets a second one beside it.",
		"Zero sends no second requests.",
	&setting_hedge_percent, 0, 99, 0},
};

typedef struct RealSetting
{
	const char *name;
	const char *short_desc;
	const char *long_desc;
	double	   *variable;
	double		min;
	double		max;
} RealSetting;

/* Prices are for skyvault_stat_store only; the defaults are those of AWS S3, standard, us-east-1, within the region. */
static const RealSetting reals[] = {
	{"skyvault.slowdown_debt", "Debt of flushes and compactions from which writes are slowed down.",
		"It is measured in what starts a flush or a compaction.",
	&setting_slowdown_debt, 1, 1000000},
	{"skyvault.stop_debt", "Debt of flushes and compactions from which writes are held until it is less.", NULL,
	&setting_stop_debt, 1, 1000000},
	{"skyvault.price_get", "Dollars for 1,000 GET and HEAD requests.", NULL, &setting_price_get, 0, 1000},
	{"skyvault.price_put", "Dollars for 1,000 PUT and LIST requests.", NULL, &setting_price_put, 0, 1000},
	{"skyvault.price_transfer", "Dollars for a GB received.", NULL, &setting_price_transfer, 0, 1000},
};

/* Those that each session may set. */
static const IntegerSetting of_session[] = {
	{"skyvault.bulk_threshold", "Size of a statement's rows beyond which INSERT and COPY load in bulk.",
		"Zero loads all in bulk that can be, -1 nothing.",
	&setting_bulk_threshold_kb, -1, 1024 * 1024, GUC_UNIT_KB},
	{"skyvault.load_workers", "Processes that a bulk load starts to sort and build.",
		"They count in max_worker_processes. Zero, or no room there, leaves all to the session.",
	&setting_load_workers, 0, 16, 0},
};

/* Sizes that are fixed at server start; of shared memory, but for that of the disk cache. */
static const IntegerSetting sizes[] = {
	{"skyvault.cache_size", "Shared memory for decompressed blocks of runs.", NULL,
	&setting_cache_size_kb, 4 * 1024, MAX_KILOBYTES, GUC_UNIT_KB},
	{"skyvault.forest_cache_size", "Shared memory for what is known of the runs.",
		"They take about 400 bytes each, in each version that is in use.",
	&setting_forest_size_kb, 256, 1024 * 1024, GUC_UNIT_KB},
	{"skyvault.tail_cache_size", "Shared memory for filters, models and indexes of runs.",
		"They take about 2 % of the keys and values in the runs.",
	&setting_tail_cache_size_kb, 1024, MAX_KILOBYTES, GUC_UNIT_KB},
	{"skyvault.disk_cache_size", "Disk space for ranges of objects of remote stores.",
		"Each GB takes 1 MB of shared memory. Zero turns the disk cache off.",
	&setting_disk_cache_size_kb, 0, MAX_KILOBYTES, GUC_UNIT_KB},
	{"skyvault.delta_filter_size", "Shared memory for filters over the keys that are not yet flushed.",
		"Each database takes 2 MB of it, or works without. Zero turns them off.",
	&setting_delta_filter_size_kb, 0, 1024 * 1024, GUC_UNIT_KB},
};

/*
 * Postgres would take the default in place of a value from its configuration
 * that is none, with a warning that nobody reads: here the server does not start.
 */
static void
check_configured(const IntegerSetting *size)
{
	const char *given = GetConfigOption(size->name, true, false);
	const char *hint = NULL;
	int			given_kb;

	if (given != NULL &&
		(!parse_int(given, &given_kb, size->unit, &hint) || given_kb < size->min || given_kb > size->max))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for parameter \"%s\": \"%s\"", size->name, given),
				 hint != NULL ? errhint("%s", _(hint)) :
				 errhint("The value is a size from %d kB to %d kB.", size->min, size->max)));
}

static void
define_integer(const IntegerSetting *setting, GucContext context)
{
	DefineCustomIntVariable(setting->name, setting->short_desc, setting->long_desc, setting->variable,
							*setting->variable, setting->min, setting->max,
							context, setting->unit, NULL, NULL, NULL);
}

void
pg_settings_define(void)
{
	for (int i = 0; i < lengthof(integers); i++)
		define_integer(&integers[i], PGC_SIGHUP);
	for (int i = 0; i < lengthof(of_session); i++)
		define_integer(&of_session[i], PGC_USERSET);
	for (int i = 0; i < lengthof(reals); i++)
		DefineCustomRealVariable(reals[i].name, reals[i].short_desc, reals[i].long_desc, reals[i].variable,
								 *reals[i].variable, reals[i].min, reals[i].max,
								 PGC_SIGHUP, 0, NULL, NULL, NULL);
	for (int i = 0; i < lengthof(sizes); i++)
	{
		check_configured(&sizes[i]);
		define_integer(&sizes[i], PGC_POSTMASTER);
	}
	DefineCustomBoolVariable("skyvault.cache_huge_pages",
							 "Whether the caches ask the system for huge pages where Postgres has none.",
							 NULL,
							 &setting_cache_huge_pages, setting_cache_huge_pages,
							 PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomRealVariable("skyvault.request_cost",
							 "The planner's estimate of what a request to a remote store costs.",
							 "It is measured as seq_page_cost is.",
							 &setting_request_cost, setting_request_cost, 0, 1e9,
							 PGC_USERSET, GUC_EXPLAIN, NULL, NULL, NULL);
	DefineCustomStringVariable("skyvault.disk_cache_path",
							   "Directory of the disk cache.",
							   "Relative to the data directory; of this server alone.",
							   &setting_disk_cache_path, "pgsql_tmp_skyvault",
							   PGC_POSTMASTER, GUC_SUPERUSER_ONLY, NULL, NULL, NULL);
	DefineCustomBoolVariable("skyvault.takeover_on_promotion",
							 "Whether a promoted server takes its vaults by itself.",
							 "A backup that was restored with archive recovery counts as promoted.",
							 &setting_takeover_on_promotion, setting_takeover_on_promotion,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("skyvault.enable_batched_join",
							 "Whether the planner may join by looking up many keys at once.",
							 NULL,
							 &setting_enable_batched_join, setting_enable_batched_join,
							 PGC_USERSET, GUC_EXPLAIN, NULL, NULL, NULL);
	pg_thresholds_define();
	MarkGUCPrefixReserved("skyvault");
}
