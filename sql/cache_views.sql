--
-- What is cached and how runs are indexed: skyvault_index, skyvault_prewarm,
-- skyvault_clear_cache, and the views skyvault_cache and skyvault_stat_cache.
--
\pset null '<null>'
SELECT skyvault_flush() >= 0 AS drained;
CREATE ROLE regress_cache_reader;
CREATE ROLE regress_cache_monitor;
GRANT pg_monitor TO regress_cache_monitor;

SELECT skyvault_create_table('cache_kv');
CREATE TABLE cache_plain (key text);

-- ---------------------------------------------------------------- a table that was never written
SELECT * FROM skyvault_index('cache_kv');
SELECT skyvault_prewarm('cache_kv');

-- ---------------------------------------------------------------- three runs
SELECT skyvault_multi_put('cache_kv', array_agg('user:' || to_char(n * 7, 'FM00000000') || ':name'), array_agg(sha256(n::text::bytea)::text))
  FROM generate_series(1, 20000) AS n;
SELECT skyvault_flush();
SELECT skyvault_multi_put('cache_kv', array_agg('item:' || to_char(n * 3, 'FM00000000')), array_agg('value ' || sha512(n::text::bytea)::text))
  FROM generate_series(1, 3000) AS n;
SELECT skyvault_flush();
SELECT skyvault_put('cache_kv', 'one', 'entry'), skyvault_delete('cache_kv', 'item:00000003');
SELECT skyvault_flush();

-- In lookup order: the newest first.
SELECT tier, level, entries, blocks,
       filter_bits_per_key BETWEEN 10 AND 10.5 AS ten_bits, root <> '' AS has_root,
       models > 0 AS has_models, leaves > 0 AS has_leaves,
       index_bytes_per_key < 1 AS small, tail_bytes > entries * 10 / 8 AS holds_filter,
       mean_error <= max_error AS error_bound, max_error < 10 AS precise,
       fallback_share BETWEEN 0 AND 1 AS is_share, probes BETWEEN 0 AND 4 AS few_probes
  FROM skyvault_index('cache_kv') WHERE entries > 2;
SELECT tier, level, entries, blocks, root, models, leaves, index_bytes_per_key, mean_error, max_error, fallback_share, probes
  FROM skyvault_index('cache_kv') WHERE entries = 2;
SELECT array_agg(i.run ORDER BY n) = array_agg(r.id ORDER BY r.id DESC) AS newest_first,
       bool_and(i.tail_bytes = r.tail_bytes) AS tails_as_registered
  FROM skyvault_index('cache_kv') WITH ORDINALITY AS i(run, tier, level, entries, blocks, tail_bytes, bits, root, models, leaves, bytes, mean, max, fallback, probes, n)
  JOIN skyvault.run AS r ON r.id = i.run;
SELECT skyvault_index(NULL);

-- ---------------------------------------------------------------- prewarming
SELECT skyvault_clear_cache();
SELECT count(*) FROM skyvault_cache;
SELECT skyvault_prewarm('cache_kv') = sum(blocks) AS all_blocks FROM skyvault_index('cache_kv');
SELECT skyvault_prewarm('cache_kv');
SELECT skyvault_prewarm(NULL);
-- One row for each run, that says where it is and how much of it is cached.
SELECT c.server, c.tier, c.blocks = i.blocks AS all_blocks, c.tail_bytes = i.tail_bytes AS tail,
       c.block_bytes BETWEEN i.blocks AND c.frame_bytes AS bytes, c.frame_bytes = c.blocks * 16384 AS frames,
       c.object = r.object AS object, c.pins
  FROM skyvault_index('cache_kv') AS i JOIN skyvault_cache AS c USING (run) JOIN skyvault.run AS r ON r.id = c.run
 ORDER BY run;
-- What is prewarmed is not loaded again.
CREATE TEMP TABLE before AS SELECT * FROM skyvault_stat_cache;
SELECT count(*) FROM skyvault_scan('cache_kv');
SELECT count(value) FROM skyvault_multi_get('cache_kv', ARRAY(SELECT 'item:' || to_char(n * 3, 'FM00000000') FROM generate_series(1, 3000) AS n));
SELECT a.block_hits > b.block_hits AS hits, a.block_loads - b.block_loads AS loads, a.block_bypasses - b.block_bypasses AS bypasses,
       a.tail_loads - b.tail_loads AS tails, a.block_evictions - b.block_evictions AS evictions
  FROM skyvault_stat_cache AS a, before AS b;

-- One run may have these keys, and does not: its filter says so of nearly all,
-- and only for the others is a block looked into.
DELETE FROM before;
INSERT INTO before SELECT * FROM skyvault_stat_cache;
SELECT count(skyvault_get('cache_kv', 'user:' || to_char(n * 7 + 1, 'FM00000000') || ':name')) FROM generate_series(1, 10000) AS n;
SELECT a.filter_negatives - b.filter_negatives + a.filter_false_positives - b.filter_false_positives AS asked,
       a.filter_false_positives - b.filter_false_positives < 200 AS few_false_positives,
       a.block_hits - b.block_hits = a.filter_false_positives - b.filter_false_positives AS nothing_else_looked_into
  FROM skyvault_stat_cache AS a, before AS b;
