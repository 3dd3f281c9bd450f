-- The plain table, filled in key order, and what the scripts take keys from.
-- psql variable keys: how many.  Key n is the same expression in the pgbench
-- scripts.  A value is 50 bytes that do not compress and 50 that do.
CREATE EXTENSION skyvault;
SET work_mem = '1GB';

CREATE TABLE plain (key bytea PRIMARY KEY, value bytea);
INSERT INTO plain
SELECT key, substring(sha512(key) FOR 50) || decode(repeat('2a', 50), 'hex')
FROM (SELECT int8send(hashint8extended(i, 0)) AS key FROM generate_series(1, :keys) AS i) AS numbered
ORDER BY key;
VACUUM (ANALYZE) plain;

SELECT skyvault_create_table('kv', 'bytea', 'bytea');

-- Arrays of 1,000 keys, drawn at random, that reads of batches and loops use.
CREATE TABLE batch (n integer PRIMARY KEY, keys bytea[] NOT NULL);
ALTER TABLE batch ALTER COLUMN keys SET STORAGE EXTERNAL;
INSERT INTO batch
SELECT n, array_agg(int8send(hashint8extended(1 + (hashint8extended(n * 1000 + i, 2) & 9223372036854775807) % :keys, 0)))
FROM generate_series(1, 1000) AS n, generate_series(1, 1000) AS i
GROUP BY n;
VACUUM (ANALYZE) batch;

CREATE FUNCTION loop_plain(keys bytea[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	k bytea;
	v bytea;
BEGIN
	FOREACH k IN ARRAY keys LOOP
		SELECT value INTO v FROM plain WHERE key = k;
	END LOOP;
END $$;

CREATE FUNCTION loop_skyvault(keys bytea[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	k bytea;
	v bytea;
BEGIN
	FOREACH k IN ARRAY keys LOOP
		v := skyvault_get('kv', k);
	END LOOP;
END $$;
