\echo Use "ALTER EXTENSION skyvault UPDATE TO 'next'" to load this file. \quit
CREATE FUNCTION skyvault_next() RETURNS text LANGUAGE sql AS $$ SELECT 'next'::text $$;
ALTER TABLE skyvault.pause ADD COLUMN next integer;
