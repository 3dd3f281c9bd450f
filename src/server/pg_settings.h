/*
 * pg_settings.h
 *		The settings skyvault.*, defined in one table in pg_settings.c.
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

/* skyvault.forest_cache_size: shared memory for forests; fixed at server start */
extern int	setting_forest_size_kb;

/* skyvault.delta_filter_size: shared memory for the filters of all databases; 0: none */
extern int	setting_delta_filter_size_kb;

/* skyvault.max_workers: compaction workers of the server; 0: none */
extern int	setting_max_workers;

/* skyvault.worker_memory: of one compaction worker */
extern int	setting_worker_memory_kb;

/* skyvault.ttl_grace: how long an entry is kept after it has expired */
extern int	setting_ttl_grace_s;

extern void pg_settings_define(void);

#endif							/* PG_SETTINGS_H */
