# A compaction in parts, done by several workers at once: it is one job, published
# once, whoever dies, fails or is ended meanwhile, at each step, and whatever users do.
use strict;
use warnings;

use File::Find;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server('main', settings => <<~CONF);
	max_worker_processes = 12
	skyvault.ttl_grace = 0
	skyvault.retention = 0
	skyvault.orphan_grace = 0
	skyvault.max_workers = 2
	skyvault.subcompaction_size = 64kB
	CONF
my @tables = qw(big other);
my $round = 0;

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub arm { sql("SELECT stop_point_arm('$_[0]', '$_[1]')") }
sub await { sql("CALL stop_point_await('$_[0]')") }
sub disarm { sql("SELECT stop_point_disarm('$_')") foreach @_ }

sub make_tables
{
	make_mirror($node, [@_]);
	sql("ALTER FOREIGN TABLE $_ OPTIONS (ADD run_size '64kB', ADD subcompactions '4')") foreach @_;
}

# Three WAL runs with what does not compress, and deletes.
sub write_runs
{
	my (@of) = @_ ? @_ : ('big');

	foreach my $n (1 .. 3)
	{
		$round++;
		foreach my $table (@of)
		{
			sql(<<~SQL);
				SELECT mirror_multi_put('$table', array_agg('key' || n * 7919 % 1000),
					array_agg((SELECT string_agg(md5(format('%s %s %s', n, i, $round)), '') FROM generate_series(1, 10) AS i)))
					FROM generate_series($round * 100, $round * 100 + 600) AS n;
				SELECT mirror_delete('$table', 'key' || n * 7919 % 1000) FROM generate_series($round, $round + 5) AS n;
				SQL
		}
		sql('SELECT skyvault_flush()');
	}
}

# Sends a compaction whose owner waits where it has laid its job open, and
# waits until others wait at the points.
sub begin_compaction
{
	my (@points) = @_;
	my $client = session($node);

	write_runs();
	arm($_, 'wait') foreach 'compact-shared', @points;
	$client->send("SELECT skyvault_compact('big')");
	await($_) foreach 'compact-shared', @points;
	return $client;
}

sub job_ends
{
	my ($name) = @_;

	ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM skyvault.job WHERE state = 'running'"), "$name: the job ends");
}

my $owner = "(SELECT pid FROM skyvault_jobs WHERE state = 'running' AND kind = 'compact')";
my $helpers = "FROM pg_stat_activity WHERE backend_type = 'skyvault compaction' AND pid NOT IN $owner";

sub newest_job
{
	return sql("SELECT state, coalesce(error, ''), coalesce(parts, 0) FROM skyvault.job WHERE kind = 'compact' ORDER BY id DESC LIMIT 1");
}

sub nothing_overlaps
{
	my ($name) = @_;

	is(sql("SELECT count(*) FROM skyvault.run AS a JOIN skyvault.run AS b ON a.id < b.id AND a.level = b.level AND a.table_ids = b.table_ids"
		. " WHERE a.level > 0 AND a.min_keys[1] <= b.max_keys[1] AND b.min_keys[1] <= a.max_keys[1]"), 0, "$name: runs are disjoint");
}

# The job is done, once, and nothing is lost by it.
sub all_is_well
{
	my ($name) = @_;

	same_content($node, \@tables, "$name: tables agree with their mirrors");
	nothing_overlaps($name);
	is(sql("SELECT count(*) FROM skyvault.job WHERE state = 'running'"), 0, "$name: no job is left running");
}

sub next_compaction_works
{
	my ($name) = @_;

	sql("SELECT skyvault_compact('big')");
	is(sql("SELECT count(*) FROM skyvault.run WHERE level = 0"), 0, "$name: the next compaction does it");
	all_is_well($name);
}

make_tables(@tables);

#
# Two workers, one job.
#
my $before = sql("SELECT count(*) FROM skyvault.changelog WHERE kind = 'compact'");
my $client = begin_compaction('part-taken');
my $entries = sql('SELECT sum(e) FROM skyvault.run, unnest(entries) AS e');
my $at_once = "SELECT j.parts, j.parts_done, j.workers, j.entries_in, (SELECT count(*) $helpers)"
  . " FROM skyvault_jobs AS j WHERE state = 'running'";
