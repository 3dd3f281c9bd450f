# A restore, from a snapshot and from the log alone, brings back WAL runs, buffer
# runs and levels with gaps between them, as they were.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $store = PostgreSQL::Test::Utils::tempdir();
my $node = new_server('origin', settings => "max_worker_processes = 20\nskyvault.run_size = 64kB\n");
my @tables = qw(one two three);
my $server = "CREATE SERVER shared FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:$store')";

sub sql { return $node->safe_psql('postgres', $_[0]); }

sql($server);
make_mirror($node, \@tables, 'shared');
foreach my $round (1 .. 6)
{
	my $last = $round > 4 ? 'three' : 'two';

	sql("SELECT mirror_multi_put(t, array_agg('key' || n), array_agg(md5('$round' || n)))"
		. " FROM unnest('{one,$last}'::text[]) AS t, generate_series($round * 100, $round * 100 + 3000) AS n GROUP BY t");
	sql("SELECT skyvault_flush('shared')");
	sql("SELECT skyvault_compact('one', true)") if $round == 3;
	sql("SELECT skyvault_compact('two')") if $round == 5;
	sql("SELECT skyvault_snapshot('half', 'shared')") if $round == 4;
}
sql("SELECT skyvault_export('shared')");

my $registry = 'SELECT id, tier, level, seq_lo, seq_hi, object, file_bytes, table_ids, min_keys, max_keys, entries, tombstones'
  . ' FROM skyvault.run ORDER BY id';
my $digest = join(';', map { "SELECT count(*), md5(string_agg(key || value, ',')) FROM skyvault_scan('$_')" } @tables);
cmp_ok(sql('SELECT count(DISTINCT (tier, level)) FROM skyvault.run'), '>=', 2, 'there are runs of several tiers');

foreach my $from ('snapshot', 'log')
{
	if ($from eq 'log')
	{
		unlink("$store/$_") foreach split(/\n/, sql('SELECT object FROM skyvault.snapshot'));
	}
	$node->safe_psql('template1', "CREATE DATABASE restored_$from");
	$node->safe_psql("restored_$from", "CREATE EXTENSION skyvault; $server");
	$node->safe_psql("restored_$from", "SELECT skyvault_restore('shared')");
	is($node->safe_psql("restored_$from", $registry), sql($registry), "from the $from: the registry is as it was");
	is($node->safe_psql("restored_$from", $digest), sql($digest), "from the $from: and so is all data");
}

done_testing();
