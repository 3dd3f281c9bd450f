# Descriptors of connections to a store are asked of the server, which gives a third
# of max_files_per_process: where those are few, fewer requests run at once, and what
# is given back can be had again.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultS3;
use SkyvaultTest;
use Test::More;

plan skip_all => 'needs /proc' unless -d "/proc/$$/fd";

# The least that the server starts with: 18 for all that is not its own.
my $most = 18;
my $s3 = SkyvaultS3->shared->start_proxy;
my $node = new_server('main', settings => <<'SETTINGS');
max_files_per_process = 64
skyvault.io_concurrency = 64
skyvault.disk_cache_size = 0
skyvault.compression_level = 0
skyvault.store_timeout = 1h
SETTINGS

sub sql { return $node->safe_psql('postgres', $_[0]); }

# Values of 1 kB; forty keys so far from each other that each needs a request.
my $value = q{(SELECT string_agg(sha512((n || ':' || i)::bytea)::text, '') FROM generate_series(1, 8) AS i)};
my $distant = q{(SELECT array_agg('k' || to_char(n, 'FM00000')) FROM generate_series(100, 7900, 200) AS n)};

foreach my $signature ('v4', 'v2')
{
	my $table = "kv_$signature";
	my $batch = "SELECT count(value) FROM skyvault_multi_get('$table', $distant)";

	sql($s3->create_server($table, server => { signature => $signature }));
	sql("SELECT skyvault_create_table('$table', server => '$table')");
	sql("SELECT skyvault_multi_put('$table', array_agg('k' || to_char(n, 'FM00000')), array_agg($value)) FROM generate_series(1, 8000) AS n");
	is(sql("SELECT skyvault_flush('$table')"), 8000, "$signature: a flush");

	my $session = session($node);
	my $pid = $session->pid;
	my $sockets = sub { return scalar grep { (readlink($_) // '') =~ /^socket:/ } glob("/proc/$pid/fd/*") };
	my $cold = "SELECT skyvault_clear_cache(); SELECT count(*) FROM skyvault_index('$table')";

	$session->run($cold);
	my $before = $sockets->();
	my $rule = $s3->fault('hold', method => '^GET$', path => '\.sst');

	$session->run('SELECT skyvault_stat_store_reset()');
	$s3->forget_requests;
	$session->send($batch);
	$s3->await_hits($rule, 5);
	cmp_ok($sockets->() - $before, '<=', $most, "$signature: a batch of forty requests has as many connections as it may");
	$s3->clear_faults;
	is(($session->receive)[0], 40, "$signature: and has its answers");
	is(scalar($s3->requests(method => '^GET$', target => '\.sst')), 40, "$signature: by forty requests");
	is($session->run(q{SELECT sum(retries) FROM skyvault_stat_store WHERE operation = 'get'}), 0, "$signature: none of them was a second try");

	# Cancelled, its connections are closed: many times more than there may be at once.
	foreach my $i (1 .. 20)
	{
		$session->run($cold);
		$rule = $s3->fault('hang', method => '^GET$', path => '\.sst');
		$session->send($batch);
		$s3->await_hits($rule, 2);
		sql("SELECT pg_cancel_backend($pid)");
		($session->receive)[1] =~ /57014/ or BAIL_OUT('not cancelled');
		$s3->clear_faults;
	}
	cmp_ok($sockets->() - $before, '<=', $most, "$signature: after many that were cancelled there are no more");
	is(($session->try($batch))[0], 40, "$signature: and the next batch has its answers");
	$session->quit;
}

$node->stop;
done_testing();
