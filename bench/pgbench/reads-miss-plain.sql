\set n random(1, :keys)
SELECT value FROM plain WHERE key = int8send(hashint8extended(:n, 3));
