# Back-pressure on runs of level 0, and what it is for: however slow flushes and
# compactions are, what is behind them stays bounded.
use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server('main', settings => <<'SETTINGS');
skyvault.flush_size = 64kB
skyvault.slowdown_debt = 4
skyvault.stop_debt = 10
skyvault.stop_wait = 200ms
skyvault.wal_runs = 2
SETTINGS
my $row = "FROM skyvault_stat_pressure WHERE server = 'skyvault'";

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

sub settings
{
	my ($name, $value) = @_;

	sql("ALTER SYSTEM SET skyvault.$name = '$value'");
	sql('SELECT pg_reload_conf()');
	$node->poll_query_until('postgres', "SELECT current_setting('skyvault.$name') = '$value'")
		or die "the setting of $name did not arrive";
}

# Runs of level 0 of "kv": WAL runs and buffer runs.
my $runs_of = "(SELECT coalesce(sum(runs) FILTER (WHERE tier = '%s'), 0) FROM skyvault_forest WHERE rel = 'kv'::regclass AND level = 0)";
my ($wal_runs, $buffer_runs) = map { sprintf($runs_of, $_) } 'w', 'b';

#
# A job that brings level 0 down takes long; WAL runs are merged meanwhile, by
# the other worker.
#
sub make_buffer_run
{
	my $before = sql("SELECT $buffer_runs");

	sql("SELECT skyvault_put('kv', 'a', '1'), skyvault_put('kv', 'z', '1'); SELECT skyvault_flush()") foreach 1 .. 2;
	$node->poll_query_until('postgres', "SELECT $wal_runs = 0 AND $buffer_runs = $before + 1") or die 'no buffer run came';
}

sql("SELECT skyvault_create_table('kv')");
make_buffer_run() foreach 1 .. 3;
sql("SELECT stop_point_arm('compact-before-run', 'wait', 1)");
settings('buffer_runs', 1);
sql("CALL stop_point_await('compact-before-run')");
my $state = "SELECT state = '%s' AND level0_debt = %d AND wal_debt = 0 $row";
ok($node->poll_query_until('postgres', sprintf($state, 'none', 3)), 'each buffer run counts while the job goes on');
make_buffer_run() foreach 1 .. 2;
ok($node->poll_query_until('postgres', sprintf($state, 'slowed', 5)), 'beyond skyvault.slowdown_debt writes are slowed down');
make_buffer_run() foreach 1 .. 4;
ok($node->poll_query_until('postgres', sprintf($state, 'slowed', 9)), 'just below skyvault.stop_debt they still are');
make_buffer_run();
ok($node->poll_query_until('postgres', sprintf($state, 'held', 10)), 'at skyvault.stop_debt they are held');
settings('stop_wait', '1h');

my $waiter = session($node);

$waiter->send("SELECT skyvault_put('kv', 'held', 'after all')");
ok($node->poll_query_until('postgres', "SELECT waiting = 1 $row"), 'a write waits for level 0');
sql("SELECT stop_point_disarm('compact-before-run')");
is(($waiter->receive)[1], undef, 'until the job has ended');
ok($node->poll_query_until('postgres', "SELECT state = 'none' AND level0_debt <= 1 $row"), 'then nothing is behind');
is(sql("SELECT gave_up $row"), 0, 'it has not given up');
$waiter->quit;

#
# Four sessions write as fast as they can.
#
my $value_bytes = 20000;
my $script = PostgreSQL::Test::Utils::tempdir() . '/upsert.sql';
my $said = '';

append_to_file($script, "\\set k random(1, 1000)\nSELECT skyvault_put('kv', 'key ' || :k, repeat('x', $value_bytes));\n");
settings('buffer_runs', 2);
settings('stop_wait', '1s');
sql('SELECT skyvault_stat_amplification_reset()');
my $load = IPC::Run::start(
	[ 'pgbench', '-n', '-c', 4, '-j', 2, '-T', 3600, '-f', $script, $node->connstr('postgres') ],
	'<', \undef, '>', \$said, '2>', \$said);

# The bounds are of skyvault.stop_debt, 10.  Of the delta: who was let through just
# below it commits one statement more, and so does who has given up.
sub delta_bound
{
	my ($gave_up) = @_;

	return 10 * 64 * 1024 + (4 + $gave_up) * ($value_bytes + 200);
}

# Of WAL runs: at 20 there may be a flush under way, and in the delta 10 more
# and those statements.  Each two of them make a buffer run, beyond 20 of these.
sub wal_bound
{
	my ($gave_up) = @_;

	return 20 + 1 + 10 + 4 + $gave_up;
}

# Looks until all four are held, or a bound is broken.
sub hold_all
{
	my ($what) = @_;
	my $kept = 1;
	my $all = 0;

	while ($kept && !$all && $load->pumpable)
	{
		my ($delta, $gave_up, $state, $waiting, $wal, $buffer) =
		  split(/\|/, sql("SELECT delta_bytes, gave_up, state, waiting, $wal_runs, $buffer_runs $row"));

		$kept = $delta <= delta_bound($gave_up) && $wal <= wal_bound($gave_up)
		  && $buffer <= 20 + wal_bound($gave_up) / 2;
		$all = $state eq 'held' && $waiting == 4;
		diag("$what: $delta bytes in the delta, $wal WAL runs, $buffer buffer runs, $gave_up gave up") unless $kept;
		$load->pump_nb;
	}
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($kept && $all, "$what: in the end all are held, and what is behind is bounded");
}

foreach my $round (1 .. 3)
{
	sql("SELECT stop_point_arm('flush-uploaded', 'wait')");
	hold_all("a flush that takes long, $round");
	sql("SELECT stop_point_disarm('flush-uploaded')");
}
foreach my $round (1 .. 2)
{
	sql("SELECT stop_point_arm('compact-before-run', 'wait', 100)");
	hold_all("compactions that take long, $round");
	sql("SELECT stop_point_disarm('compact-before-run')");
}
ok($node->poll_query_until('postgres', "SELECT state IN ('none', 'slowed') $row"), 'when they go on nobody is held');
ok($load->pumpable, 'all sessions still write');
$load->kill_kill;
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'client backend'")
	or die 'sessions stay';
is($said =~ /ERROR|aborted/ ? $said : '', '', 'none has met an error');
sql('SELECT skyvault_flush()');
ok($node->poll_query_until('postgres', "SELECT state = 'none' AND delta_bytes = 0 $row"), 'what was behind is worked off');
is(sql("SELECT count(*) FROM skyvault_verify('kv', true)"), 0, 'and whole');
$node->stop;
done_testing();
