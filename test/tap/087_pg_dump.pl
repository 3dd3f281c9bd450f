# A dump has the extension, servers and tables, and of their rows what it is told to
# have; nothing of the catalogue.  So what is made of it is a vault of its own, and the
# one it came from is not touched.
use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultClones;
use SkyvaultTest;
use Test::More;

my ($node, $store) = origin('main',
	settings => "max_worker_processes = 20\nskyvault.retention = 0\nskyvault.orphan_grace = 0\n");
my $files = PostgreSQL::Test::Utils::tempdir();

sub sql { return $node->safe_psql('postgres', $_[0]); }

sql(<<'SQL');
CREATE ROLE reader;
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE SCHEMA "Schéma 'x'";
CREATE FOREIGN TABLE "Schéma 'x'".typed (gone int, id bigint NOT NULL, name text COLLATE "C" DEFAULT 'none', score numeric(10,2), tags jsonb,
	mood mood, days date[]) SERVER shared OPTIONS (key 'id, name', ttl '30 days', insert 'strict');
ALTER FOREIGN TABLE "Schéma 'x'".typed DROP COLUMN gone;
GRANT SELECT ON "Schéma 'x'".typed TO reader;
GRANT USAGE ON SCHEMA "Schéma 'x'" TO reader;
GRANT USAGE ON FOREIGN SERVER skyvault TO reader;
SELECT skyvault_create_table('near');
SELECT skyvault_create_table('never_used', server => 'shared');
CREATE TABLE parted (id int, v text) PARTITION BY HASH (id);
CREATE FOREIGN TABLE parted_0 PARTITION OF parted FOR VALUES WITH (MODULUS 3, REMAINDER 0) SERVER shared OPTIONS (key 'id');
CREATE FOREIGN TABLE parted_1 PARTITION OF parted FOR VALUES WITH (MODULUS 3, REMAINDER 1) SERVER skyvault OPTIONS (key 'id');
CREATE FOREIGN TABLE parted_2 PARTITION OF parted FOR VALUES WITH (MODULUS 3, REMAINDER 2) SERVER shared OPTIONS (key 'id');
INSERT INTO parted SELECT n, 'part ' || n FROM generate_series(1, 300) AS n;
CREATE VIEW sums AS SELECT count(*), sum(score) FROM "Schéma 'x'".typed;
INSERT INTO "Schéma 'x'".typed SELECT n, 'näme ' || n % 3, n * 1.5, '{"n": 1}', 'ok', ARRAY['2026-01-01'::date] FROM generate_series(1, 300) AS n;
SELECT mirror_multi_put('kv', array_agg('key' || n), array_agg(E'value\t\\ ' || n)) FROM generate_series(1, 300) AS n;
SELECT skyvault_put('near', 'a', 'b');
SQL
sql('SELECT skyvault_flush()');
sql("SELECT skyvault_compact('kv', full => true)");
sql(q{SELECT mirror_delete('kv', 'key' || n) FROM generate_series(10, 20) AS n; SELECT mirror_put('kv', 'key5', 'newer');
	SELECT mirror_put('kv', 'for a while', 'x', interval '1 hour'); DELETE FROM "Schéma 'x'".typed WHERE id = 7;
	SELECT skyvault_snapshot('named', 'shared'); SELECT mirror_put('kv', 'in the delta', 'x')});

my $digest = join(';', 'TABLE sums', map { "SELECT count(*), md5(string_agg(t::text, ',' ORDER BY t::text)) FROM $_ AS t" }
		q{"Schéma 'x'".typed}, 'kv', 'near', 'never_used', 'parted', 'parted_0', 'parted_1');
my $definitions = <<'SQL';
SELECT c.oid::regclass::text, a.attname, format_type(atttypid, atttypmod), attnotnull, attcollation::regcollation, relacl,
	(SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = c.oid AND adnum = a.attnum),
	(SELECT ARRAY(SELECT unnest(ftoptions) ORDER BY 1) FROM pg_foreign_table WHERE ftrelid = c.oid),
	(SELECT (srvname, ARRAY(SELECT unnest(srvoptions) ORDER BY 1), srvacl) FROM pg_foreign_server AS s JOIN pg_foreign_table ON ftserver = s.oid WHERE ftrelid = c.oid)
