# What the TAP tests share: servers with the extension, sessions, and
# comparison of a vault's table with a plain one.
#
# Servers here flush, compact, export, snapshot and collect garbage only when told
# to, unless the test says otherwise: so a test decides what is in the delta, in
# which runs, and in the store.  Runs of which nothing lives go at any time.
package SkyvaultTest;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use SkyvaultSession;

our @EXPORT = qw(
  new_server install_skyvault kill_postmaster await_server session scheduler_pid await_new_process
  fails_with same_content make_mirror mirror live_mirror planned_reads delta_rows run_objects job_rows
  reload_with went_well give_up
);

# Settings of every server; later ones win.
my $base_settings = <<'SETTINGS';
shared_preload_libraries = 'skyvault'
restart_after_crash = on
max_prepared_transactions = 5
skyvault.flush_interval = 0
skyvault.retry_max_interval = 1s
skyvault.export_interval = 0
skyvault.snapshot_changes = 0
skyvault.gc_interval = 0
skyvault.sweep_interval = 0
skyvault.wal_runs = 1000
skyvault.wal_size = 1000GB
skyvault.buffer_runs = 1000
skyvault.buffer_size = 1000GB
skyvault.level1_size = 1000GB
skyvault.garbage_share = 2
SETTINGS

# A plain table m_NAME goes with each table NAME of a vault.  A row with a NULL
# value says that the key was deleted: so that whoever deletes a key that does
# not exist waits for other writers of it in both tables.
my $mirror_functions = <<'SQL';
CREATE FUNCTION mirror_of(rel text) RETURNS text LANGUAGE sql IMMUTABLE
	RETURN quote_ident('m_' || rel);

-- What expires is judged by.
CREATE FUNCTION mirror_now() RETURNS timestamptz LANGUAGE sql STABLE
	RETURN CASE WHEN current_setting('transaction_isolation') LIKE 'read %' THEN statement_timestamp()
		ELSE transaction_timestamp() END;

-- The mirror as a subquery: what has expired has a NULL value too.
CREATE FUNCTION mirror_rows(rel text) RETURNS text LANGUAGE sql IMMUTABLE
	RETURN format('(SELECT key, CASE WHEN expires_at <= mirror_now() THEN NULL ELSE value END AS value FROM %s)', mirror_of(rel));

