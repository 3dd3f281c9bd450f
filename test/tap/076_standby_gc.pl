# A standby reads while the primary flushes, compacts, truncates and collects
# garbage: what its snapshot sees, or 40001, never anything else.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $store = PostgreSQL::Test::Utils::tempdir();
my $primary = new_server('primary', streaming => 1, settings =>
	"skyvault.retention = 0\nskyvault.orphan_grace = 0\nmax_standby_streaming_delay = -1\nwal_receiver_status_interval = 1\n");

$primary->safe_psql('postgres',
	"CREATE SERVER shared FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:$store', shared 'on')");
make_mirror($primary, [ 'kv', 'other' ], 'shared');
$primary->backup('backup');
my %standbys;
foreach my $name ('feedback', 'silent')
{
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init_from_backup($primary, 'backup', has_streaming => 1);
	$node->append_conf('postgresql.conf', 'hot_standby_feedback = ' . ($name eq 'feedback' ? 'on' : 'off') . "\n");
	$node->start;
	$standbys{$name} = $node;
}

sub primary { return $primary->safe_psql('postgres', $_[0]); }
sub await_replay { $primary->wait_for_catchup($_, 'replay', $primary->lsn('insert')) foreach values %standbys; }
sub gone { return -e "$store/$_[0]" ? 0 : 1; }

