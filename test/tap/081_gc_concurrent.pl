# Collections beside compactions: what a compaction has uploaded stays, be it
# published between the listing of a sweep and its decision or not at all yet, and
# a compaction whose inputs have been collected is one that came too late.
#
# Flushes and sweeps are steps of the same process, one after the other.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server('main', settings => <<~CONF);
	max_worker_processes = 12
	skyvault.retention = 0
	skyvault.orphan_grace = 0
	skyvault.max_workers = 2
	skyvault.subcompaction_size = 64kB
	CONF
my $store = $node->data_dir . '/skyvault';
my $round = 0;

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub arm { sql("SELECT stop_point_arm('$_', 'wait')") foreach @_ }
sub await { sql("CALL stop_point_await('$_')") foreach @_ }
sub disarm { sql("SELECT stop_point_disarm('$_')") foreach @_ }

make_mirror($node, [qw(kv other)]);
sql("ALTER FOREIGN TABLE kv OPTIONS (ADD run_size '64kB', ADD subcompactions '4')");

# Three WAL runs with what does not compress.
sub write_runs
{
	foreach my $n (1 .. 3)
	{
		$round++;
		sql(<<~SQL);
			SELECT mirror_multi_put('kv', array_agg('key' || n * 7919 % 1000),
				array_agg((SELECT string_agg(md5(format('%s %s %s', n, i, $round)), '') FROM generate_series(1, 10) AS i)))
				FROM generate_series($round * 100, $round * 100 + 600) AS n;
			SELECT skyvault_flush();
			SQL
	}
}

# A compaction that has got to the points, the session that asked for it, and the job.
sub begin_compaction
{
	my (@points) = @_;
	my $client = session($node);

	write_runs();
	arm(@points);
	$client->send("SELECT skyvault_compact('kv')");
	await(@points);
	return ($client, sql("SELECT id FROM skyvault.job WHERE state = 'running'"));
}

sub await_end
{
	my ($job) = @_;

	$node->poll_query_until('postgres', "SELECT state <> 'running' FROM skyvault.job WHERE id = $job");
	return sql("SELECT state FROM skyvault.job WHERE id = $job");
}

# What the job has in the store.
sub objects_of
{
	my ($job) = @_;

	return sort(map { chomp; s{^\./}{}r } `cd $store && find . -name '*-j$job.sst'`);
}

sub writers_of
{
	my %writers = map { m{/([0-9a-f]+)/[^/]+$} => 1 } @_;

	return scalar(keys %writers);
}

sub all_is_there
{
	my ($name) = @_;

	is(sql("SELECT * FROM skyvault_verify('kv', true)"), '', "$name: the store has what the catalogue names");
	sql('SELECT skyvault_clear_cache()');
	same_content($node, ['kv'], "$name: nothing is lost");
}

#
# Not published yet: the owner's outputs, and those of a worker that helps it.
#
my ($client, $job) = begin_compaction('compact-shared', 'part-handed-in');
my @handed_in = objects_of($job);
cmp_ok(scalar(@handed_in), '>', 0, 'another worker has handed in what it has written');
sql('SELECT skyvault_gc(sweep => true)');
is("@{[ objects_of($job) ]}", "@handed_in", 'a sweep leaves it');
arm('compact-before-publish');
disarm('compact-shared', 'part-handed-in');
await('compact-before-publish');
my @written = objects_of($job);
is(writers_of(@written), 2, 'all outputs are in the store, written by two');
is(sql("SELECT count(*) FROM skyvault.run WHERE object LIKE '%-j$job.sst'"), 0, 'and none is registered');
is(sql("SELECT count(*) FROM skyvault_gc(dry_run => true, sweep => true) WHERE object LIKE '%-j$job.sst'"), 0, 'they are no orphans');
sql('SELECT skyvault_gc(sweep => true)');
is("@{[ objects_of($job) ]}", "@written", 'a sweep leaves them all');
disarm('compact-before-publish');
went_well($client, 'the compaction publishes them');
is(join(' ', sort(grep { /-j$job\.sst$/ } run_objects($node))), "@written", 'all of them are runs');
all_is_there('a sweep before the publish');

