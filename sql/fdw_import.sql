--
-- IMPORT FOREIGN SCHEMA: tables of a vault that another database writes to
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS skyvault;
RESET client_min_messages;
SELECT current_database() AS home \gset
CREATE SERVER fdw_import FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:fdw_import', shared 'on');
CREATE SCHEMA "Schéma 'x'";
SET search_path = "Schéma 'x'", public;
CREATE TYPE public.fdw_import_mood AS ENUM ('sad', 'ok');
CREATE FOREIGN TABLE plain (key text, value text) SERVER fdw_import;
CREATE FOREIGN TABLE "Täble ""1""" (gone int, "Id 1" int NOT NULL, v varchar(10), also_gone text, n numeric(10, 2) DEFAULT 1,
	c text COLLATE "C", "array" int[], last_gone int) SERVER fdw_import OPTIONS (key 'c, "Id 1"', ttl '30 days', insert 'strict');
ALTER FOREIGN TABLE "Täble ""1""" DROP COLUMN gone, DROP COLUMN also_gone, DROP COLUMN last_gone;
CREATE FOREIGN TABLE public.fdw_import_moods (m public.fdw_import_mood, "select" jsonb) SERVER fdw_import OPTIONS (key 'm');
CREATE FOREIGN TABLE lower (key text, value text) SERVER fdw_import;
CREATE FOREIGN TABLE "LOWER" (key bytea, value bytea) SERVER fdw_import;
INSERT INTO plain SELECT 'key ' || i, 'value ' || i FROM generate_series(1, 100) AS i;
INSERT INTO "Täble ""1""" SELECT i, 'v' || i, i, 'c', ARRAY[i, NULL] FROM generate_series(1, 3) AS i;
INSERT INTO lower VALUES ('a', 'lower');
INSERT INTO "LOWER" VALUES ('a', 'upper');
INSERT INTO public.fdw_import_moods VALUES ('ok', '[1]');
SELECT skyvault_flush('fdw_import') >= 0 AS flushed;
DELETE FROM plain WHERE key = 'key 1';
TRUNCATE lower;
INSERT INTO lower VALUES ('b', 'anew');
SELECT skyvault_flush('fdw_import') >= 0 AS flushed;
SELECT skyvault_export('fdw_import') >= 0 AS exported;
INSERT INTO plain VALUES ('not exported', 'x');

CREATE DATABASE regress_fdw_import TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C';
\c regress_fdw_import
CREATE EXTENSION skyvault;
CREATE SERVER there FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:fdw_import', shared 'on');
CREATE SCHEMA "Hier";
-- who may
CREATE ROLE regress_fdw_import;
GRANT USAGE ON FOREIGN SERVER there TO regress_fdw_import;
GRANT ALL ON SCHEMA "Hier" TO regress_fdw_import;
SET ROLE regress_fdw_import;
IMPORT FOREIGN SCHEMA "Schéma 'x'" FROM SERVER there INTO "Hier";
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
-- what there is
IMPORT FOREIGN SCHEMA nothing FROM SERVER there INTO "Hier";
\echo :LAST_ERROR_SQLSTATE
IMPORT FOREIGN SCHEMA "Schéma 'x'" FROM SERVER there INTO "Hier" OPTIONS (import_default 'true');
\echo :LAST_ERROR_SQLSTATE
IMPORT FOREIGN SCHEMA public FROM SERVER there INTO "Hier";
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) FROM skyvault.vault AS v JOIN skyvault.unimported ON vault_id = v.id;
-- some
BEGIN;
IMPORT FOREIGN SCHEMA "Schéma 'x'" FROM SERVER there INTO "Hier";
SELECT count(*) FROM pg_foreign_table;
ROLLBACK;
IMPORT FOREIGN SCHEMA "Schéma 'x'" LIMIT TO (plain, "LOWER", absent) FROM SERVER there INTO "Hier";
SELECT relnamespace::regnamespace, relname FROM pg_class WHERE relkind = 'f' ORDER BY relname COLLATE "C";
SELECT count(*), min(key COLLATE "C"), max(value COLLATE "C") FROM "Hier".plain;
SELECT convert_from(skyvault_get('"Hier"."LOWER"', 'a'::bytea), 'UTF8');
SELECT state FROM skyvault_vaults;
SELECT definition->>'name' AS name FROM skyvault.unimported ORDER BY name;
-- not before all are here
SELECT skyvault_adopt('there');
\echo :LAST_ERROR_SQLSTATE
-- the rest; what is made while an import runs, or after one, is no table of it
IMPORT FOREIGN SCHEMA "Schéma 'x'" EXCEPT (lower) FROM SERVER there INTO "Hier";
CREATE FOREIGN TABLE "Hier".lower (key text, value text) SERVER there;
SELECT count(*) FROM "Hier".lower;
IMPORT FOREIGN SCHEMA "Schéma 'x'" FROM SERVER there INTO "Hier";
\echo :LAST_ERROR_SQLSTATE
DROP FOREIGN TABLE "Hier".lower;
IMPORT FOREIGN SCHEMA "Schéma 'x'" FROM SERVER there INTO "Hier";
SELECT * FROM "Hier".lower;
\d "Hier"."Täble ""1"""
SELECT *, tableoid::regclass FROM "Hier"."Täble ""1""" ORDER BY "Id 1";
SELECT v FROM "Hier"."Täble ""1""" WHERE c = 'c' AND "Id 1" = 2;
IMPORT FOREIGN SCHEMA public FROM SERVER there INTO public;
\echo :LAST_ERROR_SQLSTATE
CREATE TYPE fdw_import_mood AS ENUM ('sad', 'ok');
IMPORT FOREIGN SCHEMA public FROM SERVER there INTO public;
SELECT * FROM fdw_import_moods;
IMPORT FOREIGN SCHEMA public FROM SERVER there INTO public;
\echo :LAST_ERROR_SQLSTATE
SELECT skyvault_restore('there');
\echo :LAST_ERROR_SQLSTATE
-- writes are this database's own
INSERT INTO "Hier".plain VALUES ('key 2', 'mine');
SELECT * FROM "Hier".plain WHERE key IN ('key 2', 'key 3') ORDER BY key;
SELECT count(*) FROM skyvault_verify_vault('there');
BEGIN;
SELECT skyvault_adopt('there');
ROLLBACK;
-- a database that has tables in vaults cannot attach another one
CREATE SERVER there_too FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:fdw_import', shared 'on');
IMPORT FOREIGN SCHEMA "Schéma 'x'" FROM SERVER there_too INTO "Hier";
\echo :LAST_ERROR_SQLSTATE
REVOKE ALL ON FOREIGN SERVER there FROM regress_fdw_import;
REVOKE ALL ON SCHEMA "Hier" FROM regress_fdw_import;
DROP ROLE regress_fdw_import;
\c :home
DROP DATABASE regress_fdw_import WITH (FORCE);
SELECT * FROM "Schéma 'x'".plain WHERE key = 'key 2';
SET client_min_messages = warning;
DROP SERVER fdw_import CASCADE;
DROP SCHEMA "Schéma 'x'" CASCADE;
DROP TYPE fdw_import_mood;
