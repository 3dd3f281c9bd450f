-- skyvault_compact, its errors, options and privileges.
\set VERBOSITY terse
SELECT skyvault_create_table('compact_kv');
-- nothing was ever written
SELECT skyvault_compact('compact_kv');
SELECT skyvault_multi_put('compact_kv', array_agg('key' || n), array_agg('old'::text)) FROM generate_series(1, 20) AS n;
SELECT skyvault_flush() = 20 AS flushed;
SELECT skyvault_multi_put('compact_kv', array_agg('key' || n), array_agg('new'::text)) FROM generate_series(1, 10) AS n;
SELECT skyvault_delete('compact_kv', 'key20');
-- what is committed is compacted too
SELECT skyvault_compact('compact_kv');
SELECT tier, level, entries, tombstones FROM skyvault.run
 WHERE (SELECT id FROM skyvault."table" WHERE relid = 'compact_kv'::regclass) = ANY (table_ids);
SELECT count(*), count(*) FILTER (WHERE value = 'new') AS new FROM skyvault_scan('compact_kv');
-- again: nothing to do
SELECT skyvault_compact('compact_kv');
SELECT skyvault_compact('compact_kv', full => true);
SELECT skyvault_compact('compact_kv', NULL);
SELECT kind, state, cardinality(inputs) AS inputs, cardinality(outputs) AS outputs, entries_in, entries_out, left_out, error
  FROM skyvault_jobs WHERE kind = 'compact' ORDER BY id DESC LIMIT 1;

-- everything deleted
DELETE FROM compact_kv;
SELECT skyvault_compact('compact_kv', true);
SELECT count(*) AS runs FROM skyvault.run
 WHERE (SELECT id FROM skyvault."table" WHERE relid = 'compact_kv'::regclass) = ANY (table_ids);
SELECT count(*) FROM skyvault_scan('compact_kv');

-- errors
BEGIN;
SELECT skyvault_put('compact_kv', 'a', 'b');
SELECT skyvault_compact('compact_kv');
ROLLBACK;
BEGIN;
TRUNCATE compact_kv;
SELECT skyvault_compact('compact_kv');
ROLLBACK;
SELECT skyvault_compact('pg_class');
SELECT skyvault_compact('no_such_table');
SELECT skyvault_compact(1::regclass);
SELECT skyvault_compact(NULL);
SELECT skyvault_pause('no_such_server');
SELECT skyvault_resume('no_such_server');
SELECT skyvault_pause('skyvault');
SELECT skyvault_compact('compact_kv');
SELECT skyvault_pause();
SELECT skyvault_resume();
SELECT skyvault_resume('skyvault');
SELECT skyvault_compact('compact_kv');

-- privileges: only the owner of a table compacts it, and only who may pauses
CREATE ROLE regress_compact;
GRANT SELECT, INSERT ON compact_kv TO regress_compact;
SET ROLE regress_compact;
SELECT skyvault_compact('compact_kv');
SELECT skyvault_pause();
SELECT skyvault_resume();
SELECT * FROM skyvault_jobs;
RESET ROLE;
REVOKE ALL ON compact_kv FROM regress_compact;
DROP ROLE regress_compact;

-- options
CREATE FUNCTION try_compact_option(name text, value text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('ALTER FOREIGN TABLE compact_kv OPTIONS (ADD %I %L)', name, value);
	EXECUTE format('ALTER FOREIGN TABLE compact_kv OPTIONS (DROP %I)', name);
	RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
	RETURN format('%s %s', SQLSTATE, SQLERRM);
END $$;
SELECT o.name, o.value, try_compact_option(o.name, o.value) FROM (VALUES
	('buffer_runs', '1'), ('buffer_runs', '1000'), ('buffer_runs', '0'), ('buffer_runs', 'many'),
	('buffer_size', '64kB'), ('buffer_size', '1GB'), ('buffer_size', '63kB'), ('buffer_size', '-1'),
	('level1_size', '64kB'), ('level1_size', '1'), ('level_ratio', '2'), ('level_ratio', '101'),
	('bottom_level', '1'), ('bottom_level', '15'), ('bottom_level', '16'), ('run_size', '64kB'),
	('run_size', '1GB'), ('garbage_share', '0.25'), ('garbage_share', '2'), ('garbage_share', '2.1'),
	('garbage_share', 'NaN'), ('trivial_moves', 'off'), ('trivial_moves', 'maybe'), ('wal_runs', '5')) AS o (name, value);
DROP FUNCTION try_compact_option(text, text);

-- outputs are cut where the table says so, and levels begin where it says so
CREATE FOREIGN TABLE compact_cut (key text NOT NULL, value text) SERVER skyvault
	OPTIONS (run_size '64kB', compression_level '0', bottom_level '1');
INSERT INTO compact_cut SELECT 'key' || n, repeat(n::text, 200) FROM generate_series(1, 500) AS n;
SELECT skyvault_compact('compact_cut');
SELECT count(*) BETWEEN 4 AND 12 AS several, max(file_bytes) < 128 * 1024 AS small, sum(e) AS entries, min(level), max(level)
  FROM skyvault.run, unnest(entries) AS e WHERE (SELECT id FROM skyvault."table" WHERE relid = 'compact_cut'::regclass) = ANY (table_ids);
SELECT count(*), sum(length(value)) FROM compact_cut;
DROP FOREIGN TABLE compact_cut, compact_kv;
