# A standby is consistent with its replay position: while sessions write to the
# primary at random, and a driver flushes, compacts, truncates and collects there,
# and restarts the standby, each snapshot of the standby finds in a vault's tables
# what it finds in plain tables that received the same statements.
#
# SKYVAULT_SEED repeats what each session and the driver want to do, if not in which
# order they get there; SKYVAULT_STEPS is how many things the driver does.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $seed = $ENV{SKYVAULT_SEED} // int(rand(2**31));
my $steps = $ENV{SKYVAULT_STEPS} // 20;
srand($seed);
diag("SKYVAULT_SEED=$seed");

# What expires lives for less than ttl_grace, as in 064_random_concurrent.pl.
my @tables = qw(a b c);
my $store = PostgreSQL::Test::Utils::tempdir();
my $primary = new_server('primary', streaming => 1, settings => <<'SETTINGS');
log_statement = none
skyvault.ttl_grace = 3
skyvault.retention = 0
skyvault.orphan_grace = 0
skyvault.run_size = 64kB
skyvault.wal_runs = 3
skyvault.buffer_runs = 2
skyvault.level1_size = 64kB
skyvault.level_ratio = 2
hot_standby_feedback = on
max_standby_streaming_delay = -1
wal_receiver_status_interval = 1
SETTINGS

sub primary { return $primary->safe_psql('postgres', $_[0]); }

