--
-- What bad input gets: one error with SQLSTATE, and a hint where there is
-- something to do; nothing half-written.
--
\pset null '<null>'
SELECT skyvault_flush() >= 0 AS drained;
SELECT skyvault_create_table('kv');
SELECT skyvault_create_table('kv_bytes', 'bytea', 'bytea');
CREATE FOREIGN TABLE kv_columns (id bigint, a text, b text) SERVER skyvault OPTIONS (key 'id');
CREATE FOREIGN TABLE kv_number (key integer, value text) SERVER skyvault OPTIONS (key 'key');
CREATE TABLE plain (key text, value text);
CREATE INDEX plain_index ON plain (key);
CREATE VIEW plain_view AS SELECT * FROM plain;
CREATE SEQUENCE plain_sequence;
CREATE FOREIGN DATA WRAPPER regress_wrapper;
CREATE SERVER regress_server FOREIGN DATA WRAPPER regress_wrapper;
CREATE FOREIGN TABLE other_wrapper (key text, value text) SERVER regress_server;

-- SQLSTATE and what the user reads; a few messages depend on the table's oid.
CREATE FUNCTION failure(statement text, brief boolean DEFAULT false) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	IF brief THEN
		RETURN SQLSTATE;
	END IF;
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
	RETURN SQLSTATE || ' ' || message || CASE WHEN hint <> '' THEN E'\n      ' || hint ELSE '' END;
END $$;
\pset format unaligned
\pset tuples_only on

-- ---------------------------------------------------------------- keys
SELECT failure($$SELECT skyvault_put('kv', NULL, 'v')$$);
SELECT failure($$SELECT skyvault_put('kv_bytes', NULL, '\x00'::bytea)$$);
SELECT failure($$SELECT skyvault_multi_put('kv', ARRAY['a', NULL], ARRAY['1', '2'])$$);
SELECT failure($$SELECT skyvault_delete('kv', NULL::text)$$);
SELECT failure($$SELECT skyvault_get('kv', NULL::text, for_update => true)$$);
SELECT failure($$SELECT skyvault_put('kv', repeat('k', 2001), 'v')$$);
SELECT failure($$SELECT skyvault_put('kv_bytes', decode(repeat('00', 2001), 'hex'), 'v'::bytea)$$);
SELECT failure($$SELECT skyvault_multi_put('kv', ARRAY['a', repeat('k', 2001)], ARRAY['1', '2'])$$);
SELECT failure($$SELECT skyvault_get('kv', repeat('k', 2001))$$);
SELECT failure($$SELECT skyvault_get('kv', repeat('k', 2001), for_update => true)$$);
SELECT failure($$SELECT skyvault_exists('kv', repeat('k', 2001))$$);
SELECT failure($$SELECT skyvault_multi_get('kv', ARRAY['a', repeat('k', 2001)])$$);
SELECT failure($$SELECT skyvault_delete('kv', repeat('k', 2001))$$);
-- the limit is on bytes
SELECT failure($$SELECT skyvault_put('kv', repeat(U&'\00E4', 1001), 'v')$$);
-- nothing of a batch that failed is there
SELECT count(*) FROM skyvault_scan('kv');

-- ---------------------------------------------------------------- values
SELECT failure($$SELECT skyvault_put('kv', 'large', repeat('v', 64 * 1024 * 1024 + 1))$$, brief => true);
SELECT failure($$SELECT skyvault_multi_put('kv', ARRAY['small', 'large'], ARRAY['v', repeat('v', 64 * 1024 * 1024 + 1)])$$, brief => true);
SELECT count(*) FROM skyvault_scan('kv');
-- 64 MiB are allowed; a flush may start by itself, at skyvault.flush_size
SELECT failure($$SELECT skyvault_put('kv', 'large', repeat('v', 64 * 1024 * 1024))$$);
SELECT length(skyvault_get('kv', 'large'));
SELECT skyvault_flush() >= 0;
SELECT length(skyvault_get('kv', 'large'));
SELECT skyvault_delete('kv', 'large');
SELECT skyvault_flush() >= 0;

