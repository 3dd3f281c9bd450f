# Large runs that overlap nothing in the next level go there as they are: the same
# object, nothing read or written, caches kept; a death on the way changes nothing,
# and a restore finds them where they are.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $store = PostgreSQL::Test::Utils::tempdir();
my $server = "CREATE SERVER shared FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:$store')";
my $node = new_server('main', settings => <<'CONF');
max_worker_processes = 20
skyvault.max_workers = 1
skyvault.wal_runs = 2
skyvault.level_ratio = 2
skyvault.retention = 0
skyvault.orphan_grace = 0
CONF
my @tables = qw(deep dying);
my $keys = 3000;
my %next = map { $_ => 0 } @tables;

sub sql { return $node->safe_psql('postgres', $_[0]); }

# Two WAL runs of keys that no other run has, which become one buffer run of 100 kB.
sub write_buffer_run
{
	my ($table) = @_;

	foreach (1 .. 2)
	{
		my $first = 10000 + $next{$table};

		$next{$table} += $keys / 2;
		sql(<<~SQL);
			SELECT mirror_multi_put('$table', array_agg('key' || n), array_agg(md5(n::text) || md5('2' || n)))
				FROM generate_series($first, $first + $keys / 2 - 1) AS n;
			SELECT skyvault_flush('shared');
			SQL
	}
	$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM skyvault.run WHERE tier = 'w'") or die;
}

sub shape
{
	my ($table) = @_;

	return sql(<<~SQL);
		SELECT string_agg(format('%s%s: %s', tier, level, n), ', ' ORDER BY tier, level)
		FROM (SELECT tier, level, count(*) AS n FROM skyvault.run
			WHERE (SELECT id FROM skyvault."table" WHERE relid = '$table'::regclass) = ANY (table_ids)
			GROUP BY tier, level) AS r
		SQL
}

# All that the registry says of the runs, but for where they are.
sub runs { return sql("SELECT to_jsonb(r) - 'tier' - 'level' FROM skyvault.run AS r ORDER BY id"); }

sub newest_job { return sql('SELECT max(id) FROM skyvault.job'); }

# What compactions have read and written.
my $bytes_of_jobs = 'sum(entries_in + bytes_in + entries + bytes)';

sub requests { return sql("SELECT sum(requests) FROM skyvault_stat_store WHERE caller = 'compaction' AND server = 'shared'"); }

sub loads { return sql('SELECT block_loads, tail_loads FROM skyvault_stat_cache'); }

# Some keys of each run.
sub read_hot
{
	my ($test_name) = @_;
	my $n = $next{deep} / 100;

	is(sql("SELECT count(value) FROM skyvault_multi_get('deep', ARRAY(SELECT 'key' || 10000 + n * 100 FROM generate_series(0, $n - 1) AS n))"),
		$n, $test_name);
}

sub objects_are_there
{
	my ($test_name) = @_;

	is(join(' ', grep { !-e "$store/$_" } run_objects($node)), '', "$test_name: all objects are there");
}

sql($server);
make_mirror($node, \@tables, 'shared');
sql("ALTER FOREIGN TABLE $_ OPTIONS (ADD run_size '256kB')") foreach @tables;

# To level 1.
write_buffer_run('deep') foreach 1 .. 4;
is(shape('deep'), 'b0: 4', 'buffer runs that overlap nothing');
sql("SELECT skyvault_snapshot('before', 'shared')");
my $runs = runs();
my @ids = split(/\n/, sql('SELECT id FROM skyvault.run ORDER BY id'));
sql('SELECT skyvault_clear_cache()');
read_hot('keys are read');
my ($loads, $requests, $newest) = (loads(), requests(), newest_job());
sql("SELECT skyvault_compact('deep')");
is(shape('deep'), 'l1: 4', 'they are in level 1');
is(runs(), $runs, 'as they were, in the same objects');
is(sql("SELECT state, reason, inputs, outputs, $bytes_of_jobs FROM skyvault.job WHERE id > $newest AND kind = 'compact' GROUP BY id"),
	sprintf('done|by hand|{%s}|{%s}|0', join(',', @ids), join(',', @ids)), 'one job has moved them, without reading or writing');
is(requests(), $requests, 'it has asked the store for nothing');
is(sql('SELECT count(*) FROM skyvault.garbage AS g JOIN skyvault.run AS r ON r.object = g.object'), 0, 'no object is garbage');
read_hot('keys are read again');
is(loads(), $loads, 'from the cache');

