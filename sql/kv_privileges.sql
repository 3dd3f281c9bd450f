--
-- Privileges: those of the foreign table are the authority, as for any other
-- table; the catalogue is nobody's.
--
\pset null '<null>'
SELECT skyvault_flush() >= 0 AS drained;
CREATE ROLE regress_kv_owner;
CREATE ROLE regress_kv_user;
CREATE ROLE regress_kv_monitor;
GRANT pg_monitor TO regress_kv_monitor;
CREATE SCHEMA kv_private AUTHORIZATION regress_kv_owner;

-- "ok" or the SQLSTATE and message of each call
CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
CREATE VIEW calls AS SELECT * FROM (VALUES
	(1, 'put', $$SELECT skyvault_put('kv_private.kv', 'a', '1')$$),
	(2, 'multi_put', $$SELECT skyvault_multi_put('kv_private.kv', ARRAY['b'], ARRAY['2'])$$),
	(3, 'get', $$SELECT skyvault_get('kv_private.kv', 'a')$$),
	(4, 'get for update', $$SELECT skyvault_get('kv_private.kv', 'a', true)$$),
	(5, 'get for update, false', $$SELECT skyvault_get('kv_private.kv', 'a', false)$$),
	(6, 'exists', $$SELECT skyvault_exists('kv_private.kv', 'a')$$),
	(7, 'multi_get', $$SELECT skyvault_multi_get('kv_private.kv', ARRAY['a'])$$),
	(8, 'multi_get, regclass', $$SELECT skyvault_multi_get('kv_private.kv'::regclass, ARRAY['a'])$$),
	(9, 'multi_get, tables', $$SELECT skyvault_multi_get(ARRAY['kv_private.kv']::regclass[], ARRAY['a'])$$),
	(10, 'scan', $$SELECT skyvault_scan('kv_private.kv')$$),
	(11, 'delete', $$SELECT skyvault_delete('kv_private.kv', 'a')$$)) AS c(n, name, statement);
GRANT SELECT ON calls TO PUBLIC;

-- ---------------------------------------------------------------- who may make a table
SET ROLE regress_kv_owner;
SELECT try($$SELECT skyvault_create_table('kv_private.kv')$$);
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER skyvault TO regress_kv_owner;
SET ROLE regress_kv_owner;
SELECT try($$SELECT skyvault_create_table('pg_catalog.kv')$$);
SELECT skyvault_create_table('kv_private.kv');
SELECT skyvault_create_table('kv_private.other');
-- The table is the caller's.
SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'kv_private.kv'::regclass;
SELECT name, try(statement) FROM calls ORDER BY n;
RESET ROLE;

-- ---------------------------------------------------------------- who may call what
SET ROLE regress_kv_user;
SELECT name, try(statement) FROM calls ORDER BY n;
RESET ROLE;
GRANT USAGE ON SCHEMA kv_private TO regress_kv_user;
SET ROLE regress_kv_user;
SELECT name, try(statement) FROM calls ORDER BY n;

RESET ROLE;
GRANT SELECT ON kv_private.kv TO regress_kv_user;
SET ROLE regress_kv_user;
SELECT name, try(statement) FROM calls ORDER BY n;

RESET ROLE;
REVOKE SELECT ON kv_private.kv FROM regress_kv_user;
GRANT INSERT ON kv_private.kv TO regress_kv_user;
SET ROLE regress_kv_user;
SELECT name, try(statement) FROM calls ORDER BY n;

RESET ROLE;
REVOKE INSERT ON kv_private.kv FROM regress_kv_user;
GRANT UPDATE ON kv_private.kv TO regress_kv_user;
SET ROLE regress_kv_user;
SELECT name, try(statement) FROM calls ORDER BY n;

RESET ROLE;
REVOKE UPDATE ON kv_private.kv FROM regress_kv_user;
GRANT DELETE ON kv_private.kv TO regress_kv_user;
SET ROLE regress_kv_user;
SELECT name, try(statement) FROM calls ORDER BY n;

-- Locking a key needs both.
RESET ROLE;
REVOKE DELETE ON kv_private.kv FROM regress_kv_user;
GRANT SELECT, UPDATE ON kv_private.kv TO regress_kv_user;
SET ROLE regress_kv_user;
SELECT name, try(statement) FROM calls WHERE name LIKE 'get%' ORDER BY n;

