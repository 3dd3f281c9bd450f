# A database from the store alone: to the last change, to a named snapshot, and
# to the first gap.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $store = PostgreSQL::Test::Utils::tempdir();
my $node = new_server('origin');

sub sql { return $node->safe_psql('postgres', $_[0]); }

my $server = "CREATE SERVER shared FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:$store')";
sql($server);
sql(<<'SQL');
SELECT skyvault_create_table('dropped', server => 'shared');
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE SCHEMA "Schéma 'x'";
CREATE FOREIGN TABLE "Schéma 'x'"."Täble ""1""" (dropped text, "a key" bigint NOT NULL, name text COLLATE "C", gone integer,
	score numeric(10,2), tags jsonb, "m'ood" mood, days date[]) SERVER shared OPTIONS (key '"a key", name', ttl '30 days');
ALTER FOREIGN TABLE "Schéma 'x'"."Täble ""1""" DROP COLUMN dropped;
ALTER FOREIGN TABLE "Schéma 'x'"."Täble ""1""" DROP COLUMN gone;
SELECT skyvault_create_table('kv', server => 'shared');
SELECT skyvault_create_table('emptied', server => 'shared');
SQL

my @tables = ('"Schéma \'x\'"."Täble ""1"""', 'kv', 'emptied');
my $digest = join(';', map { "SELECT count(*), md5(string_agg(t::text, ',' ORDER BY t::text)) FROM $_ AS t" } @tables);
my $catalogue = <<'SQL';
SELECT c.oid::regclass, a.attnum, a.attname, format_type(atttypid, atttypmod), attnotnull, attcollation::regcollation, attfdwoptions,
	(SELECT ftoptions FROM pg_foreign_table WHERE ftrelid = c.oid)
FROM pg_class AS c JOIN pg_attribute AS a ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped
WHERE relkind = 'f' AND relname NOT IN ('dropped', 'late') ORDER BY 1, 2
SQL

sub write_round
{
	my ($round) = @_;

	sql(<<~SQL);
		INSERT INTO "Schéma 'x'"."Täble ""1""" SELECT n, 'näme ' || n % 3, n * 1.5, '{"round": $round}', 'happy', ARRAY['2026-01-01'::date]
			FROM generate_series($round * 10, $round * 30) AS n;
		SELECT skyvault_multi_put(t, array_agg('key' || n), array_agg('round $round of ' || n))
			FROM unnest('{kv,emptied}'::text[]::regclass[]) AS t, generate_series($round * 5, $round * 20 + 50) AS n GROUP BY t;
		SELECT skyvault_delete('kv', 'key' || n) FROM generate_series($round * 6, $round * 6 + 4) AS n;
		SQL
}

write_round(1);
sql("SELECT skyvault_put('dropped', 'a', 'b')");
sql('SELECT skyvault_flush()');
sql('DROP FOREIGN TABLE dropped');
# Rows that are stored already read its default.
sql(q{ALTER FOREIGN TABLE "Schéma 'x'"."Täble ""1""" ADD COLUMN added text[] DEFAULT ARRAY['ä''"', NULL]});
write_round(2);
is(sql("SELECT skyvault_snapshot('näme ''1''', 'shared')"), 1, 'a snapshot with a name, which flushes');
is(sql('SELECT count(*) FROM skyvault.delta'), 0, 'nothing is left in the delta');
my $at_snapshot = sql($digest);
fails_with($node, "SELECT skyvault_snapshot('näme ''1''', 'shared')", '42710', qr/already exists/, 'a name is taken once');
sql('TRUNCATE emptied');
write_round(3);
sql('SELECT skyvault_flush()');
sql('SELECT skyvault_export()');
is(sql("SELECT skyvault_snapshot(vault => 'shared')"), 1, 'one without a name');
write_round(4);
sql('SELECT skyvault_flush()');
sql('TRUNCATE emptied');
sql("ALTER FOREIGN TABLE kv OPTIONS (ADD insert 'strict')");
sql("SELECT skyvault_put('emptied', 'key5', 'after the truncate')");
sql('SELECT skyvault_flush()');
sql('SELECT skyvault_export()');
my $at_end = sql($digest);
my $defined = sql($catalogue);

# Of the log since: what a gap leaves.
sql("SELECT skyvault_put('kv', 'key5', 'beyond')");
sql('SELECT skyvault_flush()');
sql('SELECT skyvault_export()');
my $beyond = sql($digest);
sql("SELECT skyvault_put('kv', 'key6', 'far beyond')");
sql('SELECT skyvault_flush()');
sql('SELECT skyvault_export()');
my $far_beyond = sql($digest);
my @log = split(/\n/, sql('SELECT object FROM skyvault.log_object ORDER BY epoch, number'));
my @snapshots = split(/\n/, sql('SELECT object FROM skyvault.snapshot ORDER BY id'));
$node->stop;

