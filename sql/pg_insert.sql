--
-- INSERT, after the shapes of Postgres's own test "insert".
--
\getenv srcdir PG_ABS_SRCDIR
\set twins :srcdir '/test/tools/twins.sql'
\set ECHO none
\i :twins
\set ECHO all

CALL twin('ins', 'a int NOT NULL, b int DEFAULT 7, c text DEFAULT ''c'', d int GENERATED ALWAYS AS (a * 2) STORED', 'a');

-- ---------------------------------------------------------------- columns, defaults, several rows
SELECT does(s), s FROM unnest(ARRAY[
	'INSERT INTO {ins} (a) VALUES (1)',
	'INSERT INTO {ins} (b, a) VALUES (20, 2)',
	'INSERT INTO {ins} (a, b, c) VALUES (3, DEFAULT, DEFAULT), (4, 44, NULL)',
	'INSERT INTO {ins} VALUES (5), (6)',
	'INSERT INTO {ins} (a, d) VALUES (7, DEFAULT)',
	'INSERT INTO {ins} (a, d) VALUES (8, 1)',
	'INSERT INTO {ins} VALUES (8, 1, ''x'', 1)',
	'INSERT INTO {ins} (a, a) VALUES (1, 2)',
	'INSERT INTO {ins} (nowhere) VALUES (1)',
	'INSERT INTO {ins} (a, b) VALUES (1)',
	'INSERT INTO {ins} (a) VALUES (1, 2)',
	'INSERT INTO {ins} DEFAULT VALUES',
	'INSERT INTO {ins} (a) VALUES (NULL)',
	'INSERT INTO {ins} (a, b) SELECT n, (SELECT max(b) FROM {ins}) FROM generate_series(10, 20) AS n',
	'INSERT INTO {ins} (a) SELECT a + 100 FROM {ins}',
	'INSERT INTO {ins} (a, c) SELECT 200, c FROM {ins} WHERE a = 1 UNION ALL VALUES (201, ''v'')',
	'WITH w AS (INSERT INTO {ins} (a) VALUES (300), (301) RETURNING a) INSERT INTO {ins} (a) SELECT a + 10 FROM w',
	'INSERT INTO {ins} (a, c) VALUES (400, repeat(''x'', 100000))',
	'INSERT INTO {ins} (a) VALUES (9999999999)',
	'INSERT INTO {ins} (a) VALUES (''no number'')']) AS s;
SELECT same('SELECT * FROM {ins}');

-- ---------------------------------------------------------------- RETURNING
INSERT INTO ins (a) VALUES (500), (501) RETURNING *, a + b AS sum, tableoid::regclass;
INSERT INTO ins AS i (a) SELECT 502 RETURNING i.a, (SELECT count(*) FROM ins WHERE a = 502) AS before;
INSERT INTO ins_heap (a) VALUES (500), (501), (502);

-- ---------------------------------------------------------------- ON CONFLICT
SELECT does(s) FROM unnest(ARRAY[
	'INSERT INTO {ins} (a, c) VALUES (1, ''no''), (600, ''yes'') ON CONFLICT DO NOTHING',
	'INSERT INTO {ins} (a, c) VALUES (601, ''first''), (601, ''second'') ON CONFLICT DO NOTHING']) AS s;
SELECT same('SELECT * FROM {ins}');
-- What a foreign table cannot have, and what there is instead: an INSERT replaces.
INSERT INTO ins (a, c) VALUES (1, 'x') ON CONFLICT (a) DO NOTHING;
INSERT INTO ins (a, c) VALUES (1, 'x') ON CONFLICT (a) DO UPDATE SET c = excluded.c;
INSERT INTO ins (a, c) VALUES (1, 'replaced');
SELECT a, b, c FROM ins WHERE a = 1;
UPDATE ins_heap SET c = 'replaced' WHERE a = 1;

-- ---------------------------------------------------------------- constraints
ALTER TABLE ins ADD CONSTRAINT small CHECK (b < 1000);
ALTER TABLE ins_heap ADD CONSTRAINT small CHECK (b < 1000);
SELECT does(s) FROM unnest(ARRAY[
	'INSERT INTO {ins} (a, b) VALUES (700, 999)',
	'INSERT INTO {ins} (a, b) VALUES (701, 1), (702, 1000)',
	'INSERT INTO {ins} (a, b) VALUES (703, NULL)']) AS s;
INSERT INTO ins (a, b) VALUES (702, 1000);
SELECT same('SELECT * FROM {ins}');

-- ---------------------------------------------------------------- routing: lists, ranges, hashes, several levels
CREATE TABLE ins_parts (a int NOT NULL, b text NOT NULL, c int) PARTITION BY LIST (b);
CREATE FOREIGN TABLE ins_x PARTITION OF ins_parts FOR VALUES IN ('x') SERVER skyvault OPTIONS (key 'a');
CREATE TABLE ins_y PARTITION OF ins_parts FOR VALUES IN ('y') PARTITION BY RANGE (a);
CREATE FOREIGN TABLE ins_y1 PARTITION OF ins_y FOR VALUES FROM (0) TO (10) SERVER skyvault OPTIONS (key 'a');
CREATE TABLE ins_y2 (c int, b text NOT NULL, gone int, a int NOT NULL);
ALTER TABLE ins_y2 DROP COLUMN gone;
ALTER TABLE ins_y ATTACH PARTITION ins_y2 FOR VALUES FROM (10) TO (20);
CREATE FOREIGN TABLE ins_rest PARTITION OF ins_parts DEFAULT SERVER skyvault OPTIONS (key 'a');
INSERT INTO ins_parts VALUES (1, 'x', 1), (1, 'y', 1), (15, 'y', 1), (1, 'z', 1) RETURNING tableoid::regclass, *;
INSERT INTO ins_parts SELECT n, chr(120 + n % 4), n FROM generate_series(0, 9) AS n;
SELECT tableoid::regclass AS part, count(*), min(a), max(a) FROM ins_parts GROUP BY 1 ORDER BY 1;
INSERT INTO ins_parts VALUES (20, 'y');
INSERT INTO ins_x VALUES (1, 'y');
INSERT INTO ins_y1 VALUES (11, 'y');
CREATE TABLE ins_hash (a int NOT NULL, b text) PARTITION BY HASH (a);
CREATE FOREIGN TABLE ins_hash0 PARTITION OF ins_hash FOR VALUES WITH (MODULUS 2, REMAINDER 0) SERVER skyvault OPTIONS (key 'a');
CREATE TABLE ins_hash1 PARTITION OF ins_hash FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO ins_hash SELECT n, n::text FROM generate_series(1, 100) AS n;
SELECT count(*), bool_and(satisfies_hash_partition('ins_hash'::regclass, 2, 0, a)) FROM ins_hash0;
SELECT count(*), sum(a) FROM ins_hash;

-- ---------------------------------------------------------------- views, and rows as wholes
CREATE VIEW ins_view AS SELECT a, c FROM ins WHERE a > 800 WITH CHECK OPTION;
INSERT INTO ins_view VALUES (801, 'v');
INSERT INTO ins_view VALUES (1, 'v');
SELECT * FROM ins_view;
INSERT INTO ins_parts SELECT (p).* FROM (SELECT ROW(30, 'q', 5)::ins_parts AS p) AS s;
SELECT p FROM ins_parts AS p WHERE a = 30;

DROP VIEW ins_view;
DROP TABLE ins_parts, ins_hash, ins_heap;
DROP FOREIGN TABLE ins;
