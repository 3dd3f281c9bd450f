-- Statistics of foreign tables: what the planner knows without ANALYZE, and what ANALYZE finds.
SELECT skyvault_pause();
SET search_path = public;
-- What other tables have in the delta does not count.
SELECT skyvault_flush() >= 0 AS flushed;
VACUUM ANALYZE skyvault.delta;

-- Rows that the planner expects, to about the next power of two; with widths the exact figure.
CREATE FUNCTION planned(query text) RETURNS TABLE (rows bigint, width integer) LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	rows := (plan->0->'Plan'->>'Plan Rows')::bigint;
	width := (plan->0->'Plan'->>'Plan Width')::integer;
	RETURN NEXT;
END $$;
CREATE FUNCTION about(query text, low bigint, high bigint) RETURNS text LANGUAGE sql AS
	$$ SELECT CASE WHEN p.rows BETWEEN low AND high THEN 'as it should be' ELSE p.rows::text END FROM planned(query) AS p $$;

CREATE FOREIGN TABLE stat_t (id bigint, grp integer, filler text, note text) SERVER skyvault OPTIONS (key 'id');
SELECT about('SELECT * FROM stat_t', 1000, 1000) AS "never written";
-- Nor do rows that others write later, of which there are no statistics.
CREATE FOREIGN TABLE stat_other (id bigint, v text) SERVER skyvault OPTIONS (key 'id');
INSERT INTO stat_t VALUES (1, 1, '', '');
INSERT INTO stat_other SELECT n, 'v' FROM generate_series(1, 5000) AS n;
DELETE FROM pg_statistic WHERE starelid = 'skyvault.delta'::regclass;
SELECT pg_stat_force_next_flush();
SELECT about('SELECT * FROM stat_other', 2000, 20000) AS "others', with rows", about('SELECT * FROM stat_t', 1000, 1000) AS "and none";
TRUNCATE stat_t, stat_other;
ANALYZE stat_t;
SELECT about('SELECT * FROM stat_t', 1000, 1000) AS "analyzed when empty";
INSERT INTO stat_t SELECT n, n % 10, repeat('f', 200), CASE WHEN n % 4 = 0 THEN 'note' END FROM generate_series(1, 20000) AS n;
SELECT skyvault_flush() > 0 AS flushed;
VACUUM skyvault.delta;

-- Counts and widths from the registry.
SELECT about('SELECT * FROM stat_t', 20000, 30000) AS "all";
SELECT p.width BETWEEN 200 AND 260 AS width FROM planned('SELECT * FROM stat_t') AS p;
SELECT p.width = 8 AS key_width FROM planned('SELECT id FROM stat_t') AS p;

-- Key ranges from the first and last keys of runs.
SELECT about('SELECT * FROM stat_t WHERE id < 2000', 1800, 3000) AS below;
SELECT about('SELECT * FROM stat_t WHERE id >= 15000', 4500, 7500) AS above;
SELECT about('SELECT * FROM stat_t WHERE id BETWEEN 5000 AND 5100', 80, 200) AS "between";
SELECT about('SELECT * FROM stat_t WHERE id < -5', 1, 5) AS "before all";
SELECT about('SELECT * FROM stat_t WHERE id > 1000000', 1, 5) AS "behind all";
SELECT about('SELECT * FROM stat_t WHERE id < 10000 AND grp = 5', 1, 200) AS "with another condition";
SELECT about('SELECT * FROM stat_t WHERE id < 10000::numeric::int8', 9000, 15000) AS "a value to be computed";
SELECT about('SELECT * FROM stat_t WHERE id = 7', 1, 1) AS point;
SELECT about('SELECT * FROM stat_t WHERE id = ANY (''{1,2,3,4}'')', 4, 4) AS points;

-- A composite key: rows of one value of its first column.
CREATE FOREIGN TABLE stat_pair (a integer, b integer, v text) SERVER skyvault OPTIONS (key 'a, b');
INSERT INTO stat_pair SELECT n / 50, n % 50, 'v' FROM generate_series(0, 19999) AS n;
SELECT skyvault_flush() > 0 AS flushed;
VACUUM skyvault.delta;
SELECT about('SELECT * FROM stat_pair WHERE a = 17', 40, 80) AS prefix;
SELECT about('SELECT * FROM stat_pair WHERE a IN (1, 5, 9)', 120, 240) AS prefixes;
SELECT about('SELECT * FROM stat_pair WHERE a = 17 AND b < 25', 1, 60) AS "prefix and range";
SELECT about('SELECT * FROM stat_pair WHERE (a, b) < (200, 10)', 9000, 15000) AS "row";

-- Texts: as far as bytes are numbers.
CREATE FOREIGN TABLE stat_text (k text COLLATE "C", v text) SERVER skyvault OPTIONS (key 'k');
INSERT INTO stat_text SELECT 'user:' || to_char(n, 'FM00000'), 'v' FROM generate_series(0, 19999) AS n;
SELECT skyvault_flush() > 0 AS flushed;
VACUUM skyvault.delta;
SELECT about('SELECT * FROM stat_text WHERE k < ''user:1''', 8000, 22000) AS half;
SELECT about('SELECT * FROM stat_text WHERE k LIKE ''user:000%''', 1, 4000) AS prefix;
SELECT about('SELECT * FROM stat_text WHERE k LIKE ''admin:%''', 1, 5) AS "no such prefix";

