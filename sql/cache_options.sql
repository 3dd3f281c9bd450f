--
-- Table options about the form of runs: compression_level, dictionary, filter_bits.
--
\pset null '<null>'
SELECT skyvault_flush() >= 0 AS drained;

-- ---------------------------------------------------------------- what they can be
CREATE FUNCTION try_option(option text, value text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	the_hint text;
BEGIN
	EXECUTE format('CREATE FOREIGN TABLE cache_try (key text NOT NULL, value text) SERVER skyvault OPTIONS (%I %L)',
				   option, value);
	DROP FOREIGN TABLE cache_try;
	RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS the_hint = PG_EXCEPTION_HINT;
	RETURN format('%s %s [%s]', SQLSTATE, SQLERRM, the_hint);
END $$;
SELECT option, value, try_option(option, value) FROM (VALUES
	('compression_level', '0'), ('compression_level', '1'), ('compression_level', '19'),
	('compression_level', '20'), ('compression_level', '-1'), ('compression_level', 'fast'), ('compression_level', ''),
	('dictionary', '0'), ('dictionary', '256'), ('dictionary', '4kB'), ('dictionary', '256kB'),
	('dictionary', '255'), ('dictionary', '257kB'), ('dictionary', '1MB'), ('dictionary', '-1'), ('dictionary', 'on'),
	('filter_bits', '0'), ('filter_bits', '1'), ('filter_bits', '20'),
	('filter_bits', '21'), ('filter_bits', '-1'), ('filter_bits', 'many'),
	('filter', '10')) AS o(option, value);
CREATE SERVER cache_server FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:cache_server', filter_bits '10');

-- ---------------------------------------------------------------- filter_bits
-- A run has the bits that the greediest table of its server wants, so each of these has a server of its own.
CREATE SERVER cache_none FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:cache_none');
CREATE SERVER cache_many FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:cache_many');
CREATE FOREIGN TABLE cache_none (key text NOT NULL, value text) SERVER cache_none OPTIONS (filter_bits '0');
CREATE FOREIGN TABLE cache_many (key text NOT NULL, value text) SERVER cache_many OPTIONS (filter_bits '20');
SELECT skyvault_multi_put(t, array_agg('key' || n), array_agg(sha256(n::text::bytea)::text))
  FROM unnest('{cache_none,cache_many}'::regclass[]) AS t, generate_series(1, 5000, 2) AS n GROUP BY t;
SELECT skyvault_flush('cache_none'), skyvault_flush('cache_many');
SELECT t, round(filter_bits_per_key) AS bits, blocks > 5 AS many_blocks
  FROM unnest('{cache_none,cache_many}'::regclass[]) AS t, skyvault_index(t) ORDER BY t::text;
-- Without a filter nobody says no, and with one of 20 bits nearly nobody errs.
CREATE TEMP TABLE before AS SELECT * FROM skyvault_stat_cache;
SELECT count(skyvault_get('cache_none', 'key' || n)) AS found, count(*) AS asked FROM generate_series(1, 5000) AS n;
SELECT a.filter_negatives - b.filter_negatives AS negatives, a.filter_false_positives - b.filter_false_positives AS false_positives
  FROM skyvault_stat_cache AS a, before AS b;
SELECT count(skyvault_get('cache_many', 'key' || n)) AS found, count(*) AS asked FROM generate_series(1, 5000) AS n;
SELECT a.filter_negatives - b.filter_negatives BETWEEN 2495 AND 2500 AS negatives,
       a.filter_false_positives - b.filter_false_positives < 5 AS false_positives
  FROM skyvault_stat_cache AS a, before AS b;
-- The option is about new runs; old ones are read as they are.
ALTER FOREIGN TABLE cache_none OPTIONS (SET filter_bits '5');
SELECT skyvault_multi_put('cache_none', array_agg('key' || n), array_agg('even'::text)) FROM generate_series(2, 5000, 2) AS n;
SELECT skyvault_flush('cache_none');
SELECT round(filter_bits_per_key) AS bits FROM skyvault_index('cache_none');
ALTER FOREIGN TABLE cache_none OPTIONS (DROP filter_bits);
SELECT skyvault_put('cache_none', 'key' || n, 'last') FROM generate_series(4998, 7000) AS n \g /dev/null
SELECT skyvault_flush('cache_none');
SELECT round(filter_bits_per_key) AS bits FROM skyvault_index('cache_none') LIMIT 1;
SELECT count(*), count(*) FILTER (WHERE value = 'even') AS even, count(*) FILTER (WHERE value = 'last') AS last
  FROM skyvault_scan('cache_none');

-- ---------------------------------------------------------------- compression_level and dictionary
-- Values of which each looks like the others: small, so that a block has many of them.
CREATE FOREIGN TABLE cache_raw (key text NOT NULL, value text) SERVER skyvault OPTIONS (compression_level '0');
CREATE FOREIGN TABLE cache_fast (key text NOT NULL, value text) SERVER skyvault OPTIONS (compression_level '1');
CREATE FOREIGN TABLE cache_hard (key text NOT NULL, value text) SERVER skyvault OPTIONS (compression_level '19');
CREATE FOREIGN TABLE cache_plain (key text NOT NULL, value text) SERVER skyvault OPTIONS (compression_level '3');
CREATE FOREIGN TABLE cache_dict (key text NOT NULL, value text) SERVER skyvault OPTIONS (compression_level '3', dictionary '64kB');
CREATE FOREIGN TABLE cache_largest_dict (key text NOT NULL, value text) SERVER skyvault OPTIONS (dictionary '256kB');
CREATE FOREIGN TABLE cache_smallest_dict (key text NOT NULL, value text) SERVER skyvault OPTIONS (dictionary '256');
CREATE VIEW cache_rows AS
SELECT 'k' || to_char(n, 'FM00000') AS key,
       format('{"country":"%s","city":"%s","status":"%s","agent":"%s"}', sha224((n * 7 % 500)::text::bytea),
              sha224((n * 13 % 700)::text::bytea), sha224((n * 3 % 300)::text::bytea), sha224((n * 11 % 900)::text::bytea)) AS value
  FROM generate_series(1, 10000) AS n;

-- Each alone in its run.
CREATE FUNCTION run_bytes(rel regclass) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	bytes bigint;
BEGIN
	SELECT r.file_bytes INTO STRICT bytes FROM skyvault_index(rel) AS i JOIN skyvault.run AS r ON r.id = i.run;
	RETURN bytes;
END $$;
CREATE TABLE cache_sizes (rel regclass, bytes bigint);
\set rel cache_raw
SELECT skyvault_multi_put(:'rel'::regclass, array_agg(key), array_agg(value)) FROM cache_rows;
SELECT skyvault_flush();
INSERT INTO cache_sizes VALUES (:'rel', run_bytes(:'rel'));
\set rel cache_fast
SELECT skyvault_multi_put(:'rel'::regclass, array_agg(key), array_agg(value)) FROM cache_rows;
SELECT skyvault_flush();
INSERT INTO cache_sizes VALUES (:'rel', run_bytes(:'rel'));
\set rel cache_hard
SELECT skyvault_multi_put(:'rel'::regclass, array_agg(key), array_agg(value)) FROM cache_rows;
SELECT skyvault_flush();
INSERT INTO cache_sizes VALUES (:'rel', run_bytes(:'rel'));
\set rel cache_plain
SELECT skyvault_multi_put(:'rel'::regclass, array_agg(key), array_agg(value)) FROM cache_rows;
SELECT skyvault_flush();
INSERT INTO cache_sizes VALUES (:'rel', run_bytes(:'rel'));
\set rel cache_dict
SELECT skyvault_multi_put(:'rel'::regclass, array_agg(key), array_agg(value)) FROM cache_rows;
SELECT skyvault_flush();
INSERT INTO cache_sizes VALUES (:'rel', run_bytes(:'rel'));
\set rel cache_largest_dict
SELECT skyvault_multi_put(:'rel'::regclass, array_agg(key), array_agg(value)) FROM cache_rows;
SELECT skyvault_flush();
INSERT INTO cache_sizes VALUES (:'rel', run_bytes(:'rel'));
\set rel cache_smallest_dict
SELECT skyvault_multi_put(:'rel'::regclass, array_agg(key), array_agg(value)) FROM cache_rows;
SELECT skyvault_flush();
INSERT INTO cache_sizes VALUES (:'rel', run_bytes(:'rel'));

CREATE FUNCTION bytes_of(name regclass) RETURNS bigint LANGUAGE sql AS 'SELECT bytes FROM cache_sizes WHERE rel = name';
SELECT bytes_of('cache_raw') > (SELECT sum(length(key) + length(value)) FROM cache_rows) AS raw_is_raw,
       bytes_of('cache_fast') < 0.8 * bytes_of('cache_raw') AS fast_is_smaller,
       bytes_of('cache_hard') < bytes_of('cache_fast') AS hard_is_smaller_still,
       bytes_of('cache_dict') < 0.8 * bytes_of('cache_plain') AS dictionary_is_smaller,
       bytes_of('cache_largest_dict') < 0.8 * bytes_of('cache_fast') AS so_is_the_largest;
-- All are read right, from the store and from the cache.
SELECT skyvault_clear_cache();
SELECT rel, (SELECT count(*) FROM skyvault_scan(rel) JOIN cache_rows USING (key, value)) AS scanned,
       (SELECT count(*) FROM skyvault_multi_get(rel, ARRAY(SELECT key FROM cache_rows)) JOIN cache_rows USING (key, value)) AS got
  FROM cache_sizes ORDER BY rel::text;
SELECT skyvault_clear_cache();
SELECT rel, (SELECT count(*) FROM cache_rows WHERE key LIKE '%77' AND skyvault_get(rel, key) = value) AS got
  FROM cache_sizes ORDER BY rel::text;

-- One run of tables with and without a dictionary and compression.
SELECT skyvault_multi_put(rel, array_agg(left(key, 5) || 'x'), array_agg('new ' || value)) FROM cache_sizes, cache_rows
 WHERE key LIKE '%7' GROUP BY rel \g /dev/null
SELECT skyvault_flush();
SELECT skyvault_clear_cache();
SELECT rel, count(*), count(*) FILTER (WHERE s.value LIKE 'new %' AND substr(s.value, 5) = r.value) AS new
  FROM cache_sizes, skyvault_scan(rel) AS s LEFT JOIN cache_rows AS r ON r.key = left(s.key, 5) || '7'
 WHERE s.key LIKE '%x' GROUP BY rel ORDER BY rel::text;

-- What a compaction writes is as the tables want it by then.
ALTER FOREIGN TABLE cache_raw OPTIONS (SET compression_level '3', ADD filter_bits '20');
ALTER FOREIGN TABLE cache_fast OPTIONS (SET compression_level '0', ADD filter_bits '0');
ALTER FOREIGN TABLE cache_plain OPTIONS (ADD dictionary '64kB');
SELECT skyvault_multi_put(rel, array_agg(key), array_agg(value)) FROM unnest('{cache_raw,cache_fast,cache_plain}'::regclass[]) AS rel, cache_rows
 WHERE key LIKE '%3' GROUP BY rel \g /dev/null
SELECT skyvault_compact('cache_raw', full => true);
SELECT skyvault_compact('cache_fast', full => true);
SELECT skyvault_compact('cache_plain', full => true);
SELECT rel, min(i.tier::text) AS tier, round(max(filter_bits_per_key)) AS bits, sum(file_bytes) < 0.8 * bytes_of('cache_raw') AS compressed,
       sum(file_bytes) < 0.5 * bytes_of('cache_plain') AS with_dictionary
  FROM unnest('{cache_raw,cache_fast,cache_plain}'::regclass[]) AS rel, skyvault_index(rel) AS i JOIN skyvault.run AS r ON r.id = i.run
 GROUP BY rel ORDER BY rel::text;
SELECT rel, (SELECT count(*) FROM skyvault_scan(rel) JOIN cache_rows USING (key, value)) AS scanned,
       (SELECT count(*) FROM cache_rows WHERE key LIKE '%77' AND skyvault_get(rel, key) = value) AS got
  FROM unnest('{cache_raw,cache_fast,cache_plain}'::regclass[]) AS rel ORDER BY rel::text;

-- Of the tables of a server, those with rows in a run decide about its filter.
SELECT skyvault_create_table('cache_beside', server => 'cache_none');
ALTER FOREIGN TABLE cache_none OPTIONS (ADD filter_bits '0');
SELECT skyvault_put('cache_none', 'one', '1');
SELECT skyvault_flush();
SELECT filter_bits_per_key FROM skyvault_index('cache_none') ORDER BY run DESC LIMIT 1;
SELECT skyvault_put('cache_none', 'one', '2'), skyvault_put('cache_beside', 'one', '3');
SELECT skyvault_flush();
SELECT filter_bits_per_key >= 10 AS has_filter FROM skyvault_index('cache_beside');
DROP FOREIGN TABLE cache_beside;

DROP FUNCTION bytes_of(regclass), run_bytes(regclass), try_option(text, text);
DROP VIEW cache_rows;
DROP TABLE cache_sizes;
DROP FOREIGN TABLE cache_none, cache_many, cache_raw, cache_fast, cache_hard, cache_plain, cache_dict, cache_largest_dict, cache_smallest_dict;
SET client_min_messages = warning;
DROP SERVER cache_none;
DROP SERVER cache_many;
RESET client_min_messages;
