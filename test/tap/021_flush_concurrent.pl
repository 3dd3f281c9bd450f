# What happens while a flush is on its way, at each of its steps: puts, deletes,
# locks, TRUNCATE and DROP.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server('main');
my $flusher = session($node);

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

# A flush that waits at the stop point.
sub begin_flush
{
	my ($point) = @_;

	$flusher->run("SELECT stop_point_arm('$point', 'wait')");
	$flusher->send('SELECT skyvault_flush()');
	sql("CALL stop_point_await('$point')");
	return;
}

# Returns the flush's answer.
sub end_flush
{
	my ($point) = @_;

	sql("SELECT stop_point_disarm('$point')");
	return ($flusher->receive)[0];
}

sub await_blocked
{
	my ($session) = @_;

	$node->poll_query_until('postgres',
		"SELECT wait_event_type IS NOT DISTINCT FROM 'Lock' FROM pg_stat_activity WHERE pid = " . $session->pid);
	return;
}

# Keys of the table that are in the delta.
sub in_delta
{
	my ($table) = @_;

	return sql("SELECT string_agg(convert_from(key, 'UTF8'), ' ' ORDER BY key) FROM skyvault.delta"
		. " WHERE table_id = (SELECT id FROM skyvault.\"table\" WHERE relid = '$table'::regclass)");
}

# Fresh tables kv and other.  Two keys are in a run, k and new have just been
# written.
sub set_up
{
	sql(<<'SQL');
DROP FOREIGN TABLE IF EXISTS kv, other;
CREATE FOREIGN TABLE kv (key text NOT NULL, value text) SERVER skyvault OPTIONS (key 'key');
CREATE FOREIGN TABLE other (key text NOT NULL, value text) SERVER skyvault OPTIONS (key 'key');
SELECT skyvault_multi_put('kv', '{k,run}', '{oldest,run}'::text[]);
SELECT skyvault_flush();
SELECT skyvault_multi_put('kv', '{k,new}', '{old,new}'::text[]);
SELECT skyvault_put('other', 'o', 'other');
SQL
	return;
}

sub content
{
	my ($table) = @_;

	return sql("SELECT string_agg(key || '=' || value, ' ') FROM skyvault_scan('$table')");
}

#
# Writes before the publish has deleted the row.  The run gets what was read,
# the newer version stays in the delta and hides it.
#
foreach my $point ('flush-before-upload', 'flush-uploaded', 'flush-locked')
{
	set_up();
	begin_flush($point);
	is(content('kv'), 'k=old new=new run=run', "$point: readers see everything once");
	sql("SELECT skyvault_put('kv', 'k', 'newest'), skyvault_put('kv', 'late', 'late')");
	is(content('kv'), 'k=newest late=late new=new run=run', "$point: a put does not wait");
	is(end_flush($point), 3, "$point: the flush writes what it has read");
	is(content('kv'), 'k=newest late=late new=new run=run', "$point: the put has not gone");
	is(in_delta('kv'), 'k late', "$point: it is still in the delta");
	is(sql('SELECT skyvault_flush()'), 2, "$point: the next flush takes it");
	is(content('kv'), 'k=newest late=late new=new run=run', "$point: and it is newest in the store");

	set_up();
	begin_flush($point);
	sql("SELECT skyvault_delete('kv', 'k'), skyvault_delete('kv', 'run')");
	end_flush($point);
	is(content('kv'), 'new=new', "$point: what was deleted stays so");
	is(in_delta('kv'), 'k run', "$point: the tombstones are in the delta");
	is(sql('SELECT skyvault_flush()'), 2, "$point: the next flush takes them");
	is(content('kv'), 'new=new', "$point: and they hide what is older");

	# Written and rolled back, locked, and written by who commits later.
	my $writer = session($node);
	foreach (
		[ "skyvault_put('kv', 'k', 'never')", 'ROLLBACK', 'old' ],
		[ "skyvault_delete('kv', 'k')", 'ROLLBACK', 'old' ],
		[ "skyvault_get('kv', 'k', for_update => true)", 'ROLLBACK', 'old' ],
		[ "skyvault_get('kv', 'k', for_update => true)", 'COMMIT', 'old' ],
		[ "skyvault_put('kv', 'k', 'newest')", 'COMMIT', 'newest' ])
	{
		my ($call, $end, $value) = @$_;

		set_up();
		begin_flush($point);
		$writer->run("BEGIN; SELECT $call");
		end_flush($point);
		is(content('kv'), 'k=old new=new run=run', "$point: $call is open: others see what was");
		is(in_delta('kv'), 'k', "$point: $call is open: its row stays");
		$writer->run($end);
		is(content('kv'), "k=$value new=new run=run", "$point: $call and $end");
		is(sql('SELECT skyvault_flush()'), 1, "$point: $call and $end: the next flush takes the row");
		is(content('kv'), "k=$value new=new run=run", "$point: $call and $end, after a flush");
	}
	$writer->quit;
}

