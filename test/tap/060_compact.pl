# Compactions of 2, 16, 17, 40 and 100 runs, by hand and by themselves, of WAL runs
# and of buffer runs, into one output and into several; of 100 tables that share WAL
# runs; and which tombstones they leave.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server('main', settings => <<~CONF);
	skyvault.ttl_grace = 0
	skyvault.max_workers = 1
	skyvault.compaction_runs = 100
	skyvault.run_size = 1MB
	CONF

sub sql { return $node->safe_psql('postgres', $_[0]); }

# For WHERE: that a run has something of the table.
sub of_table
{
	my ($table) = @_;

	return "(SELECT id FROM skyvault.\"table\" WHERE relid = '$table'::regclass) = ANY (table_ids)";
}

# Every level of the table, as "tier level: runs".
sub shape
{
	my ($table) = @_;

	return sql("SELECT string_agg(format('%s%s: %s', tier, level, n), ', ' ORDER BY tier DESC, level)"
		. " FROM (SELECT tier, level, count(*) AS n FROM skyvault.run WHERE " . of_table($table) . ' GROUP BY tier, level) AS r');
}

# Of runs that have nothing of other tables.
sub tombstones
{
	my ($table) = @_;

	return sql('SELECT coalesce(sum(t), 0) FROM skyvault.run, unnest(tombstones) AS t WHERE ' . of_table($table));
}

sub newest_job { return sql('SELECT max(id) FROM skyvault.job'); }

sub jobs_since
{
	my ($job) = @_;

	return sql("SELECT cardinality(inputs), reason, state FROM skyvault.job WHERE kind = 'compact' AND id > $job ORDER BY id");
}

# Waits for the end of the one job that has begun since; what it was.
sub await_job
{
	my ($job) = @_;

	$node->poll_query_until('postgres', "SELECT count(*) > 0 AND bool_and(state = 'done') FROM skyvault.job WHERE kind = 'compact' AND id > $job")
	  or die 'no compaction has ended';
	return jobs_since($job);
}

# For the value of key n in a round: 320 characters.
sub value_of { return "(SELECT string_agg(md5(format('%s %s $_[0]', n, i)), '') FROM generate_series(1, 10) AS i)"; }

# So many flushes, each of 40 keys of 2000, of which it has 13 last, and of deletes.
sub write_runs
{
	my ($table, $runs) = @_;
	my $script = '';

	foreach my $round (1 .. $runs)
	{
		my $value = value_of($round);

		$script .= <<~SQL;
			SELECT mirror_multi_put('$table', array_agg('key' || n * 7919 % 2000), array_agg($value))
				FROM generate_series($round * 13, $round * 13 + 40) AS n;
			SELECT mirror_delete('$table', 'key' || n * 7919 % 2000) FROM generate_series($round, $round + 5) AS n;
			SELECT skyvault_flush();
			SQL
	}
	sql($script);
}

#
# By hand.
#
foreach my $runs (2, 16, 17, 40, 100)
{
	my $table = "merge$runs";
	my $in_level1 = $runs >= 40 ? qr/^l1: ([2-9]|\d\d)$/ : qr/^l1: \d$/;

	make_mirror($node, [$table]);
	sql("ALTER FOREIGN TABLE $table OPTIONS (ADD run_size '64kB', ADD compression_level '0')");
	write_runs($table, $runs);
	is(shape($table), "w0: $runs", "$runs flushes are $runs runs");
	my $newest = newest_job();
	sql("SELECT skyvault_compact('$table')");
	is(jobs_since($newest), "$runs|by hand|done", "$runs runs: one job takes them all");
	like(shape($table), $in_level1, "$runs runs: what is left is in level 1");
	is(tombstones($table), 0, "$runs runs: no tombstone is left");
	same_content($node, [$table], "$runs runs: nothing is lost");
	sql("SELECT skyvault_compact('$table', true)");
	like(shape($table), $in_level1, "$runs runs: a full compaction has nothing to do");
	is(sql("SELECT count(*) FROM skyvault_verify('$table', true)"), 0, "$runs runs: files are as the registry says");
}

#
# By themselves: so many WAL runs, and then so many buffer runs.
#
foreach my $runs (17, 40, 100)
{
	my $table = "alone$runs";
	my $newest = newest_job();

	make_mirror($node, [$table]);
	reload_with($node, "skyvault.wal_runs = $runs");
	write_runs($table, $runs);
	like(await_job($newest), qr/^$runs\|$runs WAL runs of \d+ bytes\|done$/, "$runs WAL runs: one job takes them all, unasked");
	is(shape($table), 'b0: 1', "$runs WAL runs: they are a buffer run");
	same_content($node, [$table], "$runs WAL runs: nothing is lost");
	reload_with($node, 'skyvault.wal_runs = 1000');
	next if $runs > 40;

	# More buffer runs, of two WAL runs each.
	write_runs($table, 2 * ($runs - 1));
	reload_with($node, 'skyvault.compaction_runs = 2', 'skyvault.wal_runs = 2');
	ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM skyvault.run WHERE tier = 'w'"), "$runs buffer runs: WAL runs are split");
	is(shape($table), "b0: $runs", "$runs buffer runs: there are as many");
	$newest = newest_job();
	reload_with($node, 'skyvault.wal_runs = 1000', 'skyvault.compaction_runs = 100', "skyvault.buffer_runs = $runs");
	like(await_job($newest), qr/^$runs\|$runs buffer runs of \d+ bytes\|done$/, "$runs buffer runs: one job takes them all, unasked");
	like(shape($table), qr/^l1: \d$/, "$runs buffer runs: they are in level 1");
	is(tombstones($table), 0, "$runs buffer runs: no tombstone is left");
	same_content($node, [$table], "$runs buffer runs: nothing is lost");
	reload_with($node, 'skyvault.buffer_runs = 1000');
}

