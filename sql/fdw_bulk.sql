--
-- Which rows of INSERT and COPY are held back, and which become a bulk load;
-- what a load does to the rows that the table has.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS skyvault;
RESET client_min_messages;

CREATE FOREIGN TABLE fdw_bulk_t (k int, v text) SERVER skyvault OPTIONS (key 'k');
CREATE TABLE fdw_bulk_heap (k int, v text);
INSERT INTO fdw_bulk_heap SELECT i, 'row ' || i FROM generate_series(1, 1000) AS i;

-- where this transaction's rows went
CREATE FUNCTION fdw_bulk_path(rel regclass DEFAULT 'fdw_bulk_t', OUT runs bigint, OUT run_rows numeric, OUT delta_rows bigint)
LANGUAGE sql VOLATILE AS $$
	SELECT (SELECT count(*) FROM skyvault.run AS r WHERE r.xmin::text = txid_current()::text AND r.table_ids = ARRAY[t.id]),
		   (SELECT sum(entries[1]) FROM skyvault.run AS r WHERE r.xmin::text = txid_current()::text AND r.table_ids = ARRAY[t.id]),
		   (SELECT count(*) FROM skyvault.delta AS d WHERE d.xmin::text = txid_current()::text AND d.table_id = t.id)
	  FROM skyvault."table" AS t WHERE t.relid = $1
$$;
CREATE FUNCTION fdw_bulk_explain(query text, analyze_it boolean DEFAULT false) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE format('EXPLAIN (VERBOSE, COSTS OFF%s) ', CASE WHEN analyze_it THEN ', ANALYZE, TIMING OFF, SUMMARY OFF' END) || query LOOP
		IF line ~ 'Bulk Load' THEN
			RETURN NEXT trim(line);
		END IF;
	END LOOP;
END
$$;

-- up to the threshold rows go to the delta, beyond it all of them to runs
BEGIN;
INSERT INTO fdw_bulk_t SELECT * FROM fdw_bulk_heap;
SELECT * FROM fdw_bulk_path();
ROLLBACK;
SET skyvault.bulk_threshold = '16kB';
BEGIN;
INSERT INTO fdw_bulk_t SELECT * FROM fdw_bulk_heap LIMIT 100;
SELECT * FROM fdw_bulk_path();
ROLLBACK;
BEGIN;
INSERT INTO fdw_bulk_t SELECT * FROM fdw_bulk_heap;
SELECT * FROM fdw_bulk_path();
SELECT count(*), min(k), max(k), min(v) FROM fdw_bulk_t;
ROLLBACK;
SELECT count(*) FROM fdw_bulk_t;
SET skyvault.bulk_threshold = -1;
BEGIN;
INSERT INTO fdw_bulk_t SELECT * FROM fdw_bulk_heap;
SELECT * FROM fdw_bulk_path();
SELECT * FROM fdw_bulk_explain('INSERT INTO fdw_bulk_t SELECT * FROM fdw_bulk_heap');
ROLLBACK;
SET skyvault.bulk_threshold = 0;

-- INSERT of many values, COPY, of equal keys the last one wins
BEGIN;
INSERT INTO fdw_bulk_t VALUES (2, 'two'), (1, 'one'), (2, 'TWO'), (3, 'three'), (1, 'ONE');
SELECT * FROM fdw_bulk_path();
SELECT * FROM fdw_bulk_t;
COPY fdw_bulk_t FROM STDIN (FORMAT csv);
5,five
3,copied
5,FIVE
\.
SELECT * FROM fdw_bulk_path();
SELECT * FROM fdw_bulk_t;
COMMIT;
SELECT * FROM fdw_bulk_t;

-- over and under rows of the delta: which change is the last one, counts
BEGIN;
UPDATE fdw_bulk_t SET v = 'updated' WHERE k IN (1, 2);
DELETE FROM fdw_bulk_t WHERE k = 5;
INSERT INTO fdw_bulk_t SELECT k, 'loaded' FROM generate_series(2, 6) AS k;
SELECT * FROM fdw_bulk_t;
UPDATE fdw_bulk_t SET v = v || ' and updated' WHERE k IN (3, 4);
DELETE FROM fdw_bulk_t WHERE k = 6;
SELECT * FROM fdw_bulk_t;
SAVEPOINT s;
COPY fdw_bulk_t FROM STDIN (FORMAT csv);
3,of the savepoint
6,of the savepoint
7,of the savepoint
\.
SELECT * FROM fdw_bulk_t;
ROLLBACK TO s;
SELECT * FROM fdw_bulk_t;
COMMIT;
SELECT * FROM fdw_bulk_t;

