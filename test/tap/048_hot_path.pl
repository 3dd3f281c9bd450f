# What lookups of data in memory look at besides the caches: nothing.  Each scan of a
# table or index of the catalogue is counted by Postgres, whoever makes it and how.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server('main', settings => "autovacuum = off\n");
my ($reader, $writer) = map { session($node) } 1 .. 2;

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

# Scans of tables of the catalogue, and of their indexes, in the session's transaction.
sub counted
{
	return split(/[|\n]/, $reader->run(
		'SELECT relname, coalesce(seq_scan, 0) + coalesce(idx_scan, 0) FROM pg_stat_xact_all_tables'
		  . " WHERE schemaname = 'skyvault'"));
}

# One test: what a statement of the reader answers, and which scans it makes, as
# "table number, ...".
sub looks_at
{
	my ($statement, $answer, $scans, $test_name) = @_;
	my %before = counted();
	my $got = $reader->run($statement);
	my %after = counted();

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is("$got: " . join(', ', map { "$_ " . ($after{$_} - $before{$_}) } grep { $after{$_} > $before{$_} } sort keys %after),
		"$answer: $scans", $test_name);
	return;
}

# Two looks at the changelog that agree are what it takes; and the scheduler has to
# see to the filter, and to the flag that is up after the start.
sub settle
{
	my $probes = 'SELECT probes FROM skyvault_stat_forest_probes()';

	$node->poll_query_until('postgres', "SELECT state = 'complete' FROM skyvault_stat_delta_filter()") or die 'no filter';
	foreach (1 .. 1000)
	{
		my $before = $reader->run($probes);

		sql('SELECT pg_current_xact_id()');
		$reader->run("SELECT skyvault_get('one', 'k1')") foreach 1 .. 3;
		return if $reader->run($probes) == $before;
		sql('SELECT pg_sleep(0.05)');
	}
	die 'gets go on to look at the changelog';
}

# Two runs, the newer with new values of every tenth key.
sql(<<'SQL');
SELECT skyvault_create_table('one');
SELECT skyvault_create_table('two');
SELECT skyvault_multi_put(t, array_agg('k' || n), array_agg(n || ' ' || sha256(n::text::bytea)::text))
	FROM unnest('{one,two}'::regclass[]) AS t, generate_series(1, 2000) AS n GROUP BY t;
SELECT skyvault_flush();
SELECT skyvault_multi_put(t, array_agg('k' || n), array_agg('new ' || sha256(n::text::bytea)::text))
	FROM unnest('{one,two}'::regclass[]) AS t, generate_series(10, 2000, 10) AS n GROUP BY t;
SELECT skyvault_flush();
SELECT skyvault_prewarm(t) FROM unnest('{one,two}'::regclass[]) AS t;
SQL

my $keys = "ARRAY(SELECT 'k' || n FROM generate_series(1, 1000) AS n)";
my $missing = "ARRAY(SELECT 'k' || n || 'x' FROM generate_series(1, 1000) AS n)";
my @reads = (
	[ 'gets', "SELECT count(skyvault_get('one', k)), count(*) FROM unnest($keys) AS k", '1000|1000' ],
	[ 'gets of missing keys', "SELECT count(skyvault_get('one', k)), count(*) FROM unnest($missing) AS k", '0|1000' ],
	[ 'gets of two tables', "SELECT count(skyvault_get(t, k)) FROM unnest('{one,two}'::regclass[]) AS t, unnest($keys) AS k", '2000' ],
	[ 'whether keys exist', "SELECT count(*) FROM unnest($keys || $missing) AS k WHERE skyvault_exists('one', k)", '1000' ],
	[ 'a batch', "SELECT count(value), count(*) FROM skyvault_multi_get('one', $keys || $missing)", '1000|2000' ],
	[ 'a batch of two tables',
		"SELECT count(value) FROM skyvault_multi_get(array_fill('one'::regclass, ARRAY[1000]) || array_fill('two'::regclass, ARRAY[1000]), $keys || $keys)",
		'2000' ],
	[ 'an array', "SELECT cardinality(array_remove(skyvault_get_array('one', $keys || $missing), NULL))", '1000' ],
	[ 'ANY', "SELECT count(*) FROM one WHERE key = ANY ($keys || $missing)", '1000' ],
	[ 'IN', "SELECT count(*) FROM one WHERE key IN ('k1', 'k10', 'k10x')", '2' ],
	[ 'one key of the foreign table', "SELECT left(value, 4) FROM one WHERE key = 'k10'", 'new ' ],
	[ 'a loop', <<'SQL', '' ]);
