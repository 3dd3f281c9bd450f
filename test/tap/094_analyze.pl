# ANALYZE of a table of 100 runs, most of its entries outdated or removed: it asks the
# store for a bounded number of blocks, pushes nothing out of the cache, and what it
# finds is what a reader would.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultS3;
use SkyvaultTest;
use Test::More;

my $seed = $ENV{SKYVAULT_SEED} // int(rand(2**31));
note("SKYVAULT_SEED=$seed");
srand($seed);

my $s3 = SkyvaultS3->shared->start_proxy;
my $node = new_server('main',
	settings => "skyvault.cache_size = 8MB\nskyvault.disk_cache_size = 0\nskyvault.max_workers = 0\n"
	  . "skyvault.stop_wait = 0\nskyvault.flush_interval = 0\nskyvault.flush_size = 1GB\n");

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub counters
{
	return split(/\|/, sql(q{SELECT sum(requests), sum(bytes_in) FROM skyvault_stat_store WHERE operation = 'get'}));
}

sub near
{
	my ($name, $got, $want, $off) = @_;

	ok($got >= $want * (1 - $off) && $got <= $want * (1 + $off), "$name: $got, about $want");
	return;
}

sql($s3->create_server('vault'));
sql(q{CREATE FOREIGN TABLE t (id bigint, grp integer, filler text) SERVER vault OPTIONS (key 'id')});

# Every run has keys from everywhere: 100,000 keys, of which each is in five runs, of
# 5,000 rows each; a fifth of the keys is deleted by one of the last runs.  The newest
# values are in 20 groups, the old ones in one of their own.
my @order = sort { rand() <=> rand() } 0 .. 19;
foreach my $round (0 .. 4)
{
	foreach my $part (@order)
	{
		my $group = $round < 4 ? -1 : 'n / 20 % 20';

		sql($round == 4 && $part < 4
			? "DELETE FROM t WHERE id = ANY (ARRAY(SELECT n FROM generate_series($part, 99999, 20) AS n))"
			: "INSERT INTO t SELECT n, $group, sha512((n || ':$round')::bytea)::text FROM generate_series($part, 99999, 20) AS n");
		sql('SELECT skyvault_flush()');
	}
}
is(sql('SELECT count(*) FROM skyvault.run'), 100, '100 runs');
my ($all_bytes, $all_blocks) = split(/\|/, sql('SELECT sum(file_bytes - tail_bytes), sum(raw_bytes[1]) / 16384 FROM skyvault.run'));
my $tail_bytes = sql('SELECT sum(tail_bytes) FROM skyvault.run');

# ----------------------------------------------------------------- what is read
sql('SELECT skyvault_clear_cache()');
my ($gets_before, $bytes_before);
my $blocks = q{SELECT block_loads + block_bypasses FROM skyvault_stat_cache};
my $blocks_before = sql($blocks);
my $kept = q{SELECT block_evictions FROM skyvault_stat_cache};
sql('SELECT count(filler) FROM t');	# fills the cache
my $kept_before = sql($kept);
($gets_before, $bytes_before) = counters();
$blocks_before = sql($blocks);
sql('ANALYZE t');
my ($gets, $bytes) = counters();
$gets -= $gets_before;
$bytes -= $bytes_before;
$blocks_before = sql($blocks) - $blocks_before;
note("$gets GETs, $bytes of $all_bytes bytes, $blocks_before blocks of $all_blocks");
# A hundred runs that overlap leave 2,000 entries of 300 blocks to be asked about: about
# as many blocks again where there are newer ones, and 1,000 at most where filters are wrong.
cmp_ok($blocks_before, '<', 2000, 'blocks are bounded');
cmp_ok($blocks_before, '<', $all_blocks * 0.75, 'and not all there are');
cmp_ok($bytes, '<', $all_bytes * 0.75, 'a part of the table was read');
cmp_ok(sql($kept) - $kept_before, '<', $blocks_before, 'what is sampled pushes nothing out');

# ---------------------------------------------------------------- what is found
near('rows', sql(q{SELECT reltuples FROM pg_class WHERE relname = 't'}), 80_000, 0.25);
near('groups', sql(q{SELECT n_distinct FROM pg_stats WHERE tablename = 't' AND attname = 'grp'}), 20, 0);
unlike(sql(q{SELECT most_common_vals::text FROM pg_stats WHERE tablename = 't' AND attname = 'grp'}), qr/-1/,
	'no outdated value is among the common ones');
is(sql(q{SELECT n_distinct FROM pg_stats WHERE tablename = 't' AND attname = 'id'}), -1, 'keys are unique');
near('order of keys', sql(q{SELECT correlation FROM pg_stats WHERE tablename = 't' AND attname = 'id'}), 1, 0.001);
near('width', sql(q{SELECT avg_width FROM pg_stats WHERE tablename = 't' AND attname = 'filler'}), 134, 0.05);

