# A standby of a vault in a bucket, with a disk cache of its own, answers as the
# primary does while that flushes, compacts and collects.  Promoted, it takes the
# vault from the living primary, which is amid a compaction and a collection.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultS3;
use SkyvaultTest;
use Test::More;

my @tables = qw(one two);
my $s3 = SkyvaultS3->shared->start_proxy;
my $prefix = 'standby-' . int(rand(1e9));
my $primary = new_server('primary', streaming => 1, settings => <<'SETTINGS');
skyvault.disk_cache_size = 64MB
skyvault.retention = 0
skyvault.orphan_grace = 0
hot_standby_feedback = on
max_standby_streaming_delay = -1
wal_receiver_status_interval = 1
SETTINGS

sub primary { return $primary->safe_psql('postgres', $_[0]); }

primary($s3->create_server('vault', prefix => $prefix));
make_mirror($primary, \@tables, 'vault');
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;

sub standby { return $standby->safe_psql('postgres', $_[0]); }
sub await_replay { $primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert')); }
sub stored { return { map { $_ => 1 } grep { !m{/OWNER$} } $s3->objects("$prefix/") }; }
sub lost { my ($stored, @objects) = @_; return scalar(grep { !$stored->{"$prefix/$_"} } @objects); }

sub write_round
{
	my ($node, $round) = @_;

	$node->safe_psql('postgres',
		"SELECT mirror_multi_put(t, array_agg('key' || n), array_agg('round $round of ' || sha512(n::text::bytea)::text))"
		. " FROM unnest('{one,two}'::text[]) AS t, generate_series($round, $round * 100 + 300) AS n GROUP BY t;"
		. "SELECT mirror_delete('one', 'key' || n) FROM generate_series($round * 13, $round * 13 + 9) AS n");
}

sub flush { return $_[0]->safe_psql('postgres', "SELECT skyvault_flush('vault')"); }
sub compact { $_[0]->safe_psql('postgres', "SELECT skyvault_compact('$_', full => true)") foreach @tables; }

my %planned = planned_reads(@tables);
my $digest = join(';', (map { $planned{$_} } sort keys %planned),
	map { "SELECT count(*), md5(string_agg(key || value, ',')) FROM skyvault_scan('$_')" } @tables);

# How often the standby asked for data, when only it reads.
sub fetched
{
	my ($empty_disk_cache) = @_;

	standby('SELECT skyvault_clear_cache()' . ($empty_disk_cache ? ', skyvault_clear_disk_cache()' : ''));
	$s3->forget_requests;
	standby($digest);
	return scalar($s3->requests(method => 'GET', target => '\.sst'));
}

sub standby_agrees
{
	my ($case) = @_;

	await_replay();
	is(standby($digest), primary($digest), "$case: the standby answers as the primary does");
	same_content($standby, \@tables, "$case: tables agree with their mirrors on the standby");
}

#
# Beside a primary that writes.
#
write_round($primary, 1);
standby_agrees('in the delta');
flush($primary);
standby_agrees('in a run');
cmp_ok(fetched(1), '>', 0, 'the standby reads from the bucket');
is(fetched(0), 0, 'and has kept what it read on a disk of its own');
cmp_ok(standby('SELECT fills FROM skyvault_stat_disk_cache'), '>', 0, 'as it says');
is(primary('SELECT fills FROM skyvault_stat_disk_cache'), 0, 'the disk of the primary has had nothing of that');
ok(-d $standby->data_dir . '/pgsql_tmp_skyvault', 'which lies in its data directory');

write_round($primary, 2);
flush($primary);
standby_agrees('in runs');
my $reader = session($standby);
$reader->run('BEGIN ISOLATION LEVEL REPEATABLE READ');
my $seen = $reader->run($digest);
my $xmin = $reader->run('SELECT pg_snapshot_xmin(pg_current_snapshot())');
ok($primary->poll_query_until('postgres', "SELECT backend_xmin::text::bigint <= $xmin FROM pg_stat_replication"),
	'the primary knows of a snapshot of the standby');
my @inputs = run_objects($primary);
foreach my $round (3, 4)
{
	write_round($primary, $round);
	compact($primary);
	primary("SELECT count(*) FROM skyvault_gc(sweep => true, vault => 'vault')");
	standby_agrees("compacted and collected, round $round");
}
is(lost(stored(), @inputs), 0, 'what an old snapshot of the standby needs is in the bucket');
standby('SELECT skyvault_clear_cache(), skyvault_clear_disk_cache()');
is($reader->run($digest), $seen, 'and it sees what it saw');
$reader->run('COMMIT');
ok($primary->poll_query_until('postgres', "SELECT count(*) = 0 FROM skyvault_gc(vault => 'vault') WHERE held_by IS NOT NULL"),
	'nothing is held back when it has ended');
is(lost(stored(), @inputs), scalar(@inputs), 'and it has gone');
is($reader->run($digest), primary($digest), 'the session reads on');
$reader->quit;
standby_agrees('collected');
$standby->restart;
standby_agrees('restarted');
is(fetched(0), 0, 'restarted: the disk cache of the standby is what it was');

#
# Promotion.  The primary goes on with what it does.
#
write_round($primary, 5);
flush($primary);
compact($primary);
write_round($primary, 6);
flush($primary);
await_replay();
my $epoch = primary('SELECT epoch FROM skyvault_vaults');
ok($primary->poll_query_until('postgres', "SELECT count(*) > 0 FROM skyvault_gc(true, vault => 'vault') WHERE held_by IS NULL"),
	'there is something to collect');
primary("SELECT stop_point_arm('compact-before-run', 'wait'), stop_point_arm('gc-before-remove', 'wait')");
my %amid = ('compaction' => session($primary), 'collection' => session($primary));
$amid{compaction}->send("SELECT skyvault_compact('one', full => true)");
primary("CALL stop_point_await('compact-before-run')");
$amid{collection}->send("SELECT count(*) FROM skyvault_gc(vault => 'vault')");
primary("CALL stop_point_await('gc-before-remove')");
write_round($primary, 7);
await_replay();
$standby->promote;
same_content($standby, \@tables, 'promoted: tables agree with their mirrors');
cmp_ok(flush($standby), '>', 0, 'promoted: it flushes what the primary has left');
cmp_ok(standby("SELECT CASE state WHEN 'owner' THEN epoch END FROM skyvault_vaults WHERE server = 'vault'"), '>', $epoch, 'promoted: in a new epoch');
write_round($standby, 8);
flush($standby);
my @needed = split(/\n/, standby('SELECT object FROM skyvault.run'));
primary("SELECT stop_point_disarm('compact-before-run'), stop_point_disarm('gc-before-remove')");
$_->receive foreach values %amid;
$_->quit foreach values %amid;
is(lost(stored(), @needed), 0, 'what the old primary was amid of takes nothing from the new one');
standby('SELECT skyvault_clear_cache(), skyvault_clear_disk_cache()');
same_content($standby, \@tables, 'promoted: nor any answer');

my $stored = stored();
my $seen_there = primary($digest);
write_round($primary, 9);
foreach my $what ("flush('vault')", "export('vault')", "snapshot(NULL, 'vault')", "gc(vault => 'vault')", "compact('one', full => true)")
{
	fails_with($primary, "SELECT skyvault_$what", '55000', qr/does not own the vault of server "vault".*skyvault_adopt\('vault'\)/s,
		"the old primary: skyvault_$what is refused");
}
is(primary("SELECT state FROM skyvault_vaults WHERE server = 'vault'"), 'fenced', 'the old primary says that it is fenced');
same_content($primary, \@tables, 'the old primary reads');
is_deeply(stored(), $stored, 'the old primary has written and deleted nothing');

# The new one goes on, and cleans up.
write_round($standby, 10);
flush($standby);
compact($standby);
write_round($standby, 11);
flush($standby);
cmp_ok(standby("SELECT skyvault_export('vault')"), '>', 0, 'promoted: it exports');
standby("SELECT count(*) FROM skyvault_gc(sweep => true, vault => 'vault')");
same_content($standby, \@tables, 'promoted: it is written, flushed, compacted and collected');
is(standby("SELECT object, problem FROM skyvault_verify_vault('vault', true)"), '', 'promoted: nothing is wrong in the bucket');
is(lost(stored(), @needed), scalar(@needed), 'promoted: it has collected what it merged');
$_->stop foreach $standby, $primary;

done_testing();
