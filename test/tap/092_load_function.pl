# skyvault_load: from queries and from files, into a table and in the place of all that
# it has, which readers see at once or not at all.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server('main');
my $files = PostgreSQL::Test::Utils::tempdir();

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub load
{
	my ($source, $options) = @_;
	return sql("SELECT skyvault_load('features', \$q\$$source\$q\$" . ($options ? ", $options" : '') . ')');
}

# Version n has 5000 + n rows.
sub version { return "SELECT g, $_[0], 'value ' || g FROM generate_series(1, 5000 + $_[0]) AS g ORDER BY hashint4(g)"; }

sub content { return sql('SELECT count(*), min(version), max(version) FROM features'); }

sql(<<'SQL');
CREATE FOREIGN TABLE features (id int, version int, v text) SERVER skyvault OPTIONS (key 'id');
CREATE TABLE going (on_and_on boolean);
INSERT INTO going VALUES (true);
-- Reads until it is told to stop, whatever way leads to the rows: how often, and what was wrong.
CREATE FUNCTION watch() RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	r record;
	reads int := 0;
BEGIN
	WHILE (SELECT on_and_on FROM going) LOOP
		SELECT count(*) AS n, min(version) AS low, max(version) AS high INTO r FROM features;
		IF r.low <> r.high OR r.n <> 5000 + r.low THEN
			RETURN format('%s rows of %s to %s', r.n, r.low, r.high);
		END IF;
		SELECT count(*) AS n, count(DISTINCT version) AS versions INTO r FROM features WHERE id IN (1, 17, 2500, 4999);
		IF r.n <> 4 OR r.versions <> 1 THEN
			RETURN format('%s rows of %s versions by key', r.n, r.versions);
		END IF;
		reads := reads + 1;
	END LOOP;
	RETURN CASE WHEN reads > 0 THEN 'good' ELSE 'nothing was read' END;
END $$;
SQL

#
# The content is swapped: no reader sees some of both.
#
is(load(version(1)), 5001, 'rows of a query are loaded');
is(content(), '5001|1|1', 'and there');
is(load(version(1)), 5001, 'a key that is there already is replaced');
is(content(), '5001|1|1', 'so their number is the same');

my $old = session($node);
$old->run('BEGIN ISOLATION LEVEL REPEATABLE READ');
is($old->run('SELECT count(*), min(version), max(version) FROM features'), '5001|1|1', 'a snapshot of the first version');

my @watchers = map { session($node) } 1 .. 2;
$_->send('SELECT watch()') foreach @watchers;
foreach my $n (2 .. 7)
{
	sql("UPDATE features SET v = 'changed' WHERE id BETWEEN $n * 10 AND $n * 11") if $n % 2;
	sql('SELECT skyvault_flush()') if $n % 3 == 0;
	is(load(version($n), 'replace => true'), 5000 + $n, "version $n takes the place");
	sql("SELECT skyvault_compact('features', full => true)") if $n == 4;
}
sql('UPDATE going SET on_and_on = false');
is(($_->receive)[0], 'good', 'a reader saw one version at a time') foreach @watchers;
$_->quit foreach @watchers;
is(content(), '5007|7|7', 'the last one is there');
is(sql("SELECT count(*) FROM features WHERE v = 'changed'"), '0', 'and nothing of what was written before it');
is($old->run('SELECT count(*), min(version), max(version) FROM features'), '5001|1|1', 'the old snapshot sees what it saw');
is($old->run('SELECT version FROM features WHERE id = 17'), '1', 'by key too');
like(($old->try("UPDATE features SET v = 'lost?' WHERE id = 17"))[1], qr/could not serialize/, 'and does not write over what it does not see');
$old->run('ROLLBACK');
$old->quit;
is(sql("SELECT count(*) FROM skyvault_verify('features', true)"), '0', 'all is in order');

#
# It is of its transaction.
#
{
	my $writer = session($node);

	$writer->run('BEGIN');
	$writer->run('SELECT skyvault_load(\'features\', $$' . version(8) . '$$, replace => true)');
	is($writer->run('SELECT count(*), min(version), max(version) FROM features'), '5008|8|8', 'its own transaction sees the rows');
	is(content(), '5007|7|7', 'others do not');
	$writer->run("INSERT INTO features VALUES (0, 8, 'after')");
	is($writer->run('SELECT count(*) FROM features'), '5009', 'it writes on');
	$writer->run('ROLLBACK');
	is(content(), '5007|7|7', 'after ROLLBACK nobody does');

	$writer->run('BEGIN');
	$writer->run('SAVEPOINT s');
	$writer->run('SELECT skyvault_load(\'features\', $$' . version(8) . '$$, replace => true)');
	$writer->run('ROLLBACK TO s');
	is($writer->run('SELECT count(*), min(version), max(version) FROM features'), '5007|7|7', 'nor after ROLLBACK TO');
	$writer->run('COMMIT');
	is(content(), '5007|7|7', 'nor after the COMMIT of the rest');
	$writer->quit;
}
fails_with($node, q{SELECT skyvault_load('features', 'SELECT g, 1, (1 / (4000 - g))::text FROM generate_series(1, 5000) AS g', replace => true)},
	'22012', qr/division by zero/, 'an error of the query is passed on');