primary("CREATE SERVER shared FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:$store', shared 'on')");
make_mirror($primary, \@tables, 'shared');
primary(<<'SQL');
CREATE FUNCTION random_writes(seed int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	k int;
BEGIN
	PERFORM setseed(seed % 1000000 / 1000000.0);
	k := random() * 150;
	FOR step IN 1 .. 1 + (random() * 4)::int LOOP
		k := k + random() * 10;
		DECLARE
			rel text := (ARRAY['a', 'b', 'c'])[1 + floor(random() * 3)::int];
			value text := seed || ' of ' || repeat('v', CASE WHEN random() < 0.05 THEN 3000 ELSE (random() * 60)::int END);
		BEGIN
			IF random() < 0.2 THEN
				PERFORM mirror_delete(rel, 'key' || k);
			ELSIF random() < 0.3 THEN
				PERFORM mirror_multi_put(rel, array_agg('key' || k + n ORDER BY n), array_agg(value ORDER BY n))
					FROM generate_series(0, 9) AS n;
				k := k + 9;
			ELSE
				PERFORM mirror_put(rel, 'key' || k, value, CASE WHEN random() < 0.2 THEN random() * 2 * interval '1 second' END);
			END IF;
			IF random() < 0.1 THEN
				RAISE EXCEPTION 'rolled back';
			END IF;
		EXCEPTION WHEN raise_exception THEN
			NULL;
		END;
	END LOOP;
EXCEPTION WHEN deadlock_detected THEN
	NULL;
END $$;
SELECT pg_create_physical_replication_slot('standby', true);
SQL

# Its slot has what it may need, also while it is away.
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->append_conf('postgresql.conf', "primary_slot_name = 'standby'\n");
$standby->start;

sub await_replay { $primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert')); }

my $script = $primary->basedir . '/random_writes.sql';
append_to_file($script, "\\set n random(1, 1000000000)\nSELECT random_writes(:n);\n");
my ($written, $said) = ('', '');
my $writers = IPC::Run::start(
	[ 'pgbench', '-n', '-f', $script, '-c', 2, '-j', 1, '-T', 3600, '--random-seed', int(rand(2**31)),
		'-h', $primary->host, '-p', $primary->port, '-U', primary('SELECT current_user'), 'postgres' ],
	'>', \$written, '2>', \$said);

#
# Readers of the standby.
#
my %planned = planned_reads('a', 'b');
my %of_mirrors = planned_reads(live_mirror('a'), live_mirror('b'));
my %positions;

# TRUNCATE of a plain table is seen by older snapshots: so none is taken before its
# lock.  Where replay stands is about where the snapshot is; it says that it goes on.
sub begin
{
	my ($reader) = @_;

	$reader->run('BEGIN ISOLATION LEVEL REPEATABLE READ; LOCK TABLE ' . join(', ', map { "m_$_" } @tables) . ' IN ACCESS SHARE MODE');
	$positions{ $reader->run('SELECT pg_last_wal_replay_lsn()') } = 1;
	return $reader;
}

sub compare
{
	my ($reader) = @_;
	my @differences = eval {
		(split(/\n/, $reader->run(join(';', map { "SELECT * FROM differences('$_') LIMIT 5" } @tables))),
			grep { $reader->run($planned{$_}) ne $reader->run($of_mirrors{$_}) } sort keys %planned);
	};

	return $@ ? ($@) : @differences;
}

# A snapshot that stays open for some steps.
my ($old, $exported, $until);

# How many of them came to their end, and what was held back then.
my ($ends, $held) = (0, 0);

sub end_session { $_[0]->quit if $_[0]; $_[0] = undef; }

# What is cached, or open in a process that has read it before, could be read when it
# has gone from the store.  So another session reads the same snapshot.
sub compare_uncached
{
	$standby->safe_psql('postgres', 'SELECT skyvault_clear_cache()');
	my $reader = session($standby);
	$reader->run("BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '$exported'");
	my @differences = compare($reader);
	end_session($reader);
	return @differences;
}

# Runs that it sees are replaced, and what nobody holds is collected.
sub replace_and_collect
{
	primary("SELECT skyvault_flush('shared'); SELECT skyvault_compact('$tables[ int(rand(@tables)) ]', full => true)");
	$held += primary("SELECT count(*) FROM skyvault_gc(sweep => true, vault => 'shared') WHERE held_by IS NOT NULL");
	$ends++;
}

sub compare_old
{
	my ($step) = @_;

	if (!$old)
	{
		$old = begin(session($standby));
		$exported = $old->run('SELECT pg_export_snapshot()');
		$until = $step + 1 + int(rand(5));
	}
	replace_and_collect() if $step >= $until;
	my @differences = (compare($old), map { "not cached: $_" } compare_uncached());
	end_session($old) if $step >= $until;
	return map { "old snapshot: $_" } @differences;
}

# One session for as long as the standby runs: what it has cached must not outlive its
# truth.
my $lasting;

sub compare_new
{
	$lasting //= session($standby);
	my @differences = compare(begin($lasting));

	$lasting->run('COMMIT');
	return @differences;
}

#
# What the driver does.
#
my %done;

# Replay waits for readers of the table, and readers that come later for replay.
sub truncate_table
{
	my $table = $tables[ int(rand(@tables)) ];

	end_session($old);
	primary("BEGIN; LOCK TABLE m_$table IN ACCESS EXCLUSIVE MODE; TRUNCATE $table; TRUNCATE m_$table; COMMIT");
	await_replay();
}

# It may come back to before where it was, until it has replayed what there was.
sub restart_standby
{
	end_session($_) foreach $old, $lasting;
	$standby->stop(int(rand(2)) ? 'fast' : 'immediate');
	$standby->start;
	await_replay();
}

my @weighted = (
	[ 10, flush => sub { primary("SELECT skyvault_flush('shared')") } ],
	[ 6, compact => sub { primary("SELECT skyvault_compact('$tables[ int(rand(@tables)) ]', full => " . (int(rand(2)) ? 'true' : 'false') . ')') } ],
	[ 5, collect => sub { primary("SELECT count(*) FROM skyvault_gc(sweep => true, vault => 'shared')") } ],
	[ 2, truncate => \&truncate_table ],
	[ 1, restart => \&restart_standby ]);
my $total = 0;
$total += $_->[0] foreach @weighted;

my @differences;
foreach my $step (1 .. $steps)
{
	my $at = rand($total);
	my ($operation) = grep { ($at -= $_->[0]) < 0 } @weighted;

	$operation->[2]->();
	$done{ $operation->[1] }++;
	@differences = (compare_new(), compare_old($step));
	last if @differences;
}
end_session($_) foreach $old, $lasting;
$writers->signal('TERM');
$writers->finish;
is($said =~ /ERROR.*/ ? $& : '', '', 'writers have not failed');
is(join("\n", @differences), '', "$steps flushes, compactions, TRUNCATEs, collections and restarts beside writers: each snapshot of the standby agrees")
  or diag("SKYVAULT_SEED=$seed");

# A session ends its statement before it notices that its client has gone.
ok($primary->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM pg_stat_activity WHERE query LIKE '%random_writes(%' AND pid <> pg_backend_pid()"), 'writers have ended');
cmp_ok(primary("SELECT count(*) FROM skyvault.job WHERE kind = 'compact' AND state = 'done'"), '>', 1, 'there were compactions');
primary("SELECT skyvault_compact('$_', true)") foreach @tables;
await_replay();
same_content($standby, \@tables, 'and so does the end, compacted fully');
is($standby->safe_psql('postgres', join(';', map { "SELECT key, value FROM m_$_ ORDER BY key" } @tables)),
	primary(join(';', map { "SELECT key, value FROM m_$_ ORDER BY key" } @tables)), 'which is that of the primary');
diag(join(', ', map { "$_: $done{$_}" } sort keys %done) . ', replay positions: ' . keys(%positions) . ", old snapshots: $ends");
cmp_ok(scalar(keys %positions), '>', $steps / 2, 'snapshots were of many positions');
ok($held > 0 || !$ends, 'collections were held back for old snapshots');
is(primary("SELECT string_agg(DISTINCT error, '; ') FROM skyvault.job WHERE state = 'failed' AND sqlstate <> '40001'"), '', 'no job has failed');
$_->stop foreach $standby, $primary;

done_testing();
