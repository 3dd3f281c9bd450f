# Caches that are far too small for what is read: answers are right, and what
# does not fit goes another way.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server('main', settings => <<'SETTINGS');
skyvault.cache_size = 4MB
skyvault.tail_cache_size = 1MB
skyvault.run_size = 64kB
skyvault.compression_level = 0
SETTINGS
my @tables = qw(one two);

sub counter
{
	my ($name) = @_;

	return $node->safe_psql('postgres', "SELECT $name FROM skyvault_stat_cache");
}

is(counter('cache_bytes'), 4 * 1024 * 1024, 'the block cache is as large as it was told');
is(counter('tail_cache_bytes'), 1024 * 1024, 'the tail cache is as large as it was told');

#
# More runs than the tail cache has room for, each with keys of both tables.
#
make_mirror($node, \@tables);
my $flushes = join('', map {
	my $round = $_;
	"SELECT mirror_multi_put(t, array_agg('key' || n), array_agg('round $round of ' || n))"
	  . " FROM unnest('{one,two}'::text[]) AS t, generate_series($round, $round * 4 + 60) AS n GROUP BY t;"
	  . "SELECT mirror_delete(t, 'key' || " . ($round * 3) . ") FROM unnest('{one,two}'::text[]) AS t;"
	  . 'SELECT skyvault_flush();' } 1 .. 150);
$node->safe_psql('postgres', $flushes);
cmp_ok(scalar run_objects($node), '>=', 150, 'there are many runs');
same_content($node, \@tables, 'more tails than fit: tables agree with their mirrors');
cmp_ok(counter('tail_evictions'), '>', 0, 'more tails than fit: some were evicted');
is($node->safe_psql('postgres', 'SELECT tail_cache_bytes_used <= tail_cache_bytes FROM skyvault_stat_cache'),
	't', 'more tails than fit: no more is used than there is');

# A scan has all runs open at once: who finds the cache full of what others have pinned does without it.
my @cursors = map { session($node) } 1 .. 2;
foreach (@cursors)
{
	$_->run('BEGIN; DECLARE c CURSOR FOR SELECT * FROM one');
	$_->run('FETCH 5 FROM c');
}
cmp_ok(counter('tail_bypasses'), '>', 0, 'a cache full of pinned tails: some were read past it');
same_content($node, \@tables, 'a cache full of pinned tails: tables agree with their mirrors');
my $rows = $node->safe_psql('postgres', 'SELECT count(*) FROM m_one WHERE value IS NOT NULL');
foreach (@cursors)
{
	is(5 + split(/\n/, $_->run('FETCH ALL FROM c')), $rows,
		'a cache full of pinned tails: a cursor returns all rows');
	$_->run('ROLLBACK');
}
is($node->safe_psql('postgres', 'SELECT coalesce(sum(pins), 0) FROM skyvault_cache'), 0, 'nothing is pinned in the end');
same_content($node, \@tables, 'nothing is pinned any more: tables agree with their mirrors');

#
# A table ten times as large as the block cache, with values of all sizes:
# small, chained in the cache, and too large for it.
#
$node->safe_psql('postgres', <<'SQL');
ALTER SYSTEM SET skyvault.run_size = '16MB';
SELECT pg_reload_conf();
SELECT skyvault_create_table('big');
CREATE TABLE plain (key text COLLATE "C" PRIMARY KEY, value text);
INSERT INTO plain SELECT 'key' || to_char(n, 'FM000000'),
	repeat(md5(n::text), CASE WHEN n % 1000 = 0 THEN 4000 WHEN n % 100 = 0 THEN 1000 ELSE n % 64 END)
	FROM generate_series(2, 50000, 2) AS n;
SELECT skyvault_multi_put('big', array_agg(key), array_agg(value)) FROM plain WHERE key < 'key025000';
SELECT skyvault_flush();
SELECT skyvault_multi_put('big', array_agg(key), array_agg(value)) FROM plain WHERE key >= 'key025000';
SELECT skyvault_flush();
SELECT skyvault_multi_put('big', array_agg(key), array_agg(value || 'x')) FROM plain WHERE key ~ '77.$';
UPDATE plain SET value = value || 'x' WHERE key ~ '77.$';
SELECT skyvault_flush();
VACUUM ANALYZE plain;

-- Raises an error if a get, a batch or a scan differs from the plain table.
CREATE PROCEDURE compare(seed float8, rounds int) LANGUAGE plpgsql AS $$
DECLARE
	k text;
	ks text[];
	expected text[];
	n bigint;
