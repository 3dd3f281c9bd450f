--
-- Scans: which conditions select keys, and what comes out
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS skyvault;
RESET client_min_messages;
SET datestyle = 'ISO, YMD';

CREATE FOREIGN TABLE fdw_scan_one (k int, v text) SERVER skyvault OPTIONS (key 'k');
CREATE FOREIGN TABLE fdw_scan_two (a bigint, b text COLLATE "C", c int, v text) SERVER skyvault OPTIONS (key 'a, b, c');
INSERT INTO fdw_scan_one SELECT i, 'v' || i FROM generate_series(1, 3000) i;
INSERT INTO fdw_scan_two
	SELECT a, b, c, a || b || c FROM generate_series(1, 10) a, unnest('{x,xx,y,"",z}'::text[]) b, generate_series(-1, 2) c;

-- whole keys
EXPLAIN (COSTS OFF) SELECT * FROM fdw_scan_one WHERE k = 7;
SELECT * FROM fdw_scan_one WHERE k = 7;
SELECT * FROM fdw_scan_one WHERE 7 = k;
SELECT * FROM fdw_scan_one WHERE k = 7 AND v = 'other';
EXPLAIN (COSTS OFF) SELECT * FROM fdw_scan_one WHERE k = 7 AND v = 'other' AND k <> 8;
EXPLAIN (COSTS OFF) SELECT * FROM fdw_scan_one WHERE k IN (9, 7, 7, 100000, NULL);
SELECT * FROM fdw_scan_one WHERE k IN (9, 7, 7, 100000, NULL);
SELECT * FROM fdw_scan_one WHERE k = ANY ('{}');
SELECT * FROM fdw_scan_one WHERE k = ANY (NULL::int[]);
SELECT * FROM fdw_scan_one WHERE k = NULL::int;
SELECT * FROM fdw_scan_one WHERE k = (SELECT NULL::int);
SELECT * FROM fdw_scan_one WHERE k = (SELECT 8);
SELECT * FROM fdw_scan_one WHERE k = 7 AND k = 8;
SELECT * FROM fdw_scan_one WHERE k IS NULL;
SELECT count(*) FROM fdw_scan_one WHERE k IS NOT NULL;
SELECT count(*), sum(k) FROM fdw_scan_one WHERE k = ANY (ARRAY(SELECT generate_series(-500, 4000)));

-- several columns: every combination
EXPLAIN (COSTS OFF) SELECT * FROM fdw_scan_two WHERE c = 1 AND a = 3 AND b = 'xx';
SELECT * FROM fdw_scan_two WHERE c = 1 AND a = 3 AND b = 'xx';
EXPLAIN (COSTS OFF) SELECT * FROM fdw_scan_two WHERE c = 1 AND a IN (3, 11, 2) AND b IN ('x', 'xx', 'q');
SELECT * FROM fdw_scan_two WHERE c = 1 AND a IN (3, 11, 2) AND b IN ('x', 'xx', 'q');

-- prefixes, with and without a range after them
EXPLAIN (COSTS OFF) SELECT * FROM fdw_scan_two WHERE a = 3 AND b = 'x';
SELECT * FROM fdw_scan_two WHERE a = 3 AND b = 'x';
SELECT * FROM fdw_scan_two WHERE a IN (5, 3) AND b = '';
EXPLAIN (COSTS OFF) SELECT * FROM fdw_scan_two WHERE a = 3 AND b > 'x' AND c = 1;
SELECT * FROM fdw_scan_two WHERE a = 3 AND b > 'x' AND c = 1;
SELECT * FROM fdw_scan_two WHERE a = 3 AND b >= 'x' AND b < 'y' AND c = 1;
SELECT * FROM fdw_scan_two WHERE a = 3 AND b <= 'x' AND c = 1;
SELECT * FROM fdw_scan_two WHERE a IN (3, 4) AND b = 'x' AND c BETWEEN 0 AND 1;
SELECT * FROM fdw_scan_two WHERE a = 3 AND b > 'y' AND b < 'x';
EXPLAIN (COSTS OFF) SELECT * FROM fdw_scan_two WHERE b = 'x' AND c = 1;
SELECT count(*) FROM fdw_scan_two WHERE b = 'x' AND c = 1;