is(sql($at_once), '4|0|2|0|1', 'a job in four parts, and two workers at it');
arm('part-before-hand-in', 'wait');
disarm('part-taken');
await('part-before-hand-in');
my $progress = sql("SELECT entries_in FROM skyvault_jobs WHERE state = 'running'");
cmp_ok($progress, '>', 100, 'what the other worker has done is progress of the job');
arm('part-handed-in', 'wait');
disarm('part-before-hand-in');
await('part-handed-in');
is(sql($at_once), "4|1|2|$progress|1", 'and stays when it has handed its part in');
arm('compact-own-part-done', 'wait');
disarm('compact-shared');
await('compact-own-part-done');
cmp_ok(sql("SELECT entries_in FROM skyvault_jobs WHERE state = 'running'"), '>', $progress, 'what the owner does is added');
is(sql("SELECT parts_done FROM skyvault_jobs WHERE state = 'running'"), 2, 'a part each is done');
is(sql("SELECT count(*) FROM skyvault.run WHERE level > 0"), 0, 'nothing is published of parts');
disarm('part-handed-in', 'compact-own-part-done');
went_well($client, 'the job is done');
is(newest_job(), 'done||4', 'it has had four parts');
is(sql("SELECT workers FROM skyvault_jobs WHERE kind = 'compact' ORDER BY id DESC LIMIT 1"), 2, 'done by two workers');
is(sql("SELECT count(DISTINCT split_part(object, '/', 3)) FROM skyvault.run WHERE level > 0"), 2,
	'objects of one job were written by two processes');
is(sql("SELECT count(*) FROM skyvault.changelog WHERE kind = 'compact'"), $before + 1, 'one change of the forest');
is(sql("SELECT entries_in FROM skyvault.job WHERE kind = 'compact' ORDER BY id DESC LIMIT 1"), $entries,
	'its counts are those of all parts');
all_is_well('two workers');

#
# A job whose worker finds no help.
#
$node->append_conf('postgresql.conf', 'skyvault.max_workers = 1');
$node->reload;
$node->poll_query_until('postgres', "SELECT current_setting('skyvault.max_workers') = '1'");
write_runs();
next_compaction_works('one worker allowed');
is(newest_job(), 'done||1', 'one worker allowed: jobs are not cut');
$node->append_conf('postgresql.conf', 'skyvault.max_workers = 2');
$node->reload;
$node->poll_query_until('postgres', "SELECT current_setting('skyvault.max_workers') = '2'");

# Each worker owns a job in parts: nobody waits for the other.
write_runs(@tables);
sql("SELECT skyvault_compact('big')");
write_runs('big');
sql("SELECT stop_point_arm('compact-shared', 'wait', 2)");
my @clients = map { session($node) } @tables;
$clients[$_]->send("SELECT skyvault_compact('$tables[$_]')") foreach 0 .. 1;
$node->poll_query_until('postgres', "SELECT stop_point_waiting('compact-shared') = 2");
disarm('compact-shared');
went_well($_, 'all workers own jobs in parts: each gets to its end') foreach @clients;
all_is_well('all workers own jobs');

# Who helps does a job of its own before the next part: WAL runs do not wait for a long job.
my $wal_runs_before = sql("SHOW skyvault.wal_runs");
$client = begin_compaction('part-taken');
$node->append_conf('postgresql.conf', 'skyvault.wal_runs = 2');
$node->reload;
write_runs('other');
my $other_id = sql("SELECT id FROM skyvault.\"table\" WHERE relid = 'other'::regclass");
my $wal_runs = "SELECT count(*) FROM skyvault.run WHERE tier = 'w' AND $other_id = ALL (table_ids)";
is(sql($wal_runs), 3, 'WAL runs are due while a job has open parts');
arm('part-taken', 'wait');
await('part-taken');
cmp_ok(sql($wal_runs), '<', 3, 'they are merged by the other worker');
is(sql("SELECT parts_done FROM skyvault_jobs WHERE state = 'running'"), 1, 'before it takes the next part');
$node->append_conf('postgresql.conf', 'skyvault.wal_runs = 1000');
$node->reload;
disarm('part-taken', 'compact-shared');
went_well($client, 'and the job is done');
all_is_well('WAL runs before parts');
sql("SELECT skyvault_compact('$_')") foreach @tables;
$node->append_conf('postgresql.conf', 'skyvault.wal_runs = ' . $wal_runs_before);
$node->reload;

