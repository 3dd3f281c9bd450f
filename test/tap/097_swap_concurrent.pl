# Many sessions read and write two tables while others exchange their contents, load
# and keep, flush and compact: each content stays of one kind, and whoever reads sees
# whole ones, of one moment.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $rounds = $ENV{SKYVAULT_STEPS} // 60;
my $node = new_server('main', settings => "max_connections = 30\nskyvault.bulk_threshold = 0\nskyvault.flush_interval = 1\n");
my $scripts = PostgreSQL::Test::Utils::tempdir();

# All values of a content say its kind, and so does the key "kind".
$node->safe_psql('postgres', <<'SQL');
SELECT skyvault_create_table('a'), skyvault_create_table('b');
SELECT skyvault_multi_put('a', array_agg('key' || n) || ARRAY['kind'], array_agg('x'::text) || ARRAY['x'])
	FROM generate_series(1, 100) AS n;
SELECT skyvault_multi_put('b', array_agg('key' || n) || ARRAY['kind'], array_agg('y'::text) || ARRAY['y'])
	FROM generate_series(1, 200) AS n;

-- In one statement, and so under one snapshot; what is wrong, or nothing.
CREATE FUNCTION seen(OUT a text, OUT b text, OUT wrong text) LANGUAGE sql VOLATILE AS $$
	WITH s AS MATERIALIZED (
		SELECT skyvault_get('a', 'kind') AS a, skyvault_get('b', 'kind') AS b,
			(SELECT array_agg(DISTINCT value) FROM a) AS scanned_a,
			(SELECT array_agg(DISTINCT value) FROM skyvault_scan('b')) AS scanned_b,
			(SELECT array_agg(DISTINCT t.value) FROM generate_series(1, 150) AS n JOIN a AS t ON t.key = 'key' || n) AS joined_a,
			(SELECT array_agg(value ORDER BY value) FROM skyvault_multi_get(ARRAY['a', 'b']::regclass[], ARRAY['kind', 'kind'])) AS of_both,
			(SELECT count(*) >= CASE skyvault_get('b', 'kind') WHEN 'x' THEN 101 ELSE 201 END FROM b) AS enough_b)
	SELECT a, b, CASE WHEN a = b OR scanned_a <> ARRAY[a] OR scanned_b <> ARRAY[b] OR joined_a <> ARRAY[a] OR of_both <> '{x,y}' OR
			NOT enough_b OR (a = b) IS NULL OR (scanned_a <> ARRAY[a]) IS NULL OR (scanned_b <> ARRAY[b]) IS NULL THEN s::text END FROM s
$$;
CREATE TABLE faults (what text);

-- Work of some milliseconds that locks nothing.
CREATE FUNCTION others_go_on() RETURNS bigint LANGUAGE sql VOLATILE AS $$ SELECT count(*) FROM generate_series(1, (random() * 30000)::integer) $$;

-- A transaction sees no exchange: twice the same.
CREATE PROCEDURE look_twice() LANGUAGE plpgsql AS $$
DECLARE
	first record;
	second record;
BEGIN
	first := seen();
	PERFORM others_go_on();
	second := seen();
	IF first.wrong IS NOT NULL OR second.wrong IS NOT NULL OR first.a <> second.a THEN
		INSERT INTO faults VALUES (format('read %s and %s', first, second));
	END IF;
END $$;
-- The kind that an older snapshot reads must not be written to what has the name by now.
CREATE PROCEDURE write_kind(t text) LANGUAGE plpgsql AS $$
DECLARE
	kind text;
BEGIN
	PERFORM others_go_on();
	kind := skyvault_get(t::regclass, 'kind');
	IF random() < 0.5 THEN
		PERFORM skyvault_put(t::regclass, 'key' || (random() * 200)::integer, kind);
		RETURN;
	END IF;
	EXECUTE format('UPDATE %I SET value = $1 WHERE key = $2', t) USING kind, 'key' || (random() * 100)::integer;
EXCEPTION WHEN serialization_failure OR deadlock_detected THEN
	NULL;
END $$;
-- Blind writes: of the kind that the lock of the table has found.
CREATE PROCEDURE write_locked(t text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('INSERT INTO %1$I SELECT %2$L || (random() * 200)::integer, value FROM %1$I WHERE key = %3$L', t, 'key', 'kind');
END $$;
CREATE PROCEDURE keep(t text) LANGUAGE plpgsql AS $$
DECLARE
	name text := 'kept_' || pg_backend_pid();
BEGIN
	PERFORM skyvault_load(t::regclass, format('SELECT key, value FROM %I', t), replace => true, keep => name);
	IF random() < 0.5 THEN
		PERFORM skyvault_swap(t::regclass, name::regclass);
	END IF;
	EXECUTE format('DROP FOREIGN TABLE %I', name);
EXCEPTION WHEN deadlock_detected THEN
	NULL;
END $$;
SQL

my %scripts = (
	read_twice => "BEGIN ISOLATION LEVEL REPEATABLE READ; CALL look_twice(); COMMIT;",
	read => "INSERT INTO faults SELECT wrong FROM seen() WHERE wrong IS NOT NULL;",
	write => "BEGIN ISOLATION LEVEL REPEATABLE READ; CALL write_kind((ARRAY['a', 'b'])[1 + (random() + 0.5)::integer % 2]); COMMIT;",
	write_locked => "CALL write_locked((ARRAY['a', 'b'])[1 + (random() + 0.5)::integer % 2]);",
	swap => "SELECT skyvault_swap('a', 'b');",
	back => "BEGIN; SELECT skyvault_swap('b', 'a'); SELECT others_go_on(); ROLLBACK;",
	keep => "CALL keep((ARRAY['a', 'b'])[1 + (random() + 0.5)::integer % 2]);",
	compact => "SELECT skyvault_flush(); SELECT skyvault_compact((ARRAY['a', 'b']::regclass[])[1 + (random() + 0.5)::integer % 2], full => true);",
);
append_to_file("$scripts/$_", "$scripts{$_}\n") foreach keys %scripts;
my %weight = (read_twice => 6, read => 4, write => 4, write_locked => 4, swap => 4, back => 1, keep => 1, compact => 1);
$node->command_ok([ 'pgbench', '-n', '-c', 8, '-j', 2, '-t', $rounds, '--max-tries=100',
	(map { ('-f', "$scripts/$_\@$weight{$_}") } sort keys %scripts), 'postgres' ], 'all sessions did their work');
is($node->safe_psql('postgres', 'SELECT count(*), min(what) FROM faults'), '0|', 'nobody saw anything wrong');
is($node->safe_psql('postgres', 'SELECT wrong FROM seen()'), '', 'nor is anything now');
is($node->safe_psql('postgres', "SELECT count(*) FROM (SELECT skyvault_verify('a', true) UNION ALL SELECT skyvault_verify('b', true)) AS v"),
	'0', 'all is in order');
done_testing();
