# Exports and garbage collections that fail are tried again after pauses that grow, and
# that start anew after a success.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server('main',
	settings => "skyvault.retry_max_interval = 1h\nskyvault.retention = 0\n");
my $store = $node->data_dir . '/skyvault';
my @chores = qw(export gc);

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub settings { reload_with($node, @_) }

sub newest_job { return sql('SELECT coalesce(max(id), 0) FROM skyvault.job') }

# Waits for so many failures of the chore after that job; attempts and pause of each.
sub failures
{
	my ($kind, $n, $after) = @_;
	my $failed = "FROM skyvault.job WHERE kind = '$kind' AND state = 'failed' AND id > $after";

	$node->poll_query_until('postgres', "SELECT count(*) >= $n $failed") or die "$kind has not failed $n times";
	return sql("SELECT string_agg(attempts || ': ' || (retry_at - ended), ', ' ORDER BY id)"
		. " FROM (SELECT * $failed ORDER BY id LIMIT $n) AS j");
}

# There is something to export and to collect, and then no store.
sub make_work_and_hide_store
{
	settings('skyvault.export_interval = 0', 'skyvault.gc_interval = 0');
	sql("SELECT skyvault_put('kv', 'key', '$_'); SELECT skyvault_flush()") foreach 1 .. 2;
	sql("SELECT skyvault_compact('kv')");
	rename($store, "$store.away") or die $!;
}

sub store_returns
{
	my ($test_name) = @_;

	rename("$store.away", $store) or die $!;
	ok($node->poll_query_until('postgres', 'SELECT (SELECT exported_id = newest_id FROM skyvault_vaults)'
		. ' AND NOT EXISTS (SELECT FROM skyvault.garbage)'), $test_name);
}

sql("SELECT skyvault_create_table('kv')");
make_work_and_hide_store();
my $before = newest_job();
my $scheduler = scheduler_pid($node);
# So rarely that only the pauses can be what brings the next try.
settings('skyvault.gc_interval = 1h', 'skyvault.export_interval = 1h');
foreach my $kind (@chores)
{
	is(failures($kind, 3, $before), '1: 00:00:01, 2: 00:00:02, 3: 00:00:04', "$kind fails: the pauses grow");
	is(sql("SELECT bool_and(started >= previous) FROM (SELECT started, lag(retry_at) OVER (ORDER BY id) AS previous"
		. " FROM skyvault.job WHERE kind = '$kind' AND state = 'failed' AND id > $before) AS j"), 't', "$kind fails: and are kept");
}
store_returns('the store is back: exported and collected');

make_work_and_hide_store();
$before = newest_job();
settings('skyvault.gc_interval = 1s', 'skyvault.export_interval = 1s');
is(failures($_, 1, $before), '1: 00:00:01', "$_ fails again after a success: the pauses start anew") foreach @chores;
store_returns('the store is back again: exported and collected');
is(scheduler_pid($node), $scheduler, 'all of it in one and the same process');
settings('skyvault.gc_interval = 0', 'skyvault.export_interval = 0');

done_testing();
