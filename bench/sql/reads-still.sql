-- What was measured was there to the end: the keys in runs, the others in the delta.
SELECT bench_check('the runs changed', coalesce(sum(n), 0) = :keys) FROM skyvault.run, unnest(entries) AS n;
SELECT bench_check('the delta was flushed', count(*) > 0) FROM skyvault.delta;
