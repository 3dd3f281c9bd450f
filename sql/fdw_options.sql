--
-- Options of servers and foreign tables
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS skyvault;
RESET client_min_messages;

-- servers
CREATE SERVER fdw_options_a FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:fdw_options', shared 'on');
ALTER SERVER fdw_options_a OPTIONS (SET shared 'off');
ALTER SERVER fdw_options_a OPTIONS (SET url 'file:/var/lib/fdw_options/vault');
ALTER SERVER fdw_options_a OPTIONS (SET shared 'perhaps');
\echo :LAST_ERROR_SQLSTATE
ALTER SERVER fdw_options_a OPTIONS (SET url 'http://example.org');
ALTER SERVER fdw_options_a OPTIONS (SET url 'file:');
ALTER SERVER fdw_options_a OPTIONS (SET url 'file:a/../../b');
ALTER SERVER fdw_options_a OPTIONS (SET url 'file:a/..b/c..');
ALTER SERVER fdw_options_a OPTIONS (ADD secret_access_key 'x');
\echo :LAST_ERROR_SQLSTATE
ALTER SERVER fdw_options_a OPTIONS (ADD key 'x');
SELECT srvname, srvoptions FROM pg_foreign_server WHERE srvname = 'fdw_options_a';

-- of S3
ALTER SERVER fdw_options_a OPTIONS (SET url 's3://bucket', ADD endpoint 'http://127.0.0.1:9000', ADD region 'eu-west-1',
	ADD path_style 'on', ADD signature 'v4', ADD conditional_puts 'auto', ADD tls_ca_file '/etc/ssl/ca.pem',
	ADD credentials 'file', ADD profile 'skyvault', ADD mirror 'off', ADD io_concurrency '16');
ALTER SERVER fdw_options_a OPTIONS (SET url 'file:fdw_options');
\echo :LAST_ERROR_SQLSTATE
ALTER SERVER fdw_options_a OPTIONS (SET url 's3://bucket/a.b/c_d-e/');
ALTER SERVER fdw_options_a OPTIONS (SET url 's3://');
ALTER SERVER fdw_options_a OPTIONS (SET url 's3://b/prefix');
ALTER SERVER fdw_options_a OPTIONS (SET url 's3://bucket/a//b');
ALTER SERVER fdw_options_a OPTIONS (SET url 's3://bucket/a/../b');
ALTER SERVER fdw_options_a OPTIONS (SET url 's3://bucket/a b');
ALTER SERVER fdw_options_a OPTIONS (SET endpoint 'https://[::1]:9000');
ALTER SERVER fdw_options_a OPTIONS (SET endpoint 'https://s3.example.org');
ALTER SERVER fdw_options_a OPTIONS (SET endpoint 's3.example.org');
ALTER SERVER fdw_options_a OPTIONS (SET endpoint 'http://user:secret@example.org');
ALTER SERVER fdw_options_a OPTIONS (SET endpoint 'http://example.org/path');
ALTER SERVER fdw_options_a OPTIONS (SET endpoint 'http://example.org:0');
ALTER SERVER fdw_options_a OPTIONS (SET endpoint 'http://');
ALTER SERVER fdw_options_a OPTIONS (SET region 'mars, east');
ALTER SERVER fdw_options_a OPTIONS (SET signature 'v3');
ALTER SERVER fdw_options_a OPTIONS (SET conditional_puts 'true');
ALTER SERVER fdw_options_a OPTIONS (SET tls_ca_file 'ca.pem');
ALTER SERVER fdw_options_a OPTIONS (SET credentials 'somewhere');
ALTER SERVER fdw_options_a OPTIONS (SET credentials 'environment');
\echo :LAST_ERROR_SQLSTATE
ALTER SERVER fdw_options_a OPTIONS (SET profile '');
ALTER SERVER fdw_options_a OPTIONS (SET io_concurrency '0');
ALTER SERVER fdw_options_a OPTIONS (SET io_concurrency '257');
ALTER SERVER fdw_options_a OPTIONS (SET signature 'v2', SET conditional_puts 'on');
\echo :LAST_ERROR_SQLSTATE
SELECT srvoptions FROM pg_foreign_server WHERE srvname = 'fdw_options_a';

