--
-- The disk cache of remote stores as a server sees that has none: nothing goes
-- by way of it.  test/tap has the rest.
--
SHOW skyvault.disk_cache_size;
SHOW skyvault.disk_cache_path;
SET skyvault.disk_cache_size = '1MB';
SET skyvault.disk_cache_path = '/tmp';

SELECT skyvault_create_table('disk_kv');
SELECT skyvault_put('disk_kv', 'a', 'b');
SELECT skyvault_flush() >= 0 AS flushed;
SELECT skyvault_clear_cache();
SELECT skyvault_get('disk_kv', 'a');
SELECT state, ranges, bytes, cache_bytes, hits, misses, fills, writes, evictions, damaged, write_errors
  FROM skyvault_stat_disk_cache;
SELECT skyvault_clear_disk_cache();
-- Its directory, under a name that base backups leave out.
SELECT name FROM pg_ls_dir('pgsql_tmp_skyvault') AS name ORDER BY 1;

-- Who may.
CREATE ROLE disk_nobody;
CREATE ROLE disk_monitor IN ROLE pg_monitor;
SET ROLE disk_nobody;
SELECT state FROM skyvault_stat_disk_cache;
SELECT skyvault_clear_disk_cache();
\set VERBOSITY sqlstate
SHOW skyvault.disk_cache_path;
\set VERBOSITY default
SET ROLE disk_monitor;
SELECT state FROM skyvault_stat_disk_cache;
SELECT skyvault_clear_disk_cache();
RESET ROLE;
DROP ROLE disk_nobody, disk_monitor;
DROP FOREIGN TABLE disk_kv;