SELECT cache_bytes, cache_bytes_used > 0 AS used, cache_bytes_used <= cache_bytes AS fits,
       tail_cache_bytes, tail_cache_bytes_used > 0 AS tails_used, tail_cache_bytes_used <= tail_cache_bytes AS tails_fit
  FROM skyvault_stat_cache;

-- A key that a batch has many times is looked up once.
DELETE FROM before;
INSERT INTO before SELECT * FROM skyvault_stat_cache;
SELECT count(*), count(DISTINCT value) FROM skyvault_multi_get('cache_kv', array_fill('item:00000006'::text, ARRAY[5000]));
SELECT a.block_hits - b.block_hits AS hits, a.filter_negatives - b.filter_negatives AS negatives, a.block_loads - b.block_loads AS loads
  FROM skyvault_stat_cache AS a, before AS b;
-- And a tail or block that many of its keys need is loaded once, by each kind of batch.
CREATE FUNCTION cold_loads(batch text, OUT answers bigint, OUT tails bigint, OUT blocks bigint) LANGUAGE plpgsql AS $$
DECLARE
	b record;
BEGIN
	PERFORM skyvault_clear_cache();
	SELECT * INTO b FROM skyvault_stat_cache;
	EXECUTE batch INTO answers USING ARRAY(SELECT 'item:' || to_char(n * 3, 'FM00000000') FROM generate_series(3000, 1, -1) AS n);
	SELECT tail_loads - b.tail_loads, block_loads - b.block_loads INTO tails, blocks FROM skyvault_stat_cache;
END $$;
SELECT batch, answers, tails, l.blocks = (SELECT sum(i.blocks) FROM skyvault_index('cache_kv') AS i WHERE entries IN (2, 3000)) AS each_block
  FROM unnest(ARRAY[
	'SELECT count(value) FROM skyvault_multi_get(''cache_kv'', $1 || $1)',
	'SELECT cardinality(array_remove(skyvault_get_array(''cache_kv''::regclass, $1 || $1), NULL))',
	'SELECT count(*) FROM cache_kv WHERE key = ANY ($1 || $1)']) AS batch, cold_loads(batch) AS l;
DROP FUNCTION cold_loads(text);
-- Prewarming one table leaves another alone, though both are in one run.
SELECT skyvault_create_table('cache_other');
SELECT skyvault_multi_put(t, array_agg('key' || n), array_agg(sha512(n::text::bytea)::text))
  FROM unnest('{cache_kv,cache_other}'::regclass[]) AS t, generate_series(1, 2000) AS n GROUP BY t;
SELECT skyvault_flush();
SELECT skyvault_clear_cache();
SELECT skyvault_prewarm('cache_other') < max(blocks) - 5 AS not_all FROM skyvault_index('cache_other');
CREATE TEMP TABLE before_scan AS SELECT * FROM skyvault_stat_cache;
SELECT count(*) FROM skyvault_scan('cache_other');
SELECT a.block_loads - b.block_loads AS loads FROM skyvault_stat_cache AS a, before_scan AS b;

-- ---------------------------------------------------------------- who may
CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
CREATE VIEW cache_calls AS SELECT * FROM (VALUES
	(1, $$SELECT * FROM skyvault_index('cache_kv')$$),
	(2, $$SELECT skyvault_prewarm('cache_kv')$$),
	(3, $$SELECT * FROM skyvault_cache$$),
	(4, $$SELECT * FROM skyvault_stat_cache$$),
	(5, $$SELECT * FROM skyvault_cached_runs()$$),
	(6, $$SELECT * FROM skyvault_cache_counters()$$),
	(7, $$SELECT skyvault_clear_cache()$$)) AS c(n, statement);
GRANT SELECT ON cache_calls TO PUBLIC;
SET ROLE regress_cache_reader;
SELECT statement, try(statement) FROM cache_calls ORDER BY n;
RESET ROLE;
GRANT SELECT ON cache_kv TO regress_cache_reader;
SET ROLE regress_cache_reader;
SELECT statement, try(statement) FROM cache_calls ORDER BY n;
SET ROLE regress_cache_monitor;
SELECT statement, try(statement) FROM cache_calls ORDER BY n;
RESET ROLE;

-- ---------------------------------------------------------------- not a table of a vault
CREATE VIEW cache_view AS SELECT * FROM cache_kv;
SELECT statement, try(statement) FROM unnest(ARRAY[
	$$SELECT * FROM skyvault_index('cache_plain')$$,
	$$SELECT skyvault_prewarm('cache_plain')$$,
	$$SELECT * FROM skyvault_index('cache_view')$$,
	$$SELECT skyvault_prewarm('cache_view')$$,
	$$SELECT * FROM skyvault_index(0)$$,
	$$SELECT skyvault_prewarm(4294967295)$$]) AS statement;

-- ---------------------------------------------------------------- a table that is gone
SELECT skyvault_prewarm('cache_other') >= 0 AS warm;
TRUNCATE cache_other;
SELECT * FROM skyvault_index('cache_other');
SELECT skyvault_prewarm('cache_other');
DROP FOREIGN TABLE cache_other;
SELECT count(*) > 0 AS still_there, bool_and(pins = 0) AS unpinned FROM skyvault_cache;

DROP VIEW cache_view, cache_calls;
DROP FOREIGN TABLE cache_kv;
DROP TABLE cache_plain;
DROP FUNCTION try(text);
DROP ROLE regress_cache_reader, regress_cache_monitor;