-- keys; no message says what they are
CREATE USER MAPPING FOR CURRENT_USER SERVER fdw_options_a OPTIONS (access_key_id 'id', secret_access_key 'hush', session_token 'hush');
ALTER USER MAPPING FOR CURRENT_USER SERVER fdw_options_a OPTIONS (DROP session_token);
ALTER USER MAPPING FOR CURRENT_USER SERVER fdw_options_a OPTIONS (SET secret_access_key E'hush\r\nX-Header: hush');
\echo :LAST_ERROR_SQLSTATE
ALTER USER MAPPING FOR CURRENT_USER SERVER fdw_options_a OPTIONS (SET access_key_id '');
ALTER USER MAPPING FOR CURRENT_USER SERVER fdw_options_a OPTIONS (DROP secret_access_key);
ALTER USER MAPPING FOR CURRENT_USER SERVER fdw_options_a OPTIONS (DROP access_key_id);
ALTER USER MAPPING FOR CURRENT_USER SERVER fdw_options_a OPTIONS (ADD secret_key 'hush');
\echo :LAST_ERROR_SQLSTATE
DROP USER MAPPING FOR CURRENT_USER SERVER fdw_options_a;
CREATE USER MAPPING FOR CURRENT_USER SERVER fdw_options_a OPTIONS (session_token 'hush');

-- the server's own files and identity are not for everybody
CREATE ROLE regress_skyvault_options;
GRANT USAGE ON FOREIGN DATA WRAPPER skyvault TO regress_skyvault_options;
ALTER SERVER fdw_options_a OPTIONS (DROP profile, SET credentials 'mapping', SET tls_ca_file '/etc/ssl/ca.pem');
ALTER SERVER fdw_options_a OWNER TO regress_skyvault_options;
SET ROLE regress_skyvault_options;
-- with tls_ca_file, the owner can only take it away
ALTER SERVER fdw_options_a OPTIONS (SET endpoint 'http://127.0.0.1:9001');
\echo :LAST_ERROR_SQLSTATE
ALTER SERVER fdw_options_a OPTIONS (SET endpoint 'http://127.0.0.1:9001', DROP tls_ca_file);
ALTER SERVER fdw_options_a OPTIONS (SET credentials 'environment');
ALTER SERVER fdw_options_a OPTIONS (SET credentials 'metadata');
ALTER SERVER fdw_options_a OPTIONS (SET credentials 'file', ADD profile 'x');
ALTER SERVER fdw_options_a OPTIONS (SET credentials 'auto');
ALTER SERVER fdw_options_a OPTIONS (ADD tls_ca_file '/etc/ssl/ca.pem');
CREATE SERVER fdw_options_b FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:/tmp/fdw_options');
\echo :LAST_ERROR_SQLSTATE
CREATE SERVER fdw_options_b FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:fdw_options_b');
DROP SERVER fdw_options_b;
RESET ROLE;
GRANT pg_read_server_files TO regress_skyvault_options;
SET ROLE regress_skyvault_options;
ALTER SERVER fdw_options_a OPTIONS (SET credentials 'environment');
CREATE SERVER fdw_options_b FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:/tmp/fdw_options');
RESET ROLE;
GRANT pg_write_server_files TO regress_skyvault_options;
SET ROLE regress_skyvault_options;
CREATE SERVER fdw_options_b FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:/tmp/fdw_options');
DROP SERVER fdw_options_b;
RESET ROLE;
ALTER SERVER fdw_options_a OWNER TO CURRENT_USER;
REVOKE pg_read_server_files, pg_write_server_files FROM regress_skyvault_options;
REVOKE USAGE ON FOREIGN DATA WRAPPER skyvault FROM regress_skyvault_options;
DROP ROLE regress_skyvault_options;

