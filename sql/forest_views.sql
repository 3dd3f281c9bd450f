-- What the forest looks like, as a view and as a picture.
\set VERBOSITY terse

SELECT skyvault_pause();
SELECT skyvault_create_table('tree');
SELECT skyvault_tree('tree');
SELECT skyvault_put('tree', 'k' || i, repeat('x', i)) IS NULL AS put FROM generate_series(10, 12) AS i;
SELECT skyvault_flush();
SELECT skyvault_delete('tree', 'k11'), skyvault_put('tree', 'k15', 'y');
SELECT skyvault_flush();
SELECT skyvault_create_table('other');
SELECT skyvault_put('other', 'a', 'b', ttl => '1 hour');
SELECT skyvault_put('tree', 'k16', 'z');
SELECT skyvault_flush();

SELECT rel, tier, level, runs, bytes > 0 AS has_bytes, raw_bytes, entries, tombstones, expired, depth, overlap
  FROM skyvault_forest WHERE server = 'skyvault' AND rel::text IN ('tree', 'other');
-- sizes of files depend on compression
SELECT regexp_replace(skyvault_tree('tree'), '[0-9]+ B ', '# B ', 'g') AS tree;

-- After a compaction in full there is one level, and no tombstone.
SELECT skyvault_resume();
SELECT skyvault_compact('tree', full => true);
SELECT rel, tier, level, runs, entries, tombstones, depth, overlap FROM skyvault_forest
 WHERE server = 'skyvault' AND rel::text = 'tree';
SELECT regexp_replace(skyvault_tree('tree'), '[0-9]+ B ', '# B ', 'g') AS tree;

-- A table nobody may read has no picture; the view is for those who watch.
CREATE ROLE forest_viewer;
SET ROLE forest_viewer;
SELECT skyvault_tree('tree');
SELECT count(*) FROM skyvault_forest;
RESET ROLE;
GRANT SELECT ON tree TO forest_viewer;
SET ROLE forest_viewer;
SELECT length(skyvault_tree('tree')) > 0 AS picture;
RESET ROLE;
REVOKE SELECT ON tree FROM forest_viewer;
GRANT pg_monitor TO forest_viewer;
SET ROLE forest_viewer;
SELECT count(*) > 0 AS visible FROM skyvault_forest;
RESET ROLE;
DROP ROLE forest_viewer;

SELECT skyvault_tree('no_such_table');
CREATE TABLE plain (a text);
SELECT skyvault_tree('plain');
DROP TABLE plain;
DROP FOREIGN TABLE tree, other;
