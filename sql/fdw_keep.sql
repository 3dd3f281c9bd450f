-- skyvault_load with keep: a new content in the place of the old one, which another table keeps.
CREATE SCHEMA "Kept ""here""";
CREATE TYPE keep_mood AS ENUM ('sad', 'happy');
CREATE FUNCTION keep_default() RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT 'by default' $$;
CREATE FOREIGN TABLE keep_features (gone integer, "User Id" bigint NOT NULL, name text COLLATE "C" NOT NULL,
	score numeric(10, 2) DEFAULT 1.5, also_gone text, tags jsonb, mood keep_mood, note text DEFAULT keep_default(),
	twice numeric GENERATED ALWAYS AS (score * 2) STORED, days date[], CONSTRAINT "sc'ore" CHECK (score > 0))
	SERVER skyvault OPTIONS (key '"User Id", name', ttl '30 days', batch_size '50');
ALTER FOREIGN TABLE keep_features DROP COLUMN gone, DROP COLUMN also_gone;
INSERT INTO keep_features ("User Id", name, mood) SELECT n, 'old', 'sad' FROM generate_series(1, 3) AS n;
ALTER FOREIGN TABLE keep_features ADD COLUMN late text DEFAULT 'it''s late';
SELECT skyvault_flush() >= 0 AS flushed;
CREATE VIEW keep_view AS SELECT "User Id" AS id, name, score, mood, note, twice, late FROM keep_features ORDER BY 1, 2;

SELECT skyvault_load('keep_features', $$SELECT n, 'new', n FROM generate_series(1, 2000) AS n$$, columns => '{"User Id",name,score}',
	replace => true, keep => 'keep_features_1');
SELECT count(*), min(note), min(late), sum(twice) FROM keep_view;
SELECT * FROM keep_features_1 ORDER BY 2;
\d keep_features_1
SELECT count(*) FROM pg_class WHERE relname = 'keep_features_1' AND relowner = (SELECT relowner FROM pg_class WHERE relname = 'keep_features');

-- The way back, and forth.
SELECT skyvault_swap('keep_features', 'keep_features_1');
TABLE keep_view;
SELECT skyvault_swap('keep_features', 'keep_features_1');
SELECT count(*) FROM keep_view;
DROP FOREIGN TABLE keep_features_1;
SELECT count(*) FROM keep_view;

-- The query reads the table; rows that are written as INSERT writes them; a name with a schema.
SELECT skyvault_load('keep_features', $$SELECT "User Id", 'newer' FROM keep_features WHERE "User Id" <= 2$$, columns => '{"User Id",name}',
	replace => true, keep => '"Kept ""here"""."Old ''features''"');
TABLE keep_view;
SELECT count(*) FROM "Kept ""here"""."Old 'features'";
SELECT skyvault_swap('keep_features', '"Kept ""here"""."Old ''features''"');
SELECT count(*) FROM keep_view;

-- In a transaction, and back.
BEGIN;
SELECT skyvault_load('keep_features', $$SELECT 1, 'one'$$, columns => '{"User Id",name}', replace => true, keep => 'keep_1');
SAVEPOINT s;
SELECT skyvault_load('keep_features', $$SELECT 2, 'two'$$, columns => '{"User Id",name}', replace => true, keep => 'keep_2');
SELECT (SELECT max(name) FROM keep_features) AS now, (SELECT count(*) FROM keep_1) AS first, (SELECT max(name) FROM keep_2) AS second;
ROLLBACK TO s;
SELECT (SELECT max(name) FROM keep_features) AS now, (SELECT count(*) FROM keep_1) AS first, to_regclass('keep_2') AS second;
ROLLBACK;
SELECT count(*), to_regclass('keep_1') AS first FROM keep_view;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT skyvault_load('keep_features', $$SELECT 1, 'one'$$, columns => '{"User Id",name}', replace => true, keep => 'keep_1');
SELECT (SELECT max(name) FROM keep_features) AS now, (SELECT count(*) FROM keep_1) AS first;
COMMIT;
SELECT skyvault_swap('keep_features', 'keep_1');
DROP FOREIGN TABLE keep_1;

