-- Scans where the delta has some of a table's rows: it is read in windows, which end
-- where blocks of the largest run do.
SELECT skyvault_create_table('wide', 'text', 'text');
CREATE TABLE plain (key text COLLATE "C" PRIMARY KEY, value text);

-- What a page has, to be compared.
CREATE FUNCTION page(relation text, op text, start text, stop text, direction text, rows int) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('SELECT concat_ws('','', count(*), min(key), max(key), md5(string_agg(key || value, '''')))'
		' FROM (SELECT key, value FROM %s WHERE key COLLATE "C" %s %L AND key COLLATE "C" < %L ORDER BY key COLLATE "C" %s LIMIT %s) AS page',
		relation, op, start, stop, direction, rows) INTO result;
	RETURN result;
END $$;

CREATE FUNCTION differences() RETURNS SETOF text LANGUAGE sql AS $$
	SELECT concat_ws(' ', op, start, stop, direction, rows)
	FROM (SELECT lpad((i * 7919 % 21000)::text, 6, '0') AS start,
				 CASE WHEN i % 3 = 0 THEN lpad((i * 104729 % 21000)::text, 6, '0') ELSE 'x' END AS stop
		  FROM generate_series(1, 15) AS i) AS starts,
		 (VALUES ('>'), ('>=')) AS ops (op), (VALUES ('ASC'), ('DESC')) AS directions (direction),
		 (VALUES (1), (100), (2000)) AS limits (rows)
	WHERE page('wide', op, start, stop, direction, rows) IS DISTINCT FROM page('plain', op, start, stop, direction, rows)
$$;

-- Index scans of the delta in this transaction.
CREATE FUNCTION delta_scans() RETURNS bigint LANGUAGE sql AS
	$$ SELECT pg_stat_get_xact_numscans('skyvault.delta_pkey'::regclass) $$;

INSERT INTO plain SELECT lpad(i::text, 6, '0'), repeat(md5(i::text), 7) FROM generate_series(1, 20000) AS i;
INSERT INTO wide SELECT * FROM plain;
SELECT skyvault_flush() IS NOT NULL AS flushed;
SELECT count(*) FROM differences();

-- Few rows in the delta, so that most windows have none: new ones, changed ones, deleted ones.
CREATE FUNCTION change(modulus int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	relation text;
BEGIN
	FOREACH relation IN ARRAY ARRAY['plain', 'wide'] LOOP
		EXECUTE format('INSERT INTO %s SELECT lpad(i::text, 6, ''0'') || ''a%s'', ''new'' FROM generate_series(1, 20000, %s) AS i', relation, modulus, modulus);
		EXECUTE format('UPDATE %s SET value = ''changed'' WHERE key IN (SELECT lpad(i::text, 6, ''0'') FROM generate_series(7, 20000, %s) AS i)', relation, modulus);
		EXECUTE format('DELETE FROM %s WHERE key IN (SELECT lpad(i::text, 6, ''0'') FROM generate_series(9, 20000, %s) AS i)', relation, modulus);
	END LOOP;
END $$;
SELECT change(6000);
SELECT count(*) FROM skyvault.delta;
SELECT count(*) FROM differences();

-- A page near its rows is one window; a whole scan the three windows and what is behind.  What planning looks up there is not counted.
CREATE FUNCTION scans_of(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	before bigint := delta_scans();
	planned bigint;
BEGIN
	EXECUTE 'EXPLAIN ' || query;
	planned := delta_scans() - before;
	EXECUTE query;
	RETURN delta_scans() - before - 2 * planned;
END $$;
EXPLAIN (COSTS OFF) SELECT key, value FROM wide WHERE key >= '006002' ORDER BY key LIMIT 4;
SELECT scans_of('SELECT count(*) FROM (SELECT key, value FROM wide WHERE key >= ''006002'' ORDER BY key LIMIT 4) AS page');
SELECT scans_of('SELECT count(*), sum(length(value)) FROM (SELECT key, value FROM wide ORDER BY key OFFSET 0) AS page');
SELECT scans_of('SELECT count(*), sum(length(value)) FROM (SELECT key, value FROM wide ORDER BY key DESC OFFSET 0) AS page');

-- With rows of the transaction itself, which may hide others of the delta.
BEGIN;
SELECT change(5999);
UPDATE plain SET value = 'again' WHERE value = 'new';
UPDATE wide SET value = 'again' WHERE value = 'new';
SELECT count(*) FROM differences();
ROLLBACK;
SELECT count(*) FROM differences();

-- Many rows, and runs of other kinds under them.
SELECT change(61);
SELECT count(*) FROM differences();
SELECT skyvault_flush() IS NOT NULL AS flushed;
SELECT change(62);
SELECT count(*) FROM differences();
SELECT skyvault_compact('wide') IS NOT NULL AS compacted;
SELECT change(63);
SELECT count(*) FROM differences();
SELECT skyvault_flush() IS NOT NULL AS flushed;
SELECT count(*) FROM differences();

DROP FOREIGN TABLE wide;
DROP TABLE plain;
DROP FUNCTION page, differences, scans_of, delta_scans, change;
