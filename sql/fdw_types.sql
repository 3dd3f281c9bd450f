--
-- Column types, as value and as key
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS skyvault;
RESET client_min_messages;
SET datestyle = 'ISO, YMD';
SET intervalstyle = 'postgres';
SET timezone = 'UTC';
SET extra_float_digits = 1;

CREATE TYPE fdw_types_mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN fdw_types_positive AS int CHECK (VALUE > 0);
CREATE TYPE fdw_types_pair AS (x int, y text);

-- every type as a value
CREATE FOREIGN TABLE fdw_types_values (
	id int,
	i2 smallint, i4 integer, i8 bigint, f4 real, f8 double precision, n numeric, n2 numeric(10,2),
	b boolean, c "char", t text, vc varchar(10), bc char(5), nm name, by bytea, u uuid,
	d date, ti time, ttz timetz, ts timestamp, tstz timestamptz, iv interval,
	j json, jb jsonb, ia int[], ta text[], m fdw_types_mood, ma fdw_types_mood[],
	dom fdw_types_positive, pr fdw_types_pair, inet inet, r int4range, bits varbit, o oid,
	g bigint GENERATED ALWAYS AS (i4::bigint * 2) STORED
) SERVER skyvault OPTIONS (key 'id');
INSERT INTO fdw_types_values VALUES
	(1, '-32768', '-2147483648', '-9223372036854775808', 1.5, -1e300, 123456789012345678901234567890.123450, 1.5,
	 true, 'x', 'text', 'varchar', 'ab', 'name', '\x00ff', '00112233-4455-6677-8899-aabbccddeeff',
	 '2024-02-29', '12:34:56.789', '12:34:56+02', '1999-12-31 23:59:59.999999', '2000-01-01 00:00:00+00',
	 '1 mon 2 days 03:04:05', '{"a":  1}', '{"b": [1, 2, {"c": null}]}', '{1,NULL,3}', '{a,"b c",NULL}',
	 'happy', '{sad,ok}', 7, '(1,"a b")', '10.0.0.1/8', '[1,5)', B'1011', 42),
	(2, 32767, 2147483647, 9223372036854775807, 'NaN', 'Infinity', 'NaN', -0.01,
	 false, '', '', '', '', '', '', 'ffffffff-ffff-ffff-ffff-ffffffffffff',
	 'infinity', '24:00', '00:00-15:59', '-infinity', 'infinity',
	 '-1 year 25:00:00', '[]', 'null', '{}', '[2:3]={x,y}',
	 'sad', '{}', 1, '(,)', '::1', 'empty', B'', 4294967295);
INSERT INTO fdw_types_values (id) VALUES (3);
\x on
SELECT * FROM fdw_types_values ORDER BY id;
\x off
SELECT id, jb->'b'->2, ia[3], pr, (pr).y, ta[2], octet_length(bc) FROM fdw_types_values ORDER BY id;

-- large, compressible and external values
INSERT INTO fdw_types_values (id, t, by) VALUES
	(4, repeat('long text ', 100000), decode(repeat('00ff', 50000), 'hex'));
SELECT length(t), md5(t) = md5(repeat('long text ', 100000)), length(by) FROM fdw_types_values WHERE id = 4;
CREATE TEMP TABLE fdw_types_toasted AS SELECT 5 AS id, string_agg(md5(i::text), '') AS t FROM generate_series(1, 1000) i;
INSERT INTO fdw_types_values (id, t) SELECT id, t FROM fdw_types_toasted;
SELECT v.t = s.t AS same FROM fdw_types_values v JOIN fdw_types_toasted s USING (id);

-- columns that come, go, and change
ALTER FOREIGN TABLE fdw_types_values ADD COLUMN added text;
ALTER FOREIGN TABLE fdw_types_values DROP COLUMN i8;
SELECT id, i4, added, o FROM fdw_types_values WHERE id = 1;
UPDATE fdw_types_values SET added = 'now' WHERE id = 1;
SELECT id, i4, added, o, g FROM fdw_types_values WHERE id = 1;
-- Nothing but writing to Postgres's catalogue gets past ALTER TABLE.
SET allow_system_table_mods = on;
CREATE FUNCTION change_type(rel regclass, col name, type regtype) RETURNS void LANGUAGE sql AS $$
	UPDATE pg_attribute SET atttypid = t.oid, attlen = t.typlen, attbyval = t.typbyval, attalign = t.typalign
	FROM pg_type AS t WHERE attrelid = rel AND attname = col AND t.oid = type