is(content(), '5007|7|7', 'and leaves all as it was');

#
# A query that reads the table itself; one without rows; in the place of nothing.
#
is(load('SELECT id, 9, v FROM features WHERE id % 2 = 0', 'replace => true'), '2503', 'a query may read the table');
is(content(), '2503|9|9', 'as it was before');
is(load('SELECT * FROM features WHERE false', 'replace => true'), '0', 'a query without rows');
is(content(), '0||', 'empties it');
is(load(version(1), 'replace => true'), '5001', 'in the place of nothing');
is(content(), '5001|1|1', 'as well');

#
# What was there before may be kept in another table, and come back.
#
sql('CREATE FOREIGN TABLE features_before (id int, version int, v text) SERVER skyvault OPTIONS (key \'id\')');
sql("BEGIN; SELECT skyvault_load('features_before', 'TABLE features', replace => true);"
	. ' SELECT skyvault_load(\'features\', $$' . version(2) . '$$, replace => true); COMMIT');
is(content(), '5002|2|2', 'the new version');
is(sql('SELECT count(*), min(version), max(version) FROM features_before'), '5001|1|1', 'the one before it');
is(load('TABLE features_before', 'replace => true'), '5001', 'goes back');
is(content(), '5001|1|1', 'and is what it was');

#
# Columns, casts, constraints, as of INSERT.
#
is(load('SELECT 7.0::numeric, 3::bigint', '"columns" => \'{id,version}\', replace => true'), '1', 'columns by name, with assignment casts');
is(sql('TABLE features'), '7|3|', 'what is not named is null');
fails_with($node, q{SELECT skyvault_load('features', 'SELECT ''x''::text, 1')}, '42804', qr/is of type integer but expression is of type text/, 'no cast');
fails_with($node, q{SELECT skyvault_load('features', 'SELECT 1, 1, 1, 1')}, '42601', qr/more expressions than target columns/, 'too many columns');
fails_with($node, q{SELECT skyvault_load('features', 'SELECT 1', "columns" => '{nothing}')}, '42703', qr/"nothing"/, 'no such column');
fails_with($node, q{SELECT skyvault_load('features', 'SELECT NULL, 1')}, '23502', qr/null value/, 'a key that is null');
fails_with($node, qq{SELECT skyvault_load('features', '$_')}, '42601', qr/not one query/, "no query: $_")
  foreach ('DELETE FROM features', 'SELECT 1; SELECT 2', '', 'INSERT INTO features VALUES (1)');
fails_with($node, q{SELECT skyvault_load('features', 'SELECT FROM')}, '42601', qr/./, 'no syntax');
fails_with($node, q{SELECT skyvault_load('going', 'SELECT true')}, '42809', qr/going/, 'no table of a vault');
fails_with($node, q{SELECT skyvault_load('features', NULL)}, '22004', qr/source must not be null/, 'no source');
sql(q{CREATE FOREIGN TABLE exact (a int, b text CHECK (b <> 'bad')) SERVER skyvault OPTIONS (key 'a', insert 'strict')});
fails_with($node, q{SELECT skyvault_load('exact', 'SELECT g % 10, ''x'' FROM generate_series(1, 20) AS g', replace => true)},
	'23505', qr/Key \(a\)=\(\d\) already exists/, 'a strict table does not take a key twice');
is(sql(q{SELECT skyvault_load('exact', 'SELECT g, ''x'' FROM generate_series(1, 20) AS g')}), '20', 'but each once');
is(sql(q{SELECT skyvault_load('exact', 'SELECT g, ''y'' FROM generate_series(1, 20) AS g', replace => true)}), '20', 'and again in the place of itself');
fails_with($node, q{SELECT skyvault_load('exact', 'VALUES (21, ''bad'')', replace => true)}, '23514', qr/check constraint/, 'a constraint');
is(sql('SELECT count(*), min(b) FROM exact'), '20|y', 'nothing of all that was kept');

#
# Triggers would see what is not there yet.
#
sql(q{CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
	CREATE TRIGGER t AFTER INSERT ON exact FOR EACH ROW EXECUTE FUNCTION nothing()});
fails_with($node, q{SELECT skyvault_load('exact', 'SELECT 1, ''z''', replace => true)}, '55000', qr/triggers/, 'a table with triggers is not replaced');
is(sql(q{SELECT skyvault_load('exact', 'SELECT 21, ''z''')}), '1', 'but takes rows, one by one');
if ($node->pg_version >= 16)
{
	sql(q{DROP TRIGGER t ON exact; CREATE TRIGGER t BEFORE TRUNCATE ON exact EXECUTE FUNCTION nothing()});
	fails_with($node, q{SELECT skyvault_load('exact', 'SELECT 1, ''z''', replace => true)}, '55000', qr/triggers/, 'nor one with triggers of TRUNCATE');
}