-- ranges of the first column
EXPLAIN (COSTS OFF) SELECT * FROM fdw_scan_one WHERE k > 5 AND k <= 8;
SELECT * FROM fdw_scan_one WHERE k > 5 AND k <= 8;
SELECT * FROM fdw_scan_one WHERE k BETWEEN 2998 AND 99999;
SELECT * FROM fdw_scan_one WHERE k < 3 AND k < 100 AND 0 <= k;
SELECT * FROM fdw_scan_one WHERE k > 5 AND k < 5;
SELECT * FROM fdw_scan_one WHERE k > NULL::int;
SELECT count(*) FROM fdw_scan_two WHERE a > 9;
SELECT count(*) FROM fdw_scan_two WHERE a < 9223372036854775807;
SELECT count(*) FROM fdw_scan_two WHERE a > 9223372036854775806;
SELECT count(*) FROM fdw_scan_two WHERE a <= 9223372036854775807;

-- integers of other types
EXPLAIN (COSTS OFF) SELECT * FROM fdw_scan_one WHERE k = 7::bigint;
SELECT * FROM fdw_scan_one WHERE k = 7::bigint;
SELECT * FROM fdw_scan_one WHERE k = 7::smallint;
SELECT * FROM fdw_scan_one WHERE k = 4294967303;
SELECT count(*) FROM fdw_scan_one WHERE k < 4294967303;
SELECT count(*) FROM fdw_scan_one WHERE k > 4294967303;
SELECT count(*) FROM fdw_scan_one WHERE k > -4294967303;
SELECT count(*) FROM fdw_scan_one WHERE k <= -4294967303;
SELECT * FROM fdw_scan_one WHERE k = ANY ('{7,4294967303,8}'::bigint[]);
SELECT count(*) FROM fdw_scan_two WHERE a = 3::smallint AND b = 'x';
EXPLAIN (COSTS OFF) SELECT * FROM fdw_scan_one WHERE k = 7.0;
SELECT * FROM fdw_scan_one WHERE k = 7.0;

-- what selects no keys
EXPLAIN (COSTS OFF) SELECT * FROM fdw_scan_one WHERE k + 1 = 7;
EXPLAIN (COSTS OFF) SELECT * FROM fdw_scan_one WHERE k = 7 OR k = 8;
EXPLAIN (COSTS OFF) SELECT * FROM fdw_scan_one WHERE k = length(v);
EXPLAIN (COSTS OFF) SELECT * FROM fdw_scan_one WHERE k = (random() * 0)::int;
EXPLAIN (COSTS OFF) SELECT * FROM fdw_scan_one WHERE k <> ALL ('{1,2}');
SELECT * FROM fdw_scan_one WHERE k = 7 OR k = 8;

