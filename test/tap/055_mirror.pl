# Server option mirror: the whole vault on local disk, so that nothing is asked of
# the store for lookups; filled in the background, mended when damaged.
use strict;
use warnings;

use File::Find;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultS3;
use SkyvaultTest;
use Test::More;

my $s3 = SkyvaultS3->shared->start_proxy;
my $node = new_server('main');
my $dir = $node->data_dir . '/pgsql_tmp_skyvault';

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub read_all
{
	my ($name) = @_;

	sql('SELECT skyvault_clear_cache()');
	$s3->forget_requests;
	same_content($node, ['kv'], $name);
	return scalar(() = $s3->requests(method => 'GET', target => '\.sst'));
}

# Complete files of the mirror.
sub files
{
	my @files;

	find({ no_chdir => 1, wanted => sub { push @files, $_ if m{/mirror-[-\w]+/../[0-9a-f]{32}$} } }, $dir);
	return @files;
}

sub runs { return sql('SELECT count(*) FROM skyvault.run'); }

# Waits until the scheduler has fetched what was missing.
sub await_files
{
	my ($n) = @_;

	$node->poll_query_until('postgres',
		"SELECT count(*) = $n FROM pg_ls_dir('pgsql_tmp_skyvault') AS m, pg_ls_dir('pgsql_tmp_skyvault/' || m) AS d,"
		  . " pg_ls_dir('pgsql_tmp_skyvault/' || m || '/' || d) AS f WHERE m LIKE 'mirror-%' AND f !~ '~'") or die;
}

sub await_no_mirror
{
	$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_ls_dir('pgsql_tmp_skyvault') AS m WHERE m LIKE 'mirror-%'") or die;
}

sql($s3->create_server('vault', server => { mirror => 'on' }));
make_mirror($node, ['kv'], 'vault');
sql(q{SELECT mirror_multi_put('kv', array_agg('k' || n), array_agg(sha512(n::text::bytea)::text)) FROM generate_series(1, 10000) AS n});
sql('SELECT skyvault_flush()');
is(scalar(files()), runs(), 'a flush writes its run locally before it is published');
is(read_all('what was flushed is read'), 0, 'without a GET');
$node->restart;
is(read_all('after a restart too'), 0, 'without a GET');
is(sql('SELECT ranges FROM skyvault_stat_disk_cache'), 0, 'the disk cache has no part in it');

# The store is gone: reads go on.
$s3->refuse_connections;
is(read_all('without the store all is read'), 0, 'without a GET');
$s3->accept_connections;

# Damage: read from the store, fetched again by the scheduler.
my ($file) = files();
my $bytes = -s $file;
open(my $handle, '+<', $file) or die "$file: $!";
for (my $at = 50; $at < $bytes; $at += 4096)
{
	seek($handle, $at, 0);
	print $handle 'damaged';
}
close($handle);
cmp_ok(read_all('a damaged file'), '>', 0, 'costs GETs');
await_files(runs());
is(read_all('the scheduler mends it'), 0, 'and then it costs none');
unlink(files());
read_all('deleted files cost no error');
await_files(runs());
$node->restart;
is(read_all('they are fetched again'), 0, 'too');

# Turned on later: what was there before is fetched.
sql(q{ALTER SERVER vault OPTIONS (SET mirror 'off')});
sql(q{SELECT mirror_put('kv', 'later', 'value'); SELECT skyvault_flush()});
await_no_mirror();
pass('a mirror that is turned off is removed');
sql(q{ALTER SERVER vault OPTIONS (SET mirror 'on')});
await_files(runs());
is(read_all('is fetched when it is on again'), 0, 'and read without a GET');

# The scheduler is killed while it fetches.
unlink((files())[0]);
my $hangs = $s3->fault('hang', method => 'GET', path => '\.sst', last => 1);
$s3->await_hits($hangs, 1);
my $pid = scheduler_pid($node);
kill('KILL', $pid);
$s3->clear_faults;
await_server($node) or die;
await_files(runs());
is(read_all('after kill -9 of the scheduler while it fetched'), 0, 'the next one does');

# A disk that takes nothing: puts and flushes go on, the job says why.
my ($mirror) = glob("$dir/mirror-*");
chmod(0500, $mirror, glob("$mirror/*"));
sql(q{SELECT mirror_put('kv', 'unwritten', 'value'); SELECT skyvault_flush()});
cmp_ok(read_all('what could not be written locally'), '>', 0, 'is read from the store');
$node->poll_query_until('postgres', q{SELECT EXISTS (SELECT 1 FROM skyvault.job WHERE kind = 'mirror' AND state = 'failed')}) or die;
like(sql(q{SELECT error FROM skyvault.job WHERE kind = 'mirror' LIMIT 1}), qr/could not write mirror file.*Permission denied/, 'the job says why');
chmod(0700, $mirror, glob("$mirror/*"));
await_files(runs());
is(read_all('when it can be written again'), 0, 'it is');

# Mirrors of servers and databases that are gone, but nothing else.
sql('CREATE DATABASE other');
$node->safe_psql('other', $_) foreach 'CREATE EXTENSION skyvault', $s3->create_server('vault', server => { mirror => 'on' }),
	q{SELECT skyvault_create_table('kv', server => 'vault'); SELECT skyvault_put('kv', 'k', 'v'); SELECT skyvault_flush()};
my ($other) = grep { $_ ne $mirror } glob("$dir/mirror-*");
ok($other, 'another database has a mirror of its own, of the same place in the store');
mkdir("$dir/mirror-of-mine") or die;
sql('DROP DATABASE other WITH (FORCE)');
$node->poll_query_until('postgres', "SELECT count(*) = 2 FROM pg_ls_dir('pgsql_tmp_skyvault') AS m WHERE m LIKE 'mirror-%'") or die;
ok(-d $mirror && !-d $other, 'it goes with its database');
is(read_all('the mirror beside it'), 0, 'is as it was');
sql('DROP SERVER vault CASCADE');
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_ls_dir('pgsql_tmp_skyvault') AS m WHERE m LIKE 'mirror-%'") or die;
ok(-d "$dir/mirror-of-mine" && !-d $mirror, 'DROP SERVER removes its mirror, and nothing that is none');

$s3->stop_proxy;
done_testing();
