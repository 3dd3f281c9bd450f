/* skyvault--0.1.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION skyvault" to load this file. \quit

--
-- The catalogue.  Rows are written by the library, under the locks that
-- src/forest/forest_catalog.h lists; nobody else has privileges on them.
-- Ids are the catalogue's own and are never reused.
--
-- Views call only what pg_catalog has for just the types given: nothing that
-- somebody has put into the extension's schema before must fit better.
--
CREATE SCHEMA skyvault;

CREATE SEQUENCE skyvault.write_seq;		-- orders level-0 runs and floors
CREATE SEQUENCE skyvault.vault_id_seq AS integer;
CREATE SEQUENCE skyvault.table_id_seq AS integer;
CREATE SEQUENCE skyvault.run_id_seq;
CREATE SEQUENCE skyvault.serial_seq;
CREATE SEQUENCE skyvault.job_id_seq;
CREATE SEQUENCE skyvault.snapshot_id_seq;

CREATE TABLE skyvault.vault (
	id integer PRIMARY KEY,
	server name NOT NULL UNIQUE,
	uuid uuid NOT NULL,
	created timestamptz NOT NULL
);
COMMENT ON TABLE skyvault.vault IS 'one row per foreign server in use: its identity in the object store';

CREATE TABLE skyvault.owner (
	vault_id integer PRIMARY KEY,
	state text NOT NULL CHECK (state IN ('taking', 'owner', 'fenced', 'attached', 'adopting')),
	reason text,
	epoch bigint NOT NULL,
	incarnation uuid NOT NULL,
	pending_epoch bigint,
	pending_incarnation uuid,
	system_identifier bigint NOT NULL,
	database oid NOT NULL,
	timeline integer NOT NULL,
	place bigint NOT NULL,
	started timestamptz NOT NULL,
	exported_id bigint NOT NULL DEFAULT 0,
	log_objects bigint NOT NULL DEFAULT 0,
	definitions_hash bigint NOT NULL DEFAULT 0,
	snapshot_due boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE skyvault.owner IS 'who writes to a vault: what workers last knew of its OWNER object, and how far the changelog is exported';

CREATE TABLE skyvault.snapshot (
	id bigint PRIMARY KEY,
	vault_id integer NOT NULL,
	name text,
	epoch bigint NOT NULL,
	log_number bigint NOT NULL,
	changelog_id bigint NOT NULL,
	object text NOT NULL,
	bytes bigint NOT NULL,
	objects text[] NOT NULL,
	created timestamptz NOT NULL,
	leads_on boolean NOT NULL DEFAULT true,
	UNIQUE (vault_id, name)
);
COMMENT ON TABLE skyvault.snapshot IS 'snapshots in the store; those without a name were made automatically';
COMMENT ON COLUMN skyvault.snapshot.objects IS 'the runs that it names, which are kept as long as it is';
COMMENT ON COLUMN skyvault.snapshot.leads_on IS 'false: the vault was restored to a state before it, and went on from there';

CREATE TABLE skyvault.log_object (
	vault_id integer NOT NULL,
	epoch bigint NOT NULL,
	number bigint NOT NULL,
	last_id bigint NOT NULL,
	object text NOT NULL,
	bytes bigint NOT NULL,
	PRIMARY KEY (vault_id, epoch, number)
);
COMMENT ON TABLE skyvault.log_object IS 'exported pieces of the changelog, up to last_id';

CREATE TABLE skyvault."table" (
	id integer PRIMARY KEY,
	vault_id integer NOT NULL,
	relid oid NOT NULL UNIQUE,
	floor_seq bigint NOT NULL,
	key_signature integer NOT NULL,
	created timestamptz NOT NULL
);
COMMENT ON TABLE skyvault."table" IS 'one row per foreign table in use; runs at or below floor_seq hold nothing of it';

CREATE TABLE skyvault.unimported (
	vault_id integer NOT NULL,
	table_id integer NOT NULL,
	floor_seq bigint NOT NULL,
	definition jsonb NOT NULL,
	PRIMARY KEY (vault_id, table_id)
);
COMMENT ON TABLE skyvault.unimported IS 'tables of an attached vault that have no foreign table here: see IMPORT FOREIGN SCHEMA';

CREATE TABLE skyvault.run (
	id bigint PRIMARY KEY,
	vault_id integer NOT NULL,
	tier "char" NOT NULL,
	level integer NOT NULL,
	seq_lo bigint NOT NULL,
	seq_hi bigint NOT NULL,
	object text NOT NULL,
	file_bytes bigint NOT NULL,
	tail_bytes bigint NOT NULL,
	table_ids integer[] NOT NULL,
	min_keys bytea[] NOT NULL,
	max_keys bytea[] NOT NULL,
	entries bigint[] NOT NULL,
	tombstones bigint[] NOT NULL,
	raw_bytes bigint[] NOT NULL,
	expiring bigint[] NOT NULL,
	expires_min timestamptz[] NOT NULL,
	expires_max timestamptz[] NOT NULL,
	created timestamptz NOT NULL
);
CREATE INDEX run_vault_id_idx ON skyvault.run (vault_id);
COMMENT ON TABLE skyvault.run IS 'the registry: one row per live run, with what it holds of each table';
COMMENT ON COLUMN skyvault.run.raw_bytes IS 'keys and values before compression';
COMMENT ON COLUMN skyvault.run.expiring IS 'how many entries expire, the first at expires_min, the last at expires_max; infinity if none does';
COMMENT ON COLUMN skyvault.run.tier IS 'w: WAL run, b: buffer run, l: run of a level';

CREATE TABLE skyvault.changelog (
	serial bigint PRIMARY KEY,
	vault_id integer NOT NULL,
	id bigint,
	kind text NOT NULL,
	table_ids integer[] NOT NULL,
	changes jsonb NOT NULL,
	at timestamptz NOT NULL
);
CREATE UNIQUE INDEX changelog_vault_id_id_idx ON skyvault.changelog (vault_id, id);
COMMENT ON TABLE skyvault.changelog IS 'one row per change of the forest; id is NULL until a worker has numbered it, and then in commit order without gaps';

CREATE TABLE skyvault.garbage (
	object text NOT NULL,
	vault_id integer NOT NULL,
	removed_xid8 xid8 NOT NULL,
	at timestamptz NOT NULL,
	PRIMARY KEY (vault_id, object)
);
COMMENT ON TABLE skyvault.garbage IS 'objects to delete from the store once no reader can need them';

CREATE TABLE skyvault.job (
	id bigint PRIMARY KEY,
	vault_id integer NOT NULL,
	kind text NOT NULL,
	state text NOT NULL CHECK (state IN ('running', 'done', 'failed')),
	started timestamptz NOT NULL,
	ended timestamptz,
	pid integer NOT NULL,
	attempts integer NOT NULL DEFAULT 1,
	retry_at timestamptz,
	reason text,
	inputs bigint[],
	outputs bigint[],
	entries_in bigint,
	bytes_in bigint,
	entries bigint,
	bytes bigint,
	left_out text,
	sqlstate text,
	error text,
	detail text,
	hint text,
	target_tables integer[],
	target_levels integer[],
	target_lows bytea[],
	target_highs bytea[],
	parts integer,
	workers integer
);
CREATE INDEX job_vault_id_idx ON skyvault.job (vault_id, id);
COMMENT ON TABLE skyvault.job IS 'what the workers did and are doing';
COMMENT ON COLUMN skyvault.job.attempts IS 'tries of the same work so far, this one included';
COMMENT ON COLUMN skyvault.job.retry_at IS 'when what failed is tried again';
COMMENT ON COLUMN skyvault.job.inputs IS 'runs that are read: no other job takes them while this one runs';
COMMENT ON COLUMN skyvault.job.parts IS 'in how many parts a compaction was done, by so many workers';
COMMENT ON COLUMN skyvault.job.target_tables IS 'what no other job writes to meanwhile: key ranges, both ends included, of levels of tables';

CREATE TABLE skyvault.pause (
	vault_id integer PRIMARY KEY,
	since timestamptz NOT NULL
);
COMMENT ON TABLE skyvault.pause IS 'vaults for which no compaction is begun: see skyvault_pause()';

CREATE TABLE skyvault.delta (
	table_id integer NOT NULL,
	key bytea NOT NULL,
	kind "char" NOT NULL,
	expires_at timestamptz,
	value bytea,
	PRIMARY KEY (table_id, key)
) WITH (
	fillfactor = 80,
	autovacuum_vacuum_threshold = 5000,
	autovacuum_vacuum_scale_factor = 0.02,
	autovacuum_vacuum_cost_delay = 0,
	toast.autovacuum_vacuum_threshold = 5000,
	toast.autovacuum_vacuum_scale_factor = 0.02,
	toast.autovacuum_vacuum_cost_delay = 0
);
-- Runs compress; here it would only cost time.
ALTER TABLE skyvault.delta ALTER COLUMN key SET STORAGE PLAIN, ALTER COLUMN value SET STORAGE EXTERNAL;
COMMENT ON TABLE skyvault.delta IS 'the newest writes of all tables, not yet in the store';
COMMENT ON COLUMN skyvault.delta.kind IS 'v: value, t: tombstone, l: claim without content';

-- Readers ask a filter in shared memory before they ask the delta: whoever
-- inserts a row, and however, adds its key there first.  Rows get no other key.
CREATE FUNCTION skyvault.delta_add_to_filter() RETURNS trigger
	LANGUAGE C
	AS 'MODULE_PATHNAME', 'skyvault_delta_add_to_filter';
COMMENT ON FUNCTION skyvault.delta_add_to_filter() IS 'tells readers that a key may be in the delta';
CREATE TRIGGER add_to_filter BEFORE INSERT ON skyvault.delta
	FOR EACH ROW EXECUTE FUNCTION skyvault.delta_add_to_filter();
CREATE TRIGGER forget_filter BEFORE UPDATE OF table_id, key ON skyvault.delta
	FOR EACH STATEMENT EXECUTE FUNCTION skyvault.delta_add_to_filter();
ALTER TABLE skyvault.delta ENABLE ALWAYS TRIGGER add_to_filter, ENABLE ALWAYS TRIGGER forget_filter;

GRANT USAGE ON SCHEMA skyvault TO pg_monitor;
GRANT SELECT ON skyvault.vault, skyvault.owner, skyvault."table", skyvault.changelog, skyvault.garbage, skyvault.job, skyvault.pause,
	skyvault.snapshot, skyvault.log_object, skyvault.unimported TO pg_monitor;

--
-- The wrapper, and a server whose store lies inside the data directory.
--
CREATE FUNCTION skyvault_fdw_handler() RETURNS fdw_handler
	LANGUAGE C STRICT
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_fdw_handler() IS 'foreign data wrapper handler';

CREATE FUNCTION skyvault_fdw_validator(options text[], catalog oid) RETURNS void
	LANGUAGE C STRICT
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_fdw_validator(text[], oid) IS 'checks the options of servers and foreign tables';

CREATE FOREIGN DATA WRAPPER skyvault
	HANDLER skyvault_fdw_handler
	VALIDATOR skyvault_fdw_validator;
COMMENT ON FOREIGN DATA WRAPPER skyvault IS 'key-value tables whose data lives in an object store';

CREATE SERVER skyvault FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:skyvault');
COMMENT ON SERVER skyvault IS 'default vault: a directory inside the data directory';

--
-- The functions.
--
CREATE FUNCTION skyvault_create_table(name text, key_type regtype DEFAULT 'text',
									  value_type regtype DEFAULT 'text',
									  server name DEFAULT 'skyvault',
									  ttl interval DEFAULT NULL) RETURNS regclass
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_create_table(text, regtype, regtype, name, interval)
	IS 'creates a foreign table (key, value); the types are text or bytea';

CREATE FUNCTION skyvault_put(rel regclass, key text, value text, ttl interval DEFAULT NULL) RETURNS void
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_put(regclass, text, text, interval)
	IS 'sets the value of a key, replacing any that it has';

CREATE FUNCTION skyvault_put(rel regclass, key bytea, value bytea, ttl interval DEFAULT NULL) RETURNS void
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_put(regclass, bytea, bytea, interval)
	IS 'sets the value of a key, replacing any that it has';

CREATE FUNCTION skyvault_multi_put(rel regclass, keys text[], "values" text[], ttl interval DEFAULT NULL) RETURNS void
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_multi_put(regclass, text[], text[], interval)
	IS 'sets the values of many keys at once; of equal keys the last one wins';

CREATE FUNCTION skyvault_multi_put(rel regclass, keys bytea[], "values" bytea[], ttl interval DEFAULT NULL) RETURNS void
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_multi_put(regclass, bytea[], bytea[], interval)
	IS 'sets the values of many keys at once; of equal keys the last one wins';

CREATE FUNCTION skyvault_load(rel regclass, source text, format text DEFAULT 'query', "columns" name[] DEFAULT NULL,
							  "replace" boolean DEFAULT false, options text DEFAULT NULL,
							  keep text DEFAULT NULL) RETURNS bigint
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_load(regclass, text, text, name[], boolean, text, text)
	IS 'loads the rows of a query or a file, or with replace puts them in the place of all that the table has, which a new table keeps; returns their number';

CREATE FUNCTION skyvault_swap(a regclass, b regclass) RETURNS void
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_swap(regclass, regclass) IS 'two tables of one vault exchange their contents';

CREATE FUNCTION skyvault_delete(rel regclass, key text) RETURNS void
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_delete(regclass, text) IS 'deletes a key, whether or not it exists';

CREATE FUNCTION skyvault_delete(rel regclass, key bytea) RETURNS void
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_delete(regclass, bytea) IS 'deletes a key, whether or not it exists';

CREATE FUNCTION skyvault_get(rel regclass, key text) RETURNS text
	LANGUAGE C STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_get(regclass, text) IS 'the value of a key, or NULL';

CREATE FUNCTION skyvault_get(rel regclass, key bytea) RETURNS bytea
	LANGUAGE C STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_get(regclass, bytea) IS 'the value of a key, or NULL';

CREATE FUNCTION skyvault_get(rel regclass, key text, for_update boolean) RETURNS text
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'skyvault_get_for_update';
COMMENT ON FUNCTION skyvault_get(regclass, text, boolean)
	IS 'the value of a key, or NULL; for_update locks the key to the end of the transaction';

CREATE FUNCTION skyvault_get(rel regclass, key bytea, for_update boolean) RETURNS bytea
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'skyvault_get_for_update';
COMMENT ON FUNCTION skyvault_get(regclass, bytea, boolean)
	IS 'the value of a key, or NULL; for_update locks the key to the end of the transaction';

CREATE FUNCTION skyvault_exists(rel regclass, key text) RETURNS boolean
	LANGUAGE C STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_exists(regclass, text) IS 'whether a key exists';

CREATE FUNCTION skyvault_exists(rel regclass, key bytea) RETURNS boolean
	LANGUAGE C STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_exists(regclass, bytea) IS 'whether a key exists';

CREATE FUNCTION skyvault_multi_get(rel regclass, keys text[], OUT key text, OUT value text) RETURNS SETOF record
	LANGUAGE C STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_multi_get(regclass, text[])
	IS 'the values of many keys, in the order given, NULL where missing';

CREATE FUNCTION skyvault_multi_get(rel regclass, keys bytea[], OUT key bytea, OUT value bytea) RETURNS SETOF record
	LANGUAGE C STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_multi_get(regclass, bytea[])
	IS 'the values of many keys, in the order given, NULL where missing';

CREATE FUNCTION skyvault_multi_get(rels regclass[], keys text[], OUT rel regclass, OUT key text, OUT value text) RETURNS SETOF record
	LANGUAGE C STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'skyvault_multi_get_tables';
COMMENT ON FUNCTION skyvault_multi_get(regclass[], text[])
	IS 'the value of the i-th key in the i-th table, at one snapshot, NULL where missing';

CREATE FUNCTION skyvault_multi_get(rels regclass[], keys bytea[], OUT rel regclass, OUT key bytea, OUT value bytea) RETURNS SETOF record
	LANGUAGE C STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'skyvault_multi_get_tables';
COMMENT ON FUNCTION skyvault_multi_get(regclass[], bytea[])
	IS 'the value of the i-th key in the i-th table, at one snapshot, NULL where missing';

-- Without these two, an untyped literal could be a regclass as well as a
-- regclass[], and the call would be ambiguous; text is preferred over both.
CREATE FUNCTION skyvault_multi_get(rel text, keys text[], OUT key text, OUT value text) RETURNS SETOF record
	LANGUAGE C STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'skyvault_multi_get_named';
COMMENT ON FUNCTION skyvault_multi_get(text, text[])
	IS 'the values of many keys, in the order given, NULL where missing';

CREATE FUNCTION skyvault_multi_get(rel text, keys bytea[], OUT key bytea, OUT value bytea) RETURNS SETOF record
	LANGUAGE C STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'skyvault_multi_get_named';
COMMENT ON FUNCTION skyvault_multi_get(text, bytea[])
	IS 'the values of many keys, in the order given, NULL where missing';

CREATE FUNCTION skyvault_get_array(rel regclass, keys text[]) RETURNS text[]
	LANGUAGE C STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_get_array(regclass, text[])
	IS 'the values of many keys as an array, in the order given, NULL where missing';

CREATE FUNCTION skyvault_get_array(rel regclass, keys bytea[]) RETURNS bytea[]
	LANGUAGE C STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_get_array(regclass, bytea[])
	IS 'the values of many keys as an array, in the order given, NULL where missing';

CREATE FUNCTION skyvault_get_array(rels regclass[], keys text[]) RETURNS text[]
	LANGUAGE C STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'skyvault_get_array_tables';
COMMENT ON FUNCTION skyvault_get_array(regclass[], text[])
	IS 'the value of the i-th key in the i-th table as element i, at one snapshot, NULL where missing';

CREATE FUNCTION skyvault_get_array(rels regclass[], keys bytea[]) RETURNS bytea[]
	LANGUAGE C STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'skyvault_get_array_tables';
COMMENT ON FUNCTION skyvault_get_array(regclass[], bytea[])
	IS 'the value of the i-th key in the i-th table as element i, at one snapshot, NULL where missing';

-- For untyped literals, as with skyvault_multi_get.
CREATE FUNCTION skyvault_get_array(rel text, keys text[]) RETURNS text[]
	LANGUAGE C STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'skyvault_get_array_named';
COMMENT ON FUNCTION skyvault_get_array(text, text[])
	IS 'the values of many keys as an array, in the order given, NULL where missing';

CREATE FUNCTION skyvault_get_array(rel text, keys bytea[]) RETURNS bytea[]
	LANGUAGE C STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'skyvault_get_array_named';
COMMENT ON FUNCTION skyvault_get_array(text, bytea[])
	IS 'the values of many keys as an array, in the order given, NULL where missing';

CREATE FUNCTION skyvault_scan(rel regclass, low text DEFAULT NULL, high text DEFAULT NULL,
							  max_rows bigint DEFAULT NULL, reverse boolean DEFAULT false,
							  OUT key text, OUT value text) RETURNS SETOF record
	LANGUAGE C STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_scan(regclass, text, text, bigint, boolean)
	IS 'the entries with low <= key < high in byte order, at most max_rows; a NULL bound is open';

-- Only the text variant has defaults for its bounds, or skyvault_scan('kv') would be ambiguous.
CREATE FUNCTION skyvault_scan(rel regclass, low bytea, high bytea,
							  max_rows bigint DEFAULT NULL, reverse boolean DEFAULT false,
							  OUT key bytea, OUT value bytea) RETURNS SETOF record
	LANGUAGE C STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_scan(regclass, bytea, bytea, bigint, boolean)
	IS 'the entries with low <= key < high in byte order, at most max_rows; a NULL bound is open';

CREATE FUNCTION skyvault_flush(vault name DEFAULT NULL) RETURNS bigint
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_flush(name)
	IS 'moves everything committed before the call to the store; the number of entries written';
REVOKE EXECUTE ON FUNCTION skyvault_flush(name) FROM PUBLIC;

-- ---------------------------------------------------------------------------
-- the vault in its store

CREATE FUNCTION skyvault_export(vault name DEFAULT NULL) RETURNS bigint
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_export(name)
	IS 'writes the changes of the forest to the store that are not there yet; how many';

CREATE FUNCTION skyvault_snapshot(name name DEFAULT NULL, vault name DEFAULT NULL) RETURNS bigint
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_snapshot(name, name)
	IS 'flushes, and writes the whole forest of a vault, or of all, to the store; how many snapshots';

CREATE FUNCTION skyvault_drop_snapshot(name name, vault name DEFAULT 'skyvault') RETURNS void
	LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_drop_snapshot(name, name)
	IS 'gives up a snapshot with a name, and what only it keeps in the store';

CREATE VIEW skyvault_snapshots AS
	SELECT v.server, s.name, s.changelog_id, s.created, pg_catalog.cardinality(s.objects) AS runs, s.bytes, s.object
	FROM skyvault.snapshot AS s JOIN skyvault.vault AS v ON v.id = s.vault_id;
COMMENT ON VIEW skyvault_snapshots IS 'the snapshots in the stores; those without a name were made automatically';
GRANT SELECT ON skyvault_snapshots TO pg_monitor;

CREATE FUNCTION skyvault_restore(server name, from_snapshot name DEFAULT NULL, adopt boolean DEFAULT false,
								 vault uuid DEFAULT NULL, OUT vault_id uuid, OUT epoch bigint,
								 OUT changelog_id bigint, OUT tables integer, OUT runs bigint)
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_restore(name, name, boolean, uuid)
	IS 'makes the tables of a vault anew, from its store alone; adopt: to write to it';

CREATE FUNCTION skyvault_gc(dry_run boolean DEFAULT false, sweep boolean DEFAULT false, vault name DEFAULT NULL,
							OUT server name, OUT object text, OUT bytes bigint, OUT reason text,
							OUT held_by text) RETURNS SETOF record
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_gc(boolean, boolean, name)
	IS 'deletes objects that nobody can need, and tells what holds the others back; sweep: looks for orphans; dry_run: only tells';
REVOKE EXECUTE ON FUNCTION skyvault_gc(boolean, boolean, name) FROM PUBLIC;

CREATE FUNCTION skyvault_verify(rel regclass, deep boolean DEFAULT false, OUT object text, OUT problem text,
								OUT detail text) RETURNS SETOF record
	LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'skyvault_verify_table';
COMMENT ON FUNCTION skyvault_verify(regclass, boolean)
	IS 'compares a table''s runs with the registry; deep: reads all of them; a row for each problem';

CREATE FUNCTION skyvault_verify_vault(vault name, deep boolean DEFAULT false, OUT object text, OUT problem text,
									  OUT detail text) RETURNS SETOF record
	LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_verify_vault(name, boolean)
	IS 'compares a vault''s catalogue with its store; deep: reads all of it; a row for each problem';

CREATE FUNCTION skyvault_adopt(server name) RETURNS void
	LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_adopt(name)
	IS 'makes this database the one that writes to the vault, instead of any other';

REVOKE EXECUTE ON FUNCTION skyvault_export(name), skyvault_snapshot(name, name),
	skyvault_restore(name, name, boolean, uuid) FROM PUBLIC;

CREATE VIEW skyvault_vaults AS
	SELECT v.server, v.uuid AS vault, coalesce(o.state, 'new') AS state, o.reason, o.epoch, o.incarnation,
		   (SELECT max(c.id) FROM skyvault.changelog AS c WHERE c.vault_id = v.id) AS newest_id,
		   o.exported_id,
		   (SELECT max(s.changelog_id) FROM skyvault.snapshot AS s WHERE s.vault_id = v.id) AS snapshot_id,
		   (SELECT count(*) FROM skyvault.garbage AS g WHERE g.vault_id = v.id) AS garbage
	FROM skyvault.vault AS v LEFT JOIN skyvault.owner AS o ON o.vault_id = v.id;
COMMENT ON VIEW skyvault_vaults IS 'who owns each vault, and how far its changes are in the store';
GRANT SELECT ON skyvault_vaults TO pg_monitor;

-- ---------------------------------------------------------------------------
-- compaction

CREATE FUNCTION skyvault_compact(rel regclass, "full" boolean DEFAULT false) RETURNS void
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_compact(regclass, boolean)
	IS 'flushes, merges a table''s newest runs into its first level, or with full all of it into one, and waits for it';

CREATE FUNCTION skyvault_pause(vault name DEFAULT NULL) RETURNS void
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_pause(name)
	IS 'no compaction of the vault begins until skyvault_resume(); those under way end, and all else goes on';

CREATE FUNCTION skyvault_resume(vault name DEFAULT NULL) RETURNS void
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_resume(name) IS 'ends skyvault_pause()';
REVOKE EXECUTE ON FUNCTION skyvault_pause(name), skyvault_resume(name) FROM PUBLIC;

CREATE FUNCTION skyvault_job_progress(OUT job bigint, OUT pid integer, OUT entries_in bigint, OUT entries_out bigint,
									  OUT bytes_in bigint, OUT bytes_out bigint,
									  OUT bytes_total bigint, OUT parts integer, OUT parts_done integer,
									  OUT workers integer) RETURNS SETOF record
	LANGUAGE C VOLATILE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_job_progress() IS 'how far the compactions are that run now in this database';
REVOKE EXECUTE ON FUNCTION skyvault_job_progress() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION skyvault_job_progress() TO pg_monitor;

CREATE VIEW skyvault_jobs AS
	SELECT j.id, v.server, j.kind, j.state, j.reason, j.started, j.ended, j.pid, j.attempts, j.retry_at,
		j.inputs, j.outputs, j.left_out,
		CASE WHEN p.bytes_total > 0 THEN LEAST(p.bytes_in::float8 / p.bytes_total::float8, 1) END AS progress,
		COALESCE(p.entries_in, j.entries_in) AS entries_in, COALESCE(p.bytes_in, j.bytes_in) AS bytes_in,
		COALESCE(p.entries_out, j.entries) AS entries_out, COALESCE(p.bytes_out, j.bytes) AS bytes_out,
		COALESCE(p.parts, j.parts) AS parts, COALESCE(p.parts_done, j.parts) AS parts_done,
		COALESCE(p.workers, j.workers) AS workers,
		j.sqlstate, j.error, j.detail, j.hint
	FROM skyvault.job AS j
		LEFT JOIN skyvault.vault AS v ON v.id = j.vault_id
		LEFT JOIN skyvault_job_progress() AS p ON p.job = j.id AND j.state = 'running';
COMMENT ON VIEW skyvault_jobs IS 'what the workers did and are doing, with the progress of compactions';
GRANT SELECT ON skyvault_jobs TO pg_monitor;

-- ---------------------------------------------------------------------------
-- what the forest looks like

CREATE FUNCTION skyvault_forest_levels(OUT vault_id integer, OUT table_id integer, OUT tier "char",
									   OUT level integer, OUT runs integer, OUT bytes bigint,
									   OUT raw_bytes bigint, OUT entries bigint, OUT tombstones bigint,
									   OUT expired bigint, OUT depth integer,
									   OUT overlap double precision) RETURNS SETOF record
	LANGUAGE C STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_forest_levels() IS 'what each table has in each level, from the registry';
REVOKE EXECUTE ON FUNCTION skyvault_forest_levels() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION skyvault_forest_levels() TO pg_monitor;

CREATE VIEW skyvault_forest AS
	SELECT v.server, t.relid::regclass AS rel, l.tier, l.level, l.runs, l.bytes, l.raw_bytes, l.entries,
		l.tombstones, l.expired, l.depth, l.overlap
	FROM skyvault_forest_levels() AS l
		JOIN skyvault.vault AS v ON v.id = l.vault_id
		JOIN skyvault."table" AS t ON t.id = l.table_id
	ORDER BY v.server, t.id, l.level, l.tier DESC;
COMMENT ON VIEW skyvault_forest
	IS 'what each table has in each level; depth: runs that one key can be in; overlap: bytes of the next level below each byte';
GRANT SELECT ON skyvault_forest TO pg_monitor;

CREATE FUNCTION skyvault_vault_traffic(OUT vault_id integer, OUT since timestamptz,
									   OUT committed_bytes bigint, OUT flushed_bytes bigint,
									   OUT compacted_in_bytes bigint, OUT compacted_out_bytes bigint,
									   OUT runs_asked bigint, OUT runs_found bigint,
									   OUT state text, OUT reason text, OUT delta_bytes bigint,
									   OUT delta_debt double precision, OUT wal_debt double precision,
									   OUT level0_debt double precision, OUT write_delay_ms integer,
									   OUT waiting integer, OUT delayed bigint,
									   OUT delayed_ms double precision, OUT gave_up bigint)
	RETURNS SETOF record
	LANGUAGE C VOLATILE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_vault_traffic() IS 'what went through each vault that was written to since server start';

CREATE FUNCTION skyvault_stat_amplification_reset(server name DEFAULT NULL) RETURNS void
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_stat_amplification_reset(name)
	IS 'begins skyvault_stat_amplification anew, and the counts of skyvault_stat_pressure, for one server or all of this database';
REVOKE EXECUTE ON FUNCTION skyvault_vault_traffic(), skyvault_stat_amplification_reset(name) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION skyvault_vault_traffic() TO pg_monitor;

CREATE VIEW skyvault_stat_pressure AS
	SELECT v.server, t.state, t.reason, t.delta_bytes, t.delta_debt, t.wal_debt, t.level0_debt,
		t.write_delay_ms, t.waiting, t.delayed, t.delayed_ms, t.gave_up
	FROM skyvault_vault_traffic() AS t JOIN skyvault.vault AS v ON v.id = t.vault_id;
COMMENT ON VIEW skyvault_stat_pressure
	IS 'how far flushes and compactions are behind, in what starts them, and how writes wait for that';

CREATE VIEW skyvault_stat_amplification AS
	SELECT v.server, t.since, t.committed_bytes, t.flushed_bytes, t.compacted_in_bytes, t.compacted_out_bytes,
		(t.flushed_bytes + t.compacted_out_bytes)::float8 / NULLIF(t.flushed_bytes, 0)::float8 AS write_amplification,
		t.runs_asked::float8 / NULLIF(t.runs_found, 0)::float8 AS read_amplification,
		s.bytes AS run_bytes, s.bytes::float8 / NULLIF(s.last_bytes, 0)::float8 AS space_amplification
	FROM skyvault_vault_traffic() AS t
		JOIN skyvault.vault AS v ON v.id = t.vault_id
		LEFT JOIN (
			SELECT l.vault_id, sum(l.bytes)::bigint AS bytes,
				sum(l.bytes) FILTER (WHERE l.level = l.deepest)::bigint AS last_bytes
			FROM (SELECT *, max(level) OVER (PARTITION BY vault_id, table_id) AS deepest
				  FROM skyvault_forest_levels()) AS l
			GROUP BY l.vault_id) AS s ON s.vault_id = t.vault_id;
COMMENT ON VIEW skyvault_stat_amplification
	IS 'bytes written for each byte flushed, runs asked for each that had something (of the whole server), bytes kept for each in last levels';
GRANT SELECT ON skyvault_stat_pressure, skyvault_stat_amplification TO pg_monitor;

CREATE FUNCTION skyvault_tree(rel regclass) RETURNS text
	LANGUAGE C STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_tree(regclass)
	IS 'a picture of a table''s runs: a line for each of level 0, newest first, and for each level, over the keys in order';

-- ---------------------------------------------------------------------------
-- what is cached, and how runs are indexed

CREATE FUNCTION skyvault_index(rel regclass, OUT run bigint, OUT tier "char", OUT level integer,
							   OUT entries bigint, OUT blocks integer, OUT tail_bytes bigint,
							   OUT filter_bits_per_key double precision,
							   OUT root text, OUT models integer, OUT leaves integer,
							   OUT index_bytes_per_key double precision,
							   OUT mean_error double precision, OUT max_error integer,
							   OUT fallback_share double precision,
							   OUT probes double precision) RETURNS SETOF record
	LANGUAGE C STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_index(regclass)
	IS 'the filter and the learned index of each run of a table, in lookup order; errors in blocks';

CREATE FUNCTION skyvault_prewarm(rel regclass) RETURNS bigint
	LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_prewarm(regclass)
	IS 'brings a table into the cache, newest runs first, until it is full; the number of blocks brought';

CREATE FUNCTION skyvault_clear_cache() RETURNS void
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_clear_cache() IS 'empties the caches of all databases, for measurements and tests';
REVOKE EXECUTE ON FUNCTION skyvault_clear_cache() FROM PUBLIC;

CREATE FUNCTION skyvault_cached_runs(OUT server name, OUT run bigint, OUT tier "char", OUT object text,
									 OUT blocks bigint, OUT block_bytes bigint, OUT frame_bytes bigint,
									 OUT tail_bytes bigint, OUT pins integer) RETURNS SETOF record
	LANGUAGE C VOLATILE PARALLEL SAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_cached_runs() IS 'what the caches hold of each run, and of all other databases together';

CREATE FUNCTION skyvault_cache_counters(OUT block_hits bigint, OUT block_loads bigint, OUT block_waits bigint,
										OUT block_bypasses bigint, OUT tail_loads bigint,
										OUT tail_bypasses bigint, OUT filter_negatives bigint,
										OUT filter_false_positives bigint, OUT block_evictions bigint,
										OUT cache_bytes bigint, OUT cache_bytes_used bigint,
										OUT tail_evictions bigint, OUT tail_cache_bytes bigint,
										OUT tail_cache_bytes_used bigint, OUT forests integer,
										OUT forest_cache_bytes bigint,
										OUT forest_cache_bytes_used bigint) RETURNS SETOF record
	LANGUAGE C VOLATILE PARALLEL SAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_cache_counters() IS 'what lookups have met in the caches, since server start';

CREATE FUNCTION skyvault_disk_cache_counters(OUT state text, OUT ranges bigint, OUT bytes bigint,
											 OUT cache_bytes bigint, OUT hits bigint, OUT misses bigint,
											 OUT fills bigint, OUT writes bigint, OUT evictions bigint,
											 OUT damaged bigint, OUT write_errors bigint) RETURNS SETOF record
	LANGUAGE C VOLATILE PARALLEL SAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_disk_cache_counters()
	IS 'what the disk cache holds, and what reads of remote stores have met in it since server start';

CREATE FUNCTION skyvault_clear_disk_cache() RETURNS void
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_clear_disk_cache()
	IS 'empties the disk cache of all databases, for measurements and tests';
REVOKE EXECUTE ON FUNCTION skyvault_clear_disk_cache() FROM PUBLIC;

REVOKE EXECUTE ON FUNCTION skyvault_cached_runs(), skyvault_cache_counters(), skyvault_disk_cache_counters()
	FROM PUBLIC;
GRANT EXECUTE ON FUNCTION skyvault_cached_runs(), skyvault_cache_counters(), skyvault_disk_cache_counters()
	TO pg_monitor;

CREATE VIEW skyvault_cache AS SELECT * FROM skyvault_cached_runs();
COMMENT ON VIEW skyvault_cache IS 'what the caches hold of each run; the row without a run is for all other databases';
CREATE VIEW skyvault_stat_cache AS SELECT * FROM skyvault_cache_counters();
COMMENT ON VIEW skyvault_stat_cache IS 'what lookups have met in the caches, since server start';
CREATE VIEW skyvault_stat_disk_cache AS SELECT * FROM skyvault_disk_cache_counters();
COMMENT ON VIEW skyvault_stat_disk_cache
	IS 'what the disk cache of remote stores holds, and how reads have fared with it, since server start';
GRANT SELECT ON skyvault_cache, skyvault_stat_cache, skyvault_stat_disk_cache TO pg_monitor;

-- ---------------------------------------------------------------------------
-- what the stores are asked for

CREATE FUNCTION skyvault_store_counters(OUT server name, OUT operation text, OUT caller text,
										OUT requests bigint, OUT errors bigint, OUT retries bigint,
										OUT hedges bigint, OUT bytes_in bigint, OUT bytes_out bigint,
										OUT mean_ms double precision, OUT latency bigint[],
										OUT dollars double precision) RETURNS SETOF record
	LANGUAGE C VOLATILE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_store_counters()
	IS 'requests to the stores of this database''s servers, since server start or the last reset';

CREATE FUNCTION skyvault_stat_store_reset(server name DEFAULT NULL) RETURNS void
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_stat_store_reset(name)
	IS 'sets the counters of skyvault_stat_store to zero, of one server or of all of this database';

CREATE FUNCTION skyvault_store_waiters(OUT pid integer, OUT database oid, OUT server name, OUT operation text,
									   OUT caller text, OUT since timestamptz) RETURNS SETOF record
	LANGUAGE C VOLATILE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_store_waiters() IS 'the processes that wait for a store now';

REVOKE EXECUTE ON FUNCTION skyvault_store_counters(), skyvault_store_waiters(), skyvault_stat_store_reset(name)
	FROM PUBLIC;
GRANT EXECUTE ON FUNCTION skyvault_store_counters(), skyvault_store_waiters() TO pg_monitor;

CREATE VIEW skyvault_stat_store AS SELECT * FROM skyvault_store_counters();
COMMENT ON VIEW skyvault_stat_store
	IS 'requests to the stores by operation and caller; latency[i] counts those of 2^(i-1) to 2^i microseconds';
CREATE VIEW skyvault_store_waits AS SELECT * FROM skyvault_store_waiters();
COMMENT ON VIEW skyvault_store_waits IS 'who waits for a store now: which operation of which server, since when';
GRANT SELECT ON skyvault_stat_store, skyvault_store_waits TO pg_monitor;

CREATE FUNCTION skyvault_loads(OUT pid integer, OUT datid oid, OUT relid oid, OUT command text, OUT phase text,
							   OUT rows_read bigint, OUT bytes_read bigint, OUT rows_written bigint,
							   OUT bytes_written bigint, OUT rows_total bigint, OUT bytes_total bigint,
							   OUT workers integer) RETURNS SETOF record
	LANGUAGE C VOLATILE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_loads() IS 'the bulk loads that are under way; of other users'' no more than that they are';

-- Half of a load is reading its input, half is writing it.
CREATE VIEW skyvault_progress_load AS
	SELECT l.pid, l.datid, d.datname, l.relid, l.command, l.phase, l.rows_read, l.bytes_read, l.rows_written,
		l.bytes_written, l.rows_total, l.bytes_total,
		round((50::float8 * CASE WHEN l.phase IN ('sorting', 'writing', 'publishing') THEN 1::float8
						 WHEN l.bytes_total > 0 THEN least(l.bytes_read::float8 / l.bytes_total::float8, 1)
						 WHEN l.rows_total > 0 THEN least(l.rows_read::float8 / l.rows_total::float8, 1) END
			   + 50::float8 * CASE WHEN l.phase = 'publishing' THEN 1::float8
						   WHEN l.rows_read = 0 THEN 0
						   WHEN l.phase IN ('sorting', 'writing')
							   THEN least(l.rows_written::float8 / l.rows_read::float8, 1)
						   WHEN l.bytes_total > 0
							   THEN least(l.rows_written::float8 / l.rows_read::float8
										  * l.bytes_read::float8 / l.bytes_total::float8, 1)
						   WHEN l.rows_total > 0
							   THEN least(l.rows_written::float8 / l.rows_total::float8, 1) END)::numeric, 1) AS percent,
		l.workers
	FROM skyvault_loads() AS l LEFT JOIN pg_catalog.pg_database AS d ON d.oid = l.datid;
COMMENT ON VIEW skyvault_progress_load
	IS 'how far the bulk loads are that are under way now, in any database; details of other users'' for members of pg_read_all_stats';
GRANT SELECT ON skyvault_progress_load TO PUBLIC;

CREATE FUNCTION skyvault_stat_delta_filter(OUT state text, OUT generations integer, OUT bits_set double precision,
										   OUT checks bigint, OUT negatives bigint)
	LANGUAGE C VOLATILE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_stat_delta_filter()
	IS 'the filter over the keys of this database''s delta: whether it is in use, how full it is, and how often it saved a look there';
REVOKE EXECUTE ON FUNCTION skyvault_stat_delta_filter() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION skyvault_stat_delta_filter() TO pg_monitor;

CREATE FUNCTION skyvault_stat_forest_probes(OUT lookups bigint, OUT probes bigint)
	LANGUAGE C VOLATILE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION skyvault_stat_forest_probes()
	IS 'how often this session looked for a forest, and how often it had to look at the changelog for it';
