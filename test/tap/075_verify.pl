# skyvault_verify finds what is wrong, and nothing where nothing is.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server('node', settings => "skyvault.retention = 0\nskyvault.run_size = 256kB\n");
my $store = $node->data_dir . '/skyvault';

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub verify { return sql("SELECT object, problem, detail FROM skyvault_verify$_[0] ORDER BY 1, 2"); }

sql("SELECT skyvault_create_table('kv'); SELECT skyvault_create_table('other'); SELECT skyvault_create_table('empty')");
sql(<<'SQL');
SELECT skyvault_multi_put('kv', array_agg('key ' || n), array_agg(md5(n::text))) FROM generate_series(1, 20000) AS n;
SELECT skyvault_multi_put('other', array_agg('key ' || n), array_agg(repeat(n::text, 5000))) FROM generate_series(1, 50) AS n;
SELECT skyvault_delete('kv', 'key ' || n) FROM generate_series(1, 100) AS n;
SQL
sql('SELECT skyvault_flush()');
sql("SELECT skyvault_put('kv', 'later', 'x'); SELECT skyvault_delete('other', 'key 7')");
sql('SELECT skyvault_flush()');
sql('SELECT skyvault_export()');
sql("SELECT skyvault_snapshot('named')");
my @runs = run_objects($node);
cmp_ok(scalar(@runs), '>', 2, 'there are several runs');

foreach my $what ("('kv')", "('kv', true)", "('other', true)", "('empty', true)", "_vault('skyvault')", "_vault('skyvault', true)")
{
	is(verify($what), '', "nothing is wrong: verify$what");
}

# Damage: what a look at the tail finds, and what only reading everything does.
sub harmed
{
	my ($object, $change, $code) = @_;
	my $content = slurp_file("$store/$object");
	my $harmed = $change->($content);

	unlink("$store/$object");
	append_to_file("$store/$object", $harmed) if defined $harmed;
	$code->();
	unlink("$store/$object");
	append_to_file("$store/$object", $content);
}
my $first = $runs[0];
harmed($first, sub { undef }, sub {
	is(verify("('kv')"), "$first|missing|the registry has it, the store does not", 'a missing object');
	like(verify("_vault('skyvault')"), qr/^\Q$first\E\|missing/, 'a missing object of the vault');
});
harmed($first, sub { substr($_[0], 0, length($_[0]) - 1) }, sub {
	like(verify("('kv')"), qr/^\Q$first\E\|wrong length\|\d+ bytes in the store, \d+ in the registry$/, 'a cut object');
});
harmed($first, sub { my $c = $_[0]; substr($c, -200, 1) ^= "\x01"; $c }, sub {
	like(verify("('kv')"), qr/^\Q$first\E\|damaged\|.*checksum/, 'a damaged tail');
});
harmed($first, sub { my $c = $_[0]; substr($c, 100, 1) ^= "\x01"; $c }, sub {
	is(verify("('kv')"), '', 'a damaged block is not looked at');
	like(verify("('kv', true)"), qr/^\Q$first\E\|damaged\|.*block 0/, 'but deep');
});
foreach my $object (split(/\n/, sql('SELECT object FROM skyvault.log_object UNION ALL SELECT object FROM skyvault.snapshot')))
{
	harmed($object, sub { undef }, sub { is(verify("_vault('skyvault')"), "$object|missing|", 'a missing log or snapshot'); });
	harmed($object, sub { my $c = $_[0]; substr($c, 100, 1) ^= "\x01"; $c }, sub {
		is(verify("_vault('skyvault', true)"), "$object|damaged|", 'a damaged log or snapshot') });
}

# The registry says something else than the object.
my %lies = (
	'entries = ARRAY(SELECT e + 1 FROM unnest(entries) AS e)' => qr/wrong number of entries/,
	'tombstones = ARRAY(SELECT e + 1 FROM unnest(tombstones) AS e)' => qr/wrong number of tombstones/,
	q{min_keys = ARRAY(SELECT k || '\x00' FROM unnest(min_keys) AS k)} => qr/wrong lowest key/,
	q{max_keys = ARRAY(SELECT k || '\x00' FROM unnest(max_keys) AS k)} => qr/wrong highest key/);
foreach my $lie (sort keys %lies)
{
	like(sql("BEGIN; UPDATE skyvault.run SET $lie WHERE object = '$first'; SELECT problem FROM skyvault_verify('kv', true); ROLLBACK"),
		$lies{$lie}, "the registry says $lie");
}

# What nothing names.
my ($directory) = $first =~ m{^(.*)/};
append_to_file("$store/$directory/99-j999.sst", 'left by a load');
is(verify("_vault('skyvault')"), "$directory/99-j999.sst|extra|nothing names it; a sweep of skyvault_gc() takes it", 'an orphan');
unlink("$store/$directory/99-j999.sst");

# A run that is removed, and collected, while it is about to be read: no problem.
my $reader = session($node);
$reader->run("SELECT stop_point_arm('verify-run', 'wait')");
$reader->send("SELECT count(*) FROM skyvault_verify_vault('skyvault', true)");
sql("CALL stop_point_await('verify-run')");
sql('TRUNCATE other');
my @other = split(/\n/, sql('SELECT object FROM skyvault.garbage'));
cmp_ok(scalar(@other), ">", 0, "the TRUNCATE has removed runs");
unlink("$store/$_") foreach @other;
sql("SELECT stop_point_disarm('verify-run')");
my ($problems) = $reader->receive;
is($problems, '0', 'a run that has been removed meanwhile is no problem');
$reader->quit;

# Who may.
sql('CREATE ROLE somebody');
fails_with($node, "SET ROLE somebody; SELECT skyvault_verify('kv')", '42501', qr/permission denied/, 'SELECT is needed');
fails_with($node, "SET ROLE somebody; SELECT skyvault_verify_vault('skyvault')", '42501', qr/must be owner of foreign server/, 'or the server');

done_testing();
