--
-- What Postgres itself does not allow on foreign tables: the table "Instead" of README.md, row by row, with
-- the SQLSTATE, as messages differ between versions
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS skyvault;
RESET client_min_messages;
\set VERBOSITY sqlstate

CREATE FOREIGN TABLE fdw_refused_t (k int NOT NULL, v text COLLATE "C") SERVER skyvault OPTIONS (key 'k');
CREATE TABLE fdw_refused_h (k int PRIMARY KEY, v text);
INSERT INTO fdw_refused_t VALUES (1, 'one');
INSERT INTO fdw_refused_h VALUES (1, 'ONE'), (2, 'TWO');

-- MERGE, ON CONFLICT DO UPDATE: an INSERT replaces, unless the table is strict
MERGE INTO fdw_refused_t t USING fdw_refused_h h ON t.k = h.k WHEN MATCHED THEN UPDATE SET v = h.v;
INSERT INTO fdw_refused_t VALUES (1, 'x') ON CONFLICT (k) DO UPDATE SET v = excluded.v;
INSERT INTO fdw_refused_t VALUES (1, 'x') ON CONFLICT (k) DO NOTHING;
INSERT INTO fdw_refused_t SELECT h.k, coalesce(t.v || ' ', '') || h.v FROM fdw_refused_h h LEFT JOIN fdw_refused_t t USING (k);
INSERT INTO fdw_refused_t VALUES (1, 'x'), (3, 'three') ON CONFLICT DO NOTHING;
SELECT * FROM fdw_refused_t ORDER BY k;

-- keys, indexes, foreign keys: option key; CHECK and NOT NULL; a trigger
CREATE INDEX ON fdw_refused_t (v);
ALTER FOREIGN TABLE fdw_refused_t ADD PRIMARY KEY (k);
ALTER FOREIGN TABLE fdw_refused_t ADD UNIQUE (v);
ALTER FOREIGN TABLE fdw_refused_t ADD EXCLUDE (v WITH =);
ALTER FOREIGN TABLE fdw_refused_t ADD FOREIGN KEY (k) REFERENCES fdw_refused_h;
CREATE TABLE fdw_refused_ref (k int REFERENCES fdw_refused_t (k));
CREATE FUNCTION fdw_refused_fk() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM FROM fdw_refused_h WHERE k = NEW.k FOR KEY SHARE;
	IF NOT FOUND THEN
		RAISE foreign_key_violation USING MESSAGE = format('key %s is not in table "fdw_refused_h"', NEW.k);
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER fk BEFORE INSERT OR UPDATE ON fdw_refused_t FOR EACH ROW EXECUTE FUNCTION fdw_refused_fk();
INSERT INTO fdw_refused_t VALUES (9, 'nine');
DROP TRIGGER fk ON fdw_refused_t;
-- an index over a column is another table, which a trigger or the writer keeps
CREATE FOREIGN TABLE fdw_refused_by_v (v text COLLATE "C", k int) SERVER skyvault OPTIONS (key 'v, k');
INSERT INTO fdw_refused_by_v SELECT v, k FROM fdw_refused_t;
SELECT t.* FROM fdw_refused_by_v b JOIN fdw_refused_t t USING (k) WHERE b.v = 'TWO';

-- triggers
CREATE TRIGGER t AFTER INSERT ON fdw_refused_t REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION fdw_refused_fk();
CREATE CONSTRAINT TRIGGER t AFTER INSERT ON fdw_refused_t FOR EACH ROW EXECUTE FUNCTION fdw_refused_fk();
CREATE TRIGGER t INSTEAD OF INSERT ON fdw_refused_t FOR EACH ROW EXECUTE FUNCTION fdw_refused_fk();

-- row-level security: see fdw_rls.sql
ALTER FOREIGN TABLE fdw_refused_t ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON fdw_refused_t USING (k = 1);

-- samples
SELECT * FROM fdw_refused_t TABLESAMPLE SYSTEM (10);
SELECT count(*) <= 3 AS sampled FROM fdw_refused_t WHERE random() < 0.1;

-- COPY TO
COPY fdw_refused_t TO STDOUT;
COPY (SELECT * FROM fdw_refused_t ORDER BY k) TO STDOUT;

-- maintenance
VACUUM fdw_refused_t;
CLUSTER fdw_refused_t;
SELECT skyvault_compact('fdw_refused_t') IS NOT NULL AS compacted;

-- replication
CREATE PUBLICATION fdw_refused_p FOR TABLE fdw_refused_t;

-- locks that do not wait
SELECT * FROM fdw_refused_t FOR UPDATE NOWAIT;
SELECT * FROM fdw_refused_t FOR UPDATE SKIP LOCKED;
BEGIN;
SET LOCAL lock_timeout = '1s';
SELECT * FROM fdw_refused_t WHERE k = 1 FOR UPDATE;
COMMIT;

-- a cursor's row
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM fdw_refused_t ORDER BY k;
FETCH c;
UPDATE fdw_refused_t SET v = 'current' WHERE CURRENT OF c;
ROLLBACK;

-- a key over a partitioned parent
CREATE TABLE fdw_refused_parent (k int, v text) PARTITION BY LIST (k);
CREATE FOREIGN TABLE fdw_refused_part PARTITION OF fdw_refused_parent FOR VALUES IN (1) SERVER skyvault OPTIONS (key 'k');
CREATE UNIQUE INDEX ON fdw_refused_parent (k);
CREATE INDEX ON fdw_refused_parent (v);

-- temporary and unlogged ones
CREATE TEMP FOREIGN TABLE fdw_refused_temp (k int) SERVER skyvault OPTIONS (key 'k');

DROP TABLE fdw_refused_parent, fdw_refused_h;
DROP FOREIGN TABLE fdw_refused_t, fdw_refused_by_v;
DROP FUNCTION fdw_refused_fk;
