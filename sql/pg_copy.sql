--
-- COPY, after the shapes of Postgres's own test "copy".
--
\getenv srcdir PG_ABS_SRCDIR
\set twins :srcdir '/test/tools/twins.sql'
\set ECHO none
\i :twins
\set ECHO all

CALL twin('copied', 'a int NOT NULL, b text DEFAULT ''by default'', c text', 'a');

-- ---------------------------------------------------------------- lists of columns, defaults, NULL, escapes
COPY copied FROM STDIN;
1	one	\N
2	a\tb\\c	e
3	\x41\102	\\N
\.
COPY copied_heap FROM STDIN;
1	one	\N
2	a\tb\\c	e
3	\x41\102	\\N
\.
COPY copied (a, c) FROM STDIN (NULL 'nil', DELIMITER '|');
4|nil
5|x
\.
COPY copied_heap (a, c) FROM STDIN (NULL 'nil', DELIMITER '|');
4|nil
5|x
\.
COPY copied (c, b, a) FROM STDIN (FORMAT csv, HEADER, QUOTE '''', FORCE_NOT_NULL (c), FORCE_NULL (b));
c,b,a
,'',6
'two
lines',"q",7
\.
COPY copied_heap (c, b, a) FROM STDIN (FORMAT csv, HEADER, QUOTE '''', FORCE_NOT_NULL (c), FORCE_NULL (b));
c,b,a
,'',6
'two
lines',"q",7
\.
SELECT same('SELECT * FROM {copied}');

-- ---------------------------------------------------------------- WHERE
COPY copied FROM STDIN WHERE a % 2 = 0 AND b <> 'no';
10	yes	x
11	yes	x
12	no	x
\.
COPY copied_heap FROM STDIN WHERE a % 2 = 0 AND b <> 'no';
10	yes	x
11	yes	x
12	no	x
\.
SELECT same('SELECT * FROM {copied}');

-- ---------------------------------------------------------------- errors
\set VERBOSITY terse
COPY copied FROM STDIN;
20	good	x
21	too few
\.
COPY copied FROM STDIN;
20	good	x
x	no number	x
\.
COPY copied FROM STDIN;
\N	no key	x
\.
COPY copied (a, a) FROM '/dev/null';
COPY copied (nowhere) FROM '/dev/null';
\set VERBOSITY default
SELECT same('SELECT * FROM {copied}');

-- ---------------------------------------------------------------- out
COPY copied TO STDOUT;		-- of a foreign table only by a query
COPY (SELECT * FROM copied ORDER BY a) TO STDOUT;
COPY (SELECT * FROM copied WHERE a > 5 ORDER BY a DESC) TO STDOUT (FORMAT csv, HEADER, FORCE_QUOTE (b));
COPY (SELECT a, c FROM copied WHERE c IS NULL ORDER BY a) TO STDOUT (NULL 'nil');

-- ---------------------------------------------------------------- a file and back
CALL make_onek('copied_onek');
CALL twin('copied_back', 'unique1 int NOT NULL, unique2 int, two int, four int, ten int, hundred int, odd bool, stringu text', 'unique1');
\getenv outdir PG_ABS_BUILDDIR
\set file :outdir '/pg_copy.data'
COPY (SELECT * FROM copied_onek ORDER BY unique2) TO :'file' (FORMAT binary);
COPY copied_back FROM :'file' (FORMAT binary);
COPY copied_back_heap FROM :'file' (FORMAT binary);
SELECT same('SELECT * FROM {copied_back}'), same('SELECT * FROM {copied_onek}');
TRUNCATE copied_back;
SELECT count(*) FROM copied_back;
COPY (SELECT * FROM copied_onek) TO :'file' (FORMAT csv, HEADER);
COPY copied_back FROM :'file' (FORMAT csv, HEADER match);
SELECT same('SELECT * FROM {copied_back}');

-- ---------------------------------------------------------------- partitions, triggers
CREATE TABLE copied_parts (a int NOT NULL, b text) PARTITION BY RANGE (a);
CREATE FOREIGN TABLE copied_low PARTITION OF copied_parts FOR VALUES FROM (0) TO (100) SERVER skyvault OPTIONS (key 'a');
CREATE TABLE copied_high PARTITION OF copied_parts FOR VALUES FROM (100) TO (200);
COPY copied_parts FROM STDIN;
5	low
150	high
99	low
\.
SELECT tableoid::regclass, * FROM copied_parts ORDER BY a;
\set VERBOSITY terse
COPY copied_parts FROM STDIN;
7	low
200	nowhere
\.
COPY copied_low FROM STDIN;
100	not low
\.
\set VERBOSITY default
SELECT count(*) FROM copied_parts;
CREATE FUNCTION copied_upper() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.b := upper(NEW.b); RETURN CASE WHEN NEW.a <> 8 THEN NEW END; END $$;
CREATE TRIGGER copied_upper BEFORE INSERT ON copied_low FOR EACH ROW EXECUTE FUNCTION copied_upper();
COPY copied_low FROM STDIN;
8	left out
9	changed
\.
COPY copied_parts FROM STDIN;
10	routed
\.
SELECT * FROM copied_low ORDER BY a;

-- ---------------------------------------------------------------- in a transaction
BEGIN;
SAVEPOINT before;
COPY copied (a) FROM STDIN;
100
101
\.
SELECT count(*) FROM copied WHERE a >= 100;
ROLLBACK TO before;
SELECT count(*) FROM copied WHERE a >= 100;
COPY copied (a) FROM STDIN;
102
\.
COMMIT;
SELECT a FROM copied WHERE a >= 100;

DROP TABLE copied_parts, copied_heap, copied_onek_heap, copied_back_heap;
DROP FOREIGN TABLE copied, copied_onek, copied_back;
DROP FUNCTION copied_upper;