-- a function in a subquery of a WHERE sees the rows before
CREATE FOREIGN TABLE fdw_bulk_few (k int NOT NULL) SERVER skyvault OPTIONS (key 'k');
CREATE FUNCTION fdw_bulk_room(int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) < 3 FROM fdw_bulk_few); END';
INSERT INTO fdw_bulk_few SELECT g FROM generate_series(1, 10) AS g WHERE (SELECT fdw_bulk_room(g));
SELECT * FROM fdw_bulk_few;
DROP FUNCTION fdw_bulk_room;
DROP FOREIGN TABLE fdw_bulk_few;

-- a line that is none: nothing of the others is left
COPY fdw_bulk_t FROM STDIN (FORMAT csv);
100,a
200,b
x,c
\.
BEGIN;
SAVEPOINT s;
COPY fdw_bulk_t FROM STDIN (FORMAT csv);
100,a
200
\.
ROLLBACK TO s;
SELECT * FROM fdw_bulk_path();
COMMIT;
SELECT count(*) FROM fdw_bulk_t WHERE k >= 100;
SELECT count(*) FROM skyvault_verify('fdw_bulk_t');

-- COPY: WHERE, a list of columns, defaults, generated columns, constraints
CREATE SEQUENCE fdw_bulk_seq;
CREATE FOREIGN TABLE fdw_bulk_columns (k int DEFAULT nextval('fdw_bulk_seq') NOT NULL, v int CHECK (v > 0), w text DEFAULT 'none', x bigint GENERATED ALWAYS AS (v * 2) STORED)
	SERVER skyvault OPTIONS (key 'k');
BEGIN;
COPY fdw_bulk_columns (v) FROM STDIN WHERE v < 100;
10
200
30
\.
INSERT INTO fdw_bulk_columns (v) SELECT g FROM generate_series(50, 51) AS g;
SELECT * FROM fdw_bulk_path('fdw_bulk_columns');
SELECT * FROM fdw_bulk_columns;
COMMIT;
-- From 16 on the line is not named: rows come in batches.
\set SHOW_CONTEXT never
COPY fdw_bulk_columns (v) FROM STDIN;
1
-1
\.
\set SHOW_CONTEXT errors
INSERT INTO fdw_bulk_columns (v) SELECT -g FROM generate_series(1, 2) AS g;
INSERT INTO fdw_bulk_columns (k, v) SELECT NULL, g FROM generate_series(1, 2) AS g;
SELECT count(*) FROM fdw_bulk_columns;
DROP FOREIGN TABLE fdw_bulk_columns;
DROP SEQUENCE fdw_bulk_seq;

-- strict: an error for a key that exists, or that the statement has twice
CREATE FOREIGN TABLE fdw_bulk_strict (a int, b text, v int) SERVER skyvault OPTIONS (key 'a, b', insert 'strict');
BEGIN;
INSERT INTO fdw_bulk_strict SELECT g, 'b', g FROM generate_series(1, 100) AS g;
SELECT * FROM fdw_bulk_path('fdw_bulk_strict');
COMMIT;
INSERT INTO fdw_bulk_strict SELECT g, 'b', g FROM generate_series(200, 100, -1) AS g;
\echo :LAST_ERROR_SQLSTATE
INSERT INTO fdw_bulk_strict SELECT 500 + g % 20, 'b', g FROM generate_series(20, 40) AS g;
\echo :LAST_ERROR_SQLSTATE
COPY fdw_bulk_strict FROM STDIN (FORMAT csv);
300,b,1
7,b,1
301,b,1
\.
DELETE FROM fdw_bulk_strict WHERE a > 50;
INSERT INTO fdw_bulk_strict SELECT g, 'b', -g FROM generate_series(51, 60) AS g;
SELECT count(*), min(v), max(v) FROM fdw_bulk_strict;
-- small ones, which are held back too, say the same
SET skyvault.bulk_threshold = '8MB';
INSERT INTO fdw_bulk_strict SELECT 500 + g % 20, 'b', g FROM generate_series(20, 40) AS g;
INSERT INTO fdw_bulk_strict VALUES (600, 'b', 1), (1, 'b', 2);
SET skyvault.bulk_threshold = 0;
SELECT count(*), min(v), max(v) FROM fdw_bulk_strict;
DROP FOREIGN TABLE fdw_bulk_strict;

