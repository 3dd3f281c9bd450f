--
-- Conditions on the key with OR: the keys of each arm are read, once, and in order
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS skyvault;
RESET client_min_messages;
SET max_parallel_workers_per_gather = 0;

CREATE FOREIGN TABLE fdw_or_one (k int, v text) SERVER skyvault OPTIONS (key 'k');
CREATE FOREIGN TABLE fdw_or_two (a int, b int, v text) SERVER skyvault OPTIONS (key 'a, b');
CREATE FOREIGN TABLE fdw_or_text (t text, n int, v text) SERVER skyvault OPTIONS (key 't, n');
CREATE FOREIGN TABLE fdw_or_c (t text COLLATE "C", v text) SERVER skyvault OPTIONS (key 't');
INSERT INTO fdw_or_one SELECT i, CASE WHEN i % 7 > 0 THEN 'v' || i END FROM generate_series(-50, 3000) i;
INSERT INTO fdw_or_two SELECT a, b, a || '/' || b FROM generate_series(1, 60) a, generate_series(1, 40) b;
INSERT INTO fdw_or_text SELECT 't' || a, b, a || '/' || b FROM generate_series(1, 60) a, generate_series(1, 20) b;
INSERT INTO fdw_or_c SELECT 't' || a, a FROM generate_series(1, 1200) a;
SET client_min_messages = warning;
SELECT skyvault_flush() > 0 AS flushed;
RESET client_min_messages;
DELETE FROM fdw_or_one WHERE k BETWEEN 100 AND 110;
INSERT INTO fdw_or_one SELECT i, 'newer' FROM generate_series(2990, 3010) i;
CREATE TABLE fdw_or_plain_one AS SELECT * FROM fdw_or_one;
CREATE TABLE fdw_or_plain_two AS SELECT * FROM fdw_or_two;
CREATE TABLE fdw_or_plain_text AS SELECT * FROM fdw_or_text;
CREATE TABLE fdw_or_plain_c AS SELECT * FROM fdw_or_c;

-- What a query reads, and whether that is what a plain table has, in the order asked for.
CREATE FUNCTION fdw_or_check(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	took text := '';
	ours text;
	plain text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) ' || query LOOP
		IF line ~ 'Lookup:|Keys Looked Up:|Ranges:|Rows Removed|Sort Key' THEN
			took := took || ', ' || trim(line);
		END IF;
	END LOOP;
	EXECUTE format('SELECT count(*) || '' rows '' || coalesce(md5(string_agg(r::text, chr(10))), '''') FROM (%s) r', query) INTO ours;
	EXECUTE format('SELECT count(*) || '' rows '' || coalesce(md5(string_agg(r::text, chr(10))), '''') FROM (%s) r',
		replace(query, 'fdw_or_', 'fdw_or_plain_')) INTO plain;
	RETURN CASE WHEN ours = plain THEN regexp_replace(ours, ' [0-9a-f]{32}$| $', '') ELSE 'DIFFERENT: ' || ours || ' and ' || plain END || took;
END $$;
CREATE FUNCTION fdw_or_conditions(tab text, key text, conditions text[]) RETURNS TABLE (condition text, answer text) LANGUAGE sql AS $$
	SELECT c, fdw_or_check(format('SELECT * FROM fdw_or_%s WHERE %s ORDER BY %s', tab, c, key)) FROM unnest(conditions) c;
$$;

EXPLAIN (COSTS OFF) SELECT * FROM fdw_or_one WHERE k < 3 OR k BETWEEN 5 AND 9 OR k > 2990 ORDER BY k DESC;
EXPLAIN (COSTS OFF) SELECT * FROM fdw_or_two WHERE (a = 3 AND b > 38) OR (a = 5 AND b < 3);
EXPLAIN (COSTS OFF) SELECT * FROM fdw_or_two WHERE a = 3 AND (b = 7 OR b > 38) AND v <> 'x';

