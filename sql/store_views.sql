--
-- What the stores are asked for: the views skyvault_stat_store and
-- skyvault_store_waits, and skyvault_stat_store_reset.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS skyvault;
RESET client_min_messages;
CREATE SERVER stores_a FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:stores_a');
CREATE SERVER stores_b FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:stores_b');
SELECT skyvault_create_table('stores_kv', server => 'stores_a');
SELECT skyvault_create_table('stores_other', server => 'stores_b');

-- Nobody has asked for anything.
SELECT count(*) FROM skyvault_stat_store WHERE server LIKE 'stores\__';
SELECT skyvault_put('stores_kv', 'k', 'v');
SELECT skyvault_get('stores_kv', 'k');
SELECT count(*) FROM skyvault_stat_store WHERE server LIKE 'stores\__';

-- A flush is one PUT, beside a look at who owns the vault, which counts as "snapshot"; a lookup past the caches a GET or two: for the tail if need be, and for the block.
SELECT skyvault_flush('stores_a');
SELECT operation, caller, requests, errors, retries, hedges, bytes_in, bytes_out = r.file_bytes AS whole_run,
       mean_ms > 0 AS took_time, array_length(latency, 1) AS buckets,
       (SELECT sum(n) FROM unnest(latency) AS n) AS in_buckets, dollars
  FROM skyvault_stat_store, skyvault.run AS r JOIN skyvault.vault AS v ON v.id = r.vault_id AND v.server = 'stores_a'
 WHERE skyvault_stat_store.server = 'stores_a' AND caller <> 'snapshot';
SELECT skyvault_clear_cache();
SELECT skyvault_get('stores_kv', 'k');
SELECT skyvault_get('stores_kv', 'k');
SELECT operation, caller, requests BETWEEN 1 AND 2 AS few, errors, bytes_in > 0 AS got_some, bytes_out
  FROM skyvault_stat_store WHERE server = 'stores_a' AND operation = 'get' AND caller <> 'snapshot';

-- The other server has its own counters; a flush with nothing to write asks for nothing.
SELECT skyvault_flush('stores_b');
SELECT count(*) FROM skyvault_stat_store WHERE server = 'stores_b';
SELECT skyvault_put('stores_other', 'k', 'v');
SELECT skyvault_flush('stores_b');
SELECT server, operation, caller, requests FROM skyvault_stat_store
 WHERE server LIKE 'stores\__' AND operation = 'put' AND caller <> 'snapshot' ORDER BY server;

-- Reset of one, and of all.
SELECT skyvault_stat_store_reset('stores_a');
SELECT server, count(*) FROM skyvault_stat_store WHERE server LIKE 'stores\__' AND caller <> 'snapshot' GROUP BY server;
SELECT skyvault_stat_store_reset();
SELECT count(*) FROM skyvault_stat_store WHERE server LIKE 'stores\__';
SELECT skyvault_stat_store_reset('no such server');
\echo :LAST_ERROR_SQLSTATE

-- Nobody waits for a directory.
SELECT count(*) FROM skyvault_store_waits;

-- What a monitor may, and others may not.
CREATE ROLE regress_stores;
SET ROLE regress_stores;
SELECT count(*) FROM skyvault_stat_store;
SELECT count(*) FROM skyvault_store_waits;
SELECT count(*) FROM skyvault_store_counters();
SELECT skyvault_stat_store_reset();
RESET ROLE;
GRANT pg_monitor TO regress_stores;
SET ROLE regress_stores;
SELECT count(*) FROM skyvault_stat_store WHERE server LIKE 'stores\__';
SELECT count(*) FROM skyvault_store_waits;
SELECT skyvault_stat_store_reset();
RESET ROLE;
DROP ROLE regress_stores;

SET client_min_messages = warning;
DROP SERVER stores_a, stores_b CASCADE;
