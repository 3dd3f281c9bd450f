# What ends a bulk load: a full disk, limits, keys that a strict table has already, and
# being cancelled in the middle of sorting; in the session and in workers of it.
# Each time the error says what was the matter, nothing is left, and the table is usable.
use strict;
use warnings;

use File::Find qw(find);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server('main', segment_mb => 1, settings => <<~CONF);
	max_worker_processes = 10
	autovacuum = off
	skyvault.compression_level = 0
	skyvault.retention = 0
	skyvault.orphan_grace = 0
	skyvault.bulk_threshold = 0
	CONF

# More than what is looked at before workers get it, and some megabytes for each of two.
my $rows = 60000;
my $store = PostgreSQL::Test::Utils::tempdir();
my $input = PostgreSQL::Test::Utils::tempdir();
my $temporary = $node->data_dir . '/base/pgsql_tmp';

sub sql { return $node->safe_psql('postgres', $_[0]) }
sub arm { sql("SELECT stop_point_arm('$_[0]', '$_[1]', " . ($_[2] // 1) . ')') }
sub await { sql("CALL stop_point_await('$_[0]')") }
sub disarm { sql("SELECT stop_point_disarm('$_')") foreach @_ }

my $workers = "FROM pg_stat_activity WHERE backend_type = 'skyvault load worker'";

sql(<<~SQL);
	CREATE SERVER vault FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:$store', shared 'on');
	CREATE FOREIGN TABLE t (k bigint, v text) SERVER vault OPTIONS (key 'k');
	CREATE TABLE m AS SELECT ('x' || substr(md5(n::text), 1, 16))::bit(64)::bigint AS k, repeat(md5(n::text), 4) AS v
		FROM generate_series(1, $rows) AS n;
	COPY m TO '$input/random';
	SQL
# The vault's identity has to be there before.
sql("INSERT INTO t VALUES (1, 'first'); DELETE FROM t; SELECT skyvault_flush('vault')");
mkdir($temporary);

# Temporary files of sorts and of uploads.
sub temporary_files
{
	my @files;

	find({ wanted => sub { push @files, $_ if /pgsql_tmp\d|~/ && !/~lock$/ }, no_chdir => 1 }, $temporary, $store);
	return "@files";
}

# After a load of t that has failed.
sub nothing_is_left
{
	my ($case) = @_;

	ok($node->poll_query_until('postgres', "SELECT count(*) = 0 $workers"), "$case: no worker is left");
	is(sql('SELECT count(*) FROM skyvault_progress_load'), '0', "$case: nothing is under way");
	is(temporary_files(), '', "$case: no temporary file is left");
	is(sql('SELECT count(*) FROM t'), '0', "$case: nothing is loaded");
	sql("SELECT count(*) FROM skyvault_gc(vault => 'vault', sweep => true)");
	is(sql("SELECT count(*) FROM skyvault_gc(true, true, vault => 'vault') WHERE reason = 'orphan'"), '0', "$case: a sweep finds all there was");
	sql("COPY t FROM '$input/random'");
	is(sql('SELECT count(*), sum(hashtextextended(k || v, 0)) FROM t'),
		sql('SELECT count(*), sum(hashtextextended(k || v, 0)) FROM m'), "$case: the next load goes well");
	sql('TRUNCATE t');
}

# ------------------------------------------------------------------ full disks
# Sends a COPY that waits where its processes, whose pids it returns too, have nothing yet.
sub begin_load
{
	my ($nworkers, $point, $settings) = @_;
	my $client = session($node);

	$client->run("SET skyvault.load_workers = $nworkers; SET maintenance_work_mem = '$settings'");
	arm($point, 'wait', $nworkers || 1);
	$client->send("COPY t FROM '$input/random'");
	$node->poll_query_until('postgres', "SELECT stop_point_waiting('$point') = " . ($nworkers || 1)) or die;
	return ($client, $nworkers ? split(/\n/, sql("SELECT pid $workers")) : $client->pid);
}

# Temporary files: the first, and a later one, cannot be written to.
foreach my $case ([ 0, 'load-begin', 0 ], [ 0, 'load-begin', 4 ], [ 2, 'load-worker-ready', 0 ], [ 2, 'load-worker-ready', 3 ])
{
	my ($nworkers, $point, $file) = @$case;
	my $name = "$nworkers workers, temporary file $file is on a full disk";
	my ($client, @pids) = begin_load($nworkers, $point, '1MB');

	symlink('/dev/full', "$temporary/pgsql_tmp$_.$file") or die "symlink: $!" foreach @pids;
	disarm($point);
	my (undef, $error) = $client->receive;
	like($error, qr{^ERROR:  53100: could not write .*pgsql_tmp\d+\.$file.*No space left on device}m, "$name: it says so");
	like($error, qr/^CONTEXT:.*skyvault load worker/m, "$name: and who") if $nworkers;
	$client->quit;
	# What the other worker was to meet.
	unlink(grep { -l $_ } glob("$temporary/*"));
	nothing_is_left($name);
}

# The store: files end at a limit of the processes that write them.
foreach my $case ([ 0, 'load-begin' ], [ 2, 'load-worker-ready' ])
{
	my ($nworkers, $point) = @$case;
	my $name = "$nworkers workers, a full store";

	# So that none of them has to write pages of larger files.
	sql('CHECKPOINT');
	my ($client, @pids) = begin_load($nworkers, $point, '64MB');
	system_or_bail('prlimit', '--pid', $_, '--fsize=1200000:') foreach @pids;
	disarm($point);
	my (undef, $error) = $client->receive;
	like($error, qr{^ERROR:  53100: .*\Q$store\E.*File too large}m, "$name: it says so");
	like($error, qr{^HINT:  Make room in the store, and load again}m, "$name: and what to do");
	system_or_bail('prlimit', '--pid', $client->pid, '--fsize=unlimited:') unless $nworkers;
	$client->quit;
	nothing_is_left($name);
}

# --------------------------------------------------------------------- limits
foreach my $nworkers (0, 2)
{
	my $limit = sub { "SET skyvault.load_workers = $nworkers; SET maintenance_work_mem = '1MB'; SET temp_file_limit = '$_[0]'; COPY t FROM '$input/random'" };

	fails_with($node, $limit->('2MB'), '53400', qr/temp_file_limit/, "$nworkers workers: temp_file_limit holds");
	nothing_is_left("$nworkers workers, temp_file_limit");
	sql($limit->('64MB'));
	is(sql('SELECT count(*) FROM t'), $rows, "$nworkers workers: within the limit");
	sql('TRUNCATE t');
}

# temp_tablespaces, too.
{
	my $place = PostgreSQL::Test::Utils::tempdir();
	my $client = session($node);
	my $files = sub { my @files; find({ wanted => sub { push @files, $_ if /pgsql_tmp\d/ }, no_chdir => 1 }, $_[0]); return scalar(@files) };

	sql("CREATE TABLESPACE elsewhere LOCATION '$place'");
	$client->run("SET skyvault.load_workers = 2; SET maintenance_work_mem = '1MB'; SET temp_tablespaces = elsewhere");
	arm('load-worker-before-finish', 'wait', 2);
	$client->send("COPY t FROM '$input/random'");
	ok($node->poll_query_until('postgres', "SELECT stop_point_waiting('load-worker-before-finish') = 2"), 'workers have sorted what came');
	cmp_ok($files->($place), '>=', 2, 'temp_tablespaces: their files are there');
	is($files->($temporary), 0, 'and nowhere else');
	disarm('load-worker-before-finish');
	went_well($client, 'temp_tablespaces: loaded');
	is($files->($place), 0, 'and they go');
	sql('TRUNCATE t; DROP TABLESPACE elsewhere');
}

# max_worker_processes bounds the workers of all loads: the first takes what there is, the second does it alone.
{
	my $first = session($node);

	sql("CREATE FOREIGN TABLE u (k bigint, v text) SERVER vault OPTIONS (key 'k')");
	arm('load-sampled', 'wait');
	$first->send("SET skyvault.load_workers = 16; COPY t FROM '$input/random'");
	await('load-sampled');
	arm('load-worker-ready', 'error', 100);
	sql("SET skyvault.load_workers = 16; COPY u FROM '$input/random'");
	disarm('load-worker-ready');
	is(sql('SELECT count(*) FROM u'), $rows, 'a load that no worker is left for');
	cmp_ok(sql("SELECT count(*) $workers"), '<', 10, 'there are not more than max_worker_processes');
	disarm('load-sampled');
	went_well($first, 'the load with the workers');
	is(sql('SELECT count(*) FROM t'), $rows, 'is whole, too');
	sql('TRUNCATE t; DROP FOREIGN TABLE u');
}

# Shared memory that is full is no reason to fail: as a file, it ends at a limit of the process.
{
	$node->append_conf('postgresql.conf', 'dynamic_shared_memory_type = mmap');
	$node->restart;
	sql('CHECKPOINT');
	my $client = session($node);

	$client->run('SET skyvault.load_workers = 16');
	my $segments = join(' ', glob($node->data_dir . '/pg_dynshmem/*'));
	system_or_bail('prlimit', '--pid', $client->pid, '--fsize=12000000:');
	arm('load-worker-ready', 'error', 100);
	my (undef, $error) = $client->try("BEGIN; COPY t FROM '$input/random'; COMMIT");
	disarm('load-worker-ready');
	is($error, undef, 'no room in shared memory: no error');
	is(sql('SELECT count(*) FROM t'), '60000', 'loaded without workers');
	ok(!$node->log_contains('leak'), 'nothing leaks');
	$client->quit;
	is(join(' ', glob($node->data_dir . '/pg_dynshmem/*')), $segments, 'no segment is left');
	$node->append_conf('postgresql.conf', 'dynamic_shared_memory_type = posix');
	$node->restart;
	sql('TRUNCATE t');
}

# ----------------------------------------------------------------- interrupts
# What is told to stop when it begins to sort has not sorted.
foreach my $nworkers (0, 2)
{
	my $load = "SET skyvault.load_workers = $nworkers; COPY t FROM '$input/random'";
	my $client = session($node);

	arm('load-sorting', 'cancel', 2);
	arm('load-sorted', 'error', 2);
	like(($client->try($load))[1], qr/ERROR:  57014/, "$nworkers workers: a cancel while sorting");
	disarm('load-sorting', 'load-sorted');
	nothing_is_left("$nworkers workers, a cancel while sorting");
	# The same when it begins to merge what is in files.
	arm('load-sorted', 'cancel', 2);
	arm('load-end-run', 'error', 2);
	like(($client->try("SET maintenance_work_mem = '1MB'; $load"))[1], qr/ERROR:  57014/, "$nworkers workers: a cancel while merging");
	disarm('load-sorted', 'load-end-run');
	$client->run('RESET maintenance_work_mem');
	nothing_is_left("$nworkers workers, a cancel while merging");
	arm('load-sorting', 'terminate', 2);
	arm('load-sorted', 'error', 2);
	$client->send($load);
	if ($nworkers == 0)
	{
		my ($lost, $error) = $client->await_lost;

		like($error, qr/57P01/, 'the session is ended while sorting');
	}
	else
	{
		like(($client->receive)[1], qr/lost connection to skyvault load worker/, 'workers are ended while sorting');
	}
	$client->quit;
	disarm('load-sorting', 'load-sorted');
	nothing_is_left("$nworkers workers, an end while sorting");
}

# Ended amid an upload, by whomever: what was uploaded so far goes.
foreach my $case ([ 0, 'the session is cancelled', sub { "SELECT pg_cancel_backend($_[0])" } ],
	[ 2, 'the session is cancelled', sub { "SELECT pg_cancel_backend($_[0])" } ],
	[ 2, 'the session is ended', sub { "SELECT pg_terminate_backend($_[0])" } ],
	[ 2, 'a worker is cancelled', sub { "SELECT pg_cancel_backend(min(pid)) $workers" } ],
	[ 2, 'a worker is ended', sub { "SELECT pg_terminate_backend(min(pid)) $workers" } ])
{
	my ($nworkers, $name, $statement) = @$case;
	my ($client) = begin_load($nworkers, 'load-end-run', '64MB');

	$name = "$nworkers workers, $name amid uploads";
	isnt(temporary_files(), '', "$name: there are some");
	sql($statement->($client->pid));
	# The session may wait for the other worker first.
	disarm('load-end-run') if $name =~ /a worker/;
	$name =~ /session is ended/ ? $client->await_lost : $client->receive;
	$client->quit;
	ok($node->poll_query_until('postgres', "SELECT count(*) = 0 $workers"), "$name: the workers go");
	disarm('load-end-run');
	nothing_is_left($name);
}

# --------------------------------------------------------------------- strict
# A key that comes twice, in any way, and one that is there already: in the delta, and in a run.
sql("ALTER FOREIGN TABLE t OPTIONS (ADD insert 'strict')");
sql("COPY (SELECT * FROM m UNION ALL (SELECT k, 'again' FROM m ORDER BY k LIMIT 1)) TO '$input/twice'");
sql("COPY (SELECT n, md5(n::text) FROM generate_series(1, 200000) AS n UNION ALL SELECT 777, 'again') TO '$input/ordered'");
my $key = sql('SELECT min(k) FROM m');
my $last = sql('SELECT max(k) FROM m');

sub fails_for_key
{
	my ($nworkers, $name, $file, $key) = @_;
	my $query = $file eq 'ordered' ? 'SELECT n, $$$$ FROM generate_series(1, 200000) AS n UNION ALL SELECT 777, $$again$$'
		: $file eq 'twice' ? 'SELECT * FROM m UNION ALL (SELECT k, $$again$$ FROM m ORDER BY k LIMIT 1)' : 'TABLE m';

	foreach my $statement ("COPY t FROM '$input/$file'", "INSERT INTO t $query", "SELECT skyvault_load('t', '$query')",
		"SELECT skyvault_load('t', '$input/$file', 'text')")
	{
		fails_with($node, "SET skyvault.load_workers = $nworkers; $statement", '23505', qr/^DETAIL:  Key \(k\)=\($key\) already exists/m,
			"$nworkers workers, $name: " . substr($statement, 0, 40));
	}
}

foreach my $nworkers (0, 2)
{
	fails_for_key($nworkers, 'a key that comes twice', 'twice', $key);
	fails_for_key($nworkers, 'a key that comes in order and again', 'ordered', 777);
	is(sql('SELECT count(*) FROM t'), '0', "$nworkers workers: nothing is loaded");
	sql("INSERT INTO t VALUES ($last, 'there')");
	fails_for_key($nworkers, 'a key of the delta', 'random', $last);
	sql("SELECT skyvault_flush('vault')");
	fails_for_key($nworkers, 'a key of a run', 'random', $last);
	is(sql('SELECT v FROM t'), 'there', "$nworkers workers: what was there is");
	sql("DELETE FROM t; COPY t FROM '$input/random'");
	is(sql('SELECT count(*) FROM t'), $rows, "$nworkers workers: a key that was deleted is none");
	sql('TRUNCATE t');
}
# SERIALIZABLE goes to the delta, row by row.
sql('CREATE TABLE few AS SELECT * FROM m LIMIT 2000');
fails_with($node, "BEGIN ISOLATION LEVEL SERIALIZABLE; INSERT INTO t SELECT * FROM few UNION ALL (SELECT k, 'again' FROM few ORDER BY k LIMIT 1)",
	'23505', qr/^DETAIL:  Key \(k\)=\(@{[ sql('SELECT min(k) FROM few') ]}\) already exists/m, 'SERIALIZABLE: a key that comes twice');
sql('BEGIN ISOLATION LEVEL SERIALIZABLE; INSERT INTO t TABLE few; COMMIT');
is(sql('SELECT count(*), (SELECT count(*) FROM skyvault.delta) FROM t'), '2000|2000', 'SERIALIZABLE: else all is there');
done_testing();
