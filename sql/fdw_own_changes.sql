--
-- A statement and the rows that it has changed itself; and tables whose key is
-- changed.  Each statement runs on a heap as well, for comparison.
--
CREATE FUNCTION nop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE FOREIGN TABLE own (k int NOT NULL, v text) SERVER skyvault OPTIONS (key 'k');
CREATE TABLE heap (k int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, v text);

-- ---------------------------------------------------------------- keys that move onto one another
INSERT INTO own SELECT i, 'row ' || i FROM generate_series(1, 4) AS i;
UPDATE own SET k = k + 1;
TABLE own ORDER BY k;
CREATE TRIGGER after_update AFTER UPDATE ON own FOR EACH ROW EXECUTE FUNCTION nop();
UPDATE own SET k = k + 1;
TABLE own ORDER BY k;
UPDATE own SET k = 7 - k WHERE k IN (3, 4);
TABLE own ORDER BY k;
DROP TRIGGER after_update ON own;
CREATE TRIGGER before_update BEFORE UPDATE ON own FOR EACH ROW EXECUTE FUNCTION nop();
UPDATE own SET k = k - 1;
TABLE own ORDER BY k;
SELECT skyvault_flush() >= 0 AS flushed;
UPDATE own SET k = k - 1;
TABLE own ORDER BY k;
BEGIN ISOLATION LEVEL REPEATABLE READ;
UPDATE own SET k = 5 - k;
TABLE own ORDER BY k;
ROLLBACK;

-- ---------------------------------------------------------------- one change of a row by a statement
INSERT INTO heap TABLE own;
DROP TRIGGER before_update ON own;
WITH a AS (UPDATE own SET v = v || ' a' WHERE k = 1 RETURNING v) UPDATE own SET v = v || ' b' WHERE k = 1;
WITH a AS (UPDATE heap SET v = v || ' a' WHERE k = 1 RETURNING v) UPDATE heap SET v = v || ' b' WHERE k = 1;
WITH a AS (DELETE FROM own WHERE k = 2 RETURNING k) UPDATE own SET v = v || ' c' WHERE k = 2;
WITH a AS (DELETE FROM heap WHERE k = 2 RETURNING k) UPDATE heap SET v = v || ' c' WHERE k = 2;
WITH a AS (UPDATE own SET v = v || ' d' RETURNING *) UPDATE own SET v = own.v || ' e' FROM a WHERE a.k = own.k;
WITH a AS (UPDATE heap SET v = v || ' d' RETURNING *) UPDATE heap SET v = heap.v || ' e' FROM a WHERE a.k = heap.k;
SELECT * FROM own FULL JOIN heap USING (k) WHERE own.v IS DISTINCT FROM heap.v;

-- A function that changes a row which the statement comes to later.
CREATE FUNCTION change_own(key int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	UPDATE own SET v = 'changed by a function' WHERE k = key + 1;
	RETURN 'changed';
END $$;
UPDATE own SET v = change_own(k) WHERE k IN (3, 4);
TABLE own ORDER BY k;

-- A volatile function sees the rows that were inserted before.
CREATE FUNCTION count_own() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM own';
INSERT INTO own SELECT i, count_own() FROM generate_series(101, 103) AS i;
SELECT * FROM own WHERE k > 100 ORDER BY k;
DELETE FROM own WHERE k > 100;

-- A FOR UPDATE cursor passes over rows that its transaction has changed since.
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM own ORDER BY k FOR UPDATE;
UPDATE own SET v = 'later' WHERE k = 3;
FETCH ALL FROM c;
ROLLBACK;

-- ---------------------------------------------------------------- changed keys
CREATE FOREIGN TABLE rekeyed (k int NOT NULL, v int NOT NULL) SERVER skyvault OPTIONS (key 'k');
INSERT INTO rekeyed VALUES (1, 10), (2, 20);
SELECT skyvault_flush() >= 0 AS flushed;
-- Nothing but writing to Postgres's catalogue gets past ALTER TABLE.
SET allow_system_table_mods = on;
CREATE FUNCTION change_type(rel regclass, col name, type regtype) RETURNS void LANGUAGE sql AS $$
	UPDATE pg_attribute SET atttypid = t.oid, attlen = t.typlen, attbyval = t.typbyval, attalign = t.typalign
	FROM pg_type AS t WHERE attrelid = rel AND attname = col AND t.oid = type
$$;
SELECT change_type('rekeyed', 'k', 'bigint');
SELECT * FROM rekeyed WHERE k = 1;
SELECT count(*) FROM rekeyed;
INSERT INTO rekeyed VALUES (1, 77);
UPDATE rekeyed SET v = 0 WHERE k = 1;
DELETE FROM rekeyed;
SELECT change_type('rekeyed', 'k', 'int');
SELECT * FROM rekeyed WHERE k = 1;
UPDATE pg_foreign_table SET ftoptions = '{key=v}' WHERE ftrelid = 'rekeyed'::regclass;
SELECT change_type('rekeyed', 'k', 'int');
RESET allow_system_table_mods;
SELECT * FROM rekeyed WHERE v = 10;
BEGIN;
TRUNCATE rekeyed;
INSERT INTO rekeyed VALUES (3, 30);
SELECT * FROM rekeyed WHERE v = 30;
ROLLBACK;
SELECT * FROM rekeyed WHERE v = 10;
TRUNCATE rekeyed;
INSERT INTO rekeyed VALUES (4, 40);
SELECT * FROM rekeyed WHERE v = 40;

DROP FOREIGN TABLE own, rekeyed;
DROP TABLE heap;
DROP FUNCTION nop, change_own, count_own, change_type;
