--
-- UPDATE, after the shapes of Postgres's own test "update".
--
\getenv srcdir PG_ABS_SRCDIR
\set twins :srcdir '/test/tools/twins.sql'
\set ECHO none
\i :twins
\set ECHO all

CALL twin('up', 'a int NOT NULL, b int DEFAULT 10, c text', 'a');
SELECT does('INSERT INTO {up} VALUES (5, 10, ''foo''), (10, NULL, NULL), (20, 20, ''bar'')');

-- ---------------------------------------------------------------- SET, aliases, FROM, subselects
SELECT does(s), s FROM unnest(ARRAY[
	'UPDATE {up} SET b = DEFAULT',
	'UPDATE {up} SET a = DEFAULT',
	'UPDATE {up} t SET b = b + 10 WHERE t.a = 10',
	'UPDATE {up} AS t SET t.b = 0',
	'UPDATE {up} t SET b = t.b + 1 WHERE {up}.a = 10',
	'UPDATE {up} SET nowhere = 1',
	'UPDATE {up} SET a = 1, a = 2',
	'UPDATE {up} SET a = v.i FROM (VALUES (100, 20)) AS v(i, j) WHERE {up}.b = v.j',
	'UPDATE {up} SET a = v.* FROM (VALUES (100, 20)) AS v(i, j) WHERE {up}.b = v.j',
	'UPDATE {up} SET (c, b) = (''bugle'', b + 11) WHERE c = ''foo''',
	'UPDATE {up} SET (c, b, a) = (''car'', a + b, DEFAULT) WHERE a = 5',
	'UPDATE {up} SET (c, b) = (''car'', a + b), a = a + 1 WHERE a = 5',
	'UPDATE {up} SET (b, c) = (SELECT a, c FROM {up} WHERE a = 6) WHERE a = 100',
	'UPDATE {up} SET (b, c) = (SELECT a + 1, c FROM {up} WHERE a = 77)',
	'UPDATE {up} SET (b, c) = (SELECT a, c FROM {up})',
	'UPDATE {up} SET (b, a) = ROW(a, b + 1000) WHERE b IS NOT NULL',
	'UPDATE {up} SET b = (SELECT count(*) FROM {up} AS o WHERE o.a < {up}.a)',
	'UPDATE {up} SET c = repeat(''x'', 10000)',
	'UPDATE {up} SET c = upper(c) WHERE a IN (SELECT a FROM {up} WHERE a > 10)',
	'UPDATE {up} SET c = ''w'' WHERE EXISTS (SELECT FROM {up} AS o WHERE o.a = {up}.a + 1)',
	'UPDATE {up} SET b = b WHERE false',
	'UPDATE {up} SET a = NULL',
	'UPDATE {up} SET b = 1 / (a - a)']) AS s;
SELECT same('SELECT * FROM {up}');

-- ---------------------------------------------------------------- keys that move
SELECT does('INSERT INTO {up} SELECT n * 1000, n, n::text FROM generate_series(1, 9) AS n');
SELECT does('UPDATE {up} SET a = a - 500 WHERE a >= 1000');
SELECT does('UPDATE {up} SET a = -a');
SELECT same('SELECT * FROM {up}');

-- ---------------------------------------------------------------- RETURNING, WITH, joins with others
UPDATE up SET b = b + 1 WHERE a = -500 RETURNING *, a * 2 AS double, tableoid::regclass;
UPDATE up SET c = o.c || '!' FROM (SELECT a, c FROM up) AS o WHERE o.a = up.a AND up.a < -8000 RETURNING up.c, o.c;
WITH changed AS (UPDATE up SET c = 'with' WHERE a = -1500 RETURNING a, c)
	SELECT changed.c AS new, up.c AS old FROM changed JOIN up USING (a);
CREATE TABLE up_list (a int, d text);
INSERT INTO up_list VALUES (-500, 'd'), (-1500, 'e'), (-1500, 'f'), (4711, 'g');
SELECT does('UPDATE {up} SET c = d FROM up_list AS l WHERE l.a = {up}.a AND d <> ''f''');
UPDATE up_list SET d = up.c FROM up WHERE up.a = up_list.a;
SELECT * FROM up_list ORDER BY a, d;
UPDATE up_heap SET b = b + 1 WHERE a = -500;
UPDATE up_heap SET c = c || '!' WHERE a < -8000;
SELECT same('SELECT * FROM {up}');

-- ---------------------------------------------------------------- partitions: rows that stay, move, and may not be
CREATE TABLE up_parts (a text, b int NOT NULL, c numeric) PARTITION BY RANGE (b);
CREATE FOREIGN TABLE up_low PARTITION OF up_parts FOR VALUES FROM (0) TO (10) SERVER skyvault OPTIONS (key 'b');
CREATE TABLE up_high PARTITION OF up_parts FOR VALUES FROM (10) TO (20);
INSERT INTO up_parts SELECT chr(96 + n), n, n * 1.5 FROM generate_series(1, 15) AS n;
UPDATE up_parts SET c = c * 2 WHERE b IN (3, 13) RETURNING tableoid::regclass, *;
UPDATE up_parts SET b = b + 10 WHERE b = 8 RETURNING tableoid::regclass, *;
UPDATE up_parts SET b = b - 15 WHERE b = 15 RETURNING tableoid::regclass, *;
UPDATE up_parts SET b = 100 WHERE b = 5;
UPDATE up_low SET b = 11 WHERE b = 6;
SELECT tableoid::regclass AS part, count(*), sum(b) FROM up_parts GROUP BY 1 ORDER BY 1;

DROP TABLE up_parts, up_list, up_heap;
DROP FOREIGN TABLE up;
