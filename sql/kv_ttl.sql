--
-- Time to live.  What is written to live for a microsecond has expired when
-- the next statement starts, and never before the statement that wrote it.
--
\pset null '<null>'
SELECT skyvault_flush() >= 0 AS drained;
SELECT skyvault_create_table('kv');

-- ---------------------------------------------------------------- the ttl of a call
SELECT skyvault_put('kv', 'long', 'lives', ttl => '1 day');
SELECT skyvault_put('kv', 'short', 'dies', '1 microsecond');
SELECT skyvault_put('kv', 'ever', 'lives');
SELECT skyvault_get('kv', 'long'), skyvault_get('kv', 'short'), skyvault_get('kv', 'ever');
SELECT skyvault_exists('kv', 'long'), skyvault_exists('kv', 'short'), skyvault_exists('kv', 'ever');
SELECT * FROM skyvault_multi_get('kv', ARRAY['short', 'long', 'ever']);
SELECT * FROM skyvault_scan('kv');
-- counted from the statement's start
SELECT convert_from(d.key, 'UTF8') AS key,
       d.expires_at > statement_timestamp() AS later,
       d.expires_at - interval '1 day' <= statement_timestamp() AS at_most_a_day
  FROM skyvault.delta AS d JOIN skyvault."table" AS t ON t.id = d.table_id
 WHERE t.relid = 'kv'::regclass ORDER BY d.key;
SELECT skyvault_flush() >= 2 AS flushed;
SELECT skyvault_get('kv', 'long'), skyvault_get('kv', 'short'), skyvault_get('kv', 'ever');
SELECT skyvault_exists('kv', 'long'), skyvault_exists('kv', 'short'), skyvault_exists('kv', 'ever');
SELECT * FROM skyvault_multi_get('kv', ARRAY['short', 'long', 'ever']);
SELECT * FROM skyvault_scan('kv');
SELECT * FROM skyvault_scan('kv', reverse => true);

-- An expired entry is absent, and so is what it replaced.
SELECT skyvault_put('kv', 'ever', 'dies', ttl => '1 microsecond');
SELECT skyvault_get('kv', 'ever'), skyvault_exists('kv', 'ever');
SELECT skyvault_flush() >= 0 AS flushed;
SELECT skyvault_get('kv', 'ever'), skyvault_exists('kv', 'ever');
SELECT * FROM skyvault_scan('kv');

-- Every write sets it anew.
SELECT skyvault_put('kv', 'short', 'lives again');
SELECT skyvault_put('kv', 'long', 'dies', '1 microsecond');
SELECT skyvault_put('kv', 'long', 'lives again');
SELECT * FROM skyvault_scan('kv');
SELECT skyvault_flush() >= 0 AS flushed;
SELECT * FROM skyvault_scan('kv');

-- Batches; the expired do not count for a limit.
SELECT skyvault_multi_put('kv', ARRAY['m1', 'm2', 'm3'], ARRAY['1', '2', '3']);
SELECT skyvault_multi_put('kv', ARRAY['m1', 'm3'], ARRAY['dies', 'dies'], ttl => '1 microsecond');
SELECT skyvault_multi_put('kv', ARRAY['m4', 'm5'], ARRAY['4', '5'], ttl => '1 month');
SELECT * FROM skyvault_scan('kv', 'm', 'n', max_rows => 2);
SELECT skyvault_flush() >= 0 AS flushed;
SELECT * FROM skyvault_scan('kv', 'm', 'n', max_rows => 2);

-- Deleting what has expired, and locking it.
SELECT skyvault_delete('kv', 'm1');
SELECT skyvault_get('kv', 'm3', for_update => true);
SELECT * FROM skyvault_scan('kv', 'm', 'n');

-- ---------------------------------------------------------------- the ttl of the table
SELECT skyvault_create_table('kv_short', ttl => '1 microsecond');
SELECT skyvault_create_table('kv_long', ttl => '2 days');
SELECT skyvault_put('kv_short', 'table', 'dies');
SELECT skyvault_put('kv_short', 'call', 'lives', ttl => '1 hour');
SELECT skyvault_put('kv_short', 'null', 'dies', ttl => NULL);
SELECT skyvault_put('kv_long', 'table', 'lives');
SELECT skyvault_put('kv_long', 'call', 'dies', ttl => '1 microsecond');
SELECT * FROM skyvault_scan('kv_short');
SELECT * FROM skyvault_scan('kv_long');
SELECT skyvault_flush() >= 0 AS flushed;
SELECT * FROM skyvault_scan('kv_short');
SELECT * FROM skyvault_scan('kv_long');
-- The option holds for what is written later.
ALTER FOREIGN TABLE kv_short OPTIONS (DROP ttl);
ALTER FOREIGN TABLE kv_long OPTIONS (SET ttl '1 microsecond');
SELECT skyvault_put('kv_short', 'new', 'lives');
SELECT skyvault_put('kv_long', 'new', 'dies');
SELECT * FROM skyvault_scan('kv_short');
SELECT * FROM skyvault_scan('kv_long');

-- ---------------------------------------------------------------- expiry is judged by the statement's start
BEGIN;
SELECT skyvault_put('kv', 'tick', 'dies', ttl => '1 microsecond');
SELECT skyvault_get('kv', 'tick') AS in_next_statement;
COMMIT;
-- within one statement time stands still
CREATE FUNCTION put_then_get(key text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM skyvault_put('kv', key, 'still there', ttl => '1 microsecond');
	PERFORM pg_sleep(0.01);
	RETURN skyvault_get('kv', key);
END $$;
SELECT put_then_get('tock') AS in_same_statement;
SELECT skyvault_get('kv', 'tock') AS in_next_statement;

-- ---------------------------------------------------------------- REPEATABLE READ: by the transaction's start
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT skyvault_put('kv', 'tick', 'lives on', ttl => '1 microsecond');
SELECT pg_sleep(0.01);
SELECT skyvault_get('kv', 'tick'), skyvault_exists('kv', 'tick');
SELECT * FROM skyvault_scan('kv', 'tick', 'tock');
COMMIT;
SELECT skyvault_get('kv', 'tick'), skyvault_exists('kv', 'tick');

-- ---------------------------------------------------------------- no time at all
\set VERBOSITY sqlstate
SELECT skyvault_put('kv', 'zero', 'v', ttl => '0');
SELECT skyvault_put('kv', 'negative', 'v', ttl => '-1 second');
SELECT skyvault_multi_put('kv', ARRAY['zero'], ARRAY['v'], ttl => '0');
SELECT skyvault_put('kv', 'endless', 'v', ttl => '300000 years');
SELECT skyvault_create_table('kv_zero', ttl => '0');
SELECT skyvault_create_table('kv_zero', ttl => '-1 day');
\set VERBOSITY default
SELECT skyvault_exists('kv', 'zero'), skyvault_exists('kv', 'negative'), skyvault_exists('kv', 'endless');

DROP FUNCTION put_then_get;
DROP FOREIGN TABLE kv, kv_short, kv_long;
