\set n random(1, 1000)
SELECT count(value) FROM skyvault_multi_get('kv', (SELECT keys FROM batch WHERE n = :n));
