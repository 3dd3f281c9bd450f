# pg_upgrade, to the same major version.  It keeps the oids of tables, but not of
# foreign servers.  Whoever upgrades has to copy a store that lies inside the
# data directory to the new one: it is none of the server's own files.
#
# The old server is stopped while a worker is in the middle of a compaction.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::RecursiveCopy;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my @settings = ('log_min_messages = debug1', 'skyvault.retention = 0', 'skyvault.orphan_grace = 0');

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

# With two vaults, rows in the delta and in runs, garbage, a snapshot with a name,
# and a job that is under way when it stops.  Returns the job's id as well.
sub old_server
{
	my ($name, $store) = @_;
	my $old = new_server($name, settings => join("\n", @settings, ''));

	# Servers and tables that are made and dropped, so that not all oids would come
	# out the same by themselves.
	$old->safe_psql('postgres', <<~"SQL");
		CREATE SERVER passing FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:passing');
		SELECT skyvault_create_table('passing_table', server => 'passing');
		CREATE SERVER elsewhere FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:$store');
		SELECT skyvault_create_table('kv');
		SELECT skyvault_create_table('kv_elsewhere', server => 'elsewhere');
		SELECT skyvault_create_table('emptied', server => 'elsewhere');
		CREATE FOREIGN TABLE columns (id bigint, name text, score float8) SERVER elsewhere OPTIONS (key 'id');
		DROP SERVER passing CASCADE;
		SELECT skyvault_put('emptied', 'a', 'b');
		SQL
	put_round($old, 1);
	$old->safe_psql('postgres', "SELECT skyvault_snapshot('before', 'elsewhere'); TRUNCATE emptied");
	put_round($old, 2);
	$old->safe_psql('postgres', 'SELECT skyvault_flush()');
	$old->safe_psql('postgres', "SELECT stop_point_arm('compact-end-output', 'wait')");
	my $client = session($old);
	$client->send("SELECT skyvault_compact('kv_elsewhere', true)");
	$old->safe_psql('postgres', "CALL stop_point_await('compact-end-output')");
	put_round($old, 3);
	cmp_ok(delta_rows($old), '>', 0, "$name: rows are in the delta");
	my $job = $old->safe_psql('postgres', "SELECT id FROM skyvault.job WHERE state = 'running'");
	my $expected = content($old);
	$old->stop('fast');
	$client->await_lost;
	$client->quit;
	return ($old, $job, $expected);
}