-- one column: points, ranges, both; overlapping, touching, one inside the other, empty; NULL
SELECT * FROM fdw_or_conditions('one', 'k', ARRAY[
	'k = 1 OR k BETWEEN 5 AND 9', 'k = 7 OR k BETWEEN 5 AND 9', 'k BETWEEN 5 AND 9 OR k BETWEEN 8 AND 12 OR k BETWEEN 9 AND 10',
	'k < 5 OR k >= 5', 'k < 5 OR k > 5', 'k <= 7 OR k = 8', 'k > 2995 OR k < -45', 'k IN (1, 2, 3) OR k IN (3, 4) OR k = 2',
	'k IN (1, 2000) OR k > 3000', 'k BETWEEN 9 AND 5 OR k = 3', 'k BETWEEN 9 AND 5 OR k BETWEEN 4 AND 3',
	'k = NULL OR k = 5', 'k > NULL OR k BETWEEN 5 AND 6', 'k = NULL OR k < NULL', 'k IS NULL OR k = 5', 'k IS NULL OR k > 3005',
	'k = 5000000000 OR k = 5', 'k < 5000000000 OR k = 5', 'k > 5000000000 OR k BETWEEN 105 AND 115', 'k = 99 OR k = 105 OR (k > 98 AND k < 102)',
	'(k > 10 AND k < 20 AND k <> 15) OR k = 3', '(k BETWEEN 10 AND 20 AND v IS NULL) OR k = 3', 'k = 3 OR (k > 10 AND v = ''v12'')']);
-- what Postgres writes as an OR; the next page, without a comparison of rows
SELECT fdw_or_check('SELECT * FROM fdw_or_one WHERE k NOT BETWEEN -40 AND 2990 ORDER BY k');
SELECT fdw_or_check('SELECT * FROM fdw_or_one WHERE k BETWEEN SYMMETRIC 9 AND 5 ORDER BY k');
SELECT fdw_or_check('SELECT * FROM fdw_or_two WHERE a > 3 OR (a = 3 AND b > 35) ORDER BY a, b LIMIT 10');
SELECT fdw_or_check('SELECT * FROM fdw_or_two WHERE a < 3 OR (a = 3 AND b < 5) ORDER BY a DESC, b DESC LIMIT 10');
SELECT fdw_or_check('SELECT * FROM fdw_or_one WHERE k < -47 OR k BETWEEN 5 AND 9 OR k > 3008 ORDER BY k DESC');
SELECT fdw_or_check('SELECT * FROM fdw_or_one WHERE k BETWEEN 15 AND 19 OR k BETWEEN 5 AND 9 ORDER BY k DESC LIMIT 7');
SELECT fdw_or_check('SELECT k FROM fdw_or_one WHERE k BETWEEN 15 AND 19 OR k BETWEEN 5 AND 9 ORDER BY k LIMIT 3 OFFSET 4');

-- what has an arm that says nothing about the key, or an operator that bytes do not answer, is tested row by row
SELECT * FROM fdw_or_conditions('one', 'k', ARRAY['k = 5 OR v = ''v7''', 'k = 5 OR k + 1 = 9', 'k = 5 OR k::numeric = 9.0', 'k = 5 OR NOT k > 3']);

-- of several columns
SELECT * FROM fdw_or_conditions('two', 'a, b', ARRAY[
	'(a = 3 AND b = 4) OR (a = 5 AND b = 6)', '(a = 3 AND b > 38) OR (a = 5 AND b < 3) OR (a = 3 AND b > 35 AND b < 39)',
	'a = 3 AND (b = 4 OR b BETWEEN 6 AND 8)', 'a = 3 OR (a = 5 AND b = 7)', 'a < 2 OR (a = 2 AND b < 3)', '(a, b) < (1, 3) OR (a, b) >= (60, 39)',
	'(a, b) > (59, 5) OR a = 59', '(a = 3 OR a = 5) AND (b = 7 OR b > 38)', 'b = 3 OR a = 3', 'a = 7 AND (b = 3 OR v = ''7/9'')',
	'(a = 3 OR a > 58) AND b = 7', 'a IN (3, 4) AND (b IN (1, 2) OR b > 39)', '(a = 3 AND (b = 1 OR b = 3)) OR a = 60',
	'(a = 3 AND b = NULL) OR (a = 4 AND b = 5)', 'a > 50 AND (b = 3 OR b = 4)', '(a > 58 AND b = 3) OR (a < 3 AND b = 4)']);