#
# Writes after the row was deleted wait for the publish to commit, which is
# short, and are newer than the run.
#
foreach my $point ('flush-deleted', 'flush-numbered', 'flush-before-commit')
{
	my $writer = session($node);

	foreach (
		[ "skyvault_put('kv', 'k', 'newest')", 'k=newest new=new run=run' ],
		[ "skyvault_delete('kv', 'k')", 'new=new run=run' ],
		[ "skyvault_put('kv', 'k', skyvault_get('kv', 'k', for_update => true) || 'er')", 'k=older new=new run=run' ])
	{
		my ($call, $content) = @$_;

		set_up();
		begin_flush($point);
		is(content('kv'), 'k=old new=new run=run', "$point: readers see everything once");
		$writer->send("SELECT $call");
		await_blocked($writer);
		is(end_flush($point), 3, "$point: the flush does not wait for $call");
		$writer->receive;
		is(content('kv'), $content, "$point: $call is on top");
		is(in_delta('kv'), 'k', "$point: $call is in the delta");
		is(sql('SELECT skyvault_flush()'), 1, "$point: the next flush takes it");
		is(content('kv'), $content, "$point: $call is newest in the store");
	}
	$writer->quit;
}

#
# REPEATABLE READ, with its snapshot of before the publish.
#
foreach my $point ('flush-before-upload', 'flush-locked', 'flush-before-commit')
{
	my $reader = session($node);

	set_up();
	$reader->run('BEGIN ISOLATION LEVEL REPEATABLE READ');
	is($reader->run("SELECT skyvault_get('kv', 'k')"), 'old', "$point: the snapshot is taken");
	begin_flush($point);
	sql("SELECT skyvault_put('kv', 'new', 'newer')") if $point ne 'flush-before-commit';
	end_flush($point);
	is($reader->run("SELECT string_agg(key || '=' || value, ' ') FROM skyvault_scan('kv')"),
		'k=old new=new run=run', "$point: a reader keeps its snapshot");
	$reader->run("SELECT skyvault_put('kv', 'k', skyvault_get('kv', 'k') || 'er')");
	is($reader->run("SELECT string_agg(key || '=' || value, ' ') FROM skyvault_scan('kv')"),
		'k=older new=new run=run', "$point: its own write is on top, and no conflict with a flush");
	if ($point ne 'flush-before-commit')
	{
		my (undef, $errors) = $reader->try("SELECT skyvault_put('kv', 'new', 'lost')");

		like($errors, qr/^ERROR:  40001: /, "$point: what was written since is a conflict");
	}
	$reader->run('ROLLBACK');
	$reader->quit;
}

