# Back-pressure: writes are slowed down and then held while flushes or
# compactions are behind, for a bounded time, and only where that helps.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;
use Time::HiRes qw(usleep);

my $directory = PostgreSQL::Test::Utils::tempdir();
my $node = new_server('main', settings => <<'SETTINGS');
skyvault.flush_size = 64kB
skyvault.flush_interval = 0
skyvault.slowdown_debt = 4
skyvault.stop_debt = 10
skyvault.stop_wait = 200ms
skyvault.wal_runs = 2
SETTINGS

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

# State, and what has been counted: delayed and given up.
sub pressure
{
	my ($server) = @_;

	return sql("SELECT state, delayed, gave_up FROM skyvault_stat_pressure WHERE server = '" . ($server // 'skyvault') . "'");
}

sub settings
{
	my (%values) = @_;

	sql("ALTER SYSTEM SET skyvault.$_ = '$values{$_}'") foreach keys %values;
	my ($name) = keys %values;
	sql('SELECT pg_reload_conf()');
	$node->poll_query_until('postgres', "SELECT current_setting('skyvault.$name') = '$values{$name}'")
		or die "the setting of $name did not arrive";
}

# A put of somewhat less than skyvault.flush_size; what psql has to say.
my $big = "repeat('x', 62000)";
my $number = 0;

sub put
{
	my ($table) = @_;
	my ($status, $out, $err) =
	  $node->psql('postgres', "SELECT skyvault_put('$table', 'k" . $number++ . "', $big)");

	die $err if $status != 0;
	return $err;
}

mkdir("$directory/other") or die;
sql("CREATE SERVER other FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:$directory/other')");
sql("SELECT skyvault_create_table('kv'), skyvault_create_table('elsewhere', server => 'other')");
sql("SELECT skyvault_put('kv', 'first', '1'), skyvault_put('elsewhere', 'first', '1')");
sql('SELECT skyvault_flush()');
is(pressure(), 'none|0|0', 'nothing is slowed down where nothing is behind');

#
# A flush that takes long.
#
sql("SELECT stop_point_arm('flush-uploaded', 'wait')");
put('kv') foreach 1 .. 2;
sql("CALL stop_point_await('flush-uploaded')");
put('kv') foreach 1 .. 2;
is(pressure(), 'none|0|0', 'a debt below skyvault.slowdown_debt slows nothing down');
put('kv') foreach 1 .. 2;
is(pressure(), 'slowed|1|0', 'a larger one does');
is(put('kv'), '', 'without a word');
is(pressure(), 'slowed|2|0', 'each write');
sql("INSERT INTO kv VALUES ('row', $big)");
is(pressure(), 'slowed|3|0', 'an INSERT too');
sql("DELETE FROM kv WHERE key = 'nothing'");
is(pressure(), 'slowed|4|0', 'and whatever else may write');
sql("BEGIN; SELECT skyvault_put('kv', 'a', '1'); SELECT skyvault_put('kv', 'b', '2'); COMMIT");
is(pressure(), 'slowed|5|0', 'but not what has changed something in its transaction');
sql("BEGIN; CREATE TABLE changed (); SELECT skyvault_put('kv', 'a', '1'); COMMIT");
is(pressure(), 'slowed|5|0', 'be it elsewhere');
sql("SELECT skyvault_get('kv', 'first')");
sql("SELECT count(*) FROM kv");
is(pressure(), 'slowed|5|0', 'nor reads');
cmp_ok(sql("SELECT write_delay_ms FROM skyvault_stat_pressure WHERE server = 'skyvault'"), '<=', 20,
	'a tenth of skyvault.stop_wait is the most');

# "other" has its own debt.
put('elsewhere');
is(pressure('other'), 'none|0|0', 'another vault is not concerned');

put('kv') foreach 1 .. 5;
like(pressure(), qr/^held\|/, 'at skyvault.stop_debt writes are held');
my $gave_up = sql("SELECT gave_up FROM skyvault_stat_pressure WHERE server = 'skyvault'");
like(put('kv'), qr/WARNING:  writes to server "skyvault" are held.*DETAIL: .*HINT: .*skyvault_stat_pressure/s,
	'for skyvault.stop_wait, with a message');
is(sql("SELECT gave_up FROM skyvault_stat_pressure WHERE server = 'skyvault'"), $gave_up + 1, 'and then let through');
my ($status, $out, $err) = $node->psql('postgres',
	"SELECT skyvault_put('kv', 'x', '1'); SELECT skyvault_put('kv', 'x', '2')");
is(() = $err =~ /WARNING/g, 1, 'a session is told once');

# Held for an hour, until somebody ends it.
settings(stop_wait => '1h');
my $waiter = session($node);
my $awaiting = "SELECT waiting = 1 FROM skyvault_stat_pressure WHERE server = 'skyvault'";

$waiter->send("SELECT skyvault_put('kv', 'cancelled', '1')");
ok($node->poll_query_until('postgres', $awaiting), 'a held write is counted');
sql('SELECT pg_cancel_backend(' . $waiter->pid . ')');
like(($waiter->receive)[1], qr/57014/, 'and can be cancelled');
is(sql("SELECT waiting FROM skyvault_stat_pressure WHERE server = 'skyvault'"), 0, 'then it does not count');
$waiter->send("SET statement_timeout = 50; SELECT skyvault_put('kv', 'cancelled', '1')");
like(($waiter->receive)[1], qr/57014/, 'statement_timeout ends it as well');
$waiter->run('RESET statement_timeout');

# Nor does it hold up those who wait for all backends.
sql('CREATE DATABASE passing');
my @held = map { session($node) } 1 .. 2;
$held[$_]->send("SELECT skyvault_put('kv', 'ended $_', '1')") foreach 0 .. 1;
ok($node->poll_query_until('postgres', $awaiting =~ s/= 1/= 2/r), 'two writes are held');
sql('DROP DATABASE passing');
is(sql("SELECT waiting FROM skyvault_stat_pressure WHERE server = 'skyvault'"), 2, 'and another database is dropped');
sql('SELECT pg_terminate_backend(' . $held[0]->pid . ')');
ok(($held[0]->await_lost)[0], 'one that is held can be terminated');
ok($node->poll_query_until('postgres', $awaiting), 'then it does not count');
sql('SELECT pg_cancel_backend(' . $held[1]->pid . ')');
$held[1]->receive;
$_->quit foreach @held;

# Until the debt is less.
$gave_up = sql("SELECT gave_up FROM skyvault_stat_pressure WHERE server = 'skyvault'");
$waiter->send("SELECT skyvault_put('kv', 'held', 'after all')");
ok($node->poll_query_until('postgres', $awaiting), 'a write is held');
sql("SELECT stop_point_disarm('flush-uploaded')");
is(($waiter->receive)[1], undef, 'until a flush has taken what was behind');
is(sql("SELECT skyvault_get('kv', 'held')"), 'after all', 'then it is done');
is(sql("SELECT gave_up FROM skyvault_stat_pressure WHERE server = 'skyvault'"), $gave_up, 'without giving up');
sql('SELECT skyvault_flush()');
like(pressure(), qr/^none\|/, 'after a flush nothing is behind');
is(sql("SELECT delta_bytes FROM skyvault_stat_pressure WHERE server = 'skyvault'"), 0, 'all of it is in the store');

#
# A store that is dead: waiting for it would not help.
#
rename("$directory/other", "$directory/gone") or die;
put('elsewhere') foreach 1 .. 3;
ok($node->poll_query_until('postgres', q{
	SELECT count(*) > 0 FROM skyvault.job WHERE kind = 'flush' AND state = 'failed'}), 'a flush fails');
put('elsewhere') foreach 1 .. 12;
is(sql("SELECT state, reason, delayed FROM skyvault_stat_pressure WHERE server = 'other'"),
	'not held|the last flush failed|0', 'while a store is dead its writes are not held');
like(pressure(), qr/^none\|/, 'nor are those of others');
is(sql("SELECT delta_bytes > 15 * 62000 FROM skyvault_stat_pressure WHERE server = 'other'"), 't',
	'what a failed flush did not take is still behind');
rename("$directory/gone", "$directory/other") or die;
sql('SELECT skyvault_flush()');
is(pressure('other'), 'none|0|0', 'when it is back all is well again');
sql("SELECT stop_point_arm('flush-uploaded', 'wait')");
put('elsewhere') foreach 1 .. 5;
is(pressure('other'), 'slowed|0|0', 'and its writes wait again when flushes are behind');
sql("SELECT stop_point_disarm('flush-uploaded')");
sql('SELECT skyvault_flush()');

#
# Runs.
#
sql('SELECT skyvault_pause()');
foreach my $i (1 .. 9)
{
	sql("SELECT skyvault_put('kv', 'run $i', '1')");
	sql('SELECT skyvault_flush()');
}
ok($node->poll_query_until('postgres',
	"SELECT wal_debt >= 4.5 AND state = 'not held' FROM skyvault_stat_pressure WHERE server = 'skyvault'"),
	'runs are behind as well, but nobody is held for what is paused');
is(sql("SELECT reason FROM skyvault_stat_pressure WHERE server = 'skyvault'"),
	'compaction is paused, or waits after a failure', 'and it says so');
sql("SELECT stop_point_arm('compact-claimed', 'wait')");
sql('SELECT skyvault_resume()');
ok($node->poll_query_until('postgres',
	"SELECT state = 'slowed' FROM skyvault_stat_pressure WHERE server = 'skyvault'"),
	'when compaction goes on, writes wait for it');
settings(stop_debt => '4');
my $delayed = sql("SELECT delayed FROM skyvault_stat_pressure WHERE server = 'skyvault'");
$waiter->send("SELECT skyvault_put('kv', 'held', 'for runs')");
ok($node->poll_query_until('postgres', $awaiting), 'a write is held for runs');
sql("SELECT stop_point_disarm('compact-claimed')");
is(($waiter->receive)[1], undef, 'until they are merged');
is(sql("SELECT delayed FROM skyvault_stat_pressure WHERE server = 'skyvault'"), $delayed + 1, 'it was counted');
ok($node->poll_query_until('postgres',
	"SELECT state = 'none' AND wal_debt < 1 FROM skyvault_stat_pressure WHERE server = 'skyvault'"),
	'then nothing is behind');

#
# Off.
#
settings(stop_wait => '0');
sql("SELECT stop_point_arm('flush-uploaded', 'wait')");
put('kv') foreach 1 .. 14;
is(sql("SELECT state, delayed FROM skyvault_stat_pressure WHERE server = 'skyvault'"), 'none|' . ($delayed + 1),
	'without skyvault.stop_wait nothing waits');
sql("SELECT stop_point_disarm('flush-uploaded')");
sql('SELECT skyvault_stat_amplification_reset()');
is(pressure(), 'none|0|0', 'counts begin anew');

#
# In proportion: a tenth of skyvault.stop_wait just below skyvault.stop_debt.
#
my $row = "FROM skyvault_stat_pressure WHERE server = 'skyvault'";

sub behind
{
	my ($debt) = @_;

	settings(stop_wait => '0');
	put('kv') until sql("SELECT delta_debt >= $debt $row") eq 't';
}

# A flush that is under way and does not end, with little behind it.
sub begin_behind
{
	sql('SELECT skyvault_flush()');
	$node->poll_query_until('postgres', "SELECT delta_bytes = 0 AND wal_debt < 1 $row") or die 'compaction goes on';
	sql("SELECT stop_point_arm('flush-uploaded', 'wait')");
	behind(1);
	sql("CALL stop_point_await('flush-uploaded')");
}

settings(stop_debt => '10');
begin_behind();
my $last = 0;
foreach my $debt (5, 7, 9)
{
	behind($debt);
	settings(stop_wait => '1s');
	is(sql("SELECT state, write_delay_ms - ceil((delta_debt - 4) / (10 - 4) * 0.1 * 1000) $row"), 'slowed|0',
		"at a debt of $debt of 4 to 10 a write waits for its share");
	my ($delay, $count, $ms) = split(/\|/, sql("SELECT write_delay_ms, delayed, delayed_ms $row"));
	cmp_ok($delay, '>', $last, 'for longer than at less');
	sql("SELECT skyvault_put('kv', 'small', '1')");
	is(sql("SELECT delayed = $count + 1 AND delayed_ms - $ms >= $delay AND gave_up = 0 $row"), 't', 'and does so');
	$last = $delay;
}
settings(stop_wait => '1h');
$waiter->send("SELECT skyvault_put('kv', 'small', '2')");
ok($node->poll_query_until('postgres',
	"SELECT state = 'slowed' AND waiting = 1 AND (SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = "
	  . $waiter->pid . ") $row"), 'one that is slowed down is seen to wait');
sql('SELECT pg_cancel_backend(' . $waiter->pid . ')');
like(($waiter->receive)[1], qr/57014/, 'and can be cancelled as well');
sql("SELECT stop_point_disarm('flush-uploaded')");

#
# What no flush could take is no debt.
#
sql("SELECT skyvault_create_table('beside')");
begin_behind();
settings(stop_wait => '2s');
sql('SELECT skyvault_stat_amplification_reset()');
my $open = session($node);
my $huge = "SELECT skyvault_put('kv', 'huge ' || i, $big) FROM generate_series(1, 20) AS i";

$open->run('BEGIN');
$open->run($huge);
put('beside');
is(pressure(), 'none|0|0', 'what is not committed slows nobody down');
$open->run("PREPARE TRANSACTION 'huge'");
is(pressure(), 'none|0|0', 'nor when it is prepared');
sql("ROLLBACK PREPARED 'huge'");
is(pressure(), 'none|0|0', 'nor when it never will be');

# In and beside savepoints; in all there are two of these puts.
settings(stop_wait => '0');
my $part = "SELECT skyvault_put('kv', 'part', $big)";
my $left = sql("SELECT delta_bytes $row");

$open->run("BEGIN; SAVEPOINT a; $huge; ROLLBACK TO a; $part; SAVEPOINT b; SAVEPOINT c; $huge; RELEASE c; ROLLBACK TO b;"
	  . " SAVEPOINT c; $part; RELEASE c; RELEASE b; RELEASE a; COMMIT");
is(sql("SELECT (delta_bytes - $left) / 62000 $row"), 2, 'nor what savepoints have rolled back');

# Committed, it counts, and no other.
$open->run("BEGIN; SELECT skyvault_put('beside', 'other', $big); PREPARE TRANSACTION 'other'");
$open->run("BEGIN; $huge; PREPARE TRANSACTION 'huge'");
$left = sql("SELECT delta_bytes $row");
sql("COMMIT PREPARED 'other'");
is(sql("SELECT (delta_bytes - $left) / 62000 $row"), 1, 'a prepared transaction counts from its commit on');
sql("COMMIT PREPARED 'huge'");
settings(stop_wait => '2s');
is(sql("SELECT state, (delta_bytes - $left) / 62000 $row"), 'held|21', 'so does the huge one');
sql("SELECT stop_point_disarm('flush-uploaded')");
ok($node->poll_query_until('postgres', "SELECT delta_bytes = 0 $row"), 'and it starts a flush itself');

# A table that is locked: its rows stay in the delta.
sql('SELECT skyvault_flush()');
settings(flush_size => '1GB');
sql($huge);
$open->run('BEGIN');
$open->run('TRUNCATE kv');
settings(flush_size => '64kB');
ok($node->poll_query_until('postgres', "SELECT state = 'none' AND delta_debt < 1 $row"),
	'what a flush had to leave is no debt');
cmp_ok(delta_rows($node), '>=', 20, 'though it is there');
put('beside');
is(pressure(), 'none|0|0', 'other tables are written to');
$open->run('ROLLBACK');
sql('SELECT skyvault_flush()');
is(delta_rows($node), 0, 'a flush after the TRUNCATE takes it');
$open->quit;

#
# The server stops while writes are held.
#
begin_behind();
behind(10);
settings(stop_wait => '1h');
@held = map { session($node) } 1 .. 2;
$held[$_]->send("SELECT skyvault_put('kv', 'stopped $_', '1')") foreach 0 .. 1;
ok($node->poll_query_until('postgres', "SELECT state = 'held' AND waiting = 2 $row"), 'two writes are held again');
ok($node->stop('fast', fail_ok => 1), 'a fast stop does not wait for them');
is(scalar(grep { ($_->await_lost)[0] } @held), 2, 'their sessions end');
$_->quit foreach @held, $waiter;
$node->start;
is(sql("SELECT count(*) FROM kv WHERE key LIKE 'stopped%'"), 0, 'they have written nothing');
sql('SELECT skyvault_flush()');
is(sql("SELECT state, waiting, delta_bytes $row"), 'none|0|0', 'after the start nothing is behind');
$node->stop;
done_testing();