SELECT fdw_or_check('SELECT * FROM fdw_or_two WHERE a = 3 AND (b = 4 OR b BETWEEN 6 AND 8) ORDER BY b DESC');

-- text: equality whatever the collation; ranges and prefixes where bytes are in its order
SELECT * FROM fdw_or_conditions('text', 't, n', ARRAY['t = ''t5'' AND (n = 3 OR n > 18)', '(t = ''t5'' AND n = 1) OR (t = ''t50'' AND n > 19)',
	't = ''t5'' COLLATE "C" OR t = ''t7''', 't < ''t12'' OR t = ''t7''']);
SELECT * FROM fdw_or_conditions('c', 't', ARRAY['t LIKE ''t11%'' OR t = ''t5''', 't LIKE ''t1_1%'' OR t ^@ ''t119''', 't LIKE ''%9'' OR t = ''t5''',
	't < ''t101'' OR t BETWEEN ''t100'' AND ''t102''', 't < ''t101'' COLLATE "und-x-icu" OR t = ''t5''']);
CREATE COLLATION fdw_loose_or (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
SELECT fdw_or_check('SELECT * FROM fdw_or_c WHERE t = ''T5'' COLLATE fdw_loose_or OR t = ''t7'' ORDER BY t COLLATE "C"');

-- parameters, in plans that are kept as well; and of the query outside
PREPARE fdw_or_prepared(int, int) AS SELECT array_agg(k) FROM fdw_or_one WHERE k = $1 OR k BETWEEN $2 AND $2 + 2;
EXECUTE fdw_or_prepared(1, 5); EXECUTE fdw_or_prepared(6, 5); EXECUTE fdw_or_prepared(NULL, 5); EXECUTE fdw_or_prepared(1, NULL);
EXECUTE fdw_or_prepared(8, 5); EXECUTE fdw_or_prepared(4, 5); EXECUTE fdw_or_prepared(105, 99); EXECUTE fdw_or_prepared(NULL, NULL);
DEALLOCATE fdw_or_prepared;
SELECT i, (SELECT count(*) FROM fdw_or_one WHERE k = i OR k BETWEEN 2 * i AND 2 * i + 1) FROM generate_series(1, 4) i;
CREATE TABLE fdw_or_pairs AS SELECT i, i * 3 AS x, i * 5 AS y FROM generate_series(1, 20) i;
CREATE TABLE fdw_or_plain_pairs AS SELECT * FROM fdw_or_pairs;
EXPLAIN (COSTS OFF) SELECT * FROM fdw_or_pairs p JOIN fdw_or_one s ON s.k = p.x OR s.k = p.y;
SELECT fdw_or_check('SELECT * FROM fdw_or_pairs p JOIN fdw_or_one s ON s.k = p.x OR s.k = p.y ORDER BY i, k');
SELECT fdw_or_check('SELECT * FROM fdw_or_pairs p LEFT JOIN fdw_or_two s ON (s.a = p.x AND s.b = p.i) OR (s.a = p.i AND s.b = p.y) ORDER BY i, a');

-- counts, changes, locks
SELECT fdw_or_check('SELECT count(*) FROM fdw_or_one WHERE k < 5 OR k BETWEEN 3 AND 9 OR k = 2000');
SELECT fdw_or_check('SELECT count(*) FROM fdw_or_one WHERE k < 5 OR (k BETWEEN 3 AND 9 AND v IS NOT NULL)');
SELECT fdw_or_check('SELECT min(k), max(k) FROM fdw_or_one WHERE k BETWEEN 30 AND 40 OR k BETWEEN 50 AND 60');
BEGIN;
UPDATE fdw_or_one SET v = 'changed' WHERE k = 20 OR k BETWEEN 30 AND 33 OR k BETWEEN 32 AND 35;
UPDATE fdw_or_plain_one SET v = 'changed' WHERE k = 20 OR k BETWEEN 30 AND 33 OR k BETWEEN 32 AND 35;
DELETE FROM fdw_or_one WHERE k < -40 OR k > 2500;
DELETE FROM fdw_or_plain_one WHERE k < -40 OR k > 2500;
SELECT fdw_or_check('SELECT * FROM fdw_or_one WHERE k < 5 OR v = ''changed'' OR k > 2000 ORDER BY k');
SELECT count(*) FROM (SELECT FROM fdw_or_one WHERE k < 0 OR k > 2000 FOR UPDATE) x;
ROLLBACK;

-- below a security barrier only what tells nothing
CREATE VIEW fdw_or_barrier WITH (security_barrier) AS SELECT * FROM fdw_or_one WHERE k % 2 = 0;
CREATE FUNCTION fdw_or_leak(int) RETURNS int LANGUAGE plpgsql COST 0.0001 STABLE AS $$ BEGIN RAISE NOTICE 'asked for %', $1; RETURN $1; END $$;
EXPLAIN (COSTS OFF) SELECT * FROM fdw_or_barrier WHERE k = 4 OR k > 2999;
EXPLAIN (COSTS OFF) SELECT * FROM fdw_or_barrier WHERE k = 4 OR (k > 3007 AND fdw_or_leak(k) > 0);
SELECT * FROM fdw_or_barrier WHERE k = 4 OR (k > 3007 AND fdw_or_leak(k) > 0);
EXPLAIN (COSTS OFF) SELECT * FROM fdw_or_barrier WHERE k = 4 OR fdw_or_leak(k) > 3009;
SELECT * FROM fdw_or_barrier WHERE k = 4 OR k > 3007;

-- with parallel workers
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SELECT fdw_or_check('SELECT * FROM (SELECT * FROM fdw_or_one WHERE k < 1000 OR k BETWEEN 900 AND 2000 OR k > 2500 OFFSET 0) x ORDER BY k');
SELECT sum(k), count(v) FROM fdw_or_one WHERE k < 1000 OR k BETWEEN 900 AND 2000 OR k > 2500;
SELECT sum(k), count(v) FROM fdw_or_plain_one WHERE k < 1000 OR k BETWEEN 900 AND 2000 OR k > 2500;

-- random ones
SELECT setseed(0.5);
SET max_parallel_workers_per_gather = 0;
CREATE FUNCTION fdw_or_random() RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(format(CASE (random() * 7)::int WHEN 0 THEN '(a = %1$s AND b = %2$s)' WHEN 1 THEN '(a = %1$s AND b > %2$s)'
			WHEN 2 THEN '(a BETWEEN %1$s AND %3$s)' WHEN 3 THEN '((a, b) < (%1$s, %2$s))' WHEN 4 THEN '(a = %1$s AND b BETWEEN %2$s AND %3$s)'
			WHEN 5 THEN '(a > %1$s AND a < %3$s AND b <> %2$s)' WHEN 6 THEN '(a IN (%1$s, %3$s) AND b < %2$s)' ELSE '((a, b) >= (%1$s + 50, %2$s))' END,
		(random() * 60)::int, (random() * 40)::int, (random() * 60)::int), ' OR ')
	FROM generate_series(1, 2 + (random() * 4)::int)
$$;
SELECT count(*), count(*) FILTER (WHERE answer LIKE 'DIFFERENT%') AS different, count(*) FILTER (WHERE answer LIKE '%Removed%') > 0 AS some_tested
	FROM (SELECT fdw_or_check(format('SELECT * FROM fdw_or_two WHERE (%s) %s ORDER BY a, b', fdw_or_random(),
		CASE (i % 4) WHEN 0 THEN 'AND b > 5' WHEN 1 THEN 'AND a < 30' ELSE '' END)) AS answer FROM generate_series(1, 150) i) x;
