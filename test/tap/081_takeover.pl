# Nobody takes a vault anew while it is needed as it is.  Whoever holds it so, or takes
# it, may be ended: then the next one goes on.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $store = PostgreSQL::Test::Utils::tempdir();
my $node = new_server('main', settings => "skyvault.export_interval = 0\n");
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

#
# Who waits to take it finds that another has, also while somebody holds it again.
#
{
	my ($compactor, $exporter) = map { session($node) } (1, 2);

	write_one('in a run');
	sql("SELECT skyvault_flush('shared')");
	sql("SELECT stop_point_arm('compact-planned', 'wait')");
	$compactor->send("SELECT skyvault_compact('kv', full => true)");
	sql("CALL stop_point_await('compact-planned')");
	sql("SELECT stop_point_arm('export-uploaded', 'wait')");
	$exporter->send('SELECT skyvault_export()');
	sql("CALL stop_point_await('export-uploaded')");
	sql("SELECT skyvault_adopt('shared')");
	sql("SELECT stop_point_arm('owner-waits', 'wait'), stop_point_disarm('compact-planned')");
	sql("CALL stop_point_await('owner-waits')");
	sql("SELECT stop_point_disarm('export-uploaded')");
	$exporter->receive;
	write_one('taken by a flush');
	sql("SELECT skyvault_flush('shared')");
	sql("SELECT stop_point_arm('export-uploaded', 'wait')");
	$exporter->send('SELECT skyvault_export()');
	sql("CALL stop_point_await('export-uploaded')");
	sql("SELECT stop_point_disarm('owner-waits')");
	is(($compactor->receive)[1], undef, 'taken by another: who waits goes on');
	is(sql("SELECT stop_point_waiting('export-uploaded')"), 1, 'taken by another: while a third holds it');
	sql("SELECT stop_point_disarm('export-uploaded')");
	$exporter->receive;
	$_->quit foreach ($compactor, $exporter);
}

#
# Told to take it while a log of several objects is written: it is taken between them.
#
{
	my $exporter = session($node);

	write_one('first object');
	sql("SELECT skyvault_flush('shared'), stop_point_arm('export-uploaded', 'wait')");
	$exporter->send('SELECT skyvault_export()');
	sql("CALL stop_point_await('export-uploaded')");
	my $pid = sql("SELECT pid $scheduler");
	sql('SELECT pg_cancel_backend(' . $exporter->pid . ')');
	$exporter->receive;
	sql("SELECT pg_terminate_backend($pid)");
	ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid"), 'an object is not remembered');
	sql("SELECT stop_point_disarm('export-uploaded')");
	write_one('second object');
	sql("SELECT skyvault_flush('shared'), stop_point_arm('export-committed', 'wait')");
	my $epoch = sql("SELECT epoch FROM skyvault_vaults WHERE server = 'shared'");
	$exporter->send('SELECT skyvault_export()');
	sql("CALL stop_point_await('export-committed')");
	sql("SELECT skyvault_adopt('shared')");
	sql("SELECT stop_point_disarm('export-committed')");
	is(($exporter->receive)[1], undef, 'both objects are written');
	$exporter->quit;
	is(sql("SELECT state || ' ' || epoch FROM skyvault_vaults WHERE server = 'shared'"), 'owner ' . ($epoch + 1),
		'the vault was taken between them');
	is(sql('SELECT string_agg(DISTINCT epoch::text, $$ $$) FROM (SELECT epoch FROM skyvault.log_object ORDER BY epoch DESC, number DESC LIMIT 2) AS l'),
		"$epoch " . ($epoch + 1), 'and each is of its own epoch');
}

#
# Not while a snapshot is made: of an epoch that ends before that is recorded OWNER says nothing.
#
{
	write_one("run $_"), sql("SELECT skyvault_flush('shared')") foreach 1 .. 2;
	sql('SELECT skyvault_export()');
	$node->restart;
	my ($compactor, $asker) = map { session($node) } (1, 2);
	sql("SELECT stop_point_arm('compact-planned', 'wait')");
	$compactor->send("SELECT skyvault_compact('kv', full => true)");
	sql("CALL stop_point_await('compact-planned')");
	sql("SELECT stop_point_arm('snapshot-uploaded', 'wait')");
	$asker->send("SELECT skyvault_snapshot('lasting', 'shared')");
	sql("CALL stop_point_await('snapshot-uploaded')");
	sql("SELECT skyvault_adopt('shared')");
	sql("SELECT stop_point_disarm('compact-planned')");
	like(($compactor->receive)[1] // '', qr/55006: compaction failed: another worker takes the vault just now, or needs it as it is/,
		'a vault is not taken while a snapshot is made');
	sql("SELECT stop_point_disarm('snapshot-uploaded')");
	is_deeply([ $asker->receive ], [ 1, undef ], 'the snapshot is made');
	$_->quit foreach ($compactor, $asker);
	write_one('beyond');
	sql("SELECT skyvault_flush('shared')");
	sql('SELECT skyvault_export()');
	sql('CREATE DATABASE restored');
	$node->safe_psql('restored', "CREATE EXTENSION skyvault; CREATE SERVER shared FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:$store')");
	is(($node->psql('restored', "SELECT skyvault_restore('shared', 'lasting')"))[0], 0, 'and is there to be restored');
	is($node->safe_psql('restored', q{SELECT string_agg(key, ' ') FROM kv WHERE key IN ('run 2', 'beyond')}), 'run 2', 'with what it had');
}
same_content($node, ['kv'], 'nothing is lost');

#
# OWNER has gone, and is made anew: it leads to all epochs that there were, and has one
# that none before it had, not even one that was only announced.
#
{
	my $epoch = sql("SELECT epoch FROM skyvault_vaults WHERE server = 'shared'");

	cmp_ok(sql("SELECT count(DISTINCT epoch) FROM skyvault.log_object"), '>', 1, 'OWNER gone: there were several epochs');
	$node->restart;
	my $asker = session($node);
	write_one('announced');
	sql("SELECT stop_point_arm('owner-announced', 'error')");
	$asker->try("SELECT skyvault_flush('shared')");
	$asker->quit;
	sql("SELECT stop_point_disarm('owner-announced')");
	unlink((glob("$store/*/OWNER"))[0]) or die "unlink: $!";
	sql("SELECT skyvault_adopt('shared')");
	sql("SELECT skyvault_flush('shared')");
	sql('SELECT skyvault_export()');
	is(sql("SELECT epoch FROM skyvault_vaults WHERE server = 'shared'"), $epoch + 2, 'OWNER gone: a new epoch');
	sql('CREATE DATABASE restored_all');
	$node->safe_psql('restored_all', "CREATE EXTENSION skyvault; CREATE SERVER shared FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:$store')");
	my ($status, $stdout, $stderr) = $node->psql('restored_all', "SELECT skyvault_restore('shared')");
	is($status, 0, 'OWNER gone: restored');
	unlike($stderr, qr/WARNING/, 'OWNER gone: without a warning');
	my $content = q{SELECT string_agg(key || '=' || value, ' ' ORDER BY key) FROM kv};
	is($node->safe_psql('restored_all', $content), sql($content), 'OWNER gone: all of it') if $status == 0;
}

$node->stop;
done_testing();
