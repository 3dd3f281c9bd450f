# Each start of the server begins an epoch.  What a restore begins with, the
# snapshots, may be of epochs before, of which no log is left: also then all of
# the vault comes back.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $store = PostgreSQL::Test::Utils::tempdir();
my $node = new_server('origin', settings => "max_worker_processes = 20\nskyvault.retention = 0\n");
my $server = "CREATE SERVER shared FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:$store')";
my $content = "SELECT string_agg(key || '=' || value, ' ' ORDER BY key) FROM kv";
my $restores = 0;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub write_and_export
{
	my ($key) = @_;

	sql("SELECT skyvault_put('kv', '$key', 'v')");
	sql('SELECT skyvault_flush()');
	sql('SELECT skyvault_export()');
}

# By default to the last change.
sub is_restored
{
	my ($expected, $case, $arguments) = @_;
	my $name = 'restored_' . ++$restores;

	sql("CREATE DATABASE $name");
	$node->safe_psql($name, "CREATE EXTENSION skyvault; $server");
	my ($status, $stdout, $stderr) = $node->psql($name, "SELECT skyvault_restore('shared'" . ($arguments // '') . ')');
	is($status, 0, "$case: restored");
	unlike($stderr, qr/WARNING/, "$case: without a warning");
	is($node->safe_psql($name, $content), $expected, "$case: all of it") if $status == 0;
	$node->safe_psql('postgres', "DROP DATABASE $name");
}

sql("$server; SELECT skyvault_create_table('kv', server => 'shared')");
write_and_export('a');
sql("SELECT skyvault_snapshot('named', 'shared')");
write_and_export('b');
sql("SELECT skyvault_snapshot(vault => 'shared')") for (1, 2);
is(sql('SELECT count(*) FROM skyvault.log_object'), 0, 'two snapshots have everything, and no log is left');
is_restored('a=v b=v', 'in the epoch of the snapshots');
foreach my $epoch (2 .. 4)
{
	my $key = chr(ord('a') + $epoch);

	$node->restart;
	write_and_export($key);
	is(sql('SELECT count(DISTINCT epoch) FROM skyvault.log_object'), $epoch - 1, 'the log is of the epochs since');
	is_restored(sql($content), "$epoch epochs on");
	is_restored('a=v', "$epoch epochs on, to the snapshot with a name", ", 'named'");
}

# An epoch that has a snapshot, but no change.
$node->restart;
sql("SELECT skyvault_snapshot('still', 'shared')");
$node->restart;
write_and_export('z');
is_restored('a=v b=v c=v d=v e=v', 'to a snapshot of an epoch without changes', ", 'still'");
is_restored(sql($content), 'beyond it');

# Told to take anew what it owns, while an object of the log is on its way: the
# epoch does not end before that is remembered.
{
	my ($compactor, $exporter) = map { session($node) } (1, 2);

	sql("SELECT skyvault_put('kv', '$_', 'v'); SELECT skyvault_flush()") foreach ('p', 'q');
	$compactor->run("SELECT stop_point_arm('compact-planned', 'wait')");
	$compactor->send("SELECT skyvault_compact('kv', full => true)");
	sql("CALL stop_point_await('compact-planned')");
	$exporter->run("SELECT stop_point_arm('export-uploaded', 'wait')");
	$exporter->send('SELECT skyvault_export()');
	sql("CALL stop_point_await('export-uploaded')");
	sql("SELECT skyvault_adopt('shared')");
	sql("SELECT stop_point_disarm('compact-planned')");
	like(($compactor->receive)[1] // '', qr/55006: compaction failed: another worker takes the vault just now, or needs it as it is/,
		'a vault is not taken while its log is written');
	sql("SELECT stop_point_disarm('export-uploaded')");
	$exporter->receive;
	$_->quit foreach ($compactor, $exporter);
	sql("SELECT skyvault_compact('kv', full => true)");
	write_and_export('r');
	is_restored(sql($content), 'adopted while it was exported');
}

# Restored to a snapshot and adopted, it goes on from there.  There is one of changes
# beyond that have not been exported, so that both have the same objects of the log.
{
	my %has;

	write_and_export('s');
	sql("SELECT skyvault_snapshot('back', 'shared')");
	$has{back} = sql($content);
	sql("SELECT skyvault_put('kv', 't', 'v'); SELECT skyvault_snapshot('given up', 'shared')");
	$has{'given up'} = sql($content);
	is(sql("SELECT count(DISTINCT (epoch, log_number)), count(DISTINCT changelog_id) FROM skyvault.snapshot WHERE name IN ('back', 'given up')"),
		'1|2', 'two snapshots with the same objects of the log');
	foreach my $from ('back', 'given up')
	{
		my $name = 'adopted_' . ++$restores;

		sql("CREATE DATABASE $name");
		$node->safe_psql($name, "CREATE EXTENSION skyvault; $server; SELECT skyvault_restore('shared', '$from', adopt => true)");
		is($node->safe_psql($name, $content), $has{$from}, "adopted as of '$from': what was in it");
		$node->safe_psql($name, "SELECT skyvault_put('kv', '$name', 'v'); SELECT skyvault_flush(); SELECT skyvault_export()");
		$node->safe_psql($name, "SELECT skyvault_compact('kv', full => true); SELECT count(*) FROM skyvault_gc(sweep => true)");
		is_restored($node->safe_psql($name, $content), "adopted as of '$from', merged and collected");
		is_restored($has{'given up'}, "adopted as of '$from', to the other", ", 'given up'");
		is($node->safe_psql($name, "SELECT object, problem FROM skyvault_verify_vault('shared', true)"), '', "adopted as of '$from': nothing is missing");
		$node->safe_psql('postgres', "DROP DATABASE $name");
	}
}

# Of the store, adopted by a database of its own, with a run of its own.
sub adopted
{
	my ($arguments) = @_;
	my $name = 'adopted_' . ++$restores;

	sql("CREATE DATABASE $name");
	$node->safe_psql($name, "CREATE EXTENSION skyvault; $server; SELECT skyvault_restore('shared'$arguments, adopt => true)");
	$node->safe_psql($name, "SELECT skyvault_put('kv', '$name', 'v'); SELECT skyvault_flush()");
	return $name;
}

# A snapshot was dropped and made again, and is there twice, as long as what is dropped is kept.
{
	sql("SELECT skyvault_adopt('shared')");
	reload_with($node, 'skyvault.retention = 3600', 'skyvault.orphan_grace = 0');
	write_and_export('u');
	sql("SELECT skyvault_snapshot('again', 'shared')");
	sql("SELECT skyvault_drop_snapshot('again', 'shared')");
	write_and_export('w');
	sql("SELECT skyvault_snapshot('again', 'shared')");
	my $again = sql($content);
	write_and_export('x');
	is_restored($again, 'made again', ", 'again'");
	my $name = adopted('');
	$node->safe_psql($name, 'SELECT count(*) FROM skyvault_gc(sweep => true)');
	is_restored($again, 'made again, adopted and swept', ", 'again'");
	$node->safe_psql('postgres', "DROP DATABASE $name");
}

# To a snapshot that the vault went back behind: where its way left the line is not known.
{
	sql("SELECT skyvault_adopt('shared')");
	foreach my $key ('y1', 'y2')
	{
		write_and_export($key);
		sql("SELECT skyvault_snapshot('$key', 'shared')");
	}
	my $first = adopted(", 'y1'");
	$node->safe_psql($first, "SELECT skyvault_snapshot('aside', 'shared')");
	my $aside = $node->safe_psql($first, $content);
	my $second = adopted(", 'y2'");
	my $third = adopted(", 'aside'");
	is($node->safe_psql($third, "SELECT string_agg(name || ' ' || leads_on, ', ' ORDER BY name) FROM skyvault.snapshot WHERE name IN ('y1', 'y2', 'aside')"),
		'aside true, y1 false, y2 false', 'aside: nothing beyond the way to it is said to lead there');
	is($node->safe_psql($third, "SELECT replace(string_agg(key, ' '), '$third', '$first') FROM (SELECT key FROM kv WHERE key <> '$first' ORDER BY key) AS k"),
		join(' ', map { s/=v$//r } split(/ /, $aside)), 'aside: it has what was in it');
	is_restored($aside, 'aside: once more', ", 'aside'");
	$node->safe_psql('postgres', "DROP DATABASE $_") foreach ($first, $second, $third);
}

# OWNER is not written larger than it can be read.
{
	sql("INSERT INTO skyvault.snapshot (id, vault_id, name, epoch, log_number, changelog_id, object, bytes, objects, created)"
		. " SELECT -n, vault_id, 'many ' || n, epoch, 0, 0, 'none/' || n || repeat('x', 90), 0, '{}', now() FROM skyvault.owner, generate_series(1, 20000) AS n");
	sql("SELECT skyvault_adopt('shared'); SELECT skyvault_put('kv', 'zz', 'v')");
	fails_with($node, 'SELECT skyvault_flush()', '54000', qr/OWNER" would be larger than 1048576 bytes.*skyvault_drop_snapshot/s, 'too many snapshots for OWNER');
	sql("SELECT skyvault_drop_snapshot(name, 'shared') FROM skyvault.snapshot WHERE name LIKE 'many %' AND id < -2");
	sql('SELECT skyvault_flush()');
	is(sql('SELECT state FROM skyvault_vaults'), 'owner', 'some are dropped, and it is written again');
}
$node->stop;

done_testing();
