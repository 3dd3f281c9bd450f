--
-- Random changes of a table of foreign partitions, and the same of a heap: both
-- have the same rows after each of them, flushes and rollbacks in between.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS skyvault;
RESET client_min_messages;
CREATE SCHEMA fdw_random;
SET search_path = fdw_random, public;

CREATE TABLE p (k int NOT NULL, v text, n int, g int GENERATED ALWAYS AS (n * 2) STORED) PARTITION BY RANGE (k);
CREATE FOREIGN TABLE f1 PARTITION OF p FOR VALUES FROM (0) TO (100) SERVER skyvault OPTIONS (key 'k');
CREATE FOREIGN TABLE f2 (n int, gone text, v text, g int GENERATED ALWAYS AS (n * 2) STORED, k int NOT NULL)
	SERVER skyvault OPTIONS (key 'k', batch_size '7');
ALTER FOREIGN TABLE f2 DROP COLUMN gone;
ALTER TABLE p ATTACH PARTITION f2 FOR VALUES FROM (100) TO (200);
CREATE FOREIGN TABLE f3 PARTITION OF p FOR VALUES FROM (200) TO (300) SERVER skyvault OPTIONS (key 'k');
CREATE TABLE heap (k int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, v text, n int, g int GENERATED ALWAYS AS (n * 2) STORED);

CREATE FUNCTION a_number(below int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT floor(random() * below)::int';
CREATE FUNCTION a_condition() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN CASE a_number(7)
		WHEN 0 THEN format('k = %s', a_number(300))
		WHEN 1 THEN format('k IN (%s, %s, %s)', a_number(300), a_number(300), a_number(300))
		WHEN 2 THEN format('k BETWEEN %s AND %s', a_number(150), 150 + a_number(150))
		WHEN 3 THEN format('k > %s AND n %% 3 = %s', a_number(300), a_number(3))
		WHEN 4 THEN format('n < %s', a_number(1000))
		WHEN 5 THEN format('k %% 10 = %s', a_number(10))
		ELSE 'true' END;
END $$;

-- What the statement does, for the one and for the other.
CREATE FUNCTION a_change(OUT ours text, OUT heaps text) LANGUAGE plpgsql AS $$
DECLARE
	condition text := a_condition();
	key text;
	source text;
BEGIN
	CASE a_number(9)
	WHEN 0, 1 THEN			-- an INSERT replaces; of equal keys the last
		source := format('(SELECT DISTINCT ON (k) * FROM (SELECT (i * %s + %s) %% 300 AS k, %L || i AS v, i AS n FROM generate_series(1, %s) AS i) AS s ORDER BY k, n DESC)',
			1 + a_number(20), a_number(300), 'v' || a_number(100), a_number(200));
		ours := format('INSERT INTO %%s (k, v, n) SELECT * FROM %s AS s', source);
		heaps := format('WITH gone AS (DELETE FROM heap WHERE k IN (SELECT k FROM %s AS s)) INSERT INTO heap (k, v, n) SELECT * FROM %s AS s', source, source);
	WHEN 2 THEN
		ours := format('INSERT INTO %%s (k, v, n) SELECT i, ''absent'', i FROM generate_series(%s, 299, %s) AS i ON CONFLICT DO NOTHING', a_number(300), 1 + a_number(50));
		heaps := replace(ours, '%s', 'heap');
		heaps := replace(heaps, ' ON CONFLICT DO NOTHING', ' WHERE NOT EXISTS (SELECT FROM heap WHERE k = i)');
	WHEN 3, 4 THEN
		ours := format('UPDATE %%s SET v = v || ''+'', n = n + %s WHERE %s', a_number(100), condition);
		heaps := replace(ours, '%s', 'heap');
	WHEN 5, 6 THEN			-- rows that move, within a partition and between them, onto others too
		key := format('(k + %s) %% 300', a_number(300));
		ours := format('UPDATE %%s SET k = %s, n = n + 1 WHERE %s', key, condition);
		heaps := format('WITH gone AS (DELETE FROM heap WHERE NOT coalesce(%s, false) AND k IN (SELECT %s FROM heap WHERE %s)) UPDATE heap SET k = %s, n = n + 1 WHERE %s',
			condition, key, condition, key, condition);
	WHEN 7 THEN
		ours := format('DELETE FROM %%s WHERE %s', condition);
		heaps := replace(ours, '%s', 'heap');
	ELSE
		ours := format('UPDATE %%s AS t SET v = j.v FROM (SELECT k %% 300 AS k, max(v) AS v FROM heap GROUP BY 1 ORDER BY 1 LIMIT %s) AS j WHERE t.k = j.k + %s', a_number(50), a_number(3));
		heaps := replace(ours, '%s', 'heap');
	END CASE;
	ours := replace(ours, '%s', 'p');
END $$;

CREATE PROCEDURE change_both(n int) LANGUAGE plpgsql AS $$
DECLARE
	change record;
	differences bigint;
	ours bigint;
	heaps bigint;
BEGIN
	FOR i IN 1 .. n LOOP
		SELECT * INTO change FROM a_change();
		BEGIN
			EXECUTE change.ours;
			GET DIAGNOSTICS ours = ROW_COUNT;
			EXECUTE change.heaps;
			GET DIAGNOSTICS heaps = ROW_COUNT;
			IF a_number(5) = 0 THEN
				RAISE check_violation;
			END IF;
		EXCEPTION WHEN check_violation THEN
			ours := 0;
			heaps := 0;
		END;
		SELECT count(*) INTO differences FROM (SELECT * FROM p) AS p FULL JOIN heap USING (k)
			WHERE (p.v, p.n, p.g) IS DISTINCT FROM (heap.v, heap.n, heap.g) OR p.k IS NULL OR heap.k IS NULL;
		IF differences > 0 OR ours <> heaps THEN
			RAISE EXCEPTION 'after % changes: % differences, % and % rows after %', i, differences, ours, heaps, change.ours;
		END IF;
		IF a_number(3) = 0 THEN
			COMMIT;
		END IF;
		IF a_number(20) = 0 THEN
			COMMIT;
			PERFORM skyvault_flush();
			COMMIT;
		ELSIF a_number(100) = 0 THEN
			COMMIT;
			TRUNCATE p, heap;
		ELSIF a_number(30) = 0 THEN
			ROLLBACK;
		END IF;
	END LOOP;
END $$;

SELECT setseed(0.25);
CALL change_both(300);
SELECT count(*) > 0 AS rows FROM skyvault.run;

SET client_min_messages = warning;
DROP SCHEMA fdw_random CASCADE;
