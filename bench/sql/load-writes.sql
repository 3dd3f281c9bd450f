-- Both sides of the write measurements hold every key: each write replaces one.
CREATE TABLE plain (key bytea PRIMARY KEY, value bytea);
SELECT skyvault_create_table('kv', 'bytea', 'bytea');

INSERT INTO plain SELECT u.key, u.value FROM batch, unnest(keys, "values") AS u (key, value);
SELECT count(skyvault_multi_put('kv', keys, "values")) FROM batch;

VACUUM (ANALYZE) plain, skyvault.delta;
CHECKPOINT;