my $restores = 0;

# A database of the other server, with nothing but the server, into which the store is restored.
my $other = new_server('other', bare => 1, settings => "max_worker_processes = 40\n");
sub database
{
	my $name = 'restore_' . ++$restores;

	$other->safe_psql('postgres', "CREATE DATABASE $name");
	$other->safe_psql($name, "CREATE EXTENSION skyvault; $server; CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')");
	return $name;
}

sub restore
{
	my ($arguments) = @_;
	my $name = database();
	my ($status, $stdout, $stderr) = $other->psql($name, "SELECT changelog_id, tables FROM skyvault_restore('shared'$arguments)");

	return ($name, $status, $stdout, $stderr);
}

my ($db, $status, $result, $stderr) = restore('');
is($status, 0, 'restored to the last change') or diag($stderr);
unlike($stderr, qr/WARNING/, 'without a warning');
is($other->safe_psql($db, $digest), $far_beyond, 'all data is there');
is($other->safe_psql($db, $catalogue), $defined, 'tables have the columns and options of the last state');
is($other->safe_psql($db, 'SELECT state FROM skyvault_vaults'), 'attached', 'attached, not adopted');
$other->safe_psql($db, "SELECT skyvault_put('emptied', 'x', 'y')");
fails_with($other, 'SELECT skyvault_flush()', '55000', qr/does not own the vault.*skyvault_adopt\('shared'\)/s,
	'it does not write to the vault', $db);

($db, $status, $result, $stderr) = restore(", 'näme ''1'''");
is($status, 0, 'restored to the named snapshot') or diag($stderr);
is($other->safe_psql($db, $digest), $at_snapshot, 'its data is there');
fails_with($other, "SELECT skyvault_restore('shared', 'näme ''2''')", '42704', qr/no snapshot "näme '2'"/, 'no such snapshot', database());
fails_with($other, "SELECT skyvault_restore('shared')", '55000', qr/has a vault already/, 'not twice', $db);

# Gaps, damage.
sub hidden
{
	my ($object, $code) = @_;
	my $content = slurp_file("$store/$object");

	unlink("$store/$object");
	$code->();
	append_to_file("$store/$object", $content);
}
sub damaged
{
	my ($object, $code) = @_;
	my $content = slurp_file("$store/$object");

	unlink("$store/$object");
	append_to_file("$store/$object", $content =~ s/.(.{20})\z/X$1/sr);
	$code->();
	unlink("$store/$object");
	append_to_file("$store/$object", $content);
}
foreach my $harm ([ 'missing', \&hidden ], [ 'damaged', \&damaged ])
{
	my ($what, $code) = @$harm;

	$code->($log[-2], sub {
		($db, $status, $result, $stderr) = restore('');
		is($status, 0, "an object of the log is $what: restored all the same");
		like($stderr, qr/WARNING:.*the log has a gap/, "an object of the log is $what: with a warning");
		is($other->safe_psql($db, $digest), $at_end, "an object of the log is $what: up to there");
	});
	$code->($snapshots[-1], sub {
		($db, $status, $result, $stderr) = restore('');
		is($status, 0, "the last snapshot is $what: restored all the same") or diag($stderr);
		is($other->safe_psql($db, $digest), $far_beyond, "the last snapshot is $what: an older one leads to the same");
	});
	$code->($snapshots[0], sub {
		fails_with($other, "SELECT skyvault_restore('shared', 'näme ''1''')", '42704', qr/no snapshot/, "the named snapshot is $what: an error", database());
	});
}
hidden($snapshots[0], sub { hidden($snapshots[-1], sub {
	($db, $status, $result, $stderr) = restore('');
	is($other->safe_psql($db, $digest), $far_beyond, 'without any snapshot the log alone leads there');
})});

