--
-- count(*): of the registry, of runs that overlap, of the delta, of keys
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS skyvault;
RESET client_min_messages;

CREATE SERVER count_vault FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:count');
CREATE FOREIGN TABLE counted (k int, v text) SERVER count_vault OPTIONS (key 'k');
CREATE FOREIGN TABLE counted_two (a int, b text COLLATE "C", c int, v text) SERVER count_vault OPTIONS (key 'a, b, c');

-- What a scan of a range finds, and what count(*) says.
CREATE FUNCTION counts_agree(low int, high int) RETURNS text LANGUAGE sql AS $$
	SELECT CASE WHEN counted.n = scanned.n THEN counted.n::text ELSE counted.n || ' instead of ' || scanned.n END
	FROM (SELECT count(*) AS n FROM counted WHERE k >= low AND k < high) counted,
		(SELECT count(*) AS n FROM (SELECT k FROM counted WHERE k >= low AND k < high ORDER BY k OFFSET 0) x) scanned
$$;

-- which queries
EXPLAIN (COSTS OFF) SELECT count(*) FROM counted;
EXPLAIN (COSTS OFF) SELECT count(*) + 1 AS more, count(k) FROM counted c WHERE k > 5 AND k IS NOT NULL;
EXPLAIN (COSTS OFF) SELECT count(*) FROM counted WHERE k = ANY ('{1,2,3}');
EXPLAIN (COSTS OFF) SELECT count(*) FROM counted_two WHERE a = 1 AND b LIKE 'x%';
EXPLAIN (COSTS OFF) SELECT count(b) FROM counted_two WHERE (a, b) > (1, 'x');
EXPLAIN (COSTS OFF) SELECT 1 FROM (SELECT count(*) AS n FROM counted_two WHERE a IN (1, 2) AND b = 'x') x WHERE n > 0;
EXPLAIN (COSTS OFF) SELECT count(v) FROM counted;
EXPLAIN (COSTS OFF) SELECT count(DISTINCT k) FROM counted;
EXPLAIN (COSTS OFF) SELECT count(*) FILTER (WHERE k > 3) FROM counted;
EXPLAIN (COSTS OFF) SELECT count(*), sum(k) FROM counted;
EXPLAIN (COSTS OFF) SELECT count(*) FROM counted WHERE v = 'x';
EXPLAIN (COSTS OFF) SELECT count(*) FROM counted HAVING count(*) > 1;
EXPLAIN (COSTS OFF) SELECT k, count(*) FROM counted GROUP BY k;
EXPLAIN (COSTS OFF) SELECT count(*) FROM counted_two WHERE a = 1 AND b LIKE 'x_z';
EXPLAIN (COSTS OFF) SELECT count(*) FROM counted_two WHERE a = 1 AND b IN ('x', 'y');
EXPLAIN (COSTS OFF) SELECT count(*) FROM counted_two WHERE a = 1 AND c = 1;

-- never written, then only the delta
SELECT count(*) FROM counted;
INSERT INTO counted SELECT i, repeat('v', 100) || i FROM generate_series(1, 2000) i;
SELECT count(*), count(k), count(*) * 2 AS twice FROM counted;
SELECT count(*) FROM counted WHERE k = ANY ('{1,2,2,5000,NULL}');
SELECT count(*) FROM counted WHERE k < NULL::int;
-- one run
SELECT skyvault_flush('count_vault') > 0 AS flushed;
SELECT skyvault_clear_cache();
SELECT count(*) FROM counted;
SELECT count(*) FROM counted WHERE k BETWEEN -5 AND 2000;
-- (no block of data was read)
SELECT coalesce(sum(c.blocks), 0) AS blocks FROM skyvault_index('counted') AS i JOIN skyvault_cache AS c USING (run);
SELECT count(*) FROM (SELECT k FROM counted ORDER BY k OFFSET 0) x;
SELECT sum(c.blocks) > 0 AS blocks FROM skyvault_index('counted') AS i JOIN skyvault_cache AS c USING (run);
SELECT counts_agree(100, 200), counts_agree(1, 1500), counts_agree(1500, 99999), counts_agree(5, 5), counts_agree(2000, 2001);
-- the delta before it: values, of keys that are there and that are not, and what was deleted
INSERT INTO counted SELECT i, 'w' FROM generate_series(1990, 2010) i;
DELETE FROM counted WHERE k IN (5, 6, 2005);
SELECT counts_agree(1, 99999), counts_agree(1, 10), counts_agree(1995, 2004), counts_agree(2000, 3000);
-- runs that overlap, with what was deleted and written again
SELECT skyvault_flush('count_vault') > 0 AS flushed;
INSERT INTO counted VALUES (5, 'again');
DELETE FROM counted WHERE k BETWEEN 1000 AND 1100;
SELECT counts_agree(1, 99999), counts_agree(1, 10), counts_agree(999, 1002), counts_agree(1050, 1500);
SELECT skyvault_flush('count_vault') > 0 AS flushed;
SELECT counts_agree(1, 99999), counts_agree(1, 10), counts_agree(999, 1002), counts_agree(1050, 1500);
-- more in the delta than is looked up
INSERT INTO counted SELECT i, 'x' FROM generate_series(1, 4000, 2) i;
SELECT counts_agree(1, 99999), counts_agree(1, 10), counts_agree(999, 1002), counts_agree(1050, 1500);
SELECT skyvault_compact('counted');
SELECT counts_agree(1, 99999), counts_agree(1, 10), counts_agree(999, 1002), counts_agree(1050, 1500);

