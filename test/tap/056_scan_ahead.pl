# Scans of more than their share of the cache, which have the next pieces of a run on
# their way while they work: all of it is right, no more is asked for than twice what
# is needed, and nothing is under way once the query, or a FETCH, is over.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultS3;
use SkyvaultTest;
use Test::More;

my $s3 = SkyvaultS3->shared->start_proxy;
my $node = new_server('main',
	settings => "skyvault.cache_size = 8MB\nskyvault.disk_cache_size = 0\nskyvault.store_timeout = 1h\nskyvault.run_size = 16MB\n"
	  . "max_parallel_workers_per_gather = 0\n");

sub sql { return $node->safe_psql('postgres', $_[0]); }

# 24,000 rows of 1 kB as they are stored, in two runs of a group; and newer ones of
# every thousandth key in a third run, and in the delta.
my $value = "(SELECT string_agg(encode(sha512((%s || ':' || i)::bytea), 'base64'), '') FROM generate_series(1, 16) AS i)";

sub load
{
	my ($what, $numbers) = @_;
	my $of = sprintf($value, "'$what' || n");

	sql("SELECT skyvault_multi_put('kv', array_agg('k' || to_char(n, 'FM00000')), array_agg($of)) FROM $numbers AS n");
	sql("INSERT INTO plain SELECT 'k' || to_char(n, 'FM00000'), $of FROM $numbers AS n"
		. ' ON CONFLICT (key) DO UPDATE SET value = excluded.value');
	return;
}

sql($s3->create_server('vault'));
sql(q{SELECT skyvault_create_table('kv', server => 'vault')});
sql('CREATE TABLE plain (key text COLLATE "C" PRIMARY KEY, value text)');
load('old', "generate_series($_, $_ + 3999)") foreach map { 4000 * $_ } 0 .. 5;
sql('SELECT skyvault_flush()');
load('new', 'generate_series(500, 23500, 1000)');
sql('SELECT skyvault_flush()');
load('newest', 'generate_series(700, 23700, 1000)');
cmp_ok(sql('SELECT count(*) FROM skyvault.run'), '>=', 3, 'several runs');

my $digest = 'count(*), sum(hashtext(key)::bigint * 7 + hashtext(value))';
my $right = sql("SELECT $digest FROM plain");
my $all_bytes = sql('SELECT sum(file_bytes) FROM skyvault.run');

# Of a statement with nothing cached but tails: (answer, GETs, megabytes that they asked for).
sub gets_of
{
	my ($query) = @_;

	sql('SELECT skyvault_clear_cache()');
	sql(q{SELECT count(*) FROM skyvault_index('kv')});
	my ($gets, $bytes) = counters();
	my $answer = sql($query);
	my ($gets_after, $bytes_after) = counters();
	return ($answer, $gets_after - $gets, ($bytes_after - $bytes) / 1e6);
}

sub counters
{
	return split(/\|/, sql(q{SELECT sum(requests), sum(bytes_in) FROM skyvault_stat_store WHERE operation = 'get'}));
}

# Whether all that was asked for has ended, by an answer or because it was given up: then
# whoever asked has counted it.
my $counted_before;

sub begin_counting
{
	($counted_before) = counters();
	$s3->forget_requests;
	return;
}

sub is_quiet
{
	my ($name) = @_;
	my $asked = $s3->requests(method => '^GET$');
	my ($counted) = counters();

	cmp_ok($asked, '<=', $counted - $counted_before, "$name: nothing is under way");
	return;
}

# ------------------------------------------------------------------- whole scans
{
	my ($answer, $gets, $mb) = gets_of("SELECT $digest FROM kv");

	is($answer, $right, 'a scan that passes by the cache');
	cmp_ok($gets, '<', 45, 'takes few GETs') or diag("$gets GETs");
	cmp_ok($mb, '<', $all_bytes / 1e6 + 1, 'and nothing twice') or diag("$mb of $all_bytes");
	cmp_ok(sql('SELECT count(*) FROM skyvault_cache'), '<', 600, 'most of it was never cached');
	is(sql("SELECT $digest FROM (SELECT * FROM kv ORDER BY key) AS t"), $right, 'in order');
	is(sql(q{SELECT count(*) FROM (SELECT 1 FROM kv OFFSET 0) AS t}), 24000, 'no column of it');
	is(sql(q{SELECT count(value) FROM kv WHERE key >= 'k00300' AND key < 'k23123'}), 22823, 'between bounds');
	is(sql(q{SELECT count(*) FROM skyvault_scan('kv', reverse => true)}), 24000, 'backward, by way of the cache');
}

