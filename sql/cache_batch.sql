--
-- Gets, batches and scans over runs: values of all sizes, keys in several
-- tables and runs, what is deleted and what has expired.
--
\pset null '<null>'
SELECT skyvault_flush() >= 0 AS drained;

-- ---------------------------------------------------------------- values of all sizes
-- Of a frame's size and around it, chained over several, and too large for the
-- cache, which keeps nothing of more than a 64th of its 128 MB.
SELECT skyvault_create_table('cache_values', 'bytea', 'bytea');
CREATE TABLE cache_sizes AS
SELECT ('size:' || to_char(bytes, 'FM0000000'))::bytea AS key,
       decode(left(string_agg(md5(bytes || ':' || i), ''), bytes * 2), 'hex') AS value
  FROM unnest(ARRAY[0, 1, 2, 255, 256, 16000, 16350, 16360, 16370, 16384, 16385, 16400, 32767, 32768, 32769, 100000, 1000000,
					2097151, 2097152, 2097153, 2500000]) AS bytes,
       generate_series(0, bytes / 16) AS i
 GROUP BY bytes;
SELECT count(*), sum(length(value)) = sum(substr(convert_from(key, 'UTF8'), 6)::int) AS sizes FROM cache_sizes;
SELECT skyvault_put('cache_values', key, value) FROM cache_sizes \g /dev/null
SELECT skyvault_multi_put('cache_values', array_agg(('small:' || n)::bytea), array_agg(sha512(n::text::bytea))) FROM generate_series(1, 1000) AS n;
SELECT skyvault_flush();

CREATE FUNCTION all_sizes(OUT way text, OUT wrong text) RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE
	the_keys bytea[] := ARRAY(SELECT key FROM cache_sizes ORDER BY key);
	many bytea[] := ARRAY(SELECT key FROM (SELECT key FROM cache_sizes
										   UNION ALL SELECT ('small:' || n)::bytea FROM generate_series(1, 1010) AS n) AS k
						  ORDER BY md5(key));
BEGIN
	RETURN QUERY SELECT 'get', string_agg(convert_from(c.key, 'UTF8'), ' ') FROM cache_sizes AS c
		WHERE skyvault_get('cache_values', c.key) IS DISTINCT FROM c.value;
	RETURN QUERY SELECT 'get for update', string_agg(convert_from(c.key, 'UTF8'), ' ') FROM cache_sizes AS c
		WHERE skyvault_get('cache_values', c.key, true) IS DISTINCT FROM c.value;
	RETURN QUERY SELECT 'exists', string_agg(convert_from(c.key, 'UTF8'), ' ') FROM cache_sizes AS c
		WHERE NOT skyvault_exists('cache_values', c.key);
	RETURN QUERY SELECT 'multi_get', string_agg(convert_from(c.key, 'UTF8'), ' ') FROM skyvault_multi_get('cache_values'::regclass, the_keys) AS g
		FULL JOIN cache_sizes AS c ON g.key = c.key WHERE g.value IS DISTINCT FROM c.value;
	RETURN QUERY SELECT 'multi_get among others', string_agg(convert_from(key, 'UTF8'), ' ')
		FROM unnest(many) AS m(key) LEFT JOIN skyvault_multi_get('cache_values'::regclass, many) AS g USING (key)
		LEFT JOIN cache_sizes AS c USING (key)
		WHERE CASE WHEN c.key IS NOT NULL THEN g.value IS DISTINCT FROM c.value
			  WHEN substr(convert_from(key, 'UTF8'), 7)::int > 1000 THEN g.value IS NOT NULL
			  ELSE g.value IS DISTINCT FROM sha512(substr(key, 7)) END;
	RETURN QUERY SELECT 'get_array', string_agg(convert_from(c.key, 'UTF8'), ' ')
		FROM unnest(the_keys, skyvault_get_array('cache_values'::regclass, the_keys)) AS g(key, value)
		FULL JOIN cache_sizes AS c ON g.key = c.key WHERE g.value IS DISTINCT FROM c.value;
	RETURN QUERY SELECT 'ANY', string_agg(convert_from(c.key, 'UTF8'), ' ')
		FROM (SELECT * FROM cache_values WHERE key = ANY (ARRAY(SELECT s.key FROM cache_sizes AS s))) AS g
		FULL JOIN cache_sizes AS c USING (key) WHERE g.value IS DISTINCT FROM c.value;
	RETURN QUERY SELECT 'scan', string_agg(convert_from(c.key, 'UTF8'), ' ')
		FROM skyvault_scan('cache_values', 'size:'::bytea, 'size;'::bytea) AS g
		FULL JOIN cache_sizes AS c ON g.key = c.key WHERE g.value IS DISTINCT FROM c.value;
	RETURN QUERY SELECT 'scan backward', string_agg(convert_from(c.key, 'UTF8'), ' ')
		FROM skyvault_scan('cache_values', 'size:'::bytea, 'size;'::bytea, reverse => true) AS g
		FULL JOIN cache_sizes AS c ON g.key = c.key WHERE g.value IS DISTINCT FROM c.value;
