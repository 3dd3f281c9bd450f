# Contents that were exchanged: over a restart and a crash, on a standby, and in a
# database that is made of the store alone, to each end that the log has had.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $store = PostgreSQL::Test::Utils::tempdir();
my $server = "CREATE SERVER shared FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:$store', shared 'on')";
my $node = new_server('origin', streaming => 1,
	settings => "max_connections = 20\nmax_worker_processes = 40\nskyvault.export_interval = 0\nhot_standby_feedback = on\n");

sub sql { return $node->safe_psql('postgres', $_[0]); }

# "TABLE:CONTENT ..." of what a database has; the first key of a content names it.
my $contents = <<'SQL';
SELECT string_agg(c.relname || ':' || coalesce(skyvault_get(c.oid::regclass, 'content'), 'none'), ' ' ORDER BY c.relname)
FROM pg_class AS c WHERE relkind = 'f'
SQL
sub contents { return sql($contents); }

sub make
{
	my ($table) = @_;

	sql("SELECT skyvault_create_table('$table', server => 'shared'); SELECT skyvault_put('$table', 'content', 'of $table')");
}

sub export
{
	sql('SELECT skyvault_flush()');
	sql('SELECT skyvault_export()');
}

# What is committed now is there, without a number, when the scheduler reads what it exports.
sub export_meanwhile
{
	my ($statement) = @_;
	my $asker = session($node);

	sql("SELECT skyvault_put('b', 'more', 'to export')");
	sql('SELECT skyvault_flush()');
	$asker->run("SELECT stop_point_arm('export-before-read', 'wait')");
	$asker->send('SELECT skyvault_export()');
	sql("CALL stop_point_await('export-before-read')");
	ref($statement) ? $statement->() : sql($statement);
	sql("SELECT stop_point_disarm('export-before-read')");
	went_well($asker, 'exported');
}

my $other = new_server('other', bare => 1, settings => "max_worker_processes = 40\n");
my $restores = 0;
sub is_restored
{
	my ($expected, $test_name) = @_;
	my $name = 'restore_' . ++$restores;

	$other->safe_psql('postgres', "CREATE DATABASE $name");
	$other->safe_psql($name, "CREATE EXTENSION skyvault; $server");
	my ($status, undef, $stderr) = $other->psql($name, "SELECT skyvault_restore('shared')");
	is($status, 0, 'it restores') or diag($stderr);
	is($other->safe_psql($name, $contents), $expected, $test_name);
	$other->safe_psql('postgres', "DROP DATABASE $name");
}

sql($server);
make($_) foreach ('a', 'b');
export();
is_restored('a:of a b:of b', 'a restore before');
sql("SELECT skyvault_swap('a', 'b')");
is(contents(), 'a:of b b:of a', 'exchanged');
$node->restart;
is(contents(), 'a:of b b:of a', 'so it is after a restart');
sql("SELECT skyvault_put('a', 'after', 'in the delta'); SELECT skyvault_swap('a', 'b')");
$node->stop('immediate');
$node->start;
is(contents(), 'a:of a b:of b', 'back, and so it is after a crash');
is(sql("SELECT skyvault_get('b', 'after')"), 'in the delta', 'with what was written in between');
my $before = session($node);
$before->run("SELECT skyvault_get('a', 'content')");
sql("BEGIN; SELECT skyvault_swap('a', 'b'); PREPARE TRANSACTION 'swap'");
sql("COMMIT PREPARED 'swap'");
is($before->run("SELECT skyvault_get('a', 'content')"), 'of b', 'prepared, and committed by another');
$before->quit;
sql("BEGIN; SELECT skyvault_swap('a', 'b'); PREPARE TRANSACTION 'swap'");
$node->restart;
sql("COMMIT PREPARED 'swap'");
is(contents(), 'a:of a b:of b', 'the same over a restart');
sql("SELECT skyvault_swap('a', 'b')");
export();
is_restored('a:of b b:of a', 'a restore finds names and contents as they were exported');

