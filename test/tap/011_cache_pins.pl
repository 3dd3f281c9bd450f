# A scan pins the tails of its runs.  However it ends, nothing stays pinned,
# and whatever happens meanwhile, it goes on as it began.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server('main');

$node->safe_psql('postgres', <<'SQL');
SELECT skyvault_create_table('kv');
CREATE TABLE plain AS SELECT 'key' || to_char(n, 'FM0000') AS key, sha512(n::text::bytea)::text AS value
	FROM generate_series(1, 2000) AS n;
SQL

# Two runs with keys of each between those of the other, and no others.
sub fill
{
	$node->safe_psql('postgres', <<~'SQL');
		TRUNCATE kv;
		SELECT skyvault_multi_put('kv', array_agg(key), array_agg(value)) FROM plain WHERE key ~ '[02468]$';
		SELECT skyvault_flush();
		SELECT skyvault_multi_put('kv', array_agg(key), array_agg(value)) FROM plain WHERE key ~ '[13579]$';
		SELECT skyvault_flush();
		SQL
	return;
}

fill();

sub pins
{
	return $node->safe_psql('postgres', 'SELECT coalesce(sum(pins), 0) FROM skyvault_cache');
}

# The scans of a transaction begin, and hold both runs.
sub begin_scan
{
	my ($session, $declare) = @_;

	$session->run('BEGIN; ' . ($declare // 'DECLARE c CURSOR FOR SELECT * FROM kv'));
	is($session->run('FETCH 3 FROM c'), $node->safe_psql('postgres', 'SELECT * FROM plain ORDER BY key LIMIT 3'),
		'a cursor returns the first rows');
	is(pins(), 2, 'a cursor pins both runs');
	return;
}

# The last three of the rows that the cursor has not returned yet.
sub scan_goes_on
{
	my ($session, $case) = @_;

	my @rows = split(/\n/, $session->run('FETCH ALL FROM c'));
	is(scalar @rows, 1997, "$case: the cursor returns the other rows");
	is(join("\n", @rows[ -3 .. -1 ]),
		$node->safe_psql('postgres', 'SELECT * FROM (SELECT * FROM plain ORDER BY key DESC LIMIT 3) AS last ORDER BY key'),
		"$case: and the last ones are right");
	return;
}

sub all_is_readable
{
	my ($case) = @_;

	is($node->safe_psql('postgres', 'SELECT count(*) FROM skyvault_scan($$kv$$) JOIN plain USING (key, value)'),
		2000, "$case: all is readable");
	return;
}

my $session = session($node);

#
# The ends of a scan that the session brings about.
#
my $failing_scan = "DECLARE c CURSOR FOR SELECT * FROM kv WHERE key < 'key1000' OR 1 / (length(key) - 7) = 0";
my @ends = (
	[ 'CLOSE', 'CLOSE c' ],
	[ 'COMMIT', 'COMMIT' ],
	[ 'ROLLBACK', 'ROLLBACK' ],
	[ 'an error of another statement', 'SELECT 1/0' ],
	[ 'an error in the scan', 'MOVE FORWARD ALL FROM c', $failing_scan ]);
foreach (@ends)
{
	my ($end, $sql, $declare) = @$_;

	begin_scan($session, $declare);
	my (undef, $errors) = $session->try($sql);
	is(defined $errors, $end =~ /error/, "$end: fails if it is to");
	is(pins(), 0, "$end: nothing is pinned");
	$session->run('ROLLBACK') unless $sql =~ /COMMIT|ROLLBACK/;
}

# In a savepoint.
begin_scan($session, 'SAVEPOINT s; DECLARE c CURSOR FOR SELECT * FROM kv');
$session->run('ROLLBACK TO s');
is(pins(), 0, 'ROLLBACK TO: nothing is pinned');
$session->run('ROLLBACK');

# Scans that somebody stops in the middle.
is($session->run('SELECT count(*) FROM (SELECT * FROM kv LIMIT 5) AS few'), 5, 'LIMIT');
is(pins(), 0, 'LIMIT: nothing is pinned');
$session->run(<<'SQL');
DO $$
DECLARE
	r record;
	n int := 0;
BEGIN
	FOR r IN SELECT * FROM kv LOOP
		n := n + 1;
		EXIT WHEN n = 10;
	END LOOP;
	FOR r IN SELECT * FROM skyvault_scan('kv', reverse => true) LOOP
		EXIT;
	END LOOP;
	BEGIN
		FOR r IN SELECT * FROM kv LOOP
			n := n + 1;
			PERFORM 1 / (20 - n);
		END LOOP;
		RAISE EXCEPTION 'no error';
	EXCEPTION WHEN division_by_zero THEN
		PERFORM skyvault_get('kv', 'key0001');
	END;
	IF (SELECT coalesce(sum(pins), 0) FROM skyvault_cache) <> 0 THEN
		RAISE EXCEPTION 'something is pinned';
	END IF;
END $$
SQL
is(pins(), 0, 'loops in PL/pgSQL that are left: nothing is pinned');

#
# What happens while a scan is open.
#
begin_scan($session);
$node->safe_psql('postgres', 'SELECT skyvault_clear_cache()');
scan_goes_on($session, 'the caches are cleared');
$session->run('COMMIT');
is(pins(), 0, 'the caches are cleared: nothing is pinned');

begin_scan($session);
$node->safe_psql('postgres', <<'SQL');
SELECT skyvault_multi_put('kv', array_agg(key), array_agg('new'::text)) FROM plain WHERE key > 'key1000';
SELECT skyvault_delete('kv', 'key0500');
SELECT skyvault_flush();
SQL
scan_goes_on($session, 'a flush');
is($session->run("SELECT skyvault_get('kv', 'key2000'), skyvault_get('kv', 'key0500')"), 'new|', 'a flush: another statement sees what is new');
$session->run('COMMIT');
is(pins(), 0, 'a flush: nothing is pinned');
fill();

# A cursor that outlives its transaction has read all before.
begin_scan($session, 'DECLARE c CURSOR WITH HOLD FOR SELECT * FROM kv');
$session->run('COMMIT');
is(pins(), 0, 'WITH HOLD: nothing is pinned after COMMIT');
$node->safe_psql('postgres', "SELECT skyvault_clear_cache(); SELECT skyvault_put('kv', 'key2000', 'new'); SELECT skyvault_flush()");
scan_goes_on($session, 'WITH HOLD');
$session->run("CLOSE c; SELECT skyvault_put('kv', 'key2000', value) FROM plain WHERE key = 'key2000'");
$node->safe_psql('postgres', 'SELECT skyvault_flush()');
all_is_readable('WITH HOLD');
fill();

# Backwards, and there and back again.
$session->run('BEGIN; DECLARE c SCROLL CURSOR FOR SELECT key FROM kv ORDER BY key DESC; MOVE 1999 FROM c');
is($session->run('FETCH 1 FROM c'), 'key0001', 'a cursor backwards gets to the first key');
is($session->run('FETCH ABSOLUTE 2 FROM c'), 'key1999', 'and back to the last but one');
$session->run('ROLLBACK');
is(pins(), 0, 'a cursor backwards: nothing is pinned');

#
# The backend ends.
#
my $victim = session($node);

begin_scan($victim);
$node->safe_psql('postgres', 'SELECT pg_terminate_backend(' . $victim->pid . ')');
$node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = ' . $victim->pid)
  or die 'it does not end';
is(pins(), 0, 'terminated: nothing is pinned');
all_is_readable('terminated');
$victim->send('SELECT 1');
$victim->await_lost;
$victim->quit;

$victim = session($node);
begin_scan($victim);
$victim->quit;
$node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = ' . $victim->pid)
  or die 'it does not end';
is(pins(), 0, 'disconnected: nothing is pinned');

$victim = session($node);
begin_scan($victim);
kill('KILL', $victim->pid) or die $!;
$session->send('SELECT pg_sleep(1000)');
is(($session->await_lost)[0], 1, 'killed: the server restarts');
$victim->send('SELECT 1');
$victim->await_lost;
$_->quit foreach $session, $victim;
await_server($node) or die 'no restart';
is(pins(), 0, 'killed: nothing is pinned');
all_is_readable('killed');

done_testing();
