# Many backends want what one of them loads: it is loaded once, and whoever
# loads or waits may be cancelled, ended or killed without harm to the others.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server('main');

# Values that do not compress: a few keys to a block, and many blocks.
$node->safe_psql('postgres', <<'SQL');
SELECT skyvault_create_table('kv');
SELECT skyvault_multi_put('kv', array_agg('key' || to_char(n, 'FM0000')), array_agg(sha512(n::text::bytea)::text))
	FROM generate_series(1, 2000) AS n;
SELECT skyvault_flush();
CREATE TABLE plain AS SELECT 'key' || to_char(n, 'FM0000') AS key, sha512(n::text::bytea)::text AS value
	FROM generate_series(1, 2000) AS n;
SQL
my ($object) = run_objects($node);
my $file = $node->data_dir . "/skyvault/$object";

my $file_bytes = -s $file;

# All of these look into the block of the first key, and no other.
my @reads = (
	"SELECT skyvault_get('kv', 'key0001') = sha512('1')::text",
	"SELECT skyvault_get('kv', 'key0002') = sha512('2')::text",
	"SELECT skyvault_exists('kv', 'key0003')",
	"SELECT bool_and(value = sha512(right(key, 1)::bytea)::text) FROM skyvault_multi_get('kv', ARRAY['key0005', 'key0001', 'key0003'])",
	"SELECT bool_and(value = sha512(right(key, 1)::bytea)::text) FROM skyvault_scan('kv', 'key0001', 'key0006')",
	"SELECT bool_and(value = sha512(right(key, 1)::bytea)::text) FROM kv WHERE key = ANY ('{key0004,key0002}')",
	"SELECT skyvault_get_array('kv', ARRAY['key0001', 'key0002']) = ARRAY[sha512('1')::text, sha512('2')::text]");

sub counters
{
	return split(/\|/, $node->safe_psql('postgres', 'SELECT block_loads, tail_loads FROM skyvault_stat_cache'));
}

# Nothing is cached; or only the tail, so that the next read is of a block.
sub make_cold
{
	my ($what) = @_;

	$node->safe_psql('postgres', 'SELECT skyvault_clear_cache()');
	$node->safe_psql('postgres', "SELECT count(*) FROM skyvault_index('kv')") if $what eq 'block';
	return;
}

