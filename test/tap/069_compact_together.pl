# Those who change a vault at the same time: they publish one after the other, so
# that nobody sees a change before the one that it follows, and no two workers
# claim the same, however close together they choose.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server('main', settings => <<~CONF);
	max_worker_processes = 12
	skyvault.max_workers = 2
	skyvault.compaction_runs = 2
	CONF
my $store = $node->data_dir . '/skyvault';
my @tables = qw(a b t);

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub arm { sql("SELECT stop_point_arm('$_[0]', 'wait', " . ($_[1] // 1) . ')') }
sub disarm { sql("SELECT stop_point_disarm('$_[0]')") }

sub await
{
	my ($point, $processes) = @_;

	$node->poll_query_until('postgres', "SELECT stop_point_waiting('$point') = " . ($processes // 1))
	  or die "nobody comes to $point";
}

# A run of the table with these keys and nine like it each.
sub write_run
{
	my ($table, @keys) = @_;

	sql("SELECT mirror_put('$table', k || n, 'value ' || random()) FROM unnest('{@{[ join(',', @keys) ]}}'::text[]) AS k,"
		. " generate_series(1, 9) AS n; SELECT skyvault_flush()");
}

my $numbering = 'skyvault.changelog 0';
my $claims = 'skyvault.changelog 1';

# What a process of this type waits for, once one does, or has got to the point
# which is behind that.
sub waits_for
{
	my ($type, $point) = @_;
	my $locks = "FROM pg_locks AS l JOIN pg_stat_activity AS s USING (pid) WHERE NOT l.granted AND s.backend_type = '$type'";

	$node->poll_query_until('postgres', "SELECT EXISTS (SELECT $locks) OR stop_point_waiting('$point') > 0");
	return sql("SELECT coalesce(nullif(l.classid, 0)::regclass::text || ' ' || l.objsubid, l.locktype) $locks");
}

make_mirror($node, \@tables);
sql("SELECT skyvault_create_table('truncated')");

#
# A compaction that has its number and has not committed: another compaction and
# a flush wait for it, users and the export do not.
#

# New changes since the last look; none may have appeared below.
my $seen = 0;
my %seen;

sub newly_seen
{
	my @new = grep { !$seen{$_}++ } split(/\n/, sql('SELECT id, kind FROM skyvault.changelog WHERE id IS NOT NULL ORDER BY id'));
	my @kinds;

	foreach my $change (@new)
	{
		my ($id, $kind) = split(/\|/, $change);
		push @kinds, $id == $seen + 1 ? $kind : "$kind that is $id after $seen";
		$seen = $id;
	}
	return join(' ', @kinds);
}

foreach my $table (qw(a b))
{
	write_run($table, 'k') foreach 1 .. 2;
}
is(newly_seen(), 'flush flush flush flush', 'the changes so far');
arm('compact-numbered');
my %asker = map { $_ => session($node) } qw(first second flush);
$asker{first}->send("SELECT skyvault_compact('a')");
await('compact-numbered');
$asker{second}->send("SELECT skyvault_compact('b')");
is(waits_for('skyvault compaction', 'compact-before-commit'), $numbering, 'a second compaction waits until the first has committed');
is(newly_seen(), '', 'nobody sees the one or the other');
is(sql('SELECT skyvault_export()'), 4, 'nor does the export');
sql("TRUNCATE truncated; SELECT mirror_put('a', 'k1', 'new')");
pass('users wait for neither');
same_content($node, \@tables, 'and read what they have written');
$asker{flush}->send('SELECT skyvault_flush()');
is(waits_for('skyvault scheduler', 'flush-numbered'), $numbering, 'a flush waits as well');

# Armed again, the point lets the first go on and holds the second.
arm('compact-numbered');
await('compact-numbered');
is(newly_seen(), 'compact', 'the first has committed: its change is seen');
is(waits_for('skyvault scheduler', 'flush-numbered'), $numbering, 'the flush waits for the second');
same_content($node, \@tables, 'with one of three changes nothing is lost');
arm('flush-numbered');
disarm('compact-numbered');
await('flush-numbered');
is(newly_seen(), 'truncate compact', 'the second has numbered what had no number, and then itself');
same_content($node, \@tables, 'with two of three changes nothing is lost');
disarm('flush-numbered');
went_well($asker{$_}, "$_: done") foreach qw(first second flush);
is(newly_seen(), 'flush', 'and the flush comes last');
same_content($node, \@tables, 'with all of them nothing is lost');
is(sql('SELECT skyvault_export()'), 4, 'all are exported then');
is(join(' ', map { slurp_file("$store/$_") =~ /"change": \{.*?"id": (\d+)/g }
		split(/\n/, sql('SELECT object FROM skyvault.log_object ORDER BY epoch, number'))),
	join(' ', 1 .. $seen), 'each once, in order');

#
# One worker has chosen and not committed its claim when another chooses of the
# same table.  Of its runs c lies between the keys of the first job's inputs and
# is in none of them: it may not go where the first job writes.
#
sql("SELECT skyvault_compact('a')");
$node->append_conf('postgresql.conf', "skyvault.wal_runs = 2\n");
$node->reload;
my $nothing_runs = "SELECT count(*) FILTER (WHERE state = 'running') = 0 FROM skyvault.job";
my $level0_of_t = 'FROM skyvault.run AS r, skyvault."table" AS t WHERE t.relid = \'t\'::regclass AND t.id = ANY (r.table_ids) AND r.level = 0';
my @keys = qw(b d c g i);
foreach my $n (1 .. @keys)
{
	write_run('t', $keys[ $n - 1 ]) foreach 1 .. 2;
	ok($node->poll_query_until('postgres', "SELECT string_agg(tier::text, '') = repeat('b', $n) $level0_of_t"), "$n runs");
}
my %run_of = map { reverse split(/\|/, $_) } split(/\n/,
	sql("SELECT r.id, left(convert_from(r.min_keys[1], 'UTF8'), 1) $level0_of_t"));

arm('compact-committed', 2);
foreach my $table (qw(a b))
{
	write_run($table, 'k') foreach 1 .. 2;
}
await('compact-committed', 2);
sql("ALTER FOREIGN TABLE t OPTIONS (ADD buffer_runs '1')");
arm('compact-claimed');
arm('compact-before-run', 2);
disarm('compact-committed');
await('compact-claimed');
is(waits_for('skyvault compaction', 'compact-before-run'), $claims, 'while a worker claims, another does not choose');
is(sql("SELECT count(*) FROM skyvault.job WHERE state = 'running' AND inputs && ARRAY[@{[ join(',', values %run_of) ]}]::bigint[]"), 0,
	'nobody sees a claim before it is committed');
disarm('compact-claimed');
await('compact-before-run', 2);
is(sql("SELECT array_agg(i ORDER BY i) FROM skyvault.job, unnest(inputs) AS i WHERE state = 'running' GROUP BY id ORDER BY id"),
	"{$run_of{b},$run_of{d}}\n{$run_of{g},$run_of{i}}", 'both have runs of their own, and none what lies between those of the first');
is(sql(<<~SQL), 0, 'and nowhere do both write');
	WITH targets AS (SELECT id, u.* FROM skyvault.job, unnest(target_tables, target_levels, target_lows, target_highs)
		AS u(table_id, level, low, high) WHERE state = 'running')
	SELECT count(*) FROM targets AS a JOIN targets AS b USING (table_id, level) WHERE a.id < b.id AND a.low <= b.high AND b.low <= a.high
	SQL
is(sql("SELECT count(*) FROM skyvault.job, unnest(target_lows, target_highs) AS u(low, high) WHERE state = 'running' AND low < 'c1' AND high > 'c9'"), 1,
	'what lies between is where one writes');
disarm('compact-before-run');
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 $level0_of_t"), 'in the end all runs have gone down');
ok($node->poll_query_until('postgres', $nothing_runs), 'and the jobs end');
is(sql("SELECT string_agg(error, '; ') FROM skyvault.job WHERE state = 'failed'"), '', 'none has failed');
same_content($node, \@tables, 'nothing is lost');

done_testing();
