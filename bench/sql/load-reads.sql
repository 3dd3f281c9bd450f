-- The same rows three times: plain table, flushed run, delta.  The plain table
-- and the delta begin anew, without the traces of the write measurements.
DROP TABLE plain;
DROP FOREIGN TABLE kv;
VACUUM (FULL, ANALYZE) skyvault.delta;

SELECT skyvault_create_table('kv_run', 'bytea', 'bytea');
SELECT count(skyvault_multi_put('kv_run', keys, "values")) FROM batch;
SELECT skyvault_flush();
SELECT bench_check('the flush left rows in the delta', count(*) = 0) FROM skyvault.delta;

CREATE TABLE plain (key bytea PRIMARY KEY, value bytea);
SELECT skyvault_create_table('kv_delta', 'bytea', 'bytea');
INSERT INTO plain SELECT u.key, u.value FROM batch, unnest(keys, "values") AS u (key, value);
SELECT count(skyvault_multi_put('kv_delta', keys, "values")) FROM batch;

VACUUM (ANALYZE) plain, skyvault.delta;
CHECKPOINT;
