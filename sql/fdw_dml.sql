--
-- Shapes of INSERT, UPDATE, DELETE, TRUNCATE and COPY that fdw_modify.sql has not
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS skyvault;
RESET client_min_messages;
\set VERBOSITY terse

-- ---------------------------------------------------------------- batch_size
CREATE FOREIGN TABLE fdw_dml_t (k int, v text) SERVER skyvault OPTIONS (key 'k');
EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO fdw_dml_t VALUES (1, 'a'), (2, 'b');
ALTER FOREIGN TABLE fdw_dml_t OPTIONS (ADD batch_size '7');
EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO fdw_dml_t VALUES (1, 'a'), (2, 'b');
INSERT INTO fdw_dml_t SELECT i, 'row ' || i FROM generate_series(1, 20) AS i;
SELECT count(*), sum(k) FROM fdw_dml_t;
ALTER FOREIGN TABLE fdw_dml_t OPTIONS (DROP batch_size);
ALTER SERVER skyvault OPTIONS (ADD batch_size '3');
EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO fdw_dml_t VALUES (1, 'a'), (2, 'b');
ALTER FOREIGN TABLE fdw_dml_t OPTIONS (ADD batch_size '1');
EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO fdw_dml_t VALUES (1, 'a'), (2, 'b');
EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO fdw_dml_t VALUES (1, 'a'), (2, 'b') RETURNING k;
ALTER SERVER skyvault OPTIONS (DROP batch_size);
ALTER FOREIGN TABLE fdw_dml_t OPTIONS (SET batch_size '0');
ALTER FOREIGN TABLE fdw_dml_t OPTIONS (SET batch_size '100001');
ALTER SERVER skyvault OPTIONS (ADD batch_size 'many');
\echo :LAST_ERROR_SQLSTATE

-- ---------------------------------------------------------------- RETURNING
TRUNCATE fdw_dml_t;
INSERT INTO fdw_dml_t AS t VALUES (1, 'one'), (2, 'two') RETURNING t, tableoid::regclass, upper(v);
UPDATE fdw_dml_t AS t SET v = v || '!' WHERE k = 1 RETURNING t, tableoid::regclass, (SELECT count(*) FROM fdw_dml_t);
UPDATE fdw_dml_t AS t SET k = k + 10 RETURNING t, tableoid::regclass;
DELETE FROM fdw_dml_t AS t WHERE k > 0 RETURNING t, tableoid::regclass;
WITH i AS (INSERT INTO fdw_dml_t SELECT i, i FROM generate_series(1, 3) AS i RETURNING *)
	SELECT i.*, t.* FROM i LEFT JOIN fdw_dml_t AS t USING (k) ORDER BY 1;

-- ---------------------------------------------------------------- triggers
CREATE FUNCTION fdw_dml_show() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE NOTICE '% % % %: old=% new=%', TG_TABLE_NAME, TG_WHEN, TG_LEVEL, TG_OP,
		CASE WHEN TG_LEVEL = 'ROW' AND TG_OP <> 'INSERT' THEN OLD END,
		CASE WHEN TG_LEVEL = 'ROW' AND TG_OP <> 'DELETE' THEN NEW END;
	RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE FUNCTION fdw_dml_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP = 'DELETE' THEN
		RETURN CASE WHEN OLD.v = 'keep' THEN NULL ELSE OLD END;
	ELSIF NEW.v = 'skip' THEN
		RETURN NULL;
	ELSIF NEW.v = 'move' THEN
		NEW.k := NEW.k + 100;
	END IF;
	NEW.v := upper(NEW.v);
	RETURN NEW;
