--
-- ALTER FOREIGN TABLE, of tables that have rows and of such that have none
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS skyvault;
RESET client_min_messages;
CREATE SCHEMA fdw_alter;
SET search_path = fdw_alter, public;

CREATE FOREIGN TABLE t (id int NOT NULL, "B b" text COLLATE "C", v varchar(10), n int, x jsonb)
	SERVER skyvault OPTIONS (key 'id, "B b"');
INSERT INTO t VALUES (1, 'b', 'one', 10, '{"a": 1}'), (2, 'b', 'two', 20, NULL);

-- ---------------------------------------------------------------- columns that come
ALTER FOREIGN TABLE t ADD COLUMN plain text;
ALTER FOREIGN TABLE t ADD COLUMN with_default int DEFAULT 7;
ALTER FOREIGN TABLE t ADD COLUMN not_null int DEFAULT 7 NOT NULL;
\echo :LAST_ERROR_SQLSTATE
ALTER FOREIGN TABLE t ADD COLUMN generated int GENERATED ALWAYS AS (n * 2) STORED;
SELECT * FROM t ORDER BY id;
ALTER FOREIGN TABLE t ALTER with_default SET DEFAULT 8, DROP COLUMN not_null;
INSERT INTO t (id, "B b") VALUES (3, 'c');
SELECT * FROM t ORDER BY id;

-- ---------------------------------------------------------------- with a default, which older rows read
CREATE TYPE mood AS ENUM ('so', 'it''s fine');
CREATE DOMAIN positive AS int DEFAULT 5 CHECK (VALUE > 0);
CREATE TYPE pair AS (a int, b text);
CREATE FOREIGN TABLE dflt (id int, v text) SERVER skyvault OPTIONS (key 'id');
INSERT INTO dflt VALUES (1, 'in the delta');
INSERT INTO dflt VALUES (2, 'in a run');
SET client_min_messages = warning;
SELECT skyvault_flush() > 0 AS flushed;
RESET client_min_messages;
UPDATE dflt SET v = v WHERE id = 1;
SET timezone = 'Asia/Tokyo';
SET datestyle = 'German';
ALTER FOREIGN TABLE dflt ADD COLUMN at timestamptz DEFAULT '2026-01-02 03:04:05', ADD COLUMN day date DEFAULT '2026-02-01',
	ADD COLUMN m mood DEFAULT 'it''s fine', ADD COLUMN n positive NOT NULL, ADD COLUMN p pair DEFAULT (1, 'x,"y'),
	ADD COLUMN a text[] DEFAULT ARRAY['a', NULL, '"'], ADD COLUMN j jsonb DEFAULT '{"a": [1]}',
	ADD COLUMN f float8 DEFAULT 0.1::float8 + 0.2, ADD COLUMN b bytea DEFAULT '\x00ff', ADD COLUMN e text DEFAULT '',
	ADD COLUMN since timestamptz DEFAULT now(), ADD COLUMN null_default int DEFAULT NULL;
-- not when it is another one for each row
CREATE SEQUENCE s;
ALTER FOREIGN TABLE dflt ADD COLUMN serial int DEFAULT nextval('s');
ALTER FOREIGN TABLE dflt ADD COLUMN random float8 DEFAULT random() NOT NULL;
\echo :LAST_ERROR_SQLSTATE
SET timezone = 'UTC';
RESET datestyle;
SELECT id, v, at, day, m, n, p, a, j, f, b, e, null_default, serial, since <= now() AND since > now() - interval '1 day' AS since
	FROM dflt ORDER BY id;
