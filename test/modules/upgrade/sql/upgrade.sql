--
-- ALTER EXTENSION skyvault UPDATE; and a library that is of another version
--
CREATE EXTENSION skyvault;
CREATE FOREIGN TABLE kept (key text, value text) SERVER skyvault;
CREATE FOREIGN TABLE dropped (key text, value text) SERVER skyvault;
INSERT INTO kept VALUES ('a', 'in a run');
SELECT skyvault_flush() >= 0 AS flushed;
INSERT INTO kept VALUES ('b', 'in the delta');
ALTER EXTENSION skyvault UPDATE TO 'nowhere';
\echo :LAST_ERROR_SQLSTATE
ALTER EXTENSION skyvault UPDATE TO '0.1';
-- rolled back
BEGIN;
ALTER EXTENSION skyvault UPDATE TO 'next';
SELECT skyvault_next();
ROLLBACK;
SELECT extversion FROM pg_extension WHERE extname = 'skyvault';
SELECT * FROM kept ORDER BY key;
-- the library is older than the scripts
ALTER EXTENSION skyvault UPDATE TO 'next';
SELECT skyvault_next();
\c
SELECT extversion FROM pg_extension WHERE extname = 'skyvault';
SELECT * FROM kept;
\echo :LAST_ERROR_SQLSTATE
\set VERBOSITY terse
INSERT INTO kept VALUES ('c', 'not written');
SELECT skyvault_get('kept', 'a');
SELECT skyvault_flush();
CREATE FOREIGN TABLE unmade (key text, value text) SERVER skyvault;
DROP FOREIGN TABLE dropped;
EXPLAIN (COSTS OFF) SELECT 1;
-- and as old again
ALTER EXTENSION skyvault UPDATE TO '0.1';
SELECT * FROM kept ORDER BY key;
\c
SELECT * FROM kept ORDER BY key;
DROP FOREIGN TABLE dropped;
SELECT count(*) FROM skyvault."table";
SELECT skyvault_flush() >= 0 AS flushed;
SELECT * FROM kept ORDER BY key;
DROP FOREIGN TABLE kept;
SET client_min_messages = warning;
DROP EXTENSION skyvault CASCADE;
