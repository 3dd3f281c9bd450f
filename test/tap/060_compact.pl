# Compactions: of 2, 16, 17, 40 and 100 runs, by hand and by themselves, into
# one output or many, of tables that were truncated, dropped or that share runs.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server('main', settings => "skyvault.ttl_grace = 0\n");

# Every level of the table, as "tier level runs tombstones".
sub shape
{
	my ($table) = @_;

	return $node->safe_psql('postgres', <<~SQL);
		SELECT string_agg(format('%s%s: %s', tier, level, n), ', ' ORDER BY tier DESC, level)
		FROM (SELECT tier, level, count(*) AS n FROM skyvault.run
			WHERE (SELECT id FROM skyvault."table" WHERE relid = '$table'::regclass) = ANY (table_ids)
			GROUP BY tier, level) AS r
		SQL
}

sub put_round
{
	my ($tables, $round, $keys) = @_;

	foreach my $table (@$tables)
	{
		$node->safe_psql('postgres', <<~SQL);
			SELECT mirror_multi_put('$table', array_agg('key' || n * 7919 % 1000), array_agg('round $round of ' || n))
				FROM generate_series($round * 13, $round * 13 + $keys) AS n;
			SELECT mirror_delete('$table', 'key' || n * 7919 % 1000) FROM generate_series($round, $round + 5) AS n;
			SQL
	}
	$node->safe_psql('postgres', 'SELECT skyvault_flush()');
}

foreach my $runs (2, 16, 17, 40, 100)
{
	my $table = "merge$runs";

	make_mirror($node, [$table]);
	put_round([$table], $_, 40) foreach 1 .. $runs;
	is(shape($table), "w0: $runs", "$runs flushes are $runs runs");
	$node->safe_psql('postgres', "SELECT skyvault_compact('$table')");
	like(shape($table), qr/^l1: 1$/, "$runs runs: one is left in level 1");
	same_content($node, [$table], "$runs runs: nothing is lost");
	$node->safe_psql('postgres', "SELECT skyvault_compact('$table', true)");
	like(shape($table), qr/^l\d: 1$/, "$runs runs: compacted fully");
	is($node->safe_psql('postgres', "SELECT sum(t) FROM skyvault.run, unnest(tombstones) AS t"
		. " WHERE (SELECT id FROM skyvault.\"table\" WHERE relid = '$table'::regclass) = ANY (table_ids)"),
		0, "$runs runs: no tombstone is left");
	same_content($node, [$table], "$runs runs: nothing is lost after a full compaction");
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM skyvault.job WHERE state <> \'done\''), 0, 'all jobs went well');
done_testing();
