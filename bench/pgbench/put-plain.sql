\set n random(1, :keys)
INSERT INTO plain VALUES (int8send(hashint8extended(:n, 0)), :value::bytea) ON CONFLICT (key) DO UPDATE SET value = excluded.value;
