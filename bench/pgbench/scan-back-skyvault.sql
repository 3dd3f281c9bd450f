\set n random(1, :keys)
SELECT key, value FROM kv WHERE key < int8send(hashint8extended(:n, 3)) ORDER BY key DESC LIMIT 100;