# --------------------------------------------------------- newer rows in the delta
sql(q{INSERT INTO t SELECT n, 100, 'new' FROM generate_series(0, 39999) AS n});
sql('ANALYZE t');
near('rows with those of the delta', sql(q{SELECT reltuples FROM pg_class WHERE relname = 't'}), 88_000, 0.4);
near('their share', sql(q{SELECT most_common_freqs[array_position(most_common_vals::text::integer[], 100)]
	FROM pg_stats WHERE tablename = 't' AND attname = 'grp'}), 40 / 88, 0.4);

# -------------------------------------------------- planning never asks the store
{
	my @shapes = (
		'SELECT * FROM t', 'SELECT count(*) FROM t', 'SELECT * FROM t WHERE id = 5', 'SELECT * FROM t WHERE id > 5 AND id < 900',
		'SELECT * FROM t WHERE id IN (1, 2, 3)', 'SELECT * FROM t WHERE grp = 3', 'SELECT * FROM t ORDER BY id DESC LIMIT 3',
		'SELECT * FROM t AS a JOIN t AS b USING (id)', 'SELECT * FROM t AS a WHERE EXISTS (SELECT FROM t AS b WHERE b.id = a.grp)',
		'SELECT grp, count(*) FROM t GROUP BY grp', 'SELECT max(id), min(id) FROM t', 'UPDATE t SET grp = 1 WHERE id < 10',
		'DELETE FROM t', 'INSERT INTO t SELECT id + 1, grp, filler FROM t', 'SELECT * FROM t WHERE id = 5 FOR UPDATE',
		'SELECT * FROM generate_series(1, 1000) AS n JOIN t ON t.id = n', 'SELECT * FROM u WHERE id BETWEEN 1 AND 5',
		'SELECT * FROM u JOIN t USING (id)', "SELECT * FROM u WHERE id < now()::date - '2020-01-01'::date");

	# One that was never analyzed: its key ranges come from the registry.
	sql(q{CREATE FOREIGN TABLE u (id bigint, v text) SERVER vault OPTIONS (key 'id')});
	sql('INSERT INTO u SELECT n, n::text FROM generate_series(1, 1000) AS n');
	sql('SELECT skyvault_flush()');
	sql('SELECT skyvault_clear_cache()');
	$s3->forget_requests;
	$s3->refuse_connections;
	is(sql("SET plan_cache_mode = $_;\n" . join('', map { "EXPLAIN $_;\n" } @shapes)) ne '', 1, "plans, $_")
		foreach qw(auto force_generic_plan);
	$s3->accept_connections;
	is($s3->requests, 0, 'planning asks the store for nothing');
	is(sql('SELECT count(v) FROM u'), 1000, 'execution does');
	cmp_ok($s3->requests, '>', 0, 'and is seen to');
}

# ------------------------------------------------------------- what requests cost
# The vault is larger than the cache: what a plan would have to read counts.
sub cost
{
	my ($query, $request) = @_;

	return sql("SET skyvault.request_cost = $request; EXPLAIN $query") =~ /cost=\d+\.\d+\.\.(\d+\.\d+)/ ? $1 : die;
}

foreach my $query ('SELECT * FROM t WHERE id = 5', 'SELECT * FROM t WHERE id IN (1, 2, 3)', 'SELECT * FROM t WHERE grp = 3')
{
	cmp_ok(cost($query, 10_000), '>', cost($query, 10) + 5_000, "requests cost: $query");
}
cmp_ok(cost('SELECT * FROM t WHERE id IN (1, 2, 3)', 10_000), '<', 2 * cost('SELECT * FROM t WHERE id = 5', 10_000),
	'requests that are made together cost less than one after the other');
sql(q{CREATE FOREIGN TABLE here (id bigint, v text) SERVER skyvault OPTIONS (key 'id')});
sql('INSERT INTO here SELECT n, n::text FROM generate_series(1, 1000) AS n; SELECT skyvault_flush()');
is(cost('SELECT * FROM here WHERE id = 5', 10_000), cost('SELECT * FROM here WHERE id = 5', 10), 'what is cached costs none');

# ------------------------------------------------------------------ interruption
my $session = session($node);
sql('SELECT skyvault_clear_cache()');
sql(q{SELECT stop_point_arm('run-read', 'wait')});
$session->send('ANALYZE t');
sql(q{CALL stop_point_await('run-read')});
sql('SELECT pg_cancel_backend(' . $session->pid . ')');
sql(q{SELECT stop_point_disarm('run-read')});
like(($session->receive)[1], qr/57014/, 'ANALYZE can be cancelled while it reads');
is(sql('SELECT count(*) FROM t WHERE id < 10'), 10, 'and leaves everything as it was');
$session->quit;
done_testing();
