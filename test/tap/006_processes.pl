# Launcher and schedulers: they are in nobody's way, come back, and say why
# when they cannot run.
use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server('main');

sub flushes
{
	my ($database, $test_name) = @_;

	$node->safe_psql($database, "SELECT skyvault_put('kv', 'key ' || clock_timestamp(), 'value')");
	return is($node->safe_psql($database, 'SELECT skyvault_flush()'), 1, $test_name);
}

sub has_scheduler
{
	my ($database, $test_name) = @_;

	return ok(await_new_process($node, 'skyvault scheduler', 0, $database), $test_name);
}

$node->safe_psql('postgres', 'CREATE DATABASE a');
$node->safe_psql('a', "CREATE EXTENSION skyvault; SELECT skyvault_create_table('kv')");
has_scheduler('a', 'a second database has a scheduler');
flushes('a', 'and can be flushed');

#
# A scheduler is a session of its database, and yet in nobody's way.
#
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE a');
pass('CREATE DATABASE has a database with a scheduler as its template');
has_scheduler('a', 'the scheduler of the template comes back');
has_scheduler('copy', 'the copy has one too');
is($node->safe_psql('copy', 'SELECT count(*) FROM skyvault_scan(\'kv\')'), 1, 'what was flushed is readable in the copy');

$node->safe_psql('postgres', 'ALTER DATABASE copy RENAME TO renamed');
has_scheduler('renamed', 'a database can be renamed, and its scheduler comes back');
$node->safe_psql('renamed', "SELECT skyvault_put('kv', 'key', 'value')");
fails_with($node, 'SELECT skyvault_flush()', '55000', qr/This database is a copy of the one that owns it/,
	'a copy does not write to the vault of the database it was copied from', 'renamed');
flushes('a', 'which can be flushed');
$node->safe_psql('postgres', 'ALTER DATABASE a RENAME TO b');
flushes('b', 'also under another name');
$node->safe_psql('postgres', 'ALTER DATABASE b RENAME TO a');

$node->safe_psql('postgres', 'DROP DATABASE renamed');
pass('a database with a scheduler can be dropped');
is($node->safe_psql('postgres',
		"SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'skyvault scheduler' AND datname IS NULL"),
	0, 'its scheduler is gone');
flushes('a', 'another database can be flushed then');

$node->safe_psql('postgres', 'CREATE DATABASE plain; DROP DATABASE plain');
pass('a database without the extension can be created and dropped');

# Who fails to drop it leaves a working scheduler behind.
my $other = session($node, 'a');
fails_with($node, 'DROP DATABASE a', '55006', qr/being accessed by other users/, 'a database in use is not dropped');
$other->quit;
has_scheduler('a', 'its scheduler comes back');
flushes('a', 'and works');

#
# The extension comes and goes.
#
$node->safe_psql('postgres', 'CREATE DATABASE b');
my $session = session($node, 'b');
$session->run('BEGIN; CREATE EXTENSION skyvault; ROLLBACK');
$session->run("CREATE EXTENSION skyvault; SELECT skyvault_create_table('kv')");
has_scheduler('b', 'CREATE EXTENSION after a rollback brings a scheduler');
flushes('b', 'and it works');
$session->run('BEGIN; DROP EXTENSION skyvault CASCADE; ROLLBACK');
flushes('b', 'DROP EXTENSION that is rolled back takes nothing');
$session->run('DROP EXTENSION skyvault CASCADE');
ok($node->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'skyvault scheduler' AND datname = 'b'"),
	'DROP EXTENSION ends the scheduler');
$session->run("CREATE EXTENSION skyvault; SELECT skyvault_create_table('kv')");
has_scheduler('b', 'CREATE EXTENSION brings it back');
flushes('b', 'and it works again');
is($session->run("SELECT count(*) FROM skyvault_scan('kv')"), 1, 'the new extension has only its own keys');
$session->run('BEGIN; DROP EXTENSION skyvault CASCADE; CREATE EXTENSION skyvault;'
	  . " SELECT skyvault_create_table('kv'); COMMIT");
flushes('b', 'dropped and created in one transaction, it works');
is($session->run("SELECT count(*) FROM skyvault_scan('kv')"), 1, 'and has only its own keys');
$session->quit;

#
# Terminated, they come back.
#
my $scheduler = scheduler_pid($node, 'a');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($scheduler)");
ok(await_new_process($node, 'skyvault scheduler', $scheduler, 'a'), 'a terminated scheduler comes back');
$node->safe_psql('postgres', 'SELECT pg_terminate_backend(' . scheduler_pid($node, 'a') . ')');
flushes('a', 'a flush just after its end is answered by the next one');