-- What goes wrong leaves nothing.
SELECT skyvault_load('keep_features', $$SELECT n, 'new', 3 - n FROM generate_series(1, 5) AS n$$, columns => '{"User Id",name,score}',
	replace => true, keep => 'keep_1');
\echo :SQLSTATE
SELECT count(*), to_regclass('keep_1') AS first FROM keep_view;

-- What is refused.
SELECT skyvault_load('keep_features', 'TABLE keep_features', keep => 'keep_1');
\echo :SQLSTATE
SELECT skyvault_load('keep_features', 'TABLE keep_features', replace => true, keep => 'keep_view');
\echo :SQLSTATE
SELECT skyvault_load('keep_features', 'TABLE keep_features', replace => true, keep => 'nowhere.keep_1');
\echo :SQLSTATE
SELECT skyvault_load('keep_features', 'TABLE keep_features', replace => true, keep => 'a.b.c');
\echo :SQLSTATE
SELECT skyvault_load('keep_features', 'TABLE keep_features', replace => true, keep => '');
\echo :SQLSTATE
SELECT skyvault_load('keep_features', 'TABLE keep_features; TABLE keep_features', replace => true, keep => 'keep_1');
\echo :SQLSTATE
SELECT skyvault_load('keep_features', 'TABLE keep_features', replace => true, keep => 'keep_1') FROM keep_features;
\echo :SQLSTATE
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT skyvault_load('keep_features', 'TABLE keep_features', replace => true, keep => 'keep_1');
\echo :SQLSTATE
ROLLBACK;
CREATE FUNCTION keep_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER keep_trigger BEFORE INSERT ON keep_features FOR EACH ROW EXECUTE FUNCTION keep_trigger();
SELECT skyvault_load('keep_features', 'TABLE keep_features', replace => true, keep => 'keep_1');
\echo :SQLSTATE
DROP FUNCTION keep_trigger() CASCADE;
CREATE TABLE keep_parent (key text COLLATE "C" NOT NULL, value text) PARTITION BY LIST (key);
CREATE FOREIGN TABLE keep_partition PARTITION OF keep_parent FOR VALUES IN ('k') SERVER skyvault OPTIONS (key 'key');
SELECT skyvault_load('keep_partition', $$VALUES ('k', 'v')$$, replace => true, keep => 'keep_1');
\echo :SQLSTATE
DROP TABLE keep_parent;

-- Who may: the owner, to whom the other table goes as well.
CREATE ROLE regress_keep_owner;
CREATE ROLE regress_keep_other;
GRANT USAGE, CREATE ON SCHEMA public TO regress_keep_owner, regress_keep_other;
GRANT USAGE ON FOREIGN SERVER skyvault TO regress_keep_owner, regress_keep_other;
GRANT ALL ON keep_features TO regress_keep_other;
ALTER FOREIGN TABLE keep_features OWNER TO regress_keep_owner;
SET ROLE regress_keep_other;
SELECT skyvault_load('keep_features', 'TABLE keep_features', replace => true, keep => 'keep_1');
\echo :SQLSTATE
RESET ROLE;
SELECT skyvault_load('keep_features', $$SELECT 1, 'by a superuser'$$, columns => '{"User Id",name}', replace => true, keep => 'keep_1');
SELECT relname, relowner::regrole, relacl IS NULL AS plain FROM pg_class WHERE relname IN ('keep_1', 'keep_features') ORDER BY 1;
SET ROLE regress_keep_owner;
SELECT skyvault_swap('keep_features', 'keep_1');
SELECT skyvault_load('keep_features', $$SELECT 1, 'by its owner'$$, columns => '{"User Id",name}', replace => true, keep => 'keep_2');
SELECT name FROM keep_features;
RESET ROLE;
SELECT relname, relowner::regrole, relacl IS NULL AS plain FROM pg_class WHERE relname IN ('keep_1', 'keep_2', 'keep_features') ORDER BY 1;

SET client_min_messages = warning;
DROP OWNED BY regress_keep_owner, regress_keep_other CASCADE;
DROP ROLE regress_keep_owner, regress_keep_other;
DROP SCHEMA "Kept ""here""" CASCADE;
DROP FUNCTION keep_default();
DROP TYPE keep_mood;