-- ---------------------------------------------------------------- arrays
SELECT failure($$SELECT skyvault_multi_put('kv', ARRAY['a', 'b'], ARRAY['1'])$$);
SELECT failure($$SELECT skyvault_multi_put('kv', NULL::text[], ARRAY['1'])$$);
SELECT failure($$SELECT skyvault_multi_put('kv', ARRAY['a'], NULL::text[])$$);
SELECT failure($$SELECT skyvault_multi_put('kv', ARRAY[['a', 'b']], ARRAY[['1', '2']])$$);
SELECT failure($$SELECT skyvault_multi_get('kv', NULL::text[])$$);
SELECT failure($$SELECT skyvault_multi_get('kv', ARRAY[['a', 'b']])$$);
SELECT failure($$SELECT skyvault_multi_get(ARRAY['kv']::regclass[], ARRAY['a', 'b'])$$);
SELECT failure($$SELECT skyvault_multi_get(NULL::regclass[], ARRAY['a'])$$);
SELECT failure($$SELECT skyvault_multi_get(ARRAY[NULL]::regclass[], ARRAY['a'])$$);
SELECT failure($$SELECT skyvault_scan('kv', max_rows => -1)$$);
SELECT count(*) FROM skyvault_scan('kv');

-- ---------------------------------------------------------------- tables
SELECT call, failure(format(call, $$'no_such_table'$$)) FROM (VALUES
	('SELECT skyvault_put(%s, ''a'', ''1'')'),
	('SELECT skyvault_multi_put(%s, ARRAY[''a''], ARRAY[''1''])'),
	('SELECT skyvault_get(%s, ''a'')'),
	('SELECT skyvault_get(%s, ''a'', true)'),
	('SELECT skyvault_exists(%s, ''a'')'),
	('SELECT skyvault_delete(%s, ''a'')'),
	('SELECT skyvault_multi_get(%s, ARRAY[''a''])'),
	('SELECT skyvault_multi_get(ARRAY[%s]::regclass[], ARRAY[''a''])'),
	('SELECT skyvault_scan(%s)')) AS w(call);
SELECT failure($$SELECT skyvault_get('no_such_schema.kv', 'a')$$)
       IN ('3F000 schema "no_such_schema" does not exist', '42P01 relation "no_such_schema.kv" does not exist');
SELECT failure($$SELECT skyvault_get(NULL, 'a')$$);
SELECT failure($$SELECT skyvault_put(NULL, 'a', '1')$$);
SELECT failure($$SELECT skyvault_multi_get(NULL::regclass, ARRAY['a'])$$);
SELECT failure($$SELECT skyvault_scan(NULL)$$);
-- an oid that is no relation's
SELECT failure($$SELECT skyvault_get(4294967295::regclass, 'a')$$, brief => true);
SELECT failure($$SELECT skyvault_put(4294967295::regclass, 'a', '1')$$, brief => true);

SELECT call, rel, failure(format(call, quote_literal(rel)))
  FROM (VALUES ('SELECT skyvault_put(%s, ''a'', ''1'')'),
			   ('SELECT skyvault_get(%s, ''a'')'),
			   ('SELECT skyvault_delete(%s, ''a'')'),
			   ('SELECT skyvault_multi_get(%s, ARRAY[''a''])'),
			   ('SELECT skyvault_scan(%s)')) AS w(call),
	   (VALUES ('plain'), ('other_wrapper')) AS r(rel)
 ORDER BY call, rel;
SELECT rel, failure(format('SELECT skyvault_get(%L, ''a'')', rel))
  FROM (VALUES ('plain_index'), ('plain_sequence'), ('plain_view'), ('skyvault.delta')) AS r(rel) ORDER BY rel;

