--
-- What a session knows of a map from earlier calls must not outlive a change of
-- the table, of privileges or of the user.  Every call here comes after one
-- that succeeded, or failed, under the state before.
--
\pset null '<null>'
SELECT skyvault_flush() >= 0 AS drained;
CREATE ROLE regress_known_group;
CREATE ROLE regress_known;
CREATE SCHEMA known AUTHORIZATION CURRENT_USER;
GRANT USAGE ON SCHEMA known TO regress_known;
SELECT skyvault_create_table('known.kv');
SELECT skyvault_put('known.kv', 'a', '1');
GRANT SELECT ON known.kv TO regress_known;
SELECT 'known.kv'::regclass::oid AS rel \gset
CREATE FUNCTION known_calls(rel oid) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answers text;
BEGIN
	SELECT format('%s %s %s %s %s', skyvault_get(rel, 'a'), skyvault_exists(rel, 'a'),
				  skyvault_get_array(rel, ARRAY['a']),
				  (SELECT count(value) FROM skyvault_multi_get(rel, ARRAY['a'])),
				  (SELECT count(value) FROM skyvault_scan(rel)))
	  INTO answers;
	RETURN answers;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || regexp_replace(SQLERRM, '\d+', '#');
END $$;

-- ---------------------------------------------------------------- privileges
SET ROLE regress_known;
SELECT known_calls(:rel), known_calls(:rel);
RESET ROLE;
REVOKE SELECT ON known.kv FROM regress_known;
SET ROLE regress_known;
SELECT known_calls(:rel);
RESET ROLE;
SELECT known_calls(:rel);
-- by membership
GRANT SELECT ON known.kv TO regress_known_group;
GRANT regress_known_group TO regress_known;
SET ROLE regress_known;
SELECT known_calls(:rel);
RESET ROLE;
REVOKE regress_known_group FROM regress_known;
SET ROLE regress_known;
SELECT known_calls(:rel);
RESET ROLE;
-- of the schema
GRANT SELECT ON known.kv TO regress_known;
SET ROLE regress_known;
SELECT known_calls(:rel);
RESET ROLE;
REVOKE USAGE ON SCHEMA known FROM regress_known;
SET ROLE regress_known;
SELECT known_calls(:rel);
RESET ROLE;
-- in another schema
ALTER FOREIGN TABLE known.kv SET SCHEMA public;
SET ROLE regress_known;
SELECT known_calls(:rel);
RESET ROLE;
ALTER FOREIGN TABLE kv SET SCHEMA known;
SET ROLE regress_known;
SELECT known_calls(:rel);
RESET ROLE;
-- as owner, and no more
REVOKE SELECT ON known.kv FROM regress_known;
GRANT USAGE, CREATE ON SCHEMA known TO regress_known;
ALTER FOREIGN TABLE known.kv OWNER TO regress_known;
SET ROLE regress_known;
SELECT known_calls(:rel);
RESET ROLE;
ALTER FOREIGN TABLE known.kv OWNER TO CURRENT_USER;
SET ROLE regress_known;
SELECT known_calls(:rel);
RESET ROLE;
-- as superuser, and no more
ALTER ROLE regress_known SUPERUSER;
SET ROLE regress_known;
SELECT known_calls(:rel);
RESET ROLE;
ALTER ROLE regress_known NOSUPERUSER;
SET ROLE regress_known;
SELECT known_calls(:rel);
RESET ROLE;
-- in one call site, by way of a function that changes the user
CREATE FUNCTION known_definer(rel oid) RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT known_calls(rel)';
SET ROLE regress_known;
SELECT known_definer(:rel), known_calls(:rel), known_definer(:rel);
RESET ROLE;
-- given and taken back
BEGIN;
GRANT SELECT ON known.kv TO regress_known;
SET LOCAL ROLE regress_known;
SELECT known_calls(:rel);
ROLLBACK;
SET ROLE regress_known;
SELECT known_calls(:rel);
RESET ROLE;
BEGIN;
SAVEPOINT s;
GRANT SELECT ON known.kv TO regress_known;
SET LOCAL ROLE regress_known;
SELECT known_calls(:rel);
ROLLBACK TO s;
SET LOCAL ROLE regress_known;
SELECT known_calls(:rel);
COMMIT;

-- ---------------------------------------------------------------- the table
SELECT known_calls(:rel);
-- not a map any more, and one again
ALTER FOREIGN TABLE known.kv ADD COLUMN more text;
SELECT known_calls(:rel);
ALTER FOREIGN TABLE known.kv DROP COLUMN more;
SELECT known_calls(:rel);
-- of another type
ALTER FOREIGN TABLE known.kv ALTER COLUMN value TYPE varchar;
SELECT known_calls(:rel);
ALTER FOREIGN TABLE known.kv ALTER COLUMN value TYPE text;
SELECT known_calls(:rel);
BEGIN;
TRUNCATE known.kv;
ALTER FOREIGN TABLE known.kv ALTER COLUMN value TYPE bytea;
SELECT known_calls(:rel);
ROLLBACK;
SELECT known_calls(:rel);
-- the other value column
ALTER FOREIGN TABLE known.kv DROP COLUMN value;
ALTER FOREIGN TABLE known.kv ADD COLUMN value2 text;
SELECT known_calls(:rel);
SELECT skyvault_put(:rel::regclass, 'a', 'in the other column');
SELECT known_calls(:rel);
-- text and bytea functions of one name are not taken for one another
SELECT skyvault_create_table('known.bytes', 'bytea', 'bytea');
SELECT skyvault_put('known.bytes', '\x61'::bytea, '\x31'::bytea);
SELECT skyvault_get('known.bytes', '\x61'::bytea);
SELECT skyvault_get('known.bytes', 'a'::text);
SELECT skyvault_get('known.bytes', '\x61'::bytea);
SELECT skyvault_get(:rel::regclass, 'a'::text);
SELECT skyvault_get(:rel::regclass, '\x61'::bytea);
-- renamed: known by its oid
ALTER FOREIGN TABLE known.kv RENAME TO renamed;
SELECT known_calls(:rel), skyvault_get('known.renamed', 'a');
-- emptied
BEGIN;
TRUNCATE known.renamed;
SELECT known_calls(:rel);
ROLLBACK;
SELECT known_calls(:rel);
TRUNCATE known.renamed;
SELECT known_calls(:rel);
-- dropped
BEGIN;
DROP FOREIGN TABLE known.renamed;
SELECT known_calls(:rel);
ROLLBACK;
SELECT known_calls(:rel);
DROP FOREIGN TABLE known.renamed;
SELECT known_calls(:rel);
-- made and read in a transaction that aborts
BEGIN;
SELECT skyvault_create_table('known.aborted') \gset
SELECT :'skyvault_create_table'::regclass::oid AS aborted \gset
SELECT skyvault_put('known.aborted', 'a', '1');
SELECT known_calls(:aborted), known_calls(:aborted);
ROLLBACK;
SELECT known_calls(:aborted);

-- The lock is taken by each call, known map or not.
SELECT skyvault_get('known.bytes', '\x61'::bytea);
BEGIN;
SELECT skyvault_get('known.bytes', '\x61'::bytea);
SELECT mode, granted FROM pg_locks WHERE relation = 'known.bytes'::regclass AND pid = pg_backend_pid();
COMMIT;

DROP SCHEMA known CASCADE;
DROP FUNCTION known_definer(oid), known_calls(oid);
DROP ROLE regress_known, regress_known_group;
