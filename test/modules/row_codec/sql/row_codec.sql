--
-- The row codec: keys that sort as their columns do, values that come back
--
\set VERBOSITY terse
SET timezone = 'UTC';
CREATE FUNCTION codec_key(anyelement, int DEFAULT NULL) RETURNS bytea
    AS 'row_codec_test' LANGUAGE C;
CREATE FUNCTION codec_value(anyelement) RETURNS bytea AS 'row_codec_test' LANGUAGE C;
CREATE FUNCTION codec_decode(anyelement, bytea, bytea, int[] DEFAULT NULL) RETURNS anyelement
    AS 'row_codec_test' LANGUAGE C;
CREATE FUNCTION codec_map_value(anyelement, bytea) RETURNS bytea AS 'row_codec_test' LANGUAGE C;
CREATE FUNCTION codec_map_bytes(anyelement, bytea) RETURNS bytea AS 'row_codec_test' LANGUAGE C;
CREATE FUNCTION codec_is_map(anyelement) RETURNS text AS 'row_codec_test' LANGUAGE C;
CREATE FUNCTION codec_key_columns(anyelement) RETURNS text AS 'row_codec_test' LANGUAGE C;
CREATE FUNCTION codec_fuzz(anyelement) RETURNS text AS 'row_codec_test' LANGUAGE C;

CREATE FOREIGN DATA WRAPPER codec_wrapper;
CREATE SERVER codec FOREIGN DATA WRAPPER codec_wrapper;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN posint AS int CHECK (VALUE > 0);
CREATE DOMAIN label AS text;
CREATE DOMAIN feeling AS mood;
CREATE TYPE pair AS (a int, b timestamptz, c interval, d float8);
CREATE TYPE floatrange2 AS RANGE (subtype = float8);

-- What a statement raises: SQLSTATE, message, hint
CREATE FUNCTION error_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text;
    message text;
    hint text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
        hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' | ', state, message, nullif(hint, ''));
END $$;