#
# TRUNCATE and DROP of a table whose rows the flush has read.  The other table
# is flushed.
#
foreach my $point ('flush-before-upload', 'flush-uploaded')
{
	set_up();
	begin_flush($point);
	sql('TRUNCATE kv');
	is(content('kv'), '', "$point: a truncated table is empty at once");
	is(end_flush($point), 1, "$point: the flush leaves it out");
	is(content('kv'), '', "$point: and it stays empty");
	is(in_delta('kv') . in_delta('other'), '', "$point: with nothing left in the delta");
	is(content('other'), 'o=other', "$point: the other table was flushed");
	sql("SELECT skyvault_put('kv', 'k', 'again')");
	is(content('kv'), 'k=again', "$point: what is written then");
	sql('SELECT skyvault_flush()');
	is(content('kv'), 'k=again', "$point: is all that there is after a flush");

	# Written after the TRUNCATE, with the flush still on its way.
	set_up();
	begin_flush($point);
	sql("TRUNCATE kv; SELECT skyvault_put('kv', 'k', 'again')");
	is(end_flush($point), 1, "$point: the flush leaves the table out");
	is(content('kv'), 'k=again', "$point: a put after TRUNCATE stays");
	is(sql('SELECT skyvault_flush()'), 1, "$point: the next flush takes it");
	is(content('kv'), 'k=again', "$point: and nothing else");

	set_up();
	begin_flush($point);
	sql('DROP FOREIGN TABLE kv');
	is(end_flush($point), 1, "$point: the flush goes on without a dropped table");
	is(sql('SELECT count(*) FROM skyvault.delta'), 0, "$point: nothing is left of it");
	is(content('other'), 'o=other', "$point: the other table is there");
	sql("SELECT skyvault_create_table('kv')");
	is(content('kv'), '', "$point: one of the same name is empty");

	# Uncommitted ones make the flush leave the table out, and do not hold it up.
	my $ddl = session($node);
	foreach my $statement ('TRUNCATE kv', 'DROP FOREIGN TABLE kv')
	{
		set_up();
		begin_flush($point);
		$ddl->run("BEGIN; $statement");
		is(end_flush($point), 1, "$point: $statement is open: the flush leaves the table out");
		$ddl->run('ROLLBACK');
		is(content('kv'), 'k=old new=new run=run', "$point: $statement rolled back: all is there");
		is(in_delta('kv'), 'k new', "$point: $statement rolled back: the rows are in the delta");
		is(sql('SELECT skyvault_flush()'), 2, "$point: $statement rolled back: the next flush takes them");
		is(content('kv'), 'k=old new=new run=run', "$point: $statement rolled back: all is there after it");
	}

	set_up();
	begin_flush($point);
	$ddl->run("BEGIN; TRUNCATE kv; SELECT skyvault_put('kv', 'k', 'own')");
	end_flush($point);
	is($ddl->run("SELECT string_agg(key || '=' || value, ' ') FROM skyvault_scan('kv')"), 'k=own',
		"$point: who has truncated sees only what is own");
	$ddl->run('COMMIT');
	is(content('kv'), 'k=own', "$point: and so does everybody after COMMIT");
	sql('SELECT skyvault_flush()');
	is(content('kv'), 'k=own', "$point: and after a flush");
	$ddl->quit;
}

# When the publish has the table's lock, they wait for it, and then remove what it has published.
foreach my $point ('flush-locked', 'flush-deleted', 'flush-before-commit')
{
	my $ddl = session($node);

	foreach my $statement ('TRUNCATE kv', 'DROP FOREIGN TABLE kv')
	{
		set_up();
		begin_flush($point);
		$ddl->send($statement);
		await_blocked($ddl);
		is(end_flush($point), 3, "$point: $statement waits for the publish");
		is(($ddl->receive)[1], undef, "$point: $statement succeeds");
		is(sql('SELECT count(*) FROM skyvault.delta'), 0, "$point: $statement: nothing is in the delta");
		sql("SELECT skyvault_create_table('kv')") if $statement =~ /DROP/;
		is(content('kv'), '', "$point: $statement: the table is empty");
		is(content('other'), 'o=other', "$point: $statement: the other one is not");
		sql("SELECT skyvault_put('kv', 'k', 'again'); SELECT skyvault_flush()");
		is(content('kv'), 'k=again', "$point: $statement: what is written then is all that there is");
	}
	$ddl->quit;
}

#
# TRUNCATE against snapshots of before it.
#
{
	my $reader = session($node);

	set_up();
	$reader->run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT skyvault_get('other', 'o')");
	sql("TRUNCATE kv; SELECT skyvault_put('kv', 'k', 'again'); SELECT skyvault_flush()");
	is($reader->run("SELECT string_agg(key || '=' || value, ' ') FROM skyvault_scan('kv')"),
		'k=old new=new run=run', 'TRUNCATE: a snapshot of before sees what was');
	foreach my $key ('k', 'run')
	{
		$reader->run('SAVEPOINT one');
		my (undef, $errors) = $reader->try("SELECT skyvault_put('kv', '$key', 'lost')");
		like($errors, qr/^ERROR:  40001: /, "TRUNCATE: a write of $key under that snapshot is a conflict");
		$reader->run('ROLLBACK TO one');
	}
	$reader->run('COMMIT');
	is(content('kv'), 'k=again', 'TRUNCATE: others see what is');
	$reader->quit;
}

#
# What a flush says about the tables that it left out.
#
{
	my $ddl = session($node);

	set_up();
	$ddl->run('BEGIN; TRUNCATE kv');
	my ($status, $stdout, $stderr) = $node->psql('postgres', 'SELECT skyvault_flush()');
	is($stdout, 1, 'left out: the other table is flushed');
	like($stderr, qr/WARNING:  tables left out of the flush: "kv" \(locked/, 'left out: a warning names the table');
	is(sql('SELECT left_out FROM skyvault.job ORDER BY id DESC LIMIT 1'),
		'"kv" (locked by a load, TRUNCATE or DROP)', 'left out: so does the job');
	$ddl->run('ROLLBACK');
	$ddl->quit;
}

$flusher->quit;
$node->stop;
done_testing();
