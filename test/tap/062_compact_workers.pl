# Compaction workers: they are in nobody's way, are taken over when they die, can
# be paused, and say why when they cannot run.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

# Room for the launcher, Postgres's own of logical replication, two schedulers and
# one worker.
my $node = new_server('main', settings => "max_worker_processes = 5\nskyvault.max_workers = 3\nskyvault.retention = 0\n");

sub workers
{
	my ($database) = @_;

	return $node->safe_psql('postgres',
		"SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'skyvault compaction' AND datname = '$database'");
}

# Two runs of a table.
sub write_runs
{
	my ($database, $table) = @_;

	$table //= 'kv';
	$node->safe_psql($database, <<~SQL) foreach 1 .. 2;
		SELECT skyvault_multi_put('$table', array_agg('key' || n), array_agg('$_ of ' || n)) FROM generate_series($_, $_ + 50) AS n;
		SELECT skyvault_flush();
		SQL
}

sub is_compacted
{
	my ($database, $test_name) = @_;

	return is($node->safe_psql($database, "SELECT string_agg(DISTINCT tier::text, ',') FROM skyvault.run"), 'l', $test_name);
}

# Starts a compaction that waits at the point, and returns the session that waits for it.
sub waiting_compaction
{
	my ($database, $point) = @_;
	my $client = session($node, $database);

	write_runs($database);
	$node->safe_psql('postgres', "SELECT stop_point_arm('$point', 'wait')");
	$client->send("SELECT skyvault_compact('kv')");
	$node->safe_psql('postgres', "CALL stop_point_await('$point')");
	return $client;
}

sub disarm { $node->safe_psql('postgres', "SELECT stop_point_disarm('$_[0]')") }

sub make_database
{
	my ($database) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, "CREATE EXTENSION skyvault; SELECT skyvault_create_table('kv')");
}

$node->safe_psql('postgres', "SELECT skyvault_create_table('kv')");

#
# A worker is a session of its database, and yet in nobody's way, whatever it does.
#
foreach my $point (qw(compact-before-run compact-open-input compact-before-publish))
{
	foreach my $statement ('DROP DATABASE a', 'DROP DATABASE a WITH (FORCE)')
	{
		my $case = "$statement at $point";

		make_database('a');
		my $client = waiting_compaction('a', $point);
		is(workers('a'), 1, "$case: the worker is a session of the database");
		if ($statement !~ /FORCE/)
		{
			give_up($node, $client);
		}
		$node->safe_psql('postgres', $statement);
		pass($case);
		is(workers('a'), 0, "$case: no worker is left");
		disarm($point);
		if ($statement =~ /FORCE/)
		{
			$client->await_lost;
			$client->quit;
		}
	}
}

make_database('a');
my $client = waiting_compaction('a', 'compact-open-input');
give_up($node, $client);
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE a');
pass('a database with a worker can be copied');
disarm('compact-open-input');
$node->safe_psql('postgres', 'DROP DATABASE copy');
$client = waiting_compaction('a', 'compact-open-input');
give_up($node, $client);
$node->safe_psql('postgres', 'ALTER DATABASE a RENAME TO b');
pass('a database with a worker can be renamed');
disarm('compact-open-input');
write_runs('b');
$node->safe_psql('b', "SELECT skyvault_compact('kv')");
is_compacted('b', 'and compacted then');
is($node->safe_psql('b', "SELECT DISTINCT error FROM skyvault.job WHERE state = 'failed' AND kind = 'compact'"),
	'the worker ended before the job did', 'the jobs of the workers that had to go are taken away');

#
# There is no process to be had.
#
make_database('c');
my $log_at = -s $node->logfile;
write_runs('postgres');
fails_with($node, "SELECT skyvault_compact('kv')", '55000',
	qr/no skyvault compaction worker runs.*max_worker_processes/s, 'all background worker slots are taken: says so');
ok($node->log_contains('no free background worker slot for a skyvault compaction worker', $log_at),
	'there is a warning in the log');
$node->safe_psql('postgres', 'DROP DATABASE b');
$node->safe_psql('postgres', "SELECT skyvault_compact('kv')");
is_compacted('postgres', 'a slot is free again: compacted');
$node->safe_psql('postgres', 'DROP DATABASE c');

$node->append_conf('postgresql.conf', 'skyvault.max_workers = 0');
$node->reload;
write_runs('postgres');
ok($node->poll_query_until('postgres', "SELECT current_setting('skyvault.max_workers') = '0'"), 'reloaded');
fails_with($node, "SELECT skyvault_compact('kv')", '55000', qr/skyvault\.max_workers is 0/, 'no workers allowed: says so');
$node->append_conf('postgresql.conf', 'skyvault.max_workers = 2');
$node->reload;
ok($node->poll_query_until('postgres', "SELECT current_setting('skyvault.max_workers') = '2'"), 'reloaded');
$node->safe_psql('postgres', "SELECT skyvault_compact('kv')");
is_compacted('postgres', 'workers allowed again: compacted');

