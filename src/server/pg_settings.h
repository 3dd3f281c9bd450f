/*
 * pg_settings.h
 *		The settings skyvault.*, but for those of when to compact
 *		(pg_thresholds.h).  Defaults and ranges are in pg_settings.c.
 */
#ifndef PG_SETTINGS_H
#define PG_SETTINGS_H

/* skyvault.flush_size: committed delta bytes that start a flush */
extern int	setting_flush_size_kb;

/* skyvault.flush_interval: longest time a committed write waits for a flush; 0: no limit */
extern int	setting_flush_interval_s;

/* skyvault.run_size: raw bytes after which a run is cut */
extern int	setting_run_size_kb;

/* skyvault.compression_level: zstd level of new runs, 0 stores raw */
extern int	setting_compression_level;

/* skyvault.retry_max_interval: longest pause between tries of a failed job */
extern int	setting_retry_max_s;

/* skyvault.cache_size: of the shared block cache; fixed at server start */
extern int	setting_cache_size_kb;

/* skyvault.tail_cache_size: of the shared cache of tails; fixed at server start */
extern int	setting_tail_cache_size_kb;

/* skyvault.cache_huge_pages: these two ask for huge pages by themselves; fixed at server start */
extern bool setting_cache_huge_pages;

/* skyvault.disk_cache_size, skyvault.disk_cache_path: of ranges of remote objects; fixed at server start */
extern int	setting_disk_cache_size_kb;
extern char *setting_disk_cache_path;

/* skyvault.forest_cache_size: shared memory for forests; fixed at server start */
extern int	setting_forest_size_kb;

/* skyvault.delta_filter_size: shared memory for the filters of all databases; 0: none */
extern int	setting_delta_filter_size_kb;

/* skyvault.max_workers: compaction workers of the server; 0: none */
extern int	setting_max_workers;

/* skyvault.worker_memory: of one compaction worker */
extern int	setting_worker_memory_kb;

/* skyvault.slowdown_debt, skyvault.stop_debt, skyvault.stop_wait: see worker_pressure.h */
extern double setting_slowdown_debt;
extern double setting_stop_debt;
extern int	setting_stop_wait_ms;

/* skyvault.ttl_grace: how long an entry is kept after it has expired */
extern int	setting_ttl_grace_s;

/* skyvault.io_concurrency: requests at once that one process has under way; a server's option goes before it */
extern int	setting_io_concurrency;

/* skyvault.store_timeout: for one request of a remote store */
extern int	setting_store_timeout_ms;

/* skyvault.store_connect_timeout: for a connection to a remote store */
extern int	setting_store_connect_timeout_ms;

/* skyvault.store_retries: how often a request is tried again */
extern int	setting_store_retries;

/* skyvault.hedge_percent: a GET slower than this share of the others gets a second one beside it; 0: never */
extern int	setting_hedge_percent;

/* skyvault.price_*: dollars per 1,000 GET and HEAD requests, 1,000 PUT and LIST requests, GB received */
extern double setting_price_get;
extern double setting_price_put;
extern double setting_price_transfer;

/* skyvault.request_cost: what the planner takes a request to a remote store to cost */
extern double setting_request_cost;

/* skyvault.export_interval: of the changelog to the store; 0: only when asked to */
extern int	setting_export_interval_s;

/* skyvault.snapshot_changes: changes after which a snapshot is due; 0: only when asked to */
extern int	setting_snapshot_changes;

/* skyvault.retention: removed objects are kept so long */
extern int	setting_retention_s;

/* skyvault.gc_interval, skyvault.sweep_interval: 0: only when asked to */
extern int	setting_gc_interval_s;
extern int	setting_sweep_interval_s;

/* skyvault.orphan_grace: age of an orphan of an earlier epoch */
extern int	setting_orphan_grace_s;

/* skyvault.takeover_on_promotion */
extern bool setting_takeover_on_promotion;

/* skyvault.bulk_threshold: rows of a statement beyond which it loads in bulk; -1: never */
extern int	setting_bulk_threshold_kb;

/* skyvault.enable_batched_join */
extern bool setting_enable_batched_join;

/* skyvault.load_workers: of one load; 0: none */
extern int	setting_load_workers;

extern void pg_settings_define(void);

#endif							/* PG_SETTINGS_H */
