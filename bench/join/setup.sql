-- A plain table, one in the default vault, and one in a bucket, of the same rows: keys
-- of 64 random bits, values of 100 bytes of which half do not compress.  psql variables:
-- url, endpoint, region, key_id, secret, in_flight.
CREATE EXTENSION skyvault;
CREATE SERVER vault FOREIGN DATA WRAPPER skyvault
	OPTIONS (url :'url', endpoint :'endpoint', region :'region', io_concurrency :'in_flight');
CREATE USER MAPPING FOR PUBLIC SERVER vault OPTIONS (access_key_id :'key_id', secret_access_key :'secret');
CREATE TABLE plain (k bigint, v bytea);
CREATE FOREIGN TABLE near (k bigint, v bytea) SERVER skyvault OPTIONS (key 'k');
CREATE FOREIGN TABLE far (k bigint, v bytea) SERVER vault OPTIONS (key 'k');
CREATE TABLE wanted (id bigint, k bigint);

CREATE FUNCTION bench_rows(first bigint, last bigint) RETURNS TABLE (k bigint, v bytea) LANGUAGE sql AS $$
	SELECT hashint8extended(i, 42), substring(sha512(i::text::bytea) FOR 50) || decode(repeat('2a', 50), 'hex')
	FROM generate_series(first, last) AS i
$$;

-- Rows a second of a join by all wanted rows, or by the first of them, and what of it
-- the store was asked for.  The plan has to be one that says `plan`, and not what `not_plan` says.
CREATE FUNCTION bench_join(rel regclass, wanted_rows bigint, plan text, not_plan text, settings text[],
						   OUT rows_per_second double precision, OUT gets bigint) LANGUAGE plpgsql AS $$
DECLARE
	query text := format('SELECT count(s.v) FROM (SELECT * FROM wanted WHERE id <= %s) w JOIN %s s ON s.k = w.k', wanted_rows, rel);
	line text;
	whole text := '';
	setting text;
	n bigint;
	began timestamptz;
BEGIN
	FOREACH setting IN ARRAY settings LOOP
		PERFORM set_config(split_part(setting, '=', 1), split_part(setting, '=', 2), true);
	END LOOP;
	FOR line IN EXECUTE 'EXPLAIN ' || query LOOP
		whole := whole || line || chr(10);
	END LOOP;
	PERFORM bench_check('the plan of a join is ' || whole, whole LIKE '%' || plan || '%' AND whole NOT LIKE '%' || not_plan || '%');
	gets := bench_gets();
	began := clock_timestamp();
	EXECUTE query INTO n;
	rows_per_second := wanted_rows / extract(epoch FROM clock_timestamp() - began);
	gets := bench_gets() - gets;
	PERFORM bench_check('rows of a join are missing', n = wanted_rows);
END $$;

CREATE FUNCTION bench_gets() RETURNS bigint LANGUAGE sql AS $$
	SELECT coalesce(sum(requests), 0)::bigint FROM skyvault_stat_store WHERE server = 'vault' AND operation = 'get'
$$;