#
# Files.
#
append_to_file("$files/a.csv", "id;version;v\n" . join('', map { "$_;1;\"value; $_\"\n" } 1 .. 3000));
append_to_file("$files/b.txt", "1\t2\tx\n2\t2\t\\N\n");
append_to_file("$files/broken.csv", "1,1,x\nnone,2,y\n");
chmod(0644, "$files/a.csv", "$files/b.txt", "$files/broken.csv");
is(load("$files/a.csv", q{'csv', replace => true, options => 'HEADER, DELIMITER '';'''}), '3000', 'a file of format csv');
is(sql('SELECT count(*), max(v) FROM features WHERE version = 1'), '3000|value; 999', 'and its rows');
is(load("$files/b.txt", q{'text'}), '2', 'one of format text');
is(sql('SELECT id, v FROM features WHERE version = 2 ORDER BY id'), "1|x\n2|", 'and its rows');
sql("COPY (SELECT id, version, v FROM features) TO '$files/c.bin' (FORMAT binary)");
is(load("$files/c.bin", q{'binary', replace => true}), '3000', 'one of format binary');
fails_with($node, "SELECT skyvault_load('features', '$files/broken.csv', 'csv', replace => true)", '22P02', qr/line 2, column id/, 'a line that is none');
fails_with($node, "SELECT skyvault_load('features', '$files/none.csv', 'csv')", '58P01', qr/No such file/, 'no file');
fails_with($node, "SELECT skyvault_load('features', '$files/a.csv', 'xml')", '22023', qr/formats are/, 'no format');
fails_with($node, "SELECT skyvault_load('features', '$files/a.csv', 'csv', options => '$_')", '42601', qr/./, "no options: $_")
  foreach ('HEADER); DROP TABLE going; SELECT (1', 'NOTHING true');
fails_with($node, q{SELECT skyvault_load('features', 'SELECT 1', options => 'HEADER')}, '22023', qr/options are for files/, 'options of a query');
is(sql('SELECT count(*) FROM features'), '3000', 'nothing of all that was kept');

#
# Privileges.
#
sql('CREATE ROLE loader; CREATE TABLE secret (id int); GRANT INSERT ON features TO loader');
fails_with($node, "SET ROLE loader; SELECT skyvault_load('features', $_->[0])", '42501', $_->[1], "may not $_->[0]")
  foreach (["'SELECT 1', replace => true", qr/foreign table features/], ["'SELECT id FROM secret'", qr/table secret/],
	["'$files/b.txt', 'text'", qr/COPY from a file/]);
is(sql("SET ROLE loader; SELECT skyvault_load('features', 'SELECT 9000')"), '1', 'INSERT suffices to load');
sql('GRANT TRUNCATE ON features TO loader');
is(sql("SET ROLE loader; SELECT skyvault_load('features', 'SELECT 9000', replace => true)"), '1', 'and TRUNCATE to replace');
sql('REVOKE INSERT ON features FROM loader');
fails_with($node, "SET ROLE loader; SELECT skyvault_load('features', 'SELECT 1')", '42501', qr/foreign table features/, 'without INSERT nothing goes');

#
# Two statements that load the same partitions, and come to them the other way round:
# one waits for the other, and neither is a deadlock's victim.
#
sql('CREATE TABLE parts (k int, v text) PARTITION BY RANGE (k)');
sql("CREATE FOREIGN TABLE parts_$_ PARTITION OF parts FOR VALUES FROM (${_}00) TO (${_}99) SERVER skyvault OPTIONS (key 'k')") foreach (1, 2);
{
	my @sessions = map { session($node) } 1 .. 2;

	$_->run('SET skyvault.bulk_threshold = 0') foreach @sessions;
	sql("SELECT stop_point_arm('load-published', 'wait')");
	$sessions[0]->send("INSERT INTO parts VALUES (101, 'first'), (201, 'first')");
	sql("CALL stop_point_await('load-published')");
	$sessions[1]->send("INSERT INTO parts VALUES (201, 'second'), (101, 'second')");
	$node->poll_query_until('postgres', "SELECT wait_event_type IS NOT DISTINCT FROM 'Lock' FROM pg_stat_activity WHERE pid = " . $sessions[1]->pid);
	sql("SELECT stop_point_disarm('load-published')");
	is(($_->receive)[1], undef, 'a load of partitions goes through') foreach @sessions;
	$_->quit foreach @sessions;
	is(sql("SELECT string_agg(k || ' ' || v, ', ' ORDER BY k) FROM parts"), '101 second, 201 second', 'the later one counts');
}

#
# After a crash there is what was committed.
#
load(version(3), 'replace => true');
{
	my $writer = session($node);

	$writer->run('BEGIN');
	$writer->run('SELECT skyvault_load(\'features\', $$' . version(4) . '$$, replace => true)');
	$node->stop('immediate');
	$node->start;
	is(content(), '5003|3|3', 'the version that was committed');
}
is(load(version(5), 'replace => true'), '5005', 'and the next one');
is(content(), '5005|5|5', 'is there');
$node->stop;

done_testing();
