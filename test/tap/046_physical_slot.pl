# A physical replication slot stands for a standby that is away: runs inside
# the data directory would not reach it.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server('main', streaming => 1);
my $elsewhere = PostgreSQL::Test::Utils::tempdir();
my $refusal = qr/runs of server "skyvault" would not reach standbys and backups\nDETAIL:  Its store lies inside .*\nHINT:  Use a store that standbys/;

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

sql("SELECT skyvault_create_table('kv'); SELECT skyvault_put('kv', 'k', 'v')");
sql("SELECT pg_create_physical_replication_slot('away')");
fails_with($node, 'SELECT skyvault_flush()', '55000', $refusal, 'with a slot, a store in the data directory gets no run');
is(delta_rows($node), 1, 'the row stays in the delta');
is(scalar(run_objects($node)), 0, 'no run is registered');
is(sql("SELECT skyvault_get('kv', 'k')"), 'v', 'and is read from there');
is(job_rows($node, 1), 'failed|runs of server "skyvault" would not reach standbys and backups', 'the job says why');

# Nothing to flush is nothing to refuse, for a store that is elsewhere neither.
sql("CREATE SERVER elsewhere FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:$elsewhere');"
	  . "SELECT skyvault_create_table('kv_elsewhere', server => 'elsewhere'); SELECT skyvault_put('kv_elsewhere', 'k', 'v')");
is(sql("SELECT skyvault_flush('elsewhere')"), 1, 'a store elsewhere gets its run');
is(sql("SELECT skyvault_get('kv_elsewhere', 'k')"), 'v', 'and is read');

sql("SELECT pg_drop_replication_slot('away')");
is(sql('SELECT skyvault_flush()'), 1, 'without the slot the flush works again');
is(delta_rows($node), 0, 'the row is in a run');
is(sql("SELECT skyvault_get('kv', 'k')"), 'v', 'and is read from there');

# The slot comes while a flush is on its way.
my $flusher = session($node);
sql("SELECT skyvault_put('kv', 'k', 'newer')");
$flusher->run("SELECT stop_point_arm('flush-uploaded', 'wait')");
$flusher->send('SELECT skyvault_flush()');
sql("CALL stop_point_await('flush-uploaded')");
sql("SELECT pg_create_physical_replication_slot('away')");
sql("SELECT stop_point_disarm('flush-uploaded')");
like(($flusher->receive)[1], $refusal, 'a slot that comes during the upload stops the publish');
is(delta_rows($node), 1, 'the row stays in the delta');
is(sql("SELECT skyvault_get('kv', 'k')"), 'newer', 'and is read from there');

# The server option says that the standby reaches the store.
sql("ALTER SERVER skyvault OPTIONS (ADD shared 'on')");
is(sql('SELECT skyvault_flush()'), 1, "with shared 'on' the flush works with a slot");
is(sql("SELECT skyvault_get('kv', 'k')"), 'newer', 'and its run is read');

$flusher->quit;
$node->stop;
done_testing();
