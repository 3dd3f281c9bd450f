# Joins by many lookups at once.  Random joins of plain tables with tables of a vault,
# whose rows are in the delta and in runs, answer what the same joins with plain
# tables answer.  Of a store where requests take time, all that the keys of a batch
# need is asked for at once.
#
# SKYVAULT_SEED repeats the joins, SKYVAULT_STEPS makes them more.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultS3;
use SkyvaultTest;
use Test::More;

my $seed = $ENV{SKYVAULT_SEED} // int(rand(2**31));
my $steps = $ENV{SKYVAULT_STEPS} // 150;
srand($seed);
diag("SKYVAULT_SEED=$seed");

my $s3 = SkyvaultS3->shared->start_proxy;
my $node = new_server('main', settings => "skyvault.disk_cache_size = 0\nskyvault.store_timeout = 1h\n");

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub pick { return $_[ int(rand(@_)) ]; }

# ------------------------------------------------------------------- random joins
# Each table of the vault has a plain one beside it, p_NAME.  Of the partitioned ones the
# key says which partition a row is in, or it does not: then it may have a row in each.
my %columns = (
	ints => 'k bigint, v text, n int',
	hashed => 'k bigint, v text, n int',
	listed => 'a text COLLATE "C", b int, v text, n int',
	loose => 'k bigint, v text, n int',
	pairs => 'a text COLLATE "C", b int, v text, n int',
	map => 'k text, v text');
my %keys = (ints => 'k', hashed => 'k', listed => 'a, b', loose => 'k', pairs => 'a, b', map => 'k');
my %partition_by = (hashed => 'HASH (k)', listed => 'LIST (a)', loose => 'RANGE (n)');
my %partitions = (
	hashed => [ map { "FOR VALUES WITH (MODULUS 3, REMAINDER $_)" } 0 .. 2 ],
	listed => [ "FOR VALUES IN ('a1', 'a3', 'a5', 'a7')", "FOR VALUES IN ('a2', 'a4')", 'DEFAULT' ],
	loose => [ 'FOR VALUES FROM (MINVALUE) TO (7)', 'FOR VALUES FROM (7) TO (20)', 'FOR VALUES FROM (20) TO (MAXVALUE)' ]);
# Of a plain table there is one row where the partitioned one has one: a column says which partition it is in.
my %plain = %columns;
my %plain_key = %keys;
$plain{loose} .= ', part int GENERATED ALWAYS AS (CASE WHEN n < 7 THEN 1 WHEN n < 20 THEN 2 ELSE 3 END) STORED';
$plain_key{loose} = 'k, part';

foreach my $table (sort keys %columns)
{
	my $how = "SERVER skyvault OPTIONS (key '$keys{$table}')";
	my $i = 0;

	sql("CREATE TABLE p_$table ($plain{$table}, PRIMARY KEY ($plain_key{$table}))");
	if ($partitions{$table})
	{
		sql("CREATE TABLE $table ($columns{$table}) PARTITION BY $partition_by{$table}");
		sql("CREATE FOREIGN TABLE ${table}_" . $i++ . " PARTITION OF $table $_ $how") foreach @{ $partitions{$table} };
		next;
	}
	sql("CREATE FOREIGN TABLE $table ($columns{$table}) $how");
}
sql(q{CREATE TABLE o (id int, k bigint, i int, small smallint, a text, b int, c text COLLATE "C", wide text);
	INSERT INTO o SELECT i, (i * 7919) % 700, (i * 31) % 700, i % 300, 'a' || i % 40, i % 25, 'a' || i % 40,
		CASE WHEN i % 10 = 0 THEN repeat('x', i) END FROM generate_series(1, 2500) i;
	INSERT INTO o (id, k) VALUES (0, NULL), (-1, 5), (-2, 5);
	CREATE INDEX ON o (id);
	ANALYZE o});