#
# 100 tables in each WAL run: one job makes a buffer run of each, and several of one
# that is larger.
#
my @many = map { "t$_" } 1 .. 100;
my $newest = newest_job();
make_mirror($node, \@many);
sql("ALTER FOREIGN TABLE t50 OPTIONS (ADD run_size '64kB', ADD compression_level '0')");
reload_with($node, 'skyvault.wal_runs = 4');
foreach my $round (1 .. 4)
{
	my $value = value_of($round);

	is(sql("SELECT count(*) FROM skyvault.run WHERE tier = 'w' AND cardinality(table_ids) = 100"), $round - 1, "100 tables in each WAL run before round $round");
	sql(<<~SQL);
		SELECT mirror_multi_put('t' || t, array_agg('key' || n), array_agg('round $round of ' || t))
			FROM generate_series(1, 100) AS t, generate_series($round, $round + 10) AS n GROUP BY t;
		SELECT mirror_multi_put('t50', array_agg('large' || n), array_agg($value)) FROM generate_series($round * 100, $round * 100 + 300) AS n;
		SELECT mirror_delete('t' || t, 'key' || $round + t % 10) FROM generate_series(1, 100) AS t;
		SELECT skyvault_flush();
		SQL
}
like(await_job($newest), qr/^4\|4 WAL runs of \d+ bytes\|done$/, '100 tables: one job takes all WAL runs');
is(sql(<<~SQL), '100|100|t|t', '100 tables: of each it has made a run of its own, and several of the larger one');
	WITH outputs AS (SELECT o AS id FROM skyvault.job, unnest(outputs) AS o WHERE kind = 'compact' AND id > $newest),
		tables AS (SELECT table_ids AS of_table, count(*) AS n FROM skyvault.run JOIN outputs USING (id) WHERE tier = 'b' GROUP BY table_ids)
	SELECT count(*), sum(cardinality(of_table)), max(n) > 1, count(*) FILTER (WHERE n > 1) = 1 FROM tables
	SQL
is(sql("SELECT count(*) FROM skyvault.run WHERE tier = 'w'"), 0, '100 tables: no WAL run is left');
same_content($node, \@many, '100 tables: nothing is lost in any of them');
reload_with($node, 'skyvault.wal_runs = 1000');

#
# Tombstones: they stay where a lower level may have the key, and nowhere else.
#
make_mirror($node, ['deleted']);
sql("ALTER FOREIGN TABLE deleted OPTIONS (ADD run_size '64kB', ADD level1_size '64kB', ADD bottom_level '2', ADD compression_level '0')");
my $large = value_of(0);
sql("SELECT mirror_multi_put('deleted', array_agg('a' || lpad(n::text, 4, '0')), array_agg($large)) FROM generate_series(1, 500) AS n");
sql("SELECT skyvault_compact('deleted', true)");
like(shape('deleted'), qr/^l2: \d$/, 'keys a are in the last level');
sql("SELECT mirror_put('deleted', 'b' || lpad(n::text, 4, '0'), 'value') FROM generate_series(1, 20) AS n; SELECT skyvault_flush()");
sql("SELECT mirror_delete('deleted', k || lpad(n::text, 4, '0')) FROM (VALUES ('a', 100), ('b', 10), ('c', 30)) AS d(k, last), generate_series(1, last) AS n;"
	. ' SELECT skyvault_flush()');
is(tombstones('deleted'), 110, 'a flush leaves tombstones of keys that runs may have, and of no others');
sql("SELECT skyvault_compact('deleted')");
like(shape('deleted'), qr/^l1: 1, l2: \d$/, 'they are in level 1');
is(sql('SELECT e || \' \' || t FROM skyvault.run, unnest(entries, tombstones) AS u(e, t) WHERE level = 1 AND ' . of_table('deleted')), '110 100',
	'those stay that hide something in level 2, and with them what was not deleted');
same_content($node, ['deleted'], 'what was deleted does not come back');
sql("SELECT skyvault_compact('deleted', true)");
like(shape('deleted'), qr/^l2: \d$/, 'compacted fully, all is in the last level');
is(sql('SELECT sum(e), sum(t) FROM skyvault.run, unnest(entries, tombstones) AS u(e, t) WHERE ' . of_table('deleted')), '410|0',
	'no tombstone is left, and nothing that one has hidden');
same_content($node, ['deleted'], 'nor does it come back then');

is(sql("SELECT count(*) FROM skyvault.job WHERE state <> 'done'"), 0, 'all jobs went well');
$node->stop;
done_testing();
