--
-- INSERT, UPDATE, DELETE, TRUNCATE and COPY
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS skyvault;
RESET client_min_messages;

CREATE FOREIGN TABLE fdw_modify_kv (k int, v text) SERVER skyvault OPTIONS (key 'k');
CREATE FOREIGN TABLE fdw_modify_two (a int, b text, v int DEFAULT 0, w text) SERVER skyvault OPTIONS (key 'a, b');
CREATE FOREIGN TABLE fdw_modify_strict (k int, l text, v text) SERVER skyvault OPTIONS (key 'k, l', insert 'strict');

-- an INSERT replaces
INSERT INTO fdw_modify_kv VALUES (1, 'one'), (2, 'two'), (3, 'three') RETURNING *, tableoid::regclass;
INSERT INTO fdw_modify_kv VALUES (2, 'TWO'), (4, 'four'), (4, 'FOUR');
SELECT * FROM fdw_modify_kv;
INSERT INTO fdw_modify_kv SELECT k + 1, v || '+' FROM fdw_modify_kv WHERE k > 2;
SELECT * FROM fdw_modify_kv;
INSERT INTO fdw_modify_kv SELECT i, 'many' FROM generate_series(1001, 3500) i;
SELECT count(*), min(k), max(k) FROM fdw_modify_kv WHERE v = 'many';
DELETE FROM fdw_modify_kv WHERE k > 1000;
INSERT INTO fdw_modify_two (b, a) VALUES ('x', 1) RETURNING *;

-- unless it is strict
INSERT INTO fdw_modify_strict VALUES (1, 'a', 'first');
INSERT INTO fdw_modify_strict VALUES (1, 'a', 'second');
\echo :LAST_ERROR_SQLSTATE
INSERT INTO fdw_modify_strict VALUES (2, 'a', 'x'), (2, 'b', 'x'), (2, 'a', 'y');
INSERT INTO fdw_modify_strict VALUES (1, 'b', 'other');
DELETE FROM fdw_modify_strict WHERE l = 'a';
INSERT INTO fdw_modify_strict VALUES (1, 'a', 'again');
SELECT * FROM fdw_modify_strict;
UPDATE fdw_modify_strict SET l = 'b' WHERE l = 'a';
UPDATE fdw_modify_strict SET l = 'c' WHERE l = 'b' RETURNING *;
SELECT * FROM fdw_modify_strict;

-- the key is shown to those who may read it
CREATE ROLE regress_skyvault_modify;
GRANT INSERT ON fdw_modify_strict TO regress_skyvault_modify;
SET ROLE regress_skyvault_modify;
INSERT INTO fdw_modify_strict VALUES (1, 'a', 'secret');
RESET ROLE;
GRANT SELECT (k) ON fdw_modify_strict TO regress_skyvault_modify;
SET ROLE regress_skyvault_modify;
INSERT INTO fdw_modify_strict VALUES (1, 'a', 'secret');
RESET ROLE;
GRANT SELECT (l) ON fdw_modify_strict TO regress_skyvault_modify;
SET ROLE regress_skyvault_modify;
INSERT INTO fdw_modify_strict VALUES (1, 'a', 'visible');
UPDATE fdw_modify_strict SET v = 'x' WHERE k = 1;
DELETE FROM fdw_modify_strict WHERE k = 1;
SELECT v FROM fdw_modify_strict;
TRUNCATE fdw_modify_strict;
RESET ROLE;
REVOKE ALL ON fdw_modify_strict FROM regress_skyvault_modify;
DROP ROLE regress_skyvault_modify;

-- ON CONFLICT
INSERT INTO fdw_modify_kv VALUES (1, 'ignored'), (6, 'six'), (6, 'seven') ON CONFLICT DO NOTHING RETURNING *;
INSERT INTO fdw_modify_strict VALUES (1, 'a', 'ignored'), (3, 'a', 'three') ON CONFLICT DO NOTHING;
SELECT * FROM fdw_modify_kv WHERE k IN (1, 6);
INSERT INTO fdw_modify_kv VALUES (1, 'x') ON CONFLICT (k) DO NOTHING;
INSERT INTO fdw_modify_kv VALUES (1, 'x') ON CONFLICT (k) DO UPDATE SET v = 'y';

-- UPDATE
UPDATE fdw_modify_kv SET v = v || '!' WHERE k <= 2 RETURNING k, v;
UPDATE fdw_modify_kv SET v = NULL WHERE k = 3 RETURNING *;
UPDATE fdw_modify_kv SET v = 'nobody' WHERE k = 100;
UPDATE fdw_modify_kv SET k = NULL WHERE k = 1;
\echo :LAST_ERROR_SQLSTATE
UPDATE fdw_modify_two SET v = v + 1, w = 'set' RETURNING *;