-- ANALYZE: only what a reader gets counts, and grows with the table.
CREATE STATISTICS stat_ext (ndistinct, dependencies) ON grp, note FROM stat_t;
DELETE FROM stat_t WHERE id > 15000;
UPDATE stat_t SET grp = 77 WHERE id <= 5000;
SELECT skyvault_flush() > 0 AS flushed;
VACUUM skyvault.delta;
ANALYZE stat_t;
SELECT reltuples FROM pg_class WHERE relname = 'stat_t';
SELECT about('SELECT * FROM stat_t', 15000, 15000) AS "all";
SELECT attname, null_frac, n_distinct, avg_width, most_common_vals, correlation FROM pg_stats
WHERE tablename = 'stat_t' AND attname IN ('id', 'note') ORDER BY attname;
SELECT n_distinct, (most_common_vals::text::integer[])[1] AS most, most_common_freqs[1] AS share FROM pg_stats
WHERE tablename = 'stat_t' AND attname = 'grp';
SELECT about('SELECT * FROM stat_t WHERE grp = 77', 5000, 5000) AS "of a common value";
SELECT about('SELECT * FROM stat_t WHERE note IS NULL', 11250, 11250) AS nulls;
SELECT stxdndistinct FROM pg_statistic_ext_data AS d JOIN pg_statistic_ext AS e ON e.oid = d.stxoid WHERE stxname = 'stat_ext';
SELECT about('SELECT * FROM stat_t WHERE id < 1000', 900, 1100) AS "by the histogram";
INSERT INTO stat_t SELECT n, 1, repeat('f', 200) FROM generate_series(20001, 40000) AS n;
SELECT skyvault_flush() > 0 AS flushed;
VACUUM skyvault.delta;
SELECT about('SELECT * FROM stat_t', 20000, 36000) AS "grown since";

-- A part of a table that goes through the delta.
CREATE FOREIGN TABLE stat_delta (id integer, v text) SERVER skyvault OPTIONS (key 'id');
INSERT INTO stat_delta SELECT n, 'v' FROM generate_series(1, 3000) AS n;
ANALYZE stat_delta;
SELECT reltuples, relpages > 0 AS has_pages FROM pg_class WHERE relname = 'stat_delta';
BEGIN;
TRUNCATE stat_delta;
INSERT INTO stat_delta VALUES (1, 'own');
ANALYZE stat_delta;
SELECT reltuples FROM pg_class WHERE relname = 'stat_delta';
ROLLBACK;

-- A parent and its partitions; expired rows.
CREATE TABLE stat_parent (id integer, v text) PARTITION BY RANGE (id);
CREATE FOREIGN TABLE stat_part1 PARTITION OF stat_parent FOR VALUES FROM (0) TO (1000) SERVER skyvault OPTIONS (key 'id');
CREATE TABLE stat_part2 PARTITION OF stat_parent FOR VALUES FROM (1000) TO (2000);
INSERT INTO stat_parent SELECT n, CASE WHEN n < 1000 THEN 'foreign' ELSE 'plain' END FROM generate_series(0, 1999) AS n;
SELECT skyvault_flush() > 0 AS flushed;
VACUUM skyvault.delta;
ANALYZE stat_parent;
SELECT inherited, n_distinct, most_common_vals FROM pg_stats WHERE tablename = 'stat_parent' AND attname = 'v';
SELECT relname, reltuples FROM pg_class WHERE relname IN ('stat_part1', 'stat_part2') ORDER BY relname;
CREATE FOREIGN TABLE stat_ttl (id integer, v text) SERVER skyvault OPTIONS (key 'id', ttl '1 microsecond');
INSERT INTO stat_ttl SELECT n, 'v' FROM generate_series(1, 100) AS n;
ANALYZE stat_ttl;
SELECT reltuples FROM pg_class WHERE relname = 'stat_ttl';

-- A table that is much read in the delta does not count for others: its statistics say whose its rows are.
CREATE FOREIGN TABLE stat_small (id integer, v text) SERVER skyvault OPTIONS (key 'id');
CREATE FOREIGN TABLE stat_large (id integer, v text) SERVER skyvault OPTIONS (key 'id');
INSERT INTO stat_small VALUES (1, 'v');
INSERT INTO stat_large SELECT n, 'v' FROM generate_series(1, 20000) AS n;
ANALYZE skyvault.delta;
SELECT about('SELECT * FROM stat_small', 1000, 1000) AS small, about('SELECT * FROM stat_large', 15000, 25000) AS large;

-- Privileges.
CREATE ROLE stat_user;
SET ROLE stat_user;
\set VERBOSITY sqlstate
ANALYZE stat_t;
\set VERBOSITY default
RESET ROLE;
DROP ROLE stat_user;
DROP FUNCTION about, planned;
DROP TABLE stat_parent;
DROP FOREIGN TABLE stat_t, stat_pair, stat_text, stat_delta, stat_ttl, stat_small, stat_large, stat_other;
SELECT skyvault_resume();
