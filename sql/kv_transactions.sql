--
-- Transactions: a write is seen by its own transaction from the next command
-- on, by others after COMMIT, and never after a rollback.
--
\pset null '<null>'
SELECT skyvault_flush() >= 0 AS drained;
SELECT skyvault_create_table('kv');
SELECT skyvault_create_table('kv_index');
SELECT skyvault_multi_put('kv', ARRAY['run', 'both', 'gone'], ARRAY['in run', 'in run', 'in run']);
SELECT skyvault_flush();
SELECT skyvault_multi_put('kv', ARRAY['both', 'delta'], ARRAY['in delta', 'in delta']);
SELECT skyvault_delete('kv', 'gone');

-- ---------------------------------------------------------------- rollback
BEGIN;
SELECT skyvault_multi_put('kv', ARRAY['run', 'both', 'delta', 'gone', 'new'], ARRAY['mine', 'mine', 'mine', 'mine', 'mine']);
SELECT * FROM skyvault_scan('kv');
SELECT skyvault_delete('kv', k) FROM unnest(ARRAY['run', 'both']) AS k;
SELECT * FROM skyvault_scan('kv');
SELECT * FROM skyvault_multi_get('kv', ARRAY['run', 'both', 'delta', 'gone', 'new']);
ROLLBACK;
SELECT * FROM skyvault_scan('kv');
SELECT skyvault_flush();
SELECT * FROM skyvault_scan('kv');

-- after an error
BEGIN;
SELECT skyvault_put('kv', 'run', 'mine');
SELECT 1 / 0;
SELECT skyvault_get('kv', 'run');
COMMIT;
SELECT skyvault_get('kv', 'run');

-- the first write to a table, rolled back and done again
BEGIN;
SELECT skyvault_put('kv_index', 'a', 'never');
ROLLBACK;
SELECT skyvault_get('kv_index', 'a');
SELECT skyvault_put('kv_index', 'a', 'now');
SELECT skyvault_get('kv_index', 'a');
-- a table that is rolled back itself
BEGIN;
SELECT skyvault_create_table('kv_temporary');
SELECT skyvault_put('kv_temporary', 'a', '1');
SELECT skyvault_get('kv_temporary', 'a');
ROLLBACK;
SELECT to_regclass('kv_temporary');
-- dropped, and not dropped
BEGIN;
DROP FOREIGN TABLE kv_index;
ROLLBACK;
SELECT skyvault_get('kv_index', 'a');

-- ---------------------------------------------------------------- savepoints
BEGIN;
SELECT skyvault_put('kv', 'run', 'first');
SAVEPOINT one;
SELECT skyvault_put('kv', 'run', 'second');
SELECT skyvault_put('kv', 'new', 'second');
SAVEPOINT two;
SELECT skyvault_delete('kv', 'run');
SELECT skyvault_get('kv', 'run'), skyvault_get('kv', 'new');
ROLLBACK TO two;
SELECT skyvault_get('kv', 'run'), skyvault_get('kv', 'new');
RELEASE two;
SELECT skyvault_get('kv', 'run'), skyvault_get('kv', 'new');
ROLLBACK TO one;
SELECT skyvault_get('kv', 'run'), skyvault_get('kv', 'new');
SELECT skyvault_put('kv', 'both', 'after the savepoint');
COMMIT;
SELECT * FROM skyvault_scan('kv');
SELECT skyvault_flush();
SELECT * FROM skyvault_scan('kv');

-- a savepoint that made a table's identity
SELECT skyvault_create_table('kv_late');
BEGIN;
SAVEPOINT one;
SELECT skyvault_put('kv_late', 'a', 'never');
ROLLBACK TO one;
SELECT skyvault_get('kv_late', 'a');
SELECT skyvault_put('kv_late', 'b', 'now');
COMMIT;
SELECT * FROM skyvault_scan('kv_late');

