--
-- Who may not look into a schema reaches no table in it, by oid neither.
--
CREATE ROLE regress_usage_user;
CREATE SCHEMA hidden;
SELECT skyvault_create_table('hidden.kv');
SELECT skyvault_put('hidden.kv', 'a', '1');
GRANT ALL ON hidden.kv TO regress_usage_user;
SELECT 'hidden.kv'::regclass::oid AS kv \gset

CREATE TABLE calls (n serial, name text, statement text);
INSERT INTO calls (name, statement) VALUES
	('get', format('SELECT skyvault_get(%s::regclass, ''a'')', :kv)),
	('get for update', format('SELECT skyvault_get(%s::regclass, ''a'', for_update => true)', :kv)),
	('exists', format('SELECT skyvault_exists(%s::regclass, ''a'')', :kv)),
	('multi_get', format('SELECT skyvault_multi_get(%s::regclass, ARRAY[''a''])', :kv)),
	('multi_get, tables', format('SELECT skyvault_multi_get(ARRAY[%s]::regclass[], ARRAY[''a''])', :kv)),
	('get_array', format('SELECT skyvault_get_array(%s::regclass, ARRAY[''a''])', :kv)),
	('scan', format('SELECT skyvault_scan(%s::regclass)', :kv)),
	('index', format('SELECT count(*) FROM skyvault_index(%s::regclass)', :kv)),
	('prewarm', format('SELECT skyvault_prewarm(%s::regclass)', :kv)),
	('tree', format('SELECT skyvault_tree(%s::regclass)', :kv)),
	('verify', format('SELECT count(*) FROM skyvault_verify(%s::regclass)', :kv)),
	('put', format('SELECT skyvault_put(%s::regclass, ''a'', ''2'')', :kv)),
	('multi_put', format('SELECT skyvault_multi_put(%s::regclass, ARRAY[''a''], ARRAY[''2''])', :kv)),
	('delete', format('SELECT skyvault_delete(%s::regclass, ''a'')', :kv));
CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
GRANT SELECT ON calls TO regress_usage_user;

SET ROLE regress_usage_user;
SELECT name, try(statement) FROM calls ORDER BY n;
-- as plain SQL says
SELECT try('SELECT * FROM hidden.kv');
RESET ROLE;
SELECT * FROM skyvault_scan('hidden.kv');

GRANT USAGE ON SCHEMA hidden TO regress_usage_user;
SET ROLE regress_usage_user;
SELECT name, try(statement) FROM calls ORDER BY n;
RESET ROLE;

-- The right to look is not one to read.
REVOKE ALL ON hidden.kv FROM regress_usage_user;
SET ROLE regress_usage_user;
SELECT try(statement) FROM calls WHERE name = 'get';
RESET ROLE;

DROP TABLE calls;
DROP FUNCTION try;
DROP FOREIGN TABLE hidden.kv;
DROP SCHEMA hidden;
DROP ROLE regress_usage_user;
