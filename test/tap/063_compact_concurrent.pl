# What users and stores do while a compaction is under way: TRUNCATE, DROP, puts,
# flushes, old snapshots, lost and damaged objects.  And compactions that nobody
# asked for: many tables in a WAL run, several outputs, expired entries.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server('main', settings => "skyvault.ttl_grace = 0\n");
my @tables = qw(one two);
make_mirror($node, \@tables);
my $round = 0;

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub settings { reload_with($node, @_) }

# Two WAL runs of both tables.
sub write_runs
{
	foreach my $n (1 .. 2)
	{
		$round++;
		sql(<<~SQL);
			SELECT mirror_multi_put(t, array_agg('key' || n), array_agg('round $round of ' || n))
				FROM unnest('{one,two}'::text[]) AS t, generate_series($round, $round * 3 + 60) AS n GROUP BY t;
			SELECT mirror_delete(t, 'key' || n)
				FROM unnest('{one,two}'::text[]) AS t, generate_series($round * 2, $round * 2 + 7) AS n;
			SELECT skyvault_flush();
			SQL
	}
}

sub runs_of
{
	my ($table) = @_;

	return sql(<<~SQL);
		SELECT string_agg(tier::text || level, ' ' ORDER BY tier DESC, level, r.id) FROM skyvault.run AS r, skyvault."table" AS t
		WHERE t.relid = '$table'::regclass AND t.id = ANY (r.table_ids) AND r.seq_hi > t.floor_seq
		SQL
}

sub newest_job { return sql('SELECT coalesce(max(id), 0) FROM skyvault.job') }

# Of compactions that have ended.
sub outcomes
{
	my ($after) = @_;

	return sql("SELECT string_agg(DISTINCT state || coalesce(' without ' || left_out, '') || coalesce(': ' || error, ''), ', ') FROM skyvault.job"
		. " WHERE kind = 'compact' AND state <> 'running' AND id > $after");
}

# Without being asked, a worker splits the WAL runs and waits at the point while
# the code runs.  Returns when it is done.
sub during
{
	my ($point, $code) = @_;
	my $before = newest_job();

	sql("SELECT stop_point_arm('$point', 'wait')");
	sql('SELECT skyvault_resume()');
	sql("CALL stop_point_await('$point')");
	sql('SELECT skyvault_pause()');
	$code->();
	sql("SELECT stop_point_disarm('$point')");
	$node->poll_query_until('postgres',
		"SELECT count(*) FILTER (WHERE state = 'running') = 0 AND count(*) > 0 FROM skyvault.job WHERE kind = 'compact' AND id > $before");
	return outcomes($before);
}

#
# TRUNCATE and DROP of a table that has part in a compaction.
#
my $left_out = 'done without "two" (locked by a TRUNCATE or DROP)';
settings('skyvault.wal_runs = 2');
sql('SELECT skyvault_pause()');
foreach my $point (qw(compact-planned compact-after-run compact-before-publish))
{
	my $writer = session($node);

	write_runs();
	is(during($point, sub { sql('TRUNCATE two; TRUNCATE m_two') }), 'done', "TRUNCATE at $point: the compaction goes on");
	same_content($node, \@tables, "TRUNCATE at $point: nothing is lost, and nothing comes back");
	is(runs_of('two') , '', "TRUNCATE at $point: the table has no run");

	write_runs();
	is(during($point, sub { $writer->run('BEGIN; TRUNCATE two; TRUNCATE m_two; SELECT 1') }), $left_out,
		"TRUNCATE in progress at $point: the table is left out");
	$writer->run('ROLLBACK');
	same_content($node, \@tables, "TRUNCATE rolled back after a compaction at $point: nothing is lost");

	write_runs();
	is(during($point, sub { $writer->run('BEGIN; TRUNCATE two; TRUNCATE m_two; SELECT 1') }), $left_out,
		"another TRUNCATE in progress at $point: the table is left out");
	$writer->run('COMMIT');
	same_content($node, \@tables, "TRUNCATE committed after a compaction at $point: the table is empty");
	is(runs_of('two') , '', "TRUNCATE committed after a compaction at $point: the table has no run");
	$writer->quit;

	# What was left out of the table is dead now, and removed after a pause: by a
	# job of its own, which should not be the next to come to the point.
	sql('SELECT skyvault_resume()');
	$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM skyvault.run AS r, skyvault.\"table\" AS t"
		. " WHERE t.relid = 'two'::regclass AND t.id = ANY (r.table_ids)");
	$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM skyvault.job WHERE state = 'running'");
	sql('SELECT skyvault_pause()');

	sql("SELECT skyvault_create_table('gone'); SELECT skyvault_put('gone', 'a', 'b')");
	write_runs();
	is(during($point, sub { sql('DROP FOREIGN TABLE gone') }), 'done', "DROP at $point: the compaction goes on");
	same_content($node, \@tables, "DROP at $point: nothing is lost");
	is(sql('SELECT count(*) FROM skyvault.run AS r, unnest(table_ids) AS i WHERE i NOT IN (SELECT id FROM skyvault."table")'),
		0, "DROP at $point: no run speaks for it");
}

