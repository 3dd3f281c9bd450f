\set n random(1, :keys / 1000)
INSERT INTO plain SELECT u.key, u.value FROM batch, unnest(keys, "values") AS u (key, value) WHERE n = :n ON CONFLICT (key) DO UPDATE SET value = excluded.value;
