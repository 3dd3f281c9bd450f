-- Tables in the bucket: kv1k with values of 1,024 bytes, kv100 with values of 100,
-- in ascending keys, and functions that measure from inside the server.
-- psql variables: url, endpoint, region, key_id, secret, rows (of kv1k; kv100 has
-- ten times as many).
CREATE EXTENSION skyvault;
CREATE SERVER vault FOREIGN DATA WRAPPER skyvault
	OPTIONS (url :'url', endpoint :'endpoint', region :'region');
CREATE USER MAPPING FOR PUBLIC SERVER vault OPTIONS (access_key_id :'key_id', secret_access_key :'secret');
SELECT skyvault_create_table('kv1k', 'bytea', 'bytea', 'vault');
SELECT skyvault_create_table('kv100', 'bytea', 'bytea', 'vault');

CREATE FUNCTION bench_key(i bigint) RETURNS text LANGUAGE sql IMMUTABLE
	RETURN 'k' || lpad(i::text, 9, '0');

-- Values of which the first bytes do not compress, and the others do.
CREATE FUNCTION bench_load(rel regclass, first bigint, last bigint, hard integer, easy integer) RETURNS void LANGUAGE sql AS $$
	SELECT skyvault_multi_put(rel, array_agg(bench_key(i)::bytea), array_agg(value))
	FROM generate_series(first, last) AS i,
		 LATERAL (SELECT substring(string_agg(sha512((i * 100 + n)::text::bytea), '') FOR hard)
						 || decode(repeat('2a', easy), 'hex') AS value
				  FROM generate_series(1, (hard + 63) / 64) AS n) AS v
$$;

CREATE FUNCTION bench_gets() RETURNS bigint LANGUAGE sql AS $$
	SELECT coalesce(sum(requests), 0)::bigint FROM skyvault_stat_store WHERE server = 'vault' AND operation = 'get'
$$;

CREATE FUNCTION bench_us(started timestamptz) RETURNS double precision LANGUAGE sql VOLATILE AS $$
	SELECT 1e6 * extract(epoch FROM clock_timestamp() - started)
$$;

-- The median time of a get, and the GETs that all of them took.
CREATE FUNCTION bench_each(rel regclass, keys text[], OUT us double precision, OUT gets bigint) LANGUAGE plpgsql AS $$
DECLARE
	began timestamptz;
	times double precision[] = '{}';
	found bytea;
	key text;
BEGIN
	gets := bench_gets();
	FOREACH key IN ARRAY keys LOOP
		began := clock_timestamp();
		found := skyvault_get(rel, key::bytea);
		times := times || bench_us(began);
		PERFORM bench_check('a key is missing', found IS NOT NULL);
	END LOOP;
	gets := bench_gets() - gets;
	us := (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY t) FROM unnest(times) AS t);
END $$;

-- How long all of them took in one operation.
CREATE FUNCTION bench_batch(rel regclass, keys text[], OUT us double precision, OUT gets bigint) LANGUAGE plpgsql AS $$
DECLARE
	began timestamptz;
	answers bytea[];
BEGIN
	gets := bench_gets();
	began := clock_timestamp();
	answers := skyvault_get_array(rel, ARRAY(SELECT k::bytea FROM unnest(keys) AS k));
	us := bench_us(began);
	gets := bench_gets() - gets;
	PERFORM bench_check('a key is missing', array_position(answers, NULL) IS NULL AND cardinality(answers) = cardinality(keys));
END $$;

CREATE FUNCTION bench_scan(rel regclass, wanted bigint, OUT us double precision, OUT gets bigint) LANGUAGE plpgsql AS $$
DECLARE
	began timestamptz;
	n bigint;
BEGIN
	gets := bench_gets();
	began := clock_timestamp();
	EXECUTE format('SELECT count(*) FROM %s WHERE value IS NOT NULL', rel) INTO n;
	us := bench_us(began);
	gets := bench_gets() - gets;
	PERFORM bench_check('rows are missing', n = wanted);
END $$;

-- Nothing is cached but the tails of all runs.
CREATE FUNCTION bench_cold(disk_too boolean, rows bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM skyvault_clear_cache();
	IF disk_too THEN
		PERFORM skyvault_clear_disk_cache();
	END IF;
	PERFORM skyvault_get('kv1k', bench_key(i)::bytea) FROM generate_series(1, rows, 5000) AS i;
END $$;
