--
-- The functions on maps: put, get, exists, delete, batches and scans,
-- with entries in the delta, in runs, and in both.
--
\pset null '<null>'
SELECT skyvault_flush() >= 0 AS drained;

-- ---------------------------------------------------------------- tables
SELECT skyvault_create_table('kv');
SELECT skyvault_create_table('kv_bytes', 'bytea', 'bytea');
CREATE SCHEMA kv_schema;
SELECT skyvault_create_table('kv_schema.kv', ttl => '30 days');
SELECT skyvault_create_table('"Kv ""quoted"""', server => 'skyvault');
SELECT skyvault_create_table(name => 'kv_mixed', key_type => 'text', value_type => 'bytea');
SELECT c.oid::regclass AS rel, s.srvname, t.ftoptions, a.attname,
       format_type(a.atttypid, a.atttypmod) AS type, l.collname, a.attnotnull
  FROM pg_foreign_table t
  JOIN pg_class c ON c.oid = t.ftrelid
  JOIN pg_foreign_server s ON s.oid = t.ftserver
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
  LEFT JOIN pg_collation l ON l.oid = a.attcollation
 WHERE c.relname ILIKE 'kv%'
 ORDER BY c.oid::regclass::text COLLATE "C", a.attnum;

-- The names of the search path hold for tables made and tables named.
SET search_path = kv_schema, public;
SELECT skyvault_create_table('kv_second');
SELECT skyvault_put('kv', 'where', 'kv_schema');
SELECT skyvault_get('public.kv', 'where') AS public_kv, skyvault_get('kv', 'where') AS kv;
RESET search_path;
SELECT skyvault_get('kv', 'where') AS kv, skyvault_get('kv_schema.kv', 'where') AS kv_schema_kv;
SELECT 'kv_schema.kv_second'::regclass;

-- ---------------------------------------------------------------- the calls of the manual
SELECT skyvault_put('kv', 'user:42', 'hello');
SELECT skyvault_multi_put('kv', ARRAY['a','b'], ARRAY['1','2']);
SELECT skyvault_get('kv', 'user:42');
SELECT * FROM skyvault_multi_get('kv', ARRAY['user:42', 'user:43']);
SELECT skyvault_put('kv_schema.kv_second', 'b', 'second');
SELECT * FROM skyvault_multi_get(ARRAY['kv','kv_schema.kv_second']::regclass[], ARRAY['a','b']);
SELECT * FROM skyvault_scan('kv', 'user:', 'user;', 100);
SELECT skyvault_flush();
SELECT skyvault_flush('skyvault');
SELECT skyvault_get('kv', 'user:42');
SELECT * FROM skyvault_multi_get('kv', ARRAY['user:42', 'user:43']);
SELECT * FROM skyvault_multi_get(ARRAY['kv','kv_schema.kv_second']::regclass[], ARRAY['a','b']);
SELECT * FROM skyvault_scan('kv', 'user:', 'user;', 100);
SELECT skyvault_delete('kv', 'user:42');
SELECT skyvault_get('kv', 'user:42');

-- ---------------------------------------------------------------- put and delete over runs
SELECT skyvault_exists('kv', 'a'), skyvault_exists('kv', 'user:42'), skyvault_exists('kv', 'never');
SELECT skyvault_put('kv', 'a', '1 again');
SELECT skyvault_get('kv', 'a');
-- a tombstone over an older entry, and a newer value
SELECT skyvault_flush();
SELECT skyvault_get('kv', 'a'), skyvault_get('kv', 'b'), skyvault_get('kv', 'user:42');
SELECT * FROM skyvault_scan('kv');
-- a key that never was; a tombstone with nothing below needs no place in the store
SELECT skyvault_delete('kv', 'zzz');
SELECT skyvault_exists('kv', 'zzz');
SELECT skyvault_flush();
-- deleted in the store, and there again
SELECT skyvault_put('kv', 'user:42', 'back');
SELECT skyvault_get('kv', 'user:42');
SELECT skyvault_flush();
SELECT skyvault_get('kv', 'user:42'), skyvault_exists('kv', 'user:42');

