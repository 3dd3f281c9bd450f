# Gets that find their forest without a look at the changelog: when they may,
# and each of the ways in which what they know can be out of date.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

# Who asks whether something has changed sees that transactions have, always:
# so no two snapshots are alike, unless a test wants them to be.
my $node = new_server('main', settings => "autovacuum = off\n");
my ($reader, $writer, $flusher) = map { session($node) } 1 .. 3;
my $version = 0;

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

sub arm { return sql("SELECT stop_point_arm('$_[0]', '$_[1]')"); }
sub disarm { return sql("SELECT stop_point_disarm('$_[0]')"); }
sub await { return sql("CALL stop_point_await('$_[0]')"); }

sub get
{
	my ($session, $table) = @_;

	$table //= 'kv';
	return $session->run("SELECT coalesce(skyvault_get('$table', 'k'), 'nothing')");
}

sub put_and_flush
{
	$version++;
	sql("SELECT skyvault_put('kv', 'k', 'v$version'); SELECT skyvault_put('other', 'k', 'v$version'); SELECT skyvault_flush()");
	return;
}

# How many of ten gets look at the changelog.
sub probes
{
	my ($session, $table) = @_;
	my $before = $session->run('SELECT probes FROM skyvault_stat_forest_probes()');

	foreach (1 .. 10)
	{
		sql('SELECT pg_current_xact_id()');
		get($session, $table);
	}
	return $session->run('SELECT probes FROM skyvault_stat_forest_probes()') - $before;
}

# Two probes that agree are what it takes.
sub settle
{
	my ($session, $table) = @_;

	probes($session, $table);
	return probes($session, $table);
}

# The scheduler lowers the flag that is up since the start of the server, and
# after a transaction was prepared.
sub await_settled
{
	my ($session, $table) = @_;

	foreach (1 .. 1000)
	{
		return 1 if settle($session, $table) == 0;
		sql('SELECT pg_sleep(0.05)');
	}
	return 0;
}

# While the scheduler stands here it gives no numbers and lowers no flags.
sub hold_scheduler
{
	sql("SELECT skyvault_put('filler', 'k', 'v')");
	arm('flush-uploaded', 'wait');
	$flusher->send('SELECT skyvault_flush()');
	await('flush-uploaded');
	return;
}

sub let_scheduler_go
{
	disarm('flush-uploaded');
	$flusher->receive;
	return;
}

sql("SELECT skyvault_create_table(t) FROM unnest('{kv,other,filler}'::text[]) AS t");
put_and_flush();

#
# The way it is most of the time.
#
ok(await_settled($reader), 'gets come to need no probe');
put_and_flush();
is(get($reader), "v$version", 'a flush that others see is seen');
cmp_ok(probes($reader), '<=', 2, 'after a change, two probes are enough');
is(probes($reader), 0, 'and then none');

#
# Changes at unfortunate moments.
#
arm('forest-of-snapshot', 'wait');
$reader->send("SELECT skyvault_get('kv', 'k')");
await('forest-of-snapshot');
my $seen = $version;
put_and_flush();
disarm('forest-of-snapshot');
is(($reader->receive)[0], "v$seen", 'a flush after the snapshot, before the look-up, is not seen');
is(get($reader), "v$version", 'the next statement sees it');

settle($reader);
arm('forest-change-begun', 'wait');
sql("SELECT skyvault_put('kv', 'k', 'begun')");
$flusher->send('SELECT skyvault_flush()');
await('forest-change-begun');
is(get($reader), 'begun', 'a flush that is about to commit: the row is in the delta');
is(probes($reader), 10, 'nothing is built on it');
disarm('forest-change-begun');
$flusher->receive;
is(get($reader), 'begun', 'a flush that is committed');
is(settle($reader), 0, 'then it is built on');

put_and_flush();
get($reader);
arm('forest-changes-over', 'wait');
sql('SELECT pg_current_xact_id()');
$reader->send("SELECT skyvault_get('kv', 'k')");
await('forest-changes-over');
$seen = $version;
put_and_flush();
disarm('forest-changes-over');
is(($reader->receive)[0], "v$seen", 'a flush after the counters were read: the statement sees its snapshot');
is(get($reader), "v$version", 'and the next one the flush');

