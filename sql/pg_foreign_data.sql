--
-- Servers, user mappings and foreign tables, after the shapes of Postgres's own test "foreign_data".
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS skyvault;
CREATE ROLE regress_fd_owner;
CREATE ROLE regress_fd_user;
CREATE ROLE regress_fd_other IN ROLE regress_fd_user;
GRANT CREATE ON SCHEMA public TO regress_fd_owner;
\set VERBOSITY terse

-- ---------------------------------------------------------------- the wrapper
SELECT fdwname, fdwhandler::regproc, fdwvalidator::regproc, fdwoptions FROM pg_foreign_data_wrapper WHERE fdwname = 'skyvault';
CREATE FOREIGN DATA WRAPPER skyvault;
ALTER FOREIGN DATA WRAPPER skyvault OPTIONS (ADD nothing 'x');
DROP FOREIGN DATA WRAPPER skyvault;

-- ---------------------------------------------------------------- servers
CREATE SERVER fd_one FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:fd_one');
CREATE SERVER fd_one FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:fd_one');
CREATE SERVER IF NOT EXISTS fd_one FOREIGN DATA WRAPPER skyvault OPTIONS (url 'nonsense');
CREATE SERVER fd_two TYPE 'vault' VERSION '1' FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:fd_two');
CREATE SERVER fd_bad FOREIGN DATA WRAPPER skyvault OPTIONS (url 'nonsense');
CREATE SERVER fd_bad FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:fd', nowhere 'x');
CREATE SERVER fd_bad FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:fd', url 'file:fd');
CREATE SERVER fd_bad FOREIGN DATA WRAPPER nowhere;
SELECT srvname, srvtype, srvversion, srvoptions FROM pg_foreign_server WHERE srvname LIKE 'fd\_%' ORDER BY 1;
SET ROLE regress_fd_owner;
CREATE SERVER fd_own FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:fd_own');
ALTER SERVER fd_one VERSION '2';
DROP SERVER fd_one;
RESET ROLE;
GRANT USAGE ON FOREIGN DATA WRAPPER skyvault TO regress_fd_owner;
SET ROLE regress_fd_owner;
CREATE SERVER fd_own FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:fd_own');
ALTER SERVER fd_own VERSION '2';
\set VERBOSITY sqlstate
ALTER SERVER fd_own OWNER TO regress_fd_user;
\set VERBOSITY terse
RESET ROLE;
ALTER SERVER fd_own OWNER TO regress_fd_user;
ALTER SERVER fd_own RENAME TO fd_renamed;
SELECT srvname, srvowner::regrole, srvversion FROM pg_foreign_server WHERE srvname = 'fd_renamed';
ALTER SERVER fd_renamed OWNER TO regress_fd_owner;
ALTER SERVER nowhere VERSION '1';
COMMENT ON SERVER fd_one IS 'a vault';
SELECT obj_description(oid, 'pg_foreign_server') FROM pg_foreign_server WHERE srvname = 'fd_one';

-- ---------------------------------------------------------------- user mappings
CREATE USER MAPPING FOR regress_fd_user SERVER fd_two;
CREATE USER MAPPING FOR regress_fd_user SERVER fd_two;
CREATE USER MAPPING IF NOT EXISTS FOR regress_fd_user SERVER fd_two;
CREATE USER MAPPING FOR regress_fd_user SERVER nowhere;
CREATE USER MAPPING FOR nobody SERVER fd_two;
CREATE USER MAPPING FOR PUBLIC SERVER fd_two OPTIONS (nowhere 'x');
CREATE USER MAPPING FOR PUBLIC SERVER fd_two OPTIONS (access_key_id 'id', secret_access_key 'secret');
ALTER USER MAPPING FOR PUBLIC SERVER fd_two OPTIONS (SET secret_access_key 'other', DROP access_key_id);
ALTER USER MAPPING FOR PUBLIC SERVER fd_two OPTIONS (SET secret_access_key 'other');
-- Who does not own it sees that there is one, and no more.
SELECT usename, umoptions FROM pg_user_mappings WHERE srvname = 'fd_two' ORDER BY 1;
SET ROLE regress_fd_other;
SELECT usename, umoptions FROM pg_user_mappings WHERE srvname = 'fd_two' ORDER BY 1;
DROP USER MAPPING FOR PUBLIC SERVER fd_two;
RESET ROLE;
DROP USER MAPPING FOR regress_fd_user SERVER fd_two;
DROP USER MAPPING IF EXISTS FOR regress_fd_user SERVER fd_two;
DROP USER MAPPING FOR regress_fd_user SERVER fd_two;

