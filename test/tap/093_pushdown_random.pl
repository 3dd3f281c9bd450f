# Random queries of foreign tables and of plain ones with the same rows give the
# same answers: conditions on keys of one and several columns, orders, limits,
# counts, joins, lateral subqueries and cursors, in plans of constants and in
# generic ones, with the planner's choices turned on and off at random.  The rows
# are in the delta, in runs that overlap and in levels, and change in between.
#
# SKYVAULT_SEED repeats the choices, SKYVAULT_STEPS makes it longer.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $seed = $ENV{SKYVAULT_SEED} // int(rand(2**31));
my $steps = $ENV{SKYVAULT_STEPS} // 600;
srand($seed);
diag("SKYVAULT_SEED=$seed");

my $node = new_server('main', settings => "log_statement = none\nskyvault.run_size = 64kB\n");
my %columns = (
	one => 'k int, v text COLLATE "C"',
	two => 'a int, b text COLLATE "C", c smallint, v int',
	words => 'k text COLLATE "en-x-icu", v int');
my %key = (one => [qw(k)], two => [qw(a b c)], words => [qw(k)]);

$node->safe_psql('postgres', 'CREATE SCHEMA vault; CREATE SCHEMA plain');
foreach my $table (sort keys %columns)
{
	my $key = join(', ', @{ $key{$table} });

	$node->safe_psql('postgres', qq{
		CREATE FOREIGN TABLE vault.$table ($columns{$table}) SERVER skyvault OPTIONS (key '$key');
		CREATE TABLE plain.$table ($columns{$table}, PRIMARY KEY ($key))});
}
my $session = session($node);
my $prepared;    # values of the parameters, if the query is to be prepared
my %types = (one => { k => 'int', v => 'text' }, two => { a => 'int', b => 'text', c => 'int', v => 'int' },
	words => { k => 'text', v => 'int' });

sub pick { return $_[ int(rand(@_)) ]; }
sub chance { return rand() < $_[0]; }

# A constant, or a parameter that has it.
sub given
{
	my ($literal, $type) = @_;

	return "$literal\:\:$type" unless defined $prepared;
	push @$prepared, [ $literal, $type ];
	return '$' . scalar(@$prepared);
}

sub word { return join('', map { pick('a', 'b', 'a', 'b', '%', '_', '\\', 'é', 'ÿ') } 1 .. int(rand(4))); }
sub number { return chance(0.05) ? pick(-100000, 100000, 32767, -32768, 0) : int(rand(60)); }

sub literal
{
	my ($type) = @_;

	return 'NULL' if chance(0.05);
	return number() if $type eq 'int';
	return "'" . word() . "'";
}

sub value
{
	my ($type) = @_;

	return given(literal($type), $type eq 'int' ? pick('int', 'int', 'bigint', 'smallint') : 'text') if $type ne 'int';
	my $literal = literal($type);
	my $wide = $literal ne 'NULL' && abs($literal) > 32000;

	return given($literal, pick('int', 'bigint', $wide ? 'int' : 'smallint'));
}

sub pattern
{
	my $pattern = join('', map { pick('a', 'b', 'a', 'b', '%', '%', '_', '\\%', '\\_', '\\\\', 'é') } 1 .. 1 + int(rand(4)));

	return given(chance(0.02) ? 'NULL' : "'$pattern'", 'text');
}

sub list
{
	my ($type) = @_;
	my @values = map { literal($type) } 1 .. int(rand(6));
	my $array = 'ARRAY[' . join(',', @values) . "]\:\:$type" . '[]';

	return given(chance(0.02) ? 'NULL' : $array, $type . '[]');
}

sub operator { return pick('<', '<=', '>=', '>', '='); }

sub comparison
{
	my ($alias, $column, $type) = @_;
	my $kind = rand();

	return "$alias.$column = ANY (" . list($type) . ')' if $kind < 0.15;
	return "$alias.$column BETWEEN " . value($type) . ' AND ' . value($type) if $kind < 0.25;
	return value($type) . ' ' . operator() . " $alias.$column" if $kind < 0.35;
	return "$alias.$column IS " . pick('NULL', 'NOT NULL', 'NOT NULL') if $kind < 0.4;
	return "$alias.$column " . pick('<>', 'IS DISTINCT FROM') . ' ' . value($type) if $kind < 0.43;
	if ($type eq 'text')
	{
		return "$alias.$column LIKE " . pattern() if $kind < 0.65;
		return "$alias.$column ^\@ " . value($type) if $kind < 0.75;
		return "starts_with($alias.$column, " . value($type) . ')' if $kind < 0.8;
	}
	return "$alias.$column " . operator() . ' ' . value($type);
}

