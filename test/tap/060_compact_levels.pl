# What is too much in a level goes down to the next one, by itself: runs of a level
# stay disjoint, and nothing is lost or comes back.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $level1_size = 128 * 1024;
my $bottom = 3;
my $node = new_server('main', settings => <<"CONF");
skyvault.max_workers = 1
skyvault.wal_runs = 2
skyvault.buffer_runs = 2
skyvault.level1_size = ${level1_size}B
skyvault.level_ratio = 2
skyvault.bottom_level = $bottom
CONF

sub sql { return $node->safe_psql('postgres', $_[0]); }

# Nothing is due, and nobody is at work.
sub await_settled
{
	$node->poll_query_until('postgres', <<~SQL) or die;
		SELECT count(*) FILTER (WHERE tier = 'w') < 2 AND count(DISTINCT seq_hi) FILTER (WHERE tier = 'b') < 2
			AND NOT EXISTS (SELECT FROM skyvault.job WHERE state = 'running')
			AND NOT EXISTS (SELECT FROM skyvault.run WHERE level BETWEEN 1 AND $bottom - 1
				GROUP BY level HAVING sum(file_bytes) >= $level1_size * 2 ^ (level - 1))
		FROM skyvault.run
		SQL
}

# Values of every eighth key, in a new order each time, and deletes.
sub write_round
{
	my ($round) = @_;

	sql(<<~SQL);
		SELECT mirror_multi_put('kv', array_agg(format('key%s', 10000 + n * 7919 % 12000)), array_agg(md5('$round' || n) || md5(n || '$round')))
			FROM generate_series($round * 1300, $round * 1300 + 1500) AS n;
		SELECT mirror_delete('kv', format('key%s', 10000 + n * 7919 % 12000)) FROM generate_series($round * 900, $round * 900 + 60) AS n;
		SELECT skyvault_flush();
		SQL
}

my $overlapping = <<'SQL';
SELECT a.level, a.id, b.id FROM skyvault.run AS a JOIN skyvault.run AS b
	ON a.level = b.level AND a.id < b.id AND a.min_keys[1] <= b.max_keys[1] AND b.min_keys[1] <= a.max_keys[1]
WHERE a.level > 0
SQL

make_mirror($node, ['kv']);
sql("ALTER FOREIGN TABLE kv OPTIONS (ADD run_size '64kB')");
foreach my $round (1 .. 14)
{
	write_round($round);
	await_settled();
	is(sql($overlapping), '', "round $round: runs of a level are disjoint");
	same_content($node, ['kv'], "round $round: nothing is lost, and nothing comes back") if $round % 2 == 0;
}

is(sql("SELECT string_agg(DISTINCT level::text, ' ' ORDER BY level::text) FROM skyvault.run WHERE tier = 'l'"), '1 2 3',
	'each level has its part');
cmp_ok(sql('SELECT sum(t) FROM skyvault.run, unnest(tombstones) AS t WHERE level BETWEEN 1 AND 2'), '>', 0,
	'tombstones that hide something stay');
is(sql('SELECT sum(t) FROM skyvault.run, unnest(tombstones) AS t WHERE level = 3'), 0, 'in the last level there is none');

my $level_jobs = "(SELECT id, state, target_levels, m[1]::int AS level, m[2]::bigint AS bytes FROM skyvault.job,"
  . " regexp_match(reason, '^level (\\d+) has (\\d+) bytes\$') AS m WHERE kind = 'compact' AND reason ~ '^level') AS j";
is(sql("SELECT string_agg(DISTINCT level::text, ' ' ORDER BY level::text) FROM $level_jobs"), '1 2',
	'jobs say which level has too much; the last one never has');
is(sql("SELECT * FROM $level_jobs WHERE state <> 'done' OR bytes < $level1_size * 2 ^ (level - 1) OR target_levels <> ARRAY[level + 1]"),
	'', 'it was too much, and went to the next level');
is(sql("SELECT count(*) FROM skyvault.job WHERE state <> 'done'"), 0, 'all jobs went well');

sql("SELECT skyvault_compact('kv', true)");
is(sql('SELECT DISTINCT tier, level FROM skyvault.run'), "l|$bottom", 'compacted fully, all is in the last level');
is(sql($overlapping), '', 'its runs are disjoint');
is(sql('SELECT sum(e), sum(t) FROM skyvault.run, unnest(entries, tombstones) AS u(e, t)'),
	sql('SELECT count(value), 0 FROM m_kv'), 'every key has one entry, and no tombstone is left');
same_content($node, ['kv'], 'nothing is lost after a full compaction');
is(sql("SELECT count(*) FROM skyvault_verify('kv', true)"), 0, 'files are as the registry says');

done_testing();