-- collations: equality is of bytes, order only C's
CREATE COLLATION fdw_scan_blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE FOREIGN TABLE fdw_scan_text (k text COLLATE "C", l text COLLATE "en-x-icu", v int) SERVER skyvault OPTIONS (key 'k');
CREATE FOREIGN TABLE fdw_scan_icu (k text COLLATE "en-x-icu", v int) SERVER skyvault OPTIONS (key 'k');
INSERT INTO fdw_scan_text VALUES ('a', 'a', 1), ('B', 'B', 2), ('c', 'c', 3), ('b', 'b', 4);
INSERT INTO fdw_scan_icu SELECT l, v FROM fdw_scan_text;
EXPLAIN (COSTS OFF) SELECT * FROM fdw_scan_text WHERE k > 'B';
SELECT k FROM fdw_scan_text WHERE k > 'B' ORDER BY k;
EXPLAIN (COSTS OFF) SELECT * FROM fdw_scan_text WHERE k > 'B' COLLATE "en-x-icu";
SELECT k FROM fdw_scan_text WHERE k > 'B' COLLATE "en-x-icu" ORDER BY k;
EXPLAIN (COSTS OFF) SELECT * FROM fdw_scan_icu WHERE k > 'B';
SELECT k FROM fdw_scan_icu WHERE k > 'B' ORDER BY k;
EXPLAIN (COSTS OFF) SELECT * FROM fdw_scan_icu WHERE k = 'B';
SELECT k FROM fdw_scan_icu WHERE k = 'B';
EXPLAIN (COSTS OFF) SELECT * FROM fdw_scan_icu WHERE k = 'B' COLLATE fdw_scan_blind;
SELECT k FROM fdw_scan_icu WHERE k = 'B' COLLATE fdw_scan_blind ORDER BY k;
CREATE FOREIGN TABLE fdw_scan_varchar (k varchar(5) COLLATE "C", v int) SERVER skyvault OPTIONS (key 'k');
INSERT INTO fdw_scan_varchar VALUES ('a', 1), ('b', 2);
EXPLAIN (COSTS OFF) SELECT * FROM fdw_scan_varchar WHERE k = 'a' ;
SELECT * FROM fdw_scan_varchar WHERE k IN ('a', 'longer than that');
CREATE FOREIGN TABLE fdw_scan_bool (k bool, b int, v int) SERVER skyvault OPTIONS (key 'k, b');
INSERT INTO fdw_scan_bool SELECT i % 2 = 0, i, i FROM generate_series(1, 4) i;
EXPLAIN (COSTS OFF) SELECT * FROM fdw_scan_bool WHERE k;
SELECT * FROM fdw_scan_bool WHERE k;
SELECT * FROM fdw_scan_bool WHERE NOT k;
SELECT * FROM fdw_scan_bool WHERE k IS FALSE AND b = 3;
SELECT * FROM fdw_scan_bool WHERE k IS NOT TRUE AND b = 3;

-- order comes with the scan
EXPLAIN (COSTS OFF) SELECT * FROM fdw_scan_one WHERE k > 10 ORDER BY k LIMIT 3;
SELECT * FROM fdw_scan_one WHERE k > 10 ORDER BY k LIMIT 3;
EXPLAIN (COSTS OFF) SELECT * FROM fdw_scan_one ORDER BY k DESC LIMIT 3;
SELECT * FROM fdw_scan_one ORDER BY k DESC LIMIT 3;
EXPLAIN (COSTS OFF) SELECT * FROM fdw_scan_two WHERE a = 3 ORDER BY b, c LIMIT 3;
SELECT * FROM fdw_scan_two WHERE a = 3 ORDER BY b, c LIMIT 3;
EXPLAIN (COSTS OFF) SELECT * FROM fdw_scan_two WHERE a IN (4, 3) ORDER BY a, b LIMIT 3;
SELECT a, b FROM fdw_scan_two WHERE a IN (4, 3) ORDER BY a, b LIMIT 3;
EXPLAIN (COSTS OFF) SELECT * FROM fdw_scan_two WHERE a IN (4, 3) ORDER BY b, a LIMIT 3;
EXPLAIN (COSTS OFF) SELECT * FROM fdw_scan_icu ORDER BY k LIMIT 3;
EXPLAIN (COSTS OFF) SELECT * FROM fdw_scan_text ORDER BY k COLLATE "en-x-icu" LIMIT 3;
EXPLAIN (COSTS OFF) SELECT k FROM fdw_scan_varchar ORDER BY k LIMIT 1;

-- prepared statements: custom plans, then the generic one
PREPARE fdw_scan_any(int[]) AS SELECT k FROM fdw_scan_one WHERE k = ANY ($1);
EXECUTE fdw_scan_any('{1,2}');
EXECUTE fdw_scan_any('{3}');
EXECUTE fdw_scan_any('{}');
EXECUTE fdw_scan_any(NULL);
EXECUTE fdw_scan_any('{5,4,5}');
EXECUTE fdw_scan_any('{6,-1}');
EXECUTE fdw_scan_any('{7,8}');
PREPARE fdw_scan_between(int, bigint) AS SELECT k FROM fdw_scan_one WHERE k >= $1 AND k < $2;
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE fdw_scan_between(1, 2);
EXECUTE fdw_scan_between(1, 3);
EXECUTE fdw_scan_between(2999, 30000000000);
EXECUTE fdw_scan_between(1, NULL);
EXECUTE fdw_scan_between(3, 1);
RESET plan_cache_mode;
DO $$
DECLARE
	found text[];
