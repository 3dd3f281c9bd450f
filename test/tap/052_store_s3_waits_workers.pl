# Workers that wait at a store, by either signature: for the answer to a GET of a
# compaction, for room to send more of a part (v4) or of an object (v2) that a flush
# uploads, for what a mirror fetches.  They can be cancelled and ended, are in no
# barrier's way, and end with the server, also with one that dies; and nothing is lost.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultS3;
use SkyvaultTest;
use Test::More;

my $s3 = SkyvaultS3->shared->start_proxy;
my $node = new_server('main', settings => <<'SETTINGS');
max_worker_processes = 20
skyvault.store_timeout = 1h
skyvault.store_retries = 100
skyvault.max_workers = 2
skyvault.disk_cache_size = 0
skyvault.compression_level = 0
SETTINGS

# A database for each signature, so that each has a scheduler of its own.
my %signature = (postgres => 'v4', older => 'v2');
my @databases = sort keys %signature;

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub sql_each { my ($sql) = @_; return map { $node->safe_psql($_, $sql) } @databases; }

sql('CREATE DATABASE older');
install_skyvault($node, 'older');
foreach my $database (@databases)
{
	my $v = $signature{$database};
	my %server = $v eq 'v2' ? (signature => 'v2') : ();

	$node->safe_psql($database, $s3->create_server($_->[0], prefix => "$_->[0]-$v-" . int(rand(1e9)), server => { %server, %{ $_->[1] } }))
	  foreach [ vault => {} ], [ merging => {} ], [ mirrored => { mirror => 'on' } ];
}
sql_each(<<'SQL');
SELECT skyvault_create_table('large', server => 'vault'), skyvault_create_table('merged', server => 'merging'),
	skyvault_create_table('filled', server => 'mirrored');
SELECT skyvault_multi_put('merged', array_agg('k' || n), array_agg('first ' || n)) FROM generate_series(1, 100) AS n;
SELECT skyvault_put('filled', 'k', 'filled');
SELECT skyvault_flush();
SELECT skyvault_multi_put('merged', array_agg('k' || n), array_agg('second ' || n)) FROM generate_series(51, 150) AS n;
SELECT skyvault_flush();
SQL

# 19 MB, which go up in parts by v4, and at once by v2.
sql_each(q{SELECT skyvault_multi_put('large', array_agg('k' || n), array_agg(repeat(md5(n::text), 250))) FROM generate_series(1, 2400) AS n});

# ------------------------------------------------------------------- waiting
# What is asked for in each database: the compaction first, since a scheduler that is
# in a flush starts no worker.
my @work = (
	[ q{skyvault_compact('merged', full => true)}, 'inputs of v4', 'inputs of v2' ],
	[ q{skyvault_flush('vault')}, 'a part', 'an object' ]);
my %rules = (
	'inputs of v4' => $s3->fault('hang', method => '^GET$', path => '/merging-v4-.*\.sst'),
	'inputs of v2' => $s3->fault('hang', method => '^GET$', path => '/merging-v2-.*\.sst'),
	'a part' => $s3->fault('hang', method => '^PUT$', path => '/vault-v4-.*\.sst\?.*partNumber=1\b', after => 1000),
	'an object' => $s3->fault('hang', method => '^PUT$', path => '/vault-v2-.*\.sst', after => 1000));
my @asking;

# Until each has been met.
sub ask_for_all
{
	foreach my $work (@work)
	{
		my ($statement, @rules) = @$work;
		my %hits = map { $_ => $s3->fault_hits($rules{$_}) } @rules;

		foreach my $database (@databases)
		{
			push @asking, session($node, $database);
			$asking[-1]->send("SELECT $statement");
		}
		$s3->await_hits($rules{$_}, $hits{$_} + 1) foreach @rules;
	}
}

# Waits until so many processes of workers wait, none of which is one of these.
sub await_workers
{
	my ($case, $n, @not) = @_;
	my $others = join(',', 0, @not);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok($node->poll_query_until('postgres',
			"SELECT count(*) = $n AND count(*) = count(*) FILTER (WHERE pid NOT IN ($others))"
			  . " FROM skyvault_store_waits WHERE caller IN ('flush', 'compaction')"), $case);
}

# Those that wait, when they are so many.
sub workers
{
	my ($n) = @_;
	my @pids;

	@pids = split(/\n/, sql(q{SELECT pid FROM skyvault_store_waits WHERE caller IN ('flush', 'compaction') ORDER BY pid})) until @pids == $n;
	return @pids;
}

sub drop_another_database
{
	my ($case, $n) = @_;
	my %before = map { $_ => 1 } workers($n);

	sql('CREATE DATABASE dropped');
	sql('DROP DATABASE dropped');
	await_workers("$case: workers take part in barriers, and wait on", $n);
	return is(scalar(grep { !$before{$_} } workers($n)), 0, "$case: they are the same");
}

# SQLSTATEs of the newest ones, by database.
sub failed_jobs
{
	my ($kind) = @_;

	return join(' ', sql_each("SELECT sqlstate FROM skyvault.job WHERE kind = '$kind' AND state = 'failed' ORDER BY id DESC LIMIT 1"));
}

sub are_gone
{
	my ($case, @pids) = @_;

	return ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM pg_stat_activity WHERE pid IN (' . join(',', @pids) . ')'),
		"$case: the processes are gone");
}

sub sessions_are_lost
{
	my ($case) = @_;

	is(scalar(grep { ($_->await_lost)[0] } @asking), scalar(@asking), "$case: who waits for them is disconnected");
	$_->quit foreach splice(@asking);
}

