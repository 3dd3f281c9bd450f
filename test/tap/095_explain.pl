# What EXPLAIN ANALYZE says of a vault in a bucket: its GETs are those that the bucket
# sees, and where each block came from: the store, the disk cache, memory.
use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultS3;
use SkyvaultTest;
use Test::More;

my $s3 = SkyvaultS3->shared->start_proxy;
my $node = new_server('main', settings => "skyvault.disk_cache_size = 64MB\n");

sub sql { return $node->safe_psql('postgres', $_[0]); }

# What the node that reads the table says.
sub reader
{
	my ($plan) = @_;

	return $plan if exists $plan->{'Runs Considered'};
	foreach my $child (@{ $plan->{Plans} // [] })
	{
		my $found = reader($child);

		return $found if $found;
	}
	return;
}

# Of the statement, after all of these: the counts of its reader, and the GETs of runs in the bucket.
sub explained
{
	my ($statement, @before) = @_;
	my ($answer, $said, @gets);

	sql($_) foreach @before;
	$s3->forget_requests;
	$answer = sql("SET enable_hashjoin = off; SET enable_mergejoin = off; EXPLAIN (ANALYZE, FORMAT json) $statement");
	@gets = $s3->requests(method => 'GET', target => '\.sst');
	$said = reader(decode_json($answer)->[0]{Plan}) or die $answer;
	return ($said, @gets);
}

# The counts, and that GETs and bytes are what the bucket saw.
sub says
{
	my ($statement, $before, $counts, $test_name) = @_;
	my ($said, @gets) = explained($statement, @$before);
	my $bytes = 0;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is_deeply({ map { $_ => $said->{$_} } keys %$counts }, $counts, $test_name);
	$bytes += $_->{answer_bytes} foreach @gets;
	is("$said->{'Store Gets'} $said->{'Store Bytes Read'}", scalar(@gets) . " $bytes", '... with as many GETs and bytes as it says');
	is($said->{'Store Time'} > 0, @gets > 0 || $said->{'Disk Bytes Read'} > 0, '... and time, if there were any');
	return $said;
}

my @cold = ('SELECT skyvault_clear_cache()', 'SELECT skyvault_clear_disk_cache()');
my @warm_disk = ('SELECT skyvault_clear_cache()');

sql($s3->create_server('vault'));
sql(q{
	CREATE FOREIGN TABLE far (id int8 NOT NULL, name text) SERVER vault OPTIONS (key 'id');
	INSERT INTO far SELECT 2 * n, sha512(n::text::bytea)::text FROM generate_series(1, 20000) AS n;
	SELECT skyvault_flush();
});

my $point = 'SELECT * FROM far WHERE id = 2000';
my $many = 'SELECT * FROM far WHERE id IN (2, 10000, 10001, 20000, 30000)';
my $join = 'SELECT * FROM (SELECT n * 10 + n % 2 AS n FROM generate_series(1, 2000) AS n OFFSET 0) AS o JOIN far ON id = n';

says($point, \@cold, { 'Keys Looked Up' => 1, 'Keys Found' => 1, 'Blocks from Store' => 1, 'Blocks from Disk' => 0, 'Blocks from Cache' => 0,
	'Tails Loaded' => 1, 'Model Lookups' => 1, 'Runs Pruned by Filter' => 0 }, 'a key, cold');
says($point, \@warm_disk, { 'Blocks from Store' => 0, 'Blocks from Disk' => 1, 'Blocks from Cache' => 0, 'Store Gets' => 0,
	'Tails Loaded' => 1 }, 'from the disk cache');
says($point, [], { 'Blocks from Store' => 0, 'Blocks from Disk' => 0, 'Blocks from Cache' => 1, 'Store Gets' => 0, 'Disk Bytes Read' => 0,
	'Tails Loaded' => 0 }, 'from memory');
says($many, \@cold, { 'Keys Looked Up' => 5, 'Keys Found' => 4, 'Runs Pruned by Filter' => 1, 'Blocks from Store' => 4,
	'Blocks from Disk' => 0 }, 'several keys, cold');
says($many, \@warm_disk, { 'Blocks from Store' => 0, 'Blocks from Disk' => 4 }, 'from the disk cache');
my $said = says($join, \@cold, { 'Keys Looked Up' => 2000, 'Keys Found' => 1000, 'Tails Loaded' => 1 }, 'a batched join, cold');
# What comes from the store fills whole ranges of the disk cache, so that it has some blocks of the next request.
my $blocks = $said->{'Blocks from Store'} + $said->{'Blocks from Disk'};
cmp_ok($said->{'Blocks from Store'}, '>', 10, 'reads blocks');
says($join, \@warm_disk, { 'Blocks from Store' => 0, 'Blocks from Disk' => $blocks }, 'from the disk cache');
$said = says('SELECT * FROM far', \@cold, { 'Key Ranges' => 1, 'Rows in Key Ranges' => 20000 }, 'a scan, cold');
is($said->{'Blocks from Store'} + $said->{'Blocks from Disk'}, sql(q{SELECT sum(blocks) FROM skyvault_index('far')}), 'reads each block once');

$node->stop;
done_testing();
