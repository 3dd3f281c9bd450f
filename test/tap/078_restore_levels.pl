# A restore, to a named snapshot, from a snapshot with the log since and from the log
# alone, brings back WAL runs, buffer runs and levels with a gap between them, as
# they were.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $store = PostgreSQL::Test::Utils::tempdir();
my $node = new_server('origin', settings => <<'CONF');
max_worker_processes = 20
skyvault.run_size = 64kB
skyvault.level1_size = 64kB
skyvault.level_ratio = 2
CONF
my @tables = qw(one two three);
my $server = "CREATE SERVER shared FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:$store')";
my $round = 0;

sub sql { return $node->safe_psql('postgres', $_[0]); }

# Keys of these tables, some of which are deleted again, in a run.
sub write_run
{
	my ($tables, $from, $to) = @_;

	$round++;
	sql(<<~SQL) foreach @$tables;
		SELECT mirror_multi_put('$_', array_agg(format('key%s', 10000 + n)), array_agg(md5('$round' || n) || md5(n || '$round')))
			FROM generate_series($from, $to) AS n;
		SELECT mirror_delete('$_', format('key%s', 10000 + n)) FROM generate_series($from, $to, 50) AS n;
		SQL
	sql("SELECT skyvault_flush('shared')");
}

# WAL runs become buffer runs.
sub split_wal_runs
{
	sql("ALTER SYSTEM SET skyvault.wal_runs = 2");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM skyvault.run WHERE tier = 'w'") or die;
	sql("ALTER SYSTEM RESET skyvault.wal_runs");
	$node->reload;
}

# Adds to level 1 of the first table, a buffer run and a WAL run to each that has its turn.
sub grow
{
	my ($from) = @_;

	write_run([qw(one two)], $from, $from + 400);
	sql("SELECT skyvault_compact('one')");
	write_run([qw(one two)], $from + 200, $from + 600);
	write_run([qw(one three)], $from + 300, $from + 500);
	split_wal_runs();
	write_run(\@tables, $from + 350, $from + 450);
}

# Of each level of the table, as "tier level runs"; of level 3 only whether it has several.
sub shape
{
	my ($table) = @_;

	return sql(<<~SQL);
		SELECT string_agg(format('%s%s: %s', tier, level, CASE WHEN level < 3 THEN n::text WHEN n > 1 THEN 'several' ELSE 'few' END),
			', ' ORDER BY level, tier DESC)
		FROM (SELECT tier, level, count(*) AS n FROM skyvault.run
			WHERE (SELECT id FROM skyvault."table" WHERE relid = '$table'::regclass) = ANY (table_ids)
			GROUP BY tier, level) AS r
		SQL
}

my $registry = "SELECT to_jsonb(r) - 'vault_id' FROM skyvault.run AS r ORDER BY id";
my $digest = join(';', map { "SELECT count(*), md5(string_agg(key || value, ',')) FROM skyvault_scan('$_')" } @tables);

sub state_of
{
	my ($database) = @_;

	return [ map { $node->safe_psql($database, $_) } $registry, $digest ];
}

my $restores = 0;

sub restores_as
{
	my ($expected, $arguments, $test_name) = @_;
	my $database = 'restored' . ++$restores;

	$node->safe_psql('template1', "CREATE DATABASE $database");
	$node->safe_psql($database, "CREATE EXTENSION skyvault; $server");
	$node->safe_psql($database, "SELECT skyvault_restore('shared'$arguments)");
	my $got = state_of($database);
	is($got->[0], $expected->[0], "$test_name: the registry is as it was");
	is($got->[1], $expected->[1], "$test_name: and so is all data");
}

sql($server);
make_mirror($node, \@tables, 'shared');
write_run(['one'], 0, 4999);
sql("SELECT skyvault_compact('one', true)");
is(shape('one'), 'l3: several', 'all of a table is in level 3');
grow(1000);
is(shape('one'), 'w0: 1, b0: 1, l1: 1, l3: several', 'then also in WAL and buffer runs and level 1, but not in level 2');
is(shape('two'), 'w0: 1, b0: 1', 'other tables are in level 0');
sql("SELECT skyvault_snapshot('half', 'shared')");
my $half = state_of('postgres');

grow(1200);
is(shape('one'), 'w0: 1, b0: 1, l1: 1, l3: several', 'more of the same since the snapshot');
is(shape('two'), 'w0: 1, b0: 2', 'and of the others');
isnt(state_of('postgres')->[$_], $half->[$_], 'there is something new') foreach 0, 1;
same_content($node, \@tables, 'tables agree with their mirrors');
sql("SELECT skyvault_export('shared')");

my $now = state_of('postgres');
restores_as($half, ", 'half'", 'to a snapshot');
restores_as($now, '', 'from a snapshot and the log since');
unlink("$store/$_") == 1 or die foreach split(/\n/, sql('SELECT object FROM skyvault.snapshot'));
restores_as($now, '', 'from the log alone');

done_testing();