# Of some of the columns, most often of the key's first.
sub row_comparison
{
	my ($alias, $table) = @_;
	my @columns = chance(0.7) ? @{ $key{$table} } : grep { chance(0.6) } @{ $key{$table} };

	push @columns, 'v' if chance(0.2);
	return comparison($alias, 'v', $types{$table}{v}) if @columns < 2;
	$#columns = 1 + int(rand($#columns));
	my $columns = '(' . join(', ', map { "$alias.$_" } @columns) . ')';
	my $values = '(' . join(', ', map { value($types{$table}{$_}) } @columns) . ')';

	return chance(0.3) ? $values . ' ' . pick('<', '<=', '>', '>=') . " $columns" :
	  "$columns " . pick('<', '<=', '>', '>=') . " $values";
}

sub condition
{
	my ($alias, $table) = @_;
	my $column = chance(0.85) ? pick(@{ $key{$table} }) : 'v';

	return row_comparison($alias, $table) if chance(0.2);
	return comparison($alias, $column, $types{$table}{$column});
}

# Of an OR.
sub arm
{
	my ($alias, $table) = @_;

	return condition($alias, $table) if chance(0.6);
	return '(' . condition($alias, $table) . ' AND ' . condition($alias, $table) . ')';
}

# Often equalities first.
sub conditions
{
	my ($alias, $table) = @_;
	my @conditions = map { condition($alias, $table) } 1 .. int(rand(3));
	my $equal = int(rand(scalar(@{ $key{$table} })));

	foreach my $column (@{ $key{$table} }[ 0 .. $equal - 1 ])
	{
		my $type = $types{$table}{$column};

		unshift @conditions, "$alias.$column " . (chance(0.3) ? '= ANY (' . list($type) . ')' : '= ' . value($type));
	}
	push @conditions, '(' . join(' OR ', map { arm($alias, $table) } 1 .. 2 + int(rand(3))) . ')' if chance(0.3);
	return @conditions ? join(' AND ', @conditions) : 'true';
}

# Total, so that limits decide alike.
sub order
{
	my ($alias, $table, $simple) = @_;
	my @key = @{ $key{$table} };
	my $direction = pick('ASC', 'DESC');

	@key = sort { rand() <=> 0.5 } @key if !$simple && chance(0.1);
	return join(', ', map {
		my $own = $simple || chance(0.9) ? $direction : pick('ASC', 'DESC');
		"$alias.$_ $own" . (chance(0.3) ? pick(' NULLS FIRST', ' NULLS LAST') : '')
	} @key);
}

sub limit
{
	my $limit = chance(0.7) ? ' LIMIT ' . given(int(rand(12)), 'bigint') : '';

	return $limit . (chance(0.3) ? ' OFFSET ' . given(int(rand(5)), 'bigint') : '');
}

sub columns { return join(', ', map { "$_[0].$_" } grep { chance(0.7) } sort keys %{ $types{ $_[1] } }) || '1'; }

sub plain_query
{
	my $table = pick('one', 'two', 'two', 'words');

	return 'SELECT ' . columns('x', $table) . " FROM $table x WHERE " . conditions('x', $table) .
	  ' ORDER BY ' . order('x', $table) . limit();
}

sub aggregate_query
{
	my $table = pick('one', 'two', 'two', 'words');
	my $column = pick(@{ $key{$table} });

	return 'SELECT ' . pick('count(*)', 'count(*), count(*)', "count(x.$column)", "min(x.$column)", "max(x.$column)",
		"min(x.$column), max(x.$column)", "count(DISTINCT x.$column)", 'count(*), sum(x.v::int)') .
	  " FROM $table x WHERE " . ($table eq 'one' ? "x.v ~ '^\\d+\$' AND " : '') . conditions('x', $table) if chance(0.3);
	return "SELECT count(*)" . pick('', ' + 1', "\:\:text") . " FROM $table x WHERE " . conditions('x', $table);
}

sub join_query
{
	my $join = pick('JOIN two y ON y.a = x.k', 'LEFT JOIN two y ON y.a = x.k AND ' . conditions('y', 'two'),
		'JOIN two y ON y.a = x.k AND y.b = x.v', 'FULL JOIN two y ON y.a = x.k');

	return 'SELECT x.k, y.a, y.b, y.c, y.v FROM one x ' . $join . ' WHERE ' . conditions('x', 'one') .
	  ' ORDER BY x.k ' . pick('', 'DESC') . ', y.a, y.b, y.c' . limit();
}

sub semi_query
{
	return 'SELECT ' . columns('x', 'one') . ' FROM one x WHERE ' . conditions('x', 'one') . pick(' AND', ' AND NOT') .
	  ' EXISTS (SELECT 1 FROM two y WHERE y.a = x.k AND ' . conditions('y', 'two') . ') ORDER BY ' . order('x', 'one') .
	  limit();
}

