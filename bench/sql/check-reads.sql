-- Every read is a hit where it is meant to be, and finds the same value.
SELECT bench_check('the plain table lacks keys', count(*) = :keys) FROM plain;
SELECT bench_check('kv_run is in no run', coalesce(sum(n), 0) = :keys) FROM skyvault.run, unnest(entries) AS n;
SELECT bench_check('kv_delta is not in the delta', count(*) = :keys) FROM skyvault.delta WHERE kind = 'v';
SELECT bench_check('kv_run differs from the plain table', bool_and(skyvault_get('kv_run', key) = value)) FROM plain;
SELECT bench_check('kv_delta differs from the plain table', bool_and(skyvault_get('kv_delta', key) = value)) FROM plain;
