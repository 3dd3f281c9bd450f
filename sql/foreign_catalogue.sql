--
-- A schema "skyvault" that is not the extension's, with tables of the
-- catalogue's names and other columns: not ours to read, let alone to write.
--
SELECT current_database() AS home \gset
CREATE DATABASE regress_foreign_catalogue TEMPLATE template0;
\c regress_foreign_catalogue
CREATE SCHEMA skyvault;
CREATE TABLE skyvault.vault (id text PRIMARY KEY, server text UNIQUE);
CREATE TABLE skyvault.owner (vault_id text PRIMARY KEY);
CREATE TABLE skyvault."table" (id text PRIMARY KEY, vault_id text, relid text UNIQUE);
CREATE TABLE skyvault.run (id text PRIMARY KEY, vault_id text, table_ids text);
CREATE TABLE skyvault.changelog (serial text PRIMARY KEY, vault_id text, id text);
CREATE TABLE skyvault.garbage (object bigint PRIMARY KEY, vault_id text);
CREATE TABLE skyvault.job (id text PRIMARY KEY, vault_id text, kind bigint);
CREATE TABLE skyvault.delta (table_id text, key bigint, kind text, expires_at text, value bigint,
							 PRIMARY KEY (table_id, key));
CREATE INDEX run_vault_id_idx ON skyvault.run (vault_id);
CREATE INDEX changelog_vault_id_id_idx ON skyvault.changelog (vault_id, id);
CREATE INDEX job_vault_id_idx ON skyvault.job (vault_id, id);
CREATE SEQUENCE skyvault.write_seq;
CREATE SEQUENCE skyvault.vault_id_seq;
CREATE SEQUENCE skyvault.table_id_seq;
CREATE SEQUENCE skyvault.run_id_seq;
CREATE SEQUENCE skyvault.serial_seq;
CREATE SEQUENCE skyvault.job_id_seq;
INSERT INTO skyvault.vault SELECT 'vault ' || i, 'server ' || i FROM generate_series(1, 10) AS i;
INSERT INTO skyvault."table" SELECT 'table ' || i, 'vault', 'relation ' || i FROM generate_series(1, 10) AS i;
INSERT INTO skyvault.run SELECT 'run ' || i, 'vault', 'tables' FROM generate_series(1, 10) AS i;
INSERT INTO skyvault.changelog SELECT 'serial ' || i, 'vault', 'id ' || i FROM generate_series(1, 10) AS i;
INSERT INTO skyvault.delta SELECT 'table ' || i, i, 'kind', 'never', i FROM generate_series(1, 10) AS i;

CREATE FOREIGN DATA WRAPPER regress_dummy;
CREATE SERVER regress_dummy_server FOREIGN DATA WRAPPER regress_dummy;
CREATE FOREIGN TABLE dummy_1 (key text) SERVER regress_dummy_server;
CREATE FOREIGN TABLE dummy_2 (key text) SERVER regress_dummy_server;
CREATE FOREIGN TABLE dummy_3 (key text) SERVER regress_dummy_server;
DROP FOREIGN TABLE dummy_1;
BEGIN;
DROP FOREIGN TABLE dummy_2;
ROLLBACK;
ALTER FOREIGN TABLE dummy_2 RENAME TO dummy_two;
SET client_min_messages = warning;
DROP SERVER regress_dummy_server CASCADE;
RESET client_min_messages;
SELECT count(*) FROM pg_foreign_table;
DROP FOREIGN DATA WRAPPER regress_dummy;

-- Columns that fit as far as the search for a table's row goes, and a row that it finds.
DELETE FROM skyvault."table" WHERE id > 'table 1';
ALTER TABLE skyvault."table" ALTER relid TYPE oid USING 0;
CREATE FOREIGN DATA WRAPPER regress_dummy;
CREATE SERVER regress_dummy_server FOREIGN DATA WRAPPER regress_dummy;
CREATE FOREIGN TABLE dummy_1 (key text) SERVER regress_dummy_server;
INSERT INTO skyvault."table" VALUES ('table', 'vault', 'dummy_1'::regclass);
DROP FOREIGN TABLE dummy_1;
DROP SERVER regress_dummy_server;
DROP FOREIGN DATA WRAPPER regress_dummy;
BEGIN;
PREPARE TRANSACTION 'regress_nothing';
ROLLBACK PREPARED 'regress_nothing';

-- Nobody wrote to it.
SELECT (SELECT count(*) FROM skyvault.vault) AS vaults, (SELECT count(*) FROM skyvault."table") AS tables,
	   (SELECT count(*) FROM skyvault.run) AS runs, (SELECT count(*) FROM skyvault.changelog) AS changes,
	   (SELECT count(*) FROM skyvault.job) AS jobs, (SELECT count(*) FROM skyvault.delta) AS rows;

-- The schema is in the extension's way, which says so and leaves it alone.
\set SHOW_CONTEXT never
CREATE EXTENSION skyvault;
\set SHOW_CONTEXT errors
SELECT count(*) FROM skyvault.delta;
SET client_min_messages = warning;
DROP SCHEMA skyvault CASCADE;
RESET client_min_messages;

-- Without it, the extension finds its own.
CREATE EXTENSION skyvault;
SELECT skyvault_create_table('kv');
SELECT skyvault_put('kv', 'a', '1');
SELECT skyvault_flush() >= 0 AS flushed;
SELECT * FROM skyvault_scan('kv');
CREATE FOREIGN DATA WRAPPER regress_dummy;
CREATE SERVER regress_dummy_server FOREIGN DATA WRAPPER regress_dummy;
CREATE FOREIGN TABLE dummy_1 (key text) SERVER regress_dummy_server;
DROP FOREIGN TABLE dummy_1;
SELECT * FROM skyvault_scan('kv');
\c :home
DROP DATABASE regress_foreign_catalogue;
