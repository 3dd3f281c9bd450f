--
-- LIMIT and OFFSET, after the shapes of Postgres's own test "limit".
--
\getenv srcdir PG_ABS_SRCDIR
\set twins :srcdir '/test/tools/twins.sql'
\set ECHO none
\i :twins
\set ECHO all

CALL make_onek('li');

SELECT same(q), q FROM unnest(ARRAY[
	'SELECT unique1, stringu FROM {li} WHERE unique1 > 50 ORDER BY unique1 LIMIT 2',
	'SELECT unique1, stringu FROM {li} WHERE unique1 > 60 ORDER BY unique1 LIMIT 5',
	'SELECT unique1, stringu FROM {li} WHERE unique1 > 60 AND unique1 < 63 ORDER BY unique1 LIMIT 5',
	'SELECT unique1, stringu FROM {li} WHERE unique1 > 100 ORDER BY unique1 LIMIT 3 OFFSET 20',
	'SELECT unique1, stringu FROM {li} WHERE unique1 < 50 ORDER BY unique1 DESC LIMIT 8 OFFSET 99',
	'SELECT unique1, stringu FROM {li} WHERE unique1 < 50 ORDER BY unique1 DESC LIMIT 20 OFFSET 39',
	'SELECT unique1 FROM {li} ORDER BY unique1 OFFSET 990',
	'SELECT unique1 FROM {li} ORDER BY unique1 OFFSET 990 LIMIT 5',
	'SELECT unique1 FROM {li} ORDER BY unique1 LIMIT 5 OFFSET 900',
	'SELECT unique1 FROM {li} ORDER BY unique1 LIMIT 0',
	'SELECT unique1 FROM {li} ORDER BY unique1 LIMIT NULL OFFSET 998',
	'SELECT unique1 FROM {li} ORDER BY unique1 LIMIT ALL OFFSET NULL',
	'SELECT unique1 FROM {li} ORDER BY unique1 LIMIT -1',
	'SELECT unique1 FROM {li} ORDER BY unique1 OFFSET -1',
	'SELECT unique1 FROM {li} ORDER BY unique1 LIMIT (SELECT count(*) / 100 FROM {li})',
	'SELECT unique1 FROM {li} ORDER BY unique1 FETCH FIRST ROW ONLY',
	'SELECT ten, unique1 FROM {li} WHERE unique1 < 30 ORDER BY ten FETCH FIRST 2 ROWS WITH TIES',
	'SELECT unique1 FROM {li} ORDER BY unique2 LIMIT 7',
	'SELECT unique1 FROM {li} ORDER BY ten, unique1 DESC LIMIT 12 OFFSET 95',
	'SELECT * FROM (SELECT unique1 FROM {li} ORDER BY unique1 LIMIT 100) AS s ORDER BY unique1 DESC LIMIT 3',
	'SELECT sum(unique1) FROM (SELECT unique1 FROM {li} ORDER BY unique1 LIMIT 100 OFFSET 10) AS s',
	'SELECT unique1 FROM {li} WHERE unique1 IN (900, 5, 77, 3, 2000, 6) ORDER BY unique1 LIMIT 3',
	'SELECT unique1 FROM {li} WHERE ten = 3 AND unique1 > 800 ORDER BY unique1 LIMIT 4 OFFSET 1',
	'SELECT unique1, unique2 FROM {li} UNION ALL SELECT unique2, unique1 FROM {li} ORDER BY 1, 2 LIMIT 10',
	'SELECT o.unique1, (SELECT unique1 FROM {li} AS i WHERE i.unique1 > o.unique1 ORDER BY unique1 LIMIT 1) AS next FROM {li} AS o WHERE o.hundred = 99 ORDER BY 1',
	'SELECT o.unique1, l.* FROM {li} AS o, LATERAL (SELECT unique1 FROM {li} AS i WHERE i.unique1 < o.unique1 ORDER BY unique1 DESC LIMIT 2 OFFSET 1) AS l (before) WHERE o.unique1 < 8 ORDER BY 1, 2',
	'SELECT * FROM (VALUES (1), (2), (3)) AS v (n), LATERAL (SELECT unique1 FROM {li} ORDER BY unique1 LIMIT n OFFSET n) AS l ORDER BY 1, 2',
	'SELECT DISTINCT ten FROM {li} ORDER BY ten LIMIT 3',
	'SELECT unique1, random() < 2 AS yes FROM {li} ORDER BY unique1 LIMIT 4',
	'SELECT generate_series(0, 2) AS s, unique1 FROM {li} ORDER BY unique1, s LIMIT 7']) AS q;

-- ---------------------------------------------------------------- what is below a LIMIT stops, and goes on again
BEGIN;
DECLARE c1 SCROLL CURSOR FOR SELECT unique1 FROM li ORDER BY unique1 LIMIT 10;
FETCH ALL IN c1;
FETCH 1 IN c1;
FETCH BACKWARD 2 IN c1;
FETCH BACKWARD ALL IN c1;
FETCH ALL IN c1;
DECLARE c2 SCROLL CURSOR FOR SELECT unique1 FROM li ORDER BY unique1 DESC LIMIT 3 OFFSET 2;
FETCH ALL IN c2;
FETCH BACKWARD ALL IN c2;
DECLARE c3 CURSOR FOR SELECT unique1 FROM li ORDER BY unique1 OFFSET 997;
FETCH ALL IN c3;
FETCH BACKWARD 1 IN c3;
ROLLBACK;

DROP TABLE li_heap;
DROP FOREIGN TABLE li;