# Whether the log has that the server was to start this process.
sub has_started
{
	my ($what, @logs) = @_;

	return scalar(grep { slurp_file($_) =~ /registering background worker "$what/ } @logs);
}

foreach my $mode ('copy', 'link')
{
	my $store = PostgreSQL::Test::Utils::tempdir();
	my ($old, $job, $expected) = old_server("old_$mode", $store);
	my $new = PostgreSQL::Test::Cluster->new("new_$mode");
	my $bindir = $new->config_data('--bindir');
	my @upgrade = ('pg_upgrade', '-d', $old->data_dir, '-D', $new->data_dir, '-b', $bindir, '-B', $bindir,
		'-s', $new->host, '-p', $old->port, '-P', $new->port, "--$mode");

	@upgrade = grep { $_ ne '--copy' } @upgrade;    # the default, which has no name before 17
	$new->init;
	$new->append_conf('postgresql.conf', join("\n", "shared_preload_libraries = 'skyvault'", 'skyvault.flush_interval = 0',
		'skyvault.gc_interval = 0', 'skyvault.export_interval = 0', @settings, ''));
	chdir(PostgreSQL::Test::Utils::tempdir()) or die;
	my $stored = `find $store -type f | sort`;
	command_ok([ @upgrade, '--check' ], "$mode: pg_upgrade --check");
	command_ok([ @upgrade, '--retain', '--no-sync' ], "$mode: pg_upgrade");
	is(`find $store -type f | sort`, $stored, "$mode: it writes nothing to the store");
	my @logs = grep { -f } glob($new->data_dir . '/pg_upgrade_output.d/*/log/pg_upgrade_server.log');
	cmp_ok(scalar(@logs), '>', 0, "$mode: the servers that pg_upgrade starts have logs");
	is(has_started('skyvault', @logs), 0, "$mode: in which no worker is started");
	is(has_started('logical replication launcher', @logs), scalar(@logs), "$mode: but Postgres's own");
	PostgreSQL::Test::RecursiveCopy::copypath($old->data_dir . '/skyvault', $new->data_dir . '/skyvault');

	$new->start;
	is(has_started('skyvault launcher', $new->logfile), 1, "$mode: the new server starts the launcher");
	is($new->safe_psql('postgres', 'SELECT s.srvname FROM skyvault.vault AS v LEFT JOIN pg_foreign_server AS s ON s.srvname = v.server ORDER BY 1'),
		"elsewhere\nskyvault", "$mode: the vaults belong to their servers");
	is($new->safe_psql('postgres', 'SELECT c.relname FROM skyvault."table" AS t LEFT JOIN pg_class AS c ON c.oid = t.relid ORDER BY 1'),
		"columns\nemptied\nkv\nkv_elsewhere", "$mode: the identities belong to their tables");
	is(content($new), $expected, "$mode: everything is readable");

	# The job of the old server is done here, and what it removed is collected.
	$new->safe_psql('postgres', "SELECT skyvault_compact('kv_elsewhere', true); SELECT skyvault_compact('columns', true)");
	is($new->safe_psql('postgres', "SELECT state, error FROM skyvault.job WHERE id = $job"),
		'failed|the worker ended before the job did', "$mode: the job that was under way is taken away");
	is($new->safe_psql('postgres', 'SELECT string_agg(tier::text || level, $$ $$) FROM skyvault.run AS r, skyvault."table" AS t'
		. ' WHERE t.relid = $$kv_elsewhere$$::regclass AND t.id = ANY (r.table_ids)'), 'l1', "$mode: and done again");
	is(content($new), $expected, "$mode: everything is readable then");
	cmp_ok($new->safe_psql('postgres', "SELECT count(*) FROM skyvault_gc(vault => 'elsewhere', sweep => true) WHERE held_by IS NULL"), '>', 0,
		"$mode: garbage of before and after is collected");
	is($new->safe_psql('postgres', "SELECT count(*) FROM skyvault_gc(vault => 'elsewhere') WHERE held_by <> 'snapshot before'"), 0,
		"$mode: but for what a snapshot of the old server names");

	put_round($new, 4);
	$expected = content($new);
	cmp_ok($new->safe_psql('postgres', 'SELECT skyvault_flush()'), '>', 0, "$mode: what is in the delta can be flushed");
	is(delta_rows($new), 0, "$mode: all of it");
	is(content($new), $expected, "$mode: everything is readable from runs");
	is($new->safe_psql('postgres', "SELECT skyvault_get('kv', 'key 1'), skyvault_get('kv', 'every')"), 'kv 1|kv 4', "$mode: old and new");
	$new->safe_psql('postgres', "SELECT skyvault_create_table('fresh'); SELECT skyvault_put('fresh', 'k', 'v'); SELECT skyvault_flush()");
	is($new->safe_psql('postgres', 'TABLE fresh'), 'k|v', "$mode: tables can be made");
	$new->safe_psql('postgres', 'SELECT skyvault_export()');
	is($new->safe_psql('postgres', "SELECT count(*) FROM skyvault_verify_vault('elsewhere', true)"), 0, "$mode: nothing is wrong with the store");

	# The old cluster, started by mistake, finds that the vault is not its own any more.
	if ($mode eq 'copy')
	{
		$old->start;
		$old->safe_psql('postgres', "SELECT skyvault_put('kv_elsewhere', 'old', 'cluster')");
		fails_with($old, "SELECT skyvault_flush('elsewhere')", '55000', qr/does not own the vault of server "elsewhere"/,
			"$mode: the old cluster does not write to the vault any more");
		$old->stop;
	}

	# And the store alone is the vault, of both servers' times.
	$new->safe_psql('postgres', 'CREATE DATABASE restored');
	$new->safe_psql('restored', "CREATE EXTENSION skyvault; CREATE SERVER elsewhere FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:$store')");
	$new->safe_psql('restored', "SELECT skyvault_restore('elsewhere')");
	is($new->safe_psql('restored', 'TABLE kv_elsewhere; TABLE columns'), $new->safe_psql('postgres', 'TABLE kv_elsewhere; TABLE columns'),
		"$mode: the vault is restored as it is");
	$new->safe_psql('restored', 'DROP EXTENSION skyvault CASCADE; CREATE EXTENSION skyvault;'
		. " CREATE SERVER elsewhere FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:$store');"
		. " SELECT skyvault_restore('elsewhere', from_snapshot => 'before')");
	is($new->safe_psql('restored', 'TABLE emptied'), 'a|b', "$mode: and as it was when the old server took a snapshot");

	$new->safe_psql('postgres', 'TRUNCATE kv; DROP FOREIGN TABLE kv_elsewhere; SELECT skyvault_flush()');
	is($new->safe_psql('postgres', 'SELECT (SELECT count(*) FROM kv), (SELECT count(*) FROM columns)'), '0|5',
		"$mode: tables can be truncated and dropped");
	$new->stop;
}

done_testing();
