# While a worker is in the middle of a compaction its database is moved to another
# tablespace, renamed and copied, others are dropped, and a standby is promoted:
# the worker is in nobody's way, nothing is lost, and somebody else does its job.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

# Two runs, with keys that are in both and in older ones; the plain table has the same.
my $round = 0;

sub write_runs
{
	my ($node, $database) = @_;

	foreach (1 .. 2)
	{
		$round++;
		$node->safe_psql($database, <<~SQL);
			SELECT mirror_multi_put('kv', array_agg('key' || n), array_agg('round $round of ' || n))
				FROM generate_series($round, $round + 600) AS n;
			SELECT mirror_delete('kv', 'key' || n) FROM generate_series($round * 2, $round * 2 + 5) AS n;
			SELECT skyvault_flush();
			SQL
	}
}

# A compaction that waits at the point; nobody waits for it.  Its job's id.
sub stop_compaction
{
	my ($node, $database, $point) = @_;
	my $client = session($node, $database);

	write_runs($node, $database);
	$node->safe_psql('postgres', "SELECT stop_point_arm('$point', 'wait')");
	$client->send("SELECT skyvault_compact('kv', true)");
	$node->safe_psql('postgres', "CALL stop_point_await('$point')");
	$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . $client->pid . ')');
	$client->receive;
	$client->quit;
	return $node->safe_psql($database, "SELECT id FROM skyvault.job WHERE kind = 'compact' AND state = 'running'");
}

sub disarm
{
	my ($node, $point) = @_;

	return $node->safe_psql('postgres', "SELECT stop_point_disarm('$point')");
}

sub agrees
{
	my ($node, $database, $test_name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($node->safe_psql($database, "SELECT * FROM differences('kv') LIMIT 5"), '', $test_name);
}

# The job of the worker that had to go is taken away, and what it was to do is done.
sub goes_on
{
	my ($node, $database, $job, $case) = @_;

	agrees($node, $database, "$case: nothing is lost");
	$node->safe_psql($database, "SELECT skyvault_compact('kv', true)");
	is($node->safe_psql($database, "SELECT state, error FROM skyvault.job WHERE id = $job"),
		'failed|the worker ended before the job did', "$case: its job is taken away");
	is($node->safe_psql($database, "SELECT string_agg(tier::text || level, ' ') FROM skyvault.run"), 'l1',
		"$case: and done by another");
	agrees($node, $database, "$case: nothing is lost then");
}

my @points = qw(compact-planned compact-open-input compact-end-output compact-before-publish compact-before-commit);

# The database itself.
{
	my $node = new_server('moved', settings => "max_worker_processes = 20\nskyvault.max_workers = 4\nskyvault.ttl_grace = 0\n");
	my $place = PostgreSQL::Test::Utils::tempdir();

	$node->safe_psql('postgres', "CREATE TABLESPACE place LOCATION '$place'");
	$node->safe_psql('postgres', 'CREATE DATABASE a');
	install_skyvault($node, 'a');
	make_mirror($node, ['kv'], 'skyvault', 'a');

	foreach my $point (@points)
	{
		foreach my $statement (
			'ALTER DATABASE a SET TABLESPACE place', 'ALTER DATABASE a RENAME TO b', 'CREATE DATABASE copy TEMPLATE a')
		{
			my $case = "$statement at $point";
			my $job = stop_compaction($node, 'a', $point);

			$node->safe_psql('postgres', $statement);
			is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'skyvault compaction'"),
				0, "$case: the worker has gone");
			disarm($node, $point);
			$node->safe_psql('postgres', 'ALTER DATABASE b RENAME TO a') if $statement =~ /RENAME/;
			$node->safe_psql('postgres', 'ALTER DATABASE a SET TABLESPACE pg_default') if $statement =~ /TABLESPACE/;
			if ($statement =~ /TEMPLATE/)
			{
				agrees($node, 'copy', "$case: the copy reads what was copied");
				fails_with($node, "SELECT skyvault_compact('kv', true)", '55000',
					qr/This database is a copy of the one that owns it/, "$case: the copy does not go on with the job", 'copy');
				agrees($node, 'copy', "$case: and reads on");
				$node->safe_psql('postgres', 'DROP DATABASE copy');
			}
			goes_on($node, 'a', $job, $case);
		}
	}

	# Each process has to let go of the files of a database that is moved or dropped:
	# a worker does while it merges.
	$node->safe_psql('postgres', 'CREATE DATABASE other');
	foreach my $statement ('ALTER DATABASE other SET TABLESPACE place', 'DROP DATABASE other')
	{
		my $asker = session($node);
		my $client = session($node, 'a');

		write_runs($node, 'a');
		$node->safe_psql('postgres', "SELECT stop_point_arm('$_', 'wait')") foreach qw(compact-begin-output compact-end-output);
		$client->send("SELECT skyvault_compact('kv', true)");
		$node->safe_psql('postgres', "CALL stop_point_await('compact-begin-output')");
		$asker->send($statement);
		ok($node->poll_query_until('postgres',
				'SELECT wait_event = $$ProcSignalBarrier$$ FROM pg_stat_activity WHERE pid = ' . $asker->pid),
			"$statement waits for all processes");
		disarm($node, 'compact-begin-output');
		is(($asker->receive)[1], undef, "$statement while a worker merges");
		$node->safe_psql('postgres', "CALL stop_point_await('compact-end-output')");
		disarm($node, 'compact-end-output');
		is(($client->receive)[1], undef, "$statement: the compaction goes on");
		agrees($node, 'a', "$statement: nothing is lost");
		$_->quit foreach ($asker, $client);
	}
	$node->stop;
}