-- ---------------------------------------------------------------- empty and null
SELECT skyvault_put('kv', '', 'value of the empty key');
SELECT skyvault_put('kv', 'empty', '');
SELECT skyvault_put('kv', 'null', NULL);
SELECT skyvault_get('kv', '') AS empty_key, skyvault_get('kv', 'empty') AS empty,
       skyvault_get('kv', 'null') AS "null", skyvault_exists('kv', 'null') AS null_exists,
       skyvault_get('kv', 'never') AS never;
SELECT skyvault_flush();
SELECT skyvault_get('kv', '') AS empty_key, skyvault_get('kv', 'empty') AS empty,
       skyvault_get('kv', 'null') AS "null", skyvault_exists('kv', 'null') AS null_exists,
       skyvault_get('kv', 'never') AS never;
-- reading a null key finds nothing
SELECT skyvault_get('kv', NULL) AS value, skyvault_exists('kv', NULL) AS exists;
SELECT * FROM skyvault_scan('kv');

-- ---------------------------------------------------------------- multi_put
SELECT skyvault_multi_put('kv', ARRAY['m3','m1','m2','m1'], ARRAY['three','first','two','last']);
SELECT * FROM skyvault_scan('kv', 'm', 'n');
SELECT skyvault_multi_put('kv', ARRAY[]::text[], ARRAY[]::text[]);
SELECT skyvault_multi_put('kv', ARRAY['m2','m4'], ARRAY[NULL, 'four']);
SELECT * FROM skyvault_scan('kv', 'm', 'n');
SELECT skyvault_flush();
SELECT skyvault_multi_put('kv', ARRAY['m0','m2'], ARRAY['zero', 'two again']);
SELECT * FROM skyvault_scan('kv', 'm', 'n');
-- two puts of a key in one statement: the later call wins
SELECT skyvault_put('kv', k, v) FROM (VALUES ('twice', '1'), ('twice', '2')) AS w(k, v);
SELECT skyvault_get('kv', 'twice');

-- ---------------------------------------------------------------- multi_get
-- input order, repeats, nulls, missing and deleted keys
SELECT * FROM skyvault_multi_get('kv', ARRAY['m4', 'm0', NULL, 'm4', 'zzz', '', 'null', 'm2', 'never']);
SELECT count(*) FROM skyvault_multi_get('kv', ARRAY[]::text[]);
SELECT * FROM skyvault_multi_get('kv'::regclass, ARRAY['m0']);
SELECT * FROM skyvault_multi_get(ARRAY['kv', 'kv_schema.kv_second', 'kv', 'kv_schema.kv']::regclass[],
                                 ARRAY['b', 'b', NULL, 'where']);
SELECT count(*) FROM skyvault_multi_get(ARRAY[]::regclass[], ARRAY[]::text[]);

-- ---------------------------------------------------------------- scan
SELECT skyvault_create_table('kv_scan');
SELECT skyvault_multi_put('kv_scan', array_agg('k' || lpad(i::text, 3, '0')), array_agg('run ' || i))
  FROM generate_series(0, 199) AS i;
SELECT skyvault_flush();
-- every tenth is changed, every tenth deleted: half of that in a second run, half in the delta
SELECT count(skyvault_put('kv_scan', 'k' || lpad(i::text, 3, '0'), 'second ' || i)) FROM generate_series(0, 99, 10) AS i;
SELECT count(skyvault_delete('kv_scan', 'k' || lpad(i::text, 3, '0'))) FROM generate_series(5, 99, 10) AS i;
SELECT skyvault_flush();
SELECT count(skyvault_put('kv_scan', 'k' || lpad(i::text, 3, '0'), 'delta ' || i)) FROM generate_series(100, 199, 10) AS i;
SELECT count(skyvault_delete('kv_scan', 'k' || lpad(i::text, 3, '0'))) FROM generate_series(105, 199, 10) AS i;
SELECT count(*), min(key), max(key),
       count(*) FILTER (WHERE value LIKE 'run %') AS run,
       count(*) FILTER (WHERE value LIKE 'second %') AS second,
       count(*) FILTER (WHERE value LIKE 'delta %') AS delta
  FROM skyvault_scan('kv_scan');
