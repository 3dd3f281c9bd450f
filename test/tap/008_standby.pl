# A streaming standby that reaches the primary's store reads what the primary
# has, writes nothing, and takes over.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my @tables = qw(one two);
my $directory = PostgreSQL::Test::Utils::tempdir();
my $primary = new_server('primary', streaming => 1,
	settings => "max_connections = 20\nhot_standby_feedback = on\nmax_standby_streaming_delay = -1\n");

$primary->safe_psql('postgres',
	"CREATE SERVER shared FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:$directory', shared 'on')");
make_mirror($primary, \@tables, 'shared');
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;

sub write_round
{
	my ($node, $round) = @_;

	$node->safe_psql('postgres', <<~SQL);
		BEGIN;
		SELECT mirror_multi_put(t, array_agg('key' || n), array_agg('round $round of ' || n))
			FROM unnest('{one,two}'::text[]) AS t, generate_series($round * 5, $round * 20 + 50) AS n GROUP BY t;
		SELECT mirror_delete(t, 'key' || n)
			FROM unnest('{one,two}'::text[]) AS t, generate_series($round * 6, $round * 6 + 4) AS n;
		COMMIT;
		SQL
}

sub await_replay
{
	$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
}

# What a scan forward and backward, gets, multi_gets and what the planner makes of
# two tables say.
my %planned = planned_reads(@tables);
my $planned = join(";\n", map { $planned{$_} } sort keys %planned);
my $digest = <<'SQL' . $planned;
SELECT count(*), md5(string_agg(key || value, ',')) FROM skyvault_scan('one');
SELECT count(*), md5(string_agg(key || value, ',')) FROM skyvault_scan('two', 'key2', 'key8', reverse => true);
SELECT md5(string_agg(coalesce(skyvault_get('one', 'key' || n), 'none'), ',' ORDER BY n)) FROM generate_series(1, 200) AS n;
SELECT md5(string_agg(key || coalesce(value, 'none'), ','))
	FROM skyvault_multi_get((SELECT array_agg(CASE n % 2 WHEN 0 THEN 'one' ELSE 'two' END::regclass) FROM generate_series(1, 200) AS n),
							(SELECT array_agg('key' || n) FROM generate_series(1, 200) AS n));
SELECT count(value), md5(string_agg(key || coalesce(value, 'none'), ','))
	FROM skyvault_multi_get('two', (SELECT array_agg('key' || n) FROM generate_series(200, 1, -1) AS n));
SQL
my %of_mirrors = planned_reads(map { live_mirror($_) } @tables);
my $of_mirrors = join(";\n", map { $of_mirrors{$_} } sort keys %of_mirrors);

sub standby_agrees
{
	my ($case) = @_;

	await_replay();
	is($standby->safe_psql('postgres', $digest), $primary->safe_psql('postgres', $digest),
		"$case: the standby answers as the primary does");
	same_content($standby, \@tables, "$case: tables agree with their mirrors on the standby");
	is($standby->safe_psql('postgres', $planned), $standby->safe_psql('postgres', $of_mirrors),
		"$case: joins, = ANY, ORDER BY and LIMIT of tables on the standby are those of their mirrors");
}

# The plans that are meant, with those on two tables.
my %lookups = (
	'a join' => qr/Lookup: full scan.*Lookup: (?:point|full scan)/s, 'a join by lookups' => qr/Lookup: point/, '= ANY' => qr/Lookup: batch/,
	'ORDER BY and LIMIT' => qr/Limit.*Lookup: range/s, 'ORDER BY DESC and LIMIT' => qr/Limit.*Lookup: range/s);
await_replay();
foreach my $what (sort keys %planned)
{
	my $plan = $standby->safe_psql('postgres', "EXPLAIN (COSTS OFF) $planned{$what}");

	like($plan, $lookups{$what}, "$what on the standby is planned so");
}

# One session from the first round on: what it has cached must not outlive its truth,
# nor what it found to be steady while snapshots came and went.
my $reader = session($standby);
foreach my $round (1 .. 4)
{
	write_round($primary, $round);
	standby_agrees("round $round in the delta");
	is($reader->run($digest), $primary->safe_psql('postgres', $digest), "round $round in the delta: a session of the standby keeps up");
	$primary->safe_psql('postgres', 'SELECT skyvault_flush()');
	is(delta_rows($primary), 0, "round $round: flushed");
	standby_agrees("round $round in a run");
	is($reader->run($digest), $primary->safe_psql('postgres', $digest),
		"round $round in a run: a session of the standby keeps up");
}

# A snapshot of the standby sees the same through flushes of the primary.
my $snapshot = session($standby);
write_round($primary, 5);
await_replay();
$snapshot->run('BEGIN ISOLATION LEVEL REPEATABLE READ');
my $seen = $snapshot->run($digest);
$primary->safe_psql('postgres', 'SELECT skyvault_flush()');
write_round($primary, 6);
$primary->safe_psql('postgres', 'SELECT skyvault_flush()');
await_replay();
is($snapshot->run($digest), $seen, 'a REPEATABLE READ transaction of the standby sees one snapshot');
$snapshot->run('COMMIT');
isnt($snapshot->run($digest), $seen, 'and the next transaction sees what came since');
$snapshot->quit;

my %writes = (
	'a put' => "SELECT skyvault_put('one', 'key', 'value')",
	'a multi_put' => "SELECT skyvault_multi_put('one', ARRAY['key'], ARRAY['value'])",
	'a delete' => "SELECT skyvault_delete('one', 'key')",
	'a get that locks' => "SELECT skyvault_get('one', 'key10', for_update => true)",
	'skyvault_create_table' => "SELECT skyvault_create_table('three')",
	'a flush' => 'SELECT skyvault_flush()',
	'INSERT' => "INSERT INTO one VALUES ('key', 'value')",
	'UPDATE' => "UPDATE one SET value = 'value' WHERE key = 'key10'",
	'DELETE' => "DELETE FROM one WHERE key = 'key10'",
	'TRUNCATE' => 'TRUNCATE one');
foreach my $what (sort keys %writes)
{
	fails_with($standby, $writes{$what}, '25006', qr/read-only transaction|during recovery/, "$what is refused on the standby");
}
is($standby->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'skyvault%'"),
	0, 'no worker runs on the standby');

# The standby takes over, with rows in the delta that the primary never flushed.
write_round($primary, 7);
await_replay();
$primary->stop('immediate');
$standby->promote;
same_content($standby, \@tables, 'promoted: tables agree with their mirrors');
ok(await_new_process($standby, 'skyvault launcher', 0), 'promoted: the launcher starts');
ok(await_new_process($standby, 'skyvault scheduler', 0, 'postgres'), 'promoted: the scheduler starts');
cmp_ok($standby->safe_psql('postgres', 'SELECT skyvault_flush()'), '>', 0, 'promoted: a flush takes what the primary left');
is(delta_rows($standby), 0, 'promoted: the delta is empty then');
write_round($standby, 8);
same_content($standby, \@tables, 'promoted: it can be written');
is($reader->run($digest), $standby->safe_psql('postgres', $digest), 'promoted: a session that was there before keeps up');
$standby->safe_psql('postgres', 'SELECT skyvault_flush()');
same_content($standby, \@tables, 'promoted: and flushed again');
is($reader->run($digest), $standby->safe_psql('postgres', $digest), 'promoted: and so it does then');
$reader->quit;

done_testing();