# ------------------------------------------------------------------- early ends
{
	my ($answer, $gets, $mb) = gets_of('SELECT count(*) FROM (SELECT key FROM kv LIMIT 100) AS t');

	is($answer, 100, 'a small LIMIT');
	cmp_ok($mb, '<', 0.6, 'asks for little') or diag("$mb MB in $gets GETs");
	($answer, $gets, $mb) = gets_of('SELECT count(*) FROM (SELECT key FROM kv LIMIT 5000) AS t');
	is($answer, 5000, 'a large one');
	cmp_ok($mb, '<', 13, 'for no more than about twice what it needs') or diag("$mb MB in $gets GETs");
}

# ------------------------------------------------------------------- cursors
# Between FETCHes nothing is under way, whatever is done then.
{
	my $session = session($node);

	sql('SELECT skyvault_clear_cache()');
	begin_counting();
	$session->run('BEGIN');
	$session->run("DECLARE c CURSOR FOR SELECT key, value FROM kv ORDER BY key");
	$session->run('MOVE 6000 FROM c');
	is_quiet('after a MOVE');
	is(($session->run('FETCH 1 FROM c'))[0] =~ /^k06000\|/, 1, 'and it goes on');
	$session->run('SAVEPOINT s');
	$session->send('SELECT count(1 / (key <> $$k09000$$)::integer) FROM kv');
	like(($session->receive)[1], qr/22012/, 'an error in the middle of another scan');
	is_quiet('after the error');
	$session->run('ROLLBACK TO s');
	is(($session->run("SELECT $digest FROM kv"))[0], $right, 'a whole scan beside the cursor');
	$session->run('MOVE 9000 FROM c');
	is(($session->run('SELECT key FROM kv WHERE key = $$k12345$$'))[0], 'k12345', 'a lookup');
	is(($session->run('FETCH 1 FROM c'))[0] =~ /^k15001\|/, 1, 'the cursor is where it was');
	is_quiet('after a FETCH');
	$session->run('DECLARE h CURSOR WITH HOLD FOR SELECT key FROM kv WHERE key > $$k02$$ ORDER BY key');
	$session->run('FETCH 3000 FROM h');
	$session->run('COMMIT');
	is_quiet('after COMMIT');
	is(($session->run('FETCH 1 FROM h'))[0], 'k05000', 'a cursor goes on after COMMIT');
	$session->run('CLOSE h');
	$session->run('BEGIN');
	$session->run('DECLARE c CURSOR FOR SELECT key FROM kv');
	$session->run('MOVE 5000 FROM c');
	$session->quit;
	is(sql('SELECT coalesce(sum(pins), 0) FROM skyvault_cache'), 0, 'a session that ends leaves no pin');
}