SELECT array_agg(key) = array_agg(key ORDER BY key COLLATE "C") AS ascending FROM skyvault_scan('kv_scan');
SELECT array_agg(key) = array_agg(key ORDER BY key COLLATE "C" DESC) AS descending
  FROM skyvault_scan('kv_scan', reverse => true);
SELECT * FROM skyvault_scan('kv_scan', 'k098', 'k103');
SELECT * FROM skyvault_scan('kv_scan', 'k098', 'k103', reverse => true);
SELECT * FROM skyvault_scan('kv_scan', max_rows => 3);
SELECT * FROM skyvault_scan('kv_scan', reverse => true, max_rows => 3);
-- the lower bound belongs to the range, the upper one does not
SELECT key FROM skyvault_scan('kv_scan', 'k100', 'k101');
SELECT count(*) FROM skyvault_scan('kv_scan', 'k100', 'k100');
SELECT count(*) FROM skyvault_scan('kv_scan', 'k101', 'k100');
-- bounds need not be keys; null ones are open
SELECT * FROM skyvault_scan('kv_scan', 'k0995', 'k1005');
SELECT key FROM skyvault_scan('kv_scan', NULL, 'k002');
SELECT key FROM skyvault_scan('kv_scan', 'k198', NULL);
SELECT count(*) FROM skyvault_scan('kv_scan', NULL, NULL, NULL, NULL);
SELECT count(*) FROM skyvault_scan('kv_scan', max_rows => 0);
-- a deleted key does not count for the limit
SELECT key FROM skyvault_scan('kv_scan', 'k004', max_rows => 2);
SELECT key FROM skyvault_scan('kv_scan', high => 'k107', reverse => true, max_rows => 2);
SELECT skyvault_flush();
SELECT count(*), count(*) FILTER (WHERE value LIKE 'delta %') AS delta FROM skyvault_scan('kv_scan');

-- ---------------------------------------------------------------- bytea
SELECT skyvault_put('kv_bytes', '\x00ff'::bytea, '\xdeadbeef'::bytea);
SELECT skyvault_multi_put('kv_bytes', ARRAY['\x', '\xff', '\x00', '\x80']::bytea[],
                          ARRAY['\x', '\x00', NULL, '\x8000']::bytea[]);
SELECT * FROM skyvault_scan('kv_bytes', NULL::bytea, NULL::bytea);
SELECT skyvault_flush();
SELECT * FROM skyvault_scan('kv_bytes', NULL::bytea, NULL::bytea);
SELECT * FROM skyvault_scan('kv_bytes', '\x00'::bytea, '\x80'::bytea);
SELECT * FROM skyvault_scan('kv_bytes', '\x00'::bytea, NULL::bytea, 2, reverse => true);
SELECT skyvault_get('kv_bytes', '\x00ff'::bytea), skyvault_exists('kv_bytes', '\x00'::bytea),
       skyvault_get('kv_bytes', '\x01'::bytea), skyvault_get('kv_bytes', '\xff'::bytea, for_update => true);
SELECT * FROM skyvault_multi_get('kv_bytes', ARRAY['\x80', '\x81']::bytea[]);
SELECT * FROM skyvault_multi_get(ARRAY['kv_bytes', 'kv_bytes']::regclass[], ARRAY['\x80', '\x81']::bytea[]);
SELECT skyvault_delete('kv_bytes', '\x80'::bytea);
SELECT * FROM skyvault_multi_get('kv_bytes', ARRAY['\x80', '\x81']::bytea[]);