-- time to live
CREATE FOREIGN TABLE fdw_bulk_ttl (k int, v text) SERVER skyvault OPTIONS (key 'k', ttl '1 hour');
BEGIN;
INSERT INTO fdw_bulk_ttl SELECT g, 'x' FROM generate_series(1, 10) AS g;
SELECT r.expiring, r.expires_min[1] = statement_timestamp() + interval '1 hour' OR r.expires_min[1] > now() + interval '59 minutes' AS in_an_hour
  FROM skyvault.run AS r JOIN skyvault."table" AS t ON r.table_ids = ARRAY[t.id] WHERE t.relid = 'fdw_bulk_ttl'::regclass;
ROLLBACK;
DROP FOREIGN TABLE fdw_bulk_ttl;

-- what a load is not possible for
SELECT * FROM fdw_bulk_explain('INSERT INTO fdw_bulk_t SELECT * FROM fdw_bulk_heap');
SELECT * FROM fdw_bulk_explain('INSERT INTO fdw_bulk_t VALUES (1, $$a$$)');
SELECT * FROM fdw_bulk_explain('INSERT INTO fdw_bulk_t SELECT * FROM fdw_bulk_heap RETURNING k');
SELECT * FROM fdw_bulk_explain('INSERT INTO fdw_bulk_t SELECT * FROM fdw_bulk_heap ON CONFLICT DO NOTHING');
SELECT * FROM fdw_bulk_explain('INSERT INTO fdw_bulk_t SELECT k + 1, v FROM fdw_bulk_t');
SELECT * FROM fdw_bulk_explain('INSERT INTO fdw_bulk_t SELECT k, v FROM fdw_bulk_heap WHERE EXISTS (SELECT FROM fdw_bulk_t AS t WHERE t.k = 3)');
SELECT * FROM fdw_bulk_explain('WITH c AS MATERIALIZED (SELECT * FROM fdw_bulk_t) INSERT INTO fdw_bulk_t SELECT k + 1, v FROM c');
SELECT * FROM fdw_bulk_explain('WITH h AS (DELETE FROM fdw_bulk_heap RETURNING *) INSERT INTO fdw_bulk_t SELECT * FROM h');
CREATE VIEW fdw_bulk_reader AS SELECT k, v FROM fdw_bulk_t WHERE k > 1;
SELECT * FROM fdw_bulk_explain('INSERT INTO fdw_bulk_t SELECT k + 10, v FROM fdw_bulk_reader');
DROP VIEW fdw_bulk_reader;
CREATE VIEW fdw_bulk_checked AS SELECT k, v FROM fdw_bulk_t WHERE k > 1 WITH CHECK OPTION;
SELECT * FROM fdw_bulk_explain('INSERT INTO fdw_bulk_checked SELECT * FROM fdw_bulk_heap');
INSERT INTO fdw_bulk_checked SELECT g, 'x' FROM generate_series(2, 1, -1) AS g;
DROP VIEW fdw_bulk_checked;
CREATE FUNCTION fdw_bulk_count() RETURNS text LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN (SELECT count(*)::text FROM fdw_bulk_t); END $$;
SELECT * FROM fdw_bulk_explain('INSERT INTO fdw_bulk_t SELECT k, fdw_bulk_count() FROM fdw_bulk_heap');
BEGIN;
TRUNCATE fdw_bulk_t;
INSERT INTO fdw_bulk_t SELECT g, fdw_bulk_count() FROM generate_series(1, 4) AS g;
SELECT * FROM fdw_bulk_t;
SELECT * FROM fdw_bulk_path();
ROLLBACK;
ALTER FOREIGN TABLE fdw_bulk_t ALTER v SET DEFAULT fdw_bulk_count();
BEGIN;
TRUNCATE fdw_bulk_t;
COPY fdw_bulk_t (k) FROM STDIN;
1
2
3
\.
SELECT * FROM fdw_bulk_t;
SELECT * FROM fdw_bulk_path();
ROLLBACK;
ALTER FOREIGN TABLE fdw_bulk_t ALTER v DROP DEFAULT;
-- (EXPLAIN ANALYZE says what was done)
BEGIN;
SELECT * FROM fdw_bulk_explain('INSERT INTO fdw_bulk_t SELECT * FROM fdw_bulk_heap', true);
SET LOCAL skyvault.bulk_threshold = '8MB';
SELECT * FROM fdw_bulk_explain('INSERT INTO fdw_bulk_t SELECT * FROM fdw_bulk_heap', true);
ROLLBACK;

