\set n random(1, 1000)
SELECT count(value) FROM kv WHERE key = ANY ((SELECT keys FROM batch WHERE n = :n)::bytea[]);