-- UPDATE of keys: every row moves once, whichever way
SELECT * FROM fdw_modify_kv;
UPDATE fdw_modify_kv SET k = k + 1 RETURNING *;
SELECT * FROM fdw_modify_kv;
UPDATE fdw_modify_kv SET k = k - 1;
SELECT * FROM fdw_modify_kv;
UPDATE fdw_modify_kv SET k = CASE k WHEN 1 THEN 2 WHEN 2 THEN 1 ELSE k END, v = v || '~' WHERE k < 4;
SELECT * FROM fdw_modify_kv;
UPDATE fdw_modify_kv SET k = 6 WHERE k = 5 RETURNING *;
SELECT * FROM fdw_modify_kv;
UPDATE fdw_modify_two SET b = 'y', v = 10 WHERE a = 1;
SELECT * FROM fdw_modify_two;

-- a join that brings a row up twice changes it once
CREATE TABLE fdw_modify_join (k int, note text);
INSERT INTO fdw_modify_join VALUES (1, 'once'), (1, 'once'), (2, 'single'), (77, 'nowhere');
UPDATE fdw_modify_kv t SET v = v || ' ' || note FROM fdw_modify_join j WHERE t.k = j.k RETURNING t.k, t.v, j.note;
WITH gone AS (DELETE FROM fdw_modify_kv t USING fdw_modify_join j WHERE t.k = j.k RETURNING t.*, j.note)
	SELECT count(*), min(k), max(k), min(note), min(v) FROM gone;
SELECT * FROM fdw_modify_kv;
DELETE FROM fdw_modify_kv WHERE k IN (SELECT k FROM fdw_modify_join) RETURNING k;
INSERT INTO fdw_modify_kv VALUES (1, 'one'), (2, 'two');
UPDATE fdw_modify_kv t SET v = (SELECT string_agg(v, ',' ORDER BY k) FROM fdw_modify_kv) WHERE k = 1;
SELECT * FROM fdw_modify_kv WHERE k = 1;

-- DELETE
DELETE FROM fdw_modify_kv WHERE k = 1 RETURNING *, tableoid::regclass;
DELETE FROM fdw_modify_kv WHERE v IS NULL RETURNING k;
DELETE FROM fdw_modify_kv WHERE k = 1;
DELETE FROM fdw_modify_two;
SELECT * FROM fdw_modify_two;

-- statements with several parts see one snapshot
WITH moved AS (DELETE FROM fdw_modify_kv WHERE k = 2 RETURNING *)
	INSERT INTO fdw_modify_two (a, b) SELECT k, v FROM moved RETURNING *;
WITH ins AS (INSERT INTO fdw_modify_kv VALUES (50, 'new') RETURNING k)
	SELECT (SELECT count(*) FROM fdw_modify_kv WHERE k = 50) AS seen, k FROM ins;
SELECT count(*) FROM fdw_modify_kv WHERE k = 50;

-- transactions
BEGIN;
INSERT INTO fdw_modify_kv VALUES (60, 'a');
UPDATE fdw_modify_kv SET v = 'b' WHERE k = 60;
SAVEPOINT s;
DELETE FROM fdw_modify_kv WHERE k = 60;
INSERT INTO fdw_modify_kv VALUES (61, 'x');
SELECT * FROM fdw_modify_kv WHERE k IN (60, 61);
ROLLBACK TO s;
SELECT * FROM fdw_modify_kv WHERE k IN (60, 61);
COMMIT;
BEGIN ISOLATION LEVEL REPEATABLE READ;
UPDATE fdw_modify_kv SET v = 'c' WHERE k = 60;
UPDATE fdw_modify_kv SET v = v || 'd', k = 62 WHERE k = 60;
DELETE FROM fdw_modify_kv WHERE k = 50;
SELECT * FROM fdw_modify_kv WHERE k IN (50, 60, 62);
ROLLBACK;
SELECT * FROM fdw_modify_kv WHERE k IN (50, 60, 62);

-- constraints
CREATE FOREIGN TABLE fdw_modify_checked (
	k int, v int NOT NULL CHECK (v > 0), g int GENERATED ALWAYS AS (v * 10) STORED,
	d text DEFAULT 'default', CHECK (v < k * 100)
) SERVER skyvault OPTIONS (key 'k');
INSERT INTO fdw_modify_checked (k, v) VALUES (1, 5), (2, 6) RETURNING *;
INSERT INTO fdw_modify_checked (k, v) VALUES (3, NULL);
INSERT INTO fdw_modify_checked (k, v) VALUES (3, 7), (3, 0);
INSERT INTO fdw_modify_checked (k, v) VALUES (3, 700);
INSERT INTO fdw_modify_checked (k, v) VALUES (NULL, 7);
UPDATE fdw_modify_checked SET v = -v;
UPDATE fdw_modify_checked SET v = v + 1 RETURNING *;
UPDATE fdw_modify_checked SET d = 'other' WHERE k = 1 RETURNING *;
UPDATE fdw_modify_checked SET k = 10 WHERE k = 1 RETURNING *;
SELECT * FROM fdw_modify_checked;

