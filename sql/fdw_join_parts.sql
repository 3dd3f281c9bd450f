--
-- Batched joins with partitioned tables: keys go to the partitions that may have them, and
-- the answers are those of a plain table with the same rows
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS skyvault;
RESET client_min_messages;
SET max_parallel_workers_per_gather = 0;

CREATE TABLE fdw_jp_outer (id int, k bigint, small smallint, a text COLLATE "C", b int);
INSERT INTO fdw_jp_outer SELECT i, (i * 7919) % 1500, i % 300, 'a' || i % 40, i % 12 FROM generate_series(1, 1000) i;
INSERT INTO fdw_jp_outer VALUES (1001, NULL, NULL, NULL, NULL), (1002, 5, NULL, 'a1', NULL), (1003, 5, 5, 'a1', 1),
	(1004, -7, -7, '', 0), (1005, 99999999999, 7, repeat('long', 2000), 1);
ANALYZE fdw_jp_outer;

-- by hash; a partition with its columns in another order, and others that were dropped
CREATE TABLE fdw_jp_hash (k bigint, gone text, v text, n int) PARTITION BY HASH (k);
CREATE FOREIGN TABLE fdw_jp_hash0 PARTITION OF fdw_jp_hash FOR VALUES WITH (MODULUS 4, REMAINDER 0) SERVER skyvault OPTIONS (key 'k');
CREATE FOREIGN TABLE fdw_jp_hash1 (n int, dropped int, v text, also text, k bigint, gone text) SERVER skyvault OPTIONS (key 'k');
ALTER FOREIGN TABLE fdw_jp_hash1 DROP COLUMN dropped, DROP COLUMN also;
ALTER TABLE fdw_jp_hash ATTACH PARTITION fdw_jp_hash1 FOR VALUES WITH (MODULUS 4, REMAINDER 1);
CREATE FOREIGN TABLE fdw_jp_hash2 PARTITION OF fdw_jp_hash FOR VALUES WITH (MODULUS 2, REMAINDER 0) SERVER skyvault OPTIONS (key 'k');
DROP FOREIGN TABLE fdw_jp_hash2;
CREATE FOREIGN TABLE fdw_jp_hash2 PARTITION OF fdw_jp_hash FOR VALUES WITH (MODULUS 4, REMAINDER 2) SERVER skyvault OPTIONS (key 'k');
CREATE FOREIGN TABLE fdw_jp_hash3 PARTITION OF fdw_jp_hash FOR VALUES WITH (MODULUS 4, REMAINDER 3) SERVER skyvault OPTIONS (key 'k');
ALTER TABLE fdw_jp_hash DROP COLUMN gone;
INSERT INTO fdw_jp_hash SELECT i, CASE WHEN i % 7 > 0 THEN 'v' || i END, i % 10 FROM generate_series(1, 1200) i;

-- by list, with a default partition
CREATE TABLE fdw_jp_list (a text COLLATE "C", b int, v text) PARTITION BY LIST (a);
CREATE FOREIGN TABLE fdw_jp_list1 PARTITION OF fdw_jp_list FOR VALUES IN ('a1', 'a2', 'a3', 'a4', 'a5') SERVER skyvault OPTIONS (key 'a, b');
CREATE FOREIGN TABLE fdw_jp_list2 PARTITION OF fdw_jp_list FOR VALUES IN ('a6', NULL, 'a7', 'a8') SERVER skyvault OPTIONS (key 'a, b');
CREATE FOREIGN TABLE fdw_jp_list3 PARTITION OF fdw_jp_list DEFAULT SERVER skyvault OPTIONS (key 'a, b');
INSERT INTO fdw_jp_list SELECT 'a' || a, b, a || '/' || b FROM generate_series(1, 30) a, generate_series(1, 10) b;

