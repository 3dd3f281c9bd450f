# One to eight sessions write at random, in transactions with savepoints, and with
# values that expire, while a driver flushes, compacts, truncates, drops, takes
# snapshots, collects, kills and restarts.  Readers compare a vault's tables with
# plain ones that received the same statements, each under one snapshot, all the
# time and in the end, when the vault is restored from its store alone as well.
#
# SKYVAULT_SEED repeats what each session wants to do, if not in which order they
# get there; SKYVAULT_STEPS is how many things the driver does, SKYVAULT_SESSIONS
# how many sessions write.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $seed = $ENV{SKYVAULT_SEED} // int(rand(2**31));
my $steps = $ENV{SKYVAULT_STEPS} // 100;
srand($seed);
my $sessions = 1 + int(rand(8));
$sessions = $ENV{SKYVAULT_SESSIONS} // $sessions;
diag("SKYVAULT_SEED=$seed SKYVAULT_SESSIONS=$sessions");

my @tables = qw(a b c);

# What expires lives for less than ttl_grace: else a compaction between the
# beginning of a statement and its snapshot might drop what it is yet to see.
my $node = new_server('main', settings => <<'SETTINGS');
log_statement = none
skyvault.ttl_grace = 3
skyvault.retention = 0
skyvault.orphan_grace = 0
skyvault.run_size = 64kB
skyvault.subcompaction_size = 16kB
skyvault.wal_runs = 3
skyvault.buffer_runs = 2
skyvault.level1_size = 64kB
skyvault.level_ratio = 2
SETTINGS
make_mirror($node, \@tables);

