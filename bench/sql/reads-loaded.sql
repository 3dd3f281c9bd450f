-- The sizes at equal keys, as lines of the results; then the delta gets other keys.
\pset format unaligned
\pset tuples_only on
SELECT 'bytes on disk,plain,0,size,bytes,' || n || ',' || n || ',' || n || ',1'
FROM (SELECT pg_total_relation_size('plain') AS n) AS size
UNION ALL
SELECT 'bytes on disk,skyvault,0,size,bytes,' || n || ',' || n || ',' || n || ',1'
FROM (SELECT sum(file_bytes)::bigint AS n FROM skyvault.run) AS size;

\o /dev/null
SELECT count(skyvault_multi_put('kv', keys, "values"))
FROM (SELECT array_agg(key) AS keys, array_agg(substring(sha512(key) FOR 50) || decode(repeat('2a', 50), 'hex')) AS "values"
	  FROM (SELECT i / 1000 AS n, int8send(hashint8extended(i, 1)) AS key FROM generate_series(1, :delta_keys) AS i) AS numbered
	  GROUP BY n) AS batches;
VACUUM (ANALYZE) plain, skyvault.delta;
CHECKPOINT;
