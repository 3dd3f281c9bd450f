# Lookups of keys in the partitions of a table: all of them wait for the store together,
# and find what each of them would.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultS3;
use SkyvaultTest;
use Test::More;

my $s3 = SkyvaultS3->shared->start_proxy;
my $node = new_server('main',
	settings => "skyvault.cache_size = 8MB\nskyvault.disk_cache_size = 0\nskyvault.store_timeout = 1h\nmax_parallel_workers_per_gather = 0\n");

sub sql { return $node->safe_psql('postgres', $_[0]) }

sql($s3->create_server('vault'));
sql($s3->create_server('other'));
sql('CREATE TABLE t (id integer, v text) PARTITION BY LIST ((id % 5)); CREATE TABLE plain (id integer PRIMARY KEY, v text)');
sql("CREATE FOREIGN TABLE t$_ PARTITION OF t FOR VALUES IN ($_) SERVER vault OPTIONS (key 'id')") foreach 0 .. 3;
sql("CREATE FOREIGN TABLE t4 PARTITION OF t FOR VALUES IN (4) SERVER other OPTIONS (key 'id')");
sql("INSERT INTO $_ SELECT n, 'v' || n FROM generate_series(1, 5000) AS n") foreach qw(t plain);
sql('SELECT skyvault_flush()');
sql("SELECT skyvault_compact('t$_')") foreach 0 .. 4;
sql("UPDATE $_ SET v = 'in the delta' WHERE id % 10 = 0") foreach qw(t plain);
sql("DELETE FROM $_ WHERE id % 100 = 1") foreach qw(t plain);

sub make_cold
{
	sql('SELECT skyvault_clear_cache()');
	sql("SELECT count(*) FROM skyvault_index('t$_')") foreach 0 .. 4;
	return;
}

my $session = session($node);
my $query = 'SELECT count(*), sum(id), string_agg(v, \',\' ORDER BY id) FROM %s WHERE id IN (1011, 1002, 1003, 1004, 1005, 1010, 101)';
my $right = sql(sprintf($query, 'plain'));

# One after the other they would wait for one block each.
make_cold();
my $rule = $s3->fault('hold', method => '^GET$', path => '\.sst');
$session->send(sprintf($query, 't'));
$s3->await_hits($rule, 5);
pass('all partitions of both vaults wait at once');
$s3->clear_faults;
my ($rows, $errors) = $session->receive;
is($rows, $right, 'and find what is there');
is($session->run(sprintf($query, 't')), $right, 'cached as well');

# What is not asked for at once: lists that are too long, operands that come later, and whoever is asked again.
foreach my $case (
	'SELECT count(*), sum(id) FROM %s WHERE id = ANY (ARRAY(SELECT n FROM generate_series(1, 4000, 3) AS n))',
	'SELECT count(*), sum(id) FROM %s WHERE id = ANY ((SELECT array_agg(n) FROM generate_series(1, 40) AS n)::integer[])',
	'SELECT n, (SELECT string_agg(v, \',\' ORDER BY v) FROM %s WHERE id IN (n, n + 1, 1003)) FROM generate_series(1, 20, 3) AS n',
	'SELECT n, (SELECT string_agg(v, \',\' ORDER BY v) FROM %s WHERE id IN (101, 1010, 1003) AND id > n) FROM generate_series(1, 20, 3) AS n',
	'SELECT a.id, b.v FROM %1$s AS a JOIN %1$s AS b ON a.id = b.id + 1 WHERE a.id IN (5, 6, 7, 8) AND b.id IN (4, 5, 6) ORDER BY 1',
	'SELECT id, v FROM %s WHERE id IN (1, 2, 3, 4, 5) ORDER BY id LIMIT 2',
	'SELECT count(*) FROM (SELECT id FROM %1$s WHERE id IN (4, 5) UNION ALL SELECT id FROM %1$s WHERE id IN (5, 6)) AS u')
{
	my ($mine, $theirs) = map { sprintf($case, $_) } qw(t plain);

	make_cold();
	is(sql("SET enable_hashjoin = off; SET enable_mergejoin = off; $mine"), sql($theirs), $mine);
}

# Cursors that are open side by side, an error in between, and prepared plans.
is($session->run(<<~SQL), "1002\n1003\n1002\n1003\n1004", 'cursors side by side');
	BEGIN;
	DECLARE a CURSOR FOR SELECT id FROM t WHERE id IN (1002, 1003) ORDER BY id;
	DECLARE b CURSOR FOR SELECT id FROM t WHERE id IN (1002, 1003, 1004) ORDER BY id;
	FETCH 1 FROM a;
	SAVEPOINT s;
	SELECT id FROM t WHERE id IN (1003, 1003);
	ROLLBACK TO s;
	FETCH ALL FROM b;
	COMMIT;
	SQL
($rows, $errors) = $session->try('SELECT 1 / (id - 1002) FROM t WHERE id IN (1002, 1003, 1004)');
like($errors, qr/22012/, 'an error on the way');
is($session->run(sprintf($query, 't')), $right, 'leaves nothing behind');
$session->run('PREPARE q(integer[]) AS SELECT count(*) FROM t WHERE id = ANY ($1)');
is($session->run("EXECUTE q('{" . join(',', 2 .. $_ ) . "}')"), $_ - 1, "a prepared plan, up to $_") foreach 1, 3, 7, 8, 9, 10, 11;
$session->quit;
done_testing();
