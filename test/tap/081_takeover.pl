# Nobody takes a vault anew while it is needed as it is.  Whoever holds it so, or takes
# it, may be ended: then the next one goes on.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $store = PostgreSQL::Test::Utils::tempdir();
my $node = new_server('main');
my $locks = q{FROM pg_locks WHERE locktype = 'object' AND classid = 'skyvault.vault'::regclass};
my $scheduler = q{FROM pg_stat_activity WHERE backend_type = 'skyvault scheduler' AND datname = 'postgres'};

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub write_one
{
	my ($key) = @_;

	return sql("SELECT mirror_put('kv', '$key', 'value of $key')");
}

sql("CREATE SERVER shared FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:$store', shared 'on')");
make_mirror($node, ['kv'], 'shared');
write_one('first');
sql("SELECT skyvault_flush('shared')");

#
# Ended in the middle, outside a transaction.
#
foreach my $point ('export-uploaded', 'owner-announced')
{
	my $asker = session($node);

	sql("SELECT skyvault_adopt('shared')") if $point eq 'owner-announced';
	write_one($point);
	$asker->run("SELECT stop_point_arm('$point', 'wait')");
	$asker->send($point eq 'owner-announced' ? "SELECT skyvault_flush('shared')" : 'SELECT skyvault_export()');
	sql("CALL stop_point_await('$point')");
	is(sql("SELECT count(*) $locks"), 1, "ended at $point: it held the vault");
	my $pid = sql("SELECT pid $scheduler");
	sql("SELECT pg_terminate_backend($pid)");
	ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid"), "ended at $point");
	sql("SELECT stop_point_disarm('$point')");
	$asker->receive;
	$asker->quit;
	is(sql("SELECT count(*) $locks"), 0, "ended at $point: nobody holds the vault");
	sql("SELECT skyvault_adopt('shared')");
	write_one("after $point");
	cmp_ok(sql("SELECT skyvault_flush('shared')"), '>', 0, "ended at $point: a flush takes it");
	foreach my $what ('count(skyvault_export())', "count(skyvault_snapshot(NULL, 'shared'))", "count(*) FROM skyvault_gc(vault => 'shared')")
	{
		is(($node->psql('postgres', "SELECT $what"))[0], 0, "ended at $point: $what");
	}
}
same_content($node, ['kv'], 'nothing is lost');

$node->stop;
done_testing();
