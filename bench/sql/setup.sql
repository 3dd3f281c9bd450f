-- The keys and values of all measurements, in batches of 1,000 distinct keys.
-- psql variable keys: how many, a multiple of 1,000.  Key n is the same
-- expression in the pgbench scripts.  A value is 50 bytes that do not compress
-- and 50 that do.
CREATE EXTENSION skyvault;

CREATE TABLE batch (n integer PRIMARY KEY, keys bytea[] NOT NULL, "values" bytea[] NOT NULL);

-- Reading a batch must cost as little as possible beside the work on it.
ALTER TABLE batch ALTER COLUMN keys SET STORAGE EXTERNAL, ALTER COLUMN "values" SET STORAGE EXTERNAL;

INSERT INTO batch
SELECT n, array_agg(key), array_agg(substring(sha512(key) FOR 50) || decode(repeat('2a', 50), 'hex'))
FROM (SELECT 1 + (row_number() OVER (ORDER BY hashint8extended(i, 1)) - 1) / 1000 AS n,
			 int8send(hashint8extended(i, 0)) AS key
	  FROM generate_series(1, :keys) AS i) AS numbered
GROUP BY n;

VACUUM (ANALYZE) batch;
