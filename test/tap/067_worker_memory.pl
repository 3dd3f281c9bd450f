# What a compaction worker takes of memory, shared memory aside, is bounded by
# skyvault.worker_memory: here with inputs of more than twice as much, 100 at a time,
# and also in a bucket.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultS3;
use SkyvaultTest;
use Test::More;

my $limit_kb = 32 * 1024;
my $node = new_server('main', settings => <<~CONF);
	shared_buffers = 64MB
	skyvault.worker_memory = ${limit_kb}kB
	skyvault.run_size = 2MB
	skyvault.compaction_runs = 100
	skyvault.subcompactions = 1
	skyvault.subcompaction_size = 1MB
	CONF

# Of a process: anonymous memory now, and the most that it had of its own.
sub memory_kb
{
	my ($pid) = @_;
	my %kb = slurp_file("/proc/$pid/status") =~ /^(VmHWM|RssAnon|RssFile|RssShmem):\s+(\d+) kB/mg;

	return ($kb{RssAnon}, $kb{VmHWM} - $kb{RssFile} - $kb{RssShmem});
}

sub owner_pid { return $node->safe_psql('postgres', "SELECT pid FROM skyvault_jobs WHERE state = 'running'") }

# What hardly compresses, in 100 WAL runs over the same range of keys.
$node->safe_psql('postgres', "SELECT skyvault_create_table('big')");
sub write_runs
{
	my ($runs) = @_;

	foreach my $run (1 .. $runs)
	{
		$node->safe_psql('postgres', <<~SQL);
			INSERT INTO big SELECT lpad((n * 100 + $run)::text, 10, '0'),
				(SELECT string_agg(md5(format('%s %s $run', n, i)), '') FROM generate_series(1, 100) AS i)
				FROM generate_series(1, 480) AS n;
			SELECT skyvault_flush();
			SQL
	}
}

# A compaction, from just before it reads anything to just after it has written
# all: what the worker has before, and the most that it has had in the end.
sub measure
{
	my ($table) = @_;
	my $client = session($node);

	$node->safe_psql('postgres', "SELECT stop_point_arm('compact-before-run', 'wait'), stop_point_arm('compact-after-run', 'wait')");
	$client->send("SELECT skyvault_compact('$table')");
	$node->safe_psql('postgres', "CALL stop_point_await('compact-before-run')");
	my $pid = owner_pid();
	my ($before) = memory_kb($pid);
	$node->safe_psql('postgres', "SELECT stop_point_disarm('compact-before-run')");
	$node->safe_psql('postgres', "CALL stop_point_await('compact-after-run')");
	my ($now, $peak) = memory_kb($pid);
	my $job = $node->safe_psql('postgres',
		"SELECT cardinality(inputs), bytes_in, parts, workers FROM skyvault_jobs WHERE state = 'running'");
	$node->safe_psql('postgres', "SELECT stop_point_disarm('compact-after-run')");
	$client->receive;
	$client->quit;
	return ($before, $peak, split(/\|/, $job));
}

write_runs(100);
my ($before, $peak, $inputs, $bytes) = measure('big');
is($inputs, 100, 'a compaction of 100 runs');
cmp_ok($bytes, '>', 2 * $limit_kb * 1024, 'of much more than the memory that it may take');
diag("$inputs inputs, $bytes bytes: $before kB before, at most $peak kB");
cmp_ok($peak - $before, '<', $limit_kb, 'it takes no more than skyvault.worker_memory');

reload_with($node, 'skyvault.run_size = 4MB', 'skyvault.subcompactions = 4');
write_runs(10);
($before, $peak, $inputs, $bytes, my $parts) = measure('big');
is($parts, 4, 'a compaction in parts');
diag("$inputs inputs in $parts parts, $bytes bytes: $before kB before, at most $peak kB");
cmp_ok($peak - $before, '<', $limit_kb, 'takes no more than that either');

# An object of 80 MB goes up in parts, of which only some are held at a time.
my $s3 = SkyvaultS3->shared;
$node->safe_psql('postgres', $s3->create_server('vault', prefix => 'memory-' . int(rand(1e9))));
$node->safe_psql('postgres', <<~SQL);
	SELECT skyvault_create_table('far', server => 'vault');
	ALTER FOREIGN TABLE far OPTIONS (ADD run_size '512MB', ADD subcompactions '1');
	INSERT INTO far SELECT * FROM big;
	SELECT skyvault_flush('vault');
	SQL
($before, $peak, $inputs, $bytes) = measure('far');
diag("$inputs inputs in a bucket, $bytes bytes: $before kB before, at most $peak kB");
cmp_ok($peak - $before, '<', $limit_kb, 'nor with a bucket');
is($node->safe_psql('postgres', "SELECT count(*), max(file_bytes) > 2 * 1024 * $limit_kb FROM skyvault.run WHERE level > 0 AND "
	. "(SELECT id FROM skyvault.\"table\" WHERE relid = 'far'::regclass) = ANY (table_ids)"), '1|t', 'with a large output');
is($node->safe_psql('postgres', 'SELECT count(*) FROM far'), 48000, 'with all rows');
is($node->safe_psql('postgres', 'SELECT count(*) FROM big'), 48000, 'nothing is lost');
done_testing();
