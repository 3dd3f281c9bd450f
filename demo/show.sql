-- Reads back after the restart.
\set ON_ERROR_STOP on
\set QUIET on
\pset pager off
\pset null '(null)'

\echo
\echo '== 6. Keys in three tables'
\timing on
\set ECHO queries
SELECT name, version, installed_size, depends[1:2] AS first_depends
	FROM packages WHERE name = 'postgresql-15';

SELECT name, version, description
	FROM packages WHERE name IN ('bash', 'coreutils', 'perl', 'no-such-package');

SELECT skyvault_get('homepages', 'zstd');

SELECT section, name FROM packages_by_section WHERE section = 'database' AND name = 'sqlite3';

\set ECHO none
\echo
\echo '== 7. Many keys of several tables at one snapshot'
\set ECHO queries
SELECT skyvault_create_table('notes');
SELECT skyvault_multi_put('notes', ARRAY['bash', 'zstd'], ARRAY['my shell', 'in every run']);

SELECT * FROM skyvault_multi_get(
	ARRAY['homepages', 'notes', 'homepages', 'notes']::regclass[],
	ARRAY['bash', 'bash', 'no-such-package', 'zstd']);

\set ECHO none
\echo
\echo '== 8. A range of the secondary index, and a join through it'
\set ECHO queries
SELECT name FROM packages_by_section
	WHERE section = 'database' AND name >= 'postgresql-15' AND name < 'postgresql-16'
	ORDER BY name LIMIT 8;

SELECT p.name, p.version, p.installed_size
	FROM packages_by_section s JOIN packages p USING (name)
	WHERE s.section = 'database'
	ORDER BY p.installed_size DESC NULLS LAST LIMIT 5;

\set ECHO none
\echo
\echo '== 9. What is pushed down'
\set ECHO queries
EXPLAIN (COSTS OFF) SELECT version FROM packages WHERE name = 'postgresql-15';

EXPLAIN (COSTS OFF) SELECT name FROM packages_by_section
	WHERE section = 'database' AND name >= 'postgresql-15' ORDER BY name LIMIT 8;

\set ECHO none
\echo
\echo '== 10. A put, an update, and a rollback that leaves nothing behind'
\set ECHO queries
SELECT skyvault_put('notes', 'apt', 'brought all this here');
SELECT skyvault_get('notes', 'apt');

UPDATE packages SET installed_size = installed_size + 1 WHERE name = 'bash'
	RETURNING name, installed_size;

BEGIN;
DELETE FROM packages WHERE name = 'bash';
SELECT skyvault_put('notes', 'apt', 'overwritten');
SELECT count(*) AS bash_within_the_transaction FROM packages WHERE name = 'bash';
ROLLBACK;
SELECT name, installed_size, skyvault_get('notes', 'apt') FROM packages WHERE name = 'bash';

\set ECHO none
\echo
\echo '== 11. Every row against the plain table: only the updated one differs'
\set ECHO queries
SELECT name, s.installed_size AS in_skyvault, p.installed_size AS in_plain
	FROM packages s FULL JOIN plain p USING (name)
	WHERE (s.version, s.section, s.maintainer, s.installed_size, s.depends, s.description)
		IS DISTINCT FROM
		(p.version, p.section, p.maintainer, p.installed_size, string_to_array(p.depends, ', '), p.description);

SELECT (SELECT count(*) FROM packages) AS packages,
	(SELECT count(*) FROM packages_by_section) AS by_section,
	(SELECT count(*) FROM plain) AS plain;