my $launcher = $node->safe_psql('postgres',
	"SELECT pid FROM pg_stat_activity WHERE backend_type = 'skyvault launcher'");
$node->safe_psql('postgres', "SELECT pg_terminate_backend($launcher)");
flushes('a', 'a flush needs no launcher');
ok(await_new_process($node, 'skyvault launcher', $launcher), 'a terminated launcher comes back');
$node->safe_psql('postgres', 'SELECT pg_terminate_backend(' . scheduler_pid($node, 'a') . ')');
flushes('a', 'the new launcher starts schedulers');

# A request under way when the scheduler ends.
$node->safe_psql('postgres', "SELECT stop_point_arm('flush-uploaded', 'wait')");
$session = session($node, 'a');
$session->run("SELECT skyvault_put('kv', 'key', 'under way')");
$session->send('SELECT skyvault_flush()');
$node->safe_psql('postgres', "CALL stop_point_await('flush-uploaded')");
$node->safe_psql('postgres', 'SELECT pg_terminate_backend(' . scheduler_pid($node, 'a') . ')');
my ($flushed, $errors) = $session->receive;
ok(!defined $errors || $errors =~ /: flush failed: the worker ended before the job did/, 'a flush whose scheduler is terminated is answered')
  or diag($errors);
$node->safe_psql('postgres', "SELECT stop_point_disarm('flush-uploaded')");
$session->run('SELECT skyvault_flush()');
is($session->run('SELECT count(*) FROM skyvault.delta'), 0, 'and the next one does the work');

# And who waits for a flush can give up.
$node->safe_psql('postgres', "SELECT stop_point_arm('flush-uploaded', 'wait')");
$session->run("SELECT skyvault_put('kv', 'key', 'cancelled')");
$session->send('SELECT skyvault_flush()');
$node->safe_psql('postgres', "CALL stop_point_await('flush-uploaded')");
$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . $session->pid . ')');
like(($session->receive)[1], qr/ERROR:  57014: /, 'waiting for a flush can be cancelled');
$node->safe_psql('postgres', "SELECT stop_point_disarm('flush-uploaded')");
$session->run('SELECT skyvault_flush()');
is($session->run('SELECT count(*) FROM skyvault.delta'), 0, 'the flush itself goes on');
$session->quit;

#
# What is being flushed goes away meanwhile.
#
my %removals = (
	'table' => 'DROP FOREIGN TABLE gone.kv',
	'server' => 'DROP SERVER gone CASCADE',
	'extension' => 'DROP EXTENSION skyvault CASCADE',
	'extension, for another' =>
	  'BEGIN; DROP EXTENSION skyvault CASCADE; CREATE EXTENSION skyvault; COMMIT',
	'database' => undef);