-- ---------------------------------------------------------------- bytes, not letters
SELECT skyvault_create_table('kv_order');
SELECT skyvault_multi_put('kv_order', ARRAY[U&'\00E4', 'z', 'Z', 'a', 'A', U&'\20AC', '10', '9'],
                          ARRAY['a umlaut', 'z', 'Z', 'a', 'A', 'euro', '10', '9']);
SELECT string_agg(value, ' ') FROM skyvault_scan('kv_order');
SELECT skyvault_flush();
SELECT string_agg(value, ' ') FROM skyvault_scan('kv_order');

-- ---------------------------------------------------------------- longest key, large values
SELECT skyvault_put('kv', repeat('k', 2000), 'longest key');
SELECT skyvault_put('kv', 'large', repeat('0123456789abcdef', 65536));
SELECT skyvault_put('kv_bytes', decode(repeat('ff', 2000), 'hex'), decode(repeat('00', 300000), 'hex'));
SELECT skyvault_get('kv', repeat('k', 2000)), md5(skyvault_get('kv', 'large')) = md5(repeat('0123456789abcdef', 65536)) AS large,
       skyvault_get('kv_bytes', decode(repeat('ff', 2000), 'hex')) = decode(repeat('00', 300000), 'hex') AS zeroes;
SELECT skyvault_flush();
SELECT skyvault_get('kv', repeat('k', 2000)), md5(skyvault_get('kv', 'large')) = md5(repeat('0123456789abcdef', 65536)) AS large,
       skyvault_get('kv_bytes', decode(repeat('ff', 2000), 'hex')) = decode(repeat('00', 300000), 'hex') AS zeroes;
SELECT length(key), length(value) FROM skyvault_scan('kv', 'k', 'm') ORDER BY 1;

-- ---------------------------------------------------------------- names
ALTER FOREIGN TABLE kv_order RENAME TO kv_renamed;
ALTER FOREIGN TABLE kv_renamed SET SCHEMA kv_schema;
SELECT string_agg(value, ' ') FROM skyvault_scan('kv_schema.kv_renamed');
SELECT skyvault_get('kv_schema.kv_renamed', 'a');
-- a table that was made anew is empty
DROP FOREIGN TABLE kv_scan;
SELECT skyvault_create_table('kv_scan');
SELECT count(*), skyvault_get('kv_scan', 'k000') FROM skyvault_scan('kv_scan');

-- a table never written: nothing to read
SELECT skyvault_create_table('kv_unwritten');
SELECT skyvault_get('kv_unwritten', 'a'), skyvault_exists('kv_unwritten', 'a');
SELECT * FROM skyvault_multi_get('kv_unwritten', ARRAY['a']);
SELECT * FROM skyvault_scan('kv_unwritten');
SELECT * FROM skyvault_multi_get(ARRAY['kv', 'kv_unwritten']::regclass[], ARRAY['b', 'b']);

-- prepared statements, lateral calls
PREPARE get_one(text) AS SELECT skyvault_get('kv', $1);
EXECUTE get_one('b');
SELECT skyvault_put('kv', 'b', '2 again');
EXECUTE get_one('b');
DEALLOCATE get_one;
SELECT k, skyvault_get('kv', k) FROM unnest(ARRAY['a', 'b', 'zzz']) AS k;
SELECT k, m.value FROM unnest(ARRAY['a', 'b']) AS k, skyvault_multi_get('kv', ARRAY[k, 'zzz']) AS m;
SELECT m.key, n.value FROM skyvault_scan('kv', 'm', 'n') AS m, skyvault_multi_get('kv', ARRAY[m.key]) AS n;

DROP SCHEMA kv_schema CASCADE;
DROP FOREIGN TABLE kv, kv_bytes, kv_scan, kv_unwritten, "Kv ""quoted""";
SELECT count(*) AS left_in_delta FROM skyvault.delta;