# A load and its swap that have no number yet when the definitions are read.
my $loader = session($node);
$loader->run("BEGIN; SELECT skyvault_load('a', \$\$VALUES ('content', 'loaded')\$\$, replace => true, keep => 'c')");
export_meanwhile(sub { $loader->run('COMMIT'); });
is(contents(), 'a:loaded b:of a c:of b', 'committed');
is_restored('a:of b b:of a c:none', 'of a swap without a number a restore knows nothing');
export();
is_restored('a:loaded b:of a c:of b', 'and then it does');

# Two of the same table, the second of which has no number.
sql("SELECT skyvault_swap('a', 'b')");
sql('SELECT skyvault_flush()');
export_meanwhile("SELECT skyvault_swap('b', 'c')");
is(contents(), 'a:of a b:of b c:loaded', 'two of them');
is_restored('a:of a b:loaded c:of b', 'a restore knows of the first');

# A snapshot has all that it sees; the log behind it is applied to it.
sql("SELECT skyvault_snapshot(vault => 'shared')");
is_restored('a:of a b:of b c:loaded', 'a restore from a snapshot');
sql("SELECT skyvault_swap('c', 'a')");
export();
is_restored('a:loaded b:of b c:of a', 'and from the log behind it');

# A table is dropped with the content that was another's, which the log knows of later.
sql("SELECT skyvault_swap('b', 'a')");
sql('SELECT skyvault_flush()');
export_meanwhile('DROP FOREIGN TABLE a');
is(contents(), 'b:loaded c:of a', 'dropped');
is_restored('b:loaded c:of a', 'a restore finds nothing under a name that another has');
export();
is_restored('b:loaded c:of a', 'and later the same');

# A load in bulk, and back.
sql("SET skyvault.bulk_threshold = '1MB'; SELECT skyvault_load('b', 'SELECT ''key'' || g, repeat(g::text, 10) FROM generate_series(1, 50000) AS g', replace => true, keep => 'big')");
is(sql("SELECT count(*), (SELECT count(*) FROM big), (SELECT count(*) FROM skyvault.delta WHERE table_id ="
	. " (SELECT id FROM skyvault.\"table\" WHERE relid = 'b'::regclass)) FROM b"), '50000|2|0', 'a load in bulk keeps what it replaces');
sql("SELECT skyvault_compact('b', full => true); SELECT skyvault_compact('big', full => true)");
sql("SELECT skyvault_swap('b', 'big')");
is(sql("SELECT count(*), (SELECT count(*) FROM big) FROM b"), '2|50000', 'and gives it back');
is(sql("SELECT count(*) FROM (SELECT skyvault_verify('b', true) UNION ALL SELECT skyvault_verify('big', true)) AS v"), '0', 'all is in order');
sql('DROP FOREIGN TABLE big');

# Jobs know contents, not tables: what one is working on is exchanged.
sub content_of { return sql("SELECT count(*), min(value), max(value) FROM $_[0] WHERE key LIKE 'job%'"); }
sub during
{
	my ($point, $job, $code) = @_;
	my $asker = session($node);

	$asker->run("SELECT stop_point_arm('$point', 'wait')");
	$asker->send($job);
	sql("CALL stop_point_await('$point')");
	$code->();
	sql("SELECT stop_point_disarm('$point')");
	my (undef, $errors) = $asker->receive;
	$asker->quit;
	return $errors;
}
foreach my $n (1 .. 2)
{
	sql("SELECT skyvault_put(t, 'job' || g, t::text || '$n') FROM unnest('{b,c}'::regclass[]) AS t, generate_series(1, 20 + $n) AS g;"
		. " SELECT skyvault_delete('c', 'job22'); SELECT skyvault_delete('c', 'job21')");
	is(during('flush-uploaded', 'SELECT skyvault_flush()', sub { sql("SELECT skyvault_swap('b', 'c')"); }), undef,
		'exchanged while a flush has read them, which goes on');
	is(content_of('b') . ' ' . content_of('c'), "20|c$n|c$n " . (20 + $n) . "|b$n|b$n", 'each has what the other had');
	sql("SELECT skyvault_swap('c', 'b')");
	is(sql("SELECT count(*) FROM skyvault.delta WHERE key LIKE 'job%'::bytea"), '0', 'and nothing was left out');
}
$loader->run("SELECT stop_point_arm('compact-after-run', 'wait')");
$loader->send("SELECT skyvault_compact('b', full => true)");
sql("CALL stop_point_await('compact-after-run')");
sql('SELECT pg_cancel_backend(' . $loader->pid . ')');	# who asks has a lock on the table
$loader->receive;
sql("SELECT skyvault_swap('b', 'c'); SELECT stop_point_disarm('compact-after-run')");
$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM skyvault.job WHERE state = 'running'") or die 'a compaction goes on';
is(sql("SELECT state FROM skyvault.job WHERE kind = 'compact' ORDER BY id DESC LIMIT 1"), 'done',
	'exchanged while a compaction has read one, which goes on');