END $$;
TRUNCATE fdw_dml_t;
CREATE TRIGGER a_show BEFORE INSERT OR UPDATE OR DELETE ON fdw_dml_t FOR EACH STATEMENT EXECUTE FUNCTION fdw_dml_show();
CREATE TRIGGER b_show AFTER INSERT OR UPDATE OR DELETE ON fdw_dml_t FOR EACH STATEMENT EXECUTE FUNCTION fdw_dml_show();
CREATE TRIGGER c_show AFTER INSERT OR UPDATE OR DELETE ON fdw_dml_t FOR EACH ROW EXECUTE FUNCTION fdw_dml_show();
CREATE TRIGGER d_change BEFORE INSERT OR UPDATE OR DELETE ON fdw_dml_t FOR EACH ROW EXECUTE FUNCTION fdw_dml_change();
INSERT INTO fdw_dml_t VALUES (1, 'one'), (2, 'skip'), (3, 'move') RETURNING *;
INSERT INTO fdw_dml_t VALUES (1, 'again'), (4, 'four') ON CONFLICT DO NOTHING RETURNING *;
UPDATE fdw_dml_t SET v = 'move' WHERE k = 1 RETURNING *;
UPDATE fdw_dml_t SET k = 5, v = 'skip' WHERE k = 4 RETURNING *;
DELETE FROM fdw_dml_t WHERE k = 4 RETURNING *;
COPY fdw_dml_t FROM STDIN (FORMAT csv);
6,six
7,skip
8,move
\.
DROP TRIGGER d_change ON fdw_dml_t;
UPDATE fdw_dml_t SET v = 'keep' WHERE k = 6;
CREATE TRIGGER d_change BEFORE INSERT OR UPDATE OR DELETE ON fdw_dml_t FOR EACH ROW EXECUTE FUNCTION fdw_dml_change();
DELETE FROM fdw_dml_t WHERE k IN (6, 103) RETURNING *;
SELECT * FROM fdw_dml_t ORDER BY k;
TRUNCATE fdw_dml_t;
-- one with a WHEN, and one of columns
DROP TRIGGER c_show ON fdw_dml_t;
DROP TRIGGER d_change ON fdw_dml_t;
CREATE TRIGGER c_show AFTER UPDATE OF v ON fdw_dml_t FOR EACH ROW WHEN (OLD.v IS DISTINCT FROM NEW.v) EXECUTE FUNCTION fdw_dml_show();
INSERT INTO fdw_dml_t VALUES (1, 'one');
UPDATE fdw_dml_t SET v = 'one';
UPDATE fdw_dml_t SET v = 'two';
UPDATE fdw_dml_t SET k = 2;
DROP FOREIGN TABLE fdw_dml_t;

-- ---------------------------------------------------------------- defaults, generated columns and constraints
CREATE SEQUENCE fdw_dml_s;
CREATE DOMAIN fdw_dml_positive AS int CHECK (VALUE > 0);
CREATE FOREIGN TABLE fdw_dml_c (
	k int DEFAULT nextval('fdw_dml_s'), v fdw_dml_positive DEFAULT 5 NOT NULL, w text DEFAULT 'w' CHECK (w <> 'bad'),
	g int GENERATED ALWAYS AS (v * 2) STORED, CHECK (v <> k)
) SERVER skyvault OPTIONS (key 'k');
INSERT INTO fdw_dml_c DEFAULT VALUES RETURNING *;
INSERT INTO fdw_dml_c (v, w) VALUES (DEFAULT, NULL), (7, DEFAULT) RETURNING *;
INSERT INTO fdw_dml_c (v) VALUES (-1);
INSERT INTO fdw_dml_c (v) VALUES (NULL);
INSERT INTO fdw_dml_c (w) VALUES ('bad');
\echo :LAST_ERROR_SQLSTATE
INSERT INTO fdw_dml_c (k, v) VALUES (8, 8);
INSERT INTO fdw_dml_c (k, g) VALUES (8, 8);
UPDATE fdw_dml_c SET v = k WHERE k = 1;
UPDATE fdw_dml_c SET w = DEFAULT, v = DEFAULT WHERE k = 3 RETURNING *;
UPDATE fdw_dml_c SET (v, w) = (SELECT 9, 'nine') WHERE k = 1 RETURNING *;
UPDATE fdw_dml_c SET g = DEFAULT RETURNING k, g;
COPY fdw_dml_c (k, w) FROM STDIN (FORMAT csv);
20,twenty
\.
COPY fdw_dml_c (k, w) FROM STDIN (FORMAT csv);
21,fine
22,bad
\.
SELECT * FROM fdw_dml_c ORDER BY k;
DROP FOREIGN TABLE fdw_dml_c;
DROP SEQUENCE fdw_dml_s;
DROP DOMAIN fdw_dml_positive;