END $$;
-- From the store, and then, but for what is too large, from the cache.
CREATE TEMP TABLE before AS SELECT * FROM skyvault_stat_cache;
SELECT * FROM all_sizes();
SELECT a.block_bypasses > b.block_bypasses AS bypasses, a.block_hits > b.block_hits AS hits, a.block_loads > b.block_loads AS loads
  FROM skyvault_stat_cache AS a, before AS b;
DELETE FROM before;
INSERT INTO before SELECT * FROM skyvault_stat_cache;
SELECT * FROM all_sizes();
SELECT a.block_bypasses > b.block_bypasses AS bypasses, a.block_hits > b.block_hits AS hits, a.block_loads - b.block_loads AS loads
  FROM skyvault_stat_cache AS a, before AS b;
-- A chained one takes the frames that it needs.
SELECT skyvault_clear_cache();
SELECT length(skyvault_get('cache_values', 'size:0100000'::bytea));
SELECT blocks, block_bytes BETWEEN 100000 AND 101000 AS bytes, frame_bytes FROM skyvault_cache;

-- ---------------------------------------------------------------- runs over runs
-- Two tables with the same keys in the same runs, and a plain table that knows
-- what each round has left: runs with overlapping ranges of keys, runs with
-- ranges of their own, tombstones over values, values over tombstones, entries
-- that expire, and what is not flushed yet.
SELECT skyvault_pause();		-- what is flushed stays as it is
SELECT skyvault_create_table('cache_one'), skyvault_create_table('cache_two');
CREATE SERVER cache_vault FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:cache_vault');
SELECT skyvault_create_table('cache_three', server => 'cache_vault');
CREATE TABLE cache_truth (rel regclass, key text COLLATE "C", value text, PRIMARY KEY (rel, key));
CREATE TABLE cache_rounds (round int, low int, high int, step int, what text);
INSERT INTO cache_rounds VALUES
	(1, 1, 3000, 3, 'put'), (2, 2000, 2500, 1, 'put'), (3, 2200, 2300, 1, 'delete'), (4, 4000, 4500, 2, 'put'),
	(5, 1, 100, 1, 'expire'), (6, 4100, 4400, 5, 'delete'), (7, 2250, 2260, 1, 'put'), (8, 50, 60, 1, 'put'),
	(9, 900, 1100, 7, 'expire'), (10, 1, 5000, 111, 'put'), (11, 1, 5000, 333, 'delete');
CREATE PROCEDURE play(the_round int) LANGUAGE plpgsql AS $$
DECLARE
	r cache_rounds;
	t regclass;
	ks text[];
	vs text[];
BEGIN
	SELECT * INTO STRICT r FROM cache_rounds WHERE round = the_round;
	FOREACH t IN ARRAY '{cache_one,cache_two,cache_three}'::regclass[] LOOP
		CONTINUE WHEN t = 'cache_two'::regclass AND the_round % 4 = 0;
		ks := ARRAY(SELECT 'key' || to_char(n, 'FM0000') FROM generate_series(r.low, r.high, r.step) AS n);
		vs := ARRAY(SELECT CASE n % 9 WHEN 0 THEN '' ELSE format('%s, round %s: %s', t, the_round, repeat(n::text, n % 20)) END
					FROM generate_series(r.low, r.high, r.step) AS n);
		IF r.what = 'put' THEN
			PERFORM skyvault_multi_put(t, ks, vs);
		ELSIF r.what = 'expire' THEN
			PERFORM skyvault_multi_put(t, ks, vs, '1 microsecond');
		ELSE
			PERFORM skyvault_delete(t, k) FROM unnest(ks) AS k;
		END IF;
		DELETE FROM cache_truth WHERE rel = t AND key = ANY (ks);
		IF r.what = 'put' THEN
			INSERT INTO cache_truth SELECT t, u.k, u.v FROM unnest(ks, vs) AS u(k, v);
		END IF;
	END LOOP;