# So many of the next reads of a run stop; the session's statement begins the first of them.
sub hold_load
{
	my ($session, $sql, $count) = @_;

	$node->safe_psql('postgres', "SELECT stop_point_arm('run-read', 'wait', " . ($count // 1) . ')');
	$session->send($sql);
	$node->safe_psql('postgres', "CALL stop_point_await('run-read')");
	return;
}

sub release_load
{
	$node->safe_psql('postgres', "SELECT stop_point_disarm('run-read')");
	return;
}

# In the object's place, because servers keep objects open.
sub flip_bit
{
	my ($position) = @_;
	my $byte;

	open(my $out, '+<:raw', $file) or die "$file: $!";
	seek($out, $position, 0) && read($out, $byte, 1) == 1 or die "$file: $!";
	seek($out, $position, 0) && print $out chr(ord($byte) ^ 1) or die "$file: $!";
	close($out) or die "$file: $!";
	return;
}

# Until all the sessions sleep in the extension, at the stop point or for who is there.
sub await_waiting
{
	my (@sessions) = @_;
	my $pids = join(', ', map { $_->pid } @sessions);

	$node->poll_query_until('postgres',
		"SELECT count(*) FROM pg_stat_activity WHERE pid IN ($pids) AND wait_event_type = 'Extension'",
		scalar @sessions)
	  or die "they do not wait:\n" . $node->safe_psql('postgres',
		"SELECT pid, state, wait_event_type, wait_event, query FROM pg_stat_activity WHERE pid IN ($pids)");
	return;
}

sub still_stopped
{
	my ($case) = @_;

	is($node->safe_psql('postgres', "SELECT stop_point_waiting('run-read')"), 1, "$case while the load is still stopped");
	return;
}

sub nothing_left_behind
{
	my ($case) = @_;

	is($node->safe_psql('postgres', 'SELECT coalesce(sum(pins), 0) FROM skyvault_cache'), 0, "$case: nothing is pinned");
	is($node->safe_psql('postgres', <<~SQL), '2000|2000', "$case: all is readable");
		SELECT count(*), (SELECT count(*) FROM skyvault_multi_get('kv', ARRAY(SELECT key FROM plain)) JOIN plain USING (key, value))
			FROM skyvault_scan('kv') JOIN plain USING (key, value)
		SQL
	return;
}

my @sessions = map { session($node) } @reads;
my $loader = $sessions[0];
my @waiters = @sessions[1 .. $#sessions];

#
# One loads, the others wait and then all have their answer.
#
foreach my $what (qw(block tail))
{
	make_cold($what);
	my ($blocks_before, $tails_before) = counters();

	hold_load($loader, $reads[0]);
	$waiters[$_]->send($reads[ $_ + 1 ]) foreach 0 .. $#waiters;
	await_waiting(@sessions);
	release_load();
	is(join(' ', map { ($_->receive)[0] } @sessions), join(' ', ('t') x @reads), "a $what that all want: all have their answer");
	my ($blocks, $tails) = counters();
	is($blocks - $blocks_before, 1, "a $what that all want: one block was loaded, once");
	is($tails - $tails_before, $what eq 'tail' ? 1 : 0, "a $what that all want: the tail was loaded at most once");
	nothing_left_behind("a $what that all want");
}

#
# The loader ends before it has loaded.  Another takes over, stops too, and
# then loads for all.
#
foreach my $what (qw(block tail))
{
	make_cold($what);
	hold_load($loader, $reads[0], 2);
	$waiters[$_]->send($reads[ $_ + 1 ]) foreach 0 .. $#waiters;
	await_waiting(@sessions);
	$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . $loader->pid . ')');
	like(($loader->receive)[1], qr/ERROR:  57014: canceling statement due to user request/, "$what: the loader is cancelled");
	$node->safe_psql('postgres', "CALL stop_point_await('run-read')");
	await_waiting(@waiters);
	$loader->send($reads[0]);
	await_waiting(@sessions);
	release_load();
	is(join(' ', map { ($_->receive)[0] } @sessions), join(' ', ('t') x @reads),
		"$what: another takes over from a cancelled loader, and all have their answer");
	nothing_left_behind("$what: loader cancelled");

	my $victim = session($node);

	make_cold($what);
	hold_load($victim, $reads[0]);
	$waiters[$_]->send($reads[ $_ + 1 ]) foreach 0 .. $#waiters;
	await_waiting($victim, @waiters);
	$node->safe_psql('postgres', 'SELECT pg_terminate_backend(' . $victim->pid . ')');
	is(($victim->await_lost)[0], 1, "$what: the loader is terminated");
	$victim->quit;
	is(join(' ', map { ($_->receive)[0] } @waiters), join(' ', ('t') x @waiters),
		"$what: another takes over from a terminated loader, and all have their answer");
	release_load();
	nothing_left_behind("$what: loader terminated");
}

#
# Who waits can be cancelled without the help of who loads.
#
foreach my $what (qw(block tail))
{
	my $victim = session($node);
	my ($cancelled, $impatient) = @waiters;

	make_cold($what);
	hold_load($loader, $reads[0]);
	$cancelled->send($reads[3]);
	$victim->send($reads[4]);
	await_waiting($loader, $cancelled, $victim);
	$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . $cancelled->pid . ')');
	like(($cancelled->receive)[1], qr/ERROR:  57014: canceling statement due to user request/,
		"$what: who waits is cancelled");
	still_stopped($what);
	$impatient->run("SET statement_timeout = '100ms'");
	foreach my $read (@reads)
	{
		like(($impatient->try($read))[1], qr/ERROR:  57014: canceling statement due to statement timeout/,
			"$what: who waits runs out of time");
	}
	$impatient->run('RESET statement_timeout');
	still_stopped($what);
	$node->safe_psql('postgres', 'SELECT pg_terminate_backend(' . $victim->pid . ')');
	is(($victim->await_lost)[0], 1, "$what: who waits is terminated");
	$victim->quit;
	still_stopped($what);
	$cancelled->send($reads[3]);
	await_waiting($cancelled);
	release_load();
	is(join(' ', map { ($_->receive)[0] } $loader, $cancelled), 't t', "$what: the load goes on");
	is($impatient->run($reads[4]), 't', "$what: who ran out of time tries again");
	nothing_left_behind("$what: waiters cancelled");
}

# Prewarming and looking at indexes stop, too.
foreach my $sql ("SELECT skyvault_prewarm('kv')", "SELECT count(*) FROM skyvault_index('kv')")
{
	make_cold('tail');
	hold_load($loader, $sql);
	$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . $loader->pid . ')');
	like(($loader->receive)[1], qr/ERROR:  57014: /, "$sql is cancelled");
	release_load();
	nothing_left_behind("$sql cancelled");
}

#
# The load fails: for each who waited, because each has tried.
#
foreach my $what (qw(block tail))
{
	make_cold($what);
	hold_load($loader, $reads[0]);
	$waiters[$_]->send($reads[ $_ + 1 ]) foreach 0 .. $#waiters;
	await_waiting(@sessions);
	flip_bit(100);
	flip_bit($file_bytes - 100);
	release_load();
	my @errors = map { ($_->receive)[1] // '' } @sessions;
	is(scalar(grep { /ERROR:  XX001: .*\Q$object\E/ } @errors), scalar @sessions, "$what: a load that fails, fails for all")
	  or diag(@errors);
	flip_bit(100);
	flip_bit($file_bytes - 100);
	is(join(' ', map { $sessions[$_]->run($reads[$_]) } 0 .. $#reads), join(' ', ('t') x @reads),
		"$what: when the object is whole again, all have their answer");
	nothing_left_behind("$what: load failed");
}

#
# The loader is killed.
#
foreach my $what (qw(block tail))
{
	make_cold($what);
	hold_load($loader, $reads[0]);
	$waiters[$_]->send($reads[ $_ + 1 ]) foreach 0 .. $#waiters;
	await_waiting(@sessions);
	kill('KILL', $loader->pid) or die $!;
	is(join(' ', map { ($_->await_lost)[0] } @sessions), join(' ', (1) x @sessions),
		"$what: the loader is killed, and the server restarts");
	$_->quit foreach @sessions;
	await_server($node) or die 'no restart';
	is($node->safe_psql('postgres', 'SELECT count(*) FROM skyvault_cache'), 0, "$what: the caches are empty then");
	@sessions = map { session($node) } @reads;
	($loader, @waiters) = @sessions;
	is(join(' ', map { $sessions[$_]->run($reads[$_]) } 0 .. $#reads), join(' ', ('t') x @reads), "$what: all have their answer then");
	nothing_left_behind("$what: loader killed");
}
$_->quit foreach @sessions;

done_testing();
