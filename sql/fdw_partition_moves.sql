--
-- UPDATEs that move rows between partitions: foreign ones, in both directions, and heaps.
-- The same statements run on a table of heaps, for comparison.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS skyvault;
RESET client_min_messages;
CREATE SCHEMA fdw_moves;
SET search_path = fdw_moves, public;
\set VERBOSITY terse

-- f1 and f2 are foreign, f2 in another layout and strict, h is a heap with an index
CREATE TABLE p (k int NOT NULL, v text DEFAULT 'd', n int, g text GENERATED ALWAYS AS (v || n) STORED) PARTITION BY RANGE (k);
CREATE FOREIGN TABLE f1 PARTITION OF p FOR VALUES FROM (0) TO (100) SERVER skyvault OPTIONS (key 'k');
CREATE FOREIGN TABLE f2 (n int, gone text, g text GENERATED ALWAYS AS (v || n) STORED, v text, k int NOT NULL CHECK (k <> 199))
	SERVER skyvault OPTIONS (key 'k', insert 'strict');
ALTER FOREIGN TABLE f2 DROP COLUMN gone;
ALTER TABLE p ATTACH PARTITION f2 FOR VALUES FROM (100) TO (200);
CREATE TABLE h (v text DEFAULT 'd', k int NOT NULL, g text GENERATED ALWAYS AS (v || n) STORED, n int CHECK (n < 1000));
ALTER TABLE p ATTACH PARTITION h FOR VALUES FROM (200) TO (300);
CREATE UNIQUE INDEX ON h (k);
CREATE TABLE heaps (k int NOT NULL, v text DEFAULT 'd', n int, g text GENERATED ALWAYS AS (v || n) STORED) PARTITION BY RANGE (k);
CREATE TABLE heaps1 PARTITION OF heaps FOR VALUES FROM (0) TO (100);
CREATE TABLE heaps2 PARTITION OF heaps FOR VALUES FROM (100) TO (200);
CREATE TABLE heaps3 PARTITION OF heaps FOR VALUES FROM (200) TO (300);

INSERT INTO p (k, n) SELECT i, i FROM generate_series(1, 9) AS i;
INSERT INTO heaps (k, n) SELECT i, i FROM generate_series(1, 9) AS i;

UPDATE p SET k = k + 100, v = 'to f2' WHERE k IN (1, 2);
UPDATE heaps SET k = k + 100, v = 'to f2' WHERE k IN (1, 2);
UPDATE p SET k = k + 200, v = 'to h' WHERE k = 3;
UPDATE heaps SET k = k + 200, v = 'to h' WHERE k = 3;
UPDATE p SET k = 202 WHERE k = 102;
UPDATE heaps SET k = 202 WHERE k = 102;
SELECT tableoid::regclass, * FROM p ORDER BY k;
UPDATE p SET k = k - 200, n = n * 10 WHERE k = 203 RETURNING *;
UPDATE heaps SET k = k - 200, n = n * 10 WHERE k = 203 RETURNING *;
SELECT tableoid::regclass, * FROM p ORDER BY k;
SELECT count(*) FROM p FULL JOIN heaps USING (k, v, n, g) WHERE p.k IS NULL OR heaps.k IS NULL;

-- all of them around, each once
UPDATE p SET k = (k + 100) % 300;
UPDATE heaps SET k = (k + 100) % 300;
UPDATE p SET k = (k + 200) % 300 FROM (VALUES (1), (2)) AS twice;
UPDATE heaps SET k = (k + 200) % 300 FROM (VALUES (1), (2)) AS twice;
SELECT skyvault_flush() >= 0 AS flushed;
UPDATE p SET k = 150 - k WHERE k < 150;
UPDATE heaps SET k = 150 - k WHERE k < 150;
SELECT tableoid::regclass, * FROM p ORDER BY k;
SELECT count(*) FROM p FULL JOIN heaps USING (k, v, n, g) WHERE p.k IS NULL OR heaps.k IS NULL;

-- RETURNING: the new row; tableoid is that of the old partition
UPDATE p SET k = k - 100, v = 'back' WHERE k BETWEEN 140 AND 145 RETURNING tableoid::regclass, p, g, k;
WITH moved AS (UPDATE p SET k = 250 WHERE k = 41 RETURNING *) SELECT moved.*, (SELECT count(*) FROM p WHERE k = 250) AS seen FROM moved;
SELECT tableoid::regclass, * FROM p WHERE k = 250;