-- own changes, savepoints, truncation
BEGIN;
DELETE FROM counted WHERE k < 1000;
SELECT counts_agree(1, 99999);
SAVEPOINT s;
INSERT INTO counted VALUES (1, 'own'), (-1, 'own');
SELECT counts_agree(-10, 99999);
ROLLBACK TO s;
SELECT counts_agree(-10, 99999);
TRUNCATE counted;
SELECT counts_agree(-10, 99999);
INSERT INTO counted VALUES (1, 'own'), (-1, 'own');
SELECT counts_agree(-10, 99999);
ROLLBACK;
SELECT counts_agree(-10, 99999);

-- what expires: not yet, some, all
CREATE FOREIGN TABLE count_kv (key text COLLATE "C", value text) SERVER count_vault;
SELECT skyvault_put('count_kv', 'lasts', 'v');
SELECT skyvault_put('count_kv', 'long', 'v', '1 day');
SELECT skyvault_put('count_kv', 'gone', 'v', '1 microsecond');
SELECT count(*) FROM count_kv;
SELECT skyvault_flush('count_vault') > 0 AS flushed;
SELECT count(*) FROM count_kv;
SELECT count(*) FROM count_kv WHERE key >= 'l';
SELECT skyvault_put('count_kv', 'lasts', 'v', '1 microsecond');
SELECT skyvault_put('count_kv', 'gone', 'v');
SELECT count(*) FROM count_kv;

-- SERIALIZABLE reads the delta as well
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT count(*) FROM counted WHERE k < 100;
SELECT count(*) > 0 AS locked FROM pg_locks WHERE mode = 'SIReadLock' AND relation IN
	('skyvault.delta'::regclass, (SELECT indexrelid FROM pg_index WHERE indrelid = 'skyvault.delta'::regclass LIMIT 1));
ROLLBACK;

-- composite keys, several ranges; plans that are kept; counts for each row of another table
INSERT INTO counted_two SELECT a, b, c, a || b || c FROM generate_series(1, 4) a, unnest('{"",x,xa,xb,y}'::text[]) b, generate_series(1, 3) c;
SELECT count(*) FROM counted_two WHERE a IN (4, 2, 4, 9) AND b ^@ 'x';
SELECT count(*) FROM counted_two WHERE a = 3 AND (b, c) > ('x', 2);
SELECT count(*) FROM counted_two WHERE (a, b, c) = (3, 'x', 2);
PREPARE count_between(int, bigint) AS SELECT count(*) FROM counted WHERE k >= $1 AND k < $2;
SET plan_cache_mode = force_generic_plan;
EXECUTE count_between(1, 10);
EXECUTE count_between(1, 30000000000);
EXECUTE count_between(NULL, 10);
EXPLAIN (COSTS OFF) EXECUTE count_between(1, 10);
RESET plan_cache_mode;
SELECT a, (SELECT count(*) FROM counted_two t WHERE t.a = o.a AND t.b >= 'xa') FROM generate_series(1, 5) AS o (a);
DO $$
DECLARE
	found bigint[];
BEGIN
	FOR i IN 1..7 LOOP
		found := found || (SELECT count(*) FROM counted_two WHERE a < i);
	END LOOP;
	RAISE NOTICE '%', found;
END
$$;
BEGIN;
DECLARE count_cursor SCROLL CURSOR FOR SELECT count(*) FROM counted_two;
DELETE FROM counted_two WHERE a = 1;
FETCH count_cursor;
FETCH count_cursor;
FETCH PRIOR count_cursor;
ROLLBACK;

-- privileges, and partitions, which are counted one after the other
CREATE ROLE count_nobody;
SET ROLE count_nobody;
SELECT count(*) FROM counted;
RESET ROLE;
DROP ROLE count_nobody;
CREATE TABLE count_parted (k int, v text) PARTITION BY RANGE (k);
CREATE FOREIGN TABLE count_part PARTITION OF count_parted FOR VALUES FROM (1) TO (10) SERVER count_vault OPTIONS (key 'k');
INSERT INTO count_parted SELECT i FROM generate_series(1, 9) i;
SELECT count(*) FROM count_parted;
CREATE FOREIGN TABLE count_child () INHERITS (counted) SERVER count_vault OPTIONS (key 'k');
INSERT INTO count_child VALUES (1, 'child');
SELECT (SELECT count(*) FROM counted) - (SELECT count(*) FROM ONLY counted) AS of_child;

DROP FUNCTION counts_agree;
DROP TABLE count_parted;
DROP FOREIGN TABLE counted, count_child, counted_two, count_kv;
SET client_min_messages = warning;
DROP SERVER count_vault;
