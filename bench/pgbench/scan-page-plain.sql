\set n random(1, :keys)
SELECT key, value FROM plain WHERE key > int8send(hashint8extended(:n, 3)) ORDER BY key LIMIT 100;
