# Loads into a bucket: partitions at once, within the memory they have, and what a store
# that fails in the middle leaves.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultS3;
use SkyvaultTest;
use Test::More;

my $s3 = SkyvaultS3->shared->start_proxy;
my $node = new_server('main', settings => <<'SETTINGS');
skyvault.compression_level = 0
skyvault.store_retries = 0
maintenance_work_mem = 64MB
SETTINGS

sub sql { return $node->safe_psql('postgres', $_[0]); }

# Values that no compression makes small; keys in order, of each partition too.
my $rows = q{SELECT g, (SELECT string_agg(sha512((g * 4 + i)::text::bytea)::text, '') FROM generate_series(1, 4) AS i) FROM generate_series(1, 60000) AS g};
my $check = 'SELECT count(*), count(*) FILTER (WHERE v = (SELECT string_agg(sha512((k * 4 + i)::text::bytea)::text, \'\') FROM generate_series(1, 4) AS i)) FROM parts';

sql($s3->create_server('vault'));
sql('CREATE TABLE parts (k bigint, v text) PARTITION BY HASH (k)');
sql("CREATE FOREIGN TABLE parts_$_ PARTITION OF parts FOR VALUES WITH (MODULUS 3, REMAINDER $_) SERVER vault OPTIONS (key 'k')") foreach 0 .. 2;

my $session = session($node);
my $load = "INSERT INTO parts $rows";

sub leaks { return sql("SELECT count(*) FROM skyvault_loads()"); }

foreach my $workers (0, 2)
{
	$session->run("SET skyvault.load_workers = $workers");
	$session->run($load);
	is($session->run($check), '60000|60000', "$workers workers: all rows are there, with their values");
	is(sql('SELECT count(*) FROM skyvault.delta'), '0', "$workers workers: none went to the delta");
	is(sql(q{SELECT count(DISTINCT table_ids) FROM skyvault.run WHERE tier = 'b'}), '3', "$workers workers: each partition has runs");

	# ---------------------------------------------------------- a store that fails
	my $before = $session->run('SELECT sum(id) FROM skyvault.run');
	my $rule = $s3->fault('status', method => '^(?:PUT|POST)$', first => 3, status => 500, code => 'InternalError');
	my ($rows, $error) = $session->try($load);
	like($error, qr/InternalError|500/, "$workers workers: a store that fails ends the load");
	$s3->clear_faults;
	is($session->run('SELECT sum(id) FROM skyvault.run'), $before, "$workers workers: nothing of it is there");
	is(leaks(), '0', "$workers workers: nor under way");
	is($session->run($check), '60000|60000', "$workers workers: what was there before is");
}
is(sql(q{SELECT count(*) FROM skyvault_verify('parts_0', true)}), '0', 'the runs are whole');
$session->quit;

# ------------------------------------------------ a store that never answers
# It is asked once, whoever waits; others are flushed meanwhile.
sql($s3->create_server('silent'));
sql("CREATE FOREIGN TABLE silent (k bigint, v text) SERVER silent OPTIONS (key 'k')");
$s3->fault('hang', path => '/silent');
$s3->forget_requests;
my @sessions = map { session($node) } 1 .. 6;
$_->send("INSERT INTO silent $rows") foreach @sessions;
sql("INSERT INTO parts VALUES (-1, 'flushed')");
sql("SELECT skyvault_flush('vault')");
is(sql("SELECT count(*) FROM skyvault.delta"), '0', 'another vault is flushed');
foreach (@sessions)
{
	my (undef, $error) = $_->receive;
	like($error, qr/ERROR: +58030: could not read object "probe"/, 'a load to it fails');
}
cmp_ok(scalar($s3->requests(target => '/silent')), '<=', 2, 'and it was asked but once, or once more after a pause');
$s3->clear_faults;
$_->quit foreach @sessions;
$node->stop;

done_testing();