-- by ranges, on two levels, with gaps
CREATE TABLE fdw_jp_range (a text COLLATE "C", b int, v text) PARTITION BY RANGE (b);
CREATE TABLE fdw_jp_range1 (v text, b int, a text COLLATE "C") PARTITION BY RANGE (a, b);
ALTER TABLE fdw_jp_range ATTACH PARTITION fdw_jp_range1 FOR VALUES FROM (MINVALUE) TO (5);
CREATE FOREIGN TABLE fdw_jp_range1a PARTITION OF fdw_jp_range1 FOR VALUES FROM ('a', 0) TO ('a2', 3) SERVER skyvault OPTIONS (key 'a, b');
CREATE FOREIGN TABLE fdw_jp_range1b PARTITION OF fdw_jp_range1 FOR VALUES FROM ('a2', 3) TO ('z', MAXVALUE) SERVER skyvault OPTIONS (key 'a, b');
CREATE FOREIGN TABLE fdw_jp_range2 PARTITION OF fdw_jp_range FOR VALUES FROM (6) TO (MAXVALUE) SERVER skyvault OPTIONS (key 'a, b');
INSERT INTO fdw_jp_range SELECT 'a' || a, b, a || '/' || b FROM generate_series(1, 30) a, generate_series(1, 10) b WHERE b <> 5;

-- by something else than the key: a key may have a row in each partition
CREATE TABLE fdw_jp_loose (k bigint, day int, v text) PARTITION BY RANGE (day);
CREATE FOREIGN TABLE fdw_jp_loose1 PARTITION OF fdw_jp_loose FOR VALUES FROM (0) TO (10) SERVER skyvault OPTIONS (key 'k');
CREATE FOREIGN TABLE fdw_jp_loose2 PARTITION OF fdw_jp_loose FOR VALUES FROM (10) TO (20) SERVER skyvault OPTIONS (key 'k');
CREATE FOREIGN TABLE fdw_jp_loose3 PARTITION OF fdw_jp_loose FOR VALUES FROM (20) TO (30) SERVER skyvault OPTIONS (key 'k');
INSERT INTO fdw_jp_loose SELECT i, d, i || '@' || d FROM generate_series(1, 900) i, (VALUES (5), (15), (25)) AS x(d) WHERE i % (d / 5 + 1) > 0;

SET client_min_messages = warning;
SELECT skyvault_flush() > 0 AS flushed;
VACUUM ANALYZE skyvault.delta;
RESET client_min_messages;
UPDATE fdw_jp_hash SET v = 'newer' WHERE k BETWEEN 100 AND 130;
DELETE FROM fdw_jp_hash WHERE k BETWEEN 200 AND 230;
DELETE FROM fdw_jp_loose WHERE day = 15 AND k % 5 = 0;
ANALYZE fdw_jp_list;
ANALYZE fdw_jp_range;
ANALYZE fdw_jp_loose;

CREATE TABLE fdw_jp_plain_hash AS SELECT * FROM fdw_jp_hash;
CREATE TABLE fdw_jp_plain_list AS SELECT * FROM fdw_jp_list;
CREATE TABLE fdw_jp_plain_range AS SELECT * FROM fdw_jp_range;
CREATE TABLE fdw_jp_plain_loose AS SELECT * FROM fdw_jp_loose;

