# Scans below one Append that wait for their stores together (option async_capable):
# which plans have them, that requests of two vaults are under way at once, and that
# rows are what a plain table has, whatever happens on the way.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultS3;
use SkyvaultTest;
use Test::More;

my $s3 = SkyvaultS3->shared->start_proxy;
my $node = new_server('main',
	settings => "skyvault.cache_size = 16MB\nskyvault.disk_cache_size = 0\nskyvault.store_timeout = 1h\n");

sub sql { return $node->safe_psql('postgres', $_[0]) }

# Two vaults of a bucket, a directory, and a heap.
sql($s3->create_server($_) . "; ALTER SERVER $_ OPTIONS (ADD async_capable 'on')") foreach qw(one two);
sql("CREATE SERVER three FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:three')");
sql('CREATE TABLE t (id integer, v text) PARTITION BY LIST ((id % 4)); CREATE TABLE plain (id integer PRIMARY KEY, v text)');
sql("CREATE FOREIGN TABLE t0 PARTITION OF t FOR VALUES IN (0) SERVER one OPTIONS (key 'id');
	CREATE FOREIGN TABLE t1 PARTITION OF t FOR VALUES IN (1) SERVER two OPTIONS (key 'id');
	CREATE FOREIGN TABLE t2 PARTITION OF t FOR VALUES IN (2) SERVER three OPTIONS (key 'id', async_capable 'on');
	CREATE TABLE t3 PARTITION OF t FOR VALUES IN (3)");
sql("INSERT INTO $_ SELECT n, repeat('v' || n, 20) FROM generate_series(1, 40000) AS n") foreach qw(t plain);
sql('SELECT skyvault_flush()');
sql("SELECT skyvault_compact('t$_')") foreach 0 .. 2;
sql("UPDATE $_ SET v = 'in a second run' WHERE id % 11 = 0") foreach qw(t plain);
sql('SELECT skyvault_flush()');
sql("UPDATE $_ SET v = 'in the delta' WHERE id % 10 = 0") foreach qw(t plain);
sql("DELETE FROM $_ WHERE id % 100 = 1") foreach qw(t plain);

sub make_cold
{
	sql('SELECT skyvault_clear_cache()');
	return;
}

# ------------------------------------------------------------------------ plans
sub plan_of
{
	my ($query, $options) = @_;

	return sql('EXPLAIN (COSTS off' . ($options // '') . ") $query");
}

my $both = 'SELECT id, v FROM t0 UNION ALL SELECT id, v FROM t1';
my $async = sub { scalar(() = $_[0] =~ /Async Foreign Scan/g) };

is($async->(plan_of('SELECT * FROM t')), 3, 'partitions of three vaults, beside a heap');
is($async->(plan_of($both)), 2, 'UNION ALL of two vaults');
is($async->(plan_of('SELECT * FROM t0')), 0, 'no Append, none');
is($async->(plan_of('SELECT * FROM t ORDER BY id')), 0, 'none below a merge');
is($async->(plan_of('SELECT * FROM t FOR UPDATE')), 0, 'none that lock');
is($async->(plan_of("UPDATE t SET v = 'x'")), 0, 'none of an UPDATE');
unlike(plan_of($both), qr/Gather/, 'and no workers');
like(plan_of($both, ', ANALYZE, TIMING off, SUMMARY off'),
	qr/Async Foreign Scan on t0 \(actual rows=10000 .*Async Foreign Scan on t1 \(actual rows=9600 /s, 'rows are counted once');
sql("ALTER FOREIGN TABLE t0 OPTIONS (ADD async_capable 'off')");
is($async->(plan_of($both)), 1, "the table's word counts more than the server's");
sql("ALTER FOREIGN TABLE t0 OPTIONS (DROP async_capable)");
my ($rc, undef, $error) = $node->psql('postgres', "ALTER FOREIGN TABLE t0 OPTIONS (ADD async_capable 'perhaps')");
like($error, qr/invalid value for option "async_capable": "perhaps"/, 'no boolean');

# ---------------------------------------------------------------- at the same time
my $session = session($node);
my $two = '(SELECT * FROM t0 UNION ALL SELECT * FROM t1) AS u';
my $heap = '(SELECT * FROM plain WHERE id % 4 < 2) AS u';
my %at_once = (
	'keys of two vaults' => [ 1, "SELECT count(*), sum(id), string_agg(v, ',' ORDER BY id) FROM %s WHERE id IN (4008, 20008, 4005, 20005)" ],
	'first blocks of two vaults' => [ 1, 'SELECT count(v), sum(id) FROM %s WHERE id BETWEEN 10000 AND 10100' ],
	'all blocks of two vaults, from the first' => [ 1, 'SELECT count(v), sum(id) FROM %s' ],
	(map { ("all blocks of two vaults, from the ${_}th request on" => [ $_, 'SELECT count(v), sum(id) FROM %s' ]) } 4, 5, 6));

# Requests of both are held, and would be for ever if the second waited for the first.
foreach my $what (sort keys %at_once)
{
	my ($first, $query) = @{ $at_once{$what} };

	make_cold();
	my @rules = map { $s3->fault('hold', method => '^GET$', path => "/$_-.*\\.sst", first => $first) } qw(one two);
	$session->send(sprintf($query, $two));
	$s3->await_hits($_, 1) foreach @rules;
	pass("$what are asked for at once");
	$s3->clear_faults;
	my ($rows, $errors) = $session->receive;
	is($rows, sql(sprintf($query, $heap)), 'and found');
	is($errors, undef, 'without an error');
}

# ---------------------------------------------------------------------- like a heap
srand($ENV{SKYVAULT_SEED} // time);
my $seed = int(rand(1 << 31));
srand($seed);
note("SKYVAULT_SEED=$seed");

sub some_ids { return join(',', map { 1 + int(rand(41000)) } 1 .. 1 + int(rand($_[0]))) }

sub some_query
{
	my $low = int(rand(41000));
	my $high = $low + int(rand(3) < 1 ? 41000 : rand(2000));
	my @where = ("id IN (" . some_ids(20) . ")", "id BETWEEN $low AND $high", 'id % 7 = ' . int(rand(7)), 'true',
		"id BETWEEN $low AND $high AND v LIKE '%2%'", "id = ANY (ARRAY(SELECT n FROM generate_series($low, $high, 3) AS n))");
	my $where = $where[rand(@where)];
	my $limit = 1 + int(rand(200));
	my @queries = (
		"SELECT count(*), sum(id), md5(string_agg(id || v, ',' ORDER BY id)) FROM %1\$s WHERE $where",
		"SELECT id, v FROM %1\$s WHERE $where ORDER BY id, v LIMIT $limit",
		"SELECT count(*) FROM (SELECT id FROM %1\$s WHERE $where LIMIT $limit) AS l",
		"SELECT count(*), sum(a.id) FROM %1\$s AS a JOIN %1\$s AS b ON a.id = b.id + 1 WHERE a.id IN (" . some_ids(30) . ')',
		"SELECT n, (SELECT count(*) || ' ' || sum(id) FROM %1\$s WHERE id BETWEEN n AND n + 50) FROM generate_series($low, $low + 20, 5) AS n",
		"SELECT count(*), sum(id) FROM (SELECT id FROM %1\$s WHERE $where UNION ALL SELECT id + 1 FROM %1\$s WHERE id < $limit) AS u",
		"SELECT count(*) FROM generate_series($low, $low + 10) AS n WHERE EXISTS (SELECT FROM %1\$s WHERE id = n)");

	return $queries[rand(@queries)];
}

my $steps = $ENV{SKYVAULT_STEPS} // 40;

sub compare
{
	my ($make_cold) = @_;
	my $query = some_query();
	my ($mine, $theirs) = map { sprintf($query, $_) } qw(t plain);
	my $paths = 'SET enable_hashjoin = ' . (rand(2) < 1 ? 'on' : 'off') . '; SET enable_nestloop = ' . (rand(3) < 2 ? 'on' : 'off');

	$make_cold->() if rand(2) < 1;
	return is($session->run("$paths; $mine"), sql($theirs), $mine);
}

foreach (1 .. $steps) { compare(\&make_cold) or last }

# ------------------------------------------------------------- what happens amid it
make_cold();
is($session->run(<<~SQL), "3\n3\n20000\nt", 'cursors that are left, rescans by scrolling, own writes beside');
	SET enable_hashjoin = on; SET enable_nestloop = on;
	BEGIN;
	DECLARE a CURSOR FOR SELECT id FROM t;
	DECLARE b SCROLL CURSOR FOR SELECT id FROM t;
	DECLARE c CURSOR FOR SELECT id FROM t;
	INSERT INTO t VALUES (50000, 'own'), (50001, 'own'), (50002, 'own');
	MOVE 5 FROM a;
	MOVE 1000 FROM b;
	MOVE BACKWARD ALL FROM b;
	SELECT count(*) FROM t WHERE id >= 50000;
	SAVEPOINT s;
	DELETE FROM t WHERE id % 2 = 0 AND id < 50000;
	SELECT count(*) FROM t WHERE id >= 50000;
	SELECT 40000 / 2;
	ROLLBACK TO s;
	CLOSE a;
	SELECT count(*) = (SELECT count(*) + 3 FROM plain) FROM t;
	ROLLBACK;
	SQL
make_cold();
my ($rows, $errors) = $session->try('SELECT 1 / (id - 20002) FROM t');
like($errors, qr/22012/, 'an error of a row');
make_cold();
$s3->fault('status', method => '^GET$', path => '\.sst', status => 403, code => 'AccessDenied');
($rows, $errors) = $session->try('SELECT count(v) FROM t');
like($errors, qr/42501|58030|28000/, 'an error of a store');
$s3->clear_faults;
is($session->run('SELECT count(*) FROM t'), sql('SELECT count(*) FROM plain'), 'leaves nothing behind');

# A cancel while all wait.
make_cold();
my @held = map { $s3->fault('hold', method => '^GET$', path => "/$_-.*\\.sst") } qw(one two);
$session->send('SELECT count(v) FROM t');
$s3->await_hits($_, 1) foreach @held;
sql('SELECT pg_cancel_backend(' . $session->pid . ')');
($rows, $errors) = $session->receive;
like($errors, qr/57014/, 'a cancel while requests are held');
$s3->clear_faults;
is($session->run('SELECT count(*) FROM t'), sql('SELECT count(*) FROM plain'), 'leaves nothing behind');

# Errors in the wait itself leave none of Postgres's sets of events.
sub event_sets { return scalar(grep { (readlink($_) // '') =~ /eventpoll/ } glob('/proc/' . $session->pid . '/fd/*')) }
sub fail_there
{
	make_cold();
	$s3->fault('status', method => '^GET$', path => '\.sst', status => 403, code => 'AccessDenied');
	$session->try('SELECT count(v) FROM t');
	$s3->clear_faults;
	return;
}
fail_there() foreach 1 .. 3;
my $before = event_sets();
fail_there() foreach 1 .. 5;
is(event_sets(), $before, 'errors leave no descriptor open');
cmp_ok($before, '>', 0, 'of which there are some');
$session->quit;

# The same with next to no room in memory, and with a disk tier in between.
$node->append_conf('postgresql.conf', "skyvault.cache_size = 4MB\nskyvault.tail_cache_size = 1MB\nskyvault.disk_cache_size = 64MB\n");
$node->restart;
$session = session($node);
foreach (1 .. $steps) { compare(sub { make_cold(); sql('SELECT skyvault_clear_disk_cache()') if rand(2) < 1 }) or last }
$session->quit;
done_testing();
