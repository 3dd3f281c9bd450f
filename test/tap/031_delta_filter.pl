# The filter over the delta's keys: whatever happens between a writer, a
# rotation and a reader, no row is missed.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server('main', settings => "autovacuum = off\n");
my ($reader, $writer, $flusher) = map { session($node) } 1 .. 3;

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

sub arm { return sql("SELECT stop_point_arm('$_[0]', '$_[1]')"); }
sub disarm { return sql("SELECT stop_point_disarm('$_[0]')"); }
sub await { return sql("CALL stop_point_await('$_[0]')"); }
sub flush { return sql('SELECT skyvault_flush()'); }
sub put { return sql("SELECT skyvault_put('kv', '$_[0]', '$_[1]')"); }

# By its key, and as the first of a range: a scan asks the filter about its table.
sub get
{
	my ($session, $key) = @_;
	my $got = $session->run("SELECT coalesce(skyvault_get('kv', '$key'), 'nothing')");
	my $scanned = $session->run("SELECT coalesce((SELECT value FROM (SELECT key, value FROM kv WHERE key >= '$key'"
			. " ORDER BY key LIMIT 1) AS first WHERE key = '$key'), 'nothing')");

	return $got eq $scanned ? $got : "$got, but in a scan $scanned";
}

# Whether a scan looks into the delta's index.
sub scan_probes
{
	my $scans = "pg_stat_get_xact_numscans('skyvault.delta_pkey'::regclass)";

	$reader->run('BEGIN');
	my $before = $reader->run("SELECT $scans");
	$reader->run('SELECT count(value) FROM kv');
	my $after = $reader->run("SELECT $scans");
	$reader->run('COMMIT');
	return $after - $before;
}

sub state { return sql('SELECT state FROM skyvault_stat_delta_filter()'); }

sub await_state
{
	return $node->poll_query_until('postgres', "SELECT state = '$_[0]' FROM skyvault_stat_delta_filter()");
}

# Whether a key that is looked for is excluded.
sub is_excluded
{
	my ($key) = @_;
	my $negatives = 'SELECT negatives FROM skyvault_stat_delta_filter()';
	my $before = $reader->run($negatives);

	get($reader, $key);
	return $reader->run($negatives) - $before;
}

sql("SELECT skyvault_create_table('kv')");

#
# The way it is most of the time.
#
ok(await_state('complete'), 'the filter is complete');
put('a', '1');
is(get($reader, 'a'), '1', 'a key that is in the delta');
is(is_excluded('a'), 0, 'is not excluded');
is(is_excluded('b'), 1, 'another one is');
flush();
ok(await_state('complete'), 'after a flush it is complete again');
is(is_excluded('a'), 1, 'and has got rid of the key');
is(get($reader, 'a'), '1', 'which is in a run');

sql("SELECT skyvault_create_table('other'); SELECT skyvault_put('other', 'a', '1')");
is(scan_probes(), 0, 'a scan of a table that has no rows in the delta does not look there');
put('b', '1');
is(scan_probes(), 1, 'one of a table that has some does');
sql("SELECT skyvault_delete('kv', 'b')");
flush();
ok(await_state('complete'), 'complete');
is(scan_probes(), 0, 'until they are flushed');

$reader->run('BEGIN ISOLATION LEVEL SERIALIZABLE');
is(is_excluded('b'), 0, 'SERIALIZABLE looks into the delta');
$reader->run('COMMIT');

$writer->run('BEGIN');
$writer->run("SELECT skyvault_put('kv', 'own', '1')");
is(get($writer, 'own'), '1', 'an own row');
$writer->run('SAVEPOINT s');
$writer->run("SELECT skyvault_put('kv', 'own', '2')");
is(get($writer, 'own'), '2', 'after a savepoint');
$writer->run('ROLLBACK TO s');
is(get($writer, 'own'), '1', 'after it was rolled back');
$writer->run('COMMIT');
is(get($reader, 'own'), '1', 'and for others');

#
# Writers across a rotation.  The second flush would drop the old generation,
# if it could.
#
$writer->run('BEGIN');
$writer->run("SELECT skyvault_put('kv', 'uncommitted', '1')");
flush();
$writer->run('COMMIT');
ok(await_state('complete'), 'a transaction that put before the flush, and ended after it');
is(get($reader, 'uncommitted'), '1', 'its row is found');

