-- A walk through the functions and foreign tables in one transaction, and the
-- SQLSTATEs of what goes wrong.
BEGIN;
SELECT no_plan();

SELECT is(skyvault_create_table('kv')::text, 'kv', 'create_table returns the table');
SELECT has_foreign_table('kv');
SELECT col_type_is('kv', 'key', 'text');
SELECT col_not_null('kv', 'key');
SELECT col_is_null('kv', 'value');
SELECT foreign_table_owner_is('kv', current_user);

-- before the first write
SELECT is(skyvault_get('kv', 'a'), NULL, 'a new table is empty');
SELECT is(skyvault_exists('kv', 'a'), false, 'a new table has no keys');
SELECT is_empty($$SELECT * FROM skyvault_scan('kv')$$, 'a new table has nothing to scan');

SELECT lives_ok($$SELECT skyvault_put('kv', 'b', '2')$$, 'put');
SELECT lives_ok($$SELECT skyvault_multi_put('kv', ARRAY['c', 'a', 'c'], ARRAY['3', '1', '33'])$$, 'multi_put');
SELECT is(skyvault_get('kv', 'c'), '33', 'of equal keys the last one wins');
SELECT results_eq($$SELECT * FROM skyvault_scan('kv')$$, $$VALUES ('a', '1'), ('b', '2'), ('c', '33')$$, 'scan');
SELECT results_eq($$SELECT * FROM skyvault_scan('kv', reverse => true, max_rows => 2)$$,
	$$VALUES ('c', '33'), ('b', '2')$$, 'scan backwards');
SELECT results_eq($$SELECT * FROM skyvault_multi_get('kv', ARRAY['c', 'x', 'a'])$$,
	$$VALUES ('c', '33'), ('x', NULL), ('a', '1')$$, 'multi_get answers in input order');
SELECT set_eq($$SELECT key COLLATE "default", value FROM kv$$, $$SELECT * FROM skyvault_scan('kv')$$, 'SELECT agrees with scan');

SAVEPOINT one;
SELECT lives_ok($$SELECT skyvault_delete('kv', 'a')$$, 'delete');
SELECT is(skyvault_exists('kv', 'a'), false, 'what was deleted is absent');
ROLLBACK TO one;
SELECT is(skyvault_get('kv', 'a'), '1', 'and there again after ROLLBACK TO');

SELECT lives_ok($$INSERT INTO kv VALUES ('d', '4')$$, 'INSERT');
SELECT lives_ok($$UPDATE kv SET value = value || '0' WHERE key >= 'c'$$, 'UPDATE');
SELECT lives_ok($$DELETE FROM kv WHERE key = 'b'$$, 'DELETE');
SELECT results_eq($$SELECT * FROM skyvault_scan('kv')$$, $$VALUES ('a', '1'), ('c', '330'), ('d', '40')$$,
	'the functions see what SQL has written');

SELECT throws_ok($$SELECT skyvault_put('kv', NULL, 'v')$$, '22004');
SELECT throws_ok($$SELECT skyvault_put('kv', repeat('k', 2001), 'v')$$, '54000');
SELECT throws_ok($$SELECT skyvault_put('no_such_table', 'k', 'v')$$, '42P01');
SELECT throws_ok($$SELECT skyvault_put('pg_class', 'k', 'v')$$, '42809');
SELECT throws_ok($$SELECT skyvault_put('kv', 'k'::bytea, 'v'::bytea)$$, '42804');
SELECT throws_ok($$SELECT skyvault_multi_put('kv', ARRAY['a'], ARRAY['1', '2'])$$, '2202E');
SELECT throws_ok($$SELECT skyvault_put('kv', 'k', 'v', '-1 day')$$, '22023');
SELECT throws_ok($$SELECT skyvault_create_table('kv')$$, '42P07');
SELECT throws_ok($$SELECT skyvault_flush()$$, '25001');
SELECT throws_ok($$CREATE FOREIGN TABLE bad (key text) SERVER skyvault OPTIONS (no_such_option '1')$$, 'HV00D');
SELECT throws_ok($$CREATE SERVER bad FOREIGN DATA WRAPPER skyvault OPTIONS (no_such_option '1')$$, 'HV00D');
SELECT throws_ok($$INSERT INTO kv VALUES (NULL, '1')$$, '23502');

CREATE FOREIGN TABLE strict (key text NOT NULL, value text) SERVER skyvault OPTIONS (key 'key', insert 'strict');
SELECT lives_ok($$INSERT INTO strict VALUES ('a', '1')$$, 'strict INSERT of a new key');
SELECT throws_ok($$INSERT INTO strict VALUES ('a', '2')$$, '23505');

CREATE ROLE regress_pgtap_user;
SET LOCAL ROLE regress_pgtap_user;
SELECT throws_ok($$SELECT skyvault_get('kv', 'a')$$, '42501');
SELECT throws_ok($$SELECT skyvault_put('kv', 'a', '1')$$, '42501');
SELECT throws_ok($$SELECT skyvault_delete('kv', 'a')$$, '42501');
SELECT throws_ok($$SELECT skyvault_flush()$$, '42501');
SELECT throws_ok($$SELECT * FROM skyvault.delta$$, '42501');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