# What somebody else has written, who knows how to seal it: an error, and no process's end.
$other->safe_psql('postgres', slurp_file($ENV{STOP_POINTS_SQL}));
my $empty = database();
sub tampered
{
	my ($object, $of, $change, $sqlstate, $pattern, $case) = @_;
	my $content = slurp_file("$store/$object");
	my $lines = $change->($content =~ s/[^\n]*\n\z//r);
	my $sealed = $other->safe_psql('postgres', "SELECT sealed(\$text\$$lines\$text\$)");

	die "$case: nothing has changed" if index($content, $lines) == 0;
	unlink("$store/$object");
	append_to_file("$store/$object", $sealed =~ s/\n*\z/\n/r);
	fails_with($other, "SELECT skyvault_restore('shared'$of)", $sqlstate, $pattern, $case, $empty);
	unlink("$store/$object");
	append_to_file("$store/$object", $content);
}
my $string = qr/"(?:[^"\\]|\\.)*"/;
my $named = ", 'näme ''1'''";
my %without = (
	'the schema of a table' => sub { $_[0] =~ s/"schema": $string/"schema": null/gr },
	'the name of a table' => sub { $_[0] =~ s/("id": \d+, "name": )$string(, "schema")/$1null$2/gr },
	'the name of a column' => sub { $_[0] =~ s/(\{"name": )$string(, "type")/$1null$2/gr },
	'the type of a column' => sub { $_[0] =~ s/"type": $string/"type": null/gr },
	'the name of a collation' => sub { $_[0] =~ s/("collation": \["pg_catalog"), "C"\]/$1]/gr },
	'the value of an option' => sub { $_[0] =~ s/("options": \{"key": )$string/$1null/gr });
tampered($snapshots[0], $named, $without{$_}, 'XX001', qr/has a line that lacks something/, "a snapshot without $_") foreach sort keys %without;
tampered($snapshots[0], $named, sub { $_[0] =~ s/"number": \d+/"number": 2000000000/gr }, '54011', qr/1600 columns/,
	'a snapshot with a column of a number that there is none of');
hidden($snapshots[0], sub { hidden($snapshots[-1], sub {
	my ($object) = grep { slurp_file("$store/$_") =~ /"kind": "truncate"/ } @log;

	tampered($object, '', sub { $_[0] =~ s/"kind": "truncate"/"kind": null/r }, 'XX001', qr/has a line that lacks something/,
		'a change without its kind');
})});

# What does not fit.
$other->safe_psql('postgres', 'CREATE DATABASE typeless');
$other->safe_psql('typeless', "CREATE EXTENSION skyvault; $server");
fails_with($other, "SELECT skyvault_restore('shared')", '42704', qr/type public\.mood .* does not exist here.*HINT:  Create the type/s,
	'a type that does not exist', 'typeless');
is($other->safe_psql('typeless', 'SELECT count(*) FROM skyvault.run'), 0, 'leaves nothing behind');
$other->safe_psql('typeless', "SELECT skyvault_create_table('mine')");
fails_with($other, "SELECT skyvault_restore('shared')", '55000', qr/has tables in a vault already/, 'only into a database without tables', 'typeless');
$other->safe_psql('postgres', 'CREATE ROLE somebody');
$db = database();
$other->safe_psql($db, 'GRANT EXECUTE ON FUNCTION skyvault_restore TO somebody; GRANT USAGE ON FOREIGN SERVER shared TO somebody');
fails_with($other, "SET ROLE somebody; SELECT skyvault_restore('shared')", '42501', qr/must be owner of foreign server/, 'only by the owner of the server', $db);

# Adopted: it goes on, and the origin finds out.
($db, $status, $result, $stderr) = restore(', adopt => true');
is($status, 0, 'restored to write to it') or diag($stderr);
$other->safe_psql($db, "SELECT skyvault_put('emptied', 'new', 'value')");
cmp_ok($other->safe_psql($db, "SELECT skyvault_flush('shared')"), '>', 0, 'it flushes');
is($other->safe_psql($db, 'SELECT state FROM skyvault_vaults'), 'owner', 'and owns the vault');
$other->safe_psql($db, 'SELECT skyvault_export()');
my $adopted = $other->safe_psql($db, $digest);

$node->start;
sql("SELECT skyvault_put('emptied', 'old', 'value')");
fails_with($node, 'SELECT skyvault_flush()', '55000', qr/does not own the vault.*skyvault_adopt\('shared'\)/s, 'the origin does not write any more');
is(sql("SELECT skyvault_get('emptied', 'key5')"), 'after the truncate', 'it still reads');
like(sql('SELECT state, reason FROM skyvault_vaults'), qr/fenced\|Database \d+ of .* took it over at .* in epoch \d+/, 'and says why');
($db, $status, $result, $stderr) = restore('');
is($other->safe_psql($db, $digest), $adopted, 'a restore follows who took the vault over') or diag($stderr);

# And back.
sql("SELECT skyvault_adopt('shared')");
cmp_ok(sql("SELECT skyvault_flush('shared')"), '>', 0, 'the origin takes it back when told to');
sql('SELECT skyvault_export()');
($db, $status, $result, $stderr) = restore('');
is($other->safe_psql($db, $digest), sql($digest), 'and a restore follows it') or diag($stderr);

done_testing();
