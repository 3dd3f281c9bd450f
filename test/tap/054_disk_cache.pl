# The disk cache of a vault in a bucket: what was written or read is not asked for
# again, also after restarts; damage, deletion, read-only and full disks, and a
# killed backend cost requests at most.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultS3;
use SkyvaultTest;
use Test::More;

my $s3 = SkyvaultS3->shared->start_proxy;
my $node = new_server('main', streaming => 1, settings => "skyvault.disk_cache_size = 64MB\n");
my $dir = $node->data_dir . '/pgsql_tmp_skyvault';

sub sql { return $node->safe_psql('postgres', $_[0]); }

# Data that the store was asked for since the last call: GETs of runs.
sub fetched
{
	my $n = () = $s3->requests(method => 'GET', target => '\.sst');

	$s3->forget_requests;
	return $n;
}

# Reads everything past the caches in memory; the number of GETs.
sub read_all
{
	my ($name) = @_;

	sql('SELECT skyvault_clear_cache()');
	$s3->forget_requests;
	same_content($node, [ 'kv', 'other' ], $name);
	return fetched();
}

sub stat_of { return sql("SELECT $_[0] FROM skyvault_stat_disk_cache"); }

sub warnings_since
{
	my ($offset) = @_;

	return () = slurp_file($node->logfile, $offset) =~ /WARNING:  skyvault's disk cache/g;
}

# ---------------------------------------------------------------- what is kept
sql($s3->create_server('vault'));
make_mirror($node, [ 'kv', 'other' ], 'vault');
sql(q{
	SELECT mirror_multi_put('kv', array_agg('k' || n), array_agg(sha512(n::text::bytea)::text)) FROM generate_series(1, 10000) AS n;
	SELECT mirror_put('other', 'a', 'b');
	SELECT skyvault_flush();
});
is(read_all('what was flushed is read'), 0, 'without a GET: it was written through');
cmp_ok(stat_of('writes'), '>', 10, 'and is counted');
is(stat_of('fills'), 0, 'nothing was fetched');
$node->restart;
is(read_all('after a restart all is read'), 0, 'without a GET');
kill_postmaster($node);
$node->start;
is(read_all('after kill -9 of the postmaster too'), 0, 'without a GET');
is(stat_of('damaged'), 0, 'and nothing was damaged');
sql('SELECT skyvault_clear_disk_cache()');
cmp_ok(read_all('after the disk cache was emptied all is read'), '>', 0, 'by GETs');
is(read_all('and once more'), 0, 'without');
cmp_ok(stat_of('fills'), '>', 0, 'what was fetched was kept');
sql(q{SELECT skyvault_clear_disk_cache(); SELECT skyvault_clear_cache()});
$s3->forget_requests;
is(sql(q{SELECT skyvault_get('kv', 'k77') = sha512('77')::text}), 't', 'a get of which nothing is cached');
cmp_ok(fetched(), '<=', 2, 'asks for the tail and for one range at most');
sql(q{SELECT skyvault_clear_cache()});
is(sql(q{SELECT skyvault_get('kv', 'k77') = sha512('77')::text}), 't', 'the same from the disk');
is(fetched(), 0, 'asks for nothing');

$node->command_ok([ 'pg_basebackup', '-D', $node->backup_dir . '/b', '-c', 'fast', '-X', 'none', '-h', $node->host, '-p', $node->port ],
	'a base backup');
ok(!-e $node->backup_dir . '/b/pgsql_tmp_skyvault' && -d $dir, 'has no disk cache in it');

# -------------------------------------------------------------------- damage
sub with_server_stopped
{
	my ($change) = @_;

	$node->stop;
	$change->();
	$node->start;
}

# Overwrites a byte in each page of the file.
sub damage
{
	my ($name, $step) = @_;
	my $bytes = -s "$dir/$name";

	open(my $file, '+<', "$dir/$name") or die "$dir/$name: $!";
	for (my $at = 100; $at < $bytes; $at += $step)
	{
		seek($file, $at, 0) or die $!;
		print $file 'damaged';
	}
	close($file) or die $!;
}

