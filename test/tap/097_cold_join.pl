# Joins that wait for the store: their batches hold as many rows as memory and LIMIT
# allow, and a thousand while all is cached.  The first one has a hundred rows, and
# tells whether there is something to wait for, and how large values are.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultS3;
use SkyvaultTest;
use Test::More;

my $s3 = SkyvaultS3->shared->start_proxy;
my $node = new_server('main', settings => "skyvault.disk_cache_size = 0\nskyvault.store_timeout = 1h\n");

sub sql { return $node->safe_psql('postgres', $_[0]); }

my $batched = 'SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_nestloop = off; SET enable_memoize = off;';
my $keys = 12_000;

# In each block some fifty keys, or some two; of the last table those of the first batch are small.
sql($s3->create_server('vault'));
foreach ([ 'far', $keys, 2 ], [ 'big', 2000, 64 ], [ 'uneven', 2000, 64 ])
{
	my ($table, $n, $parts) = @$_;
	my $value = "(SELECT string_agg(sha512((n || ':' || i)::bytea)::text, '') FROM generate_series(1, $parts) AS i)";

	sql("SELECT skyvault_create_table('$table', server => 'vault');
		SELECT skyvault_multi_put('$table', array_agg('k' || to_char(n, 'FM00000')), array_agg($value)) FROM generate_series(1, $n) AS n");
}
sql("CREATE TABLE wanted AS SELECT n AS id, 'k' || to_char((n * 7919) % $keys + 1, 'FM00000') AS key FROM generate_series(1, $keys) n; ANALYZE wanted");
sql(q{SELECT skyvault_multi_put('uneven', array_agg(key), array_agg('small'::text)) FROM wanted WHERE id <= 100; SELECT skyvault_flush()});

# What a join takes: batches, keys that are looked up and found, GETs, of an answer that takes some time each.
sub took
{
	my ($settings, $query) = @_;
	my $plan = sql("$batched $settings; EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, SUMMARY OFF) $query");
	my %took;

	like($plan, qr/Skyvault Batched Join/, "batched: $query; $settings");
	$took{$_} = $plan =~ /$_: (\d+)/ ? $1 : 0 foreach 'Batches', 'Keys Looked Up', 'Keys Found';
	$took{gets} = $plan =~ /gets=(\d+)/i ? $1 : 0;
	note($plan);
	return \%took;
}

sub cold
{
	sql('SELECT skyvault_clear_cache()');
	return took(@_);
}

$s3->fault('latency', method => '^GET$', path => '\.sst', ms => 20);

# ------------------------------------------------------------------- large, and small
my $join = 'SELECT w.id, f.value FROM wanted w JOIN far f ON f.key = w.key';
my $took = cold(q{SET work_mem = '64MB'}, $join);

is("$took->{Batches} $took->{'Keys Looked Up'} $took->{'Keys Found'}", "2 $keys $keys", 'a hundred rows, and all others');
cmp_ok($took->{gets}, '>', 0, "with $took->{gets} GETs");
cmp_ok($took->{gets}, '<=', 12, 'of many blocks each');

$took = took(q{SET work_mem = '64MB'}, $join);
is($took->{Batches}, 1 + int(($keys - 100 + 999) / 1000), 'of what is cached, a thousand each');
is($took->{gets}, 0, 'without a GET');

# ------------------------------------------------------------------- within memory
my $memory = 64 * 1024;
$took = cold(q{SET work_mem = '64kB'; SET hash_mem_multiplier = 1}, $join);
is($took->{'Keys Found'}, $keys, 'all keys, with little memory');
cmp_ok($took->{Batches}, '>=', $keys * 384 / $memory, "in $took->{Batches} batches");

$memory = 4 * 1024 * 1024;
foreach my $table (qw(big uneven))
{
	$took = cold(q{SET work_mem = '4MB'; SET hash_mem_multiplier = 1}, $join =~ s/far/$table/r);
	cmp_ok($took->{'Keys Found'}, '>=', 2000, "all keys of $table, which has large values");
	cmp_ok($took->{Batches}, '>=', 1 + 1900 * 64 * 130 / $memory, "in $took->{Batches} batches, as they leave room for");
}

# ------------------------------------------------------------------- as many as are wanted
$took = cold('', "$join LIMIT 3000");
is("$took->{Batches} $took->{'Keys Looked Up'}", '2 3100', 'with a LIMIT, no more rows at once');
$took = cold('', "$join LIMIT 1");
is("$took->{Batches} $took->{'Keys Looked Up'}", '1 16', 'and few with a small one');

# ------------------------------------------------------------------- cancelled
# All that the second batch waits for is there but for one answer.
{
	my $session = session($node);
	my $rule;

	$join = 'SELECT count(f.value) FROM wanted w JOIN big f ON f.key = w.key';
	$took = cold(q{SET work_mem = '64MB'}, $join);
	is($took->{Batches}, 2, 'a join that waits twice');
	$session->run($_) foreach split(/; ?/, "$batched SET work_mem = '64MB'");
	sql('SELECT skyvault_clear_cache()');
	$rule = $s3->fault('hold', method => '^GET$', path => '\.sst', first => $took->{gets});
	$session->send($join);
	$s3->await_hits($rule, 1);
	sql('SELECT pg_cancel_backend(' . $session->pid . ')');
	like(($session->receive)[1], qr/57014/, 'is cancelled');
	$s3->clear_faults;
	is($session->run($join), 2000, 'and has left nothing that others wait for');
	$session->quit;
}

done_testing();