-- ---------------------------------------------------------------- foreign tables
CREATE FOREIGN TABLE fd_t ();
CREATE FOREIGN TABLE fd_t () SERVER nowhere;
CREATE FOREIGN TABLE fd_t (a int NOT NULL) SERVER fd_one;
CREATE FOREIGN TABLE fd_t (a int NOT NULL, b text) SERVER fd_one OPTIONS (key 'nowhere');
CREATE FOREIGN TABLE fd_t (a int NOT NULL, b text) SERVER fd_one OPTIONS (key 'a', nowhere 'x');
CREATE FOREIGN TABLE fd_t (a int PRIMARY KEY) SERVER fd_one OPTIONS (key 'a');
CREATE FOREIGN TABLE fd_t (a int UNIQUE) SERVER fd_one OPTIONS (key 'a');
CREATE FOREIGN TABLE fd_t (a int REFERENCES pg_class (oid)) SERVER fd_one OPTIONS (key 'a');
CREATE FOREIGN TABLE fd_t (a int NOT NULL CHECK (a > 0), b text DEFAULT 'b' COLLATE "C", c int GENERATED ALWAYS AS (a + 1) STORED, EXCLUDE (a WITH =)) SERVER fd_one OPTIONS (key 'a');
CREATE FOREIGN TABLE fd_t (a int NOT NULL CHECK (a > 0), b text DEFAULT 'b' COLLATE "C", c int GENERATED ALWAYS AS (a + 1) STORED) SERVER fd_one OPTIONS (key 'a');
CREATE FOREIGN TABLE IF NOT EXISTS fd_t () SERVER fd_one;
CREATE INDEX ON fd_t (b);
CREATE UNIQUE INDEX ON fd_t (a);
INSERT INTO fd_t VALUES (1, DEFAULT), (2, 'x');
INSERT INTO fd_t VALUES (-1);
TABLE fd_t ORDER BY a;
SELECT foreign_table_name, foreign_server_name FROM information_schema.foreign_tables WHERE foreign_table_name = 'fd_t';
SELECT option_name, option_value FROM information_schema.foreign_table_options WHERE foreign_table_name = 'fd_t';
SELECT option_name, option_value FROM information_schema.foreign_server_options WHERE foreign_server_name = 'fd_one';
SELECT table_type, is_insertable_into FROM information_schema.tables WHERE table_name = 'fd_t';
SELECT pg_relation_is_updatable('fd_t', false), pg_relation_size('fd_t'), pg_table_is_visible('fd_t'::regclass);
COMMENT ON FOREIGN TABLE fd_t IS 'a table';
COMMENT ON COLUMN fd_t.b IS 'a column';
SELECT obj_description('fd_t'::regclass), col_description('fd_t'::regclass, 2);
ALTER FOREIGN TABLE fd_t RENAME b TO bee;
ALTER FOREIGN TABLE fd_t RENAME TO fd_named;
ALTER FOREIGN TABLE fd_named ALTER bee SET DEFAULT 'bee', ALTER bee SET NOT NULL, ADD CONSTRAINT short CHECK (length(bee) < 5);
INSERT INTO fd_named (a) VALUES (3);
INSERT INTO fd_named VALUES (4, NULL);
INSERT INTO fd_named VALUES (4, 'too long');
ALTER FOREIGN TABLE fd_named DROP CONSTRAINT short, ALTER bee DROP NOT NULL, ALTER bee DROP DEFAULT;
INSERT INTO fd_named VALUES (4);
TABLE fd_named ORDER BY a;
ALTER FOREIGN TABLE fd_named SET (fillfactor = 50);
ALTER FOREIGN TABLE fd_named ADD PRIMARY KEY (a);
CREATE SCHEMA fd_schema;
ALTER FOREIGN TABLE fd_named SET SCHEMA fd_schema;
SELECT count(*) FROM fd_schema.fd_named;
ALTER FOREIGN TABLE IF EXISTS nowhere RENAME TO x;
DROP TABLE fd_schema.fd_named;
CREATE VIEW fd_view AS SELECT a, bee FROM fd_schema.fd_named;
DROP FOREIGN TABLE fd_schema.fd_named;