#
# Writers, flushes and readers.
#
foreach my $point (qw(compact-planned compact-after-run compact-before-publish))
{
	my $reader = session($node);

	write_runs();
	$reader->run('BEGIN ISOLATION LEVEL REPEATABLE READ');
	is($reader->run("SELECT * FROM differences('one')"), '', "a snapshot before $point");
	is(during($point, sub {
		sql("SELECT mirror_put('one', 'key' || n, 'meanwhile') FROM generate_series(1, 40) AS n");
		sql('SELECT skyvault_flush()');
		sql("SELECT mirror_delete('one', 'key7')");
	}), 'done', "puts and a flush at $point: the compaction goes on");
	is($reader->run("SELECT * FROM differences('one')"), '', "puts at $point: an old snapshot sees what it saw");
	same_content($node, \@tables, "puts at $point: new ones see all");
	sql('SELECT skyvault_resume()');
	sql("SELECT skyvault_compact('one', true)");
	is($reader->run("SELECT * FROM differences('one')"), '', "puts at $point: also after a full compaction");
	same_content($node, \@tables, "puts at $point: new ones as well");
	sql('SELECT skyvault_pause()');
	$reader->run('COMMIT');
	$reader->quit;
}
sql('SELECT skyvault_resume()');
settings('skyvault.wal_runs = 1000');

#
# TRUNCATE and DROP of a table that is alone in its compaction.
#

# Of two WAL runs and a run of level 1, at the point; nobody waits for it.
sub own_compaction
{
	my ($point) = @_;
	my $client = session($node);

	sql("SELECT mirror_put('own', 'key' || n, 'old') FROM generate_series(1, 60) AS n; SELECT skyvault_compact('own')");
	sql("SELECT mirror_put('own', 'key' || n, 'round $_') FROM generate_series($_, 40) AS n; SELECT skyvault_flush()") foreach 1 .. 2;
	sql("SELECT stop_point_arm('$point', 'wait')");
	$client->send("SELECT skyvault_compact('own')");
	sql("CALL stop_point_await('$point')");
	my $job = sql("SELECT id FROM skyvault.job WHERE state = 'running' AND kind = 'compact'");
	give_up($node, $client);
	return $job;
}

# Lets it go on; how it ends.
sub own_compaction_ends
{
	my ($point, $job) = @_;

	sql("SELECT stop_point_disarm('$point')");
	$node->poll_query_until('postgres', "SELECT state <> 'running' AND NOT EXISTS (SELECT FROM pg_stat_activity"
		. " WHERE backend_type = 'skyvault compaction') FROM skyvault.job WHERE id = $job") or die "job $job goes on";
	return sql("SELECT coalesce(error, state || coalesce(' without ' || left_out, '')) FROM skyvault.job WHERE id = $job");
}

sub objects_of_job
{
	my ($job) = @_;

	return `cd @{[ $node->data_dir ]}/skyvault && find . -name '*-j$job.sst'`;
}

make_mirror($node, ['own']);
my %end = ('TRUNCATE' => 'TRUNCATE own, m_own', 'DROP' => 'DROP FOREIGN TABLE own; DROP TABLE m_own');
foreach my $point (qw(compact-before-run compact-after-run compact-before-publish))
{
	foreach my $how (sort keys %end)
	{
		my $case = "$how of the only table at $point";
		my $job = own_compaction($point);

		sql($end{$how});
		is(own_compaction_ends($point, $job), 'a run that was to be merged is not there any more', "$case: the compaction comes too late");
		is(objects_of_job($job), '', "$case: it has left nothing in the store");
		is(sql("SELECT count(*) FROM skyvault.run AS r, unnest(table_ids) AS i WHERE i NOT IN (SELECT id FROM skyvault.\"table\")"), 0,
			"$case: there are no runs of nothing");
		make_mirror($node, ['own']) if $how eq 'DROP';
		is(runs_of('own'), '', "$case: the table has no run");
		sql("SELECT mirror_put('own', 'key1', 'after'); SELECT skyvault_compact('own')");
		same_content($node, ['own'], "$case: what is written then is all that there is");
	}
}
foreach my $how (sort keys %end)
{
	my $case = "$how of the only table, rolled back";
	my $job = own_compaction('compact-before-publish');
	my $writer = session($node);

	$writer->run("BEGIN; $end{$how}; SELECT 1");
	is(own_compaction_ends('compact-before-publish', $job), 'done without "own" (locked by a TRUNCATE or DROP)', "$case: it changes nothing");
	$writer->run('ROLLBACK');
	$writer->quit;
	same_content($node, ['own'], "$case: nothing is lost");
	sql("SELECT skyvault_compact('own')");
	is(runs_of('own'), 'l1', "$case: the next compaction does it");
	same_content($node, ['own'], "$case: nothing is lost by that either");
}

