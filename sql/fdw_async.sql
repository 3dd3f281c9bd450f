-- Scans below one Append that are read together: option async_capable.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS skyvault;
RESET client_min_messages;
SET max_parallel_workers_per_gather = 0;
CREATE SERVER async_a FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:async_a', async_capable 'on');
CREATE SERVER async_b FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:async_b', async_capable 'true');
CREATE TABLE async_t (id integer, v text) PARTITION BY LIST ((id % 3));
CREATE FOREIGN TABLE async_0 PARTITION OF async_t FOR VALUES IN (0) SERVER async_a OPTIONS (key 'id');
CREATE FOREIGN TABLE async_1 PARTITION OF async_t FOR VALUES IN (1) SERVER async_b OPTIONS (key 'id');
CREATE TABLE async_2 PARTITION OF async_t FOR VALUES IN (2);
INSERT INTO async_t SELECT n, 'v' || n FROM generate_series(1, 3000) AS n;
SELECT skyvault_flush() > 0 AS flushed;
UPDATE async_t SET v = 'in the delta' WHERE id % 10 = 0;
ANALYZE async_2;

-- ---------------------------------------------------------------- plans
EXPLAIN (COSTS off) SELECT * FROM async_t;
EXPLAIN (COSTS off) SELECT id FROM async_0 WHERE id < 10 UNION ALL SELECT id FROM async_1 WHERE id IN (1, 4);
EXPLAIN (COSTS off) SELECT * FROM async_t ORDER BY id;
EXPLAIN (COSTS off) SELECT * FROM async_0;
EXPLAIN (COSTS off) SELECT * FROM async_t FOR UPDATE;
EXPLAIN (COSTS off) DELETE FROM async_t;
SET enable_async_append = off;
EXPLAIN (COSTS off) SELECT * FROM async_t;
RESET enable_async_append;
ALTER FOREIGN TABLE async_1 OPTIONS (ADD async_capable 'off');
EXPLAIN (COSTS off) SELECT * FROM async_t;
ALTER FOREIGN TABLE async_1 OPTIONS (DROP async_capable);
ALTER FOREIGN TABLE async_1 OPTIONS (ADD async_capable 'sometimes');

-- Rows are counted once; what was read together is counted somewhere.
CREATE FUNCTION async_explained(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off, BUFFERS off) ' || statement LOOP
		IF line ~ '(Append|Async|Keys|Key Ranges)' THEN
			RETURN NEXT regexp_replace(line, 'rows=(\d+)\.00 ', 'rows=\1 ');
		END IF;
	END LOOP;
END $$;
SELECT async_explained('SELECT * FROM async_t WHERE id IN (3, 4, 5, 6, 7)');
SELECT async_explained('SELECT * FROM async_t WHERE id < 100');
DROP FUNCTION async_explained;

-- ---------------------------------------------------------------- rows
SELECT count(*), sum(id), count(*) FILTER (WHERE v = 'in the delta') FROM async_t;
SELECT id, v FROM async_t WHERE id IN (9, 10, 11, 12, 4000) ORDER BY id;
SELECT count(*) FROM (SELECT id FROM async_t LIMIT 7) AS l;
SELECT n, (SELECT count(*) || ' ' || sum(id) FROM async_t WHERE id BETWEEN n AND n + 5) FROM generate_series(1, 3000, 1000) AS n;
SELECT count(*), sum(a.id) FROM async_t AS a, LATERAL (SELECT id FROM async_t AS b WHERE b.id = a.id + 1 OFFSET 0) AS b WHERE a.id < 20;
SELECT count(*) FROM async_t AS a JOIN async_t AS b USING (v) WHERE a.id < 50;
-- What was looked up together goes when it is read again.
BEGIN;
DECLARE c CURSOR FOR SELECT n, (SELECT count(*) FROM async_t WHERE id IN (n, n + 1, n + 2)) FROM generate_series(1, 1000) AS n;
MOVE 500 FROM c;
FETCH 1 FROM c;
SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'skyvault lookup for siblings';
CLOSE c;
SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'skyvault lookup for siblings';
COMMIT;
PREPARE async_q(integer) AS SELECT count(*) FROM async_t WHERE id <= $1;
EXECUTE async_q(10);
EXECUTE async_q(20);
SET plan_cache_mode = force_generic_plan;
EXECUTE async_q(30);
RESET plan_cache_mode;

-- ---------------------------------------------------------------- amid it
BEGIN;
DECLARE a SCROLL CURSOR FOR SELECT id FROM async_t WHERE id < 100;
DECLARE b CURSOR FOR SELECT id FROM async_t;
MOVE 3 FROM a;
MOVE 1 FROM b;
INSERT INTO async_t SELECT n, 'own' FROM generate_series(4000, 4010) AS n;
SELECT count(*) FROM async_t WHERE v = 'own';
MOVE BACKWARD ALL FROM a;
MOVE ALL FROM a;
SAVEPOINT s;
SELECT 1 / (id - 50) FROM async_t;
ROLLBACK TO s;
MOVE 10 FROM b;
CLOSE b;
SELECT count(*) FROM async_t;
ROLLBACK;
SELECT count(*) FROM async_t;

SET client_min_messages = warning;
DROP TABLE async_t;
DROP SERVER async_a;
DROP SERVER async_b;
