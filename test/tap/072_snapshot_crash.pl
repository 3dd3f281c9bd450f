# Deaths while snapshots and takeovers are made, in a worker and of the whole
# server; what automatic snapshots leave behind.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server('node');
my $store = $node->data_dir . '/skyvault';
my $key = 0;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub write_and_flush
{
	sql("SELECT skyvault_put('kv', 'key " . ++$key . "', 'value')");
	sql('SELECT skyvault_flush()');
}

# The server or one worker dies while it waits at the point, where this statement gets it.
sub die_at
{
	my ($point, $who, $statement) = @_;
	my $asker = session($node);

	$asker->run("SELECT stop_point_arm('$point', 'wait')");
	$asker->send($statement);
	$node->poll_query_until('postgres', "SELECT stop_point_waiting('$point') > 0") or die "nobody comes to $point";
	if ($who eq 'worker')
	{
		kill('KILL', scheduler_pid($node));
		$asker->await_lost;
		$node->poll_query_until('postgres', 'SELECT 1', '1');
	}
	else
	{
		kill_postmaster($node);
		$asker->await_lost;
		$node->start;
	}
	$asker->quit;
	ok(await_new_process($node, 'skyvault scheduler', 0, 'postgres'), "$who dies at $point: there is a scheduler again");
}

sql("SELECT skyvault_create_table('kv')");
write_and_flush();
my $n = 0;
foreach my $point ('snapshot-before-upload', 'snapshot-uploaded', 'snapshot-before-commit', 'snapshot-committed')
{
	foreach my $who ('worker', 'server')
	{
		my $name = 'name ' . ++$n;

		write_and_flush();
		die_at($point, $who, "SELECT skyvault_snapshot('$name')");
		my $there = sql("SELECT count(*) FROM skyvault_snapshots WHERE name = '$name'");
		is($there, $point eq 'snapshot-committed' ? 1 : 0, "$who dies at $point: it is there, or not");
		sql("SELECT skyvault_snapshot('$name')") unless $there;
		ok(-s "$store/" . sql("SELECT object FROM skyvault_snapshots WHERE name = '$name'"), "$who dies at $point: or made anew");
	}
}

# A scheduler that is told to end leaves what it was asked for to the next one,
# unless who asked has gone.
foreach my $asker_goes (0, 1)
{
	my $case = $asker_goes ? 'the asker goes' : 'the asker waits';
	my $name = 'name ' . ++$n;
	my $scheduler = scheduler_pid($node);
	my $asker = session($node);
	my $pid = $asker->pid;

	$asker->run("SELECT stop_point_arm('snapshot-before-upload', 'wait')");
	$asker->send("SELECT skyvault_snapshot('$name')");
	sql("CALL stop_point_await('snapshot-before-upload')");
	if ($asker_goes)
	{
		sql("SELECT pg_cancel_backend($pid)");
		like(($asker->receive)[1], qr/57014/, "$case: cancelled");
	}
	sql("SELECT pg_terminate_backend($scheduler)");
	ok(await_new_process($node, 'skyvault scheduler', $scheduler, 'postgres'), "$case: there is a scheduler again");
	if ($asker_goes)
	{
		is(sql("SELECT skyvault_snapshot('$name')"), 1, "$case: so nobody has made it");
	}
	else
	{
		$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM skyvault_snapshots WHERE name = '$name'")
			or die 'the next scheduler does not make the snapshot';
		is(($asker->receive)[0], 1, "$case: and has its answer");
	}
	$asker->quit;
}

# It has made the snapshot, and is told to end before it has answered: the next scheduler
# answers that it was made, and makes no other.  Meanwhile it may have been dropped.
foreach my $case ('a name', 'no name', 'a name, dropped')
{
	my $name = $case eq 'no name' ? 'NULL' : "'name " . ++$n . "'";
	my $scheduler = scheduler_pid($node);
	my $asker = session($node);
	my $made = sql('SELECT coalesce(max(id), 0) FROM skyvault.snapshot');

	write_and_flush();
	$asker->run("SELECT stop_point_arm('snapshot-committed', 'wait')");
	$asker->send("SELECT skyvault_snapshot($name)");
	sql("CALL stop_point_await('snapshot-committed')");
	my $files = `find $store -name '*.snap' | sort`;
	is(sql("SELECT count(*) FROM skyvault_snapshots WHERE name IS NOT DISTINCT FROM $name"), 1, "made and not answered, $case: it is there");
	sql("SELECT skyvault_drop_snapshot($name)") if $case =~ /dropped/;
	sql("SELECT pg_terminate_backend($scheduler)");
	ok(await_new_process($node, 'skyvault scheduler', $scheduler, 'postgres'), "made and not answered, $case: there is a scheduler again");
	is_deeply([ $asker->receive ], [ 1, undef ], "made and not answered, $case: the next one answers that it was made");
	$asker->quit;
	is(sql("SELECT count(*) FROM skyvault.snapshot WHERE id > $made"), $case =~ /dropped/ ? 0 : 1, "made and not answered, $case: no other is made");
	is(`find $store -name '*.snap' | sort`, $files, "made and not answered, $case: nor is there an object of another");

	# Of the same name no other is made when somebody asks again.
	fails_with($node, "SELECT skyvault_snapshot($name)", '42710', qr/already exists/, "made and not answered, $case: a name is still taken once")
	  if $case eq 'a name';
}
$n--;