-- tables
CREATE FOREIGN TABLE fdw_options_t (a int, "B b" text, c text) SERVER skyvault
	OPTIONS (key 'a, "B b"', ttl '30 days', insert 'strict');
SELECT ftoptions FROM pg_foreign_table WHERE ftrelid = 'fdw_options_t'::regclass;
ALTER FOREIGN TABLE fdw_options_t OPTIONS (SET key '');
ALTER FOREIGN TABLE fdw_options_t OPTIONS (SET key 'a,');
ALTER FOREIGN TABLE fdw_options_t OPTIONS (SET key 'a b');
ALTER FOREIGN TABLE fdw_options_t OPTIONS (SET key '"a');
ALTER FOREIGN TABLE fdw_options_t OPTIONS (SET ttl 'soon');
ALTER FOREIGN TABLE fdw_options_t OPTIONS (SET ttl '');
ALTER FOREIGN TABLE fdw_options_t OPTIONS (SET ttl '0 s');
ALTER FOREIGN TABLE fdw_options_t OPTIONS (SET ttl '-1 day');
ALTER FOREIGN TABLE fdw_options_t OPTIONS (SET ttl '1 mon -30 days');
ALTER FOREIGN TABLE fdw_options_t OPTIONS (SET ttl '999999999999 years');
ALTER FOREIGN TABLE fdw_options_t OPTIONS (SET ttl 'PT1H');
ALTER FOREIGN TABLE fdw_options_t OPTIONS (SET insert 'ignore');
ALTER FOREIGN TABLE fdw_options_t OPTIONS (SET insert 'Replace');
ALTER FOREIGN TABLE fdw_options_t OPTIONS (SET insert 'replace');
ALTER FOREIGN TABLE fdw_options_t OPTIONS (ADD url 'file:x');
ALTER FOREIGN TABLE fdw_options_t OPTIONS (ADD nonsense 'x');
SELECT ftoptions FROM pg_foreign_table WHERE ftrelid = 'fdw_options_t'::regclass;

-- nothing else has them
ALTER FOREIGN TABLE fdw_options_t ALTER COLUMN c OPTIONS (ADD key 'true');
CREATE USER MAPPING FOR CURRENT_USER SERVER skyvault OPTIONS (user 'x', password 'y');
ALTER FOREIGN DATA WRAPPER skyvault OPTIONS (ADD url 'file:x');
CREATE USER MAPPING FOR CURRENT_USER SERVER fdw_options_a;
DROP USER MAPPING FOR CURRENT_USER SERVER fdw_options_a;

-- keys that the columns cannot give
CREATE FOREIGN TABLE fdw_options_nokey (a int) SERVER skyvault;
ALTER FOREIGN TABLE fdw_options_t OPTIONS (SET key 'a, z');
SELECT * FROM fdw_options_t;
ALTER FOREIGN TABLE fdw_options_t OPTIONS (SET key 'a, a');
SELECT * FROM fdw_options_t;

-- time to live
CREATE FOREIGN TABLE fdw_options_ttl (k int, v text) SERVER skyvault OPTIONS (key 'k', ttl '1 hour');
INSERT INTO fdw_options_ttl VALUES (1, 'one hour'), (2, 'gone soon');
ALTER FOREIGN TABLE fdw_options_ttl OPTIONS (SET ttl '1 microsecond');
SELECT * FROM fdw_options_ttl;
UPDATE fdw_options_ttl SET v = 'gone' WHERE k = 2;
SELECT * FROM fdw_options_ttl;
INSERT INTO fdw_options_ttl VALUES (3, 'never seen');
SELECT * FROM fdw_options_ttl WHERE k IN (1, 2, 3);

DROP FOREIGN TABLE fdw_options_t, fdw_options_ttl;
DROP SERVER fdw_options_a;