END $$;

-- Random keys, with repeats, NULLs and keys that never were, in random tables.
CREATE FUNCTION wrong_answers(seed float8, n int) RETURNS TABLE (way text, wrong bigint) LANGUAGE plpgsql AS $$
DECLARE
	rels regclass[];
	ks text[];
	expected text[];
BEGIN
	PERFORM setseed(seed);
	SELECT array_agg(('{cache_one,cache_two,cache_three}'::regclass[])[1 + floor(random() * 3)]),
		   array_agg(CASE WHEN random() < 0.02 THEN NULL WHEN random() < 0.1 THEN 'key' || md5(random()::text)
					 ELSE 'key' || to_char(floor(random() * 5000), 'FM0000') END)
	  INTO rels, ks FROM generate_series(1, n);
	expected := ARRAY(SELECT c.value FROM unnest(rels, ks) WITH ORDINALITY AS u(rel, key, i)
					  LEFT JOIN cache_truth AS c USING (rel, key) ORDER BY u.i);
	RETURN QUERY SELECT 'get', count(*) FROM unnest(rels, ks, expected) AS u(rel, key, value)
		WHERE skyvault_get(u.rel, u.key) IS DISTINCT FROM u.value AND u.key IS NOT NULL;
	RETURN QUERY SELECT 'exists', count(*) FROM unnest(rels, ks, expected) AS u(rel, key, value)
		WHERE skyvault_exists(u.rel, u.key) <> (u.value IS NOT NULL) AND u.key IS NOT NULL;
	RETURN QUERY SELECT 'multi_get of tables', count(*)
		FROM ROWS FROM (skyvault_multi_get(rels, ks)) WITH ORDINALITY AS g(rel, key, value, i)
		FULL JOIN unnest(rels, ks, expected) WITH ORDINALITY AS u(rel, key, value, i) USING (i)
		WHERE g.rel IS DISTINCT FROM u.rel OR g.key IS DISTINCT FROM u.key OR g.value IS DISTINCT FROM u.value;
	RETURN QUERY SELECT 'get_array of tables',
		CASE WHEN skyvault_get_array(rels, ks) IS DISTINCT FROM expected THEN 1 ELSE 0 END::bigint;
	expected := ARRAY(SELECT c.value FROM unnest(ks) WITH ORDINALITY AS u(key, i)
					  LEFT JOIN cache_truth AS c ON c.rel = 'cache_one'::regclass AND c.key = u.key ORDER BY u.i);
	RETURN QUERY SELECT 'multi_get', count(*)
		FROM ROWS FROM (skyvault_multi_get('cache_one'::regclass, ks)) WITH ORDINALITY AS g(key, value, i)
		FULL JOIN unnest(ks, expected) WITH ORDINALITY AS u(key, value, i) USING (i)
		WHERE g.key IS DISTINCT FROM u.key OR g.value IS DISTINCT FROM u.value;
	RETURN QUERY SELECT 'get_array',
		CASE WHEN skyvault_get_array('cache_one'::regclass, ks) IS DISTINCT FROM expected THEN 1 ELSE 0 END::bigint;
	RETURN QUERY SELECT 'ANY', count(*)
		FROM (SELECT key, value FROM cache_two WHERE key = ANY (ks)) AS g
		FULL JOIN (SELECT key, value FROM cache_truth WHERE rel = 'cache_two'::regclass AND key = ANY (ks)) AS u USING (key)
		WHERE g.value IS DISTINCT FROM u.value;
	RETURN QUERY SELECT 'scan', count(*)
		FROM (SELECT t AS rel, s.* FROM unnest('{cache_one,cache_two,cache_three}'::regclass[]) AS t, skyvault_scan(t) AS s) AS g
		FULL JOIN cache_truth AS u USING (rel, key) WHERE g.value IS DISTINCT FROM u.value;
	RETURN QUERY SELECT 'scan backward', count(*)
		FROM (SELECT s.* FROM skyvault_scan('cache_two', ks[1], greatest(ks[2], ks[3]), reverse => true) AS s) AS g
		FULL JOIN (SELECT * FROM cache_truth WHERE rel = 'cache_two'::regclass AND (key >= ks[1] COLLATE "C" OR ks[1] IS NULL)
				   AND (key < greatest(ks[2] COLLATE "C", ks[3] COLLATE "C") OR (ks[2] IS NULL AND ks[3] IS NULL))) AS u USING (key)
		WHERE g.value IS DISTINCT FROM u.value;