# A standby is promoted, and the old primary lives on.
foreach my $point (qw(compact-planned compact-end-output compact-before-commit))
{
	my $case = "promoted at $point";
	my $name = $point =~ s/\W/_/gr;
	my $store = PostgreSQL::Test::Utils::tempdir();
	my $primary = new_server("primary_$name", streaming => 1,
		settings => "skyvault.ttl_grace = 0\nskyvault.retention = 0\nskyvault.orphan_grace = 0\n");
	my $standby = PostgreSQL::Test::Cluster->new("standby_$name");

	$primary->safe_psql('postgres', "ALTER SERVER skyvault OPTIONS (SET url 'file:$store', ADD shared 'on')");
	make_mirror($primary, ['kv']);
	$primary->backup('backup');
	$standby->init_from_backup($primary, 'backup', has_streaming => 1);
	$standby->start;
	my $job = stop_compaction($primary, 'postgres', $point);
	$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
	$standby->promote;
	agrees($standby, 'postgres', "$case: nothing is lost");
	write_runs($standby, 'postgres');
	goes_on($standby, 'postgres', $job, $case);

	# The old primary comes to the end of its job, and no further.
	disarm($primary, $point);
	ok($primary->poll_query_until('postgres', "SELECT state <> 'running' FROM skyvault.job WHERE id = $job"),
		"$case: the worker of the old primary ends");
	is($primary->safe_psql('postgres', "SELECT coalesce(sqlstate, state) FROM skyvault.job WHERE id = $job"),
		$point eq 'compact-planned' ? '55000' : 'done', "$case: in its own catalogue");
	agrees($primary, 'postgres', "$case: the old primary reads what it had");
	$primary->safe_psql('postgres', "SELECT skyvault_put('kv', 'old', 'primary')");
	fails_with($primary, 'SELECT skyvault_flush()', '55000', qr/does not own the vault/, "$case: but does not flush");
	fails_with($primary, 'SELECT * FROM skyvault_gc(sweep => true)', '55000', qr/does not own the vault/, "$case: nor collect");
	agrees($standby, 'postgres', "$case: the promoted one is as it was");
	cmp_ok($standby->safe_psql('postgres', 'SELECT count(*) FROM skyvault_gc(sweep => true)'), '>', 0, "$case: it collects");
	is($standby->safe_psql('postgres', "SELECT * FROM skyvault_verify_vault('skyvault', true)"), '',
		"$case: and the store is what its catalogue says");
	agrees($standby, 'postgres', "$case: nothing is lost in the end");
	$_->stop('immediate') foreach ($primary, $standby);
}

done_testing();