-- Each of several tables is checked.
SELECT try($$SELECT skyvault_multi_get(ARRAY['kv_private.kv', 'kv_private.other']::regclass[], ARRAY['a', 'a'])$$);
SELECT try($$SELECT skyvault_multi_get(ARRAY['kv_private.other', 'kv_private.kv']::regclass[], ARRAY['a', 'a'])$$);
SELECT try($$SELECT skyvault_multi_get(ARRAY['kv_private.kv', 'kv_private.kv']::regclass[], ARRAY['a', 'a'])$$);
RESET ROLE;

-- What is granted to PUBLIC and through membership counts.
REVOKE ALL ON kv_private.kv FROM regress_kv_user;
GRANT SELECT ON kv_private.kv TO PUBLIC;
GRANT regress_kv_owner TO regress_kv_monitor;
SET ROLE regress_kv_user;
SELECT try($$SELECT skyvault_get('kv_private.kv', 'a')$$);
SET ROLE regress_kv_monitor;
SELECT try($$SELECT skyvault_put('kv_private.kv', 'a', '1')$$);
RESET ROLE;
REVOKE regress_kv_owner FROM regress_kv_monitor;

-- A function of the owner's lends his privileges.
SET ROLE regress_kv_owner;
CREATE FUNCTION kv_private.put_as_owner(value text) RETURNS void LANGUAGE sql SECURITY DEFINER
	AS $$ SELECT skyvault_put('kv_private.kv', 'lent', value) $$;
SET ROLE regress_kv_user;
SELECT try($$SELECT skyvault_put('kv_private.kv', 'lent', '1')$$);
SELECT try($$SELECT kv_private.put_as_owner('1')$$);
SELECT skyvault_get('kv_private.kv', 'lent');
-- After an error inside, the caller is who he was.
BEGIN READ ONLY;
SELECT try($$SELECT kv_private.put_as_owner('2')$$);
SELECT current_user;
SELECT try('SELECT * FROM skyvault.delta');
COMMIT;
RESET ROLE;

-- ---------------------------------------------------------------- flush
SET ROLE regress_kv_user;
SELECT try('SELECT skyvault_flush()');
RESET ROLE;
GRANT EXECUTE ON FUNCTION skyvault_flush(name) TO regress_kv_user;
SET ROLE regress_kv_user;
SELECT try('SELECT skyvault_flush()');
SELECT skyvault_get('kv_private.kv', 'lent');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION skyvault_flush(name) FROM regress_kv_user;

-- ---------------------------------------------------------------- the catalogue
SET ROLE regress_kv_owner;
SELECT c.relname, try(format('SELECT * FROM %s', c.oid::regclass)), has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') AS may_write
  FROM pg_class c WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'skyvault') AND c.relkind = 'r'
 ORDER BY c.relname COLLATE "C";
-- to watch it, but never to see keys and values
SET ROLE regress_kv_monitor;
SELECT c.relname, try(format('SELECT * FROM %s', c.oid::regclass)), has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') AS may_write
  FROM pg_class c WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'skyvault') AND c.relkind = 'r'
 ORDER BY c.relname COLLATE "C";
RESET ROLE;
SELECT relname, has_sequence_privilege('regress_kv_owner', c.oid, 'USAGE, SELECT, UPDATE') AS may_use
  FROM pg_class c WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'skyvault') AND c.relkind = 'S'
 ORDER BY c.relname COLLATE "C";

-- ---------------------------------------------------------------- the owner may drop what he made
SET ROLE regress_kv_owner;
DROP FOREIGN TABLE kv_private.kv, kv_private.other;
RESET ROLE;
SELECT count(*) AS orphans FROM skyvault."table" AS t WHERE NOT EXISTS (SELECT FROM pg_class WHERE oid = t.relid);
SELECT count(*) AS left_in_delta FROM skyvault.delta;

DROP FUNCTION kv_private.put_as_owner;
DROP SCHEMA kv_private;
REVOKE USAGE ON FOREIGN SERVER skyvault FROM regress_kv_owner;
DROP VIEW calls;
DROP FUNCTION try;
DROP ROLE regress_kv_owner, regress_kv_user, regress_kv_monitor;
