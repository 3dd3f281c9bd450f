# Backends and the postmaster are killed under load.  Every transaction writes
# a vault's table and a plain one; after recovery the two agree.
use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my @tables = qw(one two);
my $node = new_server('main', settings => "log_statement = none\n");
make_mirror($node, \@tables);

#
# A backend in the middle of a transaction.
#
$node->safe_psql('postgres', <<'SQL');
SELECT mirror_multi_put(t, array_agg('key' || n), array_agg('first ' || n))
	FROM unnest('{one,two}'::text[]) AS t, generate_series(1, 50) AS n GROUP BY t;
SELECT skyvault_flush();
SELECT mirror_multi_put(t, array_agg('key' || n), array_agg('second ' || n))
	FROM unnest('{one,two}'::text[]) AS t, generate_series(30, 80) AS n GROUP BY t;
SQL

my $open_transaction = <<'SQL';
BEGIN;
SELECT mirror_put('one', 'key1', 'never');
SELECT mirror_put('one', 'key70', 'never');
SAVEPOINT a;
SELECT mirror_multi_put('two', '{key2,key71,new}', '{never,never,never}');
SAVEPOINT b;
SELECT mirror_delete('one', 'key3'), mirror_delete('one', 'key72');
ROLLBACK TO b;
SELECT mirror_put('one', 'key3', 'never');
RELEASE a;
SELECT mirror_delete('two', 'key4'), mirror_put('two', 'key2', 'never ever')
SQL

# When the backend is killed, and what it does last.
my @ends = (
	[ 'in a transaction', 'SELECT 1' ],
	[ 'in a transaction during a flush', 'SELECT 1' ],
	[ 'after ROLLBACK TO', "SAVEPOINT c; SELECT mirror_put('one', 'key5', 'never'); ROLLBACK TO c" ],
	[
		'after TRUNCATE',
		"TRUNCATE one; UPDATE m_one SET value = NULL; SELECT mirror_put('one', 'key6', 'never')"
	],
	[ 'after COMMIT', 'COMMIT' ]);
foreach (@ends)
{
	my ($end, $last) = @$_;
	my $victim = session($node);
	my $flusher = session($node);

	$node->safe_psql('postgres', "SELECT mirror_put('two', 'key60', 'before $end')");
	$victim->run("$open_transaction; $last");
	if ($end =~ /flush/)
	{
		$flusher->run("SELECT stop_point_arm('flush-uploaded', 'wait')");
		$flusher->send('SELECT skyvault_flush()');
		$node->safe_psql('postgres', "CALL stop_point_await('flush-uploaded')");
	}
	else
	{
		$flusher->send('SELECT pg_sleep(1000)');
	}
	kill('KILL', $victim->pid) or die $!;
	is(($flusher->await_lost)[0], 1, "backend killed $end: the server restarts");
	$_->quit foreach $victim, $flusher;
	await_server($node);
	same_content($node, \@tables, "backend killed $end: tables agree with their mirrors");
	is($node->safe_psql('postgres', "SELECT skyvault_get('one', 'key1'), skyvault_get('two', 'new')"),
		$end eq 'after COMMIT' ? 'never|never' : 'first 1|', "backend killed $end: what was committed is there");
	$node->safe_psql('postgres', 'SELECT skyvault_flush()');
	same_content($node, \@tables, "backend killed $end: tables agree with their mirrors after a flush");
}

# A TRUNCATE that is committed while a flush has the table's rows in its hands.
my ($flusher, $writer) = (session($node), session($node));
$writer->run("SELECT mirror_put('one', 'key10', 'to be truncated'), mirror_put('two', 'key10', 'to stay')");
$flusher->run("SELECT stop_point_arm('flush-uploaded', 'wait')");
$flusher->send('SELECT skyvault_flush()');
$node->safe_psql('postgres', "CALL stop_point_await('flush-uploaded')");
$writer->run("BEGIN; TRUNCATE one; UPDATE m_one SET value = NULL; SELECT mirror_put('one', 'key11', 'after'); COMMIT");
kill('KILL', scheduler_pid($node)) or die $!;
is(($flusher->await_lost)[0], 1, 'scheduler killed after TRUNCATE: the server restarts');
$_->quit foreach $flusher, $writer;
await_server($node);
same_content($node, \@tables, 'scheduler killed after TRUNCATE: tables agree with their mirrors');
$node->safe_psql('postgres', 'SELECT skyvault_flush()');
same_content($node, \@tables, 'scheduler killed after TRUNCATE: tables agree with their mirrors after a flush');
is(delta_rows($node), 0, 'scheduler killed after TRUNCATE: that flush leaves the delta empty');

