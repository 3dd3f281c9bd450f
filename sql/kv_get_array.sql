--
-- skyvault_get_array: in the delta, in runs, in both.
--
\pset null '<null>'
SELECT skyvault_flush() >= 0 AS drained;
SELECT skyvault_create_table('ga');
SELECT skyvault_create_table('ga_other');
SELECT skyvault_create_table('ga_bytes', 'bytea', 'bytea');
SELECT skyvault_multi_put('ga', ARRAY['a', 'b', '', 'null', 'empty'], ARRAY['1', '2', 'of the empty key', NULL, '']);
SELECT skyvault_put('ga_other', 'a', 'other');
SELECT skyvault_multi_put('ga_bytes', ARRAY['\x', '\x00', '\xff']::bytea[], ARRAY['\xaa', '\x', NULL]::bytea[]);

-- ---------------------------------------------------------------- what comes back
SELECT skyvault_get_array('ga', ARRAY['b', 'a']);
-- repeats, null keys, missing keys, null and empty values
SELECT skyvault_get_array('ga', ARRAY['a', 'never', 'a', NULL, '', 'null', 'empty', 'b']);
SELECT skyvault_flush();
SELECT skyvault_get_array('ga', ARRAY['a', 'never', 'a', NULL, '', 'null', 'empty', 'b']);
SELECT skyvault_put('ga', 'a', '1 again'), skyvault_delete('ga', 'b');
SELECT skyvault_get_array('ga', ARRAY['a', 'never', 'a', NULL, '', 'null', 'empty', 'b']);
SELECT skyvault_get_array('ga_bytes', ARRAY['\xff', '\x00', '\x', '\x01', NULL]::bytea[]);
SELECT skyvault_get_array('ga', ARRAY[]::text[]) = '{}', skyvault_get_array('ga_bytes', ARRAY[]::bytea[]) = '{}';
SELECT skyvault_get_array('ga', ARRAY['never', NULL]), skyvault_get_array('ga', ARRAY[NULL]::text[]);
-- the bounds are those of the keys
SELECT skyvault_get_array('ga', '[0:1]={a,never}'::text[]), skyvault_get_array('ga', '[-3:-3]={a}'::text[]);
-- the type is that of the function, whatever binds to it
SELECT pg_typeof(v), v FROM (SELECT skyvault_get_array('ga', ARRAY['a']::varchar[])) AS f(v);
CREATE TABLE ga_varchar AS SELECT '{a}'::varchar[] AS keys;
SELECT skyvault_get_array('ga', keys) = ARRAY['1 again'] AS comparable FROM ga_varchar;
CREATE TABLE ga_row (v text[]);
INSERT INTO ga_row SELECT skyvault_get_array('ga', ARRAY['a', NULL, 'empty']::varchar[]);
SELECT v, v || 'more'::text AS longer, v[1:1], cardinality(v) FROM ga_row;
-- short arrays in a row have no alignment
INSERT INTO ga_row VALUES (ARRAY['empty', 'a']);
SELECT skyvault_get_array('ga', v) FROM ga_row ORDER BY 1;

-- ---------------------------------------------------------------- several tables
SELECT skyvault_get_array(ARRAY['ga', 'ga_other', 'ga_other', 'ga']::regclass[], ARRAY['a', 'a', 'b', NULL]);
SELECT skyvault_get_array(ARRAY[]::regclass[], ARRAY[]::text[]);
SELECT skyvault_get_array(ARRAY['ga_bytes']::regclass[], ARRAY['\x']::bytea[]);
SELECT skyvault_get_array(ARRAY['ga', NULL]::regclass[], ARRAY['a', 'a']);
SELECT skyvault_get_array(ARRAY['ga']::regclass[], ARRAY['a', 'a']);

-- ---------------------------------------------------------------- as the rows have it, in batches
SELECT skyvault_multi_put('ga', array_agg('k' || i), array_agg(repeat('v' || i, i % 50)))
  FROM generate_series(1, 15000) AS i;
CREATE TABLE ga_keys AS
	SELECT array_agg(CASE WHEN i % 11 = 0 THEN NULL ELSE 'k' || i % 20000 END ORDER BY hashint4(i)) AS keys
	  FROM generate_series(1, 25000) AS i;
