--
-- Joins, after the shapes of Postgres's own test "join".
--
\getenv srcdir PG_ABS_SRCDIR
\set twins :srcdir '/test/tools/twins.sql'
\set ECHO none
\i :twins
\set ECHO all

CALL make_onek('jo');
CALL twin('j1', 'i int NOT NULL, j int, t text', 'i');
CALL twin('j2', 'i int NOT NULL, n int NOT NULL, k int', 'i, n');
CREATE TABLE j_plain (i int, k int);
INSERT INTO j_plain VALUES (1, -1), (2, 2), (3, -3), (2, 4), (5, -5), (5, -5), (0, NULL), (NULL, NULL), (NULL, 0);
SELECT does('INSERT INTO {j1} VALUES (1, 4, ''one''), (2, 3, ''two''), (3, 2, ''three''), (4, 1, ''four''), (5, 0, ''five''), (6, 6, ''six''), (7, 7, ''seven''), (8, 8, ''eight''), (0, NULL, ''zero'')'),
	does('INSERT INTO {j2} VALUES (1, 1, -1), (2, 1, 2), (3, 1, -3), (2, 2, 4), (5, 1, -5), (5, 2, -5), (0, 1, NULL)');

-- Each query by every kind of join there is.
CREATE FUNCTION joined(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	kinds text[] := ARRAY['enable_nestloop', 'enable_hashjoin', 'enable_mergejoin', 'skyvault.enable_batched_join'];
	chosen text;
	kind text;
	result text;
	results text[];
BEGIN
	FOREACH chosen IN ARRAY kinds LOOP
		FOREACH kind IN ARRAY kinds LOOP
			PERFORM set_config(kind, CASE WHEN kind = chosen THEN 'on' ELSE 'off' END, true);
		END LOOP;
		result := same(query);
		IF NOT result = ANY (coalesce(results, '{}')) THEN
			results := results || result;
		END IF;
	END LOOP;
	RETURN array_to_string(results, ' / ');
END $$;

SELECT joined(q), q FROM unnest(ARRAY[
	'SELECT * FROM {j1} CROSS JOIN {j2}',
	'SELECT * FROM {j1} AS t1 (a, b, c), {j2} t2 (d, e, f) WHERE t1.a > t2.e',
	'SELECT * FROM {j1} INNER JOIN {j2} USING (i)',
	'SELECT * FROM {j1} JOIN {j2} USING (i) AS x WHERE x.i = 2',
	'SELECT * FROM {j1} NATURAL JOIN {j2}',
	'SELECT * FROM {j1} t1 (a, b, c) NATURAL JOIN {j2} t2 (a, d, e)',
	'SELECT * FROM {j1} JOIN {j2} ON {j1}.i = {j2}.k',
	'SELECT * FROM {j1} JOIN {j2} ON {j1}.i <= {j2}.k',
	'SELECT * FROM {j1} LEFT OUTER JOIN {j2} USING (i)',
	'SELECT * FROM {j1} RIGHT JOIN {j2} USING (i)',
	'SELECT * FROM {j1} FULL JOIN {j2} USING (i)',
	'SELECT * FROM {j1} LEFT JOIN {j2} USING (i) WHERE k = 1',
	'SELECT * FROM {j1} LEFT JOIN {j2} ON {j1}.i = {j2}.i AND {j2}.n = 1',
	'SELECT * FROM {j1} LEFT JOIN {j2} USING (i) WHERE {j2}.i IS NULL',
	'SELECT * FROM j_plain AS p JOIN {j1} ON p.i = {j1}.i',
	'SELECT * FROM j_plain AS p LEFT JOIN {j1} ON p.i = {j1}.i AND p.k < 0',
	'SELECT * FROM j_plain AS p LEFT JOIN {j2} ON p.i = {j2}.i AND p.k = {j2}.k AND {j2}.n = 1',
	'SELECT * FROM j_plain AS p WHERE EXISTS (SELECT FROM {j1} WHERE {j1}.i = p.i)',
	'SELECT * FROM j_plain AS p WHERE NOT EXISTS (SELECT FROM {j1} WHERE {j1}.i = p.i)',
	'SELECT * FROM j_plain AS p WHERE p.i IN (SELECT i FROM {j1} WHERE j > 2)',
	'SELECT * FROM j_plain AS p WHERE p.i NOT IN (SELECT i FROM {j1} WHERE j > 2)',
	'SELECT * FROM {j1} WHERE i IN (SELECT i FROM {j2}) AND j NOT IN (SELECT n FROM {j2})',
	'SELECT * FROM j_plain AS p, LATERAL (SELECT * FROM {j2} WHERE {j2}.i = p.i ORDER BY n DESC LIMIT 1) AS l',
	'SELECT * FROM j_plain AS p LEFT JOIN LATERAL (SELECT max(n) AS m, p.k FROM {j2} WHERE i >= p.i) AS l ON true',
	'SELECT a.i, b.i, c.i FROM {j1} a JOIN {j1} b ON b.i = a.j LEFT JOIN {j1} c ON c.i = b.j',
	'SELECT a.unique1, b.unique1, c.t FROM {jo} a JOIN {jo} b ON b.unique1 = a.unique2 LEFT JOIN {j1} c ON c.i = a.hundred',
	'SELECT a.unique1, b.stringu FROM {jo} a JOIN {jo} b ON b.unique1 = a.unique2 AND b.ten = 3 WHERE a.hundred BETWEEN 20 AND 40',
	'SELECT count(*), sum(b.hundred) FROM {jo} a LEFT JOIN {jo} b ON b.unique1 = a.unique1 + 500',
	'SELECT * FROM (SELECT unique1, row_number() OVER (ORDER BY unique1) AS r FROM {jo}) a JOIN {jo} b USING (unique1) WHERE r % 100 = 1',
	'SELECT a.ten, count(*) FROM {jo} a FULL JOIN {jo} b ON a.unique1 = b.unique2 + 10 GROUP BY 1',
	'SELECT * FROM generate_series(1, 3) AS g (i) JOIN {j1} USING (i) JOIN {j2} USING (i)',
	'SELECT * FROM {j1} x WHERE (x.i, x.t) = ANY (SELECT i, t FROM {j1} WHERE j IS NOT NULL)',
	'SELECT * FROM {j1} a LEFT JOIN ({j2} b JOIN j_plain p ON b.k = p.k) ON a.i = b.i',
	'SELECT (SELECT t FROM {j1} WHERE i = p.i), p.* FROM j_plain AS p',
	'SELECT * FROM {jo} WHERE unique1 = (SELECT max(i) FROM {j1}) OR unique1 IN (SELECT k FROM {j2})',
	'SELECT a.t FROM {j1} a, {j1} b WHERE a.t COLLATE "C" < b.t AND b.i = 4 ORDER BY 1']) AS q;

DROP FUNCTION joined;
DROP TABLE j_plain, jo_heap, j1_heap, j2_heap;
DROP FOREIGN TABLE jo, j1, j2;