# Who waits for the key of a killed backend gets neither its value nor its lock.
my ($holder, $waiter) = (session($node), session($node));
$holder->run("BEGIN; SELECT skyvault_put('one', 'key9', 'held')");
$waiter->send("SELECT skyvault_put('one', 'key9', 'waited for')");
$node->poll_query_until('postgres',
	'SELECT ' . $holder->pid . ' = ANY(pg_blocking_pids(' . $waiter->pid . '))');
kill('KILL', $holder->pid) or die $!;
is(($waiter->await_lost)[0], 1, 'holder of a key killed: the server restarts');
$_->quit foreach $holder, $waiter;
await_server($node);
same_content($node, \@tables, 'holder of a key killed: nothing of it or of the waiter is left');

#
# Under load.
#
my $scripts = PostgreSQL::Test::Utils::tempdir();

# Keys are locked in order, first in the mirror and then in the vault, so that
# no two clients wait for each other.
append_to_file("$scripts/write.sql", <<'SQL');
\set k random(1, 60)
\set n random(0, 5)
\set v random(1, 1000000000)
BEGIN;
SELECT mirror_multi_put('one', array_agg('key' || to_char(n, 'FM0000')), array_agg(:v || ' of ' || n)) FROM generate_series(:k, :k + :n) AS n;
SELECT mirror_put('two', 'key' || to_char(:k, 'FM0000'), :v::text);
SAVEPOINT a;
SELECT mirror_delete('two', 'key' || to_char(:k + 1, 'FM0000'));
ROLLBACK TO a;
COMMIT;
SQL
append_to_file("$scripts/delete.sql", <<'SQL');
\set k random(1, 60)
BEGIN;
SELECT mirror_delete('one', 'key' || to_char(:k, 'FM0000'));
SELECT mirror_delete('two', 'key' || to_char(:k, 'FM0000'));
COMMIT;
SQL
append_to_file("$scripts/flush.sql", "SELECT skyvault_flush();\n\\sleep 100 ms\n");

sub start_pgbench
{
	my ($clients, @scripts) = @_;
	my $output = '';

	return IPC::Run::start(
		[
			'pgbench', '--no-vacuum', '--client' => $clients, '--time' => 3600,
			'--host' => $node->host, '--port' => $node->port, @scripts, 'postgres'
		],
		'<', \undef, '>', \$output, '2>', \$output);
}

# The server dies when this many transactions more have been committed and
# flushes have passed; who loads it ends because the connection is lost.
sub load_until_death
{
	my ($case, $kill) = @_;
	my $changes = $node->safe_psql('postgres', 'SELECT count(*) FROM skyvault.changelog');
	my @loads = (
		start_pgbench(5, '--file' => "$scripts/write.sql\@4", '--file' => "$scripts/delete.sql"),
		start_pgbench(1, '--file' => "$scripts/flush.sql"));

	ok($node->poll_query_until('postgres',
			"SELECT count(*) >= $changes + 5 FROM skyvault.changelog"), "$case: flushes pass under load");
	$kill->();
	$_->finish foreach @loads;
}

foreach my $round (1, 2)
{
	my %deaths = (
		'postmaster killed' => sub { kill_postmaster($node); },
		'immediate stop' => sub { $node->stop('immediate'); });

	foreach my $death (sort keys %deaths)
	{
		my $case = "$death under load, round $round";

		load_until_death($case, $deaths{$death});
		$node->start;
		same_content($node, \@tables, "$case: tables agree with their mirrors");
		$node->safe_psql('postgres', 'SELECT skyvault_flush()');
		is(delta_rows($node), 0, "$case: a flush leaves the delta empty");
		same_content($node, \@tables, "$case: tables agree with their mirrors after it");
	}
}

my $case = 'backend killed under load';
load_until_death($case,
	sub {
		my $victim = '';

		# all may be between two transactions
		$victim = $node->safe_psql('postgres',
			"SELECT pid FROM pg_stat_activity WHERE query LIKE '%mirror_%' AND pid <> pg_backend_pid() LIMIT 1")
		  until $victim ne '';
		kill('KILL', $victim) or die $!;
	});
await_server($node);
same_content($node, \@tables, "$case: tables agree with their mirrors");

$case = 'scheduler killed under load';
load_until_death($case, sub { kill('KILL', scheduler_pid($node)) or die $!; });
await_server($node);
same_content($node, \@tables, "$case: tables agree with their mirrors");
$node->safe_psql('postgres', 'SELECT skyvault_flush()');
same_content($node, \@tables, "$case: tables agree with their mirrors after a flush");

is($node->safe_psql('postgres',
		'SELECT count(*), count(DISTINCT id), max(id) FROM skyvault.changelog') =~ /^(\d+)\|\1\|\1$/ ? 'yes' : 'no',
	'yes', 'changelog ids have no gaps after all of that');

done_testing();
