# The delta's heap is rewritten, or cut, while a flush that has read it is on
# its way.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $keys = 3000;
my $node = new_server('main', settings => "autovacuum = off\n");
my $flusher = session($node);

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

sub put_all
{
	my ($table, $value) = @_;

	sql("SELECT mirror_multi_put('$table', array_agg('key ' || k), array_agg($value)) FROM generate_series(1, $keys) AS k");
	return;
}

make_mirror($node, [ 'kv', 'other' ]);

# Fewer blocks, as many, more; with other rows than those, or the same.
foreach my $case (
	[ 'shorter', 'VACUUM FULL skyvault.delta', sub { put_all('kv', "'short ' || k") } ],
	[ 'of the same length', 'VACUUM FULL skyvault.delta', sub { put_all('kv', "repeat('w', 300)") } ],
	[ 'longer', 'VACUUM FULL skyvault.delta', sub { put_all('kv', "repeat('w', 900)") } ],
	[ 'deleted', 'VACUUM FULL skyvault.delta', sub { sql("SELECT count(mirror_delete('kv', 'key ' || k)) FROM generate_series(1, $keys) AS k") } ],
	[ 'in part shorter', 'VACUUM FULL skyvault.delta', sub {
		sql("SELECT count(mirror_put('kv', 'key ' || k, 'short')) FROM generate_series(1, $keys) AS k WHERE k % 2 = 0") } ],
	[ 'what they were', 'VACUUM FULL skyvault.delta', sub { } ],
	[ 'clustered', 'CLUSTER skyvault.delta USING delta_pkey', sub { } ],
	[ 'truncated', 'VACUUM skyvault.delta', sub { sql('TRUNCATE kv, m_kv; TRUNCATE other, m_other') } ])
{
	my ($name, $rewrite, $change) = @$case;

	put_all('other', "'other ' || k");
	put_all('kv', "repeat('v', 300)");
	$flusher->run("SELECT stop_point_arm('flush-uploaded', 'wait')");
	$flusher->send('SELECT skyvault_flush()');
	sql("CALL stop_point_await('flush-uploaded')");
	$change->();
	sql($rewrite);
	same_content($node, [ 'kv', 'other' ], "rows $name: content before the publish");
	sql("SELECT stop_point_disarm('flush-uploaded')");
	is(($flusher->receive)[1], undef, "rows $name: the flush succeeds");
	same_content($node, [ 'kv', 'other' ], "rows $name: content after it");
	sql('SELECT skyvault_flush()');
	is(delta_rows($node), 0, "rows $name: the next flush leaves nothing in the delta");
	same_content($node, [ 'kv', 'other' ], "rows $name: content after that");
}

$flusher->quit;
$node->stop;
done_testing();
