# DROP EXTENSION against flushes that are on their way, and against those who
# wait for one: nobody waits for ever.  And what it leaves in the stores, as DROP
# SERVER and DROP DATABASE do.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server('main');
my ($flusher, $dropper) = map { session($node) } 1 .. 2;

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

# A table with a row to flush.
sub set_up
{
	sql('CREATE EXTENSION IF NOT EXISTS skyvault');
	sql("SELECT skyvault_create_table('kv'); SELECT skyvault_put('kv', 'k', 'v')");
	return;
}

# Waits until the session waits for a lock.
sub await_blocked
{
	my ($session) = @_;

	$node->poll_query_until('postgres',
		"SELECT wait_event_type IS NOT DISTINCT FROM 'Lock' FROM pg_stat_activity WHERE pid = " . $session->pid)
	  or die 'it does not wait for a lock';
	return;
}

# The extension made anew works in this session and in others.
sub works_again
{
	my ($session, $test_name) = @_;

	set_up();
	is(sql('SELECT skyvault_flush()'), 1, "$test_name: a new extension is flushed");
	is($session->run("SELECT skyvault_get('kv', 'k')"), 'v', "$test_name: and read by who was there before");
	sql('DROP FOREIGN TABLE kv');
	return;
}

#
# Who waits for a flush has no lock of the catalogue that a DROP would wait for.
#
set_up();
sql("SELECT stop_point_arm('flush-uploaded', 'wait')");
$flusher->send('SELECT skyvault_flush()');
sql("CALL stop_point_await('flush-uploaded')");
is(sql('SELECT count(*) FROM pg_locks JOIN pg_class AS c ON c.oid = relation'
		. " WHERE relnamespace = 'skyvault'::regnamespace AND pid = " . $flusher->pid),
	0, 'the session that waits for a flush locks nothing of the catalogue');
$dropper->send('DROP EXTENSION skyvault CASCADE');
is(($dropper->receive)[1], undef, 'DROP EXTENSION while a flush is on its way');
sql("SELECT stop_point_disarm('flush-uploaded')");
like(($flusher->receive)[1], qr/^ERROR: /m, 'who waited for the flush gets an error');
works_again($flusher, 'after DROP amid an upload');

#
# A reader of the table asks for a flush; DROP EXTENSION has locked the
# catalogue and waits for the reader, the flush for DROP EXTENSION.
#
set_up();
sql("SELECT stop_point_arm('flush-uploaded', 'wait')");
$flusher->run('BEGIN');
$flusher->run('SELECT * FROM kv');
$flusher->send('SELECT skyvault_flush()');
sql("CALL stop_point_await('flush-uploaded')");
$dropper->send('DROP EXTENSION skyvault CASCADE');
await_blocked($dropper);
sql("SELECT stop_point_disarm('flush-uploaded')");
like(($flusher->receive)[1], qr/^ERROR: /m, 'the flush that waits in a circle gives up');
$flusher->run('ROLLBACK');
is(($dropper->receive)[1], undef, 'and DROP EXTENSION succeeds');
works_again($flusher, 'after a circle');

#
# DROP EXTENSION is first.  Its end decides for who asks for a flush meanwhile.
#
foreach my $end ('ROLLBACK', 'COMMIT')
{
	set_up();
	$dropper->run('BEGIN');
	$dropper->run('DROP EXTENSION skyvault CASCADE');
	$flusher->send('SELECT skyvault_flush()');
	await_blocked($flusher);
	$dropper->run($end);
	if ($end eq 'ROLLBACK')
	{
		my ($entries, $errors) = $flusher->receive;

		is($errors, undef, "$end of DROP EXTENSION: the flush succeeds");
		is($entries, 1, "$end of DROP EXTENSION: it flushes what is there");
		sql('DROP FOREIGN TABLE kv');
	}
	else
	{
		like(($flusher->receive)[1], qr/^ERROR: /m, "$end of DROP EXTENSION: who asked for a flush gets an error");
	}
}
works_again($flusher, 'after a committed DROP');

$_->quit foreach $flusher, $dropper;

#
# What stays in the stores is named, with how to have it back, which works.
#
my $store = PostgreSQL::Test::Utils::tempdir();
my %vaults;

# A server for this part of the store, and perhaps a table with something in it.
sub make_vault
{
	my ($name, $is_used, $database) = @_;

	mkdir("$store/$name");
	$node->safe_psql($database // 'postgres', "CREATE SERVER $name FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:$store/$name')");
	return unless $is_used;
	$node->safe_psql($database // 'postgres', "SELECT skyvault_create_table('in_$name', server => '$name')");
	$node->safe_psql($database // 'postgres', "SELECT skyvault_put('in_$name', 'k', 'value in $name')");
	$node->safe_psql($database // 'postgres', "SELECT skyvault_snapshot(vault => '$name')");
	$vaults{$name} = $node->safe_psql($database // 'postgres', "SELECT vault FROM skyvault_vaults WHERE server = '$name'");
}

# One test: the statement names what stays of these vaults, and of no other.
sub names_vaults
{
	my ($statement, @names) = @_;
	my (undef, undef, $errors) = $node->psql('postgres', $statement);
	my $expected = join('', map {
		"NOTICE:  objects of the dropped vault stay in the store under \"$vaults{$_}/\"\n"
		  . "DETAIL:  The store of server \"$_\" is \"file:$store/$_\".\n"
		  . "HINT:  To have the vault back, make a server with the same options in a database without vaults, and call skyvault_restore()."
		  . " Else delete the objects there, once no backup needs them.\n" } sort @names);
	my %told = $errors =~ /^psql:\S+ (NOTICE:  objects of.*\n.*"file:\S+\/(\w+)"\.\n.*\n?)/mg;
	my %by_name = reverse %told;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(join('', map { $by_name{$_} =~ s/\n*\z/\n/r } sort keys %by_name), $expected, "$statement names what stays") or diag($errors);
}

# One test: a new database has again what was in the vault.
sub is_restored
{
	my ($name) = @_;
	my $database = "again_$name";

	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, 'CREATE EXTENSION skyvault');
	make_vault($name, 0, $database);
	$node->safe_psql($database, "SELECT skyvault_restore('$name')");

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($node->safe_psql($database, "SELECT skyvault_get('in_$name', 'k')"), "value in $name", 'it can be had back');
}

make_vault('unused', 0);
make_vault($_, 1) foreach qw(one two three);
names_vaults('DROP SERVER unused');
names_vaults('DROP SERVER one CASCADE', 'one');
sql('DROP FOREIGN TABLE in_two');
names_vaults('DROP SERVER two', 'two');
make_vault('four', 1);
names_vaults('DROP EXTENSION skyvault CASCADE', 'three', 'four');
is_restored('three');

# DROP DATABASE runs nothing of the database: README says the same of it.
sql('CREATE DATABASE dropped');
$node->safe_psql('dropped', 'CREATE EXTENSION skyvault');
make_vault('five', 1, 'dropped');
sql('DROP DATABASE dropped');
is_restored('five');

$node->stop;
done_testing();
