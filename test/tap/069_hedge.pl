# A GET that takes longer than most gets a second one beside it
# (skyvault.hedge_percent): who answers first has it, the other is given up.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultS3;
use SkyvaultTest;
use Test::More;
use Time::HiRes qw(usleep);

my $s3 = SkyvaultS3->shared->start_proxy;
# Nothing ends a request that hangs but its hedge.
my $node = new_server('main', settings => <<'SETTINGS');
skyvault.disk_cache_size = 0
skyvault.store_timeout = 1h
skyvault.hedge_percent = 95
SETTINGS
my $session = session($node);

$session->run($s3->create_server('vault'));
$session->run("SELECT skyvault_create_table('kv', server => 'vault')");
$session->run(q{SELECT skyvault_multi_put('kv', array_agg('k' || n), array_agg('value ' || n)) FROM generate_series(1, 100) AS n});
$session->run('SELECT skyvault_flush()');

sub hedges
{
	return $session->run('SELECT coalesce(sum(hedges), 0) FROM skyvault_stat_store');
}

# A get of which the tail is there, and the block not: one GET.  Faults are of its
# requests; returns the last one's rule.  A tail that was slow had a hedge, which may
# come to the proxy after its answer, and would be taken for one of the get's.
sub get
{
	my (@faults) = @_;
	my $rule;

	do
	{
		$session->run('SELECT skyvault_stat_store_reset()');
		$session->run('SELECT skyvault_clear_cache()');
		$session->run(q{SELECT count(*) FROM skyvault_index('kv')});
	} while (hedges() > 0);
	$session->run('SELECT skyvault_stat_store_reset()');
	$s3->forget_requests;
	$rule = $s3->fault(@$_) foreach @faults;
	$session->send(q{SELECT skyvault_get('kv', 'k42')});
	return $rule;
}

sub answers
{
	my ($name) = @_;
	my ($rows, $errors) = $session->receive;

	is($rows . ($errors // ''), 'value 42', $name);
}

sub counted
{
	return $session->run(q{SELECT sum(requests) || ' requests, ' || sum(hedges) || ' hedges, ' || sum(retries) || ' retries, '
		|| sum(errors) || ' errors' FROM skyvault_stat_store WHERE operation = 'get' AND caller = 'foreground'});
}

# Statuses of what was asked, in order; 0 of what was not answered.
sub statuses
{
	return join(' ', map { $_->{status} } $s3->requests(method => qr/^GET$/));
}

# A session knows after sixteen GETs what takes long.
foreach my $n (1 .. 20)
{
	get();
	($session->receive)[0] eq 'value 42' or BAIL_OUT('no answer');
}

# The first hangs for ever: only a hedge can end this.
my $rule = get([ 'hang', method => '^GET$', last => 1 ]);
answers('a get whose request is never answered has the right value');
is($s3->fault_hits($rule), 1, 'one request hangs');
is(statuses(), '0 206', 'a second one was made and answered');
is(counted(), '2 requests, 1 hedges, 0 retries, 0 errors', 'the hedge is counted, and nothing as an error');
usleep(10_000) while $s3->kept_waiting;
pass('the connection of the one that hung was closed');
cmp_ok($session->run(q{SELECT max(mean_ms) FROM skyvault_stat_store WHERE operation = 'get' AND caller = 'foreground'}), '<', 1000 * 3600,
	'nor does the one given up count as one that took for ever');
$s3->clear_faults;

# The hedge hangs for ever, and the first answers late.
$rule = get([ 'latency', method => '^GET$', last => 1, ms => 3000 ], [ 'hang', method => '^GET$', first => 2, last => 2 ]);
answers('a slow get whose hedge is never answered has the right value');
is($s3->fault_hits($rule), 1, 'the hedge hangs');
is(statuses(), '206 0', 'the first was answered');
is(counted(), '2 requests, 1 hedges, 0 retries, 0 errors', 'both are counted');
usleep(10_000) while $s3->kept_waiting;
pass('the connection of the hedge was closed');
$s3->clear_faults;

# A hedge that is refused leaves the first.
get([ 'latency', method => '^GET$', last => 1, ms => 3000 ],
	[ 'status', method => '^GET$', first => 2, last => 2, status => 503, code => 'SlowDown' ]);
answers('a slow get whose hedge is told to slow down has the right value');
like(counted(), qr/^2 requests, 1 hedges, 0 retries, /, 'and asks no third time');
$s3->clear_faults;

# The next one is served on what connections are left.
get();
answers('afterwards gets are what they were');

# Off, as it is by default.
$node->append_conf('postgresql.conf', 'skyvault.hedge_percent = 0');
$node->reload;
usleep(10_000) until $session->run('SHOW skyvault.hedge_percent') eq '0';
$rule = get([ 'hang', method => '^GET$', last => 1 ]);
$s3->await_hits($rule, 1);
usleep(1_000_000);
is(scalar($s3->requests(method => qr/^GET$/)), 1, 'without the setting a get waits');
$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . $session->pid . ')');
like(($session->receive)[1], qr/57014/, 'until it is cancelled');
$s3->clear_faults;

$session->quit;
done_testing();
