-- skyvault_swap: two tables exchange their contents, in one transaction.
CREATE FOREIGN TABLE swap_a (k bigint NOT NULL, gone text, v text CHECK (v <> 'no'), twice bigint GENERATED ALWAYS AS (k * 2) STORED)
	SERVER skyvault OPTIONS (key 'k');
ALTER FOREIGN TABLE swap_a DROP COLUMN gone;
CREATE FOREIGN TABLE swap_b (k bigint NOT NULL, other integer, v text CHECK (v <> 'no'), twice bigint GENERATED ALWAYS AS (k * 2) STORED)
	SERVER skyvault OPTIONS (key 'k', ttl '1 day');
ALTER FOREIGN TABLE swap_b DROP COLUMN other;
INSERT INTO swap_a (k, v) SELECT n, 'a' || n FROM generate_series(1, 3) AS n;
INSERT INTO swap_b (k, v) SELECT n, 'b' || n FROM generate_series(3, 4) AS n;
SELECT skyvault_flush() >= 0 AS flushed;
INSERT INTO swap_a (k, v) VALUES (10, 'in the delta');

CREATE VIEW swap_both AS
	SELECT (SELECT array_agg(v ORDER BY k) FROM swap_a) AS a, (SELECT array_agg(v ORDER BY k) FROM swap_b) AS b;
SELECT relid::regclass AS rel, id AS table_id INTO TEMP swap_ids FROM skyvault."table" WHERE relid::regclass::text ~ '^swap_';
TABLE swap_both;
PREPARE read_a(bigint) AS SELECT v, twice FROM swap_a WHERE k = $1;
PREPARE write_a(bigint, text) AS INSERT INTO swap_a (k, v) VALUES ($1, $2);
EXECUTE read_a(3);

SELECT skyvault_swap('swap_a', 'swap_b');
TABLE swap_both;
EXECUTE read_a(3);
SET plan_cache_mode = force_generic_plan;
EXECUTE read_a(3);
SELECT skyvault_swap('swap_a', 'swap_b');
EXECUTE read_a(3);
EXECUTE write_a(11, 'in a again');
TABLE swap_both;
RESET plan_cache_mode;
SELECT count(*) AS exchanged FROM skyvault."table" AS t JOIN swap_ids AS s ON s.table_id = t.id WHERE s.rel <> t.relid;
SELECT skyvault_swap('swap_b', 'swap_a');
SELECT count(*) AS exchanged FROM skyvault."table" AS t JOIN swap_ids AS s ON s.table_id = t.id WHERE s.rel <> t.relid;

-- What goes into a content stays with it; options stay with the name.
INSERT INTO swap_b (k, v) VALUES (12, 'for a');
SELECT skyvault_flush() >= 0 AS flushed;
SELECT skyvault_swap('swap_a', 'swap_b');
TABLE swap_both;
SELECT ftrelid::regclass, ftoptions FROM pg_foreign_table WHERE ftrelid::regclass::text ~ '^swap_' ORDER BY 1;

-- Own changes, savepoints, rollback.
BEGIN;
INSERT INTO swap_a (k, v) VALUES (20, 'own');
SELECT skyvault_swap('swap_a', 'swap_b');
TABLE swap_both;
INSERT INTO swap_a (k, v) VALUES (21, 'own, after');
SAVEPOINT s;
SELECT skyvault_swap('swap_a', 'swap_b');
DELETE FROM swap_a WHERE k = 20;
TABLE swap_both;
ROLLBACK TO s;
TABLE swap_both;
UPDATE swap_b SET v = v || '!' WHERE k = 20;
TRUNCATE swap_a;
INSERT INTO swap_a (k, v) VALUES (22, 'all there is');
TABLE swap_both;
ROLLBACK;
TABLE swap_both;

-- In the same statement nothing of it is seen yet, as of a put.
SELECT skyvault_create_table('swap_kv_1'), skyvault_create_table('swap_kv_2');
SELECT skyvault_put('swap_kv_1', 'k', 'one'), skyvault_put('swap_kv_2', 'k', 'two');
SELECT skyvault_get('swap_kv_1', 'k');
CREATE FUNCTION swap_kv() RETURNS text LANGUAGE sql VOLATILE AS
$$ SELECT skyvault_swap('swap_kv_1', 'swap_kv_2'); SELECT skyvault_get('swap_kv_1', 'k') $$;
SELECT swap_kv(), skyvault_get('swap_kv_1', 'k') AS as_before;
SELECT skyvault_get('swap_kv_1', 'k'), skyvault_get('swap_kv_2', 'k'),
	(SELECT array_agg(value) FROM skyvault_multi_get(ARRAY['swap_kv_1', 'swap_kv_2']::regclass[], ARRAY['k', 'k'])) AS many,
	(SELECT array_agg(value) FROM skyvault_scan('swap_kv_1')) AS scanned;