is(content_of('b') . ' ' . content_of('c'), '20|c2|c2 22|b2|b2', 'each has what the other had');
is(sql("SELECT string_agg(DISTINCT tier::text || level, ' ') FROM skyvault.run WHERE table_ids = ARRAY(SELECT id FROM skyvault.\"table\""
	. " WHERE relid = 'c'::regclass)"), 'l1', 'and what was merged goes with its content');

# One that is not committed: it is waited for by nobody.
sql("SELECT skyvault_put('b', 'job1', 'again'), skyvault_put('c', 'job1', 'too')");
$loader->run("BEGIN; SELECT skyvault_swap('b', 'c')");
$node->psql('postgres', 'SELECT skyvault_flush()');
is(sql("SELECT count(*) FROM skyvault.delta WHERE key LIKE 'job%'::bytea"), '2', 'a flush leaves both out');
$loader->run('ROLLBACK');
is(sql("SELECT skyvault_get('b', 'job1') || skyvault_get('c', 'job1')"), 'againtoo', 'and they are as they were');
sql('SELECT skyvault_flush()');
sql("SELECT skyvault_swap('b', 'c')");
is(contents(), 'b:loaded c:of a', 'as before');

# A standby, with sessions that have looked before.
$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
my $reader = session($standby);
my $old = session($standby);
my $read = "SELECT skyvault_get('b', 'content') || ', ' || (SELECT value FROM c WHERE key = 'content')";
$reader->run("PREPARE looked AS $read");
is($reader->run('EXECUTE looked'), 'loaded, of a', 'a standby reads');
$old->run('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class');
sql("SELECT skyvault_swap('b', 'c')");
$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
is($reader->run('EXECUTE looked'), 'of a, loaded', 'and what was exchanged');
is($reader->run($read), 'of a, loaded', 'by a new plan as well');
is($old->run($read), 'loaded, of a', 'an older snapshot of it sees what was there');
$old->run('COMMIT');
fails_with($standby, "SELECT skyvault_swap('b', 'c')", '25006', qr/cannot execute skyvault_swap\(\)/, 'not on a standby');
$old->quit;
$reader->quit;
$loader->quit;

# A database that does not own the vault.
$other->safe_psql('postgres', "CREATE DATABASE attached");
$other->safe_psql('attached', "CREATE EXTENSION skyvault; $server; SELECT skyvault_restore('shared')");
$other->safe_psql('postgres', "CREATE DATABASE imported");
$other->safe_psql('imported', "CREATE EXTENSION skyvault; $server; IMPORT FOREIGN SCHEMA public FROM SERVER shared INTO public");
is($other->safe_psql('imported', $contents), $other->safe_psql('attached', $contents), 'IMPORT FOREIGN SCHEMA finds the same');
fails_with($other, "SELECT skyvault_swap('b', 'c')", '55000', qr/written by another database.*skyvault_adopt/s,
	'not where another database writes', 'attached');

done_testing();
