# Eight sessions write at random, in transactions with savepoints, while a driver
# flushes, compacts, truncates, kills and restarts.  Readers compare a vault's
# tables with plain ones that received the same statements, each under one
# snapshot, all the time and in the end.
#
# SKYVAULT_SEED repeats what each session wants to do, if not in which order they
# get there; SKYVAULT_STEPS is how many things the driver does.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $seed = $ENV{SKYVAULT_SEED} // int(rand(2**31));
my $steps = $ENV{SKYVAULT_STEPS} // 60;
my $sessions = 8;
srand($seed);
diag("SKYVAULT_SEED=$seed");

my @tables = qw(a b c);
my $node = new_server('main', settings => <<'SETTINGS');
log_statement = none
skyvault.ttl_grace = 0
skyvault.run_size = 64kB
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
				PERFORM mirror_put(rel, 'k' || lpad(k::text, 4, '0'), value);
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
  compact-before-commit compact-committed
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
sub compact { return try_sql(sprintf("SELECT skyvault_compact('%s', %s)", pick(@tables), pick('true', 'false'))) }

# Both or none: who writes to either waits.
sub truncate_table
{
	my $table = pick(@tables);

	return try_sql("BEGIN; LOCK TABLE m_$table IN ACCESS EXCLUSIVE MODE; TRUNCATE $table; TRUNCATE m_$table; COMMIT");
}

# The next who comes to a point dies there, and with it the server.
sub kill_somewhere
{
	my $point = pick(@points);

	$kills++;
	return 0 if !try_sql("SELECT stop_point_arm('$point', 'kill')");
	return 0 if !flush() || !compact();
	return try_sql("SELECT stop_point_disarm('$point')");
}

sub restart_server
{
	stop_writers();
	$node->restart(pick('fast', 'immediate'));
	start_writers();
	return 1;
}

sub compare
{
	my $reader = session($node);

	$reader->run('BEGIN ISOLATION LEVEL REPEATABLE READ');
	my @differences = split(/\n/, $reader->run(join(';', map { "SELECT * FROM differences('$_') LIMIT 5" } @tables)));
	$reader->run('COMMIT');
	$reader->quit;
	return @differences;
}

my @weighted = ([ 30, \&flush ], [ 20, \&compact ], [ 4, \&truncate_table ], [ 12, \&kill_somewhere ], [ 2, \&restart_server ]);
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
		$node->poll_query_until('postgres', 'SELECT true') or die 'the server does not come back';
		start_writers();
	}
	@differences = compare();
	last if @differences;
}
stop_writers();
is(join("\n", @differences), '', "$steps flushes, compactions, TRUNCATEs and kills beside $sessions writers: each snapshot agrees")
  or diag("SKYVAULT_SEED=$seed");

$node->safe_psql('postgres', "SELECT skyvault_compact('$_', true)") foreach @tables;
same_content($node, \@tables, 'and so does the end, compacted fully');
is(delta_rows($node), 0, 'the delta is empty');
cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM skyvault.job WHERE kind = 'compact' AND state = 'done'"), '>', 10,
	'there were compactions');
cmp_ok($kills, '>', 1, 'and kills');
is($node->safe_psql('postgres', "SELECT string_agg(DISTINCT error, '; ') FROM skyvault.job WHERE state = 'failed'"
	. " AND error NOT LIKE 'the worker ended%' AND sqlstate <> '40001'"), '', 'nothing has failed otherwise');
done_testing();
