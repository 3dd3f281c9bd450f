# The store's processes are killed: in the middle of an upload, of a compaction, and
# over and over while sessions write.  Nothing is lost, no process of the database
# ends, queries can be cancelled, and all goes on by itself when the store is back.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultS3;
use SkyvaultTest;
use Test::More;

my $s3 = SkyvaultS3->private->start_proxy;
my $node = new_server('main', settings => <<'SETTINGS');
skyvault.store_timeout = 2s
skyvault.disk_cache_size = 0
skyvault.compression_level = 0
skyvault.retry_max_interval = 1s
SETTINGS
my $round = 0;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub flush_by_itself
{
	my ($interval) = @_;

	$node->append_conf('postgresql.conf', "skyvault.flush_interval = $interval");
	return $node->reload;
}

# About 20 MB, which goes up in parts, and a few rows.
sub write_round
{
	$round++;
	return sql(qq{TRUNCATE large, m_large;
		SELECT mirror_multi_put('large', array_agg('k' || n), array_agg('$round ' || repeat(sha512(n::text::bytea)::text, 8)))
			FROM generate_series(1, 20000) AS n;
		SELECT mirror_multi_put('kv', array_agg('k' || n), array_agg('$round ' || n)) FROM generate_series($round, 300) AS n});
}

sub all_is_there
{
	my ($case) = @_;

	sql('SELECT skyvault_clear_cache()');
	is(sql(q{SELECT count(*), count(*) FILTER (WHERE s.value IS DISTINCT FROM p.value)
			FROM skyvault_scan('large') AS s FULL JOIN m_large AS p ON s.key = p.key}),
		'20000|0', "$case: the large table is right");
	return same_content($node, ['kv'], "$case: so is the other");
}

# While the store is away.
sub database_is_alive
{
	my ($case) = @_;
	my $session = session($node);

	sql('SELECT skyvault_clear_cache()');
	$session->run("SET statement_timeout = '200ms'");
	like(($session->try(q{SELECT skyvault_get('kv', 'flushed')}))[1], qr/ERROR:  57014/, "$case: who reads a run can be cancelled");
	$session->run('RESET statement_timeout');
	$session->run(qq{SELECT mirror_put('kv', 'while away', '$case')});
	is(($session->try(q{SELECT skyvault_get('kv', 'while away')}))[0], $case, "$case: writes go on, and are read");
	sql('CREATE DATABASE dropped');
	sql('DROP DATABASE dropped');
	pass("$case: a database can be dropped");
	return $session->quit;
}

sql($s3->create_server('vault'));
make_mirror($node, [ 'kv', 'large' ], 'vault');
sql(q{SELECT mirror_put('kv', 'flushed', 'v'); SELECT skyvault_flush()});
my $scheduler = scheduler_pid($node);

# ------------------------------------------------------------------- in an upload
# Its parts are slow; when two are under way the axe falls.
foreach my $victim ('osd.0', 'client.rgw', 'mon.a', 'all')
{
	my $flush = session($node);
	my $slow = $s3->fault('latency', path => 'partNumber', ms => 500);

	write_round();
	$flush->send(q{SELECT skyvault_flush('vault')});
	$s3->await_hits($slow, 2);
	$s3->signal('KILL', $victim eq 'all' ? () : $victim);
	$s3->clear_faults;
	my (undef, $errors) = $flush->receive;
	# without the monitor the others carry on
	if ($victim eq 'mon.a')
	{
		ok(!defined $errors || $errors =~ /ERROR:  58030/, "$victim: the flush succeeds or fails properly");
	}
	else
	{
		like($errors, qr/ERROR:  58030.*^HINT: /ms, "$victim: the flush fails properly");
		cmp_ok(delta_rows($node), '>=', 20000, "$victim: the rows are in the delta");
		database_is_alive($victim);
	}
	$flush->quit;
	flush_by_itself('1s');
	$s3->start;
	ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM skyvault.delta'),
		"$victim: when it is back, all is flushed unasked");
	flush_by_itself(0);
	all_is_there($victim);
	is(scheduler_pid($node), $scheduler, "$victim: by the same scheduler");
}