read_all('all is cached');
with_server_stopped(sub { damage('ranges', 4096) });
cmp_ok(read_all('with damage in each page of the cache'), '>', 0, 'GETs mend it');
cmp_ok(stat_of('damaged'), '>', 0, 'it was noticed');
is(read_all('it is mended'), 0, 'and read without a GET');
with_server_stopped(sub { damage('slots', 100) });
cmp_ok(read_all('with damage in its records'), '>', 0, 'GETs mend it');
is(read_all('it is mended'), 0, 'and read without a GET');
with_server_stopped(sub { truncate("$dir/ranges", 100_000) or die $! });
cmp_ok(read_all('with most of it cut off'), '>', 0, 'GETs mend it');
is(read_all('it is mended'), 0, 'and read without a GET');
damage('ranges', 4096);
cmp_ok(read_all('with damage under a running server'), '>', 0, 'GETs mend it');
unlink("$dir/ranges", "$dir/slots") == 2 or die $!;
is(read_all('files deleted under a running server'), 0, 'are used to its end');
$node->restart;
cmp_ok(read_all('and are gone after it'), '>', 0, 'which GETs mend');
is(read_all('it is mended'), 0, 'and read without a GET');

# ------------------------------------------------------- disks that do not play
sub modes
{
	my ($directory, $files) = @_;

	chmod($files, glob("$dir/*")) == 3 or die $!;
	chmod($directory, $dir) or die $!;
}

my $offset = -s $node->logfile;
with_server_stopped(sub { modes(0500, 0400) });
is(stat_of('state'), 'read only', 'a read-only directory');
is(read_all('is read'), 0, 'without a GET');
sql(q{SELECT mirror_put('kv', 'new', 'value'); SELECT skyvault_flush()});
cmp_ok(read_all('what is written meanwhile'), '>', 0, 'is not kept there');
is(warnings_since($offset), 1, 'there was one warning');
like(slurp_file($node->logfile, $offset), qr/WARNING:  skyvault's disk cache takes nothing more.*Permission denied/,
	'that says why');
with_server_stopped(sub { modes(0700, 0600) });
is(stat_of('state'), 'on', 'it can be written to again');
read_all('and is used');
is(read_all('as before'), 0, 'without a GET');

$offset = -s $node->logfile;
$node->append_conf('postgresql.conf', "skyvault.disk_cache_path = 'no/such/directory'\n");
$node->restart;
is(stat_of('state'), 'off', 'a directory that cannot be made');
cmp_ok(read_all('turns the cache off'), '>', 0, 'and all is asked for');
cmp_ok(read_all('each time'), '>', 0, 'anew');
is(warnings_since($offset), 1, 'there was one warning');
$node->append_conf('postgresql.conf', "skyvault.disk_cache_path = 'pgsql_tmp_skyvault'\n");