#
# A run of which nothing lives, and another TRUNCATE that removes it: it stays for that,
# and neither waits for the other.
#
my $truncater = session($node);
my $of_dead = 'FROM skyvault.run AS r, skyvault."table" AS t WHERE t.relid = $$dead$$::regclass AND t.id = ANY (r.table_ids)';

# While a TRUNCATE is in progress, the run is of another table as well, which leaves it then.
sub make_dead_run
{
	sql("SELECT mirror_put(t, 'key', 'value') FROM unnest('{one,dead}'::text[]) AS t; SELECT skyvault_flush()");
	$truncater->run('BEGIN; TRUNCATE dead; TRUNCATE m_dead; SELECT 1');
	sql("SELECT skyvault_compact('one')");
	sql('SELECT skyvault_pause()');
	$truncater->run('COMMIT');
	return sql("SELECT count(*) $of_dead AND cardinality(r.table_ids) = 1 AND r.seq_hi <= t.floor_seq");
}

sub removal
{
	my $before = newest_job();

	sql('SELECT skyvault_resume()');
	$node->poll_query_until('postgres', "SELECT count(*) > 0 FROM skyvault.job WHERE kind = 'compact' AND id > $before AND state <> 'running'");
	return outcomes($before);
}

make_mirror($node, ['dead']);
my $stays = 'done without "dead" (locked by a TRUNCATE or DROP)';
is(make_dead_run(), 1, 'a run of which nothing lives');
$truncater->run('BEGIN; TRUNCATE dead; TRUNCATE m_dead; SELECT 1');
is(removal(), $stays, 'it stays while a TRUNCATE has removed it and not committed');
$truncater->run('ROLLBACK');
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 $of_dead"), 'and goes when that was rolled back');

is(make_dead_run(), 1, 'another one');
sql("SELECT stop_point_arm('truncate-looked', 'wait')");
$truncater->send('TRUNCATE dead; TRUNCATE m_dead');
sql("CALL stop_point_await('truncate-looked')");
is(removal(), $stays, 'it stays while a TRUNCATE has seen it');
sql("SELECT stop_point_disarm('truncate-looked')");
went_well($truncater, 'which removes it');
is(sql("SELECT count(*) $of_dead"), 0, 'and nothing is left of it');
same_content($node, [ @tables, 'dead' ], 'nothing is lost');

#
# An object is lost, or damaged: the job says so, others go on, and again when it is back.
#
sql("SELECT skyvault_compact('$_', true)") foreach @tables;
foreach my $harm (qw(lost damaged))
{
	make_mirror($node, ["h_$harm"]);
	sql("SELECT mirror_put('h_$harm', 'key' || n, repeat('x', 100)) FROM generate_series(1, 100) AS n; SELECT skyvault_flush()");
	my $object = $node->data_dir . '/skyvault/' . (run_objects($node))[-1];
	my $bytes = slurp_file($object);
	unlink($object) or die $!;
	if ($harm eq 'damaged')
	{
		open(my $file, '>', $object) or die $!;
		print $file substr($bytes, 0, 100) . ('?' x 50) . substr($bytes, 150);
		close($file);
	}
	sql("SELECT mirror_put('h_$harm', 'key' || n, 'new') FROM generate_series(50, 60) AS n; SELECT skyvault_flush()");
	fails_with($node, "SELECT skyvault_compact('h_$harm')", 'XX001', qr/compaction failed: /,
		"$harm input: who asks is told");
	like(sql("SELECT sqlstate || ' ' || attempts FROM skyvault.job WHERE kind = 'compact' ORDER BY id DESC LIMIT 1"), qr/^XX001 \d+$/,
		"$harm input: the job says why");
	write_runs();
	sql("SELECT skyvault_compact('one')");
	same_content($node, ['one'], "$harm input: other tables go on");

	# By itself it is tried again with growing pauses, and no process dies.
	settings('skyvault.wal_runs = 2', 'skyvault.buffer_runs = 1');
	ok($node->poll_query_until('postgres', "SELECT max(attempts) >= 4 FROM skyvault.job WHERE sqlstate = 'XX001' AND state = 'failed'"),
		"$harm input: tried again and again");
	ok(sql("SELECT bool_and(retry_at > ended) FROM skyvault.job WHERE sqlstate = 'XX001'") eq 't', "$harm input: with pauses");
	open(my $file, '>', $object) or die $!;
	print $file $bytes;
	close($file);
	chmod(0600, $object);
	ok($node->poll_query_until('postgres',
		"SELECT bool_and(tier = 'l') FROM skyvault.run AS r, skyvault.\"table\" AS t WHERE t.relid = 'h_$harm'::regclass AND t.id = ANY (r.table_ids)"),
		"$harm input is back: compacted");
	same_content($node, ["h_$harm"], "$harm input is back: nothing is lost");
	settings('skyvault.buffer_runs = 1000', 'skyvault.wal_runs = 1000');
}