-- Bulk loads, a batched join, count(*), a parallel scan.
BEGIN;
SELECT skyvault_load('swap_a', $$SELECT n, 'loaded ' || n FROM generate_series(1, 1000) AS n$$, columns => '{k,v}', replace => true);
SELECT skyvault_swap('swap_a', 'swap_b');
SELECT (SELECT count(*) FROM swap_a) AS a, (SELECT count(*) FROM swap_b) AS b, (SELECT max(k) FROM swap_b) AS greatest;
SELECT count(s.v) FROM generate_series(990, 1010) AS n LEFT JOIN swap_b AS s ON s.k = n;
ROLLBACK;
SELECT (SELECT count(*) FROM swap_a) AS a, (SELECT count(*) FROM swap_b) AS b;

-- PREPARE TRANSACTION.
BEGIN;
SELECT skyvault_swap('swap_a', 'swap_b');
INSERT INTO swap_a (k, v) VALUES (30, 'prepared');
PREPARE TRANSACTION 'swap';
ROLLBACK PREPARED 'swap';
TABLE swap_both;
BEGIN;
SELECT skyvault_swap('swap_a', 'swap_b');
INSERT INTO swap_a (k, v) VALUES (30, 'prepared');
PREPARE TRANSACTION 'swap';
COMMIT PREPARED 'swap';
TABLE swap_both;

-- A dropped table takes along what it has now.
CREATE FOREIGN TABLE swap_c (k bigint NOT NULL, gone text, v text CHECK (v <> 'no'), twice bigint GENERATED ALWAYS AS (k * 2) STORED)
	SERVER skyvault OPTIONS (key 'k');
ALTER FOREIGN TABLE swap_c DROP COLUMN gone;
SELECT skyvault_swap('swap_a', 'swap_c');
SELECT count(*) FROM swap_a;
DROP FOREIGN TABLE swap_c;
SELECT table_id = (SELECT id FROM skyvault."table" WHERE relid = 'swap_b'::regclass) AS is_b,
	EXISTS (SELECT FROM skyvault."table" WHERE id = table_id) AS there FROM swap_ids ORDER BY 1;

-- What is refused.
SELECT skyvault_swap('swap_a', 'swap_a');
\echo :SQLSTATE
SELECT skyvault_swap('swap_a', NULL) IS NULL AS nothing;
SELECT skyvault_swap('swap_a', 'pg_class');
\echo :SQLSTATE
SELECT skyvault_swap('swap_a', 'swap_kv_1');
\echo :SQLSTATE
CREATE FOREIGN TABLE swap_d (k bigint NOT NULL, v text CHECK (v <> 'no'), twice bigint GENERATED ALWAYS AS (k * 2) STORED)
	SERVER skyvault OPTIONS (key 'k');
SELECT skyvault_swap('swap_a', 'swap_d');
\echo :SQLSTATE
DROP FOREIGN TABLE swap_d;
ALTER FOREIGN TABLE swap_a ADD COLUMN w numeric(10, 2);
SELECT skyvault_swap('swap_a', 'swap_b');
\echo :SQLSTATE
CREATE FOREIGN TABLE swap_e (k bigint NOT NULL, gone text, v text, twice bigint GENERATED ALWAYS AS (k * 2) STORED, w numeric(10, 2))
	SERVER skyvault OPTIONS (key 'k');
