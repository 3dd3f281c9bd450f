-- Every key is found with the value of the plain table, and those of the misses
-- are not there.  This also reads all of both tables into memory.
DO $$
BEGIN
	IF to_regprocedure('skyvault_prewarm(regclass)') IS NOT NULL THEN
		EXECUTE 'SELECT skyvault_prewarm(''kv'')';
	END IF;
END $$;
SELECT bench_check('the runs lack keys', coalesce(sum(n), 0) = :keys) FROM skyvault.run, unnest(entries) AS n;
SELECT bench_check('the tables differ', bool_and(skyvault_get_array('kv', keys) = "values"))
FROM (SELECT array_agg(key) AS keys, array_agg(value) AS "values"
	  FROM (SELECT key, value, (row_number() OVER (ORDER BY key) - 1) / 1000 AS n FROM plain) AS numbered
	  GROUP BY n) AS batches;
SET enable_seqscan = off;
SELECT bench_check('the plain table lacks keys', count(value) = :keys) FROM (SELECT value FROM plain ORDER BY key) AS p;
SELECT bench_check('a miss is a hit', bool_and(NOT skyvault_exists('kv', miss)) AND count(key) = 0)
FROM (SELECT int8send(hashint8extended(i, 3)) AS miss FROM generate_series(1, 1000) AS i) AS misses
	 LEFT JOIN plain ON key = miss;