$writer->run("BEGIN; SELECT skyvault_put('kv', 'undone', '1'); ROLLBACK");
is(is_excluded('undone'), 0, 'a key that was put and rolled back');
$writer->run("BEGIN; SELECT skyvault_put('kv', 'prepared', '1'); PREPARE TRANSACTION 'put'");
foreach my $n (1 .. 2)
{
	put('passing', "beside $n");
	flush();
}
is(is_excluded('undone'), 1, 'goes with its generation, in spite of a prepared transaction');
$writer->run("COMMIT PREPARED 'put'");
is(get($reader, 'prepared'), '1', 'its row is found');

foreach my $end ('goes on', 'goes on under another scheduler')
{
	arm('delta-filter-added', 'wait');
	$writer->send("SELECT skyvault_put('kv', 'slow', '$end')");
	await('delta-filter-added');
	put('passing', '1');
	flush();
	if ($end =~ /another/)
	{
		my $scheduler = scheduler_pid($node);

		sql("SELECT pg_terminate_backend($scheduler)");
		ok(await_new_process($node, 'skyvault scheduler', $scheduler), 'another scheduler');
	}
	put('passing', '2');
	flush();
	is(state(), 'rotating', 'a writer between its bit and its row: the old generation stays');
	disarm('delta-filter-added');
	$writer->receive;
	is(get($reader, 'slow'), $end, 'its row is found');
	ok(await_state('complete'), 'then it is complete');
	is(get($reader, 'slow'), $end, 'its row is found');
	flush();
}

# The same while there is no old generation: readers have to look.
sub forget { return sql("UPDATE skyvault.delta SET key = key WHERE false"); }

arm('delta-filter-added', 'wait');
$writer->send("SELECT skyvault_put('kv', 'slow', 'at the start')");
await('delta-filter-added');
forget();
flush();
is(state(), 'filling', 'a writer between its bit and its row: a first generation is not complete');
disarm('delta-filter-added');
$writer->receive;
is(get($reader, 'slow'), 'at the start', 'its row is found');
ok(await_state('complete'), 'then it is complete');
is(get($reader, 'slow'), 'at the start', 'its row is found');

# Who begins while the heap is read.
put('passing', '3');
flush();
ok(await_state('complete'), 'complete');
put('passing', '4');
arm('delta-filter-page', 'wait');
flush();
await('delta-filter-page');
put('meanwhile', '1');
sql("SELECT skyvault_put('kv', 'passing', '5')");
disarm('delta-filter-page');
ok(await_state('complete'), 'complete');
is(get($reader, 'meanwhile'), '1', 'a row that was put while the heap was read');
is(get($reader, 'passing'), '5', 'another one');

# The heap cannot be read.
put('passing', '6');
sql("SELECT stop_point_arm('delta-filter-page', 'error', 3)");
flush();
ok(await_state('complete'), 'it is read again after an error');
is(get($reader, 'passing'), '6', 'and all is found');
like(slurp_file($node->logfile), qr/ERROR:  .*delta-filter-page/, 'there was an error');
disarm('delta-filter-page');

#
# Readers with older snapshots.  One that began before the flush keeps the old
# generation; one that began within it is served from the new one.
#
put('old', '1');
$reader->run('BEGIN ISOLATION LEVEL REPEATABLE READ');
is(get($reader, 'old'), '1', 'a snapshot from before the flush');
flush();
put('passing', '7');
flush();
is(state(), 'rotating', 'keeps the old generation');
is(get($reader, 'old'), '1', 'and finds the row that the flush has deleted');
$reader->run('COMMIT');
ok(await_state('complete'), 'complete');

put('old', '2');
arm('flush-uploaded', 'wait');
$flusher->send('SELECT skyvault_flush()');
await('flush-uploaded');
$reader->run('BEGIN ISOLATION LEVEL REPEATABLE READ');
is(get($reader, 'old'), '2', 'a snapshot from within the flush');
disarm('flush-uploaded');
$flusher->receive;
is(get($reader, 'old'), '2', 'finds the row that the flush has deleted');
foreach my $n (1 .. 3)
{
	put('passing', "within $n");
	flush();
	is(get($reader, 'old'), '2', "after $n more flushes too");
}
$reader->run('COMMIT');
is(get($reader, 'old'), '2', 'and then finds it in a run');
ok(await_state('complete'), 'complete');

