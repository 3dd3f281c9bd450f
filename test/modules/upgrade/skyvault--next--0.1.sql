\echo Use "ALTER EXTENSION skyvault UPDATE TO '0.1'" to load this file. \quit
DROP FUNCTION skyvault_next();
ALTER TABLE skyvault.pause DROP COLUMN next;