#
# Who helps is ended, fails or dies.
#
my @parts_before = qw(part-prepared part-taken);
my @parts_in_load = qw(part-open-input part-begin-output part-end-output);
my @parts_after = qw(part-before-hand-in part-handed-in);
my @helper_points = (@parts_before, @parts_in_load, @parts_after);
foreach my $point (@helper_points)
{
	my $name = "helper ended at $point";

	my $client = begin_compaction($point);
	my $pid = sql("SELECT pid $helpers");
	sql("SELECT pg_terminate_backend($pid)");
	$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid");
	disarm($point, 'compact-shared');
	went_well($client, "$name: the job goes on");
	is(newest_job(), 'done||4', "$name: and is done");
	all_is_well($name);

	next if grep { $_ eq $point } @parts_in_load;
	foreach my $how (qw(error cancel))
	{
		my $case = "helper meets $how at $point";

		arm($point, 'error') if $how eq 'error';
		my $client = begin_compaction($how eq 'cancel' ? $point : ());
		sql("SELECT pg_cancel_backend(pid) $helpers") if $how eq 'cancel';
		ok($node->poll_query_until('postgres', "SELECT count(*) = 0 $helpers"), "$case: nobody helps any more");
		disarm($point, 'compact-shared');
		went_well($client, "$case: the owner does the rest");
		is(newest_job(), 'done||4', "$case: the job is done");
		all_is_well($case);
	}
}

#
# The owner is ended, fails or dies.
#
my @owner_points = qw(compact-shared compact-own-part compact-own-part-done compact-parts-done compact-parts-together);
foreach my $point (@owner_points)
{
	foreach my $how (qw(terminate cancel error))
	{
		my $name = "owner meets $how at $point";
		my $helped = $point !~ /parts/;

		# The helper has a part, so that all are done only when it has handed it in.
		my $client = begin_compaction($helped ? 'part-taken' : ());
		my $pid = sql("SELECT pid FROM skyvault_jobs WHERE state = 'running'");
		if ($point ne 'compact-shared')
		{
			arm($point, $how eq 'error' ? 'error' : 'wait');
			disarm('compact-shared');
			await($point) if $how ne 'error';
		}
		elsif ($how eq 'error')
		{
			disarm('compact-shared', 'part-taken');
			went_well($client, "$name: not tried");
			next;
		}
		sql("SELECT pg_terminate_backend($pid)") if $how eq 'terminate';
		sql("SELECT pg_cancel_backend($pid)") if $how eq 'cancel';
		$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM skyvault_job_progress() WHERE pid = $pid");
		disarm($point, 'part-taken');
		my ($rows, $errors) = $client->receive;
		$client->quit;
		$how eq 'terminate' ? is($errors, undef, "$name: another does the job")
		  : like($errors, qr/compaction failed: /, "$name: who asked is told");
		$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM skyvault.job WHERE state = 'running'");
		same_content($node, \@tables, "$name: nothing is lost");
		next_compaction_works($name);
	}
}

#
# Crashes: of a process, after which all of the server start anew, and of the postmaster.
#
foreach my $point (@helper_points, @owner_points)
{
	foreach my $who (qw(process postmaster))
	{
		my $name = "$who killed at $point";
		my $is_helper = $point =~ /^part/;

		arm('compact-shared', 'wait') if $is_helper;
		arm($point, $who eq 'process' ? 'kill' : 'wait');
		write_runs();
		my $state = sql("SELECT string_agg(format('%s %s', id, table_ids), ';' ORDER BY id) FROM skyvault.run");
		my $client = session($node);
		$client->send("SELECT skyvault_compact('big')");
		if ($who eq 'process')
		{
			my ($lost) = $client->await_lost;
			is($lost, 1, "$name: the server restarts");
		}
		else
		{
			await($point);
			kill_postmaster($node);
			$client->await_lost;
			$node->start;
		}
		$client->quit;
		ok($node->poll_query_until('postgres', 'SELECT true'), "$name: it comes back");
		is(sql("SELECT string_agg(format('%s %s', id, table_ids), ';' ORDER BY id) FROM skyvault.run"), $state,
			"$name: the forest is as it was");
		next_compaction_works($name);
	}
}

#
# What users do meanwhile.
#
$client = begin_compaction('part-taken');
sql('SELECT skyvault_pause()');
sql("SELECT mirror_put('big', 'key' || n, 'meanwhile') FROM generate_series(1, 40) AS n; SELECT skyvault_flush()");
disarm('part-taken', 'compact-shared');
$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM skyvault.job WHERE state = 'running'");
is(newest_job(), 'done||4', 'pause: a job under way is done, with help');
sql('SELECT skyvault_resume()');
went_well($client, 'pause: and what was asked for when it is over');
all_is_well('puts and pause');

