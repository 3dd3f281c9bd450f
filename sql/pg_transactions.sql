--
-- Transactions, after the shapes of Postgres's own test "transactions".
--
\getenv srcdir PG_ABS_SRCDIR
\set twins :srcdir '/test/tools/twins.sql'
\set ECHO none
\i :twins
\set ECHO all

CALL twin('tx', 'a int NOT NULL, b text', 'a');

-- ---------------------------------------------------------------- commit, roll back, and errors
BEGIN;
SELECT does('INSERT INTO {tx} VALUES (1, ''kept''), (2, ''kept'')');
END;
BEGIN;
SELECT does('DELETE FROM {tx}'), does('INSERT INTO {tx} VALUES (3, ''gone'')'), same('SELECT * FROM {tx}');
ABORT;
BEGIN;
DELETE FROM tx;
SELECT * FROM nowhere;
SELECT count(*) FROM tx;
COMMIT;
SELECT same('SELECT * FROM {tx}');

-- ---------------------------------------------------------------- READ ONLY
START TRANSACTION READ ONLY;
SELECT count(*) FROM tx;
SAVEPOINT s;
INSERT INTO tx VALUES (4, 'no');
ROLLBACK TO s;
UPDATE tx SET b = 'no';
ROLLBACK TO s;
DELETE FROM tx;
ROLLBACK TO s;
SELECT * FROM tx WHERE a = 1 FOR UPDATE;
ROLLBACK TO s;
COPY tx FROM '/dev/null';
ROLLBACK TO s;
TRUNCATE tx;
COMMIT;
SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY;
DELETE FROM tx WHERE a = 1;
BEGIN READ WRITE;
DELETE FROM tx WHERE a = 1;
ROLLBACK;
SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE;

-- ---------------------------------------------------------------- nested
CREATE FUNCTION tx_steps(statements text[]) RETURNS text LANGUAGE plpgsql AS
	$$ BEGIN RETURN array_to_string(ARRAY(SELECT does(s) FROM unnest(statements) WITH ORDINALITY AS u (s, n) ORDER BY n), ', '); END $$;
BEGIN;
SELECT does('INSERT INTO {tx} VALUES (10, ''outer'')');
SAVEPOINT one;
SELECT tx_steps(ARRAY['INSERT INTO {tx} VALUES (11, ''one'')', 'UPDATE {tx} SET b = ''one'' WHERE a = 10']);
RELEASE one;
SAVEPOINT two;
SELECT tx_steps(ARRAY['DELETE FROM {tx} WHERE a = 11', 'UPDATE {tx} SET b = ''two'' WHERE a = 10', 'INSERT INTO {tx} VALUES (12, ''two'')']);
SAVEPOINT three;
SELECT tx_steps(ARRAY['INSERT INTO {tx} VALUES (11, ''three'')', 'UPDATE {tx} SET a = 13 WHERE a = 12']), same('SELECT * FROM {tx}');
ROLLBACK TO three;
SELECT same('SELECT * FROM {tx}');
SELECT does('UPDATE {tx} SET b = b || ''!'' WHERE a >= 10');
RELEASE three;
SELECT same('SELECT * FROM {tx}');
ROLLBACK TO two;
SELECT same('SELECT * FROM {tx}');
SAVEPOINT two;
SAVEPOINT two;
SELECT does('INSERT INTO {tx} VALUES (14, ''twice'')');
ROLLBACK TO two;
RELEASE two;
SELECT does('INSERT INTO {tx} VALUES (15, ''kept'')');
COMMIT;
SELECT same('SELECT * FROM {tx}');
SELECT * FROM tx ORDER BY a;

-- ---------------------------------------------------------------- subtransactions of PL/pgSQL
CREATE FUNCTION tx_caught(n int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	caught int := 0;
BEGIN
	FOR i IN 1..n LOOP
		BEGIN
			PERFORM does(format('INSERT INTO {tx} VALUES (%s, ''try'')', 100 + i));
			IF i % 3 = 0 THEN
				PERFORM 1 / (i - i);
			END IF;
		EXCEPTION WHEN division_by_zero THEN
			caught := caught + 1;
		END;
	END LOOP;
	RETURN caught;
END $$;
SELECT tx_caught(100), same('SELECT * FROM {tx}');
SELECT same('SELECT * FROM {tx}');

-- ---------------------------------------------------------------- AND CHAIN, several statements in one message
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT does('INSERT INTO {tx} VALUES (300, ''chained'')');
COMMIT AND CHAIN;
SHOW transaction_isolation;
SELECT does('INSERT INTO {tx} VALUES (301, ''chained'')');
ROLLBACK AND CHAIN;
SELECT same('SELECT * FROM {tx} WHERE a >= 300');
COMMIT;
INSERT INTO tx VALUES (310, 'implicit')\; SELECT 1 / 0;
SELECT count(*) FROM tx WHERE a = 310;
INSERT INTO tx VALUES (311, 'implicit')\; BEGIN\; INSERT INTO tx VALUES (312, 'explicit')\; COMMIT;
INSERT INTO tx VALUES (313, 'one')\; COMMIT\; SELECT 1 / 0;
SELECT a FROM tx WHERE a >= 310 ORDER BY a;
DELETE FROM tx WHERE a >= 310;

-- ---------------------------------------------------------------- procedures that commit
CREATE PROCEDURE tx_commits() LANGUAGE plpgsql AS $$
DECLARE
	r record;
BEGIN
	FOR r IN SELECT a FROM tx WHERE a BETWEEN 100 AND 120 ORDER BY a LOOP
		PERFORM does(format('UPDATE {tx} SET b = ''done'' WHERE a = %s', r.a));
		IF r.a % 2 = 0 THEN COMMIT; ELSE ROLLBACK; END IF;
	END LOOP;
END $$;
CALL tx_commits();
SELECT same('SELECT * FROM {tx}');
SELECT count(*) FROM tx WHERE b = 'done';

-- ---------------------------------------------------------------- deferred constraints of others, at the end
CREATE TABLE tx_parent (a int PRIMARY KEY);
CREATE TABLE tx_child (a int REFERENCES tx_parent DEFERRABLE INITIALLY DEFERRED);
BEGIN;
INSERT INTO tx VALUES (400, 'never');
INSERT INTO tx_child VALUES (1);
COMMIT;
SELECT count(*) FROM tx WHERE a = 400;
-- A temporary function that looks at what the transaction has written.
CREATE FUNCTION tx_count() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM tx';
CREATE FUNCTION tx_count_now() RETURNS bigint LANGUAGE sql VOLATILE AS 'SELECT count(*) FROM tx';
SELECT tx_count() = tx_count_now() AS same;
WITH w AS (INSERT INTO tx SELECT 500 + n, 'w' FROM generate_series(1, 3) AS n RETURNING a, tx_count() AS stable)
	SELECT max(stable) = (SELECT count(*) FROM tx) AS "a statement does not see itself" FROM w;

DROP FUNCTION tx_steps, tx_caught, tx_count, tx_count_now;
DROP PROCEDURE tx_commits;
DROP TABLE tx_child, tx_parent, tx_heap;
DROP FOREIGN TABLE tx;