$$;
SELECT change_type('fdw_types_values', 'f8', 'date');
RESET allow_system_table_mods;
DROP FUNCTION change_type;
SELECT id, f8 FROM fdw_types_values WHERE id = 1;
SELECT id, i2 FROM fdw_types_values WHERE id = 1;
DROP FOREIGN TABLE fdw_types_values;

-- every key type: equality, IN, a range, order, and the datum as it was
CREATE FUNCTION fdw_types_check(type text, "values" text[], coll text DEFAULT '') RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	n int;
	wrong text := '';
BEGIN
	EXECUTE format('CREATE FOREIGN TABLE fdw_types_key (k %s %s, second int, v text) SERVER skyvault OPTIONS (key ''k, second'')', type, coll);
	EXECUTE format('CREATE FOREIGN TABLE fdw_types_sole (k %s %s, v text) SERVER skyvault OPTIONS (key ''k'')', type, coll);
	EXECUTE format('CREATE TEMP TABLE fdw_types_heap (k %s %s, second int, v text)', type, coll);
	EXECUTE format('INSERT INTO fdw_types_heap SELECT x::%s, o, x FROM unnest($1) WITH ORDINALITY u(x, o)', type) USING "values";
	INSERT INTO fdw_types_key SELECT * FROM fdw_types_heap;
	INSERT INTO fdw_types_sole SELECT k, v FROM fdw_types_heap;
	SELECT count(*) INTO n FROM fdw_types_heap;

	-- the same rows, down to the spelling
	IF EXISTS (SELECT k::text, second, v FROM fdw_types_heap EXCEPT ALL SELECT k::text, second, v FROM fdw_types_key) THEN
		wrong := wrong || ' content';
	END IF;
	IF (SELECT array_agg(ROW(a.second, b.second) ORDER BY a.second, b.second) FROM fdw_types_heap a, fdw_types_heap b WHERE a.k = b.k) IS DISTINCT FROM
	   (SELECT array_agg(ROW(a.second, b.second) ORDER BY a.second, b.second) FROM fdw_types_heap a, LATERAL (SELECT second FROM fdw_types_key k WHERE k.k = a.k OFFSET 0) b) THEN
		wrong := wrong || ' equality';
	END IF;
	IF EXISTS (SELECT 1 FROM fdw_types_heap h WHERE NOT EXISTS (SELECT 1 FROM fdw_types_sole s WHERE s.k = h.k)) OR
	   (SELECT count(*) FROM fdw_types_sole) <> (SELECT count(DISTINCT k) FROM fdw_types_heap) THEN
		wrong := wrong || ' sole';
	END IF;
	IF (SELECT count(*) FROM fdw_types_key WHERE k = ANY (ARRAY(SELECT k FROM fdw_types_heap))) <> n THEN
		wrong := wrong || ' any';
	END IF;
	IF EXISTS (SELECT 1 FROM fdw_types_heap h WHERE
		(SELECT count(*) FROM fdw_types_heap x WHERE x.k < h.k) <> (SELECT count(*) FROM fdw_types_key x WHERE x.k < h.k) OR
		(SELECT count(*) FROM fdw_types_heap x WHERE x.k <= h.k) <> (SELECT count(*) FROM fdw_types_key x WHERE x.k <= h.k) OR
		(SELECT count(*) FROM fdw_types_heap x WHERE x.k > h.k) <> (SELECT count(*) FROM fdw_types_key x WHERE x.k > h.k) OR
		(SELECT count(*) FROM fdw_types_heap x WHERE h.k <= x.k) <> (SELECT count(*) FROM fdw_types_key x WHERE h.k <= x.k) OR
		(SELECT count(DISTINCT k) FROM fdw_types_heap x WHERE x.k > h.k) <> (SELECT count(*) FROM fdw_types_sole x WHERE x.k > h.k) OR
		(SELECT count(DISTINCT k) FROM fdw_types_heap x WHERE x.k <= h.k) <> (SELECT count(*) FROM fdw_types_sole x WHERE x.k <= h.k)) THEN
		wrong := wrong || ' range';
	END IF;
	IF (SELECT array_agg(second) FROM (SELECT second FROM fdw_types_key ORDER BY k, second LIMIT n) x) IS DISTINCT FROM
	   (SELECT array_agg(second) FROM (SELECT second FROM fdw_types_heap ORDER BY k, second) x) THEN
		wrong := wrong || ' order';
	END IF;
	DELETE FROM fdw_types_key k USING fdw_types_heap h WHERE k.k = h.k;
	IF EXISTS (SELECT 1 FROM fdw_types_key) THEN
		wrong := wrong || ' delete';
	END IF;

	DROP FOREIGN TABLE fdw_types_key, fdw_types_sole;
	DROP TABLE fdw_types_heap;
	RETURN format('%s: %s values, %s', type, n, CASE WHEN wrong = '' THEN 'good' ELSE 'WRONG:' || wrong END);
