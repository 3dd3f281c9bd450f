# Batches of delta probes over index entries whose rows are dead: the index
# scan notes them while it goes from key to key.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $keys = 100_000;
my $node = new_server('main', settings => "autovacuum = off\n");

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

# Values depend on key and round, lengths too.
sub value
{
	my ($round) = @_;

	return "format('%s in round %s %s', k, $round, repeat('v', (k * $round) % 40))";
}

sub put_round
{
	my ($round, $which) = @_;

	sql("SELECT skyvault_multi_put('kv', array_agg('key ' || k), array_agg(" . value($round) . '))'
		. " FROM generate_series(1, $keys) AS k WHERE $which");
	return;
}

# One test: 50,000 keys, looked up in one statement of one backend, have the
# values that the expression names.
sub multi_get_finds
{
	my ($session, $expected, $test_name) = @_;
	my ($counts, $errors) = $session->try(
		"SELECT count(*), count(*) FILTER (WHERE g.value IS DISTINCT FROM $expected)"
		. " FROM generate_series(1, $keys, 2) AS k JOIN skyvault_multi_get('kv',"
		. " ARRAY(SELECT 'key ' || k FROM generate_series(1, $keys, 2) AS k)) AS g ON g.key = 'key ' || k");

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($errors, undef, "$test_name: no error");
	is($counts, $keys / 2 . '|0', "$test_name: the values");
	return;
}

sql("SELECT skyvault_create_table('kv')");
my $session = session($node);

put_round(1, 'true');
put_round(2, 'true');
multi_get_finds($session, value(2), 'all put twice') for 1 .. 2;

put_round(3, 'k % 3 = 0');
put_round(4, 'k % 3 = 0');
multi_get_finds($session, 'CASE WHEN k % 3 = 0 THEN ' . value(4) . ' ELSE ' . value(2) . ' END', 'some put again') for 1 .. 2;

# Dead rows of keys that have no live one.
sql('SELECT skyvault_flush()');
is(delta_rows($node), 0, 'all is in runs');
multi_get_finds($session, 'CASE WHEN k % 3 = 0 THEN ' . value(4) . ' ELSE ' . value(2) . ' END', 'flushed') for 1 .. 2;
put_round(5, 'k % 2 = 0');
put_round(6, 'k % 5 = 0');
multi_get_finds($session,
	'CASE WHEN k % 5 = 0 THEN ' . value(6) . ' WHEN k % 3 = 0 THEN ' . value(4) . ' ELSE ' . value(2) . ' END', 'flushed and put') for 1 .. 2;
is($session->run("SELECT count(*) FROM skyvault_scan('kv') WHERE value NOT LIKE substr(key, 5) || ' in round %'"), 0,
	'a scan finds the values of its keys');

$session->quit;
$node->stop;
done_testing();