# The scheduler itself dies in an upload: a crash of the database.
my $slow = $s3->fault('latency', path => 'partNumber', ms => 500);
my $flush = session($node);
write_round();
$flush->send(q{SELECT skyvault_flush('vault')});
$s3->await_hits($slow, 2);
kill('KILL', $scheduler) or die;
$flush->await_lost;
$flush->quit;
$s3->clear_faults;
ok(await_server($node), 'the scheduler is killed in an upload: the database recovers');
flush_by_itself('1s');
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM skyvault.delta'), 'and all is flushed unasked');
flush_by_itself(0);
all_is_there('a dead scheduler');
ok(await_new_process($node, 'skyvault scheduler', $scheduler, 'postgres'), 'there is a new one');
$scheduler = scheduler_pid($node);

# ------------------------------------------------------------------- in a compaction
foreach my $victim ('osd.0', 'client.rgw')
{
	my $compaction = session($node);

	for (1 .. 3)
	{
		$round++;
		sql(qq{SELECT mirror_multi_put('kv', array_agg('k' || n), array_agg('$round ' || repeat(sha512(n::text::bytea)::text, 4)))
			FROM generate_series(1, 5000) AS n; SELECT skyvault_flush()});
	}
	$slow = $s3->fault('latency', method => '^GET$', path => 'sst', ms => 500);
	$compaction->send(q{SELECT skyvault_compact('kv')});
	$s3->await_hits($slow, 2);
	$s3->signal('KILL', $victim);
	$s3->clear_faults;
	my $state = ($compaction->receive)[1];
	ok(!defined $state || $state =~ /ERROR:  58030/, "$victim dies in a compaction, which fails properly or outlives it");
	$s3->start;
	like(sql(q{SELECT skyvault_compact('kv')}), qr/^\d*$/, "$victim is back: a compaction succeeds");
	same_content($node, ['kv'], "$victim: nothing was lost in the compaction");
	$compaction->quit;
}

# ------------------------------------------------------------------- over and over
flush_by_itself('1s');
sql('CREATE TABLE stop ()');
my @writers = map { session($node) } 1 .. 2;
foreach my $n (0 .. 1)
{
	$writers[$n]->send(<<~SQL);
		DO \$\$ DECLARE i int := 0; BEGIN WHILE NOT EXISTS (SELECT FROM stop) LOOP
			i := i + 1;
			PERFORM mirror_put('kv', 'w' || (i * 7919 % 500), 'writer $n ' || i);
			COMMIT;
			IF i % 50 = 0 THEN PERFORM mirror_delete('kv', 'w' || (i % 500)); END IF;
			COMMIT;
		END LOOP; END \$\$
		SQL
}
foreach my $victim ('client.rgw', 'osd.0', 'mon.a', 'all')
{
	my $jobs = sql(q{SELECT count(*) FROM skyvault.job});

	ok($node->poll_query_until('postgres', "SELECT count(*) > $jobs FROM skyvault.job"), "a flush has begun: $victim is killed");
	$s3->signal('KILL', $victim eq 'all' ? () : $victim);
	$s3->start;
}
sql('INSERT INTO stop DEFAULT VALUES');
is(($_->receive)[1], undef, 'a writer has noticed nothing') foreach @writers;
$_->quit foreach @writers;
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM skyvault.delta'), 'all is flushed in the end');
sql('SELECT skyvault_clear_cache()');
same_content($node, ['kv'], 'nothing was lost');
is(scheduler_pid($node), $scheduler, 'by one and the same scheduler');
is(() = slurp_file($node->logfile) =~ /terminated by signal/g, 1, 'no process died but the one that was killed');

$node->stop;
done_testing();