FROM pg_class AS c JOIN pg_attribute AS a ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped WHERE relkind = 'f' ORDER BY 1, 2
SQL
my $before = stored_objects($store);
my $content = sql($digest);
my $defined = sql($definitions);

# Dumped with these switches and restored to another database.
sub round_trip
{
	my ($name, @switches) = @_;
	my $file = "$files/$name.dump";

	command_ok([ 'pg_dump', '-Fc', '-f', $file, '-d', $node->connstr('postgres'), @switches ], "$name: pg_dump");
	sql("CREATE DATABASE $name");
	command_ok([ 'pg_restore', '-e', '-j', '2', '-d', $node->connstr($name), $file ], "$name: pg_restore");
	my ($list) = run_command([ 'pg_restore', '-l', $file ]);
	unlike($list, qr/TABLE (?:DATA )?skyvault |SERVER - skyvault /, "$name: nothing of the catalogue is in it, nor the default server");
	like($list, qr/SERVER - shared /, "$name: but the other server is");
	is($node->safe_psql($name, $definitions), $defined, "$name: tables have their columns, options, servers and privileges");
	is($node->safe_psql($name, "SELECT count(*) FROM skyvault.run UNION ALL SELECT count(*) FROM skyvault.snapshot UNION ALL SELECT count(*) FROM skyvault.owner"),
		"0\n0\n0", "$name: it has nothing in the store");
	is($node->safe_psql($name, 'SELECT DISTINCT state FROM skyvault_vaults'), 'new', "$name: its vaults are new");
	return $list;
}

sub vault { return $node->safe_psql($_[0], "SELECT vault FROM skyvault_vaults WHERE server = 'shared'"); }

#
# Without rows.
#
unlike(round_trip('bare'), qr/TABLE DATA (?:public (?:kv|near)|Sch\S+ 'x' typed) /, 'bare: no rows are in it');
is($node->safe_psql('bare', $digest), join("\n", '0|', ('0|') x 7), 'bare: the tables are empty');
isnt(vault('bare'), vault('postgres'), 'bare: it is another vault');
is($node->safe_psql('bare', "SELECT skyvault_put('kv', 'key5', 'bare'); SELECT skyvault_flush('shared')"), "\n1", 'bare: it writes');
is(sql("SELECT skyvault_get('kv', 'key5')"), 'newer', 'bare: which is not seen where it came from');

#
# With all rows.
#
like(round_trip('whole', '--include-foreign-data=*'), qr/TABLE DATA public kv /, 'whole: rows are in it');
is($node->safe_psql('whole', $digest), $content, 'whole: all that there was');
is($node->safe_psql('whole', 'SELECT t.relid::regclass::text, count(d.expires_at) > 0 FROM skyvault.delta AS d JOIN skyvault."table" AS t ON t.id = d.table_id GROUP BY 1 ORDER BY 1'),
	qq{"Schéma 'x'".typed|t\nkv|f\nnear|f\nparted_0|f\nparted_1|f\nparted_2|f}, 'whole: times to live begin anew, by the option of the table');
isnt(vault('whole'), vault('postgres'), 'whole: it is another vault');
cmp_ok(write_and_flush($node, 'whole', 'whole'), '>', 300, 'whole: it writes');
$node->safe_psql('whole', "SELECT skyvault_compact('kv', full => true); SELECT skyvault_export('shared'); SELECT count(*) FROM skyvault_gc(sweep => true); SELECT skyvault_clear_cache()");
is($node->safe_psql('whole', "SELECT * FROM differences('kv')"), '', 'whole: and reads it');

