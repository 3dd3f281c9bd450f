--
-- What is left to a scan of a Skyvault table: order in both directions, prefixes,
-- comparisons of rows, limits
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS skyvault;
RESET client_min_messages;

CREATE FOREIGN TABLE push_one (k int, v text) SERVER skyvault OPTIONS (key 'k');
CREATE FOREIGN TABLE push_two (a int, b text COLLATE "C", c smallint, v text) SERVER skyvault OPTIONS (key 'a, b, c');
INSERT INTO push_one SELECT i, 'v' || i FROM generate_series(1, 3000) i;
INSERT INTO push_two
	SELECT a, b, c, a || b || c FROM generate_series(1, 4) a, unnest('{"",x,x%,x%y,xy,y}'::text[]) b, generate_series(-1, 2) c;

-- (what versions say of an InitPlan differs)
CREATE FUNCTION push_explain(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		RETURN NEXT regexp_replace(line, '(InitPlan \d).*', '\1');
	END LOOP;
END
$$;

-- both directions, and NULLS wherever they are wanted: there are none
EXPLAIN (COSTS OFF) SELECT * FROM push_one ORDER BY k DESC LIMIT 3;
SELECT * FROM push_one ORDER BY k DESC LIMIT 3;
SELECT * FROM push_one WHERE k < 10 ORDER BY k DESC LIMIT 2 OFFSET 1;
EXPLAIN (COSTS OFF) SELECT * FROM push_one ORDER BY k NULLS FIRST LIMIT 1;
EXPLAIN (COSTS OFF) SELECT * FROM push_one ORDER BY k DESC NULLS LAST LIMIT 1;
EXPLAIN (COSTS OFF) SELECT * FROM push_two ORDER BY a NULLS FIRST, b, c LIMIT 3;
EXPLAIN (COSTS OFF) SELECT * FROM push_two ORDER BY a DESC, b DESC NULLS LAST LIMIT 3;
SELECT a, b, c FROM push_two ORDER BY a DESC, b DESC NULLS LAST, c DESC LIMIT 5;
-- columns that equalities fix have no direction
EXPLAIN (COSTS OFF) SELECT * FROM push_two WHERE a = 3 ORDER BY a, b DESC, c DESC LIMIT 3;
SELECT a, b, c FROM push_two WHERE a = 3 ORDER BY a, b DESC, c DESC LIMIT 5;
EXPLAIN (COSTS OFF) SELECT * FROM push_two WHERE b = 'x' AND a = 2 ORDER BY a DESC, c LIMIT 3;
EXPLAIN (COSTS OFF) SELECT a, b FROM push_two ORDER BY a, b DESC LIMIT 3;
SELECT a, b, c FROM push_two ORDER BY a, b DESC, c LIMIT 5;
-- keys one by one, and several ranges
EXPLAIN (COSTS OFF) SELECT k FROM push_one WHERE k IN (5, 7, 6, 5, 99999) ORDER BY k DESC;
SELECT k FROM push_one WHERE k IN (5, 7, 6, 5, 99999) ORDER BY k DESC;
SELECT k FROM push_one WHERE k = ANY (ARRAY(SELECT generate_series(1, 5000, 7))) ORDER BY k DESC LIMIT 3 OFFSET 2;
EXPLAIN (COSTS OFF) SELECT a, b, c FROM push_two WHERE a IN (1, 3) AND b >= 'x%' ORDER BY a DESC, b DESC, c DESC LIMIT 10;
SELECT a, b, c FROM push_two WHERE a IN (1, 3) AND b >= 'x%y' AND c > 0 ORDER BY a DESC, b DESC, c DESC LIMIT 10;
-- a batch that a limit has made small grows
SELECT count(*) FROM (SELECT k FROM push_one WHERE k = ANY (ARRAY(SELECT generate_series(-5000, 3000))) ORDER BY k LIMIT 2000) x;
-- the least and the greatest key
SELECT push_explain('SELECT min(k), max(k) FROM push_one');
SELECT min(k), max(k) FROM push_one;
SELECT push_explain('SELECT max(b) FROM push_two WHERE a = 3');
SELECT min(b), max(b) FROM push_two WHERE a = 3;
SELECT max(k) FROM push_one WHERE k < 17;
SELECT max(k) FROM push_one WHERE k < 0;

-- LIKE and ^@: a range of bytes, whatever the collation
CREATE FOREIGN TABLE push_text (k text COLLATE "C", v int) SERVER skyvault OPTIONS (key 'k');
CREATE FOREIGN TABLE push_icu (k varchar COLLATE "en-x-icu", v int) SERVER skyvault OPTIONS (key 'k');
CREATE FOREIGN TABLE push_bytea (k bytea, v int) SERVER skyvault OPTIONS (key 'k');
INSERT INTO push_text SELECT k, row_number() OVER () FROM unnest('{"",a,ab,aB,abc,abd,a_c,a%c,"a\\\\c",b,B,é,éa,ê,ÿ}'::text[]) k;
INSERT INTO push_icu SELECT * FROM push_text;
INSERT INTO push_bytea SELECT convert_to(k, 'utf8'), v FROM push_text WHERE k < 'b';
INSERT INTO push_bytea VALUES ('\xff', 101), ('\xff00', 102), ('\xffff01', 103), ('\xfe', 104), ('\x61ff', 105), ('\x61ff41', 106);
EXPLAIN (COSTS OFF) SELECT k FROM push_text WHERE k LIKE 'ab%' ORDER BY k;
SELECT k FROM push_text WHERE k LIKE 'ab%' ORDER BY k;
EXPLAIN (COSTS OFF) SELECT k FROM push_text WHERE k LIKE 'a_c' ORDER BY k DESC;
SELECT k FROM push_text WHERE k LIKE 'a_c' ORDER BY k DESC;
SELECT k FROM push_text WHERE k LIKE 'a\_c' ORDER BY k;
SELECT k FROM push_text WHERE k LIKE 'a\%%' ORDER BY k;
SELECT k FROM push_text WHERE k LIKE 'a\\%' ORDER BY k;
SELECT k FROM push_text WHERE k LIKE 'a#_c' ESCAPE '#' ORDER BY k;
SELECT k FROM push_text WHERE k LIKE 'a\' ORDER BY k;
SELECT k FROM push_text WHERE k LIKE 'ab' ORDER BY k;
SELECT k FROM push_text WHERE k LIKE '' ORDER BY k;
SELECT count(*) FROM push_text WHERE k LIKE '%';
SELECT k FROM push_text WHERE k LIKE '%c' ORDER BY k;
SELECT k FROM push_text WHERE k LIKE 'ab%' AND k > 'ab' AND k < 'abd';
SELECT k FROM push_text WHERE k LIKE NULL;
EXPLAIN (COSTS OFF) SELECT k FROM push_text WHERE k NOT LIKE 'a%';
EXPLAIN (COSTS OFF) SELECT k FROM push_text WHERE k ILIKE 'a%';
EXPLAIN (COSTS OFF) SELECT k FROM push_text WHERE 'abc' LIKE k;
EXPLAIN (COSTS OFF) SELECT k FROM push_text WHERE k ^@ 'a_';
SELECT k FROM push_text WHERE k ^@ 'a_';
SELECT k FROM push_text WHERE k ^@ 'é';
SELECT count(*) FROM push_text WHERE k ^@ '';
EXPLAIN (COSTS OFF) SELECT k FROM push_text WHERE starts_with(k, 'é');
SELECT k FROM push_text WHERE starts_with(k, 'é');
EXPLAIN (COSTS OFF) SELECT k FROM push_icu WHERE k LIKE 'ab%';
SELECT k FROM push_icu WHERE k LIKE 'ab%' ORDER BY k COLLATE "C";
SELECT k FROM push_icu WHERE k ^@ 'é' ORDER BY k COLLATE "C";
SELECT k FROM push_icu WHERE k LIKE 'a%' ORDER BY k COLLATE "C";
EXPLAIN (COSTS OFF) SELECT k FROM push_bytea WHERE k LIKE '\x6125'::bytea;
SELECT k FROM push_bytea WHERE k LIKE '\xff25'::bytea ORDER BY k;
SELECT k FROM push_bytea WHERE k LIKE '\x61ff25'::bytea ORDER BY k;
SELECT v FROM push_bytea WHERE k LIKE 'a\\_c'::bytea;
-- of a composite key, behind equalities
EXPLAIN (COSTS OFF) SELECT b, c FROM push_two WHERE a = 2 AND b LIKE 'x\%%' AND c = 1;
SELECT b, c FROM push_two WHERE a = 2 AND b LIKE 'x\%%' AND c = 1 ORDER BY b;
SELECT a, b FROM push_two WHERE a IN (2, 4) AND b ^@ 'x' AND c = 1 ORDER BY a, b DESC;
EXPLAIN (COSTS OFF) SELECT b, c FROM push_two WHERE b LIKE 'x%';
-- a pattern that is known when the plan runs
PREPARE push_like(text) AS SELECT k FROM push_text WHERE k LIKE $1 ORDER BY k;
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE push_like('ab%');
EXECUTE push_like('ab%');
EXECUTE push_like('%c');
EXECUTE push_like('a\%c');
EXECUTE push_like(NULL);
RESET plan_cache_mode;
SELECT p, k FROM unnest('{b,é}'::text[]) p, LATERAL (SELECT k FROM push_text WHERE k ^@ p) x ORDER BY p, k;

-- comparisons of rows
EXPLAIN (COSTS OFF) SELECT a, b, c FROM push_two WHERE (a, b, c) > (2, 'xy', 1) ORDER BY a, b, c LIMIT 4;
SELECT a, b, c FROM push_two WHERE (a, b, c) > (2, 'xy', 1) ORDER BY a, b, c LIMIT 4;
SELECT a, b, c FROM push_two WHERE (a, b, c) >= (2, 'xy', 1) ORDER BY a, b, c LIMIT 2;
SELECT a, b, c FROM push_two WHERE (a, b, c) < (2, 'xy', 1) ORDER BY a DESC, b DESC, c DESC LIMIT 3;
SELECT a, b, c FROM push_two WHERE (a, b, c) <= (2, 'xy', 1) ORDER BY a DESC, b DESC, c DESC LIMIT 2;
EXPLAIN (COSTS OFF) SELECT count(*) FROM push_two WHERE (a, b) > (2, 'xy');
SELECT count(*) FROM push_two WHERE (a, b) > (2, 'xy');
SELECT count(*) FROM push_two WHERE (a, b) >= (2, 'xy');
SELECT count(*) FROM push_two WHERE (a, b) < (2, 'xy');
SELECT count(*) FROM push_two WHERE (a, b) <= (2, 'xy');
EXPLAIN (COSTS OFF) SELECT b, c FROM push_two WHERE a = 2 AND (b, c) > ('x', 1) AND ('y', 0) >= (b, c);
SELECT b, c FROM push_two WHERE a = 2 AND (b, c) > ('x', 1) AND ('y', 0) >= (b, c) ORDER BY b, c;
-- as far as the row is of key columns
EXPLAIN (COSTS OFF) SELECT a, c FROM push_two WHERE (a, c) > (3, 1);
SELECT count(*) FROM push_two WHERE (a, c) > (3, 1);
SELECT count(*) FROM push_two WHERE (a, c) <= (3, 1);
SELECT count(*) FROM push_two WHERE (a, b, v) >= (3, 'y', '3y1');
EXPLAIN (COSTS OFF) SELECT a, c FROM push_two WHERE (b, a) > ('x', 1);
EXPLAIN (COSTS OFF) SELECT a, c FROM push_two WHERE (a, b COLLATE "en-x-icu") > (1, 'x');
SELECT count(*) FROM push_two WHERE (b, c) > ('x', 1);
EXPLAIN (COSTS OFF) SELECT a, c FROM push_two WHERE (a, b) <> (1, 'x');
-- NULL, and values that the column's type does not have
PREPARE push_row(int, text, int) AS SELECT count(*), count(*) FILTER (WHERE (a, b, c) > ($1, $2, $3)) FROM push_two
	WHERE (a, b, c) > ($1, $2, $3);
PREPARE push_row_below(int, text, int) AS SELECT count(*), count(*) FILTER (WHERE (a, b, c) <= ($1, $2, $3)) FROM push_two
	WHERE (a, b, c) <= ($1, $2, $3);
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE push_row(2, 'x', 0);
EXECUTE push_row(2, 'x', 0);
EXECUTE push_row(NULL, 'x', 0);
EXECUTE push_row(2, NULL, 0);
EXECUTE push_row(2, 'x', NULL);
EXECUTE push_row(2, 'x', 100000);
EXECUTE push_row(2, 'x', -100000);
EXECUTE push_row_below(2, 'x', 0);
EXECUTE push_row_below(NULL, 'x', 0);
EXECUTE push_row_below(2, NULL, 0);
EXECUTE push_row_below(2, 'x', NULL);
EXECUTE push_row_below(2, 'x', 100000);
EXECUTE push_row_below(2, 'x', -100000);
RESET plan_cache_mode;

-- a key is never null
EXPLAIN (COSTS OFF) SELECT k FROM push_one WHERE k IS NULL;
SELECT k FROM push_one WHERE k IS NULL;
EXPLAIN (COSTS OFF) SELECT k FROM push_one WHERE k IS NOT NULL AND k < 3;
SELECT k FROM push_one WHERE k IS NOT NULL AND k < 3;
SELECT count(*) FROM push_two WHERE b IS NULL AND a = 1;
SELECT p.k, q.k FROM push_one p LEFT JOIN push_one q ON q.k = p.k + 1 AND q.k < 3 WHERE p.k < 4 AND q.k IS NULL ORDER BY 1;

-- joins that stop early, or want one order of both sides
EXPLAIN (COSTS OFF) SELECT * FROM push_one x WHERE EXISTS (SELECT 1 FROM push_one y WHERE y.k = x.k + 1) ORDER BY k DESC LIMIT 2;
SELECT * FROM push_one x WHERE EXISTS (SELECT 1 FROM push_one y WHERE y.k = x.k + 1) ORDER BY k DESC LIMIT 2;
SELECT * FROM push_one x WHERE NOT EXISTS (SELECT 1 FROM push_one y WHERE y.k = x.k + 1) ORDER BY k LIMIT 2;
SET enable_hashjoin = off;
SET enable_nestloop = off;
EXPLAIN (COSTS OFF) SELECT x.k, y.v FROM push_one x JOIN push_one y USING (k) ORDER BY k DESC LIMIT 3;
SELECT x.k, y.v FROM push_one x JOIN push_one y USING (k) ORDER BY k DESC LIMIT 3;
SELECT x.k, y.v FROM push_one x JOIN push_one y USING (k) ORDER BY k LIMIT 3;
SELECT x.k, y.v FROM push_one x FULL JOIN push_one y ON x.k = y.k AND y.k < 3 ORDER BY x.k DESC NULLS LAST LIMIT 3;
RESET enable_hashjoin;
RESET enable_nestloop;
SELECT o, (SELECT max(k) FROM push_one WHERE k < o) FROM generate_series(1, 9, 4) o;
SELECT o, x.k FROM generate_series(10, 30, 10) o, LATERAL (SELECT k FROM push_one WHERE k <= o ORDER BY k DESC LIMIT 2) x;

-- partitions
CREATE TABLE push_parted (k int, v text) PARTITION BY RANGE (k);
CREATE FOREIGN TABLE push_part_1 PARTITION OF push_parted FOR VALUES FROM (1) TO (10) SERVER skyvault OPTIONS (key 'k');
CREATE FOREIGN TABLE push_part_2 PARTITION OF push_parted FOR VALUES FROM (10) TO (20) SERVER skyvault OPTIONS (key 'k');
CREATE TABLE push_part_3 PARTITION OF push_parted (PRIMARY KEY (k)) FOR VALUES FROM (20) TO (30);
INSERT INTO push_parted SELECT i, 'p' || i FROM generate_series(1, 29) i;
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT * FROM push_parted ORDER BY k DESC LIMIT 12;
SELECT string_agg(k::text, ' ') FROM (SELECT k FROM push_parted ORDER BY k DESC LIMIT 12) x;
SELECT string_agg(k::text, ' ') FROM (SELECT k FROM push_parted WHERE k > 8 ORDER BY k LIMIT 12) x;
SELECT push_explain('SELECT max(k) FROM push_parted WHERE k < 20');
SELECT min(k), max(k) FROM push_parted WHERE k < 20;
RESET enable_seqscan;
SELECT count(*) FROM push_parted;

-- cursors, there and back
BEGIN;
DECLARE push_cursor SCROLL CURSOR FOR SELECT k FROM push_one ORDER BY k DESC;
FETCH 2 FROM push_cursor;
FETCH ABSOLUTE 5 FROM push_cursor;
FETCH PRIOR FROM push_cursor;
DELETE FROM push_one WHERE k BETWEEN 2991 AND 2995;
FETCH 4 FROM push_cursor;
MOVE BACKWARD ALL IN push_cursor;
FETCH 1 FROM push_cursor;
DECLARE push_held CURSOR WITH HOLD FOR SELECT k FROM push_one WHERE k > 2988 ORDER BY k DESC LIMIT 5 OFFSET 4;
COMMIT;
INSERT INTO push_one SELECT i, 'v' || i FROM generate_series(2991, 2995) i;
FETCH ALL FROM push_held;
CLOSE push_held;
BEGIN;
SELECT k FROM push_one WHERE k > 10 ORDER BY k DESC LIMIT 2 FOR UPDATE;
ROLLBACK;

-- a limit ends the scan, and columns that nobody asks for are not looked at
CREATE SERVER push_vault FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:push');
CREATE TYPE push_label AS ENUM ('before', 'b');
CREATE FOREIGN TABLE push_rows (k int, v text, w push_label) SERVER push_vault OPTIONS (key 'k');
INSERT INTO push_rows SELECT i, repeat(md5(i::text), 10), 'before' FROM generate_series(1, 2000) i;
SELECT skyvault_flush('push_vault') > 0 AS flushed;
CREATE FUNCTION push_blocks_of(query text) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	PERFORM skyvault_clear_cache();
	EXECUTE query;
	RETURN (SELECT sum(c.blocks) FROM skyvault_index('push_rows') AS i JOIN skyvault_cache AS c USING (run));
END
$$;
SELECT push_blocks_of('SELECT k FROM push_rows') > 20 AS all_blocks,
	push_blocks_of('SELECT v FROM push_rows WHERE k > 500 ORDER BY k LIMIT 3') <= 2 AS forward,
	push_blocks_of('SELECT v FROM push_rows WHERE k < 500 ORDER BY k DESC LIMIT 3') <= 2 AS backward,
	push_blocks_of('SELECT max(k) FROM push_rows') <= 2 AS greatest;
ALTER TYPE push_label RENAME VALUE 'before' TO 'after';
SELECT w FROM push_rows ORDER BY k LIMIT 1;
\echo :LAST_ERROR_SQLSTATE
SELECT k, left(v, 3) FROM push_rows ORDER BY k LIMIT 1;
SELECT count(*), max(k) FROM push_rows WHERE k > 5;
SELECT count(*) FROM push_rows WHERE v > 'a';
SELECT count(*) FROM push_rows WHERE k IN (1, 2, 3);

-- behind a security barrier only what tells nothing is looked up
CREATE FUNCTION push_leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS
	$$BEGIN RAISE NOTICE 'saw %', $1; RETURN true; END$$;
CREATE VIEW push_barrier WITH (security_barrier) AS SELECT * FROM push_text WHERE v % 2 = 0;
EXPLAIN (COSTS OFF) SELECT k FROM push_barrier WHERE k LIKE 'ab%' AND push_leak(k);
SELECT k FROM push_barrier WHERE k LIKE 'ab%' AND push_leak(k) ORDER BY k;
EXPLAIN (COSTS OFF) SELECT k FROM push_barrier WHERE k >= 'ab' AND k < 'ac' AND push_leak(k) ORDER BY k DESC;
SELECT k FROM push_barrier WHERE k >= 'ab' AND k < 'ac' AND push_leak(k) ORDER BY k DESC;

DROP VIEW push_barrier;
DROP FUNCTION push_leak, push_explain, push_blocks_of;
DROP TABLE push_parted;
DROP FOREIGN TABLE push_one, push_two, push_text, push_icu, push_bytea, push_rows;
DROP TYPE push_label;
SET client_min_messages = warning;
DROP SERVER push_vault;
