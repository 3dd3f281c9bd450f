# A vault is not swept for ever, but after the end of a load once more, though the load has no
# job: what it uploads behind the sweeps that there were while it ran would stay for good.
use strict;
use warnings;

use File::Find qw(find);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;
use Time::HiRes qw(usleep);

my $node = new_server('main', settings => <<~CONF);
	skyvault.retention = 0
	skyvault.orphan_grace = 0
	skyvault.bulk_threshold = 0
	skyvault.load_workers = 0
	CONF
my $store = PostgreSQL::Test::Utils::tempdir();

sub sql { return $node->safe_psql('postgres', $_[0]) }

# Objects of runs that nothing names.
sub orphans
{
	my %named = map { ("$store/$_" => 1) } run_objects($node);
	my @files;

	find({ wanted => sub { push @files, $_ if /-x\d+\.sst$/ && !$named{$_} }, no_chdir => 1 }, $store);
	return @files;
}

sub await_none
{
	foreach (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return 1 if orphans() == 0;
		usleep(100_000);
	}
	return 0;
}

sql(<<~SQL);
	CREATE SERVER vault FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:$store', shared 'on');
	CREATE FOREIGN TABLE t (k bigint, v text) SERVER vault OPTIONS (key 'k');
	INSERT INTO t VALUES (1, 'first');
	SQL
sql("SELECT skyvault_flush('vault')");

# It has taken the vault, and has uploaded nothing.
my $client = session($node);
sql("SELECT stop_point_arm('load-begin-run', 'wait')");
$client->send('INSERT INTO t SELECT n, $$never$$ FROM generate_series(1, 100) AS n');
sql("CALL stop_point_await('load-begin-run')");

# As many sweeps as are enough, each stopped when it has listed the vault.
foreach my $sweep (1, 2)
{
	sql("SELECT stop_point_arm('gc-listed', 'wait')");
	reload_with($node, 'skyvault.gc_interval = 1s', 'skyvault.sweep_interval = 1s');
	sql("CALL stop_point_await('gc-listed')");
	pass("sweep $sweep");
}
# The turn that the second belongs to ends.
sql("SELECT stop_point_arm('gc-turn', 'wait'), stop_point_disarm('gc-listed')");
sql("CALL stop_point_await('gc-turn')");
sql("SELECT stop_point_arm('load-uploaded', 'error'), stop_point_disarm('load-begin-run')");
like(($client->receive)[1], qr/stop point/, 'the load fails when it has uploaded');
$client->quit;
is(scalar(orphans()), 1, 'what it has uploaded is there');
sql("SELECT stop_point_disarm('gc-turn')");
ok(await_none(), 'a sweep after its end finds it, without being asked');
is(sql('SELECT v FROM t'), 'first', 'and nothing else');

# What a load has left that was given up is looked for soon, whatever the interval; one that is
# committed is no reason to list the vault.
$node->append_conf('postgresql.conf', "skyvault.gc_interval = 0\nskyvault.sweep_interval = 1d");
$node->restart;
sub collections { return sql("SELECT coalesce(sum(requests), 0) FROM skyvault_stat_store WHERE operation = 'list'") }

sub await_turns
{
	foreach (1, 2)
	{
		sql("SELECT stop_point_arm('gc-turn', 'wait')");
		sql("CALL stop_point_await('gc-turn')");
	}
	sql("SELECT stop_point_disarm('gc-turn')");
}

$client = session($node);
$client->run('INSERT INTO t SELECT n, $$loaded$$ FROM generate_series(1, 100) AS n');
my $listings = collections();
reload_with($node, 'skyvault.gc_interval = 1s');
await_turns();
is(collections(), $listings, 'a load that was committed: the vault is not listed');
$client->run('BEGIN; INSERT INTO t SELECT n, $$never$$ FROM generate_series(1, 100) AS n');
await_turns();
is(scalar(orphans()), 1, 'while a load is not committed, its object is there');
is(collections(), $listings, 'and nobody looks for it');
$client->run('ROLLBACK');
ok(await_none(), 'a load that was given up: its object goes soon');
cmp_ok(collections(), '>', $listings, 'for which the vault was listed');
is(sql('SELECT count(*) FROM t'), '100', 'and no other');
done_testing();