DO $$
BEGIN
	FOR n IN 1 .. 1000 LOOP
		IF skyvault_get('one', 'k' || n) IS NULL OR skyvault_get('two', 'k' || n || 'x') IS NOT NULL THEN
			RAISE EXCEPTION 'key %', n;
		END IF;
	END LOOP;
END $$
SQL

#
# Nothing is in the delta.
#
settle();
is(delta_rows($node), 0, 'the delta is empty');
$reader->run('BEGIN');
$reader->run($_->[1]) foreach @reads;
foreach (@reads)
{
	my ($what, $statement, $answer) = @$_;

	looks_at($statement, $answer, '', "$what: no table or index is looked at");
}
looks_at("SELECT count(*) FROM skyvault_scan('one')", '2000', '', 'a scan: no table or index is looked at');
$reader->run('COMMIT');

#
# Some keys are: these are looked for there, and no others.
#
$writer->run("SELECT skyvault_put('one', 'k7', 'put'), skyvault_put('one', 'k7x', 'put'), skyvault_delete('one', 'k8')");
settle();
$reader->run('BEGIN');
looks_at($reads[0][1], '999|1000', 'delta 2', 'gets: of two keys that are in the delta');
looks_at($reads[1][1], '1|1000', 'delta 1', 'gets of missing keys: of one that is in the delta');
looks_at($reads[4][1], '1000|2000', 'delta 3', 'a batch: of three keys');
looks_at($reads[6][1], '1000', 'delta 3', 'an array: of three keys');
looks_at($reads[7][1], '1000', 'delta 4', 'ANY: of three keys, and how many there are for the planner');
looks_at("SELECT count(skyvault_get('two', k)) FROM unnest($keys) AS k", '1000', '', 'another table: of none');
$reader->run("SELECT skyvault_put('one', 'k9', 'own')");
looks_at("SELECT skyvault_get('one', 'k9'), skyvault_get('one', 'k11') IS NULL", 'own|f', 'delta 1', 'an own key');
$reader->run('ROLLBACK');

# SERIALIZABLE leaves its predicate locks there.
$reader->run('BEGIN ISOLATION LEVEL SERIALIZABLE');
$reader->run('SELECT 1');
my %before = counted();
is($reader->run("SELECT count(skyvault_get('one', k)) FROM unnest($keys) AS k"), '999', 'SERIALIZABLE');
my %after = counted();
is($after{delta} - $before{delta}, 1000, 'SERIALIZABLE looks for each key');
$reader->run('COMMIT');

#
# A flush: who comes next looks at the changelog, and then nobody.
#
sql('SELECT skyvault_flush()');
$reader->run('BEGIN');
%before = counted();
is($reader->run("SELECT skyvault_get('one', 'k7')"), 'put', 'after a flush');
%after = counted();
cmp_ok($after{changelog} - $before{changelog}, '>', 0, 'the changelog is looked at');
$reader->run('COMMIT');
settle();
$reader->run('BEGIN');
$reader->run("SELECT skyvault_get('one', 'k1')");
looks_at($reads[0][1], '999|1000', '', 'and later nothing is, any more');
$reader->run('COMMIT');

$_->quit foreach $reader, $writer;
$node->stop;

#
# A filter with 12 bits for each key in the delta: of others less than 1 % are looked for.
#
my $small = new_server('small', settings => "autovacuum = off\nskyvault.delta_filter_size = 128kB\n");

$small->safe_psql('postgres', <<'SQL');
SELECT skyvault_create_table('kv');
SELECT skyvault_multi_put('kv', array_agg('key' || n), array_agg('value'::text)) FROM generate_series(1, 64 * 1024 * 8 / 12) AS n;
SQL
$small->poll_query_until('postgres', "SELECT state = 'complete' FROM skyvault_stat_delta_filter()") or die 'no filter';
my $session = session($small);
my $excluded = 'SELECT negatives FROM skyvault_stat_delta_filter()';
my $excluded_before = $session->run($excluded);
is($session->run("SELECT count(skyvault_get('kv', 'other' || n)) FROM generate_series(1, 20000) AS n"), 0, 'keys that are not there');
my $looked_for = 20_000 - ($session->run($excluded) - $excluded_before);
cmp_ok($looked_for, '>', 0, "of 20,000 keys $looked_for are looked for in the delta");
cmp_ok($looked_for, '<', 200, 'which is less than 1 %');
is($session->run("SELECT count(skyvault_get('kv', 'key' || n)) FROM generate_series(1, 64 * 1024 * 8 / 12) AS n"), int(64 * 1024 * 8 / 12),
	'all keys that are there are found');
$session->quit;
$small->stop;
done_testing();
