# Whatever holds garbage back is named, the oldest of several, and nobody who does
# not; and what a DROP leaves is garbage at once.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server('node', settings => "skyvault.retention = 0\nskyvault.orphan_grace = 0\nwal_level = logical\n");
my $store = PostgreSQL::Test::Utils::tempdir();
my $key = 0;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub gone { return -e "$store/$_[0]" ? 0 : 1; }

# Puts something into each of the tables, in one run; its object.
sub make_run
{
	my @tables = @_;

	sql("SELECT skyvault_put('$_', 'key " . ++$key . "', 'value')") foreach @tables;
	sql("SELECT skyvault_flush('shared')");
	return (reverse(run_objects($node)))[0];
}

sub make_garbage
{
	my $object = make_run('kv');

	sql('TRUNCATE kv');
	return $object;
}

sub told
{
	my ($object, $arguments) = @_;

	return sql("SELECT coalesce(held_by, 'nobody') FROM skyvault_gc($arguments) WHERE object = '$object'");
}

# Two tests: a dry run and a collection name it, and it stays.
sub is_held
{
	my ($object, $who, $case) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(told($object, 'dry_run => true'), $who, "$case: a dry run tells");
	is(told($object, '') . ', ' . (gone($object) ? 'gone' : 'there'), "$who, there", "$case: and so does a collection, which leaves it");
}

sub is_collected
{
	my ($object, $case) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(told($object, 'dry_run => true'), 'nobody', "$case: nobody holds it");
	is(told($object, '') . ', ' . (gone($object) ? 'gone' : 'there'), 'nobody, gone', "$case: it is collected");
}

# Begins a transaction that is older than all that is still to come.
sub begin
{
	my ($session, @statements) = @_;

	$session->run($_) foreach @statements;
	sql('SELECT pg_current_xact_id()');
}

my @snapshot = ('BEGIN ISOLATION LEVEL REPEATABLE READ', 'SELECT 1');
my @xid = ('BEGIN', 'SELECT pg_current_xact_id()');

