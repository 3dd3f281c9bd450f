# A compaction leaves in the cache what readers had there: all of other tables, the
# tails of its outputs, and of their blocks those with the keys of cached blocks,
# before it is published.  Nothing else of what it reads and writes comes there.
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
	my ($table, $step) = @_;

	sql(<<~SQL);
		SELECT skyvault_multi_put('$table', array_agg('key' || n),
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
	write_run('kv', $_) foreach 1, 2;
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

#
# Of a table that nobody reads, beside one that is read.
#
sub cached_of
{
	my ($table) = @_;

	return sql('SELECT c.run, c.blocks, c.tail_bytes > 0 FROM skyvault_cache AS c JOIN skyvault.run AS r ON r.id = c.run'
		. " WHERE (SELECT id FROM skyvault.\"table\" WHERE relid = '$table'::regclass) = ANY (r.table_ids) ORDER BY c.run");
}

# All that a compaction leaves alone.
sub counters
{
	return sql('SELECT block_hits, block_loads, block_waits, block_bypasses, block_evictions, tail_bypasses, tail_evictions,'
		. ' cache_bytes_used FROM skyvault_stat_cache');
}

sql("SELECT skyvault_create_table('read'), skyvault_create_table('cold')");
write_run('read', $_) foreach 1, 2;
foreach my $parts (1, 4)
{
	sql("ALTER FOREIGN TABLE cold OPTIONS (ADD subcompaction_size '64kB', ADD run_size '128kB')") if $parts > 1;
	write_run('cold', $_) foreach 1, 2;
	sql('SELECT skyvault_clear_cache()');
	cmp_ok(sql("SELECT skyvault_prewarm('read')"), '>', 40, 'a table is in the cache');
	my ($cached, $counters) = (cached_of('read'), counters());
	my (undef, $tails) = loads();

	sql("SELECT skyvault_compact('cold')");
	my ($outputs, $in_parts) = split(/\|/,
		sql("SELECT cardinality(outputs), parts FROM skyvault.job WHERE kind = 'compact' ORDER BY id DESC LIMIT 1"));
	is($in_parts, $parts, "another is compacted in $parts") if $parts > 1;
	is(cached_of('read'), $cached, 'all that was cached still is');
	is(counters(), $counters, 'no block was loaded, used or evicted');
	is((loads())[1] - $tails, $outputs, 'but the tail of each output was loaded');
	like(cached_of('cold'), qr/\A(?:\d+\|0\|t\n?){$outputs}\z/, 'of the outputs nothing else is there');
}
done_testing();
