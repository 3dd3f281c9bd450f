-- Scans that several processes share: what is shared and what is not, and that nothing is
-- lost or found twice, with rows in runs, in the delta, and of the transaction itself.
SELECT skyvault_pause();
SET search_path = public;
SELECT skyvault_flush() >= 0 AS flushed;
VACUUM ANALYZE skyvault.delta;
SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET max_parallel_workers_per_gather = 2;
SET jit = off;

CREATE FOREIGN TABLE par_t (id integer, grp integer, v text) SERVER skyvault OPTIONS (key 'id');
CREATE TABLE par_plain (id integer PRIMARY KEY, grp integer, v text);
-- The same statement for both tables.
CREATE PROCEDURE par_both(statement text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format(statement, 'par_t');
	EXECUTE format(statement, 'par_plain');
END $$;
-- Both answers to a query, if they differ; and whether the plan for the foreign table is shared.
CREATE FUNCTION par_same(query text) RETURNS TABLE (same boolean, shared boolean) LANGUAGE plpgsql AS $$
DECLARE
	line text;
	mine text;
	theirs text;
BEGIN
	shared := false;
	FOR line IN EXECUTE 'EXPLAIN (COSTS off) ' || format(query, 'par_t') LOOP
		shared := shared OR line LIKE '%Parallel Foreign Scan%';
	END LOOP;
	EXECUTE 'SELECT array_agg(r::text ORDER BY r::text COLLATE "C")::text FROM (' || format(query, 'par_t') || ') AS r' INTO mine;
	EXECUTE 'SELECT array_agg(r::text ORDER BY r::text COLLATE "C")::text FROM (' || format(query, 'par_plain') || ') AS r' INTO theirs;
	same := mine IS NOT DISTINCT FROM theirs;
	RETURN NEXT;
END $$;

-- A table without anything, and one that is in the delta alone.
SELECT * FROM par_same('SELECT count(*) FROM %s');
CALL par_both('INSERT INTO %s SELECT n, n %% 7, ''a'' || n FROM generate_series(1, 3000) AS n');
SELECT * FROM par_same('SELECT * FROM %s');
SELECT skyvault_flush() > 0 AS flushed;
CALL par_both('DELETE FROM %s WHERE id BETWEEN 500 AND 900 OR id %% 13 = 0');
CALL par_both('UPDATE %s SET v = ''b'' || id WHERE id %% 3 = 0');
SELECT skyvault_flush() > 0 AS flushed;
CALL par_both('UPDATE %s SET v = ''c'' || id WHERE id %% 5 = 0');
CALL par_both('DELETE FROM %s WHERE id > 2900');

-- Plans, with one worker, for how many there are depends on how many there could be.
SET max_parallel_workers_per_gather = 1;
EXPLAIN (COSTS off) SELECT * FROM par_t;
EXPLAIN (COSTS off) SELECT count(v), sum(length(v)) FROM par_t WHERE id > 100;
EXPLAIN (COSTS off) SELECT id FROM par_t WHERE id BETWEEN 100 AND 2000 AND grp = 3;
EXPLAIN (COSTS off) SELECT * FROM par_t WHERE id = 5;
EXPLAIN (COSTS off) SELECT * FROM par_t ORDER BY id LIMIT 3;
EXPLAIN (COSTS off) SELECT * FROM par_t FOR UPDATE;
EXPLAIN (COSTS off) UPDATE par_t SET grp = 1 WHERE grp = 2;

SET max_parallel_workers_per_gather = 2;

-- Answers.
SELECT * FROM par_same('SELECT * FROM %s');
SELECT * FROM par_same('SELECT id, v FROM %s WHERE id > 1000');
SELECT * FROM par_same('SELECT id FROM %s WHERE id BETWEEN 450 AND 950');
SELECT * FROM par_same('SELECT * FROM %s WHERE grp IN (2, 3) AND id < 2500');
SELECT * FROM par_same('SELECT grp, count(*), min(v), max(v) FROM %s GROUP BY grp');
SELECT * FROM par_same('SELECT count(*) FROM %1$s AS a JOIN %1$s AS b ON a.grp = b.grp AND a.id < 200 AND b.id < 200');
SELECT * FROM par_same('SELECT * FROM %s WHERE id < (SELECT 700)');
SELECT * FROM par_same('SELECT * FROM %s WHERE id > (SELECT 100000)');
SELECT count(*) FROM (SELECT id FROM par_t LIMIT 10) AS few;

-- Rescans, with a value that changes.
SELECT n, (SELECT count(*) FROM par_t WHERE id <= n * 500) AS mine, (SELECT count(*) FROM par_plain WHERE id <= n * 500) AS theirs
FROM generate_series(0, 3) AS n;
SET enable_material = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SELECT count(*) FROM (VALUES (1), (2), (3)) AS o(x) JOIN (SELECT DISTINCT grp FROM par_t) AS i ON i.grp >= o.x;
SELECT count(*) FROM (VALUES (1), (2), (3)) AS o(x) JOIN (SELECT DISTINCT grp FROM par_plain) AS i ON i.grp >= o.x;
RESET enable_material;
RESET enable_hashjoin;
RESET enable_mergejoin;

-- Cached plans and their parameters; cursors, which work without workers.
PREPARE par_range(integer, integer) AS SELECT count(*), min(id), max(id) FROM par_t WHERE id BETWEEN $1 AND $2;
SET plan_cache_mode = force_generic_plan;
SET max_parallel_workers_per_gather = 1;
EXPLAIN (COSTS off) EXECUTE par_range(1, 2);
EXECUTE par_range(10, 20);
EXECUTE par_range(1, 3000);
EXECUTE par_range(20, 10);
RESET plan_cache_mode;
BEGIN;
DECLARE c CURSOR FOR SELECT grp FROM par_t WHERE id < 1000;
FETCH 2 FROM c;
MOVE ALL FROM c;
COMMIT;

-- A composite key, whose ranges are many.
CREATE FOREIGN TABLE par_pair (a integer, b integer, v text) SERVER skyvault OPTIONS (key 'a, b');
INSERT INTO par_pair SELECT n / 50, n % 50, 'v' FROM generate_series(0, 4999) AS n;
SELECT skyvault_flush() > 0 AS flushed;
EXPLAIN (COSTS off) SELECT count(*), sum(b) FROM par_pair WHERE a = ANY ('{3,50,51,52,99}') AND b >= 10;
SET max_parallel_workers_per_gather = 2;
SELECT count(*), sum(b) FROM par_pair WHERE a = ANY ('{3,50,51,52,99}') AND b >= 10;
SELECT count(*), sum(a) FROM par_pair WHERE a = ANY (ARRAY(SELECT generate_series(0, 99, 2)));

-- What the transaction has changed itself, the leader's and the workers' alike.
SET parallel_leader_participation = off;
BEGIN;
CALL par_both('INSERT INTO %s SELECT n, 8, ''own'' FROM generate_series(5001, 6000) AS n');
CALL par_both('DELETE FROM %s WHERE id < 300');
SELECT * FROM par_same('SELECT * FROM %s');
SAVEPOINT s;
CALL par_both('UPDATE %s SET v = ''rolled back'' WHERE id < 1500');
SELECT * FROM par_same('SELECT * FROM %s');
ROLLBACK TO s;
SELECT * FROM par_same('SELECT * FROM %s');
SAVEPOINT s;
CALL par_both('TRUNCATE %s');
SELECT same FROM par_same('SELECT * FROM %s');
CALL par_both('INSERT INTO %s SELECT n, 9, ''after'' FROM generate_series(1, 1000, 7) AS n');
SELECT same FROM par_same('SELECT * FROM %s');
ROLLBACK TO s;
SELECT * FROM par_same('SELECT * FROM %s');
CALL par_both('TRUNCATE %s');
CALL par_both('INSERT INTO %s SELECT n, 9, ''after'' FROM generate_series(1, 1000, 3) AS n');
SELECT same FROM par_same('SELECT * FROM %s');
CREATE FOREIGN TABLE par_own (id integer, v text) SERVER skyvault OPTIONS (key 'id');
INSERT INTO par_own SELECT n, 'v' FROM generate_series(1, 100) AS n;
SELECT count(*) FROM par_own;
ROLLBACK;
SELECT * FROM par_same('SELECT * FROM %s');
BEGIN ISOLATION LEVEL REPEATABLE READ;
CALL par_both('DELETE FROM %s WHERE id %% 2 = 0');
SELECT * FROM par_same('SELECT * FROM %s');
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
CALL par_both('DELETE FROM %s WHERE id %% 2 = 1');
SELECT * FROM par_same('SELECT * FROM %s');
ROLLBACK;

-- Every scan in a worker.
RESET parallel_leader_participation;
SELECT set_config(CASE WHEN current_setting('server_version_num')::integer < 160000 THEN 'force_parallel_mode' ELSE 'debug_parallel_query' END,
                  'regress', false);
SELECT * FROM par_same('SELECT * FROM %s WHERE id IN (1, 2, 3)');
SELECT * FROM par_same('SELECT * FROM %s WHERE id = 4');
SELECT * FROM par_same('SELECT * FROM %s');
SELECT set_config(CASE WHEN current_setting('server_version_num')::integer < 160000 THEN 'force_parallel_mode' ELSE 'debug_parallel_query' END,
                  'off', false);

DEALLOCATE par_range;
DROP FUNCTION par_same;
DROP PROCEDURE par_both;
DROP TABLE par_plain;
DROP FOREIGN TABLE par_t, par_pair;
SELECT skyvault_resume();
