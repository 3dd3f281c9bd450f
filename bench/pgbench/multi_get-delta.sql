\set n random(1, :keys / 1000)
SELECT key, value FROM skyvault_multi_get('kv_delta', (SELECT keys FROM batch WHERE n = :n));