END $$;

-- Nothing is there yet; then rounds in the delta, in a run each, and both.
SELECT * FROM wrong_answers(0.1, 1000) WHERE wrong > 0;
CALL play(1);
SELECT * FROM wrong_answers(0.2, 3000) WHERE wrong > 0;
SELECT skyvault_flush('skyvault'), skyvault_flush('cache_vault');
SELECT * FROM wrong_answers(0.3, 3000) WHERE wrong > 0;
CALL play(2);
SELECT skyvault_flush('skyvault'), skyvault_flush('cache_vault');
CALL play(3);
SELECT * FROM wrong_answers(0.4, 3000) WHERE wrong > 0;
SELECT skyvault_flush('skyvault'), skyvault_flush('cache_vault');
CALL play(4);
SELECT skyvault_flush('skyvault'), skyvault_flush('cache_vault');
CALL play(5);
SELECT skyvault_flush('skyvault'), skyvault_flush('cache_vault');
CALL play(6);
SELECT skyvault_flush('skyvault'), skyvault_flush('cache_vault');
SELECT * FROM wrong_answers(0.5, 3000) WHERE wrong > 0;
CALL play(7);
SELECT skyvault_flush('skyvault'), skyvault_flush('cache_vault');
CALL play(8);
CALL play(9);
SELECT skyvault_flush('skyvault'), skyvault_flush('cache_vault');
SELECT * FROM wrong_answers(0.6, 3000) WHERE wrong > 0;
CALL play(10);
SELECT skyvault_flush('skyvault'), skyvault_flush('cache_vault');
CALL play(11);
SELECT skyvault_clear_cache();
SELECT count(*) FROM skyvault_index('cache_one');
SELECT * FROM wrong_answers(0.7, 10000);
-- And all of it once more from the cache, and with all in runs.
SELECT * FROM wrong_answers(0.8, 10000) WHERE wrong > 0;
SELECT skyvault_flush('skyvault') > 0 AS flushed, skyvault_flush('cache_vault') > 0 AS flushed;
SELECT * FROM wrong_answers(0.9, 10000) WHERE wrong > 0;
SELECT rel, count(*), count(*) FILTER (WHERE value = '') AS empty FROM cache_truth GROUP BY rel ORDER BY rel::text;

-- ---------------------------------------------------------------- odd batches
-- Nothing, only NULLs, one key many times, the empty key, and bounds of runs.
SELECT skyvault_get_array('cache_one'::regclass, '{}'::text[]);
SELECT skyvault_get_array('cache_one'::regclass, NULL::text[]);
SELECT skyvault_get_array('cache_one'::regclass, ARRAY[NULL, NULL]::text[]);
SELECT * FROM skyvault_multi_get('cache_one'::regclass, ARRAY[NULL, 'key0004', NULL, 'key0004', 'key9999', 'key0112']);
SELECT count(*), count(DISTINCT value), min(value) FROM skyvault_multi_get('cache_one'::regclass, array_fill('key0112'::text, ARRAY[5000]));
SELECT skyvault_get_array('cache_one'::regclass, ARRAY['', 'k', 'key', 'key0000', 'key5000', 'z', U&'\00ff', repeat('k', 2000)]);
SELECT skyvault_get('cache_one', repeat('k', 2000)), skyvault_exists('cache_one', '');
SELECT count(*) FROM cache_one WHERE key = ANY (ARRAY[NULL, NULL]::text[]);
SELECT key, value FROM cache_one WHERE key IN ('key0112', 'key0112', 'key0004', 'none') ORDER BY key;