#
# Compactions that nobody asks for.
#
my @many = map { "t$_" } 1 .. 100;
make_mirror($node, \@many);
settings('skyvault.buffer_runs = 2', 'skyvault.run_size = 64kB', 'skyvault.wal_runs = 4');
foreach my $n (1 .. 9)
{
	sql(<<~SQL);
		SELECT mirror_multi_put('t' || t, array_agg('key' || n), array_agg(repeat('$n', 50)))
			FROM generate_series(1, 100) AS t, generate_series($n, $n + 10) AS n GROUP BY t;
		SELECT skyvault_flush();
		SQL
}
ok($node->poll_query_until('postgres', "SELECT count(*) < 4 FROM skyvault.run WHERE tier = 'w'"), '100 tables in a WAL run: WAL runs are split');
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM skyvault.job WHERE state = 'running'"), 'and jobs end');
same_content($node, \@many, '100 tables in a WAL run: nothing is lost');

make_mirror($node, ['large']);
foreach my $n (1 .. 8)
{
	sql("SELECT mirror_multi_put('large', array_agg('key' || i * $n % 1000), array_agg((SELECT string_agg(md5(format('%s %s', i * $n, j)), '') FROM generate_series(1, 10) AS j)))"
		. " FROM generate_series(1, 700) AS i; SELECT skyvault_flush()");
}
sql("SELECT skyvault_compact('large', true)");
like(runs_of('large'), qr/^l\d( l\d){2,}$/, 'several outputs');
same_content($node, ['large'], 'several outputs: nothing is lost');
is(sql("SELECT count(*) FROM skyvault.run AS a JOIN skyvault.run AS b ON a.id < b.id AND a.level = b.level AND a.table_ids = b.table_ids"
	. " WHERE a.level > 0 AND a.min_keys[1] <= b.max_keys[1] AND b.min_keys[1] <= a.max_keys[1]"), 0, 'runs of a level are disjoint');

#
# Time alone: runs of which all, or most, has expired are rewritten though nobody
# writes or asks.  Where compacting takes longer than that, more time is given.
#
my @expiring = qw(expires mostly);
my $of_expiring = "FROM skyvault.run AS r, skyvault.\"table\" AS t WHERE t.relid IN ('expires'::regclass, 'mostly'::regclass) AND t.id = ANY (r.table_ids)";
my ($seconds, $newest) = (2, 0);

make_mirror($node, \@expiring);
sql("ALTER FOREIGN TABLE $_ OPTIONS (ADD garbage_share '0.5')") foreach @expiring;
do
{
	$newest = sql('SELECT max(id) FROM skyvault.job');
	sql(<<~SQL);
		SELECT mirror_put('mostly', 'key' || n, 'for ever') FROM generate_series(81, 100) AS n;
		SELECT mirror_put(t, 'key' || n, 'for a while', interval '$seconds seconds')
			FROM unnest('{expires,mostly}'::text[]) AS t, generate_series(1, 80) AS n;
		SELECT skyvault_compact('expires', true);
		SELECT skyvault_compact('mostly', true);
		SQL
	$seconds *= 3;
} until sql("SELECT sum(e) FROM (SELECT unnest(r.entries) $of_expiring) AS entries(e)") eq '180';
my $garbage_jobs = "FROM skyvault.job WHERE id > $newest AND reason LIKE '% of a run is garbage'";
ok($node->poll_query_until('postgres', "SELECT count(*) = 2 AND bool_and(state = 'done') $garbage_jobs"), 'what has expired is compacted by itself');
is(sql("SELECT reason, cardinality(inputs), cardinality(outputs), entries $garbage_jobs ORDER BY reason"),
	"100 % of a run is garbage|1|0|0\n80 % of a run is garbage|1|1|20", 'two runs, of which nothing is left, or what has not expired');
is(sql("SELECT sum(e) FROM (SELECT unnest(r.entries) $of_expiring) AS entries(e)"), 20, 'the registry says so as well');
same_content($node, [ @tables, @expiring ], 'nothing else is lost');

is(sql("SELECT string_agg(DISTINCT sqlstate || ': ' || error, '; ') FROM skyvault.job WHERE state = 'failed'"
	. " AND sqlstate NOT IN ('XX001', '40001')"), '', 'no other job has failed');
done_testing();
