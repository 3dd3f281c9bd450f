# Schedulers that end, or find no process, are started again after pauses that grow, and
# that start anew after a healthy life.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;
use Time::HiRes qw(usleep);

# Room for the launcher, Postgres's own of logical replication, a scheduler, and one more.
my $node = new_server('main',
	settings => "skyvault.retry_max_interval = 1h\nlog_min_messages = debug1\nmax_worker_processes = 4\n");

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub settings { reload_with($node, @_) }

my $database = sql("SELECT oid FROM pg_database WHERE datname = 'postgres'");

# What the log has of the database's since then, once these are so many.
sub await_pauses
{
	my ($n, $log_at, $dboid) = @_;

	foreach (1 .. 100 * $PostgreSQL::Test::Utils::timeout_default)
	{
		my @pauses = slurp_file($node->logfile, $log_at) =~ /skyvault scheduler of database $dboid starts again in (\d+) ms/g;
		return @pauses if @pauses >= $n;
		usleep(10_000);
	}
	die "there were not $n pauses";
}

# Ends it, runs the code, and waits for the next, which has to come after that pause and not before.
sub scheduler_ends
{
	my ($pause_ms, $test_name, $code) = @_;
	my $pid = scheduler_pid($node);
	my $log_at = -s $node->logfile;
	my ($ended) = split(/\|/, sql("SELECT clock_timestamp(), pg_terminate_backend($pid)"));

	$code->() if defined $code;
	ok(await_new_process($node, 'skyvault scheduler', $pid, 'postgres'), "$test_name: there is another");
	is(join(' ', await_pauses(1, $log_at, $database)), $pause_ms, "$test_name: the pause");
	is(sql("SELECT backend_start >= timestamptz '$ended' + interval '$pause_ms ms' FROM pg_stat_activity"
		. " WHERE backend_type = 'skyvault scheduler' AND datname = 'postgres'"), 't', "$test_name: it is kept");
}

scheduler_ends(1000, 'a scheduler ends');
my $launcher = sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'skyvault launcher'");
sql("SELECT pg_terminate_backend($launcher)");
scheduler_ends(2000, 'a scheduler and the launcher end');
ok(await_new_process($node, 'skyvault launcher', $launcher), 'there is another launcher');
scheduler_ends(4000, 'a scheduler ends under the new launcher', sub { settings('skyvault.retry_max_interval = 2s') });

# Who has run for as long as the longest pause was healthy.
ok($node->poll_query_until('postgres', "SELECT clock_timestamp() > backend_start + interval '2500 ms' FROM pg_stat_activity"
	. " WHERE backend_type = 'skyvault scheduler' AND datname = 'postgres'"), 'a scheduler lives on');
scheduler_ends(1000, 'a healthy scheduler ends');

#
# There is no process to be had.
#
settings('skyvault.retry_max_interval = 1h');
my $log_at = -s $node->logfile;
sql("SELECT skyvault_create_table('kv')");
sql("SELECT skyvault_put('kv', 'key', '$_'); SELECT skyvault_flush()") foreach 1 .. 2;
sql("SELECT stop_point_arm('compact-before-run', 'wait')");
my $client = session($node);
$client->send("SELECT skyvault_compact('kv')");
sql("CALL stop_point_await('compact-before-run')");
sql('CREATE DATABASE a');
my $a = sql("SELECT oid FROM pg_database WHERE datname = 'a'");
$node->safe_psql('a', 'CREATE EXTENSION skyvault');
my @pauses = await_pauses(2, $log_at, $a);
sql("SELECT stop_point_disarm('compact-before-run')");
$client->receive;
$client->quit;

# Nobody tells the launcher that there is room now.
ok(await_new_process($node, 'skyvault scheduler', 0, 'a'), 'there is room again: a scheduler starts');
@pauses = await_pauses(2, $log_at, $a);
is("@pauses", join(' ', map { 1000 * 2 ** $_ } 0 .. $#pauses), 'no room: the pauses grow');

done_testing();
