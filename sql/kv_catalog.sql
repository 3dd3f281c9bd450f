--
-- What the extension is made of: objects, markings, comments.
--
\pset null '<null>'
SELECT pg_describe_object(d.classid, d.objid, d.objsubid) COLLATE "C" AS object
  FROM pg_depend AS d JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
 WHERE e.extname = 'skyvault' AND d.deptype = 'e'
   AND d.classid <> 'pg_type'::regclass	-- from 17 on those of tables and views
 ORDER BY 1;

-- Reads are STABLE and may run in parallel workers; what writes, locks or waits is neither.
SELECT p.oid::regprocedure AS function, p.provolatile AS volatile, p.proparallel AS parallel, p.proisstrict AS strict,
       p.prosecdef AS definer, p.prorettype::regtype AS returns, p.proretset AS set, p.proacl IS NULL AS public
  FROM pg_proc AS p
 WHERE p.proname LIKE 'skyvault\_%'
 ORDER BY p.oid::regprocedure::text COLLATE "C";

-- Nothing without a comment.
SELECT 'function' AS kind, p.oid::regprocedure::text COLLATE "C" AS name, obj_description(p.oid, 'pg_proc') AS comment
  FROM pg_proc AS p WHERE p.proname LIKE 'skyvault\_%'
UNION ALL
SELECT 'table', c.oid::regclass::text, obj_description(c.oid, 'pg_class')
  FROM pg_class AS c WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'skyvault') AND c.relkind = 'r'
UNION ALL
SELECT 'wrapper', fdwname, obj_description(oid, 'pg_foreign_data_wrapper') FROM pg_foreign_data_wrapper WHERE fdwname = 'skyvault'
UNION ALL
SELECT 'server', srvname, obj_description(oid, 'pg_foreign_server') FROM pg_foreign_server WHERE srvname = 'skyvault'
UNION ALL
SELECT 'extension', extname, obj_description(oid, 'pg_extension') FROM pg_extension WHERE extname = 'skyvault'
 ORDER BY 1, 2;

-- The default server belongs to whoever made the extension, and is not PUBLIC's.
SELECT s.srvname, s.srvoptions, s.srvowner = e.extowner AS of_extension_owner,
       EXISTS (SELECT FROM aclexplode(coalesce(s.srvacl, acldefault('S', s.srvowner))) WHERE grantee = 0) AS public
  FROM pg_foreign_server AS s, pg_extension AS e WHERE s.srvname = 'skyvault' AND e.extname = 'skyvault';

-- Settings: none can be changed in a session.
SELECT name, context, unit FROM pg_settings WHERE name LIKE 'skyvault.%' ORDER BY name COLLATE "C";
SET skyvault.flush_size = '1MB';
SET skyvault.no_such_setting = 1;

-- The vault has its identity from the first use on: one row per server, and an object in the store.
SELECT skyvault_create_table('kv');
SELECT skyvault_put('kv', 'a', '1');
SELECT s.srvname FROM skyvault.vault AS v JOIN pg_foreign_server AS s ON s.srvname = v.server;
SELECT skyvault_flush();
SELECT r.tier, r.level, r.seq_lo = r.seq_hi AS one_sequence, r.entries, r.tombstones, r.min_keys, r.max_keys,
       (pg_stat_file('skyvault/' || r.object)).size = r.file_bytes AS size_is_right
  FROM skyvault.run AS r JOIN skyvault."table" AS t ON r.table_ids = ARRAY[t.id]
 WHERE t.relid = 'kv'::regclass;
-- and what the run holds: bytes before compression, entries that expire, and when
SELECT raw_bytes, expiring, expires_min, expires_max FROM skyvault.run ORDER BY id DESC LIMIT 1;
SELECT skyvault_put('kv', 'b', '1', ttl => '1 hour'), skyvault_put('kv', 'c', '1', ttl => '2 hours'), skyvault_put('kv', 'd', '1');
SELECT skyvault_flush();
SELECT entries, expiring, expires_max[1] - expires_min[1] AS between, expires_min[1] > now() + '50 minutes' AS later
  FROM skyvault.run ORDER BY id DESC LIMIT 1;
-- ids of the changelog have no gaps
SELECT count(*) = max(id) - min(id) + 1 AS no_gaps, count(*) FILTER (WHERE id IS NULL) AS unnumbered FROM skyvault.changelog;
SELECT kind, state, entries, left_out, error, hint FROM skyvault.job ORDER BY id DESC LIMIT 1;
DROP FOREIGN TABLE kv;
