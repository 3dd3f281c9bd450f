# Sessions that read, load and evict all the time are killed at any moment: inside a
# lookup, under a lock, amid a load or a copy.  The server restarts by itself with empty
# caches, of which nothing is locked, claimed or pinned.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $keys = 16_000;
my $node = new_server('main', settings => <<'SETTINGS');
skyvault.cache_size = 4MB
skyvault.tail_cache_size = 1MB
skyvault.compression_level = 0
skyvault.run_size = 128kB
SETTINGS

# Four times as many blocks as the cache has room for, in many runs; values follow from
# the keys.  Some are of several frames.
$node->safe_psql('postgres', <<SQL);
SELECT skyvault_create_table('kv');
CREATE FUNCTION value_of(n int) RETURNS text LANGUAGE sql IMMUTABLE
	RETURN repeat(md5(n::text), CASE WHEN n % 1000 = 0 THEN 1200 ELSE 20 + n % 20 END);
CREATE FUNCTION key_of(n int) RETURNS text LANGUAGE sql IMMUTABLE RETURN 'key' || to_char(n, 'FM00000');
SELECT skyvault_multi_put('kv', array_agg(key_of(n)), array_agg(value_of(n))) FROM generate_series(1, $keys) AS n;
SELECT skyvault_flush();

-- Gets, batches and pieces of scans, until it is killed.
CREATE PROCEDURE read_for_ever() LANGUAGE plpgsql AS \$\$
DECLARE
	k int;
	ns int[];
BEGIN
	LOOP
		FOR i IN 1 .. 20 LOOP
			k := 1 + floor(random() * $keys);
			IF skyvault_get('kv', key_of(k)) IS DISTINCT FROM value_of(k) OR skyvault_exists('kv', key_of(k) || 'x') THEN
				RAISE EXCEPTION 'wrong: get of %', k;
			END IF;
		END LOOP;
		ns := ARRAY(SELECT 1 + floor(random() * $keys)::int FROM generate_series(1, 50));
		IF skyvault_get_array('kv', ARRAY(SELECT key_of(n) FROM unnest(ns) AS n)) IS DISTINCT FROM
			ARRAY(SELECT value_of(n) FROM unnest(ns) AS n) THEN
			RAISE EXCEPTION 'wrong: batch of %', ns;
		END IF;
		k := 1 + floor(random() * ($keys - 30));
		IF EXISTS (SELECT FROM skyvault_scan('kv', key_of(k), key_of(k + 30)) AS s
				   WHERE s.value IS DISTINCT FROM value_of(substr(s.key, 4)::int)) THEN
			RAISE EXCEPTION 'wrong: scan from %', k;
		END IF;
	END LOOP;
END \$\$;
SQL
cmp_ok(scalar run_objects($node), '>', 64, 'there are more runs than the cache has room for tails');

sub counter
{
	my ($name) = @_;

	return $node->safe_psql('postgres', "SELECT $name FROM skyvault_stat_cache");
}

foreach my $round (1 .. 4)
{
	my @sessions = map { session($node) } 1 .. 4;

	$_->send('CALL read_for_ever()') foreach @sessions;
	$node->poll_query_until('postgres', "SELECT block_evictions > $round * 300 AND block_hits > 1000 FROM skyvault_stat_cache")
	  or die 'they do not read';
	kill('KILL', $sessions[ $round % 4 ]->pid) or die $!;
	my @ends = map { [ $_->await_lost ] } @sessions;
	is(join(' ', map { $_->[0] } @ends), '1 1 1 1', "round $round: one is killed, and the server restarts");
	unlike(join('', map { $_->[1] } @ends), qr/wrong: /, "round $round: nobody has read anything wrong");
	$_->quit foreach @sessions;
	await_server($node) or die 'no restart';
	is($node->safe_psql('postgres', 'SELECT count(*) FROM skyvault_cache'), 0, "round $round: the caches are empty then");
	is($node->safe_psql('postgres', <<~SQL), "$keys|$keys", "round $round: all is readable");
		SELECT count(*) FILTER (WHERE value = value_of(substr(key, 4)::int)),
			   (SELECT count(*) FROM skyvault_multi_get('kv', ARRAY(SELECT key_of(n) FROM generate_series(1, $keys) AS n))
				 WHERE value = value_of(substr(key, 4)::int))
			FROM skyvault_scan('kv')
		SQL
	is($node->safe_psql('postgres', 'SELECT coalesce(sum(pins), 0) FROM skyvault_cache'), 0, "round $round: nothing is pinned");
	is(counter('cache_bytes_used <= cache_bytes AND tail_cache_bytes_used <= tail_cache_bytes'), 't', "round $round: no more is used than there is");
}

$node->stop;
done_testing();
