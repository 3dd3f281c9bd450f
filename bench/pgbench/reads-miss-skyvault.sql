\set n random(1, :keys)
SELECT skyvault_get('kv', int8send(hashint8extended(:n, 3)));