SELECT attname, attfdwoptions FROM pg_attribute WHERE attrelid = 'dflt'::regclass AND attnum > 0 AND attname <> 'since' ORDER BY attnum;
-- what was written since says what it has, NULL too; and what becomes of the default does not matter
ALTER FOREIGN TABLE dflt ALTER n SET DEFAULT 6, ALTER m DROP DEFAULT, ALTER e SET DEFAULT 'later';
INSERT INTO dflt (id) VALUES (3);
INSERT INTO dflt (id, at, day, m, p, a, j, f, b, e) VALUES (4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
UPDATE dflt SET e = NULL WHERE id = 1;
SELECT id, day, m, n, e, j FROM dflt ORDER BY id;
SELECT count(*) FROM dflt WHERE e IS NULL;
SELECT id FROM dflt WHERE m = 'it''s fine' ORDER BY id;
SET client_min_messages = warning;
SELECT skyvault_flush() > 0 AS flushed;
RESET client_min_messages;
SELECT id, day, m, n, e, j FROM dflt ORDER BY id;
-- which only an empty table lets go of
ALTER FOREIGN TABLE dflt ALTER COLUMN m OPTIONS (SET missing 'so');
\echo :LAST_ERROR_SQLSTATE
ALTER FOREIGN TABLE dflt ALTER COLUMN m OPTIONS (DROP missing);
ALTER FOREIGN TABLE dflt ALTER COLUMN v OPTIONS (ADD missing 'x');
ALTER FOREIGN TABLE dflt ALTER e TYPE varchar;
SELECT id, e FROM dflt ORDER BY id;
BEGIN;
ALTER FOREIGN TABLE dflt ADD COLUMN again int DEFAULT 1;
SELECT id, again FROM dflt ORDER BY id;
ROLLBACK;
ALTER FOREIGN TABLE dflt ADD COLUMN again int DEFAULT 2;
SELECT id, again FROM dflt WHERE id = 2;
TRUNCATE dflt;
ALTER FOREIGN TABLE dflt ALTER COLUMN m OPTIONS (DROP missing);
CREATE FOREIGN TABLE no_number (id int, n int OPTIONS (missing 'x')) SERVER skyvault OPTIONS (key 'id');
\echo :LAST_ERROR_SQLSTATE
-- a map that gets its value so is none, as its functions write rows without it
CREATE FOREIGN TABLE keys_only (key text) SERVER skyvault;
INSERT INTO keys_only VALUES ('a');
ALTER FOREIGN TABLE keys_only ADD COLUMN value text DEFAULT 'from the beginning';
SELECT * FROM keys_only;
INSERT INTO keys_only VALUES ('b', NULL);
SELECT * FROM keys_only ORDER BY key;
SELECT skyvault_get('keys_only', 'a');
\echo :LAST_ERROR_SQLSTATE
-- what is no value of its type any more is missed by those rows alone that need it
CREATE TYPE colour AS ENUM ('red', 'green');
CREATE FOREIGN TABLE renamed (id int, v text) SERVER skyvault OPTIONS (key 'id');
INSERT INTO renamed VALUES (1, 'older'), (2, 'older');
ALTER FOREIGN TABLE renamed ADD COLUMN c colour DEFAULT 'red', ADD COLUMN r regclass DEFAULT 'renamed'::regclass;
SELECT * FROM renamed ORDER BY id;
ALTER TYPE colour RENAME VALUE 'red' TO 'crimson';
ALTER FOREIGN TABLE renamed RENAME TO renamed_now;
ALTER FOREIGN TABLE renamed_now ALTER r DROP DEFAULT;
\c -
SET search_path = fdw_alter, public;
SELECT id, v FROM renamed_now ORDER BY id;
SELECT id, c FROM renamed_now ORDER BY id;
\echo :LAST_ERROR_SQLSTATE
INSERT INTO renamed_now VALUES (2, 'newer', 'crimson', 't'), (3, 'newer', NULL, NULL);
SELECT id, v, c, r FROM renamed_now WHERE id > 1 ORDER BY id;
ALTER FOREIGN TABLE renamed_now DROP COLUMN r;
ALTER TYPE colour RENAME VALUE 'crimson' TO 'red';
UPDATE renamed_now SET c = 'red' WHERE id = 1;
ALTER TYPE colour RENAME VALUE 'red' TO 'crimson';
SELECT id, v, c FROM renamed_now WHERE id > 1 ORDER BY id;

-- ---------------------------------------------------------------- and go
ALTER FOREIGN TABLE t DROP COLUMN plain, DROP COLUMN generated;
ALTER FOREIGN TABLE t ADD COLUMN plain int;
SELECT id, plain FROM t ORDER BY id;
ALTER FOREIGN TABLE t DROP COLUMN "B b";
\echo :LAST_ERROR_SQLSTATE
CREATE DOMAIN d AS int;
CREATE FOREIGN TABLE of_domain (id d, v int) SERVER skyvault OPTIONS (key 'id');
DROP DOMAIN d CASCADE;

-- ---------------------------------------------------------------- types: what is stored stays as it is
ALTER FOREIGN TABLE t ALTER v TYPE varchar(20);
ALTER FOREIGN TABLE t ALTER v TYPE text;
SELECT id, v FROM t ORDER BY id;
ALTER FOREIGN TABLE t ALTER v TYPE varchar(5);
\echo :LAST_ERROR_SQLSTATE
ALTER FOREIGN TABLE t ALTER v TYPE bytea;
ALTER FOREIGN TABLE t ALTER n TYPE bigint;
ALTER FOREIGN TABLE t ALTER x TYPE json;
ALTER FOREIGN TABLE t ALTER id TYPE bigint;
\echo :LAST_ERROR_SQLSTATE
ALTER FOREIGN TABLE t ALTER "B b" TYPE varchar;
ALTER FOREIGN TABLE t ALTER "B b" TYPE text COLLATE "POSIX";
SELECT * FROM t WHERE id = 1 AND "B b" = 'b';
ALTER FOREIGN TABLE t ALTER n TYPE d;
ALTER DOMAIN d ADD CHECK (VALUE > 15);
ALTER FOREIGN TABLE t ALTER n TYPE int;
ALTER FOREIGN TABLE t ALTER n TYPE d;
SELECT id, n FROM t ORDER BY id;
-- through a parent
CREATE TABLE parent (id int, v int) PARTITION BY RANGE (id);
CREATE FOREIGN TABLE child PARTITION OF parent DEFAULT SERVER skyvault OPTIONS (key 'id');
INSERT INTO parent VALUES (1, 1);
ALTER TABLE parent ALTER v TYPE bigint;
ALTER TABLE parent ADD COLUMN w int DEFAULT 3;
ALTER TABLE parent RENAME id TO "New Id";
SELECT ftoptions FROM pg_foreign_table WHERE ftrelid = 'child'::regclass;
SELECT * FROM parent WHERE "New Id" = 1;

-- ---------------------------------------------------------------- the key
ALTER FOREIGN TABLE t OPTIONS (SET key '"B b", id');
\echo :LAST_ERROR_SQLSTATE
ALTER FOREIGN TABLE t OPTIONS (SET key 'id');
ALTER FOREIGN TABLE t OPTIONS (SET key 'nothing');
\echo :LAST_ERROR_SQLSTATE
ALTER FOREIGN TABLE t OPTIONS (DROP key);
\echo :LAST_ERROR_SQLSTATE
ALTER FOREIGN TABLE t OPTIONS (SET key 'id,"B b"');
ALTER FOREIGN TABLE t RENAME "B b" TO "C ""c""";
SELECT ftoptions FROM pg_foreign_table WHERE ftrelid = 't'::regclass;
ALTER TABLE t RENAME id TO nummer;
ALTER TABLE t RENAME v TO wert;
SELECT ftoptions FROM pg_foreign_table WHERE ftrelid = 't'::regclass;
SELECT nummer, "C ""c""", wert FROM t WHERE nummer = 1 AND "C ""c""" = 'b';
BEGIN;
SAVEPOINT s;
ALTER TABLE t RENAME nummer TO id;
ROLLBACK TO s;
ALTER TABLE t RENAME wert TO v;
SELECT ftoptions FROM pg_foreign_table WHERE ftrelid = 't'::regclass;
ROLLBACK;
-- the default key
CREATE FOREIGN TABLE kv (key text, value text) SERVER skyvault;
INSERT INTO kv VALUES ('a', 'b');
ALTER FOREIGN TABLE kv RENAME key TO "Key";
SELECT ftoptions FROM pg_foreign_table WHERE ftrelid = 'kv'::regclass;
SELECT * FROM kv WHERE "Key" = 'a';
SELECT skyvault_get('kv', 'a');

-- ---------------------------------------------------------------- in runs, deleted, and truncated
SELECT skyvault_flush() >= 0 AS flushed;
ALTER FOREIGN TABLE t ALTER nummer TYPE bigint;
DELETE FROM t;
ALTER FOREIGN TABLE t ALTER nummer TYPE bigint;
BEGIN;
TRUNCATE t;
ALTER FOREIGN TABLE t ALTER nummer TYPE bigint, ALTER wert TYPE bytea, OPTIONS (SET key 'nummer'), ADD COLUMN nn int NOT NULL;
INSERT INTO t (nummer, wert, with_default, nn) VALUES (5000000000, '\x00', 1, 1);
ROLLBACK;
TRUNCATE t;
ALTER FOREIGN TABLE t ALTER nummer TYPE bigint, ALTER wert TYPE bytea, OPTIONS (SET key 'nummer'), ADD COLUMN nn int NOT NULL;
ALTER FOREIGN TABLE t DROP COLUMN "C ""c""";
INSERT INTO t (nummer, wert, with_default, nn) VALUES (5000000000, '\x00', 1, 1);
SELECT * FROM t WHERE nummer = 5000000000;
SELECT skyvault_flush() >= 0 AS flushed;
SELECT * FROM t WHERE nummer = 5000000000;
ALTER FOREIGN TABLE t ALTER nummer TYPE int;
\echo :LAST_ERROR_SQLSTATE

-- ---------------------------------------------------------------- what changes nothing that is stored
CREATE SCHEMA "Fdw alter 2";
CREATE ROLE regress_fdw_alter;
ALTER FOREIGN TABLE t RENAME TO "T";
ALTER FOREIGN TABLE "T" SET SCHEMA "Fdw alter 2";
ALTER FOREIGN TABLE "Fdw alter 2"."T" OWNER TO regress_fdw_alter;
ALTER FOREIGN TABLE "Fdw alter 2"."T" ALTER wert SET STATISTICS 10, ALTER wert SET STORAGE EXTERNAL, ALTER nn DROP NOT NULL,
	ADD CONSTRAINT positive CHECK (nn > 0), OPTIONS (ADD ttl '1 day');
INSERT INTO "Fdw alter 2"."T" (nummer, nn, with_default) VALUES (6, -1, 1);
SELECT nummer, nn FROM "Fdw alter 2"."T" ORDER BY nummer;
\d "Fdw alter 2"."T"

-- ---------------------------------------------------------------- DROP
CREATE SERVER fdw_alter_server FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:fdw_alter');
CREATE FOREIGN TABLE dropped (key text, value text) SERVER fdw_alter_server;
INSERT INTO dropped VALUES ('a', 'b');
CREATE VIEW on_dropped AS SELECT * FROM dropped;
SELECT id AS dropped FROM skyvault."table" WHERE relid = 'dropped'::regclass \gset
DROP FOREIGN TABLE dropped;
\echo :LAST_ERROR_SQLSTATE
DROP SERVER fdw_alter_server;
\echo :LAST_ERROR_SQLSTATE
SET client_min_messages = warning;
BEGIN;
DROP SERVER fdw_alter_server CASCADE;
ROLLBACK;
SELECT * FROM on_dropped;
DROP SERVER fdw_alter_server CASCADE;
SELECT count(*) FROM skyvault."table" WHERE id = :dropped;
SELECT count(*) FROM skyvault.delta WHERE table_id = :dropped;

SET client_min_messages = warning;
DROP SCHEMA "Fdw alter 2" CASCADE;
DROP SCHEMA fdw_alter CASCADE;
DROP ROLE regress_fdw_alter;
SELECT count(*) FROM skyvault."table" WHERE NOT EXISTS (SELECT FROM pg_class WHERE oid = relid);
