# What a store may answer to compactions, exports, snapshots, collections, sweeps and
# restores: each says what it was with its SQLSTATE and a hint, loses nothing, and
# goes on by itself when it is over.  (Flushes and reads: 053_store_s3_faults.pl,
# 062_s3_answers.pl.)
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultS3;
use SkyvaultTest;
use Test::More;

my $s3 = SkyvaultS3->shared->start_proxy;
my $node = new_server('main', settings => <<'SETTINGS');
max_worker_processes = 12
autovacuum = off
skyvault.store_timeout = 2s
skyvault.store_retries = 1
skyvault.disk_cache_size = 0
skyvault.retention = 0
skyvault.orphan_grace = 0
SETTINGS
my $server = $s3->create_server('vault', prefix => 'jobs-' . int(rand(1e9)));
my $round = 0;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub write_rows
{
	$round++;
	return sql("SELECT mirror_multi_put('kv', array_agg('k' || n), array_agg('$round of ' || n)) FROM generate_series($round, 200) AS n");
}

# A run more, and a change that is not exported.
sub write_run
{
	write_rows();
	return sql(q{SELECT skyvault_flush('vault')});
}

# Objects that can be deleted.
sub make_garbage
{
	sql(qq{SELECT skyvault_put('emptied', 'k', '$_'); SELECT skyvault_flush('vault')}) foreach 1 .. 3;
	return sql('TRUNCATE emptied');
}

sub is_whole
{
	my ($case) = @_;

	sql('SELECT skyvault_clear_cache()');
	same_content($node, ['kv'], "$case: the table is right");
	return is(sql(q{SELECT * FROM skyvault_verify_vault('vault', true)}), '', "$case: the vault is whole, and has nothing else in it");
}

# Each, the database it is for, and which of its requests only it makes.
my @jobs = (
	[ 'a compaction', q{SELECT skyvault_compact('kv')}, 'postgres', path => '\.sst' ],
	[ 'an export', q{SELECT skyvault_export('vault')}, 'postgres', path => '/log/' ],
	[ 'a snapshot', q{SELECT skyvault_snapshot(NULL, 'vault')}, 'postgres', path => '\.snap' ],
	[ 'a collection', q{SELECT count(*) FROM skyvault_gc(vault => 'vault')}, 'postgres', method => '^(?:DELETE|POST)$' ],
	[ 'a sweep', q{SELECT count(*) FROM skyvault_gc(sweep => true, vault => 'vault')}, 'postgres', path => 'list-type' ],
	[ 'a restore', q{SELECT tables FROM skyvault_restore('vault')}, 'restored' ]);

# A web page comes last: what was asked for with it has been done.
my @cases = (
	[ 'a wrong key', '42501', 'access key id', 'status', status => 403, code => 'InvalidAccessKeyId' ],
	[ 'denied access', '42501', 'access is denied', 'status', status => 403, code => 'AccessDenied' ],
	[ 'an expired token', '42501', 'token has expired', 'status', status => 400, code => 'ExpiredToken' ],
	[ 'a missing bucket', '58030', 'bucket does not exist', 'status', status => 404, code => 'NoSuchBucket' ],
	[ 'another region', '58030', 'not in this region', 'status', status => 301, code => 'PermanentRedirect' ],
	[ 'errors of the store', '58030', 'asked too much', 'status', status => 503, code => 'SlowDown' ],
	[ 'connections that are reset', '58030', 'could not ', 'reset' ],
	[ 'a web page', '58030', 'not what S3 sends|does not answer with the range', 'html' ]);

sql($server);
make_mirror($node, [ 'kv', 'emptied' ], 'vault');
write_run() foreach 1 .. 3;
make_garbage();
sql(q{SELECT skyvault_snapshot(NULL, 'vault')});
sql('CREATE DATABASE restored');
$node->safe_psql('restored', "CREATE EXTENSION skyvault; $server");
make_garbage();
my $scheduler = scheduler_pid($node);