-- row triggers
CREATE FUNCTION fdw_modify_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE NOTICE '% % % old=% new=%', TG_NAME, TG_WHEN, TG_OP, OLD, NEW;
	IF TG_OP = 'DELETE' THEN
		RETURN OLD;
	END IF;
	IF TG_WHEN = 'BEFORE' AND NEW.v = 'skip' THEN
		RETURN NULL;
	END IF;
	IF TG_WHEN = 'BEFORE' THEN
		NEW.v := upper(NEW.v);
	END IF;
	RETURN NEW;
END
$$;
CREATE FOREIGN TABLE fdw_modify_fired (k int, v text) SERVER skyvault OPTIONS (key 'k');
CREATE TRIGGER after_row AFTER INSERT OR UPDATE OR DELETE ON fdw_modify_fired FOR EACH ROW EXECUTE FUNCTION fdw_modify_trigger();
INSERT INTO fdw_modify_fired VALUES (1, 'a'), (2, 'b');
UPDATE fdw_modify_fired SET v = v || v WHERE k = 1 RETURNING *;
DELETE FROM fdw_modify_fired WHERE k = 2 RETURNING *;
CREATE TRIGGER before_row BEFORE INSERT OR UPDATE OR DELETE ON fdw_modify_fired FOR EACH ROW EXECUTE FUNCTION fdw_modify_trigger();
INSERT INTO fdw_modify_fired VALUES (3, 'c'), (4, 'skip') RETURNING *;
UPDATE fdw_modify_fired SET v = 'd', k = 5 WHERE k = 3 RETURNING *;
UPDATE fdw_modify_fired SET v = 'skip' RETURNING *;
DELETE FROM fdw_modify_fired WHERE k = 5;
DROP TRIGGER before_row ON fdw_modify_fired;
DROP TRIGGER after_row ON fdw_modify_fired;
SELECT * FROM fdw_modify_fired;
CREATE FUNCTION fdw_modify_meddle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF pg_trigger_depth() = 1 THEN
		UPDATE fdw_modify_fired SET v = 'meddled' WHERE k = OLD.k;
	END IF;
	RETURN NEW;
END
$$;
CREATE TRIGGER meddle BEFORE UPDATE ON fdw_modify_fired FOR EACH ROW EXECUTE FUNCTION fdw_modify_meddle();
UPDATE fdw_modify_fired SET v = 'x' WHERE k = 1;
\echo :LAST_ERROR_SQLSTATE
CREATE OR REPLACE FUNCTION fdw_modify_meddle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM fdw_modify_fired WHERE k = OLD.k;
	RETURN NEW;
END
$$;
UPDATE fdw_modify_fired SET v = 'x' WHERE k = 1;
SELECT * FROM fdw_modify_fired;

