-- One key in a hundred is written anew, with the value that it has.
SELECT count(skyvault_multi_put('kv', keys, "values"))
FROM (SELECT array_agg(key) AS keys, array_agg(value) AS "values"
	  FROM (SELECT key, value, row_number() OVER () / 1000 AS n FROM plain TABLESAMPLE BERNOULLI (1) REPEATABLE (1)) AS drawn
	  GROUP BY n) AS batches;
VACUUM (ANALYZE) skyvault.delta;
