# A bulk load with workers: what they build is what the session would have built,
# whoever dies, fails or is ended meanwhile; and how far it is can be seen.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server('main', settings => <<~CONF);
	max_worker_processes = 10
	skyvault.retention = 0
	skyvault.orphan_grace = 0
	skyvault.bulk_threshold = 0
	skyvault.run_size = 1MB
	CONF

# More than what is looked at before workers get it.
my $rows = 60000;
my $store = PostgreSQL::Test::Utils::tempdir();
my $input = PostgreSQL::Test::Utils::tempdir();

sub sql { return $node->safe_psql($_[1] // 'postgres', $_[0]) }
sub arm { sql("SELECT stop_point_arm('$_[0]', '$_[1]', " . ($_[2] // 1) . ')') }
sub await { sql("CALL stop_point_await('$_[0]')") }
sub disarm { sql("SELECT stop_point_disarm('$_')") foreach @_ }

my $workers = "FROM pg_stat_activity WHERE backend_type = 'skyvault load worker'";
my $progress = "FROM skyvault_progress_load WHERE relid = 't'::regclass";

sub no_workers_are_left
{
	my ($case) = @_;

	ok($node->poll_query_until('postgres', "SELECT count(*) = 0 $workers"), "$case: the workers are gone");
	is(sql('SELECT count(*) FROM skyvault_progress_load'), '0', "$case: nothing is under way");
}

sql(<<~SQL);
	CREATE SERVER vault FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:$store', shared 'on');
	CREATE FOREIGN TABLE t (k bigint, v text) SERVER vault OPTIONS (key 'k');
	CREATE TABLE m AS SELECT ('x' || substr(md5(n::text), 1, 16))::bit(64)::bigint AS k, repeat(md5(n::text), 4) AS v
		FROM generate_series(1, $rows) AS n;
	INSERT INTO m SELECT k, 'later ' || v FROM m LIMIT 1000;
	CREATE TABLE expected AS SELECT DISTINCT ON (k) k, v FROM (SELECT k, v, ctid FROM m) AS r ORDER BY k, ctid DESC;
	COPY m TO '$input/random';
	COPY (SELECT * FROM expected ORDER BY k) TO '$input/sorted';
	COPY (SELECT n, md5(n::text) FROM generate_series(1, 1000) AS n) TO '$input/few';
	SQL
# The vault's identity has to be there before.
sql("INSERT INTO t VALUES (1, 'first'); DELETE FROM t; SELECT skyvault_flush('vault')");

sub is_loaded
{
	my ($case) = @_;

	is(sql('SELECT count(*), md5(string_agg(k || v, $$,$$ ORDER BY k)) FROM t'),
		sql('SELECT count(*), md5(string_agg(k || v, $$,$$ ORDER BY k)) FROM expected'), "$case: all rows are there, the last of each key");
	is(sql('SELECT count(*) FROM (SELECT k, v FROM expected ORDER BY k LIMIT 200) AS e WHERE (SELECT v FROM t WHERE t.k = e.k) IS DISTINCT FROM e.v'),
		'0', "$case: and are found by key");
}

sub is_empty { is(sql('SELECT count(*) FROM t'), '0', "$_[0]: nothing is loaded") }

# Sends a COPY whose workers wait at the point.
sub begin_load
{
	my ($point, $n) = @_;
	my $client = session($node);

	sql('TRUNCATE t');
	arm($point, 'wait', $n // 2);
	$client->send("COPY t FROM '$input/random'");
	await($point);
	return $client;
}

# ------------------------------------------------------------- what is built
{
	my $client = begin_load('load-worker-before-finish');

	ok($node->poll_query_until('postgres', "SELECT stop_point_waiting('load-worker-before-finish') = 2"), 'two workers build');
	is(sql("SELECT count(*) $workers AND backend_xmin IS NULL AND backend_xid IS NULL"), '2', 'they have no snapshot');
	is(sql("SELECT command, rows_read, workers, datname $progress"), "COPY|61000|2|postgres", 'what has been read is seen');
	disarm('load-worker-before-finish');
	$client->receive;
	is_loaded('two workers');
	no_workers_are_left('two workers');
}
{
	sql('TRUNCATE t');
	sql("SET skyvault.load_workers = 0; COPY t FROM '$input/random'");
	is_loaded('no workers');
	sql("TRUNCATE t; SET skyvault.load_workers = 7; COPY t FROM '$input/random'");
	is_loaded('many workers');
	sql("TRUNCATE t; COPY t FROM '$input/few'");
	is(sql('SELECT count(*) FROM t'), '1000', 'few rows');
	no_workers_are_left('few rows');
}
{
	my $client = session($node);

	sql('TRUNCATE t');
	arm('load-worker-before-finish', 'wait', 2);
	$client->send("COPY t FROM '$input/sorted'");
	await('load-worker-before-finish');
	is(sql("SELECT workers $progress"), '1', 'sorted input: one worker builds');
	disarm('load-worker-before-finish');
	$client->receive;
	is_loaded('sorted input');
}

# Each worker's keys come in order at first, and then anew in any order.
foreach my $case ([ 'one sequence', 'n', 1 ], [ 'two sequences', 'n + n % 2 * 1000000000', 2 ])
{
	my ($name, $key, $count) = @$case;
	my $client = session($node);

	sql(<<~SQL);
		TRUNCATE t;
		CREATE TABLE s AS SELECT 1 AS part, n, $key AS k, repeat(md5(n::text), 4) AS v FROM generate_series(1, 90000) AS n;
		INSERT INTO s SELECT 2, row_number() OVER (ORDER BY md5(k::text)), k, 'anew' FROM s WHERE k % 10 = 0;
		INSERT INTO s SELECT 3, n, k, 'and again' FROM s WHERE part = 2 AND k % 100 = 0;
		COPY (SELECT k, v FROM s ORDER BY part, n) TO '$input/mixed';
		SQL
	arm('load-worker-before-finish', 'wait', 2);
	$client->send("COPY t FROM '$input/mixed'");
	await('load-worker-before-finish');
	is(sql("SELECT workers $progress"), $count, "$name: workers");
	disarm('load-worker-before-finish');
	is(($client->receive)[1], undef, "$name: loaded");
	is(sql('SELECT count(*), md5(string_agg(k || v, $$,$$ ORDER BY k)) FROM t'),
		sql('SELECT count(*), md5(string_agg(k || v, $$,$$ ORDER BY k)) FROM (SELECT DISTINCT ON (k) k, v FROM s ORDER BY k, part DESC) AS r'),
		"$name: the last of each key is there");
	sql('DROP TABLE s');
}

{
	my $client = begin_load('load-sorting');

	ok($node->poll_query_until('postgres', "SELECT stop_point_waiting('load-sorting') = 2"), 'two workers sort');
	is(sql("SELECT phase, percent, rows_written $progress"), 'sorting|50.0|0', 'that they do is seen');
	disarm('load-sorting');
	$client->receive;
}

# ------------------------------------------------- no workers to be had
{
	my $client = session($node);

	$client->run("BEGIN; ALTER SERVER vault OPTIONS (ADD batch_size '500'); TRUNCATE t");
	arm('load-worker-ready', 'error', 100);
	my (undef, $error) = $client->try("COPY t FROM '$input/random'; COMMIT");
	is($error, undef, 'a server that this transaction has changed: loaded without workers');
	disarm('load-worker-ready');
	is_loaded('a changed server');
}

# --------------------------------------------------------- errors of workers
{
	my $client = begin_load('load-worker-before-finish');

	chmod(0500, glob("$store/*/*"), glob("$store/*"), $store);
	disarm('load-worker-before-finish');
	my (undef, $error) = $client->receive;

	chmod(0700, $store, glob("$store/*"));
	chmod(0700, glob("$store/*/*"));
	like($error, qr/^ERROR:  (42501|58030): .*store.*^CONTEXT:.*skyvault load worker/sm, 'an error of a worker is that of the statement');
	is_empty('an error of a worker');
	no_workers_are_left('an error of a worker');
}
{
	my $client = begin_load('load-worker-added');

	sql("SELECT pg_terminate_backend(pid) $workers");
	my (undef, $error) = $client->receive;

	disarm('load-worker-added');
	like($error, qr/lost connection to skyvault load worker.*HINT/s, 'a worker that is ended fails the statement');
	is_empty('an ended worker');
	no_workers_are_left('an ended worker');
}
{
	my $client = begin_load('load-worker-added');

	sql("SELECT pg_cancel_backend(pid) $workers");
	my (undef, $error) = $client->receive;

	disarm('load-worker-added');
	like($error, qr/57014/, 'a worker that is cancelled cancels the statement');
	no_workers_are_left('a cancelled worker');
}
{
	sql("TRUNCATE t; ALTER FOREIGN TABLE t OPTIONS (ADD insert 'strict')");
	fails_with($node, "COPY t FROM '$input/random'", '23505', qr/DETAIL:.*\(k\)/, 'a key that comes twice is reported by its name');
	is_empty('a key that comes twice');
	sql("ALTER FOREIGN TABLE t OPTIONS (DROP insert)");
	no_workers_are_left('a key that comes twice');
}

# --------------------------------------------------------- the leader stops
foreach my $point (qw(load-worker-ready load-worker-added load-worker-before-finish load-worker-built))
{
	my $client = begin_load($point);

	sql('SELECT pg_cancel_backend(' . $client->pid . ')');
	my (undef, $error) = $client->receive;

	like($error, qr/57014/, "a cancel at $point");
	no_workers_are_left("a cancel at $point");
	disarm($point);
	is_empty("a cancel at $point");
}
{
	my $client = begin_load('load-worker-built');

	sql('SELECT pg_terminate_backend(' . $client->pid . ')');
	no_workers_are_left('the session is ended');
	disarm('load-worker-built');
	is_empty('the session is ended');
}
{
	my $client = session($node);

	sql('TRUNCATE t');
	sql("COPY (SELECT k::text, v FROM m UNION ALL SELECT 'no number', '') TO '$input/wrong'");
	$client->run('BEGIN');
	$client->run('SAVEPOINT s');
	like(($client->try("COPY t FROM '$input/wrong'"))[1], qr/22P02/, 'an error of the input');
	no_workers_are_left('an error of the input');
	$client->run('ROLLBACK TO s');
	$client->run("COPY t FROM '$input/random'");
	$client->run('COMMIT');
	is_loaded('after an error in a subtransaction');
}

# ------------------------------------------------------------------- the sweep
{
	my $client = begin_load('load-worker-built');

	ok($node->poll_query_until('postgres', "SELECT stop_point_waiting('load-worker-built') = 2"), 'all is written');
	is(sql("SELECT phase, percent $progress"), 'writing|99.2', 'all that is written is seen, of equal keys one');
	cmp_ok(sql("SELECT count(*) FROM skyvault_gc(vault => 'vault', sweep => true) WHERE reason ~ 'orphan'"), '>', 0, 'what was given up is swept');
	disarm('load-worker-built');
	$client->receive;
	is_loaded('a sweep during the load');
	is(sql("SELECT count(*) FROM skyvault_verify('t', true) AS v WHERE v::text ~ 'missing'"), '0', 'nothing is missing');
}

# -------------------------------------------------------------- who sees what
{
	sql('CREATE ROLE nobody; CREATE ROLE reader IN ROLE pg_read_all_stats');
	my $client = begin_load('load-worker-before-finish');

	is(sql("SET ROLE nobody; SELECT pid = " . $client->pid . ", datname, relid, rows_read, percent FROM skyvault_progress_load"),
		't|postgres|||', 'of others no more than that they load');
	like(sql("SET ROLE reader; SELECT rows_read, percent IS NOT NULL FROM skyvault_progress_load"), qr/^61000\|t$/,
		'but for who may read all statistics');
	disarm('load-worker-before-finish');
	$client->receive;
}

# ------------------------------------------------------ databases and servers
{
	mkdir("$store/other");
	sql('CREATE DATABASE other');
	install_skyvault($node, 'other');
	sql("CREATE SERVER vault FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:$store/other', shared 'on');
		CREATE FOREIGN TABLE t (k bigint, v text) SERVER vault OPTIONS (key 'k'); INSERT INTO t VALUES (1, '')", 'other');
	sql("SELECT skyvault_flush('vault')", 'other');
	my $client = session($node, 'other');

	arm('load-worker-added', 'wait', 2);
	$client->send("COPY t FROM '$input/random'");
	await('load-worker-added');
	is(sql('DROP DATABASE other WITH (FORCE); SELECT count(*) FROM pg_database WHERE datname = $$other$$'), '0', 'a database is dropped amid a load');
	disarm('load-worker-added');
	no_workers_are_left('a dropped database');
}
{
	my $client = begin_load('load-worker-added');

	$node->stop('fast');
	ok(1, 'a fast stop amid a load');
	$node->start;
	is_empty('a fast stop');
	$client = begin_load('load-worker-built');
	my $pid = sql("SELECT min(pid) $workers");

	kill('KILL', $pid);
	await_server($node);
	is_empty('a killed worker');
	sql("COPY t FROM '$input/random'");
	is_loaded('after a killed worker');
}
{
	$node->append_conf('postgresql.conf', "max_worker_processes = 2\nmax_logical_replication_workers = 0\nskyvault.max_workers = 0");
	$node->restart;
	ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'skyvault scheduler'"), 'the scheduler runs');
	sql("TRUNCATE t; COPY t FROM '$input/random'");
	is_loaded('no room for workers');
}
done_testing();
