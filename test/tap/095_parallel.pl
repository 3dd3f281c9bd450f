# Scans by several processes, while others write, flush, compact and analyze: each finds what a scan
# by one process finds under the same snapshot, and workers do their share.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $seed = $ENV{SKYVAULT_SEED} // int(rand(2**31));
note("SKYVAULT_SEED=$seed");
srand($seed);

my $node = new_server('main', settings => <<~CONF);
	max_worker_processes = 16
	max_parallel_workers = 8
	max_parallel_workers_per_gather = 3
	min_parallel_table_scan_size = 0
	parallel_setup_cost = 0
	parallel_tuple_cost = 0
	skyvault.cache_size = 4MB
	skyvault.max_workers = 2
	skyvault.wal_runs = 2
	skyvault.flush_interval = 0
	CONF

sub sql { return $node->safe_psql('postgres', $_[0]) }

sql(q{CREATE FOREIGN TABLE t (a integer, b text, v text) SERVER skyvault OPTIONS (key 'a, b', run_size '64kB', buffer_runs '1', level1_size '256kB')});

my $digest = q{count(*), count(DISTINCT (a, b)), sum(hashtext(a::text || ':' || b || ':' || v)::bigint)};

# -------------------------------------------------------------- who does the work
sql(q{INSERT INTO t SELECT n, 'b', repeat(md5(n::text), 10) FROM generate_series(1, 30000) AS n});
sql('SELECT skyvault_flush()');
sql(q{SELECT skyvault_compact('t')});
sql(q{UPDATE t SET v = 'in the delta' WHERE a % 100 = 0});
foreach my $leader (qw(off on))
{
	my $plan = sql("SET parallel_leader_participation = $leader; EXPLAIN (ANALYZE, VERBOSE, TIMING off, COSTS off) SELECT a, v FROM t");
	my ($launched) = $plan =~ /Workers Launched: (\d+)/;
	my @rows = $plan =~ /Worker \d+:\s+actual rows=(\d+)/g;

	is($launched, 3, "leader $leader: workers are launched");
	is(scalar(@rows), 3, "leader $leader: each of them tells");
	my $sum = 0;
	$sum += $_ foreach @rows;
	is($sum, 30000, 'without the leader they have all rows') if $leader eq 'off';
	cmp_ok($sum, '<=', 30000, 'no row comes twice') if $leader eq 'on';
}

# EXPLAIN has what all of them did, rows that are found again in the delta included.
{
	my $json = sql('EXPLAIN (ANALYZE, FORMAT json, TIMING off) SELECT a, v FROM t');

	like($json, qr/"Workers Launched": 3/, 'workers are launched');
	like($json, qr/"Rows in Key Ranges": 30000\b/, 'what workers did is counted');

	# The Limit ends Gather and its memory, and the end of the query comes to the scan again.
	like(sql('EXPLAIN (ANALYZE, TIMING off) SELECT * FROM (SELECT a FROM t LIMIT 10) AS s OFFSET 1'),
		qr/Parallel Foreign Scan/, 'a scan that is ended early');
	is(sql('SELECT (SELECT count(a) FROM (SELECT a FROM t LIMIT 10) AS s WHERE a + n > 0) FROM generate_series(1, 3) AS n'),
		"10\n10\n10", 'and again');
}

# ------------------------------------------------- beside writers, flushes and merges
my $writer = session($node);
my $reader = session($node);

sub range
{
	my ($low, $high) = sort { $a <=> $b } map { int(rand(32000)) } 0, 1;

	return ('', "WHERE a >= $low", "WHERE a < $high", "WHERE a BETWEEN $low AND $high",
		'WHERE a = ANY (ARRAY[' . join(',', map { int(rand(32000)) } 1 .. 20) . '])', "WHERE a > $low AND v LIKE '%0%'")[ int(rand(6)) ];
}

sub change
{
	my $from = int(rand(32000));
	my $to = $from + int(rand(4000));
	my $round = int(rand(1e6));

	return ("INSERT INTO t SELECT n, 'b' || n % 3, md5('$round' || n) FROM generate_series($from, $to) AS n",
		"DELETE FROM t WHERE a BETWEEN $from AND $to", "UPDATE t SET v = v || '$round' WHERE a BETWEEN $from AND $to AND a % 3 = 0",
		"INSERT INTO t SELECT n * 7, 'c', repeat('$round', 100) FROM generate_series($from / 7, $to / 7) AS n",
		'SELECT skyvault_flush()', 'SELECT skyvault_flush()', "SELECT skyvault_compact('t')",
		'SET default_statistics_target = 5; ANALYZE t')[ int(rand(8)) ];
}

like(sql("EXPLAIN SELECT $digest FROM t"), qr/Parallel Foreign Scan/, 'what is compared is shared');
my ($different, $compared) = (0, 0);
foreach my $step (1 .. ($ENV{SKYVAULT_STEPS} // 60))
{
	my $isolation = rand() < 0.3 ? 'SERIALIZABLE' : 'REPEATABLE READ';
	my $own = rand() < 0.3;

	$reader->run("BEGIN ISOLATION LEVEL $isolation");
	$reader->run('SELECT count(*) FROM skyvault.vault');
	$writer->send(change());
	# Keys of its own: no other transaction writes to them.
	$reader->run("INSERT INTO t SELECT n, 'own', '$step' FROM generate_series(100000, 100500) AS n") if $own;
	foreach my $query (map { "SELECT $digest FROM t " . range() } 1 .. 3)
	{
		my $many = $reader->run($query);
		$reader->run('SET LOCAL max_parallel_workers_per_gather = 0');
		my $one = $reader->run($query);
		$reader->run('RESET max_parallel_workers_per_gather');
		$compared++;
		next if $many eq $one;
		$different++;
		diag("step $step, $isolation, $query: $many by many, $one by one");
	}
	$reader->run(rand() < 0.5 || $own ? 'ROLLBACK' : 'COMMIT');
	my ($rows, $errors) = $writer->receive;
	diag("the writer: $errors") if defined $errors && $errors !~ /40001/;
}
is($different, 0, "$compared answers of scans by many are those of scans by one");
is($reader->run('SELECT count(*) FROM t WHERE b = \'own\''), 0, 'rolled back rows are gone');

# A worker that dies on the way takes the query with it, and no later one.
{
	my ($rows, $errors) = $reader->try(q{SELECT sum(1 / (a - 7777)) FROM (SELECT a FROM t UNION ALL SELECT 7777) AS s});

	like($errors, qr/22012/, 'an error of one process ends the query');
	is($reader->run("SELECT $digest FROM t"), sql("SET max_parallel_workers_per_gather = 0; SELECT $digest FROM t"),
		'the next one is right');
}
$_->quit foreach $writer, $reader;
done_testing();