#
# Published after the listing: no orphan, though nobody writes it any more.
#
sub begin_sweep
{
	my $sweeper = session($node);

	arm('gc-listed');
	$sweeper->send('SELECT count(*) FROM skyvault_gc(sweep => true)');
	await('gc-listed');
	return $sweeper;
}

($client, $job) = begin_compaction('compact-before-publish');
@written = objects_of($job);
cmp_ok(scalar(@written), '>', 0, 'outputs are there');
my $sweeper = begin_sweep();
disarm('compact-before-publish');
is(await_end($job), 'done', 'a compaction publishes what a sweep has listed');
disarm('gc-listed');
went_well($_, 'both end') foreach $client, $sweeper;
is("@{[ objects_of($job) ]}", "@written", 'published after the listing: it stays');
all_is_there('published after the listing');

# And then removed: it is garbage for as long as anybody sees it.
($client, $job) = begin_compaction('compact-before-publish');
@written = objects_of($job);
$sweeper = begin_sweep();
disarm('compact-before-publish');
is(await_end($job), 'done', 'a compaction publishes');
give_up($node, $client);
my $reader = session($node);
my $sum = "SELECT md5(string_agg(key || value, '' ORDER BY key)) FROM skyvault_scan('kv')";
my $content = sql($sum);
$reader->run('BEGIN ISOLATION LEVEL REPEATABLE READ');
$reader->run("SELECT count(*) FROM skyvault_scan('other')");
sql('TRUNCATE kv, m_kv');
disarm('gc-listed');
went_well($sweeper, 'the sweep ends');
is("@{[ objects_of($job) ]}", "@written", 'removed after the listing: it stays for who sees it');
sql('SELECT skyvault_clear_cache()');
is($reader->run($sum), $content, 'who reads it');
$reader->run('COMMIT');
$reader->quit;
sql('SELECT skyvault_gc()');
is("@{[ objects_of($job) ]}", '', 'and goes then');

#
# The inputs of a compaction are collected before it has read them.
#
foreach my $points (['compact-before-run'], [ 'compact-shared', 'part-taken' ])
{
	my $name = "inputs collected at @$points";
	my $log_at = -s $node->logfile;

	my ($client, $job) = begin_compaction(@$points);
	my @inputs = run_objects($node);
	give_up($node, $client);
	sql('TRUNCATE kv, m_kv');
	sql('SELECT skyvault_clear_cache(); SELECT skyvault_gc()');
	is(scalar(grep { -e "$store/$_" } @inputs), 0, "$name: they are gone");
	disarm(@$points);
	is(await_end($job), 'failed', "$name: the job ends");
	is(sql("SELECT sqlstate, error, retry_at <= ended FROM skyvault.job WHERE id = $job"),
		'40001|a run that was to be merged is not there any more|t', "$name: it came too late, and is tried again at once");
	ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'skyvault compaction'"),
		"$name: there is nothing to try");
	ok(!$node->log_contains('missing from the store|not there any more', $log_at), "$name: the log has no alarm");
	is("@{[ objects_of($job) ]}", '', "$name: nothing is left of it");
	write_runs();
	sql("SELECT skyvault_compact('kv')");
	all_is_there("$name: the next compaction");
	is(sql("SELECT count(*) FROM skyvault_forest WHERE rel = 'kv'::regclass AND level = 0"), 0, "$name: it is done");
}

# A run that the registry has and the store has not is lost: that is another matter.
($client, $job) = begin_compaction('compact-before-run');
foreach my $object (run_objects($node))
{
	unlink("$store/$object") or die $!;
}
disarm('compact-before-run');
my ($rows, $errors) = $client->receive;
$client->quit;
like($errors, qr/XX001.*compaction failed: object ".*" is missing from the store/s, 'an input is lost: who asks is told');
is(sql("SELECT sqlstate, retry_at > ended FROM skyvault.job WHERE id = $job"), 'XX001|t', 'and it is tried again after a pause');

done_testing();