#
# A worker that is ended by hand: another one takes over.
#
my $taken_away = 0;
foreach my $point (qw(compact-planned compact-before-run compact-open-input compact-begin-output compact-before-publish compact-before-commit))
{
	my $client = waiting_compaction('postgres', $point);

	$node->safe_psql('postgres',
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'skyvault compaction'");
	disarm($point);
	went_well($client, "$point: a worker is terminated, and who waits has what he asked for");
	is_compacted('postgres', "$point: compacted by another");
	is($node->safe_psql('postgres', "SELECT count(*) FROM skyvault.job WHERE error = 'the worker ended before the job did'"),
		++$taken_away, "$point: the first job is taken away");
}

#
# Progress, while it runs.
#
$client = waiting_compaction('postgres', 'compact-after-run');
is($node->safe_psql('postgres', "SELECT kind, state, reason IS NOT NULL, progress > 0, entries_in, bytes_in > 0"
	. " FROM skyvault_jobs WHERE state = 'running'"), 'compact|running|t|t|154|t', 'a job under way shows its progress');
disarm('compact-after-run');
went_well($client, 'it ends');
is($node->safe_psql('postgres', "SELECT state, entries_in, entries_out, cardinality(inputs), cardinality(outputs)"
	. " FROM skyvault_jobs WHERE kind = 'compact' ORDER BY id DESC LIMIT 1"), 'done|154|52|3|1', 'and leaves what it did');

#
# A job that ends between a look at the jobs and one at its lock has not died.
#
$client = waiting_compaction('postgres', 'compact-before-commit');
my $job = $node->safe_psql('postgres', "SELECT id FROM skyvault.job WHERE state = 'running'");
$node->safe_psql('postgres', "SELECT stop_point_arm('compact-looked', 'wait')");
$node->safe_psql('postgres', 'SELECT skyvault_pause()');
$node->safe_psql('postgres', 'SELECT skyvault_resume()');
$node->safe_psql('postgres', "CALL stop_point_await('compact-looked')");
disarm('compact-before-commit');
ok($node->poll_query_until('postgres', "SELECT state = 'done' AND NOT EXISTS (SELECT FROM pg_locks"
	. " WHERE locktype = 'object' AND classid = 0 AND objid = $job) FROM skyvault.job WHERE id = $job"),
	'a job ends while the scheduler looks at the jobs');
disarm('compact-looked');
went_well($client, 'who waits for it has what he asked for');
write_runs('postgres');
$node->safe_psql('postgres', "SELECT skyvault_compact('kv')");
is($node->safe_psql('postgres', "SELECT state, error FROM skyvault.job WHERE id = $job"), 'done|',
	'and the scheduler does not take it for one whose worker died');

#
# Pause.
#
$node->append_conf('postgresql.conf', "skyvault.wal_runs = 2\nskyvault.buffer_runs = 1\n");
$node->reload;
$node->safe_psql('postgres', 'SELECT skyvault_pause()');
write_runs('postgres');
fails_with($node, "SELECT skyvault_compact('kv')", '55000', qr/compaction of server "skyvault" is paused.*skyvault_resume/s,
	'a paused vault is not compacted by hand');
is($node->safe_psql('postgres', "SELECT count(*) FROM skyvault.run WHERE tier = 'w'"), 2, 'nor by itself');
cmp_ok($node->safe_psql('postgres', 'SELECT skyvault_export()'), '>', 0, 'its changes are exported all the same');
cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM skyvault_gc() WHERE held_by IS NULL"), '>', 0, 'and what was removed is collected');
$node->safe_psql('postgres', "CREATE SERVER goes FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:goes');"
	. " SELECT skyvault_create_table('going', server => 'goes')");
$node->safe_psql('postgres', 'SELECT skyvault_pause()');
is($node->safe_psql('postgres', 'SELECT count(*) FROM skyvault.pause'), 2, 'both vaults are paused');
$node->safe_psql('postgres', 'DROP SERVER goes CASCADE');
write_runs('postgres');
ok($node->poll_query_until('postgres', 'SELECT array_agg(p.vault_id) = array_agg(v.id) FROM skyvault.pause AS p'
	. ' FULL JOIN skyvault.vault AS v ON v.id = p.vault_id'), 'of a server that is dropped nothing stays');
$node->safe_psql('postgres', "SELECT skyvault_resume('skyvault')");
ok($node->poll_query_until('postgres', "SELECT string_agg(tier::text, '') = 'l' FROM skyvault.run"),
	'resumed: compacted without being asked');
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'skyvault compaction'"),
	'workers go when there is nothing to do');

#
# The extension goes while a worker works.
#
$node->append_conf('postgresql.conf', "skyvault.wal_runs = 1000\nskyvault.buffer_runs = 1000\n");
$node->reload;
ok($node->poll_query_until('postgres', "SELECT current_setting('skyvault.buffer_runs') = '1000'"), 'reloaded');
foreach my $point (qw(compact-before-run compact-before-publish))
{
	make_database('a');
	my $client = waiting_compaction('a', $point);
	give_up($node, $client);
	$node->safe_psql('a', 'DROP EXTENSION skyvault CASCADE');
	disarm($point);
	ok($node->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'skyvault%' AND datname = 'a'"),
		"DROP EXTENSION at $point: its processes end");
	$node->safe_psql('postgres', 'DROP DATABASE a');
}

done_testing();
