--
-- DELETE, after the shapes of Postgres's own test "delete".
--
\getenv srcdir PG_ABS_SRCDIR
\set twins :srcdir '/test/tools/twins.sql'
\set ECHO none
\i :twins
\set ECHO all

CALL make_onek('del');
CREATE TABLE del_list (a int);
INSERT INTO del_list VALUES (1), (2), (3), (2), (4711);

SELECT does(s), s FROM unnest(ARRAY[
	'DELETE FROM {del} AS d WHERE d.unique1 > 990',
	'DELETE FROM {del} AS d WHERE {del}.unique1 > 25',
	'DELETE FROM {del} WHERE unique1 = 7',
	'DELETE FROM {del} WHERE unique1 = 7',
	'DELETE FROM {del} WHERE unique1 IN (10, 11, 12, 5000)',
	'DELETE FROM {del} USING del_list AS l WHERE l.a = unique1',
	'DELETE FROM {del} WHERE unique1 = ANY (SELECT a + 20 FROM del_list)',
	'DELETE FROM {del} WHERE hundred = 5',
	'DELETE FROM {del} WHERE stringu IS NULL',
	'DELETE FROM {del} WHERE NOT EXISTS (SELECT FROM {del} AS o WHERE o.unique1 = {del}.unique1 + 1)',
	'DELETE FROM {del} d USING {del} o WHERE d.unique1 = o.unique1 + 1 AND o.ten = 4',
	'WITH w AS (DELETE FROM {del} WHERE ten = 8 RETURNING *) DELETE FROM {del} USING w WHERE {del}.unique1 = w.unique1 + 1',
	'DELETE FROM {del} WHERE 1 / (unique1 - 400) > 0 AND unique1 BETWEEN 399 AND 401',
	'DELETE FROM {del} WHERE nowhere = 1',
	'DELETE FROM {del} WHERE false']) AS s;
SELECT same('SELECT * FROM {del}');

DELETE FROM del WHERE unique1 IN (30, 31) RETURNING unique1, stringu, (SELECT count(*) FROM del WHERE unique1 IN (30, 31)) AS before, tableoid::regclass;
WITH w AS (DELETE FROM del WHERE unique1 BETWEEN 100 AND 110 RETURNING *) SELECT count(*), sum(unique1) FROM w;
DELETE FROM del_heap WHERE unique1 IN (30, 31) OR unique1 BETWEEN 100 AND 110;
-- A row that goes, comes again, and goes again, in one transaction.
BEGIN;
DELETE FROM del WHERE unique1 = 200;
INSERT INTO del (unique1, stringu) VALUES (200, 'again');
SELECT stringu FROM del WHERE unique1 = 200;
SAVEPOINT s;
DELETE FROM del WHERE unique1 = 200;
SELECT count(*) FROM del WHERE unique1 = 200;
ROLLBACK TO s;
SELECT stringu FROM del WHERE unique1 = 200;
ROLLBACK;
SELECT same('SELECT * FROM {del}');
SELECT does('DELETE FROM {del}'), same('SELECT * FROM {del}');
DROP TABLE del_list, del_heap;
DROP FOREIGN TABLE del;
