--
-- What EXPLAIN ANALYZE says of scans and modifications of foreign tables: keys, runs,
-- models, blocks, requests.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS skyvault;
RESET client_min_messages;
CREATE SERVER fdw_explain FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:skyvault');
SELECT skyvault_pause('fdw_explain');		-- runs stay as they are
CREATE FOREIGN TABLE explained (id int8 NOT NULL, name text) SERVER fdw_explain OPTIONS (key 'id');
INSERT INTO explained SELECT 2 * n, repeat(md5(n::text), 8) FROM generate_series(1, 2000) AS n;
SELECT skyvault_flush('fdw_explain');
INSERT INTO explained SELECT n, 'newer' FROM generate_series(5000, 5001) AS n;
SELECT skyvault_flush('fdw_explain');

-- A plan as text, without what depends on the version and on the state of the catalogue.
CREATE FUNCTION explained(statement text, buffers bool DEFAULT true) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE format('EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off, BUFFERS %s) %s', CASE WHEN buffers THEN 'on' ELSE 'off' END, statement) LOOP
		IF line !~ '(Planning|Memory|Table Id|Buffers:)' THEN
			line := regexp_replace(line, ' \(actual rows=.*\)', '');
			RETURN NEXT regexp_replace(line, '(Store: .*) read=\d+', '\1 read=...');
		END IF;
	END LOOP;
END $$;
-- The same in JSON: what our node says.
CREATE FUNCTION explained_keys(statement text) RETURNS TABLE (key text, value text) LANGUAGE plpgsql AS $$
DECLARE
	plan jsonb;
BEGIN
	EXECUTE format('EXPLAIN (ANALYZE, BUFFERS, COSTS off, TIMING off, SUMMARY off, FORMAT json) %s', statement) INTO plan;
	RETURN QUERY SELECT e.key, e.value #>> '{}'
		FROM jsonb_path_query(plan, '$.** ? (exists (@."Runs Considered"))') AS n, jsonb_each(n) AS e
		WHERE e.key ~ '^(Keys|Key Ranges|Rows in|Runs|Model|Tails|Blocks|Disk|Store)' ORDER BY e.key;
END $$;

-- ---------------------------------------------------------------- a point, cold and warm
SELECT skyvault_clear_cache();
SELECT * FROM explained_keys('SELECT * FROM explained WHERE id = 154') WHERE key <> 'Store Bytes Read';
SELECT * FROM explained_keys('SELECT * FROM explained WHERE id = 154') WHERE value <> '0';
SELECT * FROM explained('SELECT * FROM explained WHERE id = 154');
SELECT * FROM explained('SELECT * FROM explained WHERE id = 5000');
SELECT * FROM explained('SELECT * FROM explained WHERE id = -1');
-- Without BUFFERS there are fewer lines.
SELECT * FROM explained('SELECT * FROM explained WHERE id = 154', false);
SELECT * FROM explained('SELECT * FROM explained WHERE id BETWEEN 10 AND 30', false);
-- A key that a run might have, but for its filter.
SELECT * FROM explained('SELECT * FROM explained WHERE id = 155');

-- ---------------------------------------------------------------- many, and ranges
SELECT skyvault_clear_cache();
SELECT * FROM explained('SELECT * FROM explained WHERE id IN (1, 2, 1000, 5001, 3000)') WHERE explained !~ 'Store';
SELECT * FROM explained('SELECT * FROM explained WHERE id IN (1, 2, 1000, 5001, 3000)');
SELECT * FROM explained('SELECT * FROM explained WHERE id BETWEEN 10 AND 30');
SELECT * FROM explained('SELECT * FROM explained WHERE id > 3980 AND name <> ''newer''');
SELECT * FROM explained('SELECT * FROM explained ORDER BY id DESC LIMIT 3');
SELECT * FROM explained('SELECT count(*) FROM explained WHERE id > 3980');
-- All blocks, once each, whether cached or not.
SELECT skyvault_clear_cache();
CREATE TEMP TABLE cold AS SELECT * FROM explained_keys('SELECT * FROM explained');
CREATE TEMP TABLE warm AS SELECT * FROM explained_keys('SELECT * FROM explained');
SELECT key, cold.value::int8 = i.blocks AS cold, warm.value::int8 = i.blocks AS warm
  FROM cold JOIN warm USING (key), (SELECT sum(blocks) AS blocks FROM skyvault_index('explained')) AS i
 WHERE key IN ('Blocks from Cache', 'Blocks from Store');
SELECT key, cold.value::int8 > 0 AS cold, warm.value::int8 > 0 AS warm FROM cold JOIN warm USING (key) WHERE key IN ('Store Gets', 'Store Bytes Read');

-- ---------------------------------------------------------------- models, and leaves without one
CREATE FOREIGN TABLE explained_text (name text COLLATE "C" NOT NULL) SERVER fdw_explain OPTIONS (key 'name');
INSERT INTO explained_text SELECT repeat('x', 300) || n FROM generate_series(1, 3000) AS n;
SELECT skyvault_flush('fdw_explain');
SELECT rel, round(fallback_share::numeric, 1) AS fallback_share FROM (VALUES ('explained'), ('explained_text')) AS t(rel), skyvault_index(rel::regclass) WHERE blocks > 1;
SELECT key, round(value::numeric / 3000, 1) AS share FROM explained_keys('SELECT * FROM explained_text WHERE name = ANY (ARRAY(SELECT repeat(''x'', 300) || n FROM generate_series(1, 3000) AS n))') WHERE key ~ 'Model|Keys';
SELECT key, value FROM explained_keys('SELECT * FROM explained WHERE id = ANY (ARRAY(SELECT 2 * n FROM generate_series(1, 2000) AS n))') WHERE key ~ 'Model|Keys';
DROP FOREIGN TABLE explained_text;

-- ---------------------------------------------------------------- per node, over all loops
SELECT * FROM explained('SELECT * FROM (VALUES (1), (2), (4), (9999)) AS v(i), LATERAL (SELECT * FROM explained WHERE id = v.i OFFSET 0) AS e') WHERE explained !~ 'Key Condition';
-- Without ANALYZE there are no counts.
EXPLAIN (COSTS off) SELECT * FROM explained WHERE id = 154;

-- ---------------------------------------------------------------- modifications
SELECT * FROM explained('UPDATE explained SET name = ''changed'' WHERE id = 154');
SELECT * FROM explained('DELETE FROM explained WHERE id IN (156, 158)');
SELECT * FROM explained('INSERT INTO explained VALUES (160, ''new'') ON CONFLICT DO NOTHING');
SELECT * FROM explained_keys('INSERT INTO explained VALUES (161, ''new'')') WHERE key ~ 'Runs|Store Puts';

DROP FOREIGN TABLE explained;
SET client_min_messages = warning;
DROP SERVER fdw_explain;
DROP FUNCTION explained, explained_keys;
