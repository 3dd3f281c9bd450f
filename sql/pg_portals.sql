--
-- Cursors, after the shapes of Postgres's own test "portals".
--
\getenv srcdir PG_ABS_SRCDIR
\set twins :srcdir '/test/tools/twins.sql'
\set ECHO none
\i :twins
\set ECHO all

CALL make_onek('po');

-- ---------------------------------------------------------------- many at once, forward and backward
BEGIN;
DECLARE foo1 SCROLL CURSOR FOR SELECT unique1 FROM po ORDER BY unique1;
DECLARE foo2 SCROLL CURSOR FOR SELECT unique1, stringu FROM po WHERE unique1 BETWEEN 10 AND 14 ORDER BY unique1 DESC;
DECLARE foo3 NO SCROLL CURSOR FOR SELECT unique1 FROM po WHERE unique1 IN (1, 2, 3);
DECLARE foo4 CURSOR FOR SELECT count(*) FROM po;
FETCH 1 IN foo1;
FETCH 2 IN foo2;
FETCH 3 FROM foo1;
FETCH ALL FROM foo3;
FETCH FORWARD 2 FROM foo2;
FETCH BACKWARD 2 FROM foo1;
FETCH PRIOR FROM foo1;
FETCH PRIOR FROM foo1;
FETCH ABSOLUTE 500 FROM foo1;
FETCH RELATIVE -3 FROM foo1;
FETCH RELATIVE 0 FROM foo1;
FETCH LAST FROM foo1;
FETCH FIRST FROM foo1;
FETCH ABSOLUTE -2 FROM foo1;
MOVE BACKWARD ALL IN foo1;
FETCH FORWARD 2 FROM foo1;
MOVE FORWARD 10 IN foo1;
FETCH NEXT FROM foo1;
FETCH BACKWARD ALL FROM foo2;
FETCH ALL FROM foo2;
FETCH ALL FROM foo4;
SELECT name, is_holdable, is_scrollable FROM pg_cursors ORDER BY name;
SAVEPOINT s;
FETCH BACKWARD 1 FROM foo3;
ROLLBACK TO s;
CLOSE foo1;
SAVEPOINT s;
FETCH 1 IN foo1;
ROLLBACK TO s;
CLOSE ALL;
SELECT count(*) FROM pg_cursors;
END;

-- ---------------------------------------------------------------- what a cursor sees
BEGIN;
DECLARE seen CURSOR FOR SELECT unique1, stringu FROM po WHERE unique1 < 4 ORDER BY unique1;
FETCH 1 FROM seen;
UPDATE po SET stringu = 'changed' WHERE unique1 < 4;
DELETE FROM po WHERE unique1 = 2;
INSERT INTO po (unique1) VALUES (-1);
SELECT unique1, stringu FROM po WHERE unique1 < 4 ORDER BY unique1;
FETCH ALL FROM seen;
ROLLBACK;

-- ---------------------------------------------------------------- WITH HOLD, and after a flush, a DROP
BEGIN;
DECLARE held SCROLL CURSOR WITH HOLD FOR SELECT unique1 FROM po ORDER BY unique1;
FETCH 2 FROM held;
COMMIT;
DELETE FROM po WHERE unique1 = 3;
SELECT skyvault_flush() >= 0 AS flushed;
FETCH 3 FROM held;
FETCH BACKWARD 2 FROM held;
CLOSE held;
INSERT INTO po SELECT * FROM po_heap WHERE unique1 = 3;
BEGIN;
DECLARE held CURSOR WITH HOLD FOR SELECT 1 / (unique1 - 2) FROM po WHERE unique1 < 4 ORDER BY unique1;
FETCH 1 FROM held;
COMMIT;
SELECT name FROM pg_cursors;
BEGIN;
DECLARE used CURSOR FOR SELECT unique1 FROM po;
FETCH 1 FROM used;
DROP FOREIGN TABLE po;
ROLLBACK;

-- ---------------------------------------------------------------- rows of subtransactions, errors inside
BEGIN;
SAVEPOINT one;
INSERT INTO po (unique1, stringu) VALUES (5000, 'inside');
DECLARE inside CURSOR FOR SELECT stringu FROM po WHERE unique1 >= 5000;
SAVEPOINT two;
FETCH 1 FROM inside;
ROLLBACK TO two;
FETCH ALL FROM inside;
ROLLBACK TO one;
FETCH 1 FROM inside;
ROLLBACK;
BEGIN;
DECLARE bad CURSOR FOR SELECT 10 / (unique1 - 2) FROM po WHERE unique1 < 4 ORDER BY unique1;
FETCH 2 FROM bad;
SAVEPOINT s;
FETCH 1 FROM bad;
ROLLBACK TO s;
FETCH 1 FROM bad;
ROLLBACK;

-- ---------------------------------------------------------------- FOR UPDATE, and what there is no row for
BEGIN;
DECLARE locked CURSOR FOR SELECT unique1 FROM po WHERE unique1 IN (1, 2) FOR UPDATE;
FETCH ALL FROM locked;
SAVEPOINT s;
UPDATE po SET stringu = 'x' WHERE CURRENT OF locked;
ROLLBACK TO s;
DELETE FROM po WHERE CURRENT OF locked;
ROLLBACK;

-- ---------------------------------------------------------------- in PL/pgSQL
CREATE FUNCTION po_walk(step int) RETURNS SETOF int LANGUAGE plpgsql AS $$
DECLARE
	c SCROLL CURSOR (low int) FOR SELECT unique1 FROM po WHERE unique1 >= low ORDER BY unique1;
	ref refcursor := 'po_ref';
	u int;
BEGIN
	OPEN c (990);
	LOOP
		FETCH RELATIVE step FROM c INTO u;
		EXIT WHEN NOT FOUND;
		RETURN NEXT u;
	END LOOP;
	CLOSE c;
	FOR u IN SELECT unique1 FROM po WHERE unique1 < 3 ORDER BY unique1 DESC LOOP
		RETURN NEXT u;
	END LOOP;
	OPEN ref FOR SELECT unique1 FROM po WHERE unique1 = 77;
END $$;
BEGIN;
SELECT po_walk(4);
FETCH ALL FROM po_ref;
COMMIT;
SELECT same('SELECT * FROM {po}');

DROP FUNCTION po_walk;
DROP TABLE po_heap;
DROP FOREIGN TABLE po;