-- a partitioned parent: foreign and local partitions of different layout
CREATE TABLE fdw_modify_parent (k int, v text, extra int DEFAULT 7) PARTITION BY RANGE (k);
CREATE TABLE fdw_modify_local (extra int DEFAULT 7, junk int, k int, v text);
ALTER TABLE fdw_modify_local DROP COLUMN junk;
ALTER TABLE fdw_modify_parent ATTACH PARTITION fdw_modify_local FOR VALUES FROM (0) TO (10);
CREATE FOREIGN TABLE fdw_modify_part1 (v text, gone int, extra int, k int) SERVER skyvault OPTIONS (key 'k');
ALTER FOREIGN TABLE fdw_modify_part1 DROP COLUMN gone;
ALTER TABLE fdw_modify_parent ATTACH PARTITION fdw_modify_part1 FOR VALUES FROM (10) TO (20);
CREATE FOREIGN TABLE fdw_modify_part2 PARTITION OF fdw_modify_parent FOR VALUES FROM (20) TO (30) SERVER skyvault OPTIONS (key 'k', insert 'strict');
INSERT INTO fdw_modify_parent (k, v) VALUES (1, 'local'), (11, 'one'), (12, 'one'), (21, 'two'), (22, 'two') RETURNING tableoid::regclass, *;
INSERT INTO fdw_modify_parent (k, v) VALUES (11, 'replaced'), (21, 'ignored') ON CONFLICT DO NOTHING;
INSERT INTO fdw_modify_parent (k, v) VALUES (12, 'replaced') RETURNING *;
INSERT INTO fdw_modify_parent (k, v) VALUES (21, 'duplicate');
INSERT INTO fdw_modify_part1 (k, v) VALUES (20, 'outside');
\echo :LAST_ERROR_SQLSTATE
EXPLAIN (COSTS OFF) UPDATE fdw_modify_parent SET v = v || '+' WHERE k IN (1, 11, 21);
UPDATE fdw_modify_parent SET v = v || '+', extra = k WHERE k IN (1, 11, 21) RETURNING tableoid::regclass, *;
UPDATE fdw_modify_parent SET k = k + 2 WHERE k = 12 RETURNING tableoid::regclass, *;
UPDATE fdw_modify_parent SET k = 25 WHERE k = 11;
UPDATE fdw_modify_parent SET k = 15 WHERE k = 1 RETURNING tableoid::regclass, *;
UPDATE fdw_modify_parent p SET v = p.v || j.note FROM fdw_modify_join j WHERE p.k = j.k + 20 RETURNING p.*;
SELECT tableoid::regclass, * FROM fdw_modify_parent ORDER BY k;
DELETE FROM fdw_modify_parent WHERE k IN (11, 22) RETURNING tableoid::regclass, *;
DELETE FROM fdw_modify_parent p USING fdw_modify_join j WHERE p.k = j.k + 20 RETURNING p.tableoid::regclass, p.*;
SELECT tableoid::regclass, * FROM fdw_modify_parent ORDER BY k;
SELECT * FROM fdw_modify_parent WHERE k = 14 FOR UPDATE;
TRUNCATE fdw_modify_parent;
SELECT count(*) FROM fdw_modify_parent;

-- views
CREATE VIEW fdw_modify_view WITH (security_barrier) AS SELECT * FROM fdw_modify_kv WHERE v <> 'hidden' WITH CHECK OPTION;
INSERT INTO fdw_modify_kv VALUES (70, 'hidden'), (71, 'shown');
UPDATE fdw_modify_view SET v = v || '.' WHERE k >= 70 RETURNING *;
INSERT INTO fdw_modify_view VALUES (72, 'hidden');
INSERT INTO fdw_modify_view VALUES (72, 'fine');
UPDATE fdw_modify_view SET v = 'hidden' WHERE k = 71;
DELETE FROM fdw_modify_view WHERE k >= 70;
SELECT * FROM fdw_modify_kv WHERE k >= 70;

-- COPY
COPY fdw_modify_kv FROM STDIN;
80	eighty
81	\N
80	eighty again
\.
COPY fdw_modify_parent FROM STDIN (FORMAT csv);
5,local,1
15,foreign,1
25,strict,1
\.
COPY fdw_modify_part2 FROM STDIN (FORMAT csv);
25,duplicate,1
\.
\set SHOW_CONTEXT never
COPY fdw_modify_checked (k, v) FROM STDIN;
5	50
6	0
\.
\set SHOW_CONTEXT errors
COPY fdw_modify_kv FROM PROGRAM 'seq 2001 4500 | sed ''s/$/\tcopied/''';
SELECT * FROM fdw_modify_kv WHERE k IN (80, 81);
SELECT count(*), min(k), max(k) FROM fdw_modify_kv WHERE v = 'copied';
SELECT tableoid::regclass, * FROM fdw_modify_parent ORDER BY k;
SELECT * FROM fdw_modify_checked WHERE k IN (5, 6);
COPY (SELECT * FROM fdw_modify_kv WHERE k = 80) TO STDOUT;

-- what foreign tables cannot do at all
MERGE INTO fdw_modify_kv t USING fdw_modify_join j ON t.k = j.k WHEN MATCHED THEN DELETE;
CREATE INDEX ON fdw_modify_kv (k);
ALTER FOREIGN TABLE fdw_modify_kv ADD PRIMARY KEY (k);

-- TRUNCATE
BEGIN;
TRUNCATE fdw_modify_kv, fdw_modify_strict;
SELECT count(*) FROM fdw_modify_kv;
INSERT INTO fdw_modify_kv VALUES (1, 'after');
SELECT * FROM fdw_modify_kv;
ROLLBACK;
SELECT count(*) > 1000 AS back FROM fdw_modify_kv;
TRUNCATE fdw_modify_kv;
SELECT * FROM fdw_modify_kv;

DROP VIEW fdw_modify_view;
DROP TABLE fdw_modify_parent, fdw_modify_join;
DROP FOREIGN TABLE fdw_modify_kv, fdw_modify_two, fdw_modify_strict, fdw_modify_checked, fdw_modify_fired;
DROP FUNCTION fdw_modify_trigger, fdw_modify_meddle;