#
# TRUNCATE: open, committed, rolled back, in savepoints.
#
settle($reader, 'other');
$writer->run('BEGIN');
$writer->run('TRUNCATE kv');
is(probes($reader, 'other'), 0, 'an open TRUNCATE bothers nobody');
$writer->run('COMMIT');
is(get($reader), 'nothing', 'a committed TRUNCATE is seen');

put_and_flush();
settle($reader);
arm('forest-change-begun', 'error');
like(($writer->try('TRUNCATE kv'))[1], qr/^ERROR:  58030: /m, 'a TRUNCATE that fails at the last moment');
disarm('forest-change-begun');
is(get($reader), "v$version", 'is not seen');
is(settle($reader), 0, 'and is over');

arm('forest-change-begun', 'wait');
my $doomed = session($node);
$doomed->send('TRUNCATE kv');
await('forest-change-begun');
sql('SELECT pg_terminate_backend(' . $doomed->pid . ')');
$doomed->await_lost;
$doomed->quit;
disarm('forest-change-begun');
is(get($reader), "v$version", 'a TRUNCATE whose process is ended at the last moment is not seen');
is(settle($reader), 0, 'and is over');

settle($writer);
$writer->run('BEGIN');
is(get($writer), "v$version", 'before a savepoint');
$writer->run('SAVEPOINT s; TRUNCATE kv');
is(get($writer), 'nothing', 'after an own TRUNCATE');
$writer->run('ROLLBACK TO s');
is(get($writer), "v$version", 'after its savepoint was rolled back');
$writer->run('COMMIT');
is(get($writer), "v$version", 'after the transaction');

# No snapshot lists its own transaction: the one before the TRUNCATE and the one
# after it look the same.
hold_scheduler();
my $oldest = session($node);
$oldest->run('BEGIN; SELECT pg_current_xact_id()');
$writer->run('BEGIN; SELECT pg_current_xact_id()');
sql('SELECT pg_current_xact_id()');
is(get($writer), "v$version", 'in a transaction that has an xid');
my $snapshot = $writer->run('SELECT pg_current_snapshot()');
$writer->run('TRUNCATE kv');
$writer->run('COMMIT');
is(get($writer), 'nothing', 'after its TRUNCATE');
is($writer->run('SELECT pg_current_snapshot()'), $snapshot, 'in a snapshot that looks as the one before');
$oldest->run('COMMIT');
$oldest->quit;
let_scheduler_go();

#
# Prepared transactions: who ends them does not know what they did.
#
foreach my $crash (0, 1)
{
	my $when = $crash ? 'after a crash' : 'without a crash';

	put_and_flush();
	ok(await_settled($reader, 'other'), "$when: no probes before");
	$writer->run("BEGIN; TRUNCATE kv; PREPARE TRANSACTION 'truncate'");
	if ($crash)
	{
		$_->quit foreach $reader, $writer, $flusher;
		kill_postmaster($node);
		$node->start;
		($reader, $writer, $flusher) = map { session($node) } 1 .. 3;
		ok(await_new_process($node, 'skyvault scheduler', 0), "$when: a scheduler runs");
		sql('SELECT skyvault_flush()');
	}
	is(get($reader, 'other'), "v$version", "$when: another table of the vault while a TRUNCATE is prepared");
	is(settle($reader, 'other'), 10, "$when: it is looked for as long");
	hold_scheduler();
	probes($reader, 'other');
	$writer->run("COMMIT PREPARED 'truncate'");
	is(get($reader), 'nothing', "$when: COMMIT PREPARED is seen");
	let_scheduler_go();
	ok(await_settled($reader, 'other'), "$when: no probes once it is gone");
}

# What is prepared at the very last moment.
put_and_flush();
ok(await_settled($reader, 'other'), 'no probes before');
arm('forest-change-begun', 'wait');
$writer->send("BEGIN; TRUNCATE kv; PREPARE TRANSACTION 'truncate'");
await('forest-change-begun');
is(probes($reader, 'other'), 10, 'while a TRUNCATE is being prepared');
disarm('forest-change-begun');
$writer->receive;
is(probes($reader, 'other'), 10, 'while it is prepared');
$writer->run("ROLLBACK PREPARED 'truncate'");
is(get($reader), "v$version", 'ROLLBACK PREPARED');
ok(await_settled($reader, 'other'), 'no probes once it is gone');

