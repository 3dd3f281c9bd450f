# A compaction leaves in the cache what readers had there: the tails of its outputs,
# and of their blocks those with the keys of cached blocks, before it is published.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server('main', settings => "skyvault.max_workers = 2\n");

sub sql { return $node->safe_psql('postgres', $_[0]) }

# (blocks, tails) loaded since the server was started.
sub loads { return split(/\|/, sql('SELECT block_loads, tail_loads FROM skyvault_stat_cache')) }

# Reads keys that are readers' favourites, a tenth of all.
sub read_hot
{
	is(sql("SELECT count(value) FROM skyvault_multi_get('kv', ARRAY(SELECT 'key' || n FROM generate_series(2000, 2299) AS n))"),
		300, $_[0]);
}

sub write_run
{
	my ($step) = @_;

	sql(<<~SQL);
		SELECT skyvault_multi_put('kv', array_agg('key' || n),
			array_agg((SELECT string_agg(md5(format('%s %s $step', n, i)), '') FROM generate_series(1, 10) AS i)))
			FROM generate_series(1000, 3999, $step) AS n;
		SELECT skyvault_flush();
		SQL
}

# Whole, and in parts, of which another worker does some.
sql("SELECT skyvault_create_table('kv')");
foreach my $parts (1, 4)
{
	sql("ALTER FOREIGN TABLE kv OPTIONS (ADD subcompaction_size '64kB', ADD run_size '128kB')") if $parts > 1;
	write_run($_) foreach 1, 2;
	sql('SELECT skyvault_clear_cache()');
	read_hot('before');
	my ($blocks, $tails) = loads();

	sql("SELECT stop_point_arm('compact-before-publish', 'wait')");
	my $client = session($node);
	$client->send("SELECT skyvault_compact('kv')");
	sql("CALL stop_point_await('compact-before-publish')");
	is(sql("SELECT parts FROM skyvault_jobs WHERE state = 'running'"), $parts, "a compaction in $parts");
	my ($warm_blocks, $warm_tails) = loads();
	cmp_ok($warm_blocks, '>', $blocks, 'blocks are warm before the publish');
	cmp_ok($warm_tails, '>', $tails, 'tails are warm before the publish');
	sql("SELECT stop_point_disarm('compact-before-publish')");
	my ($rows, $errors) = $client->receive;
	is($errors, undef, 'it is published');
	$client->quit;

	read_hot('after');
	is(join(' ', loads()), "$warm_blocks $warm_tails", 'who reads what was hot loads nothing');
	my $outputs = sql("SELECT cardinality(outputs) FROM skyvault.job WHERE kind = 'compact' ORDER BY id DESC LIMIT 1");
	is($warm_tails - $tails, $outputs, 'each output has its tail in the cache');
	cmp_ok(sql("SELECT sum(c.blocks) * 3 < sum(i.blocks) FROM skyvault_index('kv') AS i JOIN skyvault_cache AS c ON c.run = i.run"),
		'eq', 't', 'and no more blocks than were hot');
	sql("SELECT skyvault_get('kv', 'key3999')");
	my ($cold_blocks) = loads();
	is($cold_blocks, $warm_blocks + 1, 'who reads what was cold loads it');
	sql("SELECT skyvault_compact('kv', true)");
}
done_testing();
