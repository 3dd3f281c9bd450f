--
-- Several servers, each a vault of its own: read together, and by more open
-- cursors than forests are cached.
--
\pset null '<null>'
SELECT skyvault_flush() >= 0 AS drained;
CREATE FUNCTION make_vaults(n integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. n LOOP
		EXECUTE format('CREATE SERVER regress_vault_%s FOREIGN DATA WRAPPER skyvault'
					   ' OPTIONS (url ''file:regress_vault_%s'')', i, i);
		PERFORM skyvault_create_table('in_vault_' || i, server => 'regress_vault_' || i);
	END LOOP;
END $$;
SELECT make_vaults(8);

-- The tables have the same keys, with values that tell them apart; the newest
-- round is in the delta.
CREATE FUNCTION put_round(round integer) RETURNS void LANGUAGE sql AS $$
	SELECT skyvault_multi_put(('in_vault_' || i)::regclass, array_agg('key ' || k),
							  array_agg(format('table %s, key %s, round %s', i, k, round)))
	FROM generate_series(1, 8) AS i, generate_series(round, 20) AS k GROUP BY i ORDER BY i
$$;
SELECT put_round(1);
SELECT skyvault_flush() >= 0 AS flushed;
SELECT put_round(2);
SELECT skyvault_flush('regress_vault_3') >= 0 AS flushed;
SELECT skyvault_flush() >= 0 AS flushed;
SELECT put_round(20);
SELECT s.srvname, v.id IS NOT NULL AS has_identity, count(r.id) > 1 AS has_runs
FROM pg_foreign_server AS s LEFT JOIN skyvault.vault AS v ON v.server = s.srvname
LEFT JOIN skyvault.run AS r ON r.vault_id = v.id
WHERE s.srvname LIKE 'regress\_vault\_%' GROUP BY 1, 2 ORDER BY 1;

-- ---------------------------------------------------------------- one statement over all of them
SELECT rel, key, value
FROM skyvault_multi_get(ARRAY(SELECT ('in_vault_' || i)::regclass
							  FROM generate_series(1, 8) AS i, generate_series(1, 3) ORDER BY i),
						ARRAY(SELECT (ARRAY['key 1', 'key 2', 'key 20'])[k]
							  FROM generate_series(1, 8) AS i, generate_series(1, 3) AS k ORDER BY i, k));
-- in any order, the tables by turns, and missing keys
SELECT rel, key, value
FROM skyvault_multi_get('{in_vault_8,in_vault_1,in_vault_7,in_vault_2,in_vault_6,in_vault_3,in_vault_5,in_vault_4,in_vault_8,in_vault_1}'::regclass[],
						'{key 1,key 1,nothing,key 2,key 2,key 3,key 3,key 20,key 20,nothing}'::text[]);
-- many at once
SELECT count(*), count(*) FILTER (WHERE value = format('table %s, key %s, round %s', substr(rel::text, 10), substr(key, 5),
													   CASE substr(key, 5) WHEN '1' THEN 1 WHEN '20' THEN 20 ELSE 2 END)) AS as_written
FROM skyvault_multi_get(ARRAY(SELECT ('in_vault_' || i)::regclass FROM generate_series(1, 20) AS k, generate_series(1, 8) AS i ORDER BY k, i),
						ARRAY(SELECT 'key ' || k FROM generate_series(1, 20) AS k, generate_series(1, 8) AS i ORDER BY k, i));

-- scans of all the tables in one plan
CREATE VIEW all_vaults AS
	SELECT 1 AS i, * FROM in_vault_1 UNION ALL SELECT 2, * FROM in_vault_2
	UNION ALL SELECT 3, * FROM in_vault_3 UNION ALL SELECT 4, * FROM in_vault_4
	UNION ALL SELECT 5, * FROM in_vault_5 UNION ALL SELECT 6, * FROM in_vault_6
	UNION ALL SELECT 7, * FROM in_vault_7 UNION ALL SELECT 8, * FROM in_vault_8;
SELECT i, count(*), min(value), max(value) FROM all_vaults GROUP BY i ORDER BY i;
SELECT a.value AS one, h.value AS eight
FROM in_vault_1 AS a JOIN in_vault_2 AS b USING (key) JOIN in_vault_3 AS c USING (key) JOIN in_vault_4 AS d USING (key)
JOIN in_vault_5 AS e USING (key) JOIN in_vault_6 AS f USING (key) JOIN in_vault_7 AS g USING (key) JOIN in_vault_8 AS h USING (key)
WHERE key IN ('key 1', 'key 2', 'key 20') ORDER BY key;

-- ---------------------------------------------------------------- a vault follows its server's name
SELECT skyvault_put('in_vault_1', 'renamed', 'before');
BEGIN;
ALTER SERVER regress_vault_1 RENAME TO regress_vault_none;
ROLLBACK;
ALTER SERVER regress_vault_1 RENAME TO regress_vault_moved;
SELECT skyvault_flush('regress_vault_moved');
SELECT skyvault_get('in_vault_1', 'renamed'), skyvault_get('in_vault_1', 'key 2');
SELECT skyvault_create_table('also_in_vault_1', server => 'regress_vault_moved');
SELECT count(DISTINCT vault_id) AS vaults, count(*) AS tables
FROM skyvault."table" WHERE relid IN ('in_vault_1'::regclass, 'also_in_vault_1'::regclass);

-- ---------------------------------------------------------------- a cursor on each, fetched by turns
BEGIN;
DECLARE c1 CURSOR FOR SELECT value FROM in_vault_1 ORDER BY key;
FETCH c1;
DECLARE c2 CURSOR FOR SELECT value FROM in_vault_2 ORDER BY key;
FETCH c2;
DECLARE c3 CURSOR FOR SELECT value FROM in_vault_3 ORDER BY key;
FETCH c3;
DECLARE c4 CURSOR FOR SELECT value FROM in_vault_4 ORDER BY key;
FETCH c4;
DECLARE c5 CURSOR FOR SELECT value FROM in_vault_5 ORDER BY key;
FETCH c5;
DECLARE c6 CURSOR FOR SELECT value FROM in_vault_6 ORDER BY key;
FETCH c6;
DECLARE c7 CURSOR FOR SELECT value FROM in_vault_7 ORDER BY key;
FETCH c7;
DECLARE c8 CURSOR FOR SELECT value FROM in_vault_8 ORDER BY key;
FETCH c8;
FETCH c1;
FETCH c5;
FETCH c6;
FETCH c7;
CLOSE c5;
FETCH c8;
MOVE FORWARD 17 IN c1;
FETCH ALL FROM c1;
MOVE FORWARD 17 IN c2;
FETCH ALL FROM c2;
MOVE FORWARD 17 IN c3;
FETCH ALL FROM c3;
MOVE FORWARD 17 IN c4;
FETCH ALL FROM c4;
MOVE FORWARD 17 IN c6;
FETCH ALL FROM c6;
MOVE FORWARD 17 IN c7;
FETCH ALL FROM c7;
MOVE FORWARD 17 IN c8;
FETCH ALL FROM c8;
COMMIT;

DROP VIEW all_vaults;
DROP FUNCTION make_vaults, put_round;
SET client_min_messages = warning;
DROP SERVER regress_vault_moved, regress_vault_2, regress_vault_3, regress_vault_4,
	regress_vault_5, regress_vault_6, regress_vault_7, regress_vault_8 CASCADE;
RESET client_min_messages;
SELECT count(*) FROM skyvault.vault AS v WHERE NOT EXISTS (SELECT FROM pg_foreign_server AS s WHERE s.srvname = v.server);