-- exceptions in plpgsql are savepoints
DO $$
BEGIN
	PERFORM skyvault_put('kv', 'outer', 'stays');
	BEGIN
		PERFORM skyvault_put('kv', 'inner', 'goes');
		PERFORM skyvault_put('kv', 'outer', 'goes');
		RAISE division_by_zero;
	EXCEPTION WHEN division_by_zero THEN
		PERFORM skyvault_put('kv', 'handler', skyvault_get('kv', 'outer'));
	END;
END $$;
SELECT * FROM skyvault_multi_get('kv', ARRAY['outer', 'inner', 'handler']);

-- ---------------------------------------------------------------- two tables in one transaction
BEGIN;
SELECT skyvault_put('kv', 'user:1', 'ann');
SELECT skyvault_put('kv_index', 'ann', 'user:1');
ROLLBACK;
SELECT * FROM skyvault_multi_get(ARRAY['kv', 'kv_index']::regclass[], ARRAY['user:1', 'ann']);
BEGIN;
SELECT skyvault_put('kv', 'user:1', 'ann');
SELECT skyvault_put('kv_index', 'ann', 'user:1');
SELECT * FROM skyvault_multi_get(ARRAY['kv', 'kv_index']::regclass[], ARRAY['user:1', 'ann']);
COMMIT;
SELECT * FROM skyvault_multi_get(ARRAY['kv', 'kv_index']::regclass[], ARRAY['user:1', 'ann']);
SELECT skyvault_flush();
SELECT * FROM skyvault_multi_get(ARRAY['kv', 'kv_index']::regclass[], ARRAY['user:1', 'ann']);
-- and a plain table with them
CREATE TABLE plain (key text PRIMARY KEY, value text);
INSERT INTO plain VALUES ('user:1', 'ann');
BEGIN;
UPDATE plain SET value = 'bob';
SELECT skyvault_put('kv', 'user:1', 'bob');
SELECT skyvault_delete('kv_index', 'ann');
SELECT skyvault_put('kv_index', 'bob', 'user:1');
INSERT INTO plain VALUES ('user:1', 'conflict');
COMMIT;
SELECT p.value, skyvault_get('kv', p.key), skyvault_get('kv_index', 'ann') AS ann, skyvault_get('kv_index', 'bob') AS bob FROM plain AS p;

-- ---------------------------------------------------------------- seen from the next command on
-- A STABLE function has its statement's snapshot, of before the put beside it.
SELECT skyvault_put('kv', 'step', '1');
SELECT skyvault_get('kv', 'step') AS before, skyvault_put('kv', 'step', '2') IS NOT NULL AS put, skyvault_get('kv', 'step') AS still_before;
SELECT skyvault_get('kv', 'step') AS next_command;
WITH written AS MATERIALIZED (SELECT skyvault_put('kv', 'step', '3'))
SELECT skyvault_get('kv', 'step') FROM written;
SELECT skyvault_get('kv', 'step');
DO $$
BEGIN
	FOR i IN 1..100 LOOP
		PERFORM skyvault_put('kv', 'step', (skyvault_get('kv', 'step')::int + 1)::text);
	END LOOP;
END $$;
SELECT skyvault_get('kv', 'step');

-- the same under REPEATABLE READ and SERIALIZABLE
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT skyvault_put('kv', 'step', 'repeatable');
SELECT skyvault_put('kv', 'run', 'repeatable');
SELECT skyvault_delete('kv', 'both');
SELECT skyvault_put('kv', 'step', skyvault_get('kv', 'step') || ' read');
SAVEPOINT one;
SELECT skyvault_multi_put('kv', ARRAY['run', 'new'], ARRAY['lost', 'lost']);
SELECT skyvault_get('kv', 'run', for_update => true);
ROLLBACK TO one;
SELECT * FROM skyvault_multi_get('kv', ARRAY['step', 'run', 'both', 'new']);
COMMIT;
SELECT * FROM skyvault_multi_get('kv', ARRAY['step', 'run', 'both', 'new']);
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT skyvault_put('kv', 'step', skyvault_get('kv', 'step', for_update => true) || ' twice');
SELECT skyvault_delete('kv', 'run');
SELECT * FROM skyvault_scan('kv', 'r', 't');
COMMIT;
SELECT * FROM skyvault_scan('kv', 'r', 't');