-- ---------------------------------------------------------------- privileges
SET ROLE regress_fd_user;
SELECT count(*) FROM fd_schema.fd_named;
CREATE FOREIGN TABLE fd_mine (a int NOT NULL) SERVER fd_one OPTIONS (key 'a');
RESET ROLE;
GRANT USAGE ON SCHEMA fd_schema TO regress_fd_user;
GRANT SELECT (a), UPDATE (bee) ON fd_schema.fd_named TO regress_fd_user;
SET ROLE regress_fd_user;
SELECT a FROM fd_schema.fd_named WHERE a = 1;
SELECT bee FROM fd_schema.fd_named;
SELECT * FROM fd_schema.fd_named;
UPDATE fd_schema.fd_named SET bee = 'mine' WHERE a = 1;
UPDATE fd_schema.fd_named SET a = 5 WHERE a = 1;
DELETE FROM fd_schema.fd_named;
INSERT INTO fd_schema.fd_named (a) VALUES (9);
TRUNCATE fd_schema.fd_named;
RESET ROLE;
SELECT bee FROM fd_schema.fd_named WHERE a = 1;
SELECT has_server_privilege('regress_fd_user', 'fd_one', 'USAGE'), has_foreign_data_wrapper_privilege('regress_fd_owner', 'skyvault', 'USAGE');
GRANT USAGE ON FOREIGN SERVER fd_one TO regress_fd_owner;
SET ROLE regress_fd_owner;
CREATE FOREIGN TABLE fd_mine (a int NOT NULL) SERVER fd_one OPTIONS (key 'a');
INSERT INTO fd_mine VALUES (1);
RESET ROLE;
REVOKE USAGE ON FOREIGN SERVER fd_one FROM regress_fd_owner;
SET ROLE regress_fd_owner;
SELECT * FROM fd_mine;
CREATE FOREIGN TABLE fd_more (a int NOT NULL) SERVER fd_one OPTIONS (key 'a');
RESET ROLE;

-- ---------------------------------------------------------------- inheritance and partitions
CREATE TABLE fd_parent (a int NOT NULL, b text);
CREATE FOREIGN TABLE fd_child () INHERITS (fd_parent) SERVER fd_one OPTIONS (key 'a');
INSERT INTO fd_parent VALUES (1, 'parent');
INSERT INTO fd_child VALUES (1, 'child'), (2, 'child');
SELECT tableoid::regclass, * FROM fd_parent ORDER BY a, b;
SELECT * FROM ONLY fd_parent;
UPDATE fd_parent SET b = b || '!' WHERE a = 1;
DELETE FROM fd_parent WHERE a = 2;
ALTER TABLE fd_parent ADD COLUMN c int;
SELECT tableoid::regclass, * FROM fd_parent ORDER BY b;
ALTER FOREIGN TABLE fd_child NO INHERIT fd_parent;
SELECT count(*) FROM fd_parent;
CREATE TABLE fd_parts (a int NOT NULL, b text) PARTITION BY LIST (b);
CREATE FOREIGN TABLE fd_part (a int NOT NULL, b text NOT NULL) SERVER fd_one OPTIONS (key 'a');
INSERT INTO fd_part VALUES (1, 'x');
ALTER TABLE fd_parts ATTACH PARTITION fd_part FOR VALUES IN ('x');
SELECT * FROM fd_parts;
ALTER TABLE fd_parts ADD PRIMARY KEY (a, b);
CREATE INDEX ON fd_parts (a);
ALTER TABLE fd_parts DETACH PARTITION fd_part;
CREATE TEMP TABLE fd_temp (a int NOT NULL, b text) PARTITION BY LIST (b);
CREATE FOREIGN TABLE fd_temp_part PARTITION OF fd_temp FOR VALUES IN ('x') SERVER fd_one OPTIONS (key 'a');

-- ---------------------------------------------------------------- what depends on what
DROP SERVER fd_one;
DROP ROLE regress_fd_owner;
SELECT deptype, pg_describe_object(classid, objid, objsubid) FROM pg_depend
 WHERE refclassid = 'pg_foreign_server'::regclass AND refobjid = (SELECT oid FROM pg_foreign_server WHERE srvname = 'fd_one') ORDER BY 2;
DROP SERVER fd_one CASCADE;
DROP SERVER fd_two CASCADE;
DROP SERVER IF EXISTS fd_one;
DROP SERVER fd_renamed;
SELECT count(*) FROM pg_foreign_server WHERE srvname LIKE 'fd\_%';
DROP TABLE fd_parent, fd_parts, fd_temp;
DROP SCHEMA fd_schema;
REVOKE ALL ON FOREIGN DATA WRAPPER skyvault FROM regress_fd_owner;
REVOKE CREATE ON SCHEMA public FROM regress_fd_owner;
DROP ROLE regress_fd_owner, regress_fd_user, regress_fd_other;