# One test: what a snapshot without feedback needs has gone, and says what to do.
sub says_gone
{
	my ($reader, $statement, $case) = @_;
	my (undef, $errors) = $reader->try("SAVEPOINT s; $statement");

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok(($errors // '') =~ /^ERROR:  40001: object "\S+" is no longer in the store$/m
		  && $errors =~ /^HINT:  Try again\. Turn on hot_standby_feedback, or raise skyvault\.retention on the primary\.$/m, $case)
	  or diag($errors // 'no error');
	$reader->run('ROLLBACK TO s');
}

primary("SELECT mirror_multi_put(t, array_agg('key' || n), array_agg('value ' || n))"
	. " FROM unnest('{kv,other}'::text[]) AS t, generate_series(1, 500) AS n GROUP BY t");
primary('SELECT skyvault_flush()');
primary("SELECT mirror_put('kv', 'key1', 'newer')");
primary('SELECT skyvault_flush()');
my @objects = run_objects($primary);
await_replay();

# One snapshot on each standby, which has read one table and not the other.
my $sum = q{SELECT count(*), md5(string_agg(key || value, ',')) FROM skyvault_scan('%s')};
my %readers = map { $_ => session($standbys{$_}) } keys %standbys;
my $expected = primary(sprintf($sum, 'kv'));
foreach my $name (sort keys %readers)
{
	$readers{$name}->run('BEGIN ISOLATION LEVEL REPEATABLE READ');
	is($standbys{$name}->safe_psql('postgres', sprintf($sum, 'kv')), $expected, "$name: the standby reads what the primary has");

	# A session that has the object open could read it after its end; so this one has not.
	$readers{$name}->run('SELECT count(*) FROM skyvault.vault');
	$standbys{$name}->safe_psql('postgres', 'SELECT skyvault_clear_cache()');
}
ok($primary->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pg_stat_replication WHERE application_name = 'feedback' AND backend_xmin IS NOT NULL"),
	'the primary knows of a snapshot of the standby');

primary('TRUNCATE kv, other, m_kv, m_other');
primary("SELECT mirror_put('kv', 'after', 'the truncate')");
primary('SELECT skyvault_flush()');
is(primary("SELECT DISTINCT held_by FROM skyvault_gc(true) WHERE object = '$objects[1]'"), 'standby feedback', 'feedback holds garbage back');
primary('SELECT skyvault_gc()');
ok(!gone($objects[1]), 'an object that a standby with feedback needs stays');
is($readers{feedback}->run(sprintf($sum, 'kv')), $expected, 'it is read there');
$readers{feedback}->run('COMMIT');

# Now nobody holds it; the other standby finds out.
ok($primary->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM skyvault_gc() WHERE object = '$objects[1]' AND held_by IS NULL"),
	'it is collected when the standby with feedback needs it no more');
ok(gone($objects[1]), 'it is gone');
$standbys{silent}->safe_psql('postgres', 'SELECT skyvault_clear_cache()');
foreach my $statement (sprintf($sum, 'kv'), "SELECT skyvault_get('kv', 'key1')",
	"SELECT * FROM skyvault_multi_get('kv', ARRAY['key1', 'key2'])", "SELECT count(*) FROM kv JOIN other USING (key)")
{
	says_gone($readers{silent}, $statement, "without feedback: $statement fails and says what to do");
}
$readers{silent}->run('ROLLBACK');
await_replay();
foreach my $name (sort keys %standbys)
{
	is($readers{$name}->run(sprintf($sum, 'kv')), primary(sprintf($sum, 'kv')), "$name: the next snapshot reads");
	same_content($standbys{$name}, [ 'kv', 'other' ], "$name: tables agree with their mirrors");
	$readers{$name}->quit;
}

# Snapshots that are older than two compactions, of which the second merges what the
# first made, and a collection after each.
{
	my %reads = (
		'a scan' => sprintf($sum, 'kv'),
		'a scan of another table' => sprintf($sum, 'other'),
		'a get' => "SELECT skyvault_get('kv', 'key7')",
		'a multi_get' => "SELECT md5(string_agg(key || coalesce(value, 'none'), ',')) FROM skyvault_multi_get('other', "
		  . "(SELECT array_agg('key' || n) FROM generate_series(1, 100) AS n))",
		planned_reads('kv', 'other'));
	my $digest = join(';', map { $reads{$_} } sort keys %reads);

	sub write_runs
	{
		my ($round) = @_;

		foreach my $n (1 .. 2)
		{
			primary("SELECT mirror_multi_put(t, array_agg('key' || n), array_agg('round $round.$n of ' || n))"
				. " FROM unnest('{kv,other}'::text[]) AS t, generate_series($n * 20, 300 - $round * 50) AS n GROUP BY t;"
				. "SELECT mirror_delete('kv', 'key' || n) FROM generate_series($round * 31, $round * 31 + 20) AS n");
			primary('SELECT skyvault_flush()');
		}
	}

	sub compact_and_collect
	{
		primary("SELECT skyvault_compact('$_', full => true)") foreach qw(kv other);
		primary('SELECT skyvault_gc()');
	}

	primary("SELECT mirror_multi_put('kv', array_agg('key' || n), array_agg('first ' || n)) FROM generate_series(1, 50) AS n");
	write_runs(1);
	await_replay();
	my @inputs = run_objects($primary);
	my $old = primary($digest);
	%readers = map { $_ => session($standbys{$_}) } keys %standbys;
	foreach my $name (sort keys %readers)
	{
		$readers{$name}->run('BEGIN ISOLATION LEVEL REPEATABLE READ');
		is($standbys{$name}->safe_psql('postgres', $digest), $old, "$name: the standby reads what the primary has, before a compaction");
		$readers{$name}->run('SELECT count(*) FROM skyvault.vault');
		$standbys{$name}->safe_psql('postgres', 'SELECT skyvault_clear_cache()');
	}
	my $xmin = $readers{feedback}->run('SELECT pg_snapshot_xmin(pg_current_snapshot())');
	ok($primary->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_replication"
				. " WHERE application_name = 'feedback' AND backend_xmin::text::bigint <= $xmin"), 'the primary knows of the snapshot');

	compact_and_collect();
	my @outputs = run_objects($primary);
	is(scalar(grep { my $output = $_; grep { $_ eq $output } @inputs } @outputs), 0, 'a full compaction replaces all runs');
	is(primary("SELECT DISTINCT held_by FROM skyvault_gc(true)"), 'standby feedback', 'the standby with feedback holds its inputs back');
	write_runs(2);
	compact_and_collect();
	my %current = map { $_ => 1 } run_objects($primary);
	my @merged = grep { !$current{$_} } @outputs;
	cmp_ok(scalar(@merged), '>', 0, 'the next merges what that has made');
	is(scalar(grep { gone($_) } @inputs), 0, 'all stay that a standby with feedback needs');
	is($readers{feedback}->run($digest), $old, 'feedback: the old snapshot reads what it saw');
	$primary->wait_for_catchup($standbys{feedback}, 'replay', $primary->lsn('insert'));
	is($standbys{feedback}->safe_psql('postgres', $digest), primary($digest), 'feedback: a new one beside it reads what there is now');
	same_content($standbys{feedback}, [ 'kv', 'other' ], 'feedback: tables agree with their mirrors beside an old snapshot');
	$standbys{feedback}->safe_psql('postgres', 'SELECT skyvault_clear_cache()');
	is($readers{feedback}->run($digest), $old, 'feedback: and the old one still what it saw');
	$readers{feedback}->run('COMMIT');

	ok($primary->poll_query_until('postgres', 'SELECT count(*) = 0 FROM skyvault_gc() WHERE held_by IS NOT NULL'),
		'nothing is held back when that has ended');
	is(scalar(grep { !gone($_) } @inputs, @merged), 0, 'the inputs of both compactions have gone');
	$standbys{silent}->safe_psql('postgres', 'SELECT skyvault_clear_cache()');
	says_gone($readers{silent}, $reads{$_}, "without feedback: $_ of what was compacted fails and says what to do") foreach sort keys %reads;
	$readers{silent}->run('ROLLBACK');
	await_replay();
	foreach my $name (sort keys %standbys)
	{
		is($readers{$name}->run($digest), primary($digest), "$name: the next snapshot reads what was compacted");
		same_content($standbys{$name}, [ 'kv', 'other' ], "$name: tables agree with their mirrors after compactions");
		$readers{$name}->quit;
	}
}

# A standby with feedback that is away: its slot goes on to hold what it may need.
{
	my $away = $standbys{feedback};

	primary("SELECT pg_create_physical_replication_slot('away')");
	$away->append_conf('postgresql.conf', "primary_slot_name = 'away'\n");
	$away->restart;
	primary("SELECT mirror_put('kv', 'away', 'value')");
	primary('SELECT skyvault_flush()');
	my ($needed) = reverse(run_objects($primary));
	await_replay();
	my $reader = session($away);
	$reader->run('BEGIN ISOLATION LEVEL REPEATABLE READ');
	$reader->run('SELECT count(*) FROM skyvault.vault');
	my $xmin = $reader->run('SELECT pg_snapshot_xmin(pg_current_snapshot())');
	ok($primary->poll_query_until('postgres', "SELECT xmin::text::bigint <= $xmin FROM pg_replication_slots"), 'its slot has its xmin');
	$reader->quit;
	$away->stop('immediate');
	primary('TRUNCATE kv, m_kv');
	is(primary("SELECT held_by FROM skyvault_gc() WHERE object = '$needed'"), 'replication slot away', 'the slot of a standby that is away holds garbage back');
	ok(!gone($needed), 'which stays');
	$away->start;
	await_replay();
	ok($primary->poll_query_until('postgres', "SELECT count(*) = 1 FROM skyvault_gc() WHERE object = '$needed' AND held_by IS NULL"),
		'it goes when the standby is back and needs it no more');
	primary("SELECT mirror_put('kv', 'back', 'value')");
	primary('SELECT skyvault_flush()');
	await_replay();
	same_content($away, [ 'kv', 'other' ], 'whose tables agree with their mirrors');
}

# Retention protects those without feedback.
$primary->append_conf('postgresql.conf', "skyvault.retention = 1h\n");
$primary->reload;
my $silent = session($standbys{silent});
$silent->run('BEGIN ISOLATION LEVEL REPEATABLE READ');
my $before = $silent->run(sprintf($sum, 'kv'));
my ($kept) = reverse(run_objects($primary));
$standbys{silent}->safe_psql('postgres', 'SELECT skyvault_clear_cache()');
primary('TRUNCATE kv, m_kv');
primary('SELECT skyvault_gc()');
ok(!gone($kept), 'retention keeps an object');
is($silent->run(sprintf($sum, 'kv')), $before, 'for a standby without feedback');
$silent->quit;

# What only the primary may.
foreach my $what ('gc()', 'export()', "snapshot('x')", "adopt('shared')", "restore('shared')")
{
	fails_with($standbys{silent}, "SELECT skyvault_$what", '25006|55000', qr/during recovery|has a vault already/, "skyvault_$what is refused on a standby");
}

# Promotion: it collects what the primary left.
primary("SELECT mirror_put('kv', 'last', 'value')");
primary('SELECT skyvault_flush()');
await_replay();
$primary->stop('immediate');
$standbys{feedback}->append_conf('postgresql.conf', "skyvault.retention = 0\n");
$standbys{feedback}->reload;
$standbys{feedback}->promote;
$standbys{feedback}->safe_psql('postgres', "SELECT mirror_put('kv', 'promoted', 'value')");
cmp_ok($standbys{feedback}->safe_psql('postgres', 'SELECT skyvault_flush()'), '>', 0, 'promoted: it flushes');
$standbys{feedback}->safe_psql('postgres', 'SELECT skyvault_gc(sweep => true)');
ok(gone($kept), 'promoted: it collects what the primary left');
same_content($standbys{feedback}, [ 'kv', 'other' ], 'promoted: tables agree with their mirrors');
is($standbys{feedback}->safe_psql('postgres', "SELECT count(*) FROM skyvault_verify_vault('shared', true)"), 0, 'promoted: nothing is wrong in the store');
$_->stop foreach values %standbys;

done_testing();