SELECT cardinality(skyvault_get_array('ga', keys)),
       skyvault_get_array('ga', keys) = (SELECT array_agg(value ORDER BY n)
                                           FROM ROWS FROM (skyvault_multi_get('ga', keys)) WITH ORDINALITY AS m(key, value, n)) AS as_multi_get,
       skyvault_get_array('ga', keys) = (SELECT array_agg(skyvault_get('ga', k) ORDER BY n)
                                           FROM unnest(keys) WITH ORDINALITY AS u(k, n)) AS as_get,
       keys = (SELECT array_agg(key ORDER BY n)
                 FROM ROWS FROM (skyvault_multi_get('ga', keys)) WITH ORDINALITY AS m(key, value, n)) AS same_keys,
       skyvault_get_array(array_fill('ga'::regclass, ARRAY[25000]), keys) = skyvault_get_array('ga', keys) AS as_tables
  FROM ga_keys;
SELECT count(*), count(*) FILTER (WHERE m.rel = 'ga'::regclass), count(key), count(value), sum(length(value))
  FROM ga_keys, skyvault_multi_get(array_fill('ga'::regclass, ARRAY[25000]), keys) AS m;
SELECT skyvault_flush();
SELECT skyvault_get_array('ga', keys) = (SELECT array_agg(skyvault_get('ga', k) ORDER BY n)
                                           FROM unnest(keys) WITH ORDINALITY AS u(k, n)) AS as_get
  FROM ga_keys;

-- the table of a key in a later batch
SELECT v[1], v[12000], v[12001] FROM skyvault_get_array(array_fill('ga'::regclass, ARRAY[12000]) || 'ga_other'::regclass,
														array_fill('a'::text, ARRAY[12001])) AS v;

-- lengths at which the layout of a datum changes, as rows and as elements
SELECT skyvault_multi_put('ga', array_agg(repeat('k', i)), array_agg(repeat('v', i + d)))
  FROM generate_series(120, 132) AS i, (VALUES (2)) AS o(d);
SELECT count(*) FILTER (WHERE key = repeat('k', i) AND value = repeat('v', i + 2)) AS right_rows,
       count(*) FILTER (WHERE rel = 'ga'::regclass AND tkey = key AND tvalue = value) AS right_table_rows
  FROM generate_series(120, 132) AS i,
       skyvault_multi_get('ga', ARRAY[repeat('k', i)]) AS m,
       skyvault_multi_get(ARRAY['ga']::regclass[], ARRAY[repeat('k', i)]) AS t(rel, tkey, tvalue);
SELECT skyvault_get_array('ga', array_agg(repeat('k', i))) = array_agg(repeat('v', i + 2)) AS right_elements
  FROM generate_series(120, 132) AS i;
SELECT bool_and(value = repeat('v', length(key) + 2)) FROM skyvault_scan('ga', repeat('k', 120), repeat('k', 133));

-- ---------------------------------------------------------------- errors
SELECT skyvault_get_array(NULL::regclass, ARRAY['a']);
SELECT skyvault_get_array(NULL::text, ARRAY['a']);
SELECT skyvault_get_array('ga', NULL::text[]);
SELECT skyvault_get_array('ga', '{{a,b}}'::text[]);
SELECT skyvault_get_array('ga', ARRAY[repeat('k', 2001)]);
SELECT skyvault_get_array('ga', ARRAY['\x00']::bytea[]);
SELECT skyvault_get_array('ga_bytes', ARRAY['a']);
SELECT skyvault_get_array('ga_keys', ARRAY['a']);
SELECT skyvault_get_array('ga_never', ARRAY['a']);
SELECT skyvault_get_array('0'::regclass, ARRAY['a']);
-- an array has its limit
SELECT skyvault_put('ga', 'large', repeat('0123456789abcdef', 65536));
SELECT length(array_to_string(skyvault_get_array('ga', array_fill('large'::text, ARRAY[3])), ''));
SELECT skyvault_get_array('ga', array_fill('large'::text, ARRAY[1024]));
-- privileges
CREATE ROLE regress_ga;
SET ROLE regress_ga;
SELECT skyvault_get_array('ga', ARRAY['a']);
SELECT skyvault_get_array(ARRAY['ga']::regclass[], ARRAY['a']);
RESET ROLE;
GRANT SELECT ON ga TO regress_ga;
SET ROLE regress_ga;
SELECT skyvault_get_array('ga', ARRAY['a']);
RESET ROLE;

DROP FOREIGN TABLE ga, ga_other, ga_bytes;
DROP TABLE ga_row, ga_keys, ga_varchar;
DROP ROLE regress_ga;