# A count or an error for people; not an internal one (XX000, a failed cache lookup).
my $answer = qr/^\s*(?:flushed \d+$|ERROR:  (?!XX)(?!.*cache lookup))/;
foreach my $what (sort keys %removals)
{
	my $case = "$what dropped during a flush";

	$node->safe_psql('postgres', 'CREATE DATABASE d');
	$node->safe_psql('d', <<'SQL');
CREATE SCHEMA gone;
CREATE EXTENSION skyvault;
CREATE SERVER gone FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:gone');
SELECT skyvault_create_table('gone.kv', server => 'gone');
SELECT skyvault_put('gone.kv', 'key', 'value');
SQL
	$node->safe_psql('postgres', "SELECT stop_point_arm('flush-uploaded', 'wait')");
	my $asker = session($node, 'd');
	$asker->send('SELECT skyvault_flush()');
	$node->safe_psql('postgres', "CALL stop_point_await('flush-uploaded')");
	if (!defined $removals{$what})
	{
		$node->safe_psql('postgres', 'DROP DATABASE d WITH (FORCE)');
		my ($lost, $said) = $asker->await_lost;
		ok($lost || $said =~ /ERROR:  55000: .*being copied, moved, renamed or dropped/s,
			"$case: who asked for the flush is told or disconnected")
		  or diag($said);
	}
	else
	{
		$node->safe_psql('d', $removals{$what});
		$node->safe_psql('postgres', "SELECT stop_point_disarm('flush-uploaded')");
		my ($rows, $asker_errors) = $asker->receive;
		like($asker_errors // "flushed $rows", $answer, "$case: who asked for the flush gets a clear answer");
		$node->safe_psql('d', 'DROP EXTENSION IF EXISTS skyvault CASCADE; CREATE EXTENSION skyvault;'
			  . " SELECT skyvault_create_table('kv')");
		flushes('d', "$case: a new extension works");
	}
	$asker->quit;
	$node->safe_psql('postgres', "SELECT stop_point_disarm('flush-uploaded'); DROP DATABASE IF EXISTS d");
	flushes('a', "$case: another database can be flushed");
}

#
# When they cannot run.
#
$node->append_conf('postgresql.conf', "max_worker_processes = 1\nmax_logical_replication_workers = 0");
$node->restart;
$node->safe_psql('a', "SELECT skyvault_put('kv', 'key', 'no room')");
fails_with($node, 'SELECT skyvault_flush()', '55000', qr/^HINT: .*max_worker_processes/m,
	'no free background worker: a flush says so', 'a');
is($node->safe_psql('a', "SELECT skyvault_get('kv', 'key')"), 'no room',
	'no free background worker: writing and reading go on');
$node->append_conf('postgresql.conf', 'max_worker_processes = 8');
$node->restart;
is($node->safe_psql('a', 'SELECT skyvault_flush()'), 1, 'with room again, the key is flushed');

$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
my $not_loaded = qr/shared_preload_libraries.*^HINT: .*shared_preload_libraries/ms;
fails_with($node, "SELECT skyvault_get('kv', 'key')", '55000', $not_loaded,
	'library not preloaded: a read says what to do', 'a');
fails_with($node, 'SELECT skyvault_flush()', '55000', $not_loaded,
	'library not preloaded: a flush says what to do', 'a');
$node->safe_psql('postgres', 'CREATE DATABASE c');
fails_with($node, 'CREATE EXTENSION skyvault', '55000', $not_loaded,
	'library not preloaded: CREATE EXTENSION says what to do', 'c');
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'skyvault'");
$node->restart;
is($node->safe_psql('a', "SELECT skyvault_get('kv', 'key')"), 'no room', 'preloaded again, everything is there');

#
# A store in the data directory and those who copy only the database.
#
$node->append_conf('postgresql.conf', "wal_level = replica\nmax_wal_senders = 2");
$node->restart;
flushes('a', 'wal_level = replica alone keeps no store from flushing');

sub refuses_to_flush
{
	my ($case) = @_;

	$node->safe_psql('a', "SELECT skyvault_put('kv', 'key', 'kept back')");
	my $rows = $node->safe_psql('a', 'SELECT count(*) FROM skyvault.delta');
	fails_with($node, 'SELECT skyvault_flush()', '55000', qr/^HINT: .*"shared"/m, "$case: a flush is refused", 'a');
	is($node->safe_psql('a',
			"SELECT state FROM skyvault.job WHERE hint LIKE '%\"shared\"%' ORDER BY id DESC LIMIT 1"),
		'failed', "$case: the job has failed");
	is($node->safe_psql('a', 'SELECT count(*) FROM skyvault.delta'), $rows, "$case: no row has left the delta");

	$node->safe_psql('a', "ALTER SERVER skyvault OPTIONS (ADD shared 'on')");
	is($node->safe_psql('a', 'SELECT skyvault_flush()'), 1, "$case: a shared store is flushed");
	$node->safe_psql('a', "ALTER SERVER skyvault OPTIONS (SET shared 'off')");
	$node->safe_psql('a', "SELECT skyvault_put('kv', 'key', 'kept back again')");
	fails_with($node, 'SELECT skyvault_flush()', '55000', qr/"shared"/, "$case: until it no longer is", 'a');
	$node->safe_psql('a', 'ALTER SERVER skyvault OPTIONS (DROP shared)');
}

my $wal_directory = PostgreSQL::Test::Utils::tempdir();
my $receiver = IPC::Run::start(
	[ 'pg_receivewal', '-h', $node->host, '-p', $node->port, '-D', $wal_directory, '--no-loop' ],
	'<', \undef, '>', \my $receiver_output, '2>', \my $receiver_errors);
ok($node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM pg_stat_replication'), 'a WAL sender is active');
refuses_to_flush('WAL sender');
$receiver->signal('TERM');
$receiver->finish;
$node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM pg_stat_replication');
flushes_after('WAL sender');

$node->append_conf('postgresql.conf', "archive_mode = on\narchive_command = '/bin/true'");
$node->restart;
refuses_to_flush('archiving');
$node->append_conf('postgresql.conf', 'archive_mode = off');
$node->restart;
flushes_after('archiving');

sub flushes_after
{
	my ($case) = @_;

	is($node->safe_psql('a', 'SELECT skyvault_flush()'), 1, "$case: once it is gone, the store is flushed");
	is($node->safe_psql('a', "SELECT skyvault_get('kv', 'key')"), 'kept back again', "$case: and nothing was lost");
}

done_testing();