-- what stands in the way
UPDATE p SET k = 500 WHERE k = 42;
\echo :LAST_ERROR_SQLSTATE
UPDATE p SET k = 199 WHERE k = 42;
\echo :LAST_ERROR_SQLSTATE
UPDATE p SET k = 251, n = 2000 WHERE k = 42;
UPDATE p SET k = 250 WHERE k = 42;
\echo :LAST_ERROR_SQLSTATE
INSERT INTO p (k, n) VALUES (150, 1);
UPDATE p SET k = 150 WHERE k = 42;
\echo :LAST_ERROR_SQLSTATE
UPDATE f1 SET k = 150 WHERE k = 42;
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM p WHERE k IN (42, 150);
-- where a row is there already that is not strict, it is replaced
INSERT INTO p (k, n) VALUES (50, 50);
UPDATE p SET k = 50, v = 'replaces' WHERE k = 150;
SELECT * FROM p WHERE k IN (50, 150);

-- transactions
BEGIN;
UPDATE p SET k = k + 100 WHERE k < 100;
SELECT count(*) FILTER (WHERE k < 100) AS f1, count(*) FILTER (WHERE k BETWEEN 100 AND 199) AS f2, count(*) FROM p;
SAVEPOINT s;
UPDATE p SET k = k + 55 WHERE k BETWEEN 145 AND 199;
SELECT count(*) FILTER (WHERE k < 100) AS f1, count(*) FILTER (WHERE k BETWEEN 100 AND 199) AS f2, count(*) FROM p;
ROLLBACK TO s;
SELECT count(*) FILTER (WHERE k < 100) AS f1, count(*) FILTER (WHERE k BETWEEN 100 AND 199) AS f2, count(*) FROM p;
ROLLBACK;
SELECT count(*) FILTER (WHERE k < 100) AS f1, count(*) FILTER (WHERE k BETWEEN 100 AND 199) AS f2, count(*) FROM p;

-- views and policies
CREATE VIEW low AS SELECT * FROM p WHERE k < 200 WITH CHECK OPTION;
UPDATE low SET k = 260 WHERE k = 42;
\echo :LAST_ERROR_SQLSTATE
UPDATE low SET k = 160 WHERE k = 42 RETURNING *;
UPDATE low SET k = 42 WHERE k = 160;
CREATE ROLE regress_fdw_moves;
GRANT USAGE ON SCHEMA fdw_moves TO regress_fdw_moves;
GRANT SELECT, UPDATE ON p TO regress_fdw_moves;
ALTER TABLE p ENABLE ROW LEVEL SECURITY;
CREATE POLICY small ON p USING (k < 210) WITH CHECK (k < 210 AND k <> 170);
SET ROLE regress_fdw_moves;
UPDATE p SET k = 170 WHERE k = 42;
\echo :LAST_ERROR_SQLSTATE
UPDATE p SET k = 211 WHERE k = 42;
UPDATE p SET k = 209 WHERE k = 42;
UPDATE p SET k = 42 WHERE k = 209;
RESET ROLE;
ALTER TABLE p DISABLE ROW LEVEL SECURITY;
DROP POLICY small ON p;
REVOKE ALL ON SCHEMA fdw_moves FROM regress_fdw_moves;
REVOKE ALL ON p FROM regress_fdw_moves;
DROP ROLE regress_fdw_moves;