#
# Older snapshots.
#
sub declare_cursor
{
	$reader->run("DECLARE old CURSOR FOR SELECT coalesce(skyvault_get('kv', 'k'), 'nothing') FROM generate_series(1, 10)");
	return;
}

put_and_flush();
$seen = $version;
$reader->run('BEGIN');
declare_cursor();
put_and_flush();
is(settle($reader), 0, 'statements know the newest forest');
is($reader->run('FETCH old'), "v$seen", 'a cursor has its own');
is(get($reader), "v$version", 'as before');
is($reader->run('FETCH old'), "v$seen", 'as before');
$reader->run('COMMIT');

# Two of them agree on a forest that is not the newest.
put_and_flush();
$seen = $version;
$reader->run('BEGIN');
declare_cursor();
sql('SELECT pg_current_xact_id()');
$reader->run("DECLARE second CURSOR FOR SELECT skyvault_get('kv', 'k')");
put_and_flush();
is($reader->run("FETCH $_"), "v$seen", "cursor $_ has its own") foreach 'old', 'second';
is(get($reader), "v$version", 'statements have the newest');
$reader->run('COMMIT');

# The flush is running in the cursor's snapshot, and over in those of later
# statements; and nothing else tells them apart.
sub xmax { return $reader->run('SELECT pg_snapshot_xmax(pg_current_snapshot())'); }

sql("SELECT skyvault_put('kv', 'k', 'later')");
arm('flush-before-commit', 'wait');
$flusher->send('SELECT skyvault_flush()');
await('flush-before-commit');
sql('SELECT pg_current_xact_id()');
$reader->run('BEGIN');
declare_cursor();
my $xmax = xmax();
disarm('flush-before-commit');
$flusher->receive;
get($reader) for 1 .. 5;
is(xmax(), $xmax, 'no xid has ended that is not below');
is($reader->run('FETCH old'), 'later', 'a cursor from within a flush sees the row that the flush deletes');
is(get($reader), 'later', 'later statements see the run');
$reader->run('COMMIT');

#
# REPEATABLE READ: one probe a transaction, and the forest of the snapshot.
#
put_and_flush();
settle($reader);
$seen = $version;
$reader->run('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
put_and_flush();
is(get($reader), "v$seen", 'REPEATABLE READ has its snapshot');
is(probes($reader), 0, 'REPEATABLE READ needs no second probe');
put_and_flush();
is(get($reader), "v$seen", 'REPEATABLE READ keeps its snapshot');
$reader->run('COMMIT');
is(get($reader), "v$version", 'afterwards all is seen');

# A snapshot that somebody else took.
settle($writer);
$reader->run('BEGIN ISOLATION LEVEL REPEATABLE READ');
my $exported = $reader->run('SELECT pg_export_snapshot()');
$seen = $version;
put_and_flush();
is(settle($writer), 0, 'a session knows the newest forest');
$writer->run("BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '$exported'");
is(get($writer), "v$seen", 'in an imported snapshot it has that one\'s');
$writer->run('COMMIT');
$reader->run('COMMIT');
is(get($writer), "v$version", 'and then the newest again');

# SERIALIZABLE leaves its predicate locks.
settle($reader);
$reader->run('BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT 1');
is(probes($reader), 10, 'SERIALIZABLE always looks');
$reader->run('COMMIT');

#
# Another catalogue, in which all ids begin anew.
#
settle($reader);
$reader->run('SELECT 1');
sql('DROP EXTENSION skyvault CASCADE; CREATE EXTENSION skyvault');
sql("SELECT skyvault_create_table(t) FROM unnest('{kv,other,filler}'::text[]) AS t");
is(get($reader), 'nothing', 'of what was there before nothing is seen');
sql("SELECT skyvault_put('kv', 'k', 'new'); SELECT skyvault_flush()");
is(get($reader), 'new', 'another extension, another forest');
ok(await_settled($reader), 'and no probes there');

$_->quit foreach $reader, $writer, $flusher;
$node->stop;
done_testing();
