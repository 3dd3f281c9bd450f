# Log, snapshots, ownership, restore and garbage collection with a bucket.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultS3;
use SkyvaultTest;
use Test::More;

my $s3 = SkyvaultS3->shared;
my $settings = "skyvault.retention = 0\nskyvault.orphan_grace = 0\nmax_worker_processes = 20\n";
my $node = new_server('origin', settings => $settings);
my $prefix = 'vault-' . int(rand(1e9));
my $server = $s3->create_server('vault', prefix => $prefix);

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub objects { return $s3->objects("$prefix/"); }

sql($server);
make_mirror($node, ['kv'], 'vault');
sql("SELECT mirror_multi_put('kv', array_agg('key' || n), array_agg('value ' || n)) FROM generate_series(1, 500) AS n");
sql("SELECT skyvault_snapshot('first', 'vault')");
sql("SELECT mirror_put('kv', 'key' || n, 'newer ' || n) FROM generate_series(1, 100) AS n");
sql("SELECT skyvault_flush('vault')");
is(sql("SELECT skyvault_export('vault')"), 2, 'changes are exported');
is(scalar(grep { m{/OWNER$|/log/|\.snap$|\.sst$} } objects()), 5, 'OWNER, a log, a snapshot and two runs') or diag(join("\n", objects()));

# A database from the bucket alone; then two, of which one is told to write.
my $other = new_server('other', bare => 1, settings => $settings);
my $digest = "SELECT count(*), md5(string_agg(key || value, ',')) FROM skyvault_scan('kv')";
my $n = 0;

sub restore
{
	my ($arguments) = @_;
	my $name = 'restored_' . ++$n;

	$other->safe_psql('postgres', "CREATE DATABASE $name");
	$other->safe_psql($name, "CREATE EXTENSION skyvault; $server SELECT skyvault_restore('vault'$arguments)");
	return $name;
}
is($other->safe_psql(restore(''), $digest), sql($digest), 'restored to the last change');
like($other->safe_psql(restore(", 'first'"), "SELECT skyvault_get('kv', 'key1')"), qr/^value 1$/, 'restored to a snapshot');
my $adopted = restore(', adopt => true');
$other->safe_psql($adopted, "SELECT skyvault_put('kv', 'adopted', 'value')");
is($other->safe_psql($adopted, "SELECT skyvault_flush('vault')"), 1, 'adopted, it writes');
sql("SELECT skyvault_put('kv', 'late', 'value')");
fails_with($node, "SELECT skyvault_flush('vault')", '55000', qr/does not own the vault/, 'and the origin does not any more');
is(sql("SELECT skyvault_get('kv', 'key1')"), 'newer 1', 'but reads');

# Both want it at once: the bucket decides.
my @sessions = (session($node), session($other, $adopted));
sql("SELECT skyvault_adopt('vault')");
$other->safe_psql($adopted, slurp_file($ENV{STOP_POINTS_SQL}));
$other->restart;
$sessions[1]->quit;
$sessions[1] = session($other, $adopted);
$_->run("SELECT skyvault_put('kv', 'race', 'x'); SELECT stop_point_arm('owner-announced', 'wait')") foreach @sessions;
$_->send("SELECT skyvault_flush('vault')") foreach @sessions;
sql("CALL stop_point_await('owner-announced')");
$other->safe_psql($adopted, "CALL stop_point_await('owner-announced')");
sql("SELECT stop_point_disarm('owner-announced')");
$other->safe_psql($adopted, "SELECT stop_point_disarm('owner-announced')");
my @errors = map { ($_->receive)[1] // '' } @sessions;
is(scalar(grep { /takes the vault.*same time|does not own/s } @errors), 1, 'of two who take it at once one fails')
  or diag(join("\n--\n", @errors));
$_->quit foreach @sessions;

# The one that has it goes on, and cleans up.
my ($owner, $database) = $errors[0] eq '' ? ($node, 'postgres') : ($other, $adopted);
$owner->safe_psql($database, "SELECT skyvault_drop_snapshot('first', 'vault'); SELECT skyvault_snapshot(NULL, 'vault')");
my @before = split(/\n/, $owner->safe_psql($database, 'SELECT object FROM skyvault.run'));
$owner->safe_psql($database, 'TRUNCATE kv');
$owner->safe_psql($database, "SELECT skyvault_snapshot(NULL, 'vault'); SELECT skyvault_snapshot(NULL, 'vault')");
$owner->safe_psql($database, "SELECT skyvault_gc(sweep => true, vault => 'vault')");
my %left = map { $_ => 1 } objects();
is(scalar(grep { $left{"$prefix/$_"} } @before), 0, 'what a TRUNCATE has removed is deleted from the bucket');
is($owner->safe_psql($database, "SELECT count(*) FROM skyvault_verify_vault('vault', true)"), 0, 'and what is left is whole');

# A snapshot of more than 16 MB, in parts, of which one is refused at first: of few runs,
# of many tables each, with long keys.
{
	$s3->start_proxy;
	$server = $s3->create_server('vault', prefix => "large-$prefix");
	sql($server =~ s/\bvault\b(?= )/large/gr);
	sql("SELECT skyvault_create_table('t' || n, server => 'large') FROM generate_series(1, 100) AS n");
	foreach my $run (1 .. 24)
	{
		sql("SELECT skyvault_put(('t' || n)::regclass, repeat('k', 1950) || $run, 't' || n || ' $run') FROM generate_series(1, 100) AS n");
		sql("SELECT skyvault_flush('large')");
	}
	my $all = q{SELECT sum(n), md5(string_agg(v, ' ' ORDER BY t)) FROM generate_series(1, 100) AS t,
		LATERAL (SELECT count(*) AS n, string_agg(value, ' ' ORDER BY key) AS v FROM skyvault_scan(('t' || t)::regclass)) AS s};
	my $expected = sql($all);
	$s3->forget_requests;
	my $rule = $s3->fault('status', method => 'PUT', path => 'partNumber=2', first => 1, last => 1, status => 503, code => 'SlowDown');
	is(sql("SELECT skyvault_snapshot('large', 'large')"), 1, 'a large snapshot is made');
	is($s3->fault_hits($rule), 1, 'though a part of it was refused');
	cmp_ok(sql("SELECT bytes FROM skyvault_snapshots WHERE name = 'large'"), '>', 16 * 1024 * 1024, 'of more than 16 MB');
	cmp_ok(scalar($s3->requests(method => 'PUT', target => '\.snap\?.*partNumber=')), '>', 2, 'in parts');
	sql("SELECT skyvault_put('t1', 'since', 'x'), skyvault_delete('t2', repeat('k', 1950) || 7); SELECT skyvault_flush('large')");
	is($other->safe_psql(restore(", 'large'"), $all), $expected, 'and restored');
	is(sql("SELECT object, problem FROM skyvault_verify_vault('large', true)"), '', 'it is whole');
}

done_testing();