BEGIN
	FOR i IN 1..7 LOOP
		found := found || (SELECT v FROM fdw_scan_one WHERE k = i);
	END LOOP;
	RAISE NOTICE '%', found;
END
$$;

-- joins look keys up
CREATE TABLE fdw_scan_outer (id int, a int, b text, ids int[]);
INSERT INTO fdw_scan_outer VALUES (1, 3, 'x', '{1,2}'), (2, 4, 'y', '{3}'), (NULL, NULL, NULL, NULL), (99999, 3, 'xx', '{}');
ANALYZE fdw_scan_outer;
EXPLAIN (COSTS OFF) SELECT o.id, t.v FROM fdw_scan_outer o JOIN fdw_scan_one t ON t.k = o.id ORDER BY 1;
SELECT o.id, t.v FROM fdw_scan_outer o JOIN fdw_scan_one t ON t.k = o.id ORDER BY 1;
SELECT o.id, t.v FROM fdw_scan_outer o LEFT JOIN fdw_scan_one t ON t.k = o.id ORDER BY 1;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_material = off;
SET enable_memoize = off;
EXPLAIN (COSTS OFF) SELECT o.id, t.k FROM fdw_scan_outer o JOIN fdw_scan_one t ON t.k = ANY (o.ids) ORDER BY 1, 2;
SELECT o.id, t.k FROM fdw_scan_outer o JOIN fdw_scan_one t ON t.k = ANY (o.ids) ORDER BY 1, 2;
EXPLAIN (COSTS OFF) SELECT o.id, t.v FROM fdw_scan_outer o JOIN fdw_scan_two t ON t.a = o.a AND t.b = o.b AND t.c = 1 ORDER BY 1;
SELECT o.id, t.v FROM fdw_scan_outer o JOIN fdw_scan_two t ON t.a = o.a AND t.b = o.b AND t.c = 1 ORDER BY 1;
EXPLAIN (COSTS OFF) SELECT o.id, p.id, t.v FROM fdw_scan_outer o, fdw_scan_outer p, fdw_scan_two t WHERE t.a = o.a AND t.b = p.b AND t.c = o.id - p.id AND o.id < 3 AND p.id < 3 ORDER BY 1, 2;
SELECT o.id, p.id, t.v FROM fdw_scan_outer o, fdw_scan_outer p, fdw_scan_two t WHERE t.a = o.a AND t.b = p.b AND t.c = o.id - p.id AND o.id < 3 AND p.id < 3 ORDER BY 1, 2;
SELECT o.id, (SELECT max(v) FROM fdw_scan_two t WHERE t.a = o.a AND t.b = o.b) FROM fdw_scan_outer o ORDER BY 1;
SELECT o.id, x.v FROM fdw_scan_outer o, LATERAL (SELECT v FROM fdw_scan_one WHERE k <= o.id ORDER BY k DESC LIMIT 1) x ORDER BY 1;
SELECT count(*) FROM fdw_scan_one x JOIN fdw_scan_one y ON y.k = x.k + 1 WHERE x.k <= 100;
RESET enable_hashjoin;
RESET enable_mergejoin;
RESET enable_material;
RESET enable_memoize;
SELECT count(*) FROM fdw_scan_one x JOIN fdw_scan_one y USING (k);

-- more combinations than are worth listing
SELECT count(*) FROM fdw_scan_two WHERE a = ANY (ARRAY(SELECT generate_series(-500, 500)))
	AND b IN ('x', 'y') AND c = ANY (ARRAY(SELECT generate_series(0, 100)));
SELECT count(*) FROM fdw_scan_two WHERE a = ANY (ARRAY(SELECT generate_series(-500, 500)))
	AND b = ANY (ARRAY(SELECT chr(i) FROM generate_series(33, 120) i) || ARRAY(SELECT i::text FROM generate_series(1, 100) i)) AND c > 0;

