# Each vault has its own schedule: one whose store is dead keeps no other from
# its flush, is itself tried again after growing pauses, and at once when asked.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $directory = PostgreSQL::Test::Utils::tempdir();
my $node = new_server('main', settings => "skyvault.retry_max_interval = 1h\nskyvault.flush_interval = 1s\n");

$node->safe_psql('postgres', qq{
	CREATE SERVER far FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:$directory/gone');
	SELECT skyvault_create_table('near');
	SELECT skyvault_create_table('distant', server => 'far');
	SELECT skyvault_put('distant', 'k', 'v');
});

sub failures
{
	return $node->safe_psql('postgres', "SELECT count(*) FROM skyvault.job WHERE state = 'failed'");
}

sub near_is_flushed
{
	my ($value, $test_name) = @_;

	$node->safe_psql('postgres', "SELECT skyvault_put('near', 'k', '$value')");
	return ok($node->poll_query_until('postgres', q{
		SELECT count(*) = 0 FROM skyvault.delta JOIN skyvault."table" AS t ON t.id = table_id
		WHERE t.relid = 'near'::regclass}), $test_name);
}

ok($node->poll_query_until('postgres', "SELECT count(*) >= 2 FROM skyvault.job WHERE state = 'failed'"),
	'a vault whose store is missing is tried again and again');
near_is_flushed('one', 'another vault is flushed meanwhile');

# Each failure doubles the pause: after these it is more than an hour.
for (1 .. 12)
{
	my ($status) = $node->psql('postgres', 'SELECT skyvault_flush()');
	isnt($status, 0, "flush $_ of all vaults fails");
}
my $failures = failures();
near_is_flushed($_, "in its pause, another vault is flushed: $_") foreach qw(two three four);
is(failures(), $failures, 'and the one that fails is left alone');

is(() = slurp_file($node->logfile) =~ /ERROR:  (?!flush failed).*gone/g, 1, 'what goes on failing is in the log once');

mkdir("$directory/gone") or die $!;
is($node->safe_psql('postgres', "SELECT skyvault_flush('far')"), 1, 'a request does not wait for the pause to end');
$node->safe_psql('postgres', "SELECT skyvault_put('distant', 'k2', 'v')");
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM skyvault.delta'),
	'which has ended: the vault is flushed unasked again');

ok($node->log_contains(qr/flush of vault \d+ succeeded after failures/), 'the log says so');

# A vault that comes while others are dirty has its own clock.
$node->append_conf('postgresql.conf', 'skyvault.flush_interval = 1d');
$node->reload;
$node->safe_psql('postgres', q{
	SELECT skyvault_put('near', 'k', 'dirty');
	CREATE SERVER late FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:late');
	SELECT skyvault_create_table('latecomer', server => 'late');
	SELECT skyvault_put('latecomer', 'k', 'v');
});
$node->append_conf('postgresql.conf', 'skyvault.flush_interval = 1s');
$node->reload;
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM skyvault.delta'),
	'a vault that came after the last flush is flushed with the others');

# A server that is pointed elsewhere while a flush is between upload and publish:
# what was uploaded must not be registered, as readers look elsewhere.
$node->append_conf('postgresql.conf', 'skyvault.flush_interval = 0');
$node->reload;
my $client = session($node);
mkdir("$directory/elsewhere") or die $!;
$node->safe_psql('postgres', "SELECT skyvault_put('distant', 'k3', 'v'); SELECT stop_point_arm('flush-uploaded', 'wait')");
$client->send("SELECT skyvault_flush('far')");
$node->safe_psql('postgres', "CALL stop_point_await('flush-uploaded')");
$node->safe_psql('postgres', "ALTER SERVER far OPTIONS (SET url 'file:$directory/elsewhere')");
$node->safe_psql('postgres', "SELECT stop_point_disarm('flush-uploaded')");
like(($client->receive)[1], qr/ERROR:  55000: .*server "far" was changed during the flush/,
	'a flush during which its server was changed fails');
is($node->safe_psql('postgres', "SELECT skyvault_get('distant', 'k3')"), 'v', 'and what it was to write is still there');
$node->safe_psql('postgres', "ALTER SERVER far OPTIONS (SET url 'file:$directory/gone')");
is($node->safe_psql('postgres', "SELECT skyvault_flush('far')"), 1, 'with the old place the next flush succeeds');
is($node->safe_psql('postgres', "SELECT key, value FROM skyvault_scan('distant')"), "k|v\nk2|v\nk3|v", 'nothing was lost');
$client->quit;

$node->stop;
done_testing();
