-- Loads the package index; the caller gives it on standard input of \copy.
\set ON_ERROR_STOP on
\set QUIET on
\pset pager off
SET client_min_messages = warning;

\echo
\echo '== 1. The extension, two typed tables, and a plain map'
\set ECHO queries
CREATE EXTENSION skyvault;

CREATE FOREIGN TABLE packages (
	name text, version text, section text, maintainer text,
	installed_size int, depends text[], description text)
	SERVER skyvault OPTIONS (key 'name');

CREATE FOREIGN TABLE packages_by_section (section text, name text)
	SERVER skyvault OPTIONS (key 'section, name');

SELECT skyvault_create_table('homepages');

\set ECHO none
\echo
\echo '== 2. The package index of this machine, as a plain table to load from'
CREATE TABLE plain (
	name text PRIMARY KEY, version text, section text NOT NULL, maintainer text,
	installed_size int, depends text, homepage text, description text);
\copy plain FROM pstdin
\set ECHO queries
SELECT count(*) AS packages, count(DISTINCT section) AS sections FROM plain;

\set ECHO none
\echo
\echo '== 3. Table, secondary index and map, written in one transaction'
\timing on
\set ECHO queries
BEGIN;
INSERT INTO packages
	SELECT name, version, section, maintainer, installed_size,
		string_to_array(depends, ', '), description
	FROM plain;
INSERT INTO packages_by_section SELECT section, name FROM plain;
SELECT skyvault_multi_put('homepages', array_agg(name), array_agg(homepage))
	FROM plain WHERE homepage IS NOT NULL;
COMMIT;

\set ECHO none
\echo
\echo '== 4. Everything committed goes into the object store'
\set ECHO queries
SELECT skyvault_flush();
SELECT object, entries, file_bytes FROM skyvault.run;
SELECT count(*) AS rows_left_in_delta FROM skyvault.delta;
