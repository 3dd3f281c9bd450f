--
-- Many keys at once, through = ANY: each row once, in the order of bytes,
-- whatever the keys begin with and however often and in whatever order they are
-- named; and as a plain table answers.
--
SET enable_seqscan = off;
SELECT skyvault_create_table('fdw_batch', 'bytea', 'bytea');
CREATE TABLE fdw_batch_plain (key bytea PRIMARY KEY, value bytea);
-- alike in the first eight bytes and more, in all of the shorter one, nowhere, and empty
INSERT INTO fdw_batch_plain
	SELECT DISTINCT ON (key) key, sha256(key) FROM (
		SELECT int8send(hashint8extended(i, 0)) AS key FROM generate_series(1, 2000) AS i
		UNION ALL SELECT convert_to('user:' || lpad((i % 100)::text, 11, '0') || ':feature_' || i / 100, 'UTF8') FROM generate_series(1, 3000) AS i
		UNION ALL SELECT decode(repeat('00', i), 'hex') FROM generate_series(0, 100) AS i
		UNION ALL SELECT decode(repeat('61', i) || repeat('00', j) || '01', 'hex') FROM generate_series(1, 30) AS i, generate_series(0, 9) AS j) AS k;
INSERT INTO fdw_batch SELECT * FROM fdw_batch_plain WHERE get_byte(sha256(key), 0) % 3 = 0;
SELECT skyvault_flush() > 0 AS flushed;
INSERT INTO fdw_batch SELECT * FROM fdw_batch_plain WHERE get_byte(sha256(key), 0) % 3 = 1;
DELETE FROM fdw_batch_plain WHERE get_byte(sha256(key), 0) % 3 = 2;
-- every key, every third twice, keys that are not there, and nulls, in no order
CREATE TABLE fdw_batch_keys (name text, keys bytea[]);
INSERT INTO fdw_batch_keys SELECT 'all', array_agg(k ORDER BY sha256(k), i) FROM (
	SELECT key AS k, 1 AS i FROM fdw_batch_plain
	UNION ALL SELECT key, 2 FROM fdw_batch_plain WHERE get_byte(sha256(key), 1) % 3 = 0
	UNION ALL SELECT key || '\x00'::bytea, 3 FROM fdw_batch_plain WHERE length(key) > 100 OR get_byte(sha256(key), 2) < 50
	UNION ALL SELECT NULL, 4) AS named;
INSERT INTO fdw_batch_keys SELECT 'users', array_agg(k ORDER BY sha256(k)) FROM fdw_batch_keys, unnest(keys) AS k
	WHERE name = 'all' AND substring(k FOR 5) = 'user:';
INSERT INTO fdw_batch_keys SELECT 'few users', keys[:40] FROM fdw_batch_keys WHERE name = 'users';
INSERT INTO fdw_batch_keys SELECT 'letters', array_agg(k ORDER BY sha256(k)) FROM fdw_batch_keys, unnest(keys) AS k
	WHERE name = 'all' AND substring(k FOR 1) IN ('a', '\x00', '');