CREATE FUNCTION mirror_put(rel text, k text, v text, ttl interval DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('INSERT INTO %s VALUES ($1, $2, $3) ON CONFLICT (key) DO UPDATE'
				   ' SET value = excluded.value, expires_at = excluded.expires_at',
				   mirror_of(rel)) USING k, v, statement_timestamp() + ttl;
	PERFORM skyvault_put(rel::regclass, k, v, ttl);
END $$;

CREATE FUNCTION mirror_delete(rel text, k text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('INSERT INTO %s VALUES ($1, NULL) ON CONFLICT (key) DO UPDATE SET value = NULL',
				   mirror_of(rel)) USING k;
	PERFORM skyvault_delete(rel::regclass, k);
END $$;

-- Of equal keys the last one wins, in both.
CREATE FUNCTION mirror_multi_put(rel text, ks text[], vs text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('INSERT INTO %s SELECT DISTINCT ON (k COLLATE "C") k, v'
				   ' FROM unnest($1, $2) WITH ORDINALITY AS u(k, v, n) ORDER BY k COLLATE "C", n DESC'
				   ' ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires_at = NULL',
				   mirror_of(rel)) USING ks, vs;
	PERFORM skyvault_multi_put(rel::regclass, ks, vs);
END $$;

-- What a scan, gets and a multi_get of the vault's table answer differently
-- from the plain table.
CREATE FUNCTION differences(rel text) RETURNS SETOF text LANGUAGE plpgsql STABLE AS $$
DECLARE
	got record;
BEGIN
	RETURN QUERY EXECUTE format(
		'SELECT format(''scan of %%s: key %%s has %%s, not %%s'', $1, coalesce(s.key, p.key),'
		' coalesce(left(s.value, 20), ''nothing''), coalesce(left(p.value, 20), ''nothing''))'
		' FROM skyvault_scan($1::regclass) AS s'
		' FULL JOIN (SELECT * FROM %1$s AS m WHERE value IS NOT NULL) AS p ON s.key = p.key'
		' WHERE s.value IS DISTINCT FROM p.value'
		' UNION ALL'
		' SELECT format(''get of %%s: key %%s'', $1, p.key) FROM %1$s AS p'
		' WHERE skyvault_get($1::regclass, p.key) IS DISTINCT FROM p.value'
		' OR skyvault_exists($1::regclass, p.key) <> (p.value IS NOT NULL)'
		' UNION ALL'
		' SELECT format(''multi_get of %%s: key %%s'', $1, g.key)'
		' FROM skyvault_multi_get($1::regclass, ARRAY(SELECT p.key FROM %1$s AS p)) AS g'
		' JOIN %1$s AS p ON p.key = g.key WHERE g.value IS DISTINCT FROM p.value', mirror_rows(rel)) USING rel;
END $$;
SQL

# A server named NAME that has the extension, the stop points and the mirror
# functions in "postgres".  settings: more of postgresql.conf.  streaming: may
# have standbys.  segment_mb: of WAL.  bare: without anything in "postgres".
sub new_server
{
	my ($name, %params) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(
		allows_streaming => $params{streaming} ? 1 : 0,
		extra => defined $params{segment_mb} ? [ '--wal-segsize', $params{segment_mb} ] : []);
	$node->append_conf('postgresql.conf', $base_settings . ($params{settings} // ''));
	$node->start;
	install_skyvault($node, 'postgres') unless $params{bare};
	return $node;
}

sub install_skyvault
{
	my ($node, $database) = @_;

	$node->safe_psql($database, 'CREATE EXTENSION skyvault');
	$node->safe_psql($database, slurp_file($ENV{STOP_POINTS_SQL} // die 'STOP_POINTS_SQL is not set'));
	$node->safe_psql($database, $mirror_functions);
}

# Kills the postmaster and waits for the end of all its children, before which
# it cannot be started again.  Dies if one stays.
sub kill_postmaster
{
	my ($node) = @_;
	my @pids = split(/\n/, $node->safe_psql('postgres', 'SELECT pid FROM pg_stat_activity'));
	my $tries = 100 * $PostgreSQL::Test::Utils::timeout_default;

	push @pids, slurp_file($node->data_dir . '/postmaster.pid') =~ /\A(\d+)/;
	$node->kill9;
	foreach my $pid (@pids)
	{
		while (kill(0, $pid) && !is_zombie($pid))
		{
			die "process $pid outlives its postmaster" if $tries-- == 0;
			usleep(10_000);
		}
	}

	# The next postmaster would take a zombie for a live one.
	unlink($node->data_dir . '/postmaster.pid', $node->host . '/.s.PGSQL.' . $node->port . '.lock');
}

# Waits until a server that restarts by itself takes connections.  (A statement in
# psql's input may find psql gone.)
sub await_server
{
	my ($node) = @_;

	foreach (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return 1 if IPC::Run::run(
			[ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', 'SELECT true' ], '<', \undef, '>', \my $out, '2>', \my $err);
		usleep(100_000);
	}
	return 0;
}

# Where nobody waits for orphans, they stay in the table of processes.
sub is_zombie
{
	my ($pid) = @_;

	open(my $status, '<', "/proc/$pid/stat") or return 0;
	return (readline($status) // '') =~ /\) Z /;
}

sub session
{
	my ($node, $database) = @_;

	return SkyvaultSession->new($node, $database // 'postgres');
}

# More lines of postgresql.conf, which count when this returns: the last is of the
# form NAME = VALUE, as SHOW would tell it.
sub reload_with
{
	my ($node, @lines) = @_;
	my ($name, $value) = $lines[-1] =~ /^(\S+) = (\S+)$/;

	$node->append_conf('postgresql.conf', join("\n", @lines, ''));
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('$name') = '$value'") or die "not reloaded: $lines[-1]";
}

# One test: what the session was sent has no error.  It quits.
sub went_well
{
	my ($session, $test_name) = @_;
	my (undef, $errors) = $session->receive;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($errors, undef, $test_name);
	$session->quit;
}

# A session that waits for workers does so no more, and only they are left.
sub give_up
{
	my ($node, $session) = @_;

	$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . $session->pid . ')');
	$session->receive;
	$session->quit;
}

# Empty if there is none.
sub scheduler_pid
{
	my ($node, $database) = @_;

	$database //= 'postgres';
	return $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = 'skyvault scheduler' AND datname = '$database'");
}

# Waits for a process of this type, other than that of the pid.
sub await_new_process
{
	my ($node, $backend_type, $old_pid, $database) = @_;
	my $of_database = defined $database ? "AND datname = '$database'" : '';

	return $node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pg_stat_activity"
		  . " WHERE backend_type = '$backend_type' AND pid <> $old_pid $of_database");
}

# One test: the statement fails with this SQLSTATE, and psql's account of it,
# detail and hint included, matches.
sub fails_with
{
	my ($node, $sql, $sqlstate, $pattern, $test_name, $database) = @_;
	my ($status, undef, $stderr) =
	  $node->psql($database // 'postgres', "\\set VERBOSITY verbose\n$sql");

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $passed = $status != 0 && $stderr =~ /^(?:psql:\S+ )?ERROR:  $sqlstate: /m && $stderr =~ $pattern;
	ok($passed, $test_name)
	  or diag("expected $sqlstate and $pattern, got status $status and:\n$stderr");
	return $passed;
}

# Tables of the default server, or of another, with their mirrors.
sub make_mirror
{
	my ($node, $tables, $server, $database) = @_;

	$server //= 'skyvault';
	$node->safe_psql($database // 'postgres', join('', map {
		"SELECT skyvault_create_table('$_', server => '$server');"
		  . "CREATE TABLE m_$_ (key text COLLATE \"C\" PRIMARY KEY, value text, expires_at timestamptz);" } @$tables));
}

# One test: tables and mirrors agree.
sub same_content
{
	my ($node, $tables, $test_name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(
		$node->safe_psql('postgres', join(';', map { "SELECT * FROM differences('$_') LIMIT 5" } @$tables)),
		'', $test_name);
}

# For FROM: the keys and values that a table should have, from its mirror.
sub live_mirror
{
	my ($table) = @_;

	return "(SELECT key, value FROM m_$table WHERE value IS NOT NULL AND (expires_at <= mirror_now()) IS NOT TRUE)";
}

# Statements by kind, of keys "key" and a number, that the planner makes lookups
# and scans of: for two tables, or for what stands for them in FROM.
sub planned_reads
{
	my ($one, $two) = @_;
	my $digest = q{count(*), md5(string_agg(r::text, ',' ORDER BY r))};
	my $keys = q{ARRAY(SELECT 'key' || n * 7 % 200 FROM generate_series(1, 200) AS n)};

	return (
		'a join' => "SELECT $digest FROM (SELECT key, a.value, b.value FROM $one AS a JOIN $two AS b USING (key)) AS r",
		'a join by lookups' => "SELECT $digest FROM (SELECT k.key, b.value FROM unnest($keys) AS k(key) LEFT JOIN LATERAL"
		  . " (SELECT value FROM $two AS b WHERE b.key = k.key OFFSET 0) AS b ON true) AS r",
		'= ANY' => "SELECT $digest FROM (SELECT * FROM $one AS a WHERE key = ANY ($keys)) AS r",
		'ORDER BY and LIMIT' => "SELECT $digest FROM (SELECT * FROM $one AS a WHERE key > 'key3' ORDER BY key LIMIT 20) AS r",
		'ORDER BY DESC and LIMIT' => "SELECT $digest FROM (SELECT * FROM $two AS b WHERE key < 'key8' ORDER BY key DESC LIMIT 20) AS r");
}

sub delta_rows
{
	my ($node) = @_;

	return $node->safe_psql('postgres', 'SELECT count(*) FROM skyvault.delta');
}

# Names of the registered objects, in the order of their making.
sub run_objects
{
	my ($node) = @_;

	return split(/\n/, $node->safe_psql('postgres', 'SELECT object FROM skyvault.run ORDER BY id'));
}

# The newest jobs first, as "state|error".
sub job_rows
{
	my ($node, $limit) = @_;

	return $node->safe_psql('postgres',
		"SELECT state, error FROM skyvault.job ORDER BY id DESC LIMIT $limit");
}

1;
