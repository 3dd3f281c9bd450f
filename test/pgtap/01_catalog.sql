-- The objects of the extension, who owns them and who may use them.
BEGIN;
SELECT no_plan();

SELECT has_extension('skyvault');
SELECT has_schema('skyvault');
SELECT is(
	(SELECT nspowner FROM pg_namespace WHERE nspname = 'skyvault'),
	(SELECT extowner FROM pg_extension WHERE extname = 'skyvault'),
	'the schema belongs to the owner of the extension');
SELECT tables_are('skyvault', ARRAY['vault', 'owner', 'table', 'run', 'changelog', 'garbage', 'job', 'delta',
		'snapshot', 'log_object', 'pause', 'unimported']);
SELECT columns_are('skyvault', 'delta', ARRAY['table_id', 'key', 'kind', 'expires_at', 'value']);
SELECT col_is_pk('skyvault', 'delta', ARRAY['table_id', 'key'], 'the key of the delta');
SELECT col_is_unique('skyvault', 'table', 'relid', 'one row per foreign table');
SELECT col_is_unique('skyvault', 'vault', 'server', 'one row per server');
SELECT foreign_tables_are('public', ARRAY[]::name[]);

-- Rows may outlive what they are about, so that nothing holds up a drop.
SELECT is_empty($$SELECT conname FROM pg_constraint WHERE contype = 'f' AND connamespace = 'skyvault'::regnamespace$$,
	'no foreign keys');

SELECT has_function('skyvault_create_table', ARRAY['text', 'regtype', 'regtype', 'name', 'interval']);
SELECT function_returns('skyvault_create_table', 'regclass');
SELECT function_returns('skyvault_flush', ARRAY['name'], 'bigint');
SELECT function_returns('skyvault_exists', ARRAY['regclass', type], 'boolean') FROM unnest(ARRAY['text', 'bytea']) AS type;
SELECT function_returns('skyvault_get', ARRAY['regclass', type], type) FROM unnest(ARRAY['text', 'bytea']) AS type;
SELECT function_returns('skyvault_get', ARRAY['regclass', type, 'boolean'], type) FROM unnest(ARRAY['text', 'bytea']) AS type;
SELECT has_function('skyvault_put', ARRAY['regclass', type, type, 'interval']) FROM unnest(ARRAY['text', 'bytea']) AS type;
SELECT has_function('skyvault_multi_put', ARRAY['regclass', type, type, 'interval']) FROM unnest(ARRAY['text[]', 'bytea[]']) AS type;
SELECT has_function('skyvault_delete', ARRAY['regclass', type]) FROM unnest(ARRAY['text', 'bytea']) AS type;
SELECT has_function('skyvault_multi_get', ARRAY['regclass', type]) FROM unnest(ARRAY['text[]', 'bytea[]']) AS type;
SELECT has_function('skyvault_multi_get', ARRAY['regclass[]', type]) FROM unnest(ARRAY['text[]', 'bytea[]']) AS type;
SELECT has_function('skyvault_scan', ARRAY['regclass', type, type, 'bigint', 'boolean']) FROM unnest(ARRAY['text', 'bytea']) AS type;

-- Functions run as their caller: no privileges are lent.
SELECT is_empty($$SELECT proname FROM pg_proc WHERE proname LIKE 'skyvault\_%' AND prosecdef$$, 'no SECURITY DEFINER');
SELECT volatility_is('skyvault_put', 'volatile');
SELECT volatility_is('skyvault_multi_put', 'volatile');
SELECT volatility_is('skyvault_delete', 'volatile');
SELECT volatility_is('skyvault_get', ARRAY['regclass', 'text', 'boolean'], 'volatile');
SELECT volatility_is('skyvault_get', ARRAY['regclass', 'text'], 'stable');
SELECT volatility_is('skyvault_exists', 'stable');
SELECT volatility_is('skyvault_multi_get', 'stable');
SELECT volatility_is('skyvault_scan', 'stable');
SELECT volatility_is('skyvault_flush', 'volatile');

CREATE ROLE regress_pgtap_user;
SELECT schema_privs_are('skyvault', 'regress_pgtap_user', ARRAY[]::text[]);
SELECT table_privs_are('skyvault', name, 'regress_pgtap_user', ARRAY[]::text[])
	FROM unnest(ARRAY['vault', 'owner', 'table', 'run', 'changelog', 'garbage', 'job', 'delta',
		'snapshot', 'log_object', 'unimported']) AS name;
SELECT sequence_privs_are('skyvault', name, 'regress_pgtap_user', ARRAY[]::text[])
	FROM unnest(ARRAY['write_seq', 'vault_id_seq', 'table_id_seq', 'run_id_seq', 'serial_seq', 'job_id_seq', 'snapshot_id_seq']) AS name;
SELECT server_privs_are('skyvault', 'regress_pgtap_user', ARRAY[]::text[]);
SELECT fdw_privs_are('skyvault', 'regress_pgtap_user', ARRAY[]::text[]);
SELECT function_privs_are('skyvault_flush', ARRAY['name'], 'regress_pgtap_user', ARRAY[]::text[]);
SELECT function_privs_are('skyvault_get', ARRAY['regclass', 'text'], 'regress_pgtap_user', ARRAY['EXECUTE']);

-- Those who watch the server see everything but keys and values.
SELECT schema_privs_are('skyvault', 'pg_monitor', ARRAY['USAGE']);
SELECT table_privs_are('skyvault', name, 'pg_monitor', ARRAY['SELECT'])
	FROM unnest(ARRAY['vault', 'owner', 'table', 'changelog', 'garbage', 'job', 'snapshot', 'log_object', 'unimported']) AS name;
SELECT table_privs_are('skyvault', name, 'pg_monitor', ARRAY[]::text[]) FROM unnest(ARRAY['run', 'delta']) AS name;

SELECT * FROM finish();
ROLLBACK;