INSERT INTO fdw_batch_keys SELECT 'in order', array_agg(k ORDER BY k) FROM fdw_batch_keys, unnest(keys) AS k WHERE name = 'all';
INSERT INTO fdw_batch_keys SELECT 'downward', array_agg(k ORDER BY k DESC) FROM fdw_batch_keys, unnest(keys) AS k WHERE name = 'all';
INSERT INTO fdw_batch_keys VALUES ('one', array_fill('\x0000'::bytea, ARRAY[100])), ('nulls', array_fill(NULL::bytea, ARRAY[100]));
-- (what versions say of an InitPlan, and of settings like that above, differs)
CREATE FUNCTION fdw_batch_explain(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		CONTINUE WHEN line ~ 'Disabled: ';
		RETURN NEXT regexp_replace(line, '(InitPlan \d).*', '\1');
	END LOOP;
END
$$;
SELECT * FROM fdw_batch_explain('SELECT b.name, f.* FROM fdw_batch_keys AS b, fdw_batch AS f WHERE f.key = ANY (b.keys)');
SELECT b.name,
	   (SELECT count(*) FROM fdw_batch AS f WHERE f.key = ANY (b.keys)) =
	   (SELECT count(*) FROM fdw_batch_plain AS p WHERE p.key = ANY (b.keys)) AS same_count,
	   (SELECT array_agg(f.key) FROM fdw_batch AS f WHERE f.key = ANY (b.keys)) IS NOT DISTINCT FROM
	   (SELECT array_agg(p.key ORDER BY p.key) FROM fdw_batch_plain AS p WHERE p.key = ANY (b.keys)) AS same_keys,
	   (SELECT array_agg(f.value) FROM fdw_batch AS f WHERE f.key = ANY (b.keys)) IS NOT DISTINCT FROM
	   (SELECT array_agg(p.value ORDER BY p.key) FROM fdw_batch_plain AS p WHERE p.key = ANY (b.keys)) AS same_values,
	   (SELECT array_agg(m.key ORDER BY m.n) = b.keys FROM ROWS FROM (skyvault_multi_get('fdw_batch', b.keys)) WITH ORDINALITY AS m(key, value, n)) AS multi_get_order,
	   (SELECT count(*) = 0 FROM skyvault_multi_get('fdw_batch', b.keys) AS m LEFT JOIN fdw_batch_plain AS p ON p.key = m.key
		 WHERE m.value IS DISTINCT FROM p.value) AS multi_get_values
  FROM fdw_batch_keys AS b ORDER BY name;
-- the order is used, and a limit
EXPLAIN (COSTS OFF) SELECT key FROM fdw_batch WHERE key = ANY ('{"\\x0000","\\x00",NULL,"\\x0000","\\x6101"}') ORDER BY key LIMIT 2;
SELECT key FROM fdw_batch WHERE key = ANY ('{"\\x000000","\\x00000000",NULL,"\\x000000","\\x6101","\\x61610001"}') ORDER BY key LIMIT 2;

-- a cursor over several batches, while what the session knows of the table is made anew
BEGIN;
DECLARE fdw_batch_cursor CURSOR FOR SELECT f.* FROM fdw_batch AS f WHERE key = ANY ((SELECT keys FROM fdw_batch_keys WHERE name = 'all')::bytea[]);
MOVE 10 FROM fdw_batch_cursor;
GRANT SELECT ON fdw_batch TO PUBLIC;
SELECT count(*) > 0 AS known_again FROM fdw_batch WHERE key = '\x0000';
MOVE 1500 FROM fdw_batch_cursor;
FETCH 2 FROM fdw_batch_cursor;

ROLLBACK;

-- an array of many integers of another type, for the last column of a key
CREATE FOREIGN TABLE fdw_batch_two (a int, b bigint, v int) SERVER skyvault OPTIONS (key 'a, b');
INSERT INTO fdw_batch_two SELECT i % 3, i - 500, i FROM generate_series(1, 3000) AS i;
SELECT * FROM fdw_batch_explain($$SELECT count(*) FROM fdw_batch_two WHERE a = 1 AND b = ANY (ARRAY(SELECT i::int FROM generate_series(-5000, 5000) AS i))$$);
SELECT count(*), sum(v), min(b), max(b) FROM fdw_batch_two WHERE a = 1 AND b = ANY (ARRAY(SELECT i::int FROM generate_series(-5000, 5000) AS i));
SELECT array_agg(b) = array_agg(b ORDER BY b) AS in_order FROM fdw_batch_two
 WHERE a = 1 AND b = ANY (ARRAY(SELECT i::smallint FROM generate_series(-5000, 5000) AS i ORDER BY hashint4(i)));

DROP FOREIGN TABLE fdw_batch, fdw_batch_two;
DROP TABLE fdw_batch_plain, fdw_batch_keys;
DROP FUNCTION fdw_batch_explain;