sub lateral_query
{
	return 'SELECT x.k, z.* FROM (SELECT * FROM one x ORDER BY ' . order('x', 'one') . ' LIMIT 8) x, LATERAL (SELECT ' .
	  pick('y.b, y.c', 'count(*) AS b, 1 AS c', 'max(y.b) AS b, 1 AS c') . ' FROM two y WHERE y.a ' .
	  pick('=', '<=', '>') . ' x.k AND ' . conditions('y', 'two') . ') z ORDER BY 1, 2, 3';
}

sub cursor_query
{
	my $query = plain_query();

	undef $prepared;
	return if $query =~ /\$\d/;
	return "BEGIN; DECLARE c SCROLL CURSOR FOR $query; " . join('; ', map {
		'FETCH ' . pick('FORWARD', 'FORWARD', 'BACKWARD', 'ABSOLUTE') . ' ' . int(rand(6)) . ' FROM c'
	} 1 .. 5) . '; COMMIT';
}

# ---- rows ----

sub row
{
	my ($table) = @_;

	return '(' . int(rand(50)) . ", '" . pick(word(), int(rand(100))) . "')" if $table eq 'one';
	return '(' . int(rand(40)) . ", '" . word() . "', " . (int(rand(8)) - 2) . ', ' . int(rand(50)) . ')' if $table eq 'two';
	return "('" . word() . "', " . int(rand(50)) . ')';
}

sub change
{
	my $table = pick(keys %columns);
	my $key = join(', ', @{ $key{$table} });
	my $kind = rand();
	my $changed;

	if ($kind < 0.5)
	{
		# A statement takes each key once.
		my %rows = map { s/, \d+\)\z|, '[^']*'\)\z//r => $_ } map { row($table) } 1 .. 30;

		my $values = join(', ', map { $rows{$_} } sort keys %rows);
		return ("INSERT INTO vault.$table VALUES $values",
			"INSERT INTO plain.$table VALUES $values ON CONFLICT ($key) DO UPDATE SET v = excluded.v");
	}
	return pick("SELECT skyvault_flush('skyvault')", "SELECT skyvault_flush('skyvault')",
		"SELECT skyvault_compact('vault.$table')") if $kind < 0.75;
	$changed = chance(0.5) ? "DELETE FROM SCHEMA.$table x WHERE " : "UPDATE SCHEMA.$table x SET v = '1' WHERE ";
	$changed .= conditions('x', $table) . ' AND ' . condition('x', $table);
	return map { $changed =~ s/SCHEMA/$_/r } qw(vault plain);
}

# ---- comparing ----

sub answer
{
	my ($schema, $query) = @_;
	my $sql = "SET search_path = $schema, public;\n";

	if (defined $prepared && @$prepared)
	{
		$sql .= "PREPARE q (" . join(', ', map { $_->[1] } @$prepared) . ") AS $query;\nEXECUTE q (" .
		  join(', ', map { $_->[0] } @$prepared) . ");\nDEALLOCATE q";
	}
	else { $sql .= $query; }
	return $session->try($sql);
}

sub shuffle_planner
{
	return join('; ', map { "SET $_ = " . (chance(0.7) ? 'on' : 'off') }
		  qw(enable_hashjoin enable_mergejoin enable_nestloop enable_sort enable_material enable_memoize
		  enable_incremental_sort enable_hashagg)) . '; SET plan_cache_mode = ' . pick('auto', 'force_generic_plan');
}

my $differences = 0;
my $answered = 0;
my $failed = 0;

for my $step (1 .. $steps)
{
	if ($step % 10 == 1)
	{
		undef $prepared;
		$session->run($_) foreach change(), change(), change();
		$session->run(shuffle_planner());
	}
	$prepared = chance(0.4) ? [] : undef;
	my $query = pick(\&plain_query, \&plain_query, \&aggregate_query, \&aggregate_query, \&join_query, \&semi_query,
		\&lateral_query, \&cursor_query)->();

	next unless defined $query;
	my ($vault, $vault_error) = answer('vault', $query);
	my ($plain, $plain_error) = answer('plain', $query);

	$answered++ if $plain ne '';
	$failed++ if defined $plain_error;
	next if $vault eq $plain && defined $vault_error == defined $plain_error;
	$differences++;
	diag("step $step: $query", map { "\n  $_->[0] $_->[1]" } @{ $prepared // [] });
	diag("vault: $vault" . ($vault_error // '') . "\nplain: $plain" . ($plain_error // ''));
	last if $differences > 3;
}

is($differences, 0, "queries with the same answers (SKYVAULT_SEED=$seed)");
cmp_ok($failed, '<', $steps / 20, 'most queries make no error');
cmp_ok($answered, '>', $steps / 4, 'and many have rows');
$node->stop;
done_testing();