-- columns, whole rows, none at all
SELECT count(*) FROM fdw_scan_two;
SELECT tableoid::regclass, t FROM fdw_scan_two t WHERE a = 1 AND b = 'x' AND c = 0;
SELECT row_to_json(t) FROM fdw_scan_one t WHERE k = 1;
SELECT 1 AS one FROM fdw_scan_one WHERE k IN (1, 2);

-- cursors
BEGIN;
DECLARE fdw_scan_cursor SCROLL CURSOR FOR SELECT k FROM fdw_scan_one WHERE k <= 5;
FETCH 2 FROM fdw_scan_cursor;
DELETE FROM fdw_scan_one WHERE k = 3;
ALTER FOREIGN TABLE fdw_scan_two ADD COLUMN w int;
FETCH 2 FROM fdw_scan_cursor;
MOVE BACKWARD ALL FROM fdw_scan_cursor;
FETCH ALL FROM fdw_scan_cursor;
ROLLBACK;

-- locks
EXPLAIN (COSTS OFF) SELECT * FROM fdw_scan_one WHERE k = 1 FOR UPDATE;
SELECT * FROM fdw_scan_one WHERE k IN (1, 2) AND v = 'v2' FOR UPDATE;
SELECT * FROM fdw_scan_one WHERE k = 1 FOR UPDATE SKIP LOCKED;
SELECT * FROM fdw_scan_one WHERE k = 1 FOR SHARE NOWAIT;
\echo :LAST_ERROR_SQLSTATE

-- parallel queries
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SELECT name AS force_parallel FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query') \gset
SET :force_parallel = on;
SELECT count(*), sum(k) FROM fdw_scan_one;
SELECT * FROM fdw_scan_one WHERE k = ANY ('{3,1}');
RESET :force_parallel;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;

-- conditions behind a security barrier are not looked up before it
CREATE FUNCTION fdw_scan_leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS
	$$BEGIN RAISE NOTICE 'saw %', $1; RETURN true; END$$;
CREATE VIEW fdw_scan_barrier WITH (security_barrier) AS SELECT * FROM fdw_scan_one WHERE v LIKE 'v2%';
EXPLAIN (COSTS OFF) SELECT * FROM fdw_scan_barrier WHERE k IN (2, 3) AND fdw_scan_leak(v);
SELECT * FROM fdw_scan_barrier WHERE k IN (2, 3) AND fdw_scan_leak(v);
EXPLAIN (COSTS OFF) SELECT * FROM fdw_scan_barrier WHERE k = 2;
CREATE FUNCTION fdw_scan_leaky_eq(int, int) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'int4eq';
EXPLAIN (COSTS OFF) SELECT * FROM fdw_scan_barrier WHERE fdw_scan_leaky_eq(k, 2);

-- EXPLAIN VERBOSE, and of a table that was never written
CREATE FUNCTION fdw_scan_explain(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF, VERBOSE) ' || query LOOP
		RETURN NEXT regexp_replace(line, '(Table Id: )\d+', '\1N');
	END LOOP;
END
$$;
SELECT * FROM fdw_scan_explain($$SELECT v FROM fdw_scan_two t WHERE a = 1 AND b = 'x' AND c < 2$$);
CREATE FOREIGN TABLE fdw_scan_new (k int, v text) SERVER skyvault OPTIONS (key 'k', insert 'strict');
SELECT * FROM fdw_scan_explain('SELECT * FROM fdw_scan_new WHERE k = 1');
EXPLAIN (COSTS OFF, VERBOSE) INSERT INTO fdw_scan_new VALUES (1);
EXPLAIN (COSTS OFF) UPDATE fdw_scan_new SET v = 'x' WHERE k = 1;
EXPLAIN (COSTS OFF) DELETE FROM fdw_scan_new WHERE k = 1;
SELECT * FROM fdw_scan_new;

DROP VIEW fdw_scan_barrier;
DROP FUNCTION fdw_scan_leak, fdw_scan_leaky_eq, fdw_scan_explain;
DROP TABLE fdw_scan_outer;
DROP FOREIGN TABLE fdw_scan_one, fdw_scan_two, fdw_scan_text, fdw_scan_icu, fdw_scan_varchar, fdw_scan_bool, fdw_scan_new;
DROP COLLATION fdw_scan_blind;