# Within a statement, as in a loop of PL/pgSQL, pieces stay under way from FETCH to
# FETCH: also when the server's options change, and its store is opened anew.
sql(<<'SQL');
CREATE FUNCTION digest_changing(at integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	n integer := 0;
	sum bigint := 0;
	r record;
BEGIN
	FOR r IN SELECT * FROM kv LOOP
		n := n + 1;
		sum := sum + hashtext(r.key)::bigint * 7 + hashtext(r.value);
		IF n % at = 0 THEN
			ALTER SERVER vault OPTIONS (ADD mirror 'off');
			ALTER SERVER vault OPTIONS (DROP mirror);
			PERFORM skyvault_get('kv', 'k00001');
		END IF;
	END LOOP;
	RETURN n || '|' || sum;
END $$;
CREATE FUNCTION count_first(limit_by integer, times integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	n bigint := 0;
	r record;
BEGIN
	FOR i IN 1 .. times LOOP
		FOR r IN SELECT key FROM kv LOOP
			n := n + 1;
			EXIT WHEN n % limit_by = 0;
		END LOOP;
	END LOOP;
	RETURN n;
END $$;
SQL
sql('SELECT skyvault_clear_cache()');
is(sql('SELECT digest_changing(5003)'), $right, 'a loop under which the store is opened anew');
is(sql('SELECT count_first(7000, 4)'), 28000, 'loops that are left early');
is(sql('SELECT count(*) FROM generate_series(1, 2) AS g, LATERAL (SELECT key FROM kv WHERE key >= $$k00000$$ || g LIMIT 9000) AS t'),
	18000, 'rescans');

# ------------------------------------------------------------------- faults
# Answers that fail while nobody waits for them: tried again when they are needed.
foreach my $fault ([ 'status', status => 503, code => 'SlowDown' ], ['reset'], [ 'cut', keep => 100_000 ],
	[ 'short', keep => 100_000 ], [ 'status', status => 500, code => 'InternalError' ])
{
	my ($kind, %words) = @$fault;

	sql('SELECT skyvault_clear_cache()');
	$s3->fault($kind, method => '^GET$', path => '\.sst', first => 14, every => 4, %words);
	is(sql("SELECT $digest FROM kv"), $right, "every fourth GET: $kind " . ($words{status} // ''));
	$s3->clear_faults;
}

# Bits that are turned are noticed.
{
	sql('SELECT skyvault_clear_cache()');
	$s3->fault('flip', method => '^GET$', path => '\.sst', first => 18, last => 18, at => 7777);
	fails_with($node, "SELECT $digest FROM kv", 'XX001', qr/corrupted block \d+ at offset \d+/, 'a damaged piece');
	$s3->clear_faults;
	is(sql("SELECT $digest FROM kv"), $right, 'that was damaged on its way');
}

# What is read ahead and denied is an error of who comes to it, and of nobody else.
{
	my $session = session($node);

	sql('SELECT skyvault_clear_cache()');
	sql(q{SELECT count(*) FROM skyvault_index('kv')});
	$session->run('BEGIN');
	$session->run('DECLARE c CURSOR FOR SELECT key FROM kv');
	$session->run('MOVE 3000 FROM c');
	$s3->fault('status', method => '^GET$', path => '\.sst', status => 403, code => 'AccessDenied');
	is(($session->run('FETCH 1 FROM c'))[0], 'k03000', 'what is there is there');
	$session->send('MOVE ALL FROM c');
	like(($session->receive)[1], qr/Access ?Denied/i, 'what is not is an error');
	$s3->clear_faults;
	$session->run('ROLLBACK');
	is(($session->run("SELECT $digest FROM kv"))[0], $right, 'and all is well when the store is back');
	$session->quit;
}

# Pieces of which nothing comes, or not all: cancelled at once.
foreach my $fault ([ 'hang' ], [ 'stall', keep => 50_000 ])
{
	my ($kind, %words) = @$fault;
	my $session = session($node);
	my $rule;

	sql('SELECT skyvault_clear_cache()');
	$rule = $s3->fault($kind, method => '^GET$', path => '\.sst', first => 20, %words);
	$session->send("SELECT $digest FROM kv");
	$s3->await_hits($rule, 2);
	sql('SELECT pg_cancel_backend(' . $session->pid . ')');
	like(($session->receive)[1], qr/57014/, "a scan that waits can be cancelled: $kind");
	$s3->clear_faults;
	is(($session->run("SELECT $digest FROM kv"))[0], $right, 'and reads all when it is asked again');
	$session->quit;
	is(sql('SELECT coalesce(sum(pins), 0) FROM skyvault_cache'), 0, 'nothing is pinned');
}

# As many at once as the setting says, and fewer than that where it is small.
foreach my $concurrency (1, 2, 4)
{
	sql("ALTER SERVER vault OPTIONS (" . ($concurrency == 1 ? 'ADD' : 'SET') . " io_concurrency '$concurrency')");
	is(sql("SELECT $digest FROM kv"), $right, "with $concurrency requests at once");
}

# ------------------------------------------------------------------- the disk tier
$node->append_conf('postgresql.conf', 'skyvault.disk_cache_size = 64MB');
$node->restart;
sql('SELECT skyvault_clear_disk_cache()');
is((gets_of("SELECT $digest FROM kv"))[0], $right, 'with a disk cache that has nothing of it');
sql(q{SELECT count(skyvault_get('kv', 'k' || to_char(n, 'FM00000'))) FROM generate_series(0, 23999, 50) AS n
	WHERE n < 12000 OR n % 1500 < 1000});
{
	my ($answer, $gets, $mb) = gets_of("SELECT $digest FROM kv");

	is($answer, $right, 'with one that has half, and two thirds of each piece of the rest');
	cmp_ok($mb, '<', $all_bytes / 1e6 * 0.4, 'what it has is not asked for again') or diag("$mb of $all_bytes");
	cmp_ok($gets, '<', 45, 'nor is what it has not in many GETs') or diag("$gets GETs");
}

$node->stop;
done_testing();