sub prepare
{
	my ($name, $database) = @_;

	$node->safe_psql($database // 'postgres', "BEGIN; CREATE TABLE t (i int); PREPARE TRANSACTION '$name'");
	sql('SELECT pg_current_xact_id()');
}

sql("CREATE SERVER shared FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:$store', shared 'on')");
sql("SELECT skyvault_create_table('$_', server => 'shared')") foreach qw(kv stays dropped also_dropped);

my ($reader, $writer) = map { session($node) } 1 .. 2;

# Two at once: first one, then the other.
begin($reader, @snapshot);
prepare('younger');
my $object = make_garbage();
is_held($object, 'snapshot of process ' . $reader->pid, 'a snapshot and a younger prepared transaction');
$reader->run('COMMIT');
is_held($object, "prepared transaction 'younger'", 'the prepared transaction alone');
sql("ROLLBACK PREPARED 'younger'");
is_collected($object, 'with the end of both');

prepare('older');
begin($writer, @xid);
$object = make_garbage();
is_held($object, "prepared transaction 'older'", 'a prepared transaction and a younger one of a process');
sql("ROLLBACK PREPARED 'older'");
is_held($object, 'transaction of process ' . $writer->pid, 'one of a process, without a snapshot');

# They hold what was removed after they began, and nothing else.
$writer->run('COMMIT');
my $before = make_garbage();
begin($reader, @snapshot);
my $after = make_garbage();
is(told($before, 'true') . ', ' . told($after, 'true'), 'nobody, snapshot of process ' . $reader->pid, 'a snapshot holds what it can see');
is(sql('SELECT count(*) FROM skyvault_gc() WHERE held_by IS NULL'), 2, 'all else is collected beside it');
is(gone($before) . gone($after), '10', 'and what it sees is there');
$reader->run('COMMIT');
is_collected($after, 'after the snapshot');

# Who asks may be the one.
begin($writer, @xid);
$object = make_garbage();
is($writer->run("SELECT held_by FROM skyvault_gc(true) WHERE object = '$object'"), 'this transaction', 'a transaction that asks is told of itself');
$writer->run('COMMIT');
is_collected($object, 'when it has ended');

# Under REPEATABLE READ it does not see what others do, and is told of it all the same.
begin($reader, @snapshot);
$object = make_garbage();
my $new = make_run('kv');
is($reader->run("SELECT held_by FROM skyvault_gc(true, true) WHERE object = '$object'"), 'snapshot of this transaction', 'a snapshot that asks is told of itself');
is($reader->run("SELECT count(*) FROM skyvault_gc(true, true) WHERE object = '$new'"), 0, 'what others published meanwhile is no orphan');
is($reader->run("SELECT count(*) FROM skyvault_verify_vault('shared', true)"), 0, 'nor too much for skyvault_verify_vault');
$reader->run('COMMIT');
is_collected($object, 'when the snapshot has gone');

# Nobody in another database reads the vault; but as old as the oldest transaction of any are the snapshots taken here.
sql('CREATE DATABASE elsewhere');
my ($stranger, $busy) = map { session($node, 'elsewhere') } 1 .. 2;
begin($stranger, @snapshot);
is_collected(make_garbage(), 'a snapshot of another database');
begin($busy, @xid);
$object = make_garbage();
is_held($object, 'transaction of process ' . $busy->pid . ' of database elsewhere', 'a transaction of another database');
$busy->run('COMMIT');
is_collected($object, 'when that has ended');
prepare('elsewhere', 'elsewhere');
begin($reader, @snapshot);
$object = make_garbage();
is_held($object, "prepared transaction 'elsewhere' of database elsewhere", 'a prepared one of another database, and a snapshot');
$node->safe_psql('elsewhere', "ROLLBACK PREPARED 'elsewhere'");
is_held($object, 'snapshot of process ' . $reader->pid, 'the snapshot alone, which is as old');
$reader->run('COMMIT');
is_collected($object, 'with the end of that');
$_->quit foreach $stranger, $busy, $reader, $writer;

# A logical slot keeps rows of Postgres's own catalogue, not of the registry; a physical one keeps all.
sql("SELECT pg_create_logical_replication_slot('logical', 'pgoutput')");
$object = make_garbage();
is(sql("SELECT xmin IS NULL, age(catalog_xmin) > 1 FROM pg_replication_slots WHERE slot_name = 'logical'"), 't|t', 'a logical slot, older than the removal');
is_collected($object, 'a logical slot');
sql("SELECT pg_drop_replication_slot('logical')");

# What a DROP leaves is no orphan, for which a sweep would have to look.
$object = make_run('dropped');
my $shared = make_run('stays', 'also_dropped');
sql('BEGIN; DROP FOREIGN TABLE dropped; ROLLBACK');
is(sql('SELECT count(*) FROM skyvault.garbage'), 0, 'a DROP that is rolled back leaves nothing');
sql('DROP FOREIGN TABLE dropped, also_dropped');
is_collected($object, 'a table is dropped');
is(told($shared, 'true') . ', ' . gone($shared), ', 0', 'a run that another table has part in is no garbage');
sql("SELECT skyvault_compact('stays', true)");
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM skyvault.garbage WHERE object = '$shared'"), 'until that is merged');
is_collected($shared, 'then');
is(sql("SELECT value FROM skyvault_scan('stays')"), 'value', 'which has what it had');
is(sql("SELECT count(*) FROM skyvault_gc(true, true)"), 0, 'and nothing is left to be swept');

# By itself, too.
sql("SELECT skyvault_create_table('dropped', server => 'shared')");
$object = make_run('dropped');
reload_with($node, 'skyvault.gc_interval = 1s');
sql('DROP FOREIGN TABLE dropped');
ok($node->poll_query_until('postgres', 'SELECT garbage = 0 FROM skyvault_vaults'), 'the worker collects what a DROP left');
ok(gone($object), 'its object is gone');

done_testing();