BEGIN
	PERFORM setseed(seed);
	FOR i IN 1 .. rounds LOOP
		FOR j IN 1 .. 50 LOOP
			k := 'key' || to_char(floor(random() * 50010), 'FM000000');
			IF skyvault_get('big', k) IS DISTINCT FROM (SELECT value FROM plain WHERE key = k) THEN
				RAISE EXCEPTION 'get of %', k;
			END IF;
		END LOOP;

		ks := ARRAY(SELECT 'key' || to_char(floor(random() * 50010), 'FM000000') FROM generate_series(1, 200));
		expected := ARRAY(SELECT p.value FROM unnest(ks) WITH ORDINALITY AS u(key, n)
						  LEFT JOIN plain AS p USING (key) ORDER BY u.n);
		IF skyvault_get_array('big', ks) IS DISTINCT FROM expected THEN
			RAISE EXCEPTION 'get_array of %', ks;
		END IF;
		IF ARRAY(SELECT value FROM skyvault_multi_get('big', ks)) IS DISTINCT FROM expected THEN
			RAISE EXCEPTION 'multi_get of %', ks;
		END IF;
		SELECT count(*) INTO n FROM (SELECT * FROM big WHERE key = ANY (ks)) AS b
			FULL JOIN (SELECT * FROM plain WHERE key = ANY (ks)) AS p USING (key, value)
			WHERE b IS NULL OR p IS NULL;
		IF n <> 0 THEN
			RAISE EXCEPTION 'ANY of %', ks;
		END IF;

		k := 'key' || to_char(floor(random() * 50010), 'FM000000');
		expected := ARRAY(SELECT md5(key || value) FROM plain WHERE key >= k ORDER BY key LIMIT 300);
		IF ARRAY(SELECT md5(key || value) FROM skyvault_scan('big', k, NULL, 300)) IS DISTINCT FROM expected THEN
			RAISE EXCEPTION 'scan from %', k;
		END IF;
		expected := ARRAY(SELECT md5(key || value) FROM plain WHERE key < k ORDER BY key DESC LIMIT 300);
		IF ARRAY(SELECT md5(key || value) FROM skyvault_scan('big', NULL, k, 300, true)) IS DISTINCT FROM expected THEN
			RAISE EXCEPTION 'scan backward from %', k;
		END IF;
	END LOOP;
END $$;
SQL
cmp_ok($node->safe_psql('postgres', 'SELECT sum(length(key) + length(value)) FROM plain'),
	'>', 10 * 4 * 1024 * 1024, 'the table is ten times as large as the cache');

my @before = map { counter($_) } qw(block_evictions block_bypasses block_hits);
my @sessions = map { session($node) } 1 .. 4;
$sessions[$_]->send("CALL compare(0.$_, 50)") foreach 0 .. $#sessions;
foreach (0 .. $#sessions)
{
	my ($rows, $errors) = $sessions[$_]->receive;
	is($errors, undef, "session $_: gets, batches and scans agree with the plain table");
}
$_->quit foreach @sessions, @cursors;
my @after = map { counter($_) } qw(block_evictions block_bypasses block_hits);
cmp_ok($after[0], '>', $before[0], 'blocks were evicted');
cmp_ok($after[1], '>', $before[1], 'blocks too large for the cache were read past it');
cmp_ok($after[2], '>', $before[2], 'blocks were found in the cache');
is($node->safe_psql('postgres', 'SELECT cache_bytes_used <= cache_bytes FROM skyvault_stat_cache'),
	't', 'no more is used than there is');

# Tails have a budget of their own: ten caches of blocks that come and go cost none of them.
@before = map { counter($_) } qw(block_evictions tail_loads tail_evictions tail_bypasses);
is($node->safe_psql('postgres', 'SELECT count(*) FROM skyvault_scan($$big$$) FULL JOIN plain USING (key, value)'),
	25000, 'a scan of the whole table agrees with the plain one');
@after = map { counter($_) } qw(block_evictions tail_loads tail_evictions tail_bypasses);
cmp_ok($after[0], '>', $before[0] + 1000, 'a scan of the whole table: blocks were evicted');
is("@after[1 .. 3]", "@before[1 .. 3]", 'a scan of the whole table: no tail was evicted, or loaded');

# Prewarming fills the cache from the newest run on, and stops there: once more, and
# nothing of that has gone.  What is too large for the cache is not read for it.
sub newest_is_cached
{
	return $node->safe_psql('postgres',
		"SELECT coalesce(c.blocks, 0) = i.blocks AND c.tail_bytes = i.tail_bytes FROM skyvault_index('big') AS i"
		  . ' LEFT JOIN skyvault_cache AS c USING (run) ORDER BY i.run DESC LIMIT 1');
}

$node->safe_psql('postgres', 'SELECT skyvault_clear_cache()');
my $bypasses = counter('block_bypasses');
my $frames = counter('cache_bytes') / 16384;
my $brought = $node->safe_psql('postgres', "SELECT skyvault_prewarm('big')");
cmp_ok($brought, '>', $frames / 2, 'a table larger than the cache can be prewarmed');
cmp_ok($brought, '<=', $frames, 'up to the size of the cache');
is(newest_is_cached(), 't', 'the newest run is cached then');
cmp_ok($node->safe_psql('postgres', "SELECT skyvault_prewarm('big')"), '<', $frames / 4, 'once more: little is brought');
is(newest_is_cached(), 't', 'and the newest run is still cached');
is(counter('block_bypasses'), $bypasses, 'nothing was read past the cache');
is($node->safe_psql('postgres', 'SELECT sum(frame_bytes) = cache_bytes_used, bool_or(frame_bytes > blocks * 16384)'
		. ' FROM skyvault_cache, skyvault_stat_cache GROUP BY cache_bytes_used'),
	't|t', 'what the runs take of the cache is all that is used, values of several frames included');

done_testing();