# A reader that is slow between the state and the bits: what it looks at is
# cleared under its eyes.
foreach my $query ("SELECT skyvault_get('kv', 'looked for')", "SELECT value FROM kv WHERE key > 'looked ' ORDER BY key LIMIT 1")
{
	put('looked for', '1');
	arm('delta-filter-state-read', 'wait');
	$reader->send($query);
	await('delta-filter-state-read');
	foreach (1 .. 2)
	{
		forget();
		flush();
		ok(await_state('filling'), 'a new generation is published');
	}
	disarm('delta-filter-state-read');
	is(($reader->receive)[0], '1', 'a slow reader finds its row');
	ok(await_state('complete'), 'complete');
}

#
# Rows by other ways than puts.
#
my $file = $node->basedir . '/rows';

put('model', '1');
sub copy_row
{
	my ($key, $settings) = @_;

	sql("COPY (SELECT table_id, convert_to('$key', 'UTF8'), kind, expires_at, value FROM skyvault.delta WHERE key = 'model')"
		. " TO '$file'; $settings; COPY skyvault.delta FROM '$file'");
	return;
}

ok(is_excluded('copied'), 'a key that is not there');
copy_row('copied', '');
is(get($reader, 'copied'), '1', 'after COPY it is');
copy_row('replicated', 'SET session_replication_role = replica');
is(get($reader, 'replicated'), '1', 'as a subscription would do it');
sql("INSERT INTO skyvault.delta SELECT table_id, 'inserted', kind, expires_at, value FROM skyvault.delta WHERE key = 'model'");
is(get($reader, 'inserted'), '1', 'after INSERT');
is(state(), 'complete', 'and the filter is what it was');

sql("UPDATE skyvault.delta SET key = 'renamed' WHERE key = 'copied'");
is(get($reader, 'renamed'), '1', 'after an UPDATE of the key');
flush();
ok(await_state('complete'), 'complete again');
is(get($reader, 'renamed'), '1', 'later too');

put('model', '1');
sql('BEGIN; ALTER TABLE skyvault.delta DISABLE TRIGGER ALL; COMMIT');
copy_row('restored', '');
is(get($reader, 'restored'), '1', 'after COPY without triggers');
put('passing', '8');
sql('SELECT pg_sleep(0.5)');
isnt(state(), 'complete', 'without its trigger the filter is not complete');
sql('ALTER TABLE skyvault.delta ENABLE ALWAYS TRIGGER add_to_filter, ENABLE ALWAYS TRIGGER forget_filter');
ok(await_state('complete'), 'with it it is');
is(get($reader, 'restored'), '1', 'later too');

is(sql('SELECT state FROM skyvault_stat_delta_filter();'
		. ' CREATE TABLE t (i int); CREATE TRIGGER t BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();'
		. ' DROP TABLE t; SELECT state FROM skyvault_stat_delta_filter()'), "complete\ncomplete",
	'triggers of other tables do not matter');

# What moves rows and leaves their keys.
sql("VACUUM FULL skyvault.delta; CLUSTER skyvault.delta USING delta_pkey");
is(get($reader, 'restored'), '1', 'after VACUUM FULL and CLUSTER');
sql("UPDATE skyvault.delta SET value = value");
is(get($reader, 'restored'), '1', 'after an UPDATE of something else');

like(($writer->try("CREATE TABLE t (i int); CREATE TRIGGER t BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION"
		. " skyvault.delta_add_to_filter(); INSERT INTO t VALUES (1)"))[1], qr/^ERROR:  39P01: /m,
	'the trigger function is for no other table');

#
# Crashes, and another catalogue.
#
foreach my $mode ('fast', 'immediate')
{
	put('survivor', $mode);
	$_->quit foreach $reader, $writer, $flusher;
	$node->stop($mode);
	$node->start;
	($reader, $writer, $flusher) = map { session($node) } 1 .. 3;
	is(get($reader, 'survivor'), $mode, "$mode restart: the row is found");
	ok(await_state('complete'), "$mode restart: complete");
	is(get($reader, 'survivor'), $mode, "$mode restart: the row is found then");
}