-- ---------------------------------------------------------------- keys of all shapes
-- As batches sort them: alike for many bytes or for none, prefixes of one
-- another, zero bytes, numbers, random bytes; few and many, some twice.
SELECT skyvault_create_table('cache_shapes', 'bytea', 'bytea');
CREATE TABLE cache_shape_keys AS
SELECT DISTINCT ON (key) key, shape
  FROM (SELECT 1, int8send(n) FROM generate_series(1, 3000) AS n
		UNION ALL SELECT 2, int8send(hashint8extended(n, 7)) FROM generate_series(1, 3000) AS n
		UNION ALL SELECT 3, ('a long common beginning:' || n)::bytea FROM generate_series(1, 3000) AS n
		UNION ALL SELECT 4, decode(repeat('00', n), 'hex') FROM generate_series(0, 60) AS n
		UNION ALL SELECT 5, decode(repeat('61', n), 'hex') || int4send(m) FROM generate_series(0, 30) AS n, generate_series(-2, 2) AS m
		UNION ALL SELECT 6, substr(sha512(n::text::bytea), 1, n % 64 + 1) FROM generate_series(1, 3000) AS n) AS keys(shape, key);
SELECT skyvault_multi_put('cache_shapes', array_agg(key), array_agg(sha256(key))) FROM cache_shape_keys;
SELECT skyvault_flush();
-- Batches of so many keys in no order, each key in some of them twice, with keys that are not there.
SELECT per_batch, count(*) AS keys, count(*) FILTER (WHERE value IS DISTINCT FROM CASE WHEN is_there THEN sha256(key) END) AS wrong
  FROM unnest(ARRAY[2, 7, 24, 25, 300, 5000, 30000]) AS per_batch,
	   LATERAL (SELECT array_agg(key ORDER BY n) AS keys, array_agg(is_there ORDER BY n) AS there
				  FROM (SELECT key, is_there, row_number() OVER (ORDER BY md5(key || per_batch::text::bytea)) AS n
						  FROM (SELECT key, true FROM cache_shape_keys
								UNION ALL SELECT key, true FROM cache_shape_keys WHERE length(key) % 3 = 0
								UNION ALL SELECT key || '\x00'::bytea, false FROM cache_shape_keys WHERE shape IN (2, 3)) AS k(key, is_there)) AS numbered
				 GROUP BY n / per_batch) AS batches,
	   LATERAL unnest(keys, there, skyvault_get_array('cache_shapes'::regclass, keys)) AS answers(key, is_there, value)
 GROUP BY per_batch ORDER BY per_batch;
-- And with several tables at once.
SELECT count(*), count(*) FILTER (WHERE g.value IS DISTINCT FROM CASE WHEN t = 'cache_shapes'::regclass THEN sha256(key) END) AS wrong
  FROM (SELECT array_agg(key ORDER BY md5(key)) AS keys, array_agg((CASE length(key) % 2 WHEN 0 THEN 'cache_shapes' ELSE 'cache_values' END)::regclass ORDER BY md5(key)) AS tables
		  FROM cache_shape_keys) AS batch,
	   LATERAL skyvault_multi_get(tables, keys) AS g(t, key, value);
-- Cursors that read batches in turns do not disturb one another.
BEGIN;
DECLARE one CURSOR FOR SELECT key, value FROM cache_shapes WHERE key = ANY (ARRAY(SELECT key FROM cache_shape_keys WHERE shape = 2 ORDER BY key LIMIT 4));
DECLARE other CURSOR FOR SELECT key, value FROM cache_shapes WHERE key = ANY (ARRAY(SELECT key FROM cache_shape_keys WHERE shape = 3 ORDER BY key LIMIT 4));
CREATE FUNCTION next_is_right(c refcursor) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	r record;
BEGIN
	FETCH NEXT FROM c INTO r;
	RETURN r.value = sha256(r.key);
END $$;
SELECT next_is_right('one'), next_is_right('other'), next_is_right('one'), next_is_right('other'), next_is_right('one'), next_is_right('other');
ROLLBACK;

DROP FUNCTION all_sizes(), wrong_answers(float8, int);
DROP PROCEDURE play(int);
DROP TABLE cache_sizes, cache_truth, cache_rounds, cache_shape_keys;
DROP FOREIGN TABLE cache_values, cache_one, cache_two, cache_three, cache_shapes;
SET client_min_messages = warning;
DROP SERVER cache_vault;
RESET client_min_messages;
SELECT skyvault_resume();
