# What bounds a batch of a flush: the number of tables, for the sake of the
# lock table, and what it has to remember of rows that leave nothing in the run.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $tables = 1200;
my $node = new_server('main', settings => <<'SETTINGS');
max_connections = 12
max_locks_per_transaction = 10
skyvault.run_size = 64kB
SETTINGS

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

#
# A row in each of many tables, and few locks.
#
sql(<<'SQL');
CREATE PROCEDURE for_each(low int, high int, statement text) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN low .. high LOOP
		EXECUTE replace(statement, '?', i::text);
		COMMIT;
	END LOOP;
END $$;
CREATE TABLE seen (n int, value text);
SQL
sql("CALL for_each(1, $tables, 'SELECT skyvault_create_table(''kv_?'')')");
sql("CALL for_each(1, $tables, 'SELECT skyvault_put(''kv_?'', ''k'', ''value ?'')')");
is(delta_rows($node), $tables, 'a row of each table is in the delta');
is(sql('SELECT skyvault_flush()'), $tables, 'a flush takes them all');
is(delta_rows($node), 0, 'nothing is left in the delta');
is(sql('SELECT left_out FROM skyvault.job WHERE left_out IS NOT NULL'), '', 'no table was left out');
is(sql('SELECT count(*) FROM (SELECT unnest(table_ids) FROM skyvault.run) AS t'), $tables,
	'the runs speak for each table once');
sql("CALL for_each(1, $tables, 'INSERT INTO seen SELECT ?, skyvault_get(''kv_?'', ''k'')')");
is(sql("SELECT count(*) FROM seen WHERE value = 'value ' || n"), $tables, 'each table has its row');

# Again, with some rows that are in the way of no batch.
sql("CALL for_each(1, $tables, 'SELECT skyvault_delete(''kv_?'', ''k'')')");
sql("SELECT skyvault_multi_put('kv_600', array_agg('key ' || i), array_agg(repeat('v', 1000)))"
	  . ' FROM generate_series(1, 200) AS i');
is(sql('SELECT skyvault_flush()'), $tables + 200, 'a flush takes deletions and a table of several batches');
is(delta_rows($node), 0, 'nothing is left in the delta');
sql("TRUNCATE seen; CALL for_each(1, $tables, 'INSERT INTO seen SELECT ?, skyvault_get(''kv_?'', ''k'')')");
is(sql('SELECT count(*) FROM seen WHERE value IS NULL'), $tables, 'the rows have gone from each table');
is(sql("SELECT count(*), sum(length(value)) FROM skyvault_scan('kv_600')"), '200|200000', 'the large one is complete');

#
# Deletions of what is not there leave nothing in the run, but the flush has
# to remember each row that it read.
#
sub newest_job
{
	return sql('SELECT coalesce(max(id), 0) FROM skyvault.job');
}

my $before = newest_job();
sql("SELECT count(skyvault_delete('kv_1', 'nothing ' || i)) FROM generate_series(1, 20000) AS i");
is(sql('SELECT skyvault_flush()'), 0, 'a flush of deletions of what is not there writes nothing');
cmp_ok(sql("SELECT count(*) FROM skyvault.job WHERE id > $before AND state = 'done'"), '>=', 10, 'it takes several batches');
is(delta_rows($node), 0, 'nothing is left in the delta');
is(sql("SELECT count(*) FROM skyvault_scan('kv_1')"), 0, 'the table is empty');

sql("SELECT skyvault_multi_put('kv_1', array_agg('key ' || i), array_agg('v'::text)) FROM generate_series(1, 20000) AS i");
sql('SELECT skyvault_flush()');
$before = newest_job();
sql("SELECT count(skyvault_delete('kv_1', 'key ' || i)) FROM generate_series(1, 20000) AS i WHERE i % 100 > 0");
is(sql('SELECT skyvault_flush()'), 19800, 'a flush of deletions of what is in runs writes them');
cmp_ok(sql("SELECT count(*) FROM skyvault.job WHERE id > $before AND state = 'done'"), '>=', 10, 'it takes several batches');
is(delta_rows($node), 0, 'nothing is left in the delta');
is(sql("SELECT count(*), count(*) FILTER (WHERE key LIKE '%00') FROM skyvault_scan('kv_1')"), '200|200',
	'what was not deleted is there');

$node->stop;
done_testing();