foreach my $point (qw(part-taken part-before-hand-in))
{
	my $client = begin_compaction($point);
	give_up($node, $client);
	sql('TRUNCATE big, m_big');
	disarm($point, 'compact-shared');
	job_ends("TRUNCATE at $point");
	is(newest_job(), 'failed|a run that was to be merged is not there any more|0',
		"TRUNCATE at $point: it has come too late, since all of its runs are gone");
	is(sql("SELECT count(*) FROM skyvault_forest WHERE rel = 'big'::regclass"), 0, "TRUNCATE at $point: no run is left");
	all_is_well("TRUNCATE at $point");
}
$client = begin_compaction('part-taken');
give_up($node, $client);
sql('DROP FOREIGN TABLE big; DROP TABLE m_big');
disarm('part-taken', 'compact-shared');
job_ends('DROP TABLE');
@tables = qw(other);
all_is_well('DROP TABLE');
make_tables('big');
@tables = qw(big other);
write_runs();
next_compaction_works('after DROP TABLE');

# Nothing that a part wrote is left behind for ever.
sql('SELECT count(*) FROM skyvault_gc(sweep => true)');
my %named = map { $_ => 1 } run_objects($node);
my @left;
find(sub { push @left, $File::Find::name if /\.sst$/ }, $node->data_dir . '/skyvault');
my @orphans = grep { my $file = $_; !grep { $file =~ /\Q$_\E$/ } keys %named } @left;
is(scalar(@orphans), 0, 'no orphan outlives a sweep') or diag("@orphans");

my $victim_content = <<~SQL;
	CREATE EXTENSION skyvault;
	SELECT skyvault_create_table('kv');
	ALTER FOREIGN TABLE kv OPTIONS (ADD subcompaction_size '64kB', ADD run_size '64kB');
	INSERT INTO kv SELECT 'key' || n, (SELECT string_agg(md5(format('%s %s', n, i)), '') FROM generate_series(1, 10) AS i)
		FROM generate_series(1, 2000) AS n;
	SELECT skyvault_flush();
	UPDATE kv SET value = value || 'x' WHERE key < 'key9';
	SQL

# What a late helper has done of a job is not handed in to one that has the same id
# and place, after the extension was made anew.
{
	$node->safe_psql('postgres', 'CREATE DATABASE victim');
	$node->safe_psql('victim', $victim_content);
	arm($_, 'wait') foreach ('part-before-hand-in', 'compact-shared');
	my $client = session($node, 'victim');
	$client->send("SELECT skyvault_compact('kv')");
	await($_) foreach ('compact-shared', 'part-before-hand-in');
	my $shared = "SELECT id, pid, parts FROM skyvault_jobs WHERE state = 'running' AND kind = 'compact'";
	my ($id, $pid, $parts) = split(/\|/, $node->safe_psql('victim', $shared));
	give_up($node, $client);
	$node->safe_psql('victim', 'DROP EXTENSION skyvault CASCADE');
	sql("SELECT pg_terminate_backend($pid)");
	ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid"), 'recreated: the owner ends');
	disarm('compact-shared');
	arm('compact-shared', 'wait');
	$node->safe_psql('victim', $victim_content);
	$client = session($node, 'victim');
	$client->send("SELECT skyvault_compact('kv')");
	await('compact-shared');
	my ($id2, $pid2, $parts2) = split(/\|/, $node->safe_psql('victim', $shared));
	is("$id2 $parts2", "$id $parts", 'recreated: the next job has the id of the last');
	arm('part-handed-in', 'wait');
	disarm('part-before-hand-in');
	await('part-handed-in');
	is($node->safe_psql('victim', "SELECT parts_done FROM skyvault_jobs WHERE state = 'running'"), 0,
		'recreated: what is handed in late is not taken');
	disarm('compact-shared', 'part-handed-in');
	is(($client->receive)[1], undef, 'recreated: the job is done');
	$client->quit;
	is($node->safe_psql('victim', "SELECT count(*), count(*) FILTER (WHERE value LIKE '%x') FROM kv"),
		$node->safe_psql('victim', "SELECT 2000, count(*) FROM generate_series(1, 2000) AS n WHERE 'key' || n < 'key9'"),
		'recreated: with its own content');
	$node->safe_psql('postgres', 'DROP DATABASE victim');
}

foreach my $statement ('DROP DATABASE victim', 'DROP EXTENSION skyvault CASCADE')
{
	$node->safe_psql('postgres', 'CREATE DATABASE victim');
	$node->safe_psql('victim', $victim_content);
	arm('part-taken', 'wait');
	arm('compact-shared', 'wait');
	my $client = session($node, 'victim');
	$client->send("SELECT skyvault_compact('kv')");
	await('part-taken');
	give_up($node, $client);
	$node->safe_psql($statement =~ /EXTENSION/ ? 'victim' : 'postgres', $statement);
	disarm('part-taken', 'compact-shared');
	ok($node->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'skyvault%' AND datname = 'victim'"),
		"$statement: both workers end");
	$node->safe_psql('postgres', 'DROP DATABASE IF EXISTS victim');
}
done_testing();
