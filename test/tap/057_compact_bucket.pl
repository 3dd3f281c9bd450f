# Compactions of a vault in a bucket: inputs are read in large ranges, outputs are in
# the disk cache before anybody asks for them, and what was merged goes from it first.
use strict;
use warnings;

use List::Util qw(max sum);
use POSIX qw(ceil);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultS3;
use SkyvaultTest;
use Test::More;

my $s3 = SkyvaultS3->shared->start_proxy;
my $node = new_server('main', settings => <<'SETTINGS');
skyvault.disk_cache_size = 64MB
skyvault.compression_level = 0
SETTINGS
my $round = 0;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub stat_of { return sql("SELECT $_[0] FROM skyvault_stat_disk_cache"); }

# A run of some megabytes.
sub write_run
{
	my ($table, $keys, $suffix) = @_;

	$suffix //= '';
	$round++;
	return sql(qq{SELECT mirror_multi_put('$table', array_agg('k' || n || '$suffix'), array_agg('$round ' || v)) FROM generate_series(1, $keys) AS n,
		LATERAL (SELECT string_agg(sha512((n * 10 + i)::text::bytea)::text, '') AS v FROM generate_series(1, 8) AS i) AS s;
		SELECT skyvault_flush('vault')});
}

# GETs of data since the last call.
sub fetched
{
	my @requests = $s3->requests(method => '^GET$', target => '\.sst');

	$s3->forget_requests;
	return @requests;
}

# The number of GETs for all there is, past the caches in memory.  By lookups: a long
# scan would add nothing to the disk cache.
sub read_all
{
	my ($name) = @_;

	sql('SELECT skyvault_clear_cache()');
	$s3->forget_requests;
	is(sql("SELECT count(*) FROM m_$_ WHERE skyvault_get('$_', key) IS DISTINCT FROM value"), 0, "$name: $_") foreach qw(kv other);
	return scalar(() = fetched());
}

sub clear_all { return sql('SELECT skyvault_clear_disk_cache(), skyvault_clear_cache()'); }

sql($s3->create_server('vault'));
make_mirror($node, [ 'kv', 'other' ], 'vault');

# ------------------------------------------------------------------- large ranges
write_run('kv', 4000) foreach 1 .. 3;
my @bytes = split(/\n/, sql('SELECT file_bytes FROM skyvault.run'));
cmp_ok(sum(@bytes), '>', 12_000_000, 'three runs of ' . join(', ', @bytes) . ' bytes');
clear_all();
sql('SELECT skyvault_stat_store_reset()');
$s3->forget_requests;
my $fills = stat_of('fills');
sql(q{SELECT skyvault_compact('kv')});
my @gets = fetched();
my ($requests, $bytes_in) = split(/\|/,
	sql(q{SELECT requests, bytes_in FROM skyvault_stat_store WHERE server = 'vault' AND operation = 'get' AND caller = 'compaction'}));
is($requests, scalar(@gets), 'the GETs of a compaction are counted as its own');
cmp_ok($requests, '<=', sum(map { 1 + ceil($_ / 2_000_000) } @bytes), 'of each input the tail, and few others');
cmp_ok(max(map { $_->{answer_bytes} } @gets), '>=', 2_000_000, 'of megabytes each');
ok($bytes_in >= 0.95 * sum(@bytes) && $bytes_in <= 1.05 * sum(@bytes), 'which bring everything once') or diag("$bytes_in bytes");
is(stat_of('fills'), $fills, 'and add nothing to the disk cache');

# ------------------------------------------------------------------- write-through
is(sql('SELECT count(*) FROM skyvault.run'), 1, 'there is one run then');
cmp_ok(stat_of('bytes'), '>=', sql('SELECT sum(file_bytes) FROM skyvault.run'), 'all of which is in the disk cache');
is(read_all('what was compacted is read'), 0, 'without a GET');
write_run('kv', 4000);
$s3->forget_requests;
sql(q{SELECT skyvault_compact('kv', full => true)});
is(scalar(() = fetched()), 0, 'a compaction whose inputs are there asks for none of them');
is(read_all('its output is read'), 0, 'without a GET');

# ------------------------------------------------------------------- what goes first
# Room for some 250 ranges of 64 kB: inputs that are in use have 98, the output too, and
# so has another table.
$node->append_conf('postgresql.conf', "skyvault.disk_cache_size = 16MB\n");
$node->restart;
clear_all();
write_run('kv', 2000, 'x');
read_all('two runs are read') foreach 1 .. 4;
is(read_all('more than once'), 0, 'and are in use in the disk cache');
sql(q{SELECT skyvault_compact('kv')});

# All that the scheduler minds is due; and done, when two requests have been answered.
reload_with($node, 'skyvault.retry_max_interval = 2s');
sql('SELECT skyvault_flush()') foreach 1 .. 2;
my $evictions = stat_of('evictions');
write_run('other', 6000);
cmp_ok(stat_of('evictions') - $evictions, '>', 10, 'another table needs the place of what was merged');
is(read_all('which goes, however much it was used: all else is read'), 0, 'without a GET');

same_content($node, [ 'kv', 'other' ], 'in all ways');
$node->stop;
$s3->stop_proxy;
done_testing();