-- triggers
CREATE FUNCTION fdw_bulk_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE NOTICE '% % sees % rows', TG_WHEN, TG_LEVEL, (SELECT count(*) FROM fdw_bulk_t WHERE k > 1000);
	RETURN NEW;
END $$;
CREATE TRIGGER t AFTER INSERT ON fdw_bulk_t FOR EACH STATEMENT EXECUTE FUNCTION fdw_bulk_trigger();
BEGIN;
INSERT INTO fdw_bulk_t SELECT g, 'x' FROM generate_series(1001, 1003) AS g;
COPY fdw_bulk_t FROM STDIN (FORMAT csv);
1004,x
1005,x
\.
SELECT * FROM fdw_bulk_path();
ROLLBACK;
DROP TRIGGER t ON fdw_bulk_t;
CREATE TRIGGER t BEFORE INSERT ON fdw_bulk_t FOR EACH ROW EXECUTE FUNCTION fdw_bulk_trigger();
BEGIN;
INSERT INTO fdw_bulk_t SELECT g, 'x' FROM generate_series(1001, 1002) AS g;
SELECT * FROM fdw_bulk_path();
ROLLBACK;
DROP TRIGGER t ON fdw_bulk_t;
CREATE TRIGGER t BEFORE INSERT ON fdw_bulk_t FOR EACH STATEMENT EXECUTE FUNCTION fdw_bulk_trigger();
CREATE TRIGGER u AFTER UPDATE ON fdw_bulk_t FOR EACH ROW EXECUTE FUNCTION fdw_bulk_trigger();
SELECT * FROM fdw_bulk_explain('INSERT INTO fdw_bulk_t SELECT * FROM fdw_bulk_heap');
DROP TRIGGER t ON fdw_bulk_t;
DROP TRIGGER u ON fdw_bulk_t;

-- partitions: a load each
CREATE TABLE fdw_bulk_parent (k int, v text) PARTITION BY RANGE (k);
CREATE FOREIGN TABLE fdw_bulk_p1 PARTITION OF fdw_bulk_parent FOR VALUES FROM (0) TO (100) SERVER skyvault OPTIONS (key 'k');
CREATE FOREIGN TABLE fdw_bulk_p2 PARTITION OF fdw_bulk_parent FOR VALUES FROM (100) TO (200) SERVER skyvault OPTIONS (key 'k');
CREATE TABLE fdw_bulk_p3 PARTITION OF fdw_bulk_parent FOR VALUES FROM (200) TO (300);
BEGIN;
INSERT INTO fdw_bulk_parent SELECT g % 300, 'x' || g FROM generate_series(0, 599) AS g;
SELECT p, (fdw_bulk_path(p)).* FROM unnest('{fdw_bulk_p1,fdw_bulk_p2}'::regclass[]) AS p;
SELECT tableoid::regclass, count(*), min(v), max(v) FROM fdw_bulk_parent GROUP BY 1 ORDER BY 1;
ROLLBACK;
BEGIN;
COPY fdw_bulk_parent FROM PROGRAM 'seq 0 299 | sed ''s/$/\tcopied/''';
SELECT p, (fdw_bulk_path(p)).* FROM unnest('{fdw_bulk_p1,fdw_bulk_p2}'::regclass[]) AS p;
SELECT tableoid::regclass, count(*), min(v), max(v) FROM fdw_bulk_parent GROUP BY 1 ORDER BY 1;
ROLLBACK;
-- the tables of a statement share the threshold, and the memory of loads
SET skyvault.bulk_threshold = '8kB';
SET maintenance_work_mem = '16MB';
BEGIN;
INSERT INTO fdw_bulk_parent SELECT g % 200, 'x' || g FROM generate_series(0, 999) AS g;
SELECT sum(runs) AS loads, sum(run_rows) AS loaded, sum(delta_rows) FROM unnest('{fdw_bulk_p1,fdw_bulk_p2}'::regclass[]) AS p, fdw_bulk_path(p);
SELECT tableoid::regclass, count(*), min(v), max(v) FROM fdw_bulk_parent GROUP BY 1 ORDER BY 1;
ROLLBACK;
RESET maintenance_work_mem;
SET skyvault.bulk_threshold = 0;
-- moving rows is not loading
BEGIN;
INSERT INTO fdw_bulk_parent SELECT g, 'x' FROM generate_series(0, 9) AS g;
UPDATE fdw_bulk_parent SET k = k + 100;
SELECT p, (fdw_bulk_path(p)).* FROM unnest('{fdw_bulk_p1,fdw_bulk_p2}'::regclass[]) AS p;
SELECT tableoid::regclass, count(*) FROM fdw_bulk_parent GROUP BY 1 ORDER BY 1;
ROLLBACK;
-- reading one of them, or the parent
BEGIN;
INSERT INTO fdw_bulk_parent SELECT g, 'x' FROM generate_series(0, 9) AS g;
INSERT INTO fdw_bulk_p2 SELECT k + 100, v FROM fdw_bulk_parent WHERE k < 150;
INSERT INTO fdw_bulk_parent SELECT k + 50, v FROM fdw_bulk_p1;
SELECT p, (fdw_bulk_path(p)).* FROM unnest('{fdw_bulk_p1,fdw_bulk_p2}'::regclass[]) AS p;
ROLLBACK;
-- functions, and a trigger of a sibling, which look
CREATE FUNCTION fdw_bulk_count_p1() RETURNS text LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN (SELECT count(*)::text FROM fdw_bulk_p1); END $$;
BEGIN;
INSERT INTO fdw_bulk_parent SELECT g, fdw_bulk_count_p1() FROM generate_series(0, 3) AS g;
SELECT * FROM fdw_bulk_path('fdw_bulk_p1');
ROLLBACK;
CREATE FUNCTION fdw_bulk_sibling() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE NOTICE '% % sees % rows', TG_WHEN, NEW.k, (SELECT count(*) FROM fdw_bulk_p1);
	RETURN NEW;