--
-- Every key type.  For all pairs of samples: order of bytes is order of values, and equal bytes
-- mean equal values; alone and as the first of two columns, where also a prefix must be one of
-- the equal values' keys only; and every sample comes back as it was.
--
CREATE FUNCTION check_key_type(type text, samples text,
    OUT columns text, OUT enough bool, OUT order_errors bigint, OUT prefix_errors bigint,
    OUT row_errors bigint) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE FOREIGN TABLE one (k %s, v int) SERVER codec OPTIONS (key ''k'')', type);
    EXECUTE format('CREATE FOREIGN TABLE two (v text, n int, k %s) SERVER codec
                    OPTIONS (key ''k, n'')', type);
    EXECUTE format($q$CREATE TEMP TABLE sample AS
        SELECT (one_row).k AS x, one_row, two_row, codec_key(one_row) AS one_key,
            codec_key(two_row) AS two_key, codec_key(two_row, 1) AS prefix
        FROM (SELECT ROW(v, 1)::one, ROW('v', 7, v)::two
              FROM (SELECT v::%s FROM (%s) AS s (v)) AS s (v)) AS t (one_row, two_row)$q$,
        type, samples);
    EXECUTE 'SELECT codec_key_columns(NULL::two), count(*) >= 3 FROM sample' INTO columns, enough;
    EXECUTE 'SELECT count(*) FROM sample a, sample b
        WHERE (a.x < b.x) <> (a.one_key < b.one_key) OR (a.x = b.x) <> (a.one_key = b.one_key)
           OR (a.x < b.x) <> (a.two_key < b.two_key) OR (a.x = b.x) <> (a.two_key = b.two_key)'
        INTO order_errors;
    EXECUTE 'SELECT count(*) FROM sample a, sample b
        WHERE (a.x = b.x) <> (substr(b.two_key, 1, length(a.prefix)) = a.prefix)'
        INTO prefix_errors;
    EXECUTE 'SELECT count(*) FROM sample
        WHERE codec_decode(NULL::one, one_key, codec_value(one_row))::text <> one_row::text
           OR NOT (codec_decode(NULL::one, one_key, codec_value(one_row)) *= one_row)
           OR NOT (codec_decode(NULL::two, two_key, codec_value(two_row)) *= two_row)'
        INTO row_errors;
    DROP TABLE sample;
    DROP FOREIGN TABLE one, two;
END $$;

CREATE TABLE key_sample (type text, samples text);
INSERT INTO key_sample VALUES
('bool', $$VALUES (true), (false), (true)$$),
('"char"', $$SELECT chr(c)::"char" FROM generate_series(1, 127) c UNION ALL VALUES (''::"char"), ('\200'::"char"), ('\377')$$),
('int2', $$SELECT (random() * 65535 - 32768)::int FROM generate_series(1, 60) UNION ALL VALUES (-32768), (-1), (0), (1), (255), (256), (32767)$$),
('int4', $$SELECT (random() * 4294967295 - 2147483648)::int8 FROM generate_series(1, 60) UNION ALL VALUES (-2147483648), (-1), (0), (1), (255), (256), (2147483647)$$),
('int8', $$SELECT ((random() - 0.5) * 1e19 / 1.1)::int8 FROM generate_series(1, 60) UNION ALL VALUES (-9223372036854775808), (-1), (0), (1), (255), (256), (9223372036854775807)$$),
('oid', $$SELECT (random() * 4294967295)::int8 FROM generate_series(1, 60) UNION ALL VALUES (0), (1), (4294967295)$$),
('float4', $$SELECT ((random() - 0.5) * 10 ^ (random() * 60 - 30)::int)::float4 FROM generate_series(1, 60) UNION ALL SELECT unnest('{NaN,inf,-inf,0,-0,1e-45,-1e-45,3.4028235e38,-3.4028235e38,1}'::float4[]) UNION ALL SELECT -'NaN'::float4$$),
('float8', $$SELECT (random() - 0.5) * 10 ^ (random() * 600 - 300)::int FROM generate_series(1, 60) UNION ALL SELECT unnest('{NaN,inf,-inf,0,-0,5e-324,-5e-324,1.7976931348623157e308,-1.7976931348623157e308,1}'::float8[]) UNION ALL SELECT -'NaN'::float8$$),
('numeric', $$SELECT round(((random() - 0.5) * 10 ^ (random() * 40 - 20)::int)::numeric, (random() * 30)::int) FROM generate_series(1, 60)
    UNION ALL SELECT v::numeric FROM unnest('{NaN,Infinity,-Infinity,0,0.00,-0.0,1,1.0,1.00,-1,-1.0,-1.00,10000,9999,9999.9999,10000.0001,1000000000000,0.1,0.10,0.0001,0.00010,0.00001,-0.00001,-10000,-9999.99990,123456789012345678901234567890,1e1000,-1e1000,1e-1000,1e131071,1e-16383,100,100.0,99999999}'::text[]) v$$),
('numeric(12,3)', $$SELECT round(((random() - 0.5) * 10 ^ (random() * 9)::int)::numeric, 3) FROM generate_series(1, 60) UNION ALL VALUES (0), (1), (1.5), (-1.5), (100), (0.001)$$),
('text COLLATE "C"', $$SELECT substr(md5(random()::text), 1, (random() * 4)::int) FROM generate_series(1, 60) UNION ALL VALUES (''), ('a'), (E'a\001'), ('ab'), (E'\001'), (E'\001\001'), ('é'), ('€uro'), ('zz'), (repeat('x', 3000))$$),
('varchar(5) COLLATE "POSIX"', $$SELECT substr(md5(random()::text), 1, (random() * 4)::int) FROM generate_series(1, 40) UNION ALL VALUES (''), ('a'), ('a '), (E'a\001')$$),
('bpchar COLLATE "C"', $$SELECT v::bpchar FROM unnest(ARRAY['', ' ', '  ', 'a', 'a ', 'a  ', E'a\t', 'a b', 'ab', 'ab ', 'é ']) v$$),
('char(4) COLLATE "C"', $$SELECT v::char(4) FROM unnest(ARRAY['', 'a', 'a ', E'a\t', 'a b', 'abcd', 'abc', 'éééé']) v$$),
('name', $$VALUES (''), ('a'), ('ab'), (E'a\001'), ('pg_class'), (repeat('n', 63))$$),
('bytea', $$SELECT substr(decode(replace(md5(random()::text), '3', '0'), 'hex'), 1, (random() * 5)::int) FROM generate_series(1, 60)
    UNION ALL SELECT v::bytea FROM unnest(ARRAY['\x', '\x00', '\x0000', '\x0001', '\x00ff', '\x000001', '\x61', '\x6100', '\x610000', '\x6101', '\x6162', '\xff', '\xffff', '\x01', '\x0100']) v$$),
('uuid', $$SELECT gen_random_uuid() FROM generate_series(1, 60) UNION ALL VALUES ('00000000-0000-0000-0000-000000000000'::uuid), ('ffffffff-ffff-ffff-ffff-ffffffffffff')$$),
('date', $$SELECT '2000-01-01'::date + ((random() - 0.5) * 1000000)::int FROM generate_series(1, 60) UNION ALL VALUES ('infinity'::date), ('-infinity'), ('4713-01-01 BC'), ('5874897-12-31'), ('2000-01-01'), ('1999-12-31')$$),
('time', $$SELECT ('00:00'::time + random() * interval '24 hours') FROM generate_series(1, 60) UNION ALL VALUES ('00:00'::time), ('24:00'), ('23:59:59.999999')$$),
('timetz', $$SELECT (('00:00'::time + random() * interval '24 hours')::text || (array['-15:59','+15:59','+00','-03:30','+05:45:10'])[1 + (random() * 4)::int])::timetz FROM generate_series(1, 60)
    UNION ALL VALUES ('00:00+15:59'::timetz), ('24:00-15:59'), ('12:00+01'), ('11:00+00'), ('10:00-01'), ('24:00+00')$$),
('timestamp', $$SELECT '2000-01-01'::timestamp + (random() - 0.5) * interval '8000 years' FROM generate_series(1, 60) UNION ALL VALUES ('infinity'::timestamp), ('-infinity'), ('4713-01-01 BC'), ('294276-12-31 23:59:59.999999'), ('2000-01-01'), ('1999-12-31 23:59:59.999999')$$),
('timestamptz', $$SELECT '2000-01-01'::timestamptz + (random() - 0.5) * interval '8000 years' FROM generate_series(1, 60) UNION ALL VALUES ('infinity'::timestamptz), ('-infinity'), ('4713-01-02 BC'), ('294276-12-31 23:59:59.999999'), ('2000-01-01')$$),
('interval', $$SELECT make_interval(months => ((random() - 0.5) * 50)::int, days => ((random() - 0.5) * 500)::int, secs => (random() - 0.5) * 1000000) FROM generate_series(1, 60)
    UNION ALL SELECT v::interval FROM unnest('{0,1 day,24:00:00,1 mon,30 days,720:00:00,29 days 24:00:00,-1 day,-24:00:00,-1 mon,1 mon -30 days,-00:00:01,00:00:01,1 day -00:00:01,23:59:59,178956970 years 7 mons,-178956970 years -8 mons,2147483647 days,-2147483648 days,2147483647 days 24:00:00,-2147483648 days -24:00:00}'::text[]) v$$),
('posint', $$VALUES (1), (2), (2147483647), (255), (256)$$),
('label COLLATE "C"', $$VALUES (''), ('a'), ('ab'), ('b')$$);

SELECT setseed(0.42);
SELECT type, c.* FROM key_sample, check_key_type(type, samples) c ORDER BY type COLLATE "C";

-- Enums are equal if their bytes are, but not ordered; text is ordered under C and POSIX only
CREATE FOREIGN TABLE by_mood (m feeling, t text COLLATE "und-x-icu", b text COLLATE "ucs_basic", n name, i int)
    SERVER codec OPTIONS (key 'm,t,b,n,i');
SELECT codec_key_columns(NULL::by_mood);
SELECT codec_key(ROW('ok', 'ä', 'b', 'n', 1)::by_mood);
SELECT codec_decode(NULL::by_mood, codec_key(r), codec_value(r)) *= r AS same
FROM (SELECT ROW('happy', E'\001x', '', 'name', -1)::by_mood) AS t (r);

-- Composite keys sort as rows do
CREATE FOREIGN TABLE compound (d bytea, c numeric, b int8, a text COLLATE "C", v text)
    SERVER codec OPTIONS (key 'a, b, c, d');
CREATE TEMP TABLE compound_sample AS
SELECT r, (r).*, codec_key(r) AS key, codec_key(r, 1) AS key1, codec_key(r, 2) AS key2,
    codec_key(r, 3) AS key3
FROM (SELECT ROW(substr('\x000001ff00'::bytea, 1 + (random() * 4)::int, (random() * 3)::int),
        (random() * 4 - 2)::int / 2.0, (random() * 4 - 2)::int,
        substr(E'a\001b', 1 + (random() * 2)::int, (random() * 3)::int), i)::compound
    FROM generate_series(1, 250) i) AS t (r);
SELECT count(*) FROM compound_sample s, compound_sample t
WHERE ((s.a, s.b, s.c, s.d) < (t.a, t.b, t.c, t.d)) <> (s.key < t.key)
   OR ((s.a, s.b, s.c, s.d) = (t.a, t.b, t.c, t.d)) <> (s.key = t.key)
   OR (s.a = t.a) <> (substr(t.key, 1, length(s.key1)) = s.key1)
   OR ((s.a, s.b) = (t.a, t.b)) <> (substr(t.key, 1, length(s.key2)) = s.key2)
   OR ((s.a, s.b, s.c) = (t.a, t.b, t.c)) <> (substr(t.key, 1, length(s.key3)) = s.key3);
SELECT count(*) FROM compound_sample
WHERE NOT (codec_decode(NULL::compound, key, codec_value(r)) *= r);

-- The bytes are a format: these may not change
SELECT codec_key(ROW('\x6100', -1.5, 1, 'x', 'v')::compound), codec_value(ROW('\x6100', -1.50, 1, 'x', 'v')::compound);

--
-- Every value type
--
CREATE FOREIGN TABLE wide (key text COLLATE "C", v_bool bool, v_char "char", v_int2 int2, v_int4 int4, v_int8 int8,
    v_oid oid, v_float4 float4, v_float8 float8, v_uuid uuid, v_date date, v_time time,
    v_timetz timetz, v_timestamp timestamp, v_timestamptz timestamptz, v_interval interval,
    v_text text, v_varchar varchar(10), v_bpchar char(5), v_name name, v_bytea bytea,
    v_json json, v_jsonb jsonb, v_xml xml, v_mood mood, v_numeric numeric, v_money money,
    v_inet inet, v_cidr cidr, v_macaddr macaddr, v_ints int[], v_texts text[],
    v_numerics numeric[], v_dates date[], v_range int4range, v_multirange nummultirange, v_bit bit(3),
    v_varbit varbit, v_point point, v_polygon polygon, v_tsvector tsvector, v_tsquery tsquery,
    v_regclass regclass, v_lsn pg_lsn, v_posint posint, v_label label, v_feeling feeling,
    v_pair pair, v_moods mood[], v_pairs pair[], v_xmls xml[], v_floatrange floatrange2,
    v_jsonbs jsonb[], v_regclasses regclass[])
    SERVER codec;
CREATE TEMP TABLE wide_sample (i int, r wide);
INSERT INTO wide_sample SELECT 1, ROW('first', true, 'x', -2, -4, -8, 4294967295, '-0', 'NaN',
    '01234567-89ab-cdef-0123-456789abcdef', 'infinity', '24:00', '12:34:56.789-03:30',
    '-infinity', '294276-12-31 23:59:59.999999', '1 mon -3 days 04:05:06', '', 'ünï', 'a', 'name',
    '\x00ff00', '{"a": 1,  "a":2}', '{"b": [1, null, 1.50], "é": "\u20ac"}', '<a>é</a>x', 'happy',
    1.500, 12.34, '10.1.2.3/8', '10.0.0.0/8', '08:00:2b:01:02:03', '{{1,2},{NULL,4}}',
    '{"a b",NULL,"",é}', '{1.0,NaN}', '[3:4]={2000-01-01,infinity}', '[1,10)', '{[1.0,2.0],(3,)}', B'101',
    B'1', '(1,2)', '((0,0),(1,1),(2,0))', 'fat:2A cat:1', 'fat & (cat | !dog:A)', 'pg_class',
    '16/B374D848', 7, 'label', 'ok', ROW(1, '2020-02-29 12:00+01', '-1 day 02:00', 0.1::float8 + 0.2),
    '{sad,happy}', ARRAY[ROW(NULL, NULL, '1 year', '-inf')::pair, NULL], ARRAY['<a/>text'::xml],
    '[0.1,0.30000000000000004)', ARRAY['{"x":1}'::jsonb], '{pg_class,pg_type}')::wide;
INSERT INTO wide_sample SELECT 2, jsonb_populate_record(NULL::wide, '{"key": "only the key"}');
INSERT INTO wide_sample SELECT 3, jsonb_populate_record(NULL::wide, jsonb_build_object('key', 'long',
    'v_text', repeat('long text ', 20000), 'v_jsonb', jsonb_build_array(repeat('x', 10000)),
    'v_ints', (SELECT jsonb_agg(n) FROM generate_series(1, 5000) n), 'v_moods', jsonb_build_array()));
ALTER TABLE wide_sample ADD key bytea, ADD value bytea;
UPDATE wide_sample SET key = codec_key(r), value = codec_value(r);
SELECT i, codec_decode(NULL::wide, key, value)::text = r::text AS same,
    length(value) < 1000 AS small FROM wide_sample ORDER BY i;
SELECT column_name FROM information_schema.columns
WHERE table_name = 'wide' AND (SELECT to_jsonb(codec_decode(NULL::wide, key, value)) -> column_name::text
        IS DISTINCT FROM to_jsonb(r) -> column_name::text FROM wide_sample WHERE i = 1);

-- Columns that are not needed are NULL
SELECT codec_decode(NULL::compound, codec_key(r), codec_value(r), '{3,5}'),
    codec_decode(NULL::compound, codec_key(r), codec_value(r), '{2}'),
    codec_decode(NULL::compound, codec_key(r), codec_value(r))
FROM (SELECT ROW('\x00', 2.50, 3, 'a', 'v')::compound) AS t (r);

-- The bytes do not depend on settings, nor does what is read from them
CREATE FUNCTION under_settings(OUT same_value bool, OUT same_row bool) LANGUAGE sql
    SET datestyle = 'German' SET intervalstyle = 'iso_8601' SET extra_float_digits = -5
    SET timezone = 'Asia/Tokyo' SET xmloption = 'document' SET bytea_output = 'escape'
    SET search_path = public, pg_temp SET lc_monetary = 'POSIX' AS $$
    SELECT bool_and(codec_value(r) = value),
        bool_and(codec_value(codec_decode(NULL::wide, key, value)) = value)
    FROM wide_sample $$;
SELECT * FROM under_settings();
SHOW datestyle;
SET client_encoding = 'LATIN1';
CREATE FOREIGN TABLE texts (key int, t text[], j jsonb) SERVER codec;
SELECT codec_value(ROW(1, ARRAY[chr(233)], jsonb_build_array(chr(233)))::texts) AS latin1 \gset
SELECT (codec_decode(NULL::texts, '\x80000001', :'latin1')).t[1] = chr(233) AS same;
SELECT error_of($$SELECT codec_decode(NULL::texts, '\x80000001', '\x01290340da1d0401747275')$$);
SHOW client_encoding;
RESET client_encoding;
SELECT codec_value(ROW(1, ARRAY[chr(233)], jsonb_build_array(chr(233)))::texts) = :'latin1' AS same;

--
-- Tables change
--
CREATE FOREIGN TABLE changing (key int, a int, b varchar(10), c numeric) SERVER codec;
SELECT codec_key(r) AS key, codec_value(r) AS value
FROM (SELECT ROW(1, 2, 'three', 4.0)::changing) AS t (r) \gset
ALTER FOREIGN TABLE changing ADD d text DEFAULT 'default';
SELECT codec_decode(NULL::changing, :'key', :'value');
ALTER FOREIGN TABLE changing DROP a;
SELECT codec_decode(NULL::changing, :'key', :'value');
SELECT codec_decode(NULL::changing, :'key', codec_value(ROW(1, 'x', 5, 'new')::changing));
ALTER FOREIGN TABLE changing ALTER b TYPE text;
SELECT codec_decode(NULL::changing, :'key', :'value');
ALTER FOREIGN TABLE changing ALTER b TYPE bytea;
SELECT error_of(format('SELECT codec_decode(NULL::changing, %L, %L)', :'key', :'value'));
SELECT codec_decode(NULL::changing, :'key', :'value', '{1,4}');
ALTER FOREIGN TABLE changing ALTER b TYPE text;
ALTER FOREIGN TABLE changing ALTER c TYPE int4range;
SELECT error_of(format('SELECT codec_decode(NULL::changing, %L, %L)', :'key', :'value'));
ALTER FOREIGN TABLE changing ALTER c TYPE numeric;
ALTER FOREIGN TABLE changing ALTER key TYPE date;
SELECT error_of(format('SELECT codec_decode(NULL::changing, %L, %L)', :'key', :'value'));
ALTER FOREIGN TABLE changing ALTER key TYPE int;
ALTER FOREIGN TABLE changing OPTIONS (ADD key 'c');
SELECT error_of(format('SELECT codec_decode(NULL::changing, %L, %L)', :'key', :'value'));
SELECT codec_key_columns(NULL::changing);
ALTER FOREIGN TABLE changing OPTIONS (SET key 'key');
SELECT codec_decode(NULL::changing, :'key', :'value');

-- Labels of enums are stored, not their numbers
CREATE FOREIGN TABLE moods (key mood, m mood) SERVER codec;
SELECT codec_key(r) AS key, codec_value(r) AS value FROM (SELECT ROW('ok', 'sad')::moods) AS t (r) \gset
ALTER TYPE mood RENAME VALUE 'sad' TO 'blue';
SELECT error_of(format('SELECT codec_decode(NULL::moods, %L, %L)', :'key', :'value'));
SELECT codec_decode(NULL::moods, :'key', :'value', '{1}');
ALTER TYPE mood RENAME VALUE 'blue' TO 'sad';
SELECT codec_decode(NULL::moods, :'key', :'value');

-- A type's text form that its input does not take any more
CREATE FOREIGN TABLE pairs (key int, p pair) SERVER codec;
SELECT codec_key(r) AS key, codec_value(r) AS value
FROM (SELECT ROW(1, ROW(1, NULL, NULL, NULL))::pairs) AS t (r) \gset
SELECT codec_decode(NULL::pairs, :'key', :'value');
SELECT error_of(format('SELECT codec_decode(NULL::pairs, %L, %L)', :'key',
    regexp_replace(:'value', '2c2c2c', '2c2c78')));

-- Generated columns are stored; a table may be all key
CREATE FOREIGN TABLE generated (key int, g int GENERATED ALWAYS AS (key + 1) STORED) SERVER codec;
SELECT codec_decode(NULL::generated, codec_key(r), codec_value(r))
FROM (SELECT ROW(1, 2)::generated) AS t (r);
CREATE FOREIGN TABLE all_key (a int, b text COLLATE "C") SERVER codec OPTIONS (key 'b,a');
SELECT codec_key(r), codec_value(r), codec_decode(NULL::all_key, codec_key(r), codec_value(r))
FROM (SELECT ROW(1, 'b')::all_key) AS t (r);

--
-- Maps
--
CREATE FOREIGN TABLE map (key text, value text) SERVER codec;
SELECT codec_is_map(NULL::map), codec_key(ROW('k', 'v')::map), codec_value(ROW('k', 'v')::map);
SELECT codec_map_value(NULL::map, convert_to(v, 'UTF8')) = codec_value(ROW('k', v)::map) AS same_bytes,
    convert_from(codec_map_bytes(NULL::map, codec_value(ROW('k', v)::map)), 'UTF8') IS NOT DISTINCT FROM v AS same
FROM unnest(ARRAY['', 'v', repeat('x', 127), repeat('x', 128), repeat('x', 100000), NULL]) v;
SELECT error_of(format('SELECT codec_map_bytes(NULL::map, %L)', v))
FROM unnest('{\\x,\\x01,\\x0236,\\x0137,\\x01360220,\\x0136022001,\\x013602200161ff,\\x0136022001ff,\\x0136022000,\\x0136032000,\\x0136022203313233}'::text[]) v;
CREATE FOREIGN TABLE blobs (v bytea, extra int, k bytea) SERVER codec OPTIONS (key 'k');
SELECT codec_is_map(NULL::blobs), codec_value(ROW('\x00ff', 1, '\x00')::blobs) AS value \gset
ALTER FOREIGN TABLE blobs DROP extra;
SELECT codec_is_map(NULL::blobs), codec_map_bytes(NULL::blobs, :'value'),
    codec_map_value(NULL::blobs, '\x00ff') = codec_value(ROW('\x00ff', '\x00')::blobs) AS same_bytes;
CREATE FOREIGN TABLE not_map_domain (key text, value label) SERVER codec;
CREATE FOREIGN TABLE not_map_length (key text, value varchar(3)) SERVER codec;
CREATE FOREIGN TABLE not_map_key (key int, value text) SERVER codec;
CREATE FOREIGN TABLE not_map_all_key (key text, value text) SERVER codec OPTIONS (key 'key, value');
CREATE FOREIGN TABLE not_map_lone (key text) SERVER codec;
SELECT codec_is_map(NULL::not_map_domain), codec_is_map(NULL::not_map_length), codec_is_map(NULL::not_map_key),
    codec_is_map(NULL::not_map_all_key), codec_is_map(NULL::not_map_lone);

-- A column that reads something in rows that are older: these are the ones without a word of it
CREATE FOREIGN TABLE aging (key int, a int OPTIONS (missing '7'), b text OPTIONS (missing 'it''s old'), c numeric)
    SERVER codec OPTIONS (key 'key, c');
SELECT codec_value(ROW(1, NULL, NULL, 1.50)::aging) AS value \gset
SELECT :'value' AS value,
    codec_decode(NULL::aging, codec_key(ROW(1, 1, 'x', 1.5)::aging), :'value') AS stored,
    codec_decode(NULL::aging, codec_key(ROW(1, 1, 'x', 1.5)::aging), substr(:'value'::bytea, 1, 2)) AS older,
    codec_decode(NULL::aging, codec_key(ROW(1, 1, 'x', 1.5)::aging), substr(:'value'::bytea, 1, 4)) AS amid,
    codec_decode(NULL::aging, codec_key(ROW(1, 1, 'x', 1.5)::aging), substr(:'value'::bytea, 1, 2), '{1,3}') AS some;
SELECT error_of(format('SELECT codec_decode(NULL::aging, codec_key(ROW(1, 1, NULL, 1.5)::aging), %L)', substr(:'value'::bytea, 1, 2) || '\x0400'::bytea));
SELECT codec_fuzz(ROW(1, NULL, NULL, 1.50)::aging);

--
-- Damage: every byte cut off or changed is an error of class XX001 or 42804, or another row
--
SELECT codec_fuzz(r) FROM wide_sample WHERE i IN (1, 2) ORDER BY i;
SELECT codec_fuzz(ROW('\x610062', -1.50, 8, E'x\001', 'v')::compound),
    codec_fuzz(ROW('ok', 'ä', 'b', 'n', 1)::by_mood), codec_fuzz(ROW('key', 'value')::map),
    codec_fuzz(ROW(1, 'x')::all_key);
CREATE FOREIGN TABLE fixed (a bool, b "char", c int2, d oid, e float4, f float8, g uuid, h date,
    i time, j timetz, k timestamptz, l interval, m bpchar COLLATE "C", n numeric)
    SERVER codec OPTIONS (key 'a,b,c,d,e,f,g,h,i,j,k,l,m,n');
SELECT codec_fuzz(ROW(true, 'c', 1, 2, '-0', 'NaN', '01234567-89ab-cdef-0123-456789abcdef', '2020-01-01',
    '23:59', '12:00+02', '2020-01-01', '1 mon', 'x ', 12345.67890)::fixed);

-- What no encoder writes is refused, even where it could be read
CREATE FUNCTION read_key(type text, key bytea, tail bytea, OUT result text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE FOREIGN TABLE damaged (k %s, n int2) SERVER codec OPTIONS (key ''k, n'')', type);
    EXECUTE 'SELECT codec_value(NULL::damaged)' INTO result;
    result := error_of(format('SELECT codec_decode(NULL::damaged, %L, %L)', key || tail, result));
    DROP FOREIGN TABLE damaged;
END $$;
CREATE FUNCTION read_value(type text, value bytea, OUT result text) LANGUAGE plpgsql AS $$
DECLARE
    header bytea;
BEGIN
    EXECUTE format('CREATE FOREIGN TABLE damaged (key int, v %s, w text) SERVER codec', type);
    EXECUTE 'SELECT codec_value(NULL::damaged)' INTO header;
    result := error_of(format('SELECT codec_decode(NULL::damaged, ''\x80000001'', %L)', header || value));
    DROP FOREIGN TABLE damaged;
END $$;
SELECT what, left(read_key(type, key, '\x8001'), 8) AS result
FROM (VALUES (1, 'bool', '\x01'::bytea, 'sound'), (2, 'bool', '\x02', 'bool of 2'),
    (3, 'int4', '\x80000001', 'sound'), (4, 'int4', '\x8000000100', 'a byte too many'),
    (5, 'float8', '\xbff0000000000000', 'sound'), (6, 'float8', '\x7fffffffffffffff', 'minus zero'),
    (7, 'float4', '\xffc00001', 'another NaN'),
    (8, 'date', '\x7fffffff', 'sound'), (9, 'date', '\xfffffffe', 'date too late'),
    (10, 'time', '\x800000141dd76000', 'sound'), (11, 'time', '\x800000141dd76001', 'time past 24:00'),
    (12, 'time', '\x7fffffffffffffff', 'negative time'),
    (13, 'timetz', '\x800000000000000080000000', 'sound'), (14, 'timetz', '\x800000000000000080010000', 'zone too far'),
    (15, 'timetz', '\x800000241dd7600080000000', 'time past 24:00'),
    (16, 'timestamp', '\x8000000000000000', 'sound'), (17, 'timestamp', '\xfffffffffffffffe', 'timestamp too late'),
    (18, 'interval', '\x80000000000000018000000000000000', 'sound'),
    (19, 'interval', '\x80000000000000018000002000000000', 'more than a day'),
    (20, 'interval', '\x80000001000000008000000000000000', 'days that no canonical interval has'),
    (21, 'numeric', '\x048000000227110000', 'digit 10000'), (22, 'numeric', '\x04800000020000', 'sound'),
    (23, 'numeric', '\x048000000100020000', 'leading zero'), (24, 'numeric', '\x048000000200010000', 'trailing zero'),
    (25, 'numeric', '\x0480000000', 'no digits'), (26, 'numeric', '\x04000000020000', 'weight too small'),
    (27, 'numeric', '\x07', 'class unknown'),
    (28, 'text', '\x610001', 'sound'), (29, 'text', '\x610002', 'bad escape'), (30, 'text', '\x6100ff0001', 'zero byte'),
    (31, 'text', '\xff0001', 'not UTF-8'), (32, 'text', '\x6161', 'no end'), (33, 'bytea', '\x6100ff0001', 'sound'),
    (34, 'bpchar', '\x61200001', 'trailing blank'), (35, 'name', convert_to(repeat('n', 64), 'UTF8') || '\x0001', 'long name'),
    (36, 'mood', '\x6f6b0001', 'sound'), (37, 'mood', '\x6f6a0001', 'label unknown')) AS t (i, type, key, what) ORDER BY i;
SELECT what, left(read_value(type, value), 8) AS result
FROM (VALUES (1, 'bool', '\x020101'::bytea, 'sound'), (2, 'bool', '\x020102', 'bool of 2'),
    (3, 'bool', '\x02010102', 'half an entry'), (4, 'bool', '\x0201010201', 'attribute twice, cut'),
    (5, 'bool', '\x020101020101', 'attribute twice'), (6, 'bool', '\x03200161020101', 'attributes out of order'),
    (7, 'bool', '\x042000', 'attribute beyond the last'), (8, 'bool', '\x002000', 'attribute 0'),
    (9, 'bool', '\x010401000000', 'key column that is in the key'), (10, 'bool', '\x021f00', 'class unknown'),
    (11, 'bool', '\x02270161', 'class unknown'), (12, 'bool', '\x8200010100', 'varint too long'),
    (13, 'text', '\x02200161', 'sound'), (14, 'text', '\x022001ff', 'not UTF-8'), (15, 'text', '\x02200100', 'zero byte'),
    (16, 'text', '\x0220ffffffff0f61', 'length beyond the end'), (17, 'bytea', '\x022201ff', 'sound'),
    (18, 'name', '\x022140'::bytea || convert_to(repeat('n', 64), 'UTF8'), 'long name'),
    (19, 'date', '\x020afeffff7f', 'date too late'), (20, 'time', '\x020b01000000000000ff', 'negative time'),
    (21, 'timetz', '\x020c000000000000000000000100', 'zone too far'),
    (22, 'timestamptz', '\x020efeffffffffffff7f', 'timestamp too late'),
    (23, 'numeric', '\x0240a40d080000000000000000', 'sound'),
    (24, 'numeric', '\x0240a40d09000000000000000000', 'a byte too many'),
    (25, 'numeric', '\x0240a50d080000000000000000', 'another type'),
    (26, 'mood', '\x02250173', 'label unknown'), (27, 'pair', '\x022604282c2c29', 'refused by the input function'),
    (28, 'text', '\x022601ff', 'another class')) AS t (i, type, value, what) ORDER BY i;

--
-- What cannot be a key
--
SELECT error_of('SELECT codec_key(ROW(NULL, 1)::all_key)');
SELECT error_of('SELECT codec_key(ROW(''\x'', 1, NULL, ''a'', ''v'')::compound)');
CREATE FOREIGN TABLE refused (a int, b jsonb, c int GENERATED ALWAYS AS (a) STORED, "Mixed Case" text, e int[], f pair, g inet)
    SERVER codec;
CREATE FUNCTION with_key(option text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        EXECUTE format('ALTER FOREIGN TABLE refused OPTIONS (ADD key %L)', option);
    EXCEPTION WHEN duplicate_object THEN
        EXECUTE format('ALTER FOREIGN TABLE refused OPTIONS (SET key %L)', option);
    END;
    RETURN error_of('SELECT codec_key_columns(NULL::refused)');
END $$;
SELECT error_of('SELECT codec_key_columns(NULL::refused)');
SELECT option, with_key(option)
FROM unnest(ARRAY['a', 'A, "Mixed Case"', 'Mixed Case', 'nothing', '', 'a,', 'a,a', 'ctid', 'c', 'b', 'e', 'a, f', 'g']) option;
CREATE COLLATION nondeterministic (provider = icu, locale = 'und', deterministic = false);
CREATE FOREIGN TABLE loose (key text COLLATE nondeterministic) SERVER codec;
SELECT error_of('SELECT codec_key_columns(NULL::loose)');
CREATE TABLE plain (key text);
SELECT error_of('SELECT codec_key_columns(NULL::plain)');