-- ---------------------------------------------------------------- column types and shapes
SELECT failure($$SELECT skyvault_put('kv_bytes', 'a', '1')$$);
SELECT failure($$SELECT skyvault_get('kv_bytes', 'a')$$);
SELECT failure($$SELECT skyvault_scan('kv_bytes')$$);
SELECT failure($$SELECT skyvault_put('kv', '\x00'::bytea, '\x00'::bytea)$$);
SELECT failure($$SELECT skyvault_multi_get('kv', ARRAY['\x00'::bytea])$$);
SELECT failure($$SELECT skyvault_multi_get(ARRAY['kv', 'kv_bytes']::regclass[], ARRAY['a', 'b'])$$);
SELECT rel, failure(format('SELECT skyvault_put(%L, ''1'', ''1'')', rel)), failure(format('SELECT skyvault_get(%L, ''1'')', rel))
  FROM (VALUES ('kv_columns'), ('kv_number')) AS r(rel) ORDER BY rel;

-- ---------------------------------------------------------------- create_table
SELECT failure($$SELECT skyvault_create_table('kv')$$);
SELECT failure($$SELECT skyvault_create_table('no_such_schema.kv')$$);
SELECT failure($$SELECT skyvault_create_table('a.b.c.d')$$, brief => true);
SELECT failure($$SELECT skyvault_create_table('')$$);
SELECT failure($$SELECT skyvault_create_table(NULL)$$);
SELECT failure($$SELECT skyvault_create_table('kv_new', NULL)$$);
SELECT failure($$SELECT skyvault_create_table('kv_new', 'integer')$$);
SELECT failure($$SELECT skyvault_create_table('kv_new', 'text', 'jsonb')$$);
SELECT failure($$SELECT skyvault_create_table('kv_new', 'no_such_type')$$);
SELECT failure($$SELECT skyvault_create_table('kv_new', server => 'no_such_server')$$);
SELECT failure($$SELECT skyvault_create_table('kv_new; DROP TABLE plain')$$, brief => true);
SELECT failure($$SELECT skyvault_create_table('kv_new', ttl => '0')$$, brief => true);
SELECT to_regclass('kv_new');

-- ---------------------------------------------------------------- flush
SELECT failure($$SELECT skyvault_flush('no_such_server')$$);
SELECT failure($$SELECT skyvault_flush('regress_server')$$, brief => true);
BEGIN;
SELECT skyvault_put('kv', 'a', '1');
SELECT failure($$SELECT skyvault_flush()$$);
SELECT failure($$SELECT skyvault_flush('skyvault')$$);
ROLLBACK;
BEGIN;
SELECT skyvault_get('kv', 'a', for_update => true);
SELECT failure($$SELECT skyvault_flush()$$);
ROLLBACK;

-- ---------------------------------------------------------------- read-only transactions
SELECT skyvault_put('kv', 'a', '1');
SELECT skyvault_create_table('kv_unwritten');
BEGIN READ ONLY;
SELECT failure($$SELECT skyvault_put('kv', 'a', '2')$$, brief => true);
SELECT failure($$SELECT skyvault_multi_put('kv', ARRAY['a'], ARRAY['2'])$$, brief => true);
SELECT failure($$SELECT skyvault_delete('kv', 'a')$$, brief => true);
SELECT failure($$SELECT skyvault_get('kv', 'a', for_update => true)$$, brief => true);
SELECT failure($$SELECT skyvault_put('kv_unwritten', 'a', '2')$$, brief => true);
SELECT failure($$SELECT skyvault_create_table('kv_new')$$, brief => true);
SELECT skyvault_get('kv', 'a'), skyvault_get('kv', 'a', for_update => false), skyvault_exists('kv', 'a');
SELECT * FROM skyvault_multi_get('kv', ARRAY['a']);
SELECT * FROM skyvault_scan('kv');
SELECT count(*) FROM skyvault_scan('kv_unwritten');
COMMIT;

-- ---------------------------------------------------------------- not in a parallel worker
SELECT name AS force_parallel FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query') \gset
SELECT failure(format($$SET max_parallel_workers_per_gather = 2;
				 SET LOCAL %s = on;
				 SELECT skyvault_get('kv', 'a')$$, :'force_parallel'));
SELECT skyvault_get('kv', 'a');

DROP FUNCTION failure;
DROP FOREIGN TABLE kv, kv_bytes, kv_columns, kv_number, kv_unwritten;
DROP FOREIGN DATA WRAPPER regress_wrapper CASCADE;
DROP VIEW plain_view;
DROP TABLE plain;
DROP SEQUENCE plain_sequence;
