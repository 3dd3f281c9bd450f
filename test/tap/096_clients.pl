# What users run: psycopg, JDBC, pgbench, psql, pg_dump and pg_restore, on a foreign table
# that has a plain one beside it.
use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $clients = 'test/clients';
my $python = -x '/usr/bin/python3' ? '/usr/bin/python3' : 'python3';
my $jdbc = '/usr/share/java/postgresql.jar';
my $node = new_server('main', settings => "listen_addresses = '127.0.0.1'\n");
my $dir = PostgreSQL::Test::Utils::tempdir();

sub sql { return $node->safe_psql('postgres', $_[0]); }

# What is not there in CI is a fault; elsewhere those tests are left out.
sub missing
{
	my ($what) = @_;

	return fail("$what is installed") if $ENV{CI};
	note("left out: $what is not installed");
	return;
}

# A program that reports its tests in lines "ok - NAME" and "not ok - NAME: WHY".
sub run_client
{
	my ($name, @command) = @_;
	my ($out, $err) = ('', '');
	my $went_well = IPC::Run::run(\@command, '<', \undef, '>', \$out, '2>', \$err);

	foreach my $line (split(/\n/, $out))
	{
		ok($1 eq 'ok', $2) or diag($line) if $line =~ /^(ok|not ok) - ([^:]*: [^:]*)/;
	}
	ok($went_well && $out =~ /^done$/m, "$name: the program came to its end") or diag("$out$err");
	return;
}

my $columns = 'id int8 NOT NULL, name text, tags text[], vec float8[], at timestamptz, doc jsonb, n numeric(12,3), raw bytea';
sql(<<SQL);
CREATE FOREIGN TABLE item ($columns) SERVER skyvault OPTIONS (key 'id');
CREATE FOREIGN TABLE strict_item (id int8 NOT NULL, name text) SERVER skyvault OPTIONS (key 'id', insert 'strict');
CREATE TABLE item_heap ($columns, PRIMARY KEY (id));
SQL

# ---------------------------------------------------------------- drivers
if (system("$python -c 'import psycopg' 2>/dev/null") == 0)
{
	run_client('psycopg', $python, "$clients/use_psycopg.py", $node->connstr('postgres'));
}
else { missing('python3-psycopg') }

if (-e $jdbc && system('javac -version >/dev/null 2>&1') == 0)
{
	my $url = 'jdbc:postgresql://127.0.0.1:' . $node->port . '/postgres?user=' . sql('SELECT current_user');

	run_client('JDBC', 'java', '-cp', $jdbc, "$clients/UseJdbc.java", $url);
}
else { missing('libpostgresql-jdbc-java, or a JDK,') }

# ---------------------------------------------------------------- pgbench
append_to_file("$dir/mixed.sql", <<'SQL');
\set id random(1, 500)
\set other random(1, 500)
BEGIN;
SELECT n FROM account WHERE id = :id;
UPDATE account SET n = n + 1 WHERE id = :id;
SELECT count(*) AS rows FROM account WHERE id IN (:id, :other) \gset
UPDATE account SET n = n - 1 WHERE id = :id;
INSERT INTO ledger VALUES (:client_id, random(), :rows);
END;
SELECT sum(n) FROM account WHERE id BETWEEN :id AND :id + 9;
SQL
sql(q{CREATE FOREIGN TABLE account (id int4 NOT NULL, n int4) SERVER skyvault OPTIONS (key 'id');
	CREATE TABLE ledger (client int, r float8, rows int);
	INSERT INTO account SELECT n, 100 FROM generate_series(1, 500) AS n});
foreach my $mode (qw(simple extended prepared))
{
	my ($out) = run_command([ 'pgbench', '-n', '-M', $mode, '-c', '4', '-j', '2', '-t', '100', '-f', "$dir/mixed.sql",
		'-h', $node->host, '-p', $node->port, 'postgres' ]);

	like($out, qr{actually processed: 400/400}, "pgbench, $mode protocol: all transactions took place");
	sql('SELECT skyvault_flush()');
}
is(sql('SELECT count(*), sum(n), min(n), max(n) FROM account'), '500|50000|100|100', 'and each did all that it was to do');
is(sql('SELECT count(*) FROM ledger'), 1200, 'heaps beside it too');

# ---------------------------------------------------------------- psql
sub psql_says
{
	my ($input, $expected, $test_name) = @_;
	my ($status, $out, $err) = $node->psql('postgres', $input, extra_params => [ '-v', 'ON_ERROR_STOP=1', '-P', 'tuples_only=off', '-P', 'footer=on' ]);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($status, 0, "$test_name: no error") or diag($err);
	like($out, $expected, $test_name);
	return;
}

append_to_file("$dir/rows.csv", join('', map { "$_,name $_\n" } 1 .. 1000));
psql_says("\\copy item (id, name) from '$dir/rows.csv' csv\nSELECT count(*) FROM item;", qr/^1000$/m, 'psql: \copy from');
psql_says("\\copy (SELECT id, name FROM item ORDER BY id) to '$dir/out.csv' csv\nSELECT 1;", qr/^1$/m, 'psql: \copy to');
is(slurp_file("$dir/out.csv"), slurp_file("$dir/rows.csv"), 'psql: a round trip');
psql_says('\d item', qr/^id\|bigint\|\|not null\|\|$/m, 'psql: \d has the columns');
psql_says('\d item', qr/^Server: skyvault\nFDW options: \(key 'id'\)$/m, 'psql: \d has server and options');
psql_says('\det item', qr/^public\|item\|skyvault$/m, 'psql: \det');
psql_says('\dx skyvault', qr/^skyvault\|/m, 'psql: \dx');
psql_says('SELECT id, n, tags FROM item \gdesc', qr/^id\|bigint\nn\|numeric\(12,3\)\ntags\|text\[\]$/m, 'psql: \gdesc');
psql_says("SELECT name FROM item WHERE id = 7 \\gset\n\\echo :name\n", qr/^name 7$/m, 'psql: \gset');
psql_says("SELECT format('DELETE FROM item WHERE id = %s', n) FROM generate_series(1, 3) AS n \\gexec\nSELECT min(id) FROM item;\n", qr/^4$/m,
	'psql: \gexec');
psql_says("\\set FETCH_COUNT 100\nSELECT id FROM item ORDER BY id;\n", qr/^4\n5\n.*\n1000$/ms, 'psql: FETCH_COUNT');
psql_says('\pset format csv' . "\nSELECT id, name FROM item WHERE id < 6 ORDER BY id \\g\n", qr/^id,name\n4,name 4\n5,name 5$/m, 'psql: other formats');

# ---------------------------------------------------------------- pg_dump, pg_restore
sql(q{UPDATE item SET tags = ARRAY['a', NULL, 'b,c'], doc = '{"a": [1]}', raw = '\x00ff', n = id / 8.0, at = '2026-01-01'});
my $digest = 'SELECT count(*), md5(string_agg(item::text, E\'\n\' ORDER BY id)) FROM item';
foreach my $format (qw(c d))
{
	command_ok([ 'pg_dump', "-F$format", '-f', "$dir/dump.$format", '--include-foreign-data=skyvault', '-d', $node->connstr('postgres') ],
		"pg_dump -F$format");
	sql("CREATE DATABASE restored_$format");
	command_ok([ 'pg_restore', '-e', '-j', '2', '-d', $node->connstr("restored_$format"), "$dir/dump.$format" ], 'pg_restore');
	is($node->safe_psql("restored_$format", $digest), sql($digest), 'has the rows');
}

$node->stop;
done_testing();
