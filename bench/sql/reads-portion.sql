-- Rows first + 1 to first + portion of the plain table, in key order, a thousand at a time.
SELECT count(skyvault_multi_put('kv', keys, "values"))
FROM (SELECT array_agg(key ORDER BY key) AS keys, array_agg(value ORDER BY key) AS "values"
	  FROM (SELECT key, value, (row_number() OVER (ORDER BY key) - 1) / 1000 AS n
			FROM (SELECT key, value FROM plain ORDER BY key OFFSET :first LIMIT :portion) AS portion) AS numbered
	  GROUP BY n ORDER BY n) AS batches;
SELECT skyvault_flush();
SELECT bench_check('the flush left rows in the delta', count(*) = 0) FROM skyvault.delta;
VACUUM skyvault.delta;
