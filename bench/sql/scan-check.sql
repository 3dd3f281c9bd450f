-- Both tables have the same rows, and the count is what a scan finds.
SELECT bench_check('the tables have the same number of rows',
	(SELECT count(*) FROM plain) = :keys AND (SELECT count(*) FROM kv) = :keys);
SELECT bench_check('the tables have the same rows',
	(SELECT sum(('x' || left(md5(key || value), 15))::bit(60)::bigint) FROM plain) =
	(SELECT sum(('x' || left(md5(key || value), 15))::bit(60)::bigint) FROM kv));
SELECT bench_check('count(*) is made of the registry', count(*) = 1)
FROM bench_plan('SELECT count(*) FROM kv') AS line WHERE line LIKE '%Lookup: count%';
SELECT bench_check('a page is a range, in order', count(*) = 0)
FROM bench_plan('SELECT key, value FROM kv WHERE key > ''\x70'' ORDER BY key DESC LIMIT 100') AS line WHERE line LIKE '%Sort%';
VACUUM (ANALYZE) plain, skyvault.delta;
CHECKPOINT;