-- ---------------------------------------------------------------- triggers
TRUNCATE p, heaps;
CREATE TABLE log (nr serial, line text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO log (line) VALUES (format('%s %s %s %s old=%s new=%s', TG_NAME, TG_WHEN, TG_LEVEL, TG_OP,
		CASE WHEN TG_LEVEL = 'ROW' AND TG_OP <> 'INSERT' THEN OLD.k || OLD.v END,
		CASE WHEN TG_LEVEL = 'ROW' AND TG_OP <> 'DELETE' THEN NEW.k || NEW.v END));
	IF TG_WHEN = 'BEFORE' AND TG_OP = 'DELETE' AND OLD.v = 'stay' THEN
		RETURN NULL;
	ELSIF TG_OP = 'DELETE' THEN
		RETURN OLD;
	ELSIF TG_WHEN = 'BEFORE' AND TG_OP = 'INSERT' AND NEW.v = 'lost' THEN
		RETURN NULL;
	ELSIF TG_WHEN = 'BEFORE' AND TG_LEVEL = 'ROW' AND TG_OP = 'INSERT' THEN
		NEW.v := upper(NEW.v);
	END IF;
	RETURN NEW;
END $$;
INSERT INTO p (k, v, n) VALUES (1, 'a', 1), (2, 'stay', 2), (3, 'c', 3), (4, 'd', 4), (101, 'e', 5), (201, 'f', 6);
INSERT INTO heaps (k, v, n) VALUES (1, 'a', 1), (2, 'stay', 2), (3, 'c', 3), (4, 'd', 4), (101, 'e', 5), (201, 'f', 6);
DO $$
DECLARE
	rel text;
BEGIN
	FOREACH rel IN ARRAY ARRAY['p', 'heaps'] LOOP
		EXECUTE format('CREATE TRIGGER before_row BEFORE INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION note()', rel);
		EXECUTE format('CREATE TRIGGER after_row AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION note()', rel);
		EXECUTE format('CREATE TRIGGER statement BEFORE INSERT OR UPDATE OR DELETE ON %s EXECUTE FUNCTION note()', rel);
	END LOOP;
END $$;
CREATE FUNCTION compare(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	rel text;
	n bigint;
BEGIN
	FOREACH rel IN ARRAY ARRAY['heaps', 'p'] LOOP
		TRUNCATE log;
		EXECUTE format(statement, rel);
		GET DIAGNOSTICS n = ROW_COUNT;
		RETURN QUERY SELECT format('%s: %s rows', rel, n);
		RETURN QUERY SELECT rel || ': ' || line FROM log ORDER BY nr;
	END LOOP;
	RETURN QUERY SELECT 'differs: ' || d FROM (SELECT p AS p, heaps AS heaps FROM p FULL JOIN heaps USING (k, v, n, g)
		WHERE p.k IS NULL OR heaps.k IS NULL) AS d;
END $$;
SELECT * FROM compare('UPDATE %I SET k = 102 WHERE k = 1');
SELECT * FROM compare('UPDATE %I SET k = 103 WHERE k = 2');
SELECT * FROM compare('UPDATE %I SET k = 104, v = ''lost'' WHERE k = 3');
SELECT * FROM compare('UPDATE %I SET k = k + 150 WHERE k BETWEEN 101 AND 200');
SELECT * FROM compare('UPDATE %I SET k = k - 195 WHERE k > 200');
UPDATE p SET k = 110 WHERE k = 4 RETURNING *;
\echo :LAST_ERROR_SQLSTATE
SELECT tableoid::regclass, * FROM p ORDER BY k;
-- a trigger that changes the row itself
CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE f1 SET v = 'meddled' WHERE k = OLD.k;
	RETURN OLD;
END $$;
DROP TRIGGER before_row ON p;
DROP TRIGGER after_row ON p;
CREATE TRIGGER meddle BEFORE DELETE ON f1 FOR EACH ROW EXECUTE FUNCTION meddle();
UPDATE p SET k = 120 WHERE k = 4;
\echo :LAST_ERROR_SQLSTATE
-- transition tables
DROP TRIGGER meddle ON f1;
CREATE TRIGGER tables AFTER UPDATE ON p REFERENCING OLD TABLE AS o NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION note();
UPDATE p SET k = 120 WHERE k = 4;
\echo :LAST_ERROR_SQLSTATE

-- ---------------------------------------------------------------- partitions of partitions
CREATE TABLE deep (a int, b int, v text) PARTITION BY LIST (a);
CREATE TABLE deep1 PARTITION OF deep FOR VALUES IN (1) PARTITION BY LIST (b);
CREATE FOREIGN TABLE deep11 PARTITION OF deep1 FOR VALUES IN (1) SERVER skyvault OPTIONS (key 'a, b');
CREATE TABLE deep12 PARTITION OF deep1 FOR VALUES IN (2);
CREATE FOREIGN TABLE deep2 (v text, b int, a int) SERVER skyvault OPTIONS (key 'a, b');
ALTER TABLE deep ATTACH PARTITION deep2 FOR VALUES IN (2);
INSERT INTO deep VALUES (1, 1, 'x');
UPDATE deep SET a = 2 RETURNING *;
UPDATE deep SET a = 1, b = 2 RETURNING *;
UPDATE deep SET b = 1;
UPDATE deep1 SET b = 2;
UPDATE deep1 SET b = 1;
UPDATE deep1 SET a = 2;
\echo :LAST_ERROR_SQLSTATE
SELECT tableoid::regclass, * FROM deep;

SET client_min_messages = warning;
DROP SCHEMA fdw_moves CASCADE;
