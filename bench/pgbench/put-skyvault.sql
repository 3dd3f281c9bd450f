\set n random(1, :keys)
SELECT skyvault_put('kv', int8send(hashint8extended(:n, 0)), :value::bytea);
