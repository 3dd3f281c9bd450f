--
-- Row-level security: README.md, "Who may see which rows", as it stands there
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS skyvault;
CREATE ROLE regress_rls_alice;
CREATE ROLE regress_rls_bob;
CREATE ROLE regress_rls_owner;
RESET client_min_messages;
\set VERBOSITY terse
GRANT USAGE ON FOREIGN SERVER skyvault TO regress_rls_owner;
CREATE SCHEMA fdw_rls AUTHORIZATION regress_rls_owner;
GRANT USAGE ON SCHEMA fdw_rls TO PUBLIC;
SET search_path = fdw_rls, public;
SET ROLE regress_rls_owner;

-- ---------------------------------------------------------------- 1. a partitioned parent
CREATE TABLE notes (tenant text COLLATE "C" NOT NULL, id int NOT NULL, body text) PARTITION BY LIST (tenant);
CREATE FOREIGN TABLE notes_all PARTITION OF notes DEFAULT SERVER skyvault OPTIONS (key 'tenant, id');
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON notes USING (tenant = current_user::text) WITH CHECK (tenant = current_user::text);
GRANT SELECT, INSERT, UPDATE, DELETE ON notes TO regress_rls_alice, regress_rls_bob;
-- nothing on notes_all
INSERT INTO notes SELECT t, i, t || ' ' || i FROM unnest(ARRAY['regress_rls_alice', 'regress_rls_bob']) AS t, generate_series(1, 3) AS i;
SELECT count(*) FROM notes;
SET ROLE regress_rls_alice;
SELECT * FROM notes ORDER BY id;
-- the policy is a condition on the key
EXPLAIN (COSTS OFF) SELECT * FROM notes;
EXPLAIN (COSTS OFF) SELECT * FROM notes WHERE id = 2;
-- a function that would tell is not called for the rows of others
CREATE FUNCTION pg_temp.tell(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS
	'BEGIN RAISE NOTICE ''tells %'', $1; RETURN true; END';
SELECT count(*) FROM notes WHERE pg_temp.tell(body);
EXPLAIN (COSTS OFF) SELECT * FROM notes WHERE pg_temp.tell(body) AND id > 1;
SELECT * FROM notes WHERE tenant = 'regress_rls_bob';
SELECT * FROM notes WHERE tenant IN ('regress_rls_alice', 'regress_rls_bob') AND id = 1;
INSERT INTO notes VALUES ('regress_rls_alice', 4, 'hers') RETURNING *;
INSERT INTO notes VALUES ('regress_rls_bob', 4, 'his');
\echo :LAST_ERROR_SQLSTATE
-- an INSERT replaces: with a key of hers it can be hers alone
INSERT INTO notes VALUES ('regress_rls_bob', 1, 'replaced');
INSERT INTO notes VALUES ('regress_rls_alice', 4, 'replaced');
UPDATE notes SET body = body || '!' WHERE id = 1 RETURNING *;
UPDATE notes SET body = 'his' WHERE tenant = 'regress_rls_bob';
UPDATE notes SET tenant = 'regress_rls_bob' WHERE id = 1;
\echo :LAST_ERROR_SQLSTATE
DELETE FROM notes WHERE tenant = 'regress_rls_bob';
DELETE FROM notes WHERE id = 3 RETURNING *;
SELECT count(*), min(id), max(id) FROM notes;
-- no way around
SELECT * FROM notes_all;
\echo :LAST_ERROR_SQLSTATE
SELECT skyvault_scan('notes_all');
\echo :LAST_ERROR_SQLSTATE
INSERT INTO notes_all VALUES ('regress_rls_bob', 1, 'x');
DELETE FROM notes_all;
TRUNCATE notes;
TRUNCATE notes_all;
SELECT count(*) FROM skyvault.delta;
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
SET ROLE regress_rls_bob;
SELECT * FROM notes ORDER BY id;
PREPARE mine AS SELECT count(*), min(tenant) FROM notes;
EXECUTE mine;
SET ROLE regress_rls_alice;
EXECUTE mine;
SET ROLE regress_rls_bob;
EXECUTE mine;
DEALLOCATE mine;
SET ROLE regress_rls_owner;
SELECT count(*), count(*) FILTER (WHERE tenant LIKE '%alice') AS alice FROM notes;
-- the owner too, from here on
ALTER TABLE notes FORCE ROW LEVEL SECURITY;
SELECT count(*) FROM notes;
ALTER TABLE notes NO FORCE ROW LEVEL SECURITY;

-- after a flush, from runs
RESET ROLE;
SELECT skyvault_flush() >= 0 AS flushed;
SET ROLE regress_rls_alice;
SELECT count(*), min(body) FROM notes;
SELECT count(*) FROM notes WHERE pg_temp.tell(body);

-- ---------------------------------------------------------------- 2. a security-barrier view
SET ROLE regress_rls_owner;
CREATE FOREIGN TABLE prefs (tenant text COLLATE "C" NOT NULL, name text COLLATE "C" NOT NULL, value text)
	SERVER skyvault OPTIONS (key 'tenant, name');
CREATE VIEW my_prefs WITH (security_barrier) AS
	SELECT * FROM prefs WHERE tenant = current_user::text WITH CASCADED CHECK OPTION;
GRANT SELECT, INSERT, UPDATE, DELETE ON my_prefs TO regress_rls_alice, regress_rls_bob;
INSERT INTO prefs SELECT t, n, t || ' ' || n FROM unnest(ARRAY['regress_rls_alice', 'regress_rls_bob']) AS t, unnest(ARRAY['a', 'b']) AS n;
SET ROLE regress_rls_alice;
SELECT * FROM my_prefs ORDER BY name;
EXPLAIN (COSTS OFF) SELECT * FROM my_prefs WHERE name = 'a';
SELECT count(*) FROM my_prefs WHERE pg_temp.tell(value);
INSERT INTO my_prefs VALUES ('regress_rls_alice', 'c', 'hers');
INSERT INTO my_prefs VALUES ('regress_rls_bob', 'c', 'his');
\echo :LAST_ERROR_SQLSTATE
UPDATE my_prefs SET value = value || '!' WHERE name = 'a' RETURNING *;
UPDATE my_prefs SET tenant = 'regress_rls_bob' WHERE name = 'a';
UPDATE my_prefs SET value = 'his' WHERE tenant = 'regress_rls_bob';
DELETE FROM my_prefs WHERE name = 'b' RETURNING *;
DELETE FROM my_prefs WHERE tenant = 'regress_rls_bob';
SELECT * FROM prefs;
\echo :LAST_ERROR_SQLSTATE
SET ROLE regress_rls_bob;
SELECT * FROM my_prefs ORDER BY name;

-- ---------------------------------------------------------------- 3. a view as its caller: what the parent's policies allow
SET ROLE regress_rls_owner;
CREATE VIEW short_notes WITH (security_invoker, security_barrier) AS SELECT tenant, id, left(body, 13) AS start FROM notes;
CREATE VIEW owners_notes AS SELECT * FROM notes;
GRANT SELECT ON short_notes, owners_notes TO regress_rls_alice, regress_rls_bob;
SET ROLE regress_rls_alice;
SELECT * FROM short_notes ORDER BY id;
-- without it, as its owner
SELECT count(*) FROM owners_notes;
EXPLAIN (COSTS OFF) SELECT * FROM short_notes WHERE id = 2;

-- ---------------------------------------------------------------- a policy of columns that are not in the key wants strict inserts
SET ROLE regress_rls_owner;
CREATE TABLE docs (id int NOT NULL, tenant text, body text) PARTITION BY HASH (id);
CREATE FOREIGN TABLE docs_all PARTITION OF docs FOR VALUES WITH (MODULUS 1, REMAINDER 0) SERVER skyvault OPTIONS (key 'id');
ALTER TABLE docs ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON docs USING (tenant = current_user::text);
GRANT SELECT, INSERT, UPDATE, DELETE ON docs TO regress_rls_alice, regress_rls_bob;
SET ROLE regress_rls_bob;
INSERT INTO docs VALUES (1, current_user, 'his');
SET ROLE regress_rls_alice;
SELECT * FROM docs;
INSERT INTO docs VALUES (1, current_user, 'hers');
SET ROLE regress_rls_bob;
SELECT * FROM docs;
INSERT INTO docs VALUES (2, current_user, 'his');
SET ROLE regress_rls_owner;
ALTER FOREIGN TABLE docs_all OPTIONS (ADD insert 'strict');
SET ROLE regress_rls_alice;
INSERT INTO docs VALUES (2, current_user, 'hers');
\echo :LAST_ERROR_SQLSTATE
UPDATE docs SET id = 2 WHERE id = 1;
UPDATE docs SET tenant = 'regress_rls_bob' WHERE id = 1;
SET ROLE regress_rls_bob;
SELECT * FROM docs;

-- ---------------------------------------------------------------- maps, by functions
SET ROLE regress_rls_owner;
CREATE TABLE kv (key text COLLATE "C" NOT NULL, value text) PARTITION BY LIST (key);
CREATE FOREIGN TABLE kv_all PARTITION OF kv DEFAULT SERVER skyvault;
ALTER TABLE kv ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON kv USING (key ^@ (current_user || ':'));
GRANT SELECT, INSERT, UPDATE, DELETE ON kv TO regress_rls_alice;
INSERT INTO kv VALUES ('regress_rls_alice:x', '1'), ('regress_rls_bob:x', '2');
SET ROLE regress_rls_alice;
SELECT * FROM kv;
SELECT * FROM kv WHERE key = ANY (ARRAY['regress_rls_alice:x', 'regress_rls_bob:x']);
SELECT skyvault_get('kv_all', 'regress_rls_bob:x');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM skyvault_multi_get('kv_all', ARRAY['regress_rls_alice:x']);
SELECT skyvault_get_array('kv_all', ARRAY['regress_rls_alice:x']);
SELECT * FROM skyvault_multi_get(ARRAY['kv_all']::regclass[], ARRAY['regress_rls_bob:x']);
SELECT skyvault_exists('kv_all', 'regress_rls_bob:x');
SELECT * FROM skyvault_scan('kv_all');
SELECT skyvault_put('kv_all', 'regress_rls_bob:x', 'hers');
SELECT skyvault_delete('kv_all', 'regress_rls_bob:x');
\echo :LAST_ERROR_SQLSTATE
SELECT skyvault_get('kv', 'regress_rls_alice:x');
\echo :LAST_ERROR_SQLSTATE
-- one who may do all with the partition, and nothing else
SET ROLE regress_rls_owner;
GRANT SELECT ON kv_all TO regress_rls_bob;
SET ROLE regress_rls_bob;
SELECT skyvault_get('kv_all', 'regress_rls_alice:x');
SELECT * FROM kv;

RESET ROLE;
DROP FUNCTION pg_temp.tell;
DROP SCHEMA fdw_rls CASCADE;
REVOKE USAGE ON FOREIGN SERVER skyvault FROM regress_rls_owner;
DROP ROLE regress_rls_alice, regress_rls_bob, regress_rls_owner;
