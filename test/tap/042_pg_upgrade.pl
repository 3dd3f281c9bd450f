# pg_upgrade, to the same major version.  It keeps the oids of tables, but not of
# foreign servers.  Whoever upgrades has to copy a store that lies inside the
# data directory to the new one: it is none of the server's own files.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::RecursiveCopy;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $old = new_server('old');
my $store = PostgreSQL::Test::Utils::tempdir();

# Servers and tables that are made and dropped, so that not all oids would come
# out the same by themselves.
$old->safe_psql('postgres', <<"SQL");
CREATE SERVER passing FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:passing');
SELECT skyvault_create_table('passing_table', server => 'passing');
CREATE SERVER elsewhere FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:$store');
SELECT skyvault_create_table('kv');
SELECT skyvault_create_table('kv_elsewhere', server => 'elsewhere');
CREATE FOREIGN TABLE columns (id bigint, name text, score float8) SERVER elsewhere OPTIONS (key 'id');
DROP SERVER passing CASCADE;
SQL

# What is put into each table at a time.
sub put_round
{
	my ($node, $round) = @_;

	$node->safe_psql('postgres', join(';', map {
		"SELECT skyvault_multi_put('$_', ARRAY['key $round', 'every'], ARRAY['$_ $round', '$_ $round'])" }
			'kv', 'kv_elsewhere'));
	$node->safe_psql('postgres', "INSERT INTO columns VALUES ($round, 'name $round', $round.5), (0, 'every $round', $round)");
	return;
}

sub content
{
	my ($node) = @_;

	return $node->safe_psql('postgres', 'TABLE kv; TABLE kv_elsewhere; TABLE columns');
}

put_round($old, 1);
$old->safe_psql('postgres', 'SELECT skyvault_flush()');
put_round($old, 2);
my $expected = content($old);
my $runs = $old->safe_psql('postgres', 'SELECT id, object FROM skyvault.run ORDER BY id');
cmp_ok(delta_rows($old), '>', 0, 'rows are in the delta');
isnt($runs, '', 'and in runs');
$old->stop;

my $new = PostgreSQL::Test::Cluster->new('new');
$new->init;
$new->append_conf('postgresql.conf', "shared_preload_libraries = 'skyvault'\nskyvault.flush_interval = 0\n");

my $bindir = $new->config_data('--bindir');
chdir(PostgreSQL::Test::Utils::tempdir()) or die;
command_ok(
	[ 'pg_upgrade', '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir, '-b', $bindir, '-B', $bindir,
		'-s', $new->host, '-p', $old->port, '-P', $new->port ],
	'pg_upgrade');
PostgreSQL::Test::RecursiveCopy::copypath($old->data_dir . '/skyvault', $new->data_dir . '/skyvault');
$new->start;
is($new->safe_psql('postgres', 'SELECT id, object FROM skyvault.run ORDER BY id'), $runs, 'the registry is what it was');
is($new->safe_psql('postgres', 'SELECT s.srvname FROM skyvault.vault AS v LEFT JOIN pg_foreign_server AS s ON s.srvname = v.server ORDER BY 1'),
	"elsewhere\nskyvault", 'the vaults belong to their servers');
is($new->safe_psql('postgres', 'SELECT c.relname FROM skyvault."table" AS t LEFT JOIN pg_class AS c ON c.oid = t.relid ORDER BY 1'),
	"columns\nkv\nkv_elsewhere", 'the identities belong to their tables');
is(content($new), $expected, 'everything is readable');

put_round($new, 3);
$expected = content($new);
cmp_ok($new->safe_psql('postgres', 'SELECT skyvault_flush()'), '>', 0, 'what is in the delta can be flushed');
is(delta_rows($new), 0, 'all of it');
is(content($new), $expected, 'everything is readable from runs');
is($new->safe_psql('postgres', "SELECT skyvault_get('kv', 'key 1'), skyvault_get('kv', 'every')"), 'kv 1|kv 3', 'old and new');
$new->safe_psql('postgres', "SELECT skyvault_create_table('fresh'); SELECT skyvault_put('fresh', 'k', 'v'); SELECT skyvault_flush()");
is($new->safe_psql('postgres', 'TABLE fresh'), 'k|v', 'tables can be made');
$new->safe_psql('postgres', 'TRUNCATE kv; DROP FOREIGN TABLE kv_elsewhere; SELECT skyvault_flush()');
is($new->safe_psql('postgres', 'SELECT (SELECT count(*) FROM kv), (SELECT count(*) FROM columns)'), '0|4',
	'and be truncated and dropped');

$new->stop;
done_testing();
