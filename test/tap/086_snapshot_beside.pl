# A snapshot is what was committed before it was asked for, whatever others write, empty,
# merge and commit while it is made; what is flushed after its own flush and before it
# reads is in it too.  With the log since then it is the vault as it is.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultClones;
use SkyvaultTest;
use Test::More;

my @tables = qw(kv emptied);
my ($node, $store) = origin('main', settings => <<'SETTINGS');
max_worker_processes = 20
skyvault.retention = 0
skyvault.orphan_grace = 0
SETTINGS
my $round = 0;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub content { return sql(join(';', map { content_of($_) } @tables)); }

sub write_round
{
	$round++;
	sql(<<~SQL);
		SELECT mirror_multi_put(t, array_agg('key' || n), array_agg('round $round of ' || n))
			FROM unnest('{kv,emptied}'::text[]) AS t, generate_series($round * 10, $round * 10 + 99) AS n GROUP BY t;
		SELECT mirror_delete('kv', 'key' || n) FROM generate_series($round * 12, $round * 12 + 3) AS n;
		SQL
}

# What is restored, to the snapshot and to the last change; nobody needs what it does not name.
sub is_restored
{
	my ($name, $in_snapshot) = @_;

	sql("SELECT skyvault_flush('shared'), skyvault_export('shared')");
	cmp_ok(sql("SELECT count(*) FROM skyvault_gc(sweep => true, vault => 'shared') WHERE held_by = 'snapshot " . ($name =~ /-/ ? qq{"$name"} : $name) . "'"),
		'>', 0, "$name: it keeps runs that were merged or emptied since");
	is(restored_content($node, $store, ", '$name'", @tables), $in_snapshot, "$name: the snapshot has what it should");
	is(restored_content($node, $store, '', @tables), content(), "$name: with the log since then it is all there is");
	same_content($node, \@tables, "$name: tables agree with their mirrors");
}

make_mirror($node, ['emptied'], 'shared');

#
# While the worker makes it.
#
foreach my $point ('snapshot-half-read', 'snapshot-before-upload', 'snapshot-uploaded', 'snapshot-before-commit')
{
	my ($compactor, $writer, $asker) = map { session($node) } (1 .. 3);

	write_round(), sql("SELECT skyvault_flush('shared')") foreach 1 .. 2;
	$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'skyvault compaction'") or die;
	sql("SELECT stop_point_arm('compact-before-publish', 'wait')");
	$compactor->send("SELECT skyvault_compact('kv', full => true)");
	sql("CALL stop_point_await('compact-before-publish')");
	my $job = sql("SELECT id FROM skyvault.job WHERE kind = 'compact' AND state = 'running'");
	write_round();
	$writer->run('BEGIN');
	$writer->run("SELECT mirror_put('kv', 'not committed', 'at $point')");
	my $expected = content();
	sql("SELECT stop_point_arm('$point', 'wait')");
	$asker->send("SELECT skyvault_snapshot('$point', 'shared')");
	sql("CALL stop_point_await('$point')");

	$writer->run('COMMIT');
	sql("SELECT mirror_put('kv', '$point', 'x'), mirror_put('kv', 'key' || $round * 10 + 50, 'newer'), mirror_delete('kv', 'key' || $round * 10 + 60);"
		. "TRUNCATE emptied, m_emptied; SELECT mirror_put('emptied', 'after', '$point')");
	sql("SELECT stop_point_disarm('compact-before-publish')");
	ok($node->poll_query_until('postgres', "SELECT state = 'done' FROM skyvault.job WHERE id = $job"), "$point: a compaction is published meanwhile");
	is(sql("SELECT stop_point_waiting('$point')"), 1, "$point: the snapshot is still being made");
	sql("SELECT stop_point_disarm('$point')");
	is_deeply([ $asker->receive ], [ 1, undef ], "$point: it is made");
	went_well($compactor, "$point: and so is the compaction");
	$_->quit foreach $writer, $asker;
	is_restored($point, $expected);
}

#
# Between its flush and what the worker reads.
#
{
	my $asker = session($node);

	write_round();
	sql("SELECT stop_point_arm('snapshot-flushed', 'wait')");
	$asker->send("SELECT skyvault_snapshot('flushed', 'shared')");
	sql("CALL stop_point_await('snapshot-flushed')");
	is(sql('SELECT count(*) FROM skyvault.delta'), 0, 'what was committed before is flushed');
	sql("SELECT mirror_put('kv', 'flushed', 'by another')");
	sql("SELECT skyvault_flush('shared')");
	sql('TRUNCATE emptied, m_emptied');
	my $expected = content();
	sql("SELECT mirror_put('kv', 'flushed', 'after'), mirror_put('kv', 'put', 'after'), mirror_put('emptied', 'put', 'after')");
	sql("SELECT stop_point_disarm('snapshot-flushed')");
	is_deeply([ $asker->receive ], [ 1, undef ], 'the snapshot is made');
	$asker->quit;
	write_round();
	sql("TRUNCATE kv, m_kv; SELECT mirror_put('kv', 'put', 'in the end')");
	is_restored('flushed', $expected);
}
$node->stop;

done_testing();