# On to where they are not too much, by themselves.
$newest = newest_job();
sql("ALTER FOREIGN TABLE deep OPTIONS (ADD level1_size '64kB')");
$node->reload;
ok($node->poll_query_until('postgres',
		"SELECT string_agg(level::text, ' ' ORDER BY level) FROM skyvault.run WHERE tier = 'l'", '2 3 3 4'),
	'levels 2, 3 and 4 have of them what they may have');
is(runs(), $runs, 'still in the same objects');
is(sql("SELECT state, left(reason, 12), count(*), $bytes_of_jobs FROM skyvault.job WHERE id > $newest AND kind = 'compact'"
		. ' GROUP BY state, left(reason, 12) ORDER BY 2'),
	"done|level 1 has |4|0\ndone|level 2 has |3|0\ndone|level 3 has |1|0", 'each went alone, level by level, as it is');
is(requests(), $requests, 'the store was asked for nothing');
read_hot('keys are read once more');
is(loads(), $loads, 'from the cache as well');
same_content($node, ['deep'], 'nothing is lost');

# A full compaction of what needs none.
write_buffer_run('deep') foreach 1 .. 2;
($runs, $newest) = (runs(), newest_job());
sql("SELECT skyvault_compact('deep', true)");
is(shape('deep'), 'l2: 1, l3: 2, l4: 1, l5: 2', 'a full compaction moves buffer runs to where all would fit');
is(runs(), $runs, 'in the same objects');
is(sql("SELECT $bytes_of_jobs FROM skyvault.job WHERE id > $newest AND kind = 'compact'"), 0, 'without reading or writing');
same_content($node, ['deep'], 'nothing is lost by it');

# Deaths and failures.
my @cases = (
	[ 'compact-registered', 'kill' ], [ 'compact-committed', 'kill' ],
	[ 'compact-after-run', 'error' ], [ 'compact-registered', 'error' ]);

foreach my $case (@cases)
{
	my ($point, $action) = @$case;
	my $name = "$action at $point";

	write_buffer_run('dying') foreach 1 .. 2;
	my $before = shape('dying');
	my $client = session($node);

	like($before, qr/^b0: 2/, "$name: there is something to move");
	$runs = runs();
	$newest = newest_job();
	$client->run("SELECT stop_point_arm('$point', '$action')");
	$client->send("SELECT skyvault_compact('dying')");
	if ($action eq 'kill')
	{
		my ($lost) = $client->await_lost;

		is($lost, 1, "$name: the server restarts");
		ok(await_server($node), "$name: it comes back");
	}
	else
	{
		my (undef, $errors) = $client->receive;

		like($errors, qr/compaction failed: stop point "$point" was told to fail/, "$name: who asked for it is told");
	}
	$client->quit;
	is(runs(), $runs, "$name: the runs are what they were");
	if ($point eq 'compact-committed')
	{
		unlike(shape('dying'), qr/b0/, "$name: they are moved");
	}
	else
	{
		is(shape('dying'), $before, "$name: they are where they were");
	}
	sql("SELECT skyvault_gc(sweep => true, vault => 'shared')");
	objects_are_there($name);
	same_content($node, \@tables, "$name: nothing is lost");
	sql("SELECT skyvault_compact('dying')");
	like(shape('dying'), qr/^l1: \d$/, "$name: the next compaction moves them, or they are");
	is(runs(), $runs, "$name: as they were");
	is(sql("SELECT $bytes_of_jobs FROM skyvault.job WHERE id > $newest AND kind = 'compact' AND state = 'done'"),
		0, "$name: without reading or writing");
}

# From a snapshot of before the moves, and from the log alone.
my $registry = "SELECT to_jsonb(r) - 'vault_id' FROM skyvault.run AS r ORDER BY id";
my $digest = join(';', map { "SELECT count(*), md5(string_agg(key || value, ',')) FROM skyvault_scan('$_')" } @tables);

sql("SELECT skyvault_export('shared')");
foreach my $from ('snapshot', 'log')
{
	if ($from eq 'log')
	{
		unlink("$store/$_") == 1 or die foreach split(/\n/, sql('SELECT object FROM skyvault.snapshot'));
	}
	$node->safe_psql('template1', "CREATE DATABASE restored_$from");
	$node->safe_psql("restored_$from", "CREATE EXTENSION skyvault; $server");
	$node->safe_psql("restored_$from", "SELECT skyvault_restore('shared')");
	is($node->safe_psql("restored_$from", $registry), sql($registry), "from the $from: runs are where they were moved to");
	is($node->safe_psql("restored_$from", $digest), sql($digest), "from the $from: and all data is there");
}

done_testing();
