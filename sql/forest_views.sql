-- What the forest looks like, as a view and as a picture.
\set VERBOSITY terse

CREATE SERVER forest_views FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:forest_views');
SELECT skyvault_create_table('tree', server => 'forest_views');
SELECT skyvault_pause('forest_views');
SELECT skyvault_tree('tree');
SELECT skyvault_put('tree', 'k' || i, repeat('x', i)) IS NULL AS put FROM generate_series(10, 12) AS i;
SELECT skyvault_flush('forest_views');
SELECT skyvault_delete('tree', 'k11'), skyvault_put('tree', 'k15', 'y');
SELECT skyvault_flush('forest_views');
SELECT skyvault_create_table('other', server => 'forest_views');
SELECT skyvault_put('other', 'a', 'b', ttl => '1 hour');
SELECT skyvault_put('tree', 'k16', 'z');
SELECT skyvault_flush('forest_views');

SELECT rel, tier, level, runs, bytes > 0 AS has_bytes, raw_bytes, entries, tombstones, expired, depth, overlap
  FROM skyvault_forest WHERE server = 'forest_views' AND rel::text IN ('tree', 'other');
-- sizes of files depend on compression
SELECT regexp_replace(skyvault_tree('tree'), '[0-9]+ B ', '# B ', 'g') AS tree;

-- After a compaction in full there is one level, and no tombstone.
SELECT skyvault_resume('forest_views');
SELECT skyvault_compact('tree', full => true);
SELECT rel, tier, level, runs, entries, tombstones, depth, overlap FROM skyvault_forest
 WHERE server = 'forest_views' AND rel::text = 'tree';
SELECT regexp_replace(skyvault_tree('tree'), '[0-9]+ B ', '# B ', 'g') AS tree;

-- What that took, since the counts began.
SELECT skyvault_stat_amplification_reset('forest_views');
SELECT committed_bytes, flushed_bytes, compacted_out_bytes, write_amplification, space_amplification
  FROM skyvault_stat_amplification WHERE server = 'forest_views';
SELECT skyvault_put('tree', 'k11', 'back');
SELECT skyvault_flush('forest_views');
SELECT count(skyvault_get('tree', 'k' || i)) FROM generate_series(10, 30) AS i;
SELECT committed_bytes > 0 AS committed, flushed_bytes > 0 AS flushed, compacted_in_bytes AS compacted_in,
       write_amplification, read_amplification >= 1 AS read, space_amplification > 1 AS space
  FROM skyvault_stat_amplification WHERE server = 'forest_views';
SELECT skyvault_compact('tree', full => true);
SELECT compacted_in_bytes > flushed_bytes AS read_more, compacted_out_bytes > 0 AS compacted_out,
       write_amplification = (flushed_bytes + compacted_out_bytes)::float8 / flushed_bytes AS write, space_amplification
  FROM skyvault_stat_amplification WHERE server = 'forest_views';
SELECT run_bytes = sum(f.bytes) AS all_bytes FROM skyvault_stat_amplification AS a JOIN skyvault_forest AS f USING (server)
 WHERE server = 'forest_views' GROUP BY run_bytes;
SELECT state, delta_bytes, write_delay_ms, waiting, delayed FROM skyvault_stat_pressure WHERE server = 'forest_views';
SELECT skyvault_stat_amplification_reset();
SELECT committed_bytes FROM skyvault_stat_amplification WHERE server = 'forest_views';
SELECT skyvault_stat_amplification_reset('no_such_server');

-- A table nobody may read has no picture; the view is for those who watch.
CREATE ROLE forest_viewer;
SET ROLE forest_viewer;
SELECT skyvault_tree('tree');
SELECT count(*) FROM skyvault_forest;
SELECT count(*) FROM skyvault_stat_pressure;
SELECT count(*) FROM skyvault_stat_amplification;
SELECT skyvault_stat_amplification_reset();
RESET ROLE;
GRANT SELECT ON tree TO forest_viewer;
SET ROLE forest_viewer;
SELECT length(skyvault_tree('tree')) > 0 AS picture;
RESET ROLE;
REVOKE SELECT ON tree FROM forest_viewer;
GRANT pg_monitor TO forest_viewer;
SET ROLE forest_viewer;
SELECT count(*) > 0 AS visible FROM skyvault_forest;
SELECT count(*) > 0 AS visible FROM skyvault_stat_pressure;
SELECT count(*) > 0 AS visible FROM skyvault_stat_amplification;
SELECT skyvault_stat_amplification_reset();
RESET ROLE;
DROP ROLE forest_viewer;

SELECT skyvault_tree('no_such_table');
CREATE TABLE plain (a text);
SELECT skyvault_tree('plain');
DROP TABLE plain;
DROP FOREIGN TABLE tree, other;
SET client_min_messages = warning;
DROP SERVER forest_views;
