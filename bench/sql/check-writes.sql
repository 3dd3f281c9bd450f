-- The write measurements replaced values, and made and lost no key.
SELECT bench_check('a flush ran during the write measurements', count(*) = 0) FROM skyvault.run;
SELECT bench_check('the plain table lost or gained keys', count(*) = :keys) FROM plain;
SELECT bench_check('kv lost or gained keys', count(*) = :keys) FROM skyvault_scan('kv', NULL::bytea, NULL::bytea);
SELECT bench_check('a key of the plain table is missing in kv', bool_and(skyvault_exists('kv', key))) FROM plain;