ALTER FOREIGN TABLE swap_e DROP COLUMN gone;
SELECT skyvault_swap('swap_a', 'swap_e');
\echo :SQLSTATE
SELECT skyvault_swap('swap_e', 'swap_a');
\echo :SQLSTATE
ALTER FOREIGN TABLE swap_e ADD CHECK (v <> 'no');
ALTER FOREIGN TABLE swap_e ALTER v SET NOT NULL;
SELECT skyvault_swap('swap_a', 'swap_e');
\echo :SQLSTATE
ALTER FOREIGN TABLE swap_e ALTER v DROP NOT NULL;
ALTER FOREIGN TABLE swap_e ALTER w TYPE numeric(12, 2);
SELECT skyvault_swap('swap_a', 'swap_e');
\echo :SQLSTATE
ALTER FOREIGN TABLE swap_e ALTER w TYPE numeric(10, 2);
ALTER FOREIGN TABLE swap_e RENAME w TO x;
SELECT skyvault_swap('swap_a', 'swap_e');
\echo :SQLSTATE
ALTER FOREIGN TABLE swap_e RENAME x TO w;
ALTER FOREIGN TABLE swap_e OPTIONS (SET key 'k, v');
SELECT skyvault_swap('swap_a', 'swap_e');
\echo :SQLSTATE
ALTER FOREIGN TABLE swap_e OPTIONS (SET key 'k');
SELECT skyvault_swap('swap_a', 'swap_e');
\echo :SQLSTATE
DROP FOREIGN TABLE swap_e;
CREATE FOREIGN TABLE swap_f (k bigint NOT NULL, gone text, v text CHECK (v <> 'no'), twice bigint GENERATED ALWAYS AS (k * 3) STORED, w numeric(10, 2))
	SERVER skyvault OPTIONS (key 'k');
ALTER FOREIGN TABLE swap_f DROP COLUMN gone;
SELECT skyvault_swap('swap_a', 'swap_f');
\echo :SQLSTATE
DROP FOREIGN TABLE swap_f;
-- A column that is younger than rows reads the same in both.
ALTER FOREIGN TABLE swap_kv_1 ADD COLUMN added integer DEFAULT 7;
ALTER FOREIGN TABLE swap_kv_2 ADD COLUMN added integer DEFAULT 8;
SELECT skyvault_swap('swap_kv_1', 'swap_kv_2');
ALTER FOREIGN TABLE swap_kv_2 DROP COLUMN added;
ALTER FOREIGN TABLE swap_kv_1 DROP COLUMN added;
CREATE SERVER swap_server FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:swap_vault');
CREATE FOREIGN TABLE swap_elsewhere (key text NOT NULL, value text) SERVER swap_server OPTIONS (key 'key');
SELECT skyvault_swap('swap_kv_1', 'swap_elsewhere');
\echo :SQLSTATE
SET client_min_messages = warning;
DROP SERVER swap_server CASCADE;
RESET client_min_messages;
CREATE TABLE swap_parent (key text COLLATE "C" NOT NULL, value text) PARTITION BY LIST (key);
ALTER TABLE swap_parent ATTACH PARTITION swap_kv_1 FOR VALUES IN ('k');
SELECT skyvault_swap('swap_kv_1', 'swap_kv_2');
\echo :SQLSTATE
DROP TABLE swap_parent;
DROP FOREIGN TABLE swap_kv_2;

-- In use.
SELECT skyvault_create_table('swap_kv_1'), skyvault_create_table('swap_kv_2');
SELECT skyvault_put('swap_kv_1', 'k', 'one'), skyvault_put('swap_kv_2', 'k', 'two');
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM swap_kv_2;
FETCH c;
SELECT skyvault_swap('swap_kv_1', 'swap_kv_2');
\echo :SQLSTATE
ROLLBACK;
SELECT skyvault_swap('swap_kv_1', 'swap_kv_2') FROM swap_kv_2;
\echo :SQLSTATE
BEGIN READ ONLY;
SELECT skyvault_swap('swap_kv_1', 'swap_kv_2');
\echo :SQLSTATE
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT skyvault_swap('swap_kv_1', 'swap_kv_2');
\echo :SQLSTATE
ROLLBACK;

-- Not its owner.
CREATE ROLE regress_swap;
GRANT ALL ON TABLE swap_kv_1, swap_kv_2 TO regress_swap;
ALTER FOREIGN TABLE swap_kv_1 OWNER TO regress_swap;
SET ROLE regress_swap;
SELECT skyvault_swap('swap_kv_1', 'swap_kv_2');
\echo :SQLSTATE
RESET ROLE;
ALTER FOREIGN TABLE swap_kv_2 OWNER TO regress_swap;
SET ROLE regress_swap;
SELECT skyvault_swap('swap_kv_1', 'swap_kv_2');
\echo :SQLSTATE
RESET ROLE;
SELECT skyvault_get('swap_kv_1', 'k');

DROP VIEW swap_both;
DROP FUNCTION swap_kv();
DROP FOREIGN TABLE swap_a, swap_b, swap_kv_1, swap_kv_2;
DROP ROLE regress_swap;
