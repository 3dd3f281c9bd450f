# What a prepared transaction leaves to its end: identities that may vanish,
# changelog rows to number, rows to flush.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server('main');
my $unnumbered = 'SELECT count(*) FROM skyvault.changelog WHERE id IS NULL';

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

#
# A table's identity that is made by a prepared transaction.
#
foreach my $end ('ROLLBACK', 'COMMIT')
{
	sql("SELECT skyvault_create_table('kv')");
	sql(q{DELETE FROM skyvault."table" WHERE relid = 'kv'::regclass});

	my $session = session($node);
	$session->run('BEGIN');
	$session->run("SELECT skyvault_put('kv', 'prepared', '1')");
	$session->run("PREPARE TRANSACTION 'identity'");
	$session->run("$end PREPARED 'identity'");
	$session->run("SELECT skyvault_put('kv', 'later', '2')");

	my $content = ($end eq 'COMMIT' ? "later|2\nprepared|1" : 'later|2');
	is(sql('SELECT * FROM kv'), $content, "$end PREPARED: others see what the session puts then");
	is($session->run('SELECT * FROM kv'), $content, "$end PREPARED: so does the session itself");
	is(sql(q{SELECT count(*) FROM skyvault."table" WHERE relid = 'kv'::regclass}), 1,
		"$end PREPARED: the table has one identity");
	is(sql('SELECT skyvault_flush()'), $end eq 'COMMIT' ? 2 : 1, "$end PREPARED: it is flushed");
	is(delta_rows($node), 0, "$end PREPARED: no row is left over");
	is(sql('SELECT * FROM kv'), $content, "$end PREPARED: all is there after the flush");
	$session->quit;
	sql('DROP FOREIGN TABLE kv');
}

#
# What TRUNCATE and DROP have done gets its number when they are committed,
# with no flush that would do it in passing.
#
foreach my $statement ('TRUNCATE kv', 'DROP FOREIGN TABLE kv')
{
	sql("SELECT skyvault_create_table('kv')");
	sql("SELECT skyvault_put('kv', 'k', 'v')");
	sql('SELECT skyvault_flush()');
	$node->poll_query_until('postgres', $unnumbered, '0') or die 'earlier changes get no number';
	sql("BEGIN; $statement; PREPARE TRANSACTION 'ddl'");
	sql('SELECT skyvault_flush()');
	is(sql($unnumbered), 0, "$statement, prepared: no unnumbered change is in sight");
	sql("COMMIT PREPARED 'ddl'");
	ok($node->poll_query_until('postgres', $unnumbered, '0'), "$statement: COMMIT PREPARED has it numbered");
	is(sql('SELECT kind FROM skyvault.changelog ORDER BY id DESC LIMIT 1'), lc((split(/ /, $statement))[0]),
		"$statement: it is the newest change");
	sql('DROP FOREIGN TABLE IF EXISTS kv');
}

#
# Rows that become visible by COMMIT PREPARED are flushed in time.
#
$node->append_conf('postgresql.conf', "skyvault.flush_interval = 1s");
$node->reload;
sql("SELECT skyvault_create_table('kv')");
sql("BEGIN; SELECT skyvault_put('kv', 'k', 'v'); PREPARE TRANSACTION 'put'");

# Nothing else is to be flushed then.
sql('SELECT skyvault_flush()');
is(delta_rows($node), 0, 'puts, prepared: no row is in sight');
sql("COMMIT PREPARED 'put'");
ok($node->poll_query_until('postgres', 'SELECT count(*) FROM skyvault.delta', '0'),
	'puts: COMMIT PREPARED has them flushed');
is(sql('SELECT * FROM kv'), 'k|v', 'puts: they are there after the flush');
is(sql('SELECT count(*) FROM skyvault.run'), 1, 'puts: in a run');

$node->stop;
done_testing();