-- ---------------------------------------------------------------- inheritance
CREATE TABLE fdw_dml_parent (k int, v text);
CREATE FOREIGN TABLE fdw_dml_child (extra int DEFAULT 1) INHERITS (fdw_dml_parent) SERVER skyvault OPTIONS (key 'k');
INSERT INTO fdw_dml_parent VALUES (1, 'heap');
INSERT INTO fdw_dml_child VALUES (2, 'foreign'), (3, 'foreign');
UPDATE fdw_dml_parent SET v = v || '+' RETURNING tableoid::regclass, *;
UPDATE fdw_dml_parent p SET v = j.v FROM (VALUES (1, 'joined'), (3, 'joined')) j(k, v) WHERE p.k = j.k;
SELECT tableoid::regclass, * FROM fdw_dml_parent ORDER BY k;
DELETE FROM fdw_dml_parent WHERE k < 3 RETURNING tableoid::regclass, *;
SELECT * FROM fdw_dml_child;
TRUNCATE ONLY fdw_dml_parent;
SELECT count(*) FROM fdw_dml_parent;
TRUNCATE fdw_dml_parent;
SELECT count(*) FROM fdw_dml_child;
DROP TABLE fdw_dml_parent CASCADE;

-- ---------------------------------------------------------------- routing
CREATE TABLE fdw_dml_routed (k int NOT NULL, v text DEFAULT 'd', g text GENERATED ALWAYS AS (v || k) STORED) PARTITION BY RANGE (k);
CREATE FOREIGN TABLE fdw_dml_r1 PARTITION OF fdw_dml_routed FOR VALUES FROM (0) TO (10) SERVER skyvault OPTIONS (key 'k');
CREATE FOREIGN TABLE fdw_dml_r2 (v text DEFAULT 'other', k int NOT NULL, g text GENERATED ALWAYS AS (v || k) STORED)
	SERVER skyvault OPTIONS (key 'k', insert 'strict', batch_size '2');
ALTER TABLE fdw_dml_routed ATTACH PARTITION fdw_dml_r2 FOR VALUES FROM (10) TO (20);
CREATE TABLE fdw_dml_r3 PARTITION OF fdw_dml_routed FOR VALUES FROM (20) TO (30);
CREATE UNIQUE INDEX ON fdw_dml_r3 (k);
INSERT INTO fdw_dml_routed (k) VALUES (1), (11), (21), (2), (12), (22) RETURNING tableoid::regclass, *;
INSERT INTO fdw_dml_routed VALUES (1, 'x'), (3, 'x'), (11, 'x'), (13, 'x'), (13, 'y'), (21, 'x'), (23, 'x')
	ON CONFLICT DO NOTHING RETURNING tableoid::regclass, *;
INSERT INTO fdw_dml_routed VALUES (40, 'nowhere');
\echo :LAST_ERROR_SQLSTATE
INSERT INTO fdw_dml_r1 VALUES (10, 'outside');
\echo :LAST_ERROR_SQLSTATE
COPY fdw_dml_routed (k, v) FROM STDIN (FORMAT csv);
4,copied
14,copied
24,copied
5,copied
\.
COPY fdw_dml_routed (k, v) FROM STDIN (FORMAT csv);
6,copied
14,duplicate
\.
COPY fdw_dml_r1 (k, v) FROM STDIN (FORMAT csv);
7,copied
77,outside
\.
SELECT tableoid::regclass, * FROM fdw_dml_routed ORDER BY k;
DROP TABLE fdw_dml_routed;
DROP FUNCTION fdw_dml_show, fdw_dml_change;
