# What a store has sent wrongly, or had damaged and has whole again, is kept by nobody:
# neither the disk cache nor a mirror.  Who needs it fails once, and not again.
use strict;
use warnings;

use File::Find;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultS3;
use SkyvaultTest;
use Test::More;

my $s3 = SkyvaultS3->shared->start_proxy;
my $node = new_server('main', settings => "skyvault.disk_cache_size = 64MB\n");
my @reads = (
	"SELECT count(*) FROM skyvault_scan('kv')",
	"SELECT count(value) FROM skyvault_multi_get('kv', ARRAY(SELECT 'k' || n FROM generate_series(1, 10000) AS n))",
	"SELECT count(skyvault_get('kv', 'k' || n)) FROM generate_series(1, 10000) AS n");

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub all_bytes_are_wrong { return $s3->fault('flip', method => '^GET$', path => '\.sst', at => 30); }

sql($s3->create_server('vault'));
make_mirror($node, ['kv'], 'vault');
sql(q{SELECT mirror_multi_put('kv', array_agg('k' || n), array_agg(sha512(n::text::bytea)::text)) FROM generate_series(1, 10000) AS n});
sql('SELECT skyvault_flush()');

# ------------------------------------------------------------------- the disk cache
foreach my $read (@reads)
{
	sql('SELECT skyvault_clear_disk_cache(); SELECT skyvault_clear_cache()');
	all_bytes_are_wrong();
	fails_with($node, $read, 'XX001', qr/corrupted (?:block|tail)/, "the disk cache: $read");
	$s3->clear_faults;
	is(sql($read), 10000, "the disk cache: and is right when the store is: $read");
}

# Lookups leave what they do not need, and compactions find it.
sql('SELECT skyvault_clear_disk_cache(); SELECT skyvault_clear_cache()');
all_bytes_are_wrong();
is(sql(q{SELECT skyvault_get('kv', 'k77') = sha512('77')::text}), 't', 'the disk cache: a get that does not need what is wrong');
$s3->clear_faults;
fails_with($node, "SELECT skyvault_compact('kv')", 'XX001', qr/corrupted block/, 'the disk cache: a compaction does');
sql("SELECT skyvault_compact('kv')");
same_content($node, ['kv'], 'the disk cache: the next one succeeds');

# Who verifies asks the store, whatever is kept near.
is(sql($reads[0]), 10000, 'all is in the disk cache');
sql('SELECT skyvault_clear_cache()');
all_bytes_are_wrong();
is(sql($reads[0]), 10000, 'and read there');
is(sql(q{SELECT count(*) > 0 FROM skyvault_verify('kv', deep => true)}), 't', 'the disk cache: verify says what is wrong in the store');
$s3->clear_faults;
$s3->forget_requests;
is(sql(q{SELECT count(*) FROM skyvault_verify('kv', deep => true)}), 0, 'the disk cache: and when it is right again');
cmp_ok(scalar $s3->requests(method => '^GET$', target => '\.sst'), '<=', 6, 'with few requests');

# ------------------------------------------------------------------------ a mirror
my $mirrors = $node->data_dir . '/pgsql_tmp_skyvault';

sub files
{
	my @files;

	find({ no_chdir => 1, wanted => sub { push @files, $_ if m{/mirror-[-\w]+/../[0-9a-f]{32}$} } }, $mirrors);
	return @files;
}

my $read = "SELECT count(*) FROM skyvault_scan('kept')";

sql($s3->create_server('mirrored', server => { mirror => 'on' }));
sql(q{
	SELECT skyvault_create_table('kept', server => 'mirrored');
	SELECT skyvault_multi_put('kept', array_agg('k' || n), array_agg(sha512(n::text::bytea)::text)) FROM generate_series(1, 10000) AS n;
	SELECT skyvault_flush('mirrored');
});
is(scalar(files()), 1, 'a mirror has the run');
sql('SELECT skyvault_clear_cache()');
is(sql($read), 10000, 'a mirror is read');
all_bytes_are_wrong();
is(sql(q{SELECT count(*) > 0 FROM skyvault_verify('kept', deep => true)}), 't', 'a mirror: verify says what is wrong in the store');
unlink(files()) == 1 or die $!;
$node->poll_query_until('postgres',
	"SELECT count(*) = 1 FROM pg_ls_dir('pgsql_tmp_skyvault') AS m, pg_ls_dir('pgsql_tmp_skyvault/' || m) AS d,"
	  . " pg_ls_dir('pgsql_tmp_skyvault/' || m || '/' || d) AS f WHERE m LIKE 'mirror-%' AND f !~ '~'") or die 'no file';
$s3->clear_faults;
sql('SELECT skyvault_clear_cache()');
fails_with($node, $read, 'XX001', qr/corrupted (?:block|tail)/, 'a mirror that was sent other bytes');
is(scalar(files()), 0, 'a mirror: what it had is gone');
is(sql($read), 10000, 'a mirror: and all is right when the store is');

$node->stop;
done_testing();