# -------------------------------------------------------- two servers, one place
my $second = new_server('second', settings => "skyvault.disk_cache_path = '$dir'\n", bare => 1);
$offset = -s $node->logfile;
$node->restart;
is(stat_of('state'), 'off', 'a directory that another server uses is not used');
like(slurp_file($node->logfile, $offset), qr/WARNING:  skyvault's disk cache is off: .*in use by another server/, 'with a warning');
$second->stop;
$node->restart;
is(stat_of('state'), 'on', 'when that one is gone, it is');

# ------------------------------------------------------------ a killed backend
# It dies while it fetches a range that it has claimed.  All sessions end, and
# nothing is waited for that nobody fetches any more.
read_all('all is there');
sql('SELECT skyvault_clear_disk_cache(); SELECT skyvault_clear_cache()');
my $hangs = $s3->fault('hang', method => 'GET', path => '\.sst');
my $session = session($node);
my $pid = $session->pid;
$session->send(q{SELECT skyvault_get('kv', 'k5000')});
$s3->await_hits($hangs, 1);
kill('KILL', $pid);
$s3->clear_faults;
await_server($node) or die;
is(sql(q{SELECT skyvault_get('kv', 'k5000') = sha512('5000')::text}), 't', 'after kill -9 of a backend that fetched a range, it is fetched by the next');
read_all('all is read');
is(read_all('and kept'), 0, 'without a GET then');

# A session that is cancelled gives its claim back.
sql('SELECT skyvault_clear_disk_cache(); SELECT skyvault_clear_cache()');
$hangs = $s3->fault('hang', method => 'GET', path => '\.sst', last => 1);
$session = session($node);
$pid = $session->pid;
$session->send(q{SELECT skyvault_get('kv', 'k5000')});
$s3->await_hits($hangs, 1);
sql("SELECT pg_cancel_backend($pid)");
is(sql(q{SELECT skyvault_get('kv', 'k5000') = sha512('5000')::text}), 't', 'after a cancel another fetches it');
$s3->clear_faults;
$session->quit;

# ------------------------------------------------------------------ a long scan
# Adds its first windows, whatever is free, and leaves what lookups brought.
sql(q{
	SELECT skyvault_create_table('large', server => 'vault');
	SELECT skyvault_multi_put('large', array_agg('k' || n), array_agg(v))
	  FROM generate_series(1, 8000) AS n,
		   LATERAL (SELECT string_agg(sha512((n * 10 + i)::text::bytea)::text, '') AS v FROM generate_series(1, 8) AS i) AS s;
	SELECT skyvault_flush();
	SELECT skyvault_clear_disk_cache(), skyvault_clear_cache();
	SELECT skyvault_get('large', 'k' || n) FROM generate_series(1, 8000, 1000) AS n;
});
my $bytes = sql('SELECT max(file_bytes) FROM skyvault.run');
cmp_ok($bytes, '>', 4_000_000, "a run of $bytes bytes");
my $before = stat_of('bytes');
sql('SELECT skyvault_clear_cache()');
is(sql('SELECT count(*), count(DISTINCT value) FROM large'), '8000|8000', 'a scan of all of it');
cmp_ok(stat_of('bytes') - $before, '<', 2_500_000, 'keeps the beginning only');
sql('SELECT skyvault_clear_cache()');
$s3->forget_requests;
is(sql(q{SELECT count(*) FROM generate_series(1, 8000, 1000) AS n WHERE skyvault_get('large', 'k' || n) IS NOT NULL}), 8, 'what lookups brought');
is(fetched(), 0, 'is still there');

# ------------------------------------------------------------------ a full disk
# A limit of the size of files stands for it: the cache outgrows it, nothing else does.
my $small = new_server('small', settings => "skyvault.disk_cache_size = 64MB\nwork_mem = 64MB\n", segment_mb => 1);
$small->safe_psql('postgres', $s3->create_server('small'));
make_mirror($small, ['kv'], 'small');
$small->stop;
system_or_bail('prlimit', "--pid=$$", '--fsize=' . 7 * 1024 * 1024 . ':');
$offset = -s $small->logfile;
$small->start;
system_or_bail('prlimit', "--pid=$$", '--fsize=unlimited:');
foreach my $portion (0 .. 11)
{
	$small->safe_psql('postgres', qq{
		SELECT skyvault_multi_put('kv', array_agg('p$portion-' || n), array_agg(v))
		  FROM generate_series(1, 2000) AS n,
			   LATERAL (SELECT string_agg(sha512((n * 10000 + $portion * 10 + i)::text::bytea)::text, '') AS v
						  FROM generate_series(1, 8) AS i) AS s;
	});
	$small->safe_psql('postgres', 'SELECT skyvault_flush()');
	$small->safe_psql('postgres', 'VACUUM skyvault.delta');
}
sub small { return $small->safe_psql('postgres', $_[0]); }
sub all_there
{
	small('SELECT skyvault_clear_cache()');
	return small(q{SELECT count(*), count(DISTINCT value) FROM skyvault_scan('kv')}) eq '24000|24000';
}
is(small('SELECT state FROM skyvault_stat_disk_cache'), 'read only', 'a full disk turns writing off');
ok(all_there(), 'all is read');
ok(all_there(), 'again');
cmp_ok(small('SELECT hits FROM skyvault_stat_disk_cache'), '>', 0, 'from the disk what is there');
is(() = slurp_file($small->logfile, $offset) =~ /WARNING:  skyvault's disk cache/g, 1, 'there was one warning');
unlike(slurp_file($small->logfile, $offset), qr/PANIC|FATAL:  (?!terminating|the database)|terminated by signal/, 'and no other harm');

$s3->stop_proxy;
done_testing();