sub mirror_files
{
	my @files = glob($node->data_dir . '/pgsql_tmp_skyvault/mirror-*/??/' . '?' x 32);

	return @files;
}

# ------------------------------------------------------------------- uploads and compactions
sql_each('SELECT skyvault_clear_cache()');
ask_for_all();
await_workers('workers wait in uploads and compactions', 4);
drop_another_database('uploads and compactions', 4);
my @schedulers = map { scheduler_pid($node, $_) } @databases;
sql("SELECT pg_cancel_backend($_)") foreach workers(4);
foreach my $session (splice(@asking))
{
	like(($session->receive)[1], qr/ERROR:  57014: /, 'a worker is cancelled: who waits for it is told');
	$session->quit;
}
is(failed_jobs('compact'), '57014 57014', 'the compactions have failed');
is(failed_jobs('flush'), '57014 57014', 'so have the flushes');
is(join(' ', map { scheduler_pid($node, $_) } @databases), "@schedulers", 'the schedulers are the same processes');

ask_for_all();
await_workers('they wait again', 4);
my @ended = workers(4);
sql("SELECT pg_terminate_backend($_)") foreach @ended;
are_gone('pg_terminate_backend', @ended);
await_workers('new ones wait', 4, @ended);
$node->stop('fast');
pass('a fast stop ends them');
sessions_are_lost('a fast stop');
$node->start;
ask_for_all();
await_workers('they wait once more', 4);
kill_postmaster($node);
pass('the death of the postmaster ends them');
sessions_are_lost('the death of the postmaster');

# ------------------------------------------------------------------- mirrors
unlink(mirror_files()) == 2 or die 'there are no mirrors';
$s3->fault('hang', method => '^GET$', path => '/mirrored-.*\.sst');
$node->start;
await_workers('schedulers wait in filling mirrors', 2);
is(join(' ', workers(2)), join(' ', sort { $a <=> $b } map { scheduler_pid($node, $_) } @databases), 'they do so themselves');
drop_another_database('mirrors', 2);
my @mirrors = workers(2);
sql("SELECT pg_cancel_backend($_)") foreach @mirrors;
ok($node->poll_query_until($_, q{SELECT count(*) > 0 FROM skyvault.job WHERE kind = 'mirror' AND state = 'failed' AND sqlstate = '57014'}),
	"filling the mirror of $signature{$_} is cancelled") foreach @databases;
await_workers('they try again', 2);
is(join(' ', workers(2)), "@mirrors", 'as the same processes');
sql("SELECT pg_terminate_backend($_)") foreach @mirrors;
are_gone('pg_terminate_backend', @mirrors);
await_workers('new ones wait', 2, @mirrors);
$node->stop('fast');
pass('a fast stop ends those that fill mirrors');

# ------------------------------------------------------------------- all is well
$s3->clear_faults;
$node->start;
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM skyvault_store_waits'), 'all is well: nobody waits');
foreach my $database (@databases)
{
	my $v = $signature{$database};
	my $query = sub { return $node->safe_psql($database, $_[0]); };

	is($query->('SELECT skyvault_flush()'), 2400, "$v: what was not flushed is");
	$query->(q{SELECT skyvault_compact('merged', full => true)});
	$query->('SELECT skyvault_clear_cache()');
	is($query->(q{SELECT count(*), count(*) FILTER (WHERE value = repeat(md5(substr(key, 2)), 250)) FROM skyvault_scan('large')}),
		'2400|2400', "$v: and is right");
	is($query->(q{SELECT split_part(value, ' ', 1) AS written, count(*) FROM skyvault_scan('merged') GROUP BY 1 ORDER BY 1}),
		"first|50\nsecond|100", "$v: what was merged is right");
	is($query->(q{SELECT skyvault_get('filled', 'k')}), 'filled', "$v: what is mirrored is read");
}
ok($node->poll_query_until('postgres',
		"SELECT count(*) = 2 FROM pg_ls_dir('pgsql_tmp_skyvault') AS m, pg_ls_dir('pgsql_tmp_skyvault/' || m) AS d,"
		  . " pg_ls_dir('pgsql_tmp_skyvault/' || m || '/' || d) AS f WHERE m LIKE 'mirror-%' AND f !~ '~'"), 'the mirrors are filled');

# ------------------------------------------------------------------- what a failed compaction has written
# is removed as long as the store answers, and no longer.
sql(q{SELECT skyvault_create_table('cut', server => 'vault')});
sql(q{SELECT skyvault_multi_put('cut', array_agg('k' || n), array_agg(repeat(md5(n::text), 30))) FROM generate_series(1, 500) AS n;
	SELECT skyvault_flush()}) foreach 1 .. 2;
reload_with($node, 'skyvault.run_size = 64kB', 'skyvault.store_timeout = 200ms');
sql(q{SELECT stop_point_arm('compact-after-run', 'error')});
$s3->forget_requests;
$s3->fault('hang', method => '^DELETE$');
fails_with($node, q{SELECT skyvault_compact('cut', full => true)}, '58030', qr/stop point/, 'a compaction fails when it has written');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'skyvault compaction'}),
	'and its worker ends');
cmp_ok(scalar(() = $s3->requests(method => 'PUT', target => '\.sst')), '>', 1, 'it has written several objects');
my %removed = map { $_->{target} => 1 } $s3->requests(method => 'DELETE');
is(scalar(keys %removed), 1, 'a store that does not answer is asked to remove one of them');
$s3->clear_faults;
unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC|TRAP/, 'no process died of it');

$node->stop;
done_testing();