-- Whether the query answers as it does with plain tables, and how it was joined.
CREATE FUNCTION fdw_jp_check(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	checked text := format('SELECT count(*) || '' rows '' || coalesce(md5(string_agg(r::text, chr(10) ORDER BY r::text)), '''') FROM (%s) r', query);
	line text;
	batched boolean := false;
	hashjoin text := current_setting('enable_hashjoin');
	ours text;
	plain text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || checked LOOP
		batched := batched OR line LIKE '%Skyvault Batched Join%';
	END LOOP;
	EXECUTE checked INTO ours;
	PERFORM set_config('enable_hashjoin', 'on', true);
	EXECUTE replace(checked, 'fdw_jp_', 'fdw_jp_plain_') INTO plain;
	PERFORM set_config('enable_hashjoin', hashjoin, true);
	RETURN CASE WHEN ours = plain THEN regexp_replace(ours, ' [0-9a-f]{32}$', '') ELSE 'DIFFERENT: ' || ours || ' and ' || plain END ||
		CASE WHEN batched THEN ', batched' ELSE ', not batched' END;
END $$;
CREATE VIEW fdw_jp_plain_outer AS SELECT * FROM fdw_jp_outer;

CREATE FUNCTION fdw_jp_took(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) ' || query LOOP
		IF line ~ 'Batched|Batches:|Keys [LF]|Partitions' THEN
			line := regexp_replace(line, ' \(actual rows=(\d+).*', ': \1 rows');
			-- How many depends on how long they wait.
			RETURN NEXT regexp_replace(line, 'Batches: ([2-9]|\d\d+)$', 'Batches: several');
		END IF;
	END LOOP;
END $$;

-- chosen by cost
EXPLAIN (COSTS OFF) SELECT o.id, s.v FROM (SELECT * FROM fdw_jp_outer LIMIT 300) o LEFT JOIN fdw_jp_hash s ON s.k = o.k;
EXPLAIN (COSTS OFF, VERBOSE) SELECT o.id, s.v, s.tableoid FROM (SELECT * FROM fdw_jp_outer LIMIT 300) o
	JOIN fdw_jp_range s ON s.a = o.a AND s.b = o.b;

-- a key of one column is known to be unique, where it says which partition it is in
CREATE FUNCTION fdw_jp_rows(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
	RETURN CASE WHEN (plan->0->'Plan'->>'Plan Rows')::float <= 1005 THEN 'one row at most' ELSE 'several' END;
END $$;
SELECT fdw_jp_rows('SELECT * FROM fdw_jp_outer o LEFT JOIN fdw_jp_hash s ON s.k = o.k') AS with_hash,
	fdw_jp_rows('SELECT * FROM fdw_jp_outer o LEFT JOIN fdw_jp_loose s ON s.k = o.k') AS with_loose;

-- from here on whatever they cost
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_nestloop = off;
SET enable_memoize = off;

-- a key is looked up once where bounds say where it is, and in all partitions where they do not
SELECT fdw_jp_took('SELECT * FROM fdw_jp_outer o JOIN fdw_jp_hash s ON s.k = o.k');
SELECT fdw_jp_took('SELECT * FROM fdw_jp_outer o JOIN fdw_jp_list s ON s.a = o.a AND s.b = o.b');
SELECT fdw_jp_took('SELECT * FROM fdw_jp_outer o JOIN fdw_jp_range s ON s.a = o.a AND s.b = o.b');
SELECT fdw_jp_took('SELECT * FROM fdw_jp_outer o JOIN fdw_jp_loose s ON s.k = o.k');
-- of partitions that the query's own conditions leave
SELECT fdw_jp_took('SELECT * FROM fdw_jp_outer o JOIN fdw_jp_loose s ON s.k = o.k WHERE day > 12');
SELECT fdw_jp_took('SELECT * FROM fdw_jp_outer o JOIN fdw_jp_loose s ON s.k = o.k WHERE day > 22');
SELECT fdw_jp_took('SELECT * FROM fdw_jp_outer o JOIN fdw_jp_range s ON s.a = o.a AND s.b = 7');

SELECT format('%-28s', t) AS "table", fdw_jp_check(format(q, t, c)) AS inner_join
	FROM (VALUES ('hash', 's.k = o.k'), ('hash', 'o.small = s.k'), ('list', 's.a = o.a AND s.b = o.b'), ('list', 's.a = o.a AND s.b = 3'),
		('range', 's.a = o.a AND s.b = o.b'), ('range', 's.a = o.a AND s.b = o.k'), ('loose', 's.k = o.k')) x(t, c),
	LATERAL (SELECT 'SELECT * FROM fdw_jp_outer o JOIN fdw_jp_%s s ON %s' q) y;
SELECT q, t, fdw_jp_check(format('SELECT * FROM fdw_jp_outer o ' || q, 'fdw_jp_' || t, c)) AS answer
	FROM (VALUES ('hash', 's.k = o.k'), ('list', 's.a = o.a AND s.b = o.b'), ('range', 's.a = o.a AND s.b = o.b'), ('loose', 's.k = o.k')) x(t, c),
	(VALUES ('LEFT JOIN %s s ON %s'), ('LEFT JOIN %s s ON %s AND s.v < ''5'' AND o.id <> length(s.v)'), ('LEFT JOIN %s s ON %s WHERE s.v IS NULL'),
		('LEFT JOIN %s s ON %s WHERE s.v < o.a OR o.b = 2'), ('WHERE EXISTS (SELECT FROM %s s WHERE %s)'),
		('WHERE NOT EXISTS (SELECT FROM %s s WHERE %s)'), ('WHERE NOT EXISTS (SELECT FROM %s s WHERE %s AND s.v > ''5'' AND o.id <> length(s.v))'),
		('WHERE EXISTS (SELECT FROM %s s WHERE %s AND s.v > ''1'' AND o.a <> s.v)')) y(q)
	ORDER BY 1, 2;

-- whole rows, of the parent's type, and which partition a row is of
SELECT fdw_jp_check('SELECT o.id, s, (s).v, s IS NULL FROM fdw_jp_outer o LEFT JOIN fdw_jp_hash s ON s.k = o.k');
SELECT fdw_jp_check('SELECT o.id, s FROM fdw_jp_outer o LEFT JOIN fdw_jp_range s ON s.a = o.a AND s.b = o.b');
SELECT s.tableoid::regclass, count(*), bool_and(s.k = o.k) FROM fdw_jp_outer o LEFT JOIN fdw_jp_hash s ON s.k = o.k GROUP BY s.tableoid ORDER BY s.tableoid::regclass::text;
SELECT s.tableoid::regclass, min(s.a), max(s.a), min(s.b), max(s.b) FROM fdw_jp_outer o JOIN fdw_jp_range s ON s.a = o.a AND s.b = o.b GROUP BY s.tableoid ORDER BY s.tableoid::regclass::text;
SELECT fdw_jp_check('SELECT * FROM fdw_jp_hash s WHERE k IN (SELECT k FROM fdw_jp_outer)');
SELECT fdw_jp_check('SELECT * FROM fdw_jp_outer o JOIN fdw_jp_hash s ON s.k = o.k LEFT JOIN fdw_jp_range t ON t.a = o.a AND t.b = s.n');

-- with parameters, with a LIMIT, small batches, and again
SELECT fdw_jp_check('SELECT i, x.* FROM generate_series(1, 9) i, LATERAL (SELECT o.id, s.v FROM fdw_jp_outer o
	LEFT JOIN fdw_jp_loose s ON s.k = o.k + i WHERE o.b = i OFFSET 0) x');
SELECT fdw_jp_check('SELECT * FROM fdw_jp_outer o LEFT JOIN fdw_jp_hash s ON s.k = o.k ORDER BY o.id LIMIT 77');
SET work_mem = '64kB';
SELECT fdw_jp_check('SELECT * FROM fdw_jp_outer o LEFT JOIN fdw_jp_loose s ON s.k = o.k');
RESET work_mem;
PREPARE fdw_jp_prepared(int) AS SELECT count(s.v) FROM fdw_jp_outer o JOIN fdw_jp_range s ON s.a = o.a AND s.b = $1 WHERE o.id <> $1;
EXECUTE fdw_jp_prepared(1); EXECUTE fdw_jp_prepared(2); EXECUTE fdw_jp_prepared(3); EXECUTE fdw_jp_prepared(4);
EXECUTE fdw_jp_prepared(5); EXECUTE fdw_jp_prepared(6); EXECUTE fdw_jp_prepared(7); EXECUTE fdw_jp_prepared(NULL);
-- a plan that is kept takes a new partition into account
CREATE FOREIGN TABLE fdw_jp_range3 PARTITION OF fdw_jp_range FOR VALUES FROM (5) TO (6) SERVER skyvault OPTIONS (key 'a, b');
INSERT INTO fdw_jp_range VALUES ('a1', 5, 'new');
EXECUTE fdw_jp_prepared(5);
DROP FOREIGN TABLE fdw_jp_range3;
EXECUTE fdw_jp_prepared(5);
DEALLOCATE fdw_jp_prepared;

-- numbers that are equal are one key, whatever they look like; so are those that hash alike
CREATE TABLE fdw_jp_number (k numeric, v text) PARTITION BY HASH (k);
CREATE FOREIGN TABLE fdw_jp_number0 PARTITION OF fdw_jp_number FOR VALUES WITH (MODULUS 2, REMAINDER 0) SERVER skyvault OPTIONS (key 'k');
CREATE FOREIGN TABLE fdw_jp_number1 PARTITION OF fdw_jp_number FOR VALUES WITH (MODULUS 2, REMAINDER 1) SERVER skyvault OPTIONS (key 'k');
INSERT INTO fdw_jp_number SELECT i / 4.0, i FROM generate_series(1, 40) i;
CREATE TABLE fdw_jp_plain_number AS SELECT * FROM fdw_jp_number;
SELECT fdw_jp_check('SELECT * FROM (VALUES (1.0), (1.000), (2.25), (2.2500), (9.1), (NULL)) o(k) LEFT JOIN fdw_jp_number s ON s.k = o.k');

-- with policies of the parent: what they hide is not told
CREATE ROLE regress_jp_user;
ALTER TABLE fdw_jp_hash ENABLE ROW LEVEL SECURITY;
CREATE POLICY fdw_jp_odd ON fdw_jp_hash FOR SELECT USING (n % 2 = 1);
GRANT SELECT ON fdw_jp_hash, fdw_jp_outer TO regress_jp_user;
CREATE FUNCTION fdw_jp_leak(text, int) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$
BEGIN
	IF $1 LIKE 'v_' THEN
		RAISE NOTICE 'saw %', $1;
	END IF;
	RETURN true;
END $$;
SET ROLE regress_jp_user;
EXPLAIN (COSTS OFF) SELECT count(*), bool_and(s.n % 2 = 1) FROM fdw_jp_outer o JOIN fdw_jp_hash s ON s.k = o.k AND fdw_jp_leak(s.v, o.b) WHERE o.k < 6;
SELECT count(*), bool_and(s.n % 2 = 1) FROM fdw_jp_outer o JOIN fdw_jp_hash s ON s.k = o.k AND fdw_jp_leak(s.v, o.b) WHERE o.k < 6;
RESET ROLE;
ALTER TABLE fdw_jp_hash DISABLE ROW LEVEL SECURITY;
DROP OWNED BY regress_jp_user;
DROP ROLE regress_jp_user;

-- cursors, and partitions changed meanwhile
BEGIN;
DECLARE c CURSOR FOR SELECT o.id, s.v FROM (SELECT * FROM fdw_jp_outer ORDER BY id) o LEFT JOIN fdw_jp_loose s ON s.k = o.k WHERE o.id < 300;
FETCH 4 FROM c;
DELETE FROM fdw_jp_loose WHERE day > 12;
MOVE 200 FROM c;
FETCH 3 FROM c;
SELECT fdw_jp_check('SELECT * FROM fdw_jp_outer o JOIN fdw_jp_hash s ON s.k = o.k');
ROLLBACK;

-- what is not batched: partitions that are not Skyvault's, or have other keys; children of a table; parts of the key
SET enable_nestloop = on;
SET enable_hashjoin = on;
CREATE TABLE fdw_jp_mixed (k bigint, v text) PARTITION BY RANGE (k);
CREATE FOREIGN TABLE fdw_jp_mixed1 PARTITION OF fdw_jp_mixed FOR VALUES FROM (0) TO (100) SERVER skyvault OPTIONS (key 'k');
CREATE TABLE fdw_jp_mixed2 PARTITION OF fdw_jp_mixed FOR VALUES FROM (100) TO (10000);
INSERT INTO fdw_jp_mixed SELECT i, i FROM generate_series(0, 1000) i;
CREATE TABLE fdw_jp_plain_mixed AS SELECT * FROM fdw_jp_mixed;
SELECT fdw_jp_check('SELECT * FROM fdw_jp_outer o JOIN fdw_jp_mixed s ON s.k = o.k');
-- but it is where the others do not count
SET enable_hashjoin = off;
SET enable_nestloop = off;
SELECT fdw_jp_check('SELECT * FROM fdw_jp_outer o JOIN fdw_jp_mixed s ON s.k = o.k WHERE s.k < 50');
SET enable_hashjoin = on;
SET enable_nestloop = on;
CREATE TABLE fdw_jp_keys (a int, b int, v text) PARTITION BY RANGE (a);
CREATE FOREIGN TABLE fdw_jp_keys1 PARTITION OF fdw_jp_keys FOR VALUES FROM (0) TO (100) SERVER skyvault OPTIONS (key 'a, b');
CREATE FOREIGN TABLE fdw_jp_keys2 PARTITION OF fdw_jp_keys FOR VALUES FROM (100) TO (200) SERVER skyvault OPTIONS (key 'b, a');
INSERT INTO fdw_jp_keys SELECT i, i % 7, i FROM generate_series(0, 199) i;
CREATE TABLE fdw_jp_plain_keys AS SELECT * FROM fdw_jp_keys;
SELECT fdw_jp_check('SELECT * FROM fdw_jp_outer o JOIN fdw_jp_keys s ON s.a = o.k AND s.b = o.b');
SELECT fdw_jp_check('SELECT * FROM fdw_jp_outer o JOIN fdw_jp_list s ON s.a = o.a');
CREATE TABLE fdw_jp_parent (k bigint, v text);
CREATE FOREIGN TABLE fdw_jp_child () INHERITS (fdw_jp_parent) SERVER skyvault OPTIONS (key 'k');
INSERT INTO fdw_jp_child SELECT i, i FROM generate_series(0, 1000) i;
CREATE TABLE fdw_jp_plain_parent AS SELECT * FROM fdw_jp_parent;
SELECT fdw_jp_check('SELECT * FROM fdw_jp_outer o JOIN fdw_jp_parent s ON s.k = o.k');
CREATE TABLE fdw_jp_empty (k bigint, v text) PARTITION BY RANGE (k);
CREATE TABLE fdw_jp_plain_empty (k bigint, v text);
SELECT fdw_jp_check('SELECT o.*, s.v FROM fdw_jp_outer o LEFT JOIN fdw_jp_empty s ON s.k = o.k');

-- bounds by another order than the key's say nothing of it: such a table is looked through
CREATE FUNCTION fdw_jp_digits(bigint, bigint) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT btint8cmp($1 % 100, $2 % 100) $$;
CREATE FUNCTION fdw_jp_lt(bigint, bigint) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT $1 % 100 < $2 % 100 $$;
CREATE FUNCTION fdw_jp_le(bigint, bigint) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT $1 % 100 <= $2 % 100 $$;
CREATE FUNCTION fdw_jp_eq(bigint, bigint) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT $1 % 100 = $2 % 100 $$;
CREATE FUNCTION fdw_jp_ge(bigint, bigint) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT $1 % 100 >= $2 % 100 $$;
CREATE FUNCTION fdw_jp_gt(bigint, bigint) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT $1 % 100 > $2 % 100 $$;
CREATE OPERATOR #<# (FUNCTION = fdw_jp_lt, LEFTARG = bigint, RIGHTARG = bigint);
CREATE OPERATOR #<=# (FUNCTION = fdw_jp_le, LEFTARG = bigint, RIGHTARG = bigint);
CREATE OPERATOR #=# (FUNCTION = fdw_jp_eq, LEFTARG = bigint, RIGHTARG = bigint);
CREATE OPERATOR #>=# (FUNCTION = fdw_jp_ge, LEFTARG = bigint, RIGHTARG = bigint);
CREATE OPERATOR #># (FUNCTION = fdw_jp_gt, LEFTARG = bigint, RIGHTARG = bigint);
CREATE OPERATOR CLASS fdw_jp_ops FOR TYPE bigint USING btree AS OPERATOR 1 #<#, OPERATOR 2 #<=#, OPERATOR 3 #=#, OPERATOR 4 #>=#,
	OPERATOR 5 #>#, FUNCTION 1 fdw_jp_digits(bigint, bigint);
CREATE TABLE fdw_jp_other (k bigint, v text) PARTITION BY RANGE (k fdw_jp_ops);
CREATE FOREIGN TABLE fdw_jp_other1 PARTITION OF fdw_jp_other FOR VALUES FROM (0) TO (50) SERVER skyvault OPTIONS (key 'k');
CREATE FOREIGN TABLE fdw_jp_other2 PARTITION OF fdw_jp_other FOR VALUES FROM (50) TO (99) SERVER skyvault OPTIONS (key 'k');
INSERT INTO fdw_jp_other SELECT i, i FROM generate_series(0, 1000) i WHERE i % 100 < 99;
CREATE TABLE fdw_jp_plain_other AS SELECT * FROM fdw_jp_other;
SET enable_hashjoin = off;
SET enable_nestloop = off;
SELECT fdw_jp_check('SELECT * FROM fdw_jp_outer o JOIN fdw_jp_other s ON s.k = o.k');
SELECT fdw_jp_took('SELECT * FROM fdw_jp_outer o JOIN fdw_jp_other s ON s.k = o.k');
RESET enable_hashjoin;
RESET enable_nestloop;

-- with parallel workers, each with batches of its own
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET enable_hashjoin = off;
CREATE TABLE fdw_jp_wide AS SELECT i AS id, i % 2000 AS k FROM generate_series(1, 20000) i;
CREATE TABLE fdw_jp_plain_wide AS SELECT * FROM fdw_jp_wide;
ANALYZE fdw_jp_wide;
EXPLAIN (COSTS OFF) SELECT count(s.v), sum(s.k) FROM fdw_jp_wide o JOIN fdw_jp_hash s ON s.k = o.k;
SELECT fdw_jp_check('SELECT count(s.v), sum(s.k) FROM fdw_jp_wide o JOIN fdw_jp_hash s ON s.k = o.k');
SELECT fdw_jp_check('SELECT count(s.v), sum(s.k) FROM fdw_jp_wide o LEFT JOIN fdw_jp_loose s ON s.k = o.k');
