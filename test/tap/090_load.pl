# Bulk loads: what others do meanwhile, what a transaction sees of its own, and
# deaths, failures and aborts at each step.  A vault's table and a plain one get the
# same rows.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server(
	'main',
	settings => <<'SETTINGS');
log_statement = none
skyvault.bulk_threshold = 0
skyvault.load_workers = 0
skyvault.orphan_grace = 0
skyvault.retention = 0
SETTINGS
my @tables = qw(one two);

make_mirror($node, \@tables);

# Loads rows of a query into both tables.  Of equal keys the last one wins.
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION mirror_load(rel text, query text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('INSERT INTO %I (key, value) %s', rel, query);
	EXECUTE format('INSERT INTO %s SELECT DISTINCT ON (k COLLATE "C") k, v FROM (SELECT k, v, row_number() OVER () AS n'
		' FROM (%s) AS q(k, v)) AS r ORDER BY k COLLATE "C", n DESC'
		' ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires_at = NULL', mirror_of(rel), query);
END $$;
SQL

sub sql { return $node->safe_psql('postgres', $_[0]); }

# A query of rows FROM..TO with this value.
sub rows
{
	my ($from, $to, $value, $order) = @_;

	return "SELECT 'key' || to_char(n, 'FM000000'), '$value ' || n FROM generate_series($from, $to) AS n ORDER BY "
	  . ($order // 'hashint4(n)');
}

sub load_sql
{
	my ($table, @rows) = @_;

	return "SELECT mirror_load('$table', \$q\$" . rows(@rows) . "\$q\$)";
}

# How many runs are of loads.
sub loaded_runs { return sql("SELECT count(*) FROM skyvault.run WHERE tier = 'b'"); }

# ---- visible at commit ----

my $one = session($node);
my $two = session($node);

sql(load_sql('one', 1, 1000, 'first'));
is(loaded_runs(), 1, 'a load is one run');
is(delta_rows($node), 0, 'and has nothing in the delta');
same_content($node, \@tables, 'loaded rows are there');

sql("SELECT mirror_put('one', 'key000500', 'put'), mirror_delete('one', 'key000501'), mirror_put('one', 'other', 'put')");
$one->run('BEGIN; ' . load_sql('one', 400, 600, 'second'));
is(($one->run("SELECT count(*) FROM differences('one')"))[0], 0, 'the transaction that loads sees its rows');
is(sql(q{SELECT skyvault_get('one', 'key000500')}), 'put', 'another does not, before the commit');
$one->run('COMMIT');
same_content($node, \@tables, 'after the commit all see them');
is(sql("SELECT string_agg(convert_from(key, 'UTF8'), ' ') FROM skyvault.delta"),
	'other', 'rows of loaded keys have gone from the delta, others stay');

$one->run('BEGIN; ' . load_sql('one', 1, 10, 'never') . '; ROLLBACK');
$one->run('BEGIN; SAVEPOINT a; ' . load_sql('one', 1, 10, 'never') . '; ROLLBACK TO a; ' . load_sql('two', 1, 10, 'kept') . '; COMMIT');
same_content($node, \@tables, 'nothing is left of what was rolled back');
sql('SELECT skyvault_flush(); SELECT skyvault_compact(t) FROM unnest(\'{one,two}\'::regclass[]) AS t');
same_content($node, \@tables, 'flushes and compactions take loads in their order');
isnt(sql(q{SELECT count(*) FROM skyvault_gc(sweep => true) WHERE reason = 'orphan'}), 0, 'objects of aborted loads are collected');
same_content($node, \@tables, 'and no others');

# ---- own runs ----

# A snapshot that still sees delta rows which a flush has taken away: the load is newer.
sql("SELECT mirror_put('one', 'key000007', 'old'), mirror_put('one', 'key000008', 'old'), mirror_delete('one', 'key000009')");
$one->run('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM pg_class LIMIT 1');
is(($one->run("SELECT skyvault_get('one', 'key000007')"))[0], 'old', 'a snapshot sees a row of the delta');
sql('SELECT skyvault_flush()');
$one->run(load_sql('one', 1, 8, 'own'));
is(($one->run("SELECT string_agg(d, ', ') FROM differences('one') AS d"))[0], '',
	'own runs go before rows of the delta that were flushed since');
is( ($one->run("SELECT string_agg(value, ',' ORDER BY key DESC) FROM one WHERE key BETWEEN 'key000007' AND 'key000009'"))[0],
	'own 8,own 7', 'also in a scan of the table');
is(($one->run("SELECT count(*) FROM one"))[0], ($one->run('SELECT count(*) FROM m_one WHERE value IS NOT NULL'))[0], 'and when counted');
$one->run("SELECT mirror_put('one', 'key000007', 'own put')");
is(($one->run("SELECT string_agg(d, ', ') FROM differences('one') AS d"))[0], '', 'an own row of the delta goes before own runs');
$one->run("TRUNCATE one; UPDATE m_one SET value = NULL; " . load_sql('one', 5, 6, 'after'));
is(($one->run("SELECT string_agg(d, ', ') FROM differences('one') AS d"))[0], '', 'a load into a table that was emptied before');
$one->run('COMMIT');
same_content($node, \@tables, 'all of it after the commit');

# ---- conflicts ----

sql(load_sql('one', 1, 100, 'base'));
$one->run('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM one');
sql("SELECT mirror_put('one', 'key000050', 'another''s')");
like(($one->try(load_sql('one', 50, 60, 'never')))[1], qr/could not serialize access/, 'a key that was written since the snapshot');
$one->run('ROLLBACK; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM one');
sql("SELECT mirror_put('one', 'key000051', 'another''s'); SELECT skyvault_flush()");
like(($one->try(load_sql('one', 50, 60, 'never')))[1], qr/could not serialize access/, 'also if it was flushed');
$one->run('ROLLBACK; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM one');
sql(load_sql('one', 52, 52, 'another load'));
like(($one->try(load_sql('one', 50, 60, 'never')))[1], qr/could not serialize access/, 'or loaded');
$one->run('ROLLBACK; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM one');
sql("SELECT mirror_put('one', 'key000099', 'another''s'); SELECT skyvault_flush()");
$one->run(load_sql('one', 50, 60, 'loaded') . '; COMMIT');
same_content($node, \@tables, 'other keys are no conflict');

# ---- who waits for whom ----

$one->run("SELECT stop_point_arm('load-published', 'wait')");
$one->send(load_sql('one', 1, 200, 'waited for'));
sql("CALL stop_point_await('load-published')");
$two->send("SELECT skyvault_put('one', 'key000100', 'after the load')");
$node->poll_query_until('postgres', "SELECT wait_event_type IS NOT DISTINCT FROM 'Lock' FROM pg_stat_activity WHERE pid = " . $two->pid);
sql("SELECT skyvault_flush()");
sql("SELECT stop_point_disarm('load-published')");
is(($one->receive)[1], undef, 'a load');
is(($two->receive)[1], undef, 'a put waits for it, a flush does not');
is(sql("SELECT skyvault_get('one', 'key000100')"), 'after the load', 'what came after is newer');
sql("UPDATE m_one SET value = 'after the load' WHERE key = 'key000100'");
same_content($node, \@tables, 'after both');

# A flush that has read the delta before the load leaves the table out.
sql("SELECT mirror_put('one', 'key000120', 'before the load')");
$one->run("SELECT stop_point_arm('load-begin-run', 'wait'), stop_point_arm('flush-uploaded', 'wait')");
$one->send(load_sql('one', 110, 130, 'during the flush'));
sql("CALL stop_point_await('load-begin-run')");
$two->send('SELECT skyvault_flush()');
sql("CALL stop_point_await('flush-uploaded')");
sql("SELECT stop_point_disarm('load-begin-run')");
is(($one->receive)[1], undef, 'a load does not wait for a flush');
sql("SELECT stop_point_disarm('flush-uploaded')");
$two->receive;
same_content($node, \@tables, 'a load during a flush');
sql('SELECT skyvault_flush()');
same_content($node, \@tables, 'and after the next');

# ---- PREPARE TRANSACTION ----

$one->run('BEGIN; ' . load_sql('one', 300, 310, 'prepared') . "; PREPARE TRANSACTION 'load'");
$node->restart;
sql("COMMIT PREPARED 'load'");
same_content($node, \@tables, 'a load that was prepared, over a restart');

# ---- failures and deaths ----

foreach my $point (qw(load-begin-run load-end-run load-uploaded load-publish-locked load-published))
{
	my $session = session($node);
	my $before = loaded_runs();

	$session->run("SELECT stop_point_arm('$point', 'error')");
	like(($session->try(load_sql('one', 1, 50, "failed at $point")))[1], qr/stop point/, "an error at $point");
	$session->quit;
	sql("SELECT stop_point_disarm('$point')");
	same_content($node, \@tables, "nothing is loaded after an error at $point");
	is(loaded_runs(), $before, 'nor registered');

	$session = session($node);
	$session->run("SELECT stop_point_arm('$point', 'kill')");
	$session->send(load_sql('one', 1, 50, "killed at $point"));
	$session->await_lost;
	await_server($node);
	same_content($node, \@tables, "nothing is loaded after a death at $point");
	is(loaded_runs(), $before, 'nor registered');
	sql(load_sql('one', 1, 50, "after a death at $point"));
	same_content($node, \@tables, 'another load goes well');
}
isnt(sql('SELECT count(*) FROM skyvault_gc(sweep => true)'), 0, 'what was left behind is collected');
same_content($node, \@tables, 'and nothing else');

# All of it dies after the publish, before the commit; and right after the commit.
$one = session($node);
$one->run("SELECT stop_point_arm('load-published', 'wait')");
$one->send(load_sql('one', 1, 50, 'lost with the server'));
sql("CALL stop_point_await('load-published')");
kill_postmaster($node);
$node->start;
same_content($node, \@tables, 'a load that did not commit has gone with the server');
sql(load_sql('one', 1, 50, 'committed before'));
kill_postmaster($node);
$node->start;
same_content($node, \@tables, 'one that did has not');

# ---- more than memory, in order and not ----

sql("SET maintenance_work_mem = '1MB'; " . load_sql('two', 1, 60000, 'spilled'));
same_content($node, \@tables, 'a load of many times its memory');
sql("SET maintenance_work_mem = '1MB'; SELECT mirror_load('two', \$q\$SELECT 'key' || to_char(n % 30000, 'FM000000'), 'twice ' || n"
	  . " FROM generate_series(1, 60000) AS n\$q\$)");
same_content($node, \@tables, 'each key twice, the first time in order');
is(sql("SELECT count(DISTINCT seq_lo) FROM skyvault.run WHERE tier = 'b' AND xmin = (SELECT max(xmin::text::bigint)::text::xid"
		  . " FROM skyvault.run)"), 1, 'of little, all is sorted');
sql("SELECT mirror_load('two', \$q\$SELECT 'key' || to_char(n % 60000, 'FM000000'), repeat('x', 100) || n"
	  . " FROM generate_series(0, 70000) AS n\$q\$)");
same_content($node, \@tables, 'in order at first, then again');
is(sql("SELECT count(DISTINCT seq_lo) FROM skyvault.run WHERE tier = 'b' AND xmin = (SELECT max(xmin::text::bigint)::text::xid"
		  . " FROM skyvault.run)"), 2, 'which makes two stretches');

# ---- strict ----

sql("CREATE FOREIGN TABLE strict (key text COLLATE \"C\", value text) SERVER skyvault OPTIONS (key 'key', insert 'strict')");
my @strict = (
	[ 'given twice', rows(1, 100, 'a') . ') UNION ALL (' . rows(50, 50, 'b') ],
	[ 'that is in both stretches', "SELECT 'key' || to_char(n % 60000, 'FM000000'), repeat('x', 100) FROM generate_series(0, 60000) AS n" ]
);
foreach (@strict)
{
	my ($what, $query) = @$_;

	fails_with($node, "INSERT INTO strict ($query)", '23505', qr/key/, "a key $what");
}
is(sql('SELECT count(*) FROM strict'), 0, 'nothing was loaded');
sql('INSERT INTO strict ' . rows(1, 100, 'a'));
fails_with($node, 'INSERT INTO strict ' . rows(100, 200, 'b'), '23505', qr/key000100/, 'a key that exists');
sql("DELETE FROM strict WHERE key = 'key000100'; INSERT INTO strict " . rows(100, 200, 'b'));
is(sql('SELECT count(*) FROM strict'), 200, 'one that was deleted does not');

sql('SELECT skyvault_gc(sweep => true)');
is(sql(q{SELECT object, problem FROM skyvault_verify_vault('skyvault', true)}), '', 'the vault is sound');
$node->stop;
done_testing();
