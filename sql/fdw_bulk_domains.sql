--
-- A domain's constraint may look at the rows before: INSERT and COPY hold none
-- back then, whatever way the domain is part of the table or the query.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS skyvault;
RESET client_min_messages;
SET skyvault.bulk_threshold = 0;

CREATE FUNCTION bulk_domain_rows() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM bulk_domain_t); END';
CREATE DOMAIN bulk_domain AS int CHECK (bulk_domain_rows() < 3);
CREATE DOMAIN bulk_domain_over AS bulk_domain CHECK (VALUE > 0);
CREATE DOMAIN bulk_domain_plain AS int CHECK (VALUE > 0);
CREATE TYPE bulk_domain_pair AS (a int, b bulk_domain);
CREATE FUNCTION bulk_domain_explain(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) ' || query LOOP
		IF line ~ 'Bulk Load' THEN
			RETURN NEXT trim(line);
		END IF;
	END LOOP;
END
$$;

-- The fourth row is one too many.
CREATE FOREIGN TABLE bulk_domain_t (k int, v bulk_domain) SERVER skyvault OPTIONS (key 'k', batch_size '1');
SELECT * FROM bulk_domain_explain('INSERT INTO bulk_domain_t SELECT g, g FROM generate_series(1, 4) AS g');
INSERT INTO bulk_domain_t SELECT g, g FROM generate_series(1, 4) AS g;
\set SHOW_CONTEXT never
COPY bulk_domain_t FROM STDIN;
1	1
2	2
3	3
4	4
\.
\set SHOW_CONTEXT errors
INSERT INTO bulk_domain_t SELECT g, g FROM generate_series(1, 3) AS g;
SELECT count(*) FROM bulk_domain_t;
DROP FOREIGN TABLE bulk_domain_t;

-- A domain over it, an array, a row, each as a column; and only in the query.
CREATE FOREIGN TABLE bulk_domain_t (k int, v bulk_domain_over) SERVER skyvault OPTIONS (key 'k');
SELECT * FROM bulk_domain_explain('INSERT INTO bulk_domain_t SELECT g, g FROM generate_series(1, 4) AS g');
INSERT INTO bulk_domain_t SELECT g, g FROM generate_series(1, 4) AS g;
DROP FOREIGN TABLE bulk_domain_t;
CREATE FOREIGN TABLE bulk_domain_t (k int, v bulk_domain[]) SERVER skyvault OPTIONS (key 'k');
SELECT * FROM bulk_domain_explain('INSERT INTO bulk_domain_t SELECT g, ARRAY[g] FROM generate_series(1, 4) AS g');
INSERT INTO bulk_domain_t SELECT g, ARRAY[g] FROM generate_series(1, 4) AS g;
DROP FOREIGN TABLE bulk_domain_t;
CREATE FOREIGN TABLE bulk_domain_t (k int, v bulk_domain_pair) SERVER skyvault OPTIONS (key 'k');
SELECT * FROM bulk_domain_explain('INSERT INTO bulk_domain_t SELECT g, ROW(g, g)::bulk_domain_pair FROM generate_series(1, 4) AS g');
INSERT INTO bulk_domain_t SELECT g, ROW(g, g)::bulk_domain_pair FROM generate_series(1, 4) AS g;
DROP FOREIGN TABLE bulk_domain_t;
CREATE FOREIGN TABLE bulk_domain_t (k int, v int) SERVER skyvault OPTIONS (key 'k');
SELECT * FROM bulk_domain_explain('INSERT INTO bulk_domain_t SELECT g, g::bulk_domain FROM generate_series(1, 4) AS g');
INSERT INTO bulk_domain_t SELECT g, g::bulk_domain FROM generate_series(1, 4) AS g;
SELECT * FROM bulk_domain_explain('INSERT INTO bulk_domain_t SELECT g, (g::text::bulk_domain[])[1] FROM generate_series(1, 4) AS g');
SELECT * FROM bulk_domain_explain('INSERT INTO bulk_domain_t SELECT g, g FROM generate_series(1, 4) AS g');
DROP FOREIGN TABLE bulk_domain_t;

-- One that looks at nothing is no obstacle; a partition's column is one as the table's own.
CREATE FOREIGN TABLE bulk_domain_t (k int, v bulk_domain_plain) SERVER skyvault OPTIONS (key 'k');
SELECT * FROM bulk_domain_explain('INSERT INTO bulk_domain_t SELECT g, g FROM generate_series(1, 4) AS g');
DROP FOREIGN TABLE bulk_domain_t;
CREATE TABLE bulk_domain_t (k int, v bulk_domain) PARTITION BY RANGE (k);
CREATE FOREIGN TABLE bulk_domain_part PARTITION OF bulk_domain_t FOR VALUES FROM (0) TO (100) SERVER skyvault OPTIONS (key 'k', batch_size '1');
INSERT INTO bulk_domain_t SELECT g, g FROM generate_series(1, 4) AS g;
DROP TABLE bulk_domain_t;

DROP FUNCTION bulk_domain_explain;
DROP TYPE bulk_domain_pair;
DROP DOMAIN bulk_domain_over, bulk_domain, bulk_domain_plain;
DROP FUNCTION bulk_domain_rows;
RESET skyvault.bulk_threshold;