sql('DROP EXTENSION skyvault CASCADE');
sql("CREATE EXTENSION skyvault; SELECT skyvault_create_table('kv')");
put('new', '1');
is(get($reader, 'new'), '1', 'another extension');
ok(await_state('complete'), 'complete');
is(get($reader, 'new'), '1', 'later too');
is(get($reader, 'survivor'), 'nothing', 'nothing of the old one');

$_->quit foreach $reader, $writer, $flusher;
$node->stop;

#
# Memory for one database.  The other one has it when the first is gone, even
# under the same name.
#
my $small = new_server('small', bare => 1, settings => "skyvault.delta_filter_size = 2MB\n");

sub small
{
	my ($database, $sql) = @_;

	return $small->safe_psql($database, $sql);
}

sub small_await
{
	return $small->poll_query_until($_[0], "SELECT state = '$_[1]' FROM skyvault_stat_delta_filter()");
}

small('postgres', 'CREATE DATABASE one');
install_skyvault($small, 'one');
small('one', "SELECT skyvault_create_table('kv'); SELECT skyvault_put('kv', 'k', 'one')");
ok(small_await('one', 'complete'), 'the first database has the memory');
small('postgres', 'CREATE DATABASE two TEMPLATE one');
small('two', "SELECT skyvault_put('kv', 'k2', 'two')");
is(small('two', 'SELECT state FROM skyvault_stat_delta_filter()'), 'off', 'the second has none');
is(small('two', "SELECT skyvault_get('kv', 'k'), skyvault_get('kv', 'k2')"), 'one|two', 'and works');

my $failing = session($small, 'one');
like(($small->psql('postgres', 'DROP DATABASE one'))[2], qr/is being accessed by other users/, 'the first is not dropped');
is($failing->run("SELECT skyvault_get('kv', 'k')"), 'one', 'and works');
$failing->quit;
small('postgres', 'DROP DATABASE one');
small('two', "SELECT skyvault_put('kv', 'k3', 'two')");
ok(small_await('two', 'complete'), 'when the first is gone, the second has the memory');
is(small('two', "SELECT skyvault_get('kv', 'k'), skyvault_get('kv', 'k2'), skyvault_get('kv', 'k4')"), 'one|two|', 'and works');
$small->stop;

# No memory at all.
$small->append_conf('postgresql.conf', "skyvault.delta_filter_size = 0\n");
$small->start;
small('two', "SELECT skyvault_put('kv', 'k5', 'two')");
is(small('two', "SELECT skyvault_get('kv', 'k'), skyvault_get('kv', 'k5')"), 'one|two', 'without a filter');
is(small('two', 'SELECT state, generations FROM skyvault_stat_delta_filter()'), 'off|0', 'which is off');
$small->stop;

#
# A standby has none, until it is promoted.
#
my $primary = new_server('primary', streaming => 1);
my $standby = PostgreSQL::Test::Cluster->new('standby');

$primary->safe_psql('postgres', "SELECT skyvault_create_table('kv'); SELECT skyvault_put('kv', 'k', '1')");
$primary->backup('base');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
$primary->safe_psql('postgres', "SELECT skyvault_put('kv', 'k2', '2')");
$primary->wait_for_catchup($standby);
my $recovering = session($standby);
$recovering->run('BEGIN ISOLATION LEVEL REPEATABLE READ');
is($recovering->run("SELECT skyvault_get('kv', 'k'), skyvault_get('kv', 'k2')"), '1|2', 'on a standby');
is($recovering->run('SELECT state FROM skyvault_stat_delta_filter()'), 'off', 'the filter is off');
$primary->stop;
$standby->promote;
$standby->safe_psql('postgres', "SELECT skyvault_put('kv', 'k3', '3')");
is($recovering->run("SELECT skyvault_get('kv', 'k'), skyvault_get('kv', 'k2'), skyvault_get('kv', 'k3')"), '1|2|',
	'after promotion, in a snapshot from before');
$recovering->run('COMMIT');
ok($standby->poll_query_until('postgres', "SELECT state = 'complete' FROM skyvault_stat_delta_filter()"),
	'then it becomes complete');
is($recovering->run("SELECT skyvault_get('kv', 'k'), skyvault_get('kv', 'k2'), skyvault_get('kv', 'k3')"), '1|2|3',
	'after that');
$recovering->quit;
$standby->stop;

done_testing();