# The takeover of each start.
foreach my $point ('owner-announced', 'owner-replaced')
{
	foreach my $who ('worker', 'server')
	{
		my $epoch = sql('SELECT epoch FROM skyvault_vaults');

		$node->restart;
		sql("SELECT skyvault_put('kv', 'key " . ++$key . "', 'value')");
		die_at($point, $who, 'SELECT skyvault_flush()');
		sql("SELECT skyvault_put('kv', 'key " . ++$key . "', 'value')");
		sql('SELECT skyvault_flush()');
		is(sql('SELECT state FROM skyvault_vaults'), 'owner', "$who dies at $point: it is recognized as the owner");
		cmp_ok(sql('SELECT epoch FROM skyvault_vaults'), '>', $epoch + ($point eq 'owner-replaced' ? 1 : 0),
			"$who dies at $point: no epoch is taken twice");
		is(sql("SELECT count(*) FROM skyvault_scan('kv')"), $key, "$who dies at $point: nothing is lost");
	}
}

# One death after the other: what OWNER was replaced by in the first is recognized after the second.
foreach my $who ('worker', 'server')
{
	my $epoch = sql('SELECT epoch FROM skyvault_vaults');

	$node->restart;
	sql("SELECT skyvault_put('kv', 'key " . ++$key . "', 'value')");
	die_at($_, $who, 'SELECT skyvault_flush()') foreach ('owner-replaced', 'owner-announced', 'owner-announced');
	sql('SELECT skyvault_flush()');
	is(sql('SELECT state FROM skyvault_vaults'), 'owner', "$who dies at three takeovers: it is recognized as the owner");
	is(sql('SELECT epoch FROM skyvault_vaults'), $epoch + 2, "$who dies at three takeovers: what was not taken is taken in the end");
}

# Automatic ones, by number of changes; the last two are kept, with the log from there on.
$node->append_conf('postgresql.conf', "skyvault.snapshot_changes = 3\n");
$node->reload;
sql("SELECT skyvault_drop_snapshot('name $_')") foreach (2 .. $n);
ok($node->poll_query_until('postgres', 'SELECT count(*) = 2 FROM skyvault_snapshots WHERE name IS NULL'),
	'the first one comes by itself, beside one that was asked for');

# The newest of them when the scheduler has looked whether one is due.
sub looked
{
	sql("SELECT stop_point_arm('snapshot-looked', 'wait')");
	$node->reload;				# so that nobody has to wait for the next look
	sql("CALL stop_point_await('snapshot-looked')");
	my $result = sql('SELECT max(id), max(changelog_id) FROM skyvault.snapshot WHERE name IS NULL');
	sql("SELECT stop_point_disarm('snapshot-looked')");
	return $result;
}

foreach my $round (1 .. 4)
{
	my $before = looked();
	my ($id, $changelog_id) = split(/\|/, $before);

	is(sql('SELECT max(id) FROM skyvault.changelog'), $changelog_id, "round $round: the last has all changes");
	write_and_flush() foreach (1 .. 2);
	is(looked(), $before, "round $round: two changes are not enough for the next");
	write_and_flush();
	sql('SELECT skyvault_export()');
	is(looked(), ($id + 1) . '|' . ($changelog_id + 3), "round $round: three are, and make one");
}
is(sql('SELECT count(*) FROM skyvault_snapshots WHERE name IS NULL'), 2, 'two are kept');
is(sql('SELECT count(*) FROM skyvault_snapshots WHERE name IS NOT NULL'), 1, 'beside that with a name');
cmp_ok(sql('SELECT count(*) FROM skyvault.log_object'), '<=', 3, 'the log before them is not needed any more');
cmp_ok(sql('SELECT min(last_id) FROM skyvault.log_object'), '>',
	sql('SELECT min(changelog_id) FROM skyvault_snapshots WHERE name IS NULL'), 'but what comes after is');
is(sql("SELECT count(*) FROM skyvault.garbage WHERE object LIKE '%.snap'"), $n + 4, 'the others are garbage');

done_testing();