# A transaction's worth of writes: each step in a subtransaction, of which some are
# rolled back.  Keys in order, so that sessions wait for one another and do not
# deadlock, more often than not.
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION random_writes(seed int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	rel text;
	k int;
	value text;
BEGIN
	PERFORM setseed(seed % 1000000 / 1000000.0);
	k := random() * 150;
	FOR step IN 1 .. 1 + (random() * 4)::int LOOP
		rel := (ARRAY['a', 'b', 'c'])[1 + floor(random() * 3)::int];
		value := seed || ' of ' || repeat('v', CASE WHEN random() < 0.05 THEN 3000 ELSE (random() * 60)::int END);
		k := k + random() * 10;
		BEGIN
			IF random() < 0.2 THEN
				PERFORM mirror_delete(rel, 'k' || lpad(k::text, 4, '0'));
			ELSIF random() < 0.3 THEN
				PERFORM mirror_multi_put(rel, array_agg('k' || lpad((k + n)::text, 4, '0') ORDER BY n), array_agg(value ORDER BY n))
					FROM generate_series(0, 9) AS n;
				k := k + 9;
			ELSE
				PERFORM mirror_put(rel, 'k' || lpad(k::text, 4, '0'), value,
					CASE WHEN random() < 0.2 THEN random() * 2 * interval '1 second' END);
			END IF;
			IF random() < 0.1 THEN
				RAISE EXCEPTION 'rolled back';
			END IF;
		EXCEPTION WHEN raise_exception THEN
			NULL;
		END;
	END LOOP;
	IF random() < 0.05 THEN
		RAISE EXCEPTION 'rolled back as a whole';
	END IF;
EXCEPTION WHEN raise_exception OR deadlock_detected THEN
	NULL;
END $$;
SQL
my $script = $node->basedir . '/random_writes.sql';
append_to_file($script, "\\set n random(1, 1000000000)\nSELECT random_writes(:n);\n");

my @points = qw(
  flush-before-upload flush-uploaded flush-locked flush-deleted flush-registered flush-numbered flush-before-commit flush-committed
  compact-claimed compact-planned compact-before-run compact-open-input compact-begin-output compact-end-output
  compact-after-run compact-before-publish compact-locked compact-removed compact-registered compact-numbered
  compact-before-commit compact-committed export-before-upload export-uploaded export-before-commit export-committed
  snapshot-before-upload snapshot-uploaded snapshot-before-commit snapshot-committed
  gc-before-remove gc-removed gc-listed owner-announced owner-replaced
);
my ($writers, $written, $said) = (undef, '', '');
my $kills = 0;

sub start_writers
{
	($written, $said) = ('', '');
	$writers = IPC::Run::start(
		[ 'pgbench', '-n', '-f', $script, '-c', $sessions, '-j', 2, '-T', 3600, '--random-seed', int(rand(2**31)),
			'-h', $node->host, '-p', $node->port, '-U', $node->safe_psql('postgres', 'SELECT current_user'), 'postgres' ],
		'>', \$written, '2>', \$said);
}

# They end by themselves when the server dies.
sub stop_writers
{
	$writers->signal('TERM');
	$writers->finish;
	die "pgbench: $said" if $said =~ /ERROR/;

	# A session ends its statement before it notices that its client has gone.
	$node->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM pg_stat_activity WHERE query LIKE '%random_writes(%' AND pid <> pg_backend_pid()")
	  or die 'writers go on';
}

sub pick { return $_[ int(rand(@_)) ]; }

# With the server alive or not, as after a kill: 0 if it was lost.
sub try_sql
{
	my ($sql) = @_;
	my ($status, undef, $stderr) = $node->psql('postgres', $sql);

	return 1 if $status == 0;
	return 0 if $stderr =~ /server closed the connection|connection to server|terminating connection|the database system is/;
	die "$sql: $stderr";
}

sub flush { return try_sql('SELECT skyvault_flush()') }
sub export { return try_sql('SELECT skyvault_export()') }
sub snapshot { return try_sql('SELECT skyvault_snapshot()') }
sub collect { return try_sql('SELECT count(*) FROM skyvault_gc(sweep => true)') }
sub compact { return try_sql(sprintf("SELECT skyvault_compact('%s', %s)", pick(@tables), pick('true', 'false'))) }

# Both or none: who writes to either waits, and has not looked for the other's name yet.
sub empty_table
{
	my ($how) = @_;
	my $table = pick(@tables);

	return try_sql("BEGIN; LOCK TABLE m_$table IN ACCESS EXCLUSIVE MODE; $how; TRUNCATE m_$table; COMMIT" =~ s/TABLE_NAME/$table/gr);
}

sub truncate_table { return empty_table('TRUNCATE TABLE_NAME') }
sub drop_table { return empty_table("DROP FOREIGN TABLE TABLE_NAME; SELECT skyvault_create_table('TABLE_NAME')") }

# The next who comes to a point dies there, and with it the server.
sub kill_somewhere
{
	my $point = pick(@points);

	$kills++;
	return 0 if !try_sql("SELECT stop_point_arm('$point', 'kill')");
	return 0 if !flush() || !compact() || !export() || !snapshot() || !collect();
	return try_sql("SELECT stop_point_disarm('$point')");
}

sub restart_server
{
	stop_writers();
	$node->restart;
	start_writers();
	return 1;
}

sub compare
{
	my $reader = session($node);

	my @differences = split(/\n/, $reader->run(join(';', 'BEGIN ISOLATION LEVEL REPEATABLE READ',
		map { "SELECT * FROM differences('$_') LIMIT 5" } @tables)));
	$reader->run('COMMIT');
	$reader->quit;
	return @differences;
}

my @weighted = (
	[ 30, \&flush ], [ 20, \&compact ], [ 4, \&truncate_table ], [ 2, \&drop_table ], [ 4, \&export ], [ 3, \&snapshot ],
	[ 5, \&collect ], [ 12, \&kill_somewhere ], [ 2, \&restart_server ]);
my $total = 0;
$total += $_->[0] foreach @weighted;

my @differences;
start_writers();
foreach my $step (1 .. $steps)
{
	my $at = rand($total);
	my ($operation) = grep { ($at -= $_->[0]) < 0 } @weighted;

	if (!$operation->[1]->())
	{
		eval { $writers->finish };
		die "pgbench: $said" if $said =~ /ERROR:/;
		await_server($node) or die 'the server does not come back';
		start_writers();
	}
	@differences = compare();
	last if @differences;
}
stop_writers();
is(join("\n", @differences), '', "$steps flushes, compactions, TRUNCATEs, DROPs, snapshots and kills beside $sessions writers: each snapshot agrees")
  or diag("SKYVAULT_SEED=$seed SKYVAULT_SESSIONS=$sessions");

$node->safe_psql('postgres', "SELECT skyvault_compact('$_', true)") foreach @tables;
same_content($node, \@tables, 'and so does the end, compacted fully');
is(delta_rows($node), 0, 'the delta is empty');

# When all has expired that will.
$node->poll_query_until('postgres', join(' UNION ALL ', map { "SELECT FROM m_$_ WHERE value IS NOT NULL AND expires_at > now()" } @tables)
	=~ s/(.*)/SELECT NOT EXISTS ($1)/sr);
$node->safe_psql('postgres', 'SELECT skyvault_export(); SELECT count(*) FROM skyvault_gc(sweep => true)');
is($node->safe_psql('postgres', "SELECT * FROM skyvault_verify_vault('skyvault', true)"), '', 'the store is what the catalogue says');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->safe_psql('restored', "CREATE EXTENSION skyvault; SELECT skyvault_restore('skyvault')");
is($node->safe_psql('restored', join(';', map { "SELECT key, value FROM skyvault_scan('$_')" } @tables)),
	$node->safe_psql('postgres', join(';', map { "SELECT key, value FROM m_$_ WHERE value IS NOT NULL AND expires_at IS NULL ORDER BY key" } @tables)),
	'and the vault is restored from it as it was');
cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM skyvault.job WHERE kind = 'compact' AND state = 'done'"), '>', 10,
	'there were compactions');
cmp_ok($kills, '>', 1, 'and kills');
is($node->safe_psql('postgres', "SELECT string_agg(DISTINCT error, '; ') FROM skyvault.job WHERE state = 'failed'"
	. " AND error NOT LIKE 'the worker ended%' AND sqlstate <> '40001'"), '', 'nothing has failed otherwise');
done_testing();