-- ---------------------------------------------------------------- locking a key leaves no trace
SELECT skyvault_flush() > 0 AS flushed;
BEGIN;
SELECT skyvault_get('kv', 'step', for_update => true), skyvault_get('kv', 'never', for_update => true);
SELECT skyvault_get('kv', 'step'), skyvault_exists('kv', 'never');
SELECT * FROM skyvault_scan('kv', 'n', 'o');
COMMIT;
SELECT skyvault_get('kv', 'step'), skyvault_exists('kv', 'never');
SELECT kind, count(*) FROM skyvault.delta GROUP BY kind;
-- a flush drops claims and writes nothing
SELECT skyvault_flush();
SELECT kind, count(*) FROM skyvault.delta GROUP BY kind;
SELECT skyvault_get('kv', 'step'), skyvault_exists('kv', 'never');
-- a lock that turns into a put, and into a delete
BEGIN;
SELECT skyvault_put('kv', 'step', skyvault_get('kv', 'step', for_update => true) || ' locked');
COMMIT;
SELECT skyvault_get('kv', 'step');

-- ---------------------------------------------------------------- cursors over flushes
SELECT skyvault_flush() >= 0 AS drained;
SELECT skyvault_multi_put('kv_late', array_agg('c' || i), array_agg('old ' || i)) FROM generate_series(1, 6) AS i;
BEGIN;
DECLARE gets CURSOR FOR SELECT k, skyvault_get('kv_late', k) FROM unnest(ARRAY['c1', 'c2', 'c3', 'c4', 'c5', 'c6']) AS k;
DECLARE scans CURSOR FOR SELECT * FROM skyvault_scan('kv_late', 'c', 'd');
FETCH 2 FROM gets;
FETCH 2 FROM scans;
SELECT skyvault_flush();
FETCH 1 FROM gets;
FETCH 1 FROM scans;
-- a cursor does not see what is written after it was opened
SELECT skyvault_multi_put('kv_late', array_agg('c' || i), array_agg('new ' || i)) FROM generate_series(1, 6) AS i;
SELECT skyvault_delete('kv_late', 'c4');
FETCH 2 FROM gets;
FETCH 2 FROM scans;
COMMIT;
SELECT * FROM skyvault_scan('kv_late', 'c', 'd');
-- held over the end of its transaction
BEGIN;
DECLARE held CURSOR WITH HOLD FOR SELECT k, skyvault_get('kv_late', k) FROM unnest(ARRAY['c1', 'c2', 'c3']) AS k;
COMMIT;
FETCH 1 FROM held;
SELECT skyvault_multi_put('kv_late', ARRAY['c1', 'c2', 'c3'], ARRAY['newest', 'newest', 'newest']);
SELECT skyvault_flush() >= 3 AS flushed;
FETCH 2 FROM held;
CLOSE held;

-- ---------------------------------------------------------------- procedures that commit
CREATE PROCEDURE put_and_commit() LANGUAGE plpgsql AS $$
BEGIN
	PERFORM skyvault_put('kv_late', 'p', 'committed');
	COMMIT;
	PERFORM skyvault_flush();
	PERFORM skyvault_put('kv_late', 'p', 'rolled back');
	ROLLBACK;
	PERFORM skyvault_put('kv_late', 'q', skyvault_get('kv_late', 'p'));
END $$;
CALL put_and_commit();
SELECT * FROM skyvault_scan('kv_late', 'p', 'r');

DROP PROCEDURE put_and_commit;
DROP FOREIGN TABLE kv, kv_index, kv_late;
DROP TABLE plain;
