# An object is deleted after its removal is on disk and in the log: neither a
# crash nor a restore brings back a run without its object.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

# Nothing but a commit that asks for it brings WAL to disk.
my $node = new_server('node', settings => <<'CONF');
skyvault.retention = 0
synchronous_commit = off
wal_writer_delay = 10s
autovacuum = off
CONF
my $store = PostgreSQL::Test::Utils::tempdir();

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub missing_objects { return join(' ', grep { !-e "$store/$_" } run_objects($node)); }

sub write_runs
{
	my ($table) = @_;

	foreach my $i (1 .. 3)
	{
		sql("SELECT mirror_multi_put('$table', array_agg('key ' || n), array_agg('value $i of ' || n))"
			  . " FROM generate_series($i * 3, $i * 3 + 20) AS n");
		sql('SELECT skyvault_flush()');
	}
}

# All tables of the bucket's vault, as another database finds them.
my $restored = 0;

sub restore
{
	my ($name) = @_;
	my $database = 'restored' . ++$restored;

	sql("CREATE DATABASE $database");
	$node->safe_psql($database, "CREATE EXTENSION skyvault; CREATE SERVER shared FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:$store')");
	$node->safe_psql($database, "SELECT skyvault_restore('shared')");
	return $node->safe_psql($database, "SELECT count(*), md5(string_agg(key || value, ',' ORDER BY key)) FROM skyvault_scan('$name')");
}

sub content { return sql("SELECT count(*), md5(string_agg(key || value, ',' ORDER BY key COLLATE \"C\")) FROM m_$_[0] WHERE value IS NOT NULL"); }

sql("CREATE SERVER shared FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:$store')");
make_mirror($node, [ 'merged', 'emptied', 'kept' ], 'shared');

# The log ends before a compaction, whose inputs are deleted.
write_runs('merged');
sql("SELECT skyvault_put('emptied', 'a', 'b')");
sql('SELECT skyvault_flush()');
sql('SELECT skyvault_export()');
is(restore('merged'), content('merged'), 'what is in the log can be restored');
sql("SELECT skyvault_compact('merged', true)");
is(sql('SELECT count(*) FROM skyvault_gc() WHERE held_by IS NULL'), 3, 'its inputs are collected');
is(missing_objects(), '', 'every run has its object');
$node->safe_psql('restored1', 'SELECT skyvault_clear_cache()');
fails_with($node, "SELECT skyvault_get('merged', 'key 5')", '55000', qr/no longer in the store.*does not own.*skyvault_restore/s,
	'a database that was attached before is told what happened', 'restored1');
is(restore('merged'), content('merged'), 'what was merged and collected after the last export can be restored');

# A removal that has no number yet.
sql('TRUNCATE emptied');
sql('SELECT skyvault_gc()');
is(restore('emptied'), '0|', 'and so can a table that was emptied');

# What a user has removed with a commit that is not on disk, and a death after the objects were deleted.
sub die_after_collecting
{
	my ($removal) = @_;
	my $asker = session($node);

	$asker->run("SELECT stop_point_arm('gc-removed', 'wait')");
	sql('CHECKPOINT');
	sql($removal);
	$asker->send('SELECT * FROM skyvault_gc()');
	sql("CALL stop_point_await('gc-removed')");
	kill_postmaster($node);
	$asker->await_lost;
	$asker->quit;
	$node->start;
}

sql("SELECT mirror_put('kept', 'a', 'b')");
sql('SELECT skyvault_flush()');
my ($object) = reverse(run_objects($node));
die_after_collecting('TRUNCATE kept');
ok(!-e "$store/$object", 'the object of a table that was emptied is gone');
is(missing_objects(), '', 'after a crash every run has its object');
is(sql("SELECT count(*) FROM skyvault_scan('kept')"), 0, 'the table is empty, as was committed');

sql("SELECT skyvault_snapshot('dropped', 'shared')");
$object = sql("SELECT object FROM skyvault.snapshot WHERE name = 'dropped'");
sql('SELECT skyvault_gc()');
die_after_collecting("SELECT skyvault_drop_snapshot('dropped', 'shared')");
ok(!-e "$store/$object", 'the object of a dropped snapshot is gone');
is(sql('SELECT count(*) FROM skyvault.snapshot'), 0, 'and so is the snapshot, after a crash');
same_content($node, ['merged'], 'the other tables are as they were');

done_testing();
