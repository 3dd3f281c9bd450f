# Caches belong to a server: they are empty after a restart, a standby has its
# own, and a server does not start with sizes that cannot be.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $directory = PostgreSQL::Test::Utils::tempdir();
my $primary = new_server('primary', streaming => 1, settings => "hot_standby_feedback = on\n");

$primary->safe_psql('postgres',
	"CREATE SERVER shared FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:$directory', shared 'on')");
make_mirror($primary, ['kv'], 'shared');
$primary->safe_psql('postgres', <<'SQL');
SELECT mirror_multi_put('kv', array_agg('key' || n), array_agg(sha512(n::text::bytea)::text)) FROM generate_series(1, 3000) AS n;
SELECT skyvault_flush();
SQL

sub counters
{
	my ($node) = @_;

	return $node->safe_psql('postgres', 'SELECT block_loads, tail_loads FROM skyvault_stat_cache');
}

sub cached
{
	my ($node) = @_;

	return $node->safe_psql('postgres', 'SELECT count(*), coalesce(sum(blocks), 0) > 10 FROM skyvault_cache');
}

#
# Restarts, clean and not.
#
foreach my $mode (qw(fast immediate))
{
	same_content($primary, ['kv'], "before a restart ($mode): the table agrees with its mirror");
	is(cached($primary), '1|t', "before a restart ($mode): the run is cached");
	$primary->stop($mode);
	$primary->start;
	is(cached($primary), '0|f', "after a restart ($mode): nothing is cached");
	is(counters($primary), '0|0', "after a restart ($mode): the counters begin anew");
}
same_content($primary, ['kv'], 'after restarts: the table agrees with its mirror');

#
# A standby.
#
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));

is(cached($standby), '0|f', 'a standby begins with empty caches');
my $of_primary = counters($primary);
same_content($standby, ['kv'], 'the table agrees with its mirror on the standby');
is(cached($standby), '1|t', 'the standby has cached the run');
is(counters($primary), $of_primary, 'and the primary has loaded nothing for it');
is($primary->safe_psql('postgres', 'SELECT skyvault_clear_cache(); SELECT count(*) FROM skyvault_cache'), "\n0",
	'the caches of the primary are cleared');
is(cached($standby), '1|t', 'but not those of the standby');
is($standby->safe_psql('postgres', 'SELECT skyvault_clear_cache(); SELECT count(*) FROM skyvault_cache'), "\n0",
	'which clears its own');
cmp_ok($standby->safe_psql('postgres', "SELECT skyvault_prewarm('kv')"), '>', 10, 'a standby can be prewarmed');
is($standby->safe_psql('postgres', "SELECT skyvault_prewarm('kv')"), 0, 'once');
is($standby->safe_psql('postgres', "SELECT entries, models > 0, fallback_share < 1 FROM skyvault_index('kv')"), '3000|t|t',
	'and tells how its runs are indexed');

# A new run, and a new value in it for what the standby has cached.
my $reader = session($standby);
is($reader->run("SELECT skyvault_get('kv', 'key1') = sha512('1')::text"), 't', 'the standby has a value cached');
$primary->safe_psql('postgres',
	"SELECT mirror_put('kv', 'key1', 'new'), mirror_delete('kv', 'key2'); SELECT skyvault_flush()");
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));
is($reader->run("SELECT skyvault_get('kv', 'key1'), skyvault_exists('kv', 'key2')"), 'new|f',
	'and answers with the newer one from another run');
same_content($standby, ['kv'], 'the table agrees with its mirror on the standby after a flush');

$reader->quit;
$primary->stop('immediate');
$standby->promote;
is(cached($standby), '2|t', 'a standby that is promoted keeps what it has cached');
same_content($standby, ['kv'], 'and reads it');
$standby->stop;

#
# Sizes.
#
my ($memory_kb) = slurp_file('/proc/meminfo') =~ /^MemTotal:\s+(\d+) kB/m;
my $twice = 2 * $memory_kb;
my @refused = (
	[ 'cache_size', '4095kB', qr/invalid value for parameter "skyvault.cache_size": "4095kB".*HINT:  The value is a size from 4096 kB/s ],
	[ 'cache_size', '0', qr/invalid value for parameter "skyvault.cache_size": "0"/ ],
	[ 'cache_size', 'much', qr/invalid value for parameter "skyvault.cache_size": "much"/ ],
	[ 'cache_size', '128 megabytes', qr/invalid value .*HINT:  Valid units for this parameter are/s ],
	[ 'tail_cache_size', '1023kB', qr/invalid value for parameter "skyvault.tail_cache_size": "1023kB".*HINT:  The value is a size from 1024 kB/s ],
	[ 'cache_size', "${twice}kB", qr/skyvault's caches of \d+ MB are larger than this machine's memory of \d+ MB.*HINT:  Lower skyvault.cache_size/s ],
	[ 'tail_cache_size', "${twice}kB", qr/skyvault's caches of \d+ MB are larger than this machine's memory of \d+ MB/ ],
	[ 'delta_filter_size', '-1', qr/invalid value for parameter "skyvault.delta_filter_size": "-1"/ ]);
foreach (@refused)
{
	my ($setting, $value, $pattern) = @$_;
	my $log_bytes = -s $primary->logfile;

	$primary->append_conf('postgresql.conf', "skyvault.$setting = '$value'\n");
	is($primary->start(fail_ok => 1), 0, "$setting = $value: the server does not start");
	like(slurp_file($primary->logfile, $log_bytes), qr/FATAL:  $pattern/, "$setting = $value: and says why");
	$primary->adjust_conf('postgresql.conf', "skyvault.$setting", undef);
}
$primary->append_conf('postgresql.conf',
	"skyvault.cache_size = 4MB\nskyvault.tail_cache_size = 1MB\nskyvault.delta_filter_size = 0\n");
$primary->start;
same_content($primary, ['kv'], 'the smallest sizes: the table agrees with its mirror');
fails_with($primary, "SET skyvault.cache_size = '8MB'", '55P02', qr/cannot be changed without restarting the server/,
	'sizes cannot be changed in a session');
fails_with($primary, "ALTER SYSTEM SET skyvault.cache_size = '1MB'", '22023', qr/outside the valid range/,
	'nor set to what the server would refuse');

done_testing();