END $$;
CREATE TRIGGER t AFTER INSERT ON fdw_bulk_p3 FOR EACH ROW EXECUTE FUNCTION fdw_bulk_sibling();
BEGIN;
INSERT INTO fdw_bulk_parent SELECT k, 'x' FROM unnest('{1,201,2,202}'::int[]) AS k;
COPY fdw_bulk_parent FROM STDIN (FORMAT csv);
3,x
203,x
\.
SELECT * FROM fdw_bulk_path('fdw_bulk_p1');
ROLLBACK;
DROP TABLE fdw_bulk_parent;
DROP FUNCTION fdw_bulk_count_p1, fdw_bulk_sibling;

-- REPEATABLE READ, cursors, functions, prepared statements
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM fdw_bulk_t WHERE k > 2000;
DECLARE c CURSOR FOR SELECT count(*) FROM fdw_bulk_t WHERE k > 2000;
INSERT INTO fdw_bulk_t SELECT g, 'rr' FROM generate_series(2001, 2010) AS g;
INSERT INTO fdw_bulk_t SELECT g, 'rr again' FROM generate_series(2006, 2015) AS g;
SELECT v, count(*) FROM fdw_bulk_t WHERE k > 2000 GROUP BY 1 ORDER BY 1;
FETCH c;
COMMIT;
DO $$
BEGIN
	FOR i IN 1..3 LOOP
		INSERT INTO fdw_bulk_t SELECT g, 'round ' || i FROM generate_series(2001, 2001 + i) AS g;
		RAISE NOTICE '%', (SELECT count(*) FROM fdw_bulk_t WHERE v = 'round ' || i);
	END LOOP;
	BEGIN
		INSERT INTO fdw_bulk_t SELECT g, 'gone' FROM generate_series(1, 3000) AS g;
		PERFORM 1 / 0;
	EXCEPTION WHEN division_by_zero THEN
		RAISE NOTICE '%', (SELECT count(*) FROM fdw_bulk_t WHERE v = 'gone');
	END;
END $$;
PREPARE p AS INSERT INTO fdw_bulk_t SELECT g, $1 FROM generate_series(3001, 3005) AS g;
EXECUTE p('a'); EXECUTE p('b'); EXECUTE p('c'); EXECUTE p('d'); EXECUTE p('e'); EXECUTE p('f'); EXECUTE p('g');
SELECT v, count(*) FROM fdw_bulk_t WHERE k > 3000 GROUP BY 1;
WITH i AS (INSERT INTO fdw_bulk_t SELECT g, 'with' FROM generate_series(3001, 3003) AS g) SELECT count(*) FROM fdw_bulk_t WHERE v = 'with';
SELECT count(*) FROM fdw_bulk_t WHERE v = 'with';
SELECT count(*) FROM skyvault_verify('fdw_bulk_t');

RESET skyvault.bulk_threshold;
DROP FUNCTION fdw_bulk_path, fdw_bulk_explain, fdw_bulk_count, fdw_bulk_trigger;
DROP FOREIGN TABLE fdw_bulk_t;
DROP TABLE fdw_bulk_heap;
