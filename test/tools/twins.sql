-- For tests that do the same to a foreign table and to a plain table beside it.
--
-- What is executed has {NAME} for the tables: once it stands for the foreign table
-- NAME, once for the plain table NAME_heap.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS skyvault;

CREATE OR REPLACE PROCEDURE twin(name text, columns text, key text, options text DEFAULT '') LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE FOREIGN TABLE %I (%s) SERVER skyvault OPTIONS (key %L%s)', name, columns, key, options);
	EXECUTE format('CREATE TABLE %I (%s, PRIMARY KEY (%s))', name || '_heap', columns, key);
END $$;

CREATE OR REPLACE FUNCTION of_twin(statement text, is_heap bool) RETURNS text LANGUAGE sql AS
	$$ SELECT regexp_replace(statement, '\{(\w+)\}', CASE WHEN is_heap THEN '\1_heap' ELSE '\1' END, 'g') $$;

-- All rows of a query, in its order if it has one: "N rows", or what differs.  An error is its SQLSTATE.
CREATE OR REPLACE FUNCTION rows_of(query text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	result text[];
BEGIN
	EXECUTE format('SELECT array_agg(r::text%s) FROM (%s) AS r', CASE WHEN query !~* 'order by [^)]*$' THEN ' ORDER BY r::text' END, query) INTO result;
	RETURN result;
EXCEPTION WHEN OTHERS THEN
	RETURN ARRAY['error ' || SQLSTATE];
END $$;

CREATE OR REPLACE FUNCTION same(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	far text[] := rows_of(of_twin(query, false));
	near text[] := rows_of(of_twin(query, true));
BEGIN
	IF far IS DISTINCT FROM near THEN
		RETURN format('DIFFERENT: %s rows, not %s: %s, not %s', cardinality(far), cardinality(near), left(far::text, 200), left(near::text, 200));
	END IF;
	RETURN CASE WHEN far[1] LIKE 'error %' THEN far[1] ELSE coalesce(cardinality(far), 0) || ' rows' END;
END $$;

-- Executes a statement for both: how many rows it changed, or its SQLSTATE, if it is the same for both.
CREATE OR REPLACE FUNCTION outcome_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	EXECUTE statement;
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN n || ' rows';
EXCEPTION WHEN OTHERS THEN
	RETURN 'error ' || SQLSTATE;
END $$;

CREATE OR REPLACE FUNCTION does(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	far text := outcome_of(of_twin(statement, false));
	near text := outcome_of(of_twin(statement, true));
BEGIN
	RETURN CASE WHEN far = near THEN far ELSE format('DIFFERENT: %s, not %s', far, near) END;
END $$;

-- A table like the "onek" of Postgres's own tests, and some small ones; half of it is flushed, and some rows then change.
CREATE OR REPLACE PROCEDURE make_onek(name text DEFAULT 'onek') LANGUAGE plpgsql AS $$
BEGIN
	CALL twin(name, 'unique1 int NOT NULL, unique2 int, two int, four int, ten int, hundred int, odd bool, stringu text', 'unique1');
	PERFORM does(format('INSERT INTO {%s} SELECT n, n * 7 %% 1000, n %% 2, n %% 4, n %% 10, n %% 100, n %% 2 = 1, chr(65 + n %% 26) || n'
						' FROM generate_series(0, 999) AS n', name));
	COMMIT;
	PERFORM skyvault_flush();
	PERFORM does(format('UPDATE {%s} SET hundred = hundred WHERE ten = 3', name));
	PERFORM does(format('DELETE FROM {%s} WHERE unique1 = 500', name));
	PERFORM does(format('INSERT INTO {%s} SELECT 500, 500, 0, 0, 0, 0, false, NULL', name));
END $$;
RESET client_min_messages;