END
$$;
SELECT fdw_types_check('boolean', '{t,f}');
SELECT fdw_types_check('"char"', '{a,b,A,~}');
SELECT fdw_types_check('smallint', '{0,1,-1,-32768,32767,255,256,-256}');
SELECT fdw_types_check('integer', '{0,1,-1,-2147483648,2147483647,255,65536}');
SELECT fdw_types_check('bigint', '{0,1,-1,-9223372036854775808,9223372036854775807,4294967296}');
SELECT fdw_types_check('oid', '{0,1,4294967295,2147483648}');
SELECT fdw_types_check('real', '{0,-0,1,-1,1e-40,-1e30,Infinity,-Infinity,NaN}');
SELECT fdw_types_check('double precision', '{0,-0,1,-1,1e-310,-1e300,Infinity,-Infinity,NaN,1.5,2.5}');
SELECT fdw_types_check('numeric', '{0,1,1.0,1.00,-1,0.1,0.09999,100,99,10000,9999,-10000,1e100,-1e100,1e-100,NaN,Infinity,-Infinity,12345.6789}');
SELECT fdw_types_check('text', '{a,b,ab,"","a b",A,é,zz}', 'COLLATE "C"');
SELECT fdw_types_check('varchar(20)', '{a,b,ab,"",Z}', 'COLLATE "POSIX"');
SELECT fdw_types_check('char(4)', '{a,b,ab,"","ab  ",Z}', 'COLLATE "C"');
SELECT fdw_types_check('name', '{a,b,ab,"",Z}');
SELECT fdw_types_check('bytea', ARRAY['', '\x00', '\x0000', '\x0001', '\xff', '\xffff', '\xff00', '\x01']);
SELECT fdw_types_check('uuid', '{00000000-0000-0000-0000-000000000000,ffffffff-ffff-ffff-ffff-ffffffffffff,7fffffff-0000-0000-0000-000000000000,80000000-0000-0000-0000-000000000000}');
SELECT fdw_types_check('date', '{2000-01-01,1999-12-31,0001-01-01,infinity,-infinity,"4713-01-01 BC"}');
SELECT fdw_types_check('time', '{00:00,24:00,12:00,12:00:00.000001}');
SELECT fdw_types_check('timetz', '{00:00+00,00:00+01,01:00+01,12:00-05,17:00+00}');
SELECT fdw_types_check('timestamp', '{2000-01-01,1999-12-31 23:59:59.999999,infinity,-infinity}');
SELECT fdw_types_check('timestamptz', '{2000-01-01 00:00+00,2000-01-01 01:00+01,infinity,-infinity}');
SELECT fdw_types_check('interval', '{1 day,24:00,1 mon,30 days,-1 day,0,1 year,00:00:00.000001}');
SELECT fdw_types_check('fdw_types_mood', '{sad,ok,happy}');
SELECT fdw_types_check('fdw_types_positive', '{1,2,1000000}');

-- types that cannot be keys
CREATE FOREIGN TABLE fdw_types_bad (k jsonb, v text) SERVER skyvault OPTIONS (key 'k');
CREATE FOREIGN TABLE fdw_types_bad (k int[], v text) SERVER skyvault OPTIONS (key 'k');

-- keys that are too long, or null
CREATE FOREIGN TABLE fdw_types_long (k text, v text) SERVER skyvault OPTIONS (key 'k');
INSERT INTO fdw_types_long VALUES (repeat('x', 2000), 'fits');
INSERT INTO fdw_types_long VALUES (repeat('x', 2001), 'does not');
INSERT INTO fdw_types_long VALUES (NULL, 'no key');
SELECT length(k), v FROM fdw_types_long;
SELECT count(*) FROM fdw_types_long WHERE k = repeat('x', 2001);
SELECT count(*) FROM fdw_types_long WHERE k IN (repeat('x', 2000), repeat('x', 100000));
DROP FOREIGN TABLE fdw_types_long;

DROP FUNCTION fdw_types_check;
DROP TYPE fdw_types_mood, fdw_types_pair;
DROP DOMAIN fdw_types_positive;