my %names = map { my $table = $_; ($table => $columns{$table} =~ s/ (bigint|text|int|COLLATE "C")//gr) } keys %columns;

# The same into both.
sub change
{
	my $table = pick(sort keys %columns);
	my $value = int(rand(1e6));
	my ($from, $to) = (int(rand(600)), 0);
	my $rows;

	$to = $from + int(rand(150));
	if (rand() < 0.25)
	{
		my $which = $keys{$table} eq 'k' && $table ne 'map' ? "k BETWEEN $from AND $to" : $table eq 'map' ? "k = 'a' || " . $from % 40 : 'b = ' . $from % 25;

		sql("DELETE FROM $_ WHERE $which") foreach $table, "p_$table";
		return;
	}
	$rows =
		$keys{$table} eq 'k' && $table ne 'map' ? "SELECT i, CASE WHEN i % 5 > 0 THEN 'v' || i + $value END, (i + $value) % 30 FROM generate_series($from, $to) i"
	  : $table eq 'map' ? "SELECT 'a' || i, CASE WHEN i % 5 > 0 THEN 'v' || i + $value END FROM generate_series(" . $from % 40 . ', ' . $to % 45 . ') i'
	  : "SELECT 'a' || i, j, 'v' || i + $value, (i + $value) % 30 FROM generate_series(" . $from % 40 . ', ' . $to % 45 . ') i, generate_series(0, ' . $value % 30 . ') j';
	my $set = $table eq 'map' ? 'v = excluded.v' : 'v = excluded.v, n = excluded.n';

	sql("INSERT INTO $table $rows; INSERT INTO p_$table $rows ON CONFLICT ($plain_key{$table}) DO UPDATE SET $set");
	return;
}

sub condition
{
	my ($table) = @_;
	my @conditions = ('s.v IS NOT NULL', "s.v < 'v5'", 'o.id % 3 > 0', "s.v <> o.a || o.b", 'coalesce(s.v, o.a) IS NOT NULL');

	push @conditions, 's.n < o.b', 's.n BETWEEN 3 AND 20' if $table ne 'map';
	return pick(@conditions);
}

# Returns a join in which TABLE stands for the table's name.
sub random_join
{
	my $table = pick(sort keys %columns);
	my $on =
		$keys{$table} eq 'k' && $table ne 'map' ? pick('s.k = o.k', 'o.k = s.k', 's.k = o.i', 's.k = o.small', 's.k = o.k + o.b', 's.k = coalesce(o.k, 7)')
	  : $table eq 'map' ? pick('s.k = o.a', 'o.a = s.k', q{s.k = 'a' || o.small})
	  : pick('s.a = o.c AND s.b = o.b', 's.b = o.small AND o.c = s.a', 's.a = o.c AND s.b = 7', q{s.a = 'a3' AND s.b = o.b}, 's.a = o.c AND s.b = o.k');
	my $outer = pick('o', 'o', '(SELECT * FROM o ORDER BY id DESC) o', '(SELECT * FROM o WHERE id % 7 < 4 OFFSET 3) o', '(SELECT * FROM o ORDER BY id LIMIT 5) o');
	my $where = rand() < 0.4 ? 'WHERE ' . condition($table) : '';
	my $more = rand() < 0.5 ? ' AND ' . condition($table) : '';
	my $columns = pick('*', 'o.id, s.v', 's.*, o.wide', 'o.id', 's, o.k');
	my $kind = pick(qw(inner inner left left semi anti in lateral));

	# What it is called must not show.
	$columns = 'o.id, (s).v, s IS NULL' if $columns eq 's, o.k';
	return ($table, "SELECT $columns FROM $outer JOIN TABLE s ON $on$more $where") if $kind eq 'inner';
	return ($table, "SELECT $columns FROM $outer LEFT JOIN TABLE s ON $on$more $where") if $kind eq 'left';
	return ($table, "SELECT * FROM $outer WHERE EXISTS (SELECT FROM TABLE s WHERE $on$more)") if $kind eq 'semi';
	return ($table, "SELECT * FROM $outer WHERE NOT EXISTS (SELECT FROM TABLE s WHERE $on$more)") if $kind eq 'anti';
	return ($table, "SELECT x, y.* FROM generate_series(1, 4) x, LATERAL (SELECT o.id, s.v FROM $outer JOIN TABLE s ON $on$more WHERE o.b <> x LIMIT 10000) y")
	  if $kind eq 'lateral';
	return (pick('ints', 'hashed'), 'SELECT * FROM TABLE s WHERE k IN (SELECT ' . pick('k', 'i') . ' FROM o WHERE id % 3 = 0)');
}

my $only_batched = 'SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_nestloop = off; SET enable_memoize = off;';
my $session = session($node);
my ($batched, $wrong) = (0, 0);

# All rows of a query, in one.
sub rows_of
{
	my ($settings, $query) = @_;

	$session->run('RESET ALL');
	$session->run($_) foreach split(/;/, $settings);
	$query = "SELECT count(*), md5(string_agg(x::text, '|' ORDER BY x::text)) FROM ($query) x";
	return (($session->run($query))[0] // 'error', ($session->run("EXPLAIN $query"))[0]);
}

change() foreach 1 .. 12;
for (my $step = 1; $step <= $steps; $step++)
{
	my ($table, $join) = random_join();
	my $settings = $only_batched . ' SET work_mem = ' . pick("'64kB'", "'4MB'");

	change() if rand() < 0.3;
	sql('SELECT skyvault_flush()') if rand() < 0.1;
	sql("SELECT skyvault_compact('$table', true)") if rand() < 0.03 && !$partitions{$table};
	my ($ours, $plan) = rows_of($settings, $join =~ s/TABLE/$table/r);
	my ($plain) = rows_of('SET work_mem = \'64MB\'', $join =~ s/TABLE/(SELECT $names{$table} FROM p_$table)/r);

	$batched++ if $plan =~ /Skyvault Batched Join/;
	next if $ours eq $plain && $ours ne 'error';
	$wrong++;
	diag("$settings; $join with $table: $ours, and not $plain");
}
$session->quit;
is($wrong, 0, "$steps joins answer what joins of plain tables do");
cmp_ok($batched, '>', $steps / 2, "$batched of them look up many keys at once");

# ------------------------------------------------------------------- rounds
# Values that do not compress: some fifty keys to a block.
sql($s3->create_server('vault'));
sql("SELECT skyvault_create_table('far', server => 'vault')");
my $value = "(SELECT string_agg(sha512((n || ':' || i)::bytea)::text, '') FROM generate_series(1, 2) AS i)";
sql("SELECT skyvault_multi_put('far', array_agg('k' || to_char(n, 'FM00000')), array_agg($value)) FROM generate_series(1, 30000) AS n; SELECT skyvault_flush()");
sql(q{CREATE TABLE wanted AS SELECT n AS id, 'k' || to_char((n * 7919) % 30000 + 1, 'FM00000') AS key FROM generate_series(1, 1000) n; ANALYZE wanted});
sql(q{CREATE TABLE hundred AS SELECT * FROM wanted ORDER BY id LIMIT 100; ANALYZE hundred});
sql(q{CREATE TABLE few AS SELECT * FROM wanted ORDER BY id LIMIT 12; ANALYZE few});

sub cold
{
	my ($query) = @_;

	sql('SELECT skyvault_clear_cache()');
	sql("SELECT count(*) FROM skyvault_index('$_')") foreach 'far', sql("SELECT relname FROM pg_class WHERE relname ~ '^part_'") =~ /\S+/g;
	sql("SELECT skyvault_stat_store_reset()");
	my $answer = sql($query);
	return ($answer, sql("SELECT coalesce(sum(requests), 0) FROM skyvault_stat_store WHERE server = 'vault' AND operation = 'get'"));
}

my ($all, $together) = cold("SELECT cardinality(skyvault_get_array('far', ARRAY(SELECT key FROM hundred)))");
my $join = 'SELECT count(f.value) FROM hundred w JOIN far f ON f.key = w.key';
my ($joined, $requests) = cold("$only_batched $join");
is("$all $joined", '100 100', 'a hundred keys');
is($requests, $together, "a join by them asks the store for what one lookup of all of them does: $together requests");
my ($limited, $first) = cold("$only_batched SELECT count(*) FROM (SELECT f.value FROM (SELECT * FROM wanted OFFSET 0) w JOIN far f ON f.key = w.key LIMIT 1) x");
is($limited, 1, 'one row of it');
cmp_ok($first, '<=', 16, "asks for $first blocks");

# All that a batch needs is asked for before the first answer has come, also of several partitions.
sub side_by_side
{
	my ($join, $what) = @_;
	my $rule;
	my $requests;

	$session = session($node);
	$session->run($_) foreach split(/;/, $only_batched);
	(undef, $requests) = cold("$only_batched $join");
	sql('SELECT skyvault_clear_cache()');
	sql("SELECT count(*) FROM skyvault_index('$_')") foreach 'far', map { "part_$_" } 0 .. 2;
	$rule = $s3->fault('hold', method => '^GET$', path => '\.sst');
	$session->send($join);
	$s3->await_hits($rule, $requests);
	cmp_ok($requests, '>', 3, "$requests requests wait for answers side by side: $what");
	$s3->clear_faults;
	is(($session->receive)[0], 12, 'and all is found');
	$session->quit;
	return;
}

sql("CREATE TABLE parts (key text, value text) PARTITION BY HASH (key)");
sql("CREATE FOREIGN TABLE part_$_ PARTITION OF parts FOR VALUES WITH (MODULUS 3, REMAINDER $_) SERVER vault OPTIONS (key 'key')") foreach 0 .. 2;
sql("INSERT INTO parts SELECT key, value FROM far; SELECT skyvault_flush()");
side_by_side('SELECT count(f.value) FROM few w JOIN far f ON f.key = w.key', 'of a table');
side_by_side('SELECT count(f.value) FROM few w JOIN parts f ON f.key = w.key', 'of three partitions');

done_testing();
