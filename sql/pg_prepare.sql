--
-- Prepared statements, after the shapes of Postgres's own test "prepare".
--
\getenv srcdir PG_ABS_SRCDIR
\set twins :srcdir '/test/tools/twins.sql'
\set ECHO none
\i :twins
\set ECHO all

CALL make_onek('pr');

-- ---------------------------------------------------------------- named, listed, deallocated
PREPARE q1 AS SELECT 1 AS a;
PREPARE q2 (int) AS SELECT stringu FROM pr WHERE unique1 = $1;
PREPARE q2 AS SELECT 2;
SELECT name, parameter_types FROM pg_prepared_statements WHERE name LIKE 'q_' ORDER BY name;
EXECUTE q2 (7);
EXECUTE q2;
EXECUTE q2 (1, 2);
EXECUTE q2 ('no number');
DEALLOCATE q1;
EXECUTE q1;

-- ---------------------------------------------------------------- custom plans, then generic ones, by any kind of lookup
PREPARE point (int) AS SELECT unique1, stringu FROM pr WHERE unique1 = $1;
PREPARE several (int[]) AS SELECT array_agg(unique1) FROM pr WHERE unique1 = ANY ($1);
PREPARE range (int, int) AS SELECT count(*), min(unique1), max(unique1) FROM pr WHERE unique1 BETWEEN $1 AND $2;
PREPARE other (int) AS SELECT count(*), sum(unique1) FROM pr WHERE ten = $1;
PREPARE page (int, int) AS SELECT array_agg(u) FROM (SELECT unique1 FROM pr WHERE unique1 > $1 ORDER BY unique1 LIMIT $2) AS s (u);
PREPARE change (int, text) AS UPDATE pr SET stringu = $2 WHERE unique1 = $1 RETURNING stringu;
PREPARE remove (int) AS DELETE FROM pr WHERE unique1 = $1 RETURNING unique1;
PREPARE add (int, text) AS INSERT INTO pr (unique1, stringu) VALUES ($1, $2);
CREATE FUNCTION executed(mode text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	r record;
BEGIN
	PERFORM set_config('plan_cache_mode', mode, true);
	FOR n IN 1..8 LOOP
		EXECUTE format('EXECUTE add (%s, %L)', 2000 + n, 'added');
		EXECUTE format('EXECUTE change (%s, %L)', 2000 + n, 'changed ' || n) INTO r;
		IF r.stringu <> 'changed ' || n THEN RETURN NEXT 'change ' || n; END IF;
		EXECUTE format('EXECUTE point (%s)', 2000 + n) INTO r;
		IF (r.unique1, r.stringu) IS DISTINCT FROM (2000 + n, 'changed ' || n) THEN RETURN NEXT 'point ' || n; END IF;
		EXECUTE format('EXECUTE several (%L)', ARRAY[n, 2000 + n, -n, NULL]) INTO r;
		IF r.array_agg <> ARRAY[n, 2000 + n] THEN RETURN NEXT 'several ' || n; END IF;
		EXECUTE format('EXECUTE range (%s, %s)', n * 10, n * 100) INTO r;
		IF r.count <> n * 90 + 1 OR r.max <> n * 100 THEN RETURN NEXT 'range ' || n; END IF;
		EXECUTE format('EXECUTE other (%s)', n) INTO r;
		IF r.count <> 100 THEN RETURN NEXT 'other ' || n; END IF;
		EXECUTE format('EXECUTE page (%s, %s)', n, n) INTO r;
		IF r.array_agg <> ARRAY(SELECT generate_series(n + 1, n + n)) THEN RETURN NEXT 'page ' || n; END IF;
		EXECUTE format('EXECUTE remove (%s)', 2000 + n) INTO r;
		IF r.unique1 <> 2000 + n THEN RETURN NEXT 'remove ' || n; END IF;
		EXECUTE format('EXECUTE point (%s)', 2000 + n) INTO r;
		IF r.unique1 IS NOT NULL THEN RETURN NEXT 'removed ' || n; END IF;
	END LOOP;
	RETURN NEXT 'done';
END $$;
SELECT executed('auto');
SELECT executed('force_generic_plan');
SELECT executed('force_custom_plan');
SELECT name, generic_plans > 0 AS generic, custom_plans > 0 AS custom FROM pg_prepared_statements WHERE name IN ('point', 'range', 'change', 'remove') ORDER BY name;
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS off) EXECUTE point (1);
EXPLAIN (COSTS off) EXECUTE range (1, 2);
EXECUTE point (NULL);
EXECUTE several (NULL);
EXECUTE range (NULL, 5);
RESET plan_cache_mode;

-- ---------------------------------------------------------------- plans that are made anew
EXECUTE point (5);
ALTER FOREIGN TABLE pr ADD COLUMN more text DEFAULT 'more';
EXECUTE point (5);
PREPARE whole AS SELECT * FROM pr WHERE unique1 = 5;
EXECUTE whole;
ALTER FOREIGN TABLE pr DROP COLUMN more;
EXECUTE whole;
CREATE TEMP TABLE taken AS EXECUTE range (10, 20);
TABLE taken;
BEGIN;
EXECUTE change (5, 'gone again');
ROLLBACK;
EXECUTE point (5);
DROP FOREIGN TABLE pr;
EXECUTE point (5);
DEALLOCATE ALL;
SELECT count(*) FROM pg_prepared_statements;
DROP FUNCTION executed;
DROP TABLE pr_heap;
