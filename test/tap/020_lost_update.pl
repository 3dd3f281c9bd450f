# No update is lost: eight clients increment three hot keys while flushes move
# them to the store ten times a second.
use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $clients = 8;
my $transactions = 500;			# of each client, before it is counted how many flushes there were
my $flushes = 10;				# at least, per scenario

my $node = new_server('main', settings => "log_statement = none\nlog_min_messages = log\n");
my $tempdir = PostgreSQL::Test::Utils::tempdir;

sub script
{
	my ($name, $text) = @_;
	my $path = "$tempdir/$name.sql";

	append_to_file($path, $text);
	return $path;
}

# A flush about every 100 ms until it is stopped.
sub start_flushing
{
	my $path = script("flush-" . ++our $flushings, "SELECT skyvault_flush();\n\\sleep 100 ms\n");

	return IPC::Run::start([ 'pgbench', '-n', '-c', '1', '-t', '1000000', '-f', $path, $node->connstr('postgres') ],
		'>', \my $out, '2>', \my $err);
}

sub runs
{
	return $node->safe_psql('postgres', 'SELECT count(*) FROM skyvault.run');
}

# Increments by this script until there were enough flushes beside them; five tests.
sub increment
{
	my ($name, $isolation, $max_tries, $text, $sum) = @_;
	my @pgbench = (
		'pgbench', '-n', '-M', 'prepared', '-c', $clients, '-j', '2', '-t', $transactions,
		'--max-tries', $max_tries, '-f', script($name =~ s/ /_/gr, $text), $node->connstr('postgres'));
	my $before = $node->safe_psql('postgres', $sum);
	my $runs_before = runs();
	my $flushing = start_flushing();
	my $expected = 0;
	my $complaints = '';
	local $ENV{PGOPTIONS} = '-c default_transaction_isolation=' . ($isolation =~ s/ /\\ /gr);

	do
	{
		my ($stdout, $stderr) = ('', '');

		IPC::Run::run([@pgbench], '>', \$stdout, '2>', \$stderr);
		$complaints .= "status $?: $stdout$stderr"
		  if $? != 0 || $stdout !~ /^number of failed transactions: 0 /m;
		$expected += $clients * $transactions;
		$flushing->pump_nb;
	} while ($complaints eq '' && $flushing->pumpable && runs() < $runs_before + $flushes);

	ok($flushing->pumpable, "$name: flushes went on");
	$flushing->signal('TERM');
	$flushing->finish;
	is($complaints, '', "$name: no transaction failed");
	cmp_ok(runs() - $runs_before, '>=', $flushes, "$name: there were flushes meanwhile");
	is($node->safe_psql('postgres', $sum) - $before, $expected, "$name: the sum is right");
	$node->safe_psql('postgres', 'SELECT skyvault_flush()');
	is($node->safe_psql('postgres', $sum) - $before, $expected, "$name: so it is after a flush");
	return;
}

$node->safe_psql('postgres', <<'SQL');
CREATE FOREIGN TABLE counter (id int NOT NULL, v bigint) SERVER skyvault OPTIONS (key 'id');
INSERT INTO counter VALUES (1, 0), (2, 0), (3, 0);
SELECT skyvault_create_table('kv');
SELECT skyvault_multi_put('kv', '{1,2,3}'::text[], '{0,0,0}'::text[]);
SELECT skyvault_flush();
SQL

my $update = <<'SQL';
\set id random(1, 3)
UPDATE counter SET v = v + 1 WHERE id = :id;
SQL
my $counter_sum = 'SELECT sum(v) FROM counter';

increment('UPDATE', 'read committed', 1, $update, $counter_sum);
increment('UPDATE with retries', 'repeatable read', 1000000, $update, $counter_sum);

my $get_and_put = <<'SQL';
\set id random(1, 3)
BEGIN;
SELECT skyvault_get('kv', :id::text, for_update => true) AS v \gset
SELECT skyvault_put('kv', :id::text, (:v + 1)::text);
COMMIT;
SQL
my $kv_sum = 'SELECT sum(value::bigint) FROM skyvault_scan(\'kv\')';

increment('get for update', 'read committed', 1, $get_and_put, $kv_sum);
increment('get for update with retries', 'repeatable read', 1000000, $get_and_put, $kv_sum);

# Under REPEATABLE READ a plain get is protected by the put.
increment('get with retries', 'repeatable read', 1000000, $get_and_put =~ s/, for_update => true//r, $kv_sum);

$node->stop;
done_testing();