# ------------------------------------------------------------------- asked for
foreach my $case (@cases)
{
	my ($what, $state, $pattern, @fault) = @$case;

	write_run();
	foreach my $job (@jobs)
	{
		my ($who, $statement, $database, %which) = @$job;
		my $rule = $s3->fault(@fault, %which);

		fails_with($node, $statement, $state, qr/(?:$pattern).*^HINT: /ms, "$what: $who says what it is, and what to do", $database);
		cmp_ok($s3->fault_hits($rule), '>', 0, "$what: $who has met it");
		$s3->clear_faults;
	}
}
is(sql(q{SELECT count(*), bool_and(hint IS NOT NULL) FROM skyvault.job WHERE kind = 'compact' AND state = 'failed'}), scalar(@cases) . '|t',
	'each compaction that was asked for was tried once, and its row says what to do');
foreach my $job (@jobs)
{
	my ($who, $statement, $database) = @$job;

	isnt($node->safe_psql($database, $statement), undef, "it is over: $who succeeds");
}
is_whole('after all that');
my $digest = q{SELECT count(*), md5(string_agg(key || value, ',')) FROM skyvault_scan('kv')};
is($node->safe_psql('restored', $digest), sql($digest), 'what was restored is the same');

# ------------------------------------------------------------------- unasked
my %intervals = ('flush_interval' => '1s', 'export_interval' => '1s', 'gc_interval' => '1s', 'snapshot_changes' => 1);

# Everything is due, and fails; then the store is back, or the keys are, and nobody
# does anything.
sub unasked
{
	my ($case, $state, $begins, $ends) = @_;

	reload_with($node, (map { "skyvault.$_ = 0" } sort keys %intervals), 'skyvault.wal_runs = 1000');
	write_run() foreach 1 .. 2;
	make_garbage();
	write_rows();
	my $last = sql('SELECT max(id) FROM skyvault.job');
	$begins->();
	reload_with($node, (map { "skyvault.$_ = $intervals{$_}" } sort keys %intervals), 'skyvault.wal_runs = 2');
	ok( $node->poll_query_until('postgres', "SELECT count(DISTINCT kind) = 5 FROM skyvault.job WHERE id > $last AND state = 'failed'"
			  . " AND sqlstate = '$state' AND hint IS NOT NULL AND kind IN ('flush', 'export', 'snapshot', 'gc', 'compact')"),
		"$case: flushes, exports, snapshots, collections and compactions fail, and say what to do");
	write_rows();
	is(sql(q{SELECT skyvault_get('kv', 'k200')}), "$round of 200", "$case: writes go on, and are read");
	$ends->();
	ok( $node->poll_query_until('postgres', q{SELECT v.garbage = 0 AND v.exported_id = v.newest_id AND v.snapshot_id = v.newest_id
			AND (SELECT count(*) FROM skyvault.delta) = 0 AND (SELECT count(*) FROM skyvault.run WHERE tier = 'w') < 2
			FROM skyvault_vaults AS v WHERE v.server = 'vault'}),
		"$case: when that is over, all of it is done unasked");
	return is_whole($case);
}

$node->safe_psql('postgres', 'DROP DATABASE restored WITH (FORCE)');
unasked('a storm', '58030', sub { $s3->fault('status', status => 503, code => 'SlowDown') }, sub { $s3->clear_faults });
my $secret = $s3->setting('secret_access_key');
my $mapping = 'ALTER USER MAPPING FOR PUBLIC SERVER vault OPTIONS';
unasked('a wrong secret', '42501', sub { sql("$mapping (SET secret_access_key 'wrong')") },
	sub { sql("$mapping (SET secret_access_key '$secret')") });
is(scheduler_pid($node), $scheduler, 'the scheduler is the same process');
unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC|TRAP/, 'no process died');

$node->stop;
$s3->stop_proxy;
done_testing();