#
# Restored to where loads begin with the first row: what is copied goes to the stores.
#
sql('CREATE DATABASE loaded');
foreach my $section ('pre-data', 'data', 'post-data')
{
	command_ok([ 'pg_restore', '-e', "--section=$section", '-d', $node->connstr('loaded') . " options='-c skyvault.bulk_threshold=0'", "$files/whole.dump" ],
		"loaded: pg_restore of $section");
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'skyvault scheduler' AND datname = 'loaded'")
	  or die 'no scheduler';
}
is($node->safe_psql('loaded', $digest), $content, 'loaded: all that there was');
is($node->safe_psql('loaded', 'SELECT count(*) FROM skyvault.delta'), '0', 'loaded: nothing of it is in the delta');
is($node->safe_psql('loaded', q{SELECT t.relid::regclass FROM skyvault.run AS r JOIN skyvault."table" AS t ON r.table_ids = ARRAY[t.id] WHERE r.tier = 'b' GROUP BY 1 ORDER BY 1::text}),
	qq{"Schéma 'x'".typed\nkv\nnear\nparted_0\nparted_1\nparted_2}, 'loaded: but in runs of each table');
is($node->safe_psql('loaded', "SELECT * FROM differences('kv')"), '', 'loaded: which are read');

#
# The one it came from.
#
is(harmed_objects($before, stored_objects($store)), '', 'nothing of the vault that was dumped is harmed');
is(sql($digest), $content, 'it reads what it has');
cmp_ok(write_and_flush($node, 'goes on'), '>', 0, 'and writes');
foreach my $database ('postgres', 'bare', 'whole', 'loaded')
{
	is($node->safe_psql($database, "SELECT object, problem FROM skyvault_verify_vault('shared', true)"), '', "$database: nothing is missing, nothing is too much");
}
$node->safe_psql('postgres', "SELECT skyvault_export('shared')");
$node->safe_psql('template1', "CREATE TYPE mood AS ENUM ('sad', 'ok')");
like(restored_content($node, $store), qr/there is more than one vault in the store/, 'a restore from the store wants to know which');
is(restored_content($node, $store, ", vault => '" . vault($_) . "'"), $node->safe_psql($_, content_of('kv')), "and brings back that of $_")
  foreach ('postgres', 'whole');

#
# It is of one snapshot, whatever others change, empty, merge and collect meanwhile.
#
{
	my $blocker = session($node);
	my ($out, $err) = ('', '');

	sql('CREATE TABLE blocker (i int)');
	$content = sql($digest);
	$blocker->run('BEGIN; LOCK TABLE blocker');
	my $dump = IPC::Run::start([ 'pg_dump', '-Fc', '-f', "$files/during.dump", '-d', $node->connstr('postgres'), '--include-foreign-data=*' ],
		'>', \$out, '2>', \$err);
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_locks WHERE relation = 'blocker'::regclass AND NOT granted") or die "pg_dump does not wait: $err";
	sql(q{SELECT mirror_put('kv', 'key5', 'after'); SELECT mirror_delete('kv', 'key' || n) FROM generate_series(100, 120) AS n;
		DELETE FROM "Schéma 'x'".typed WHERE id < 50; TRUNCATE near; SELECT skyvault_flush();
		SELECT skyvault_compact('kv', full => true); SELECT skyvault_compact('"Schéma ''x''".typed', full => true)});
	is(sql("SELECT DISTINCT held_by ~ '^snapshot of process ' FROM skyvault_gc(sweep => true) WHERE held_by <> 'snapshot named'"), 't',
		'during: it holds back what it has not read yet');
	sql('SELECT skyvault_clear_cache()');
	isnt(sql($digest), $content, 'during: others see something else');
	$blocker->run('ROLLBACK');
	$blocker->quit;
	ok($dump->finish, 'during: pg_dump') or diag($err);
	$node->safe_psql('template1', 'DROP TYPE mood');
	sql('CREATE DATABASE during');
	command_ok([ 'pg_restore', '-e', '-d', $node->connstr('during'), "$files/during.dump" ], 'during: pg_restore');
	is($node->safe_psql('during', $digest), $content, 'during: all that there was when it began');
	is($node->safe_psql('during', "SELECT * FROM differences('kv')"), '', 'during: and tables agree with their mirrors');
}
$node->stop;

done_testing();
